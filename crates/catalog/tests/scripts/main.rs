//! Runs the scripts in `testscripts/`: commands in, replies and what changed out.
//!
//! A script has lines that begin with `>` and the output expected behind each of them. `#` begins a
//! comment. `SKEIN_REWRITE=1 cargo test -p catalog` writes what comes out instead; read the diff.

#![expect(clippy::unwrap_used, reason = "this is a test; a broken script shall stop it")]

mod chart;
mod health;
mod operate;
mod words;
mod world;

use std::path::Path;

use world::World;

#[test]
fn scripts_come_out_as_written() {
    golden::scripts(&Path::new(env!("CARGO_MANIFEST_DIR")).join("testscripts"), 1, run);
}

/// The script with the output that its commands have now. Comments and blank lines before a command
/// stay; everything between a command and the next blank line or comment is output.
fn run(script: &str) -> String {
    let mut world = World::default();
    let mut out = String::new();
    let mut in_output = false;
    for line in script.lines() {
        if let Some(command) = line.strip_prefix("> ") {
            out += &format!("{line}\n{}", world.run(command));
            in_output = true;
        } else if line.is_empty() || line.starts_with('#') {
            out += &format!("{line}\n");
            in_output = false;
        } else {
            assert!(in_output, "a line that is neither command, comment nor output: {line}");
        }
    }
    out
}
