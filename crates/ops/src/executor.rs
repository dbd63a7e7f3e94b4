//! The executor: what the meta leader does about operations at each look.

use api::catalog::CatalogOp;
use api::operation::OperationChange;
use catalog::Catalog;
use types::{ErrorCode, Fault, GroupId, LogIndex, OperationId, ReplicaId};

use crate::Observed;

/// What to do now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Work {
    /// Commands to the catalog, each on its own.
    pub commands: Vec<CatalogOp>,
    /// What groups shall do.
    pub directives: Vec<Directive>,
}

/// What a group shall do. Harmless when repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Directive {
    /// Its leader hands over to a replica.
    MoveLeader {
        /// The group.
        group: GroupId,
        /// The replica that shall lead.
        to: ReplicaId,
    },
    /// Its leader proposes a digest; its index is told by [`Executor::digest_began`].
    Digest {
        /// The group.
        group: GroupId,
        /// The operation that needs it.
        operation: OperationId,
    },
    /// Its replicas cut their logs as far as they can.
    CutLog {
        /// The group.
        group: GroupId,
    },
}

/// What a meta leader remembers between two looks. Losing it costs time, nothing else.
#[derive(Debug, Default)]
pub struct Executor {}

impl Executor {
    /// Looks at the cluster and says what to do.
    pub fn step(&mut self, catalog: &Catalog, observed: &Observed) -> Work {
        let _ = (catalog, observed);
        Work::default()
    }

    /// A digest that was asked for is at this place of its group's log.
    pub fn digest_began(&mut self, operation: OperationId, index: LogIndex) {
        let _ = (operation, index);
    }

    /// An operation as people see it.
    pub fn show(
        &self,
        catalog: &Catalog,
        observed: &Observed,
        id: OperationId,
    ) -> Option<api::admin::Operation> {
        let _ = (catalog, observed, id);
        None
    }

    /// Why an operation is where it is.
    ///
    /// # Errors
    /// When there is no such operation.
    pub fn explain_operation(
        &self,
        catalog: &Catalog,
        observed: &Observed,
        id: OperationId,
    ) -> Result<api::admin::Explanation, Fault> {
        let _ = (catalog, observed);
        Err(Fault::new(ErrorCode::UnknownOperation, format!("operation {id}")))
    }
}

/// The command that cancels an operation, with its parts.
///
/// # Errors
/// When there is no such operation, when it has ended, or when it is past its point of no return.
pub fn cancel(catalog: &Catalog, id: OperationId, wall_ms: u64) -> Result<OperationChange, Fault> {
    let _ = (catalog, wall_ms);
    Err(Fault::new(ErrorCode::UnknownOperation, format!("operation {id}")))
}

/// The command that forgets an ended operation, with its parts.
///
/// # Errors
/// When there is no such operation, or when it has not ended.
pub fn forget(catalog: &Catalog, id: OperationId) -> Result<OperationChange, Fault> {
    let _ = catalog;
    Err(Fault::new(ErrorCode::UnknownOperation, format!("operation {id}")))
}
