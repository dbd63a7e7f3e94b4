//! Data from elsewhere, sent to a Redis port as commands.
//!
//! ```text
//!   dump.rdb ──▶ rdb::FileReader ──▶ values ──▶ RESTORE … ──────────────────────────┐
//!   commands ──▶ proto_redis::Decoder ──────────────────────────────────────────────┴──▶ Sender ──▶ port
//! ```
//!
//! A collection that is too large for one command goes as contents over HTTP, where the cluster's nodes are known: of
//! those nothing is seen before all of it is there.
//!
//! Going through the port costs little and keeps the rules in one place: limits, types, partitions and retries are
//! those of any client.

mod commands;
mod contents;
mod large;
mod pieces;
mod sender;
mod stream;
mod values;

use serde::Serialize;

pub use commands::commands;
pub use contents::Contents;
pub use large::{Large, Stored};
pub use sender::Sender;
pub use values::{Port, Rules, check, values};

/// Refusals that are told one by one; the others are counted.
const TOLD_MAX: usize = 10;

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// Keys written, or commands carried out.
    pub done: u64,
    /// Keys that existed and stayed.
    pub existed: u64,
    /// Keys or commands of other databases.
    pub other_databases: u64,
    /// Keys that hold what is not stored here.
    pub unsupported: u64,
    /// Keys or commands that the port has refused.
    pub refused: u64,
    /// What it said of the first of them, and which values were left out.
    pub told: Vec<String>,
}

impl Imported {
    fn tell(&mut self, words: String) {
        if self.told.len() < TOLD_MAX {
            self.told.push(words);
        }
    }
}

/// A key or command as people read it.
fn shown(bytes: &[u8]) -> String {
    const SHOWN_BYTES_MAX: usize = 64;
    let end = bytes.len().min(SHOWN_BYTES_MAX);
    let more = if end < bytes.len() { "…" } else { "" };
    format!("{}{more}", bytes[..end].escape_ascii())
}
