//! ZanKV's guide on real clusters: namespaces, statistics and compaction over HTTP, asked of every node.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use api::admin::Verdict;
use api::zankv::{
    ClusterStats, DataNodes, Namespaces, Query, RaftStats, Stats, TableStatsOfAll, TableStatsReply,
};
use rustix::process::Signal;
use serde::de::DeserializeOwned;
use types::buckets::{BUCKETS, latency_bucket, micros};

use super::support::{Cluster, beside_others, until};
use super::three;

/// What `curl` would print: status and body.
pub fn http(cluster: &Cluster, node: u64, method: &str, path: &str, with_token: bool) -> (u16, String) {
    let address = cluster.addresses(node).http;
    let token = cluster.directory().secret().expect("a secret").admin_token();
    let authorization = if with_token { format!("Authorization: Bearer {token}\r\n") } else { String::new() };
    let mut stream = TcpStream::connect(&address).expect("a node that listens");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a socket");
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{authorization}\r\n");
    stream.write_all(head.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a header");
    (head.split(' ').nth(1).expect("a status").parse().expect("a number"), body.to_owned())
}

/// The answer of a node to a question.
fn ask<T: DeserializeOwned>(cluster: &Cluster, node: u64, path: &str) -> T {
    let (status, body) = http(cluster, node, "GET", path, false);
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"))
}

/// Asks for a change, which must be made.
fn post(cluster: &Cluster, node: u64, path: &str) {
    assert_eq!(http(cluster, node, "POST", path, true), (200, String::new()), "{path}");
}

pub fn zankv(cluster: &Cluster, node: u64) -> redis::Connection {
    let address = cluster.addresses(node).zankv;
    let client = redis::Client::open(format!("redis://{address}")).expect("an address");
    until("a connection", || client.get_connection_with_timeout(Duration::from_secs(2)).ok())
}

fn set(connection: &mut redis::Connection, key: &str, value: &str) {
    until("an acknowledged SET", || redis::cmd("SET").arg(key).arg(value).query::<()>(connection).ok());
}

/// A whole number among the metrics of a node.
fn metric(cluster: &Cluster, node: u64, name: &str) -> u64 {
    let (_, text) = http(cluster, node, "GET", "/metrics", false);
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.expect("the metric").parse().expect("a number")
}

/// A namespace of four partitions, known to all nodes.
fn create(cluster: &Cluster, node: u64) {
    let path =
        "/cluster/namespace/create?namespace=shop&partition_num=4&replicator=3&data_version=value_header_v1";
    post(cluster, node, path);
    cluster.becomes(Verdict::Healthy);
}

/// Whether every one of these nodes says that the cluster is stable, or every one that it is not.
fn all_say(cluster: &Cluster, nodes: &[u64], stable: bool) -> Option<()> {
    let say = |node: &u64| ask::<ClusterStats>(cluster, *node, "/cluster/stats").stable == stable;
    nodes.iter().all(say).then_some(())
}

#[test]
fn every_table_of_a_namespace_is_there() {
    let _beside = beside_others();
    let cluster = three();
    create(&cluster, 2);
    let names: Namespaces = ask(&cluster, 3, "/namespaces");
    assert_eq!(names.namespaces, ["shop"]);
    let (status, _) = http(
        &cluster,
        1,
        "POST",
        "/cluster/namespace/create?namespace=a&partition_num=1&replicator=1",
        false,
    );
    assert_eq!(status, 401, "without the token nothing changes");
    let mut connection = zankv(&cluster, 1);
    for number in 0..50 {
        set(&mut connection, &format!("shop:orders:{number}"), "o");
        set(&mut connection, &format!("shop:carts:{number}"), "c");
    }
    let mut other = zankv(&cluster, 3);
    let read: Option<String> = redis::cmd("GET").arg("shop:carts:7").query(&mut other).expect("an answer");
    assert_eq!(read.as_deref(), Some("c"));
    let error = redis::cmd("GET").arg("other:carts:7").query::<()>(&mut other).expect_err("no namespace");
    assert!(error.to_string().contains("unknown-namespace"), "{error}");
    // All keys of the port, as they are written there.
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut other).expect("keys");
    assert!(keys.len() == 100 && keys.iter().all(|key| key.starts_with("shop:")), "{keys:?}");
    let orders: TableStatsOfAll = ask(&cluster, 2, "/querytable/stats/orders");
    assert_eq!((orders.total["shop"].key_num, orders.nodes.len()), (50, 3), "{orders:?}");
    // Without a name each table has its own numbers.
    let counts = |node: u64| ask::<TableStatsReply>(&cluster, node, "/tablestats").table_stats;
    let sum = |key: &str| {
        let of = |node| counts(node).get(key).map_or(0, |table| table.key_num);
        [1, 2, 3].into_iter().map(of).sum::<u64>()
    };
    assert_eq!((sum("shop:orders"), sum("shop:carts"), sum("shop")), (50, 50, 0));
    // Patterns are about names as they are shown, and so is the number of keys.
    for (pattern, number) in [("shop:orders:*", 50), ("orders:*", 0), ("sh*:7", 2)] {
        let keys: Vec<String> = redis::cmd("KEYS").arg(pattern).query(&mut other).expect("keys");
        assert_eq!(keys.len(), number, "{pattern}");
    }
    let info: String = redis::cmd("INFO").arg("keyspace").query(&mut other).expect("info");
    assert!(info.contains("keys=100,"), "{info}");

    let query: Query = ask(&cluster, 1, "/query/shop");
    assert_eq!((query.partition_num, query.replicator, query.partitions.len()), (4, 3, 4));
    assert_eq!(query.partitions["3"].replicas.len(), 3);
    let (status, body) = http(&cluster, 2, "GET", &format!("/query/shop?epoch={}", query.epoch), false);
    assert_eq!((status, body.as_str()), (304, ""));

    let (status, _) =
        http(&cluster, 3, "DELETE", "/cluster/namespace/delete?namespace=shop&partition=**", true);
    assert_eq!((status, http(&cluster, 1, "GET", "/query/shop", false).0), (200, 404));
}

#[test]
fn statistics_are_told_by_every_node_and_a_dead_one_is_noticed() {
    let _beside = beside_others();
    let cluster = three();
    create(&cluster, 1);
    until("a stable cluster, as every node says", || all_say(&cluster, &[1, 2, 3], true));
    let nodes: DataNodes = ask(&cluster, 2, "/datanodes");
    assert_eq!(nodes.nodes.len(), 3);

    let mut connection = zankv(&cluster, 2);
    let value = "x".repeat(3000);
    (0..40).for_each(|number| set(&mut connection, &format!("shop:t:{number}"), &value));
    let stats = |node: u64, path: &str| -> Vec<_> {
        let stats: Stats = ask(&cluster, node, path);
        stats.stats.ns_stats.into_iter().filter(|one| one.name.starts_with("shop-")).collect()
    };
    // On the node that took them: each once, in both arrays; by size 2 to 4 KiB.
    let taken = stats(2, "/stats?leader_only=false");
    let sum = |pick: fn(&api::zankv::PartitionCounts) -> [u64; BUCKETS]| {
        taken.iter().map(|one| pick(one).iter().sum::<u64>()).sum::<u64>()
    };
    assert_eq!((taken.len(), sum(|one| one.cluster_write_stats.write_latency_stats)), (4, 40));
    assert_eq!(taken.iter().map(|one| one.cluster_write_stats.value_size_stats[3]).sum::<u64>(), 40);
    // Every replica applies them.
    until("applied writes of every node", || {
        let applied = |node| {
            let stats = stats(node, "/stats?leader_only=false");
            stats.iter().map(|one| one.db_write_stats.value_size_stats[3]).sum::<u64>()
        };
        [1, 2, 3].into_iter().all(|node| applied(node) == 40).then_some(())
    });
    let plain: Vec<_> = [1, 2, 3].into_iter().flat_map(|node| stats(node, "/stats")).collect();
    let led = plain.iter().filter(|one| one.is_leader);
    assert_eq!(led.count(), 4, "every partition is led by one node");
    let latencies = plain.iter().flat_map(|one| one.cluster_write_stats.write_latency_stats);
    assert_eq!(latencies.sum::<u64>(), 40, "without arguments all nodes together tell of every write once");
    let raft: Vec<RaftStats> = ask(&cluster, 1, "/raft/stats?namespace=shop");
    assert!(raft.len() == 4 && raft.iter().all(|one| one.members.len() == 3 && one.raft_stat.term > 0));
    let led = |node| ask::<Vec<RaftStats>>(&cluster, node, "/raft/stats?namespace=shop&leader_only=true");
    let leader = [1, 2, 3].into_iter().flat_map(led).next().expect("a leader");
    assert_eq!((leader.raft_stat.raft_state.as_str(), leader.raft_stat.progress.len()), ("StateLeader", 3));

    // As the alert rule "SkeinDataNodesChanged" sees it.
    let up = |node| metric(&cluster, node, "skein_nodes_up");
    assert_eq!((up(1), up(2)), (3, 3));
    cluster.kill_agent();
    cluster.kill(3);
    until("an unstable cluster", || all_say(&cluster, &[1, 2], false));
    until("one node less", || {
        let left = |node| ask::<DataNodes>(&cluster, node, "/datanodes").nodes.len();
        (left(1) == 2 && left(2) == 2 && up(1) == 2 && up(2) == 2).then_some(())
    });
}

/// Whether every thread of a process is stopped: the signal is seen by one of them first.
fn stands_still(pid: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("a process that lives");
    threads.filter_map(Result::ok).all(|thread| {
        let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('T'))
    })
}

/// So long the node that takes the write is alone. Elections take longer.
const PAUSE: Duration = Duration::from_millis(150);

#[test]
fn a_write_is_in_the_bucket_of_the_time_that_it_took() {
    let _beside = beside_others();
    let cluster = three();
    create(&cluster, 1);
    let mut connection = zankv(&cluster, 2);
    set(&mut connection, "shop:t:a", "v");
    let counted = || {
        let stats: Stats = ask(&cluster, 2, "/stats");
        let shop = stats.stats.ns_stats.iter().filter(|one| one.name.starts_with("shop-"));
        let mut sums = [0; BUCKETS];
        for counts in shop.map(|one| one.cluster_write_stats.write_latency_stats) {
            sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        sums
    };
    let before = counted();
    let commands = metric(&cluster, 2, "skein_commands_total");
    for node in [1, 3] {
        cluster.signal(node, Signal::STOP);
        until("a node that stands still", || stands_still(cluster.pid(node)).then_some(()));
    }
    let begun = Instant::now();
    let writing = std::thread::spawn(move || {
        set(&mut connection, "shop:t:a", "w");
        begun.elapsed()
    });
    // Once the command is counted, its time runs.
    until("a command", || (metric(&cluster, 2, "skein_commands_total") > commands).then_some(()));
    std::thread::sleep(PAUSE);
    [1, 3].into_iter().for_each(|node| cluster.signal(node, Signal::CONT));
    let longest = writing.join().expect("an acknowledged SET");
    let more = counted().iter().zip(before).map(|(now, before)| now - before).collect::<Vec<_>>();
    let possible = latency_bucket(micros(PAUSE))..=latency_bucket(micros(longest));
    assert_eq!(more.iter().sum::<u64>(), 1, "{more:?}");
    assert_eq!(more[possible.clone()].iter().sum::<u64>(), 1, "{more:?}: not in {possible:?}");
}

#[test]
fn a_node_that_cannot_learn_how_the_cluster_is_says_that_it_is_not_stable() {
    let _beside = beside_others();
    let cluster = three();
    let output = cluster.run(["node", "add"]);
    assert!(output.status.success(), "{}", super::support::words(&output));
    until("a stable cluster, as the added node has learned", || all_say(&cluster, &[4], true));
    cluster.kill_agent();
    (1..=3).for_each(|node| cluster.kill(node));
    assert_eq!(http(&cluster, 4, "GET", "/cluster/stats", false), (200, r#"{"stable":false}"#.into()));
}

#[test]
fn compaction_that_all_nodes_are_asked_for_is_one_operation() {
    let _beside = beside_others();
    let cluster = three();
    create(&cluster, 1);
    let mut connection = zankv(&cluster, 1);
    (0..100).for_each(|number| set(&mut connection, &format!("shop:t:{number}"), "v"));
    // The guide: on every machine. Here all at once, and it is staggered all the same.
    std::thread::scope(|scope| {
        for node in 1..=3 {
            let cluster = &cluster;
            scope.spawn(move || post(cluster, node, "/kv/optimize?wait=true"));
        }
    });
    let operations = cluster.client().operations().expect("operations");
    let asked: Vec<_> = operations.iter().filter(|operation| operation.parent.is_none()).collect();
    assert_eq!(asked.len(), 1, "whoever asked again has joined: {asked:?}");
    assert_eq!((asked[0].kind.as_str(), asked[0].state.as_str()), ("optimize", "done"));
    let mut parts: Vec<_> = operations.iter().filter(|operation| operation.parent.is_some()).collect();
    assert_eq!(parts.len(), 4 + 8, "every partition of both tables");
    // One after another: none began before the one before it had ended.
    parts.sort_by_key(|part| part.started_ms);
    assert!(parts.windows(2).all(|pair| pair[0].ended_ms <= pair[1].started_ms));
    assert!(parts.iter().all(|part| part.state == "done"), "{parts:?}");
    let read: Option<String> = redis::cmd("GET").arg("shop:t:42").query(&mut connection).expect("an answer");
    assert_eq!(read.as_deref(), Some("v"));

    let output = cluster.run(["optimize", "--namespace", "shop", "--wait", "--yes"]);
    assert!(output.status.success(), "{}", super::support::words(&output));
    let output = cluster.run(["optimize", "--every", "90d", "--window", "02:00-05:00"]);
    let said = super::support::words(&output);
    assert!(said.contains("every 90 days, between 02:00 and 05:00 UTC"), "{said}");
}
