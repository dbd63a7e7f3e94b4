//! A survivor of a lost majority goes on alone, under a new id.
//!
//! ```text
//!   replica s, members {s, a, b}        ──one synced record──►        replica s', members {s'}
//!   term t, last entry (i, t)                                         term era << 32, the same log and state
//! ```
//!
//! The group's record in the log is the one commit point. The membership that the state has stored is older until
//! the applier commits again, so the record's is in force whenever its epoch is higher. Why this is
//! safe, and what it gives up: `docs/decisions/2026-11-26-recover-quorum.md`.

use api::peer::{Member, Membership};
use types::{GroupId, NodeId, ReplicaId};
use wal::GroupWrite;

use crate::effects::{Effect, GroupStart, LogWrite};
use crate::group::Group;
use crate::worker::Worker;

/// The number of the write that makes a takeover durable; those of a running group begin at 1.
const WRITE_NUMBER: u64 = 0;

/// What makes a survivor the only member of its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Takeover {
    /// The group.
    pub group: GroupId,
    /// The replica that survived; its id ends.
    pub survivor: ReplicaId,
    /// The id under which it goes on.
    pub replica: ReplicaId,
    /// Its node.
    pub node: NodeId,
    /// A term that no replica of the old group can reach.
    pub term: u64,
    /// A config epoch of which the same is true.
    pub epoch: u64,
}

impl Takeover {
    /// The group afterwards.
    pub fn membership(&self) -> Membership {
        let member = Member { replica: self.replica.get(), node: self.node.get(), learner: false };
        Membership { epoch: self.epoch, members: vec![member] }
    }
}

/// A replica whose takeover is on its way to the disk.
pub(crate) struct Pending {
    start: GroupStart,
    takeover: Takeover,
}

impl Worker {
    /// Stops a survivor and writes the record that makes it the only member. Passed over while the replica is
    /// not at rest; whoever wants it asks again.
    pub(crate) fn take_over(&mut self, takeover: Takeover) {
        let id = takeover.group;
        let Some(start) = self.group(id).and_then(|group| group.taken_over(&takeover)) else { return };
        tracing::warn!(
            group = id.get(),
            survivor = takeover.survivor.get(),
            replica = takeover.replica.get(),
            "the only member from now on"
        );
        self.withdraw(id);
        let record = Some(start.record.to_bytes());
        let write = Some(GroupWrite { group: id, record, ..Default::default() });
        self.push(Effect::Write(LogWrite { number: WRITE_NUMBER, write, group: id, then: Vec::new() }));
        self.pending.insert(id, Pending { start, takeover });
    }

    /// A write is durable. Whether it was that of a takeover, whose replica begins now.
    pub(crate) fn taken_over(&mut self, group: GroupId, number: u64) -> bool {
        if number != WRITE_NUMBER {
            return false;
        }
        let Some(Pending { start, takeover }) = self.pending.remove(&group) else { return false };
        self.push(Effect::TakeOver(takeover));
        self.start(start);
        true
    }

    /// Whether a replica of the group is between its two ids.
    pub(crate) fn is_taking_over(&self, group: GroupId) -> bool {
        self.pending.contains_key(&group)
    }
}

impl Group {
    /// This replica as it begins after a takeover. Nothing unless it is the survivor and at rest: it does not
    /// lead and hears no leader, and no entry, write or snapshot is under way.
    fn taken_over(&self, takeover: &Takeover) -> Option<GroupStart> {
        let is_it = self.replica() == takeover.survivor && takeover.replica != takeover.survivor;
        let is_above = takeover.term > self.term() && takeover.epoch > self.epoch();
        if !is_it || !is_above || !self.is_at_rest() {
            return None;
        }
        let mut record = self.record().clone();
        record.replica = takeover.replica.get();
        (record.term, record.vote) = (takeover.term, 0);
        record.takeover = Some(takeover.membership());
        Some(GroupStart {
            group: takeover.group,
            record,
            log: self.extent(),
            applied: self.applied(),
            membership: takeover.membership(),
            hlc: self.hlc(),
            is_new: false,
        })
    }
}
