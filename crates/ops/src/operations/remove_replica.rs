//! `remove-replica`: the replica on a node goes. If it leads, another leads first.

use api::admin::OperationRequest;
use api::catalog::PartitionRecord;
use api::operation::{OnPartition, OperationKind};
use types::{ErrorCode, Fault};

use crate::plan::joined::Joined;
use crate::plan::{self, Draft};
use crate::safety::may_lose_vote;
use crate::sight::{Sight, replica_on};

pub(super) fn plan(sight: &Sight<'_>, request: &OperationRequest) -> Result<Draft, Fault> {
    let partitions = plan::partitions(sight, request)?;
    let node = plan::node(sight, request, request.from, "a node, with --from")?.id;
    let mut parts = Vec::new();
    let mut joined = Joined::of(sight, partitions.len());
    for partition in &partitions {
        let wish = OnPartition { group: partition.group, node };
        if joined.takes(&OperationKind::RemoveReplica(wish)) {
            continue;
        }
        if request.partitions.is_empty() && replica_on(partition, node).is_none() {
            continue;
        }
        plan::not_busy(sight, partition)?;
        check(sight, partition, node)?;
        parts.push(OperationKind::RemoveReplica(OnPartition { group: partition.group, node }));
    }
    if let Some(joins) = joined.all(&parts)? {
        return Ok(joins);
    }
    if parts.is_empty() {
        let detail = format!("{} on node {node}", request.table.as_deref().unwrap_or_default());
        return Err(Fault::new(ErrorCode::NotThere, detail));
    }
    let group = partitions.first().map_or(0, |partition| partition.group);
    let parent = OperationKind::RemoveReplica(OnPartition { group, node });
    Ok(Draft::of_parts(parent, parts, partitions.len()))
}

/// Whether the replica on a node may go now.
pub(super) fn check(sight: &Sight<'_>, partition: &PartitionRecord, node: u64) -> Result<(), Fault> {
    let name = sight.name(partition);
    let Some(replica) = replica_on(partition, node) else {
        return Err(Fault::new(ErrorCode::NotThere, format!("{name} on node {node}")));
    };
    if partition.replicas.len() == 1 {
        let detail = format!("the replica on node {node} is the only one of {name}");
        return Err(Fault::new(ErrorCode::Unsafe, detail));
    }
    may_lose_vote(sight, partition, replica.id).map_err(|why| Fault::new(ErrorCode::Unsafe, why))
}
