//! Partitions that move to another node: empty ones, a full one as fast as it goes, and one at a limit under load.

use std::time::Duration;

use anyhow::{Context, Result};
use api::admin::Verdict as Health;

use super::Bench;
use super::figure::{Figure, Verdict};
use super::kv::{all_addresses, fill_mib};
use super::operate::{self, Done};
use super::support::{Cluster, Shape};
use super::writers::Writers;

/// Moves of empty partitions, every other one of a leader.
const EMPTY_MOVES: usize = 16;
/// The bar for the slowest of them.
const EMPTY_MAX: Duration = Duration::from_secs(1);
/// The bar for a full one, MiB/s.
const RATE_MIN: f64 = 80.0;
/// The limit, MiB/s.
const LIMIT_MIB: u64 = 50;
/// Light load: the one partition's client writes once in this time, long enough that no write has to wait for
/// the one before.
const PACE: Duration = Duration::from_millis(20);
/// The bar: the 99th percentile at the limit, as a multiple of that before.
const SLOWER_MAX: f64 = 3.0;

/// One after another, leaders and followers in turn, to whichever node has no replica.
pub fn empty(bench: &Bench) -> Result<Vec<Figure>> {
    let cluster = Cluster::start(&bench.skein, Shape::default());
    operate::add_node(&cluster)?;
    let client = cluster.client();
    let (mut times, mut unseen) = (Vec::new(), 0);
    for i in 0..EMPTY_MOVES {
        let status = cluster.becomes(Health::Healthy);
        let partition = operate::partition(&status, i % cluster.topology().partitions as usize)?;
        let [leader, follower, other] = operate::places(&status, partition)?;
        let from = if i % 2 == 0 { leader } else { follower };
        let done = operate::migrate(&client, partition, from, other)?;
        eprintln!("  {:.2} s: {}", done.took.as_secs_f64(), operate::steps(&done.operation));
        times.push(done.took);
        unseen += done.unseen;
    }
    times.sort();
    let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
    Ok(vec![Figure {
        measure: format!("migrate an empty partition, {EMPTY_MOVES} times: asked to done, proved"),
        value: format!(
            "median {:.2} s, worst {:.2} s{}",
            median.as_secs_f64(),
            worst.as_secs_f64(),
            and_unseen(unseen)
        ),
        beside: "the guide's example: 12 s".into(),
        bar: format!("<= {} s", EMPTY_MAX.as_secs()),
        verdict: Verdict::of(worst <= EMPTY_MAX),
    }])
}

/// A partition that holds everything: there without a limit, and back at one while a client writes.
pub fn full(bench: &Bench) -> Result<Vec<Figure>> {
    let cluster = Cluster::start(&bench.skein, Shape { partitions: 1, ..Shape::default() });
    operate::add_node(&cluster)?;
    fill_mib(bench, &all_addresses(&cluster), bench.size_mib)?;
    Ok(vec![unlimited(bench, &cluster)?, limited(bench, &cluster)?])
}

fn unlimited(bench: &Bench, cluster: &Cluster) -> Result<Figure> {
    let done = move_follower(cluster)?;
    let rate = bench.size_mib as f64 / done.took.as_secs_f64();
    Ok(Figure {
        measure: format!(
            "migrate {} MiB of values that do not compress: asked to done, proved",
            bench.size_mib
        ),
        value: format!(
            "{rate:.0} MiB/s, {:.1} s ({}){}",
            done.took.as_secs_f64(),
            operate::steps(&done.operation),
            and_unseen(done.unseen)
        ),
        beside: String::new(),
        bar: format!(">= {RATE_MIN:.0} MiB/s"),
        verdict: Verdict::of(rate >= RATE_MIN),
    })
}

fn limited(bench: &Bench, cluster: &Cluster) -> Result<Figure> {
    operate::set(&cluster.client(), "move_bytes_per_second", &(LIMIT_MIB << 20).to_string())?;
    let writers = Writers::at_pace(cluster, PACE);
    let percentile = || writers.take_percentile(99).context("nothing was written");
    // What the load itself costs, measured after whatever the move before has left to be cleaned up.
    std::thread::sleep(Duration::from_secs(bench.seconds.into()));
    percentile()?;
    std::thread::sleep(Duration::from_secs(bench.seconds.into()));
    let before = percentile()?;
    let done = move_follower(cluster)?;
    let during = percentile()?;
    let tally = writers.tally();
    let lost = writers.stop_and_count_lost(cluster);
    let slower = during.as_secs_f64() / before.as_secs_f64();
    Ok(Figure {
        measure: format!(
            "the same at {LIMIT_MIB} MiB/s, a client writing every {} ms: its p99, during the move and before",
            PACE.as_millis()
        ),
        value: format!(
            "{:.2} ms, before {:.2} ms: {slower:.1} x; {:.0} MiB/s; {lost} lost ({tally}){}",
            during.as_secs_f64() * 1000.0,
            before.as_secs_f64() * 1000.0,
            bench.size_mib as f64 / done.took.as_secs_f64(),
            and_unseen(done.unseen)
        ),
        beside: String::new(),
        bar: format!("<= {SLOWER_MAX:.0} x, errors 0"),
        verdict: Verdict::of(slower <= SLOWER_MAX && tally.failures() + lost == 0),
    })
}

/// Moves a follower of the one partition to the node without a replica.
fn move_follower(cluster: &Cluster) -> Result<Done> {
    let status = cluster.becomes(Health::Healthy);
    let partition = operate::partition(&status, 0)?;
    let [_, follower, other] = operate::places(&status, partition)?;
    let done = operate::migrate(&cluster.client(), partition, follower, other)?;
    eprintln!("  {:.2} s: {}", done.took.as_secs_f64(), operate::steps(&done.operation));
    Ok(done)
}

/// Looks at an operation that nobody answered, if there were any.
pub fn and_unseen(unseen: u64) -> String {
    if unseen == 0 { String::new() } else { format!("; {unseen} looks at it not answered") }
}
