//! Why something is as it is, and the smallest change that would help.

use api::admin::Explanation;
use catalog::Catalog;
use types::{GroupId, NodeId};

use crate::Observed;

/// Why a partition is as it is.
pub fn explain_partition(catalog: &Catalog, observed: &Observed, group: GroupId) -> Explanation {
    let _ = (catalog, observed);
    Explanation {
        summary: format!("group {group}"),
        facts: Vec::new(),
        blockers: Vec::new(),
        next: Vec::new(),
    }
}

/// How a node is, and what would break if it stopped.
pub fn explain_node(catalog: &Catalog, observed: &Observed, node: NodeId) -> Explanation {
    let _ = (catalog, observed);
    Explanation { summary: format!("node {node}"), facts: Vec::new(), blockers: Vec::new(), next: Vec::new() }
}
