//! From the catalog's wish to the replicas of this node: a pure comparison.
//!
//! A replica that the catalog has seen established and that is missing here is *lost*: making it again
//! under its old id would break promises that it gave. It is reported, and the catalog names a new one.

use std::collections::BTreeMap;

use api::peer::Membership;
use catalog::{Birth, HostedReplica};
use replication::start::NewReplica;
use types::{GroupId, ReplicaId};

/// Something to do about a replica of this node.
#[derive(Clone, Debug, PartialEq)]
pub enum HostAction {
    /// Make it.
    Create(NewReplica),
    /// The catalog does not wish for it: remove it. If another replica of its group is wished for, that
    /// one is made when this one is gone.
    Remove(GroupId, ReplicaId),
    /// It was here once and is gone.
    ReportLost(GroupId, ReplicaId),
    /// It is here durably, and the catalog does not know yet.
    ReportEstablished(GroupId, ReplicaId),
}

/// What to do so that this node hosts what is wished. `here` has every replica on this node, stopped and
/// damaged ones included.
pub fn reconcile(wished: &[HostedReplica], here: &BTreeMap<GroupId, ReplicaId>) -> Vec<HostAction> {
    let mut actions = Vec::new();
    for (&group, &replica) in here {
        // A replica whose record cannot be read is nobody's to remove.
        if replica != ReplicaId::NONE
            && !wished.iter().any(|wish| wish.group == group && wish.replica == replica)
        {
            actions.push(HostAction::Remove(group, replica));
        }
    }
    for wish in wished {
        let action = match here.get(&wish.group) {
            Some(replica) if *replica == wish.replica && !wish.established => {
                HostAction::ReportEstablished(wish.group, wish.replica)
            }
            Some(_) => continue,
            None if wish.established => HostAction::ReportLost(wish.group, wish.replica),
            None => HostAction::Create(new_replica(wish)),
        };
        actions.push(action);
    }
    actions
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
        }
    }

    #[test]
    fn each_replica_gets_what_it_needs_and_a_lost_one_is_never_made_again() {
        let here = BTreeMap::from([(GroupId(1), ReplicaId(1)), (GroupId(2), ReplicaId(1))]);
        let wished =
            [wish(1, 1, true), wish(2, 4, false), wish(3, 1, false), wish(4, 2, true), wish(5, 1, false)];
        let here_too = BTreeMap::from([(GroupId(5), ReplicaId(1))]);
        let here: BTreeMap<_, _> = here.into_iter().chain(here_too).collect();
        assert_eq!(
            reconcile(&wished, &here),
            [
                HostAction::Remove(GroupId(2), ReplicaId(1)),
                HostAction::Create(new_replica(&wished[2])),
                HostAction::ReportLost(GroupId(4), ReplicaId(2)),
                HostAction::ReportEstablished(GroupId(5), ReplicaId(1)),
            ]
        );
    }
}
