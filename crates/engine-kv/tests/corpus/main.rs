//! The corpus against both sides: a real Redis server, and the engine behind the protocol.
//!
//! `SKEIN_REWRITE=1 cargo test -p engine-kv --test corpus` writes what the installed server answers.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

mod direct;
mod model;
mod modelled;
mod random;
mod redis;

use direct::Direct;
use proto_redis::Reply;
use proto_redis::corpus::{self, Exchange, PASSWORD};
use std::fmt::Write;
use std::io::Write as _;
use std::path::{Path, PathBuf};

#[test]
fn the_engine_answers_like_redis() {
    for partitions in [1, 8] {
        let mut out = String::new();
        for file in files() {
            if partitions > 1 && file.ends_with("one_partition.txt") {
                continue;
            }
            let mut server = Direct::new(partitions, password(&file));
            out += &differences(&file, |exchange| server.command(&exchange.args));
        }
        assert!(out.is_empty(), "with {partitions} partitions\n{out}");
    }
}

#[test]
fn redis_answers_as_the_corpus_says() {
    let (Some(open), Some(locked)) = (redis::Server::start(None), redis::Server::start(Some(PASSWORD)))
    else {
        return skip();
    };
    let mut out = String::new();
    for file in files() {
        let server = if password(&file).is_some() { &locked } else { &open };
        let mut connection = server.connect();
        connection.command(&[b"FLUSHALL".to_vec()]);
        let answer = |exchange: &Exchange| connection.command(&exchange.args);
        if std::env::var_os("SKEIN_REWRITE").is_some() {
            rewrite(&file, answer);
        } else {
            out += &differences(&file, answer);
        }
    }
    assert!(out.is_empty(), "{out}");
}

/// Bytes that are no requests, or odd ones; each on its own connection.
const RAW: &[&[u8]] = &[
    b"PING\r\n",
    b"PING\n",
    b"  PING  \r\n",
    b"\r\n\r\n\nPING\r\n",
    b"*0\r\n*-1\r\n*-10\r\nPING\r\n",
    b"ECHO \"a\\x41\\n\" extra\r\n",
    b"ECHO 'it\\'s'\r\n",
    b"ECHO \"\"\r\n",
    b"ECHO \"a\r\n",
    b"ECHO 'a\r\n",
    b"ECHO \"a\"b\r\n",
    b"*\r\n",
    b"*x\r\n",
    b"*+1\r\n",
    b"*01\r\n",
    b"* 1\r\n",
    b"*1x\r\n",
    b"*99999999999999999999\r\n",
    b"*2147483648\r\n",
    b"*1\r\nPING\r\n",
    b"*1\r\n:1\r\n",
    b"*1\r\n\r\n",
    b"*1\r\n\xff\r\n",
    b"*1\r\n$\r\n",
    b"*1\r\n$x\r\n",
    b"*1\r\n$-1\r\n",
    b"*1\r\n$+4\r\nPING\r\n",
    b"*1\r\n$04\r\nPING\r\n",
    b"*1\r\n$99999999999\r\n",
    b"*1\r\n$4\r\nPINGxx*1\r\n$4\r\nPING\r\n",
    b"*1\rx$4\rxPING\r\n",
    b"*1\r\n$0\r\n\r\n",
    b"*2\r\n$4\r\nECHO\r\n$5\r\na\r\nb\0\r\n",
    b"*1\r\n$4\r\nPING\r\nPING\r\n*1\r\n$4\r\nPING\r\n",
    b"PING\r\n*1\r\nx\r\nPING\r\n",
    b"QUIT\r\nPING\r\n",
    b"CLIENT REPLY SKIP\r\nECHO a\r\nECHO b\r\n",
    b"CLIENT REPLY OFF\r\nECHO a\r\nNOSUCH\r\nCLIENT REPLY ON\r\nECHO b\r\n",
    b"CLIENT REPLY OFF\r\nCLIENT REPLY SKIP\r\nCLIENT REPLY ON\r\nECHO a\r\nECHO b\r\n",
    b"CLIENT REPLY SKIP\r\nCLIENT REPLY SKIP\r\nECHO a\r\nECHO b\r\n",
    b"CLIENT REPLY SKIP\r\nCLIENT REPLY ON\r\nECHO a\r\n",
    b"CLIENT REPLY SKIP\r\nNOSUCH\r\nECHO a\r\n",
    b"CLIENT REPLY nosuch\r\nECHO a\r\n",
];

/// The same before the password.
const RAW_LOCKED: &[&[u8]] = &[
    b"*10\r\n$4\r\nECHO\r\n",
    b"*11\r\n$4\r\nECHO\r\n",
    b"*2\r\n$4\r\nECHO\r\n$16385\r\n",
    b"*1\r\n$4\r\nPING\r\n",
    b"AUTH secret\r\n*2\r\n$4\r\nECHO\r\n$1\r\na\r\n",
];

#[test]
fn bytes_are_read_as_redis_reads_them() {
    let (Some(open), Some(locked)) = (redis::Server::start(None), redis::Server::start(Some(PASSWORD)))
    else {
        return skip();
    };
    let mut out = String::new();
    for (server, password, requests) in [(&open, None, RAW), (&locked, Some(PASSWORD), RAW_LOCKED)] {
        for request in requests {
            let show =
                |replies: Vec<Reply>| replies.iter().map(corpus::render).collect::<Vec<_>>().join("  ");
            let redis = show(server.connect().bytes(request));
            let found = show(Direct::new(1, password).bytes(request));
            if redis != found {
                writeln!(out, "{}\n  redis: {redis}\n  found: {found}", request.escape_ascii()).unwrap();
            }
        }
    }
    assert!(out.is_empty(), "{out}");
}

fn files() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("testscripts/corpus");
    let mut files: Vec<_> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 10, "the corpus is gone");
    files
}

fn password(file: &Path) -> Option<&'static str> {
    file.ends_with("password.txt").then_some(PASSWORD)
}

/// Written past the test runner, which would keep it to itself.
fn skip() {
    let notice = b"SKIPPED: no redis-server 7.0 is installed; nothing was compared with it\n";
    std::io::stderr().write_all(notice).unwrap();
}

/// What differs, one paragraph per command.
fn differences(file: &Path, mut answer: impl FnMut(&Exchange) -> Reply) -> String {
    let mut out = String::new();
    let text = std::fs::read_to_string(file).unwrap();
    let exchanges = corpus::read(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    for exchange in exchanges {
        let found = answer(&exchange);
        if !exchange.accepts(&found) {
            let place = file.file_name().unwrap().display();
            let Exchange { line_number, line, expected, .. } = &exchange;
            let found = corpus::render(&found);
            writeln!(out, "{place}:{line_number}: > {line}\n  corpus: {expected}\n  found:  {found}")
                .unwrap();
        }
    }
    out
}

/// Keeps comments, empty lines and replies of any kind where they are.
fn rewrite(file: &Path, mut answer: impl FnMut(&Exchange) -> Reply) {
    let text = std::fs::read_to_string(file).unwrap();
    let mut exchanges = corpus::read(&text).unwrap().into_iter();
    let mut out = String::new();
    for line in text.lines() {
        if line.starts_with("> ") {
            let exchange = exchanges.next().unwrap();
            let found = answer(&exchange);
            let any = exchange.expected == "?" && !found.is_error();
            writeln!(out, "{line}\n{}", if any { "?".to_owned() } else { corpus::render(&found) }).unwrap();
        } else if line.is_empty() || line.starts_with('#') {
            writeln!(out, "{line}").unwrap();
        }
    }
    std::fs::write(file, out).unwrap();
}
