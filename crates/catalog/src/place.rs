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
//! others have are taken to be together, which is the careful guess. A node without the label `host` stands
//! on the host of its address.
//!
//! Leaders (rank 0) go to the chosen node that leads the fewest, and are then evened out as far as the
//! chosen nodes allow. The ranks behind say who takes over; they are dealt out so that the partitions of
//! a node that dies do not all go to the same heir.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use api::catalog::NodeRecord;
use types::NodeId;

/// The labels that replicas are spread over, the widest first.
pub const SPREAD_LABELS: [&str; 3] = ["dc", "rack", HOST];
/// The label that every node has: the host of the address at which others reach it, where nothing else is said.
pub const HOST: &str = "host";

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
    /// Whether it may lead, if another node of the partition may as well.
    pub may_lead: bool,
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
        let value = |name: &str| label(node, name).unwrap_or_default().to_owned();
        Self {
            node: NodeId(node.id),
            labels: SPREAD_LABELS.map(value),
            replicas: 0,
            leaders: 0,
            may_lead: true,
        }
    }
}

/// The value of a node's label. One that was given wins over the host of its address.
pub fn label<'a>(node: &'a NodeRecord, name: &str) -> Option<&'a str> {
    let given = node.labels.iter().find(|label| label.name == name).map(|label| label.value.as_str());
    let of_address = || node.endpoint.rsplit_once(':').map(|(host, _)| host).filter(|_| name == HOST);
    given.or_else(of_address)
}

/// Solves a problem. Equal problems have equal solutions, whatever the order of the candidates.
///
/// Costs partitions × replicas × candidates: 1024 partitions of 3 replicas on 100 nodes take about 6 ms.
///
/// # Errors
/// When there are too few nodes; otherwise there always is a solution.
pub fn place(problem: &Problem) -> Result<Solution, TooFewNodes> {
    let mut board = Board::new(&problem.candidates);
    let nodes = board.nodes.len() as u32;
    if nodes < problem.replicas {
        return Err(TooFewNodes { nodes, wanted: problem.replicas });
    }
    let mut chosen: Vec<Vec<usize>> = (0..problem.partitions)
        .map(|_| {
            let nodes = board.choose(problem.replicas);
            board.with_leader_first(nodes)
        })
        .collect();
    while let Some(path) = board.improvement(&chosen) {
        board.hand_over(&mut chosen, &path);
    }
    Ok(Solution { partitions: chosen.into_iter().map(|nodes| board.ranked(nodes)).collect() })
}

/// Evens out who leads. Each partition has the nodes that may lead it, the one that leads first; afterwards
/// the first is the one that shall. No more change than needed.
pub fn even_leaders(partitions: &mut [Vec<NodeId>]) {
    let mut nodes: BTreeMap<NodeId, Candidate> = BTreeMap::new();
    for (place, node) in partitions.iter().flat_map(|nodes| nodes.iter().enumerate()) {
        let labels = Default::default();
        let new = || Candidate { node: *node, labels, replicas: 0, leaders: 0, may_lead: true };
        nodes.entry(*node).or_insert_with(new).leaders += u64::from(place == 0);
    }
    let mut board = Board::new(&nodes.into_values().collect::<Vec<_>>());
    let index: BTreeMap<NodeId, usize> =
        board.nodes.iter().enumerate().map(|(index, place)| (place.node, index)).collect();
    let mut chosen: Vec<Vec<usize>> =
        partitions.iter().map(|nodes| nodes.iter().map(|node| index[node]).collect()).collect();
    while let Some(path) = board.improvement(&chosen) {
        board.hand_over(&mut chosen, &path);
    }
    for (nodes, chosen) in partitions.iter_mut().zip(chosen) {
        *nodes = chosen.into_iter().map(|index| board.nodes[index].node).collect();
    }
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
    may_lead: bool,
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
            may_lead: candidate.may_lead,
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

    /// Puts the node that leads the fewest first: it leads.
    fn with_leader_first(&mut self, mut nodes: Vec<usize>) -> Vec<usize> {
        let cost =
            |&(_, &index): &(usize, &usize)| (!self.nodes[index].may_lead, self.nodes[index].leaders, index);
        if let Some((at, _)) = nodes.iter().enumerate().min_by_key(cost) {
            nodes.swap(0, at);
            self.nodes[nodes[0]].leaders += 1;
        }
        nodes
    }

    /// A chain of partitions in which each leader can hand over to the next one's, from a node to one
    /// that leads at least two fewer. Without such a chain leaders are as even as the nodes allow.
    fn improvement(&self, chosen: &[Vec<usize>]) -> Option<Vec<(usize, usize)>> {
        let mut led: Vec<Vec<usize>> = vec![Vec::new(); self.nodes.len()];
        for (partition, nodes) in chosen.iter().enumerate() {
            if let Some(&leader) = nodes.first() {
                led[leader].push(partition);
            }
        }
        let able = self.nodes.iter().filter(|place| place.may_lead);
        let fewest = able.map(|place| place.leaders).min()?;
        let worth = |start: &usize| !led[*start].is_empty() && self.nodes[*start].leaders >= fewest + 2;
        let mut starts: Vec<usize> = (0..self.nodes.len()).filter(worth).collect();
        starts.sort_by_key(|&start| (std::cmp::Reverse(self.nodes[start].leaders), start));
        starts.into_iter().find_map(|start| self.chain(chosen, &led, start))
    }

    /// The shortest such chain from one node, as partitions with their new leaders.
    fn chain(&self, chosen: &[Vec<usize>], led: &[Vec<usize>], start: usize) -> Option<Vec<(usize, usize)>> {
        // How each node was reached: by which partition, from which node.
        let mut reached: Vec<Option<(usize, usize)>> = vec![None; self.nodes.len()];
        let mut queue = VecDeque::from([start]);
        while let Some(from) = queue.pop_front() {
            for &partition in &led[from] {
                for &to in &chosen[partition] {
                    if to == start || reached[to].is_some() || !self.nodes[to].may_lead {
                        continue;
                    }
                    reached[to] = Some((partition, from));
                    if self.nodes[to].leaders + 2 <= self.nodes[start].leaders {
                        let step = |&(_, node): &(usize, usize)| {
                            let (_, from) = reached[node]?;
                            reached[from].map(|(partition, _)| (partition, from))
                        };
                        return Some(std::iter::successors(Some((partition, to)), step).collect());
                    }
                    queue.push_back(to);
                }
            }
        }
        None
    }

    fn hand_over(&mut self, chosen: &mut [Vec<usize>], path: &[(usize, usize)]) {
        for &(partition, leader) in path {
            let nodes = &mut chosen[partition];
            let Some(at) = nodes.iter().position(|&node| node == leader) else { continue };
            self.nodes[nodes[0]].leaders -= 1;
            nodes.swap(0, at);
            self.nodes[leader].leaders += 1;
        }
    }

    /// Deals out the ranks behind the leader.
    fn ranked(&mut self, nodes: Vec<usize>) -> Vec<NodeId> {
        let mut rest = nodes;
        let mut ranked: Vec<usize> = rest.drain(..1.min(rest.len())).collect();
        while !rest.is_empty() {
            let (leader, rank) = (ranked[0], ranked.len());
            let cost = |&(_, &index): &(usize, &usize)| {
                let followed = self.followed.get(&(leader, rank, index)).copied().unwrap_or(0);
                (followed, self.nodes[index].leaders, index)
            };
            let Some((at, _)) = rest.iter().enumerate().min_by_key(cost) else { break };
            let next = rest.swap_remove(at);
            *self.followed.entry((leader, rank, next)).or_default() += 1;
            ranked.push(next);
        }
        ranked.into_iter().map(|index| self.nodes[index].node).collect()
    }
}
