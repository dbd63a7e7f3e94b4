//! Catalog and observations side by side, and the questions that everything here asks of them.

use std::collections::BTreeSet;

use api::catalog::{NodeRecord, PartitionRecord, ReplicaRecord};
use api::operation::OperationRecord;
use api::peer::{Member, Membership, ReplicaState};
use catalog::status::{NodeState, majority};
use catalog::{Catalog, Role, display_name};
use types::{GroupId, NodeId, ReplicaId, TableId};

use crate::observed::{GroupSeen, ReplicaSeen};
use crate::{Observed, kind, safety};

/// What is wished, and what was seen.
#[derive(Clone, Copy)]
pub(crate) struct Sight<'a> {
    pub(crate) catalog: &'a Catalog,
    pub(crate) observed: &'a Observed,
}

impl<'a> Sight<'a> {
    pub(crate) fn new(catalog: &'a Catalog, observed: &'a Observed) -> Self {
        Self { catalog, observed }
    }

    pub(crate) fn partition(&self, group: u64) -> Option<&'a PartitionRecord> {
        self.catalog.partition(GroupId(group))
    }

    pub(crate) fn seen(&self, group: u64) -> Option<&'a GroupSeen> {
        self.observed.groups.get(&GroupId(group))
    }

    /// A partition as people call it: `flow/0`.
    pub(crate) fn name(&self, partition: &PartitionRecord) -> String {
        format!("{}/{}", self.table_name(partition), partition.index)
    }

    /// [`Self::name`] of a group that may be gone.
    pub(crate) fn group_name(&self, group: u64) -> String {
        self.partition(group).map_or_else(|| format!("group {group}"), |partition| self.name(partition))
    }

    pub(crate) fn table_name(&self, partition: &PartitionRecord) -> String {
        self.catalog.table(TableId(partition.table)).map(display_name).unwrap_or_default()
    }

    /// The membership in force: the leader's, or without one the last that the catalog was told.
    pub(crate) fn membership(&self, partition: &'a PartitionRecord) -> Option<&'a Membership> {
        let seen = self.seen(partition.group).and_then(|seen| seen.membership.as_ref());
        seen.or(partition.observed.as_ref()).or(partition.birth.as_ref())
    }

    pub(crate) fn member(&self, partition: &'a PartitionRecord, replica: u64) -> Option<&'a Member> {
        self.membership(partition)?.members.iter().find(|member| member.replica == replica)
    }

    pub(crate) fn voters(&self, partition: &'a PartitionRecord) -> Vec<&'a Member> {
        let members = self.membership(partition).map_or(&[][..], |membership| &membership.members);
        members.iter().filter(|member| !member.learner).collect()
    }

    pub(crate) fn votes(&self, partition: &'a PartitionRecord, replica: u64) -> bool {
        self.member(partition, replica).is_some_and(|member| !member.learner)
    }

    /// The leader says so, and the replica does not contradict.
    pub(crate) fn in_sync(&self, group: u64, replica: u64) -> bool {
        self.seen(group).is_some_and(|seen| seen.in_sync.contains(&ReplicaId(replica)))
    }

    /// The replica that leads.
    pub(crate) fn leader(&self, group: u64) -> Option<u64> {
        self.seen(group)?.leader.map(|leader| leader.replica.get())
    }

    pub(crate) fn leader_node(&self, group: u64) -> Option<NodeId> {
        self.seen(group)?.leader.map(|leader| leader.node)
    }

    pub(crate) fn replica_seen(&self, group: u64, replica: u64) -> Option<&'a ReplicaSeen> {
        self.seen(group)?.replicas.get(&ReplicaId(replica))
    }

    pub(crate) fn bytes(&self, group: u64) -> u64 {
        self.seen(group).map_or(0, |seen| seen.bytes)
    }

    pub(crate) fn is_up(&self, node: u64) -> bool {
        self.observed.is_up(NodeId(node))
    }

    /// Whether its last report is of a node that knew the catalog as it is: what such a report does not name is not
    /// there. An older one may be from before a replica was made.
    pub(crate) fn knows_the_catalog(&self, node: u64) -> bool {
        let seen = self.observed.nodes.get(&NodeId(node));
        seen.is_some_and(|seen| seen.catalog_version >= self.catalog.version().get())
    }

    /// Its process begins anew time after time.
    pub(crate) fn flaps(&self, node: u64) -> bool {
        self.observed.nodes.get(&NodeId(node)).is_some_and(|seen| seen.flapping)
    }

    /// It was told to stay out, or to lead nothing.
    pub(crate) fn shall_not_lead(&self, node: u64) -> bool {
        let flags = self.catalog.flags(NodeId(node));
        flags.drained || flags.leaving || flags.offline
    }

    /// The nodes that may host replicas of a group, whatever their state.
    pub(crate) fn hosts(&self, group: u64) -> impl Iterator<Item = &'a NodeRecord> + use<'a> {
        let role = role_for(group);
        self.catalog.nodes().filter(move |node| role.of(node))
    }

    /// Operations on a partition that have not ended, by id.
    pub(crate) fn under_way(&self, group: u64) -> impl Iterator<Item = &'a OperationRecord> + use<'a> {
        let of_group = move |known: &&OperationRecord| known.group == Some(group);
        self.catalog.operations().filter(of_group).filter(|known| !known.state().has_ended())
    }

    /// The operation that keeps others off a partition: the one that runs, or else the first in line. Those that stand
    /// back for others do not count.
    pub(crate) fn busy(&self, group: u64) -> Option<&'a OperationRecord> {
        self.under_way(group)
            .filter(|known| !kind::stands_back(known))
            .max_by_key(|known| (known.state(), std::cmp::Reverse(known.id)))
    }

    /// Who of a partition should lead if one of its replicas shall not: in sync, with a vote, on a node that
    /// is up, best on one that was not told to lead nothing and that nobody may stop, then by rank. Without a leader nobody says who
    /// is in sync, and whoever knows of the latest commit comes first.
    pub(crate) fn heirs(&self, partition: &'a PartitionRecord, not: u64) -> Vec<&'a ReplicaRecord> {
        let group = partition.group;
        let led = self.leader(group).is_some();
        let mut heirs: Vec<(usize, &ReplicaRecord)> = partition
            .replicas
            .iter()
            .enumerate()
            .filter(|(_, replica)| {
                let able = self.replica_seen(group, replica.id).is_some_and(|seen| {
                    seen.up && !matches!(seen.state, ReplicaState::Stopped | ReplicaState::Starting)
                });
                let fits = replica.id != not && !replica.offline && self.votes(partition, replica.id);
                fits && able && (!led || self.in_sync(group, replica.id))
            })
            .collect();
        let leaves_soon =
            |replica: &ReplicaRecord| self.flaps(replica.node) || safety::may_be_stopped(self, replica.node);
        let commit = |id: u64| self.replica_seen(group, id).map_or(0, |seen| seen.commit.max(seen.applied));
        heirs.sort_by_key(|(rank, replica)| {
            let behind = if led { 0 } else { u64::MAX - commit(replica.id) };
            (self.shall_not_lead(replica.node), leaves_soon(replica), behind, *rank)
        });
        heirs.into_iter().map(|(_, replica)| replica).collect()
    }

    /// Nobody leads, and too few of its voters are there to elect anybody.
    pub(crate) fn has_lost_majority(&self, partition: &'a PartitionRecord) -> bool {
        let able = self.heirs(partition, 0).len();
        self.leader(partition.group).is_none() && able < majority(self.voters(partition).len())
    }

    /// Nodes of the voters that are in sync.
    pub(crate) fn voters_in_sync(&self, partition: &'a PartitionRecord) -> BTreeSet<u64> {
        let voters = self.voters(partition).into_iter();
        voters
            .filter(|voter| self.in_sync(partition.group, voter.replica) && self.is_up(voter.node))
            .map(|voter| voter.node)
            .collect()
    }

    /// `node 3 is down`, for a node that is not up.
    pub(crate) fn how_is(&self, node: u64) -> String {
        match self.observed.nodes.get(&NodeId(node)).map(|seen| seen.state) {
            Some(state) => format!("node {node} is {}", state.as_str()),
            None => format!("node {node} has left the cluster"),
        }
    }

    /// Nodes that are down or suspect.
    pub(crate) fn missing_nodes(&self) -> impl Iterator<Item = NodeId> + use<'a> {
        let nodes = self.observed.nodes.iter();
        nodes.filter(|(_, seen)| seen.state != NodeState::Up).map(|(id, _)| *id)
    }
}

/// What a node must be to host replicas of a group.
pub(crate) fn role_for(group: u64) -> Role {
    if group == GroupId::CATALOG.get() { Role::Meta } else { Role::Data }
}

/// The replica wished for on a node.
pub(crate) fn replica_on(partition: &PartitionRecord, node: u64) -> Option<&ReplicaRecord> {
    partition.replicas.iter().find(|replica| replica.node == node)
}

/// The replica wished for under an id.
pub(crate) fn replica_of(partition: &PartitionRecord, id: u64) -> Option<&ReplicaRecord> {
    partition.replicas.iter().find(|replica| replica.id == id)
}

/// `1 partition`, `2 partitions`.
pub(crate) fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}
