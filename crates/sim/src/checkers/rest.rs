//! When the faults have stopped, every operation ends, and nothing of any is left behind: no lock, no learner, no
//! replica too many or too few. Where automation is at work, partitions have what their tables wish as well.

use std::collections::BTreeMap;

use api::operation::{OperationKind, OperationState};
use catalog::{Catalog, Role};
use types::settings::{AUTO_FAILOVER, REPLACE_AFTER_S};
use types::{NodeId, TableId};

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

/// A time after which partitions that are short get more replicas and that is over when a run ends, in seconds.
const SOON_S: u64 = 20;

/// Whether automation has given every partition what its table wishes, where it is on and there is a node for it.
///
/// # Errors
/// A partition that is short for no reason, in words.
pub fn check_wishes(catalog: &Catalog, is_up: &dyn Fn(u64) -> bool) -> Result<(), String> {
    let soon = (1..=SOON_S).contains(&catalog.setting(&REPLACE_AFTER_S));
    // With a node away it may hold back.
    let calm = catalog.nodes().all(|node| is_up(node.id));
    if !soon || !calm || catalog.setting(&AUTO_FAILOVER) == 0 {
        return Ok(());
    }
    for partition in catalog.partitions().filter(|partition| partition.may_begin) {
        let wished = catalog.table(TableId(partition.table)).map_or(0, |table| table.replicas as usize);
        // What came to nothing is tried again much later.
        let was_in_vain = catalog.operations().any(|known| {
            known.group == Some(partition.group)
                && matches!(known.state(), OperationState::Failed | OperationState::Cancelled)
                && known.by.starts_with("automation")
        });
        let role = if partition.table == 0 { Role::Meta } else { Role::Data };
        let free = catalog.nodes().find(|node| {
            let flags = catalog.flags(NodeId(node.id));
            let has_one = partition.replicas.iter().any(|replica| replica.node == node.id);
            role.of(node) && !has_one && !flags.leaving && !flags.offline
        });
        if let Some(free) = free.filter(|_| partition.replicas.len() < wished && !was_in_vain) {
            let (group, has) = (partition.group, partition.replicas.len());
            return Err(format!(
                "group {group} has {has} replicas of {wished} that its table wishes, and node {} is free",
                free.id
            ));
        }
    }
    Ok(())
}
