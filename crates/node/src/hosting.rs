//! From the catalog's wish to the replicas of this node: a pure comparison.
//!
//! A replica that the catalog has seen established and that is missing here is *lost*: making it again
//! under its old id would break promises that it gave. It is reported, and the catalog names a new one.
//!
//! A replica that is no longer *wished for* may still have a vote: the wish comes first, and the group follows
//! it by and by. It stays until the group has let it go.

use std::collections::BTreeMap;

use api::catalog::PartitionRecord;
use api::peer::Membership;
use catalog::{Birth, HostedReplica, mutant};
use replication::Takeover;
use replication::start::NewReplica;
use types::{GroupId, NodeId, ReplicaId};

/// Something to do about a replica of this node.
#[derive(Clone, Debug, PartialEq)]
pub enum HostAction {
    /// Make it.
    Create(NewReplica),
    /// The catalog does not wish for it: remove it. If another replica of its group is wished for, that
    /// one is made when this one is gone.
    Remove(GroupId, ReplicaId),
    /// It survived the others of its group, and goes on alone under a new id. Said again until it has.
    TakeOver(Takeover),
    /// It was here once and is gone.
    ReportLost(GroupId, ReplicaId),
    /// It is here durably, and the catalog does not know yet.
    ReportEstablished(GroupId, ReplicaId),
}

/// What to do so that this node hosts what is wished. `here` has every replica on this node, stopped and
/// damaged ones included; `may_go` says of one that is not wished for whether it is free to, see [`may_go`].
pub fn reconcile(
    wished: &[HostedReplica],
    here: &BTreeMap<GroupId, ReplicaId>,
    may_go: impl Fn(GroupId, ReplicaId) -> bool,
) -> Vec<HostAction> {
    let mut actions = Vec::new();
    for (&group, &replica) in here {
        // A replica whose record cannot be read is nobody's to remove, and one that is to go on under another id
        // has the only copy of the data.
        if replica != ReplicaId::NONE
            && !wished.iter().any(|wish| takeover(wish, group, replica).is_some())
            && !wished.iter().any(|wish| wish.group == group && wish.replica == replica)
            && may_go(group, replica)
        {
            actions.push(HostAction::Remove(group, replica));
        }
    }
    for wish in wished {
        let action = match here.get(&wish.group) {
            Some(replica) if *replica == wish.replica && !wish.established => {
                HostAction::ReportEstablished(wish.group, wish.replica)
            }
            Some(&replica) => match takeover(wish, wish.group, replica) {
                Some(takeover) => HostAction::TakeOver(takeover),
                None => continue,
            },
            None if wish.established => HostAction::ReportLost(wish.group, wish.replica),
            None => HostAction::Create(new_replica(wish)),
        };
        actions.push(action);
    }
    actions
}

/// What a wish says about a replica that is here, if it is to take its place with what it has.
fn takeover(wish: &HostedReplica, group: GroupId, here: ReplicaId) -> Option<Takeover> {
    let takeover = wish.takeover.filter(|takeover| takeover.survivor == here.get())?;
    (wish.group == group).then_some(Takeover {
        group,
        survivor: here,
        replica: wish.replica,
        node: takeover.node.into(),
        term: takeover.term,
        epoch: takeover.epoch,
    })
}

/// Whether a replica that is not wished for may be removed from its node: its group is gone; another replica of
/// the group is to take its place on the node, and the other voters are a majority without it; or the group has
/// let it go, as far as the catalog was told.
///
/// `member_epoch` is the epoch of the membership that the replica knows itself to be in, or 0. The catalog may
/// know only an older one: that says nothing of a replica that came since, nor that a voter that is not wished for
/// still has its vote.
pub fn may_go(
    partition: Option<&PartitionRecord>,
    me: NodeId,
    replica: ReplicaId,
    member_epoch: u64,
) -> bool {
    let Some(partition) = partition.filter(|_| !mutant!(VoterDroppedAtOnce)) else { return true };
    if partition.has_given_up(replica.get()) {
        return !partition.awaits_survivor();
    }
    let known = partition.observed.as_ref().or(partition.birth.as_ref());
    let voters = || known.iter().flat_map(|known| &known.members).filter(|member| !member.learner);
    let is_wished = |id: u64| partition.replicas.iter().any(|wish| wish.id == id);
    let is_new = known.is_some_and(|known| known.epoch >= member_epoch);
    let others = voters().filter(|voter| voter.replica != replica.get());
    let others = others.filter(|voter| is_new || is_wished(voter.replica)).count();
    let is_replaced = partition.replicas.iter().any(|wish| wish.node == me.get() && wish.id != replica.get());
    if is_replaced && others > voters().count() / 2 {
        return true;
    }
    is_new && known.is_some_and(|known| known.members.iter().all(|member| member.replica != replica.get()))
}

fn new_replica(wish: &HostedReplica) -> NewReplica {
    NewReplica {
        group: wish.group,
        replica: wish.replica,
        engine: wish.engine,
        generation: wish.generation,
        founding: match &wish.birth {
            Birth::Founding(membership) => membership.clone(),
            Birth::Joining => Membership::default(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::catalog::EngineKind;
    use types::{Generation, RouteEpoch, TableId};

    fn wish(group: u64, replica: u64, established: bool) -> HostedReplica {
        HostedReplica {
            group: GroupId(group),
            replica: ReplicaId(replica),
            engine: EngineKind::Kv,
            table: TableId(1),
            generation: Generation(1),
            birth: Birth::Joining,
            established,
            route_epoch: RouteEpoch(1),
            rank: 0,
            offline: false,
            takeover: None,
        }
    }

    #[test]
    fn a_replica_that_may_have_a_vote_stays() {
        let member = |replica| api::peer::Member { replica, node: replica, learner: false };
        let membership = |epoch, replicas: &[u64]| Membership {
            epoch,
            members: replicas.iter().map(|replica| member(*replica)).collect(),
        };
        let wish = |id| api::catalog::ReplicaRecord { id, node: id, ..Default::default() };
        let mut partition = PartitionRecord {
            replicas: vec![wish(1), wish(2)],
            birth: Some(membership(1, &[1, 2, 3])),
            ..Default::default()
        };
        let third =
            |partition: &PartitionRecord, epoch| may_go(Some(partition), NodeId(3), ReplicaId(3), epoch);
        assert!(!third(&partition, 1), "nobody has told of another membership than that at birth");
        partition.observed = Some(membership(4, &[1, 2]));
        assert!(third(&partition, 1));
        assert!(!third(&partition, 5), "the catalog does not know yet that it became a member again");
        partition.replicas.push(api::catalog::ReplicaRecord { id: 4, node: 3, ..Default::default() });
        assert!(third(&partition, 5), "another one takes its place");
        partition.observed = Some(membership(4, &[1, 3, 5]));
        partition.replicas.remove(1);
        assert!(third(&partition, 4), "5 is still a voter, and is not wished for");
        assert!(!third(&partition, 5), "5 may have lost its vote since");
        assert!(may_go(None, NodeId(3), ReplicaId(3), 5), "the table was dropped");
        let takeover =
            api::catalog::Takeover { replica: 5, survivor: 1, term: 1 << 32, ..Default::default() };
        (partition.takeover, partition.leader_term) = (Some(takeover), 1 << 32);
        assert!(!third(&partition, 5), "the survivor does not lead yet");
        partition.leader_term += 1;
        assert!(third(&partition, 5));
    }

    #[test]
    fn a_survivor_is_taken_over_and_not_removed() {
        let takeover =
            api::catalog::Takeover { replica: 4, survivor: 1, term: 1 << 32, epoch: 1 << 32, node: 1 };
        let wished = [HostedReplica { takeover: Some(takeover), ..wish(1, 4, true) }];
        let actions = |replica| {
            let here = BTreeMap::from([(GroupId(1), ReplicaId(replica))]);
            reconcile(&wished, &here, |_, _| true)
        };
        let taken = Takeover {
            group: GroupId(1),
            survivor: ReplicaId(1),
            replica: ReplicaId(4),
            node: NodeId(1),
            term: 1 << 32,
            epoch: 1 << 32,
        };
        assert_eq!(actions(1), [HostAction::TakeOver(taken)]);
        assert_eq!(actions(4), [], "it is done");
        assert_eq!(
            actions(2),
            [HostAction::Remove(GroupId(1), ReplicaId(2))],
            "another one has nothing to keep"
        );
        let lost = reconcile(&wished, &BTreeMap::new(), |_, _| true);
        assert_eq!(lost, [HostAction::ReportLost(GroupId(1), ReplicaId(4))], "never made anew, empty");
    }

    #[test]
    fn each_replica_gets_what_it_needs_and_a_lost_one_is_never_made_again() {
        let here = BTreeMap::from([(GroupId(1), ReplicaId(1)), (GroupId(2), ReplicaId(1))]);
        let wished =
            [wish(1, 1, true), wish(2, 4, false), wish(3, 1, false), wish(4, 2, true), wish(5, 1, false)];
        let here_too = BTreeMap::from([(GroupId(5), ReplicaId(1))]);
        let here: BTreeMap<_, _> = here.into_iter().chain(here_too).collect();
        assert_eq!(
            reconcile(&wished, &here, |_, _| true),
            [
                HostAction::Remove(GroupId(2), ReplicaId(1)),
                HostAction::Create(new_replica(&wished[2])),
                HostAction::ReportLost(GroupId(4), ReplicaId(2)),
                HostAction::ReportEstablished(GroupId(5), ReplicaId(1)),
            ]
        );
    }
}
