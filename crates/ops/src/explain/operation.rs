//! Why an operation is where it is: what it waits for, and what that waits for in turn.

use api::admin::{Blocker, Explanation};
use api::operation::{OperationRecord, OperationState};
use types::{ErrorCode, Fault, OperationId};

use super::partition::way_out;
use super::{next_commands, unblock_node};
use crate::executor::memory::Memory;
use crate::executor::queue::Queue;
use crate::executor::{Family, waits_for};
use crate::kind::{self, Step};
use crate::show::{fault, state_name};
use crate::sight::Sight;
use crate::steps::{Help, Pace, Wait};

/// Blocked parts that are told of; the others are counted.
const BLOCKERS_MAX: usize = 16;

pub(crate) fn explain(sight: &Sight<'_>, memory: &Memory, id: OperationId) -> Result<Explanation, Fault> {
    let Some(operation) = sight.catalog.operation(id) else {
        return Err(Fault::new(ErrorCode::UnknownOperation, format!("operation {id}")));
    };
    let family = Family::of(sight.catalog);
    let queue = Queue::new(sight, &family);
    let what = operation.kind.as_ref().map(|kind| kind::what(sight, kind, operation.group.is_some()));
    let what = what.unwrap_or_default();
    if operation.state().has_ended() {
        return Ok(ended(operation, &what));
    }
    let wait = waits_for(sight, memory, &family, &queue, operation);
    let own = wait.iter().filter_map(|wait| blocker(sight, operation, wait));
    let mut blockers: Vec<Blocker> = own.collect();
    let parts = family.parts(id.get());
    let (mut queued, mut others) = (Vec::new(), 0);
    for part in parts.iter().filter(|part| !part.state().has_ended()) {
        let Some(wait) = waits_for(sight, memory, &family, &queue, part) else { continue };
        // Parts take turns, and a word about each that waits for the same thing says nothing more.
        let is_of_family = |id: u64| parts.iter().any(|other| other.id == id);
        if matches!(wait.help, Help::EndOf(id) if is_of_family(id)) {
            continue;
        }
        let is_known = |known: &Blocker| known.why == wait.why;
        if wait.pace == Pace::Queued && (blockers.iter().any(is_known) || queued.iter().any(is_known)) {
            continue;
        }
        let Some(blocker) = blocker(sight, part, &wait) else { continue };
        let list = if wait.pace == Pace::Queued { &mut queued } else { &mut blockers };
        if list.len() < BLOCKERS_MAX { list.push(blocker) } else { others += 1 }
    }
    // What waits for its turn waits for those that are blocked, if there are any.
    if blockers.is_empty() {
        blockers = queued;
    }
    let mut facts = facts(memory, &family, operation);
    if others > 0 {
        facts.push(format!("{others} more parts are blocked"));
    }
    let waits = match &wait {
        Some(wait) => format!("waits: {}", wait.why),
        None => "goes on".into(),
    };
    let cancel =
        (!operation.cancelling && !kind::is_past_return(operation)).then(|| format!("skein op cancel {id}"));
    let rest = if blockers.is_empty() { None } else { cancel };
    Ok(Explanation {
        summary: format!("operation {id} ({what}) is {}; it {waits}", state_name(operation)),
        facts,
        next: next_commands(&blockers, rest),
        blockers,
    })
}

fn ended(operation: &OperationRecord, what: &str) -> Explanation {
    let mut facts: Vec<String> = operation.events.iter().map(|event| event.text.clone()).collect();
    let mut next = Vec::new();
    let how = match fault(operation) {
        Some(fault) => {
            next.push(format!("{}: {}", fault.code.as_str(), fault.code.hint()));
            format!("{}: {fault}", state_name(operation))
        }
        None => state_name(operation).into(),
    };
    for evidence in &operation.evidence {
        let hashes = evidence.digests.iter().map(|digest| format!("node {}: {}", digest.node, digest.hash));
        let hashes: Vec<String> = hashes.collect();
        facts.push(format!("evidence at log index {}: {}", evidence.index, hashes.join(", ")));
    }
    Explanation {
        summary: format!("operation {} ({what}) is {how}", operation.id),
        facts,
        blockers: Vec::new(),
        next,
    }
}

/// What stands in the way, if it does not only take its time, and what would get it out of the way.
fn blocker(sight: &Sight<'_>, operation: &OperationRecord, wait: &Wait) -> Option<Blocker> {
    let partition = operation.group.and_then(|group| sight.partition(group));
    let (node, unblock) = match (wait.pace, &wait.help) {
        (Pace::Working(_), _) | (Pace::Queued, Help::InOrder) => return None,
        (_, Help::Do(what)) => (wait.node, what.clone()),
        (_, Help::Room(node)) => (wait.node, format!("make room on node {node}")),
        (_, Help::EndOf(other)) => (wait.node, format!("skein op explain {other}")),
        (Pace::Blocked, Help::InOrder) => {
            let of_node = wait.node.map(|node| unblock_node(sight, node)).filter(|help| !help.is_empty());
            match (of_node, partition) {
                (Some(help), _) => (wait.node, help),
                (None, Some(partition)) => way_out(sight, partition, wait.node),
                (None, None) => (wait.node, String::new()),
            }
        }
    };
    Some(Blocker {
        table: partition.map(|partition| sight.table_name(partition)),
        partition: partition.map(|partition| partition.index),
        node,
        why: wait.why.clone(),
        unblock,
    })
}

fn facts(memory: &Memory, family: &Family<'_>, operation: &OperationRecord) -> Vec<String> {
    let mut facts = Vec::new();
    if let Some(step) = Step::of(operation).filter(|_| operation.state() == OperationState::Running) {
        let (at, of) = (operation.step + 1, operation.steps.len());
        facts.push(format!("it is at step {at} of {of}, '{}'", step.as_str()));
    }
    let waited = memory.waited_ms(operation);
    if waited >= 1000 {
        facts.push(format!("it has waited for {} s in this step", waited / 1000));
    }
    let parts = family.parts(operation.id);
    if !parts.is_empty() {
        let count = |state: OperationState| parts.iter().filter(|part| part.state() == state).count();
        facts.push(format!(
            "of its {} parts {} wait, {} run, {} are done, {} failed, {} were cancelled",
            parts.len(),
            count(OperationState::Queued),
            count(OperationState::Running),
            count(OperationState::Done),
            count(OperationState::Failed),
            count(OperationState::Cancelled)
        ));
    }
    facts.extend(operation.events.iter().map(|event| event.text.clone()));
    facts
}
