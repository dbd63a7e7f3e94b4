//! What an idle cluster costs: memory and processor time of each node.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use api::admin::{CreateTable, Verdict as Health};

use super::Bench;
use super::figure::{Figure, Verdict};
use super::support::{Cluster, Shape};

/// How long is looked; whatever happens once a minute does not show, nor matter.
const LOOK: Duration = Duration::from_secs(20);
/// How long a new cluster is given to come to rest.
const REST: Duration = Duration::from_secs(10);
/// Groups of the large cluster, with the default table's eight and the catalog's.
const GROUPS: u32 = 500;
/// Clock ticks in a second, as `/proc` counts processor time on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// Eight partitions, and five hundred groups.
pub fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let cluster = Cluster::start(&bench.skein, Shape::default());
    cluster.becomes(Health::Healthy);
    let small = costs(&cluster)?;
    let partitions = Some(GROUPS - 9);
    let wish = CreateTable { namespace: None, name: "many".into(), engine: None, partitions, replicas: None };
    cluster.client().create_table(&wish).map_err(anyhow::Error::new)?;
    cluster.becomes(Health::Healthy);
    let large = costs(&cluster)?;
    Ok(vec![
        figure("idle, three nodes, 8 partitions, per node", &small, 60.0, 2.0),
        figure("idle, three nodes, 500 groups, per node", &large, 120.0, 5.0),
    ])
}

/// Memory in MiB and share of a core in percent, of the costliest node each.
struct Costs {
    memory_mib: f64,
    core_percent: f64,
}

fn costs(cluster: &Cluster) -> Result<Costs> {
    // The one place where time itself is what is measured.
    std::thread::sleep(REST);
    let pids: Vec<u32> = cluster.nodes().into_iter().map(|node| cluster.pid(node)).collect();
    let ticks = |pid: &u32| processor_ticks(*pid);
    let before = pids.iter().map(ticks).collect::<Result<Vec<f64>>>()?;
    let began = Instant::now();
    std::thread::sleep(LOOK);
    let seconds = began.elapsed().as_secs_f64();
    let after = pids.iter().map(ticks).collect::<Result<Vec<f64>>>()?;
    let shares =
        before.iter().zip(&after).map(|(before, after)| (after - before) / TICKS_PER_SECOND / seconds);
    let core_percent = 100.0 * shares.fold(0.0, f64::max);
    Ok(Costs { memory_mib: largest_memory_mib(cluster)?, core_percent })
}

/// Resident memory of the largest node, in MiB.
pub fn largest_memory_mib(cluster: &Cluster) -> Result<f64> {
    let mut largest: f64 = 0.0;
    for node in cluster.nodes() {
        let status = std::fs::read_to_string(format!("/proc/{}/status", cluster.pid(node)))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
        largest = largest.max(kib / 1024.0);
    }
    Ok(largest)
}

/// Processor time of a process, user and system, in seconds.
pub fn processor_seconds(pid: u32) -> Result<f64> {
    Ok(processor_ticks(pid)? / TICKS_PER_SECOND)
}

/// Processor time of a process, user and system, in clock ticks.
fn processor_ticks(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("no program name")?;
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    // Fields 14 and 15 of the line; two went with the name.
    let user: f64 = fields.get(11).context("no user time")?.parse()?;
    let system: f64 = fields.get(12).context("no system time")?.parse()?;
    Ok(user + system)
}

fn figure(measure: &str, costs: &Costs, memory_mib_max: f64, core_percent_max: f64) -> Figure {
    Figure {
        measure: measure.to_owned(),
        value: format!("{:.0} MiB, {:.1} % of a core", costs.memory_mib, costs.core_percent),
        beside: String::new(),
        bar: format!("<= {memory_mib_max:.0} MiB, {core_percent_max:.0} %"),
        verdict: Verdict::of(costs.memory_mib <= memory_mib_max && costs.core_percent <= core_percent_max),
    }
}
