//! Operations: how their records change, together with what they change.
//!
//! What an operation should do next is for `ops` to say. Here stand the rules that hold whoever says it:
//! a change is all or nothing, made from the records as they are; a partition has one running operation;
//! and no edit takes the last replica that holds a partition's data.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::catalog::{CatalogAnswer, ClusterRecord, OperationIds, PartitionRecord, ReplicaRecord};
use api::operation::{
    Edit, NodeFlags, OnPartition, OperationChange, OperationRecord, OperationState, ReplaceRank, SetOffline,
};
use types::limits::{OPERATION_EVENTS_MAX, OPERATIONS_AT_ONCE_MAX, OPERATIONS_KEPT_MAX, REPLICAS_MAX};
use types::{ErrorCode, Fault, GroupId, NodeId, OperationId, limits};

use super::{Decision, bad_argument, put_partition};
use crate::Catalog;
use crate::record::{Record, RecordChange, RecordName};
use crate::role::Role;

/// Starts, advances and forgets operations, and edits what they are about.
pub(super) fn operate(
    catalog: &Catalog,
    cluster: ClusterRecord,
    change: &OperationChange,
) -> Result<Decision, Fault> {
    for expected in &change.expect {
        let is = catalog.partition(GroupId(expected.group)).map(|partition| partition.route_epoch);
        if is != Some(expected.route_epoch) {
            let detail = format!("group {} is not as the plan saw it", expected.group);
            return Err(Fault::new(ErrorCode::PlanOutdated, detail));
        }
    }
    let mut draft = Draft { catalog, cluster, partitions: BTreeMap::new(), changes: Vec::new() };
    let mut updated = draft.updated(&change.update)?;
    for edit in &change.edits {
        match &edit.edit {
            Some(edit) => draft.edit(edit, &mut updated)?,
            None => return Err(Fault::new(ErrorCode::VersionUnsupported, "an edit of a newer release")),
        }
    }
    let ids = draft.start(&change.start)?;
    draft.check_locks(&updated)?;
    draft.forget(&change.forget)?;
    draft.finish(updated, ids)
}

/// The catalog as it becomes.
struct Draft<'a> {
    catalog: &'a Catalog,
    cluster: ClusterRecord,
    /// Partitions that were edited.
    partitions: BTreeMap<GroupId, PartitionRecord>,
    changes: Vec<RecordChange>,
}

impl Draft<'_> {
    /// The operations as they become, each made from the record in force.
    fn updated(&self, update: &[OperationRecord]) -> Result<Vec<OperationRecord>, Fault> {
        let mut seen = BTreeSet::new();
        update
            .iter()
            .map(|wanted| {
                let Some(known) = self.catalog.operation(OperationId(wanted.id)) else {
                    return Err(unknown_operation(wanted.id));
                };
                let same = known.revision == wanted.revision && known.group == wanted.group;
                if !same || known.state().has_ended() || !seen.insert(wanted.id) {
                    let detail = format!("operation {} has gone on since", wanted.id);
                    return Err(Fault::new(ErrorCode::PlanOutdated, detail));
                }
                let mut record = wanted.clone();
                record.revision += 1;
                trim(&mut record);
                Ok(record)
            })
            .collect()
    }

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

    fn edit(&mut self, edit: &Edit, updated: &mut [OperationRecord]) -> Result<(), Fault> {
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
        }
    }

    fn add_replica(&mut self, at: OnPartition) -> Result<u64, Fault> {
        let node = NodeId(at.node);
        let role = if at.group == GroupId::CATALOG.get() { Role::Meta } else { Role::Data };
        if !self.catalog.nodes.get(&node).is_some_and(|record| role.of(record)) {
            return Err(bad_argument(format!("node {node} is not there, or hosts no such replicas")));
        }
        let most = if role == Role::Meta { limits::META_NODES_MAX } else { REPLICAS_MAX as usize };
        let partition = self.partition(at.group)?;
        if let Some(there) = partition.replicas.iter().find(|replica| replica.node == at.node) {
            return Ok(there.id);
        }
        // One more than the most, for as long as a replica moves.
        if partition.replicas.len() > most {
            return Err(bad_argument(format!("group {} has {most} replicas, which is the most", at.group)));
        }
        let id = partition.next_replica;
        partition.replicas.push(ReplicaRecord { id, node: at.node, ..Default::default() });
        partition.next_replica += 1;
        partition.route_epoch += 1;
        Ok(id)
    }

    fn remove_replica(&mut self, leaving: ReplaceRank) -> Result<(), Fault> {
        let partition = self.partition(leaving.group)?;
        let Some(rank) = partition.replicas.iter().position(|replica| replica.id == leaving.replica) else {
            return Ok(());
        };
        let holds = |replica: &&ReplicaRecord| {
            replica.id != leaving.replica && replica.established && has_vote(partition, replica.id)
        };
        if partition.replicas.iter().filter(holds).count() == 0 && has_vote(partition, leaving.replica) {
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
        let stays = |replica: &ReplicaRecord| {
            replica.id != set.replica && !replica.offline && has_vote(partition, replica.id)
        };
        if set.offline && !partition.replicas.iter().any(stays) {
            let detail = format!("group {} has no other replica with a vote", set.group);
            return Err(Fault::new(ErrorCode::Unsafe, detail));
        }
        let Some(replica) = partition.replicas.iter_mut().find(|replica| replica.id == set.replica) else {
            return Err(no_replica(set.group, set.replica));
        };
        replica.offline = set.offline;
        partition.route_epoch += 1;
        Ok(())
    }

    fn set_node(&mut self, flags: NodeFlags) -> Result<(), Fault> {
        if !self.catalog.nodes.contains_key(&NodeId(flags.node)) {
            return Err(bad_argument(format!("there is no node {}", flags.node)));
        }
        self.changes.push(RecordChange::Put(Record::Flags(flags)));
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
        if let Some(partition) = self.catalog.partitions().find(on_node) {
            let detail = format!("node {node} still has a replica of group {}", partition.group);
            return Err(Fault::new(ErrorCode::Unsafe, detail));
        }
        for name in [RecordName::Node(node), RecordName::Flags(node), RecordName::Permit(node)] {
            self.changes.push(RecordChange::Remove(name));
        }
        Ok(())
    }

    /// Gives ids to new operations. Those after the first are its parts if it has no partition of its own.
    fn start(&mut self, wanted: &[OperationRecord]) -> Result<Vec<u64>, Fault> {
        let active = self.catalog.operations().filter(|known| !known.state().has_ended()).count();
        if active + wanted.len() > OPERATIONS_AT_ONCE_MAX {
            let detail = format!("{active} operations have not ended; at most {OPERATIONS_AT_ONCE_MAX} may");
            return Err(Fault::new(ErrorCode::Overloaded, detail));
        }
        let mut ids = Vec::with_capacity(wanted.len());
        let mut parent = 0;
        for record in wanted {
            let id = self.cluster.next_operation.max(1);
            self.cluster.next_operation = id + 1;
            let mut record = OperationRecord { id, revision: 1, ..record.clone() };
            if ids.is_empty() && record.group.is_none() {
                parent = id;
            } else if record.parent == 0 {
                record.parent = parent;
            }
            trim(&mut record);
            ids.push(id);
            self.changes.push(RecordChange::Put(Record::Operation(Arc::new(record))));
        }
        self.forget_the_oldest();
        Ok(ids)
    }

    /// Ended operations beyond the limit go, those that did not fail first.
    fn forget_the_oldest(&mut self) {
        let ended: Vec<&OperationRecord> =
            self.catalog.operations().filter(|known| known.state().has_ended()).collect();
        let Some(surplus) = ended.len().checked_sub(OPERATIONS_KEPT_MAX) else { return };
        let (failed, well): (Vec<_>, Vec<_>) =
            ended.into_iter().partition(|known| known.state() == OperationState::Failed);
        let oldest = well.into_iter().chain(failed).take(surplus);
        self.changes
            .extend(oldest.map(|old| RecordChange::Remove(RecordName::Operation(OperationId(old.id)))));
    }

    /// A partition has one running operation.
    fn check_locks(&self, updated: &[OperationRecord]) -> Result<(), Fault> {
        let mut running: BTreeMap<u64, u64> = BTreeMap::new();
        let is_updated = |id: u64| updated.iter().any(|record| record.id == id);
        let others = self.catalog.operations().filter(|known| !is_updated(known.id));
        for record in others.chain(updated).filter(|record| record.state() == OperationState::Running) {
            let Some(group) = record.group else { continue };
            if let Some(other) = running.insert(group, record.id) {
                let detail = format!("operations {other} and {} on group {group}", record.id);
                return Err(Fault::new(ErrorCode::PartitionBusy, detail));
            }
        }
        Ok(())
    }

    fn forget(&mut self, ids: &[u64]) -> Result<(), Fault> {
        for &id in ids {
            match self.catalog.operation(OperationId(id)) {
                None => return Err(unknown_operation(id)),
                Some(known) if !known.state().has_ended() => {
                    return Err(Fault::new(ErrorCode::OperationActive, format!("operation {id}")));
                }
                Some(_) => self.changes.push(RecordChange::Remove(RecordName::Operation(OperationId(id)))),
            }
        }
        Ok(())
    }

    fn finish(mut self, updated: Vec<OperationRecord>, ids: Vec<u64>) -> Result<Decision, Fault> {
        for (group, partition) in std::mem::take(&mut self.partitions) {
            if self.catalog.partition(group) != Some(&partition) {
                self.changes.push(put_partition(partition));
            }
        }
        for record in updated {
            self.changes.push(RecordChange::Put(Record::Operation(Arc::new(record))));
        }
        let answer = CatalogAnswer::Operations(OperationIds { ids });
        Ok(Decision { answer, changes: self.changes, cluster: self.cluster })
    }
}

/// Whether a replica has a vote in the membership that the catalog knows.
fn has_vote(partition: &PartitionRecord, replica: u64) -> bool {
    let known = partition.observed.as_ref().or(partition.birth.as_ref());
    known.is_some_and(|known| known.members.iter().any(|m| m.replica == replica && !m.learner))
}

fn trim(record: &mut OperationRecord) {
    let surplus = record.events.len().saturating_sub(OPERATION_EVENTS_MAX);
    record.events.drain(..surplus);
}

fn unknown_operation(id: u64) -> Fault {
    Fault::new(ErrorCode::UnknownOperation, format!("operation {id}"))
}

fn no_replica(group: u64, replica: u64) -> Fault {
    bad_argument(format!("group {group} has no replica {replica}"))
}
