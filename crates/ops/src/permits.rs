//! Permits: may a node be stopped now?

use api::admin::{Permit, PermitRequest};
use api::operation::PermitChange;
use catalog::Catalog;
use types::{ErrorCode, Fault, NodeId};

use crate::Observed;

/// Whether a node may be stopped now; if so, the command that grants it, and the permit.
///
/// # Errors
/// `no-permit` with the partitions and nodes that are in the way.
pub fn may_stop(
    catalog: &Catalog,
    observed: &Observed,
    node: NodeId,
    wish: &PermitRequest,
) -> Result<(PermitChange, Permit), Fault> {
    let _ = (catalog, observed, wish);
    Err(Fault::new(ErrorCode::UnknownNode, format!("node {node}")))
}
