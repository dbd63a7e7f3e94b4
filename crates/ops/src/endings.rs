//! Operations that have ended since the last look, for the log.
//!
//! An operation ends in many ways: at its last step, by a command that cancels it, because its table was dropped. So
//! ends are not told where they are decided, but where they are seen: by comparing the catalog with what went on when
//! it was looked at last.
//!
//! Every node that replicates the catalog looks, and only the one that leads it tells. So one that begins to lead tells
//! of what ends from then on, and not again what another one has told. An end that was decided by a leader which died
//! before its next look, and that its successor had seen already, is told by nobody; `op explain` still knows it.

use std::collections::BTreeSet;

use api::operation::{OperationRecord, OperationState};
use catalog::Catalog;
use types::{CatalogVersion, Fault, OperationId};

use crate::sight::Sight;
use crate::{Observed, kind, show};

/// What went on at the last look.
#[derive(Debug, Default)]
pub struct Endings {
    last: Option<Last>,
}

/// The last look.
#[derive(Debug)]
struct Last {
    version: CatalogVersion,
    active: BTreeSet<u64>,
    /// Greater than the id of every operation that there was.
    next: u64,
}

/// An operation that has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// Which.
    pub id: OperationId,
    /// The operation that it is a part of.
    pub parent: Option<OperationId>,
    /// What it was to do, in a sentence without an end.
    pub what: String,
    /// The table of the partition that it is about, unless that was dropped.
    pub table: Option<String>,
    /// The index of that partition.
    pub partition: Option<u64>,
    /// How it has ended.
    pub how: OperationState,
    /// Why it failed, or why it was cancelled by itself: the words of `op explain`.
    pub fault: Option<Fault>,
    /// Who asked for it.
    pub by: String,
}

impl Endings {
    /// The operations that have ended since the last look, by id. The first look finds none: whatever has ended before
    /// was somebody else's to tell.
    pub fn look(&mut self, catalog: &Catalog) -> Vec<Ended> {
        let version = catalog.version();
        if self.last.as_ref().is_some_and(|last| last.version == version) {
            return Vec::new();
        }
        let is_news = |record: &&OperationRecord| {
            let last = self.last.as_ref();
            let went_on = last.is_some_and(|last| last.active.contains(&record.id) || record.id >= last.next);
            went_on && record.state().has_ended()
        };
        let ended = catalog.operations().filter(is_news).map(|record| ended(catalog, record)).collect();
        let before = self.last.as_ref().map_or(0, |last| last.next);
        let next = catalog.operations().map(|record| record.id + 1).max().unwrap_or(0).max(before);
        let active = catalog.operations().filter(|record| !record.state().has_ended());
        self.last = Some(Last { version, active: active.map(|record| record.id).collect(), next });
        ended
    }
}

fn ended(catalog: &Catalog, record: &OperationRecord) -> Ended {
    // What it is called needs nothing that was seen.
    let nothing = Observed::default();
    let sight = Sight::new(catalog, &nothing);
    let partition = record.group.and_then(|group| sight.partition(group));
    let what = record.kind.as_ref().map(|kind| kind::what(&sight, kind, record.group.is_some()));
    Ended {
        id: OperationId(record.id),
        parent: Some(OperationId(record.parent)).filter(|_| record.parent != 0),
        what: what.unwrap_or_default(),
        table: partition.map(|partition| sight.table_name(partition)),
        partition: partition.map(|partition| partition.index),
        how: record.state(),
        fault: show::fault(record),
        by: record.by.clone(),
    }
}
