//! Whether the cluster is stable: nothing is missing, and nothing is under way that takes something away.

use api::admin::{Status, Verdict};
use api::operation::{OperationKind, OperationRecord};
use catalog::Catalog;

/// Whether everything is as it is wished and will be in a moment. `catalog` must be one that has operations: that of
/// a node that replicates it.
pub fn is_stable(catalog: &Catalog, status: &Status, wall_ms: u64) -> bool {
    let endangers = |operation: &OperationRecord| {
        !operation.state().has_ended() && operation.kind.as_ref().is_none_or(takes_away)
    };
    // Who has the right to stop a node is about to.
    let stops = catalog.permits().any(|permit| wall_ms < permit.until_ms);
    status.verdict == Verdict::Healthy && !stops && !catalog.operations().any(endangers)
}

/// Whether an operation takes a replica, a vote or a node away, or mends what is missing. A kind of a newer release
/// is taken to.
fn takes_away(kind: &OperationKind) -> bool {
    matches!(
        kind,
        OperationKind::RemoveReplica(_)
            | OperationKind::Migrate(_)
            | OperationKind::OfflineReplica(_)
            | OperationKind::RecoverReplica(_)
            | OperationKind::OfflineNode(_)
            | OperationKind::RecoverNode(_)
            | OperationKind::RecoverCluster(_)
            | OperationKind::Balance(_)
            | OperationKind::Decommission(_)
            | OperationKind::SetReplicas(_)
            | OperationKind::RecoverQuorum(_)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::catalog::{Bootstrap, CatalogCommand, CatalogOp, NodeRecord, PartitionRecord};
    use api::kv::Nothing;
    use api::operation::{
        ExpectedPartition, OnPartition, OperationChange, OperationState, PermitChange, PermitRecord,
    };
    use api::peer::{Member, Membership};
    use engine::ApplyContext;
    use types::{Hlc, LogIndex};

    fn apply(catalog: &mut Catalog, op: CatalogOp) {
        let context = ApplyContext {
            hlc: Hlc::default(),
            seed: 0,
            apply_version: api::entry::APPLY_VERSION,
            index: LogIndex(catalog.version().get() + 6),
            wants_changes: false,
        };
        catalog.apply(&CatalogCommand { op: Some(op) }, &context);
    }

    fn catalog() -> Catalog {
        let mut catalog = Catalog::default();
        let member = Member { replica: 1, node: 1, learner: false };
        let bootstrap = Bootstrap {
            cluster: 1,
            nodes: vec![NodeRecord { id: 1, endpoint: "n1:7000".into(), ..Default::default() }],
            membership: Some(Membership { epoch: 1, members: vec![member] }),
            tables: Vec::new(),
        };
        apply(&mut catalog, CatalogOp::Bootstrap(bootstrap));
        catalog
    }

    fn status(verdict: Verdict) -> Status {
        Status {
            verdict,
            summary: String::new(),
            cluster: String::new(),
            fault_tolerance: 0,
            tolerance_by: Default::default(),
            leader: None,
            catalog_version: 1,
            nodes: Vec::new(),
            partitions: Vec::new(),
        }
    }

    /// Whether a healthy cluster is stable while such an operation is in this state.
    fn with(kind: OperationKind, state: OperationState) -> bool {
        let mut catalog = catalog();
        let mut record = OperationRecord { kind: Some(kind), group: Some(0), ..Default::default() };
        record.set_state(state);
        let change = OperationChange { start: vec![record], ..Default::default() };
        apply(&mut catalog, CatalogOp::Operate(change));
        assert_eq!(catalog.operations().count(), 1);
        is_stable(&catalog, &status(Verdict::Healthy), 10)
    }

    #[test]
    fn whatever_is_missing_or_about_to_be_makes_it_unstable() {
        let mut catalog = catalog();
        assert!(is_stable(&catalog, &status(Verdict::Healthy), 10));
        assert!(!is_stable(&catalog, &status(Verdict::Degraded), 10));
        let on = OnPartition { group: 0, node: 1 };
        assert!(!with(OperationKind::OfflineReplica(on), OperationState::Queued));
        assert!(!with(OperationKind::RecoverCluster(Nothing {}), OperationState::Running));
        assert!(with(OperationKind::OfflineReplica(on), OperationState::Done), "it is over");
        assert!(with(OperationKind::Snapshot(on), OperationState::Running), "it takes nothing away");
        let grant = PermitRecord { node: 1, holder: "me".into(), granted_ms: 1, until_ms: 20 };
        let seen = |partition: &PartitionRecord| ExpectedPartition {
            group: partition.group,
            route_epoch: partition.route_epoch,
        };
        let expect = catalog.partitions().map(seen).collect();
        let permit = PermitChange { grant: Some(grant), expect, ..Default::default() };
        apply(&mut catalog, CatalogOp::Permit(permit));
        assert!(!is_stable(&catalog, &status(Verdict::Healthy), 10), "node 1 is to be stopped");
        assert!(is_stable(&catalog, &status(Verdict::Healthy), 20), "the permit is over");
    }
}
