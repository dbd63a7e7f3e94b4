//! Writes a run: goes on where its files end, whoever wrote them.

use api::kv::EntryChanges;
use bytes::Bytes;
use prost::Message;

use super::file::{self, ChangeHead};
use super::read::open_file;
use super::{Run, RunHead, head, put_head, text};
use crate::error::BackupError;
use crate::target::Target;

/// A file is ended after so many bytes of changes.
const FILE_BYTES: usize = 16 * 1024 * 1024;

/// A run that is being written.
pub struct Writer {
    run: Run,
    head: RunHead,
    /// What the head in the target says, if it is known.
    stored: Option<RunHead>,
    /// What was told and is in no file yet.
    pending: Vec<EntryChanges>,
    pending_bytes: usize,
}

impl Writer {
    /// Goes on with a run, or begins it.
    ///
    /// # Errors
    /// `Damaged` if what is there does not fit; what the target says.
    pub fn open(target: &dyn Target, run: Run, since_ms: u64) -> Result<Self, BackupError> {
        let stored = head(target, &run)?;
        let head = stored.clone().unwrap_or_else(|| RunHead::new(&run, since_ms));
        let mut writer = Self { head, stored, run, pending: Vec::new(), pending_bytes: 0 };
        writer.catch_up(target)?;
        Ok(writer)
    }

    /// The run.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// How far it is.
    pub fn head(&self) -> &RunHead {
        &self.head
    }

    /// Entries up to this one are in the target.
    pub fn safe(&self) -> u64 {
        self.head.next_index - 1
    }

    /// Tells changes of an entry, or a piece of them; what was told before is what is before it.
    ///
    /// # Errors
    /// `Exists` if another writer was faster: what it wrote is known now, and what was told and is in no file is
    /// forgotten. What the target says.
    pub fn add(&mut self, target: &dyn Target, change: EntryChanges) -> Result<(), BackupError> {
        self.pending_bytes += change.encoded_len();
        let next = match change.more {
            true => (change.index, change.piece + 1),
            false => (change.index + 1, 0),
        };
        self.pending.push(change);
        if self.pending_bytes >= FILE_BYTES { self.put(target, next, self.head.complete_ms) } else { Ok(()) }
    }

    /// Everything was told up to the entry `to`, before which every write with a stamp below `complete_ms` was.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub fn complete(&mut self, target: &dyn Target, to: u64, complete_ms: u64) -> Result<(), BackupError> {
        if !self.pending.is_empty() {
            self.put(target, (to + 1, 0), complete_ms)?;
        }
        // Without changes no file says it; the head does.
        (self.head.next_index, self.head.next_piece) = (to + 1, 0).max(self.next());
        self.head.complete_ms = self.head.complete_ms.max(complete_ms);
        if self.stored.as_ref() != Some(&self.head) {
            put_head(target, &self.run, &self.head)?;
            self.stored = Some(self.head.clone());
        }
        Ok(())
    }

    /// The entry, and the piece of it, that is to be told next.
    pub fn next(&self) -> (u64, u32) {
        (self.head.next_index, self.head.next_piece)
    }

    /// Writes what was told and is in no file yet.
    fn put(&mut self, target: &dyn Target, next: (u64, u32), complete_ms: u64) -> Result<(), BackupError> {
        self.pending_bytes = 0;
        let changes = std::mem::take(&mut self.pending);
        let name = self.run.file(self.head.files);
        let description = ChangeHead {
            archive: self.run.archive.clone(),
            namespace: self.run.namespace.clone(),
            table: self.run.table.clone(),
            partition: self.run.partition,
            group: self.run.group,
            since: self.run.since,
            number: self.head.files,
            from_index: self.head.end_index,
            from_piece: self.head.end_piece,
            next_index: next.0,
            next_piece: next.1,
            complete_ms,
            before: Bytes::copy_from_slice(&self.head.last_checksum().to_be_bytes()),
            since_ms: self.head.since_ms,
        };
        let (bytes, checksum) = file::encode(&name, &description, changes)?;
        match target.put_new(&name, &bytes) {
            Ok(()) => {
                self.note(&description, checksum);
                Ok(())
            }
            Err(error @ BackupError::Exists(_)) => {
                self.catch_up(target)?;
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    /// Reads the files that the head does not know of.
    fn catch_up(&mut self, target: &dyn Target) -> Result<(), BackupError> {
        loop {
            match open_file(target, &self.run, self.head.files) {
                Err(BackupError::Missing(_)) => return Ok(()),
                Err(error) => return Err(error),
                Ok(file) => {
                    let end = (self.head.end_index, self.head.end_piece);
                    let follows = file.head.before[..] == self.head.last_checksum().to_be_bytes()
                        && (file.head.from_index, file.head.from_piece) == end;
                    if !follows {
                        let name = self.run.file(self.head.files);
                        return Err(BackupError::damaged(&name, 0, "it does not follow the file before it"));
                    }
                    self.note(&file.head, file.checksum);
                }
            }
        }
    }

    fn note(&mut self, file: &ChangeHead, checksum: u128) {
        let end = (file.next_index, file.next_piece);
        (self.head.end_index, self.head.end_piece) = end;
        (self.head.next_index, self.head.next_piece) = end.max(self.next());
        self.head.files += 1;
        self.head.complete_ms = self.head.complete_ms.max(file.complete_ms);
        self.head.since_ms = file.since_ms;
        self.head.last = text(checksum);
    }
}
