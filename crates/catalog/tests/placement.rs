//! What every placement keeps, whatever the problem.

use std::collections::{BTreeMap, BTreeSet};

use catalog::place::{Candidate, Problem, TooFewNodes, place};
use proptest::prelude::*;
use types::NodeId;

fn candidate(node: u64, labels: [u8; 3], replicas: u64, leaders: u64) -> Candidate {
    // 0 is a node without the label.
    let text = |value: u8| if value == 0 { String::new() } else { format!("v{value}") };
    Candidate { node: NodeId(node), labels: labels.map(text), replicas, leaders, may_lead: true }
}

fn any_problem() -> impl Strategy<Value = Problem> {
    let node = ((0..3u8, 0..3u8, 0..3u8), 0..20u64, 0..20u64);
    (prop::collection::vec(node, 0..12), 0..30u32, 1..=7u32).prop_map(|(nodes, partitions, replicas)| {
        let candidates = nodes
            .into_iter()
            .zip(1..)
            .map(|(((dc, rack, host), load, leads), id)| candidate(id, [dc, rack, host], load, leads))
            .collect();
        Problem { candidates, partitions, replicas }
    })
}

/// How often each value comes: the difference between most and fewest.
fn unevenness<T: Ord>(of: impl Iterator<Item = T>, among: usize) -> u64 {
    let mut counts: BTreeMap<T, u64> = BTreeMap::new();
    of.for_each(|value| *counts.entry(value).or_default() += 1);
    let fewest = if counts.len() < among { 0 } else { counts.values().min().copied().unwrap_or(0) };
    counts.values().max().copied().unwrap_or(0) - fewest
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn replicas_lie_on_different_nodes_spread_over_data_centres(problem in any_problem()) {
        let nodes = problem.candidates.len() as u32;
        let solution = match place(&problem) {
            Ok(solution) => solution,
            Err(too_few) => {
                prop_assert!(nodes < problem.replicas);
                prop_assert_eq!(too_few, TooFewNodes { nodes, wanted: problem.replicas });
                return Ok(());
            }
        };
        prop_assert_eq!(solution.partitions.len(), problem.partitions as usize);
        let dc: BTreeMap<NodeId, &str> =
            problem.candidates.iter().map(|one| (one.node, one.labels[0].as_str())).collect();
        let dcs: BTreeSet<&str> = dc.values().copied().collect();
        for nodes in &solution.partitions {
            let distinct: BTreeSet<NodeId> = nodes.iter().copied().collect();
            prop_assert_eq!(distinct.len(), problem.replicas as usize);
            let used: BTreeSet<&str> = nodes.iter().map(|node| dc[node]).collect();
            prop_assert_eq!(used.len(), dcs.len().min(nodes.len()), "as many data centres as possible");
        }

        let mut turned = problem.clone();
        turned.candidates.reverse();
        prop_assert_eq!(place(&turned), Ok(solution), "the order of candidates does not matter");
    }

    #[test]
    fn equal_nodes_get_equal_shares(nodes in 1..12u64, partitions in 0..60u32, replicas in 1..=7u32) {
        let candidates: Vec<Candidate> = (1..=nodes).map(|id| candidate(id, [0; 3], 0, 0)).collect();
        let Ok(solution) = place(&Problem { candidates, partitions, replicas }) else { return Ok(()) };
        let among = nodes as usize;
        prop_assert!(unevenness(solution.partitions.iter().flatten(), among) <= 1);
        prop_assert!(unevenness(solution.partitions.iter().map(|nodes| nodes[0]), among) <= 1);
    }
}

#[test]
fn the_partitions_of_a_dead_node_go_to_all_others_alike() {
    let candidates = (1..=3).map(|id| candidate(id, [0; 3], 0, 0)).collect();
    let solution = place(&Problem { candidates, partitions: 12, replicas: 3 }).expect("enough nodes");
    for dead in 1..=3 {
        let heirs = solution.partitions.iter().filter(|nodes| nodes[0] == NodeId(dead)).map(|nodes| nodes[1]);
        assert_eq!(unevenness(heirs, 2), 0, "node {dead}");
    }
}

/// Not a test of time: it only must not take for ever.
#[test]
fn a_large_problem_is_solved() {
    let candidates = (1..=200).map(|id| candidate(id, [0, (id % 20) as u8 + 1, 0], id % 7, id % 5)).collect();
    let solution = place(&Problem { candidates, partitions: 1024, replicas: 5 }).expect("enough nodes");
    assert_eq!(solution.partitions.len(), 1024);
}
