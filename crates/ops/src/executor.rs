//! The executor: what the meta leader does about operations at each look.
//!
//! ```text
//!   Queued ──turn──► Running ──last step──► Done
//!     │                 │  └── fails, or waits too long ──► (undone) Failed
//!     └── cancelled ────┴── cancelling, before the point of no return ──► (undone) Cancelled
//! ```
//!
//! Each arrow is one command to the catalog: the new record, made from a revision that it names, and the edits
//! that go with it. So nothing is half done, a command that is repeated is refused, and of two nodes that both
//! believe to lead the catalog one gets its way. A look that finds nothing to change says nothing.

mod advance;
mod cancel;
mod ending;
pub(crate) mod memory;
pub(crate) mod queue;

use std::collections::BTreeMap;

use api::catalog::CatalogOp;
use api::operation::{CatalogEdit, Edit, OperationChange, OperationRecord, OperationState};
use catalog::{Catalog, mutant};
use types::{Fault, GroupId, LogIndex, NodeId, OperationId, ReplicaId};

use crate::explain;
use crate::kind::{self, Step};
use crate::sight::Sight;
use crate::steps::{self, Doing, Outcome, Stop, Wait};
use crate::{Observed, automation, show};
pub use cancel::{cancel, forget};
use memory::{Memory, TaskReport};
use queue::Queue;

/// What to do now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Work {
    /// Commands to the catalog, each on its own. A refusal needs no answer: the next look sees why.
    pub commands: Vec<CatalogOp>,
    /// What groups shall do.
    pub directives: Vec<Directive>,
}

/// What a group shall do. Harmless when repeated.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
    /// The replica on a node gives back the space of what was removed, for an operation.
    Compact {
        /// The group.
        group: GroupId,
        /// The node.
        node: NodeId,
        /// The operation.
        operation: OperationId,
    },
    /// The node that leads the catalog carries out a step of an operation itself, if it is not at it already; what
    /// comes of it is told by [`Executor::task_told`].
    Task {
        /// The operation.
        operation: OperationId,
        /// The step, or [`crate::UNDO`].
        step: &'static str,
    },
}

/// What a meta leader remembers between two looks. Losing it costs time, nothing else: a new one goes on from
/// the records.
#[derive(Debug, Default)]
pub struct Executor {
    memory: Memory,
    /// The time of the last look.
    now_ms: u64,
}

impl Executor {
    /// Looks at the cluster and says what to do.
    pub fn step(&mut self, catalog: &Catalog, observed: &Observed) -> Work {
        let sight = Sight::new(catalog, observed);
        self.now_ms = observed.wall_ms;
        let family = Family::of(catalog);
        self.memory.tidy(|id| family.active.contains_key(&id), self.now_ms);
        self.memory.tidy_tasks(|id, step| is_wanted(&family, id, step));
        let mut queue = Queue::new(&sight, &family);
        let mut work = Work::default();
        for operation in family.active.values() {
            match operation.state() {
                OperationState::Queued => self.start(&sight, &family, &mut queue, operation, &mut work),
                OperationState::Running => self.advance(&sight, &family, operation, &mut work),
                _ => {}
            }
        }
        ending::with_parts(&sight, &family, &self.memory, &mut work);
        automation::step(&sight, &mut self.memory, &mut work);
        work
    }

    /// A digest that was asked for is at this place of its group's log.
    pub fn digest_began(&mut self, operation: OperationId, index: LogIndex) {
        self.memory.digest_began(operation, index, self.now_ms);
    }

    /// How far a task is; whether it shall go on.
    pub fn task_told(&mut self, operation: OperationId, step: &str, report: TaskReport) -> bool {
        self.memory.task_told(operation.get(), step, report)
    }

    /// An operation as people see it.
    pub fn show(
        &self,
        catalog: &Catalog,
        observed: &Observed,
        id: OperationId,
    ) -> Option<api::admin::Operation> {
        let sight = Sight::new(catalog, observed);
        let operation = catalog.operation(id)?;
        Some(show::operation(&sight, &self.memory, operation))
    }

    /// All operations as people see them, oldest first.
    pub fn show_all(&self, catalog: &Catalog, observed: &Observed) -> Vec<api::admin::Operation> {
        let sight = Sight::new(catalog, observed);
        show::all(&sight, &self.memory)
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
        let sight = Sight::new(catalog, observed);
        explain::operation(&sight, &self.memory, id)
    }
}

/// Operations by what connects them.
pub(crate) struct Family<'a> {
    /// Those that have not ended.
    pub(crate) active: BTreeMap<u64, &'a OperationRecord>,
    /// Parts, ended ones too, by the operation that they are a part of.
    parts: BTreeMap<u64, Vec<&'a OperationRecord>>,
}

impl<'a> Family<'a> {
    pub(crate) fn of(catalog: &'a Catalog) -> Self {
        let mut family = Self { active: BTreeMap::new(), parts: BTreeMap::new() };
        for operation in catalog.operations() {
            if !operation.state().has_ended() {
                family.active.insert(operation.id, operation);
            }
            if operation.parent != 0 {
                family.parts.entry(operation.parent).or_default().push(operation);
            }
        }
        family
    }

    pub(crate) fn parts(&self, operation: u64) -> &[&'a OperationRecord] {
        self.parts.get(&operation).map_or(&[], Vec::as_slice)
    }

    /// An operation with what is around it; nothing if a newer release made it.
    pub(crate) fn doing<'b>(
        &'b self,
        sight: &'b Sight<'b>,
        memory: &'b Memory,
        operation: &'b OperationRecord,
    ) -> Option<Doing<'b>> {
        Some(Doing {
            sight,
            operation,
            kind: operation.kind.as_ref()?,
            parent: sight.catalog.operation(OperationId(operation.parent)),
            parts: self.parts(operation.id),
            memory,
        })
    }
}

/// What an operation waits for: its turn, or whatever its step says. Nothing if it has ended, or is to go on at
/// the next look.
pub(crate) fn waits_for(
    sight: &Sight<'_>,
    memory: &Memory,
    family: &Family<'_>,
    queue: &Queue,
    operation: &OperationRecord,
) -> Option<Wait> {
    let doing = family.doing(sight, memory, operation)?;
    if operation.state().has_ended() {
        return None;
    }
    if operation.cancelling && kind::has_tasks(doing.kind) {
        return cancel::undo_task(memory, operation).err();
    }
    if operation.cancelling && !kind::is_past_return(operation) {
        let partition = doing.partition();
        let down = partition.and_then(|known| known.replicas.iter().find(|one| !sight.is_up(one.node)));
        let undone = cancel::undo(sight, operation);
        return undone.err().map(|why| Wait::blocked(why, down.map(|replica| replica.node)));
    }
    match operation.state() {
        OperationState::Queued => match queue.turn(sight, operation) {
            Err(wait) => Some(wait),
            Ok(()) => stopped_by(steps::enter(&doing, Step::of(operation)?)),
        },
        OperationState::Running => match steps::look(&doing, Step::of(operation)?).outcome {
            Outcome::Waits(wait) => Some(wait),
            Outcome::Failed(_) => None,
            Outcome::Done => {
                let mut next = operation.clone();
                next.step += 1;
                let doing = Doing { operation: &next, ..doing };
                stopped_by(steps::enter(&doing, Step::of(&next)?))
            }
        },
        _ => None,
    }
}

/// Whether a task of an operation is what it is at.
fn is_wanted(family: &Family<'_>, id: u64, step: &str) -> bool {
    family.active.get(&id).is_some_and(|operation| {
        let at = Step::of(operation).map_or("", Step::as_str);
        if operation.cancelling { step == steps::task::UNDO } else { step == at }
    })
}

fn stopped_by(entered: Result<Vec<Edit>, Stop>) -> Option<Wait> {
    match entered {
        Err(Stop::Waits(wait)) => Some(wait),
        _ => None,
    }
}

/// The command that changes one operation, with its edits and the parts that begin.
fn change(record: OperationRecord, edits: Vec<Edit>, parts: Vec<OperationRecord>) -> CatalogOp {
    let edits = edits.into_iter().map(|edit| CatalogEdit { edit: Some(edit) }).collect();
    let mut change = OperationChange { update: vec![record], edits, start: parts, ..Default::default() };
    if mutant!(EditWithoutStep) && !change.edits.is_empty() {
        change.update.clear();
    }
    CatalogOp::Operate(change)
}
