//! Whose turn it is: one operation on a partition at a time, and a few copies on a node.

use std::collections::BTreeMap;

use api::operation::{OperationKind, OperationRecord, OperationState};
use catalog::mutant;
use types::OperationId;
use types::settings::MOVES_PER_NODE;

use super::Family;
use crate::kind::{self, Step};
use crate::sight::Sight;
use crate::steps::Wait;

/// Who holds which partition, and what is copied where.
pub(crate) struct Queue {
    /// Partitions, and the first operation on each, running or not.
    first: BTreeMap<u64, u64>,
    /// Copies to and from each node.
    copies: BTreeMap<u64, u64>,
    copies_max: u64,
    /// The compaction that runs: there is one at a time in the whole cluster, so that one node at a time has the
    /// work.
    compacts: Option<u64>,
    /// The backup that runs, and the drill: one of each at a time, so that they get done one after the other instead of
    /// all together much later.
    saves: BTreeMap<&'static str, u64>,
}

impl Queue {
    pub(crate) fn new(sight: &Sight<'_>, family: &Family<'_>) -> Self {
        let mut queue = Self {
            first: BTreeMap::new(),
            copies: BTreeMap::new(),
            copies_max: sight.catalog.setting(&MOVES_PER_NODE),
            compacts: None,
            saves: BTreeMap::new(),
        };
        for operation in family.active.values() {
            let running = operation.state() == OperationState::Running;
            if let Some(kind) = saves(operation).filter(|_| running) {
                queue.saves.insert(kind, operation.id);
            }
            let Some(group) = operation.group else { continue };
            if running {
                queue.first.insert(group, operation.id);
            } else if !kind::stands_back(operation) {
                queue.first.entry(group).or_insert(operation.id);
            }
            let copying = matches!(Step::of(operation), Some(Step::Add | Step::CatchUp));
            if running && copying {
                queue.note_copy(sight, operation);
            }
            if running && compacts(operation) {
                queue.compacts = Some(operation.id);
            }
        }
        queue
    }

    /// Whether an operation may begin; the error says what it waits for.
    pub(crate) fn turn(&self, sight: &Sight<'_>, operation: &OperationRecord) -> Result<(), Wait> {
        if operation.parent != 0 {
            let parent = sight.catalog.operation(OperationId(operation.parent));
            let runs =
                parent.is_some_and(|parent| parent.state() == OperationState::Running && !parent.cancelling);
            if !runs {
                return Err(Wait::queued(format!("operation {} has to run", operation.parent)));
            }
        }
        if let Some((kind, other)) = saves(operation).and_then(|kind| Some((kind, self.saves.get(kind)?))) {
            return Err(Wait::queued(format!("operation {other} has to end first: one {kind} at a time")));
        }
        let Some(group) = operation.group else { return Ok(()) };
        let first =
            self.first.get(&group).filter(|first| **first != operation.id && !mutant!(LockNotChecked));
        if let Some(first) = first {
            let name = sight.group_name(group);
            return Err(Wait::queued(format!("operation {first} on {name} has to end first")));
        }
        if let Some(other) = self.compacts.filter(|_| compacts(operation)) {
            return Err(Wait::queued(format!("operation {other} compacts, and one at a time may")));
        }
        let full = self
            .copied_at(sight, operation)
            .into_iter()
            .find(|node| self.copies.get(node).is_some_and(|copies| *copies >= self.copies_max));
        match full {
            Some(node) => Err(Wait::queued(format!(
                "node {node} copies {} replicas already, and moves_per_node is {}",
                self.copies.get(&node).copied().unwrap_or(0),
                self.copies_max
            ))),
            None => Ok(()),
        }
    }

    /// It has begun.
    pub(crate) fn note_begun(&mut self, sight: &Sight<'_>, operation: &OperationRecord) {
        self.note_copy(sight, operation);
        if let Some(kind) = saves(operation) {
            self.saves.insert(kind, operation.id);
        }
        if compacts(operation) {
            self.compacts = Some(operation.id);
        }
    }

    fn note_copy(&mut self, sight: &Sight<'_>, operation: &OperationRecord) {
        for node in self.copied_at(sight, operation) {
            *self.copies.entry(node).or_default() += 1;
        }
    }

    /// The nodes that a copy keeps busy: the one that gets it, and the leader's, which sends it.
    fn copied_at(&self, sight: &Sight<'_>, operation: &OperationRecord) -> Vec<u64> {
        let Some(kind) = operation.kind.as_ref().filter(|kind| kind::copies(kind)) else { return Vec::new() };
        let sender = operation.group.and_then(|group| sight.leader_node(group)).map(|node| node.get());
        let mut nodes: Vec<u64> = kind::target_node(kind).into_iter().chain(sender).collect();
        nodes.dedup();
        nodes
    }
}

/// The kind of an operation that has tasks.
fn saves(operation: &OperationRecord) -> Option<&'static str> {
    operation.kind.as_ref().filter(|kind| kind::has_tasks(kind)).map(kind::name)
}

/// Whether an operation compacts replicas.
fn compacts(operation: &OperationRecord) -> bool {
    matches!(operation.kind, Some(OperationKind::Compact(_)))
}
