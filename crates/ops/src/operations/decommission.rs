//! `decommission`: everything on a node moves away, then the node leaves the cluster.
//!
//! It is refused as a whole if any replica has nowhere to go. The node may be dead, as long as each of its
//! partitions has a leader elsewhere.

use api::admin::OperationRequest;
use api::catalog::PartitionRecord;
use api::operation::{Edit, MoveReplica, NodeFlags, OnNode, OnPartition, OperationKind};
use types::{ErrorCode, Fault, NodeId};

use crate::operations::offline::shortened;
use crate::operations::{migrate, remove_replica};
use crate::plan::target::Ledger;
use crate::plan::{self, Draft, joined};
use crate::sight::{Sight, replica_on};
use crate::top_up;

pub(super) fn plan(sight: &Sight<'_>, request: &OperationRequest) -> Result<Draft, Fault> {
    let node = plan::node(sight, request, request.node, "a node")?.id;
    let wish = OperationKind::Decommission(OnNode { node });
    if let Some(joins) = joined::in_parts(sight, &wish, &[], &[])? {
        return Ok(joins);
    }
    if sight.catalog.nodes().count() == 1 {
        let detail = format!("node {node} is the only one of its cluster");
        return Err(Fault::new(ErrorCode::NotEnoughNodes, detail));
    }
    let mut ledger = Ledger::of(sight);
    let mut draft = Draft { parent: Some(wish), ..Default::default() };
    let mut refusals: Vec<Fault> = Vec::new();
    for partition in sight.catalog.partitions() {
        if replica_on(partition, node).is_none() {
            continue;
        }
        match part(sight, partition, node, &mut ledger) {
            Ok(part) => draft.parts.push(part),
            Err(fault) => refusals.push(fault),
        }
    }
    if let Some(first) = refusals.first() {
        let code = first.code;
        let details: Vec<String> =
            refusals.iter().filter(|fault| fault.code == code).map(|fault| fault.detail.clone()).collect();
        return Err(Fault::new(code, shortened(&details)));
    }
    let flags = sight.catalog.flags(NodeId(node));
    draft.edits.push(Edit::SetNode(NodeFlags { leaving: true, ..flags }));
    Ok(draft)
}

/// A table's replica needs another place, unless there are more than its table wishes. The catalog has enough replicas
/// without this one if no other node could have one.
fn part(
    sight: &Sight<'_>,
    partition: &PartitionRecord,
    node: u64,
    ledger: &mut Ledger,
) -> Result<OperationKind, Fault> {
    migrate::check(sight, partition, node)?;
    let group = partition.group;
    if top_up::has_too_many(sight, partition) && remove_replica::check(sight, partition, node).is_ok() {
        return Ok(OperationKind::RemoveReplica(OnPartition { group, node }));
    }
    match ledger.best(sight, partition, Some(node), &[]) {
        Ok(to) => {
            ledger.add(sight, group, to);
            ledger.remove(sight, group, node);
            Ok(OperationKind::Migrate(MoveReplica { group, from: node, to }))
        }
        Err(fault) if partition.table == 0 && fault.code == ErrorCode::NotEnoughNodes => {
            remove_replica::check(sight, partition, node)?;
            Ok(OperationKind::RemoveReplica(OnPartition { group, node }))
        }
        Err(fault) => Err(fault),
    }
}
