//! Who mends a replica that is lost or damaged: the cluster by itself, or whoever operates it.
//!
//! A lost replica is replaced by an empty one under a new id, which needs a copy of everything. With
//! `auto_failover=false` nothing of the kind happens without a command: the replica stays lost until an operation
//! brings one to its node. The catalog's own group always mends itself, for without it there are no commands.

use api::operation::OperationState;
use types::settings::AUTO_FAILOVER;
use types::{GroupId, NodeId};

use crate::Catalog;
use crate::alike::target_node;

impl Catalog {
    /// Whether a lost or damaged replica of a group is made anew on its node.
    pub fn mends(&self, group: GroupId, node: NodeId) -> bool {
        group == GroupId::CATALOG || self.setting(&AUTO_FAILOVER) != 0 || self.is_brought(group, node)
    }

    /// Whether an operation brings a replica of a group to a node at present.
    fn is_brought(&self, group: GroupId, node: NodeId) -> bool {
        self.operations().any(|known| {
            let runs = known.state() == OperationState::Running && !known.cancelling;
            let target = known.kind.as_ref().and_then(target_node);
            runs && known.group == Some(group.get()) && target == Some(node.get())
        })
    }
}
