//! `skein status`: how a cluster is, in one line, then what is not as it should be.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use api::admin::{NodeStatus, PartitionStatus, Status, Verdict};
use catalog::place::SPREAD_LABELS;
use client::{Directory, Topology};
use serde::Serialize;
use types::{ErrorCode, Fault};

use super::refusals::{self, Refusal};
use crate::cli;
use crate::exit::{self, Exit};
use crate::say::{self, Form};

/// The pause between two looks of `--watch`.
const WATCH_PAUSE: Duration = Duration::from_secs(1);
/// Clears a terminal and goes to its first line.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Tells once, or again and again.
pub fn run(arguments: &cli::Status) -> Result<Exit, Fault> {
    let lookup = arguments.find.lookup();
    let client = lookup.client()?;
    let form = arguments.output.form();
    let here = Here::of(&lookup);
    if !arguments.watch {
        return Ok(report(client.status(), &here, form, false));
    }
    loop {
        let status = client.status();
        if form == Form::Text && std::io::stdout().is_terminal() {
            let _ = std::io::stdout().write_all(CLEAR.as_bytes());
        }
        report(status, &here, form, true);
        std::thread::sleep(WATCH_PAUSE);
    }
}

/// The cluster's directory, where it is on this machine: it knows more of nodes that are silent.
struct Here(Option<(Directory, Topology)>);

impl Here {
    /// The directory that was named; none if addresses were.
    fn of(lookup: &client::Lookup) -> Self {
        let directory = lookup.directory();
        let topology = lookup.addresses.is_empty().then(|| directory.topology().ok()).flatten();
        Self(topology.map(|topology| (directory, topology)))
    }

    fn refusals(&self) -> Vec<Refusal> {
        self.0.as_ref().map(|(directory, topology)| refusals::of(directory, topology)).unwrap_or_default()
    }
}

/// A status, and what it cannot know: why nodes of this machine do not run.
#[derive(Debug, Serialize)]
pub struct Told {
    /// What the cluster says.
    #[serde(flatten)]
    pub status: Status,
    /// Nodes that ended with an error and do not run.
    pub refusals: Vec<Refusal>,
}

impl Told {
    /// Both together. A node that does not run is down and starts nothing, also where nobody has missed it
    /// yet.
    pub fn new(mut status: Status, refusals: Vec<Refusal>) -> Self {
        for Refusal { node, .. } in &refusals {
            let known = |text: &mut String| {
                *text =
                    text.replace(&format!("on node {node} is starting"), &format!("on node {node} is down"));
            };
            known(&mut status.summary);
            for found in status.nodes.iter_mut().filter(|found| found.id == *node) {
                found.state = catalog::status::NodeState::Down.as_str().into();
            }
            for partition in &mut status.partitions {
                known(&mut partition.problem);
                let replicas = partition.replicas.iter_mut().filter(|replica| replica.node == *node);
                replicas.for_each(|replica| replica.state = "unreachable".into());
            }
        }
        Self { status, refusals }
    }

    /// Whether a node is one of those.
    pub fn has_refused(&self, node: u64) -> bool {
        self.refusals.iter().any(|refusal| refusal.node == node)
    }
}

fn report(status: Result<Status, Fault>, here: &Here, form: Form, repeated: bool) -> Exit {
    let refusals = here.refusals();
    match status {
        Ok(status) => {
            let told = Told::new(status, refusals);
            match form {
                Form::Text => say::data(text(&told)),
                Form::Json if repeated => say::json_line(&told),
                Form::Json => say::json(&told),
            }
            exit_of(told.status.verdict)
        }
        Err(fault) => {
            say::fault(&fault, form);
            if form == Form::Text {
                refusals.iter().for_each(|refusal| say::note(refusal.text()));
            }
            // The cluster is there and nobody answers: its data is unavailable. Whether there is one at an
            // address that nobody answers at is not known.
            let is_silent = fault.code == ErrorCode::Unreachable && here.0.is_some();
            if is_silent { exit::UNAVAILABLE } else { exit::of(fault.code) }
        }
    }
}

fn exit_of(verdict: Verdict) -> Exit {
    match verdict {
        Verdict::Healthy => exit::OK,
        Verdict::Degraded => exit::DEGRADED,
        Verdict::Unavailable => exit::UNAVAILABLE,
    }
}

/// A status for people.
fn text(told: &Told) -> String {
    let status = &told.status;
    let verdict = match status.verdict {
        Verdict::Healthy => "healthy",
        Verdict::Degraded => "degraded",
        Verdict::Unavailable => "unavailable",
    };
    let leader = status.leader.map_or("nobody".to_owned(), |node| format!("node {node}"));
    let mut text = format!(
        "{verdict}: {}\ncluster {}, catalog version {}, led by {leader}",
        status.summary, status.cluster, status.catalog_version
    );
    if !status.tolerance_by.is_empty() {
        // From the largest places to the smallest, as the labels nest.
        let levels = SPREAD_LABELS.iter().filter_map(|level| Some((level, status.tolerance_by.get(*level)?)));
        let levels: Vec<String> = levels.map(|(level, many)| format!("{many} {level}")).collect();
        text.push_str(&format!("\nwhole places that may be lost: {}", levels.join(", ")));
    }
    text.push_str(&format!("\n\n{}", nodes_table(&status.nodes)));
    let troubled: Vec<&PartitionStatus> =
        status.partitions.iter().filter(|partition| !partition.problem.is_empty()).collect();
    if !troubled.is_empty() {
        text.push_str("\n\n");
        text.push_str(&partitions_table(troubled));
    }
    for refusal in &told.refusals {
        text.push_str("\n\n");
        text.push_str(&refusal.text());
    }
    text
}

/// Nodes as a table.
pub fn nodes_table(nodes: &[NodeStatus]) -> String {
    let mut headings = vec!["NODE", "STATE", "ROLES", "ENDPOINT", "HTTP", "REDIS", "ZANKV", "PID", "LEADS"];
    let has_labels = nodes.iter().any(|node| !node.labels.is_empty());
    if has_labels {
        headings.push("LABELS");
    }
    let rows = nodes.iter().map(|node| {
        let labels = node.labels.iter().map(|(name, value)| format!("{name}={value}"));
        let labels = has_labels.then(|| labels.collect::<Vec<_>>().join(","));
        let cells = [
            node.id.to_string(),
            how_it_is(node),
            node.roles.join(","),
            node.endpoint.clone(),
            node.http.clone(),
            node.redis.clone(),
            node.zankv.clone(),
            if node.pid == 0 { "-".to_owned() } else { node.pid.to_string() },
            format!("{}/{}", node.leads, node.replicas),
        ];
        cells.into_iter().chain(labels).collect()
    });
    say::table(&headings, rows)
}

/// `up,drained`: what was done to a node by command belongs to how it is, and so does that it never stays up.
fn how_it_is(node: &NodeStatus) -> String {
    let flapping = node.flapping.then_some("flapping");
    let words = std::iter::once(node.state.as_str()).chain(flapping);
    words.chain(node.flags.iter().map(String::as_str)).collect::<Vec<_>>().join(",")
}

/// Partitions as a table.
pub fn partitions_table<'a>(partitions: impl IntoIterator<Item = &'a PartitionStatus>) -> String {
    let headings = ["TABLE", "PARTITION", "LEADER", "RECORDS", "BYTES", "REPLICAS", "PROBLEM"];
    let rows = partitions.into_iter().map(|partition| {
        let replicas: Vec<String> = partition
            .replicas
            .iter()
            .map(|replica| match replica.state.as_str() {
                "in-sync" => replica.node.to_string(),
                state => format!("{}({state})", replica.node),
            })
            .collect();
        vec![
            partition.table.clone(),
            partition.partition.to_string(),
            partition.leader.map_or("-".to_owned(), |node| node.to_string()),
            partition.records.to_string(),
            partition.bytes.to_string(),
            replicas.join(","),
            if partition.problem.is_empty() { "-".to_owned() } else { partition.problem.clone() },
        ]
    });
    say::table(&headings, rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::admin::{ErrorBody, ReplicaStatus};

    fn degraded() -> Status {
        let node = |id: u64, state: &str| NodeStatus {
            id,
            endpoint: format!("127.0.0.1:70{}0", id - 1),
            redis: format!("127.0.0.1:70{}2", id - 1),
            zankv: format!("127.0.0.1:70{}4", id - 1),
            http: format!("127.0.0.1:70{}1", id - 1),
            roles: vec!["meta".into(), "data".into()],
            state: state.into(),
            pid: if state == "down" { 0 } else { 100 },
            version: "0.1.0".into(),
            replicas: 9,
            leads: 3,
            ..NodeStatus::default()
        };
        let replica = |node: u64, state: &str| ReplicaStatus {
            replica: node,
            node,
            role: "follower".into(),
            state: state.into(),
            applied: 7,
            ..ReplicaStatus::default()
        };
        let partition = |partition: u64, problem: &str| PartitionStatus {
            table: "t".into(),
            partition,
            group: partition + 1,
            leader: Some(1),
            replicas: vec![replica(1, "in-sync"), replica(2, "lost")],
            problem: problem.into(),
            records: 5,
            bytes: 500,
        };
        Status {
            verdict: Verdict::Degraded,
            summary: "node 2 is down; 1 node may be lost".into(),
            cluster: "00000000000000aa".into(),
            fault_tolerance: 1,
            tolerance_by: Default::default(),
            leader: Some(1),
            catalog_version: 12,
            nodes: vec![node(1, "up"), node(2, "down")],
            partitions: vec![partition(0, ""), partition(1, "replica on node 2 is lost")],
        }
    }

    #[test]
    fn a_status_says_what_is_wrong_and_leaves_the_rest_out() {
        let expected = "\
degraded: node 2 is down; 1 node may be lost
cluster 00000000000000aa, catalog version 12, led by node 1

NODE  STATE  ROLES      ENDPOINT        HTTP            REDIS           ZANKV           PID  LEADS
1     up     meta,data  127.0.0.1:7000  127.0.0.1:7001  127.0.0.1:7002  127.0.0.1:7004  100  3/9
2     down   meta,data  127.0.0.1:7010  127.0.0.1:7011  127.0.0.1:7012  127.0.0.1:7014  -    3/9

TABLE  PARTITION  LEADER  RECORDS  BYTES  REPLICAS   PROBLEM
t      1          1       5        500    1,2(lost)  replica on node 2 is lost";
        assert_eq!(text(&Told::new(degraded(), Vec::new())), expected);
        let mut spread = degraded();
        spread.tolerance_by = [("rack", 0), ("dc", 1)].map(|(level, many)| (level.into(), many)).into();
        let told = text(&Told::new(spread, Vec::new()));
        assert!(
            told.contains("led by node 1\nwhole places that may be lost: 1 dc, 0 rack\n\nNODE"),
            "{told}"
        );
        // A node that said why it ended is down, whatever the others know, and its words are there.
        let mut unnoticed = degraded();
        unnoticed.nodes[1].state = "up".into();
        unnoticed.partitions[1].problem = "replica 2 on node 2 is starting".into();
        let error = ErrorBody::from(&Fault::new(ErrorCode::DataDamaged, "the log"));
        let told = text(&Told::new(unnoticed, vec![Refusal { node: 2, error }]));
        let words = "\n\nnode 2 does not run: stored data is damaged: a checksum or a structure does not fit \
                     [data-damaged]\n       the log\n next: ";
        assert!(told.contains("\n2     down   meta,data") && told.contains(words), "{told}");
        assert!(told.contains("1,2(unreachable)  replica 2 on node 2 is down"), "{told}");
    }

    #[test]
    fn what_was_done_to_a_node_and_where_it_stands_is_shown() {
        let mut nodes = degraded().nodes;
        nodes[0].flags = vec!["drained".into()];
        nodes[0].flapping = true;
        nodes[1].labels.insert("rack".into(), "r1".into());
        let table = nodes_table(&nodes);
        let lines: Vec<&str> = table.lines().collect();
        assert!(lines[0].ends_with("LEADS  LABELS") && lines[2].ends_with("rack=r1"), "{table}");
        assert!(
            lines[1].starts_with("1     up,flapping,drained  meta") && lines[1].ends_with("3/9"),
            "{table}"
        );
    }

    #[test]
    fn the_verdict_is_the_exit_code() {
        let exits = [Verdict::Healthy, Verdict::Degraded, Verdict::Unavailable].map(|v| exit_of(v).code);
        assert_eq!(exits, [0, 10, 20]);
        let nobody = |here| report(Err(ErrorCode::Unreachable.into()), &here, Form::Json, false);
        assert_eq!(nobody(Here(None)), exit::UNREACHABLE, "at an address");
        let address = std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
        let topology = Topology::new(types::ClusterId(1), 1, 7000, 1, address).expect("plain");
        let here = Here(Some((Directory::new("/nonexistent"), topology)));
        assert_eq!(nobody(here), exit::UNAVAILABLE, "in a directory");
    }
}
