//! A table is filled from a backup: what restores and drills share.
//!
//! ```text
//!   made, or found ──► a record beside the backup ──► files, by the jobs of all nodes ──► each noted in the record
//!        ▲                        ▲                              │
//!        └────────────────────────┴── whoever comes after ◄──────┘
//! ```

use std::time::Duration;

use api::catalog::{CatalogAnswer, CatalogOp, NewTable, TableRecord as CatalogTable};
use api::operation::OperationState;
use backup::restores::{RestoreRecord, RestoreTotals, under_way};
use backup::{Manifest, TableRecord, Target};
use catalog::display_name;
use types::{ErrorCode, Fault, Hlc, OperationId, TableId};

use super::AtWork;
use crate::backups::at_time::AtTime;
use crate::backups::barrier;
use crate::backups::crew::Seen;
use crate::backups::restoring::{Manner, One};
use crate::cli::Speed;

/// How often this node's catalog is looked at for a table that was made.
const LOOK: Duration = Duration::from_millis(50);
/// In a table that nobody else writes to every key was written by the restore, whatever its stamp.
const EVERY_STAMP: u64 = 1;

/// A table of a backup, and the table that it is written to.
pub(super) struct Filling<'a> {
    pub(super) at_work: &'a AtWork<'a>,
    pub(super) target: &'a dyn Target,
    pub(super) manifest: &'a Manifest,
    pub(super) table: &'a TableRecord,
    /// The table that is written to.
    pub(super) to: &'a CatalogTable,
    /// Nobody else writes to it.
    pub(super) alone: bool,
    /// The time that is restored, if it is not the backup's own.
    pub(super) at: Option<(u64, &'a AtTime)>,
    /// Kinds of keys, by name; none means all.
    pub(super) kinds: &'a [String],
    pub(super) on_conflict: &'a str,
    /// What an operation that has ended has left is given up.
    pub(super) restarts: bool,
    pub(super) speed: Speed,
    /// Deadlines are stored so many milliseconds later.
    pub(super) expiry_shift_ms: u64,
}

/// Makes a table, or finds the one that an earlier task has made; ends when requests from this node find it.
///
/// # Errors
/// `TableExists` if there is one of its name that is somebody else's; what the catalog says.
pub(super) fn make(
    at_work: &AtWork<'_>,
    new: NewTable,
    is_ours: impl Fn(&CatalogTable) -> bool,
) -> Result<CatalogTable, Fault> {
    const DOING: &str = "a table is made";
    let (namespace, name) = (new.namespace.clone(), new.name.clone());
    let known = at_work.node.catalog().table_named(&namespace, &name).is_some();
    let id = match known {
        true => None,
        false => match at_work.change(CatalogOp::CreateTable(new)) {
            Ok(CatalogAnswer::Table(made)) => Some(TableId(made.id)),
            Ok(_) => return Err(ErrorCode::VersionUnsupported.into()),
            Err(fault) if fault.code == ErrorCode::TableExists => None,
            Err(fault) => return Err(fault),
        },
    };
    loop {
        let catalog = at_work.node.catalog();
        let known = match id {
            Some(id) => catalog.table(id),
            None => catalog.table_named(&namespace, &name),
        };
        match known {
            Some(known) if !is_ours(known) => {
                return Err(Fault::new(ErrorCode::TableExists, display_name(known)));
            }
            // Requests find their way by routes, which are made from the catalog a moment later.
            Some(known) if is_routed(at_work, known) => return Ok(known.clone()),
            _ => at_work.pause(DOING, LOOK)?,
        }
    }
}

fn is_routed(at_work: &AtWork<'_>, table: &CatalogTable) -> bool {
    let route = at_work.node.table(&table.namespace, &table.name);
    route.is_some_and(|route| route.table.get() == table.id)
}

/// What the record of a restore calls the table that it writes to.
pub(in crate::server) fn record_name(namespace: &str, name: &str) -> String {
    format!("{namespace}.{name}")
}

/// The record of a restore of a backup into a table of this cluster, if there is one.
pub(super) fn known(
    at_work: &AtWork<'_>,
    target: &dyn Target,
    backup: &str,
    (namespace, name): (&str, &str),
) -> Result<Option<RestoreRecord>, Fault> {
    let to = record_name(namespace, name);
    under_way(target, backup, &at_work.names.id, &to).map_err(|error| error.to_fault())
}

impl Filling<'_> {
    /// Writes all of it, or what an earlier task has not written. `bytes`: of what came before it, and of all.
    ///
    /// # Errors
    /// Why it cannot be done; what is done stays recorded.
    pub(super) fn write(&self, verb: &str, (before, total): (u64, u64)) -> Result<RestoreTotals, Fault> {
        let at_work = self.at_work;
        let (mut record, takes_over) = self.record()?;
        let (crew, to) = (at_work.crew(), display_name(self.to));
        let one = One {
            target: self.target,
            crew: &crew,
            manifest: self.manifest,
            table: self.table,
            to: &to,
            at: self.at.map(|(_, at)| at),
        };
        let manner = Manner {
            speed: self.speed,
            expiry_shift_ms: self.expiry_shift_ms,
            again: takes_over || self.alone,
            takes_over,
        };
        let before = before + record.totals.bytes;
        let mut watch = |seen: &Seen| at_work.tell_seen(verb, seen, (before, total));
        one.write(&mut record, manner, &mut watch)?;
        Ok(record.totals)
    }

    /// Where an earlier task has come to, or the beginning; and which of them.
    fn record(&self) -> Result<(RestoreRecord, bool), Fault> {
        let operation = self.at_work.operation.id;
        let name = (self.to.namespace.as_str(), self.to.name.as_str());
        let known = known(self.at_work, self.target, &self.manifest.begun.id, name)?;
        match known.filter(|record| self.goes_on_with(record)) {
            Some(record) if record.operation == operation => return Ok((record, true)),
            Some(record) => {
                let record = RestoreRecord { operation, ..record };
                record.store(self.target).map_err(|error| error.to_fault())?;
                return Ok((record, true));
            }
            None => {}
        }
        let record = RestoreRecord {
            id: self.manifest.begun.id.clone(),
            cluster: self.at_work.names.id.clone(),
            from: self.table.directory(),
            to: record_name(&self.to.namespace, &self.to.name),
            operation,
            tid: self.to.id,
            since: if self.alone { EVERY_STAMP } else { self.stamp()? },
            on_conflict: self.on_conflict.to_owned(),
            made: self.alone,
            kinds: self.kinds.to_vec(),
            at_ms: self.at.map_or(0, |(at_ms, _)| at_ms),
            done: Vec::new(),
            totals: RestoreTotals::default(),
        };
        self.at_work.check("the restore is noted beside the backup")?;
        record.store(self.target).map_err(|error| error.to_fault())?;
        Ok((record, false))
    }

    /// Whether a record is of this very restore. One of an operation that was done says nothing any more.
    fn goes_on_with(&self, record: &RestoreRecord) -> bool {
        if record.operation == self.at_work.operation.id {
            return record.tid == self.to.id;
        }
        let catalog = self.at_work.node.catalog();
        let before = catalog.operation(OperationId(record.operation));
        let was_done = before.is_some_and(|before| before.state() == OperationState::Done);
        let is_same = record.tid == self.to.id
            && record.from == self.table.directory()
            && record.kinds == self.kinds
            && record.at_ms == self.at.map_or(0, |(at_ms, _)| at_ms)
            && (record.made || record.on_conflict == self.on_conflict);
        is_same && !self.restarts && !was_done
    }

    /// A stamp that no write of the table has reached yet, and every later one will have.
    fn stamp(&self) -> Result<u64, Fault> {
        let mut chance = [0; 8];
        getrandom::fill(&mut chance).map_err(|error| Fault::new(ErrorCode::Internal, error.to_string()))?;
        let hold = format!("{:016x}", u64::from_le_bytes(chance));
        let report = barrier(&self.at_work.client(), vec![display_name(self.to)], &hold)?;
        Ok(Hlc::from_millis(report.at_ms).0)
    }
}
