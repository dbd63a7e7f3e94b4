//! The production log: batches go to the end of one segment, reads go through the index.
//!
//! One lock orders the writers, another protects the index; readers take only the second, and only
//! while they look places up, never while they read the disk.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;
use env::{Disk, DiskFile};
use types::{GroupId, LogIndex, Term};

use crate::format::{BATCH_ALIGNMENT, Frame};
use crate::index::{Change, Index, Place, Segment};
use crate::plan::{Step, plan};
use crate::recovery;
use crate::segment::{self, Active, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, Spare, Wanted};
use crate::store::{GroupSummary, GroupWrite, LogEntry, LogError, LogStore};

/// How a [`SegmentedLog`] is laid out. May differ from one start to the next.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// A segment that would grow beyond this is closed: 4 KiB to 1 GiB, else the nearer of the two.
    /// Larger segments are closed less often (a millisecond each); smaller ones give space back sooner.
    pub segment_bytes: u64,
    /// A number that the writers of payloads cannot know, such as one drawn at random by the process.
    /// It goes into the salt of every segment made from now on, so that no payload can be made to look
    /// like a batch. Nothing must be remembered: every segment carries its own salt.
    pub secret: u64,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { segment_bytes: 16 << 20, secret: 0 }
    }
}

/// What a log did since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogCounters {
    /// Calls that made a file durable.
    pub syncs: u64,
    /// Bytes of batches written, those moved by reclaiming included.
    pub bytes_written: u64,
    /// Bytes of batches that reclaiming wrote: the price of giving space back.
    pub bytes_moved: u64,
    /// Segments that were given back.
    pub segments_retired: u64,
}

/// A log of many groups in segment files. See the crate's root for format and reasons.
pub struct SegmentedLog {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dir: PathBuf,
    pub(crate) options: LogOptions,
    pub(crate) counters: Counters,
    writer: Mutex<Writer>,
    index: RwLock<Index>,
    /// The first failure after which the files are not to be trusted.
    failure: OnceLock<(io::ErrorKind, String)>,
}

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) syncs: AtomicU64,
    pub(crate) bytes_written: AtomicU64,
    pub(crate) bytes_moved: AtomicU64,
    pub(crate) segments_retired: AtomicU64,
}

/// What only the writing thread uses.
pub(crate) struct Writer {
    pub(crate) active: Active,
    /// The number of the next batch.
    pub(crate) sequence: u64,
    /// Every batch up to this one is durable.
    pub(crate) synced: u64,
    pub(crate) frame: Frame,
    pub(crate) spares: Vec<Spare>,
    /// Bytes written by callers since the last reclaim, which sets how much that one may do.
    pub(crate) written: u64,
}

/// For whom a batch is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// For a caller.
    Caller,
    /// To give space back: may also use the last part of a segment, which is kept for this, so that a
    /// full disk does not keep the log from becoming smaller.
    Reclaim,
}

impl SegmentedLog {
    /// Opens the log in `dir`, which is made if it is missing, and brings back every batch that was
    /// durable, and of later ones an unbroken sequence. What was brought back is durable on return.
    ///
    /// Files with foreign names are left alone. One process at a time; the caller holds a lock.
    ///
    /// # Errors
    /// `Damaged` when durable bytes are not what they were, `Newer` for files of a later release,
    /// `DiskFull` when there is no room for a new segment, `Disk` when the disk fails.
    pub fn open(disk: Arc<dyn Disk>, dir: PathBuf, mut options: LogOptions) -> Result<Self, LogError> {
        options.segment_bytes = options.segment_bytes.clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX);
        let found = recovery::recover(disk.as_ref(), &dir, &options)?;
        Ok(Self {
            disk,
            dir,
            options,
            counters: Counters::default(),
            writer: Mutex::new(found.writer),
            index: RwLock::new(found.index),
            failure: OnceLock::new(),
        })
    }

    /// What the log did since it was opened.
    pub fn counters(&self) -> LogCounters {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LogCounters {
            syncs: get(&self.counters.syncs),
            bytes_written: get(&self.counters.bytes_written),
            bytes_moved: get(&self.counters.bytes_moved),
            segments_retired: get(&self.counters.segments_retired),
        }
    }

    /// The right to write, unless the log has failed.
    fn writer(&self) -> Result<MutexGuard<'_, Writer>, LogError> {
        let Ok(writer) = self.writer.lock() else {
            // Files and index may disagree about the batch at hand; only recovery knows.
            return Err(self.fail("write", io::Error::other("an earlier write panicked")));
        };
        self.check_healthy()?;
        Ok(writer)
    }

    pub(crate) fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn index_mut(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails once the disk has failed.
    pub(crate) fn check_healthy(&self) -> Result<(), LogError> {
        match self.failure.get() {
            Some((kind, text)) => Err(LogError::Disk(io::Error::new(*kind, text.clone()))),
            None => Ok(()),
        }
    }

    /// Remembers a failure for good: after a failed write or fsync the kernel may have dropped the bytes
    /// and still report success the next time.
    pub(crate) fn fail(&self, doing: &str, error: io::Error) -> LogError {
        tracing::error!(%error, doing, "the log's disk failed; the log takes nothing more");
        let _ = self.failure.set((error.kind(), format!("{doing}: {error}")));
        LogError::Disk(error)
    }

    /// Writes the assembled frame to the end of the log and takes its changes into the index.
    pub(crate) fn put(
        &self,
        writer: &mut Writer,
        changes: Vec<Change>,
        sync: bool,
        purpose: Purpose,
    ) -> Result<(), LogError> {
        let bytes = writer.frame.frame_bytes();
        debug_assert_eq!(bytes % BATCH_ALIGNMENT as u64, 0);
        self.make_room(writer, bytes, purpose)?;
        let Writer { active, sequence, synced, frame, .. } = writer;
        let offset = active.tail;
        let sealed = frame.seal(active.salt, *sequence, *synced);
        match active.file.write_at(sealed, offset) {
            Ok(()) => {}
            // Whatever part of it was written is incomplete, and the next batch overwrites it.
            Err(error) if segment::is_full(&error) => return Err(LogError::DiskFull),
            Err(error) => return Err(self.fail("write a batch", error)),
        }
        active.tail += bytes;
        active.ready = active.ready.max(active.tail);
        *sequence += 1;
        self.counters.bytes_written.fetch_add(bytes, Ordering::Relaxed);
        if purpose == Purpose::Caller {
            writer.written += bytes;
        } else {
            self.counters.bytes_moved.fetch_add(bytes, Ordering::Relaxed);
        }
        if sync {
            self.sync(writer)?;
        }
        let mut index = self.index_mut();
        index.apply(changes, writer.active.number, offset);
        if let Some(segment) = index.segments.get_mut(&writer.active.number) {
            segment.bytes = writer.active.ready;
        }
        Ok(())
    }

    /// Makes everything written durable.
    pub(crate) fn sync(&self, writer: &mut Writer) -> Result<(), LogError> {
        if writer.synced + 1 == writer.sequence {
            return Ok(());
        }
        self.sync_file(writer.active.file.as_ref())?;
        writer.synced = writer.sequence - 1;
        Ok(())
    }

    pub(crate) fn sync_file(&self, file: &dyn DiskFile) -> Result<(), LogError> {
        self.counters.syncs.fetch_add(1, Ordering::Relaxed);
        file.sync().map_err(|error| self.fail("make the log durable", error))
    }

    /// Goes on to a new segment when `bytes` do not fit the current one.
    fn make_room(&self, writer: &mut Writer, bytes: u64, purpose: Purpose) -> Result<(), LogError> {
        let kept_free = match purpose {
            Purpose::Caller => segment::reserve_bytes(self.options.segment_bytes),
            Purpose::Reclaim => 0,
        };
        if writer.active.is_empty() || writer.active.tail + bytes + kept_free <= self.options.segment_bytes {
            return Ok(());
        }
        // Only the newest segment may hold bytes that are not durable: that is what lets recovery
        // demand that every other one is complete.
        self.sync(writer)?;
        let oldest = self.index().segments.keys().next().copied();
        let number = writer.active.number;
        let made = segment::make(
            self.disk.as_ref(),
            &self.dir,
            &self.options,
            &mut writer.spares,
            Wanted { after: number, previous: Some(number), first_sequence: writer.sequence, oldest },
        );
        self.counters.syncs.fetch_add(1, Ordering::Relaxed);
        let active = made.map_err(|error| match error {
            LogError::Disk(error) => self.fail("make a segment", error),
            other => other,
        })?;
        let mut index = self.index_mut();
        index.spare_bytes = writer.spares.iter().map(|spare| spare.bytes).sum();
        index.segments.insert(active.number, active.segment());
        writer.active = active;
        Ok(())
    }

    /// The steps of a batch as bytes in the writer's frame and as changes for the index.
    fn assemble(frame: &mut Frame, steps: Vec<Step<'_>>) -> Vec<Change> {
        frame.begin();
        let mut changes = Vec::with_capacity(steps.len());
        for step in steps {
            changes.push(match step {
                Step::Delete { group } => {
                    frame.delete(group);
                    Change::Delete { group }
                }
                Step::Anchor { group, reset, start, record } => {
                    frame.anchor(group, reset, start, &record);
                    let reset = reset.then_some(start);
                    // A copy: the caller's may be a small part of a large buffer.
                    let record = Bytes::copy_from_slice(&record);
                    Change::Anchor { group, reset, anchored: start.index, record }
                }
                Step::Append { group, entries } => {
                    let places = frame.append(group, entries);
                    Change::Append { group, first: entries[0].index, places }
                }
            });
        }
        changes
    }

    /// The places of the entries asked for, and the files they are in.
    fn look_up(
        &self,
        group: GroupId,
        from: LogIndex,
        to: LogIndex,
        bytes_max: u64,
    ) -> Result<Vec<Located>, LogError> {
        let index = self.index();
        let Some(state) = index.groups.get(&group) else {
            return Err(LogError::Beyond { group, index: from });
        };
        if from <= state.start.index {
            return Err(LogError::Cut { group, start: state.start.index });
        }
        let last = state.last().index;
        if to.get() - 1 > last.get() {
            return Err(LogError::Beyond { group, index: from.max(last.next()) });
        }
        let skip = (from.get() - state.start.index.get() - 1) as usize;
        let count = (to.get() - from.get()) as usize;
        let mut bytes = 0u64;
        let mut located: Vec<Located> = Vec::new();
        for place in state.entries.iter().skip(skip).take(count) {
            bytes = bytes.saturating_add(u64::from(place.length));
            if bytes > bytes_max && !located.is_empty() {
                break;
            }
            match located.last_mut() {
                Some(run) if run.takes(place) => run.places.push(*place),
                _ => {
                    let Some(Segment { file, .. }) = index.segments.get(&place.segment) else {
                        return Err(damaged(place, "the index points to a segment that is not there"));
                    };
                    located.push(Located { file: Arc::clone(file), places: vec![*place] });
                }
            }
        }
        Ok(located)
    }
}

impl LogStore for SegmentedLog {
    fn groups(&self) -> Vec<GroupSummary> {
        self.index().summaries()
    }

    fn group(&self, group: GroupId) -> Option<GroupSummary> {
        self.index().summary(group)
    }

    fn write(&self, batch: &[GroupWrite], sync: bool) -> Result<(), LogError> {
        let mut writer = self.writer()?;
        let steps = {
            let index = self.index();
            plan(batch, |group| index.head(group))?
        };
        if steps.is_empty() {
            return if sync { self.sync(&mut writer) } else { Ok(()) };
        }
        let changes = Self::assemble(&mut writer.frame, steps);
        self.put(&mut writer, changes, sync, Purpose::Caller)
    }

    fn entries(
        &self,
        group: GroupId,
        from: LogIndex,
        to: LogIndex,
        bytes_max: u64,
    ) -> Result<Vec<LogEntry>, LogError> {
        self.check_healthy()?;
        if from >= to {
            return Ok(Vec::new());
        }
        let mut entries = Vec::new();
        for run in self.look_up(group, from, to, bytes_max)? {
            for (place, payload) in run.places.iter().zip(run.read()?) {
                let index = LogIndex(from.get() + entries.len() as u64);
                entries.push(LogEntry { index, term: place.term, payload });
            }
        }
        Ok(entries)
    }

    fn term(&self, group: GroupId, index: LogIndex) -> Result<Term, LogError> {
        self.check_healthy()?;
        let guard = self.index();
        let Some(state) = guard.groups.get(&group) else {
            return Err(LogError::Beyond { group, index });
        };
        if index == state.start.index {
            return Ok(state.start.term);
        }
        let Some(at) = index.get().checked_sub(state.start.index.get() + 1) else {
            return Err(LogError::Cut { group, start: state.start.index });
        };
        match state.entries.get(at as usize) {
            Some(place) => Ok(place.term),
            None => Err(LogError::Beyond { group, index }),
        }
    }

    fn cut(&self, group: GroupId, index: LogIndex) -> Result<(), LogError> {
        // Not while a batch is being written: its steps were checked against the present start.
        let _writer = self.writer()?;
        self.index_mut().cut(group, index)
    }

    fn reclaim(&self) -> Result<(), LogError> {
        let mut writer = self.writer()?;
        self.reclaim_with(&mut writer)
    }

    fn bytes(&self) -> u64 {
        self.index().bytes()
    }
}

/// Entries that one read of one file fetches.
pub(crate) struct Located {
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) places: Vec<Place>,
}

/// Bytes between two entries that are rather read along than skipped.
const READ_GAP_BYTES: u64 = 1024;
/// Longest read, unless a single entry is longer.
const READ_BYTES_MAX: u64 = 4 << 20;

impl Located {
    /// Whether the place is read together with these.
    pub(crate) fn takes(&self, place: &Place) -> bool {
        let (Some(first), Some(last)) = (self.places.first(), self.places.last()) else { return false };
        let end = u64::from(last.offset) + u64::from(last.length);
        let next = u64::from(place.offset);
        place.segment == last.segment
            && (end..=end + READ_GAP_BYTES).contains(&next)
            && next + u64::from(place.length) - u64::from(first.offset) <= READ_BYTES_MAX
    }

    /// The payloads, each compared with its checksum.
    ///
    /// The file cannot have been reused: that happens only when no reader holds it.
    pub(crate) fn read(&self) -> Result<Vec<Bytes>, LogError> {
        let (Some(first), Some(last)) = (self.places.first(), self.places.last()) else {
            return Ok(Vec::new());
        };
        let begin = first.offset;
        let mut buffer = vec![0; (last.offset - begin + last.length) as usize];
        let count = self.file.read_at(&mut buffer, u64::from(begin))?;
        buffer.truncate(count);
        let buffer = Bytes::from(buffer);
        self.places
            .iter()
            .map(|place| {
                let at = (place.offset - begin) as usize;
                let end = at + place.length as usize;
                if end > buffer.len() {
                    return Err(damaged(place, "the file ends before the entry does"));
                }
                let payload = buffer.slice(at..end);
                if crc32c::crc32c(&payload) != place.crc {
                    return Err(damaged(place, "the checksum of the entry does not fit"));
                }
                Ok(payload)
            })
            .collect()
    }
}

fn damaged(place: &Place, detail: &str) -> LogError {
    let name = segment::segment_name(place.segment);
    LogError::Damaged { place: format!("{name} at {}", place.offset), detail: detail.to_owned() }
}

/// Where a segment's file is.
pub(crate) fn path(dir: &Path, number: u32) -> PathBuf {
    dir.join(segment::segment_name(number))
}
