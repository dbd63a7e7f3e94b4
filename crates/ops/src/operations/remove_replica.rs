//! `remove-replica`: the replica on a node goes. If it leads, another leads first.

use std::collections::BTreeSet;

use api::admin::OperationRequest;
use api::catalog::PartitionRecord;
use api::operation::{OnPartition, OperationKind};
use types::settings::{AUTO_FAILOVER, REPLACE_AFTER_S};
use types::{ErrorCode, Fault, TableId};

use crate::plan::joined::Joined;
use crate::plan::{self, Draft};
use crate::safety::may_lose_vote;
use crate::sight::{Sight, count, replica_on};

pub(super) fn plan(sight: &Sight<'_>, request: &OperationRequest) -> Result<Draft, Fault> {
    let partitions = plan::partitions(sight, request)?;
    let node = plan::node(sight, request, request.from, "a node, with --from")?.id;
    let (mut parts, mut notes) = (Vec::new(), BTreeSet::new());
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
        notes.extend(comes_back(sight, partition));
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
    let notes = notes.into_iter().collect();
    Ok(Draft { notes, ..Draft::of_parts(parent, parts, partitions.len()) })
}

/// What automation does about a partition that is to have fewer replicas than its table wishes.
fn comes_back(sight: &Sight<'_>, partition: &PartitionRecord) -> Option<String> {
    let table = sight.catalog.table(TableId(partition.table))?;
    let after_s = sight.catalog.setting(&REPLACE_AFTER_S);
    let is_short = partition.replicas.len() <= table.replicas as usize;
    let by_itself = sight.catalog.setting(&AUTO_FAILOVER) != 0 && after_s > 0;
    (is_short && by_itself).then(|| {
        let name = sight.table_name(partition);
        format!(
            "{name} wishes {}: after {after_s} s another is made where there is room; 'skein table set-replicas {name} \
             N' is for fewer",
            count(table.replicas as usize, "replica")
        )
    })
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
