//! Giving space back: the oldest segment is emptied into the newest one and leaves the log.
//!
//! Segments leave strictly from the oldest on, durably one after the other. That order is what makes
//! forgetting simple: a deletion, a reset or a cut-off tail concerns only older bytes, so it never has
//! to be repeated; by the time its segment leaves, everything it concerned has left.
//!
//! What must be carried over from a segment is what the index still points to there: entries, and the
//! newest copy of a group's start and record (its *anchor*). A group that was cut since its anchor was
//! written gets a new one too, because the entries between the two starts may be leaving now.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use types::{GroupId, LogIndex, Term};

use crate::index::{Change, Place};
use crate::log::{Located, Purpose, SegmentedLog, Writer, path};
use crate::segment::{self, Spare, spare_name};
use crate::store::LogError;

/// Zeros are written this far ahead of the newest segment's end, so that a write finds blocks there.
const PREFILL_BYTES: u64 = 1 << 20;
/// After so much in one turn, nothing is filled ahead: what comes next is as large, finds its blocks by itself in a
/// time that does not show beside its own, and every byte would be written twice.
const PREFILL_TURN_MAX: u64 = 1 << 20;
/// Live bytes that one call may move, beside twice what was written since the last call. Twice, so that
/// reclaiming keeps up: with half of the log dead, every byte written needs at most one moved.
const MOVE_BYTES: u64 = 1 << 20;
/// Segments that one call may retire.
const RETIRE_MAX: usize = 8;
/// The log may have this many segments beyond twice what its live bytes need; one more is the spare.
const SLACK_SEGMENTS: u64 = 3;
/// Spares kept. One is enough: the next comes when the next segment is retired.
const SPARES_MAX: usize = 1;

impl SegmentedLog {
    pub(crate) fn reclaim_with(&self, writer: &mut Writer) -> Result<(), LogError> {
        let written = std::mem::take(&mut writer.written);
        self.prefill(writer, written)?;
        let mut budget = MOVE_BYTES + 2 * written;
        for _ in 0..RETIRE_MAX {
            let Some(oldest) = self.next_to_retire(writer) else { break };
            if !self.move_out(writer, oldest, &mut budget)? {
                break;
            }
            self.retire(writer, oldest)?;
        }
        Ok(())
    }

    /// Writes zeros ahead of the end of the newest segment.
    fn prefill(&self, writer: &mut Writer, written: u64) -> Result<(), LogError> {
        if written >= PREFILL_TURN_MAX {
            return Ok(());
        }
        let active = &mut writer.active;
        let ahead = (2 * written).max(PREFILL_BYTES);
        // A segment without a batch stays small: an idle node writes nothing.
        if active.is_empty() || active.ready - active.tail >= ahead / 2 {
            return Ok(());
        }
        let end = (active.ready + ahead).min(self.options.segment_bytes);
        if end <= active.ready {
            return Ok(());
        }
        let zeros = vec![0; (end - active.ready) as usize];
        match active.file.write_at(&zeros, active.ready) {
            Ok(()) => {}
            // A comfort, not a need: writing goes on at the end of the file.
            Err(error) if segment::is_full(&error) => return Ok(()),
            Err(error) => return Err(self.fail("fill a segment with zeros", error)),
        }
        active.ready = end;
        let number = active.number;
        self.sync_file(writer.active.file.as_ref())?;
        writer.synced = writer.sequence - 1;
        if let Some(segment) = self.index_mut().segments.get_mut(&number) {
            segment.bytes = end;
        }
        Ok(())
    }

    /// The oldest segment, if it should go: nothing lives in it, or there are too many segments for what
    /// lives in all. Counting segments rather than bytes also gathers the small ones that short-lived
    /// processes leave.
    fn next_to_retire(&self, writer: &Writer) -> Option<u32> {
        let index = self.index();
        let (&oldest, segment) = index.segments.first_key_value()?;
        if oldest == writer.active.number {
            return None;
        }
        let room = index.segments.len() as u64 * self.options.segment_bytes;
        let allowed = 2 * index.live + SLACK_SEGMENTS * self.options.segment_bytes;
        (segment.live == 0 || room > allowed).then_some(oldest)
    }

    /// Copies live entries out of a segment, as many as the budget allows. Whether it is empty now.
    fn move_out(&self, writer: &mut Writer, number: u32, budget: &mut u64) -> Result<bool, LogError> {
        loop {
            let runs = self.live_runs(number, (*budget).min(MOVE_BYTES));
            if runs.is_empty() {
                return Ok(true);
            }
            if *budget == 0 {
                return Ok(false);
            }
            writer.frame.begin();
            let mut changes = Vec::with_capacity(runs.len());
            for run in runs {
                *budget = budget.saturating_sub(run.located.places.iter().map(Place::live_bytes).sum());
                let payloads = run.located.read()?;
                let terms = run.located.places.iter().map(|place| place.term);
                let entries: Vec<(Term, Bytes)> = terms.zip(payloads).collect();
                let places = writer.frame.moved(run.group, run.first, &entries);
                changes.push(Change::Moved { group: run.group, first: run.first, places });
            }
            self.put(writer, changes, false, Purpose::Reclaim)?;
        }
    }

    /// Live entries of a segment in runs that are consecutive in their group and near each other in the
    /// file, up to `bytes_max` and at least one if there is one.
    fn live_runs(&self, number: u32, bytes_max: u64) -> Vec<Run> {
        let index = self.index();
        let Some(segment) = index.segments.get(&number) else { return Vec::new() };
        let mut runs: Vec<Run> = Vec::new();
        let mut bytes = 0;
        for (group, state) in &index.groups {
            let mut left = state.spread.get(&number).copied().unwrap_or(0);
            for (at, place) in state.entries.iter().enumerate() {
                if left == 0 {
                    break;
                }
                if place.segment != number {
                    continue;
                }
                left -= 1;
                bytes += place.live_bytes();
                if bytes > bytes_max && !runs.is_empty() {
                    return runs;
                }
                let this = LogIndex(state.start.index.get() + 1 + at as u64);
                match runs.last_mut() {
                    Some(run) if run.takes(*group, this, place) => run.located.places.push(*place),
                    _ => {
                        let located = Located { file: Arc::clone(&segment.file), places: vec![*place] };
                        runs.push(Run { group: *group, first: this, located });
                    }
                }
            }
        }
        runs
    }

    /// Takes a segment without live entries out of the log.
    fn retire(&self, writer: &mut Writer, number: u32) -> Result<(), LogError> {
        self.write_retirement(writer, number)?;
        // The copies are durable; from here on a crash may leave the segment or not.
        let name = spare_name(number);
        match self.disk.rename(&path(&self.dir, number), &self.dir.join(&name)) {
            Ok(()) => {}
            Err(error) if segment::is_full(&error) => return Err(LogError::DiskFull),
            Err(error) => return Err(self.fail("retire a segment", error)),
        }
        // Before the next one goes (so that a crash leaves no gap), and before the file gets a new
        // header (so that a crash leaves no segment with another one's header).
        self.disk.sync_dir(&self.dir).map_err(|error| self.fail("retire a segment", error))?;
        self.counters.segments_retired.fetch_add(1, Ordering::Relaxed);
        let Some(segment) = self.index_mut().segments.remove(&number) else { return Ok(()) };
        let bytes = segment.bytes;
        let fits = (self.options.segment_bytes..=2 * self.options.segment_bytes).contains(&bytes);
        let wanted = fits && writer.spares.len() < SPARES_MAX;
        // A reader that still holds the file must not see another segment's bytes in it.
        let unread = Arc::strong_count(&segment.file) == 1;
        drop(segment);
        if wanted && unread {
            let spare_path = self.dir.join(&name);
            let file = self.disk.open(&spare_path).map_err(|error| self.fail("keep a spare", error))?;
            writer.spares.push(Spare { number, file, bytes });
            self.index_mut().spare_bytes += bytes;
            return Ok(());
        }
        self.disk.remove(&self.dir.join(&name)).map_err(|error| self.fail("remove a segment", error))
    }

    /// Writes, durably, the anchors that leave with a segment, and that it leaves.
    fn write_retirement(&self, writer: &mut Writer, number: u32) -> Result<(), LogError> {
        writer.frame.begin();
        let mut changes = Vec::new();
        for (group, state) in self.index().anchors_needed(number) {
            writer.frame.anchor(group, false, state.start, &state.record);
            let (anchored, record) = (state.start.index, state.record.clone());
            changes.push(Change::Anchor { group, reset: None, anchored, record });
        }
        writer.frame.retired(number);
        self.put(writer, changes, true, Purpose::Reclaim)
    }
}

/// Consecutive live entries of one group that one read fetches.
struct Run {
    group: GroupId,
    first: LogIndex,
    located: Located,
}

impl Run {
    fn takes(&self, group: GroupId, index: LogIndex, place: &Place) -> bool {
        let next = self.first.get() + self.located.places.len() as u64;
        self.group == group && index.get() == next && self.located.takes(place)
    }
}
