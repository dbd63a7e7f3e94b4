//! `add-replica`: a partition gets one replica more.

use api::admin::OperationRequest;
use api::operation::{OnPartition, OperationKind};
use types::limits::{META_NODES_MAX, REPLICAS_MAX};
use types::{ErrorCode, Fault};

use crate::plan::joined::Joined;
use crate::plan::target::{Ledger, closeness};
use crate::plan::{self, Draft};
use crate::sight::Sight;

pub(super) fn plan(sight: &Sight<'_>, request: &OperationRequest) -> Result<Draft, Fault> {
    let mut ledger = Ledger::of(sight);
    let mut parts = Vec::new();
    let mut notes = Vec::new();
    let partitions = plan::partitions(sight, request)?;
    let mut joined = Joined::of(sight, partitions.len());
    for partition in &partitions {
        let wish = OnPartition { group: partition.group, node: request.to.unwrap_or(0) };
        if joined.takes(&OperationKind::AddReplica(wish)) {
            continue;
        }
        let most = if partition.table == 0 { META_NODES_MAX } else { REPLICAS_MAX as usize };
        let node = match request.to {
            Some(to) => {
                let node = plan::known_node(sight, to)?;
                ledger.check(sight, partition, node)?;
                notes.extend(closeness(sight, partition, None, node));
                node.id
            }
            None => {
                plan::not_busy(sight, partition)?;
                ledger.best(sight, partition, None, &[])?
            }
        };
        if partition.replicas.len() >= most {
            let detail = format!("{} has {most} replicas, which is the most", sight.name(partition));
            return Err(Fault::new(ErrorCode::BadArgument, detail));
        }
        plan::not_busy(sight, partition)?;
        plan::has_leader(sight, partition)?;
        ledger.add(sight, partition.group, node);
        parts.push(OperationKind::AddReplica(OnPartition { group: partition.group, node }));
    }
    if let Some(joins) = joined.all(&parts)? {
        return Ok(joins);
    }
    let group = partitions.first().map_or(0, |partition| partition.group);
    let parent = OperationKind::AddReplica(OnPartition { group, node: request.to.unwrap_or(0) });
    Ok(Draft { notes, ..Draft::of_parts(parent, parts, partitions.len()) })
}
