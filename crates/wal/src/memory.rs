//! The reference: the contract in plain maps, for unit tests and as the model of the property tests.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use types::{GroupId, LogIndex, Term};

use crate::plan::{Head, plan};
use crate::store::{GroupSummary, GroupWrite, LogEntry, LogError, LogPosition, LogStore};

/// A log in memory. It keeps nothing over a restart, and nothing in it can fail.
#[derive(Debug, Default)]
pub struct MemoryLog {
    groups: Mutex<BTreeMap<GroupId, MemoryGroup>>,
}

#[derive(Clone, Debug, Default)]
struct MemoryGroup {
    record: Bytes,
    start: LogPosition,
    entries: BTreeMap<LogIndex, LogEntry>,
}

impl MemoryGroup {
    fn last(&self) -> LogPosition {
        match self.entries.last_key_value() {
            Some((index, entry)) => LogPosition { index: *index, term: entry.term },
            None => self.start,
        }
    }

    fn summary(&self, group: GroupId) -> GroupSummary {
        GroupSummary {
            group,
            record: self.record.clone(),
            start: self.start,
            last: self.last(),
            bytes: self.entries.values().map(|entry| entry.payload.len() as u64).sum(),
        }
    }

    fn apply(&mut self, write: &GroupWrite) {
        if let Some(start) = write.reset {
            self.start = start;
            self.entries.clear();
        }
        if let Some(first) = write.entries.first() {
            drop(self.entries.split_off(&first.index));
            self.entries.extend(write.entries.iter().map(|entry| (entry.index, entry.clone())));
        }
        if let Some(record) = &write.record {
            self.record = record.clone();
        }
    }
}

impl MemoryLog {
    /// An empty log.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<GroupId, MemoryGroup>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clone for MemoryLog {
    /// A log of its own with the same contents.
    fn clone(&self) -> Self {
        Self { groups: Mutex::new(self.lock().clone()) }
    }
}

impl LogStore for MemoryLog {
    fn groups(&self) -> Vec<GroupSummary> {
        self.lock().iter().map(|(group, state)| state.summary(*group)).collect()
    }

    fn group(&self, group: GroupId) -> Option<GroupSummary> {
        self.lock().get(&group).map(|state| state.summary(group))
    }

    fn write(&self, batch: &[GroupWrite], _sync: bool) -> Result<(), LogError> {
        let mut groups = self.lock();
        // Only the checks are shared with the other log; the effects are spelled out again.
        plan(batch, |group| {
            groups.get(&group).map(|state| Head {
                start: state.start,
                last: state.last().index,
                record: Bytes::new(),
            })
        })?;
        for write in batch {
            if write.delete {
                groups.remove(&write.group);
            } else if write.reset.is_some() || !write.entries.is_empty() || write.record.is_some() {
                groups.entry(write.group).or_default().apply(write);
            }
        }
        Ok(())
    }

    fn entries(
        &self,
        group: GroupId,
        from: LogIndex,
        to: LogIndex,
        bytes_max: u64,
    ) -> Result<Vec<LogEntry>, LogError> {
        if from >= to {
            return Ok(Vec::new());
        }
        let groups = self.lock();
        let Some(state) = groups.get(&group) else {
            return Err(LogError::Beyond { group, index: from });
        };
        if from <= state.start.index {
            return Err(LogError::Cut { group, start: state.start.index });
        }
        let after_last = state.last().index.next();
        if to > after_last {
            return Err(LogError::Beyond { group, index: from.max(after_last) });
        }
        let mut bytes = 0u64;
        let fits = |(at, entry): &(usize, &LogEntry)| {
            bytes = bytes.saturating_add(entry.payload.len() as u64);
            *at == 0 || bytes <= bytes_max
        };
        let wanted = state.entries.range(from..to).map(|(_, entry)| entry).enumerate();
        Ok(wanted.take_while(fits).map(|(_, entry)| entry.clone()).collect())
    }

    fn term(&self, group: GroupId, index: LogIndex) -> Result<Term, LogError> {
        let groups = self.lock();
        let Some(state) = groups.get(&group) else {
            return Err(LogError::Beyond { group, index });
        };
        if index == state.start.index {
            return Ok(state.start.term);
        }
        if index < state.start.index {
            return Err(LogError::Cut { group, start: state.start.index });
        }
        state.entries.get(&index).map(|entry| entry.term).ok_or(LogError::Beyond { group, index })
    }

    fn cut(&self, group: GroupId, index: LogIndex) -> Result<(), LogError> {
        let mut groups = self.lock();
        let Some(state) = groups.get_mut(&group) else {
            return Err(LogError::Beyond { group, index });
        };
        if index > state.last().index {
            return Err(LogError::Beyond { group, index });
        }
        if index > state.start.index {
            if let Some(entry) = state.entries.get(&index) {
                state.start = LogPosition { index, term: entry.term };
            }
            state.entries = state.entries.split_off(&index.next());
        }
        Ok(())
    }

    fn reclaim(&self) -> Result<(), LogError> {
        Ok(())
    }

    fn bytes(&self) -> u64 {
        self.lock().iter().map(|(group, state)| state.summary(*group).bytes).sum()
    }
}
