//! Steps: what is changed on entry, when a step is done, and what is asked of groups until then.
//!
//! ```text
//!            enter: edits, in one command with the operation's record
//!              │
//!              ▼            no ─► directives; repeated at every look, harmless when repeated
//!   look: condition holds? ─┤
//!              ▲            no ─► waits: working, or blocked by something that has a name
//!              └── reports ─┘
//!                           yes ─► the next step is entered
//! ```
//!
//! A look is a function of the catalog, of what was seen, and of what the executor remembers. What it remembers
//! may be lost at any time: then a digest is taken once more, or a word is said twice.

mod compact;
mod evidence;
mod hand_over;
mod replica;
mod restored;
mod take_over;
pub mod task;

use api::catalog::{CatalogOp, PartitionRecord};
use api::operation::{Edit, EvidenceRecord, OnNode, OperationKind, OperationRecord, OperationState};
use api::saving::SavedRecord;
use types::limits::{OPERATION_PATIENCE, OPERATION_STALL};
use types::{ErrorCode, Fault, NodeId};

use catalog::mutant;

use crate::executor::Directive;
use crate::executor::memory::Memory;
use crate::hints;
use crate::kind::{self, Step};
use crate::sight::Sight;

/// An operation at one of its steps.
#[derive(Clone, Copy)]
pub(crate) struct Doing<'a> {
    pub(crate) sight: &'a Sight<'a>,
    pub(crate) operation: &'a OperationRecord,
    pub(crate) kind: &'a OperationKind,
    /// The operation that it is a part of.
    pub(crate) parent: Option<&'a OperationRecord>,
    /// Its own parts.
    pub(crate) parts: &'a [&'a OperationRecord],
    pub(crate) memory: &'a Memory,
}

/// What a look found.
#[derive(Debug, Default)]
pub(crate) struct Look {
    pub(crate) outcome: Outcome,
    /// Changes to make while the step goes on.
    pub(crate) edits: Vec<Edit>,
    /// Parts that begin with them, in the same command.
    pub(crate) parts: Vec<OperationRecord>,
    pub(crate) directives: Vec<Directive>,
    /// Commands that need no change of the operation.
    pub(crate) commands: Vec<CatalogOp>,
    pub(crate) evidence: Option<EvidenceRecord>,
    /// What was saved or proved so far.
    pub(crate) saved: Option<SavedRecord>,
    /// What is to be remembered once the step is done or has failed, a sentence each.
    pub(crate) notes: Vec<String>,
}

/// Whether a step is done.
#[derive(Debug, Default)]
pub(crate) enum Outcome {
    #[default]
    Done,
    Waits(Wait),
    Failed(Fault),
}

/// What a step waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wait {
    /// In a sentence without an end.
    pub(crate) why: String,
    /// The node that is in the way, or that the work is on.
    pub(crate) node: Option<u64>,
    pub(crate) pace: Pace,
    pub(crate) help: Help,
}

/// What would end a wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Help {
    /// Whatever brings its node, or its partition, back in order.
    InOrder,
    /// The end of another operation.
    EndOf(u64),
    /// Room on a node's disk.
    Room(u64),
    /// This, to be typed or to be done.
    Do(String),
}

/// How long a wait may last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// It is worked on; the number changes as long as it goes on.
    Working(u64),
    /// Something is in the way.
    Blocked,
    /// For others, however long they take.
    Queued,
}

impl Pace {
    /// How long it may last without a change before the operation fails; for ever if nothing is said.
    pub(crate) fn limit_ms(self) -> Option<u64> {
        match self {
            Pace::Working(_) => Some(OPERATION_STALL.as_millis() as u64),
            Pace::Blocked => Some(OPERATION_PATIENCE.as_millis() as u64),
            Pace::Queued => None,
        }
    }
}

/// Why a step is not entered now.
#[derive(Debug)]
pub(crate) enum Stop {
    Waits(Wait),
    Failed(Fault),
}

impl Look {
    pub(crate) fn done() -> Self {
        Self::default()
    }

    pub(crate) fn waits(wait: Wait) -> Self {
        Self { outcome: Outcome::Waits(wait), ..Self::default() }
    }

    pub(crate) fn failed(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self { outcome: Outcome::Failed(Fault::new(code, detail)), ..Self::default() }
    }
}

impl Wait {
    pub(crate) fn blocked(why: impl Into<String>, node: Option<u64>) -> Self {
        Self { why: why.into(), node, pace: Pace::Blocked, help: Help::InOrder }
    }

    pub(crate) fn queued(why: impl Into<String>) -> Self {
        Self { why: why.into(), node: None, pace: Pace::Queued, help: Help::InOrder }
    }

    /// For something that is worked on; `progress` changes as long as it goes on.
    pub(crate) fn working(why: impl Into<String>, node: Option<u64>, progress: u64) -> Self {
        Self { why: why.into(), node, pace: Pace::Working(progress), help: Help::InOrder }
    }

    /// Why an operation fails that has waited too long.
    pub(crate) fn given_up(self) -> Fault {
        let code = match self.help {
            Help::Room(_) => ErrorCode::NoRoom,
            _ => ErrorCode::GaveUp,
        };
        Fault::new(code, self.why)
    }

    pub(crate) fn with_help(self, help: Help) -> Self {
        Self { help, ..self }
    }
}

impl<'a> Doing<'a> {
    /// The partition that it changes; gone once its table was dropped.
    pub(crate) fn partition(&self) -> Option<&'a PartitionRecord> {
        self.sight.partition(self.operation.group?)
    }

    fn parent_kind(&self) -> Option<&'a OperationKind> {
        self.parent.and_then(|parent| parent.kind.as_ref())
    }

    /// The node whose replica loses its vote or leaves.
    pub(crate) fn source_node(&self) -> Option<u64> {
        kind::source_node(self.kind, self.parent_kind())
    }
}

/// What entering a step changes.
pub(crate) fn enter(doing: &Doing<'_>, step: Step) -> Result<Vec<Edit>, Stop> {
    match step {
        Step::Leave => return enter_leave(doing),
        Step::Keep => return Ok(task::enter_keep(doing)),
        _ if doing.operation.group.is_none() => return Ok(Vec::new()),
        _ => {}
    }
    let Some(partition) = doing.partition() else { return Err(Stop::Failed(table_is_gone())) };
    match step {
        Step::Add => replica::enter_add(doing, partition),
        Step::Remove => replica::enter_remove(doing, partition),
        Step::Offline => replica::enter_offline(doing, partition),
        Step::Recover => replica::enter_recover(doing, partition),
        Step::TakeOver => take_over::enter(doing, partition),
        _ => Ok(Vec::new()),
    }
}

/// Looks whether the step that an operation is at is done.
pub(crate) fn look(doing: &Doing<'_>, step: Step) -> Look {
    match step {
        Step::Parts => return look_at_parts(doing),
        Step::Replicate => return restored::look_at_replicate(doing),
        Step::Leave => return look_at_leave(doing),
        Step::Barrier
        | Step::Save
        | Step::Finish
        | Step::Restore
        | Step::Compare
        | Step::Prove
        | Step::Keep => {
            return task::look(doing, step);
        }
        Step::Drop => return task::look_at_drop(doing),
        Step::Open => return restored::look_at_open(doing),
        _ => {}
    }
    let Some(partition) = doing.partition() else {
        return Look { outcome: Outcome::Failed(table_is_gone()), ..Look::default() };
    };
    match step {
        Step::HandOver => hand_over::look(doing, partition),
        Step::Settled => hand_over::look_settled(doing, partition),
        Step::Add => replica::look_add(doing, partition),
        Step::CatchUp => replica::look_catch_up(doing, partition),
        Step::Evidence => evidence::look(doing, partition),
        Step::Settle => replica::look_settle(doing, partition),
        Step::Recover => replica::look_recover(doing, partition),
        Step::TakeOver => take_over::look(doing, partition),
        Step::Cut => look_at_cut(doing, partition),
        Step::Compact => compact::look(doing, partition),
        // What they change was changed on entry.
        _ => Look::done(),
    }
}

fn table_is_gone() -> Fault {
    Fault::new(ErrorCode::UnknownTable, "the table was dropped")
}

/// A group without a leader does nothing.
pub(crate) fn needs_leader(sight: &Sight<'_>, partition: &PartitionRecord) -> Result<u64, Wait> {
    let leader = sight.leader(partition.group);
    leader.ok_or_else(|| {
        let missing = partition.replicas.iter().find(|replica| !sight.is_up(replica.node));
        let why = match missing {
            Some(replica) => {
                format!("{} has no leader: {}", sight.name(partition), sight.how_is(replica.node))
            }
            None => format!("{} has no leader", sight.name(partition)),
        };
        Wait::blocked(why, missing.map(|replica| replica.node))
    })
}

/// The logs are cut by whoever leads, when it is told; nobody reports that.
fn look_at_cut(doing: &Doing<'_>, partition: &PartitionRecord) -> Look {
    if let Err(wait) = needs_leader(doing.sight, partition) {
        return Look::waits(wait);
    }
    if doing.memory.was_cut(doing.operation.id, doing.sight.observed.wall_ms) {
        return Look::done();
    }
    let directives = vec![Directive::CutLog { group: partition.group.into() }];
    let why = format!("the replicas of {} make their state durable", doing.sight.name(partition));
    Look { directives, ..Look::waits(Wait::working(why, None, 0)) }
}

fn look_at_parts(doing: &Doing<'_>) -> Look {
    if mutant!(NodeLeavesWithReplicas) && kind::about_node(doing.kind).is_some() {
        return Look::done();
    }
    let total = doing.parts.len();
    let ended = doing.parts.iter().filter(|part| part.state().has_ended()).count();
    if ended < total {
        let running = doing.parts.iter().filter(|part| part.state() == OperationState::Running).count();
        let why = format!("{ended} of {total} parts have ended, {running} run");
        return Look::waits(Wait::queued(why));
    }
    // A part whose table was dropped has nothing left to do.
    let dropped = ErrorCode::UnknownTable.as_str();
    let mut bad =
        doing.parts.iter().filter(|part| part.state() != OperationState::Done && part.fault_code != dropped);
    let Some(first) = bad.next() else { return Look::done() };
    let number = 1 + bad.count();
    let (code, why) = match first.fault_code.parse::<ErrorCode>() {
        Ok(code) => (code, first.fault_detail.clone()),
        Err(()) => (ErrorCode::PlanOutdated, "it was cancelled".into()),
    };
    Look::failed(code, format!("{number} of {total} parts were not done; operation {}: {why}", first.id))
}

/// The node leaves when nothing of it is left: no replica wished for, and none in any membership.
fn enter_leave(doing: &Doing<'_>) -> Result<Vec<Edit>, Stop> {
    let Some(node) = kind::about_node(doing.kind) else { return Ok(Vec::new()) };
    let sight = doing.sight;
    if mutant!(NodeLeavesWithReplicas) {
        return Ok(vec![Edit::RemoveNode(OnNode { node })]);
    }
    for partition in sight.catalog.partitions() {
        if partition.replicas.iter().any(|replica| replica.node == node) {
            let detail = format!("node {node} still has a replica of {}", sight.name(partition));
            return Err(Stop::Failed(Fault::new(ErrorCode::Unsafe, detail)));
        }
        let observed = partition.observed.iter().flat_map(|observed| &observed.members);
        if observed.into_iter().any(|member| member.node == node) {
            let why = format!("{} has to let go of node {node}", sight.name(partition));
            let help = Help::Do(hints::explain_partition(sight, partition));
            return Err(Stop::Waits(Wait::blocked(why, Some(node)).with_help(help)));
        }
    }
    Ok(vec![Edit::RemoveNode(OnNode { node })])
}

fn look_at_leave(doing: &Doing<'_>) -> Look {
    let node = kind::about_node(doing.kind).unwrap_or(0);
    if doing.sight.catalog.node(NodeId(node)).is_none() {
        return Look::done();
    }
    Look::waits(Wait::blocked(format!("node {node} is to leave the catalog"), Some(node)))
}
