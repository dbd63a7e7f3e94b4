//! One group of the model: who is in it, who leads, and which replicas have its data.

use std::collections::BTreeMap;

use api::catalog::{CatalogOp, Established, GroupReplica, ObservedMembership, PartitionRecord};
use api::peer::{DigestAt, Member, Membership, ReplicaReport, ReplicaState};
use types::settings::AUTO_FAILOVER;
use types::{GroupId, LogIndex, NodeId, OperationId};

use crate::model::Cluster;

/// Bytes of every state.
const BYTES: u64 = 8 * 1024 * 1024;

#[derive(Clone, Default)]
pub struct Group {
    pub membership: Membership,
    pub leader: Option<u64>,
    pub term: u64,
    pub index: u64,
    pub replicas: BTreeMap<u64, Replica>,
    /// Requests per second that its leader says.
    pub load: Option<u64>,
}

#[derive(Clone, Default)]
pub struct Replica {
    pub node: u64,
    /// It has had a snapshot and everything since.
    pub has_data: bool,
    /// Ticks of copying that it has behind it.
    pub copied: u32,
    pub is_corrupt: bool,
    /// It lacks what the others have, until somebody leads: it is not elected.
    pub is_behind: bool,
    pub digests: BTreeMap<u64, u8>,
    /// The operation for which it was compacted last.
    pub compacted: u64,
    /// It is too large to be compacted.
    pub is_large: bool,
}

impl Group {
    /// A group whose founders have yet to be made.
    pub fn born(partition: &PartitionRecord) -> Self {
        let membership = partition.birth.clone().expect("a membership at birth");
        Self { membership, index: 5, load: Some(0), ..Default::default() }
    }

    fn voters(&self) -> impl Iterator<Item = &Member> {
        self.membership.members.iter().filter(|member| !member.learner)
    }

    fn able(&self, cluster: &Cluster, replica: u64) -> bool {
        let seen = self.replicas.get(&replica);
        seen.is_some_and(|seen| seen.has_data && cluster.is_up(NodeId(seen.node)))
    }

    fn has_majority(&self, cluster: &Cluster) -> bool {
        let able = self.voters().filter(|voter| self.able(cluster, voter.replica)).count();
        able > self.voters().count() / 2
    }

    /// Somebody leads, with a majority behind it.
    pub fn is_served(&self, cluster: &Cluster) -> bool {
        self.leader.is_some_and(|leader| self.able(cluster, leader)) && self.has_majority(cluster)
    }

    /// One thing. Returns what is told to the catalog.
    pub fn step(&mut self, cluster: &Cluster, partition: &PartitionRecord) -> Vec<CatalogOp> {
        if !partition.may_begin && Some(&self.membership) != partition.birth.as_ref() {
            *self = Self::born(partition);
        }
        self.take_over(cluster, partition);
        let established = self.host(cluster, partition);
        if !self.is_served(cluster) {
            self.leader = None;
            self.elect(cluster, partition);
        } else {
            self.index += 1;
            self.replicas.values_mut().for_each(|replica| replica.is_behind = false);
            self.walk(cluster, partition);
        }
        let mut words = Vec::new();
        if !established.is_empty() {
            words.push(CatalogOp::Established(Established { replicas: established }));
        }
        if let Some(leader) = self.leader {
            let known = partition.observed.as_ref().map_or(0, |known| known.epoch);
            if known < self.membership.epoch || partition.leader_term < self.term {
                words.push(CatalogOp::Observed(ObservedMembership {
                    group: partition.group,
                    membership: Some(self.membership.clone()),
                    leader,
                    term: self.term,
                }));
            }
        }
        words
    }

    /// A survivor whose node is up goes on alone, under its new id.
    fn take_over(&mut self, cluster: &Cluster, partition: &PartitionRecord) {
        let Some(takeover) = &partition.takeover else { return };
        if !self.able(cluster, takeover.survivor) {
            return;
        }
        let Some(survivor) = self.replicas.remove(&takeover.survivor) else { return };
        let member = Member { replica: takeover.replica, node: survivor.node, learner: false };
        self.replicas.insert(takeover.replica, Replica { is_behind: false, ..survivor });
        self.membership = Membership { epoch: takeover.epoch, members: vec![member] };
        (self.leader, self.term) = (None, takeover.term);
    }

    /// Nodes make what is wished for, and drop what is neither wished for nor a member.
    fn host(&mut self, cluster: &Cluster, partition: &PartitionRecord) -> Vec<GroupReplica> {
        let mut established = Vec::new();
        for wish in &partition.replicas {
            if !cluster.is_up(NodeId(wish.node)) {
                continue;
            }
            let group = partition.group;
            if !self.replicas.contains_key(&wish.id) && !wish.established {
                let new = Replica { node: wish.node, has_data: wish.founding, ..Default::default() };
                self.replicas.insert(wish.id, new);
            }
            if !wish.established {
                established.push(GroupReplica { group, replica: wish.id });
            }
        }
        let members = &self.membership.members;
        self.replicas.retain(|id, replica| {
            let wished = partition.replicas.iter().any(|wish| wish.id == *id);
            let member = members.iter().any(|member| member.replica == *id);
            wished || member || !cluster.is_up(NodeId(replica.node))
        });
        established
    }

    fn elect(&mut self, cluster: &Cluster, partition: &PartitionRecord) {
        if !self.has_majority(cluster) || !partition.may_begin {
            return;
        }
        let manual = cluster.catalog.setting(&AUTO_FAILOVER) == 0 && partition.group != 0;
        let may = |replica: u64| {
            let first = partition.leader == 0;
            let behind = self.replicas.get(&replica).is_some_and(|seen| seen.is_behind);
            self.able(cluster, replica) && !behind && (!manual || first || partition.leader == replica)
        };
        let rank = |replica: u64| partition.replicas.iter().position(|wish| wish.id == replica);
        let leader = self
            .voters()
            .map(|voter| voter.replica)
            .filter(|id| may(*id))
            .min_by_key(|id| (rank(*id).unwrap_or(usize::MAX), *id));
        if leader.is_some() {
            self.leader = leader;
            self.term += 1;
        }
    }

    /// One step of the membership towards the wish, or of a copy.
    fn walk(&mut self, cluster: &Cluster, partition: &PartitionRecord) {
        self.copy(cluster);
        let wished = |id: u64| partition.replicas.iter().find(|wish| wish.id == id);
        let stray = self.membership.members.iter().position(|m| m.learner && wished(m.replica).is_none());
        if let Some(stray) = stray {
            self.membership.members.remove(stray);
            self.membership.epoch += 1;
            return;
        }
        for wish in &partition.replicas {
            let caught_up = self.able(cluster, wish.id);
            match self.membership.members.iter_mut().find(|member| member.replica == wish.id) {
                None => {
                    let member = Member { replica: wish.id, node: wish.node, learner: true };
                    self.membership.members.push(member);
                    self.membership.members.sort_by_key(|member| member.replica);
                }
                Some(member) if member.learner && !wish.offline && caught_up => member.learner = false,
                Some(_) => continue,
            }
            self.membership.epoch += 1;
            return;
        }
        self.take_votes(cluster, partition);
    }

    /// A vote goes when all that shall have one do. The leader hands over first.
    fn take_votes(&mut self, cluster: &Cluster, partition: &PartitionRecord) {
        let wished = |id: u64| partition.replicas.iter().find(|wish| wish.id == id);
        let votes = |id: u64| self.voters().any(|voter| voter.replica == id);
        if partition.replicas.iter().any(|wish| !wish.offline && !votes(wish.id)) {
            return;
        }
        let shall_go = |id: u64| wished(id).is_none_or(|wish| wish.offline);
        let goes = self.voters().map(|voter| voter.replica).find(|id| shall_go(*id));
        let Some(goes) = goes else { return };
        if self.leader == Some(goes) {
            let heir =
                self.voters().map(|voter| voter.replica).find(|id| !shall_go(*id) && self.able(cluster, *id));
            if let Some(heir) = heir {
                self.move_leader(cluster, heir);
            }
            return;
        }
        let left = || self.voters().filter(|voter| voter.replica != goes);
        if left().filter(|voter| self.able(cluster, voter.replica)).count() <= left().count() / 2 {
            return;
        }
        match wished(goes) {
            Some(_) => {
                for member in self.membership.members.iter_mut().filter(|member| member.replica == goes) {
                    member.learner = true;
                }
            }
            None => self.membership.members.retain(|member| member.replica != goes),
        }
        self.membership.epoch += 1;
    }

    /// Members get the data: two ticks each.
    fn copy(&mut self, cluster: &Cluster) {
        let members = &self.membership.members;
        for (id, replica) in &mut self.replicas {
            let node = NodeId(replica.node);
            let member = members.iter().any(|member| member.replica == *id);
            if member && cluster.is_up(node) && !cluster.stalled.contains(&node) && !replica.has_data {
                replica.copied += 1;
                replica.has_data = replica.copied >= 2;
            }
        }
    }

    pub fn move_leader(&mut self, cluster: &Cluster, to: u64) {
        let votes = self.voters().any(|voter| voter.replica == to);
        if self.is_served(cluster) && votes && self.able(cluster, to) && self.leader != Some(to) {
            self.leader = Some(to);
            self.term += 1;
        }
    }

    /// Every replica that has the data hashes it.
    pub fn digest(&mut self, cluster: &Cluster) -> Option<LogIndex> {
        if !self.is_served(cluster) {
            return None;
        }
        self.index += 1;
        let index = self.index;
        for replica in self.replicas.values_mut() {
            if replica.has_data && cluster.is_up(NodeId(replica.node)) {
                replica.digests.insert(index, if replica.is_corrupt { 0xbb } else { 0xaa });
            }
        }
        Some(LogIndex(index))
    }

    /// The replica on a node is compacted, if that is up.
    pub fn compact(&mut self, cluster: &Cluster, node: NodeId, operation: OperationId) {
        let here = self.replicas.values_mut().filter(|replica| NodeId(replica.node) == node);
        here.filter(|_| cluster.is_up(node)).for_each(|replica| replica.compacted = operation.get());
    }

    /// The process of a node is another one now.
    pub fn restarted(&mut self, node: NodeId) {
        let here = self.replicas.values_mut().filter(|replica| NodeId(replica.node) == node);
        here.for_each(|replica| replica.compacted = 0);
    }

    /// What a node reports of its replicas; one that is down has said it before.
    pub fn reports(&self, group: GroupId, node: NodeId) -> Vec<ReplicaReport> {
        let here = self.replicas.iter().filter(|(_, replica)| replica.node == node.get());
        here.map(|(id, replica)| self.report(group, *id, replica)).collect()
    }

    fn report(&self, group: GroupId, id: u64, replica: &Replica) -> ReplicaReport {
        let leads = self.leader == Some(id);
        let votes = self.voters().any(|voter| voter.replica == id);
        let state = match (leads, replica.has_data, votes) {
            (true, _, _) => ReplicaState::Leader,
            (_, false, _) => ReplicaState::Starting,
            (_, _, true) => ReplicaState::Follower,
            (_, _, false) => ReplicaState::Learner,
        };
        let in_sync = self
            .membership
            .members
            .iter()
            .filter(|member| self.replicas.get(&member.replica).is_some_and(|replica| replica.has_data));
        ReplicaReport {
            group: group.get(),
            replica: id,
            state: state.into(),
            term: self.term,
            applied: if replica.has_data { self.index } else { 0 },
            commit: self.index,
            leader: self.leader.unwrap_or(0),
            last_index: if replica.is_behind { self.index - 3 } else { self.index },
            last_term: self.term,
            stamp_ms: 1_000_000,
            membership: leads.then(|| self.membership.clone()),
            bytes: if replica.has_data { BYTES } else { BYTES / 2 * u64::from(replica.copied) },
            records: 100,
            load: self.load.filter(|_| leads),
            in_sync: if leads { in_sync.map(|member| member.replica).collect() } else { Vec::new() },
            digests: replica
                .digests
                .iter()
                .map(|(index, hash)| DigestAt { index: *index, hash: vec![*hash; 16].into(), records: 100 })
                .collect(),
            compacted: replica.compacted,
            compaction_left: match replica.is_large && replica.compacted > 0 {
                true => "it is large".into(),
                false => String::new(),
            },
            ..Default::default()
        }
    }
}
