//! `set-replicas`: the partitions of a table get another number of replicas.

use std::cmp::Reverse;

use api::admin::OperationRequest;
use api::catalog::{PartitionRecord, ReplicaRecord, TableRecord};
use api::operation::{Edit, OnPartition, OperationKind, ReplicasWish};
use catalog::alike::goes_on;
use types::limits::{META_NODES_MAX, REPLICAS_MAX};
use types::{ErrorCode, Fault};

use crate::operations::remove_replica;
use crate::plan::target::Ledger;
use crate::plan::{self, Draft, joined};
use crate::sight::Sight;
use crate::top_up::TOPS_UP;

pub(super) fn plan(sight: &Sight<'_>, request: &OperationRequest) -> Result<Draft, Fault> {
    let table = plan::table(sight, request)?;
    let most = if table.id == 0 { META_NODES_MAX as u32 } else { REPLICAS_MAX };
    let replicas = request.count.unwrap_or(0);
    if !(1..=most).contains(&replicas) {
        let detail = format!("set-replicas needs a number of replicas from 1 to {most}");
        return Err(Fault::new(ErrorCode::BadArgument, detail));
    }
    let wish = ReplicasWish { table: table.id, replicas };
    let kind = OperationKind::SetReplicas(wish);
    let edits: Vec<Edit> =
        (table.replicas != replicas).then_some(Edit::SetReplicas(wish)).into_iter().collect();
    if let Some(joins) = joined::in_parts(sight, &kind, &[], &edits)? {
        return Ok(joins);
    }
    let replicas_before = if edits.is_empty() { 0 } else { table.replicas };
    let mut draft = Draft { parent: Some(kind), edits, replicas_before, ..Default::default() };
    let mut ledger = Ledger::of(sight);
    for partition in plan::partitions(sight, request)? {
        let has = partition.replicas.len();
        if has == replicas as usize && !is_to_change(sight, partition) {
            continue;
        }
        plan::not_busy(sight, partition)?;
        plan::has_leader(sight, partition)?;
        if has < replicas as usize {
            draft.parts.extend(additions(sight, partition, replicas as usize - has, &mut ledger)?);
        } else {
            draft.parts.extend(removals(sight, partition, has - replicas as usize, &mut ledger)?);
        }
    }
    Ok(draft)
}

/// Whether a replica is to come to a partition or to leave it, so that the number that it has says nothing. What the
/// cluster adds by itself ends when the table wishes no more.
fn is_to_change(sight: &Sight<'_>, partition: &PartitionRecord) -> bool {
    sight.under_way(partition.group).any(|known| {
        let changes =
            matches!(known.kind, Some(OperationKind::AddReplica(_) | OperationKind::RemoveReplica(_)));
        changes && goes_on(known) && known.by != TOPS_UP
    })
}

/// Operations that give each partition of a table the replicas that it lacks, each on the best place.
///
/// # Errors
/// `PartitionBusy`, `Unsafe` or what there is no place for.
pub(crate) fn missing(
    sight: &Sight<'_>,
    table: &TableRecord,
    replicas: u32,
    ledger: &mut Ledger,
) -> Result<Vec<OperationKind>, Fault> {
    let mut parts = Vec::new();
    for partition in table.groups.iter().filter_map(|group| sight.partition(*group)) {
        let lacks = (replicas as usize).saturating_sub(partition.replicas.len());
        if lacks > 0 {
            plan::not_busy(sight, partition)?;
            plan::has_leader(sight, partition)?;
            parts.extend(additions(sight, partition, lacks, ledger)?);
        }
    }
    Ok(parts)
}

/// Operations that give a partition so many replicas more.
///
/// # Errors
/// What there is no place for.
pub(super) fn additions(
    sight: &Sight<'_>,
    partition: &PartitionRecord,
    number: usize,
    ledger: &mut Ledger,
) -> Result<Vec<OperationKind>, Fault> {
    let group = partition.group;
    let mut taken = Vec::new();
    for _ in 0..number {
        let node = ledger.best(sight, partition, None, &taken)?;
        ledger.add(sight, group, node);
        taken.push(node);
    }
    Ok(taken.into_iter().map(|node| OperationKind::AddReplica(OnPartition { group, node })).collect())
}

/// First those that are of the least use: offline, without a vote, not in sync; then those on the nodes with
/// the most on them. The leader goes last.
fn removals(
    sight: &Sight<'_>,
    partition: &PartitionRecord,
    number: usize,
    ledger: &mut Ledger,
) -> Result<Vec<OperationKind>, Fault> {
    let group = partition.group;
    let mut replicas: Vec<&ReplicaRecord> = partition.replicas.iter().collect();
    replicas.sort_by_key(|replica| {
        let useful =
            !replica.offline && sight.votes(partition, replica.id) && sight.in_sync(group, replica.id);
        let leads = sight.leader(group) == Some(replica.id);
        (leads, useful, Reverse(ledger.weight(replica.node)), Reverse(replica.id))
    });
    let mut parts = Vec::new();
    for replica in replicas.into_iter().take(number) {
        remove_replica::check(sight, partition, replica.node)?;
        ledger.remove(sight, group, replica.node);
        parts.push(OperationKind::RemoveReplica(OnPartition { group, node: replica.node }));
    }
    Ok(parts)
}
