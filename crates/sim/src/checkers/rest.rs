//! When the faults have stopped, every operation ends, and nothing of any is left behind: no lock, no learner, no
//! replica too many or too few.

use std::collections::BTreeMap;

use api::operation::{OperationKind, OperationState};
use catalog::Catalog;

use super::laws::Transition;
use crate::coverage::steps::kind_name;

/// How many replicas each partition is to have.
#[derive(Default)]
pub struct Rest(BTreeMap<u64, i64>);

impl Rest {
    /// Counts what operations that a command has ended have made of partitions.
    pub fn count(&mut self, transition: &Transition<'_>) {
        for partition in transition.after.partitions() {
            self.0.entry(partition.group).or_insert(partition.replicas.len() as i64);
        }
        for operation in transition.after.operations() {
            let known = transition.before.operation(operation.id.into());
            let is_done = operation.state() == OperationState::Done
                && known.is_some_and(|known| known.state() != OperationState::Done);
            let (true, Some(group)) = (is_done, operation.group) else { continue };
            let change = match &operation.kind {
                Some(OperationKind::AddReplica(_)) if operation.made_replica != 0 => 1,
                Some(OperationKind::RemoveReplica(_)) => -1,
                _ => 0,
            };
            *self.0.entry(group).or_default() += change;
        }
    }

    /// Whether everything that operations have begun is over.
    ///
    /// # Errors
    /// What goes on or was left behind, in words.
    pub fn check(&self, catalog: &Catalog) -> Result<(), String> {
        if let Some(active) = catalog.operations().find(|operation| !operation.state().has_ended()) {
            let (id, kind, state) = (active.id, kind_name(active), active.state());
            let step = active.steps.get(active.step as usize).map_or("", |step| &step.name);
            let cancelling = if active.cancelling { ", cancelling" } else { "" };
            return Err(format!("operation {id} ({kind}) is {state:?}{cancelling}, at '{step}'"));
        }
        for partition in catalog.partitions() {
            let wanted = self.0.get(&partition.group).copied().unwrap_or(0);
            if partition.replicas.len() as i64 != wanted {
                let replicas: Vec<String> = partition
                    .replicas
                    .iter()
                    .map(|replica| format!("{}@{}", replica.id, replica.node))
                    .collect();
                let replicas = replicas.join(" ");
                return Err(format!("group {} has {replicas}, but should have {wanted}", partition.group));
            }
        }
        Ok(())
    }
}
