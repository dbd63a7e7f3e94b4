//! Tasks of backups: what the node that leads the catalog does itself about the operations `backup`, `drill` and
//! `restore`.
//!
//! ```text
//!   operation, step ──► a thread ──┬─► the place of the backup: begun, manifest, proof, removed
//!                                  ├─► jobs of all nodes, over the admin API (`backups::crew`)
//!                                  └─► how far it is ──► the executor: whether to go on
//! ```
//!
//! A task remembers nothing: what is done stands at the place of the backup, in the catalog, and in jobs that run. So
//! whoever leads next begins the same task, and finds its way. One that loses the lead leaves everything as it is; one
//! that is not wanted any more ends its jobs.

mod contents;
mod drill;
mod filling;
mod keep;
mod restore;
mod save;
mod undo;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use api::auth::Secret;
use api::catalog::{CatalogAnswer, CatalogOp};
use api::operation::{OperationKind, OperationRecord};
use client::Client;
use node::{Node, Task, TaskReport, TaskResult, Tasks, UNDO, Wanted};
use types::{ErrorCode, Fault, OperationId};

use crate::backups::crew::{Crew, Go, Seen};
pub(super) use filling::record_name;

/// What a cluster is called, as its backups say it.
#[derive(Clone, Debug)]
pub(super) struct ClusterNames {
    /// Its id, as hexadecimal text.
    pub(super) id: String,
    /// Its name.
    pub(super) name: String,
}

/// The tasks of a node.
pub struct NodeTasks {
    node: Weak<Node>,
    secret: Secret,
    names: ClusterNames,
    /// Those that run: operation and step.
    running: Arc<Mutex<BTreeSet<(u64, &'static str)>>>,
}

impl NodeTasks {
    /// Tasks of a node of a cluster, given by id and name.
    pub fn new(node: &Arc<Node>, secret: Secret, (id, name): (String, String)) -> Arc<Self> {
        let names = ClusterNames { id, name };
        Arc::new(Self { node: Arc::downgrade(node), secret, names, running: Arc::default() })
    }
}

impl Tasks for NodeTasks {
    fn begin(&self, task: Task) {
        let Some(node) = self.node.upgrade() else { return };
        let key = (task.operation.id, task.step);
        if !lock(&self.running).insert(key) {
            return;
        }
        let (running, secret, names) = (self.running.clone(), self.secret.clone(), self.names.clone());
        let run = move || {
            let id = OperationId(task.operation.id);
            let at_work = AtWork {
                node: &node,
                operation: &task.operation,
                step: task.step,
                secret: &secret,
                names: &names,
            };
            // A bug in a task fails its operation, and nothing else.
            let ended = catch_unwind(AssertUnwindSafe(|| at_work.run()));
            let ended = ended.unwrap_or_else(|_| Err(Fault::new(ErrorCode::Internal, "the task panicked")));
            if let Err(fault) = &ended {
                tracing::info!(operation = id.get(), step = task.step, %fault, "task ended");
            }
            let report = TaskReport { outcome: Some(ended), ..TaskReport::default() };
            // Whoever leads by now begins it anew.
            let _ = node.task_told(id, task.step, report);
            lock(&running).remove(&key);
        };
        if std::thread::Builder::new().name(format!("task-{}", key.0)).spawn(run).is_err() {
            // It is asked for again in a moment.
            lock(&self.running).remove(&key);
        }
    }
}

/// A task at work.
struct AtWork<'a> {
    node: &'a Arc<Node>,
    operation: &'a OperationRecord,
    step: &'static str,
    secret: &'a Secret,
    names: &'a ClusterNames,
}

impl AtWork<'_> {
    fn run(&self) -> Result<TaskResult, Fault> {
        let unknown = || Fault::new(ErrorCode::VersionUnsupported, format!("a task '{}'", self.step));
        match (&self.operation.kind, self.step) {
            (Some(OperationKind::Backup(wish)), "barrier") => save::begin(self, wish),
            (Some(OperationKind::Backup(wish)), "save") => save::partitions(self, wish),
            (Some(OperationKind::Backup(wish)), "finish") => save::finish(self, wish),
            (Some(OperationKind::Backup(wish)), "keep") => {
                keep::remove_older(self, &wish.url, &wish.schedule, wish.keep)
            }
            (Some(OperationKind::Backup(wish)), UNDO) => undo::backup(self, wish),
            (Some(OperationKind::Drill(wish)), "restore") => drill::restore(self, wish),
            (Some(OperationKind::Drill(wish)), "compare") => drill::compare(self, wish),
            (Some(OperationKind::Drill(wish)), "prove") => drill::prove(self, wish),
            (Some(OperationKind::Drill(wish)), "keep") => {
                keep::remove_older(self, &wish.url, &wish.schedule, wish.keep)
            }
            (Some(OperationKind::Drill(wish)), UNDO) => undo::drill(self, wish),
            (Some(OperationKind::Restore(wish)), "restore") => restore::restore(self, wish),
            (Some(OperationKind::Restore(wish)), "compare") => restore::compare(self, wish),
            (Some(OperationKind::Restore(wish)), "finish") => restore::finish(self, wish),
            (Some(OperationKind::Restore(wish)), UNDO) => restore::undo(self, wish),
            _ => Err(unknown()),
        }
    }

    /// Tells how far it is.
    fn tell(&self, report: TaskReport) -> Go {
        match self.node.task_told(OperationId(self.operation.id), self.step, report) {
            Wanted::Yes => Go::On,
            Wanted::No => Go::Stop,
            Wanted::Elsewhere => Go::Leave,
        }
    }

    /// The same, of work of a crew that is about so many bytes.
    fn tell_seen(&self, verb: &str, seen: &Seen, (before, total): (u64, u64)) -> Go {
        let waits = seen.waits.as_ref().map(|waits| format!("; {waits}")).unwrap_or_default();
        self.tell(TaskReport {
            doing: format!("{} of {} {verb}{waits}", seen.done, seen.of),
            bytes_done: before + seen.totals.bytes,
            bytes_total: total,
            // Half a piece is progress as well.
            pieces_done: seen.done as u64 + seen.totals.keys + seen.totals.file_bytes,
            outcome: None,
        })
    }

    /// Whether it is still wanted.
    ///
    /// # Errors
    /// `Cancelled` if not.
    fn check(&self, doing: &str) -> Result<(), Fault> {
        match self.tell(TaskReport { doing: doing.to_owned(), ..TaskReport::default() }) {
            Go::On => Ok(()),
            Go::Stop | Go::Leave => Err(ErrorCode::Cancelled.into()),
        }
    }

    /// Waits a moment, unless it is not wanted any more.
    fn pause(&self, doing: &str, how_long: Duration) -> Result<(), Fault> {
        std::thread::sleep(how_long);
        self.check(doing)
    }

    /// A client that asks this node first.
    fn client(&self) -> Client {
        let catalog = self.node.catalog();
        let mut nodes: Vec<_> = catalog.nodes().collect();
        nodes.sort_by_key(|node| node.id != self.node.id().get());
        Client::new(nodes.iter().map(|node| node.http.clone()).collect(), Some(self.secret))
    }

    /// All nodes, each to be asked on its own.
    fn crew(&self) -> Crew {
        let catalog = self.node.catalog();
        let only = |http: &String| Client::new(vec![http.clone()], Some(self.secret));
        Crew::new(catalog.nodes().map(|node| (node.id, only(&node.http))).collect::<BTreeMap<_, _>>())
    }

    /// Whether another node may have been at this step: its jobs may still run.
    fn takes_over(&self) -> bool {
        let step = self.operation.steps.get(self.operation.step as usize);
        step.is_some_and(|step| self.node.wall_millis().saturating_sub(step.begun_ms) > FRESH_MS)
    }

    /// Changes the catalog.
    fn change(&self, op: CatalogOp) -> Result<CatalogAnswer, Fault> {
        let (sender, answer) = std::sync::mpsc::channel();
        self.node.change_catalog(op, move |answered| drop(sender.send(answered)));
        answer.recv().map_err(|_| Fault::from(ErrorCode::OutcomeUnknown))?
    }
}

/// A task that begins so soon after its step is its first one, in milliseconds.
const FRESH_MS: u64 = 1_500;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
