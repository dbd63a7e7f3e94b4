//! Where everything is: per group its start, its record and the places of its entries, in memory.
//!
//! 24 bytes per entry; a group without entries costs a few hundred bytes. The index also knows how many
//! live bytes each segment holds, which is what reclaiming goes by.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use env::DiskFile;
use types::{GroupId, LogIndex, Term};

use crate::format::{ANCHOR_BYTES, ENTRY_HEADER_BYTES};
use crate::plan::Head;
use crate::store::{GroupSummary, LogError, LogPosition};

/// Where an entry's payload lies, and what it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The entry's term.
    pub(crate) term: Term,
    /// The segment's number.
    pub(crate) segment: u32,
    /// Offset of the payload in the segment's file.
    pub(crate) offset: u32,
    /// Length of the payload.
    pub(crate) length: u32,
    /// Checksum of the payload, compared on every read.
    pub(crate) crc: u32,
}

const _: () = assert!(size_of::<Place>() == 24);

impl Place {
    /// Bytes that the entry needs wherever it is written.
    pub(crate) fn live_bytes(&self) -> u64 {
        u64::from(self.length) + ENTRY_HEADER_BYTES as u64
    }

    /// Moves a place that counts from the beginning of a frame to where the frame was written.
    pub(crate) fn at(mut self, segment: u32, frame_offset: u64) -> Self {
        self.segment = segment;
        self.offset += frame_offset as u32;
        self
    }
}

/// One group.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) record: Bytes,
    pub(crate) start: LogPosition,
    /// The entries behind `start`, without a gap.
    pub(crate) entries: VecDeque<Place>,
    /// Bytes of their payloads.
    pub(crate) bytes: u64,
    /// The segment that holds the newest copy of start and record.
    pub(crate) anchor: u32,
    /// The start that this copy names. Behind `start` when the group was cut since.
    pub(crate) anchored: LogIndex,
    /// How many of the entries each segment holds.
    pub(crate) spread: BTreeMap<u32, u32>,
}

impl Group {
    pub(crate) fn last(&self) -> LogPosition {
        match self.entries.back() {
            Some(place) => LogPosition {
                index: LogIndex(self.start.index.get() + self.entries.len() as u64),
                term: place.term,
            },
            None => self.start,
        }
    }

    fn summary(&self, group: GroupId) -> GroupSummary {
        GroupSummary {
            group,
            record: self.record.clone(),
            start: self.start,
            last: self.last(),
            bytes: self.bytes,
        }
    }
}

/// One file of the log.
pub(crate) struct Segment {
    /// Shared with readers: the file stays readable for them after it left the log.
    pub(crate) file: Arc<dyn DiskFile>,
    /// Bytes of entries that the index points to.
    pub(crate) live: u64,
    /// Length of the file.
    pub(crate) bytes: u64,
}

/// What a written batch changes here.
pub(crate) enum Change {
    Delete { group: GroupId },
    Anchor { group: GroupId, reset: Option<LogPosition>, anchored: LogIndex, record: Bytes },
    Append { group: GroupId, first: LogIndex, places: Vec<Place> },
    Moved { group: GroupId, first: LogIndex, places: Vec<Place> },
}

/// All groups and all segments.
#[derive(Default)]
pub(crate) struct Index {
    pub(crate) groups: BTreeMap<GroupId, Group>,
    pub(crate) segments: BTreeMap<u32, Segment>,
    /// Bytes of all entries and anchors: what the log could not do without.
    pub(crate) live: u64,
    /// Bytes of files that wait to be used again.
    pub(crate) spare_bytes: u64,
}

impl Index {
    pub(crate) fn head(&self, group: GroupId) -> Option<Head> {
        self.groups.get(&group).map(|state| Head {
            start: state.start,
            last: state.last().index,
            record: state.record.clone(),
        })
    }

    pub(crate) fn summary(&self, group: GroupId) -> Option<GroupSummary> {
        self.groups.get(&group).map(|state| state.summary(group))
    }

    pub(crate) fn summaries(&self) -> Vec<GroupSummary> {
        self.groups.iter().map(|(group, state)| state.summary(*group)).collect()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.spare_bytes + self.segments.values().map(|segment| segment.bytes).sum::<u64>()
    }

    /// Takes over a group that recovery found.
    pub(crate) fn adopt(&mut self, group: GroupId, mut state: Group) {
        let places = std::mem::take(&mut state.entries);
        self.live += anchor_bytes(&state.record);
        self.groups.insert(group, state);
        self.append(group, places);
    }

    /// Applies what a batch written to `segment` at `offset` did.
    pub(crate) fn apply(&mut self, changes: Vec<Change>, segment: u32, offset: u64) {
        let settle = |places: Vec<Place>| places.into_iter().map(move |place| place.at(segment, offset));
        for change in changes {
            match change {
                Change::Delete { group } => self.delete(group),
                Change::Anchor { group, reset, anchored, record } => {
                    self.anchor(group, reset, anchored, record, segment);
                }
                Change::Append { group, first, places } => {
                    self.cut_behind(group, first);
                    self.append(group, settle(places));
                }
                Change::Moved { group, first, places } => self.moved(group, first, settle(places)),
            }
        }
    }

    fn delete(&mut self, group: GroupId) {
        self.clear_entries(group);
        if let Some(state) = self.groups.remove(&group) {
            self.live -= anchor_bytes(&state.record);
        }
    }

    fn anchor(
        &mut self,
        group: GroupId,
        reset: Option<LogPosition>,
        anchored: LogIndex,
        record: Bytes,
        segment: u32,
    ) {
        if reset.is_some() {
            self.clear_entries(group);
        }
        self.live += anchor_bytes(&record);
        if let Some(state) = self.groups.get(&group) {
            self.live -= anchor_bytes(&state.record);
        }
        let state = self.groups.entry(group).or_default();
        state.record = record;
        state.anchor = segment;
        state.anchored = anchored;
        if let Some(start) = reset {
            state.start = start;
        }
    }

    fn append(&mut self, group: GroupId, places: impl IntoIterator<Item = Place>) {
        let Some(state) = self.groups.get_mut(&group) else { return };
        for place in places {
            count_in(&mut self.segments, &mut self.live, state, &place);
            state.entries.push_back(place);
        }
    }

    /// Replaces places of entries that are still there; the contents are the same.
    fn moved(&mut self, group: GroupId, first: LogIndex, places: impl Iterator<Item = Place>) {
        let Some(state) = self.groups.get_mut(&group) else { return };
        let from = (first.get() - state.start.index.get() - 1) as usize;
        for (at, place) in places.enumerate() {
            let Some(old) = state.entries.get_mut(from + at) else { return };
            let old = std::mem::replace(old, place);
            count_out(&mut self.segments, &mut self.live, state, &old);
            count_in(&mut self.segments, &mut self.live, state, &place);
        }
    }

    /// Forgets the entries at and behind `first`.
    fn cut_behind(&mut self, group: GroupId, first: LogIndex) {
        let Some(state) = self.groups.get_mut(&group) else { return };
        let keep = (first.get() - state.start.index.get() - 1) as usize;
        while state.entries.len() > keep {
            let Some(place) = state.entries.pop_back() else { return };
            count_out(&mut self.segments, &mut self.live, state, &place);
        }
    }

    fn clear_entries(&mut self, group: GroupId) {
        let Some(state) = self.groups.get_mut(&group) else { return };
        while let Some(place) = state.entries.pop_back() {
            count_out(&mut self.segments, &mut self.live, state, &place);
        }
        state.entries = VecDeque::new();
    }

    /// Moves a group's start up to `index`.
    pub(crate) fn cut(&mut self, group: GroupId, index: LogIndex) -> Result<(), LogError> {
        let Some(state) = self.groups.get_mut(&group) else {
            return Err(LogError::Beyond { group, index });
        };
        if index > state.last().index {
            return Err(LogError::Beyond { group, index });
        }
        while state.start.index < index {
            let Some(place) = state.entries.pop_front() else { break };
            state.start = LogPosition { index: state.start.index.next(), term: place.term };
            count_out(&mut self.segments, &mut self.live, state, &place);
        }
        if state.entries.capacity() > 64 && state.entries.len() < state.entries.capacity() / 4 {
            state.entries.shrink_to(state.entries.len() * 2);
        }
        Ok(())
    }

    /// Groups whose start and record would be lost or wrong without the segments up to `number`.
    pub(crate) fn anchors_needed(&self, number: u32) -> impl Iterator<Item = (GroupId, &Group)> {
        self.groups
            .iter()
            .filter(move |(_, state)| state.anchor <= number || state.anchored < state.start.index)
            .map(|(group, state)| (*group, state))
    }
}

/// What a group needs for its start and record.
fn anchor_bytes(record: &Bytes) -> u64 {
    (ANCHOR_BYTES + record.len()) as u64
}

fn count_in(segments: &mut BTreeMap<u32, Segment>, live: &mut u64, state: &mut Group, place: &Place) {
    state.bytes += u64::from(place.length);
    *state.spread.entry(place.segment).or_default() += 1;
    *live += place.live_bytes();
    if let Some(segment) = segments.get_mut(&place.segment) {
        segment.live += place.live_bytes();
    }
}

fn count_out(segments: &mut BTreeMap<u32, Segment>, live: &mut u64, state: &mut Group, place: &Place) {
    state.bytes -= u64::from(place.length);
    if let Some(count) = state.spread.get_mut(&place.segment) {
        *count -= 1;
        if *count == 0 {
            state.spread.remove(&place.segment);
        }
    }
    *live -= place.live_bytes();
    if let Some(segment) = segments.get_mut(&place.segment) {
        segment.live -= place.live_bytes();
    }
}
