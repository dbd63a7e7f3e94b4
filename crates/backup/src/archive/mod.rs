//! Archives: what partitions have changed, continuously, beside the backups that it can be carried out over.
//!
//! ```text
//!   URL/archive/20261126T231502Z-5c1d9a/
//!        begun.json                                    whose it is; written first
//!        default.kv/0007-000000000000001f-00000000000000a4/
//!             │      │    │                └ the log index after which changes are told: one *run*
//!             │      │    └ the partition's group
//!             00000000.skc, 00000001.skc, …            its changes, each file once, never replaced
//!             head.json                                how many files there are, and up to when they tell all
//!             thinned/00000020.json                    files below 20 were not needed any more, and are gone
//! ```
//!
//! **A run has no holes.** Each file says which log entries it tells, from where the one before it has ended, and the
//! checksum of that one. So a file that is cut, changed, exchanged, repeated or missing in the middle is found, and
//! so is a missing last one, by the head. Whoever serves a partition next reads where the files end, and goes on
//! there: a file is only ever written if there is none of its number, so two writers cannot both go on.
//!
//! **A gap ends a run.** When a partition could not keep its changes any longer, the next run begins with a later
//! entry, and a restore to a time in it needs a backup that was taken in it.
//!
//! **Up to when.** The log entry that a writer makes before it reads has a stamp, and every later entry has a later
//! one: what was told up to that entry is everything that was written up to that time.

mod file;
mod known;
mod read;
mod remove;
mod thin;
mod thinned;
mod verify;
mod write;

use serde::{Deserialize, Serialize};

use crate::backups::{is_id, is_name};
use crate::error::BackupError;
use crate::manifest::{FORMAT, seal, unseal};
use crate::target::{Target, put, read_whole};

pub use file::{ChangeFile, ChangeHead};
pub use known::{Covered, Known, KnownRun, Reach};
pub use read::Changes;
pub use remove::{last_told_ms, remove};
pub use thin::{RunThin, ThinPlan, Thinning, carry_out, plan};
pub use thinned::Thinned;
pub use verify::{Verified, VerifiedRun, verify};
pub use write::Writer;

/// The directory of all archives.
pub(crate) const DIRECTORY: &str = "archive";
const BEGUN: &str = "begun.json";
const HEAD: &str = "head.json";

/// Whose an archive is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArchiveBegun {
    /// The version of the descriptions.
    pub format: u32,
    /// The archive's name.
    pub id: String,
    /// The cluster's id, as hexadecimal text.
    pub cluster: String,
    /// When it was begun, milliseconds since 1970.
    pub begun_ms: u64,
    /// Tables that were asked for, as `namespace:name`, or `namespace:*` for all of a namespace; none means all. Those that
    /// are made later are included.
    pub tables: Vec<String>,
}

/// A run of a partition: which changes it tells.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Run {
    /// The archive.
    pub archive: String,
    /// The table's namespace.
    pub namespace: String,
    /// The table's name.
    pub table: String,
    /// The partition.
    pub partition: u32,
    /// Its group.
    pub group: u64,
    /// It tells entries after this one.
    pub since: u64,
}

/// How far a run is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunHead {
    /// The version of the descriptions.
    pub format: u32,
    /// When it began, milliseconds since 1970, as the partition's clock has it.
    pub since_ms: u64,
    /// How many files there are.
    pub files: u32,
    /// The log entry with which the last one has ended, and the next one begins.
    pub end_index: u64,
    /// The piece of it.
    pub end_piece: u32,
    /// The first log entry of which it is not known what it has changed: between the end of the files and it nothing was.
    pub next_index: u64,
    /// The piece of it.
    pub next_piece: u32,
    /// Every write with a stamp below this millisecond is told.
    pub complete_ms: u64,
    /// The checksum of the last file, as hexadecimal text; that of nothing is 0.
    pub last: String,
}

impl Run {
    /// Its directory.
    pub fn directory(&self) -> String {
        format!(
            "{DIRECTORY}/{}/{}.{}/{:04}-{:016x}-{:016x}",
            self.archive, self.namespace, self.table, self.partition, self.group, self.since
        )
    }

    fn file(&self, number: u32) -> String {
        format!("{}/{number:08}.skc", self.directory())
    }

    /// The run whose directory this is, under that of an archive's table.
    fn named(archive: &str, table: &str, name: &str) -> Option<Self> {
        let (namespace, table) = table.split_once('.')?;
        let mut parts = name.split('-');
        let run = Self {
            archive: archive.to_owned(),
            namespace: namespace.to_owned(),
            table: table.to_owned(),
            partition: parts.next()?.parse().ok()?,
            group: u64::from_str_radix(parts.next()?, 16).ok()?,
            since: u64::from_str_radix(parts.next()?, 16).ok()?,
        };
        (parts.next().is_none() && is_name(namespace) && is_name(table)).then_some(run)
    }
}

impl RunHead {
    /// A run without files.
    fn new(run: &Run, since_ms: u64) -> Self {
        Self {
            format: FORMAT,
            since_ms,
            files: 0,
            end_index: run.since + 1,
            end_piece: 0,
            next_index: run.since + 1,
            next_piece: 0,
            complete_ms: since_ms,
            last: text(0),
        }
    }

    /// The checksum of the last file.
    fn last_checksum(&self) -> u128 {
        u128::from_str_radix(&self.last, 16).unwrap_or(0)
    }
}

/// Begins an archive.
///
/// # Errors
/// `Exists` if there is one of the name; what the target says.
pub fn begin(target: &dyn Target, begun: &ArchiveBegun) -> Result<(), BackupError> {
    target.put_new(&format!("{DIRECTORY}/{}/{BEGUN}", begun.id), &seal(begun))
}

/// Whose an archive is.
///
/// # Errors
/// `NoBackup` if there is none of the name; `Damaged`; what the target says.
pub fn begun(target: &dyn Target, id: &str) -> Result<ArchiveBegun, BackupError> {
    let none = || BackupError::NoBackup(format!("there is no archive '{id}' in {}", target.url()));
    if !is_id(id) {
        return Err(none());
    }
    let path = format!("{DIRECTORY}/{id}/{BEGUN}");
    let begun: ArchiveBegun = match read_whole(target, &path) {
        Err(BackupError::Missing(_)) => return Err(none()),
        bytes => unseal(&path, &bytes?)?,
    };
    match begun.id == id && begun.format == FORMAT {
        true => Ok(begun),
        false => {
            Err(BackupError::damaged(&path, 0, "it describes another archive, or is of a newer release"))
        }
    }
}

/// All archives of a target by name, oldest first.
///
/// # Errors
/// What the target says.
pub fn list(target: &dyn Target) -> Result<Vec<String>, BackupError> {
    let names = target.list(DIRECTORY)?;
    Ok(names
        .iter()
        .filter_map(|name| name.strip_suffix('/'))
        .filter(|id| is_id(id))
        .map(str::to_owned)
        .collect())
}

/// All runs of an archive, in order of table, partition and beginning.
///
/// # Errors
/// What the target says.
pub fn runs(target: &dyn Target, id: &str) -> Result<Vec<Run>, BackupError> {
    let mut runs = Vec::new();
    for table in target.list(&format!("{DIRECTORY}/{id}"))? {
        let Some(table) = table.strip_suffix('/') else { continue };
        let names = target.list(&format!("{DIRECTORY}/{id}/{table}"))?;
        let names = names.iter().filter_map(|name| name.strip_suffix('/'));
        runs.extend(names.filter_map(|name| Run::named(id, table, name)));
    }
    runs.sort_unstable();
    Ok(runs)
}

/// How far a run is, as its head says; nothing if it has none yet.
///
/// # Errors
/// `Damaged`; what the target says.
pub fn head(target: &dyn Target, run: &Run) -> Result<Option<RunHead>, BackupError> {
    let path = format!("{}/{HEAD}", run.directory());
    let head: RunHead = match read_whole(target, &path) {
        Err(BackupError::Missing(_)) => return Ok(None),
        bytes => unseal(&path, &bytes?)?,
    };
    match head.format == FORMAT {
        true => Ok(Some(head)),
        false => Err(BackupError::damaged(&path, 0, "it is of a newer release")),
    }
}

fn put_head(target: &dyn Target, run: &Run, head: &RunHead) -> Result<(), BackupError> {
    put(target, &format!("{}/{HEAD}", run.directory()), &seal(head))
}

fn text(checksum: u128) -> String {
    format!("{checksum:032x}")
}
