//! The same change of operations, carried out twice, changes nothing the second time.

use api::catalog::{CatalogCommand, CatalogOp};
use api::operation::OperationChange;
use engine::ApplyContext;

use super::laws::Transition;

/// Carries a change out once more, on a copy.
///
/// # Errors
/// What it changed.
pub fn check(
    transition: &Transition<'_>,
    change: &OperationChange,
    context: &ApplyContext,
) -> Result<(), String> {
    let again = |change: OperationChange| {
        let mut copy = transition.after.clone();
        let command = CatalogCommand { op: Some(CatalogOp::Operate(change)) };
        let (_, changes) = copy.apply(&command, context);
        changes
    };
    // Whoever asks once more for what has ended gets another operation, and joins one that goes on.
    let has_ended = change.start.first().is_some_and(|head| head.state().has_ended());
    if !has_ended {
        let changes = again(change.clone());
        if !changes.is_empty() {
            return Err(format!("carried out twice, {change:?} changes {changes:?}"));
        }
    }
    let edits = OperationChange { edits: change.edits.clone(), ..Default::default() };
    let changes = again(edits);
    match changes.is_empty() {
        true => Ok(()),
        false => Err(format!("the edits of {change:?}, repeated, change {changes:?}")),
    }
}
