//! A partition has at most one running operation, and nothing is done twice at once.

use std::collections::BTreeMap;

use api::operation::{OperationRecord, OperationState};
use catalog::alike;

use super::laws::Transition;

/// Looks at all operations after a command.
///
/// # Errors
/// Two that run on one partition, or do the same.
pub fn check(transition: &Transition<'_>) -> Result<(), String> {
    let mut running = BTreeMap::new();
    for operation in transition.after.operations() {
        let Some(group) = operation.group.filter(|_| operation.state() == OperationState::Running) else {
            continue;
        };
        if let Some(other) = running.insert(group, operation.id) {
            return Err(format!("operations {other} and {} run on group {group}", operation.id));
        }
    }
    twice_at_once(transition)
}

fn twice_at_once(transition: &Transition<'_>) -> Result<(), String> {
    let unique = |operation: &&OperationRecord| {
        let about = operation.kind.as_ref().and_then(alike::about_node);
        operation.parent == 0 && alike::goes_on(operation) && (operation.group.is_some() || about.is_some())
    };
    let going_on: Vec<&OperationRecord> = transition.after.operations().filter(unique).collect();
    for (at, operation) in going_on.iter().enumerate() {
        if let Some(other) = going_on[..at].iter().find(|other| other.kind == operation.kind) {
            return Err(format!("operations {} and {} do the same", other.id, operation.id));
        }
    }
    Ok(())
}
