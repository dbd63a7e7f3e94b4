//! Jobs: work that a node does for a backup or restore, and how far it is.
//!
//! | method and path | body | reply |
//! |---|---|---|
//! | `POST /v1/barrier` | [`BarrierWish`] | [`BarrierReport`]: one point in time of some tables |
//! | `POST /v1/jobs` | [`JobWish`] | [`JobStatus`]: the node that was asked does it; asked again under the same name, nothing changes |
//! | `GET /v1/jobs/{name}` | | [`JobStatus`] |
//! | `DELETE /v1/jobs/{name}` | | `{}`: it is cancelled if it runs, and forgotten |
//! | `GET /v1/jobs/{name}/pages/{n}` | | contents as Protocol Buffers, `204` after the last; each page once, the latest again |
//! | `POST /v1/tables/{namespace}/{name}/contents` | [`crate::kv::Import`] | [`crate::kv::Imported`], both as Protocol Buffers |
//! | `POST /v1/holds/{id}/keep` | | `{}`: the states of a barrier are needed for another while |
//! | `DELETE /v1/holds/{id}` | | `{}`: they are not |
//! | `GET /v1/tables/{namespace}/{name}/keys` | | [`KeyCount`] |
//! | `GET /v1/catalog/records` | | all of the catalog as a file, see `catalog::saved` |
//!
//! A job that nobody asks about is cancelled after a while: whoever wanted it is gone.

use serde::{Deserialize, Serialize};

use crate::kv::ContentSum;

/// A wish for one point in time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BarrierWish {
    /// Tables, as `namespace:name`, or just the name in the default namespace; none means all of them.
    pub tables: Vec<String>,
    /// Who asks: a random number, as hexadecimal text.
    pub id: String,
}

/// One point in time of some tables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BarrierReport {
    /// Every write with a stamp below this millisecond is before it, and no other.
    pub at_ms: u64,
    /// The tables.
    pub tables: Vec<BarrierTable>,
}

/// A table at a point in time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BarrierTable {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its engine.
    pub engine: String,
    /// How keys find their partition: `tag` or `whole`.
    pub hash: String,
    /// How many replicas each partition shall have.
    pub replicas: u32,
    /// Its partitions, in order.
    pub partitions: Vec<BarrierPlace>,
}

/// The place of a barrier in the log of a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BarrierPlace {
    /// The partition.
    pub partition: u32,
    /// Its group.
    pub group: u64,
    /// The log index.
    pub index: u64,
    /// The term.
    pub term: u64,
    /// The nodes that have a replica, those that do not lead first.
    pub nodes: Vec<u64>,
}

/// Work for a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobWish {
    /// Its name at this node, made up by whoever asks.
    pub name: String,
    /// What is to be done.
    pub what: Job,
    /// Bytes of contents per second; 0 is no limit.
    #[serde(default)]
    pub bytes_per_second: u64,
    /// Keys per second; 0 is no limit.
    #[serde(default)]
    pub keys_per_second: u64,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Job {
    /// Write a partition's state at a barrier into a backup.
    Save(SavePartition),
    /// Say what a partition's state at a barrier comes to.
    Measure(HeldPartition),
    /// Hand out a partition's state at a barrier, page by page.
    Stream(HeldPartition),
    /// Write the contents of a file of a backup into a table.
    Restore(RestoreFile),
    /// Write what a partition held at a time into a table: what a backup has of it, and what an archive tells since.
    RestoreAt(RestorePartition),
}

/// A partition's state at a barrier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeldPartition {
    /// The group.
    pub group: u64,
    /// Who asked for the barrier.
    pub hold: String,
    /// The barrier's log index.
    pub index: u64,
    /// Kinds of keys, by name; none means all.
    #[serde(default)]
    pub kinds: Vec<String>,
    /// Deadlines are told this many milliseconds earlier than they are.
    #[serde(default)]
    pub expiry_shift_ms: u64,
    /// Only keys that begin with this.
    #[serde(default)]
    pub prefix: String,
}

/// A partition to be written into a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavePartition {
    /// Where backups lie.
    pub url: String,
    /// The backup, which was begun.
    pub backup: String,
    /// The table's namespace.
    pub namespace: String,
    /// The table's name.
    pub table: String,
    /// The partition.
    pub partition: u32,
    /// Its state.
    pub held: HeldPartition,
}

/// A file of a backup to be written into a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestoreFile {
    /// Where backups lie.
    pub url: String,
    /// The backup.
    pub backup: String,
    /// The namespace of the table that was saved.
    pub namespace: String,
    /// Its name.
    pub table: String,
    /// The partition that was saved.
    pub partition: u32,
    /// The file's number.
    pub file: u32,
    /// The namespace of the table that is written to.
    pub to_namespace: String,
    /// Its name.
    pub to_table: String,
    /// Its id: one that was dropped and made anew is another.
    pub to_tid: u64,
    /// What happens to keys that exist: `fail`, `skip` or `overwrite`.
    pub on_conflict: String,
    /// Keys with this stamp or a later one were written by this restore.
    pub ours_since: u64,
    /// The file may have been begun before.
    pub again: bool,
    /// Kinds of keys, by name; none means all.
    #[serde(default)]
    pub kinds: Vec<String>,
    /// Deadlines are stored this many milliseconds later.
    #[serde(default)]
    pub expiry_shift_ms: u64,
}

/// A partition as of a time to be written into a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestorePartition {
    /// What and where to; its file's number has no meaning.
    pub of: RestoreFile,
    /// The archive.
    pub archive: String,
    /// The run of the archive that tells the partition: the log index after which it does.
    pub since: u64,
    /// The last millisecond: writes with a later stamp are left out.
    pub to_ms: u64,
}

/// How far a job is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobStatus {
    /// Its name.
    pub name: String,
    /// How it is.
    pub state: JobState,
    /// Keys done.
    pub keys: u64,
    /// Bytes of contents done.
    pub bytes: u64,
    /// Bytes of files written or read.
    pub file_bytes: u64,
    /// Keys that existed, and stayed.
    #[serde(default)]
    pub existed: u64,
    /// Keys whose time was over.
    #[serde(default)]
    pub expired: u64,
    /// What it waits for and will try again, with the code; empty if it goes on.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub waits: String,
    /// What was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sum: Option<JobSum>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<JobError>,
}

/// How a job is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// The node knows none of the name: its process has begun anew since.
    #[default]
    Unknown,
    /// It waits for others.
    Queued,
    /// It runs.
    Running,
    /// It is done.
    Done,
    /// It failed.
    Failed,
}

/// Why a job failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobError {
    /// A code of `types::errors`.
    pub code: String,
    /// What exactly.
    pub detail: String,
}

/// A [`ContentSum`] as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSum {
    /// Keys.
    pub keys: u64,
    /// Elements of collections.
    pub elements: u64,
    /// Bytes of keys, values and elements.
    pub bytes: u64,
    /// Keys that have an expiry.
    pub expiring: u64,
    /// The content digest, as hexadecimal text.
    pub digest: String,
}

/// How many keys a table holds, expired ones that were not removed yet included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyCount {
    /// Keys.
    pub keys: u64,
}

impl From<&ContentSum> for JobSum {
    fn from(sum: &ContentSum) -> Self {
        Self {
            keys: sum.keys,
            elements: sum.elements,
            bytes: sum.bytes,
            expiring: sum.expiring,
            digest: sum.digest_text(),
        }
    }
}

impl JobSum {
    /// The sum; a digest that is no number counts as 0.
    pub fn to_sum(&self) -> ContentSum {
        ContentSum {
            keys: self.keys,
            elements: self.elements,
            bytes: self.bytes,
            expiring: self.expiring,
            digest: u128::from_str_radix(&self.digest, 16).unwrap_or(0),
        }
    }
}

impl From<&types::Fault> for JobError {
    fn from(fault: &types::Fault) -> Self {
        Self { code: fault.code.as_str().to_owned(), detail: fault.detail.clone() }
    }
}

impl JobError {
    /// The fault; a code of a newer release counts as internal.
    pub fn to_fault(&self) -> types::Fault {
        let code = self.code.parse().unwrap_or(types::ErrorCode::Internal);
        types::Fault::new(code, self.detail.clone())
    }
}
