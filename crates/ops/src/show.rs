//! Operations as people see them.

use std::collections::BTreeSet;

use api::admin::{DigestReport, ErrorBody, Operation, OperationEvent, OperationStep, ReplicaDigest};
use api::operation::{EvidenceRecord, OperationRecord, OperationState};
use api::saving::Saved;
use types::{ErrorCode, Fault};

use crate::executor::memory::Memory;
use crate::executor::queue::Queue;
use crate::executor::{Family, waits_for};
use crate::kind::{self, Step};
use crate::sight::{Sight, replica_on};

/// One operation.
pub(crate) fn operation(sight: &Sight<'_>, memory: &Memory, operation: &OperationRecord) -> Operation {
    let family = Family::of(sight.catalog);
    shown(sight, memory, &family, &Queue::new(sight, &family), operation)
}

/// All operations, oldest first.
pub(crate) fn all(sight: &Sight<'_>, memory: &Memory) -> Vec<Operation> {
    let family = Family::of(sight.catalog);
    let queue = Queue::new(sight, &family);
    let operations = sight.catalog.operations();
    operations.map(|operation| shown(sight, memory, &family, &queue, operation)).collect()
}

fn shown(
    sight: &Sight<'_>,
    memory: &Memory,
    family: &Family<'_>,
    queue: &Queue,
    operation: &OperationRecord,
) -> Operation {
    let partition = operation.group.and_then(|group| sight.partition(group));
    let parts = family.parts(operation.id);
    let is_copied = at_step(operation) == Step::Replicate.as_str();
    let (bytes_done, bytes_total) = if operation.kind.as_ref().is_some_and(kind::has_tasks) && !is_copied {
        of_task(memory, operation)
    } else if operation.group.is_some() {
        copied(sight, operation)
    } else {
        let copied = parts.iter().map(|part| copied(sight, part));
        copied.fold((0, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1))
    };
    let what = operation.kind.as_ref().map(|kind| kind::what(sight, kind, operation.group.is_some()));
    Operation {
        id: operation.id,
        parent: Some(operation.parent).filter(|parent| *parent != 0),
        kind: operation.kind.as_ref().map_or("", kind::name).into(),
        what: what.unwrap_or_else(|| "something that a newer release knows".into()),
        table: partition.map(|partition| sight.table_name(partition)),
        partition: partition.map(|partition| partition.index),
        state: state_name(operation).into(),
        step: at_step(operation).into(),
        steps: operation.steps.iter().map(step).collect(),
        waits_for: waits_for(sight, memory, family, queue, operation)
            .map(|wait| wait.why)
            .unwrap_or_default(),
        bytes_done,
        bytes_total,
        parts_ended: parts.iter().filter(|part| part.state().has_ended()).count() as u64,
        parts: parts.len() as u64,
        by: operation.by.clone(),
        created_ms: operation.created_ms,
        started_ms: operation.started_ms,
        ended_ms: operation.ended_ms,
        error: fault(operation).as_ref().map(ErrorBody::from),
        events: operation.events.iter().map(event).collect(),
        evidence: operation.evidence.iter().map(evidence).collect(),
        saved: operation.saved.as_ref().map(Saved::from),
        joined: false,
    }
}

/// The state of an operation as people see it.
pub(crate) fn state_name(operation: &OperationRecord) -> &'static str {
    match operation.state() {
        OperationState::Queued => "queued",
        OperationState::Running if operation.cancelling => "cancelling",
        OperationState::Running => "running",
        OperationState::Done => "done",
        OperationState::Failed => "failed",
        OperationState::Cancelled => "cancelled",
    }
}

/// The name of the step that it is at; empty before the first and after the last.
fn at_step(operation: &OperationRecord) -> &str {
    let step = operation.steps.get(operation.step as usize).filter(|step| step.begun_ms != 0);
    step.map_or("", |step| step.name.as_str())
}

/// Why it failed.
pub(crate) fn fault(operation: &OperationRecord) -> Option<Fault> {
    if operation.fault_code.is_empty() {
        return None;
    }
    let code = operation.fault_code.parse().unwrap_or(ErrorCode::Internal);
    Some(Fault::new(code, operation.fault_detail.clone()))
}

/// Bytes that the task of an operation has done, and all.
fn of_task(memory: &Memory, operation: &OperationRecord) -> (u64, u64) {
    match (memory.task(operation.id, at_step(operation)), &operation.saved) {
        (Some(report), _) => (report.bytes_done, report.bytes_total),
        (None, Some(saved)) if operation.state() == OperationState::Done => (saved.bytes, saved.bytes),
        (None, _) => (0, 0),
    }
}

/// Bytes that have arrived, and bytes that are to.
fn copied(sight: &Sight<'_>, operation: &OperationRecord) -> (u64, u64) {
    let Some(kind) = operation.kind.as_ref().filter(|kind| kind::copies(kind)) else { return (0, 0) };
    let Some(partition) = operation.group.and_then(|group| sight.partition(group)) else { return (0, 0) };
    let total = sight.bytes(partition.group);
    let is_there = operation.state() == OperationState::Done
        || !matches!(Step::of(operation), Some(Step::Add | Step::CatchUp));
    if is_there {
        return (total, total);
    }
    let made = kind::target_node(kind).and_then(|node| replica_on(partition, node));
    let seen = made.and_then(|replica| sight.replica_seen(partition.group, replica.id));
    (seen.map_or(0, |seen| seen.bytes.min(total)), total)
}

fn step(step: &api::operation::StepRecord) -> OperationStep {
    OperationStep { name: step.name.clone(), begun_ms: step.begun_ms, ended_ms: step.ended_ms }
}

fn event(event: &api::operation::EventRecord) -> OperationEvent {
    OperationEvent { at_ms: event.at_ms, text: event.text.clone() }
}

fn evidence(evidence: &EvidenceRecord) -> DigestReport {
    let distinct: BTreeSet<&str> = evidence.digests.iter().map(|digest| digest.hash.as_str()).collect();
    let digest = |digest: &api::operation::DigestRecord| ReplicaDigest {
        replica: digest.replica,
        node: digest.node,
        hash: digest.hash.clone(),
        records: digest.records,
    };
    DigestReport {
        index: evidence.index,
        equal: distinct.len() <= 1,
        replicas: evidence.digests.iter().map(digest).collect(),
    }
}
