//! Begins and ends the archive: first in its target, then in the catalog.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use api::archive::{ArchiveReport, ArchiveWish};
use api::catalog::{ArchiveChange, ArchiveRecord, CatalogOp};
use backup::archive::ArchiveBegun;
use node::Node;
use serve::http::Answer;
use tokio::sync::oneshot;
use types::{ErrorCode, Fault};

use super::Archiver;

/// Fewer milliseconds between two writes than this would be mostly overhead.
const EVERY_MS_MIN: u64 = 100;
/// What goes sooner than this is not worth to be written.
const KEEP_MS_MIN: u64 = 60_000;

/// Begins an archive.
pub(super) fn begin(node: &Arc<Node>, archiver: &Arc<Archiver>, wish: ArchiveWish) -> Answer<ArchiveReport> {
    let (node, archiver) = (node.clone(), archiver.clone());
    Box::pin(async move {
        if let Some(runs) = node.catalog().archive().filter(|archive| !archive.ended) {
            return Err(Fault::new(ErrorCode::ArchiveRuns, format!("{} to {}", runs.id, runs.url)));
        }
        if wish.every_ms < EVERY_MS_MIN || wish.hold_bytes_max == 0 {
            let detail =
                format!("changes are written every {EVERY_MS_MIN} ms at most, and some must be held");
            return Err(Fault::new(ErrorCode::BadArgument, detail));
        }
        if (1..KEEP_MS_MIN).contains(&wish.keep_ms) {
            let detail = format!("an archive keeps {} s at least", KEEP_MS_MIN / 1000);
            return Err(Fault::new(ErrorCode::BadArgument, detail));
        }
        let tables = match wish.tables.is_empty() {
            true => Vec::new(),
            false => node.tables_of(&wish.tables)?,
        };
        let tables: Vec<String> =
            tables.iter().map(|table| format!("{}:{}", table.namespace, table.name)).collect();
        check_namespaces(&node, &wish)?;
        let record = record(wish, tables)?;
        let begun = begun(&node, &record);
        let url = record.url.clone();
        let written = tokio::task::spawn_blocking(move || {
            backup::open(&url).and_then(|target| backup::archive::begin(&*target, &begun))
        });
        let written = written.await.map_err(|_| Fault::from(ErrorCode::Internal))?;
        written.map_err(|error| error.to_fault())?;
        change(&node, Some(record.clone())).await?;
        // This node's catalog may not have it yet.
        let known = archiver.report();
        match known.id == record.id {
            true => Ok(known),
            false => Ok(ArchiveReport::of(&record)),
        }
    })
}

/// Whoever names a namespace that is not there has misspelt it.
fn check_namespaces(node: &Node, wish: &ArchiveWish) -> Result<(), Fault> {
    let catalog = node.catalog();
    let is_there = |namespace: &String| catalog.tables().any(|table| table.namespace == *namespace);
    match wish.namespaces.iter().find(|namespace| !is_there(namespace)) {
        Some(namespace) => Err(Fault::new(ErrorCode::UnknownTable, format!("{namespace}:*"))),
        None => Ok(()),
    }
}

/// Ends the archive.
pub(super) fn end(node: &Arc<Node>) -> Answer<()> {
    let node = node.clone();
    Box::pin(async move { change(&node, None).await })
}

async fn change(node: &Arc<Node>, begin: Option<ArchiveRecord>) -> Result<(), Fault> {
    let (sender, receiver) = oneshot::channel();
    let op = CatalogOp::Archive(ArchiveChange { begin });
    node.change_catalog(op, move |answer| drop(sender.send(answer)));
    receiver.await.map_err(|_| Fault::from(ErrorCode::OutcomeUnknown))?.map(|_| ())
}

fn record(wish: ArchiveWish, tables: Vec<String>) -> Result<ArchiveRecord, Fault> {
    let mut chance = [0; 12];
    getrandom::fill(&mut chance).map_err(|error| Fault::new(ErrorCode::Internal, error.to_string()))?;
    let [a, b, c, d, number @ ..] = chance;
    let begun_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
    Ok(ArchiveRecord {
        archive: u64::from_le_bytes(number).max(1),
        id: backup::id(begun_ms, u32::from_le_bytes([a, b, c, d])),
        url: wish.url,
        tables,
        namespaces: wish.namespaces,
        every_ms: wish.every_ms,
        hold_bytes_max: wish.hold_bytes_max,
        begun_ms,
        ended: false,
        keep_ms: wish.keep_ms,
    })
}

fn begun(node: &Node, record: &ArchiveRecord) -> ArchiveBegun {
    let cluster = node.catalog().cluster().map_or(0, |cluster| cluster.get());
    ArchiveBegun {
        format: backup::FORMAT,
        id: record.id.clone(),
        cluster: format!("{cluster:016x}"),
        begun_ms: record.begun_ms,
        tables: named(record),
    }
}

/// What was asked for: `shop:orders`, `ads:*`.
fn named(record: &ArchiveRecord) -> Vec<String> {
    let namespaces = record.namespaces.iter().map(|namespace| format!("{namespace}:*"));
    record.tables.iter().cloned().chain(namespaces).collect()
}
