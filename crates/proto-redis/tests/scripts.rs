//! Scripts: commands in, plans and replies out. `SKEIN_REWRITE=1` writes what is found.
//!
//! ```text
//! # comment
//! new password=secret        a new connection; options: password, partitions (default 8)
//! > GET a                    a command; then what becomes of it:
//!   part 1:3 Get(…)            an operation of table 1, partition 3
//!   reply +OK                  a reply that needs nothing more
//!   ask Time                   a question to the listener
//!   mode silent close resp3    how the reply must be sent, where that is not usual
//! ```

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use api::kv::KvReply;
use bytes::Bytes;
use proto_redis::blocking::awaited;
use proto_redis::{Place, Plan, Protocol, Reply, Session, Step, Target, corpus, line, parse};
use std::fmt::Write;
use std::path::Path;
use types::hash::HashRule;

#[test]
fn scripts() {
    golden::scripts(&Path::new(env!("CARGO_MANIFEST_DIR")).join("testscripts"), 5, run);
}

fn run(text: &str) -> String {
    let mut out = String::new();
    let (mut session, mut partitions) = (Session::new(7, None), 8);
    for line in text.lines() {
        if line.starts_with("  ") {
            continue;
        }
        writeln!(out, "{line}").unwrap();
        if let Some(options) = line.strip_prefix("new") {
            (session, partitions) = connect(options);
        } else if let Some(command) = line.strip_prefix("> ") {
            let args: Vec<Bytes> =
                line::split(command.as_bytes()).unwrap().into_iter().map(Bytes::from).collect();
            match parse(&args, &mut session) {
                Ok(plan) => describe(plan, &mut session, partitions, &mut out),
                Err(error) => writeln!(out, "  reply -{error}").unwrap(),
            }
            describe_mode(&session, &mut out);
        }
    }
    out
}

fn connect(options: &str) -> (Session, u32) {
    let option = |name: &str| {
        options.split_whitespace().find_map(|option| option.strip_prefix(name)?.strip_prefix('='))
    };
    let partitions = option("partitions").map_or(8, |number| number.parse().unwrap());
    (Session::new(7, option("password").map(|password| password.as_bytes().into())), partitions)
}

fn describe(plan: Plan, session: &mut Session, partitions: u32, out: &mut String) {
    let place = |key: &Bytes| {
        let partition = HashRule::Tag.partition(key, partitions).get() as u32;
        Ok(Place { target: Target { table: 1, partition }, key: key.clone() })
    };
    let refused = |error| vec![format!("reply -{error}")];
    let parts = |parts: Vec<proto_redis::Part>| -> Vec<String> {
        let part = |part: proto_redis::Part| {
            format!("part {}:{} {:?}", part.target.table, part.target.partition, part.op)
        };
        parts.into_iter().map(part).collect()
    };
    let lines = match plan {
        Plan::Answer(reply) => vec![format!("reply {}", corpus::render(&reply))],
        Plan::Ask(question) => vec![format!("ask {question:?}")],
        Plan::Keyed(keyed) => match keyed.address(place) {
            Ok((Target { table, partition }, op, form)) => {
                vec![format!("part {table}:{partition} {op:?}"), format!("as {:?}", form.shape)]
            }
            Err(error) => refused(error),
        },
        Plan::Scatter(scatter) => scatter.split(place).map_or_else(refused, |(found, _)| parts(found)),
        Plan::Everywhere(everywhere) => {
            parts(everywhere.parts((0..partitions).map(|partition| Target { table: 1, partition })).0)
        }
        Plan::Block(block) => match block.keyed.address(place) {
            Ok((Target { table, partition }, op, form)) => vec![
                format!("part {table}:{partition} {op:?}"),
                format!("as {:?}", form.shape),
                format!("or wait {:?} for {:?}", block.timeout, awaited(&op)),
            ],
            Err(error) => refused(error),
        },
        Plan::Queued(keys) => vec![format!("reply {}", corpus::render(&session.queued(&keys, place)))],
        Plan::Watch(watch) => match watch.parts(session, place) {
            Ok(found) => {
                // Nothing has ever been written.
                let versions = found.iter().map(|_| Ok(KvReply::integer(0))).collect();
                let reply = session.watching(watch, versions);
                [parts(found), vec![format!("reply {}", corpus::render(&reply))]].concat()
            }
            Err(error) => refused(error),
        },
        Plan::Exec(exec) => match exec.address(place) {
            Ok((None, reply)) => {
                let reply = reply.without_partition(|question| Reply::bulk(format!("{question:?}")));
                vec![format!("reply {}", corpus::render(&reply))]
            }
            Ok((Some((target, op)), reply)) => {
                vec![format!("part {}:{} {op:?}", target.table, target.partition), format!("as {reply:?}")]
            }
            Err(error) => refused(error),
        },
        Plan::Walk(mut walk) => vec![match walk.begin(partitions, 5 << 42 | 77) {
            Step::Ask { index, op } => format!("walk {index} {op:?}"),
            Step::Done(reply) => format!("reply {}", corpus::render(&reply)),
        }],
    };
    for line in lines {
        writeln!(out, "  {line}").unwrap();
    }
}

fn describe_mode(session: &Session, out: &mut String) {
    let mode = session.reply_mode();
    let words = [(mode.silent, "silent"), (mode.close, "close"), (mode.protocol == Protocol::Resp3, "resp3")];
    let words: Vec<_> = words.into_iter().filter(|(set, _)| *set).map(|(_, word)| word).collect();
    if !words.is_empty() {
        writeln!(out, "  mode {}", words.join(" ")).unwrap();
    }
}
