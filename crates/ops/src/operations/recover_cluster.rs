//! `recover-cluster`: a check of everything, which normally finds nothing to do.

use api::admin::OperationRequest;
use api::kv::Nothing;
use api::operation::{OperationKind, OperationRecord};
use types::{Fault, NodeId};

use crate::kind;
use crate::operations::recover;
use crate::plan::target::Ledger;
use crate::plan::{self, Draft, joined};
use crate::sight::Sight;

pub(super) fn plan(sight: &Sight<'_>, _request: &OperationRequest) -> Result<Draft, Fault> {
    let wish = OperationKind::RecoverCluster(Nothing {});
    let parts = |partition| recover::parts(sight, partition, None);
    let parts = sight.catalog.partitions().flat_map(parts);
    let is_taken = |node: u64| taken_by(sight, node).is_some();
    let parts: Vec<OperationKind> =
        parts.filter(|part| !kind::target_node(part).is_some_and(is_taken)).collect();
    let mut notes = Vec::new();
    let mut ledger = Ledger::of(sight);
    let more = sight.catalog.partitions();
    let more = more.flat_map(|partition| recover::additions(sight, partition, &mut ledger, &mut notes));
    let parts: Vec<OperationKind> = parts.into_iter().chain(more.collect::<Vec<_>>()).collect();
    let mut edits = Vec::new();
    for node in sight.catalog.nodes() {
        if let Some(other) = taken_by(sight, node.id) {
            notes.push(format!("node {} is left alone: operation {} is about it", node.id, other.id));
        } else if sight.is_up(node.id) {
            edits.extend(recover::back_online(sight, node.id));
        } else {
            notes.push(format!("{}: its replicas come back when it does", sight.how_is(node.id)));
        }
    }
    for partition in sight.catalog.partitions().filter(|partition| sight.has_lost_majority(partition)) {
        let Err(fault) = plan::has_leader(sight, partition) else { continue };
        notes.push(format!("{}; 'skein explain partition' says what helps", fault.detail));
    }
    if let Some(joins) = joined::in_parts(sight, &wish, &parts, &edits)? {
        return Ok(joins);
    }
    Ok(Draft { parent: Some(wish), parts, edits, notes, ..Default::default() })
}

/// The operation about a node that wants something else of it: whether it is offline or to leave is that one's to say.
fn taken_by<'a>(sight: &Sight<'a>, node: u64) -> Option<&'a OperationRecord> {
    let is_offline = sight.catalog.flags(NodeId(node)).offline;
    let other = sight.catalog.active_about(node)?;
    let takes = matches!(other.kind, Some(OperationKind::OfflineNode(_) | OperationKind::Decommission(_)));
    (takes || is_offline).then_some(other)
}
