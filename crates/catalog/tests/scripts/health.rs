//! Reports of imaginary nodes, and the status that comes of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;

use api::admin::Status;
use api::catalog::{GroupReplica, PartitionRecord};
use api::peer::{Membership, ReplicaReport, ReplicaState, Report};
use catalog::Catalog;
use catalog::status::{Observation, Observations, status};
use types::NodeId;

use crate::words::{Words, parse};
use crate::world::{group_replica, membership};

/// What the nodes of a script report.
#[derive(Default)]
pub struct Health {
    observations: Observations,
}

impl Health {
    pub fn run(&mut self, words: &Words<'_>, catalog: &Catalog) -> String {
        match words.verb {
            // Every node but those named reports what it would in a cluster that has settled.
            "settle" => {
                let lost = words.list("without").into_iter().map(parse).collect();
                self.observations = settled(catalog, &lost);
            }
            "listening" => self.observations.listening = Duration::from_millis(words.number(0)),
            "age" => {
                let node = NodeId(words.number(0));
                let observation = self.observations.reports.get_mut(&node).expect("it has reported");
                observation.age = Duration::from_millis(words.number(1));
            }
            "unheard" => {
                self.observations.reports.remove(&NodeId(words.number(0)));
            }
            "report" => self.report(words),
            "gone" => {
                let gone = group_replica(words.argument(0));
                for observation in self.observations.reports.values_mut() {
                    observation.report.replicas.retain(|report| !is(report, gone));
                }
            }
            "status" => return print(&status(catalog, &self.observations)),
            other => panic!("no command '{other}'"),
        }
        String::new()
    }

    /// `report 1/2 leader term=6 sync=1,2 epoch=2 members=1@1,2@2 detail=text`: what is said changes.
    fn report(&mut self, words: &Words<'_>) {
        let which = group_replica(words.argument(0));
        if let Some(node) = words.value("node").map(NodeId) {
            let report = ReplicaReport { group: which.group, replica: which.replica, ..Default::default() };
            let observation = self.observations.reports.get_mut(&node).expect("the node reports");
            observation.report.replicas.push(report);
        }
        let mut reports = self.observations.reports.values_mut().flat_map(|one| &mut one.report.replicas);
        let report = reports.find(|report| is(report, which)).expect("the replica was reported");
        if let Some(&state) = words.arguments().get(1) {
            report.state = state_named(state).into();
        }
        report.term = words.value("term").unwrap_or(report.term);
        report.applied = words.value("applied").unwrap_or(report.applied);
        if words.text("sync").is_some() {
            report.in_sync = words.list("sync").into_iter().map(parse).collect();
        }
        if words.text("members").is_some() {
            report.membership = Some(membership(words));
        }
        if let Some(detail) = words.text("detail") {
            report.detail = detail.replace('_', " ");
        }
    }
}

fn is(report: &ReplicaReport, which: GroupReplica) -> bool {
    report.group == which.group && report.replica == which.replica
}

fn state_named(name: &str) -> ReplicaState {
    match name {
        "starting" => ReplicaState::Starting,
        "follower" => ReplicaState::Follower,
        "candidate" => ReplicaState::Candidate,
        "leader" => ReplicaState::Leader,
        "learner" => ReplicaState::Learner,
        "stopped" => ReplicaState::Stopped,
        other => panic!("no state '{other}'"),
    }
}

/// In each group the first member that is left leads, if a majority is left.
fn settled(catalog: &Catalog, lost: &BTreeSet<u64>) -> Observations {
    let mut reports: BTreeMap<NodeId, Observation> = BTreeMap::new();
    for node in catalog.nodes() {
        let age = Duration::from_millis(if lost.contains(&node.id) { 60_000 } else { 100 });
        let report =
            Report { node: node.id, boot: node.boot, pid: 1000 + node.id as u32, ..Report::default() };
        reports.insert(NodeId(node.id), Observation { age, report });
    }
    for partition in catalog.partitions() {
        for (node, report) in settled_group(partition, lost) {
            reports.get_mut(&NodeId(node)).expect("a node of the catalog").report.replicas.push(report);
        }
    }
    Observations { listening: Duration::from_secs(60), reports, ..Default::default() }
}

fn settled_group(partition: &PartitionRecord, lost: &BTreeSet<u64>) -> Vec<(u64, ReplicaReport)> {
    let membership: &Membership =
        partition.observed.as_ref().or(partition.birth.as_ref()).expect("a membership");
    let members = &membership.members;
    let ranked = partition.replicas.iter().map(|replica| replica.id);
    let alive: Vec<u64> = ranked
        .filter(|id| members.iter().any(|member| member.replica == *id && !lost.contains(&member.node)))
        .collect();
    let leader = if alive.len() * 2 > members.len() { alive[0] } else { 0 };
    let report = |replica: u64, node: u64| {
        let leads = replica == leader;
        let state = match (leads, leader) {
            (true, _) => ReplicaState::Leader,
            (_, 0) => ReplicaState::Candidate,
            _ => ReplicaState::Follower,
        };
        let report = ReplicaReport {
            group: partition.group,
            replica,
            state: state.into(),
            term: 5,
            applied: 100,
            commit: 100,
            leader,
            membership: leads.then(|| membership.clone()),
            in_sync: if leads { alive.clone() } else { vec![] },
            records: 10,
            bytes: 4096,
            ..ReplicaReport::default()
        };
        (node, report)
    };
    partition.replicas.iter().map(|replica| report(replica.id, replica.node)).collect()
}

fn print(status: &Status) -> String {
    let verdict = serde_name(status);
    let leader = status.leader.map_or("none".into(), |node| node.to_string());
    let mut out = format!(
        "{verdict}: {}\n  tolerance={} leader={leader} version={}\n",
        status.summary, status.fault_tolerance, status.catalog_version
    );
    for (level, tolerance) in &status.tolerance_by {
        writeln!(out, "  by {level}: {tolerance}").unwrap();
    }
    for node in &status.nodes {
        let (id, state) = (node.id, &node.state);
        let flags: String = node.flags.iter().map(|flag| format!(" {flag}")).collect();
        let hosts = format!("replicas={} leads={}", node.replicas, node.leads);
        writeln!(out, "  node {id} {state} pid={} {hosts}{flags}", node.pid).unwrap();
    }
    for partition in &status.partitions {
        let leader = partition.leader.map_or("none".into(), |node| node.to_string());
        let replicas: Vec<String> = partition
            .replicas
            .iter()
            .map(|one| {
                let led = if one.led { " led" } else { "" };
                format!("{}@{} {} {} {}{led}", one.replica, one.node, one.role, one.state, one.applied)
            })
            .collect();
        writeln!(
            out,
            "  {}/{} leader={leader} [{}] {}",
            partition.table,
            partition.partition,
            replicas.join(", "),
            partition.problem
        )
        .unwrap();
    }
    out.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

fn serde_name(status: &Status) -> String {
    format!("{:?}", status.verdict).to_lowercase()
}
