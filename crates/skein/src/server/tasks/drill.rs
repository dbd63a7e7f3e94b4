//! `drill`: a backup into scratch tables with another number of partitions, compared with its source.
//!
//! Deadlines are moved far ahead for it and back before they are hashed, so that nothing expires meanwhile; keys
//! keep their names. The catalog drops the scratch tables once the operation is over, whatever came of it.

use api::catalog::{CatalogAnswer, CatalogOp, EngineKind, HashBy, NewTable, TableRecord as CatalogTable};
use api::job::{HeldPartition, Job};
use api::kv::ContentSum;
use api::saving::{DrillWish, SavedRecord};
use backup::read::parts;
use backup::restores::{RestoreRecord, under_way};
use backup::{FORMAT, Manifest, Proof, SumRecord, TableRecord, Target};
use node::TaskResult;
use types::{ErrorCode, Fault, TableId};

use super::AtWork;
use super::save::{open, saved, speed};
use crate::backups::crew::Work;
use crate::backups::restoring::{Manner, One};
use crate::backups::{barrier, hold_of, now_ms};
use crate::cli::Speed;

/// Some 139 years; a deadline of Redis and this still fit 63 bits.
const EXPIRY_SHIFT_MS: u64 = 1 << 42;
/// How often this node's catalog is looked at for a table that was made.
const LOOK: std::time::Duration = std::time::Duration::from_millis(50);

/// Writes every table into a scratch table.
pub(super) fn restore(at_work: &AtWork<'_>, wish: &DrillWish) -> Result<TaskResult, Fault> {
    let target = open(&wish.url)?;
    at_work.check("the backup is read")?;
    let manifest = backup::load(&*target, &wish.backup).map_err(|error| error.to_fault())?;
    let (client, crew) = (at_work.client(), at_work.crew());
    let total = manifest.sum.bytes;
    let mut before = 0;
    for (table, number) in manifest.begun.tables.iter().zip(0..) {
        let scratch = make(at_work, wish, table, number)?;
        let one = One {
            target: &*target,
            client: &client,
            crew: &crew,
            manifest: &manifest,
            table,
            to: &scratch.name,
            at: None,
        };
        let (mut record, again) = record(at_work, &one, &scratch)?;
        let speed = speed(wish.bytes_per_second, wish.keys_per_second);
        let manner = Manner { speed, expiry_shift_ms: EXPIRY_SHIFT_MS, again };
        let so_far = done_bytes(&manifest, table, &record);
        let mut watch = |seen: &_| at_work.tell_seen("files are restored", seen, (before + so_far, total));
        let written = one.write(&mut record, manner, &mut watch);
        if let Err(fault) = written {
            if fault.code != ErrorCode::Cancelled {
                forget(at_work, &*target, &manifest);
            }
            return Err(fault);
        }
        before += table.sum().bytes;
    }
    Ok(TaskResult::default())
}

/// Bytes of contents of the parts that an earlier task has restored.
fn done_bytes(manifest: &Manifest, table: &TableRecord, record: &RestoreRecord) -> u64 {
    let parts = parts(manifest, table).into_iter();
    parts.filter(|part| record.done.contains(&part.name)).map(|part| part.bytes).sum()
}

/// The scratch table for one of the tables; one that is there already is gone on with.
fn make(
    at_work: &AtWork<'_>,
    wish: &DrillWish,
    table: &TableRecord,
    number: usize,
) -> Result<CatalogTable, Fault> {
    let source = table.partitions.len() as u32;
    let partitions = match wish.partitions {
        0 if source > 1 => source - 1,
        0 => 2,
        partitions => partitions,
    };
    let name = scratch_name(at_work, number);
    let new = NewTable {
        namespace: catalog::DEFAULT_NAMESPACE.into(),
        name: name.clone(),
        engine: EngineKind::Kv as i32,
        hash: HashBy::ByNamespace as i32,
        partitions,
        // A copy that is thrown away needs no redundancy.
        replicas: 1,
        options: Vec::new(),
        scratch_of: at_work.operation.id,
        restoring: String::new(),
    };
    let id = match at_work.change(CatalogOp::CreateTable(new)) {
        Ok(CatalogAnswer::Table(made)) => Some(TableId(made.id)),
        Ok(_) => return Err(ErrorCode::VersionUnsupported.into()),
        Err(fault) if fault.code == ErrorCode::TableExists => None,
        Err(fault) => return Err(fault),
    };
    loop {
        let catalog = at_work.node.catalog();
        let known = match id {
            Some(id) => catalog.table(id),
            None => catalog.table_named(catalog::DEFAULT_NAMESPACE, &name),
        };
        match known {
            // Requests find their way by routes, which are made from the catalog a moment later.
            Some(known) if is_routed(at_work, known) => return Ok(known.clone()),
            Some(known) if known.scratch_of == at_work.operation.id => {
                at_work.pause("a scratch table is made", LOOK)?;
            }
            Some(_) => return Err(Fault::new(ErrorCode::TableExists, name)),
            None => at_work.pause("a scratch table is made", LOOK)?,
        }
    }
}

/// Whether a table is one of this drill, and requests from this node find it.
fn is_routed(at_work: &AtWork<'_>, table: &CatalogTable) -> bool {
    let route = at_work.node.table(&table.namespace, &table.name);
    table.scratch_of == at_work.operation.id && route.is_some_and(|route| route.table.get() == table.id)
}

/// The name of a scratch table.
pub(super) fn scratch_name(at_work: &AtWork<'_>, number: usize) -> String {
    format!("drill_{}_{number}", at_work.operation.id)
}

/// Where an earlier task has come to, or the beginning; and which of them.
fn record(
    at_work: &AtWork<'_>,
    one: &One<'_>,
    scratch: &CatalogTable,
) -> Result<(RestoreRecord, bool), Fault> {
    let (id, cluster) = (&one.manifest.begun.id, &at_work.names.id);
    let known = under_way(one.target, id, cluster, &scratch.name).map_err(|error| error.to_fault())?;
    if let Some(record) = known.filter(|record| record.tid == scratch.id) {
        return Ok((record, true));
    }
    at_work.check("a scratch table is made")?;
    let record = RestoreRecord {
        id: id.clone(),
        cluster: cluster.clone(),
        from: one.table.directory(),
        to: scratch.name.clone(),
        tid: scratch.id,
        since: one.stamp()?,
        on_conflict: "fail".into(),
        replicas: 1,
        made: true,
        kinds: Vec::new(),
        at_ms: 0,
        done: Vec::new(),
    };
    record.store(one.target).map_err(|error| error.to_fault())?;
    Ok((record, false))
}

/// Nobody goes on with the restores of this drill any more.
pub(super) fn forget(at_work: &AtWork<'_>, target: &dyn Target, manifest: &Manifest) {
    for number in 0..manifest.begun.tables.len() {
        let name = scratch_name(at_work, number);
        // What stays is a small file that names a table which is gone.
        if let Ok(Some(record)) = under_way(target, &manifest.begun.id, &at_work.names.id, &name) {
            let _ = record.remove(target);
        }
    }
}

/// Compares what the scratch tables hold with what their sources held.
pub(super) fn compare(at_work: &AtWork<'_>, wish: &DrillWish) -> Result<TaskResult, Fault> {
    let target = open(&wish.url)?;
    let manifest = backup::load(&*target, &wish.backup).map_err(|error| error.to_fault())?;
    let (mut partitions, mut before) = (Vec::new(), 0);
    for (table, number) in manifest.begun.tables.iter().zip(0..) {
        let name = scratch_name(at_work, number);
        let (copy, of) = measure(at_work, &name, (before, manifest.sum.bytes))?;
        same(table, &copy)?;
        partitions.push(of);
        before += copy.bytes;
    }
    let saved = SavedRecord { partitions, ..saved(&manifest, &wish.url) };
    let note = format!("{} keys and all digests are equal", saved.keys);
    Ok(TaskResult { saved: Some(saved), notes: vec![note] })
}

/// What a scratch table holds, and in how many partitions.
fn measure(at_work: &AtWork<'_>, name: &str, bytes: (u64, u64)) -> Result<(ContentSum, u32), Fault> {
    at_work.check("scratch tables are compared with their sources")?;
    let hold = hold_of(name);
    let report = barrier(&at_work.client(), vec![name.to_owned()], &hold)?;
    let places: Vec<_> = report.tables.iter().flat_map(|table| &table.partitions).collect();
    let job = |piece: usize, _repeated: bool| {
        Job::Measure(HeldPartition {
            group: places[piece].group,
            hold: hold.clone(),
            index: places[piece].index,
            kinds: Vec::new(),
            expiry_shift_ms: EXPIRY_SHIFT_MS,
            prefix: String::new(),
        })
    };
    let mut sum = ContentSum::default();
    at_work.crew().run(Work {
        // Another barrier is another measurement.
        name: measure_name(name, report.at_ms),
        pieces: places.iter().map(|place| place.nodes.clone()).collect(),
        done: Vec::new(),
        job: &job,
        ended: &mut |_, status| {
            sum.merge(&status.sum.as_ref().map(|sum| sum.to_sum()).unwrap_or_default());
            Ok(())
        },
        speed: Speed::default(),
        hold: Some(hold.clone()),
        takes_over: false,
        watch: &mut |seen| at_work.tell_seen("partitions are compared", seen, bytes),
    })?;
    Ok((sum, places.len() as u32))
}

fn measure_name(scratch: &str, at_ms: u64) -> String {
    format!("measure-{scratch}-{at_ms:x}")
}

fn same(table: &TableRecord, copy: &ContentSum) -> Result<(), Fault> {
    let (source, copy) = (table.sum(), SumRecord::from(copy));
    if source == copy {
        return Ok(());
    }
    let told =
        |sum: &SumRecord| format!("{} keys, {} elements, digest {}", sum.keys, sum.elements, sum.digest);
    let detail = format!("{}\nsaved:    {}\nrestored: {}", table.title(), told(&source), told(&copy));
    Err(Fault::new(ErrorCode::DrillFailed, detail))
}

/// Writes the proof of what was compared.
pub(super) fn prove(at_work: &AtWork<'_>, wish: &DrillWish) -> Result<TaskResult, Fault> {
    at_work.check("the proof is written")?;
    let target = open(&wish.url)?;
    let manifest = backup::load(&*target, &wish.backup).map_err(|error| error.to_fault())?;
    let Some(compared) = &at_work.operation.saved else {
        return Err(Fault::new(ErrorCode::Internal, "nothing was compared"));
    };
    let begun_ms = at_work.operation.started_ms;
    let proof = Proof {
        format: FORMAT,
        id: wish.backup.clone(),
        begun_ms,
        took_ms: now_ms().saturating_sub(begun_ms),
        cluster: at_work.names.id.clone(),
        partitions: compared.partitions.clone(),
        sum: manifest.sum.clone(),
    };
    backup::prove(&*target, &proof).map_err(|error| error.to_fault())?;
    forget(at_work, &*target, &manifest);
    Ok(TaskResult { saved: Some(SavedRecord { proven: true, ..compared.clone() }), notes: Vec::new() })
}
