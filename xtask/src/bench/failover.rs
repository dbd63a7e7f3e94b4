//! A leader killed with `kill -9`: how long until every partition that it led takes a write again.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use api::admin::{Status, Verdict as Health};

use super::Bench;
use super::figure::{Figure, Verdict};
use super::support::{Cluster, Shape, until};
use super::writers::Writers;

/// The bars, for the median and for the worst.
const MEDIAN_MAX: Duration = Duration::from_millis(1200);
const WORST_MAX: Duration = Duration::from_millis(2500);

/// Kills so many leaders, one after another, each time the node that leads most.
pub fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let cluster = Cluster::start(&bench.skein, Shape::default());
    let writers = Writers::start(&cluster);
    let mut pauses = Vec::new();
    for _ in 0..bench.kills {
        pauses.push(kill_one(&cluster, &writers)?);
    }
    let (errors, unknown) = (writers.errors(), writers.unknown());
    cluster.becomes(Health::Healthy);
    let lost = writers.stop_and_count_lost(&cluster);
    pauses.sort();
    let (median, worst) = (pauses[pauses.len() / 2], pauses[pauses.len() - 1]);
    Ok(vec![Figure {
        measure: format!(
            "leader killed, {} times: kill to first ack on every partition it led",
            pauses.len()
        ),
        value: format!(
            "median {:.2} s, worst {:.2} s, lost {lost} ({errors} errors, {unknown} unknown)",
            median.as_secs_f64(),
            worst.as_secs_f64()
        ),
        beside: String::new(),
        bar: "median <= 1.2 s, worst <= 2.5 s, lost 0".into(),
        verdict: Verdict::of(median <= MEDIAN_MAX && worst <= WORST_MAX && lost == 0),
    }])
}

/// One kill; returns how long the last of the node's partitions took.
fn kill_one(cluster: &Cluster, writers: &Writers) -> Result<Duration> {
    let status = cluster.becomes(Health::Healthy);
    let (node, led) = leads_most(&status).context("nobody leads anything")?;
    // Writers talk to the other nodes: what is measured is the partitions' leader, not a client's gateway.
    writers.avoid(node);
    let moved = Instant::now();
    let all: Vec<u64> = data_partitions(&status).map(|partition| partition.partition).collect();
    until("writes by other nodes", || {
        all.iter().all(|&partition| writers.acknowledged_since(partition, moved).is_some()).then_some(())
    });
    let before: Vec<u64> = led.iter().map(|&partition| writers.last_value(partition)).collect();
    let pid = cluster.pid(node);
    let killed = Instant::now();
    super::support::send(pid, rustix::process::Signal::KILL);
    let mut last = killed;
    for (&partition, before) in led.iter().zip(before) {
        let acknowledged = until("a write after the kill", || writers.acknowledged_since(partition, killed));
        anyhow::ensure!(writers.last_value(partition) > before, "partition {partition} went back");
        last = last.max(acknowledged);
    }
    writers.avoid(0);
    until("another process", || (cluster.pid(node) != pid).then_some(()));
    cluster.node_is_ready(node);
    Ok(last - killed)
}

/// The node that leads most partitions, and those.
fn leads_most(status: &Status) -> Option<(u64, Vec<u64>)> {
    let led = |node: u64| -> Vec<u64> {
        let partitions = data_partitions(status).filter(|partition| partition.leader == Some(node));
        partitions.map(|partition| partition.partition).collect()
    };
    let nodes = status.nodes.iter().map(|node| (node.id, led(node.id)));
    nodes.max_by_key(|(_, led)| led.len()).filter(|(_, led)| !led.is_empty())
}

/// The partitions of the default table: the first table that is not the catalog.
pub fn data_partitions(status: &Status) -> impl Iterator<Item = &api::admin::PartitionStatus> {
    status.partitions.iter().filter(|partition| partition.table != "catalog")
}
