//! From a wish in the words of people to an operation: everything is checked before anything changes.
//!
//! ```text
//!   request ──► operations::KIND::plan ──► Draft ──► Planned { plan: for people, start: the command }
//!                  │                         parts, edits, notes     │
//!                  ▼                                                 ▼
//!               refusal: code, cause, next command        refused if a partition has changed since
//! ```
//!
//! Whoever asks for what an operation does already gets that operation, see [`joined`].
//!
//! Each kind of operation has a module in `operations` that makes the draft. Here stands what they share: how
//! a request names tables, partitions and nodes, and how a draft becomes a plan.

mod cost;
pub(crate) mod joined;
pub(crate) mod target;

use std::collections::BTreeSet;

use api::admin::{OperationRequest, Plan, PlannedPart};
use api::catalog::{NodeRecord, PartitionRecord, TableRecord};
use api::operation::{
    CatalogEdit, Edit, EventRecord, ExpectedPartition, OperationChange, OperationKind, OperationRecord,
    OperationState, StepRecord,
};
use catalog::Catalog;
use types::{ErrorCode, Fault, NodeId, PartitionIndex};

use crate::kind::{self, Step};
use crate::sight::Sight;
use crate::{Observed, operations};

/// An operation as planned.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// What it would do, for people.
    pub plan: Plan,
    /// The command that starts it; refused if a partition that the plan looked at has changed since. Its
    /// first record is the operation that was asked for, the others are its parts. If one that goes on does the
    /// same already, the command joins it.
    pub start: OperationChange,
}

/// Plans an operation.
///
/// # Errors
/// Why it cannot be done, and what to do about it. Nothing has changed then.
pub fn plan(catalog: &Catalog, observed: &Observed, request: &OperationRequest) -> Result<Planned, Fault> {
    if catalog.cluster().is_none() {
        return Err(Fault::new(ErrorCode::NotReady, "the cluster was not bootstrapped yet"));
    }
    let sight = Sight::new(catalog, observed);
    let draft = operations::plan(&sight, request)?;
    Ok(draft.finish(&sight, "admin"))
}

/// What a kind of operation wants to do.
#[derive(Default)]
pub(crate) struct Draft {
    /// The operation that has the parts; `None` when the only part is what was asked for.
    pub(crate) parent: Option<OperationKind>,
    /// Operations on single partitions, in the order in which they shall begin.
    pub(crate) parts: Vec<OperationKind>,
    /// The only partition that was named, if there is nothing to do.
    pub(crate) idle_on: Option<u64>,
    /// What is changed at the start, together with the records.
    pub(crate) edits: Vec<Edit>,
    /// Warnings, and what it would have to wait for.
    pub(crate) notes: Vec<String>,
    /// What it consists of although that is no operation of its own.
    pub(crate) shown: Vec<PlannedPart>,
    /// The operation that does all of it already, if one goes on.
    pub(crate) joins: Option<u64>,
    /// How many replicas a table wishes that is to wish another number; 0: none is.
    pub(crate) replicas_before: u32,
}

impl Draft {
    /// The same thing for each of some partitions: one operation if there is one, else one with parts. If just
    /// one partition was named, and there is nothing to do about it, the operation is about that one.
    pub(crate) fn of_parts(parent: OperationKind, parts: Vec<OperationKind>, named: usize) -> Self {
        let parent = if parts.len() == 1 { None } else { Some(parent) };
        let idle_on = parent.as_ref().and_then(kind::group).filter(|_| parts.is_empty() && named == 1);
        Self { parent, parts, idle_on, ..Self::default() }
    }

    /// The plan, and the command that starts it.
    pub(crate) fn finish(mut self, sight: &Sight<'_>, by: &str) -> Planned {
        let mut cost = cost::of(sight, &self.parts, self.parent.as_ref());
        if !self.shown.is_empty() {
            (cost.bytes, cost.seconds) = cost::of_saving(&self.shown, self.parent.as_ref());
        }
        let of_offline = matches!(self.parent, Some(OperationKind::OfflineNode(_)));
        let planned_part = |kind: &OperationKind| PlannedPart {
            kind: kind::name(kind).into(),
            what: kind::what(sight, kind, true),
            table: partition_of(sight, kind).map(|partition| sight.table_name(partition)).unwrap_or_default(),
            partition: partition_of(sight, kind).map_or(0, |partition| partition.index),
            steps: step_names(kind::partition_steps(kind, of_offline)),
            bytes: cost::bytes(sight, kind),
        };
        let shown = self.shown.iter().cloned();
        let parts: Vec<PlannedPart> = self.parts.iter().map(planned_part).chain(shown).collect();
        self.note_what_is_busy(sight);
        let head = self.parent.as_ref().or(self.parts.first());
        let single = self.parent.is_none() || self.idle_on.is_some();
        let what = head.map_or_else(String::new, |kind| kind::what(sight, kind, single));
        let is_work = self.parent.as_ref().is_some_and(kind::has_tasks);
        let nothing = self.parts.is_empty() && self.edits.is_empty() && !is_work;
        let summary = match self.joins {
            Some(id) => joined::summary(sight, id),
            None if nothing => format!("{what}: nothing to do"),
            None => what,
        };
        let plan = Plan {
            catalog_version: sight.catalog.version().get(),
            summary,
            parts,
            bytes: cost.bytes,
            seconds: cost.seconds,
            lowest_fault_tolerance: cost.lowest_fault_tolerance,
            notes: self.notes.clone(),
            joins: self.joins,
            idle: nothing && self.joins.is_none(),
        };
        Planned { plan, start: self.start(sight, by) }
    }

    fn start(&self, sight: &Sight<'_>, by: &str) -> OperationChange {
        if let Some(joins) = self.joins {
            return OperationChange { joins, ..Default::default() };
        }
        let now = sight.observed.wall_ms;
        let mut start = Vec::with_capacity(self.parts.len() + 1);
        if let Some(parent) = &self.parent {
            let mut record = new_record(parent.clone(), self.idle_on, kind::parent_steps(parent), by, now);
            record.replicas_before = self.replicas_before;
            // One that has tasks waits for its turn, as one on a partition does.
            if !kind::has_tasks(parent) {
                let told = |text: &String| EventRecord { at_ms: now, text: text.clone() };
                record.events.extend(self.notes.iter().map(told));
                begin(&mut record, now, self.parts.is_empty());
            }
            start.push(record);
        }
        let of_offline = matches!(self.parent, Some(OperationKind::OfflineNode(_)));
        for kind in &self.parts {
            let steps = kind::partition_steps(kind, of_offline);
            start.push(new_record(kind.clone(), kind::group(kind), steps, by, now));
        }
        let groups: BTreeSet<u64> = self.parts.iter().filter_map(kind::group).collect();
        let expected = |group: u64| {
            let route_epoch = sight.partition(group)?.route_epoch;
            Some(ExpectedPartition { group, route_epoch })
        };
        OperationChange {
            expect: groups.into_iter().filter_map(expected).collect(),
            start,
            edits: self.edits.iter().map(|edit| CatalogEdit { edit: Some(edit.clone()) }).collect(),
            ..Default::default()
        }
    }

    fn note_what_is_busy(&mut self, sight: &Sight<'_>) {
        let groups: BTreeSet<u64> = self.parts.iter().filter_map(kind::group).collect();
        let busy = groups.into_iter().filter_map(|group| Some((group, sight.busy(group)?)));
        let notes = busy.map(|(group, other)| {
            format!("{} waits for operation {} to end", sight.group_name(group), other.id)
        });
        self.notes.extend(notes.collect::<Vec<_>>());
    }
}

/// An operation that waits for its turn.
pub(crate) fn new_record(
    kind: OperationKind,
    group: Option<u64>,
    steps: &[Step],
    by: &str,
    now: u64,
) -> OperationRecord {
    OperationRecord {
        kind: Some(kind),
        state: OperationState::Queued.into(),
        steps: steps
            .iter()
            .map(|step| StepRecord { name: step.as_str().into(), ..Default::default() })
            .collect(),
        group,
        by: by.into(),
        created_ms: now,
        ..Default::default()
    }
}

/// An operation with parts begins at once. Without parts it ends at once, unless it has more to do.
fn begin(record: &mut OperationRecord, now: u64, no_parts: bool) {
    record.started_ms = now;
    record.set_state(OperationState::Running);
    if let Some(step) = record.steps.first_mut() {
        step.begun_ms = now;
    }
    if no_parts && record.steps.len() == 1 {
        record.set_state(OperationState::Done);
        record.steps[0].ended_ms = now;
        record.step = 1;
        record.ended_ms = now;
        record.events.push(EventRecord { at_ms: now, text: "there was nothing to move".into() });
    }
}

fn partition_of<'a>(sight: &Sight<'a>, kind: &OperationKind) -> Option<&'a PartitionRecord> {
    sight.partition(kind::group(kind)?)
}

fn step_names(steps: &[Step]) -> Vec<String> {
    steps.iter().map(|step| step.as_str().into()).collect()
}

/// The table that a request names.
pub(crate) fn table<'a>(sight: &Sight<'a>, request: &OperationRequest) -> Result<&'a TableRecord, Fault> {
    let Some(name) = &request.table else { return Err(needs(request, "a table")) };
    sight.catalog.find(name).ok_or_else(|| Fault::new(ErrorCode::UnknownTable, format!("'{name}'")))
}

/// The partitions that a request names, all of its table if it names none; none of them busy.
pub(crate) fn partitions<'a>(
    sight: &Sight<'a>,
    request: &OperationRequest,
) -> Result<Vec<&'a PartitionRecord>, Fault> {
    let table = table(sight, request)?;
    let count = table.groups.len() as u64;
    let wanted: BTreeSet<u64> = match request.partitions.as_slice() {
        [] => (0..count).collect(),
        some => some.iter().copied().collect(),
    };
    let mut found = Vec::with_capacity(wanted.len());
    for index in wanted {
        let Some(partition) = sight.catalog.partition_of_table(table, PartitionIndex(index)) else {
            let name = catalog::display_name(table);
            let detail = format!("{name} has {count}, numbered from 0; there is no {name}/{index}");
            return Err(Fault::new(ErrorCode::UnknownPartition, detail));
        };
        found.push(partition);
    }
    Ok(found)
}

/// Refused if another operation works on the partition, or waits to.
pub(crate) fn not_busy(sight: &Sight<'_>, partition: &PartitionRecord) -> Result<(), Fault> {
    let Some(other) = sight.busy(partition.group) else { return Ok(()) };
    let kind = other.kind.as_ref().map_or("", kind::name);
    let detail = format!("operation {} ({kind}) on {}", other.id, sight.name(partition));
    Err(Fault::new(ErrorCode::PartitionBusy, detail))
}

/// A node that a request names.
pub(crate) fn node<'a>(
    sight: &Sight<'a>,
    request: &OperationRequest,
    wanted: Option<u64>,
    what: &str,
) -> Result<&'a NodeRecord, Fault> {
    let Some(id) = wanted else { return Err(needs(request, what)) };
    known_node(sight, id)
}

/// A node by its id.
pub(crate) fn known_node<'a>(sight: &Sight<'a>, id: u64) -> Result<&'a NodeRecord, Fault> {
    let known = sight.catalog.node(NodeId(id));
    known.ok_or_else(|| Fault::new(ErrorCode::UnknownNode, format!("node {id}")))
}

fn needs(request: &OperationRequest, what: &str) -> Fault {
    Fault::new(ErrorCode::BadArgument, format!("{} needs {what}", request.kind))
}

/// Refused because a partition has no leader, so that nothing about it can be changed.
pub(crate) fn has_leader(sight: &Sight<'_>, partition: &PartitionRecord) -> Result<(), Fault> {
    if sight.leader(partition.group).is_some() {
        return Ok(());
    }
    let down: Vec<String> = partition
        .replicas
        .iter()
        .filter(|replica| !sight.is_up(replica.node))
        .map(|replica| sight.how_is(replica.node))
        .collect();
    let why = if down.is_empty() { String::new() } else { format!(": {}", down.join(", ")) };
    Err(Fault::new(ErrorCode::Unsafe, format!("{} has no leader{why}", sight.name(partition))))
}
