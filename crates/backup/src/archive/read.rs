//! Reads runs: the changes of a stretch of time.

use api::kv::EntryChanges;
use types::Hlc;

use super::file::{self, ChangeFile};
use super::thinned::Thinned;
use super::{Run, RunHead, head};
use crate::error::BackupError;
use crate::target::{Target, read_whole};

/// Reads a file of a run.
pub(super) fn open_file(target: &dyn Target, run: &Run, number: u32) -> Result<ChangeFile, BackupError> {
    Ok(open_sized(target, run, number)?.0)
}

/// The same, and how many bytes the file has.
pub(super) fn open_sized(
    target: &dyn Target,
    run: &Run,
    number: u32,
) -> Result<(ChangeFile, u64), BackupError> {
    let name = run.file(number);
    let bytes = read_whole(target, &name)?;
    Ok((file::decode(&name, &bytes, run, number)?, bytes.len() as u64))
}

/// Whether there is a file.
pub(super) fn exists(target: &dyn Target, path: &str) -> Result<bool, BackupError> {
    match target.open(path) {
        Ok(_) => Ok(true),
        Err(BackupError::Missing(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The first file from `number` on and below `end` that can be read.
///
/// # Errors
/// What the target says; what is damaged or missing is passed over.
pub(super) fn next_readable(
    target: &dyn Target,
    run: &Run,
    number: u32,
    end: u32,
) -> Result<Option<ChangeFile>, BackupError> {
    for number in number..end {
        match open_file(target, run, number) {
            Ok(file) => return Ok(Some(file)),
            Err(BackupError::Damaged { .. } | BackupError::Missing(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
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
    /// Every write with a stamp below this millisecond was read.
    complete_ms: u64,
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
        let thinned = Thinned::read(target, run)?;
        if head.complete_ms <= to_ms || run.since > after || thinned.from() > (after + 1, 0) {
            let detail = format!("{} does not tell that time", run.directory());
            return Err(BackupError::NoBackup(detail));
        }
        let number = first_file(target, run, (thinned.first, head.files), after)?;
        let is_front = number == thinned.first;
        Ok(Self {
            target,
            run,
            head,
            after,
            to_ms,
            number,
            before: is_front.then(|| thinned.before_checksum()),
            ended: is_front.then(|| thinned.from()),
            complete_ms: 0,
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
        if self.complete_ms > self.to_ms && self.open.is_none() {
            // What comes later may be damaged, and is in nobody's way.
            self.done = true;
            return Ok(());
        }
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
        self.complete_ms = file.head.complete_ms;
        self.number += 1;
        self.file = file.changes.into_iter();
        Ok(())
    }
}

/// The first file that tells an entry after this one: files end at rising entries. One that is damaged may be it, and
/// is looked at by whoever asks; damage elsewhere is in nobody's way.
fn first_file(
    target: &dyn Target,
    run: &Run,
    (mut low, mut high): (u32, u32),
    after: u64,
) -> Result<u32, BackupError> {
    while low < high {
        let middle = low + (high - low) / 2;
        let Some(file) = next_readable(target, run, middle, high)? else {
            high = middle;
            continue;
        };
        let (number, head) = (file.head.number, &file.head);
        let (from, next) = ((head.from_index, head.from_piece), (head.next_index, head.next_piece));
        match next <= (after + 1, 0) {
            true => low = number + 1,
            false if from <= (after + 1, 0) => return Ok(number),
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
