//! Every operation, on a cluster where it has something to do.

use api::admin::OperationRequest;
use api::restoring::{RestoreRequest, RestoreSource};
use api::saving::BackupRequest;
use types::NodeId;

use crate::model::Cluster;

/// An operation and the cluster that it runs on.
pub struct Scenario {
    pub name: &'static str,
    pub cluster: fn() -> Cluster,
    pub request: OperationRequest,
}

fn four() -> Cluster {
    Cluster::new(&["1", "2", "3", "4"], &[1, 2, 3], &["flow:3:3"])
}

fn five() -> Cluster {
    Cluster::new(&["1", "2", "3", "4", "5"], &[1, 2, 3], &["flow:2:3"])
}

fn with_dead_node() -> Cluster {
    let mut cluster = five();
    cluster.kill(NodeId(3));
    (0..12).for_each(|_| cluster.tick());
    cluster
}

fn manual_with_dead_node() -> Cluster {
    let mut cluster = five();
    cluster.set("auto_failover", "false");
    cluster.kill(NodeId(1));
    (0..12).for_each(|_| cluster.tick());
    cluster
}

fn with_offline_node() -> Cluster {
    let mut cluster = four();
    let request = OperationRequest { node: Some(2), ..kind("offline-node") };
    cluster.start(&request).unwrap();
    assert!(cluster.finish());
    cluster
}

fn with_lost_replica() -> Cluster {
    let mut cluster = four();
    for group in cluster.groups.values_mut().skip(1) {
        group.replicas.retain(|_, replica| replica.node != 2);
    }
    cluster.tick();
    cluster
}

fn uneven() -> Cluster {
    let mut cluster = Cluster::new(&["1", "2", "3"], &[1, 2, 3], &["flow:4:3"]);
    cluster.join("4");
    cluster
}

fn with_lost_majority() -> Cluster {
    let mut cluster = Cluster::new(&["1", "2", "3", "4", "5"], &[1, 4, 5], &["flow:1:3"]);
    cluster.kill(NodeId(2));
    cluster.kill(NodeId(3));
    (0..12).for_each(|_| cluster.tick());
    cluster
}

fn kind(kind: &str) -> OperationRequest {
    OperationRequest { kind: kind.into(), ..Default::default() }
}

fn of_table(name: &str, partitions: &[u64]) -> OperationRequest {
    OperationRequest { table: Some("flow".into()), partitions: partitions.to_vec(), ..kind(name) }
}

fn of_backup(name: &str, backup: Option<&str>) -> OperationRequest {
    let backup = BackupRequest {
        url: "file:///backups".into(),
        backup: backup.map(String::from),
        ..BackupRequest::default()
    };
    OperationRequest { backup: Some(backup), ..kind(name) }
}

/// Tables that are made, and one that is there and is written to.
fn of_restore() -> OperationRequest {
    let source = |from: &str, to: &str, replicas| RestoreSource {
        from: from.into(),
        to: to.into(),
        partitions: 2,
        replicas,
        bytes: 1 << 20,
        ..RestoreSource::default()
    };
    let restore = RestoreRequest {
        url: "file:///backups".into(),
        backup: Some("20261126T000000Z-000001".into()),
        on_conflict: Some("skip".into()),
        sources: vec![source("flow", "copy", 3), source("flow", "flow", 3), source("flow", "other", 2)],
        ..RestoreRequest::default()
    };
    OperationRequest { restore: Some(restore), ..kind("restore") }
}

/// All of them.
pub fn all() -> Vec<Scenario> {
    let scenario = |name, cluster: fn() -> Cluster, request| Scenario { name, cluster, request };
    vec![
        scenario("change-leader", four, of_table("change-leader", &[0])),
        scenario("change-leader, dead leader", manual_with_dead_node, of_table("change-leader", &[0])),
        scenario("add-replica", four, of_table("add-replica", &[0])),
        scenario(
            "remove-replica",
            four,
            OperationRequest { from: Some(1), ..of_table("remove-replica", &[0]) },
        ),
        scenario("migrate", four, OperationRequest { from: Some(2), ..of_table("migrate", &[0]) }),
        scenario("migrate the leader", four, OperationRequest { from: Some(1), ..of_table("migrate", &[0]) }),
        scenario("migrate all", four, OperationRequest { from: Some(3), ..of_table("migrate", &[]) }),
        scenario(
            "migrate from a dead node",
            with_dead_node,
            OperationRequest { from: Some(3), ..of_table("migrate", &[]) },
        ),
        scenario("offline-node", four, OperationRequest { node: Some(1), ..kind("offline-node") }),
        scenario(
            "offline-node, dead",
            manual_with_dead_node,
            OperationRequest { node: Some(1), ..kind("offline-node") },
        ),
        scenario(
            "recover-node",
            with_offline_node,
            OperationRequest { node: Some(2), ..kind("recover-node") },
        ),
        scenario("recover-partition", with_lost_replica, of_table("recover-partition", &[0])),
        scenario("recover-cluster", with_lost_replica, kind("recover-cluster")),
        scenario("snapshot", four, of_table("snapshot", &[])),
        scenario("drain", four, OperationRequest { node: Some(1), ..kind("drain") }),
        scenario("undrain", four, OperationRequest { node: Some(1), ..kind("undrain") }),
        scenario("decommission", four, OperationRequest { node: Some(2), ..kind("decommission") }),
        scenario(
            "decommission a dead node",
            with_dead_node,
            OperationRequest { node: Some(3), ..kind("decommission") },
        ),
        scenario("balance", uneven, kind("balance")),
        scenario("optimize", four, kind("optimize")),
        scenario("optimize a table", uneven, of_table("optimize", &[])),
        scenario("optimize with a dead node", with_dead_node, kind("optimize")),
        scenario("backup", four, of_backup("backup", None)),
        scenario("restore", four, of_restore()),
        scenario("drill", four, of_backup("drill", Some("20261126T000000Z-000001"))),
        scenario(
            "set-replicas up",
            five,
            OperationRequest { count: Some(5), ..of_table("set-replicas", &[]) },
        ),
        scenario(
            "set-replicas down",
            five,
            OperationRequest { count: Some(1), ..of_table("set-replicas", &[]) },
        ),
        scenario("recover-quorum, two dead", with_lost_majority, of_table("recover-quorum", &[])),
    ]
}
