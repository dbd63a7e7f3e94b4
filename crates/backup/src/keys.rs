//! Keys without what they hold: what an increment is told apart by.
//!
//! Beside its contents every partition of a backup has a block file of keys, in the order of contents. It says of each
//! key with which stamp it was saved; in an increment also which keys of the parent are gone:
//!
//! ```text
//!   full backup       a 7 │ b 5 │ c 9 │ d 4
//!   increment on it         b 12│ c ✝ │     │ e 11          b was changed, c removed, e is new; a and d are as before
//!   the next one      a ✝ │           │ d 15│
//!   together                b 12             d 15  e 11      for each key the newest word counts
//! ```
//!
//! So the keys of a chain are known by reading these small files side by side, one block of each at a time, and nothing
//! that any of the keys hold. The stamp of a key moves with every change of it; a key whose stamp is another one than
//! was saved, later or earlier, has changed.

use api::kv::{ContentSum, Piece};
use bytes::Bytes;
use prost::Message;
use std::io::Read;
use types::Hlc;
use types::hash::position;
use xxhash_rust::xxh3::Xxh3;

use crate::backups::{in_backup, keys_path};
use crate::block::{BlockReader, BlockWriter, FileHead, FileSum};
use crate::error::BackupError;
use crate::manifest::{FileRecord, Manifest, PartitionRecord, TableRecord};
use crate::target::{NewFile, Target};

/// Bytes of keys and stamps in a block.
const BLOCK_BYTES: usize = 512 * 1024;
/// Bytes that a key costs in a block besides its own, about.
const KEY_COST: usize = 8 + 3;
/// In the place of a stamp: the key is gone.
const GONE: u64 = 0;

/// A block of keys, in order.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Keys {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    keys: Vec<Bytes>,
    /// The stamp of each key's last change, or [`GONE`].
    #[prost(fixed64, repeated, tag = "2")]
    stamps: Vec<u64>,
}

impl Keys {
    /// Whether there is a stamp for every key.
    pub(crate) fn is_even(&self) -> bool {
        self.keys.len() == self.stamps.len()
    }

    /// Takes the keys into account in what a file comes to.
    pub(crate) fn add_to(&self, sum: &mut FileSum) {
        for (key, stamp) in self.keys.iter().zip(&self.stamps) {
            sum.gone += u64::from(*stamp == GONE);
            add(&mut sum.contents, key, *stamp);
        }
    }
}

fn add(sum: &mut ContentSum, key: &[u8], stamp: u64) {
    let mut hasher = Xxh3::new();
    hasher.update(&stamp.to_be_bytes());
    hasher.update(key);
    sum.digest = sum.digest.wrapping_add(hasher.digest128());
    sum.keys += u64::from(stamp != GONE);
    sum.bytes += key.len() as u64;
}

/// Where a key stands in the order of contents.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    position: u64,
    key: Bytes,
}

impl Place {
    pub(crate) fn of(key: &Bytes) -> Self {
        Self { position: position(key), key: key.clone() }
    }
}

/// What a backup says of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) place: Place,
    /// The stamp of its last change, or [`GONE`].
    stamp: u64,
}

impl Told {
    pub(crate) fn is_gone(&self) -> bool {
        self.stamp == GONE
    }

    /// Whether a piece is the first one of this key as it was saved.
    pub(crate) fn is_begun_by(&self, piece: &Piece) -> bool {
        piece.first == 0 && piece.key == self.place.key && stored(Hlc(piece.version)) == self.stamp
    }

    /// Whether a piece is another one of this key.
    pub(crate) fn goes_on_with(&self, piece: &Piece) -> bool {
        piece.first > 0 && piece.key == self.place.key
    }
}

/// A stamp as it is stored. No key was changed at the very beginning of time; one that says so counts as changed
/// whenever it is looked at.
fn stored(stamp: Hlc) -> u64 {
    stamp.0.max(GONE + 1)
}

fn head(id: &str, table: &TableRecord, partition: u32) -> FileHead {
    FileHead {
        backup: id.to_owned(),
        namespace: table.namespace.clone(),
        table: table.name.clone(),
        partition,
        number: 0,
        keys: true,
    }
}

/// Writes the keys of a partition.
struct KeysWriter {
    path: String,
    writer: BlockWriter<Box<dyn NewFile>>,
    block: Keys,
    bytes: usize,
}

impl KeysWriter {
    fn new(
        target: &dyn Target,
        id: &str,
        table: &TableRecord,
        partition: u32,
        level: i32,
    ) -> Result<Self, BackupError> {
        let path = keys_path(&table.directory(), partition);
        let file = target.create(&in_backup(id, &path))?;
        let writer = BlockWriter::new(file, &head(id, table, partition), level);
        let writer = writer.map_err(|error| BackupError::io(&path, &error))?;
        Ok(Self { path, writer, block: Keys::default(), bytes: 0 })
    }

    fn put(&mut self, key: &Bytes, stamp: u64) -> Result<(), BackupError> {
        self.bytes += key.len() + KEY_COST;
        // Not a slice: that would keep all that was read with it.
        self.block.keys.push(Bytes::copy_from_slice(key));
        self.block.stamps.push(stamp);
        if self.bytes >= BLOCK_BYTES { self.end_block() } else { Ok(()) }
    }

    fn end_block(&mut self) -> Result<(), BackupError> {
        self.bytes = 0;
        let block = std::mem::take(&mut self.block);
        self.writer.write_keys(&block).map_err(|error| BackupError::io(&self.path, &error))
    }

    fn finish(mut self) -> Result<FileRecord, BackupError> {
        if !self.block.keys.is_empty() {
            self.end_block()?;
        }
        let (file, sum) = self.writer.finish().map_err(|error| BackupError::io(&self.path, &error))?;
        file.finish()?;
        Ok(FileRecord::new(self.path, &sum))
    }
}

/// Reads the keys of a partition of one backup.
pub(crate) struct KeysReader {
    reader: BlockReader<Box<dyn Read + Send>>,
    name: String,
    record: FileRecord,
    block: std::iter::Zip<std::vec::IntoIter<Bytes>, std::vec::IntoIter<u64>>,
    next: Option<Told>,
}

impl KeysReader {
    /// # Errors
    /// `Missing`; `Damaged` if it is another file, or its first block is; what the target says.
    pub(crate) fn open(
        target: &dyn Target,
        manifest: &Manifest,
        table: &TableRecord,
        partition: &PartitionRecord,
    ) -> Result<Self, BackupError> {
        let id = &manifest.begun.id;
        let none = || BackupError::NoBackup(format!("partition {} has no keys", partition.partition));
        let record = partition.keys.clone().ok_or_else(none)?;
        let name = in_backup(id, &record.path);
        let reader = BlockReader::new(target.open(&name)?, &name, &head(id, table, partition.partition))?;
        let block = Vec::new().into_iter().zip(Vec::new());
        let mut keys = Self { reader, name, record, block, next: None };
        keys.advance()?;
        Ok(keys)
    }

    /// What it says of the next key; `None` once the whole file was read and is the one that was written.
    pub(crate) fn peek(&self) -> Option<&Told> {
        self.next.as_ref()
    }

    /// Goes on to the key after that, and hands out the one that was next.
    pub(crate) fn advance(&mut self) -> Result<Option<Told>, BackupError> {
        let next = loop {
            if let Some((key, stamp)) = self.block.next() {
                break Some(Told { place: Place::of(&key), stamp });
            }
            match self.reader.next_keys()? {
                Some(Keys { keys, stamps }) => self.block = keys.into_iter().zip(stamps),
                None if self.record.fits(&self.reader.sum()) => break None,
                None => {
                    let what = "the file is whole, but not the one that the manifest describes";
                    return Err(BackupError::damaged(&self.name, 0, what));
                }
            }
        };
        if let (Some(last), Some(next)) = (&self.next, &next)
            && last.place >= next.place
        {
            return Err(BackupError::damaged(
                &self.name,
                self.reader.offset(),
                "keys are not in their order",
            ));
        }
        Ok(std::mem::replace(&mut self.next, next))
    }

    /// Reads what is left.
    pub(crate) fn read_to_end(&mut self) -> Result<(), BackupError> {
        while self.advance()?.is_some() {}
        Ok(())
    }

    /// Bytes of the file that were read.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.reader.offset()
    }
}

/// The least place at which some of several readers stand, and the first of them that stands there.
pub(crate) fn least<'a>(readers: impl Iterator<Item = &'a KeysReader>) -> Option<(usize, Told)> {
    let mut least: Option<(usize, &Told)> = None;
    for (number, reader) in readers.enumerate() {
        if let Some(told) = reader.peek()
            && least.is_none_or(|(_, least)| told.place < least.place)
        {
            least = Some((number, told));
        }
    }
    least.map(|(number, told)| (number, told.clone()))
}

/// The keys that a chain of backups has in all, of one partition.
pub(crate) struct KnownKeys {
    /// The newest first.
    readers: Vec<KeysReader>,
}

impl KnownKeys {
    pub(crate) fn new(readers: Vec<KeysReader>) -> Self {
        Self { readers }
    }

    /// The next key that is there.
    fn next(&mut self) -> Result<Option<Told>, BackupError> {
        while let Some((_, told)) = least(self.readers.iter()) {
            for reader in &mut self.readers {
                if reader.peek().is_some_and(|other| other.place == told.place) {
                    reader.advance()?;
                }
            }
            if !told.is_gone() {
                return Ok(Some(told));
            }
        }
        Ok(None)
    }
}

/// Tells the keys that have changed since another backup from those that have not, and writes down which have.
pub(crate) struct Differences {
    known: Option<KnownKeys>,
    /// The next key of the other backup.
    next: Option<Told>,
    writer: KeysWriter,
    problem: Option<BackupError>,
}

impl Differences {
    /// Of a partition that is saved in a backup, from a chain of others; without those every key is a change.
    ///
    /// # Errors
    /// What the target says; `Damaged`.
    pub(crate) fn new(
        target: &dyn Target,
        id: &str,
        (table, partition): (&TableRecord, u32),
        mut known: Option<KnownKeys>,
        level: i32,
    ) -> Result<Self, BackupError> {
        let next = known.as_mut().map_or(Ok(None), KnownKeys::next)?;
        let writer = KeysWriter::new(target, id, table, partition, level)?;
        Ok(Self { known, next, writer, problem: None })
    }

    /// Whether a key is in the other backup as it is now. Keys come in order.
    pub(crate) fn is_known(&mut self, key: &Bytes, stamp: Hlc) -> bool {
        // After a problem nothing that is read is of use.
        self.problem.is_some()
            || self.look(key, stamp).unwrap_or_else(|error| {
                self.problem = Some(error);
                true
            })
    }

    fn look(&mut self, key: &Bytes, stamp: Hlc) -> Result<bool, BackupError> {
        let (place, stamp) = (Place::of(key), stored(stamp));
        while let Some(told) = self.next.take_if(|told| told.place < place) {
            self.writer.put(&told.place.key, GONE)?;
            self.advance()?;
        }
        if let Some(told) = self.next.take_if(|told| told.place == place) {
            self.advance()?;
            if told.stamp == stamp {
                return Ok(true);
            }
        }
        self.writer.put(key, stamp)?;
        Ok(false)
    }

    fn advance(&mut self) -> Result<(), BackupError> {
        self.next = self.known.as_mut().map_or(Ok(None), KnownKeys::next)?;
        Ok(())
    }

    /// # Errors
    /// What went wrong since this was asked last.
    pub(crate) fn check(&mut self) -> Result<(), BackupError> {
        self.problem.take().map_or(Ok(()), Err)
    }

    /// There are no more keys: those of the other backup that are left are gone.
    ///
    /// # Errors
    /// `Damaged`; what the target says.
    pub(crate) fn finish(mut self) -> Result<FileRecord, BackupError> {
        while let Some(told) = self.next.take() {
            self.writer.put(&told.place.key, GONE)?;
            self.advance()?;
        }
        self.writer.finish()
    }
}
