//! Placement: which nodes host the replicas of new partitions, and which of them leads at birth.
//!
//! A pure function over plain data. It never moves what exists: existing replicas are only load.
//!
//! Each partition takes its replicas one by one. The next goes to the node that
//!
//! 1. shares its `dc` with the fewest replicas that the partition has already,
//! 2. then its `rack`, then its `host`,
//! 3. then hosts the fewest replicas, then leads the fewest, then has the lowest id.
//!
//! So replicas lie apart as far as the labels allow, even if that loads the only node of a small data
//! centre more than others. A label that no node has makes no difference; nodes without a label that
//! others have are taken to be together, which is the careful guess.
//!
//! Leaders (rank 0) go to the chosen node that leads the fewest. The ranks behind say who takes over;
//! they are dealt out so that the partitions of a node that dies do not all go to the same heir.

use std::collections::{BTreeMap, BTreeSet};

use api::catalog::NodeRecord;
use types::NodeId;

/// The labels that replicas are spread over, the widest first.
pub const SPREAD_LABELS: [&str; 3] = ["dc", "rack", "host"];

/// A node that may host replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The node.
    pub node: NodeId,
    /// Its values of [`SPREAD_LABELS`]; empty where it has none.
    pub labels: [String; 3],
    /// Replicas that it hosts already.
    pub replicas: u64,
    /// Partitions that it leads already, by wish.
    pub leaders: u64,
}

/// What is to be placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub candidates: Vec<Candidate>,
    /// How many partitions.
    pub partitions: u32,
    /// How many replicas of each, all on different nodes.
    pub replicas: u32,
}

/// Where everything goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Solution {
    /// The nodes of each partition in order of rank: the first leads at birth.
    pub partitions: Vec<Vec<NodeId>>,
}

/// There are fewer nodes than replicas of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooFewNodes {
    /// Nodes that there are.
    pub nodes: u32,
    /// Replicas that were wished for.
    pub wanted: u32,
}

impl Candidate {
    /// A node that hosts nothing yet.
    pub fn of(node: &NodeRecord) -> Self {
        let value = |name: &str| {
            let label = node.labels.iter().find(|label| label.name == name);
            label.map(|label| label.value.clone()).unwrap_or_default()
        };
        Self { node: NodeId(node.id), labels: SPREAD_LABELS.map(value), replicas: 0, leaders: 0 }
    }
}

/// Solves a problem. Equal problems have equal solutions, whatever the order of the candidates.
///
/// Costs partitions × replicas × candidates; 1024 × 3 × 100 takes about a millisecond.
///
/// # Errors
/// When there are too few nodes; otherwise there always is a solution.
pub fn place(problem: &Problem) -> Result<Solution, TooFewNodes> {
    let mut board = Board::new(&problem.candidates);
    let nodes = board.nodes.len() as u32;
    if nodes < problem.replicas {
        return Err(TooFewNodes { nodes, wanted: problem.replicas });
    }
    let mut partitions = Vec::with_capacity(problem.partitions as usize);
    for _ in 0..problem.partitions {
        let chosen = board.choose(problem.replicas);
        partitions.push(board.rank(chosen));
    }
    Ok(Solution { partitions })
}

/// The state while placing: load so far.
struct Board {
    nodes: Vec<Place>,
    /// How many different places there are at each level.
    domains: [usize; 3],
    /// Leader, rank and node: how often the node got the rank behind the leader. Indexes into `nodes`.
    followed: BTreeMap<(usize, usize, usize), u64>,
}

struct Place {
    node: NodeId,
    /// At each level, a number for the place that the node is in.
    domains: [usize; 3],
    replicas: u64,
    leaders: u64,
}

impl Board {
    fn new(candidates: &[Candidate]) -> Self {
        let mut sorted: Vec<&Candidate> = candidates.iter().collect();
        sorted.sort_by_key(|candidate| candidate.node);
        sorted.dedup_by_key(|candidate| candidate.node);
        // Rack 1 of one data centre is not rack 1 of another, so a place is named with those around it.
        let mut numbers: [BTreeMap<&[String], usize>; 3] = Default::default();
        for (level, numbers) in numbers.iter_mut().enumerate() {
            let names: BTreeSet<&[String]> = sorted.iter().map(|one| &one.labels[..=level]).collect();
            *numbers = names.into_iter().zip(0..).collect();
        }
        let place = |candidate: &&Candidate| Place {
            node: candidate.node,
            domains: std::array::from_fn(|level| numbers[level][&candidate.labels[..=level]]),
            replicas: candidate.replicas,
            leaders: candidate.leaders,
        };
        Self {
            nodes: sorted.iter().map(place).collect(),
            domains: std::array::from_fn(|level| numbers[level].len()),
            followed: BTreeMap::new(),
        }
    }

    /// The nodes of one partition, as indexes.
    fn choose(&mut self, replicas: u32) -> Vec<usize> {
        let mut chosen: Vec<usize> = Vec::with_capacity(replicas as usize);
        let mut shared: [Vec<u32>; 3] = std::array::from_fn(|level| vec![0; self.domains[level]]);
        for _ in 0..replicas {
            let cost = |&index: &usize| {
                let place = &self.nodes[index];
                let shared: [u32; 3] = std::array::from_fn(|level| shared[level][place.domains[level]]);
                (shared, place.replicas, place.leaders, index)
            };
            let free = (0..self.nodes.len()).filter(|index| !chosen.contains(index));
            let Some(best) = free.min_by_key(cost) else { break };
            for (level, shared) in shared.iter_mut().enumerate() {
                shared[self.nodes[best].domains[level]] += 1;
            }
            self.nodes[best].replicas += 1;
            chosen.push(best);
        }
        chosen
    }

    /// Puts the nodes of one partition in order of rank.
    fn rank(&mut self, mut chosen: Vec<usize>) -> Vec<NodeId> {
        let mut ranked: Vec<usize> = Vec::with_capacity(chosen.len());
        while !chosen.is_empty() {
            let rank = ranked.len();
            let leader = ranked.first().copied();
            let cost = |&(_, &index): &(usize, &usize)| {
                let key = leader.map(|leader| (leader, rank, index));
                let followed = key.and_then(|key| self.followed.get(&key)).copied().unwrap_or(0);
                (followed, self.nodes[index].leaders, index)
            };
            let Some((at, _)) = chosen.iter().enumerate().min_by_key(cost) else { break };
            let next = chosen.swap_remove(at);
            match leader {
                None => self.nodes[next].leaders += 1,
                Some(leader) => *self.followed.entry((leader, rank, next)).or_default() += 1,
            }
            ranked.push(next);
        }
        ranked.into_iter().map(|index| self.nodes[index].node).collect()
    }
}
