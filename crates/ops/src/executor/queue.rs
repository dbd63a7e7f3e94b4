//! Whose turn it is: one operation on a partition at a time, and a few copies on a node.

use std::collections::BTreeMap;

use api::operation::{OperationKind, OperationRecord, OperationState};
use catalog::mutant;
use types::OperationId;
use types::settings::MOVES_PER_NODE;

use super::Family;
use crate::kind::{self, Step};
use crate::room::{self, Incoming};
use crate::sight::{Sight, count};
use crate::steps::{Help, Wait};

/// Who holds which partition, and what is copied where.
pub(crate) struct Queue {
    /// Partitions, and the first operation on each, running or not.
    first: BTreeMap<u64, u64>,
    /// Copies to and from each node.
    copies: BTreeMap<u64, u64>,
    copies_max: u64,
    /// What copies that have begun still bring.
    incoming: Incoming,
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
            incoming: Incoming::default(),
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
            let why = format!("operation {other} has to end first: one {kind} at a time");
            return Err(Wait::queued(why).with_help(Help::EndOf(*other)));
        }
        let Some(group) = operation.group else { return Ok(()) };
        let first =
            self.first.get(&group).filter(|first| **first != operation.id && !mutant!(LockNotChecked));
        if let Some(first) = first {
            let why = format!("operation {first} on {} has to end first", sight.group_name(group));
            return Err(Wait::queued(why).with_help(Help::EndOf(*first)));
        }
        if let Some(other) = self.compacts.filter(|_| compacts(operation)) {
            let why = format!("operation {other} compacts, and one at a time may");
            return Err(Wait::queued(why).with_help(Help::EndOf(other)));
        }
        let full = self
            .copied_at(sight, operation)
            .into_iter()
            .find(|node| self.copies.get(node).is_some_and(|copies| *copies >= self.copies_max));
        match full {
            Some(node) => Err(self.waits_for_copies(node)),
            None => self.has_room(sight, operation),
        }
    }

    /// There was room when the operation was planned; disks fill in the meantime.
    fn has_room(&self, sight: &Sight<'_>, operation: &OperationRecord) -> Result<(), Wait> {
        let Some((node, _)) = room::coming(sight, operation) else { return Ok(()) };
        let Some(partition) = operation.group.and_then(|group| sight.partition(group)) else { return Ok(()) };
        self.incoming
            .check(sight, partition, node)
            .map_err(|fault| Wait::blocked(fault.detail, Some(node)).with_help(Help::Room(node)))
    }

    /// A node has as many copies to do as the setting allows. More is a matter of taste, unless it is the most that the
    /// setting takes.
    fn waits_for_copies(&self, node: u64) -> Wait {
        let copies = count(self.copies.get(&node).copied().unwrap_or(0) as usize, "replica");
        let (name, more) = (MOVES_PER_NODE.name, self.copies_max + 1);
        let why = format!("node {node} copies {copies} already, and {name} is {}", self.copies_max);
        let wait = Wait { node: Some(node), ..Wait::queued(why) };
        match MOVES_PER_NODE.check(&more.to_string()) {
            Ok(_) => wait.with_help(Help::Do(format!("skein config set {name} {more}"))),
            Err(_) => wait,
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
        if let Some((node, bytes)) = room::coming(sight, operation) {
            self.incoming.add(sight, node, bytes);
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
