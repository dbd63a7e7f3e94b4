//! Backups as the catalog stores them: operations that take and prove them, and schedules; and the same as the admin
//! API's JSON.
//!
//! | method and path | body | reply |
//! |---|---|---|
//! | `GET /v1/schedules` | | list of [`Schedule`] |
//! | `PUT /v1/schedules/{name}` | [`SetSchedule`] | [`Schedule`] |
//! | `DELETE /v1/schedules/{name}` | | `{}`: its backups stay |

use prost::Message;
use serde::{Deserialize, Serialize};

use crate::restoring::RestoredTable;

/// A backup to be taken.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct BackupWish {
    /// Where to.
    #[prost(string, tag = "1")]
    pub url: String,
    /// Its name.
    #[prost(string, tag = "2")]
    pub backup: String,
    /// Tables, as `namespace:name`, or just the name in the default namespace; none means all that there are when it
    /// begins.
    #[prost(string, repeated, tag = "3")]
    pub tables: Vec<String>,
    /// Kinds of keys, by name; none means all.
    #[prost(string, repeated, tag = "4")]
    pub kinds: Vec<String>,
    /// Bytes of contents per second in all; 0 is no limit.
    #[prost(uint64, tag = "5")]
    pub bytes_per_second: u64,
    /// Keys per second in all; 0 is no limit.
    #[prost(uint64, tag = "6")]
    pub keys_per_second: u64,
    /// It was begun by an operation that has ended, and must be there.
    #[prost(bool, tag = "7")]
    pub resumes: bool,
    /// The schedule that it is for; empty if somebody asked for it.
    #[prost(string, tag = "8")]
    pub schedule: String,
    /// Complete backups of the schedule that stay, or 0 for all of them.
    #[prost(uint32, tag = "9")]
    pub keep: u32,
    /// The backup that it stands on; empty for a full one.
    #[prost(string, tag = "10")]
    pub parent: String,
    /// If it cannot stand on that, it becomes a full one.
    #[prost(bool, tag = "11")]
    pub or_full: bool,
}

/// A backup to be restored into scratch tables and compared with its source.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct DrillWish {
    /// Where it is.
    #[prost(string, tag = "1")]
    pub url: String,
    /// Its name.
    #[prost(string, tag = "2")]
    pub backup: String,
    /// Partitions of the scratch tables; 0: one less than the source, or two.
    #[prost(uint32, tag = "3")]
    pub partitions: u32,
    /// Bytes of contents per second in all; 0 is no limit.
    #[prost(uint64, tag = "4")]
    pub bytes_per_second: u64,
    /// Keys per second in all; 0 is no limit.
    #[prost(uint64, tag = "5")]
    pub keys_per_second: u64,
    /// The schedule that it is for; empty if somebody asked for it.
    #[prost(string, tag = "6")]
    pub schedule: String,
    /// Complete backups of the schedule that stay, or 0 for all of them.
    #[prost(uint32, tag = "7")]
    pub keep: u32,
}

/// What an operation has saved, or has restored and compared.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SavedRecord {
    /// The backup.
    #[prost(string, tag = "1")]
    pub backup: String,
    /// Where it is.
    #[prost(string, tag = "2")]
    pub url: String,
    /// It holds every write with a stamp below this millisecond, and no other.
    #[prost(uint64, tag = "3")]
    pub at_ms: u64,
    /// Keys.
    #[prost(uint64, tag = "4")]
    pub keys: u64,
    /// Elements of collections.
    #[prost(uint64, tag = "5")]
    pub elements: u64,
    /// Bytes of keys, values and elements.
    #[prost(uint64, tag = "6")]
    pub bytes: u64,
    /// Bytes of its files.
    #[prost(uint64, tag = "7")]
    pub file_bytes: u64,
    /// The content digest, as hexadecimal text.
    #[prost(string, tag = "8")]
    pub digest: String,
    /// Partitions of the tables that were saved or restored into, in order.
    #[prost(uint32, repeated, tag = "9")]
    pub partitions: Vec<u32>,
    /// A copy was restored and is equal.
    #[prost(bool, tag = "10")]
    pub proven: bool,
    /// The backup that it stands on; empty for a full one.
    #[prost(string, tag = "12")]
    pub parent: String,
    /// The tables that were restored, unless into scratch tables.
    #[prost(message, repeated, tag = "11")]
    pub restored: Vec<RestoredTable>,
}

/// When backups are taken by themselves, and what came of it.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ScheduleRecord {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// When: five fields, see `catalog::cron`; UTC.
    #[prost(string, tag = "2")]
    pub cron: String,
    /// Where to.
    #[prost(string, tag = "3")]
    pub url: String,
    /// Tables by title; none, and no namespace either, means all.
    #[prost(string, repeated, tag = "4")]
    pub tables: Vec<String>,
    /// Complete backups that stay, or 0 for all of them.
    #[prost(uint32, tag = "5")]
    pub keep: u32,
    /// Each is restored and compared.
    #[prost(bool, tag = "6")]
    pub drill: bool,
    /// Bytes of contents per second in all; 0 is no limit.
    #[prost(uint64, tag = "7")]
    pub bytes_per_second: u64,
    /// Who set it.
    #[prost(string, tag = "8")]
    pub by: String,
    /// When it was set first, milliseconds since 1970.
    #[prost(uint64, tag = "9")]
    pub set_ms: u64,
    /// What came of it.
    #[prost(message, optional, tag = "10")]
    pub progress: Option<ScheduleProgress>,
    /// Every so many backups one is full, and those between stand on the one before; up to 1: all are full.
    #[prost(uint32, tag = "11")]
    pub full_every: u32,
    /// Namespaces: all tables that are in them when a backup begins.
    #[prost(string, repeated, tag = "12")]
    pub namespaces: Vec<String>,
    /// Kinds of keys, by name; none means all.
    #[prost(string, repeated, tag = "13")]
    pub kinds: Vec<String>,
    /// Keys per second in all; 0 is no limit.
    #[prost(uint64, tag = "14")]
    pub keys_per_second: u64,
}

/// What came of a schedule. As a change: what is empty or 0 stays as it is.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ScheduleProgress {
    /// The last time that was due and was taken care of, milliseconds since 1970.
    #[prost(uint64, tag = "1")]
    pub due_ms: u64,
    /// The last complete backup.
    #[prost(string, tag = "2")]
    pub complete: String,
    /// When it was complete, milliseconds since 1970.
    #[prost(uint64, tag = "3")]
    pub complete_ms: u64,
    /// The last backup that was restored and is equal.
    #[prost(string, tag = "4")]
    pub proven: String,
    /// When that was, milliseconds since 1970.
    #[prost(uint64, tag = "5")]
    pub proven_ms: u64,
    /// The last backup whose drill was begun.
    #[prost(string, tag = "6")]
    pub drilled: String,
    /// How many backups the last complete one stands on, itself among them, at most.
    #[prost(uint32, tag = "7")]
    pub chain: u32,
}

/// What an operation tells of a schedule. One that is gone is left alone.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ScheduleNews {
    /// The schedule.
    #[prost(string, tag = "1")]
    pub name: String,
    /// What is new.
    #[prost(message, optional, tag = "2")]
    pub progress: Option<ScheduleProgress>,
}

/// A change of schedules.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ScheduleChange {
    /// The schedule as it shall be; what came of one of its name stays.
    #[prost(message, optional, tag = "1")]
    pub set: Option<ScheduleRecord>,
    /// The name of one that goes; empty for none.
    #[prost(string, tag = "2")]
    pub remove: String,
}

/// A wish for a backup or for a drill, in a request for an operation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BackupRequest {
    /// Where it lies or is to lie: `file:///absolute/path` or `s3://bucket/prefix`.
    pub url: String,
    /// The backup: one that was interrupted and is gone on with, or the one that is tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup: Option<String>,
    /// The backup that a new one stands on: only what has changed since is saved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Only these tables, by title.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<String>,
    /// Only tables of these namespaces.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// Only keys of these kinds, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<String>,
    /// Partitions of the scratch tables of a drill.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partitions: Option<u32>,
    /// Bytes of contents per second in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<u64>,
    /// Keys per second in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys_per_second: Option<u64>,
}

/// What an operation has saved or proved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// The backup.
    pub backup: String,
    /// Where it is.
    pub url: String,
    /// It holds every write with a stamp below this millisecond, and no other.
    pub at_ms: u64,
    /// Keys.
    pub keys: u64,
    /// Elements of collections.
    pub elements: u64,
    /// Bytes of keys, values and elements.
    pub bytes: u64,
    /// Bytes of its files.
    pub file_bytes: u64,
    /// The content digest, as hexadecimal text.
    pub digest: String,
    /// Partitions of the tables that were saved or restored into, in order.
    pub partitions: Vec<u32>,
    /// A copy was restored and is equal.
    pub proven: bool,
    /// The backup that it stands on; empty for a full one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub parent: String,
    /// The tables that were restored, unless into scratch tables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restored: Vec<RestoredTable>,
}

/// A wish for a schedule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetSchedule {
    /// When, in UTC: minute, hour, day of the month, month, day of the week.
    pub cron: String,
    /// Where to.
    pub url: String,
    /// Tables by title; none, and no namespace either, means all.
    #[serde(default)]
    pub tables: Vec<String>,
    /// Namespaces: all tables that are in them when a backup begins.
    #[serde(default)]
    pub namespaces: Vec<String>,
    /// Kinds of keys, by name; none means all.
    #[serde(default)]
    pub kinds: Vec<String>,
    /// Complete backups that stay, or 0 for all of them.
    #[serde(default)]
    pub keep: u32,
    /// Each is restored and compared.
    #[serde(default)]
    pub drill: bool,
    /// Every so many backups one is full, and those between stand on the one before; up to 1: all are full.
    #[serde(default)]
    pub full_every: u32,
    /// Bytes of contents per second in all; 0 is no limit.
    #[serde(default)]
    pub bytes_per_second: u64,
    /// Keys per second in all; 0 is no limit.
    #[serde(default)]
    pub keys_per_second: u64,
    /// Who asks; `admin` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// A schedule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Its name.
    pub name: String,
    /// When, in UTC.
    pub cron: String,
    /// Where to.
    pub url: String,
    /// Tables by title; none, and no namespace either, means all.
    pub tables: Vec<String>,
    /// Namespaces: all tables that are in them when a backup begins.
    #[serde(default)]
    pub namespaces: Vec<String>,
    /// Kinds of keys, by name; none means all.
    #[serde(default)]
    pub kinds: Vec<String>,
    /// Complete backups that stay, or 0 for all of them.
    pub keep: u32,
    /// Each is restored and compared.
    pub drill: bool,
    /// Every so many backups one is full, and those between stand on the one before; up to 1: all are full.
    pub full_every: u32,
    /// Bytes of contents per second in all; 0 is no limit.
    pub bytes_per_second: u64,
    /// Keys per second in all; 0 is no limit.
    #[serde(default)]
    pub keys_per_second: u64,
    /// Who set it.
    pub by: String,
    /// When it was set first, milliseconds since 1970.
    pub set_ms: u64,
    /// When it is due next, milliseconds since 1970; 0 for never.
    pub next_ms: u64,
    /// The last complete backup; empty if there is none.
    pub complete: String,
    /// When it was complete, or 0.
    pub complete_ms: u64,
    /// The last backup that was restored and is equal; empty if there is none.
    pub proven: String,
    /// When that was, or 0.
    pub proven_ms: u64,
}

impl From<&SavedRecord> for Saved {
    fn from(record: &SavedRecord) -> Self {
        Self {
            backup: record.backup.clone(),
            url: record.url.clone(),
            at_ms: record.at_ms,
            keys: record.keys,
            elements: record.elements,
            bytes: record.bytes,
            file_bytes: record.file_bytes,
            digest: record.digest.clone(),
            partitions: record.partitions.clone(),
            proven: record.proven,
            parent: record.parent.clone(),
            restored: record.restored.clone(),
        }
    }
}

impl ScheduleRecord {
    /// What came of it so far.
    pub fn so_far(&self) -> ScheduleProgress {
        self.progress.clone().unwrap_or_default()
    }
}

impl ScheduleProgress {
    /// This, with what is new.
    #[must_use]
    pub fn with(mut self, news: &ScheduleProgress) -> Self {
        let text = |old: &mut String, new: &String| {
            if !new.is_empty() {
                old.clone_from(new);
            }
        };
        text(&mut self.complete, &news.complete);
        text(&mut self.proven, &news.proven);
        text(&mut self.drilled, &news.drilled);
        if news.chain > 0 {
            self.chain = news.chain;
        }
        self.due_ms = self.due_ms.max(news.due_ms);
        self.complete_ms = self.complete_ms.max(news.complete_ms);
        self.proven_ms = self.proven_ms.max(news.proven_ms);
        self
    }
}
