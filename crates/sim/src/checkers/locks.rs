//! A partition has at most one running operation.

use std::collections::BTreeMap;

use api::operation::OperationState;

use super::laws::Transition;

/// Looks at all operations after a command.
///
/// # Errors
/// Two that run on one partition.
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
    Ok(())
}
