//! `restore`: tables of a backup, into tables of this cluster.
//!
//! A table that is made for it serves nobody, and each partition of it has one replica: what is written once is copied
//! faster than it is written three times. The copies are parts of the operation, and so is the end, see `ops`; here it
//! is filled, and what it holds is compared with what the backup's manifest says.

use std::collections::BTreeSet;
use std::sync::Arc;

use api::catalog::{CatalogOp, EngineKind, HashBy, NewTable, TableName, TableRecord as CatalogTable};
use api::kv::ContentSum;
use api::operation::{OperationKind, OperationState};
use api::restoring::{RestoreTable, RestoreWish, RestoredTable};
use api::saving::SavedRecord;
use backup::{Manifest, SumRecord, TableRecord, Target, read};
use node::TaskResult;
use types::{ErrorCode, Fault};

use super::AtWork;
use super::contents::{compare_replicas, differ, measure};
use super::filling::{Filling, known, make};
use super::save::{open, saved, speed};
use crate::backups::at_time::{self, AtTime};
use crate::backups::restoring::restore_name;
use crate::backups::split_title;
use crate::say;
use crate::server::jobs::keeps_names;

/// What is restored from.
struct Source {
    target: Arc<dyn Target>,
    manifest: Manifest,
    at: Option<AtTime>,
}

impl Source {
    fn open(at_work: &AtWork<'_>, wish: &RestoreWish) -> Result<Self, Fault> {
        at_work.check("the backup is read")?;
        let target = open(&wish.url)?;
        let manifest = backup::load(&*target, &wish.backup).map_err(|error| error.to_fault())?;
        let titles: Vec<String> = wish.tables.iter().map(|table| table.from.clone()).collect();
        let at = match wish.at_ms {
            0 => None,
            at_ms => Some(at_time::over(&*target, &manifest, &titles, at_ms)?),
        };
        Ok(Self { target, manifest, at })
    }

    fn table(&self, of: &RestoreTable) -> Result<&TableRecord, Fault> {
        let found = self.manifest.begun.tables.iter().find(|table| table.title() == of.from);
        found.ok_or_else(|| Fault::new(ErrorCode::UnknownTable, format!("{} is not in the backup", of.from)))
    }
}

/// Writes every table.
pub(super) fn restore(at_work: &AtWork<'_>, wish: &RestoreWish) -> Result<TaskResult, Fault> {
    let source = Source::open(at_work, wish)?;
    let total = wish.tables.iter().map(|table| table.bytes).sum();
    let mut before = 0;
    for of in &wish.tables {
        let to = if of.made { closed(at_work, &source, wish, of)? } else { existing(at_work, of)? };
        let table = source.table(of)?;
        let filling = Filling {
            at_work,
            target: &*source.target,
            manifest: &source.manifest,
            table,
            to: &to,
            alone: of.made,
            at: source.at.as_ref().map(|at| (wish.at_ms, at)),
            kinds: &wish.kinds,
            on_conflict: &wish.on_conflict,
            restarts: wish.restarts,
            speed: speed(wish.bytes_per_second, wish.keys_per_second),
            expiry_shift_ms: 0,
        };
        let written = filling.write("files are restored", (before, total));
        written.map_err(|fault| explained(at_work, &source, wish, (of, fault)))?;
        before += of.bytes;
    }
    Ok(TaskResult::default())
}

/// The table that is made for the restore and serves nobody yet; what a restore that is given up has left goes first.
fn closed(
    at_work: &AtWork<'_>,
    source: &Source,
    wish: &RestoreWish,
    of: &RestoreTable,
) -> Result<CatalogTable, Fault> {
    let (namespace, name) = split_title(&of.to);
    let catalog = at_work.node.catalog();
    let left = catalog.table_named(&namespace, &name).filter(|table| !table.restoring.is_empty());
    if let Some(left) = left.filter(|_| wish.restarts) {
        let record = known(at_work, &*source.target, &wish.backup, (&namespace, &name))?;
        let is_own =
            record.is_some_and(|record| record.tid == left.id && record.operation == at_work.operation.id);
        if !is_own {
            at_work.check("what an earlier restore has left is dropped")?;
            drop_table(at_work, &namespace, &name)?;
        }
    }
    let new = NewTable {
        namespace,
        name,
        engine: EngineKind::Kv as i32,
        hash: HashBy::ByNamespace as i32,
        partitions: of.partitions,
        replicas: 1,
        options: Vec::new(),
        scratch_of: 0,
        restoring: wish.backup.clone(),
        restored_by: at_work.operation.id,
    };
    make(at_work, new, |table| table.restoring == wish.backup)
}

/// A table that was there before.
fn existing(at_work: &AtWork<'_>, of: &RestoreTable) -> Result<CatalogTable, Fault> {
    let catalog = at_work.node.catalog();
    let found = catalog.find(&of.to).filter(|table| table.restoring.is_empty());
    found.cloned().ok_or_else(|| Fault::new(ErrorCode::UnknownTable, of.to.clone()))
}

fn drop_table(at_work: &AtWork<'_>, namespace: &str, name: &str) -> Result<(), Fault> {
    let dropped = TableName { namespace: namespace.into(), name: name.into() };
    match at_work.change(CatalogOp::DropTable(dropped)) {
        Err(fault) if fault.code != ErrorCode::UnknownTable => Err(fault),
        _ => Ok(()),
    }
}

/// Why it was not written. What a damaged backup has filled goes at once: nobody can use it, and nothing will complete
/// it.
fn explained(
    at_work: &AtWork<'_>,
    source: &Source,
    wish: &RestoreWish,
    (of, fault): (&RestoreTable, Fault),
) -> Fault {
    if !of.made || fault.code != ErrorCode::BackupDamaged {
        return fault;
    }
    let removed = give_up(at_work, Some(source), wish, of);
    let what = match removed {
        Ok(()) => "removed again, because the backup is damaged".to_owned(),
        Err(other) => format!("not removed yet: {other}"),
    };
    Fault::new(fault.code, format!("{}\n{}: {what}", fault.detail, of.to))
}

/// Drops a table that was made for a restore, with its record.
fn give_up(
    at_work: &AtWork<'_>,
    source: Option<&Source>,
    wish: &RestoreWish,
    of: &RestoreTable,
) -> Result<(), Fault> {
    let (namespace, name) = split_title(&of.to);
    let catalog = at_work.node.catalog();
    let ours = catalog.table_named(&namespace, &name).filter(|table| table.restoring == wish.backup);
    if ours.is_some() {
        drop_table(at_work, &namespace, &name)?;
    }
    let Some(source) = source else { return Ok(()) };
    match known(at_work, &*source.target, &wish.backup, (&namespace, &name))? {
        Some(record) => record.remove(&*source.target).map_err(|error| error.to_fault()),
        None => Ok(()),
    }
}

/// Compares what the tables hold with what was saved, and their replicas with each other.
pub(super) fn compare(at_work: &AtWork<'_>, wish: &RestoreWish) -> Result<TaskResult, Fault> {
    let source = Source::open(at_work, wish)?;
    let total = wish.tables.iter().map(|table| table.bytes).sum();
    let (mut restored, mut notes, mut before) = (Vec::new(), Vec::new(), 0);
    for of in &wish.tables {
        let (namespace, name) = split_title(&of.to);
        let replicas = replicas(at_work, of, &mut notes)?;
        let mut one = RestoredTable { table: of.to.clone(), replicas, ..RestoredTable::default() };
        let record = known(at_work, &*source.target, &wish.backup, (&namespace, &name))?;
        if let Some(record) = record.filter(|record| record.operation == at_work.operation.id) {
            let totals = record.totals;
            (one.keys, one.existed) = (totals.keys, totals.existed);
            (one.expired, one.bytes) = (totals.expired, totals.bytes);
        }
        // Into a table that others write to as well goes what nobody can compare.
        if of.made && wish.at_ms == 0 && wish.kinds.is_empty() {
            let (copy, _) = measure(at_work, &of.to, 0, (before, total))?;
            let verdict = verdict(source.table(of)?, (&namespace, &name), &copy)?;
            one.digest = copy.digest_text();
            one.equal = verdict.is_none();
            notes.extend(verdict.map(|why| format!("{}: {why}", of.to)));
        }
        before += of.bytes;
        restored.push(one);
    }
    let sum = |of: fn(&RestoredTable) -> u64| restored.iter().map(of).sum();
    let saved = SavedRecord {
        keys: sum(|table| table.keys),
        bytes: sum(|table| table.bytes),
        partitions: wish.tables.iter().map(|table| table.partitions).collect(),
        restored,
        ..saved(&source.manifest, &wish.url)
    };
    Ok(TaskResult { saved: Some(saved), notes })
}

/// How many replicas all partitions of a table have, which are equal. What the parts of the operation have compared is
/// not compared once more.
fn replicas(at_work: &AtWork<'_>, of: &RestoreTable, notes: &mut Vec<String>) -> Result<u32, Fault> {
    let catalog = at_work.node.catalog();
    let Some(table) = catalog.find(&of.to) else {
        return Err(Fault::new(ErrorCode::UnknownTable, of.to.clone()));
    };
    let id = at_work.operation.id;
    let parts = catalog.operations().filter(|part| part.parent == id && part.state() == OperationState::Done);
    let proven = parts
        .filter(|part| matches!(part.kind, Some(OperationKind::AddReplica(_))) && !part.evidence.is_empty());
    let proven: BTreeSet<u64> = proven.filter_map(|part| part.group).collect();
    for (group, partition) in table.groups.iter().zip(0..) {
        if table.replicas < 2 || proven.contains(group) {
            continue;
        }
        let name = format!("{}/{partition}", of.to);
        let compared = compare_replicas(at_work, *group, &name)?;
        if compared < table.replicas as usize {
            let told = say::count(compared as u64, "replica");
            notes.push(format!("{name}: {told} of {} told what it holds", table.replicas));
        }
    }
    Ok(table.replicas)
}

/// Whether a table that nobody has written to since holds what was saved; why that cannot be told to the last byte.
///
/// # Errors
/// `ContentsDiffer` if it holds something else.
fn verdict(table: &TableRecord, to: (&str, &str), copy: &ContentSum) -> Result<Option<String>, Fault> {
    let (source, copy) = (table.sum(), SumRecord::from(copy));
    if source == copy {
        return Ok(None);
    }
    let for_ever = |sum: &SumRecord| sum.keys.saturating_sub(sum.expiring);
    let renamed = !keeps_names((&table.namespace, &table.name), to);
    let has_expired = copy.expiring < source.expiring;
    let same_keys = for_ever(&source) == for_ever(&copy);
    let same_elements = source.elements == copy.elements || has_expired;
    if same_keys && same_elements && (renamed || has_expired) {
        let expired = source.expiring.saturating_sub(copy.expiring);
        let why = match renamed {
            true => "keys have another prefix than in the backup".to_owned(),
            false => format!("{} expired since the backup was taken", say::count(expired, "key")),
        };
        let for_ever = say::count(for_ever(&copy), "key");
        return Ok(Some(format!(
            "{why}, so that the digests differ; {for_ever} without a deadline are there"
        )));
    }
    Err(differ(table, &copy))
}

/// The restore is over: nobody goes on with it.
pub(super) fn finish(at_work: &AtWork<'_>, wish: &RestoreWish) -> Result<TaskResult, Fault> {
    at_work.check("its notes beside the backup are removed")?;
    let target = open(&wish.url)?;
    for of in &wish.tables {
        let (namespace, name) = split_title(&of.to);
        if let Some(record) = known(at_work, &*target, &wish.backup, (&namespace, &name))? {
            record.remove(&*target).map_err(|error| error.to_fault())?;
        }
    }
    Ok(TaskResult { saved: at_work.operation.saved.clone(), notes: Vec::new() })
}

/// Takes back what a restore has done: tables that were made for it are dropped. What was written to a table that was
/// there before stays, and is told.
pub(super) fn undo(at_work: &AtWork<'_>, wish: &RestoreWish) -> Result<TaskResult, Fault> {
    at_work.check("what it left is removed")?;
    let source = match Source::open(at_work, &RestoreWish { at_ms: 0, ..wish.clone() }) {
        Ok(source) => Some(source),
        // Nobody goes on with what a backup that is gone has left.
        Err(fault) if fault.code == ErrorCode::UnknownBackup => None,
        Err(fault) => {
            // The tables go whatever the place of the backup says.
            wish.made().try_for_each(|of| give_up(at_work, None, wish, of))?;
            return Err(fault);
        }
    };
    let mut notes = Vec::new();
    for of in &wish.tables {
        let (namespace, name) = split_title(&of.to);
        let record = match &source {
            Some(source) => known(at_work, &*source.target, &wish.backup, (&namespace, &name))?,
            None => None,
        };
        let record = record.filter(|record| record.operation == at_work.operation.id);
        let pieces = source.as_ref().map_or(0, |source| pieces(source, wish, of));
        if let Some(record) = &record {
            at_work.crew().end(&restore_name(record), pieces);
        }
        if of.made {
            give_up(at_work, source.as_ref(), wish, of)?;
            notes.push(format!("{} is dropped again", of.to));
            continue;
        }
        let Some(record) = record else { continue };
        notes.push(format!(
            "{} was there before: what was written to it stays, {} of {pieces} pieces and {} at least",
            of.to,
            record.done.len(),
            say::count(record.totals.keys, "key"),
        ));
        if let Some(source) = &source {
            record.remove(&*source.target).map_err(|error| error.to_fault())?;
        }
    }
    Ok(TaskResult { saved: None, notes })
}

/// How many pieces a table is restored in.
fn pieces(source: &Source, wish: &RestoreWish, of: &RestoreTable) -> usize {
    source.table(of).map_or(0, |table| match wish.at_ms {
        0 => read::parts(&source.manifest, table).len(),
        _ => read::whole_partitions(table).len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use backup::PartitionRecord;

    fn sum(keys: u64, expiring: u64, digest: u128) -> ContentSum {
        ContentSum { keys, elements: keys * 10, bytes: keys * 100, expiring, digest }
    }

    fn table(namespace: &str, sum: &ContentSum) -> TableRecord {
        TableRecord {
            namespace: namespace.into(),
            name: "flow".into(),
            engine: "kv".into(),
            hash: "tag".into(),
            replicas: 3,
            partitions: vec![PartitionRecord { sum: SumRecord::from(sum), ..PartitionRecord::default() }],
        }
    }

    #[test]
    fn what_was_restored_is_what_was_saved_or_says_why_that_cannot_be_told() {
        let saved = table("default", &sum(9, 3, 7));
        let copy = ("default", "copy");
        assert_eq!(verdict(&saved, copy, &sum(9, 3, 7)), Ok(None));
        let expired =
            verdict(&saved, copy, &sum(7, 1, 8)).expect("they expired").expect("not to the last byte");
        assert_eq!(
            expired,
            "2 keys expired since the backup was taken, so that the digests differ; 6 keys without a deadline are there"
        );
        let renamed = verdict(&table("ads", &sum(9, 3, 7)), copy, &sum(9, 3, 8)).expect("another prefix");
        assert!(renamed.expect("a reason").starts_with("keys have another prefix"));

        for wrong in [sum(9, 3, 8), sum(8, 3, 7), sum(10, 3, 7), sum(6, 1, 7), sum(9, 4, 7)] {
            let refused = verdict(&saved, copy, &wrong).expect_err("it is something else");
            assert_eq!(refused.code, ErrorCode::ContentsDiffer, "{wrong:?}");
            assert!(refused.detail.contains("saved:    9 keys"), "{refused}");
        }
    }
}
