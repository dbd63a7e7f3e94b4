//! The laws of replication as scripts: `testscripts/*.txt`, one idea each.
//!
//! A line that begins with `>` is a command for a small cluster in this process; the lines below it are
//! what came of it: the effects of each worker, in order. `#` begins a comment.
//! `SKEIN_REWRITE=1 cargo test -p replication --test scripts` writes what comes out; read the diff.
//!
//! ```text
//! > nodes 3 [keep=E]        three nodes, each with a founding replica of group 1; E log entries are kept
//! > tick n1 5               five ticks pass on one node, or on `all`
//! > live 5                  five ticks pass on all, and whatever is sent arrives
//! > deliver [n1>n2]         what is under way arrives, until nothing is; or only what is on one way
//! > drop n1>n2              what is on a way is lost
//! > cut n1 n2, heal         nothing gets from one to the other; everything does again
//! > set n1 KEY VALUE [session=S/Q/F]    a write; S session, Q number, F lowest number without an answer
//! > register n1             a session is asked for
//! > barrier n1 200          a barrier at 200 ms after the nodes began
//! > read n1 KEY             a read that asks a quorum
//! > lease n1 KEY            a read by lease, if there is one
//! > hold n1, sync n1        writes to the log wait for the disk; the disk is done
//! > crash n1 [power]        the process is gone, and what the disk has not done; its state may fall behind
//! > restart n1              the process starts again
//! > lose n1                 a node that is down loses its state
//! > forget n1 2           the log of a node that is down loses its last two entries, which it had called durable
//! > flush n1                the state is durable as far as it is applied
//! > join n4 4               a node makes an empty replica
//! > wish 1@1 (2)@2 4@4      the catalog wishes for these replicas; those in brackets without a vote
//! > remove n1 1             a node removes a replica
//! > transfer n1 2           a leader hands over to a replica
//! > campaign n1 asked|late|usual|2    when a replica begins an election; the number is whom it stands in for
//! > takeover n1 1 4 2       replica 1 goes on alone as replica 4, in the second era of terms and epochs
//! > shrink n1               the log is to be cut as far as it can be
//! > status                  what every replica is
//! ```
//!
//! `quietly` before a command leaves out what came of it.

#![expect(clippy::unwrap_used, reason = "this is a test; a broken script shall stop it")]

use std::path::Path;

mod nodes;
mod words;

use nodes::Nodes;

#[test]
fn every_script_comes_out_as_it_says() {
    golden::scripts(&Path::new(env!("CARGO_MANIFEST_DIR")).join("testscripts"), 20, run);
}

/// The script with what came of each command.
fn run(script: &str) -> String {
    let mut nodes = Nodes::default();
    let mut out = String::new();
    for line in script.lines() {
        let is_kept = line.starts_with('>') || line.starts_with('#') || line.is_empty();
        if is_kept {
            out.push_str(line);
            out.push('\n');
        }
        if let Some(command) = line.strip_prefix('>') {
            for came in nodes.command(command.trim()) {
                out.push_str(&came);
                out.push('\n');
            }
        }
    }
    out
}
