//! The end of a restore into a table that was made for it: replicas as wished, all equal, then clients.
//!
//! Until here each partition had one replica, and the table served nobody. The operation `set-replicas` copies each
//! partition's state to the other nodes and compares all replicas; it survives the crash of anything, and whoever
//! asks for it again joins it. Only when all of it is done the table is opened, which the catalog refuses as long as
//! a partition has less replicas than it shall have.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use api::admin::{Operation, OperationRequest, StartOperation, TablePartition};
use client::Client;
use types::{ErrorCode, Fault};

use crate::commands::op;
use crate::say;

/// How often the operation is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// How long an operation may be refused for a reason that passes, or nobody may answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// The pause before it is asked for again.
const PAUSE: Duration = Duration::from_millis(500);

/// Gives the partitions of a table their replicas, and opens it to clients.
///
/// # Errors
/// Why that cannot be done; the table stays closed, and the same may be asked for again.
pub(super) fn open(
    client: &Client,
    (namespace, name): (&str, &str),
    title: &str,
    replicas: u32,
) -> Result<(), Fault> {
    if replicas > 1 {
        let operation = follow(client, start(client, title, replicas)?)?;
        // Its parts compare; one that had none found the replicas there, which says nothing about what they hold.
        if operation.parts == 0 {
            compare(client, (namespace, name), title)?;
        }
        say::note(format_args!("{title}: every partition has {replicas} replicas, and they are equal"));
    }
    patiently(|| client.restored(namespace, name))
}

fn start(client: &Client, title: &str, replicas: u32) -> Result<Operation, Fault> {
    let request = OperationRequest {
        kind: "set-replicas".into(),
        table: Some(title.into()),
        count: Some(replicas),
        ..Default::default()
    };
    patiently(|| {
        client.start_operation(&StartOperation { request: request.clone(), planned: None, by: None })
    })
}

/// Asks until it is not refused for something that passes.
fn patiently<T>(ask: impl Fn() -> Result<T, Fault>) -> Result<T, Fault> {
    let begun = Instant::now();
    loop {
        match ask() {
            Err(fault) if passes(fault.code) && begun.elapsed() < PATIENCE => std::thread::sleep(PAUSE),
            other => return other,
        }
    }
}

/// Whether it may be different in a moment: a node that died comes back, an operation on a partition ends.
fn passes(code: ErrorCode) -> bool {
    use ErrorCode as E;
    code.is_retryable() || matches!(code, E::OutcomeUnknown | E::PartitionBusy | E::Unsafe | E::PlanOutdated)
}

/// Waits until the operation has ended well.
fn follow(client: &Client, begun: Operation) -> Result<Operation, Fault> {
    let (mut operation, mut heard) = (begun, Instant::now());
    let mut shown = 0;
    while !op::has_ended(&operation) {
        std::thread::sleep(LOOK);
        match client.operation(operation.id) {
            Ok(seen) => (operation, heard) = (seen, Instant::now()),
            Err(fault) if !passes(fault.code) || heard.elapsed() > PATIENCE => return Err(fault),
            Err(_) => {}
        }
        shown = show(&operation, shown);
    }
    if shown > 0 {
        let _ = write!(std::io::stderr(), "\r{}\r", " ".repeat(shown));
    }
    if operation.state == "done" {
        return Ok(operation);
    }
    let detail = format!("operation {} ({}) ended as {}", operation.id, operation.what, operation.state);
    let fault = operation.error.as_ref().map(Fault::from);
    Err(fault.unwrap_or_else(|| Fault::new(ErrorCode::Cancelled, detail)))
}

/// One line for people, if there are any; its width.
fn show(operation: &Operation, shown: usize) -> usize {
    if !std::io::stderr().is_terminal() {
        return 0;
    }
    let line = format!(
        "replicas: {} of {}, {} of {} parts done",
        say::bytes(operation.bytes_done),
        say::bytes(operation.bytes_total),
        operation.parts_ended,
        operation.parts
    );
    let width = line.chars().count();
    let _ = write!(std::io::stderr(), "\r{line}{}", " ".repeat(shown.saturating_sub(width)));
    width
}

/// Compares all replicas of a table.
fn compare(client: &Client, (namespace, name): (&str, &str), title: &str) -> Result<(), Fault> {
    for partition in 0..client.table(namespace, name)?.partitions {
        let at = TablePartition { table: title.into(), partition: u64::from(partition) };
        let digests = patiently(|| client.digest(&at))?;
        if !digests.equal {
            let detail = format!("the replicas of {title}/{partition} are not equal");
            return Err(Fault::new(ErrorCode::DataDamaged, detail));
        }
    }
    Ok(())
}
