//! Applied positions and stamps never go back, except by a crash, and then not below what was durable.

use std::collections::BTreeMap;

use engine::Applied;
use replication::Applier;
use types::{GroupId, Hlc, LogIndex, ReplicaId};

use crate::event::Place;

/// How far each replica was.
#[derive(Default)]
pub struct Positions {
    durable: BTreeMap<(Place, GroupId), LogIndex>,
    /// The stamp at each position, by group: later positions have later stamps.
    stamps: BTreeMap<GroupId, BTreeMap<u64, Hlc>>,
}

impl Positions {
    /// A replica went from one position to another.
    pub fn applied(
        &mut self,
        place: Place,
        (group, replica): (GroupId, ReplicaId),
        (before, stamp_before): (Applied, Hlc),
        applier: &Applier,
    ) -> Result<(), String> {
        let (after, stamp) = (applier.applied(), applier.hlc());
        let who = format!("replica {replica} of group {group} on node {}", place + 1);
        if after.index < before.index || after.term < before.term {
            return Err(format!("{who} goes back from {before:?} to {after:?}"));
        }
        if stamp < stamp_before {
            return Err(format!("the stamp of {who} goes back from {stamp_before} to {stamp}"));
        }
        self.stamp(group, after.index, stamp)
    }

    /// A crash would lose nothing up to here.
    pub fn durable(&mut self, place: Place, group: GroupId, index: LogIndex) {
        let known = self.durable.entry((place, group)).or_default();
        *known = (*known).max(index);
    }

    /// A replica was opened after a crash.
    pub fn opened(&mut self, place: Place, group: GroupId, applier: &Applier) -> Result<(), String> {
        let durable = self.durable.get(&(place, group)).copied().unwrap_or_default();
        let applied = applier.applied().index;
        if applied < durable {
            let node = place + 1;
            return Err(format!("group {group} on node {node} was durable to {durable}, is at {applied}"));
        }
        self.stamp(group, applied, applier.hlc())
    }

    /// A replica is gone, and what it had does not bind the next one.
    pub fn removed(&mut self, place: Place, group: GroupId) {
        self.durable.remove(&(place, group));
    }

    fn stamp(&mut self, group: GroupId, index: LogIndex, stamp: Hlc) -> Result<(), String> {
        let stamps = self.stamps.entry(group).or_default();
        if let Some((earlier, known)) = stamps.range(..=index.get()).next_back()
            && *known > stamp
        {
            return Err(format!("group {group}: stamp {known} at {earlier}, but {stamp} at {index}"));
        }
        if let Some((later, known)) = stamps.range(index.get()..).next()
            && *known < stamp
        {
            return Err(format!("group {group}: stamp {stamp} at {index}, but {known} at {later}"));
        }
        stamps.insert(index.get(), stamp);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_rise_with_positions_in_whatever_order_they_are_seen() {
        let mut positions = Positions::default();
        let mut stamp = |index, stamp| positions.stamp(GroupId(1), LogIndex(index), Hlc(stamp));
        assert!(stamp(10, 100).is_ok());
        assert!(stamp(5, 50).is_ok());
        assert!(stamp(7, 49).is_err());
        assert!(stamp(7, 101).is_err());
        assert!(stamp(10, 99).is_err());
    }
}
