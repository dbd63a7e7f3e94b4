//! Edits: what a step of an operation does to partitions, nodes and tables.
//!
//! An edit that is repeated changes nothing, and none takes the last replica that holds a partition's data.

use std::sync::Arc;

use api::catalog::{PartitionRecord, ReplicaRecord, TableRecord};
use api::operation::{
    Edit, NodeFlags, OnPartition, OperationRecord, ReplaceRank, ReplicasWish, SetOffline, TakeOver,
};
use types::era::{era_of, era_start};
use types::limits::{META_NODES_MAX, REPLICAS_MAX};
use types::{ErrorCode, Fault, GroupId, NodeId, TableId};

use super::bad_argument;
use super::operations::Draft;
use super::survivor::goes_on_alone;
use crate::mutant;
use crate::record::{Record, RecordChange, RecordName};
use crate::role::Role;

impl Draft<'_> {
    fn partition(&mut self, group: u64) -> Result<&mut PartitionRecord, Fault> {
        let group = GroupId(group);
        if !self.partitions.contains_key(&group) {
            let Some(known) = self.catalog.partition(group) else {
                return Err(bad_argument(format!("there is no group {group}")));
            };
            self.partitions.insert(group, known.clone());
        }
        Ok(self.partitions.entry(group).or_default())
    }

    /// Makes one edit.
    pub(super) fn edit(&mut self, edit: &Edit, updated: &mut [OperationRecord]) -> Result<(), Fault> {
        match edit {
            Edit::AddReplica(at) => {
                let made = self.add_replica(*at)?;
                for record in updated.iter_mut().filter(|record| record.group == Some(at.group)) {
                    record.made_replica = made;
                }
                Ok(())
            }
            Edit::RemoveReplica(leaving) => self.remove_replica(*leaving),
            Edit::SetOffline(set) => self.set_offline(*set),
            Edit::SetLeader(leader) => {
                let partition = self.partition(leader.group)?;
                if !partition.replicas.iter().any(|replica| replica.id == leader.replica) {
                    return Err(no_replica(leader.group, leader.replica));
                }
                partition.leader = leader.replica;
                Ok(())
            }
            Edit::SetNode(flags) => self.set_node(*flags),
            Edit::RemoveNode(on) => self.remove_node(NodeId(on.node)),
            Edit::SetReplicas(wish) => self.set_replicas(*wish),
            Edit::Schedule(news) => {
                self.note_schedule(news);
                Ok(())
            }
            Edit::TakeOver(wish) => {
                let made = self.take_over(*wish)?;
                for record in updated.iter_mut().filter(|record| record.group == Some(wish.group)) {
                    record.made_replica = made;
                }
                Ok(())
            }
        }
    }

    fn add_replica(&mut self, at: OnPartition) -> Result<u64, Fault> {
        let node = NodeId(at.node);
        let role = if at.group == GroupId::CATALOG.get() { Role::Meta } else { Role::Data };
        if !self.catalog.nodes.get(&node).is_some_and(|record| role.of(record)) {
            return Err(bad_argument(format!("node {node} is not there, or hosts no such replicas")));
        }
        let most = if role == Role::Meta { META_NODES_MAX } else { REPLICAS_MAX as usize };
        let partition = self.partition(at.group)?;
        let there = partition.replicas.iter().find(|replica| replica.node == at.node);
        if let Some(there) = there.filter(|_| !mutant!(EditRepeated)) {
            return Ok(there.id);
        }
        // A node has one replica of a group: the new one would take the place of one that may have a vote.
        let known = partition.observed.iter().flat_map(|known| &known.members);
        let stray = known.into_iter().find(|member| member.node == at.node);
        if let Some(stray) = stray.filter(|_| !mutant!(EditRepeated)) {
            let detail =
                format!("group {} has not let go of replica {} on node {node}", at.group, stray.replica);
            return Err(Fault::new(ErrorCode::Unsafe, detail));
        }
        // One more than the most, for as long as a replica moves.
        if partition.replicas.len() > most {
            return Err(bad_argument(format!("group {} has {most} replicas, which is the most", at.group)));
        }
        let highest = partition.replicas.iter().map(|replica| replica.id).max().unwrap_or(0);
        let id = if mutant!(ReplicaIdReused) { highest + 1 } else { partition.next_replica };
        partition.replicas.push(ReplicaRecord { id, node: at.node, ..Default::default() });
        partition.next_replica += 1;
        partition.route_epoch += 1;
        Ok(id)
    }

    fn remove_replica(&mut self, leaving: ReplaceRank) -> Result<(), Fault> {
        let partition = self.partition(leaving.group)?;
        let Some(rank) = partition.replicas.iter().position(|replica| replica.id == leaving.replica) else {
            // A node that lost it has another one since, which would stay if this passed for done.
            let detail = format!("replica {} of group {} has gone since", leaving.replica, leaving.group);
            return Err(Fault::new(ErrorCode::PlanOutdated, detail));
        };
        let holds = |replica: &&ReplicaRecord| {
            replica.id != leaving.replica && replica.established && has_vote(partition, replica.id)
        };
        let is_last = partition.replicas.len() == 1;
        let nobody_holds = partition.replicas.iter().filter(holds).count() == 0;
        if is_last || (nobody_holds && has_vote(partition, leaving.replica)) {
            let detail = format!("no other replica of group {} is known to hold its data", leaving.group);
            return Err(Fault::new(ErrorCode::Unsafe, detail));
        }
        let removed = partition.replicas.remove(rank);
        if let Some(place) = partition.replicas.iter().position(|replica| replica.id == leaving.successor) {
            let successor = partition.replicas.remove(place);
            partition.replicas.insert(rank.min(partition.replicas.len()), successor);
        }
        if partition.leader == removed.id {
            partition.leader = leaving.successor;
        }
        partition.route_epoch += 1;
        Ok(())
    }

    fn set_offline(&mut self, set: SetOffline) -> Result<(), Fault> {
        let partition = self.partition(set.group)?;
        let Some(rank) = partition.replicas.iter().position(|replica| replica.id == set.replica) else {
            return Err(no_replica(set.group, set.replica));
        };
        if partition.replicas[rank].offline == set.offline {
            return Ok(());
        }
        let stays = |replica: &ReplicaRecord| {
            replica.id != set.replica && !replica.offline && has_vote(partition, replica.id)
        };
        if set.offline && !partition.replicas.iter().any(stays) && !mutant!(LastVoterOffline) {
            let detail = format!("group {} has no other replica with a vote", set.group);
            return Err(Fault::new(ErrorCode::Unsafe, detail));
        }
        partition.replicas[rank].offline = set.offline;
        partition.replicas[rank].led = set.offline && set.led;
        partition.route_epoch += 1;
        Ok(())
    }

    /// The ids of the old group end with this: whoever returns with one of them finds it replaced. Whether the
    /// others are lost is for whoever decides to know; the catalog sees to it that what goes on
    /// cannot be mistaken for what was.
    fn take_over(&mut self, wish: TakeOver) -> Result<u64, Fault> {
        if wish.group == GroupId::CATALOG.get() {
            let detail = "the catalog's own majority cannot be given up by the catalog";
            return Err(Fault::new(ErrorCode::Unsafe, detail));
        }
        let partition = self.partition(wish.group)?;
        if partition.route_epoch != wish.route_epoch {
            let detail = format!("group {} has changed since", wish.group);
            return Err(Fault::new(ErrorCode::PlanOutdated, detail));
        }
        let holds = |replica: &ReplicaRecord| replica.id == wish.survivor && replica.established;
        let Some(place) = partition.replicas.iter().position(holds) else {
            return Err(no_replica(wish.group, wish.survivor));
        };
        if !has_vote(partition, wish.survivor) {
            let detail = format!("replica {} of group {} has no vote", wish.survivor, wish.group);
            return Err(Fault::new(ErrorCode::Unsafe, detail));
        }
        let known = partition.observed.as_ref().map_or(0, |observed| observed.epoch);
        let highest = wish.term.max(wish.epoch).max(partition.leader_term).max(known);
        let first = partition.next_replica;
        // No replica of the old group gets there, one election or change at a time.
        goes_on_alone(partition, place, first, era_start(era_of(highest) + 1));
        Ok(first)
    }

    fn set_node(&mut self, flags: NodeFlags) -> Result<(), Fault> {
        if !self.catalog.nodes.contains_key(&NodeId(flags.node)) {
            return Err(bad_argument(format!("there is no node {}", flags.node)));
        }
        if self.catalog.flags(NodeId(flags.node)) == flags {
            return Ok(());
        }
        let none = NodeFlags { node: flags.node, ..Default::default() };
        self.changes.push(if flags == none {
            RecordChange::Remove(RecordName::Flags(NodeId(flags.node)))
        } else {
            RecordChange::Put(Record::Flags(flags))
        });
        Ok(())
    }

    fn remove_node(&mut self, node: NodeId) -> Result<(), Fault> {
        if !self.catalog.nodes.contains_key(&node) {
            return Ok(());
        }
        let on_node = |partition: &&PartitionRecord| {
            let edited = self.partitions.get(&GroupId(partition.group)).unwrap_or(partition);
            let observed = edited.observed.iter().flat_map(|observed| &observed.members);
            edited.replicas.iter().any(|replica| replica.node == node.get())
                || observed.into_iter().any(|member| member.node == node.get())
        };
        let left = self.catalog.partitions().find(on_node).filter(|_| !mutant!(NodeLeavesWithReplicas));
        if let Some(partition) = left {
            let detail = format!("node {node} still has a replica of group {}", partition.group);
            return Err(Fault::new(ErrorCode::Unsafe, detail));
        }
        let flags = self.catalog.flags.contains_key(&node).then_some(RecordName::Flags(node));
        let permit = self.catalog.permit(node).map(|_| RecordName::Permit(node));
        let names = [Some(RecordName::Node(node)), flags, permit];
        self.changes.extend(names.into_iter().flatten().map(RecordChange::Remove));
        Ok(())
    }

    fn set_replicas(&mut self, wish: ReplicasWish) -> Result<(), Fault> {
        let most = if wish.table == 0 { META_NODES_MAX } else { REPLICAS_MAX as usize };
        let Some(table) = self.catalog.table(TableId(wish.table)) else {
            return Err(Fault::new(ErrorCode::UnknownTable, format!("table {}", wish.table)));
        };
        if !(1..=most).contains(&(wish.replicas as usize)) {
            return Err(bad_argument(format!("replicas: from 1 to {most}, not {}", wish.replicas)));
        }
        if table.replicas != wish.replicas {
            let table = TableRecord { replicas: wish.replicas, ..table.clone() };
            self.changes.push(RecordChange::Put(Record::Table(Arc::new(table))));
        }
        Ok(())
    }
}

/// Whether a replica has a vote in the membership that the catalog knows.
fn has_vote(partition: &PartitionRecord, replica: u64) -> bool {
    let known = partition.observed.as_ref().or(partition.birth.as_ref());
    known.is_some_and(|known| known.members.iter().any(|m| m.replica == replica && !m.learner))
}

fn no_replica(group: u64, replica: u64) -> Fault {
    bad_argument(format!("group {group} has no replica {replica}"))
}
