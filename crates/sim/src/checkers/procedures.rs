//! Operations change as their records say: forward, step by step, each change from the record in force, what a
//! step edits together with the step, and an end that does not change any more.

use api::operation::{Edit, OperationChange, OperationRecord, OperationState};

use super::laws::Transition;
use crate::coverage::steps::kind_name;

/// Looks at all operations that a command has changed.
///
/// # Errors
/// What is not as it should be.
pub fn check(transition: &Transition<'_>) -> Result<(), String> {
    for operation in transition.after.operations() {
        let found = match transition.before.operation(operation.id.into()) {
            None => begun(operation),
            Some(known) if known == operation => Ok(()),
            Some(known) => changed(known, operation),
        };
        found.map_err(|detail| format!("operation {} ({}): {detail}", operation.id, kind_name(operation)))?;
    }
    for known in transition.before.operations() {
        if transition.after.operation(known.id.into()).is_none() && !known.state().has_ended() {
            return Err(format!("operation {} is forgotten while it is {:?}", known.id, known.state()));
        }
    }
    match transition.change() {
        Some(change) => edited(transition, change),
        None => Ok(()),
    }
}

fn begun(operation: &OperationRecord) -> Result<(), String> {
    let idle = operation.state() == OperationState::Done && operation.started_ms == operation.ended_ms;
    if operation.group.is_some() && operation.state() != OperationState::Queued && !idle {
        return Err(format!("begins as {:?}, without waiting for its turn", operation.state()));
    }
    if operation.steps.is_empty() || operation.kind.is_none() {
        return Err("begins without saying what it does".into());
    }
    Ok(())
}

fn changed(known: &OperationRecord, is: &OperationRecord) -> Result<(), String> {
    if known.state().has_ended() {
        return Err(format!("had ended as {:?}, and changes", known.state()));
    }
    if is.revision != known.revision + 1 {
        return Err(format!("revision {} follows {}", is.revision, known.revision));
    }
    let same = (&known.kind, known.group, known.parent, known.created_ms, &known.by)
        == (&is.kind, is.group, is.parent, is.created_ms, &is.by);
    let names = |record: &OperationRecord| -> Vec<String> {
        record.steps.iter().map(|step| step.name.clone()).collect()
    };
    if !same || names(known) != names(is) {
        return Err(format!("becomes another one: {known:?}, then {is:?}"));
    }
    if is.state() < known.state() || is.step < known.step || known.cancelling && !is.cancelling {
        return Err(format!("goes back: {known:?}, then {is:?}"));
    }
    if known.made_replica != 0 && is.made_replica != known.made_replica {
        return Err(format!("made replica {}, then {}", known.made_replica, is.made_replica));
    }
    if is.evidence.len() < known.evidence.len() {
        return Err("loses evidence".into());
    }
    ended(is)
}

fn ended(is: &OperationRecord) -> Result<(), String> {
    let all_steps = is.step as usize == is.steps.len() && is.steps.iter().all(|step| step.ended_ms > 0);
    match is.state() {
        OperationState::Queued | OperationState::Running if is.ended_ms > 0 => {
            Err("has ended and goes on".into())
        }
        OperationState::Queued | OperationState::Running => Ok(()),
        _ if is.ended_ms == 0 => Err("ends without saying when".into()),
        OperationState::Done if !all_steps => Err(format!("is done at step {} of {:?}", is.step, is.steps)),
        OperationState::Failed if is.fault_code.is_empty() || is.fault_detail.is_empty() => {
            Err("fails without a reason".into())
        }
        OperationState::Cancelled if !is.cancelling && is.fault_code.is_empty() => {
            Err("is cancelled, and nobody wanted it".into())
        }
        _ => Ok(()),
    }
}

/// Edits come with the operation that makes them, in one command.
fn edited(transition: &Transition<'_>, change: &OperationChange) -> Result<(), String> {
    let records = || change.update.iter().chain(&change.start);
    for edit in change.edits.iter().filter_map(|edit| edit.edit.as_ref()) {
        let group = match edit {
            Edit::AddReplica(at) => Some(at.group),
            Edit::RemoveReplica(leaving) => Some(leaving.group),
            Edit::SetOffline(set) => Some(set.group),
            Edit::SetLeader(leader) => Some(leader.group),
            Edit::TakeOver(wish) => Some(wish.group),
            Edit::SetNode(_) | Edit::RemoveNode(_) | Edit::SetReplicas(_) | Edit::Schedule(_) => None,
        };
        let comes_with = records().any(|record| group.is_none() || record.group == group);
        if !comes_with {
            return Err(format!("{edit:?} comes without an operation that makes it"));
        }
        if !matches!(edit, Edit::AddReplica(_) | Edit::TakeOver(_)) {
            continue;
        }
        let made = change.update.iter().find(|record| record.group == group);
        let made = made.and_then(|record| transition.after.operation(record.id.into()));
        if made.is_none_or(|made| made.made_replica == 0) {
            return Err(format!("{edit:?} is not written down in its operation"));
        }
    }
    Ok(())
}
