//! What the meta leader has seen of the cluster, by what operations look it up by.
//!
//! It is made anew from the reports for each look. A report of a node that is not up says how the node was,
//! not how it is: such replicas are there, but they neither lead nor are in sync.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use api::peer::{Membership, ReplicaReport, ReplicaState};
use catalog::Catalog;
use catalog::status::{NodeState, Observations};
use types::{GroupId, LogIndex, NodeId, ReplicaId};

/// What the meta leader has seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// Its wall clock, milliseconds since 1970.
    pub wall_ms: u64,
    /// Every node of the catalog.
    pub nodes: BTreeMap<NodeId, NodeSeen>,
    /// Every group that a node has reported.
    pub groups: BTreeMap<GroupId, GroupSeen>,
}

/// A node as it was seen.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeSeen {
    /// Whether it is there, by the settings.
    pub state: NodeState,
    /// How long ago its last report came.
    pub age: Duration,
    /// Bytes of the states of its replicas.
    pub used_bytes: u64,
    /// Bytes that its disk has left for data; nothing while it does not say.
    pub free_bytes: Option<u64>,
    /// The number that its host has for that disk; 0 while it does not say.
    pub disk: u64,
    /// Its process begins anew time after time.
    pub flapping: bool,
    /// The run of its process that reported last; 0 if none has.
    pub boot: u64,
    /// The version of the catalog that it worked with when it reported; 0 if it has not.
    pub catalog_version: u64,
}

/// A group as it was seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupSeen {
    /// Who leads.
    pub leader: Option<LeaderSeen>,
    /// The membership in force, as the leader says.
    pub membership: Option<Membership>,
    /// Replicas in sync, as the leader says; it is one of them.
    pub in_sync: BTreeSet<ReplicaId>,
    /// Bytes of its state, as the leader says, or whoever has the most.
    pub bytes: u64,
    /// Live records, the same way.
    pub records: u64,
    /// Requests per second that the leader is asked; nothing while it does not say.
    pub load: Option<u64>,
    /// Every replica that a node has reported. Of nodes that are down: as they were.
    pub replicas: BTreeMap<ReplicaId, ReplicaSeen>,
}

/// The leader of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaderSeen {
    /// The replica.
    pub replica: ReplicaId,
    /// Its node.
    pub node: NodeId,
    /// The term in which it leads.
    pub term: u64,
}

/// A replica as it was seen.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplicaSeen {
    /// Its node.
    pub node: NodeId,
    /// Its node is up.
    pub up: bool,
    /// What it is at the moment.
    pub state: ReplicaState,
    /// Its term.
    pub term: u64,
    /// The last index that it applied.
    pub applied: u64,
    /// The last index that it knows to be committed.
    pub commit: u64,
    /// The last entry of its log: its term, and its index.
    pub last: (u64, u64),
    /// The stamp of the last entry that it applied, milliseconds since 1970.
    pub stamp_ms: u64,
    /// Bytes of its state; while it receives a snapshot, those that have arrived.
    pub bytes: u64,
    /// Why it has stopped, if it has.
    pub detail: String,
    /// Bytes that it has hashed since its process began.
    pub hashed: u64,
    /// Its hashes, by log index.
    pub digests: BTreeMap<LogIndex, DigestSeen>,
    /// The operation for which it is being compacted, or 0.
    pub compacting: u64,
    /// The last operation for which it was compacted by this run of its node, or 0.
    pub compacted: u64,
    /// Why it was left as it was instead; empty if it was not.
    pub compaction_left: String,
}

/// The hash of a replica at a log index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DigestSeen {
    /// XXH3-128, as hexadecimal text.
    pub hash: String,
    /// How many records were hashed.
    pub records: u64,
}

impl Observed {
    /// From what was heard until `wall_ms`.
    pub fn new(catalog: &Catalog, observations: &Observations, wall_ms: u64) -> Self {
        let mut observed = Self { wall_ms, ..Self::default() };
        for node in catalog.nodes() {
            observed.nodes.insert(NodeId(node.id), node_seen(catalog, observations, NodeId(node.id)));
        }
        for (node, observation) in &observations.reports {
            let up = observed.is_up(*node);
            for report in &observation.report.replicas {
                let seen = replica_seen(*node, up, report);
                let group = observed.groups.entry(GroupId(report.group)).or_default();
                // A replica id belongs to one node. Should two name it, the one that is up is right.
                let known = group.replicas.get(&ReplicaId(report.replica));
                if known.is_none_or(|known| !known.up) {
                    group.replicas.insert(ReplicaId(report.replica), seen);
                }
            }
        }
        for (node, observation) in &observations.reports {
            if observed.is_up(*node) {
                for report in &observation.report.replicas {
                    observed.take_leader(*node, report);
                }
            }
        }
        observed.groups.values_mut().for_each(GroupSeen::finish);
        observed
    }

    /// Whether a node reports.
    pub fn is_up(&self, node: NodeId) -> bool {
        self.state(node) == NodeState::Up
    }

    /// How a node is; one that the catalog does not know is down.
    pub fn state(&self, node: NodeId) -> NodeState {
        self.nodes.get(&node).map_or(NodeState::Down, |seen| seen.state)
    }

    /// The leader of a group.
    pub fn leader(&self, group: GroupId) -> Option<LeaderSeen> {
        self.groups.get(&group)?.leader
    }

    /// Whoever says that it leads, in the highest term, does; unless an election is under way.
    fn take_leader(&mut self, node: NodeId, report: &ReplicaReport) {
        if report.state() != ReplicaState::Leader {
            return;
        }
        let Some(group) = self.groups.get_mut(&GroupId(report.group)) else { return };
        let later = group.replicas.values().any(|seen| seen.up && seen.term > report.term);
        if later || group.leader.is_some_and(|known| known.term >= report.term) {
            return;
        }
        let replica = ReplicaId(report.replica);
        group.leader = Some(LeaderSeen { replica, node, term: report.term });
        group.membership.clone_from(&report.membership);
        group.in_sync = report.in_sync.iter().map(|id| ReplicaId(*id)).collect();
        (group.bytes, group.records, group.load) = (report.bytes, report.records, report.load);
    }
}

impl GroupSeen {
    fn finish(&mut self) {
        let Some(leader) = self.leader else {
            self.bytes = self.replicas.values().map(|seen| seen.bytes).max().unwrap_or(0);
            return;
        };
        // The leader's word is older than that of a replica that says that it has stopped.
        let replicas = &self.replicas;
        self.in_sync
            .retain(|id| replicas.get(id).is_none_or(|seen| seen.up && seen.state != ReplicaState::Stopped));
        self.in_sync.insert(leader.replica);
    }
}

fn node_seen(catalog: &Catalog, observations: &Observations, node: NodeId) -> NodeSeen {
    let observation = observations.reports.get(&node);
    let report = observation.map(|observation| &observation.report);
    NodeSeen {
        state: observations.node_state(catalog, node),
        age: observation.map_or(observations.listening, |observation| observation.age),
        used_bytes: report.map_or(0, |report| report.replicas.iter().map(|replica| replica.bytes).sum()),
        free_bytes: report.filter(|report| report.disk_bytes > 0).map(|report| report.free_bytes),
        flapping: observations.flapping.contains(&node),
        disk: report.map_or(0, |report| report.disk),
        boot: report.map_or(0, |report| report.boot),
        catalog_version: report.map_or(0, |report| report.catalog_version),
    }
}

fn replica_seen(node: NodeId, up: bool, report: &ReplicaReport) -> ReplicaSeen {
    let digest = |at: &api::peer::DigestAt| {
        let hash = at.hash.iter().map(|byte| format!("{byte:02x}")).collect();
        (LogIndex(at.index), DigestSeen { hash, records: at.records })
    };
    ReplicaSeen {
        node,
        up,
        state: report.state(),
        term: report.term,
        applied: report.applied,
        commit: report.commit,
        last: (report.last_term, report.last_index),
        stamp_ms: report.stamp_ms,
        bytes: report.bytes,
        detail: report.detail.clone(),
        hashed: report.hashed,
        digests: report.digests.iter().map(digest).collect(),
        compacting: report.compacting,
        compacted: report.compacted,
        compaction_left: report.compaction_left.clone(),
    }
}
