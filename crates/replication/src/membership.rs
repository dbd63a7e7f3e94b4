//! Who is in a group: pure arithmetic over memberships.
//!
//! A membership changes one replica at a time, through a learner: `add learner → promote → remove`. A replica
//! that shall stay without a vote goes the other way: `demote`, which is a simple change for `raft` as well,
//! because the set of voters differs by one.
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
    /// A voter loses its vote, and goes on as a learner.
    Demote,
}

/// A replica that shall be a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wished {
    /// The replica.
    pub replica: ReplicaId,
    /// Its node.
    pub node: NodeId,
    /// Whether it shall have a vote.
    pub voter: bool,
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
            ChangeKind::Demote => 4,
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
            4 => ChangeKind::Demote,
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
            ChangeKind::AddLearner | ChangeKind::Demote => ConfChangeType::AddLearnerNode,
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
    /// epoch, or would make no sense (promote a stranger, take the last vote).
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
            (ChangeKind::Demote, Some(place)) if !members[place].learner => members[place].learner = true,
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
/// votes, and only then does anybody leave or lose a vote. `ready` says whether a replica answers and has
/// caught up.
///
/// - A vote is taken away only when everybody who shall have one has it, and when a quorum of those that
///   are left is ready: a group is never made smaller than it can be led.
/// - The leader is never removed or demoted by itself: it must move first, and [`Step::MoveLeader`] says so.
pub fn next_step(
    current: &Membership,
    wished: &[Wished],
    leader: ReplicaId,
    ready: impl Fn(ReplicaId) -> bool,
) -> Option<Step> {
    let epoch = ConfigEpoch(current.epoch);
    let step = |kind, replica: u64, node: u64| {
        Some(Step::Change(Change { kind, replica: replica.into(), node: node.into(), epoch }))
    };
    let wish = |replica: u64| wished.iter().find(|wished| wished.replica.get() == replica);
    let shall_vote = |replica: u64| wish(replica).is_some_and(|wished| wished.voter);
    if !wished.iter().any(|wished| wished.voter) {
        return None;
    }
    // A learner that nobody wishes for any more never mattered to a quorum.
    if let Some(stray) =
        current.members.iter().find(|member| member.learner && wish(member.replica).is_none())
    {
        return step(ChangeKind::Remove, stray.replica, stray.node);
    }
    for Wished { replica, node, voter } in wished {
        match current.members.iter().find(|member| member.replica == replica.get()) {
            None => return step(ChangeKind::AddLearner, replica.get(), node.get()),
            Some(member) if member.learner && *voter && ready(*replica) => {
                return step(ChangeKind::Promote, replica.get(), node.get());
            }
            Some(_) => {}
        }
    }
    let votes = |replica: u64| voters(current).any(|member| member.replica == replica);
    if !wished.iter().all(|wished| !wished.voter || votes(wished.replica.get())) {
        return None;
    }
    let losing = voters(current).find(|member| !shall_vote(member.replica) && member.replica != leader.get());
    match losing {
        Some(member) if is_led_without(current, member.replica, leader, &ready) => {
            let kind = if wish(member.replica).is_some() { ChangeKind::Demote } else { ChangeKind::Remove };
            step(kind, member.replica, member.node)
        }
        None if !shall_vote(leader.get()) => Some(Step::MoveLeader),
        _ => None,
    }
}

/// Whether the voters other than one have a quorum of their own that is ready.
fn is_led_without(
    current: &Membership,
    without: u64,
    leader: ReplicaId,
    ready: impl Fn(ReplicaId) -> bool,
) -> bool {
    let left = || voters(current).map(|member| member.replica).filter(|replica| *replica != without);
    let answering = left().filter(|&replica| replica == leader.get() || ready(replica.into())).count();
    answering > left().count() / 2
}

/// What a leader should do about its group's membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Propose this change.
    Change(Change),
    /// Hand leadership to a replica that keeps its vote.
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

    /// A wish, written like a membership: who shall be in it, and whether as a learner.
    fn wish(ids: &[(u64, bool)]) -> Vec<Wished> {
        let wished = |&(id, learner): &(u64, bool)| Wished {
            replica: ReplicaId(id),
            node: NodeId(id * 10),
            voter: !learner,
        };
        ids.iter().map(wished).collect()
    }

    /// Follows the steps until there are none; learners are always ready.
    fn settle(mut membership: Membership, wished: &[(u64, bool)], mut leader: u64) -> (Membership, usize) {
        let mut least_votes = voters(&membership).count();
        for _ in 0..20 {
            match next_step(&membership, &wish(wished), ReplicaId(leader), |_| true) {
                Some(Step::Change(change)) => {
                    assert!(change.replica.get() != leader, "a leader is never demoted or removed");
                    membership = change.apply_to(&membership).unwrap();
                }
                Some(Step::MoveLeader) => leader = wished.iter().find(|(_, learner)| !learner).unwrap().0,
                None => return (membership, least_votes),
            }
            least_votes = least_votes.min(voters(&membership).count());
        }
        panic!("does not settle: {membership:?}");
    }

    #[test]
    fn a_replacement_never_has_fewer_votes_than_before() {
        let wished = [(1, false), (2, false), (4, false)];
        let (membership, least) = settle(group(4, &[(1, false), (2, false), (3, false)]), &wished, 3);
        assert_eq!(membership, group(7, &wished));
        assert_eq!(least, 3);
    }

    #[test]
    fn a_voter_that_shall_be_a_learner_stays_without_its_vote_and_gets_it_back() {
        let three = [(1, false), (2, false), (3, false)];
        let two = [(1, false), (2, true), (3, false)];
        let one = [(1, true), (2, true), (3, false)];
        let (membership, _) = settle(group(4, &three), &two, 2);
        assert_eq!(membership, group(5, &two), "led by the one that was to lose its vote");
        let (membership, least) = settle(membership, &one, 1);
        assert_eq!((membership.clone(), least), (group(6, &one), 1));
        assert_eq!(settle(membership, &three, 3).0, group(8, &three));
    }

    #[test]
    fn a_demotion_waits_for_the_vote_that_takes_its_place() {
        let current = group(4, &[(1, false), (2, false), (3, true)]);
        let wished = wish(&[(1, false), (2, true), (3, false)]);
        let step = |ready: bool| next_step(&current, &wished, ReplicaId(1), |id| id.get() != 3 || ready);
        assert_eq!(step(false), None);
        let Some(Step::Change(change)) = step(true) else { panic!("the learner has caught up") };
        assert_eq!((change.kind, change.replica), (ChangeKind::Promote, ReplicaId(3)));
    }

    #[test]
    fn no_vote_is_taken_that_the_group_needs() {
        let current = group(4, &[(1, false), (2, false), (3, false)]);
        let step = |dead: u64| {
            let wished = wish(&[(1, false), (2, false), (3, true)]);
            next_step(&current, &wished, ReplicaId(1), |id| id.get() != dead)
        };
        assert!(matches!(step(3), Some(Step::Change(Change { kind: ChangeKind::Demote, .. }))));
        assert_eq!(step(2), None, "1 and 3 are the quorum; 1 alone would be none");
        assert_eq!(next_step(&current, &wish(&[(1, true), (2, true)]), ReplicaId(1), |_| true), None);
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
        let demote = Change { kind: ChangeKind::Demote, ..remove };
        assert_eq!(demote.apply_to(&one), None);
        assert_eq!(Change::from_bytes(&demote.to_bytes()), Some(demote));
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
