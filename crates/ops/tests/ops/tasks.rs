//! What the node that leads does itself for backups: here a few numbers that rise.

use std::collections::{BTreeMap, BTreeSet};

use api::admin::OperationRequest;
use api::catalog::{CatalogAnswer, CatalogOp, EngineKind, NewTable, TableName};
use api::operation::OperationKind;
use api::restoring::{RestoreRequest, RestoreSource, RestoreTable};
use api::saving::SavedRecord;
use ops::{TaskReport, TaskResult, UNDO};
use types::{ErrorCode, Fault, OperationId};

use crate::model::{Answered, Cluster};

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
        make_tables(cluster, operation);
    }
    if step == UNDO && ticks == 1 {
        drop_tables(cluster, operation);
    }
    if ticks >= TICKS {
        report.outcome = Some(match cluster.tasks.faults.contains(step) {
            true => Err(Fault::new(ErrorCode::BackupTarget, "the place is away")),
            false => Ok(result(cluster, operation, step)),
        });
    }
    report
}

/// The tables that a restore makes.
fn made(cluster: &Cluster, operation: OperationId) -> Vec<RestoreTable> {
    match cluster.catalog.operation(operation).and_then(|known| known.kind.as_ref()) {
        Some(OperationKind::Restore(wish)) => wish.made().cloned().collect(),
        _ => Vec::new(),
    }
}

/// As a real one: a table that is there stays.
fn make_tables(cluster: &mut Cluster, operation: OperationId) {
    let Some(OperationKind::Restore(wish)) =
        cluster.catalog.operation(operation).and_then(|known| known.kind.clone())
    else {
        return make_scratch(cluster, operation);
    };
    for table in wish.made() {
        let wish = NewTable {
            name: table.to.clone(),
            engine: EngineKind::Kv.into(),
            partitions: table.partitions,
            replicas: 1,
            restoring: wish.backup.clone(),
            restored_by: operation.get(),
            ..NewTable::default()
        };
        let _ = cluster.apply(CatalogOp::CreateTable(wish));
    }
}

fn drop_tables(cluster: &mut Cluster, operation: OperationId) {
    for table in made(cluster, operation) {
        let known = cluster.catalog.find(&table.to).is_some_and(|known| !known.restoring.is_empty());
        if known {
            let name = TableName { namespace: String::new(), name: table.to };
            let _ = cluster.apply(CatalogOp::DropTable(name));
        }
    }
}

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
        Some(OperationKind::Restore(wish)) => wish.backup.clone(),
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

#[test]
fn of_restores_into_one_table_that_come_at_once_the_same_is_joined_and_another_is_refused() {
    let request = |kind: &str, to: &str| OperationRequest {
        kind: "restore".into(),
        restore: Some(RestoreRequest {
            url: "file:///backups".into(),
            backup: Some("20261126T000000Z-000001".into()),
            kinds: vec![kind.into()],
            sources: vec![RestoreSource {
                from: "flow".into(),
                to: to.into(),
                partitions: 1,
                replicas: 1,
                ..RestoreSource::default()
            }],
            ..RestoreRequest::default()
        }),
        ..OperationRequest::default()
    };
    let mut cluster = Cluster::new(&["1", "2", "3"], &[1, 2, 3], &["flow:1:3"]);
    // All are planned before one of them begins.
    let wishes = [("set", "a"), ("set", "a"), ("hash", "a"), ("hash", "b")];
    let planned: Vec<_> =
        wishes.into_iter().map(|(kind, to)| cluster.plan(&request(kind, to)).expect("a plan")).collect();
    let came: Vec<String> = planned
        .into_iter()
        .map(|planned| match cluster.apply(CatalogOp::Operate(planned.start)) {
            Answered::Done(_, CatalogAnswer::Operations(operations)) => format!("{:?}", operations.ids),
            Answered::Done(..) => "something else".into(),
            Answered::Refused(why) => why.rsplit(' ').next().unwrap_or_default().into(),
        })
        .collect();
    assert_eq!(came, ["[1]", "[1]", "[table-restoring]", "[2]"]);
}
