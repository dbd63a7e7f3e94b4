//! `skein status`: how a cluster is, in one line, then what is not as it should be.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use api::admin::{NodeStatus, PartitionStatus, Status, Verdict};
use types::{ErrorCode, Fault};

use crate::cli;
use crate::exit::{self, Exit};
use crate::say::{self, Form};

/// The pause between two looks of `--watch`.
const WATCH_PAUSE: Duration = Duration::from_secs(1);
/// Clears a terminal and goes to its first line.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Tells once, or again and again.
pub fn run(arguments: &cli::Status) -> Result<Exit, Fault> {
    let client = arguments.find.lookup().client()?;
    let form = arguments.output.form();
    if !arguments.watch {
        return Ok(report(client.status(), form, false));
    }
    loop {
        let status = client.status();
        if form == Form::Text && std::io::stdout().is_terminal() {
            let _ = std::io::stdout().write_all(CLEAR.as_bytes());
        }
        report(status, form, true);
        std::thread::sleep(WATCH_PAUSE);
    }
}

fn report(status: Result<Status, Fault>, form: Form, repeated: bool) -> Exit {
    match (status, form) {
        (Ok(status), Form::Text) => {
            say::data(text(&status));
            exit_of(status.verdict)
        }
        (Ok(status), Form::Json) => {
            if repeated {
                say::json_line(&status)
            } else {
                say::json(&status)
            }
            exit_of(status.verdict)
        }
        (Err(fault), form) => {
            say::fault(&fault, form);
            // Nobody answers: the data is unavailable, whatever its state on disk.
            if fault.code == ErrorCode::Unreachable { exit::UNAVAILABLE } else { exit::of(fault.code) }
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
fn text(status: &Status) -> String {
    let verdict = match status.verdict {
        Verdict::Healthy => "healthy",
        Verdict::Degraded => "degraded",
        Verdict::Unavailable => "unavailable",
    };
    let leader = status.leader.map_or("nobody".to_owned(), |node| format!("node {node}"));
    let mut text = format!(
        "{verdict}: {}\ncluster {}, catalog version {}, led by {leader}\n\n{}",
        status.summary,
        status.cluster,
        status.catalog_version,
        nodes_table(&status.nodes)
    );
    let troubled: Vec<&PartitionStatus> =
        status.partitions.iter().filter(|partition| !partition.problem.is_empty()).collect();
    if !troubled.is_empty() {
        text.push_str("\n\n");
        text.push_str(&partitions_table(troubled));
    }
    text
}

/// Nodes as a table.
pub fn nodes_table(nodes: &[NodeStatus]) -> String {
    let headings = ["NODE", "STATE", "ROLES", "ENDPOINT", "HTTP", "REDIS", "ZANKV", "PID", "LEADS"];
    let rows = nodes.iter().map(|node| {
        vec![
            node.id.to_string(),
            node.state.clone(),
            node.roles.join(","),
            node.endpoint.clone(),
            node.http.clone(),
            node.redis.clone(),
            node.zankv.clone(),
            if node.pid == 0 { "-".to_owned() } else { node.pid.to_string() },
            format!("{}/{}", node.leads, node.replicas),
        ]
    });
    say::table(&headings, rows)
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
    use api::admin::ReplicaStatus;

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
        };
        let replica = |node: u64, state: &str| ReplicaStatus {
            replica: node,
            node,
            role: "follower".into(),
            state: state.into(),
            applied: 7,
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
        assert_eq!(text(&degraded()), expected);
    }

    #[test]
    fn the_verdict_is_the_exit_code() {
        let exits = [Verdict::Healthy, Verdict::Degraded, Verdict::Unavailable].map(|v| exit_of(v).code);
        assert_eq!(exits, [0, 10, 20]);
        let nobody = report(Err(ErrorCode::Unreachable.into()), Form::Json, false);
        assert_eq!(nobody, exit::UNAVAILABLE);
    }
}
