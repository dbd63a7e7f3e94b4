//! What the cluster does by itself: replace, top up, balance, keep drained nodes from leading, and tidy up permits.
//!
//! Whatever moves data waits until the cluster looks as if it could be trusted: when many nodes look dead at
//! once, it is more likely the network, or the one that looks. In manual mode nothing moves without a command. A group
//! that has not begun has nothing to move: see `founders`.

use std::collections::BTreeSet;

use api::catalog::CatalogOp;
use api::operation::{
    BalanceWish, MoveReplica, OperationKind, OperationRecord, OperationState, OptimizeWish, PermitChange,
};
use catalog::status::NodeState;
use types::settings::{
    AUTO_BALANCE, AUTO_FAILOVER, AUTOMATION_STOPS_AT, OPTIMIZE_EVERY_H, OPTIMIZE_FROM_MINUTE,
    OPTIMIZE_UNTIL_MINUTE, REPLACE_AFTER_S,
};
use types::{NodeId, OperationId, ReplicaId};

use crate::executor::memory::Memory;
use crate::executor::{Directive, Work, cancel};
use crate::founders;
use crate::kind;
use crate::operations::{balance, optimize};
use crate::permits;
use crate::plan::Draft;
use crate::plan::target::Ledger;
use crate::schedules;
use crate::sight::{Sight, replica_on};
use crate::top_up::{self, TOPS_UP};

/// Who asked for the replacement of a dead node's replicas.
pub(crate) const REPLACES: &str = "automation: replace";
/// Who asked for balance.
pub(crate) const BALANCES: &str = "automation: balance";
/// Who asked for compaction.
pub(crate) const OPTIMIZES: &str = "automation: optimize";

/// Replacements that one look begins at most; they wait for the limits on moves anyway.
const REPLACED_AT_ONCE_MAX: usize = 32;
/// How long automation leaves a partition alone where it has failed, in milliseconds.
pub(crate) const BACK_OFF_MS: u64 = 600_000;
/// How often it looks whether something is to be evened out, in milliseconds.
const BALANCE_EVERY_MS: u64 = 60_000;
/// How long a leader stays where it has put it, in milliseconds: loads that rise and fall take no leader along with
/// them.
const LEADER_RESTS_MS: u64 = 600_000;
const HOUR_MS: u64 = 3_600_000;

pub(crate) fn step(sight: &Sight<'_>, memory: &mut Memory, work: &mut Work) {
    if sight.catalog.cluster().is_none() {
        return;
    }
    end_permits(sight, work);
    move_unwanted_leaders(sight, memory, work);
    end_what_is_not_needed(sight, work);
    schedules::step(sight, work);
    founders::choose(sight, work);
    top_up::notice(sight, memory);
    if sight.catalog.setting(&AUTO_FAILOVER) == 0 || too_many_look_dead(sight) {
        return;
    }
    replace(sight, work);
    top_up::step(sight, memory, work);
    even_out(sight, memory, work);
    compact_everything(sight, work);
}

/// A permit whose time has passed ends when its node is healthy again.
fn end_permits(sight: &Sight<'_>, work: &mut Work) {
    for permit in sight.catalog.permits().filter(|permit| permits::is_over(sight, permit)) {
        let (holder, until_ms) = (permit.holder.clone(), permit.until_ms);
        let change = PermitChange { release: permit.node, holder, until_ms, ..Default::default() };
        work.commands.push(CatalogOp::Permit(change));
    }
}

/// An election may put a leader on a node that shall lead nothing. It moves on when somebody else can lead.
fn move_unwanted_leaders(sight: &Sight<'_>, memory: &mut Memory, work: &mut Work) {
    let flagged = sight.catalog.nodes().any(|node| sight.shall_not_lead(node.id));
    if !flagged {
        return;
    }
    for partition in sight.catalog.partitions() {
        let Some(leader) = sight.seen(partition.group).and_then(|seen| seen.leader) else { continue };
        if !sight.shall_not_lead(leader.node.get()) || sight.busy(partition.group).is_some() {
            continue;
        }
        let heirs = sight.heirs(partition, leader.replica.get());
        let Some(heir) = heirs.into_iter().find(|heir| !sight.shall_not_lead(heir.node)) else { continue };
        let directive = Directive::MoveLeader { group: partition.group.into(), to: ReplicaId(heir.id) };
        if memory.tell(&directive, 0, sight.observed.wall_ms) {
            work.directives.push(directive);
        }
    }
}

/// Whether so many nodes look dead that it may not be them.
fn too_many_look_dead(sight: &Sight<'_>) -> bool {
    let counted = |id: &NodeId| !sight.catalog.flags(*id).offline;
    let nodes: Vec<_> = sight.observed.nodes.iter().filter(|(id, _)| counted(id)).collect();
    let dead = nodes.iter().filter(|(_, seen)| seen.state != NodeState::Up).count() as u64;
    let limit = sight.catalog.setting(&AUTOMATION_STOPS_AT);
    !nodes.is_empty() && dead * 100 >= limit * nodes.len() as u64
}

/// Replicas of nodes that have been down for long are made anew elsewhere.
fn replace(sight: &Sight<'_>, work: &mut Work) {
    let after_ms = u128::from(sight.catalog.setting(&REPLACE_AFTER_S)) * 1000;
    if after_ms == 0 {
        return;
    }
    let long_dead = |node: u64| {
        let seen = sight.observed.nodes.get(&NodeId(node));
        // One that was stopped with a permit is expected back until the permit's time is over.
        let permit = sight.catalog.permit(NodeId(node));
        let expected = permit.is_some_and(|permit| sight.observed.wall_ms < permit.until_ms);
        let is_long_dead =
            seen.is_some_and(|seen| seen.state == NodeState::Down && seen.age.as_millis() >= after_ms);
        is_long_dead && !expected
    };
    if !sight.catalog.nodes().any(|node| long_dead(node.id)) {
        return;
    }
    let mut ledger = Ledger::of_steady(sight);
    let mut begun = 0;
    for partition in sight.catalog.partitions() {
        let group = partition.group;
        let dead = partition.replicas.iter().find(|replica| long_dead(replica.node) && !replica.offline);
        let Some(dead) = dead.filter(|_| begun < REPLACED_AT_ONCE_MAX) else { continue };
        let free = sight.leader(group).is_some() && sight.busy(group).is_none();
        if !free || failed_lately(sight, group) {
            continue;
        }
        // Where there is no room the partition stays as it is; status says so.
        let Ok(to) = ledger.best(sight, partition, Some(dead.node), &[]) else { continue };
        ledger.add(sight, group, to);
        begun += 1;
        let part = OperationKind::Migrate(MoveReplica { group, from: dead.node, to });
        let draft = Draft { parts: vec![part], ..Draft::default() };
        work.commands.push(CatalogOp::Operate(draft.finish(sight, REPLACES).start));
    }
}

fn failed_lately(sight: &Sight<'_>, group: u64) -> bool {
    sight.catalog.operations().any(|known| {
        known.group == Some(group)
            && known.by == REPLACES
            && known.state() == OperationState::Failed
            && sight.observed.wall_ms.abs_diff(known.ended_ms) < BACK_OFF_MS
    })
}

/// A node that comes back before its replicas were replaced keeps them, and a partition of which fewer replicas are
/// wished meanwhile gets no more.
fn end_what_is_not_needed(sight: &Sight<'_>, work: &mut Work) {
    let updated = |op: &CatalogOp| match op {
        CatalogOp::Operate(change) => change.update.iter().map(|record| record.id).collect(),
        _ => Vec::new(),
    };
    let goes_on: BTreeSet<u64> = work.commands.iter().flat_map(updated).collect();
    for operation in sight.catalog.operations() {
        let over = operation.state().has_ended() || operation.cancelling;
        if over || goes_on.contains(&operation.id) {
            continue;
        }
        let is_needless = match operation.by.as_str() {
            REPLACES => is_back(sight, operation),
            TOPS_UP => top_up::is_needless(sight, operation),
            _ => false,
        };
        if is_needless && !kind::is_past_return(operation) {
            let id = OperationId(operation.id);
            if let Ok(change) = cancel(sight.catalog, id, sight.observed.wall_ms) {
                work.commands.push(CatalogOp::Operate(change));
            }
        }
    }
}

fn is_back(sight: &Sight<'_>, operation: &OperationRecord) -> bool {
    let Some(OperationKind::Migrate(moved)) = &operation.kind else { return false };
    let Some(partition) = sight.partition(moved.group) else { return false };
    let replica = replica_on(partition, moved.from);
    replica
        .is_some_and(|replica| sight.votes(partition, replica.id) && sight.in_sync(moved.group, replica.id))
}

/// When nothing else goes on and everything is well.
fn even_out(sight: &Sight<'_>, memory: &mut Memory, work: &mut Work) {
    let now = sight.observed.wall_ms;
    let recently = memory.balanced_ms.is_some_and(|at| now.abs_diff(at) < BALANCE_EVERY_MS);
    let idle = sight.catalog.operations().all(|known| known.state().has_ended());
    // Whatever a node that flaps is given it loses again within the minute, and gives back to the others.
    let calm =
        sight.missing_nodes().next().is_none() && !sight.catalog.nodes().any(|node| sight.flaps(node.id));
    if sight.catalog.setting(&AUTO_BALANCE) == 0 || recently || !idle || !calm {
        return;
    }
    memory.balanced_ms = Some(now);
    let wish = BalanceWish { replicas: true, leaders: true };
    let draft = balance::draft(sight, wish, groups_at_rest(sight));
    if !draft.parts.is_empty() {
        work.commands.push(CatalogOp::Operate(draft.finish(sight, BALANCES).start));
    }
}

/// Partitions whose leader was moved to even out leaders a while ago.
fn groups_at_rest(sight: &Sight<'_>) -> BTreeSet<u64> {
    let rests = |known: &&OperationRecord| {
        let moved = matches!(known.kind, Some(OperationKind::ChangeLeader(_))) && known.by == BALANCES;
        moved && sight.observed.wall_ms.abs_diff(known.ended_ms) < LEADER_RESTS_MS
    };
    sight.catalog.operations().filter(rests).filter_map(|known| known.group).collect()
}

/// Everything is compacted when the last time is long enough ago, at the time of day at which it may begin, and when
/// everything is well. The last time stands in the records of operations; where it was forgotten, it was never.
fn compact_everything(sight: &Sight<'_>, work: &mut Work) {
    let hours = sight.catalog.setting(&OPTIMIZE_EVERY_H);
    let now = sight.observed.wall_ms;
    if hours == 0 || !is_in_window(sight, now) || sight.missing_nodes().next().is_some() {
        return;
    }
    let everything = OptimizeWish::default();
    let is_one = |known: &&OperationRecord| matches!(&known.kind, Some(OperationKind::Optimize(_)));
    let goes_on = sight.catalog.operations().filter(is_one).any(|known| !known.state().has_ended());
    let was = |known: &OperationRecord| known.kind == Some(OperationKind::Optimize(everything.clone()));
    let last = sight.catalog.operations().filter(|known| was(known)).map(|known| known.created_ms).max();
    let is_recent = last.is_some_and(|last| now.saturating_sub(last) < hours * HOUR_MS);
    if goes_on || is_recent {
        return;
    }
    let draft = optimize::draft(sight, everything);
    work.commands.push(CatalogOp::Operate(draft.finish(sight, OPTIMIZES).start));
}

/// Whether compaction may begin at this time of the day; the window may go over midnight.
fn is_in_window(sight: &Sight<'_>, now: u64) -> bool {
    let minute = now / 60_000 % (24 * 60);
    let from = sight.catalog.setting(&OPTIMIZE_FROM_MINUTE);
    let until = sight.catalog.setting(&OPTIMIZE_UNTIL_MINUTE);
    match from <= until {
        true => (from..until).contains(&minute),
        false => minute >= from || minute < until,
    }
}
