//! Operations: how their records change, together with what they change.
//!
//! What an operation should do next is for `ops` to say. Here stand the rules that hold whoever says it:
//! a change is all or nothing, made from the records as they are; a partition has one running operation;
//! and no edit takes the last replica that holds a partition's data.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::catalog::{CatalogAnswer, ClusterRecord, OperationIds, PartitionRecord};
use api::operation::{CatalogEdit, Edit, OperationChange, OperationRecord, OperationState};
use types::limits::{OPERATION_EVENTS_MAX, OPERATIONS_AT_ONCE_MAX, OPERATIONS_KEPT_MAX};
use types::{ErrorCode, Fault, GroupId, NodeId, OperationId};

use super::{Decision, put_partition};
use crate::alike::goes_on;
use crate::record::{Record, RecordChange, RecordName};
use crate::{Catalog, mutant};

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
    let joined = match change.joins {
        0 if !change.update.is_empty() => None,
        0 => catalog.doing_already(&change.start, are_in_force(catalog, cluster, &change.edits))?,
        id => Some(joined(catalog, id)?),
    };
    if let Some(id) = joined {
        let answer = CatalogAnswer::Operations(OperationIds { ids: vec![id], joined: true });
        return Ok(Decision { answer, changes: Vec::new(), cluster });
    }
    check_nodes_are_free(catalog, change)?;
    let mut draft = Draft::new(catalog, cluster);
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

/// Whether edits change nothing.
fn are_in_force(catalog: &Catalog, cluster: ClusterRecord, edits: &[CatalogEdit]) -> bool {
    let mut draft = Draft::new(catalog, cluster);
    let edits_well =
        edits.iter().filter_map(|edit| edit.edit.as_ref()).all(|edit| draft.edit(edit, &mut []).is_ok());
    let same = |(group, edited): (&GroupId, &PartitionRecord)| catalog.partition(*group) == Some(edited);
    edits_well && draft.changes.is_empty() && draft.partitions.iter().all(same)
}

/// What starts does not change the flags of a node that an operation is about.
fn check_nodes_are_free(catalog: &Catalog, change: &OperationChange) -> Result<(), Fault> {
    if change.start.is_empty() {
        return Ok(());
    }
    let flagged = change.edits.iter().filter_map(|edit| match edit.edit {
        Some(Edit::SetNode(flags)) if catalog.flags(NodeId(flags.node)) != flags => Some(flags.node),
        _ => None,
    });
    for node in flagged {
        if let Some(other) = catalog.active_about(node) {
            let detail = format!("operation {} about node {node}", other.id);
            return Err(Fault::new(ErrorCode::PartitionBusy, detail));
        }
    }
    Ok(())
}

/// An operation that was said to do already what somebody wishes.
fn joined(catalog: &Catalog, id: u64) -> Result<u64, Fault> {
    match catalog.operation(OperationId(id)) {
        None => Err(unknown_operation(id)),
        Some(known) if goes_on(known) => Ok(id),
        Some(_) => {
            let detail = format!("operation {id} does not go on any more");
            Err(Fault::new(ErrorCode::PlanOutdated, detail))
        }
    }
}

/// Operations on groups that are dropped end: there is nothing left that they could change or undo.
pub(super) fn cancel_all_of(catalog: &Catalog, groups: &[u64]) -> Vec<RecordChange> {
    let of_groups = |known: &&OperationRecord| {
        !known.state().has_ended() && known.group.is_some_and(|group| groups.contains(&group))
    };
    let cancelled = |known: &OperationRecord| {
        let mut record = known.clone();
        record.set_state(OperationState::Cancelled);
        record.revision += 1;
        record.fault_code = ErrorCode::UnknownTable.as_str().into();
        record.fault_detail = "the table was dropped".into();
        // The command does not say when; the last that is known to have happened is not later.
        let last = known.events.last().map_or(0, |event| event.at_ms);
        record.ended_ms = last.max(known.created_ms).max(known.started_ms);
        RecordChange::Put(Record::Operation(Arc::new(record)))
    };
    catalog.operations().filter(of_groups).map(cancelled).collect()
}

/// The catalog as it becomes.
pub(super) struct Draft<'a> {
    pub(super) catalog: &'a Catalog,
    cluster: ClusterRecord,
    /// Partitions that were edited.
    pub(super) partitions: BTreeMap<GroupId, PartitionRecord>,
    pub(super) changes: Vec<RecordChange>,
}

impl<'a> Draft<'a> {
    fn new(catalog: &'a Catalog, cluster: ClusterRecord) -> Self {
        Self { catalog, cluster, partitions: BTreeMap::new(), changes: Vec::new() }
    }

    /// The operations as they become, each made from the record in force.
    fn updated(&self, update: &[OperationRecord]) -> Result<Vec<OperationRecord>, Fault> {
        let mut seen = BTreeSet::new();
        update
            .iter()
            .map(|wanted| {
                let Some(known) = self.catalog.operation(OperationId(wanted.id)) else {
                    return Err(unknown_operation(wanted.id));
                };
                let is_current = known.revision == wanted.revision || mutant!(RevisionNotChecked);
                let same = is_current && known.group == wanted.group;
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
            let last =
                self.catalog.operations.keys().next_back().map_or(0, |last| last.get()) + ids.len() as u64;
            let next = self.cluster.next_operation.max(1);
            let id = if mutant!(OperationIdReused) { last + 1 } else { next };
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
            if let Some(other) = running.insert(group, record.id).filter(|_| !mutant!(LockNotChecked)) {
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
        let answer = CatalogAnswer::Operations(OperationIds { ids, joined: false });
        Ok(Decision { answer, changes: self.changes, cluster: self.cluster })
    }
}

fn trim(record: &mut OperationRecord) {
    let surplus = record.events.len().saturating_sub(OPERATION_EVENTS_MAX);
    record.events.drain(..surplus);
}

fn unknown_operation(id: u64) -> Fault {
    Fault::new(ErrorCode::UnknownOperation, format!("operation {id}"))
}
