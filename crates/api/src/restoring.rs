//! Restores as the catalog stores them, and as the admin API's JSON asks for them.
//!
//! What is asked for names a backup and tables in it; what is stored has every choice made. In between somebody looks
//! at the place of the backup and at the tables that there are: what he finds is a [`RestoreSource`] for each table.

use prost::Message;
use serde::{Deserialize, Serialize};

/// Tables of a backup to be written into tables of this cluster.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct RestoreWish {
    /// Where the backup is.
    #[prost(string, tag = "1")]
    pub url: String,
    /// Its name.
    #[prost(string, tag = "2")]
    pub backup: String,
    /// The time that is restored, by the backup and the archive beside it, milliseconds since 1970; 0 for the backup's
    /// own.
    #[prost(uint64, tag = "3")]
    pub at_ms: u64,
    /// The tables.
    #[prost(message, repeated, tag = "4")]
    pub tables: Vec<RestoreTable>,
    /// Kinds of keys, by name; none means all.
    #[prost(string, repeated, tag = "5")]
    pub kinds: Vec<String>,
    /// What happens to keys that exist: `fail`, `skip` or `overwrite`.
    #[prost(string, tag = "6")]
    pub on_conflict: String,
    /// Bytes of contents per second in all; 0 is no limit.
    #[prost(uint64, tag = "7")]
    pub bytes_per_second: u64,
    /// Keys per second in all; 0 is no limit.
    #[prost(uint64, tag = "8")]
    pub keys_per_second: u64,
    /// What an earlier restore of the same has left is given up.
    #[prost(bool, tag = "9")]
    pub restarts: bool,
}

/// A table of a restore.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct RestoreTable {
    /// The table that was saved, as `namespace:name`, or just the name in the default namespace.
    #[prost(string, tag = "1")]
    pub from: String,
    /// The table that is written to, the same way.
    #[prost(string, tag = "2")]
    pub to: String,
    /// It is made for the restore, and serves nobody before all of it is there. One that an earlier restore of the same
    /// has made and not completed is gone on with.
    #[prost(bool, tag = "3")]
    pub made: bool,
    /// Its partitions.
    #[prost(uint32, tag = "4")]
    pub partitions: u32,
    /// Its replicas, in the end.
    #[prost(uint32, tag = "5")]
    pub replicas: u32,
    /// Bytes of contents that the backup has of it.
    #[prost(uint64, tag = "6")]
    pub bytes: u64,
}

/// What came of a table of a restore.
#[derive(Clone, PartialEq, Eq, Message, Serialize, Deserialize)]
pub struct RestoredTable {
    /// The table that was written to, as `namespace:name`, or just the name in the default namespace.
    #[prost(string, tag = "1")]
    pub table: String,
    /// Keys that were written.
    #[prost(uint64, tag = "2")]
    pub keys: u64,
    /// Keys that existed, and stayed.
    #[prost(uint64, tag = "3")]
    pub existed: u64,
    /// Keys whose time was over.
    #[prost(uint64, tag = "4")]
    pub expired: u64,
    /// Bytes of contents that were written.
    #[prost(uint64, tag = "5")]
    pub bytes: u64,
    /// Its replicas, all of which were compared and are equal.
    #[prost(uint32, tag = "6")]
    pub replicas: u32,
    /// The content digest of what it holds, as hexadecimal text; empty if there is nothing to compare it with.
    #[prost(string, tag = "7")]
    pub digest: String,
    /// The digest is the one in the backup's manifest.
    #[prost(bool, tag = "8")]
    pub equal: bool,
}

/// A wish for a restore, in a request for an operation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RestoreRequest {
    /// Where the backups are: `file:///absolute/path` or `s3://bucket/prefix`.
    pub url: String,
    /// The backup; the latest complete one when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup: Option<String>,
    /// As of this millisecond, by the newest backup before it and the archive at the same place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<u64>,
    /// Only these tables, by title.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<String>,
    /// Only tables of these namespaces.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// Only keys of these kinds, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<String>,
    /// The one table that is chosen is restored under this title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_table: Option<String>,
    /// Partitions of tables that are made; as they had when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partitions: Option<u32>,
    /// Replicas of tables that are made; as they had, or as many as there are nodes, when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u32>,
    /// What happens to keys that exist: `fail`, `skip` or `overwrite`. When absent a table that holds keys is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_conflict: Option<String>,
    /// What an earlier restore of the same has left is given up.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub restart: bool,
    /// Bytes of contents per second in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<u64>,
    /// Keys per second in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys_per_second: Option<u64>,
    /// What the node that plans it has found. Nobody sends it.
    #[serde(skip)]
    pub sources: Vec<RestoreSource>,
}

/// A table that was chosen: what the backup has of it, and what stands where it shall go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestoreSource {
    /// The table that was saved, by title.
    pub from: String,
    /// The table that is written to, by title.
    pub to: String,
    /// Partitions that it had.
    pub partitions: u32,
    /// Replicas that it had.
    pub replicas: u32,
    /// Bytes of its contents.
    pub bytes: u64,
    /// Keys.
    pub keys: u64,
    /// Keys that the table which is written to holds now; 0 if there is none.
    pub held_keys: u64,
    /// What an earlier restore of the same backup into that very table has left.
    pub begun: Begun,
}

/// A restore that has broken off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Begun {
    /// There is none.
    #[default]
    Not,
    /// It was to restore the same.
    Same,
    /// It was to restore something else of the backup.
    Otherwise,
}

impl RestoreWish {
    /// The tables that are made for it.
    pub fn made(&self) -> impl Iterator<Item = &RestoreTable> {
        self.tables.iter().filter(|table| table.made)
    }

    /// Whether it brings the same contents, however fast and in whatever shape, into all of these tables.
    pub fn brings(&self, other: &RestoreWish) -> bool {
        let what =
            |wish: &RestoreWish| (wish.url.clone(), wish.backup.clone(), wish.at_ms, wish.kinds.clone());
        let has = |table: &RestoreTable| {
            self.tables.iter().any(|known| known.from == table.from && known.to == table.to)
        };
        what(self) == what(other) && other.tables.iter().all(has)
    }

    /// Whether it writes into one of these tables.
    pub fn writes_into(&self, tables: &[RestoreTable]) -> bool {
        self.tables.iter().any(|known| tables.iter().any(|table| table.to == known.to))
    }
}
