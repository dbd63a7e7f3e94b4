//! A leader moved on purpose under load: how long its partition takes no write, and whether any fails.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use api::admin::{MoveLeader, Verdict as Health};

use super::Bench;
use super::failover::data_partitions;
use super::figure::{Figure, Verdict};
use super::support::{Cluster, Shape, until};
use super::writers::Writers;

/// Moves.
const MOVES: usize = 24;
/// The bar.
const MOVE_MAX: Duration = Duration::from_millis(200);

/// Moves leaders of all partitions in turn, each to the next of its nodes.
pub fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let cluster = Cluster::start(&bench.skein, Shape::default());
    let writers = Writers::start(&cluster);
    let client = cluster.client();
    let mut slowest = Vec::new();
    for i in 0..MOVES {
        let status = cluster.becomes(Health::Healthy);
        let partitions: Vec<_> = data_partitions(&status).collect();
        let partition = partitions[i % partitions.len()];
        let leader = partition.leader.context("a healthy partition has a leader")?;
        let nodes: Vec<u64> = partition.replicas.iter().map(|replica| replica.node).collect();
        let at = nodes.iter().position(|&node| node == leader).unwrap_or_default();
        let to = nodes[(at + 1) % nodes.len()];
        writers.take_slowest(partition.partition);
        let wish = MoveLeader { table: partition.table.clone(), partition: partition.partition, to };
        client.move_leader(&wish).map_err(anyhow::Error::new)?;
        let moved = Instant::now();
        until("a write after the move", || writers.acknowledged_since(partition.partition, moved));
        slowest.push(writers.take_slowest(partition.partition));
    }
    let tally = writers.tally();
    let lost = writers.stop_and_count_lost(&cluster);
    slowest.sort();
    let (median, worst) = (slowest[slowest.len() / 2], slowest[slowest.len() - 1]);
    Ok(vec![Figure {
        measure: format!("planned leader move under load, {MOVES} times: slowest write"),
        value: format!(
            "median {} ms, worst {} ms, {lost} lost ({tally})",
            median.as_millis(),
            worst.as_millis()
        ),
        beside: String::new(),
        bar: "<= 200 ms, errors 0".into(),
        verdict: Verdict::of(worst <= MOVE_MAX && tally.failures() + lost == 0),
    }])
}
