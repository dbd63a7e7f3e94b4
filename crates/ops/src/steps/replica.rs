//! Replicas that come, go, lose their vote and get it back.
//!
//! A replica is found by its node, not by its id: one that is lost on the way is replaced by its node itself,
//! under a new id.

use api::catalog::{CatalogOp, PartitionRecord, ReplaceReplica, ReplicaRecord};
use api::operation::{Edit, OnPartition, OperationKind, ReplaceRank, SetOffline};
use api::peer::ReplicaState;
use catalog::mutant;
use types::{ErrorCode, Fault, NodeId};

use super::{Doing, Help, Look, Stop, Wait, needs_leader};
use crate::hints;
use crate::kind;
use crate::safety::{in_the_way, may_lose_vote};
use crate::sight::replica_on;

pub(super) fn enter_add(doing: &Doing<'_>, partition: &PartitionRecord) -> Result<Vec<Edit>, Stop> {
    let sight = doing.sight;
    let name = sight.name(partition);
    let failed = |code: ErrorCode, detail: String| Err(Stop::Failed(Fault::new(code, detail)));
    let Some(node) = kind::target_node(doing.kind) else { return Ok(Vec::new()) };
    if replica_on(partition, node).is_some() {
        return failed(ErrorCode::AlreadyThere, format!("{name} on node {node}"));
    }
    if let OperationKind::Migrate(moved) = doing.kind
        && replica_on(partition, moved.from).is_none()
    {
        return failed(ErrorCode::NotThere, format!("{name} on node {}", moved.from));
    }
    let flags = sight.catalog.flags(NodeId(node));
    if sight.catalog.node(NodeId(node)).is_none() || flags.leaving || flags.offline {
        return failed(ErrorCode::NodeUnfit, format!("node {node} has left or shall get nothing"));
    }
    needs_leader(sight, partition).map_err(Stop::Waits)?;
    let members = sight.membership(partition).into_iter().chain(&partition.observed);
    if members.flat_map(|known| &known.members).any(|member| member.node == node) {
        let why = format!("{name} has to let go of its old replica on node {node}");
        return Err(Stop::Waits(Wait::blocked(why, Some(node))));
    }
    if !sight.is_up(node) {
        return Err(Stop::Waits(Wait::blocked(sight.how_is(node), Some(node))));
    }
    Ok(vec![Edit::AddReplica(OnPartition { group: partition.group, node })])
}

pub(super) fn look_add(doing: &Doing<'_>, partition: &PartitionRecord) -> Look {
    let sight = doing.sight;
    let replica = match of_operation(doing, partition) {
        Ok(replica) => replica,
        Err(look) => return *look,
    };
    if let Err(wait) = needs_leader(sight, partition) {
        return Look::waits(wait);
    }
    if sight.member(partition, replica.id).is_some() {
        return Look::done();
    }
    let why = format!("the leader of {} has to take in replica {}", sight.name(partition), replica.id);
    Look::waits(Wait::blocked(why, sight.leader_node(partition.group).map(NodeId::get)))
}

pub(super) fn look_catch_up(doing: &Doing<'_>, partition: &PartitionRecord) -> Look {
    let sight = doing.sight;
    let replica = match of_operation(doing, partition) {
        Ok(replica) => replica,
        Err(look) => return *look,
    };
    let node = replica.node;
    if !sight.is_up(node) {
        return Look::waits(Wait::blocked(sight.how_is(node), Some(node)));
    }
    if let Err(wait) = needs_leader(sight, partition) {
        return Look::waits(wait);
    }
    let in_sync = sight.in_sync(partition.group, replica.id);
    if in_sync && sight.votes(partition, replica.id) || mutant!(RemovedBeforeCaughtUp) {
        return Look::done();
    }
    let place = format!("replica {} of {} on node {node}", replica.id, sight.name(partition));
    match sight.replica_seen(partition.group, replica.id) {
        None => Look::waits(Wait::blocked(format!("node {node} has to make {place}"), Some(node))),
        Some(seen) if seen.state == ReplicaState::Stopped => {
            Look::waits(Wait::blocked(format!("{place} has stopped: {}", seen.detail), Some(node)))
        }
        Some(seen) => {
            let why = if in_sync { "has to get its vote" } else { "is catching up" };
            let progress = seen.bytes.wrapping_add(seen.applied).wrapping_add(u64::from(in_sync));
            Look::waits(Wait::working(format!("{place} {why}"), Some(node), progress))
        }
    }
}

/// The replica that the operation makes or brings back.
fn of_operation<'a>(
    doing: &Doing<'_>,
    partition: &'a PartitionRecord,
) -> Result<&'a ReplicaRecord, Box<Look>> {
    let node = kind::target_node(doing.kind).unwrap_or(0);
    replica_on(partition, node).ok_or_else(|| {
        let detail = format!("{} has no replica on node {node} any more", doing.sight.name(partition));
        Box::new(Look::failed(ErrorCode::NotThere, detail))
    })
}

/// Whoever leaves must not take the majority of the others with it.
pub(super) fn enter_remove(doing: &Doing<'_>, partition: &PartitionRecord) -> Result<Vec<Edit>, Stop> {
    let node = doing.source_node().unwrap_or(0);
    let Some(replica) = replica_on(partition, node) else {
        // It has moved while the operation waited for its turn: whoever wanted one less still has too many.
        let detail = format!("{} on node {node}", doing.sight.name(partition));
        return Err(Stop::Failed(Fault::new(ErrorCode::NotThere, detail)));
    };
    may_go(doing, partition, replica)?;
    let successor = kind::target_node(doing.kind).and_then(|node| replica_on(partition, node));
    let successor = successor.map_or(0, |replica| replica.id);
    Ok(vec![Edit::RemoveReplica(ReplaceRank { group: partition.group, replica: replica.id, successor })])
}

pub(super) fn enter_offline(doing: &Doing<'_>, partition: &PartitionRecord) -> Result<Vec<Edit>, Stop> {
    let node = doing.source_node().unwrap_or(0);
    let Some(replica) = replica_on(partition, node).filter(|replica| !replica.offline) else {
        return Ok(Vec::new());
    };
    may_go(doing, partition, replica)?;
    let led =
        matches!(doing.kind, OperationKind::ChangeLeader(_)) || doing.operation.led_before == replica.id;
    let (group, replica) = (partition.group, replica.id);
    Ok(vec![Edit::SetOffline(SetOffline { group, replica, offline: true, led })])
}

fn may_go(doing: &Doing<'_>, partition: &PartitionRecord, replica: &ReplicaRecord) -> Result<(), Stop> {
    let sight = doing.sight;
    may_lose_vote(sight, partition, replica.id).map_err(|why| {
        let wait = Wait::blocked(why, in_the_way(sight, partition, replica.id));
        let is_alone = sight.voters(partition).iter().all(|voter| voter.replica == replica.id);
        Stop::Waits(match is_alone {
            true => wait.with_help(Help::Do(hints::add_replica(sight, partition))),
            false => wait,
        })
    })
}

/// The group has let go of the replica, or has taken its vote. What else the wish says is not waited for.
pub(super) fn look_settle(doing: &Doing<'_>, partition: &PartitionRecord) -> Look {
    let sight = doing.sight;
    if let Err(wait) = needs_leader(sight, partition) {
        return Look::waits(wait);
    }
    let node = doing.source_node().unwrap_or(0);
    let members = sight.membership(partition).map_or(&[][..], |membership| &membership.members);
    let keeps = members.iter().any(|member| {
        let wished = partition.replicas.iter().any(|replica| replica.id == member.replica);
        member.node == node && (!wished || !member.learner)
    });
    if !keeps {
        return Look::done();
    }
    let why = format!("{} has to let go of its replica on node {node}", sight.name(partition));
    let unready =
        partition.replicas.iter().find(|replica| !replica.offline && !sight.votes(partition, replica.id));
    match unready {
        Some(replica) => {
            let why = format!("{why}: replica {} on node {} has no vote yet", replica.id, replica.node);
            Look::waits(Wait::blocked(why, Some(replica.node)))
        }
        None => Look::waits(Wait::blocked(why, None)),
    }
}

pub(super) fn enter_recover(doing: &Doing<'_>, partition: &PartitionRecord) -> Result<Vec<Edit>, Stop> {
    let node = kind::target_node(doing.kind).unwrap_or(0);
    let Some(replica) = replica_on(partition, node) else {
        let detail = format!("{} on node {node}", doing.sight.name(partition));
        return Err(Stop::Failed(Fault::new(ErrorCode::NotThere, detail)));
    };
    if !replica.offline {
        return Ok(Vec::new());
    }
    let (group, replica) = (partition.group, replica.id);
    Ok(vec![Edit::SetOffline(SetOffline { group, replica, offline: false, led: false })])
}

/// The replica is there; a lost one is replaced.
pub(super) fn look_recover(doing: &Doing<'_>, partition: &PartitionRecord) -> Look {
    let sight = doing.sight;
    let replica = match of_operation(doing, partition) {
        Ok(replica) => replica,
        Err(look) => return *look,
    };
    let node = replica.node;
    if !sight.is_up(node) {
        return Look::waits(Wait::blocked(sight.how_is(node), Some(node)));
    }
    let seen = sight.replica_seen(partition.group, replica.id);
    if seen.is_some_and(|seen| seen.up) || !replica.established {
        return Look::done();
    }
    let why = format!("replica {} of {} is lost on node {node}", replica.id, sight.name(partition));
    let wait = Wait::blocked(why, Some(node));
    if !sight.knows_the_catalog(node) {
        return Look::waits(wait);
    }
    let replace = CatalogOp::ReplaceReplica(ReplaceReplica {
        group: partition.group,
        replica: replica.id,
        reason: "it is missing on its node".into(),
    });
    Look { commands: vec![replace], ..Look::waits(wait) }
}
