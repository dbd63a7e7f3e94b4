//! A node that has left hosts nothing, and never will: no replica is wished for there, none is a member there,
//! and none is made there.

use std::collections::BTreeSet;

use api::peer::Membership;
use types::{GroupId, NodeId};

use super::laws::Transition;
use super::memberships::shown;
use super::votes::Votes;

/// The nodes that have left.
#[derive(Default)]
pub struct Departures(BTreeSet<NodeId>);

impl Departures {
    /// Whether a node has left.
    pub fn has_left(&self, node: NodeId) -> bool {
        self.0.contains(&node)
    }

    /// Looks at nodes that a command has removed, and at all wishes.
    ///
    /// # Errors
    /// What is still on a node that has left.
    pub fn check(&mut self, transition: &Transition<'_>, votes: &Votes) -> Result<(), String> {
        let (before, after) = (transition.before, transition.after);
        let gone = before.nodes().map(|node| NodeId(node.id)).filter(|node| after.node(*node).is_none());
        let gone: Vec<NodeId> = gone.collect();
        self.0.extend(&gone);
        for partition in after.partitions() {
            let group = partition.group;
            if let Some(replica) =
                partition.replicas.iter().find(|replica| self.0.contains(&NodeId(replica.node)))
            {
                let (id, node) = (replica.id, replica.node);
                return Err(format!(
                    "replica {id} of group {group} is wished for on node {node}, which has left"
                ));
            }
            let membership = votes.membership(GroupId(group));
            if let (false, Some(membership)) = (gone.is_empty(), membership) {
                self.is_in(GroupId(group), membership)?;
            }
        }
        Ok(())
    }

    /// A membership is in force. A learner whose wish was taken back may come a moment after its node has left, and
    /// goes at once; nothing depends on it.
    ///
    /// # Errors
    /// A member on a node that has left.
    pub fn is_in(&self, group: GroupId, membership: &Membership) -> Result<(), String> {
        let mut voters = membership.members.iter().filter(|member| !member.learner);
        match voters.find(|member| self.0.contains(&NodeId(member.node))) {
            None => Ok(()),
            Some(member) => {
                let (node, all) = (member.node, shown(membership));
                Err(format!("group {group} is {all}, and node {node} has left"))
            }
        }
    }
}
