//! From a wish in the words of people to an operation: everything is checked before anything changes.

use api::admin::{OperationRequest, Plan};
use api::operation::OperationChange;
use catalog::Catalog;
use types::{ErrorCode, Fault};

use crate::Observed;

/// An operation as planned.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// What it would do, for people.
    pub plan: Plan,
    /// The command that starts it; refused if a partition that the plan looked at has changed since.
    pub start: OperationChange,
}

/// Plans an operation.
///
/// # Errors
/// Why it cannot be done, and what to do about it.
pub fn plan(catalog: &Catalog, observed: &Observed, request: &OperationRequest) -> Result<Planned, Fault> {
    let _ = (catalog, observed);
    Err(Fault::new(ErrorCode::BadArgument, format!("there is no operation '{}'", request.kind)))
}
