//! What the node that leads the catalog does about operations: a pure step around `ops`.
//!
//! ```text
//!   catalog, reports ──► ops::Executor::step ──┬─ commands ───► the catalog: asked again only once answered
//!                                              └─ directives ─► Words, each for the node that it is meant for
//! ```
//!
//! A node that begins to lead knows nothing but the catalog, and needs nothing else. One that does not lead any
//! more forgets what it remembered; what it has said meanwhile is refused or harmless.

use std::collections::{BTreeSet, VecDeque};

use api::admin::OperationRequest;
use api::catalog::CatalogOp;
use api::peer::{CompactState, CutLog, TransferLeader};
use catalog::Catalog;
use ops::{Directive, Ended, Endings, Executor, Observed, Planned, TaskReport};
use types::{GroupId, LogIndex, NodeId, OperationId};

/// Plans that are remembered, so that one that was agreed to can be started as it was shown.
const PLANS_MAX: usize = 64;

/// What a node that leads the catalog remembers. Losing it costs time, nothing else.
#[derive(Default)]
pub struct Operator {
    /// There while this node leads.
    executor: Option<Executor>,
    /// Commands without an answer yet.
    unanswered: usize,
    /// Operations whose digest was asked for and has not begun yet.
    digests: BTreeSet<OperationId>,
    plans: VecDeque<(OperationRequest, Planned)>,
    /// Kept whether this node leads or not, so that one that begins to lead knows what has ended before.
    endings: Endings,
}

/// What is to be done now.
#[derive(Debug, Default)]
pub struct Work {
    /// Commands to the catalog; [`Operator::answered`] is to be called for each.
    pub commands: Vec<CatalogOp>,
    /// Words to nodes, this one included.
    pub words: Vec<Word>,
    /// Operations that have ended, for the log.
    pub ended: Vec<Ended>,
}

/// A word to a node about a group. Lost ones are said again.
#[derive(Clone, Debug, PartialEq)]
pub enum Word {
    /// Its leader shall hand over.
    Transfer(NodeId, TransferLeader),
    /// A replica shall cut its log.
    Cut(NodeId, CutLog),
    /// A replica shall give back the space of what was removed.
    Compact(NodeId, CompactState),
    /// The group shall take a digest for an operation, through the gateway; [`Operator::digest_ended`] is to be
    /// called.
    Digest(GroupId, OperationId),
    /// This node shall carry out a step of an operation; [`Operator::task_told`] is to be called.
    Task(OperationId, &'static str),
}

impl Operator {
    /// Looks at the cluster, if this node leads the catalog.
    pub fn step(&mut self, leads: bool, catalog: &Catalog, observe: impl FnOnce() -> Observed) -> Work {
        let ended = self.endings.look(catalog);
        if !leads || catalog.cluster().is_none() {
            self.executor = None;
            self.plans.clear();
            return Work::default();
        }
        // What is under way would be decided a second time.
        if self.unanswered > 0 {
            return Work { ended, ..Work::default() };
        }
        let observed = observe();
        let decided = self.executor.get_or_insert_default().step(catalog, &observed);
        self.unanswered = decided.commands.len();
        let mut words = Vec::new();
        for directive in decided.directives {
            self.address(directive, &observed, &mut words);
        }
        Work { commands: decided.commands, words, ended }
    }

    fn address(&mut self, directive: Directive, observed: &Observed, out: &mut Vec<Word>) {
        match directive {
            Directive::MoveLeader { group, to } => {
                let leader = observed.leader(group).filter(|leader| leader.replica != to);
                let transfer = TransferLeader { group: group.get(), to: to.get() };
                out.extend(leader.map(|leader| Word::Transfer(leader.node, transfer)));
            }
            Directive::Digest { group, operation } => {
                if self.digests.insert(operation) {
                    out.push(Word::Digest(group, operation));
                }
            }
            Directive::Compact { group, node, operation } => {
                let compact = CompactState { group: group.get(), operation: operation.get() };
                out.push(Word::Compact(node, compact));
            }
            Directive::Task { operation, step } => out.push(Word::Task(operation, step)),
            Directive::CutLog { group } => {
                let replicas =
                    observed.groups.get(&group).into_iter().flat_map(|seen| seen.replicas.values());
                let cut = CutLog { group: group.get() };
                out.extend(replicas.filter(|seen| seen.up).map(|seen| Word::Cut(seen.node, cut)));
            }
        }
    }

    /// A command was answered, whatever the answer is.
    pub fn answered(&mut self) {
        self.unanswered = self.unanswered.saturating_sub(1);
    }

    /// A digest stands at this place of its group's log, or did not come about.
    pub fn digest_ended(&mut self, operation: OperationId, index: Option<LogIndex>) {
        self.digests.remove(&operation);
        if let (Some(executor), Some(index)) = (&mut self.executor, index) {
            executor.digest_began(operation, index);
        }
    }

    /// How far a task is; whether it shall go on.
    pub fn task_told(&mut self, operation: OperationId, step: &str, report: TaskReport) -> bool {
        self.executor.as_mut().is_some_and(|executor| executor.task_told(operation, step, report))
    }

    /// Looks at what the executor remembers; one that remembers nothing stands in while this node does not lead.
    pub fn with<T>(&self, look: impl FnOnce(&Executor) -> T) -> T {
        match &self.executor {
            Some(executor) => look(executor),
            None => look(&Executor::default()),
        }
    }

    /// Remembers a plan that was shown.
    pub fn remember(&mut self, request: OperationRequest, planned: Planned) {
        if self.plans.len() == PLANS_MAX {
            self.plans.pop_front();
        }
        self.plans.push_back((request, planned));
    }

    /// The plan for a request that was shown at a catalog version.
    pub fn recall(&self, request: &OperationRequest, version: u64) -> Option<&Planned> {
        let is_it = |(asked, planned): &&(OperationRequest, Planned)| {
            asked == request && planned.plan.catalog_version == version
        };
        self.plans.iter().rev().find(is_it).map(|(_, planned)| planned)
    }
}
