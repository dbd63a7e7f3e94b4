//! Why something is as it is, and the smallest change that would help.

mod node;
mod operation;
mod partition;

use api::admin::{Blocker, Explanation};
use catalog::Catalog;
use types::{GroupId, NodeId};

use crate::Observed;
use crate::sight::Sight;
pub(crate) use operation::explain as operation;

/// Why a partition is as it is.
pub fn explain_partition(catalog: &Catalog, observed: &Observed, group: GroupId) -> Explanation {
    partition::explain(&Sight::new(catalog, observed), group)
}

/// How a node is, and what would break if it stopped.
pub fn explain_node(catalog: &Catalog, observed: &Observed, node: NodeId) -> Explanation {
    node::explain(&Sight::new(catalog, observed), node)
}

/// The smallest change that gets a node out of the way; empty if the node is as it should be.
fn unblock_node(sight: &Sight<'_>, node: u64) -> String {
    let flags = sight.catalog.flags(NodeId(node));
    if sight.catalog.node(NodeId(node)).is_none() {
        String::new()
    } else if !sight.is_up(node) {
        format!("start node {node}")
    } else if flags.offline {
        format!("skein node recover {node}")
    } else if let Some(permit) = sight.catalog.permit(NodeId(node)) {
        format!("skein node may-stop {node} --give-back --holder {}", permit.holder)
    } else {
        String::new()
    }
}

/// What to do next, each once.
fn next_commands(blockers: &[Blocker], rest: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut next: Vec<String> = Vec::new();
    let typed = blockers.iter().map(|blocker| blocker.unblock.clone());
    for command in typed.chain(rest).filter(|command| !command.is_empty()) {
        if !next.contains(&command) {
            next.push(command);
        }
    }
    next
}
