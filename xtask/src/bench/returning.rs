//! A node that was dead for ten seconds under load and comes back: how long until every replica is in sync.

use std::time::{Duration, Instant};

use anyhow::Result;
use api::admin::Verdict as Health;

use super::Bench;
use super::figure::{Figure, Verdict};
use super::support::{Cluster, Shape, send};
use super::writers::Writers;

/// How long it is away.
const AWAY: Duration = Duration::from_secs(10);
/// The bar.
const IN_SYNC_MAX: Duration = Duration::from_secs(5);

/// Each node once; there is no agent to start it earlier, and clients write as fast as they are answered.
pub fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let cluster = Cluster::start(&bench.skein, Shape::default());
    cluster.kill_agent();
    let writers = Writers::start(&cluster);
    let mut times = Vec::new();
    for node in cluster.nodes() {
        cluster.becomes(Health::Healthy);
        writers.avoid(node);
        writers.all_acknowledged_since("writes by other nodes", &writers.partitions(), Instant::now());
        let before = writers.tally().acknowledged;
        send(cluster.pid(node), rustix::process::Signal::KILL);
        // Time itself is what is asked for.
        std::thread::sleep(AWAY);
        let missed = writers.tally().acknowledged - before;
        let began = Instant::now();
        cluster.start_node(node);
        cluster.node_is_ready(node);
        let ready = began.elapsed();
        cluster.becomes(Health::Healthy);
        let took = began.elapsed();
        eprintln!(
            "  node {node} missed {missed} writes: serves after {:.2} s, in sync after {:.2} s",
            ready.as_secs_f64(),
            took.as_secs_f64()
        );
        times.push(took);
        writers.avoid(0);
    }
    let tally = writers.tally();
    let lost = writers.stop_and_count_lost(&cluster);
    times.sort();
    let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
    Ok(vec![Figure {
        measure: format!(
            "node returns after {} s under load, {} times: exec to all replicas in sync",
            AWAY.as_secs(),
            times.len()
        ),
        value: format!(
            "median {:.2} s, worst {:.2} s, lost {lost} ({tally})",
            median.as_secs_f64(),
            worst.as_secs_f64()
        ),
        beside: String::new(),
        bar: format!("<= {} s, lost 0", IN_SYNC_MAX.as_secs()),
        verdict: Verdict::of(worst <= IN_SYNC_MAX && lost == 0),
    }])
}
