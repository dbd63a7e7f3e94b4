//! From one step to the next.

use api::operation::{Edit, EventRecord, OperationKind, OperationRecord, OperationState};
use catalog::mutant;
use types::{ErrorCode, Fault};

use super::memory::InVain;
use super::queue::Queue;
use super::{Directive, Executor, Family, Work, cancel, change};
use crate::kind::{self, Step};
use crate::operations::recover_quorum::bound;
use crate::show;
use crate::sight::{Sight, count, replica_of};
use crate::steps::{self, Outcome, Stop, Wait};

/// Where an operation has come to in one look.
struct Course {
    record: OperationRecord,
    /// The record differs from the one in force.
    changed: bool,
    /// What goes with the change.
    edits: Vec<Edit>,
    /// Parts that begin with it.
    parts: Vec<OperationRecord>,
}

impl Course {
    fn new(record: OperationRecord, changed: bool) -> Self {
        Self { record, changed, edits: Vec::new(), parts: Vec::new() }
    }
}

/// How a look at an operation ends.
enum Turn {
    /// Something is to be written before it can go on, or it has ended.
    Write,
    Waits(Wait),
    Failed(Fault),
}

impl Executor {
    /// Begins an operation if it is its turn.
    pub(super) fn start(
        &mut self,
        sight: &Sight<'_>,
        family: &Family<'_>,
        queue: &mut Queue,
        operation: &OperationRecord,
        work: &mut Work,
    ) {
        let now = sight.observed.wall_ms;
        if let Err(wait) = queue.turn(sight, operation) {
            return self.finish(sight, Course::new(operation.clone(), false), Turn::Waits(wait), work);
        }
        let mut record = operation.clone();
        record.set_state(OperationState::Running);
        record.started_ms = now;
        note(&mut record, now, "begins");
        let mut course = Course::new(record, true);
        let turn = match self.enter(sight, family, &mut course) {
            Ok(()) if course.edits.is_empty() => self.walk(sight, family, &mut course, work),
            Ok(()) => Turn::Write,
            Err(Stop::Waits(wait)) => {
                course = Course::new(operation.clone(), false);
                return self.finish(sight, course, Turn::Waits(wait), work);
            }
            Err(Stop::Failed(fault)) => Turn::Failed(fault),
        };
        queue.note_begun(sight, operation);
        self.finish(sight, course, turn, work);
    }

    /// Takes a running operation as far as it goes.
    pub(super) fn advance(
        &mut self,
        sight: &Sight<'_>,
        family: &Family<'_>,
        operation: &OperationRecord,
        work: &mut Work,
    ) {
        if operation.cancelling && !kind::is_past_return(operation) {
            return self.wind_up(sight, family, operation, work);
        }
        let mut course = Course::new(operation.clone(), false);
        let turn = self.walk(sight, family, &mut course, work);
        self.finish(sight, course, turn, work);
    }

    /// From step to step, as long as each is done and the next changes nothing on entry.
    fn walk(&mut self, sight: &Sight<'_>, family: &Family<'_>, course: &mut Course, work: &mut Work) -> Turn {
        loop {
            let Some(step) = Step::of(&course.record) else { return unknown_step(&course.record) };
            let Some(doing) = family.doing(sight, &self.memory, &course.record) else {
                return unknown_step(&course.record);
            };
            let look = steps::look(&doing, step);
            work.commands.extend(look.commands);
            // A task changes the catalog by itself: its step is persisted before it begins.
            let may_begin =
                |directive: &Directive| !matches!(directive, Directive::Task { .. }) || !course.changed;
            for directive in look.directives.into_iter().filter(may_begin) {
                if self.memory.tell(&directive, course.record.id, sight.observed.wall_ms) {
                    work.directives.push(directive);
                }
            }
            let mut next = course.record.clone();
            next.evidence.extend(look.evidence);
            if look.saved.is_some() {
                next.saved = look.saved;
            }
            if !matches!(look.outcome, Outcome::Waits(_)) {
                look.notes.iter().for_each(|text| note(&mut next, sight.observed.wall_ms, text));
            }
            match look.outcome {
                Outcome::Done => {}
                Outcome::Failed(fault) => {
                    course.record = next;
                    return Turn::Failed(fault);
                }
                Outcome::Waits(wait) => {
                    if !look.edits.is_empty() || !look.parts.is_empty() {
                        note_who_led(sight, &mut course.record, &look.edits);
                        (course.edits, course.parts) = (look.edits, look.parts);
                        course.changed = true;
                        // What it waits for is remembered all the same: turns are counted by it.
                        self.memory.waits(&course.record, &wait, sight.observed.wall_ms);
                        return Turn::Write;
                    }
                    return Turn::Waits(wait);
                }
            }
            let before = std::mem::replace(&mut course.record, next);
            if close_step(&mut course.record, sight.observed.wall_ms) {
                course.changed = true;
                return Turn::Write;
            }
            match self.enter(sight, family, course) {
                Ok(()) => course.changed = true,
                Err(Stop::Waits(wait)) => {
                    course.record = before;
                    return Turn::Waits(wait);
                }
                Err(Stop::Failed(fault)) => {
                    course.record = before;
                    return Turn::Failed(fault);
                }
            }
            if !course.edits.is_empty() {
                return Turn::Write;
            }
        }
    }

    /// Enters the step that the record is at.
    fn enter(&self, sight: &Sight<'_>, family: &Family<'_>, course: &mut Course) -> Result<(), Stop> {
        let now = sight.observed.wall_ms;
        let Some(step) = Step::of(&course.record) else { return Ok(()) };
        if let Some(doing) = family.doing(sight, &self.memory, &course.record) {
            course.edits = steps::enter(&doing, step)?;
        }
        let at = course.record.step as usize;
        if let Some(step) = course.record.steps.get_mut(at) {
            step.begun_ms = now;
        }
        Ok(())
    }

    fn finish(&mut self, sight: &Sight<'_>, mut course: Course, turn: Turn, work: &mut Work) {
        let now = sight.observed.wall_ms;
        let mut fault = match turn {
            Turn::Write => None,
            Turn::Failed(fault) => Some(fault),
            Turn::Waits(wait) => {
                let too_long = self.memory.waits(&course.record, &wait, now);
                too_long.then(|| wait.given_up())
            }
        };
        if fault.is_none() && !course.changed {
            return;
        }
        let in_vain = self.memory.writes(&course.record, now);
        if in_vain > InVain::NotYet {
            fault
                .get_or_insert_with(|| Fault::new(ErrorCode::GaveUp, "the catalog does not take its change"));
        }
        if let Some(fault) = fault {
            course.edits = fail(sight, &mut course.record, &fault, in_vain);
            course.parts.clear();
        }
        for text in course.edits.iter().filter_map(|edit| described(sight, edit)) {
            note(&mut course.record, now, &text);
        }
        work.commands.push(change(course.record, course.edits, course.parts));
    }

    /// Undoes and ends an operation that was cancelled or has failed; one with parts once they have ended.
    fn wind_up(
        &mut self,
        sight: &Sight<'_>,
        family: &Family<'_>,
        operation: &OperationRecord,
        work: &mut Work,
    ) {
        if mutant!(CancelForgotten) {
            return;
        }
        let now = sight.observed.wall_ms;
        let parts = family.parts(operation.id);
        let left = parts.iter().filter(|part| !part.state().has_ended()).count();
        if left > 0 {
            self.memory.waits(operation, &Wait::queued(format!("{left} parts have to end")), now);
            return;
        }
        if operation.kind.as_ref().is_some_and(kind::has_tasks) {
            return self.wind_up_tasks(sight, operation, work);
        }
        let undo = match self.undo(sight, operation) {
            Err(wait) if !self.memory.waits_for_undo(operation, &wait, now) => return,
            undo => undo,
        };
        let mut record = operation.clone();
        let known = show::fault(operation);
        let edits = match (undo, known) {
            (Ok(edits), Some(fault)) => {
                end_failed(&mut record, &fault, now);
                edits
            }
            (Ok(edits), None) => {
                record.set_state(OperationState::Cancelled);
                record.ended_ms = now;
                let done = parts.iter().filter(|part| part.state() == OperationState::Done).count();
                note(&mut record, now, &how_cancelled(edits.is_empty(), done, parts.len()));
                edits
            }
            (Err(wait), known) => {
                let fault = known.unwrap_or_else(|| Fault::new(ErrorCode::Unsafe, "cancelled"));
                let detail = format!("{}; it was not undone: {}", fault.detail, wait.why);
                end_failed(&mut record, &Fault::new(fault.code, detail), now);
                Vec::new()
            }
        };
        work.commands.push(change(record, edits, Vec::new()));
    }

    /// Ends an operation that has tasks, once what it left is removed or was found to be harmless.
    fn wind_up_tasks(&mut self, sight: &Sight<'_>, operation: &OperationRecord, work: &mut Work) {
        let now = sight.observed.wall_ms;
        let notes = match cancel::undo_task(&self.memory, operation) {
            Ok(notes) => notes,
            Err(wait) => {
                let id = operation.id.into();
                let directive = Directive::Task { operation: id, step: steps::task::UNDO };
                if self.memory.tell(&directive, operation.id, now) {
                    work.directives.push(directive);
                }
                if !self.memory.waits_for_undo(operation, &wait, now) {
                    return;
                }
                vec![format!("what it left was not removed in time: {}", wait.why)]
            }
        };
        let mut record = operation.clone();
        notes.iter().for_each(|text| note(&mut record, now, text));
        match show::fault(operation) {
            Some(fault) => end_failed(&mut record, &fault, now),
            None => {
                record.set_state(OperationState::Cancelled);
                record.ended_ms = now;
                note(
                    &mut record,
                    now,
                    if undoes_all(operation) { "cancelled, and undone" } else { "cancelled" },
                );
            }
        }
        work.commands.push(change(record, Vec::new(), Vec::new()));
    }

    /// What undoes an operation, or what stands in the way.
    fn undo(&mut self, sight: &Sight<'_>, operation: &OperationRecord) -> Result<Vec<Edit>, Wait> {
        let edits = cancel::undo(sight, operation).map_err(|why| Wait::blocked(why, None))?;
        match self.memory.writes(operation, sight.observed.wall_ms) {
            InVain::NotYet => Ok(edits),
            _ => Err(Wait::blocked("the catalog does not take what undoes it", None)),
        }
    }
}

/// What is left of an operation that was cancelled.
fn how_cancelled(nothing_to_undo: bool, done: usize, parts: usize) -> String {
    match (done, nothing_to_undo) {
        (0, true) => "cancelled".into(),
        (0, false) => "cancelled, and undone".into(),
        _ => format!("cancelled; {done} of its {} were done, and stay so", count(parts, "part")),
    }
}

/// What a restore has written to a table that was there before stays.
fn undoes_all(operation: &OperationRecord) -> bool {
    match &operation.kind {
        Some(OperationKind::Restore(wish)) => wish.made().count() == wish.tables.len(),
        _ => true,
    }
}

/// What is undone goes back to the leader that the catalog knew before the operation named another one.
fn note_who_led(sight: &Sight<'_>, record: &mut OperationRecord, edits: &[Edit]) {
    let names_leader = edits.iter().any(|edit| matches!(edit, Edit::SetLeader(_)));
    if let (0, true, Some(group)) = (record.led_before, names_leader, record.group) {
        record.led_before = sight.partition(group).map_or(0, |partition| partition.leader);
    }
}

/// Ends the step that a record is at. Whether it was the last.
pub(super) fn close_step(record: &mut OperationRecord, now: u64) -> bool {
    let at = record.step as usize;
    if let Some(step) = record.steps.get_mut(at) {
        step.ended_ms = now;
    }
    record.step += 1;
    if (record.step as usize) < record.steps.len() {
        return false;
    }
    record.set_state(OperationState::Done);
    record.ended_ms = now;
    note(record, now, "done");
    true
}

/// Ends an operation that cannot be done, with whatever undoes what it has begun. What cannot be undone at once
/// is undone later; until then the operation goes on as one that is cancelled.
fn fail(sight: &Sight<'_>, record: &mut OperationRecord, fault: &Fault, in_vain: InVain) -> Vec<Edit> {
    let now = sight.observed.wall_ms;
    // What the parts of an operation have done stays, and so does the flag of its node; only a node that
    // cannot leave is a member as before.
    let undoable = match record.kind {
        Some(OperationKind::Decommission(_)) => true,
        _ => record.group.is_some() && !kind::is_past_return(record),
    };
    if !undoable || in_vain == InVain::Always {
        end_failed(record, fault, now);
        return Vec::new();
    }
    match cancel::undo(sight, record) {
        Ok(edits) => {
            end_failed(record, fault, now);
            edits
        }
        Err(why) => {
            record.cancelling = true;
            record.fault_code = fault.code.as_str().into();
            record.fault_detail.clone_from(&fault.detail);
            note(record, now, &format!("fails: {}; it is undone as soon as it can be: {why}", fault.detail));
            Vec::new()
        }
    }
}

pub(super) fn end_failed(record: &mut OperationRecord, fault: &Fault, now: u64) {
    record.set_state(OperationState::Failed);
    record.fault_code = fault.code.as_str().into();
    record.fault_detail.clone_from(&fault.detail);
    record.ended_ms = now;
    note(record, now, &format!("failed: {}", fault.detail));
}

fn unknown_step(record: &OperationRecord) -> Turn {
    let detail = format!("operation {} was made by a newer release", record.id);
    Turn::Failed(Fault::new(ErrorCode::VersionUnsupported, detail))
}

/// What an edit does, for the record of its operation.
fn described(sight: &Sight<'_>, edit: &Edit) -> Option<String> {
    let node_of = |group: u64, replica: u64| {
        let known = sight.partition(group).and_then(|partition| replica_of(partition, replica));
        known.map_or_else(String::new, |known| format!(" on node {}", known.node))
    };
    Some(match edit {
        Edit::AddReplica(at) => format!("node {} gets a replica", at.node),
        Edit::RemoveReplica(leaving) => {
            format!("replica {}{} leaves", leaving.replica, node_of(leaving.group, leaving.replica))
        }
        Edit::SetOffline(set) => {
            let how = if set.offline { "goes offline" } else { "is online again" };
            format!("replica {}{} {how}", set.replica, node_of(set.group, set.replica))
        }
        Edit::SetLeader(leader) => {
            format!("replica {}{} shall lead", leader.replica, node_of(leader.group, leader.replica))
        }
        // What is given up stays with the record.
        Edit::TakeOver(wish) => bound(sight, wish.group)?,
        Edit::RemoveNode(on) => format!("node {} leaves the cluster", on.node),
        Edit::SetNode(_) | Edit::SetReplicas(_) | Edit::Schedule(_) => return None,
    })
}

pub(super) fn note(record: &mut OperationRecord, now: u64, text: &str) {
    record.events.push(EventRecord { at_ms: now, text: text.into() });
}
