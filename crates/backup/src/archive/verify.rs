//! Reads a whole archive: every file of every run, one at a time, and whether each goes on where the one before it
//! has ended.
//!
//! Damage ends a reach and the next good file begins another: a backup that lies after the damage can be gone on from
//! as if nothing had happened. Together with the backups that gives the times that can really be restored, where the
//! heads alone only promise them (see [`Known`]).

use std::sync::atomic::Ordering;

use serde::Serialize;

use super::file::{ChangeFile, HEAD_OFFSET};
use super::read::open_sized;
use super::thinned::Thinned;
use super::{Known, KnownRun, Reach, Run, RunHead, begun, head, runs};
use crate::error::BackupError;
use crate::target::Target;
use crate::write::{Pacer, Progress};

/// What was found of an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// The archive.
    pub archive: String,
    /// Files that were read.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Log entries that they tell of.
    pub entries: u64,
    /// Its runs.
    pub runs: Vec<VerifiedRun>,
    /// What is not as it was written: which file, where, why. None if all of it is good.
    pub damaged: Vec<String>,
    /// What it tells, for [`Known::covered`].
    #[serde(skip)]
    pub known: Known,
}

/// What was found of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VerifiedRun {
    /// Its table's namespace.
    pub namespace: String,
    /// The table.
    pub table: String,
    /// The partition.
    pub partition: u32,
    /// It tells entries after this one.
    pub since: u64,
    /// Files.
    pub files: u32,
    /// It tells everything before this millisecond, from its first file on, or from where damage ends.
    pub complete_ms: u64,
    /// Places where something is missing or damaged.
    pub damaged: u32,
}

/// A run that is being read.
struct Walk<'a> {
    target: &'a dyn Target,
    run: &'a Run,
    reaches: Vec<Reach>,
    /// What the next file must follow; nothing after damage.
    follows: Option<(u128, (u64, u32))>,
    files: u32,
    bytes: u64,
    entries: u64,
    damaged: Vec<String>,
}

/// Reads every file of an archive. Damage of one does not keep it from reading the others. An archive that is being
/// written and thinned meanwhile is read as far as its heads reach when each run begins.
///
/// # Errors
/// `NoBackup` if there is none of the name; what the target says; `Cancelled`.
pub fn verify(target: &dyn Target, id: &str, progress: &Progress) -> Result<Verified, BackupError> {
    let cluster = begun(target, id)?.cluster;
    let mut found = Verified {
        archive: id.to_owned(),
        files: 0,
        bytes: 0,
        entries: 0,
        runs: Vec::new(),
        damaged: Vec::new(),
        known: Known::default(),
    };
    let mut pacer = Pacer::new(progress);
    for run in runs(target, id)? {
        let mut walk = Walk::new(target, &run);
        walk.all(&mut pacer, progress)?;
        found.files += u64::from(walk.files);
        found.bytes += walk.bytes;
        found.entries += walk.entries;
        found.runs.push(VerifiedRun {
            namespace: run.namespace.clone(),
            table: run.table.clone(),
            partition: run.partition,
            since: run.since,
            files: walk.files,
            complete_ms: walk.reaches.last().map_or(0, |reach| reach.complete_ms),
            damaged: walk.damaged.len() as u32,
        });
        let reaches = std::mem::take(&mut walk.reaches);
        found.damaged.append(&mut walk.damaged);
        found.known.runs.push(KnownRun { run, cluster: cluster.clone(), reaches });
    }
    Ok(found)
}

impl<'a> Walk<'a> {
    fn new(target: &'a dyn Target, run: &'a Run) -> Self {
        Self {
            target,
            run,
            reaches: Vec::new(),
            follows: None,
            files: 0,
            bytes: 0,
            entries: 0,
            damaged: Vec::new(),
        }
    }

    fn all(&mut self, pacer: &mut Pacer<'_>, progress: &Progress) -> Result<(), BackupError> {
        let Some(head) = self.believed(head(self.target, self.run))?.flatten() else { return Ok(()) };
        let Some(thinned) = self.believed(Thinned::read(self.target, self.run))? else { return Ok(()) };
        self.begin(&thinned, head.since_ms);
        let mut number = thinned.first;
        while number < head.files {
            progress.check()?;
            match open_sized(self.target, self.run, number) {
                Ok((file, bytes)) => {
                    progress.file_bytes.fetch_add(bytes, Ordering::Relaxed);
                    progress.keys.fetch_add(1, Ordering::Relaxed);
                    pacer.spend(0, bytes)?;
                    self.bytes += bytes;
                    self.take(&head, &file);
                }
                Err(error @ BackupError::Missing(_)) => {
                    // It may have gone since, by right.
                    let now = Thinned::read(self.target, self.run)?;
                    if now.first > number {
                        number = now.first;
                        self.begin(&now, 0);
                        continue;
                    }
                    self.break_off(error.to_string());
                }
                Err(error @ BackupError::Damaged { .. }) => self.break_off(error.to_string()),
                Err(error) => return Err(error),
            }
            number += 1;
        }
        // What the last file does not say the head does: that nothing was changed since.
        if let Some(reach) = self.reaches.last_mut().filter(|_| self.follows.is_some()) {
            reach.complete_ms = reach.complete_ms.max(head.complete_ms);
        }
        Ok(())
    }

    /// What was read; damage is noted, and nothing.
    fn believed<T>(&mut self, read: Result<T, BackupError>) -> Result<Option<T>, BackupError> {
        match read {
            Ok(value) => Ok(Some(value)),
            Err(error @ (BackupError::Damaged { .. } | BackupError::Missing(_))) => {
                self.break_off(error.to_string());
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The run begins here.
    fn begin(&mut self, thinned: &Thinned, complete_ms: u64) {
        self.follows = Some((thinned.before_checksum(), thinned.from()));
        self.reaches = vec![Reach { from: thinned.from(), complete_ms }];
    }

    /// A file that is whole: whether it is the next one.
    fn take(&mut self, head: &RunHead, file: &ChangeFile) {
        let from = (file.head.from_index, file.head.from_piece);
        let name = self.run.file(file.head.number);
        let follows = self
            .follows
            .is_none_or(|(before, end)| file.head.before[..] == before.to_be_bytes() && from == end);
        if !follows {
            let what = "it does not follow the file before it";
            self.break_off(BackupError::damaged(&name, HEAD_OFFSET, what).to_string());
        }
        if file.head.number + 1 == head.files && head.last_checksum() != file.checksum {
            let what = "it is not the last file that the head knows";
            return self.break_off(BackupError::damaged(&name, 0, what).to_string());
        }
        if self.follows.is_none() {
            self.reaches.push(Reach { from, complete_ms: 0 });
        }
        if let Some(reach) = self.reaches.last_mut() {
            reach.complete_ms = reach.complete_ms.max(file.head.complete_ms);
        }
        self.follows = Some((file.checksum, (file.head.next_index, file.head.next_piece)));
        self.files += 1;
        self.entries += file.changes.iter().filter(|change| !change.more).count() as u64;
    }

    /// Here something is missing; what comes after it stands for itself.
    fn break_off(&mut self, what: String) {
        self.damaged.push(what);
        self.follows = None;
    }
}
