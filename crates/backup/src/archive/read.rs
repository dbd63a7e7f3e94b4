//! Reads runs: up to when they tell everything, and the changes of a stretch of time.

use api::kv::EntryChanges;
use types::Hlc;

use super::file::{self, ChangeFile};
use super::{Run, RunHead, begun, head, list, runs};
use crate::error::BackupError;
use crate::manifest::Manifest;
use crate::target::{Target, read_whole};

/// Reads a file of a run.
pub(super) fn open_file(target: &dyn Target, run: &Run, number: u32) -> Result<ChangeFile, BackupError> {
    let name = run.file(number);
    file::decode(&name, &read_whole(target, &name)?, run, number)
}

/// What a backup and an archive together can restore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Covered {
    /// The archive.
    pub archive: String,
    /// The first millisecond: that of the backup.
    pub from_ms: u64,
    /// The last millisecond.
    pub to_ms: u64,
    /// The run of each partition, by the place of its table in the backup and its own.
    pub runs: Vec<Vec<Run>>,
}

/// Which times can be restored over a backup, of some of its tables, by the archive that reaches farthest; nothing
/// if none of its own cluster tells all partitions from the backup's moment on.
///
/// # Errors
/// What the target says. What is damaged covers nothing.
pub fn covered(
    target: &dyn Target,
    manifest: &Manifest,
    is_wanted: &dyn Fn(usize) -> bool,
) -> Result<Option<Covered>, BackupError> {
    let mut best: Option<Covered> = None;
    for id in list(target)? {
        match begun(target, &id) {
            Ok(begun) if begun.cluster == manifest.begun.cluster => {}
            Ok(_) | Err(BackupError::Damaged { .. } | BackupError::NoBackup(_)) => continue,
            Err(error) => return Err(error),
        }
        if let Some(covered) = by_archive(target, manifest, &id, is_wanted)?
            && best.as_ref().is_none_or(|best| best.to_ms < covered.to_ms)
        {
            best = Some(covered);
        }
    }
    Ok(best)
}

fn by_archive(
    target: &dyn Target,
    manifest: &Manifest,
    id: &str,
    is_wanted: &dyn Fn(usize) -> bool,
) -> Result<Option<Covered>, BackupError> {
    let known = runs(target, id)?;
    let (mut to_ms, mut found) = (u64::MAX, Vec::new());
    for (place, table) in manifest.begun.tables.iter().enumerate() {
        let mut of_table = Vec::new();
        for partition in table.partitions.iter().filter(|_| is_wanted(place)) {
            let is_of = |run: &&Run| run.group == partition.group && run.since <= partition.index;
            // The latest that began before the backup's moment: an earlier one has ended with a gap.
            let Some(run) = known.iter().filter(is_of).max_by_key(|run| run.since) else { return Ok(None) };
            let head = match head(target, run) {
                Ok(Some(head)) => head,
                Ok(None) | Err(BackupError::Damaged { .. }) => return Ok(None),
                Err(error) => return Err(error),
            };
            to_ms = to_ms.min(head.complete_ms.saturating_sub(1));
            of_table.push(run.clone());
        }
        found.push(of_table);
    }
    let from_ms = manifest.begun.at_ms;
    let covered = Covered { archive: id.to_owned(), from_ms, to_ms, runs: found };
    Ok((to_ms != u64::MAX && to_ms >= from_ms).then_some(covered))
}

/// The changes of a run after a log entry and up to a time, entry by entry.
pub struct Changes<'a> {
    target: &'a dyn Target,
    run: &'a Run,
    head: RunHead,
    after: u64,
    to_ms: u64,
    /// The number of the next file.
    number: u32,
    /// The checksum of the file before it, if it was read.
    before: Option<u128>,
    /// Where the file before it has ended.
    ended: Option<(u64, u32)>,
    file: std::vec::IntoIter<EntryChanges>,
    /// An entry of which some pieces are here.
    open: Option<EntryChanges>,
    done: bool,
}

impl<'a> Changes<'a> {
    /// Begins to read. Files that end before the entry are not looked at, but for those by which the first one that
    /// does not is found.
    ///
    /// # Errors
    /// `NoBackup` if the run does not tell everything up to the time; `Damaged`; what the target says.
    pub fn open(target: &'a dyn Target, run: &'a Run, after: u64, to_ms: u64) -> Result<Self, BackupError> {
        let none = || BackupError::NoBackup(format!("{} tells nothing", run.directory()));
        let head = head(target, run)?.ok_or_else(none)?;
        if head.complete_ms <= to_ms || run.since > after {
            let detail = format!("{} does not tell that time", run.directory());
            return Err(BackupError::NoBackup(detail));
        }
        let number = first_file(target, run, &head, after)?;
        Ok(Self {
            target,
            run,
            head,
            after,
            to_ms,
            number,
            before: None,
            ended: None,
            file: Vec::new().into_iter(),
            open: None,
            done: false,
        })
    }

    /// The changes of the next entry, all its pieces together.
    ///
    /// # Errors
    /// `Damaged`; what the target says.
    pub fn next_entry(&mut self) -> Result<Option<EntryChanges>, BackupError> {
        while !self.done {
            let Some(piece) = self.file.next() else {
                self.next_file()?;
                continue;
            };
            if piece.index <= self.after {
                continue;
            }
            if Hlc(piece.hlc).millis() > self.to_ms {
                self.done = true;
                break;
            }
            let entry = match self.open.take() {
                Some(open) => joined(open, piece),
                None => piece,
            };
            match entry.more {
                true => self.open = Some(entry),
                false => return Ok(Some(entry)),
            }
        }
        Ok(None)
    }

    fn next_file(&mut self) -> Result<(), BackupError> {
        if self.number >= self.head.files {
            self.done = true;
            return match &self.open {
                None => Ok(()),
                Some(open) => {
                    let what = format!("entry {} has no end", open.index);
                    Err(BackupError::damaged(&self.run.file(self.number.saturating_sub(1)), 0, what))
                }
            };
        }
        let name = self.run.file(self.number);
        let file = open_file(self.target, self.run, self.number)?;
        let follows = self.before.is_none_or(|before| file.head.before[..] == before.to_be_bytes())
            && self.ended.is_none_or(|ended| (file.head.from_index, file.head.from_piece) == ended);
        if !follows {
            return Err(BackupError::damaged(&name, 0, "it does not follow the file before it"));
        }
        if self.number + 1 == self.head.files && self.head.last_checksum() != file.checksum {
            return Err(BackupError::damaged(&name, 0, "it is not the last file that the head knows"));
        }
        self.before = Some(file.checksum);
        self.ended = Some((file.head.next_index, file.head.next_piece));
        self.number += 1;
        self.file = file.changes.into_iter();
        Ok(())
    }
}

/// The first file that tells an entry after this one: files end at rising entries.
fn first_file(target: &dyn Target, run: &Run, head: &RunHead, after: u64) -> Result<u32, BackupError> {
    let (mut low, mut high) = (0, head.files);
    while low < high {
        let middle = low + (high - low) / 2;
        let file = open_file(target, run, middle)?;
        match file.head.next_index <= after + 1 && file.head.next_piece == 0 {
            true => low = middle + 1,
            false => high = middle,
        }
    }
    Ok(low)
}

/// Two pieces of an entry as one.
fn joined(mut entry: EntryChanges, next: EntryChanges) -> EntryChanges {
    (entry.piece, entry.more) = (next.piece, next.more);
    entry.moved.extend(next.moved);
    entry.gone.extend(next.gone);
    entry.written.extend(next.written);
    entry
}
