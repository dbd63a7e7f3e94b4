//! `replicate` and `open`: tables that a restore made get their replicas, and then clients.
//!
//! Until all of it is written each partition of such a table has one replica. Its state is copied to the others by parts
//! of the operation, which begin a few tables at a time, in one command with the operation's record, so that each begins
//! once whoever leads; each ends with the hashes of all replicas, which must be equal. Only then are tables opened.

use api::catalog::{CatalogOp, TableName, TableRecord};
use api::operation::{Edit, OperationKind, OperationRecord, ReplicasWish};
use api::restoring::{RestoreTable, RestoreWish};
use types::limits::OPERATIONS_AT_ONCE_MAX;
use types::{ErrorCode, Fault};

use super::{Doing, Look, Outcome, Wait, look_at_parts};
use crate::kind;
use crate::operations::set_replicas;
use crate::plan::new_record;
use crate::plan::target::Ledger;
use crate::sight::Sight;

/// So many parts are enough at once: a whole cluster may have more partitions than there may be operations.
const TOGETHER_MAX: usize = OPERATIONS_AT_ONCE_MAX / 4;

pub(super) fn look_at_replicate(doing: &Doing<'_>) -> Look {
    let so_far = look_at_parts(doing);
    let (Outcome::Done, OperationKind::Restore(wish)) = (&so_far.outcome, doing.kind) else { return so_far };
    let sight = doing.sight;
    let (mut edits, mut kinds) = (Vec::new(), Vec::new());
    let mut ledger = Ledger::of(sight);
    for of in wish.made() {
        let table = match closed(sight, wish, of) {
            Ok(table) => table,
            Err(fault) => return Look { outcome: Outcome::Failed(fault), ..Look::default() },
        };
        match set_replicas::missing(sight, table, of.replicas, &mut ledger) {
            Ok(missing) => kinds.extend(missing),
            Err(fault) => return Look::waits(Wait::blocked(fault.detail, None)),
        }
        if table.replicas < of.replicas {
            let replicas = ReplicasWish { table: table.id, replicas: of.replicas };
            edits.push(Edit::SetReplicas(replicas));
        }
        if kinds.len() >= TOGETHER_MAX {
            break;
        }
    }
    if kinds.is_empty() && edits.is_empty() {
        return Look::done();
    }
    let parts = kinds.into_iter().map(|part| part_of(doing, part)).collect();
    Look { edits, parts, ..Look::waits(Wait::queued("replicas are made")) }
}

fn part_of(doing: &Doing<'_>, part: OperationKind) -> OperationRecord {
    let (by, now) = (&doing.operation.by, doing.sight.observed.wall_ms);
    let group = kind::group(&part);
    let steps = kind::partition_steps(&part, false);
    OperationRecord { parent: doing.operation.id, ..new_record(part, group, steps, by, now) }
}

/// A table that was made for the restore and serves nobody yet.
fn closed<'a>(sight: &Sight<'a>, wish: &RestoreWish, of: &RestoreTable) -> Result<&'a TableRecord, Fault> {
    let found = sight.catalog.find(&of.to).filter(|table| table.restoring == wish.backup);
    found.ok_or_else(|| dropped(of))
}

fn dropped(of: &RestoreTable) -> Fault {
    Fault::new(ErrorCode::UnknownTable, format!("{} was dropped while it was restored", of.to))
}

/// The catalog opens a table once it knows that all of its replicas are there.
pub(super) fn look_at_open(doing: &Doing<'_>) -> Look {
    let OperationKind::Restore(wish) = doing.kind else { return Look::done() };
    let mut commands = Vec::new();
    for of in wish.made() {
        let Some(table) = doing.sight.catalog.find(&of.to) else {
            let Fault { code, detail } = dropped(of);
            return Look::failed(code, detail);
        };
        if table.restoring == wish.backup {
            let name = TableName { namespace: table.namespace.clone(), name: table.name.clone() };
            commands.push(CatalogOp::Restored(name));
        }
    }
    if commands.is_empty() {
        return Look::done();
    }
    let why = "the catalog has to hear of all replicas before clients are served".to_owned();
    Look { commands, ..Look::waits(Wait::blocked(why, None)) }
}
