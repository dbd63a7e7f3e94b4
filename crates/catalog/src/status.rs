//! The cluster's health: a pure function of the catalog and of what nodes have reported.
//!
//! Definitions, from the bottom up:
//!
//! - A **node** is *up* while its last report is younger than `suspect_after_ms`, then *suspect*, and
//!   *down* from `down_after_ms` on. One that was never heard of is as old as the listening itself.
//! - A partition's **leader** is the replica on an up node that says so with the highest term, unless a
//!   replica on an up node is in a later term already: then an election is under way.
//! - A replica is **in sync** if it is the leader or the leader says so.
//! - A partition is **served** if it has a leader and a majority of its voters is in sync. The voters
//!   are those that the leader names; without a leader, those that the catalog knows.
//! - A partition is **whole** if it is served, its members are the replicas wished for, as many as its
//!   table wishes, all of them vote, and all are in sync.
//! - **Fault tolerance** is the largest number of nodes such that, whichever nodes of that number are
//!   lost, every partition, the catalog's included, keeps a majority of its voters in sync and on nodes
//!   that are up. It is 0 as soon as one partition is not served.
//! - The same is told for whole places: data centres, racks, hosts.
//! - The cluster is **unavailable** if a partition is not served, **healthy** if every partition is
//!   whole and every node is up, and **degraded** otherwise.

mod partition;
mod tolerance;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use api::admin::{NodeStatus, Status, Verdict};
use api::catalog::NodeRecord;
use api::operation::NodeFlags;
use api::peer::Report;
use types::settings::{DOWN_AFTER_MS, SUSPECT_AFTER_MS};
use types::{GroupId, NodeId};

use crate::Catalog;
use crate::place::{HOST, SPREAD_LABELS, label};
use partition::{Assessment, Heard, assess};

pub use tolerance::{majority, tolerance};

/// What an observer has heard from the nodes.
#[derive(Clone, Debug, Default)]
pub struct Observations {
    /// How long it has been listening.
    pub listening: Duration,
    /// The last report of each node that was heard of.
    pub reports: BTreeMap<NodeId, Observation>,
    /// Nodes that flap, see [`crate::returns`].
    pub flapping: BTreeSet<NodeId>,
}

/// The last report of a node.
#[derive(Clone, Debug)]
pub struct Observation {
    /// How long ago it came.
    pub age: Duration,
    /// The report.
    pub report: Report,
}

/// Whether a node is there, as far as its reports tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NodeState {
    /// It reports.
    Up,
    /// It has not been heard of for a while.
    Suspect,
    /// It has not been heard of for long.
    Down,
}

impl NodeState {
    /// The state as people see it.
    pub const fn as_str(self) -> &'static str {
        match self {
            NodeState::Up => "up",
            NodeState::Suspect => "suspect",
            NodeState::Down => "down",
        }
    }
}

impl Observations {
    /// The state of a node by the settings of a catalog.
    pub fn node_state(&self, catalog: &Catalog, node: NodeId) -> NodeState {
        let age = self.reports.get(&node).map_or(self.listening, |observation| observation.age);
        if age >= Duration::from_millis(catalog.setting(&DOWN_AFTER_MS)) {
            NodeState::Down
        } else if age >= Duration::from_millis(catalog.setting(&SUSPECT_AFTER_MS)) {
            NodeState::Suspect
        } else {
            NodeState::Up
        }
    }
}

/// How the cluster is. See the module's page for the definitions.
pub fn status(catalog: &Catalog, observations: &Observations) -> Status {
    let heard = Heard::of(catalog, observations);
    let assessments: Vec<Assessment> =
        catalog.partitions().map(|partition| assess(catalog, &heard, partition)).collect();
    let tolerance = assessments.iter().map(|one| one.tolerance.unwrap_or(0)).min().unwrap_or(0);
    let verdict = verdict(&heard, &assessments);
    let leader_of_catalog = |one: &&Assessment| one.status.group == GroupId::CATALOG.get();
    Status {
        verdict,
        summary: summary(verdict, tolerance, &heard, &assessments),
        cluster: format!("{:016x}", catalog.cluster().map_or(0, |cluster| cluster.get())),
        fault_tolerance: tolerance,
        tolerance_by: tolerance_by_place(catalog, &assessments),
        leader: assessments.iter().find(leader_of_catalog).and_then(|one| one.status.leader),
        catalog_version: catalog.version().get(),
        nodes: node_statuses(catalog, observations, &heard, &assessments),
        partitions: assessments.into_iter().map(|one| one.status).collect(),
    }
}

/// The fault tolerance in whole places instead of nodes, at each level that any node was given a label of. Nodes
/// without one are taken to be together; a place of a level lies within one of the wider level. Hosts count by
/// themselves where several have nodes and one has more than one: otherwise there is nothing to add.
fn tolerance_by_place(catalog: &Catalog, assessments: &[Assessment]) -> BTreeMap<String, u32> {
    let mut by_level = BTreeMap::new();
    for (level, name) in SPREAD_LABELS.iter().enumerate() {
        let place = |node: &NodeRecord| -> Vec<Option<String>> {
            SPREAD_LABELS[..=level].iter().map(|name| label(node, name).map(str::to_owned)).collect()
        };
        let places: BTreeSet<_> = catalog.nodes().map(place).collect();
        let is_given = |node: &NodeRecord| node.labels.iter().any(|label| label.name == *name);
        let hosts_tell = *name == HOST && places.len() > 1 && places.len() < catalog.nodes().count();
        if !hosts_tell && !catalog.nodes().any(is_given) {
            continue;
        }
        let numbers: BTreeMap<_, u64> = places.into_iter().zip(0..).collect();
        let number = |id: &u64| catalog.node(NodeId(*id)).and_then(|node| numbers.get(&place(node))).copied();
        let of_partition = |one: &Assessment| {
            let in_sync: Vec<u64> = one.in_sync.iter().filter_map(number).collect();
            one.tolerance.map_or(0, |_| tolerance(&in_sync, one.voters))
        };
        let lowest = assessments.iter().map(of_partition).min().unwrap_or(0);
        by_level.insert((*name).to_owned(), lowest);
    }
    by_level
}

fn verdict(heard: &Heard<'_>, assessments: &[Assessment]) -> Verdict {
    let served = |one: &Assessment| one.tolerance.is_some();
    let whole = |one: &Assessment| one.whole;
    let all_up = heard.offline.is_empty() && heard.states.values().all(|state| *state == NodeState::Up);
    if assessments.is_empty() || !assessments.iter().all(served) {
        Verdict::Unavailable
    } else if all_up && assessments.iter().all(whole) {
        Verdict::Healthy
    } else {
        Verdict::Degraded
    }
}

/// One sentence: what is the case, why, and what may still happen.
fn summary(verdict: Verdict, tolerance: u32, heard: &Heard<'_>, assessments: &[Assessment]) -> String {
    let may_be_lost = |more: &str| match tolerance {
        0 => format!("no {more}node may be lost"),
        1 => format!("any 1 {more}node may be lost"),
        many => format!("any {many} {more}nodes may be lost"),
    };
    match verdict {
        _ if assessments.is_empty() => "the cluster was not bootstrapped yet".into(),
        Verdict::Healthy => {
            let (nodes, partitions) = (heard.states.len(), assessments.len());
            let size = format!("{}, {}", count(nodes, "node"), count(partitions, "partition"));
            format!("{size}, all in sync; {}", may_be_lost(""))
        }
        Verdict::Degraded => {
            let missing = missing_nodes(heard);
            let partial = troubled(assessments, "whole", |one| !one.whole, missing);
            format!("everything is served, but {partial}; {}", may_be_lost("more "))
        }
        Verdict::Unavailable => {
            troubled(assessments, "served", |one| one.tolerance.is_none(), missing_nodes(heard))
        }
    }
}

/// How many partitions are in trouble, and why: missing nodes, or what is wrong with the first of them.
fn troubled(
    assessments: &[Assessment],
    lacking: &str,
    is_troubled: impl Fn(&Assessment) -> bool,
    missing: String,
) -> String {
    let mut troubled = assessments.iter().filter(|one| is_troubled(one));
    let Some(first) = troubled.next() else { return missing };
    let number = 1 + troubled.count();
    let verb = if number == 1 { "is" } else { "are" };
    let why = if missing.is_empty() {
        format!("{}/{}: {}", first.status.table, first.status.partition, first.status.problem)
    } else {
        missing
    };
    format!("{number} of {} {verb} not {lacking} ({why})", count(assessments.len(), "partition"))
}

/// `node 2 is down, nodes 3 and 4 are suspect`, or nothing. One that was taken offline is that first of all.
fn missing_nodes(heard: &Heard<'_>) -> String {
    let in_state = |state: NodeState| {
        let known = heard.states.iter().filter(move |(_, found)| **found == state);
        known.map(|(id, _)| *id).filter(|id| !heard.offline.contains(id)).collect::<Vec<_>>()
    };
    let offline = heard.offline.iter().copied().collect();
    let kinds = [
        (in_state(NodeState::Down), NodeState::Down.as_str()),
        (in_state(NodeState::Suspect), NodeState::Suspect.as_str()),
        (offline, "offline by command"),
    ];
    let mut parts = Vec::new();
    for (ids, how) in kinds {
        match ids.iter().map(NodeId::to_string).collect::<Vec<_>>().as_slice() {
            [] => {}
            [one] => parts.push(format!("node {one} is {how}")),
            [first @ .., last] => parts.push(format!("nodes {} and {last} are {how}", first.join(", "))),
        }
    }
    parts.join(", ")
}

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

fn node_statuses(
    catalog: &Catalog,
    observations: &Observations,
    heard: &Heard<'_>,
    assessments: &[Assessment],
) -> Vec<NodeStatus> {
    let mut replicas: BTreeMap<u64, u32> = BTreeMap::new();
    for replica in catalog.partitions().flat_map(|partition| &partition.replicas) {
        *replicas.entry(replica.node).or_default() += 1;
    }
    let mut leads: BTreeMap<u64, u32> = BTreeMap::new();
    for leader in assessments.iter().filter_map(|one| one.status.leader) {
        *leads.entry(leader).or_default() += 1;
    }
    let free_bytes = |node: &NodeRecord| {
        let report = observations.reports.get(&NodeId(node.id)).map(|observation| &observation.report);
        report.filter(|report| report.disk_bytes > 0).map(|report| report.free_bytes)
    };
    let node_status = |node: &NodeRecord| NodeStatus {
        id: node.id,
        endpoint: node.endpoint.clone(),
        redis: node.redis.clone(),
        zankv: node.zankv.clone(),
        http: node.http.clone(),
        roles: node.roles.clone(),
        state: heard.state(node.id).as_str().into(),
        since_ms: since_ms(observations, heard, NodeId(node.id)),
        pid: observations.reports.get(&NodeId(node.id)).map_or(0, |observation| observation.report.pid),
        version: node.version.clone(),
        replicas: replicas.get(&node.id).copied().unwrap_or(0),
        leads: leads.get(&node.id).copied().unwrap_or(0),
        flags: flag_names(&catalog.flags(NodeId(node.id))),
        labels: node.labels.iter().map(|label| (label.name.clone(), label.value.clone())).collect(),
        free_bytes: free_bytes(node),
        flapping: observations.flapping.contains(&NodeId(node.id)),
    };
    catalog.nodes().map(node_status).collect()
}

/// How long a node has been up, or silent.
fn since_ms(observations: &Observations, heard: &Heard<'_>, node: NodeId) -> u64 {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    match observations.reports.get(&node) {
        None => millis(observations.listening),
        Some(last) if heard.state(node.get()) == NodeState::Up => {
            last.report.uptime_millis.saturating_add(millis(last.age))
        }
        Some(last) => millis(last.age),
    }
}

/// What was done to a node by command, in words.
pub fn flag_names(flags: &NodeFlags) -> Vec<String> {
    let all = [(flags.drained, "drained"), (flags.leaving, "leaving"), (flags.offline, "offline")];
    all.into_iter().filter(|(set, _)| *set).map(|(_, name)| name.to_owned()).collect()
}
