//! Commands that only ZanKV has: scripts in the notation of the corpus, whose replies no Redis server can give.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

#[path = "corpus/direct.rs"]
#[allow(dead_code, reason = "the corpus uses the rest")]
mod direct;

use direct::Direct;
use proto_redis::Reply;
use std::path::Path;

#[test]
fn the_engine_answers_like_zankv() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("testscripts/zankv");
    let mut scripts = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let file = entry.unwrap().path();
        let mut server = Direct::new(8, None);
        if !file.ends_with("plain_port.txt") {
            server = server.zankv();
        }
        server.run(&file);
        scripts += 1;
    }
    assert!(scripts >= 2, "the scripts are gone");
}

/// What a walk through a table finds, page by page.
fn walk(server: &mut Direct, command: &str, rest: &[&str]) -> Vec<Reply> {
    let (mut cursor, mut found) = (String::new(), Vec::new());
    for _ in 0..1000 {
        let mut args = vec![command.as_bytes().to_vec(), format!("n:t:{cursor}").into_bytes()];
        args.extend(rest.iter().map(|word| word.as_bytes().to_vec()));
        let reply = server.command(&args);
        let Reply::Array(page) = &reply else { panic!("{command}: {reply:?}") };
        let [Reply::Bulk(next), Reply::Array(items)] = &page[..] else { panic!("{page:?}") };
        found.extend(items.iter().cloned());
        if next.is_empty() {
            return found;
        }
        cursor = String::from_utf8(next.to_vec()).unwrap();
    }
    panic!("{command}: the walk does not end");
}

#[test]
fn walks_find_every_key_of_a_kind_in_a_table() {
    let mut server = Direct::new(8, None).zankv();
    let mut run = |line: String| {
        let reply = server.command(&line.split(' ').map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>());
        assert!(!reply.is_error(), "{line}: {reply:?}");
    };
    for number in 0..30 {
        for table in ["n:t:", "n:tt:", "m:t:"] {
            run(format!("set {table}kv{number} v{number}"));
            run(format!("hset {table}hash{number} f v{number} g 2"));
            run(format!("rpush {table}list{number} b a {number}"));
            run(format!("sadd {table}set{number} {number}"));
            run(format!("zadd {table}zset{number} 1.5 m {number} n"));
        }
    }
    let text = |text: &str| Reply::bulk(text.to_owned());
    let pair = |a: &str, b: &str| Reply::Array(vec![text(a), text(b)]);
    for kind in ["kv", "hash", "list", "set", "zset"] {
        let mut names: Vec<_> = (0..30).map(|number| text(&format!("{kind}{number}"))).collect();
        names.sort_by_key(|name| format!("{name:?}"));
        for command in ["ADVSCAN", "ADVREVSCAN"] {
            let mut found = walk(&mut server, command, &[kind, "COUNT", "3"]);
            found.sort_by_key(|name| format!("{name:?}"));
            assert_eq!(found, names, "{command} {kind}");
        }
        let found = walk(&mut server, "FULLSCAN", &[kind, "MATCH", "*7"]);
        assert_eq!(found.len(), 3, "{kind}: 7, 17 and 27");
        let item = found
            .iter()
            .find(|item| matches!(item, Reply::Array(parts) if parts[0] == text(&format!("{kind}17"))));
        let rest = match item.unwrap() {
            Reply::Array(parts) => &parts[1..],
            other => panic!("{other:?}"),
        };
        let wanted = match kind {
            "kv" => vec![text("v17")],
            "hash" => vec![pair("f", "v17"), pair("g", "2")],
            "list" => vec![text("b"), text("a"), text("17")],
            "set" => vec![text("17")],
            _ => vec![pair("m", "1.5"), pair("n", "17")],
        };
        let mut rest = rest.to_vec();
        if kind == "hash" {
            rest.sort_by_key(|pair| format!("{pair:?}"));
        }
        assert_eq!(rest, wanted, "{kind}");
    }
    assert_eq!(walk(&mut server, "SCAN", &[]).len(), 30);
    assert_eq!(walk(&mut server, "REVSCAN", &["MATCH", "kv2?", "COUNT", "5"]).len(), 10);
}
