//! `recover-node` and `recover-partition`: whatever is missing of replicas is done. Where a partition has fewer than its
//! table wishes, it gets more.
//!
//! A replica that was taken offline gets its vote again, and leads again if that is wished and it led then; one that is
//! lost is made anew, and all of them catch up and are compared. What is well is left alone, so a second run finds nothing to do.

use api::admin::OperationRequest;
use api::catalog::{PartitionRecord, ReplicaRecord};
use api::operation::{Edit, NodeFlags, OnNode, OnPartition, OperationKind};
use api::peer::ReplicaState;
use catalog::alike::goes_on;
use types::settings::AUTO_FAILOVER;
use types::{ErrorCode, Fault, NodeId};

use crate::operations::set_replicas;
use crate::plan::joined::{self, Joined};
use crate::plan::target::Ledger;
use crate::plan::{self, Draft};
use crate::sight::Sight;

pub(super) fn plan_node(sight: &Sight<'_>, request: &OperationRequest) -> Result<Draft, Fault> {
    let node = plan::node(sight, request, request.node, "a node")?.id;
    is_up(sight, node)?;
    let wish = OperationKind::RecoverNode(OnNode { node });
    let parts = |partition| {
        let leads_again = led(partition, node).filter(|_| request.leaders);
        parts(sight, partition, Some(node)).into_iter().chain(leads_again)
    };
    let parts: Vec<OperationKind> = sight.catalog.partitions().flat_map(parts).collect();
    let edits: Vec<Edit> = back_online(sight, node).into_iter().collect();
    if let Some(joins) = joined::in_parts(sight, &wish, &parts, &edits)? {
        return Ok(joins);
    }
    Ok(Draft { parent: Some(wish), parts, edits, ..Default::default() })
}

pub(super) fn plan_partition(sight: &Sight<'_>, request: &OperationRequest) -> Result<Draft, Fault> {
    let (mut found, mut notes) = (Vec::new(), Vec::new());
    let mut ledger = Ledger::of(sight);
    let partitions = plan::partitions(sight, request)?;
    let mut joined = Joined::of(sight, partitions.len());
    if let Some(node) = request.node {
        is_up(sight, plan::known_node(sight, node)?.id)?;
    }
    for partition in &partitions {
        if let Some(node) = request.node
            && !partition.replicas.iter().any(|replica| replica.node == node)
        {
            let detail = format!("{} on node {node}", sight.name(partition));
            return Err(Fault::new(ErrorCode::NotThere, detail));
        }
        let mut missing = parts(sight, partition, request.node);
        if request.node.is_none() {
            missing.extend(coming(sight, partition).cloned());
            missing.extend(additions(sight, partition, &mut ledger, &mut notes));
        }
        if is_recovering(sight, partition, request.node, &missing, &mut joined) {
            continue;
        }
        plan::not_busy(sight, partition)?;
        if missing.is_empty() && sight.has_lost_majority(partition) {
            plan::has_leader(sight, partition)?;
        }
        found.extend(missing);
    }
    if let Some(joins) = joined.all(&found)? {
        return Ok(joins);
    }
    let group = partitions.first().map_or(0, |partition| partition.group);
    let parent = OperationKind::RecoverReplica(OnPartition { group, node: request.node.unwrap_or(0) });
    Ok(Draft { notes, ..Draft::of_parts(parent, found, partitions.len()) })
}

/// Replicas that operations bring to a partition already.
fn coming<'a>(
    sight: &Sight<'a>,
    partition: &PartitionRecord,
) -> impl Iterator<Item = &'a OperationKind> + use<'a> {
    let going_on = sight.under_way(partition.group).filter(|known| goes_on(known));
    let kinds = going_on.filter_map(|known| known.kind.as_ref());
    kinds.filter(|kind| matches!(kind, OperationKind::AddReplica(_)))
}

/// The replicas that a partition lacks of those that its table wishes, each on the best place. One that is being worked
/// on, or that nobody leads, gets none; where there is no room a note says so.
pub(super) fn additions(
    sight: &Sight<'_>,
    partition: &PartitionRecord,
    ledger: &mut Ledger,
    notes: &mut Vec<String>,
) -> Vec<OperationKind> {
    let lacks = sight.catalog.lacks(partition);
    if lacks == 0 || sight.leader(partition.group).is_none() || sight.busy(partition.group).is_some() {
        return Vec::new();
    }
    set_replicas::additions(sight, partition, lacks, ledger).unwrap_or_else(|fault| {
        notes.push(format!("{} gets no more replicas: {}", sight.name(partition), fault.detail));
        Vec::new()
    })
}

/// Whether an operation does already whatever is missing of a partition. One that is at its end has nothing missing any
/// more, and is still joined.
fn is_recovering(
    sight: &Sight<'_>,
    partition: &PartitionRecord,
    node: Option<u64>,
    missing: &[OperationKind],
    joined: &mut Joined<'_>,
) -> bool {
    if !missing.is_empty() {
        let known = |wish: &OperationKind| sight.catalog.doing_on_partition(wish).is_some();
        return missing.iter().all(known) && missing.iter().all(|wish| joined.takes(wish));
    }
    let group = partition.group;
    let on = |replica: &&ReplicaRecord| node.is_none_or(|node| node == replica.node);
    let wish =
        |replica: &ReplicaRecord| OperationKind::RecoverReplica(OnPartition { group, node: replica.node });
    partition.replicas.iter().filter(on).map(wish).any(|wish| joined.takes(&wish))
}

/// Gives leadership back to the replica on a node, if it led when it was taken offline.
fn led(partition: &PartitionRecord, node: u64) -> Option<OperationKind> {
    let replica = partition.replicas.iter().find(|replica| replica.node == node)?;
    replica.led.then_some(OperationKind::ChangeLeader(OnPartition { group: partition.group, node }))
}

/// A node that was taken offline by command, and is up, counts again.
pub(super) fn back_online(sight: &Sight<'_>, node: u64) -> Option<Edit> {
    let flags = sight.catalog.flags(NodeId(node));
    flags.offline.then_some(Edit::SetNode(NodeFlags { offline: false, ..flags }))
}

/// What is to be done about a partition's replicas, all or those on one node. In manual mode a partition
/// without a leader gets one first, for without it nothing else can happen.
pub(super) fn parts(sight: &Sight<'_>, partition: &PartitionRecord, node: Option<u64>) -> Vec<OperationKind> {
    let group = partition.group;
    let mut parts = Vec::new();
    let manual = sight.catalog.setting(&AUTO_FAILOVER) == 0 && partition.table != 0;
    if manual && sight.leader(group).is_none() {
        let heir = sight.heirs(partition, 0).first().map(|heir| heir.node);
        parts.extend(heir.map(|node| OperationKind::ChangeLeader(OnPartition { group, node })));
    }
    let wanted = |replica: &&ReplicaRecord| {
        node.is_none_or(|node| node == replica.node)
            && sight.is_up(replica.node)
            && !is_well(sight, partition, replica)
    };
    let recover =
        |replica: &ReplicaRecord| OperationKind::RecoverReplica(OnPartition { group, node: replica.node });
    parts.extend(partition.replicas.iter().filter(wanted).map(recover));
    parts
}

/// Without a leader nobody knows who is in sync, and a replica that runs is taken to be well.
fn is_well(sight: &Sight<'_>, partition: &PartitionRecord, replica: &ReplicaRecord) -> bool {
    let group = partition.group;
    let seen = sight.replica_seen(group, replica.id);
    let runs = seen.is_some_and(|seen| !matches!(seen.state, ReplicaState::Stopped | ReplicaState::Starting));
    let in_sync = match sight.leader(group) {
        Some(_) => sight.in_sync(group, replica.id),
        None => runs,
    };
    !replica.offline && sight.votes(partition, replica.id) && in_sync
}

fn is_up(sight: &Sight<'_>, node: u64) -> Result<(), Fault> {
    if sight.is_up(node) {
        return Ok(());
    }
    Err(Fault::new(ErrorCode::NodeUnfit, format!("{}: start it first", sight.how_is(node))))
}
