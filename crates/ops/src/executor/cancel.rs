//! Ending operations early, undoing what they did, and forgetting them.

use api::catalog::{GroupReplica, PartitionRecord};
use api::operation::{
    Edit, NodeFlags, OperationChange, OperationKind, OperationRecord, OperationState, ReplaceRank,
    ReplicasWish, SetOffline,
};
use catalog::{Catalog, mutant};
use types::{ErrorCode, Fault, NodeId, OperationId, TableId};

use super::Family;
use super::advance::note;
use super::memory::Memory;
use crate::kind::{self, Step};
use crate::safety::may_lose_vote;
use crate::show::state_name;
use crate::sight::{Sight, replica_of, replica_on};
use crate::steps::Wait;
use crate::steps::task::UNDO;

/// The command that cancels an operation, with its parts. Parts that are past their point of no return go on
/// to their end; the operation ends after them.
///
/// # Errors
/// When there is no such operation, when it has ended, or when it is past its point of no return.
pub fn cancel(catalog: &Catalog, id: OperationId, wall_ms: u64) -> Result<OperationChange, Fault> {
    let operation = known(catalog, id)?;
    let too_late = |why: String| Err(Fault::new(ErrorCode::TooLate, format!("operation {id} {why}")));
    if operation.state().has_ended() {
        return too_late(format!("has ended: {}", state_name(operation)));
    }
    if kind::is_past_return(operation) {
        let step = Step::of(operation).map_or("", Step::as_str);
        return too_late(format!("is past its point of no return, at '{step}', and ends by itself"));
    }
    if operation.cancelling {
        return Ok(OperationChange::default());
    }
    let family = Family::of(catalog);
    let parts = family.parts(operation.id).iter().copied();
    let stoppable = |part: &&OperationRecord| {
        !part.state().has_ended() && !part.cancelling && !kind::is_past_return(part)
    };
    let update = std::iter::once(operation).chain(parts.filter(stoppable));
    Ok(OperationChange { update: update.map(|one| cancelled(one, wall_ms)).collect(), ..Default::default() })
}

/// One that has not begun ends at once; the executor winds up the others.
fn cancelled(operation: &OperationRecord, now: u64) -> OperationRecord {
    let mut record = operation.clone();
    record.cancelling = true;
    if record.state() == OperationState::Queued {
        record.set_state(OperationState::Cancelled);
        record.ended_ms = now;
        note(&mut record, now, "cancelled before it began");
    } else {
        note(&mut record, now, "is to be cancelled");
    }
    record
}

/// The command that forgets an ended operation, with its parts.
///
/// # Errors
/// When there is no such operation, or when it has not ended.
pub fn forget(catalog: &Catalog, id: OperationId) -> Result<OperationChange, Fault> {
    let operation = known(catalog, id)?;
    let family = Family::of(catalog);
    let all: Vec<&OperationRecord> =
        std::iter::once(operation).chain(family.parts(operation.id).iter().copied()).collect();
    if let Some(active) = all.iter().find(|one| !one.state().has_ended()) {
        return Err(Fault::new(ErrorCode::OperationActive, format!("operation {}", active.id)));
    }
    Ok(OperationChange { forget: all.into_iter().map(|one| one.id).collect(), ..Default::default() })
}

fn known(catalog: &Catalog, id: OperationId) -> Result<&OperationRecord, Fault> {
    let unknown = || Fault::new(ErrorCode::UnknownOperation, format!("operation {id}"));
    catalog.operation(id).ok_or_else(unknown)
}

/// What takes back what an operation has done so far: the replica that it made goes, a vote comes back, a
/// node's flag is lowered, a table wishes what it did, and the leader of record is who leads. A leader that was
/// moved stays. The error says what stands in the way for now.
pub(super) fn undo(sight: &Sight<'_>, operation: &OperationRecord) -> Result<Vec<Edit>, String> {
    let Some(kind) = &operation.kind else { return Ok(Vec::new()) };
    let Some(partition) = operation.group.and_then(|group| sight.partition(group)) else {
        return Ok(undo_wish(sight, operation).or_else(|| undo_flags(sight, kind)).into_iter().collect());
    };
    let began = |step: Step| {
        let names = operation.steps.iter().take(operation.step as usize + 1);
        names.into_iter().any(|known| known.name == step.as_str())
    };
    let mut edits = Vec::new();
    let made =
        kind::target_node(kind).filter(|_| operation.made_replica != 0 && !mutant!(UndoForgetsReplica));
    let made = made.and_then(|node| replica_on(partition, node));
    edits.extend(leader_set_back(sight, partition, operation, made.map(|made| made.id)));
    if let Some(made) = made {
        may_lose_vote_or_never_had(sight, partition, made.id)?;
        edits.push(Edit::RemoveReplica(ReplaceRank {
            group: partition.group,
            replica: made.id,
            successor: 0,
        }));
    }
    let parent = sight.catalog.operation(OperationId(operation.parent));
    let source = kind::source_node(kind, parent.and_then(|parent| parent.kind.as_ref()));
    if began(Step::Offline)
        && let Some(replica) = source.and_then(|node| replica_on(partition, node))
        && replica.offline
    {
        let group = partition.group;
        let online = SetOffline { group, replica: replica.id, offline: false, led: false };
        edits.push(Edit::SetOffline(online));
    }
    Ok(edits)
}

/// The leader of record as it is without the operation: whoever leads, or else who did before. Otherwise the replica that
/// was to lead would be the one that may take over in manual mode.
fn leader_set_back(
    sight: &Sight<'_>,
    partition: &PartitionRecord,
    operation: &OperationRecord,
    leaves: Option<u64>,
) -> Option<Edit> {
    if operation.led_before == 0 && Some(partition.leader) != leaves {
        return None;
    }
    let stays = |id: &u64| Some(*id) != leaves && replica_of(partition, *id).is_some();
    let before = Some(operation.led_before).filter(stays);
    let heir = || sight.heirs(partition, leaves.unwrap_or(0)).first().map(|heir| heir.id);
    let leader = sight.leader(partition.group).filter(stays).or(before).or_else(heir)?;
    let set = GroupReplica { group: partition.group, replica: leader };
    (leader != partition.leader).then_some(Edit::SetLeader(set))
}

/// A learner never mattered to a majority; a voter goes only if the others can do without it.
fn may_lose_vote_or_never_had(
    sight: &Sight<'_>,
    partition: &PartitionRecord,
    replica: u64,
) -> Result<(), String> {
    if sight.votes(partition, replica) { may_lose_vote(sight, partition, replica) } else { Ok(()) }
}

/// What came of taking back what the tasks of an operation have left, a sentence each; the error says that it goes on.
pub(super) fn undo_task(memory: &Memory, operation: &OperationRecord) -> Result<Vec<String>, Wait> {
    let report = memory.task(operation.id, UNDO);
    let wait = |progress: u64| Wait::working("what it left is removed", None, progress);
    match report.map(|report| (report, &report.outcome)) {
        None => Err(wait(0)),
        Some((report, None)) => Err(wait(report.progress())),
        Some((_, Some(Ok(result)))) => Ok(result.notes.clone()),
        Some((_, Some(Err(fault)))) => {
            let how = match operation.kind {
                Some(OperationKind::Backup(_)) => ", as an incomplete backup",
                _ => "",
            };
            Ok(vec![format!("what it left stays{how}: {fault}")])
        }
    }
}

/// A table wishes as many replicas as before, unless somebody has wished another number since.
fn undo_wish(sight: &Sight<'_>, operation: &OperationRecord) -> Option<Edit> {
    let Some(OperationKind::SetReplicas(wish)) = operation.kind else { return None };
    let table = sight.catalog.table(TableId(wish.table))?;
    let replicas = operation.replicas_before;
    let is_in_force = replicas != 0 && table.replicas == wish.replicas;
    is_in_force.then_some(Edit::SetReplicas(ReplicasWish { replicas, ..wish }))
}

fn undo_flags(sight: &Sight<'_>, kind: &OperationKind) -> Option<Edit> {
    let node = kind::about_node(kind).filter(|node| sight.catalog.node(NodeId(*node)).is_some())?;
    let flags = sight.catalog.flags(NodeId(node));
    let lowered = match kind {
        OperationKind::Drain(_) => NodeFlags { drained: false, ..flags },
        OperationKind::Decommission(_) => NodeFlags { leaving: false, ..flags },
        OperationKind::OfflineNode(_) => NodeFlags { offline: false, ..flags },
        _ => flags,
    };
    (lowered != flags).then_some(Edit::SetNode(lowered))
}
