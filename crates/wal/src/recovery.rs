//! Opening the log: every segment is read in order, every byte is checked, and the question at the end
//! is whether what is missing was ever promised.
//!
//! Of a closed segment everything must be there, up to the batch before the first one of the segment
//! after it: it was made durable before the next segment was made. Only in the newest may something be
//! missing, and then it is lost, not damaged, unless a batch behind the gap says that the missing one was
//! durable when it was written. The crate's root has the argument.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use env::{Disk, DiskFile};
use types::{GroupId, LogIndex};

use crate::format::{
    BATCH_ALIGNMENT, BATCH_HEADER_BYTES, BatchHeader, DATA_START, Frame, HeaderFault, Record,
    SEGMENT_HEADER_BYTES, SegmentHeader, records,
};
use crate::index::{Group, Index, Place, Segment};
use crate::log::{LogOptions, Writer, path};
use crate::segment::{self, FileName, Spare, Wanted, segment_name, spare_name};
use crate::store::{LogError, LogPosition};

/// What [`recover`] found and made.
pub(crate) struct Recovered {
    pub(crate) index: Index,
    pub(crate) writer: Writer,
}

/// Reads the log in `dir` and begins a new segment behind it.
pub(crate) fn recover(disk: &dyn Disk, dir: &Path, options: &LogOptions) -> Result<Recovered, LogError> {
    disk.create_dir(dir)?;
    if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        disk.sync_dir(parent)?;
    }
    // What the process before renamed may not be durable yet. It must be before a file gets new bytes.
    disk.sync_dir(dir)?;
    let names = Names::list(disk, dir)?;
    let files = open_segments(disk, dir, &names)?;

    let mut replay = Replay::default();
    for (at, file) in files.iter().enumerate() {
        replay.segment(file, files.get(at + 1).map(|next| &next.header))?;
    }
    check_oldest(&files, replay.retired)?;
    let sequence = replay.sequence.max(1);
    let mut index = Index::default();
    replay.take_groups(&mut index, &files)?;
    // Nothing was written so far: a log that is refused stays as it is.
    if let Some(newest) = files.last() {
        make_durable(newest, &replay.unproved, replay.end)?;
    }

    let mut spares = keep_spares(disk, dir, options, &names)?;
    let oldest = index.segments.keys().next().copied();
    let previous = index.segments.keys().next_back().copied();
    let wanted = Wanted { after: names.highest, previous, first_sequence: sequence, oldest };
    let active = segment::make(disk, dir, options, &mut spares, wanted)?;
    index.segments.insert(active.number, active.segment());
    index.spare_bytes = spares.iter().map(|spare| spare.bytes).sum();
    let synced = sequence - 1;
    let writer = Writer { active, sequence, synced, frame: Frame::default(), spares, written: 0 };
    Ok(Recovered { index, writer })
}

/// Makes durable what was read from the newest segment up to `end`.
///
/// When the process crashed and not the machine, it may be in the page cache only. Syncing would be
/// enough, had no fsync failed before: after that the cache may hold bytes that the disk never got and
/// that no later fsync writes. So the batches that nothing proves durable are written once more.
fn make_durable(newest: &SegmentFile, unproved: &VecDeque<(u64, u64)>, end: u64) -> Result<(), LogError> {
    if let Some((_, begin)) = unproved.front() {
        let mut window = Window::new(newest);
        let mut at = *begin;
        while at < end {
            let count = (end - at).min(WINDOW_BYTES as u64) as usize;
            let bytes = window.bytes(at, count)?;
            if bytes.is_empty() {
                return Err(newest.damaged(at, "the file became shorter while it was read"));
            }
            newest.file.write_at(bytes, at)?;
            at += bytes.len() as u64;
        }
    }
    Ok(newest.file.sync()?)
}

/// The file names in the log's directory.
struct Names {
    segments: Vec<u32>,
    spares: Vec<u32>,
    /// The highest number in any name; numbers up to it are used up.
    highest: u32,
}

impl Names {
    fn list(disk: &dyn Disk, dir: &Path) -> Result<Self, LogError> {
        let mut names = Self { segments: Vec::new(), spares: Vec::new(), highest: 0 };
        for name in disk.list(dir)? {
            match FileName::parse(&name) {
                Some(FileName::Segment(number)) => names.segments.push(number),
                Some(FileName::Spare(number)) => names.spares.push(number),
                None => tracing::warn!(dir = %dir.display(), name, "a foreign file in the log's directory"),
            }
        }
        names.segments.sort_unstable();
        let all = names.segments.iter().chain(&names.spares);
        names.highest = all.copied().max().unwrap_or(0);
        Ok(names)
    }
}

/// A segment whose header was read.
struct SegmentFile {
    header: SegmentHeader,
    file: Arc<dyn DiskFile>,
    bytes: u64,
}

impl SegmentFile {
    fn damaged(&self, offset: u64, detail: impl Into<String>) -> LogError {
        damaged(self.header.number, offset, detail)
    }
}

fn damaged(number: u32, offset: u64, detail: impl Into<String>) -> LogError {
    LogError::Damaged { place: format!("{} at {offset}", segment_name(number)), detail: detail.into() }
}

/// Opens all segments and checks that their headers form a chain. A newer version is reported before
/// any damage: to this release its files may well look damaged.
fn open_segments(disk: &dyn Disk, dir: &Path, names: &Names) -> Result<Vec<SegmentFile>, LogError> {
    let mut files = Vec::with_capacity(names.segments.len());
    let mut damage = None;
    for &number in &names.segments {
        let file: Arc<dyn DiskFile> = Arc::from(disk.open(&path(dir, number))?);
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        let count = file.read_at(&mut bytes, 0)?;
        match SegmentHeader::decode(&bytes[..count]) {
            Ok(header) if header.number == number => {
                let bytes = file.len()?;
                if bytes > u64::from(u32::MAX) {
                    let detail = "the file is larger than a segment can be";
                    damage = damage.or(Some(damaged(number, 0, detail)));
                }
                files.push(SegmentFile { header, file, bytes });
            }
            Ok(header) => {
                let detail = format!("the file contains segment {}", segment_name(header.number));
                damage = damage.or(Some(damaged(number, 0, detail)));
            }
            Err(HeaderFault::Newer(version)) => return Err(LogError::Newer(version)),
            Err(HeaderFault::Damaged(detail)) => damage = damage.or(Some(damaged(number, 0, detail))),
        }
    }
    if let Some(damage) = damage {
        return Err(damage);
    }
    for pair in files.windows(2) {
        let (this, next) = (&pair[0].header, &pair[1].header);
        if this.number != next.previous {
            return Err(damaged(next.previous, 0, "the segment is missing between two others"));
        }
        if this.first_sequence > next.first_sequence {
            return Err(damaged(next.number, 0, "the segment begins before the one in front of it"));
        }
    }
    Ok(files)
}

/// Segments leave the log from the oldest on and write down that they do; one that is missing without
/// such a note was taken away by somebody else.
fn check_oldest(files: &[SegmentFile], retired: u32) -> Result<(), LogError> {
    let (Some(first), Some(newest)) = (files.first(), files.last()) else { return Ok(()) };
    let missing = first.header.previous;
    if missing > retired && missing >= newest.header.oldest {
        return Err(damaged(missing, 0, "the segment is missing, and nothing says that it was given back"));
    }
    Ok(())
}

/// Opens a spare that can be used again and removes the others.
fn keep_spares(
    disk: &dyn Disk,
    dir: &Path,
    options: &LogOptions,
    names: &Names,
) -> Result<Vec<Spare>, LogError> {
    let mut spares = Vec::new();
    for &number in &names.spares {
        let path = dir.join(spare_name(number));
        let file = disk.open(&path)?;
        let bytes = file.len()?;
        let fits = (options.segment_bytes..=2 * options.segment_bytes).contains(&bytes);
        if fits && spares.is_empty() {
            spares.push(Spare { number, file, bytes });
        } else {
            disk.remove(&path)?;
        }
    }
    Ok(spares)
}

/// The log as far as it was read.
#[derive(Default)]
struct Replay {
    /// The number of the next batch; 0 before the first segment.
    sequence: u64,
    /// Where the last batch read ends, in the segment read last.
    end: u64,
    /// Number and offset of the last batches of this segment, those that no later batch proves durable.
    unproved: VecDeque<(u64, u64)>,
    retired: u32,
    groups: BTreeMap<GroupId, Replayed>,
}

/// A group as far as it was read. While old segments are missing, entries may have gaps and the start
/// may be unknown; later batches fill both in.
#[derive(Default)]
struct Replayed {
    anchor: Option<Anchor>,
    entries: BTreeMap<LogIndex, Place>,
}

struct Anchor {
    start: LogPosition,
    record: Bytes,
    segment: u32,
}

impl Replay {
    /// Reads one segment; `next` is the header of the one after it.
    fn segment(&mut self, file: &SegmentFile, next: Option<&SegmentHeader>) -> Result<(), LogError> {
        let header = &file.header;
        if self.sequence == 0 {
            self.sequence = header.first_sequence;
        }
        let mut window = Window::new(file);
        let mut offset = DATA_START;
        self.unproved.clear();
        while next.is_none_or(|next| self.sequence < next.first_sequence) {
            let Some(batch) = window.batch(offset, self.sequence)? else { break };
            let body_at = offset + BATCH_HEADER_BYTES as u64;
            let body = window.bytes(body_at, batch.body_bytes as usize)?;
            self.batch(body, file, offset)?;
            while self.unproved.front().is_some_and(|(sequence, _)| *sequence <= batch.synced) {
                self.unproved.pop_front();
            }
            self.unproved.push_back((self.sequence, offset));
            self.sequence += 1;
            offset += batch.frame_bytes();
        }
        self.end = offset;
        match next {
            // Whatever lies behind was discarded by the recovery that made the next segment.
            Some(next) if self.sequence == next.first_sequence => Ok(()),
            Some(next) => {
                let detail = format!(
                    "batch {} cannot be read, but was durable before {} was made",
                    self.sequence,
                    segment_name(next.number)
                );
                Err(file.damaged(offset, detail))
            }
            None => self.judge_tail(&mut window, offset),
        }
    }

    /// Decides whether what follows the last batch of the newest segment is loss or damage.
    fn judge_tail(&self, window: &mut Window<'_>, end: u64) -> Result<(), LogError> {
        let mut discarded = 0u64;
        let mut offset = end;
        while let Some((at, batch)) = window.find_header(offset)? {
            if batch.synced >= self.sequence {
                let detail = format!(
                    "batch {} cannot be read, but was durable when batch {} was written",
                    self.sequence, batch.sequence
                );
                return Err(window.file.damaged(end, detail));
            }
            discarded += 1;
            offset = at + BATCH_ALIGNMENT as u64;
        }
        if discarded > 0 {
            let segment = segment_name(window.file.header.number);
            tracing::info!(segment, end, discarded, "cut off batches that were never durable");
        }
        Ok(())
    }

    fn batch(&mut self, body: &[u8], file: &SegmentFile, offset: u64) -> Result<(), LogError> {
        let segment = file.header.number;
        for record in records(body).map_err(|detail| file.damaged(offset, detail))? {
            match record {
                Record::Delete { group } => drop(self.groups.remove(&group)),
                Record::Anchor { group, reset, start, record } => {
                    let state = self.groups.entry(group).or_default();
                    if reset {
                        state.entries.clear();
                    }
                    let record = Bytes::copy_from_slice(record);
                    state.anchor = Some(Anchor { start, record, segment });
                }
                Record::Entries { group, moved, first, places } => {
                    let entries = &mut self.groups.entry(group).or_default().entries;
                    if !moved && entries.last_key_value().is_some_and(|(last, _)| *last >= first) {
                        drop(entries.split_off(&first));
                    }
                    let places = places.into_iter().map(|place| place.at(segment, offset));
                    entries.extend(places.zip(first.get()..).map(|(place, index)| (LogIndex(index), place)));
                }
                Record::Retired { number } => self.retired = self.retired.max(number),
            }
        }
        Ok(())
    }

    /// Puts what was read into the index.
    fn take_groups(&mut self, index: &mut Index, files: &[SegmentFile]) -> Result<(), LogError> {
        for file in files {
            let segment = Segment { file: Arc::clone(&file.file), live: 0, bytes: file.bytes };
            index.segments.insert(file.header.number, segment);
        }
        for (group, state) in std::mem::take(&mut self.groups) {
            index.adopt(group, state.into_group(group)?);
        }
        Ok(())
    }
}

impl Replayed {
    /// The group, if its parts fit together now that everything was read.
    fn into_group(self, group: GroupId) -> Result<Group, LogError> {
        let misfit = |detail: String| LogError::Damaged { place: format!("group {group}"), detail };
        let Some(Anchor { start, record, segment }) = self.anchor else {
            return Err(misfit("there are entries, but nothing says where they start".to_owned()));
        };
        let mut entries = VecDeque::with_capacity(self.entries.len());
        for (index, place) in self.entries {
            if index <= start.index {
                continue;
            }
            let expected = start.index.get() + 1 + entries.len() as u64;
            if index.get() != expected {
                return Err(misfit(format!("entry {expected} is missing before {index}")));
            }
            entries.push_back(place);
        }
        Ok(Group { record, start, entries, anchor: segment, anchored: start.index, ..Group::default() })
    }
}

/// Bytes read at once from a segment.
const WINDOW_BYTES: usize = 256 << 10;

/// The bytes of a segment's file, read in order and in large pieces.
struct Window<'a> {
    file: &'a SegmentFile,
    buffer: Vec<u8>,
    /// Where the buffer's bytes begin in the file.
    begin: u64,
}

impl<'a> Window<'a> {
    fn new(file: &'a SegmentFile) -> Self {
        Self { file, buffer: Vec::new(), begin: 0 }
    }

    /// The bytes at `offset`; fewer than asked for only at the end of the file.
    fn bytes(&mut self, offset: u64, count: usize) -> Result<&[u8], LogError> {
        let end = offset.saturating_add(count as u64).min(self.file.bytes);
        let count = end.saturating_sub(offset) as usize;
        let held = self.begin..self.begin + self.buffer.len() as u64;
        if offset < held.start || end > held.end {
            let rest = self.file.bytes.saturating_sub(offset).min(WINDOW_BYTES as u64) as usize;
            self.buffer.resize(count.max(rest), 0);
            let read = self.file.file.read_at(&mut self.buffer, offset)?;
            self.buffer.truncate(read);
            self.begin = offset;
        }
        let from = ((offset - self.begin) as usize).min(self.buffer.len());
        let to = (from + count).min(self.buffer.len());
        Ok(&self.buffer[from..to])
    }

    /// The header of the batch at `offset`, if the whole batch is there, intact, and is `sequence`.
    fn batch(&mut self, offset: u64, sequence: u64) -> Result<Option<BatchHeader>, LogError> {
        let salt = self.file.header.salt;
        let Some(batch) = BatchHeader::decode(self.bytes(offset, BATCH_HEADER_BYTES)?, salt) else {
            return Ok(None);
        };
        let body = self.bytes(offset + BATCH_HEADER_BYTES as u64, batch.body_bytes as usize)?;
        let whole = body.len() == batch.body_bytes as usize && crc32c::crc32c(body) == batch.body_crc;
        Ok((whole && batch.sequence == sequence && sequence < u64::MAX).then_some(batch))
    }

    /// The first intact batch header of this segment at or behind `offset`, whatever its body.
    fn find_header(&mut self, offset: u64) -> Result<Option<(u64, BatchHeader)>, LogError> {
        let salt = self.file.header.salt;
        let mut at = offset.next_multiple_of(BATCH_ALIGNMENT as u64);
        while at + BATCH_HEADER_BYTES as u64 <= self.file.bytes {
            let bytes = self.bytes(at, WINDOW_BYTES)?;
            if bytes.len() < BATCH_HEADER_BYTES {
                break;
            }
            let last = bytes.len() - BATCH_HEADER_BYTES;
            for from in (0..=last).step_by(BATCH_ALIGNMENT) {
                if bytes[from + 8..from + 16] == salt.to_le_bytes()
                    && let Some(batch) = BatchHeader::decode(&bytes[from..], salt)
                {
                    return Ok(Some((at + from as u64, batch)));
                }
            }
            at += (last / BATCH_ALIGNMENT + 1) as u64 * BATCH_ALIGNMENT as u64;
        }
        Ok(None)
    }
}
