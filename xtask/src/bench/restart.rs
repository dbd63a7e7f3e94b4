//! All nodes killed at once and started in any order: how long until every partition takes a write, nothing typed.

use std::time::{Duration, Instant};

use anyhow::Result;
use api::admin::Verdict as Health;

use super::Bench;
use super::figure::{Figure, Verdict};
use super::operate;
use super::support::{Cluster, Shape};
use super::writers::Writers;

/// The bar.
const SERVING_MAX: Duration = Duration::from_secs(5);
/// Every order of three nodes.
const ORDERS: [[u64; 3]; 6] = [[1, 2, 3], [3, 2, 1], [2, 1, 3], [3, 1, 2], [1, 3, 2], [2, 3, 1]];

/// Every order, with and without automatic failover: without it the leaders of record must come back.
pub fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let cluster = Cluster::start(&bench.skein, Shape::default());
    let writers = Writers::start(&cluster);
    let mut figures = Vec::new();
    for automatic in [true, false] {
        cluster.becomes(Health::Healthy);
        operate::set(&cluster.client(), "auto_failover", &automatic.to_string())?;
        let mut times = Vec::new();
        for order in ORDERS {
            cluster.becomes(Health::Healthy);
            cluster.kill_all();
            let began = Instant::now();
            for node in order {
                cluster.start_node(node);
                // The pid file tells that the process is there; the next one starts after it.
                cluster.pid(node);
            }
            let served = writers.all_acknowledged_since("writes", &writers.partitions(), began);
            eprintln!("  {order:?}: {:.2} s", (served - began).as_secs_f64());
            times.push(served - began);
        }
        times.sort();
        let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
        figures.push(Figure {
            measure: format!(
                "all nodes killed, auto_failover={automatic}, started in {} orders: exec to acks everywhere",
                ORDERS.len()
            ),
            value: format!("median {:.2} s, worst {:.2} s", median.as_secs_f64(), worst.as_secs_f64()),
            beside: String::new(),
            bar: format!("<= {} s, lost 0", SERVING_MAX.as_secs()),
            verdict: Verdict::of(worst <= SERVING_MAX),
        });
    }
    cluster.becomes(Health::Healthy);
    let tally = writers.tally();
    let lost = writers.stop_and_count_lost(&cluster);
    for figure in &mut figures {
        figure.value.push_str(&format!(", lost {lost} in all"));
        if lost > 0 {
            figure.verdict = Verdict::Below;
        }
    }
    eprintln!("  {tally}");
    Ok(figures)
}
