//! Backup, restore and drill of a full cluster: how fast, and what each costs in processor time.
//!
//! A machine that others use measures low; the processor time of the nodes for each GiB of values does not depend
//! on them so much, and is what two versions are compared by.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use api::admin::{TablePartition, Verdict as Health};

use super::Bench;
use super::failover::data_partitions;
use super::figure::{Figure, Verdict};
use super::idle::processor_seconds;
use super::kv::{all_addresses, fill_mib, generate};
use super::support::{Cluster, Shape, words};
use super::writers::Writers;

/// The share of all values that are elements of collections.
const IN_COLLECTIONS: u64 = 8;
/// Collections of each kind.
const COLLECTIONS: u64 = 4;
/// What fills them.
const KINDS: &[&str] = &[
    "HSET hash:{i} field:{n} {value}",
    "RPUSH list:{i} {value}",
    "SADD set:{i} {value}",
    "ZADD sorted:{i} {n} {value}",
];
/// One value in so many is written anew before a backup of what has changed.
const CHANGED: u64 = 100;
/// The bar for a backup, MiB/s.
const BACKUP_MIN: f64 = 150.0;
/// The bar for a restore, MiB/s.
const RESTORE_MIN: f64 = 40.0;
/// The rate of a backup under load.
const RATE: &str = "50MiB/s";
/// Each partition's client writes once in this time: light load, in which no write waits for the one before.
const PACE: Duration = Duration::from_millis(40);
/// The bar: the 99th percentile during a backup, as a multiple of that before.
const SLOWER_MAX: f64 = 2.0;

/// A backup without load, one of what has changed since, one under load, a restore into another cluster, and a drill there.
pub fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let place = tempfile::tempdir().context("a directory for backups")?;
    let mut figures = Vec::new();
    let source = Cluster::start(&bench.skein, Shape::default());
    fill(bench, &source)?;
    figures.push(unlimited(bench, &source, place.path())?);
    figures.push(increment(bench, &source, place.path())?);
    let busy = tempfile::tempdir().context("a directory for backups")?;
    figures.push(limited(bench, &source, busy.path())?);
    // There is not room for everything at once on every machine.
    drop((source, busy));
    let cluster = Cluster::start(&bench.skein, Shape::default());
    figures.push(restored(bench, &cluster, place.path())?);
    figures.push(drilled(bench, &cluster, place.path())?);
    Ok(figures)
}

/// Strings, and a share of elements, all of 1 KiB that do not compress.
fn fill(bench: &Bench, cluster: &Cluster) -> Result<()> {
    let elements = bench.size_mib / IN_COLLECTIONS;
    let addresses = all_addresses(cluster);
    fill_mib(bench, &addresses, bench.size_mib - elements)?;
    let each = (elements * 1024 / (KINDS.len() as u64 * COLLECTIONS)).max(1).to_string();
    for kind in KINDS {
        for number in 0..COLLECTIONS {
            let command = kind.replace("{i}", &number.to_string());
            let order = ["--pipeline", "16", "--requests", &each, "--keys", &each, "--in-order"];
            let values = ["--size", "1024", "--incompressible", "--command", &command];
            generate(bench, &[&["--redis", &addresses], &order[..], &values[..]].concat())?;
        }
    }
    eprintln!("  {elements} MiB of elements are written");
    cluster.becomes(Health::Healthy);
    Ok(())
}

/// What something took.
struct Took {
    time: Duration,
    /// Of all nodes together.
    processor_seconds: f64,
}

impl Took {
    /// `160 MiB/s, 12.8 s, 7.1 s of processor time per GiB`.
    fn words(&self, bench: &Bench) -> String {
        let per_gib = self.processor_seconds * 1024.0 / bench.size_mib as f64;
        let (rate, seconds) = (self.rate(bench), self.time.as_secs_f64());
        format!("{rate:.0} MiB/s, {seconds:.1} s, {per_gib:.1} s of processor time per GiB")
    }

    fn rate(&self, bench: &Bench) -> f64 {
        bench.size_mib as f64 / self.time.as_secs_f64()
    }
}

/// Runs a command to its end, which must be a good one.
fn timed(cluster: &Cluster, arguments: &[&str]) -> Result<Took> {
    let before = all_seconds(cluster)?;
    let began = Instant::now();
    let output = cluster.run(arguments);
    let time = began.elapsed();
    ensure!(output.status.success(), "{arguments:?}: {}", words(&output));
    let took = Took { time, processor_seconds: all_seconds(cluster)? - before };
    eprintln!("  {}: {:.1} s", arguments[..2].join(" "), took.time.as_secs_f64());
    Ok(took)
}

fn all_seconds(cluster: &Cluster) -> Result<f64> {
    cluster.nodes().into_iter().map(|node| processor_seconds(cluster.pid(node))).sum()
}

fn url(place: &Path) -> String {
    format!("file://{}", place.display())
}

/// The only backup at a place.
fn only(place: &Path) -> Result<String> {
    let id = std::fs::read_dir(place)?.next().context("no backup")??.file_name();
    Ok(id.to_string_lossy().into_owned())
}

/// Bytes of all files under a directory.
fn directory_bytes(directory: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        bytes += match entry.file_type()?.is_dir() {
            true => directory_bytes(&entry.path())?,
            false => entry.metadata()?.len(),
        };
    }
    Ok(bytes)
}

fn unlimited(bench: &Bench, cluster: &Cluster, place: &Path) -> Result<Figure> {
    let took = timed(cluster, &["backup", "create", "--to", &url(place)])?;
    Ok(Figure {
        measure: format!("backup of {} MiB to a local directory, three nodes, no load", bench.size_mib),
        value: took.words(bench),
        beside: String::new(),
        bar: format!(">= {BACKUP_MIN:.0} MiB/s"),
        verdict: Verdict::of(took.rate(bench) >= BACKUP_MIN),
    })
}

/// A backup that stands on the first one, after one value in a hundred was written anew. It is removed again.
fn increment(bench: &Bench, cluster: &Cluster, place: &Path) -> Result<Figure> {
    let full = only(place)?;
    let changed_mib = (bench.size_mib / CHANGED).max(1);
    fill_mib(bench, &all_addresses(cluster), changed_mib)?;
    let url = url(place);
    let took = timed(cluster, &["backup", "create", "--to", &url, "--incremental-from", &full])?;
    let (all, before) = (directory_bytes(place)?, directory_bytes(&place.join(&full))?);
    // What is restored later is the first one.
    for entry in std::fs::read_dir(place)? {
        let entry = entry?;
        if entry.file_name() != *full {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    let value =
        format!("{:.1} s, {} KiB of {} KiB", took.time.as_secs_f64(), (all - before) / 1024, before / 1024);
    Ok(Figure {
        measure: format!("a backup of what has changed since, after {changed_mib} MiB were written anew"),
        value,
        beside: String::new(),
        bar: String::new(),
        verdict: Verdict::Unknown,
    })
}

fn limited(bench: &Bench, cluster: &Cluster, place: &Path) -> Result<Figure> {
    let writers = Writers::at_pace(cluster, PACE);
    let percentile = || writers.take_percentile(99).context("nothing was written");
    // What the load itself costs, after whatever came before has been cleaned up.
    std::thread::sleep(Duration::from_secs(bench.seconds.into()));
    percentile()?;
    std::thread::sleep(Duration::from_secs(bench.seconds.into()));
    let before = percentile()?;
    let took = timed(cluster, &["backup", "create", "--to", &url(place), "--rate", RATE])?;
    let during = percentile()?;
    let tally = writers.tally();
    let lost = writers.stop_and_count_lost(cluster);
    let slower = during.as_secs_f64() / before.as_secs_f64();
    Ok(Figure {
        measure: format!(
            "the same at {RATE}, a client per partition writing every {} ms: their p99 meanwhile and before",
            PACE.as_millis()
        ),
        value: format!(
            "{:.2} ms, before {:.2} ms: {slower:.1} x; {:.0} MiB/s; {lost} lost ({tally})",
            during.as_secs_f64() * 1000.0,
            before.as_secs_f64() * 1000.0,
            took.rate(bench)
        ),
        beside: String::new(),
        bar: format!("<= {SLOWER_MAX:.0} x, errors 0"),
        verdict: Verdict::of(slower <= SLOWER_MAX && tally.failures() + lost == 0),
    })
}

/// A restore of the whole backup into a table of another cluster; all replicas are compared afterwards.
fn restored(bench: &Bench, cluster: &Cluster, place: &Path) -> Result<Figure> {
    let took = timed(cluster, &["restore", "--from", &url(place), "--to-table", "restored"])?;
    compared(cluster, "restored")?;
    Ok(Figure {
        measure: format!(
            "restore of {} MiB into three nodes, three replicas, synced, all replicas equal",
            bench.size_mib
        ),
        value: took.words(bench),
        beside: String::new(),
        bar: format!(">= {RESTORE_MIN:.0} MiB/s"),
        verdict: Verdict::of(took.rate(bench) >= RESTORE_MIN),
    })
}

/// Compares all replicas of a table; each partition must have three.
fn compared(cluster: &Cluster, table: &str) -> Result<()> {
    let status = cluster.becomes(Health::Healthy);
    let client = cluster.client();
    let mut partitions = 0;
    for partition in data_partitions(&status).filter(|partition| partition.table == table) {
        let at = TablePartition { table: table.into(), partition: partition.partition };
        let digests = client.digest(&at).map_err(anyhow::Error::new)?;
        ensure!(digests.equal && digests.replicas.len() == 3, "{at:?}: {digests:?}");
        partitions += 1;
    }
    ensure!(partitions > 0, "no partitions of {table}");
    Ok(())
}

fn drilled(bench: &Bench, cluster: &Cluster, place: &Path) -> Result<Figure> {
    let id = only(place)?;
    let took = timed(cluster, &["backup", "verify", &id, "--at", &url(place), "--drill"])?;
    Ok(Figure {
        measure: "backup verify --drill of it: read, restored into a scratch table, compared, dropped".into(),
        value: took.words(bench),
        beside: String::new(),
        bar: String::new(),
        verdict: Verdict::Unknown,
    })
}
