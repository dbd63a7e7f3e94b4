//! Partitions with fewer replicas than their table wishes get more, by themselves.
//!
//! A partition may be short because its majority was given up, because a table was to get more replicas and a part of
//! that failed, or because somebody took one away. None of it is urgent: it waits as long as a dead node's replicas do,
//! so that whoever is at work can finish, and it goes one replica at a time. A table that is to have fewer replicas is
//! told so by `set-replicas`.

use api::catalog::{CatalogOp, PartitionRecord};
use api::operation::{OnPartition, OperationKind, OperationRecord, OperationState};
use catalog::mutant;
use types::TableId;
use types::settings::{AUTO_FAILOVER, REPLACE_AFTER_S};

use crate::automation::BACK_OFF_MS;
use crate::executor::Work;
use crate::executor::memory::Memory;
use crate::hints;
use crate::kind;
use crate::plan::Draft;
use crate::plan::target::Ledger;
use crate::sight::{Sight, count, replica_of, replica_on};

/// Who asked for them.
pub(crate) const TOPS_UP: &str = "automation: top up";

/// Replicas that one look asks for at most; they wait for the limits on moves anyway.
const TOPPED_UP_AT_ONCE_MAX: usize = 32;

/// Why a partition is short, and what would help.
pub(crate) struct Short {
    /// In a sentence.
    pub(crate) why: String,
    /// What to type; empty if it goes on by itself.
    pub(crate) unblock: String,
}

/// Notes since when each partition is short.
pub(crate) fn notice(sight: &Sight<'_>, memory: &mut Memory) {
    let now = sight.observed.wall_ms;
    let short = sight.catalog.partitions().filter(|partition| sight.catalog.lacks(partition) > 0);
    let since = |group: u64| memory.short_since.get(&group).map_or(now, |since| now.min(*since));
    memory.short_since = short.map(|partition| (partition.group, since(partition.group))).collect();
}

/// Asks for one replica more of every partition that has been short for long enough.
pub(crate) fn step(sight: &Sight<'_>, memory: &Memory, work: &mut Work) {
    let after_ms = sight.catalog.setting(&REPLACE_AFTER_S) * 1000;
    if after_ms == 0 || memory.short_since.is_empty() || mutant!(ShortForgotten) {
        return;
    }
    let is_due = |partition: &&PartitionRecord| {
        let since = memory.short_since.get(&partition.group);
        since.is_some_and(|since| sight.observed.wall_ms.saturating_sub(*since) >= after_ms)
    };
    let mut ledger = Ledger::of_steady(sight);
    let mut begun = 0;
    for partition in sight.catalog.partitions().filter(is_due) {
        let group = partition.group;
        let is_free = sight.leader(group).is_some() && sight.busy(group).is_none();
        if begun == TOPPED_UP_AT_ONCE_MAX || !is_free || given_up_lately(sight, group) {
            continue;
        }
        // Where there is no room the partition stays as it is; its explanation says so.
        let Ok(node) = ledger.best(sight, partition, None, &[]) else { continue };
        ledger.add(sight, group, node);
        begun += 1;
        let part = OperationKind::AddReplica(OnPartition { group, node });
        let draft = Draft { parts: vec![part], ..Draft::default() };
        work.commands.push(CatalogOp::Operate(draft.finish(sight, TOPS_UP).start));
    }
}

/// Whether a partition that is being topped up has as many replicas as its table wishes without it.
pub(crate) fn is_needless(sight: &Sight<'_>, operation: &OperationRecord) -> bool {
    let partition = operation.group.and_then(|group| sight.partition(group));
    partition.is_some_and(|partition| {
        let is_made = replica_of(partition, operation.made_replica).is_some();
        sight.catalog.lacks(partition) == 0 && (!is_made || has_too_many(sight, partition))
    })
}

/// Whether a partition has more replicas than its table wishes, those aside that an operation takes away already.
pub(crate) fn has_too_many(sight: &Sight<'_>, partition: &PartitionRecord) -> bool {
    let table = sight.catalog.table(TableId(partition.table));
    let leaves = |known: &&OperationRecord| {
        let node = known.kind.as_ref().and_then(|kind| kind::source_node(kind, None));
        let takes = matches!(known.kind, Some(OperationKind::Migrate(_) | OperationKind::RemoveReplica(_)));
        takes && node.is_some_and(|node| replica_on(partition, node).is_some())
    };
    let leaving = sight.under_way(partition.group).filter(leaves).count();
    table.is_some_and(|table| partition.replicas.len().saturating_sub(leaving) > table.replicas as usize)
}

/// Whether it came to nothing a short while ago. Somebody who cancels it has a reason as well.
fn given_up_lately(sight: &Sight<'_>, group: u64) -> bool {
    sight.catalog.operations().any(|known| {
        known.group == Some(group)
            && known.by == TOPS_UP
            && matches!(known.state(), OperationState::Failed | OperationState::Cancelled)
            && sight.observed.wall_ms.abs_diff(known.ended_ms) < BACK_OFF_MS
    })
}

/// Why a partition that is short is not topped up yet.
pub(crate) fn explain(sight: &Sight<'_>, partition: &PartitionRecord) -> Option<Short> {
    let lacks = sight.catalog.lacks(partition);
    if lacks == 0 {
        return None;
    }
    let table = sight.table_name(partition);
    let wished = partition.replicas.len() + lacks;
    let has =
        format!("it has {} of the {wished} that {table} wishes", count(partition.replicas.len(), "replica"));
    let by_hand = hints::add_replica(sight, partition);
    let after_s = sight.catalog.setting(&REPLACE_AFTER_S);
    let (why, unblock) = if sight.leader(partition.group).is_none() {
        (format!("{has}, and without a leader it can get no more"), String::new())
    } else if sight.busy(partition.group).is_some() {
        (format!("{has}, and an operation on it goes on"), String::new())
    } else if let Err(fault) = Ledger::of_steady(sight).best(sight, partition, None, &[]) {
        (format!("{has}, and there is no room for more: {}", fault.detail), "skein node add".into())
    } else if sight.catalog.setting(&AUTO_FAILOVER) == 0 {
        (format!("{has}; auto_failover is false: it gets more only by command"), by_hand)
    } else if after_s == 0 {
        (format!("{has}; replace_after_s is 0: it gets more only by command"), by_hand)
    } else if given_up_lately(sight, partition.group) {
        (format!("{has}; to give it more has failed or was cancelled, and is tried again later"), by_hand)
    } else {
        (format!("{has}; it gets more by itself once it has been so for {after_s} s"), by_hand)
    };
    Some(Short { why, unblock })
}
