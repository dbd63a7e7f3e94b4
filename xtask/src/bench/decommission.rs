//! A node with many partitions that is taken away while clients write: no request may fail.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use api::admin::{OperationRequest, Verdict as Health};

use super::Bench;
use super::figure::{Figure, Verdict};
use super::kv::{all_addresses, fill_mib};
use super::migrate::and_unseen;
use super::operate;
use super::support::{Cluster, Shape, until};
use super::writers::Writers;

/// Partitions; each has a replica on each of the first three nodes.
const PARTITIONS: u32 = 64;
/// Each partition's client writes once in this time.
const PACE: Duration = Duration::from_millis(50);
/// The node that goes.
const LEAVES: u64 = 3;

/// Three nodes hold everything, a fourth is added, and one of the three goes: all that it has moves.
pub fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let cluster = Cluster::start(&bench.skein, Shape { partitions: PARTITIONS, ..Shape::default() });
    fill_mib(bench, &all_addresses(&cluster), bench.size_mib)?;
    let added = operate::add_node(&cluster)?;
    let writers = Writers::at_pace(&cluster, PACE);
    // A client of the node itself would lose its connection when the node ends.
    writers.avoid(LEAVES);
    writers.all_acknowledged_since("writes by other nodes", &writers.partitions(), Instant::now());
    writers.take_percentile(99);

    let request =
        OperationRequest { kind: "decommission".into(), node: Some(LEAVES), ..OperationRequest::default() };
    let client = cluster.client();
    let done = operate::carry_out(&client, request)?;
    until("a node that ended by itself", || (!cluster.is_running(LEAVES)).then_some(()));
    writers.all_acknowledged_since("writes after the end", &writers.partitions(), Instant::now());
    let p99 = writers.take_percentile(99).context("nothing was written")?;
    let tally = writers.tally();
    let mut parts = client.operations().map_err(anyhow::Error::new)?;
    parts.retain(|part| part.parent == Some(done.operation.id) && part.kind == "migrate");
    // The catalog's own partition may be one more.
    ensure!(parts.len() >= PARTITIONS as usize, "{} partitions moved", parts.len());
    ensure!(parts.iter().all(operate::is_proved), "a part has no evidence");
    let status = cluster.becomes(Health::Healthy);
    let arrived = status.nodes.iter().find(|node| node.id == added).map(|node| node.replicas);
    ensure!(arrived >= Some(PARTITIONS), "node {added} has {arrived:?} replicas");
    let lost = writers.stop_and_count_lost(&cluster);
    Ok(vec![Figure {
        measure: format!(
            "decommission under load, a node of 4 with {PARTITIONS} partitions, {} MiB, its own clients told to go \
             elsewhere before: failed requests",
            bench.size_mib
        ),
        value: format!(
            "{}, {lost} lost ({tally}, p99 {:.1} ms); {:.1} s, {:.0} MiB/s{}",
            tally.failures(),
            p99.as_secs_f64() * 1000.0,
            done.took.as_secs_f64(),
            bench.size_mib as f64 / done.took.as_secs_f64(),
            and_unseen(done.unseen)
        ),
        beside: String::new(),
        bar: "0, lost 0".into(),
        verdict: Verdict::of(tally.failures() + lost == 0),
    }])
}
