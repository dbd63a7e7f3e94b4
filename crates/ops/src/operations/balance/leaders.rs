//! Leaders are evened out by load, and those that nobody asks by number.
//!
//! The load of a node is what the leaders on it are asked, in requests per second. One node after the other gives
//! leaders away, the most loaded one first:
//!
//! ```text
//!                      node 1                 node 2
//!   asked              A 40  B 30  C 30       D 20      gap 80, A is half of it
//!   A moves            B 30  C 30             D 20 A 40
//! ```
//!
//! Nothing goes to and fro:
//!
//! - A leader moves only if its load is at most two thirds of the gap between the two nodes ([`GAP_PARTS`]): if the gap
//!   turns round by that, it is at most a third as wide.
//! - What a node gives away must make its load clearly less ([`CLEARLY_PART`]); otherwise it keeps everything. So the
//!   loads must drift far apart before they are evened out again, and then they are evened out completely.
//! - Loads are smoothed, and a leader says nothing while it is new. As long as one does not, and others are asked for
//!   anything, leaders stay where they are.
//!
//! The leaders without load ([`WORTH_PER_SECOND`]) are then evened out by number, as far as the nodes allow: see
//! [`place::even_leaders`]. The others stay where their load has put them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use api::operation::{OnPartition, OperationKind};
use catalog::place;
use types::{NodeId, limits};

use crate::sight::{Sight, count};

/// Requests per second below which a leader is idle, and a difference of loads nothing to move a leader for.
const WORTH_PER_SECOND: u64 = 10;
/// A node's load is clearly less if this part of it is gone: one tenth.
const CLEARLY_PART: u64 = 10;
/// A leader moves if its load is at most this part of the gap: two of three.
const GAP_PARTS: (u64, u64) = (2, 3);
/// Nodes and partitions that a note names at most.
const NAMED_MAX: usize = 8;

/// Who shall lead, and why.
#[derive(Default)]
pub(super) struct Evened {
    pub(super) parts: Vec<OperationKind>,
    pub(super) notes: Vec<String>,
}

/// A partition that is led.
struct Led {
    group: u64,
    /// Who leads it now.
    before: NodeId,
    /// Who shall.
    leader: NodeId,
    /// Who else could.
    heirs: Vec<NodeId>,
    load: Option<u64>,
}

impl Led {
    fn per_second(&self) -> u64 {
        self.load.unwrap_or(0)
    }

    fn is_idle(&self) -> bool {
        self.per_second() < WORTH_PER_SECOND
    }

    fn moves(&self) -> bool {
        self.leader != self.before
    }
}

/// Evens out who leads. The leaders of partitions in `stay` remain.
pub(super) fn even(sight: &Sight<'_>, stay: &BTreeSet<u64>) -> Evened {
    let mut all = led(sight, stay);
    let mut evened = Evened::default();
    if !all.iter().all(Led::is_idle) {
        let unknown: Vec<u64> = all.iter().filter(|led| led.load.is_none()).map(|led| led.group).collect();
        if !unknown.is_empty() {
            evened.notes.push(not_yet(sight, &unknown));
            return evened;
        }
        even_load(&mut all);
        evened.notes.extend(difference("requests per second to leaders", &all, Led::per_second));
    }
    even_number(&mut all);
    evened.notes.extend(difference("leaders", &all, |_| 1));
    evened.parts.extend(
        all.iter()
            .filter(|led| led.moves())
            .map(|led| OperationKind::ChangeLeader(OnPartition { group: led.group, node: led.leader.get() })),
    );
    evened
}

/// The tables' partitions that are led. Those that are to stay, or that something else works on, have no heirs.
fn led(sight: &Sight<'_>, stay: &BTreeSet<u64>) -> Vec<Led> {
    let mut all = Vec::new();
    for partition in sight.catalog.partitions().filter(|partition| partition.table != 0) {
        let group = partition.group;
        let Some(seen) = sight.seen(group) else { continue };
        let Some(leader) = seen.leader else { continue };
        let mut heirs = Vec::new();
        if !stay.contains(&group) && sight.busy(group).is_none() {
            let able = sight.heirs(partition, leader.replica.get());
            let willing = able.iter().filter(|heir| !sight.shall_not_lead(heir.node));
            heirs.extend(willing.map(|heir| NodeId(heir.node)));
        }
        all.push(Led { group, before: leader.node, leader: leader.node, heirs, load: seen.load });
    }
    all
}

/// Nodes give leaders away, the most loaded first, until none can make its load clearly less.
fn even_load(all: &mut [Led]) {
    loop {
        let loads = by_node(all, |led| (led.leader, led.per_second()));
        let mut nodes: Vec<(u64, NodeId)> = loads.iter().map(|(node, load)| (*load, *node)).collect();
        nodes.sort_by_key(|(load, node)| (Reverse(*load), *node));
        if !nodes.into_iter().any(|(_, node)| give_away(all, loads.clone(), node)) {
            return;
        }
    }
}

/// A node gives leaders away as long as that evens it out with those that get them. If its load is not clearly less
/// then, everything stays as it was. Whether it has given.
fn give_away(all: &mut [Led], mut loads: BTreeMap<NodeId, u64>, from: NodeId) -> bool {
    let of = |loads: &BTreeMap<NodeId, u64>, node: NodeId| loads.get(&node).copied().unwrap_or(0);
    let full = of(&loads, from);
    let mut given = Vec::new();
    while let Some((place, to)) = best_gift(all, &loads, from) {
        let load = all[place].per_second();
        *loads.entry(from).or_default() -= load;
        *loads.entry(to).or_default() += load;
        all[place].leader = to;
        given.push(place);
    }
    let gone = full - of(&loads, from);
    let clearly_less = gone >= (full / CLEARLY_PART).max(WORTH_PER_SECOND);
    if !clearly_less {
        given.iter().for_each(|place| all[*place].leader = all[*place].before);
    }
    clearly_less
}

/// The leader of a node, and who gets it, that leaves the more loaded of the two with the least. Each moves once.
fn best_gift(all: &[Led], loads: &BTreeMap<NodeId, u64>, from: NodeId) -> Option<(usize, NodeId)> {
    let of = |node: NodeId| loads.get(&node).copied().unwrap_or(0);
    let mut best = None;
    for (place, led) in all.iter().enumerate() {
        if led.leader != from || led.moves() || led.is_idle() {
            continue;
        }
        let load = led.per_second();
        for to in &led.heirs {
            let gap = of(from).saturating_sub(of(*to));
            if load * GAP_PARTS.1 > gap * GAP_PARTS.0 {
                continue;
            }
            let left = (of(from) - load).max(of(*to) + load);
            // Of equals the node that is asked least gets the leader that is asked less: its clients notice it least.
            let rank = (left, of(*to), load, *to, place);
            if best.is_none_or(|known| rank < known) {
                best = Some(rank);
            }
        }
    }
    best.map(|(_, _, _, to, place)| (place, to))
}

/// Evens out how many leaders nodes have. Only the idle ones move.
fn even_number(all: &mut [Led]) {
    let able = |led: &Led| {
        let heirs = if led.is_idle() { &led.heirs[..] } else { &[] };
        [&[led.leader], heirs].concat()
    };
    let mut partitions: Vec<Vec<NodeId>> = all.iter().map(able).collect();
    place::even_leaders(&mut partitions);
    for (led, nodes) in all.iter_mut().zip(partitions) {
        led.leader = nodes.first().copied().unwrap_or(led.leader);
    }
}

/// What the leaders of each node come to.
fn by_node(all: &[Led], part: impl Fn(&Led) -> (NodeId, u64)) -> BTreeMap<NodeId, u64> {
    let mut sums = BTreeMap::new();
    for (node, part) in all.iter().map(part) {
        *sums.entry(node).or_default() += part;
    }
    sums
}

/// `leaders: node 1 from 4 to 3, node 2 from 2 to 3`; nothing if it stays the same everywhere.
fn difference(what: &str, all: &[Led], part: fn(&Led) -> u64) -> Option<String> {
    let before = by_node(all, |led| (led.before, part(led)));
    let after = by_node(all, |led| (led.leader, part(led)));
    let nodes: BTreeSet<NodeId> = before.keys().chain(after.keys()).copied().collect();
    let of = |sums: &BTreeMap<NodeId, u64>, node: &NodeId| sums.get(node).copied().unwrap_or(0);
    let mut changed: Vec<(u64, u64, NodeId)> =
        nodes.iter().map(|node| (of(&before, node), of(&after, node), *node)).collect();
    changed.retain(|(before, after, _)| before != after);
    if changed.is_empty() {
        return None;
    }
    changed.sort_by_key(|(before, _, node)| (Reverse(*before), *node));
    let more = changed.len().saturating_sub(NAMED_MAX);
    changed.truncate(NAMED_MAX);
    let mut parts: Vec<String> =
        changed.iter().map(|(before, after, node)| format!("node {node} from {before} to {after}")).collect();
    parts.extend((more > 0).then(|| count(more, "more node")));
    Some(format!("{what}: {}", parts.join(", ")))
}

/// Why leaders stay where they are.
fn not_yet(sight: &Sight<'_>, unknown: &[u64]) -> String {
    let named: Vec<String> = unknown.iter().take(NAMED_MAX).map(|group| sight.group_name(*group)).collect();
    let more = match unknown.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(
        "leaders stay where they are for now: those of {}{more} have led for less than {} s, and what is asked of them is \
         not known yet",
        named.join(", "),
        limits::LOAD_SETTLES.as_secs()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Partitions with their loads, on nodes that can all lead all of them.
    fn everywhere(nodes: u64, partitions: &[(u64, u64)]) -> Vec<Led> {
        let led = |(group, (node, load)): (u64, &(u64, u64))| {
            let leader = NodeId(node % nodes);
            let heirs = (0..nodes).map(NodeId).filter(|heir| *heir != leader).collect();
            Led { group, before: leader, leader, heirs, load: Some(*load) }
        };
        (0..).zip(partitions).map(led).collect()
    }

    /// They lead now where they shall.
    fn carried_out(all: &mut [Led]) -> usize {
        let moved = all.iter().filter(|led| led.moves()).count();
        for led in all {
            led.heirs.retain(|heir| *heir != led.leader);
            led.heirs.extend(led.moves().then_some(led.before));
            led.before = led.leader;
        }
        moved
    }

    fn highest(all: &[Led]) -> u64 {
        by_node(all, |led| (led.leader, led.per_second())).into_values().max().unwrap_or(0)
    }

    fn squares(all: &[Led]) -> u64 {
        by_node(all, |led| (led.leader, led.per_second())).into_values().map(|load| load * load).sum()
    }

    proptest! {
        #[test]
        fn evening_out_ends_and_never_makes_it_worse(
            nodes in 1..6u64,
            partitions in prop::collection::vec((0..6u64, 0..2000u64), 0..40),
        ) {
            let mut all = everywhere(nodes, &partitions);
            for _ in 0..partitions.len() + 1 {
                let before = (highest(&all), squares(&all));
                even_load(&mut all);
                prop_assert!(highest(&all) <= before.0);
                let after = squares(&all);
                if carried_out(&mut all) == 0 {
                    break;
                }
                prop_assert!(after < before.1, "what is more even has smaller squares");
            }
            even_load(&mut all);
            prop_assert_eq!(carried_out(&mut all), 0, "it goes to and fro");
            even_number(&mut all);
            let loaded = |led: &&Led| led.moves() && !led.is_idle();
            prop_assert_eq!(all.iter().filter(loaded).count(), 0, "numbers move only the idle");
        }

        #[test]
        fn many_small_loads_become_even(nodes in 2..6u64, load in 10..1000u64) {
            let mut all = everywhere(nodes, &vec![(0, load); 60]);
            even_load(&mut all);
            let fair = load * 60 / nodes;
            prop_assert!(highest(&all) <= fair + fair / 5, "{} of {fair}", highest(&all));
        }
    }
}
