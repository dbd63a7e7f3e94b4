//! The archive of changes over the admin API.
//!
//! | method and path | body | reply |
//! |---|---|---|
//! | `POST /v1/archive` | [`ArchiveWish`] | [`ArchiveReport`]: it has begun, or is the one that has |
//! | `DELETE /v1/archive` | | `{}`: it has ended, or there was none |
//! | `GET /v1/archive` | | [`ArchiveReport`]: the partitions that the node which is asked writes |

use serde::{Deserialize, Serialize};

use crate::catalog::ArchiveRecord;

/// A wish for an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArchiveWish {
    /// Where to.
    pub url: String,
    /// Tables, as `namespace:name`, or just the name in the default namespace; none, and no namespace either, means all of
    /// them, and those that are made later.
    #[serde(default)]
    pub tables: Vec<String>,
    /// Namespaces: their tables, and those that are made in them later.
    #[serde(default)]
    pub namespaces: Vec<String>,
    /// How often changes are written, in milliseconds.
    pub every_ms: u64,
    /// Most bytes of changes that a partition keeps until they are written.
    pub hold_bytes_max: u64,
    /// The cluster removes what is older than this, in milliseconds, and needed by no backup; 0 is nothing.
    #[serde(default)]
    pub keep_ms: u64,
}

/// The archive, as a node knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveReport {
    /// Its name; empty if there never was one.
    pub id: String,
    /// Where it lies.
    pub url: String,
    /// It has ended.
    pub ended: bool,
    /// When it began, milliseconds since 1970.
    pub begun_ms: u64,
    /// How often changes are written, in milliseconds.
    pub every_ms: u64,
    /// Most bytes of changes that a partition keeps until they are written.
    pub hold_bytes_max: u64,
    /// The cluster removes what is older than this, in milliseconds, and needed by no backup; 0 is nothing.
    pub keep_ms: u64,
    /// The groups of the partitions that shall be in it.
    pub groups: Vec<u64>,
    /// Those that this node writes.
    pub partitions: Vec<ArchivedPartition>,
}

impl ArchiveReport {
    /// What its record says of an archive.
    pub fn of(archive: &ArchiveRecord) -> Self {
        Self {
            id: archive.id.clone(),
            url: archive.url.clone(),
            ended: archive.ended,
            begun_ms: archive.begun_ms,
            every_ms: archive.every_ms,
            hold_bytes_max: archive.hold_bytes_max,
            keep_ms: archive.keep_ms,
            groups: Vec::new(),
            partitions: Vec::new(),
        }
    }
}

/// A partition whose changes a node writes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchivedPartition {
    /// The table's namespace.
    pub namespace: String,
    /// Its name.
    pub table: String,
    /// The partition.
    pub partition: u32,
    /// Its group.
    pub group: u64,
    /// The log index after which changes are told.
    pub since: u64,
    /// Every write with a stamp below this millisecond is told; 0 if none is yet, as far as its node knows.
    pub complete_ms: u64,
    /// How long ago that is, by its node's clock, in milliseconds. While nothing is told: how long its node has tried.
    pub lag_ms: u64,
    /// Log entries after the last one that is told.
    pub behind_entries: u64,
    /// Files so far.
    pub files: u32,
    /// Bytes of changes that wait to be written.
    pub kept_bytes: u64,
    /// Why it does not go on; empty if it does.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub problem: String,
    /// What came before the present run was lost: a gap, which only a new backup bridges; empty if there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub gap: String,
}
