//! Edge: the command lines of FEDB, RTIDB and OpenMLDB over the admin API.
//!
//! ```text
//!   skein ns ─────────────┐                                        ┌─► show ──► layout ──► text
//!   fedb --zk_cluster=… ──┼─► connect ─► session ─► commands (one table)
//!   openmldb --cmd=… ─────┘     │        words ▲                   └─► change ─► operations of Skein
//!                               └─ client      └─ line (editing, history, completion)
//! ```
//!
//! Everything between a line of words and the text that answers it is a function of the two, of what the
//! cluster says through the trait `Cluster`, and of the clock: the scripts in `testscripts/` run it
//! without a cluster. Columns, words and layouts are those that scripts of the field read; what is meant
//! for people beyond that goes to stderr.
//!
//! Invariant: the shell decides nothing about the cluster. What is unsafe is refused by the operation that
//! a command asks for; checks made here only give refusals the words of the original.

mod change;
mod cluster;
mod commands;
mod completion;
mod connect;
mod failure;
mod layout;
mod line;
mod operations;
mod original;
mod run;
mod session;
mod show;
mod words;

#[cfg(test)]
mod scripts;

pub use original::{FLAGS, Program, run as run_original};
pub use run::{Streams, run_ns};
