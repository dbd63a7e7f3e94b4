//! Collections: writes, reads out of large ones, and how fast a large one is gone.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::Bench;
use super::figure::{Figure, Verdict};
use super::idle::processor_seconds;
use super::kv::{compared, generate};
use super::others::Redis;
use super::support::{Cluster, Shape};

/// Different members that writes choose from.
const WRITTEN: u64 = 100_000;
/// Members that a range returns.
const RANGE: u64 = 100;
/// Fields of the hash that is read whole.
const FIELDS: u64 = 100;
/// How long removing a large collection may take.
const REMOVE_MS_MAX: f64 = 1.0;

/// Small keys that are removed before each large one.
const SMALL_KEYS: u64 = 100;
/// A cluster that rests uses less than this share of one core, over this time; so often is looked.
const REST_SHARE: f64 = 0.2;
const REST: Duration = Duration::from_secs(1);
const RESTS_MAX: u32 = 60;

/// Writes, one replica, and how large a share of Redis's rate they must reach.
const WRITES: &[(&str, &str)] = &[
    ("HSET", "HSET hash field:{n} {value}"),
    ("LPUSH", "LPUSH list {value}"),
    ("SADD", "SADD set member:{n}"),
    ("ZADD", "ZADD sorted {other} member:{n}"),
];
const WRITE_SHARE: f64 = 0.6;

/// All figures of collections.
pub fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let mut figures = writes(bench)?;
    figures.extend(reads(bench)?);
    figures.push(removals(bench)?);
    Ok(figures)
}

/// Writes beside Redis that syncs each of them.
fn writes(bench: &Bench) -> Result<Vec<Figure>> {
    let redis = Redis::start(&["--appendonly", "yes", "--appendfsync", "always"])?;
    let cluster = Cluster::start(&bench.skein, Shape { nodes: 1, ..Shape::default() });
    let mut figures = Vec::new();
    for (name, command) in WRITES {
        let beside = match &redis {
            Some(redis) => Some(timed(bench, &redis.address(), command, WRITTEN)?.per_second),
            None => None,
        };
        let ours = timed(bench, &cluster.addresses(1).redis, command, WRITTEN)?;
        let name = format!("{name}, 50 connections, one replica, fsync on ack");
        figures.push(compared(&name, &ours, beside, WRITE_SHARE, "Redis appendfsync always"));
    }
    Ok(figures)
}

/// Reads of a part of a large collection and of a whole small one, beside Redis.
fn reads(bench: &Bench) -> Result<Vec<Figure>> {
    let members = bench.members;
    let ranks = members.saturating_sub(RANGE).max(1);
    let range = format!("ZRANGE board {{n}} {{n+{}}}", RANGE - 1);
    let cases = [
        (format!("ZRANGE of 100 at a random rank of {members} members"), range.as_str(), ranks, 0.2),
        ("the same at the first rank".into(), range.as_str(), 1, 0.2),
        ("HGETALL of 100 fields of 16 bytes".into(), "HGETALL record", 1, 0.4),
    ];
    let measure = |address: &str| -> Result<Vec<_>> {
        once_each(bench, address, "ZADD board {n} member:{n}", members, 100)?;
        once_each(bench, address, "HSET record field:{n} {value}", FIELDS, 16)?;
        cases.iter().map(|(_, command, keys, _)| timed(bench, address, command, *keys)).collect()
    };
    let beside = match Redis::start(&["--appendonly", "no"])? {
        Some(redis) => Some(measure(&redis.address())?),
        None => None,
    };
    let cluster = Cluster::start(&bench.skein, Shape { nodes: 1, ..Shape::default() });
    let ours = measure(&cluster.addresses(1).redis)?;
    let figure = |(case, (name, _, _, share)): (usize, &(String, &str, u64, f64))| {
        let other = beside.as_ref().map(|loads| loads[case].per_second);
        compared(&format!("{name}, 50 connections, 1 node"), &ours[case], other, *share, "Redis")
    };
    Ok(cases.iter().enumerate().map(figure).collect())
}

/// How long the client waits for `DEL` of a large collection, on three nodes, and of a small key. Each kind is filled
/// once: that takes a minute or so, and a removal takes as long whatever is in it.
fn removals(bench: &Bench) -> Result<Figure> {
    let cluster = Cluster::start(&bench.skein, Shape::default());
    let mut connection = cluster.redis(1);
    let (mut took_ms, mut small_ms) = (Vec::new(), Vec::new());
    for command in ["SADD large member:{n}", "ZADD large {n} member:{n}", "HSET large field:{n} x"] {
        eprintln!("filling: {command}");
        once_each(bench, &cluster.addresses(1).redis, command, bench.members, 1)?;
        rest(&cluster)?;
        // The first write of a connection finds its way.
        for _ in 0..SMALL_KEYS {
            let _: () = redis::cmd("SET").arg("{large}").arg("x").query(&mut connection)?;
            small_ms.push(removal(&mut connection, "{large}")?);
        }
        took_ms.push(removal(&mut connection, "large")?);
    }
    took_ms.sort_by(f64::total_cmp);
    small_ms.sort_by(f64::total_cmp);
    let (median, worst) = (took_ms[took_ms.len() / 2], took_ms[took_ms.len() - 1]);
    let small = |share: f64| small_ms[(small_ms.len() as f64 * share) as usize];
    Ok(Figure {
        measure: format!(
            "DEL of a set, sorted set, hash of {} members, three replicas, asked to answered",
            bench.members
        ),
        value: format!("median {median:.2} ms, worst {worst:.2} ms"),
        beside: format!("DEL of a small key: median {:.2} ms, p99 {:.2} ms", small(0.5), small(0.99)),
        bar: format!("<= {REMOVE_MS_MAX} ms"),
        verdict: Verdict::of(median <= REMOVE_MS_MAX),
    })
}

/// How long `DEL` of a key takes that is there, in milliseconds.
fn removal(connection: &mut redis::Connection, key: &str) -> Result<f64> {
    let began = Instant::now();
    let removed: i64 = redis::cmd("DEL").arg(key).query(connection).context("DEL")?;
    anyhow::ensure!(removed == 1, "there was nothing to remove");
    Ok(began.elapsed().as_secs_f64() * 1000.0)
}

/// Waits until what came before has been written and merged in the background.
fn rest(cluster: &Cluster) -> Result<()> {
    let all =
        || cluster.nodes().into_iter().map(|node| processor_seconds(cluster.pid(node))).sum::<Result<f64>>();
    for _ in 0..RESTS_MAX {
        let before = all()?;
        std::thread::sleep(REST);
        if all()? - before < REST.as_secs_f64() * REST_SHARE {
            return Ok(());
        }
    }
    anyhow::bail!("the nodes do not come to rest")
}

/// A command of this pattern for the time of a measurement.
fn timed(bench: &Bench, address: &str, command: &str, keys: u64) -> Result<super::kv::Load> {
    let (keys, duration) = (keys.to_string(), format!("{}s", bench.seconds));
    let load = ["--size", "100", "--duration", &duration, "--keys", &keys, "--command", command];
    generate(bench, &[&["--redis", address], &load[..]].concat())
}

/// A command of this pattern for each number once.
fn once_each(bench: &Bench, address: &str, command: &str, keys: u64, size: u64) -> Result<()> {
    let (keys, size) = (keys.to_string(), size.to_string());
    let order = ["--pipeline", "16", "--requests", &keys, "--keys", &keys, "--in-order"];
    let values = ["--size", &size, "--command", command];
    generate(bench, &[&["--redis", address], &order[..], &values[..]].concat())?;
    Ok(())
}
