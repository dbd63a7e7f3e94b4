//! Saves a partition: contents into block files, their keys into another, and at the end the file that says that they
//! are complete.
//!
//! In an increment only what has changed since its parent is written. All of the state is read all the same, because
//! what it holds in all is what a restore is compared with later: a digest that was worked out from the parent's would
//! prove nothing.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use api::kv::{ContentSum, Contents};
use engine::{ContentPage, ContentSource, EngineError};
use prost::Message;

use crate::backups::{file_path, in_backup, partition_path};
use crate::block::{BlockWriter, FileHead};
use crate::chain::Chain;
use crate::error::BackupError;
use crate::keys::{Differences, KeysReader, KnownKeys};
use crate::manifest::{Begun, FileRecord, Manifest, PartitionRecord, SumRecord, TableRecord, seal, unseal};
use crate::pace::Pace;
use crate::target::{NewFile, Target, put, read_whole};

/// Contents per block: enough for the compression, little enough to hold several in memory.
pub(crate) const PAGE_BYTES: usize = 512 * 1024;
/// The same in a backup that has a limit.
const LIMITED_PAGE_BYTES: usize = 64 * 1024;
/// The smallest page that is handed out at a low rate.
const PAGE_BYTES_MIN: usize = 256;
/// A file is ended at the next key after so many bytes: several files restore in parallel.
const FILE_BYTES: u64 = 256 * 1024 * 1024;
/// zstd's level: the disk is faster than a higher one.
const LEVEL: i32 = 1;
/// Longest sleep at once, so that a cancellation is noticed.
const NAP: Duration = Duration::from_millis(50);

/// How far some work is, told by whoever does it, and how fast it may go, told by whoever wants it.
#[derive(Debug, Default)]
pub struct Progress {
    /// Keys done.
    pub keys: AtomicU64,
    /// Bytes of contents done.
    pub bytes: AtomicU64,
    /// Bytes of files written or read.
    pub file_bytes: AtomicU64,
    /// Set by whoever wants it to end.
    pub cancelled: AtomicBool,
    bytes_per_second: AtomicU64,
    keys_per_second: AtomicU64,
}

impl Progress {
    /// Of work that goes no faster than this.
    pub fn within(limits: Limits) -> Self {
        let progress = Self::default();
        progress.limit(limits);
        progress
    }

    /// From now on it goes no faster than this.
    pub fn limit(&self, limits: Limits) {
        self.bytes_per_second.store(limits.bytes_per_second, Ordering::Relaxed);
        self.keys_per_second.store(limits.keys_per_second, Ordering::Relaxed);
    }

    /// How fast it may go at the moment.
    pub fn limits(&self) -> Limits {
        Limits {
            bytes_per_second: self.bytes_per_second.load(Ordering::Relaxed),
            keys_per_second: self.keys_per_second.load(Ordering::Relaxed),
        }
    }

    /// Notes contents that are done.
    pub fn add(&self, sum: &ContentSum) {
        self.keys.fetch_add(sum.keys, Ordering::Relaxed);
        self.bytes.fetch_add(sum.bytes, Ordering::Relaxed);
    }

    /// # Errors
    /// `Cancelled` once somebody wants that.
    pub fn check(&self) -> Result<(), BackupError> {
        match self.cancelled.load(Ordering::Relaxed) {
            true => Err(BackupError::Cancelled),
            false => Ok(()),
        }
    }

    /// Sleeps, unless it is cancelled meanwhile.
    ///
    /// # Errors
    /// `Cancelled`.
    pub fn sleep(&self, how_long: Duration) -> Result<(), BackupError> {
        let until = Instant::now() + how_long;
        loop {
            self.check()?;
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(NAP));
        }
    }
}

/// How fast it may go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of contents per second; 0 is no limit.
    pub bytes_per_second: u64,
    /// Keys per second; 0 is no limit.
    pub keys_per_second: u64,
}

/// Keeps work within its limits.
pub struct Pacer<'a> {
    begun: Instant,
    bytes: Pace,
    keys: Pace,
    progress: &'a Progress,
}

impl<'a> Pacer<'a> {
    /// Begins now.
    pub fn new(progress: &'a Progress) -> Self {
        Self { begun: Instant::now(), bytes: Pace::default(), keys: Pace::default(), progress }
    }

    /// Contents were done; sleeps as long as it must.
    ///
    /// # Errors
    /// `Cancelled`.
    pub fn spend(&mut self, keys: u64, bytes: u64) -> Result<(), BackupError> {
        let (now, limits) = (self.begun.elapsed(), self.progress.limits());
        let wait = self.bytes.spend(bytes, limits.bytes_per_second, now);
        let wait = wait.max(self.keys.spend(keys, limits.keys_per_second, now));
        self.progress.sleep(wait)
    }
}

/// Bytes of a page that is handed out or summed up: small enough that a low rate is kept evenly, and that clients beside
/// it wait for a short stretch of work only.
pub fn page_bytes(limits: Limits) -> usize {
    let by_bytes = match limits.bytes_per_second {
        0 => PAGE_BYTES,
        rate => (rate / 100) as usize,
    };
    // Small keys have some hundred bytes.
    let by_keys = match limits.keys_per_second {
        0 => PAGE_BYTES,
        rate => (rate * 10) as usize,
    };
    by_bytes.min(by_keys).clamp(PAGE_BYTES_MIN, PAGE_BYTES)
}

/// Bytes of a page that is saved. It does not follow from the rate: that is shared out anew while a backup is taken, and
/// two nodes may save the same partition for a while. Their files have one name, and must be the same to the byte.
fn saved_page_bytes(limits: Limits) -> usize {
    if limits == Limits::default() { PAGE_BYTES } else { LIMITED_PAGE_BYTES }
}

/// Saves a partition of a backup that was begun. One that is complete already is left as it is.
///
/// # Errors
/// What the state or the target says; `Cancelled`. Nothing says then that the partition is complete.
pub fn partition(
    target: &dyn Target,
    begun: &Begun,
    table: &TableRecord,
    partition: &PartitionRecord,
    source: &mut dyn ContentSource,
    progress: &Progress,
) -> Result<PartitionRecord, BackupError> {
    if let Some(done) = complete(target, begun, table, partition)? {
        return Ok(done);
    }
    let parent = Chain::under(target, begun)?;
    let known =
        parent.as_ref().map(|chain| known_keys(target, chain, table, partition.partition)).transpose()?;
    let mut differences = Differences::new(target, &begun.id, (table, partition.partition), known, LEVEL)?;
    let mut files =
        Files { target, begun, table, partition: partition.partition, open: None, done: Vec::new() };
    let mut gathered = Gathered::default();
    let mut pacer = Pacer::new(progress);
    let mut sum = ContentSum::default();
    while let Some(page) = source
        .next_page_without(saved_page_bytes(progress.limits()), &mut |key, stamp| {
            differences.is_known(key, stamp)
        })?
    {
        differences.check()?;
        progress.check()?;
        let written = match &parent {
            None => files.write(&page.body, &page.sum, page.is_whole)?,
            Some(_) => gathered.take(&page, &mut files)?,
        };
        sum.merge(&page.sum);
        progress.add(&page.sum);
        progress.file_bytes.fetch_add(written, Ordering::Relaxed);
        pacer.spend(page.sum.keys, page.sum.bytes)?;
    }
    gathered.give(true, &mut files)?;
    files.end_file()?;
    let keys = differences.finish()?;
    let (files, sum) = (files.done, SumRecord::from(&sum));
    let record = PartitionRecord { files, keys: Some(keys), sum, ..partition.clone() };
    let path = in_backup(&begun.id, &partition_path(&table.directory(), partition.partition));
    put(target, &path, &seal(&record))?;
    Ok(record)
}

/// The keys of a partition in all backups of a chain.
fn known_keys(
    target: &dyn Target,
    chain: &Chain,
    table: &TableRecord,
    partition: u32,
) -> Result<KnownKeys, BackupError> {
    let reader = |manifest: &Manifest| {
        let (table, place) = manifest.begun.partition((&table.namespace, &table.name), partition)?;
        KeysReader::open(target, manifest, table, place)
    };
    chain.manifests().iter().map(reader).collect::<Result<_, _>>().map(KnownKeys::new)
}

/// Contents out of pages of which little is left, until there is enough for a block.
#[derive(Default)]
struct Gathered {
    contents: Contents,
    bytes: usize,
}

impl Gathered {
    /// Takes what is in a page; bytes of files that were written.
    fn take(&mut self, page: &ContentPage, files: &mut Files<'_>) -> Result<u64, BackupError> {
        if page.body.is_empty() {
            return Ok(0);
        }
        let contents = Contents::decode(page.body.clone());
        let contents = contents.map_err(|_| EngineError::Damaged("a page holds no contents".into()))?;
        self.bytes += page.body.len();
        self.contents.pieces.extend(contents.pieces);
        if self.bytes >= PAGE_BYTES { self.give(page.is_whole, files) } else { Ok(0) }
    }

    /// Writes what was taken.
    fn give(&mut self, is_whole: bool, files: &mut Files<'_>) -> Result<u64, BackupError> {
        let contents = std::mem::take(&mut self.contents);
        self.bytes = 0;
        if contents.pieces.is_empty() {
            return Ok(0);
        }
        let mut sum = ContentSum::default();
        contents.pieces.iter().for_each(|piece| sum.add(piece));
        files.write(&contents.encode_to_vec(), &sum, is_whole)
    }
}

/// What is known of a partition that was saved completely at the same place of its log.
///
/// # Errors
/// What the target says.
pub fn complete(
    target: &dyn Target,
    begun: &Begun,
    table: &TableRecord,
    partition: &PartitionRecord,
) -> Result<Option<PartitionRecord>, BackupError> {
    let path = in_backup(&begun.id, &partition_path(&table.directory(), partition.partition));
    let bytes = match read_whole(target, &path) {
        Err(BackupError::Missing(_)) => return Ok(None),
        bytes => bytes?,
    };
    let same = |record: &PartitionRecord| {
        (record.partition, record.group, record.index)
            == (partition.partition, partition.group, partition.index)
    };
    // One that is damaged is written again.
    Ok(unseal(&path, &bytes).ok().filter(same))
}

/// The files of a partition, one after the other.
struct Files<'a> {
    target: &'a dyn Target,
    begun: &'a Begun,
    table: &'a TableRecord,
    partition: u32,
    open: Option<(String, BlockWriter<Box<dyn NewFile>>)>,
    done: Vec<FileRecord>,
}

impl Files<'_> {
    /// Writes a page; bytes that were written.
    fn write(&mut self, body: &[u8], sum: &ContentSum, is_whole: bool) -> Result<u64, BackupError> {
        let (path, writer) = match &mut self.open {
            Some(open) => open,
            None => {
                let begun = self.begin_file()?;
                self.open.insert(begun)
            }
        };
        let before = writer.bytes();
        writer.write(body, sum).map_err(|error| BackupError::io(path, &error))?;
        let after = writer.bytes();
        // Between two keys: each file can then be restored alone.
        if after >= FILE_BYTES && is_whole {
            self.end_file()?;
        }
        Ok(after - before)
    }

    fn begin_file(&self) -> Result<(String, BlockWriter<Box<dyn NewFile>>), BackupError> {
        let number = self.done.len() as u32;
        let path = file_path(&self.table.directory(), self.partition, number);
        let head = FileHead {
            backup: self.begun.id.clone(),
            namespace: self.table.namespace.clone(),
            table: self.table.name.clone(),
            partition: self.partition,
            number,
            keys: false,
        };
        let file = self.target.create(&in_backup(&self.begun.id, &path))?;
        let writer = BlockWriter::new(file, &head, LEVEL).map_err(|error| BackupError::io(&path, &error))?;
        Ok((path, writer))
    }

    fn end_file(&mut self) -> Result<(), BackupError> {
        let Some((path, writer)) = self.open.take() else { return Ok(()) };
        let (file, sum) = writer.finish().map_err(|error| BackupError::io(&path, &error))?;
        file.finish()?;
        self.done.push(FileRecord::new(path, &sum));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two nodes that save one partition at the same time, each at its share, write the same files.
    #[test]
    fn pages_do_not_follow_the_share_of_a_rate() {
        let at = |bytes_per_second, keys_per_second| {
            saved_page_bytes(Limits { bytes_per_second, keys_per_second })
        };
        assert_eq!(at(1, 0), at(1 << 30, 0));
        assert_eq!(at(0, 1), at(1 << 20, 1 << 20));
        assert!(at(0, 0) > at(1, 0));
    }
}
