//! A leader killed with `kill -9`: how long until every partition of its node takes a write again.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use api::admin::{PartitionStatus, Status, Verdict as Health};

use super::Bench;
use super::figure::{Figure, Verdict};
use super::support::{Cluster, Shape, until};
use super::writers::Writers;

/// What is killed, and the bars.
struct Wish {
    partitions: u32,
    /// Between two writes to a partition; zero: as soon as it is answered.
    pace: Duration,
    median_max: Duration,
    worst_max: Duration,
}

/// Kills the node that leads most, again and again.
pub fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let wish = Wish {
        partitions: Shape::default().partitions,
        pace: Duration::ZERO,
        median_max: Duration::from_millis(1200),
        worst_max: Duration::from_millis(2500),
    };
    measure_as(bench, &wish)
}

/// The same with so many partitions that 64 clients in a closed loop would measure the machine: they have a pace.
pub fn measure_64(bench: &Bench) -> Result<Vec<Figure>> {
    let wish = Wish {
        partitions: 64,
        pace: Duration::from_millis(50),
        median_max: Duration::from_millis(1500),
        worst_max: Duration::from_millis(2500),
    };
    measure_as(bench, &wish)
}

fn measure_as(bench: &Bench, wish: &Wish) -> Result<Vec<Figure>> {
    let cluster = Cluster::start(&bench.skein, Shape { partitions: wish.partitions, ..Shape::default() });
    let writers = Writers::at_pace(&cluster, wish.pace);
    let mut pauses = Vec::new();
    for _ in 0..bench.kills {
        pauses.push(kill_one(&cluster, &writers)?);
    }
    let tally = writers.tally();
    cluster.becomes(Health::Healthy);
    let lost = writers.stop_and_count_lost(&cluster);
    pauses.sort();
    let (median, worst) = (pauses[pauses.len() / 2], pauses[pauses.len() - 1]);
    Ok(vec![Figure {
        measure: format!(
            "node killed, {} times: kill to first ack on each of its {} partitions",
            pauses.len(),
            wish.partitions
        ),
        value: format!(
            "median {:.2} s, worst {:.2} s, lost {lost} ({tally})",
            median.as_secs_f64(),
            worst.as_secs_f64()
        ),
        beside: String::new(),
        bar: format!(
            "median <= {} s, worst <= {} s, lost 0",
            wish.median_max.as_secs_f64(),
            wish.worst_max.as_secs_f64()
        ),
        verdict: Verdict::of(median <= wish.median_max && worst <= wish.worst_max && lost == 0),
    }])
}

/// One kill; returns how long the last of the node's partitions took.
fn kill_one(cluster: &Cluster, writers: &Writers) -> Result<Duration> {
    let status = cluster.becomes(Health::Healthy);
    let node = leads_most(&status).context("nobody leads anything")?;
    // Writers talk to the other nodes: what is measured is the partitions' leader, not a client's gateway.
    writers.avoid(node);
    let all = writers.partitions();
    writers.all_acknowledged_since("writes by other nodes", &all, Instant::now());
    let hosted = hosted_by(&status, node);
    let before: Vec<u64> = hosted.iter().map(|&partition| writers.last_value(partition)).collect();
    let pid = cluster.pid(node);
    let killed = Instant::now();
    super::support::send(pid, rustix::process::Signal::KILL);
    let last = writers.all_acknowledged_since("writes after the kill", &hosted, killed);
    for (&partition, before) in hosted.iter().zip(before) {
        anyhow::ensure!(writers.last_value(partition) > before, "partition {partition} went back");
    }
    writers.avoid(0);
    until("another process", || (cluster.pid(node) != pid).then_some(()));
    cluster.node_is_ready(node);
    Ok(last - killed)
}

/// The node that leads most partitions.
fn leads_most(status: &Status) -> Option<u64> {
    let leads =
        |node: u64| data_partitions(status).filter(|partition| partition.leader == Some(node)).count();
    let nodes = status.nodes.iter().map(|node| (leads(node.id), node.id));
    nodes.max().filter(|(leads, _)| *leads > 0).map(|(_, node)| node)
}

/// The partitions that have a replica on a node.
fn hosted_by(status: &Status, node: u64) -> Vec<u64> {
    let here = |partition: &&PartitionStatus| partition.replicas.iter().any(|replica| replica.node == node);
    data_partitions(status).filter(here).map(|partition| partition.partition).collect()
}

/// The partitions of the default table: the first table that is not the catalog.
pub fn data_partitions(status: &Status) -> impl Iterator<Item = &PartitionStatus> {
    status.partitions.iter().filter(|partition| partition.table != "catalog")
}
