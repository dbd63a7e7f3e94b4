//! `hand-over` and `settled`: another replica leads.
//!
//! The catalog is told first who shall lead; only then the leader is asked to hand over. Where nobody leads,
//! being the leader of record is what lets a replica campaign in manual mode. It may lose, because another one
//! has entries that it lacks: then the others are tried in turn, and leadership moves on from them.

use api::catalog::{GroupReplica, PartitionRecord};
use api::operation::{Edit, OperationKind};
use types::{ErrorCode, ReplicaId};

use super::{Doing, Look, Wait};
use crate::executor::Directive;
use crate::sight::{replica_of, replica_on};

/// How long the election of one replica is waited for before another one is tried, in milliseconds: two
/// election timeouts and the time until the word has reached its node.
const ELECTION_MS: u64 = 4_000;

pub(super) fn look(doing: &Doing<'_>, partition: &PartitionRecord) -> Look {
    let sight = doing.sight;
    let away = away(doing, partition);
    let target = target(doing, partition);
    // Where a node is to lose leadership, any heir will do if the one that was chosen has gone.
    let must_be =
        if away.is_none() || matches!(doing.kind, OperationKind::Migrate(_)) { target } else { None };
    if away.is_none() && target.is_none() && matches!(doing.kind, OperationKind::ChangeLeader(_)) {
        return Look::failed(ErrorCode::NotThere, format!("{}: the replica has gone", sight.name(partition)));
    }
    match sight.leader(partition.group) {
        Some(leader) if Some(leader) == target => Look::done(),
        Some(leader) if away.is_some() && Some(leader) != away => Look::done(),
        Some(_) if away.is_none() && target.is_none() => Look::done(),
        Some(_) => move_leader(doing, partition, must_be, target, away),
        None => elect(doing, partition, target, away),
    }
}

/// The replica that shall not lead, if that is what the operation is about.
fn away(doing: &Doing<'_>, partition: &PartitionRecord) -> Option<u64> {
    let drained = match doing.parent.and_then(|parent| parent.kind.as_ref()) {
        Some(OperationKind::Drain(on)) => Some(on.node),
        _ => None,
    };
    let node = doing.source_node().or(drained)?;
    replica_on(partition, node).map(|replica| replica.id)
}

/// The replica that shall lead, if the operation says so.
fn target(doing: &Doing<'_>, partition: &PartitionRecord) -> Option<u64> {
    match doing.kind {
        OperationKind::ChangeLeader(at) => replica_on(partition, at.node).map(|replica| replica.id),
        OperationKind::Migrate(moved) => replica_on(partition, moved.to).map(|replica| replica.id),
        _ => None,
    }
}

fn move_leader(
    doing: &Doing<'_>,
    partition: &PartitionRecord,
    must_be: Option<u64>,
    target: Option<u64>,
    away: Option<u64>,
) -> Look {
    let sight = doing.sight;
    let heirs = sight.heirs(partition, away.unwrap_or(0));
    // Once chosen it stays the one, for as long as it is able.
    let able = |id: Option<u64>| heirs.iter().find(|heir| Some(heir.id) == id);
    let chosen = able(target).or_else(|| able(Some(partition.leader))).or(heirs.first());
    let Some(to) = must_be.or(chosen.map(|heir| heir.id)) else {
        let why = format!("{} has no other replica in sync that could lead", sight.name(partition));
        return Look::waits(Wait::blocked(why, None));
    };
    let Some(replica) = replica_of(partition, to) else { return Look::done() };
    if heirs.iter().all(|heir| heir.id != to) {
        let why = if sight.is_up(replica.node) {
            format!("replica {to} of {} on node {} is not in sync", sight.name(partition), replica.node)
        } else {
            sight.how_is(replica.node)
        };
        return Look::waits(Wait::blocked(why, Some(replica.node)));
    }
    let why = format!("replica {to} on node {} has to take over {}", replica.node, sight.name(partition));
    let mut look = Look::waits(Wait::blocked(why, Some(replica.node)));
    if partition.leader == to {
        look.directives.push(Directive::MoveLeader { group: partition.group.into(), to: ReplicaId(to) });
    } else {
        look.edits.push(Edit::SetLeader(GroupReplica { group: partition.group, replica: to }));
    }
    look
}

fn elect(doing: &Doing<'_>, partition: &PartitionRecord, fixed: Option<u64>, away: Option<u64>) -> Look {
    let sight = doing.sight;
    let heirs = sight.heirs(partition, away.unwrap_or(0));
    let mut candidates: Vec<u64> = heirs.iter().map(|heir| heir.id).filter(|id| Some(*id) == fixed).collect();
    candidates.extend(heirs.iter().map(|heir| heir.id).filter(|id| Some(*id) != fixed));
    let Some(count) = u64::try_from(candidates.len()).ok().filter(|count| *count > 0) else {
        let why = format!("{} has no leader, and no replica that could lead", sight.name(partition));
        return Look::waits(Wait::blocked(why, None));
    };
    let waited = doing.memory.waited_ms(doing.operation);
    let turn = (waited / ELECTION_MS) % count;
    let candidate = candidates[turn as usize];
    let why = format!("{} has no leader: replica {candidate} has to be elected", sight.name(partition));
    let mut look = Look::waits(Wait::blocked(why, None));
    if partition.leader != candidate {
        look.edits.push(Edit::SetLeader(GroupReplica { group: partition.group, replica: candidate }));
    }
    look
}

/// The catalog knows who leads.
pub(super) fn look_settled(doing: &Doing<'_>, partition: &PartitionRecord) -> Look {
    let sight = doing.sight;
    let (away, target) = (away(doing, partition), target(doing, partition));
    match sight.leader(partition.group) {
        Some(leader) if away.is_none() && Some(leader) != target => {
            let detail = format!("replica {leader} has taken over {} since", sight.name(partition));
            Look::failed(ErrorCode::PlanOutdated, detail)
        }
        Some(leader) if leader == partition.leader && Some(leader) != away => Look::done(),
        _ => {
            let why = format!("the new leader of {} has to tell the catalog", sight.name(partition));
            Look::waits(Wait::blocked(why, None))
        }
    }
}
