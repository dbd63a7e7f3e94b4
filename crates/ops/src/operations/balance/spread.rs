//! Replicas that lie closer together than the labels of the nodes make necessary are moved apart.
//!
//! A cluster that has grown from one rack to three has its old partitions in the first one:
//!
//! ```text
//!                rack r1            rack r2    rack r3
//!                node 1   2   3     node 4     node 5     pairs that share a rack
//!   as it is          A   A   A         .          .      3
//!   first move        .   A   A         A          .      1
//!   second move       .   .   A         A          A      0
//! ```
//!
//! A move is worth its bytes if fewer pairs of the partition's replicas share their `dc` afterwards, or as many
//! and fewer share their `rack`, or as many and fewer their `host`. That number only ever falls, so no replica goes
//! to and fro, and where no move makes it fall the replicas lie as far apart as they can.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use api::catalog::PartitionRecord;
use catalog::place::{Candidate, SPREAD_LABELS};

use super::Move;
use crate::plan::target::Ledger;
use crate::sight::{Sight, count, replica_on};

/// Pairs that share their place, at each level.
type Pairs = [i64; 3];

/// Moves that spread replicas, and for each level how many partitions they are about.
#[derive(Default)]
pub(super) struct Apart {
    pub(super) moves: Vec<Move>,
    partitions: [usize; 3],
}

impl Apart {
    /// Why, for people.
    pub(super) fn notes(&self) -> impl Iterator<Item = String> {
        let known = SPREAD_LABELS.iter().zip(self.partitions).filter(|(_, partitions)| *partitions > 0);
        known.map(|(label, partitions)| {
            format!("replicas that share a {label} move apart first: {}", count(partitions, "partition"))
        })
    }
}

/// At most `most` moves. They are on the ledger afterwards.
pub(super) fn moves(sight: &Sight<'_>, ledger: &mut Ledger, most: usize) -> Apart {
    let mut apart = Apart::default();
    let places = Places::of(sight);
    if places.are_all_the_same() {
        return apart;
    }
    for partition in sight.catalog.partitions() {
        if sight.leader(partition.group).is_none() || sight.busy(partition.group).is_some() {
            continue;
        }
        let mut nodes: Vec<u64> = partition.replicas.iter().map(|replica| replica.node).collect();
        let mut level = None;
        while apart.moves.len() < most
            && let Some((fewer, from, to)) = best(sight, &places, ledger, partition, &nodes)
        {
            // The first is the one that gains most.
            level = level.or_else(|| fewer.iter().position(|pairs| *pairs != 0));
            // The catalog's replicas are light, and not on the ledger.
            if partition.table != 0 {
                ledger.add(sight, partition.group, to);
                ledger.remove(sight, partition.group, from);
            }
            nodes.iter_mut().filter(|node| **node == from).for_each(|node| *node = to);
            apart.moves.push(Move { group: partition.group, from, to });
        }
        if let Some(level) = level {
            apart.partitions[level] += 1;
        }
    }
    apart
}

/// The move that leaves the fewest pairs: of those to the lightest node, from the heaviest, best of a replica that
/// does not lead. `nodes` is where the replicas are after the moves so far; each of them moves once.
fn best(
    sight: &Sight<'_>,
    places: &Places,
    ledger: &Ledger,
    partition: &PartitionRecord,
    nodes: &[u64],
) -> Option<(Pairs, u64, u64)> {
    let leads = |node: u64| sight.leader_node(partition.group).is_some_and(|leader| leader.get() == node);
    let moves = |node: &&u64| {
        replica_on(partition, **node).is_some_and(|replica| !replica.offline) && sight.is_up(**node)
    };
    let mut best = None;
    for from in nodes.iter().filter(moves) {
        let stay: Vec<u64> = nodes.iter().copied().filter(|node| node != from).collect();
        let now = places.shared(*from, &stay);
        for to in sight.hosts(partition.group).filter(|to| !nodes.contains(&to.id)) {
            let then = places.shared(to.id, &stay);
            let change: Pairs = std::array::from_fn(|level| then[level] - now[level]);
            if change >= [0; 3] || ledger.check(sight, partition, to).is_err() {
                continue;
            }
            let weights = (ledger.weight(to.id), Reverse(ledger.weight(*from)));
            let rank = (change, weights, leads(*from), to.id, *from);
            if best.is_none_or(|known| rank < known) {
                best = Some(rank);
            }
        }
    }
    best.map(|(change, _, _, to, from)| (change, from, to))
}

/// Where nodes are.
struct Places {
    /// By node: at each level a number for the place that it is in.
    of: BTreeMap<u64, [usize; 3]>,
    /// How many places there are at each level.
    count: [usize; 3],
}

impl Places {
    fn of(sight: &Sight<'_>) -> Self {
        // Rack 1 of one data centre is not rack 1 of another, so a place is named with those around it.
        let mut known: [BTreeMap<Vec<String>, usize>; 3] = Default::default();
        let mut of = BTreeMap::new();
        for node in sight.catalog.nodes() {
            let labels = Candidate::of(node).labels;
            let numbers = std::array::from_fn(|level| {
                let next = known[level].len();
                *known[level].entry(labels[..=level].to_vec()).or_insert(next)
            });
            of.insert(node.id, numbers);
        }
        Self { of, count: known.map(|known| known.len()) }
    }

    fn are_all_the_same(&self) -> bool {
        self.count.iter().all(|count| *count <= 1)
    }

    /// How many of some nodes are in the same place as one, at each level.
    fn shared(&self, node: u64, others: &[u64]) -> Pairs {
        let place = |node: u64| self.of.get(&node).copied().unwrap_or_default();
        let own = place(node);
        std::array::from_fn(|level| {
            others.iter().filter(|other| place(**other)[level] == own[level]).count() as i64
        })
    }
}
