//! `drain` and `undrain`: a node leads nothing any more, or may lead again. It keeps its replicas.

use api::admin::OperationRequest;
use api::operation::{Edit, NodeFlags, OnNode, OnPartition, OperationKind};
use types::{Fault, NodeId};

use crate::plan::{self, Draft, joined};
use crate::sight::Sight;

pub(super) fn plan(sight: &Sight<'_>, request: &OperationRequest) -> Result<Draft, Fault> {
    let node = plan::node(sight, request, request.node, "a node")?.id;
    let wish = OperationKind::Drain(OnNode { node });
    let edits = flagged(sight, node, true);
    if let Some(joins) = joined::in_parts(sight, &wish, &[], &edits)? {
        return Ok(joins);
    }
    let mut draft = Draft { parent: Some(wish), edits, ..Default::default() };
    for partition in sight.catalog.partitions() {
        let group = partition.group;
        let leader = sight.leader(group).filter(|_| sight.leader_node(group) == Some(NodeId(node)));
        let Some(leader) = leader else { continue };
        let mut heirs = sight.heirs(partition, leader).into_iter();
        match heirs.find(|heir| heir.node != node && !sight.shall_not_lead(heir.node)) {
            Some(heir) => {
                draft.parts.push(OperationKind::ChangeLeader(OnPartition { group, node: heir.node }));
            }
            None => draft.notes.push(format!(
                "node {node} goes on leading {}: no other replica is in sync and may lead",
                sight.name(partition)
            )),
        }
    }
    Ok(draft)
}

pub(super) fn plan_undrain(sight: &Sight<'_>, request: &OperationRequest) -> Result<Draft, Fault> {
    let node = plan::node(sight, request, request.node, "a node")?.id;
    let wish = OperationKind::Undrain(OnNode { node });
    let edits = flagged(sight, node, false);
    if let Some(joins) = joined::in_parts(sight, &wish, &[], &edits)? {
        return Ok(joins);
    }
    Ok(Draft { parent: Some(wish), edits, ..Default::default() })
}

/// What makes a node drained, or not; nothing, if it is so.
fn flagged(sight: &Sight<'_>, node: u64, drained: bool) -> Vec<Edit> {
    let flags = sight.catalog.flags(NodeId(node));
    let edit = (flags.drained != drained).then_some(Edit::SetNode(NodeFlags { drained, ..flags }));
    edit.into_iter().collect()
}
