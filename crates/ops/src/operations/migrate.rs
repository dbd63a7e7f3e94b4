//! `migrate`: a replica, leading or not, moves to another node and keeps its rank.
//!
//! The new replica is made first, catches up and proves that it is equal; only then the old one goes. Its
//! old node may be dead.

use api::admin::OperationRequest;
use api::catalog::PartitionRecord;
use api::operation::{MoveReplica, OperationKind};
use types::{ErrorCode, Fault};

use crate::plan::joined::Joined;
use crate::plan::target::{Ledger, closeness};
use crate::plan::{self, Draft};
use crate::sight::{Sight, replica_on};

pub(super) fn plan(sight: &Sight<'_>, request: &OperationRequest) -> Result<Draft, Fault> {
    let partitions = plan::partitions(sight, request)?;
    let from = plan::node(sight, request, request.from, "the node to leave, with --from")?.id;
    let to = request.to.map(|to| plan::known_node(sight, to)).transpose()?;
    let mut ledger = Ledger::of(sight);
    let mut parts = Vec::new();
    let mut notes = Vec::new();
    let mut joined = Joined::of(sight, partitions.len());
    for partition in &partitions {
        let (group, target) = (partition.group, to.map_or(0, |node| node.id));
        if joined.takes(&OperationKind::Migrate(MoveReplica { group, from, to: target })) {
            continue;
        }
        if request.partitions.is_empty() && replica_on(partition, from).is_none() {
            continue;
        }
        let movable = check(sight, partition, from).and_then(|()| plan::not_busy(sight, partition));
        let to = match to {
            Some(node) => {
                ledger.check(sight, partition, node)?;
                notes.extend(closeness(sight, partition, Some(from), node));
                node.id
            }
            None => {
                movable.clone()?;
                ledger.best(sight, partition, Some(from), &[])?
            }
        };
        movable?;
        ledger.add(sight, partition.group, to);
        ledger.remove(sight, partition.group, from);
        parts.push(OperationKind::Migrate(MoveReplica { group: partition.group, from, to }));
    }
    if let Some(joins) = joined.all(&parts)? {
        return Ok(joins);
    }
    if parts.is_empty() {
        let detail = format!("{} on node {from}", request.table.as_deref().unwrap_or_default());
        return Err(Fault::new(ErrorCode::NotThere, detail));
    }
    let group = partitions.first().map_or(0, |partition| partition.group);
    let parent = OperationKind::Migrate(MoveReplica { group, from, to: to.map_or(0, |node| node.id) });
    Ok(Draft { notes, ..Draft::of_parts(parent, parts, partitions.len()) })
}

/// Whether a replica can be moved away from a node at all.
pub(super) fn check(sight: &Sight<'_>, partition: &PartitionRecord, from: u64) -> Result<(), Fault> {
    if replica_on(partition, from).is_none() {
        let detail = format!("{} on node {from}", sight.name(partition));
        return Err(Fault::new(ErrorCode::NotThere, detail));
    }
    plan::has_leader(sight, partition)
}
