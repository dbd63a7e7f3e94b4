//! Skein's operations under the names of the originals: op types, tasks, states.
//!
//! | ours | there | tasks, by step |
//! |---|---|---|
//! | `change-leader`, alone or of a node that goes offline | kChangeLeaderOP | hand-over kChangeLeader, then kUpdateLeaderInfo |
//! | `offline-replica` | kOfflineReplicaOP | offline kDelReplica, then kUpdatePartitionStatus |
//! | `recover-replica` | kRecoverTableOP and kReAddReplica…OP | see below |
//! | `migrate` | kMigrateOP | add kAddReplica … settle kDropTable |
//! | `add-replica`, `remove-replica` | kAddReplicaOP, kDelReplicaOP | |
//! | `snapshot` | kMakeSnapshotOP | kMakeSnapshot |
//! | `compact` | kCompactOP, which the originals have not | |
//!
//! The originals recover a replica by two ops: one that looks at it, and a child that brings it back. Ours
//! does both, so it shows as two rows under one op_id: kRecoverTableOP is its step `recover`, and
//! kReAddReplicaOP (a snapshot is sent) or kReAddReplicaSimplifyOP (the log is enough) what follows.
//!
//! Operations with parts (on a node, on the cluster) have no row of their own: their parts have.

use api::admin::Operation;

use crate::cluster::{CATALOG_TABLE, DEFAULT_DATABASE};

/// A row of `showopstatus`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpRow {
    /// The operation's id.
    pub id: u64,
    /// `kMigrateOP`, …
    pub op_type: String,
    /// The database of the table that it changes.
    pub database: String,
    /// The table.
    pub name: String,
    /// The partition.
    pub pid: u64,
    /// `kInited`, `kDoing`, `kDone`, `kFailed` or `kCanceled`.
    pub status: &'static str,
    /// When it began, milliseconds since 1970, or 0.
    pub started_ms: u64,
    /// When it ended, or 0.
    pub ended_ms: u64,
    /// What it does now; empty if nothing.
    pub task: String,
}

/// The rows of one operation: none, one or two.
pub fn rows(operation: &Operation) -> Vec<OpRow> {
    let Some((database, name, pid)) = place(operation) else { return Vec::new() };
    let row = |op_type: &str, status, (started_ms, ended_ms): (u64, u64), task: &str| OpRow {
        id: operation.id,
        op_type: op_type.to_owned(),
        database: database.clone(),
        name: name.clone(),
        pid,
        status,
        started_ms,
        ended_ms,
        task: if status == "kDoing" { task.to_owned() } else { String::new() },
    };
    let status = status(&operation.state);
    let times = (operation.started_ms, operation.ended_ms);
    if operation.kind != "recover-replica" {
        return vec![row(&op_type(operation), status, times, &task(operation))];
    }
    let look = operation.steps.first().filter(|step| step.ended_ms != 0);
    let Some(look) = look else { return vec![row("kRecoverTableOP", status, times, "kRecoverTable")] };
    vec![
        row("kRecoverTableOP", "kDone", (operation.started_ms, look.ended_ms), ""),
        row(readded(operation), status, (look.ended_ms, operation.ended_ms), &task(operation)),
    ]
}

/// The database, table and partition that an operation is about, unless it is about several, or about the
/// catalog.
fn place(operation: &Operation) -> Option<(String, String, u64)> {
    let table = operation.table.as_deref()?;
    let (database, name) = table.split_once(':').unwrap_or((DEFAULT_DATABASE, table));
    let is_catalog = table == CATALOG_TABLE;
    (!is_catalog).then_some((database.to_owned(), name.to_owned(), operation.partition?))
}

/// A state under its old name.
fn status(state: &str) -> &'static str {
    match state {
        "queued" => "kInited",
        "done" => "kDone",
        "failed" => "kFailed",
        "cancelled" => "kCanceled",
        _ => "kDoing",
    }
}

fn op_type(operation: &Operation) -> String {
    match operation.kind.as_str() {
        "change-leader" => "kChangeLeaderOP",
        "offline-replica" => "kOfflineReplicaOP",
        "add-replica" => "kAddReplicaOP",
        "remove-replica" => "kDelReplicaOP",
        "migrate" => "kMigrateOP",
        "snapshot" => "kMakeSnapshotOP",
        // One that the originals have no name for is called in their style.
        other => return format!("k{}OP", camel(other)),
    }
    .to_owned()
}

/// `set-replicas` as `SetReplicas`.
fn camel(kind: &str) -> String {
    let capital = |word: &str| {
        let (first, rest) = word.split_at(word.len().min(1));
        format!("{}{rest}", first.to_ascii_uppercase())
    };
    kind.split('-').map(capital).collect()
}

/// How a recovered replica comes back.
fn readded(operation: &Operation) -> &'static str {
    if operation.bytes_total > 0 { "kReAddReplicaOP" } else { "kReAddReplicaSimplifyOP" }
}

/// The task that a running operation is at.
fn task(operation: &Operation) -> String {
    let arriving = operation.bytes_done < operation.bytes_total;
    match (operation.kind.as_str(), operation.step.as_str()) {
        (_, "") => "",
        (_, "hand-over") => "kChangeLeader",
        ("change-leader", _) => "kUpdateLeaderInfo",
        ("offline-replica", "offline") => "kDelReplica",
        ("offline-replica", _) => "kUpdatePartitionStatus",
        (_, "recover") => "kRecoverTable",
        (_, "add") => "kAddReplica",
        ("recover-replica", "catch-up") if arriving => "kLoadTable",
        (_, "catch-up") if arriving => "kSendSnapshot",
        (_, "catch-up") => "kCheckBinlogSyncProgress",
        (_, "evidence") => "kUpdatePartitionStatus",
        (_, "remove") => "kDelReplica",
        ("migrate" | "remove-replica", "settle") => "kDropTable",
        (_, "cut") => "kMakeSnapshot",
        (_, step) => step,
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::admin::OperationStep;

    fn operation(kind: &str, state: &str, steps: &[(&str, u64, u64)]) -> Operation {
        let steps: Vec<OperationStep> = steps
            .iter()
            .map(|&(name, begun_ms, ended_ms)| OperationStep { name: name.into(), begun_ms, ended_ms })
            .collect();
        let at = steps.iter().find(|step| step.begun_ms != 0 && step.ended_ms == 0);
        Operation {
            id: 7,
            parent: None,
            kind: kind.into(),
            what: String::new(),
            table: Some("flow".into()),
            partition: Some(0),
            state: state.into(),
            step: at.map_or_else(String::new, |step| step.name.clone()),
            steps,
            waits_for: String::new(),
            bytes_done: 0,
            bytes_total: 0,
            parts_ended: 0,
            parts: 0,
            by: "ns".into(),
            created_ms: 1000,
            started_ms: 2000,
            ended_ms: if state == "done" { 9000 } else { 0 },
            error: None,
            events: Vec::new(),
            evidence: Vec::new(),
            saved: None,
            joined: false,
        }
    }

    fn told(operation: &Operation) -> Vec<String> {
        let row = |row: &OpRow| format!("{} {} {}", row.op_type, row.status, row.task).trim_end().to_owned();
        rows(operation).iter().map(row).collect()
    }

    #[test]
    fn a_node_that_goes_offline_changes_leaders_and_drops_followers() {
        let steps = [("hand-over", 1, 2), ("offline", 2, 0), ("settle", 0, 0)];
        assert_eq!(
            told(&operation("change-leader", "running", &steps)),
            ["kChangeLeaderOP kDoing kUpdateLeaderInfo"]
        );
        assert_eq!(
            told(&operation("offline-replica", "running", &steps)),
            ["kOfflineReplicaOP kDoing kDelReplica"]
        );
    }

    #[test]
    fn a_recovery_is_a_look_and_then_a_return() {
        let steps = |end| [("recover", 2000, end), ("catch-up", end, 0), ("evidence", 0, 0)];
        let looking = operation("recover-replica", "running", &steps(0));
        assert_eq!(told(&looking), ["kRecoverTableOP kDoing kRecoverTable"]);
        let mut returning = operation("recover-replica", "running", &steps(3000));
        let task = "kReAddReplicaSimplifyOP kDoing kCheckBinlogSyncProgress";
        assert_eq!(told(&returning), ["kRecoverTableOP kDone", task]);
        returning.bytes_total = 10;
        assert_eq!(told(&returning)[1], "kReAddReplicaOP kDoing kLoadTable");
        let times = |row: &OpRow| (row.started_ms, row.ended_ms);
        assert_eq!(rows(&returning).iter().map(times).collect::<Vec<_>>(), [(2000, 3000), (3000, 0)]);
    }

    #[test]
    fn what_has_parts_and_what_is_about_the_catalog_has_no_row() {
        let mut offline = operation("offline-node", "running", &[]);
        (offline.table, offline.partition) = (None, None);
        assert!(rows(&offline).is_empty());
        let mut catalog = operation("migrate", "running", &[]);
        catalog.table = Some("catalog".into());
        assert!(rows(&catalog).is_empty());
    }
}
