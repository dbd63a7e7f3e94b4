//! A table is compacted while clients write: what they feel of it, and what it gives back.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use api::admin::{OperationRequest, Verdict as Health};

use super::Bench;
use super::failover::data_partitions;
use super::figure::{Figure, Verdict};
use super::kv::{all_addresses, generate};
use super::operate;
use super::support::{Cluster, Shape};
use super::writers::Writers;

/// Of so many keys one stays; the others are removed before.
const STAYS: u64 = 4;
/// Light load: the one partition's client writes once in this time.
const PACE: Duration = Duration::from_millis(20);
/// The bar: the 99th percentile during the compaction, as a multiple of that before.
const SLOWER_MAX: f64 = 2.0;

/// One partition that is far too large to be compacted at once, and is written to.
pub fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let cluster = Cluster::start(&bench.skein, Shape { partitions: 1, ..Shape::default() });
    let keys = bench.size_mib * 1024;
    send(bench, &cluster, keys, "SET key:{n} {value}")?;
    send(bench, &cluster, keys / STAYS * (STAYS - 1), "DEL key:{n}")?;
    eprintln!("  {} MiB are written, and most of them removed", bench.size_mib);
    cluster.becomes(Health::Healthy);
    let writers = Writers::at_pace(&cluster, PACE);
    let percentile = || writers.take_percentile(99).context("nothing was written");
    // What the load itself costs, after whatever came before has been cleaned up.
    std::thread::sleep(Duration::from_secs(bench.seconds.into()));
    percentile()?;
    std::thread::sleep(Duration::from_secs(bench.seconds.into()));
    let (before, bytes_before) = (percentile()?, bytes(&cluster)?);
    let request = OperationRequest { kind: "optimize".into(), ..OperationRequest::default() };
    let done = operate::carry_out(&cluster.client(), request)?;
    let during = percentile()?;
    let tally = writers.tally();
    let lost = writers.stop_and_count_lost(&cluster);
    let operations = cluster.client().operations().map_err(anyhow::Error::new)?;
    let left =
        operations.iter().flat_map(|one| &one.events).find(|event| event.text.contains("did not compact"));
    ensure!(left.is_none(), "not everything was compacted: {left:?}");
    // What nodes report of their sizes is a little old.
    std::thread::sleep(Duration::from_secs(bench.seconds.into()));
    let slower = during.as_secs_f64() / before.as_secs_f64();
    Ok(vec![Figure {
        measure: format!(
            "optimize of a partition of {} MiB, 3 of 4 keys removed, a client writing every {} ms: its p99 meanwhile \
             and before",
            bench.size_mib,
            PACE.as_millis()
        ),
        value: format!(
            "{:.2} ms, before {:.2} ms: {slower:.1} x; {:.1} s, {bytes_before} MiB become {}; {lost} lost ({tally})",
            during.as_secs_f64() * 1000.0,
            before.as_secs_f64() * 1000.0,
            done.took.as_secs_f64(),
            bytes(&cluster)?,
        ),
        beside: String::new(),
        bar: format!("<= {SLOWER_MAX:.0} x, errors 0"),
        verdict: Verdict::of(slower <= SLOWER_MAX && tally.failures() + lost == 0),
    }])
}

/// One command for each of so many keys, with values of 1 KiB that do not compress.
fn send(bench: &Bench, cluster: &Cluster, keys: u64, command: &str) -> Result<()> {
    let (addresses, keys) = (all_addresses(cluster), keys.to_string());
    let order = ["--pipeline", "16", "--requests", &keys, "--keys", &keys, "--in-order"];
    let values = ["--size", "1024", "--incompressible", "--command", command];
    generate(bench, &[&["--redis", &addresses], &order[..], &values[..]].concat())?;
    Ok(())
}

/// MiB of the partition's largest replica.
fn bytes(cluster: &Cluster) -> Result<u64> {
    let status = cluster.becomes(Health::Healthy);
    let replicas = data_partitions(&status).flat_map(|partition| &partition.replicas);
    let bytes = replicas.filter_map(|replica| replica.bytes).max().context("no replica")?;
    Ok(bytes / (1024 * 1024))
}
