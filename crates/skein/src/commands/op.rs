//! `skein op`: what was asked of the cluster, how far it is, what it showed.

use api::admin::{DigestReport, Operation};
use api::restoring::RestoredTable;
use api::saving::Saved;
use serde::Serialize;
use types::Fault;

use super::{explain, follow};
use crate::backups::time;
use crate::cli::{OpCancel, OpCommand, OpList, OpNamed};
use crate::exit::{self, Exit};
use crate::say::{self, Form};

/// Carries out a command about operations.
pub fn run(command: &OpCommand) -> Result<Exit, Fault> {
    match command {
        OpCommand::List(arguments) => list(arguments),
        OpCommand::Show(arguments) => show(arguments),
        OpCommand::Cancel(arguments) => cancel(arguments),
        OpCommand::Explain(OpNamed { id, find, output }) => {
            explain::tell(&find.lookup().client()?.explain_operation(*id)?, output.form())
        }
        OpCommand::Watch(OpNamed { id, find, output }) => {
            let client = find.lookup().client()?;
            let operation = client.operation(*id)?;
            follow::until_ended(&client, operation, find, output.form())
        }
        OpCommand::Forget(arguments) => forget(arguments),
    }
}

/// Whether nothing will happen to it any more.
pub fn has_ended(operation: &Operation) -> bool {
    operation.ended_ms > 0
}

fn list(arguments: &OpList) -> Result<Exit, Fault> {
    let mut operations = arguments.find.lookup().client()?.operations()?;
    operations.retain(|operation| {
        (arguments.parts || operation.parent.is_none()) && !(arguments.active && has_ended(operation))
    });
    match arguments.output.form() {
        Form::Json => say::json(&operations),
        Form::Text => say::data(as_table(&operations, now_ms())),
    }
    Ok(exit::OK)
}

/// An operation with its parts, as `op show --json` prints it.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    operation: Operation,
    /// Its parts.
    children: Vec<Operation>,
}

fn show(arguments: &OpNamed) -> Result<Exit, Fault> {
    let client = arguments.find.lookup().client()?;
    let operation = client.operation(arguments.id)?;
    let mut children = Vec::new();
    if operation.parts > 0 {
        children = client.operations()?;
        children.retain(|part| part.parent == Some(operation.id));
    }
    match arguments.output.form() {
        Form::Json => say::json(&Shown { operation, children }),
        Form::Text => say::data(details(&operation, &children, now_ms())),
    }
    Ok(exit::OK)
}

fn cancel(arguments: &OpCancel) -> Result<Exit, Fault> {
    let client = arguments.find.lookup().client()?;
    let operation = client.cancel_operation(arguments.id)?;
    let form = arguments.output.form();
    if arguments.wait {
        let exit = follow::until_ended(&client, operation, &arguments.find, form)?;
        // That is what was asked for.
        return Ok(if exit == exit::CANCELLED { exit::OK } else { exit });
    }
    match form {
        Form::Json => say::json(&operation),
        Form::Text if has_ended(&operation) => say::note(ending(&operation)),
        Form::Text => {
            say::note(format_args!(
                "operation {} ends, and undoes what it did; parts that are done stay",
                operation.id
            ));
            say::note(format_args!(" next: skein op watch {}{}", operation.id, arguments.find.words()));
        }
    }
    Ok(exit::OK)
}

fn forget(arguments: &OpNamed) -> Result<Exit, Fault> {
    arguments.find.lookup().client()?.forget_operation(arguments.id)?;
    match arguments.output.form() {
        Form::Json => say::json(&serde_json::Map::new()),
        Form::Text => say::note(format_args!("operation {} is forgotten", arguments.id)),
    }
    Ok(exit::OK)
}

/// `operation 12: done in 3.2 s: move ...; 3 replicas are equal at log index 812`.
pub fn ending(operation: &Operation) -> String {
    let Operation { id, state, what, .. } = operation;
    let took = operation.ended_ms.saturating_sub(operation.created_ms);
    let mut text = format!("operation {id}: {state} in {}: {what}", say::duration_ms(took));
    if let Some(evidence) = operation.evidence.last() {
        text.push_str("; ");
        text.push_str(&compared(evidence));
    }
    if let Some(saved) = &operation.saved {
        text.push_str("; ");
        text.push_str(&held(saved));
    }
    text
}

/// `backup 2026…-5c1d9a: 250 keys, 3.1 KiB in 1.2 KiB of files, digest 5f0c…`.
fn held(saved: &Saved) -> String {
    let Saved { backup, keys, bytes, file_bytes, digest, proven, parent, restored, .. } = saved;
    if !restored.is_empty() {
        return restored.iter().map(|table| brought(table, backup)).collect::<Vec<_>>().join("; ");
    }
    let keys = say::count(*keys, "key");
    if *proven {
        return format!("backup {backup} is proven: {keys} restored, and all digests are equal ({digest})");
    }
    let (bytes, files) = (say::bytes(*bytes), say::bytes(*file_bytes));
    match parent.as_str() {
        "" => format!("backup {backup}: {keys}, {bytes} in {files} of files, digest {digest}"),
        parent => format!(
            "backup {backup}: {keys}, {bytes}, of which {files} of files have what has changed since {parent}, digest \
             {digest}"
        ),
    }
}

/// `copy: 250 keys of 2026…-5c1d9a, 3.1 KiB, 2 had expired since; every partition has 3 replicas, and they are equal;
/// digest 5f0c… as it was saved`.
fn brought(table: &RestoredTable, backup: &str) -> String {
    let RestoredTable { table, keys, existed, expired, bytes, replicas, digest, equal } = table;
    let mut text = format!("{table}: {} of {backup}, {}", say::count(*keys, "key"), say::bytes(*bytes));
    if *existed > 0 {
        text.push_str(&format!(", {existed} existed and stayed"));
    }
    if *expired > 0 {
        text.push_str(&format!(", {expired} had expired since"));
    }
    if *replicas > 1 {
        text.push_str(&format!("; every partition has {replicas} replicas, and they are equal"));
    }
    if *equal {
        text.push_str(&format!("; digest {digest} as it was saved"));
    }
    text
}

fn compared(evidence: &DigestReport) -> String {
    let replicas = say::count(evidence.replicas.len() as u64, "replica");
    let verdict = if evidence.equal { "equal" } else { "NOT equal" };
    format!("{replicas} compared at log index {}: {verdict}", evidence.index)
}

fn as_table(operations: &[Operation], now_ms: u64) -> String {
    let rows = operations.iter().map(|operation| {
        let age = now_ms.saturating_sub(operation.created_ms);
        vec![
            operation.id.to_string(),
            operation.kind.clone(),
            operation.state.clone(),
            match (operation.parts, operation.step.as_str()) {
                (0, "") => "-".into(),
                (0, step) => step.to_owned(),
                (parts, _) => format!("{}/{parts}", operation.parts_ended),
            },
            operation.by.clone(),
            format!("{} ago", say::duration_ms(age)),
            operation.what.clone(),
        ]
    });
    say::table(&["ID", "KIND", "STATE", "STEP", "BY", "ASKED", "WHAT"], rows)
}

/// Everything that is known of an operation.
fn details(operation: &Operation, parts: &[Operation], now_ms: u64) -> String {
    let Operation { id, kind, state, what, by, created_ms, .. } = operation;
    let asked = say::duration_ms(now_ms.saturating_sub(*created_ms));
    let mut text = format!("operation {id}, {kind}, {state}: {what}\nasked {asked} ago by {by}");
    if let Some(parent) = operation.parent {
        text.push_str(&format!(", a part of operation {parent}"));
    }
    if has_ended(operation) {
        let took = say::duration_ms(operation.ended_ms.saturating_sub(*created_ms));
        text.push_str(&format!(", took {took}"));
    }
    if operation.bytes_total > 0 {
        let (done, total) = (say::bytes(operation.bytes_done), say::bytes(operation.bytes_total));
        let verb =
            if operation.partition.is_none() && operation.parts == 0 { "are done" } else { "have arrived" };
        text.push_str(&format!(", {done} of {total} {verb}"));
    }
    if !operation.waits_for.is_empty() {
        text.push_str(&format!("\n{}", operation.waits_for));
    }
    if let Some(error) = &operation.error {
        text.push_str("\n\n");
        text.push_str(&say::explained(&Fault::from(error)));
    }
    if !operation.steps.is_empty() {
        text.push_str("\n\n");
        text.push_str(&steps(operation));
    }
    if !parts.is_empty() {
        text.push_str("\n\n");
        text.push_str(&as_table(parts, now_ms));
    }
    if operation.kind == "recover-quorum" && !parts.is_empty() {
        text.push_str("\n\n");
        text.push_str(&events_of_parts(operation, parts));
    }
    if !operation.events.is_empty() {
        let rows =
            operation.events.iter().map(|event| vec![after(operation, event.at_ms), event.text.clone()]);
        text.push_str("\n\n");
        text.push_str(&say::table(&["AFTER", "EVENT"], rows));
    }
    if let Some(saved) = &operation.saved {
        text.push_str(&format!("\n\n{}", held(saved)));
        text.push_str(&format!("\nevery write before {}, at {}", time(saved.at_ms), saved.url));
    }
    for evidence in &operation.evidence {
        let rows = evidence.replicas.iter().map(|replica| {
            let (node, records) = (replica.node.to_string(), replica.records.to_string());
            vec![node, replica.replica.to_string(), records, replica.hash.clone()]
        });
        text.push_str(&format!("\n\n{}\n", compared(evidence)));
        text.push_str(&say::table(&["NODE", "REPLICA", "RECORDS", "HASH"], rows));
    }
    text
}

/// What the parts have told: of a lost majority, what is given up with each partition.
fn events_of_parts(operation: &Operation, parts: &[Operation]) -> String {
    let rows = parts.iter().flat_map(|part| {
        let id = part.id.to_string();
        part.events
            .iter()
            .map(move |event| vec![id.clone(), after(operation, event.at_ms), event.text.clone()])
    });
    say::table(&["PART", "AFTER", "EVENT"], rows)
}

fn steps(operation: &Operation) -> String {
    let rows = operation.steps.iter().map(|step| {
        let took = match (step.begun_ms, step.ended_ms) {
            (0, _) => "-".to_owned(),
            (_, 0) => "...".to_owned(),
            (begun, ended) => say::duration_ms(ended.saturating_sub(begun)),
        };
        let begun = if step.begun_ms == 0 { "-".into() } else { after(operation, step.begun_ms) };
        vec![step.name.clone(), begun, took]
    });
    say::table(&["STEP", "AFTER", "TOOK"], rows)
}

/// Since the operation was asked for.
fn after(operation: &Operation, at_ms: u64) -> String {
    say::duration_ms(at_ms.saturating_sub(operation.created_ms))
}

fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use api::admin::{OperationEvent, OperationStep, ReplicaDigest};
    use types::ErrorCode;

    /// A move that is at its second step.
    pub fn migration() -> Operation {
        let step = |name: &str, begun_ms, ended_ms| OperationStep { name: name.into(), begun_ms, ended_ms };
        Operation {
            id: 12,
            parent: None,
            kind: "migrate".into(),
            what: "flow/0 moves from node 1 to node 4".into(),
            table: Some("flow".into()),
            partition: Some(0),
            state: "running".into(),
            step: "catch-up".into(),
            steps: vec![
                step("add", 1_000, 1_400),
                step("catch-up", 1_400, 0),
                step("evidence", 0, 0),
                step("remove", 0, 0),
                step("settle", 0, 0),
            ],
            waits_for: "replica 4 has to catch up".into(),
            bytes_done: 0,
            bytes_total: 0,
            parts_ended: 0,
            parts: 0,
            by: "admin".into(),
            created_ms: 1_000,
            started_ms: 1_000,
            ended_ms: 0,
            error: None,
            events: vec![OperationEvent { at_ms: 1_400, text: "replica 4 was made on node 4".into() }],
            evidence: Vec::new(),
            saved: None,
            joined: false,
        }
    }

    #[test]
    fn an_operation_is_listed_and_shown() {
        let operation = migration();
        let listed = "\
ID  KIND     STATE    STEP      BY     ASKED      WHAT
12  migrate  running  catch-up  admin  2.0 s ago  flow/0 moves from node 1 to node 4";
        assert_eq!(as_table(std::slice::from_ref(&operation), 3_000), listed);
        let shown = "\
operation 12, migrate, running: flow/0 moves from node 1 to node 4
asked 2.0 s ago by admin
replica 4 has to catch up

STEP      AFTER  TOOK
add       0.0 s  0.4 s
catch-up  0.4 s  ...
evidence  -      -
remove    -      -
settle    -      -

AFTER  EVENT
0.4 s  replica 4 was made on node 4";
        assert_eq!(details(&operation, &[], 3_000), shown);
    }

    #[test]
    fn what_a_lost_majority_gives_up_is_shown_with_the_operation_that_was_asked_for() {
        let bound = "lost is at most what was acknowledged after 2026-12-01T10:00:00.000Z";
        let event = OperationEvent { at_ms: 1_300, text: bound.into() };
        let part = |id| Operation {
            id,
            parent: Some(12),
            kind: "recover-quorum".into(),
            events: vec![event.clone()],
            ..migration()
        };
        let whole = Operation {
            kind: "recover-quorum".into(),
            steps: Vec::new(),
            events: Vec::new(),
            parts: 2,
            ..migration()
        };
        let told = format!("PART  AFTER  EVENT\n13    0.3 s  {bound}\n14    0.3 s  {bound}");
        let shown = details(&whole, &[part(13), part(14)], 3_000);
        assert!(shown.ends_with(&told), "{shown}");
        let other = Operation { kind: "decommission".into(), ..whole };
        let shown = details(&other, &[part(13)], 3_000);
        assert!(!shown.contains(bound), "many parts have much to tell: {shown}");
    }

    #[test]
    fn an_end_has_its_evidence_and_a_failure_its_cause() {
        let digest = |node| ReplicaDigest { replica: node, node, hash: "ab".into(), records: 7 };
        let evidence = DigestReport { index: 812, equal: true, replicas: vec![digest(2), digest(4)] };
        let done = Operation {
            state: "done".into(),
            step: String::new(),
            ended_ms: 4_200,
            evidence: vec![evidence],
            ..migration()
        };
        let words = "operation 12: done in 3.2 s: flow/0 moves from node 1 to node 4; \
                     2 replicas compared at log index 812: equal";
        assert_eq!(ending(&done), words);
        let table = "NODE  REPLICA  RECORDS  HASH\n2     2        7        ab\n4     4        7        ab";
        assert!(details(&done, &[], 5_000).ends_with(table));
        let error = api::admin::ErrorBody::from(&Fault::new(ErrorCode::NoRoom, "node 4"));
        let failed = Operation { state: "failed".into(), error: Some(error), ..done };
        assert!(details(&failed, &[], 5_000).contains("[no-room]\n       node 4\n next: "));
    }
}
