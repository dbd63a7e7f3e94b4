//! Who is in a group: pure arithmetic over memberships.
//!
//! A membership changes one replica at a time, through a learner: `add learner → promote → remove`.
//! Each change names the config epoch that it expects; an entry that expects another one changes
//! nothing, so a directive that was repeated or overtaken is harmless.

use api::peer::{Member, Membership, SnapshotMeta};
use bytes::Bytes;
use prost::Message as _;
use protobuf::Message as _;
use raft::eraftpb::{ConfChange, ConfChangeType, ConfState, Snapshot};
use types::{ConfigEpoch, NodeId, ReplicaId};

/// One step of a membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// What happens to the replica.
    pub kind: ChangeKind,
    /// The replica.
    pub replica: ReplicaId,
    /// Its node.
    pub node: NodeId,
    /// The epoch that the membership must have for the change to count.
    pub epoch: ConfigEpoch,
}

/// What happens to a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It begins to receive the log, without a vote.
    AddLearner,
    /// A learner gets its vote.
    Promote,
    /// It leaves.
    Remove,
}

/// A change as stored in its entry.
#[derive(Clone, PartialEq, prost::Message)]
struct StoredChange {
    #[prost(uint32, tag = "1")]
    kind: u32,
    #[prost(uint64, tag = "2")]
    replica: u64,
    #[prost(uint64, tag = "3")]
    node: u64,
    #[prost(uint64, tag = "4")]
    epoch: u64,
}

impl Change {
    /// The bytes that the entry carries for us.
    pub fn to_bytes(self) -> Bytes {
        let kind = match self.kind {
            ChangeKind::AddLearner => 1,
            ChangeKind::Promote => 2,
            ChangeKind::Remove => 3,
        };
        let stored = StoredChange {
            kind,
            replica: self.replica.get(),
            node: self.node.get(),
            epoch: self.epoch.get(),
        };
        stored.encode_to_vec().into()
    }

    /// Reads what [`Self::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let stored = StoredChange::decode(bytes).ok()?;
        let kind = match stored.kind {
            1 => ChangeKind::AddLearner,
            2 => ChangeKind::Promote,
            3 => ChangeKind::Remove,
            _ => return None,
        };
        Some(Self {
            kind,
            replica: stored.replica.into(),
            node: stored.node.into(),
            epoch: stored.epoch.into(),
        })
    }

    /// The change as `raft` knows it.
    pub fn to_raft(self) -> ConfChange {
        let mut change = ConfChange::default();
        change.set_change_type(match self.kind {
            ChangeKind::AddLearner => ConfChangeType::AddLearnerNode,
            ChangeKind::Promote => ConfChangeType::AddNode,
            ChangeKind::Remove => ConfChangeType::RemoveNode,
        });
        change.node_id = self.replica.get();
        change
    }

    /// [`Self::to_raft`], encoded as `raft` wants it inside an entry.
    pub fn to_raft_bytes(self) -> Bytes {
        self.to_raft().write_to_bytes().expect("encoding three numbers into memory cannot fail").into()
    }

    /// The membership after this change, or `None` if the change does not count: it expects another
    /// epoch, or would make no sense (promote a stranger, remove the last voter).
    pub fn apply_to(self, membership: &Membership) -> Option<Membership> {
        if membership.epoch != self.epoch.get() {
            return None;
        }
        let mut members = membership.members.clone();
        let place = members.iter().position(|member| member.replica == self.replica.get());
        match (self.kind, place) {
            (ChangeKind::AddLearner, None) if self.replica != ReplicaId::NONE => {
                members.push(Member { replica: self.replica.get(), node: self.node.get(), learner: true })
            }
            (ChangeKind::Promote, Some(place)) if members[place].learner => members[place].learner = false,
            (ChangeKind::Remove, Some(place)) => {
                members.remove(place);
            }
            _ => return None,
        }
        members.sort_by_key(|member| member.replica);
        let membership = Membership { epoch: membership.epoch + 1, members };
        (voters(&membership).count() > 0).then_some(membership)
    }
}

/// The replicas with a vote, in order of id.
pub fn voters(membership: &Membership) -> impl Iterator<Item = &Member> {
    membership.members.iter().filter(|member| !member.learner)
}

/// The node of a replica.
pub fn node_of(membership: &Membership, replica: u64) -> Option<NodeId> {
    membership.members.iter().find(|member| member.replica == replica).map(|member| member.node.into())
}

/// How late a replica campaigns compared to the others: its place among the voters.
pub fn rank(membership: &Membership, replica: ReplicaId) -> usize {
    voters(membership).position(|member| member.replica == replica.get()).unwrap_or(0)
}

/// How many votes decide.
pub fn quorum(membership: &Membership) -> usize {
    voters(membership).count() / 2 + 1
}

/// The membership as `raft` stores it.
pub fn conf_state(membership: &Membership) -> ConfState {
    let ids = |learner: bool| {
        membership
            .members
            .iter()
            .filter(move |member| member.learner == learner)
            .map(|member| member.replica)
            .collect::<Vec<u64>>()
    };
    ConfState::from((ids(false), ids(true)))
}

/// A `raft` snapshot at a position, for a membership; the state itself travels as chunks.
pub fn snapshot(meta: &SnapshotMeta) -> Snapshot {
    let mut snapshot = Snapshot::default();
    let membership = meta.membership.clone().unwrap_or_default();
    let metadata = snapshot.mut_metadata();
    metadata.index = meta.index;
    metadata.term = meta.term;
    metadata.set_conf_state(conf_state(&membership));
    snapshot.data = meta.encode_to_vec().into();
    snapshot
}

/// What a snapshot made by [`snapshot`] stands for.
pub fn snapshot_meta(index: u64, term: u64, snapshot: &Snapshot) -> Option<SnapshotMeta> {
    let meta = SnapshotMeta::decode(snapshot.data.clone()).ok()?;
    (meta.index == index && meta.term == term).then_some(meta)
}

/// The snapshot of a description from the wire; `None` when it is no possible group.
pub fn snapshot_from_meta(meta: &SnapshotMeta) -> Option<Snapshot> {
    let membership = meta.membership.as_ref()?;
    let ordered = membership.members.windows(2).all(|pair| pair[0].replica < pair[1].replica);
    let named = membership.members.iter().all(|member| member.replica != 0);
    let possible = ordered && named && voters(membership).count() > 0 && meta.index > 0 && meta.term > 0;
    possible.then(|| snapshot(meta))
}

/// The next single step from the membership in force to the wished one, if any: learners first, then
/// votes, and only then does anybody leave. `ready` says whether a learner has caught up. The leader
/// is never removed by itself: it must move first, and [`next_step`] says so by [`Step::MoveLeader`].
pub fn next_step(
    current: &Membership,
    wished: &[(ReplicaId, NodeId)],
    leader: ReplicaId,
    ready: impl Fn(ReplicaId) -> bool,
) -> Option<Step> {
    let epoch = ConfigEpoch(current.epoch);
    let step =
        |kind, replica: ReplicaId, node: NodeId| Some(Step::Change(Change { kind, replica, node, epoch }));
    let is_wished = |replica: u64| wished.iter().any(|(wished, _)| wished.get() == replica);
    if wished.is_empty() {
        return None;
    }
    // A learner that nobody wishes for any more never mattered to a quorum.
    if let Some(stray) = current.members.iter().find(|member| member.learner && !is_wished(member.replica)) {
        return step(ChangeKind::Remove, stray.replica.into(), stray.node.into());
    }
    for &(replica, node) in wished {
        match current.members.iter().find(|member| member.replica == replica.get()) {
            None => return step(ChangeKind::AddLearner, replica, node),
            Some(member) if member.learner && ready(replica) => {
                return step(ChangeKind::Promote, replica, node);
            }
            Some(_) => {}
        }
    }
    // Take a vote away only when everybody wished for has one.
    let all_vote =
        wished.iter().all(|(replica, _)| voters(current).any(|member| member.replica == replica.get()));
    let leaving = voters(current).find(|member| !is_wished(member.replica) && member.replica != leader.get());
    match leaving {
        Some(member) if all_vote => step(ChangeKind::Remove, member.replica.into(), member.node.into()),
        None if all_vote && !is_wished(leader.get()) => Some(Step::MoveLeader),
        _ => None,
    }
}

/// What a leader should do about its group's membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Propose this change.
    Change(Change),
    /// Hand leadership to a replica that stays.
    MoveLeader,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(epoch: u64, members: &[(u64, bool)]) -> Membership {
        let members =
            members.iter().map(|&(id, learner)| Member { replica: id, node: id * 10, learner }).collect();
        Membership { epoch, members }
    }

    fn wish(ids: &[u64]) -> Vec<(ReplicaId, NodeId)> {
        ids.iter().map(|&id| (ReplicaId(id), NodeId(id * 10))).collect()
    }

    /// Follows the steps until there are none; learners are always ready.
    fn settle(mut membership: Membership, wished: &[u64], mut leader: u64) -> (Membership, usize) {
        let mut least_votes = voters(&membership).count();
        for _ in 0..20 {
            match next_step(&membership, &wish(wished), ReplicaId(leader), |_| true) {
                Some(Step::Change(change)) => membership = change.apply_to(&membership).unwrap(),
                Some(Step::MoveLeader) => leader = wished[0],
                None => return (membership, least_votes),
            }
            least_votes = least_votes.min(voters(&membership).count());
        }
        panic!("does not settle: {membership:?}");
    }

    #[test]
    fn a_replacement_never_has_fewer_votes_than_before() {
        let (membership, least) = settle(group(4, &[(1, false), (2, false), (3, false)]), &[1, 2, 4], 3);
        assert_eq!(membership, group(7, &[(1, false), (2, false), (4, false)]));
        assert_eq!(least, 3);
    }

    #[test]
    fn a_change_counts_only_at_its_epoch_and_never_removes_the_last_vote() {
        let one = group(2, &[(1, false)]);
        let remove = Change {
            kind: ChangeKind::Remove,
            replica: ReplicaId(1),
            node: NodeId(10),
            epoch: ConfigEpoch(2),
        };
        assert_eq!(remove.apply_to(&one), None);
        let add = Change { kind: ChangeKind::AddLearner, replica: ReplicaId(2), ..remove };
        assert_eq!(Change { epoch: ConfigEpoch(1), ..add }.apply_to(&one), None);
        let two = add.apply_to(&one).unwrap();
        assert_eq!(add.apply_to(&two), None, "the same entry again changes nothing");
    }

    #[test]
    fn snapshots_carry_the_membership() {
        let meta = SnapshotMeta {
            index: 9,
            term: 3,
            membership: Some(group(2, &[(1, false), (2, true)])),
            transfer: 5,
        };
        let made = snapshot_from_meta(&meta).unwrap();
        assert_eq!(snapshot_meta(9, 3, &made), Some(meta.clone()));
        assert_eq!(made.get_metadata().get_conf_state().learners, [2]);
        let nobody = SnapshotMeta { membership: Some(group(1, &[(2, true)])), ..meta };
        assert_eq!(snapshot_from_meta(&nobody), None);
    }
}
