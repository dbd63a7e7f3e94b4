//! `balance`: replicas are spread over the places that the labels of the nodes name and evened out by bytes, leaders
//! by load.
//!
//! First those replicas move apart that lie closer together than they need, see [`spread`]. Then replicas go one by
//! one from the node with the most to the one with the least, as long as that makes the two more alike and brings no
//! replica closer to the others of its partition. For leaders see [`leaders`]; only those of partitions whose replicas
//! stay are moved.

mod leaders;
mod spread;

use std::collections::BTreeSet;

use api::admin::OperationRequest;
use api::catalog::{NodeRecord, PartitionRecord};
use api::operation::{BalanceWish, MoveReplica, OperationKind};
use catalog::Role;
use types::{Fault, NodeId};

use crate::plan::target::{Ledger, REPLICA_WEIGHT, lies_closer};
use crate::plan::{Draft, joined};
use crate::sight::{Sight, replica_on};

/// Most replicas that one run moves: the plan is to be read by people, and the next run goes on.
const MOVES_MAX: usize = 256;
/// A difference below this part of the heavier node's weight is not worth a move.
const WORTH_PART: u64 = 10;

pub(super) fn plan(sight: &Sight<'_>, request: &OperationRequest) -> Result<Draft, Fault> {
    let both = !request.replicas && !request.leaders;
    let wish = BalanceWish { replicas: request.replicas || both, leaders: request.leaders || both };
    match joined::in_parts(sight, &OperationKind::Balance(wish), &[], &[])? {
        Some(joins) => Ok(joins),
        None => Ok(draft(sight, wish, BTreeSet::new())),
    }
}

/// A replica that goes from one node to another.
struct Move {
    group: u64,
    from: u64,
    to: u64,
}

/// What would even out the cluster. Leaders of the partitions in `rest` are left alone.
pub(crate) fn draft(sight: &Sight<'_>, wish: BalanceWish, rest: BTreeSet<u64>) -> Draft {
    let mut draft = Draft { parent: Some(OperationKind::Balance(wish)), ..Draft::default() };
    if wish.replicas {
        let mut ledger = Ledger::of(sight);
        let apart = spread::moves(sight, &mut ledger, MOVES_MAX);
        draft.notes.extend(apart.notes());
        let moves = even_weight(sight, &mut ledger, apart.moves);
        draft.parts.extend(
            moves
                .into_iter()
                .map(|Move { group, from, to }| OperationKind::Migrate(MoveReplica { group, from, to })),
        );
    }
    if wish.leaders {
        let mut stay = rest;
        stay.extend(draft.parts.iter().filter_map(crate::kind::group));
        let evened = leaders::even(sight, &stay);
        draft.parts.extend(evened.parts);
        draft.notes.extend(evened.notes);
    }
    draft
}

/// Nodes that take part: they host tables, are up, and were not told to stay out.
fn nodes<'a>(sight: &Sight<'a>) -> Vec<&'a NodeRecord> {
    let takes_part = |node: &&NodeRecord| {
        let flags = sight.catalog.flags(NodeId(node.id));
        Role::Data.of(node) && sight.is_up(node.id) && !flags.leaving && !flags.offline
    };
    sight.catalog.nodes().filter(takes_part).collect()
}

/// Adds the moves that even out weight to those that are planned already. A partition that is to move is left alone.
fn even_weight(sight: &Sight<'_>, ledger: &mut Ledger, mut planned: Vec<Move>) -> Vec<Move> {
    let nodes = nodes(sight);
    let mut moved: BTreeSet<u64> = planned.iter().map(|planned| planned.group).collect();
    let mut evening = Vec::new();
    while planned.len() + evening.len() < MOVES_MAX {
        let Some(next) = next_move(sight, &nodes, ledger, &moved) else { break };
        ledger.add(sight, next.group, next.to);
        ledger.remove(sight, next.group, next.from);
        moved.insert(next.group);
        evening.push(next);
    }
    evening.sort_by_key(|planned| planned.group);
    planned.extend(evening);
    planned
}

/// The best move from the heaviest node that has one: to the lightest node that can take it, of the replica
/// that evens the two out best.
fn next_move(
    sight: &Sight<'_>,
    nodes: &[&NodeRecord],
    ledger: &Ledger,
    moved: &BTreeSet<u64>,
) -> Option<Move> {
    let mut sorted: Vec<&NodeRecord> = nodes.to_vec();
    sorted.sort_by_key(|node| (ledger.weight(node.id), node.id));
    for from in sorted.iter().rev() {
        for to in &sorted {
            let (heavy, light) = (ledger.weight(from.id), ledger.weight(to.id));
            let gap = heavy.saturating_sub(light);
            if gap <= (heavy / WORTH_PART).max(REPLICA_WEIGHT) {
                break;
            }
            let fits = |partition: &&PartitionRecord| {
                partition.table != 0
                    && !moved.contains(&partition.group)
                    && replica_on(partition, from.id).is_some_and(|replica| !replica.offline)
                    && sight.leader(partition.group).is_some()
                    && sight.busy(partition.group).is_none()
                    && weight(sight, partition) < gap
                    && ledger.check(sight, partition, to).is_ok()
                    && !lies_closer(sight, partition, from.id, to)
            };
            let left = |partition: &&PartitionRecord| {
                let weight = weight(sight, partition);
                ((heavy - weight).abs_diff(light + weight), partition.group)
            };
            if let Some(best) = sight.catalog.partitions().filter(fits).min_by_key(left) {
                return Some(Move { group: best.group, from: from.id, to: to.id });
            }
        }
    }
    None
}

fn weight(sight: &Sight<'_>, partition: &PartitionRecord) -> u64 {
    sight.bytes(partition.group) + REPLICA_WEIGHT
}
