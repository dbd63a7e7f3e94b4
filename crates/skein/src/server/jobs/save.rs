//! Out of a state at a barrier: into a backup, or only into a sum.

use std::sync::Arc;
use std::time::{Duration, Instant};

use api::job::{HeldPartition, JobSum, SavePartition};
use api::kv::{ContentKind, ContentSelection, ContentSum};
use backup::write::{self, Pacer};
use bytes::Bytes;
use engine::{ContentSource, Held};
use node::Node;
use prost::Message;
use types::{ErrorCode, Fault, GroupId, LogIndex};

use super::{Running, hold_id};

/// How long a replica that is behind may take to reach the barrier.
const REACH_MAX: Duration = Duration::from_secs(10);
const REACH_LOOK: Duration = Duration::from_millis(50);

/// Writes a partition into a backup.
pub(super) fn partition(node: &Arc<Node>, wish: &SavePartition, job: &Running) -> Result<(), Fault> {
    let target = backup::open(&wish.url).map_err(|error| error.to_fault())?;
    let begun = backup::begun(&*target, &wish.backup).map_err(|error| error.to_fault())?;
    let table = begun
        .tables
        .iter()
        .find(|table| (&table.namespace, &table.name) == (&wish.namespace, &wish.table))
        .ok_or_else(|| Fault::new(ErrorCode::BadArgument, format!("{} has no such table", wish.backup)))?;
    let place = table.partitions.get(wish.partition as usize).filter(|place| place.index == wish.held.index);
    let detail = || format!("{} has another place for partition {}", wish.backup, wish.partition);
    let place = place.ok_or_else(|| Fault::new(ErrorCode::BadArgument, detail()))?;
    let mut place = place.clone();
    place.node = node.id().get();
    let mut source = source(node, &wish.held, job)?;
    write::partition(&*target, &begun, table, &place, &mut *source, &job.progress)
        .map(|_| ())
        .map_err(|error| error.to_fault())
}

/// Sums up a partition.
pub(super) fn measure(node: &Arc<Node>, wish: &HeldPartition, job: &Running) -> Result<JobSum, Fault> {
    let mut source = source(node, wish, job)?;
    let mut sum = ContentSum::default();
    let mut pacer = Pacer::new(&job.progress);
    let fault = |error| replication::start::engine_fault(&error);
    while let Some(page) = source.next_page(write::page_bytes(job.progress.limits())).map_err(fault)? {
        sum.merge(&page.sum);
        job.progress.add(&page.sum);
        pacer.spend(page.sum.keys, page.sum.bytes).map_err(|error| error.to_fault())?;
    }
    Ok(JobSum::from(&sum))
}

/// Hands out a partition page by page, as fast as somebody takes the pages.
pub(super) fn stream(node: &Arc<Node>, wish: &HeldPartition, job: &Running) -> Result<(), Fault> {
    let mut source = source(node, wish, job)?;
    let mut pacer = Pacer::new(&job.progress);
    let fault = |error| replication::start::engine_fault(&error);
    while let Some(page) = source.next_page(write::page_bytes(job.progress.limits())).map_err(fault)? {
        job.pages.give(Some(page.body), &job.progress)?;
        job.progress.add(&page.sum);
        pacer.spend(page.sum.keys, page.sum.bytes).map_err(|error| error.to_fault())?;
    }
    job.pages.give(None, &job.progress)
}

/// The contents of a state at a barrier, once this node's replica has reached it.
fn source(node: &Arc<Node>, wish: &HeldPartition, job: &Running) -> Result<Box<dyn ContentSource>, Fault> {
    let state = held(node, wish, job)?;
    let selection = ContentSelection {
        kinds: kinds(&wish.kinds)?,
        expiry_shift_millis: wish.expiry_shift_ms,
        prefix: Bytes::copy_from_slice(wish.prefix.as_bytes()),
    };
    let source = state.export(&selection.encode_to_vec());
    source.map_err(|error| replication::start::engine_fault(&error))
}

fn held(node: &Arc<Node>, wish: &HeldPartition, job: &Running) -> Result<Arc<dyn Held>, Fault> {
    let (group, id, index) = (GroupId(wish.group), hold_id(&wish.hold)?, LogIndex(wish.index));
    let begun = Instant::now();
    loop {
        if let Some(held) = node.held(group, id, index) {
            return Ok(held);
        }
        // A replica that is past the barrier without a hold had it, and has let it go, or got a copy that had not.
        let report = node.store().and_then(|store| store.shared(group)).map(|shared| shared.report());
        let is_behind = report.is_some_and(|report| report.applied < wish.index);
        if !is_behind || begun.elapsed() > REACH_MAX {
            let detail = format!("node {} does not keep group {group} as of index {index}", node.id());
            return Err(Fault::new(ErrorCode::BackupLost, detail));
        }
        job.progress.sleep(REACH_LOOK).map_err(|error| error.to_fault())?;
    }
}

/// Kinds by name.
pub(super) fn kinds(names: &[String]) -> Result<Vec<i32>, Fault> {
    let kind = |name: &String| {
        let kind = ContentKind::named(name).map(|kind| kind as i32);
        kind.ok_or_else(|| Fault::new(ErrorCode::BadArgument, format!("there is no kind '{name}'")))
    };
    names.iter().map(kind).collect()
}
