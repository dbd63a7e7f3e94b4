//! `drill`: a backup into scratch tables with another number of partitions, compared with its source.
//!
//! Deadlines are moved far ahead for it and back before they are hashed, so that nothing expires meanwhile; keys
//! keep their names. The catalog drops the scratch tables once the operation is over, whatever came of it.

use api::catalog::{EngineKind, HashBy, NewTable, TableRecord as CatalogTable};
use api::kv::ContentSum;
use api::saving::{DrillWish, SavedRecord};
use backup::{FORMAT, Manifest, Proof, SumRecord, TableRecord, Target};
use node::TaskResult;
use types::{ErrorCode, Fault};

use super::AtWork;
use super::contents::{differ, measure};
use super::filling::{Filling, known, make};
use super::save::{open, saved, speed};
use crate::backups::now_ms;

/// Some 139 years; a deadline of Redis and this still fit 63 bits.
const EXPIRY_SHIFT_MS: u64 = 1 << 42;

/// Writes every table into a scratch table.
pub(super) fn restore(at_work: &AtWork<'_>, wish: &DrillWish) -> Result<TaskResult, Fault> {
    let target = open(&wish.url)?;
    at_work.check("the backup is read")?;
    let manifest = backup::load(&*target, &wish.backup).map_err(|error| error.to_fault())?;
    let total = manifest.sum.bytes;
    let mut before = 0;
    for (table, number) in manifest.begun.tables.iter().zip(0..) {
        let scratch = make_scratch(at_work, wish, table, number)?;
        let filling = Filling {
            at_work,
            target: &*target,
            manifest: &manifest,
            table,
            to: &scratch,
            alone: true,
            at: None,
            kinds: &[],
            on_conflict: "fail",
            restarts: false,
            speed: speed(wish.bytes_per_second, wish.keys_per_second),
            expiry_shift_ms: EXPIRY_SHIFT_MS,
        };
        if let Err(fault) = filling.write("files are restored", (before, total)) {
            if fault.code != ErrorCode::Cancelled {
                forget(at_work, &*target, &manifest);
            }
            return Err(fault);
        }
        before += table.sum().bytes;
    }
    Ok(TaskResult::default())
}

/// The scratch table for one of the tables; one that is there already is gone on with.
fn make_scratch(
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
    let new = NewTable {
        namespace: catalog::DEFAULT_NAMESPACE.into(),
        name: scratch_name(at_work, number),
        engine: EngineKind::Kv as i32,
        hash: HashBy::ByNamespace as i32,
        partitions,
        // A copy that is thrown away needs no redundancy.
        replicas: 1,
        options: Vec::new(),
        scratch_of: at_work.operation.id,
        restoring: String::new(),
        restored_by: 0,
    };
    make(at_work, new, |table| table.scratch_of == at_work.operation.id)
}

/// The name of a scratch table.
pub(super) fn scratch_name(at_work: &AtWork<'_>, number: usize) -> String {
    format!("drill_{}_{number}", at_work.operation.id)
}

/// Nobody goes on with the restores of this drill any more.
pub(super) fn forget(at_work: &AtWork<'_>, target: &dyn Target, manifest: &Manifest) {
    for number in 0..manifest.begun.tables.len() {
        let name = scratch_name(at_work, number);
        // What stays is a small file that names a table which is gone.
        let place = (catalog::DEFAULT_NAMESPACE, name.as_str());
        if let Ok(Some(record)) = known(at_work, target, &manifest.begun.id, place) {
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
        let (copy, of) = measure(at_work, &name, EXPIRY_SHIFT_MS, (before, manifest.sum.bytes))?;
        same(table, &copy)?;
        partitions.push(of);
        before += copy.bytes;
    }
    let saved = SavedRecord { partitions, ..saved(&manifest, &wish.url) };
    let note = format!("{} keys and all digests are equal", saved.keys);
    Ok(TaskResult { saved: Some(saved), notes: vec![note] })
}

fn same(table: &TableRecord, copy: &ContentSum) -> Result<(), Fault> {
    let copy = SumRecord::from(copy);
    if table.sum() == copy { Ok(()) } else { Err(differ(table, &copy)) }
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
