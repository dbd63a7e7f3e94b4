//! Permits: granted one after another, so that no two are given on the same answer.

use std::collections::BTreeSet;

use api::catalog::ClusterRecord;
use api::operation::PermitChange;
use types::{ErrorCode, Fault, GroupId, NodeId};

use super::{Decision, bad_argument};
use crate::Catalog;
use crate::record::{Record, RecordChange, RecordName};

/// Grants a permit, or ends one.
pub(super) fn permit(
    catalog: &Catalog,
    cluster: ClusterRecord,
    change: &PermitChange,
) -> Result<Decision, Fault> {
    let mut changes = Vec::new();
    if change.release != 0 && catalog.permit(NodeId(change.release)).is_some() {
        changes.push(RecordChange::Remove(RecordName::Permit(NodeId(change.release))));
    }
    if let Some(grant) = &change.grant {
        let outdated = change.expect.iter().find(|expected| {
            let is = catalog.partition(GroupId(expected.group)).map(|partition| partition.route_epoch);
            is != Some(expected.route_epoch)
        });
        if let Some(outdated) = outdated {
            let detail = format!("group {} is not as the answer saw it", outdated.group);
            return Err(Fault::new(ErrorCode::PlanOutdated, detail));
        }
        if !catalog.nodes.contains_key(&NodeId(grant.node)) {
            return Err(bad_argument(format!("there is no node {}", grant.node)));
        }
        let seen: BTreeSet<u64> = change.seen.iter().copied().collect();
        let others = catalog.permits().map(|permit| permit.node).filter(|&node| node != grant.node);
        if others.collect::<BTreeSet<u64>>() != seen.into_iter().filter(|&node| node != grant.node).collect()
        {
            let detail = format!("another permit was granted while node {} was asked for", grant.node);
            return Err(Fault::new(ErrorCode::PlanOutdated, detail));
        }
        if catalog.permit(NodeId(grant.node)) != Some(grant) {
            changes.push(RecordChange::Put(Record::Permit(grant.clone())));
        }
    }
    Ok(Decision::ok(cluster, changes))
}
