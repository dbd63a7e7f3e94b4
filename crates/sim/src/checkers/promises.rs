//! What was written durably is there after every crash: a log's batches are whole or absent, and those
//! that were synced are there.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use replication::{GroupRecord, GroupStart};
use types::GroupId;
use wal::{GroupWrite, LogPosition};

/// What a log was told of each group.
#[derive(Default)]
pub struct Promises {
    durable: BTreeMap<GroupId, Told>,
    /// The same with the write that is under way.
    ahead: Option<BTreeMap<GroupId, Told>>,
    /// Groups whose replica here has lost what was promised. It stays so, however often the node starts, until the
    /// replica is gone.
    lost: BTreeSet<GroupId>,
}

/// What a log has of its groups: last entry and record.
pub type Found = BTreeMap<GroupId, (LogPosition, Bytes)>;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Told {
    last: LogPosition,
    record: Bytes,
}

impl Promises {
    /// A replica was made, durably.
    pub fn created(&mut self, start: &GroupStart) {
        let told = Told { last: start.log.1, record: start.record.to_bytes() };
        self.lost.remove(&start.group);
        self.durable.insert(start.group, told.clone());
        if let Some(ahead) = &mut self.ahead {
            // Written to the same file after the write that is under way, and synced with it.
            ahead.insert(start.group, told);
            self.durable = ahead.clone();
        }
    }

    /// What is durable of a group, if it is known: its last entry and its record.
    pub fn durable(&self, group: GroupId) -> Option<(LogPosition, GroupRecord)> {
        let told = self.durable.get(&group)?;
        Some((told.last, GroupRecord::from_bytes(&told.record).unwrap_or_default()))
    }

    /// A write is under way.
    pub fn writing(&mut self, batch: &[GroupWrite]) {
        let mut ahead = self.durable.clone();
        for write in batch {
            if write.delete {
                ahead.remove(&write.group);
                continue;
            }
            let told = ahead.entry(write.group).or_default();
            if let Some(reset) = write.reset {
                told.last = reset;
            }
            if let Some(entry) = write.entries.last() {
                told.last = LogPosition { index: entry.index, term: entry.term };
            }
            if let Some(record) = &write.record {
                told.record = record.clone();
            }
        }
        self.ahead = Some(ahead);
    }

    /// It is durable.
    pub fn written(&mut self) {
        if let Some(ahead) = self.ahead.take() {
            self.durable = ahead;
            self.lost.retain(|group| self.durable.contains_key(group));
        }
    }

    /// What was found of a group after a crash.
    pub fn opened(&mut self, start: &GroupStart) -> Result<(), String> {
        let found = Told { last: start.log.1, record: start.record.to_bytes() };
        let group = start.group;
        let is_durable = self.durable.get(&group) == Some(&found);
        let is_ahead = self.ahead.as_ref().is_some_and(|ahead| ahead.get(&group) == Some(&found));
        if (is_durable || is_ahead) && !self.lost.contains(&group) {
            return Ok(());
        }
        self.lost.insert(group);
        Err(format!("the log of group {group} is {}, was promised {}", shown(Some(&found)), {
            let ahead = self.ahead.as_ref().and_then(|ahead| ahead.get(&group));
            format!("{} or {}", shown(self.durable.get(&group)), shown(ahead))
        }))
    }

    /// The groups that were found after a crash. Afterwards what was found is what is promised.
    pub fn all_opened(&mut self, found: &Found) -> Result<(), String> {
        let missing = self.durable.keys().find(|group| {
            let deleted = self.ahead.as_ref().is_some_and(|ahead| !ahead.contains_key(group));
            !found.contains_key(group) && !deleted
        });
        let result = match missing {
            Some(group) => Err(format!("the log has forgotten group {group}")),
            None => Ok(()),
        };
        let told = |(last, record): &(LogPosition, Bytes)| Told { last: *last, record: record.clone() };
        self.durable = found.iter().map(|(group, found)| (*group, told(found))).collect();
        self.ahead = None;
        result
    }
}

fn shown(told: Option<&Told>) -> String {
    let Some(told) = told else { return "nothing".into() };
    let record = GroupRecord::from_bytes(&told.record).unwrap_or_default();
    let (index, term) = (told.last.index, told.last.term);
    let GroupRecord { term: current, vote, commit, state, .. } = record;
    format!("last {index}/{term}, term {current}, vote {vote}, commit {commit}, state {state}")
}
