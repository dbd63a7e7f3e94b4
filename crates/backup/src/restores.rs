//! Restores that are under way: which files are done, kept beside the backup so that one that breaks off goes on.

use serde::{Deserialize, Serialize};

use crate::backups::in_backup;
use crate::error::BackupError;
use crate::manifest::{seal, unseal};
use crate::target::{Target, put, read_whole};

/// How far a restore of one table is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestoreRecord {
    /// The backup.
    pub id: String,
    /// The cluster that it is restored into, as hexadecimal text.
    pub cluster: String,
    /// The table that was saved, `namespace.name`.
    pub from: String,
    /// The table that it is restored into, `namespace.name`.
    pub to: String,
    /// The operation that was at it last.
    pub operation: u64,
    /// That table's id: one that was dropped and made anew is another.
    pub tid: u64,
    /// Every write of this restore has this stamp or a later one.
    pub since: u64,
    /// What happens to keys that exist.
    pub on_conflict: String,
    /// The table was made for the restore, and serves nobody before it is over.
    pub made: bool,
    /// Kinds of keys, by name; none means all.
    pub kinds: Vec<String>,
    /// The time that is restored; 0 for the backup's own.
    pub at_ms: u64,
    /// Files that are done, by path; partitions, if it is a time.
    pub done: Vec<String>,
    /// What they came to.
    pub totals: RestoreTotals,
}

/// What a restore has come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestoreTotals {
    /// Keys that were written.
    pub keys: u64,
    /// Keys that existed, and stayed.
    pub existed: u64,
    /// Keys whose time was over.
    pub expired: u64,
    /// Bytes of contents.
    pub bytes: u64,
}

impl RestoreRecord {
    fn path(&self) -> String {
        path(&self.id, &self.cluster, &self.to)
    }

    /// Stores it.
    ///
    /// # Errors
    /// What the target says.
    pub fn store(&self, target: &dyn Target) -> Result<(), BackupError> {
        put(target, &self.path(), &seal(self))
    }

    /// The restore is over.
    ///
    /// # Errors
    /// What the target says.
    pub fn remove(&self, target: &dyn Target) -> Result<(), BackupError> {
        target.remove(&self.path())
    }
}

/// The restore of a backup into a table that is under way, if one is. A damaged record is none: what it would have
/// spared is done again.
///
/// # Errors
/// What the target says.
pub fn under_way(
    target: &dyn Target,
    id: &str,
    cluster: &str,
    to: &str,
) -> Result<Option<RestoreRecord>, BackupError> {
    let path = path(id, cluster, to);
    match read_whole(target, &path) {
        Err(BackupError::Missing(_)) => Ok(None),
        bytes => Ok(unseal(&path, &bytes?).ok()),
    }
}

fn path(id: &str, cluster: &str, to: &str) -> String {
    in_backup(id, &format!("restores/{cluster}-{to}.json"))
}
