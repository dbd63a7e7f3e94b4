//! Matter: backups as files.
//!
//! ```text
//!   URL/20261126T231502Z-5c1d9a/
//!        begun.json                what was asked, and T; written first
//!        default.kv/0007-000.skb   contents of partition 7, in blocks (see `block`)
//!        default.kv/0007-keys.skb  which keys those are, and with which stamps (see `keys`)
//!        default.kv/0007.json      partition 7 is complete
//!        manifest.json             everything is complete; written last, only if there is none. It is the backup
//!        proofs/….json             a restore that was compared with the source
//!   URL/archive/…                  what has changed since, continuously (see `archive`)
//! ```
//!
//! This crate knows the files and their order; it does not know clusters. Whoever saves a partition gives it a
//! [`engine::ContentSource`]; whoever restores takes contents out of [`read::FileContents`]. See
//! `docs/decisions` (2026-11-26, backup).
//!
//! An increment stands on another backup and has what has changed since (see `chain`, and `layers` for both together).
//!
//! Invariants: what is incomplete has no manifest, and nothing reads it as a backup. A byte that is not what was
//! written is an error with file and offset, before anything that depends on it is used.

pub mod archive;
mod backups;
mod block;
mod chain;
mod error;
mod keys;
mod layers;
mod manifest;
mod pace;
pub mod plan;
pub mod read;
pub mod restores;
pub mod sweep;
pub mod target;
pub mod verify;
pub mod write;
pub mod zankv;

pub use backups::{Listed, State, begin, begun, civil, days_of, finish, id, list, load, prove, show};
pub use block::{BlockReader, BlockWriter, FileHead, FileSum};
pub use chain::{Chain, delete, delete_with_dependants, dependants};
pub use error::BackupError;
pub use layers::Layers;
pub use manifest::{
    Begun, FORMAT, FileRecord, Manifest, ParentRecord, PartitionRecord, Proof, SumRecord, TableRecord, seal,
    unseal,
};
pub use pace::Pace;
pub use target::{NewFile, Target, open};
