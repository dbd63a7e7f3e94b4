//! Permits: granted one after another, so that no two are given on the same answer.

use std::collections::{BTreeMap, BTreeSet};

use api::catalog::ClusterRecord;
use api::operation::{PermitChange, PermitRecord};
use types::{ErrorCode, Fault, NodeId};

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
    let held = |node: u64| catalog.permit(NodeId(node));
    if let Some(permit) = held(change.release) {
        if !change.holder.is_empty() && permit.holder != change.holder {
            return Err(held_by(permit));
        }
        // One that was renewed since it was looked at stays.
        if change.until_ms == 0 || permit.until_ms <= change.until_ms {
            changes.push(RecordChange::Remove(RecordName::Permit(NodeId(change.release))));
        }
    }
    if let Some(grant) = &change.grant {
        if let Some(group) = first_unseen(catalog, change) {
            let detail = format!("group {group} is not as the answer saw it");
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
        // Two that ask at the same time do not both get it.
        if let Some(permit) = held(grant.node).filter(|permit| permit.holder != change.holder) {
            return Err(held_by(permit));
        }
        if held(grant.node) != Some(grant) {
            changes.push(RecordChange::Put(Record::Permit(grant.clone())));
        }
    }
    Ok(Decision::ok(cluster, changes))
}

fn held_by(permit: &PermitRecord) -> Fault {
    let detail = format!("{} holds the right to stop node {}", permit.holder, permit.node);
    Fault::new(ErrorCode::NoPermit, detail)
}

/// A partition that is not as the answer saw it: changed, dropped, or made since and not asked about at all.
fn first_unseen(catalog: &Catalog, change: &PermitChange) -> Option<u64> {
    let seen: BTreeMap<u64, u64> =
        change.expect.iter().map(|expected| (expected.group, expected.route_epoch)).collect();
    let are: BTreeMap<u64, u64> =
        catalog.partitions().map(|partition| (partition.group, partition.route_epoch)).collect();
    let mut groups = seen.keys().chain(are.keys());
    groups.find(|group| seen.get(group) != are.get(group)).copied()
}
