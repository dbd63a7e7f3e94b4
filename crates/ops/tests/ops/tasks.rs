//! What the node that leads does itself for backups: here a few numbers that rise.

use std::collections::{BTreeMap, BTreeSet};

use api::catalog::{CatalogOp, EngineKind, NewTable};
use api::operation::OperationKind;
use api::saving::SavedRecord;
use ops::{TaskReport, TaskResult, UNDO};
use types::{ErrorCode, Fault, OperationId};

use crate::model::Cluster;

/// Ticks that a task takes.
const TICKS: u64 = 3;
/// Bytes that it does in one.
const BYTES: u64 = 100;

/// Tasks of the node that leads.
#[derive(Default)]
pub struct Tasks {
    /// Those that run: how many ticks they have had.
    running: BTreeMap<(OperationId, &'static str), u64>,
    /// Steps that fail.
    pub faults: BTreeSet<String>,
    /// Steps that take for ever.
    pub hang: BTreeSet<String>,
}

impl Tasks {
    /// A task is to be begun, if it does not run.
    pub fn begin(&mut self, operation: OperationId, step: &'static str) {
        self.running.entry((operation, step)).or_default();
    }

    /// The process is gone, and what ran in it.
    pub fn crash(&mut self) {
        self.running.clear();
    }
}

/// Every task does something.
pub fn tick(cluster: &mut Cluster) {
    let running: Vec<_> = cluster.tasks.running.keys().copied().collect();
    for (operation, step) in running {
        let report = work(cluster, operation, step);
        let has_ended = report.outcome.is_some();
        if !cluster.executor.task_told(operation, step, report) || has_ended {
            cluster.tasks.running.remove(&(operation, step));
        }
    }
}

fn work(cluster: &mut Cluster, operation: OperationId, step: &'static str) -> TaskReport {
    if !cluster.tasks.hang.contains(step) {
        *cluster.tasks.running.entry((operation, step)).or_default() += 1;
    }
    let ticks = cluster.tasks.running[&(operation, step)];
    let mut report = TaskReport {
        doing: format!("{step} is under way"),
        bytes_done: BYTES * ticks,
        bytes_total: BYTES * TICKS,
        ..TaskReport::default()
    };
    if step == "restore" && ticks == 1 {
        make_scratch(cluster, operation);
    }
    if ticks >= TICKS {
        report.outcome = Some(match cluster.tasks.faults.contains(step) {
            true => Err(Fault::new(ErrorCode::BackupTarget, "the place is away")),
            false => Ok(result(cluster, operation, step)),
        });
    }
    report
}

/// As a real one: a table that is there stays.
fn make_scratch(cluster: &mut Cluster, operation: OperationId) {
    let wish = NewTable {
        name: format!("drill_{operation}_0"),
        engine: EngineKind::Kv.into(),
        partitions: 1,
        replicas: 1,
        scratch_of: operation.get(),
        ..NewTable::default()
    };
    let _ = cluster.apply(CatalogOp::CreateTable(wish));
}

fn result(cluster: &Cluster, operation: OperationId, step: &str) -> TaskResult {
    let backup = match cluster.catalog.operation(operation).and_then(|known| known.kind.as_ref()) {
        Some(OperationKind::Backup(wish)) => wish.backup.clone(),
        Some(OperationKind::Drill(wish)) => wish.backup.clone(),
        _ => String::new(),
    };
    let saved =
        SavedRecord { backup, keys: 7, bytes: BYTES * TICKS, proven: step == "prove", ..Default::default() };
    let note = if step == UNDO { "the remains were removed" } else { "" };
    TaskResult {
        saved: matches!(step, "finish" | "compare" | "prove").then_some(saved),
        notes: Some(note.to_owned()).filter(|note| !note.is_empty()).into_iter().collect(),
    }
}
