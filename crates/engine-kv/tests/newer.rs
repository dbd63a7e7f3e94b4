//! What was taken over from releases of Redis after the one that the corpus is compared with: scripts in the notation of
//! the corpus.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

#[path = "corpus/direct.rs"]
#[allow(dead_code, reason = "the corpus uses the rest")]
mod direct;

use direct::Direct;
use std::path::Path;

#[test]
fn the_engine_answers_like_a_newer_redis() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("testscripts/newer");
    let mut exchanges = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        exchanges += Direct::new(8, None).run(&entry.unwrap().path());
    }
    assert!(exchanges >= 10, "the scripts are gone");
}
