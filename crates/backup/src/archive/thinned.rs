//! Where a run begins of which files were removed at the front.
//!
//! `RUN/thinned/00000020.json` says that files below 20 do not belong to the run any more, and what file 20 follows.
//! Such a mark is written before any of them is removed, and never replaced: the one with the highest number counts.
//! So two that thin at the same time, or one that died on the way, leave nothing that a reader could stumble over.

use serde::{Deserialize, Serialize};

use super::file::ChangeFile;
use super::{Run, RunHead, text};
use crate::error::BackupError;
use crate::manifest::{FORMAT, seal, unseal};
use crate::target::{Target, read_whole};

/// The directory of a run's marks.
const DIRECTORY: &str = "thinned";
/// How often it is looked again when the mark that was found has gone: another one took its place.
const LOOKS_MAX: u32 = 8;

/// Where a run begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thinned {
    /// The version of the descriptions.
    pub format: u32,
    /// The number of the first file that belongs to the run.
    pub first: u32,
    /// The log entry with which it begins.
    pub from_index: u64,
    /// The piece of it.
    pub from_piece: u32,
    /// The checksum of the file before it, as hexadecimal text; that of nothing is 0.
    pub before: String,
}

impl Thinned {
    /// Where a run begins, as its marks say; at file 0 if it has none.
    ///
    /// # Errors
    /// `Damaged`; what the target says.
    pub fn read(target: &dyn Target, run: &Run) -> Result<Self, BackupError> {
        let mut looks = 0;
        loop {
            looks += 1;
            let Some(name) = marks(target, run)?.pop() else { return Ok(Self::whole(run)) };
            let path = format!("{}/{name}", directory(run));
            let mark: Self = match read_whole(target, &path) {
                Err(BackupError::Missing(_)) if looks < LOOKS_MAX => continue,
                bytes => unseal(&path, &bytes?)?,
            };
            return match mark.format == FORMAT && name == file_name(mark.first) {
                true => Ok(mark),
                false => Err(BackupError::damaged(&path, 0, "it is of another file, or of a newer release")),
            };
        }
    }

    /// A run from which nothing was removed.
    pub(super) fn whole(run: &Run) -> Self {
        Self { format: FORMAT, first: 0, from_index: run.since + 1, from_piece: 0, before: text(0) }
    }

    /// A run that goes on after this file.
    pub(super) fn after(file: &ChangeFile) -> Self {
        Self {
            format: FORMAT,
            first: file.head.number + 1,
            from_index: file.head.next_index,
            from_piece: file.head.next_piece,
            before: text(file.checksum),
        }
    }

    /// A run of which no file is left.
    pub(super) fn nothing(head: &RunHead) -> Self {
        Self {
            format: FORMAT,
            first: head.files,
            from_index: head.end_index,
            from_piece: head.end_piece,
            before: head.last.clone(),
        }
    }

    /// The first log entry that is told, and the first piece of it.
    pub fn from(&self) -> (u64, u32) {
        (self.from_index, self.from_piece)
    }

    /// The checksum of the file before the first.
    pub(super) fn before_checksum(&self) -> u128 {
        u128::from_str_radix(&self.before, 16).unwrap_or(0)
    }

    /// Stores the mark, unless there is one like it.
    ///
    /// # Errors
    /// What the target says.
    pub(super) fn put(&self, target: &dyn Target, run: &Run) -> Result<(), BackupError> {
        match target.put_new(&self.path(run), &seal(self)) {
            Err(BackupError::Exists(_)) => Ok(()),
            other => other,
        }
    }

    /// Its place in the target.
    pub(super) fn path(&self, run: &Run) -> String {
        format!("{}/{}", directory(run), file_name(self.first))
    }

    /// Removes marks that this one makes superfluous.
    ///
    /// # Errors
    /// What the target says.
    pub(super) fn remove_older(&self, target: &dyn Target, run: &Run) -> Result<(), BackupError> {
        let own = file_name(self.first);
        for name in marks(target, run)?.iter().filter(|name| **name < own) {
            target.remove(&format!("{}/{name}", directory(run)))?;
        }
        Ok(())
    }
}

/// Whether a run has any mark.
pub(super) fn has_mark(target: &dyn Target, run: &Run) -> Result<bool, BackupError> {
    Ok(!marks(target, run)?.is_empty())
}

/// The names of a run's marks, the one with the highest number last.
fn marks(target: &dyn Target, run: &Run) -> Result<Vec<String>, BackupError> {
    let names = target.list(&directory(run))?;
    Ok(names.into_iter().filter(|name| name.ends_with(".json")).collect())
}

fn directory(run: &Run) -> String {
    format!("{}/{DIRECTORY}", run.directory())
}

/// As wide as names of files, so that they sort by number.
fn file_name(first: u32) -> String {
    format!("{first:08}.json")
}
