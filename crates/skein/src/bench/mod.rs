//! The load generator: sends Redis commands as fast as they are answered and measures how fast that is.
//!
//! ```text
//!   thread ─┬─ connection ── batch of commands ──► server ──► replies ─┐
//!           ├─ connection        (the next one when all are here)  ◄───┘
//!           └─ …                  one epoll per thread
//! ```
//!
//! A *closed* loop: a connection sends its next batch when the last one is answered, so a slow server is
//! asked less and latencies are those of the load that it bears. (An open loop, which sends at a fixed
//! rate, would show queueing that this one hides; the throughput is the same.)
//!
//! Nothing is sent twice. A write whose connection broke before its answer has an unknown outcome and is
//! counted as one; a connection that broke is made again, and that is counted too.

mod connection;
mod pattern;
mod report;
mod worker;

use std::net::{SocketAddr, ToSocketAddrs};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use catalog::status::NodeState;
use client::Lookup;
use types::{ErrorCode, Fault};

use crate::cli::BenchKv;
use crate::layout;
pub use pattern::Pattern;
pub use report::Report;
use worker::{Shared, Worker};

/// Reads and writes in a mix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mix {
    /// Parts that are reads.
    pub reads: u32,
    /// Parts that are writes.
    pub writes: u32,
}

/// Measures as the arguments say.
///
/// # Errors
/// `NoCluster`, `BadArgument`; `Unreachable` if a connection cannot be made at the start, or leads to something
/// that does not speak the Redis protocol.
pub fn run(arguments: &BenchKv) -> Result<Report, Fault> {
    let addresses = addresses(arguments)?;
    let shared = Arc::new(Shared::new(arguments, password(arguments)?));
    for address in addresses.iter().take(arguments.connections) {
        connection::greet(*address).map_err(|error| unreachable(*address, &error))?;
    }
    // All connections stand before the clock starts.
    let mut workers = Vec::new();
    for thread in 0..arguments.threads.min(arguments.connections) {
        let connections = (thread..arguments.connections).step_by(arguments.threads);
        let targets = connections.map(|i| addresses[i % addresses.len()]).collect();
        workers.push(Worker::new(Arc::clone(&shared), targets, arguments.seed.wrapping_add(thread as u64))?);
    }
    let began = Instant::now();
    let deadline = arguments.requests.is_none().then(|| began + arguments.duration);
    let threads: Vec<_> =
        workers.into_iter().map(|worker| std::thread::spawn(move || worker.run(deadline))).collect();
    let mut report = Report::new();
    for thread in threads {
        let tally = thread.join().map_err(|_| Fault::new(ErrorCode::Internal, "a thread panicked"))??;
        report.add(&tally);
    }
    report.finish(began.elapsed());
    Ok(report)
}

fn unreachable(address: SocketAddr, error: &std::io::Error) -> Fault {
    Fault::new(ErrorCode::Unreachable, format!("{address}: {error}"))
}

fn password(arguments: &BenchKv) -> Result<Option<String>, Fault> {
    let lookup = arguments.find.lookup();
    match &arguments.password {
        // A directory says nothing of servers that were named otherwise.
        None if arguments.redis.is_empty() && lookup.addresses.is_empty() => {
            layout::password(&lookup.directory())
        }
        password => Ok(password.clone()),
    }
}

/// Where to send to: the servers that were named, or the nodes of the cluster.
fn addresses(arguments: &BenchKv) -> Result<Vec<SocketAddr>, Fault> {
    let texts = match arguments.redis.is_empty() {
        true => of_nodes(&arguments.find.lookup())?,
        false => arguments.redis.clone(),
    };
    let resolve = |text: &String| {
        let resolved = text.to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
        resolved.ok_or_else(|| {
            Fault::new(
                ErrorCode::BadArgument,
                format!("a server is HOST:PORT, as in --redis HOST:PORT, not '{text}'"),
            )
        })
    };
    texts.iter().map(resolve).collect()
}

/// The Redis addresses of a cluster: of all nodes of a directory, or of those that are up where any node was named.
fn of_nodes(lookup: &Lookup) -> Result<Vec<String>, Fault> {
    if lookup.addresses.is_empty() {
        let topology = lookup.directory().topology()?;
        return Ok(topology.nodes.iter().map(|node| topology.reached(node).redis).collect());
    }
    let nodes = lookup.client()?.nodes()?.into_iter().filter(|node| node.state == NodeState::Up.as_str());
    let addresses: Vec<String> = nodes.map(|node| node.redis).collect();
    match addresses.is_empty() {
        true => Err(Fault::new(ErrorCode::NotReady, "no node of the cluster is up yet")),
        false => Ok(addresses),
    }
}

impl FromStr for Mix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = match text {
            "get" => Some((1, 0)),
            "set" => Some((0, 1)),
            _ => text
                .split_once(':')
                .and_then(|(reads, writes)| Some((reads.parse().ok()?, writes.parse().ok()?))),
        };
        match parts {
            Some((reads, writes)) if (1..=1_000_000).contains(&(u64::from(reads) + u64::from(writes))) => {
                Ok(Self { reads, writes })
            }
            _ => Err("a mix is 'set', 'get' or READS:WRITES, as in 9:1".to_owned()),
        }
    }
}

/// A time as typed: `500ms`, `10s`, `2m`.
///
/// # Errors
/// A sentence that says how a time looks.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let duration = number.parse::<u32>().ok().and_then(|number| match unit {
        "ms" => Some(Duration::from_millis(u64::from(number))),
        "s" | "" => Some(Duration::from_secs(u64::from(number))),
        "m" => Some(Duration::from_secs(60 * u64::from(number))),
        _ => None,
    });
    duration.filter(|duration| !duration.is_zero()).ok_or_else(|| "a time is 500ms, 10s or 2m".to_owned())
}

#[cfg(test)]
mod tests;
