//! The end of an operation with parts: it comes with that of its last part, in one command.
//!
//! Otherwise whoever sees that all parts are done would find the operation still at work, for as long as a look takes.

use std::collections::{BTreeMap, BTreeSet};

use api::catalog::CatalogOp;
use api::operation::{OperationChange, OperationRecord, OperationState};

use super::advance::{close_step, end_failed};
use super::memory::Memory;
use super::{Family, Work};
use crate::kind::Step;
use crate::sight::Sight;
use crate::steps::{self, Doing, Outcome};

/// Parts that end in this look, by id: the place of the command that says so.
type Ending = BTreeMap<u64, usize>;

/// Merges commands that end the last parts of operations into one that ends the operation as well.
pub(super) fn with_parts(sight: &Sight<'_>, family: &Family<'_>, memory: &Memory, work: &mut Work) {
    let ending: Ending = work.commands.iter().enumerate().filter_map(ends_part).collect();
    if ending.is_empty() {
        return;
    }
    let mut merged = Vec::new();
    for operation in family.active.values().filter(|operation| waits_only_for_parts(operation)) {
        let known = family.parts(operation.id);
        let goes = |part: &&&OperationRecord| ending.contains_key(&part.id);
        let all_end = known.iter().all(|part| part.state().has_ended() || goes(&part));
        let places: Vec<usize> = known.iter().filter(goes).map(|part| ending[&part.id]).collect();
        if !all_end || places.is_empty() {
            continue;
        }
        let updates: Vec<&OperationRecord> =
            places.iter().filter_map(|place| only_update(&work.commands[*place])).collect();
        let parts = known.iter().map(|part| {
            let update = updates.iter().find(|update| update.id == part.id);
            update.copied().unwrap_or(part)
        });
        let parts: Vec<&OperationRecord> = parts.collect();
        let Some(doing) = family.doing(sight, memory, operation) else { continue };
        let Some(record) = ended(&Doing { parts: &parts, ..doing }, sight.observed.wall_ms) else { continue };
        let update = updates.into_iter().cloned().chain([record]).collect();
        merged.push((places, OperationChange { update, ..Default::default() }));
    }
    let apart: BTreeSet<usize> = merged.iter().flat_map(|(places, _)| places.iter().copied()).collect();
    let mut place = 0..;
    work.commands.retain(|_| place.next().is_some_and(|place| !apart.contains(&place)));
    work.commands.extend(merged.into_iter().map(|(_, change)| CatalogOp::Operate(change)));
}

/// A command that does nothing but end one part.
fn ends_part((place, command): (usize, &CatalogOp)) -> Option<(u64, usize)> {
    let update = only_update(command)?;
    (update.parent != 0 && update.state().has_ended()).then_some((update.id, place))
}

fn only_update(command: &CatalogOp) -> Option<&OperationRecord> {
    match command {
        CatalogOp::Operate(change) if change.edits.is_empty() && change.start.is_empty() => {
            change.update.first().filter(|_| change.update.len() == 1)
        }
        _ => None,
    }
}

fn waits_only_for_parts(operation: &OperationRecord) -> bool {
    operation.state() == OperationState::Running
        && !operation.cancelling
        && Step::of(operation) == Some(Step::Parts)
        && operation.step as usize + 1 == operation.steps.len()
}

/// The operation as it ends once these are its parts.
fn ended(doing: &Doing<'_>, now: u64) -> Option<OperationRecord> {
    let mut record = doing.operation.clone();
    match steps::look(doing, Step::Parts).outcome {
        Outcome::Done => {
            close_step(&mut record, now);
        }
        Outcome::Failed(fault) => end_failed(&mut record, &fault, now),
        Outcome::Waits(_) => return None,
    }
    Some(record)
}
