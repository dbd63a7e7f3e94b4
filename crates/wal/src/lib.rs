//! One durable log for all replication groups of a node.
//!
//! Many groups append to one sequence of segment files, so that the writes of a whole node cost one
//! fsync. See `docs/decisions/2026-11-26-own-log.md` for why it is our own.

mod format;
mod index;
mod log;
mod memory;
pub mod model;
mod plan;
mod reclaim;
mod recovery;
mod segment;
mod store;
pub mod suite;
#[cfg(test)]
mod tests;

pub use log::{LogCounters, LogOptions, SegmentedLog};
pub use memory::MemoryLog;
pub use store::{GroupSummary, GroupWrite, LogEntry, LogError, LogPosition, LogStore};
