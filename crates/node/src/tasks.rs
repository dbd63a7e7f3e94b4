//! Tasks of operations: what the node that leads the catalog carries out itself, by whoever runs it.
//!
//! The member has no place of backups and asks no other node for jobs; a face above it does, on threads of its own. It
//! is told what to begin, tells how far it is, and hears whether that is still wanted.

use std::sync::Arc;

use api::operation::{OperationRecord, OperationState};
use ops::{TaskReport, UNDO, Wanted};
use types::OperationId;

use crate::node::{Node, lock};

/// A step of an operation that is to be carried out here.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// The operation as it is.
    pub operation: OperationRecord,
    /// The step, or [`UNDO`].
    pub step: &'static str,
}

/// Whoever carries out tasks.
pub trait Tasks: Send + Sync {
    /// Begins a task, unless it runs already. It tells how far it is by [`Node::task_told`].
    fn begin(&self, task: Task);
}

impl Node {
    /// Who carries out tasks from now on. Only the first one counts; without any no task makes progress.
    pub fn set_tasks(&self, tasks: Arc<dyn Tasks>) {
        let _ = self.tasks.set(tasks);
    }

    /// How far a task is; whether it shall go on.
    pub fn task_told(&self, operation: OperationId, step: &str, report: TaskReport) -> Wanted {
        if !self.leads_catalog() {
            return Wanted::Elsewhere;
        }
        let has_ended = report.outcome.is_some();
        if lock(&self.operator).task_told(operation, step, report) {
            if has_ended {
                self.upkeep.hurry();
            }
            return Wanted::Yes;
        }
        // One that begins to lead has not asked for it yet, and will.
        let catalog = self.watch.latest();
        let goes_on = |known: &OperationRecord| {
            known.state() == OperationState::Running && (!known.cancelling || step == UNDO)
        };
        match catalog.operation(operation).is_some_and(goes_on) {
            true => Wanted::Elsewhere,
            false => Wanted::No,
        }
    }

    /// Hands a task to whoever carries them out.
    pub(crate) fn begin_task(&self, operation: OperationId, step: &'static str) {
        let catalog = self.watch.latest();
        if let (Some(tasks), Some(operation)) = (self.tasks.get(), catalog.operation(operation)) {
            tasks.begin(Task { operation: operation.clone(), step });
        }
    }
}
