//! `offline-node`: a node, alive or dead, leads nothing and has no vote in any table, until it is recovered.
//!
//! Its replicas stay, and receive the log while it lives. A vote that a partition cannot do without stays as
//! well, and the plan says so. The catalog's own group is left alone: it looks after itself.

use api::admin::OperationRequest;
use api::catalog::{PartitionRecord, ReplicaRecord};
use api::operation::{Edit, NodeFlags, OnNode, OnPartition, OperationKind};
use catalog::status::majority;
use types::{ErrorCode, Fault, NodeId};

use crate::plan::{self, Draft, joined};
use crate::safety::may_lose_vote;
use crate::sight::{Sight, replica_on};

pub(super) fn plan(sight: &Sight<'_>, request: &OperationRequest) -> Result<Draft, Fault> {
    let node = plan::node(sight, request, request.node, "a node")?.id;
    let wish = OperationKind::OfflineNode(OnNode { node });
    let flags = sight.catalog.flags(NodeId(node));
    let goes_offline = (!flags.offline).then_some(Edit::SetNode(NodeFlags { offline: true, ..flags }));
    let edits: Vec<Edit> = goes_offline.into_iter().collect();
    if let Some(joins) = joined::in_parts(sight, &wish, &[], &edits)? {
        return Ok(joins);
    }
    let mut draft = Draft { parent: Some(wish), edits, ..Default::default() };
    let mut stay = Vec::new();
    for partition in sight.catalog.partitions().filter(|partition| partition.table != 0) {
        let Some(replica) = replica_on(partition, node).filter(|replica| !replica.offline) else { continue };
        match check(sight, partition, replica) {
            Ok(()) => draft.parts.push(part(sight, partition, replica)),
            Err(why) => stay.push(why),
        }
    }
    if draft.parts.is_empty() && !stay.is_empty() {
        return Err(Fault::new(ErrorCode::Unsafe, shortened(&stay)));
    }
    draft.notes.extend(stay.into_iter().map(|why| format!("keeps a vote on node {node}: {why}")));
    Ok(draft)
}

/// A dead leader has no say in its own going: there the others must be able to elect one of them.
fn check(sight: &Sight<'_>, partition: &PartitionRecord, replica: &ReplicaRecord) -> Result<(), String> {
    if sight.leader(partition.group).is_some() {
        return may_lose_vote(sight, partition, replica.id);
    }
    let able = sight.heirs(partition, replica.id).len();
    let needed = majority(sight.voters(partition).len());
    if able >= needed {
        return Ok(());
    }
    let name = sight.name(partition);
    Err(format!("{name} has no leader, and {able} of its voters can vote, {needed} needed"))
}

fn part(sight: &Sight<'_>, partition: &PartitionRecord, replica: &ReplicaRecord) -> OperationKind {
    let group = partition.group;
    let leads = match sight.leader(group) {
        Some(leader) => leader == replica.id,
        None => partition.leader == replica.id,
    };
    match sight.heirs(partition, replica.id).first() {
        Some(heir) if leads => OperationKind::ChangeLeader(OnPartition { group, node: heir.node }),
        _ => OperationKind::OfflineReplica(OnPartition { group, node: replica.node }),
    }
}

/// The first few of many sentences.
pub(super) fn shortened(sentences: &[String]) -> String {
    const SHOWN_MAX: usize = 3;
    let shown = sentences[..sentences.len().min(SHOWN_MAX)].join("; ");
    match sentences.len().saturating_sub(SHOWN_MAX) {
        0 => shown,
        more => format!("{shown}; and {more} more"),
    }
}
