//! `kill -9` under load with a million keys: from the new process to being as far as its leaders are.

use std::time::{Duration, Instant};

use anyhow::Result;
use api::admin::{Status, Verdict as Health};

use super::Bench;
use super::figure::{Figure, Verdict};
use super::kv::{all_addresses, fill_keys};
use super::memory::KEYS;
use super::support::{Cluster, Shape, until};
use super::writers::Writers;

/// The bar.
const READY_MAX: Duration = Duration::from_secs(3);
/// Kills, each of another node.
const KILLS: u64 = 3;

/// The slowest of some starts.
pub fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let cluster = Cluster::start(&bench.skein, Shape::default());
    fill_keys(bench, &all_addresses(&cluster), KEYS)?;
    let writers = Writers::start(&cluster);
    let (mut slowest_ready, mut slowest) = (Duration::ZERO, Duration::ZERO);
    for node in 1..=KILLS {
        cluster.becomes(Health::Healthy);
        let pid = cluster.pid(node);
        super::support::send(pid, rustix::process::Signal::KILL);
        // The agent starts the next process as soon as it sees the end of this one.
        until("another process", || (cluster.pid(node) != pid).then_some(()));
        let began = Instant::now();
        cluster.node_is_ready(node);
        slowest_ready = slowest_ready.max(began.elapsed());
        let client = cluster.client();
        until("a node that has caught up", || {
            client.status().ok().filter(|status| has_caught_up(status, node))
        });
        slowest = slowest.max(began.elapsed());
    }
    drop(writers);
    Ok(vec![Figure {
        measure: format!("kill -9 under load with 1 million keys, {KILLS} nodes: exec to caught up"),
        value: format!(
            "worst {:.2} s (the node itself says so after {:.2} s)",
            slowest.as_secs_f64(),
            slowest_ready.as_secs_f64()
        ),
        beside: String::new(),
        bar: "<= 3 s".into(),
        verdict: Verdict::of(slowest <= READY_MAX),
    }])
}

/// Whether every replica of a node is in sync: applied up to its leader's commit.
fn has_caught_up(status: &Status, node: u64) -> bool {
    let replicas = status.partitions.iter().flat_map(|partition| &partition.replicas);
    let mut here = replicas.filter(|replica| replica.node == node).peekable();
    here.peek().is_some() && here.all(|replica| replica.state == "in-sync")
}
