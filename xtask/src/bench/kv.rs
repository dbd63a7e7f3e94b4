//! Throughput of SET and GET, beside Redis and etcd.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::Bench;
use super::figure::{Figure, Verdict};
use super::others::{Redis, etcd_writes_per_second};
use super::support::{Cluster, Shape};
use crate::tools::output;

/// Keys that exist before reads are measured.
const KEYS: u64 = 100_000;

/// A measurement of the load generator.
pub struct Load {
    /// Answered commands in a second.
    pub per_second: f64,
    /// The median in milliseconds.
    pub p50_ms: f64,
    /// 99 % were faster, in milliseconds.
    pub p99_ms: f64,
}

/// `SET` on one replica beside Redis that syncs every write, and on three beside etcd.
pub fn set(bench: &Bench) -> Result<Vec<Figure>> {
    let redis = match Redis::start(&["--appendonly", "yes", "--appendfsync", "always"])? {
        Some(redis) => Some(load(bench, &redis.address(), "set", 1)?),
        None => None,
    };
    let single = Cluster::start(&bench.skein, Shape { nodes: 1, ..Shape::default() });
    let one = load(bench, &single.addresses(1).redis, "set", 1)?;
    drop(single);
    let cluster = Cluster::start(&bench.skein, Shape::default());
    let addresses = all_addresses(&cluster);
    let three = load(bench, &addresses, "set", 1)?;
    let pipelined = load(bench, &addresses, "set", 16)?;
    drop(cluster);
    let etcd = etcd_writes_per_second()?;
    Ok(vec![
        compared(
            "SET 100 B, 50 connections, one replica, fsync on ack",
            &one,
            redis.map(|load| load.per_second),
            1.0,
            "Redis appendfsync always",
        ),
        compared(
            "SET 100 B, 50 connections, three replicas, quorum fsync",
            &three,
            etcd,
            3.0,
            "etcd check perf xl",
        ),
        compared("SET 100 B, 50 connections, three replicas, pipelined 16", &pipelined, None, 0.0, ""),
    ])
}

/// `GET` on one node and on one of three, plain and pipelined, beside Redis.
pub fn get(bench: &Bench) -> Result<Vec<Figure>> {
    let mut beside = Vec::new();
    if let Some(redis) = Redis::start(&["--appendonly", "no"])? {
        fill(bench, &redis.address())?;
        for pipeline in [1, 16] {
            beside.push(load(bench, &redis.address(), "get", pipeline)?.per_second);
        }
    }
    let mut figures = Vec::new();
    for (nodes, name, bars) in [(3, "all sent to one of 3 nodes", [0.45, 0.15]), (1, "1 node", [0.7, 0.3])] {
        let cluster = Cluster::start(&bench.skein, Shape { nodes, ..Shape::default() });
        let address = cluster.addresses(1).redis;
        fill(bench, &address)?;
        for (i, pipeline) in [1, 16].into_iter().enumerate() {
            let measured = load(bench, &address, "get", pipeline)?;
            let pipelined = if pipeline == 1 { String::new() } else { format!(", pipelined {pipeline}") };
            let name = format!("GET 100 B, 50 connections, {name}{pipelined}");
            figures.push(compared(&name, &measured, beside.get(i).copied(), bars[i], "Redis"));
        }
    }
    Ok(figures)
}

/// Redis addresses of all nodes, as the load generator takes them.
pub fn all_addresses(cluster: &Cluster) -> String {
    let addresses = cluster.nodes().into_iter().map(|node| cluster.addresses(node).redis);
    addresses.collect::<Vec<_>>().join(",")
}

/// One measurement; errors and unknown outcomes fail it.
fn load(bench: &Bench, addresses: &str, mix: &str, pipeline: u32) -> Result<Load> {
    let (pipeline, duration) = (pipeline.to_string(), format!("{}s", bench.seconds));
    let keys = KEYS.to_string();
    generate(
        bench,
        &[
            "--redis",
            addresses,
            "--size",
            "100",
            "--mix",
            mix,
            "--pipeline",
            &pipeline,
            "--duration",
            &duration,
            "--keys",
            &keys,
        ],
    )
}

/// Every key once.
fn fill(bench: &Bench, address: &str) -> Result<()> {
    fill_keys(bench, address, KEYS)
}

/// So many keys, once each.
pub fn fill_keys(bench: &Bench, addresses: &str, keys: u64) -> Result<()> {
    fill_with(bench, addresses, keys, &["--size", "100"])
}

/// MiB of values of 1 KiB that do not compress, each under a key of its own.
pub fn fill_mib(bench: &Bench, addresses: &str, mib: u64) -> Result<()> {
    fill_with(bench, addresses, mib * 1024, &["--size", "1024", "--incompressible"])?;
    eprintln!("  {mib} MiB are written");
    Ok(())
}

fn fill_with(bench: &Bench, addresses: &str, keys: u64, values: &[&str]) -> Result<()> {
    let keys = keys.to_string();
    let order = ["--pipeline", "16", "--requests", &keys, "--keys", &keys, "--in-order"];
    generate(bench, &[&["--redis", addresses], &order[..], values].concat())?;
    Ok(())
}

/// Runs the load generator.
pub fn generate(bench: &Bench, arguments: &[&str]) -> Result<Load> {
    let mut command = Command::new(&bench.skein);
    command.args(["bench", "kv", "--json", "--connections", "50"]).args(arguments);
    let text = output(&mut command)?;
    let report: serde_json::Value =
        serde_json::from_str(&text).context("the report of the load generator")?;
    let number =
        |pointer: &str| report.pointer(pointer).and_then(serde_json::Value::as_f64).unwrap_or(f64::NAN);
    ensure!(number("/answered") > 0.0, "nothing was answered: {text}");
    Ok(Load {
        per_second: number("/per_second"),
        p50_ms: number("/latency_us/p50") / 1000.0,
        p99_ms: number("/latency_us/p99") / 1000.0,
    })
}

/// A throughput beside another one, with the bar as a share of it.
pub fn compared(measure: &str, load: &Load, other: Option<f64>, bar: f64, who: &str) -> Figure {
    let value = format!("{:.0}/s, p50 {:.2} ms, p99 {:.2} ms", load.per_second, load.p50_ms, load.p99_ms);
    let (beside, verdict) = match other {
        Some(other) => {
            let share = load.per_second / other;
            (format!("{who} {other:.0}/s: {share:.2} x"), Verdict::of(share >= bar))
        }
        None if who.is_empty() => (String::new(), Verdict::Unknown),
        None => (format!("{who}: not installed"), Verdict::Unknown),
    };
    let bar = if bar > 0.0 { format!(">= {bar} x") } else { String::new() };
    Figure { measure: measure.to_owned(), value, beside, bar, verdict }
}
