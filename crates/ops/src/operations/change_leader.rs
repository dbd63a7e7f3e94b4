//! `change-leader`: another replica leads a partition.
//!
//! Where no replica leads (in manual mode, after the leader's node died) this is how one comes to lead.

use api::admin::OperationRequest;
use api::catalog::PartitionRecord;
use api::operation::{OnPartition, OperationKind};
use types::{ErrorCode, Fault};

use crate::plan::joined::Joined;
use crate::plan::{self, Draft};
use crate::sight::{Sight, replica_on};

pub(super) fn plan(sight: &Sight<'_>, request: &OperationRequest) -> Result<Draft, Fault> {
    let mut parts = Vec::new();
    let mut notes = Vec::new();
    let partitions = plan::partitions(sight, request)?;
    let mut joined = Joined::of(sight, partitions.len());
    for partition in &partitions {
        let wish = OnPartition { group: partition.group, node: request.to.unwrap_or(0) };
        if joined.takes(&OperationKind::ChangeLeader(wish)) {
            continue;
        }
        plan::not_busy(sight, partition)?;
        let node = match request.to {
            Some(to) => checked(sight, partition, plan::known_node(sight, to)?.id)?,
            None => willing(sight, partition)?,
        };
        if sight.leader_node(partition.group).is_some_and(|leader| leader.get() == node) {
            notes.push(format!("node {node} leads {} already", sight.name(partition)));
            continue;
        }
        parts.push(OperationKind::ChangeLeader(OnPartition { group: partition.group, node }));
    }
    if let Some(joins) = joined.all(&parts)? {
        return Ok(joins);
    }
    let group = partitions.first().map_or(0, |partition| partition.group);
    let parent = OperationKind::ChangeLeader(OnPartition { group, node: request.to.unwrap_or(0) });
    Ok(Draft { notes, ..Draft::of_parts(parent, parts, partitions.len()) })
}

/// The same for a partition that is led: a node that was told to lead nothing does not come to lead it.
fn willing(sight: &Sight<'_>, partition: &PartitionRecord) -> Result<u64, Fault> {
    let node = best(sight, partition)?;
    if sight.leader(partition.group).is_none() || !sight.shall_not_lead(node) {
        return Ok(node);
    }
    let detail = format!(
        "{} has no other replica in sync that may lead; node {node} shall lead nothing",
        sight.name(partition)
    );
    Err(Fault::new(ErrorCode::NodeUnfit, detail))
}

/// The node that should lead if the one that leads shall not.
pub(super) fn best(sight: &Sight<'_>, partition: &PartitionRecord) -> Result<u64, Fault> {
    let leader = sight.leader(partition.group).unwrap_or(0);
    let heirs = sight.heirs(partition, leader);
    heirs.first().map(|heir| heir.node).ok_or_else(|| {
        let detail = format!("{} has no other replica in sync that could lead", sight.name(partition));
        Fault::new(ErrorCode::Unsafe, detail)
    })
}

fn checked(sight: &Sight<'_>, partition: &PartitionRecord, node: u64) -> Result<u64, Fault> {
    let name = sight.name(partition);
    let Some(replica) = replica_on(partition, node) else {
        return Err(Fault::new(ErrorCode::NotThere, format!("{name} on node {node}")));
    };
    if sight.leader(partition.group) == Some(replica.id) {
        return Ok(node);
    }
    let why = if !sight.is_up(node) {
        sight.how_is(node)
    } else if replica.offline {
        format!("replica {} of {name} on node {node} was taken offline", replica.id)
    } else if sight.shall_not_lead(node) {
        format!("node {node} shall lead nothing; 'skein node undrain {node}' lets it lead again")
    } else if sight.heirs(partition, 0).iter().all(|heir| heir.id != replica.id) {
        format!("replica {} of {name} on node {node} is not in sync", replica.id)
    } else {
        return Ok(node);
    };
    Err(Fault::new(ErrorCode::NodeUnfit, why))
}
