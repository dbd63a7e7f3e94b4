//! What `raft` reads of a group: its log, its hard state, its membership, its snapshots.
//!
//! Recent entries are kept in memory, from the oldest that somebody may still need soon to the newest,
//! written or not. Older ones are read from the log store. A snapshot is only *described* here; the
//! state itself travels as chunks (see `snapshot`).

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use api::peer::{Membership, SnapshotMeta};
use raft::eraftpb::{Entry, HardState, Snapshot};
use raft::{Error, GetEntriesContext, RaftState, StorageError};
use types::{GroupId, LogIndex, limits};
use wal::{LogError, LogPosition, LogStore};

use crate::{membership, message};

/// A group's log as `raft` sees it.
pub struct GroupStorage {
    group: GroupId,
    log: Arc<dyn LogStore>,
    start: LogPosition,
    last: LogPosition,
    recent: VecDeque<Entry>,
    recent_bytes: usize,
    hard_state: HardState,
    membership: Membership,
    snapshots: RefCell<BTreeMap<u64, SnapshotSlot>>,
}

/// A follower's need for a snapshot.
#[derive(Clone, Debug)]
enum SnapshotSlot {
    /// `raft` asked for one; nobody has been told yet.
    Wanted,
    /// The state is being taken hold of.
    Asked,
    /// Described and ready to leave.
    Ready(SnapshotMeta),
}

impl GroupStorage {
    /// A group as its log and state left it.
    pub fn new(
        group: GroupId,
        log: Arc<dyn LogStore>,
        start: LogPosition,
        last: LogPosition,
        hard_state: HardState,
        membership: Membership,
    ) -> Self {
        Self {
            group,
            log,
            start,
            last,
            recent: VecDeque::new(),
            recent_bytes: 0,
            hard_state,
            membership,
            snapshots: RefCell::default(),
        }
    }

    /// The position before the first entry.
    pub fn start(&self) -> LogPosition {
        self.start
    }

    /// The last entry.
    pub fn last(&self) -> LogPosition {
        self.last
    }

    /// Bytes of entries held in memory.
    pub fn recent_bytes(&self) -> usize {
        self.recent_bytes
    }

    /// Bytes of entries in the log store.
    pub fn log_bytes(&self) -> u64 {
        self.log.group(self.group).map_or(0, |summary| summary.bytes)
    }

    /// The membership in force.
    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    /// Replaces the membership in force.
    pub fn set_membership(&mut self, membership: Membership) {
        self.membership = membership;
    }

    /// Takes over new entries; a suffix that they replace is dropped.
    pub fn append(&mut self, entries: &[Entry]) {
        let Some(first) = entries.first() else { return };
        while self.recent.back().is_some_and(|entry| entry.index >= first.index) {
            let dropped = self.recent.pop_back();
            self.recent_bytes -= dropped.map_or(0, |entry| entry_bytes(&entry));
        }
        debug_assert!(self.recent.back().is_none_or(|entry| entry.index + 1 == first.index));
        for entry in entries {
            self.recent_bytes += entry_bytes(entry);
            self.recent.push_back(entry.clone());
            self.last = LogPosition { index: entry.index.into(), term: entry.term.into() };
        }
    }

    /// Lets go of recent entries up to `index` (included), which are written and not needed soon; and
    /// of more, up to `written`, when they take too much memory.
    pub fn trim(&mut self, index: u64, written: u64) {
        while let Some(entry) = self.recent.front() {
            let over = self.recent_bytes > limits::ENTRY_CACHE_BYTES;
            if entry.index > written || (entry.index > index && !over) {
                break;
            }
            self.recent_bytes -= entry_bytes(entry);
            self.recent.pop_front();
        }
        if self.recent.is_empty() {
            self.recent.shrink_to(8);
        }
    }

    /// A snapshot replaces everything.
    pub fn reset(&mut self, position: LogPosition, membership: Membership) {
        self.start = position;
        self.last = position;
        self.recent.clear();
        self.recent_bytes = 0;
        self.membership = membership;
        self.snapshots.borrow_mut().clear();
    }

    /// The log up to `position` is no longer needed.
    pub fn cut(&mut self, position: LogPosition) {
        self.start = position;
        while self.recent.front().is_some_and(|entry| entry.index <= position.index.get()) {
            let dropped = self.recent.pop_front();
            self.recent_bytes -= dropped.map_or(0, |entry| entry_bytes(&entry));
        }
    }

    /// The followers that need a snapshot and for whom none is being made yet.
    pub fn take_wanted_snapshots(&mut self) -> Vec<u64> {
        let mut wanted = Vec::new();
        for (&to, slot) in self.snapshots.borrow_mut().iter_mut() {
            if matches!(slot, SnapshotSlot::Wanted) {
                *slot = SnapshotSlot::Asked;
                wanted.push(to);
            }
        }
        wanted
    }

    /// A snapshot for a follower is ready to leave.
    pub fn offer_snapshot(&mut self, to: u64, meta: SnapshotMeta) {
        self.snapshots.borrow_mut().insert(to, SnapshotSlot::Ready(meta));
    }

    /// The follower's snapshot has left, failed, or is no longer wanted.
    pub fn forget_snapshot(&mut self, to: u64) {
        self.snapshots.borrow_mut().remove(&to);
    }

    fn read(&self, low: u64, high: u64, bytes_max: u64) -> raft::Result<Vec<Entry>> {
        let stored = self
            .log
            .entries(self.group, LogIndex(low), LogIndex(high), bytes_max)
            .map_err(|error| self.storage_error(error))?;
        stored
            .into_iter()
            .map(|entry| {
                let index = entry.index;
                message::from_log(entry).ok_or_else(|| {
                    Error::Store(StorageError::Other(
                        format!("entry {index} of group {} is of no known kind", self.group).into(),
                    ))
                })
            })
            .collect()
    }

    fn storage_error(&self, error: LogError) -> Error {
        Error::Store(match error {
            LogError::Cut { .. } => StorageError::Compacted,
            LogError::Beyond { .. } => StorageError::Unavailable,
            other => StorageError::Other(Box::new(other)),
        })
    }
}

impl raft::Storage for GroupStorage {
    fn initial_state(&self) -> raft::Result<RaftState> {
        Ok(RaftState::new(self.hard_state.clone(), membership::conf_state(&self.membership)))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _context: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        let bytes_max = max_size.into().unwrap_or(u64::MAX);
        if low <= self.start.index.get() {
            return Err(Error::Store(StorageError::Compacted));
        }
        if high > self.last.index.get() + 1 {
            return Err(Error::Store(StorageError::Unavailable));
        }
        let recent_first = self.recent.front().map_or(u64::MAX, |entry| entry.index);
        if low < recent_first {
            return self.read(low, high.min(recent_first), bytes_max);
        }
        let skipped = (low - recent_first) as usize;
        let mut bytes = 0;
        let wanted = self.recent.iter().skip(skipped).take((high - low) as usize);
        Ok(wanted
            .take_while(|entry| {
                let first = bytes == 0;
                bytes += entry_bytes(entry) as u64;
                first || bytes <= bytes_max
            })
            .cloned()
            .collect())
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        if index == self.start.index.get() {
            return Ok(self.start.term.get());
        }
        if index < self.start.index.get() {
            return Err(Error::Store(StorageError::Compacted));
        }
        if index > self.last.index.get() {
            return Err(Error::Store(StorageError::Unavailable));
        }
        match self.recent.front() {
            Some(first) if index >= first.index => Ok(self.recent[(index - first.index) as usize].term),
            _ => self
                .log
                .term(self.group, LogIndex(index))
                .map(|term| term.get())
                .map_err(|error| self.storage_error(error)),
        }
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.start.index.get() + 1)
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.last.index.get())
    }

    fn snapshot(&self, request_index: u64, to: u64) -> raft::Result<Snapshot> {
        let mut slots = self.snapshots.borrow_mut();
        match slots.get(&to) {
            Some(SnapshotSlot::Ready(meta)) if meta.index >= request_index.max(self.start.index.get()) => {
                Ok(membership::snapshot(meta))
            }
            Some(SnapshotSlot::Asked | SnapshotSlot::Wanted) => {
                Err(Error::Store(StorageError::SnapshotTemporarilyUnavailable))
            }
            // None yet, or the log has moved past the one that was ready.
            _ => {
                slots.insert(to, SnapshotSlot::Wanted);
                Err(Error::Store(StorageError::SnapshotTemporarilyUnavailable))
            }
        }
    }
}

/// What an entry takes, for limits.
pub fn entry_bytes(entry: &Entry) -> usize {
    std::mem::size_of::<Entry>() + entry.data.len() + entry.context.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use raft::Storage;
    use types::Term;

    fn entry(index: u64, term: u64) -> Entry {
        Entry { index, term, data: vec![1, index as u8].into(), ..Default::default() }
    }

    fn storage(log: Arc<dyn LogStore>) -> GroupStorage {
        let start = LogPosition { index: LogIndex(5), term: Term(5) };
        let mut storage =
            GroupStorage::new(GroupId(1), log, start, start, HardState::default(), Membership::default());
        storage.append(&[entry(6, 5), entry(7, 5), entry(8, 6)]);
        storage
    }

    fn indexes(entries: raft::Result<Vec<Entry>>) -> Vec<u64> {
        entries.unwrap().iter().map(|entry| entry.index).collect()
    }

    #[test]
    fn entries_come_from_memory_or_the_log_and_conflicts_are_replaced() {
        let log = Arc::new(wal::MemoryLog::default());
        let mut storage = storage(log.clone());
        let write = wal::GroupWrite {
            group: GroupId(1),
            reset: Some(storage.start()),
            entries: vec![message::to_log(&entry(6, 5)), message::to_log(&entry(7, 5))],
            ..Default::default()
        };
        log.write(&[write], true).unwrap();
        let context = || GetEntriesContext::empty(false);
        storage.trim(6, 7);
        assert_eq!(indexes(storage.entries(6, 9, None, context())), [6], "one source at a time");
        assert_eq!(indexes(storage.entries(7, 9, None, context())), [7, 8]);
        assert_eq!(indexes(storage.entries(7, 9, 1, context())), [7], "at least one");
        storage.append(&[entry(8, 7), entry(9, 7)]);
        assert_eq!(storage.term(8).unwrap(), 7);
        assert_eq!(storage.term(5).unwrap(), 5);
        assert!(matches!(storage.term(4), Err(Error::Store(StorageError::Compacted))));
        storage.cut(LogPosition { index: LogIndex(7), term: Term(5) });
        assert!(matches!(storage.entries(7, 9, None, context()), Err(Error::Store(StorageError::Compacted))));
    }

    #[test]
    fn a_snapshot_is_asked_for_once_and_offered_until_it_leaves() {
        let mut storage = storage(Arc::new(wal::MemoryLog::default()));
        assert!(storage.snapshot(0, 3).is_err());
        assert!(storage.snapshot(0, 3).is_err());
        assert_eq!(storage.take_wanted_snapshots(), [3]);
        assert!(storage.take_wanted_snapshots().is_empty());
        let meta = SnapshotMeta { index: 8, term: 6, membership: Some(Membership::default()), transfer: 1 };
        storage.offer_snapshot(3, meta);
        assert_eq!(storage.snapshot(0, 3).unwrap().get_metadata().index, 8);
        storage.forget_snapshot(3);
        assert!(storage.snapshot(0, 3).is_err());
    }
}
