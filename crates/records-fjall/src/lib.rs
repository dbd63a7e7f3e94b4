//! Matter: ordered records on disk, kept by fjall.
//!
//! ```text
//!   node directory
//!     └── one fjall database ── one journal for all states
//!           ├── keyspace 0000000000000001   the records of state 1: memtable, tables
//!           ├── keyspace 0000000000000002   …
//! ```
//!
//! A state is a keyspace: removing one is instant whatever its size, a snapshot is loaded beside the old
//! state, and a state's records share no table with another's.
//!
//! # Durability
//!
//! The log of the node is the durability, and this store is a cache of it with manners: writes go to the
//! journal without fsync, [`engine::records::RecordStore::persist`] syncs it. All writes of a state are in
//! its keyspace and in journal order, and a memtable goes to a table only after the journal was synced,
//! so a crash costs a state a suffix of its batches and never leaves a hole.
//!
//! # Memory
//!
//! fjall gives each keyspace a memtable and bounds each, but not their sum; the `governor` does.
//!
//! # Space
//!
//! What was removed leaves the disk with compactions, and a journal with the last memtable that has something
//! of it. For states that nobody writes to any more `tidy` sees to both; `levels` compacts a large state on demand while
//! it is written to, at the pace of `pieces`.
//!
//! # What fjall 3.1.13 does that must be known here
//!
//! - A plain read sees writes of a batch that is not complete. All reads go through a snapshot.
//! - Ingestion panics on keys that do not ascend; they are checked before.
//! - It cannot open a journal that was torn in an unlucky place, and leaves holes after a bad place in an
//!   earlier one. `journal` looks them over first.
//! - Damaged files can make it panic while it opens; that is caught and called damage.
//! - A dead worker thread would leave writers asleep for ever; the governor gives up instead.
//! - A failed fsync poisons the database. That is `Storage`: the process must end.

mod error;
mod governor;
mod journal;
mod levels;
mod old_tables;
mod pieces;
mod records;
mod store;
mod tidy;

pub use store::{FjallStore, StoreOptions};
