//! Commands that only ZanKV has: scripts in the notation of the corpus, whose replies no Redis server can give.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

#[path = "corpus/direct.rs"]
#[allow(dead_code, reason = "the corpus uses the rest")]
mod direct;

use direct::Direct;
use proto_redis::corpus;
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
        for exchange in corpus::read(&std::fs::read_to_string(&file).unwrap()).unwrap() {
            let found = server.command(&exchange.args);
            let place = format!("{}:{}", file.display(), exchange.line_number);
            assert!(exchange.accepts(&found), "{place}: {}\n{}", exchange.line, corpus::render(&found));
        }
        scripts += 1;
    }
    assert!(scripts >= 2, "the scripts are gone");
}
