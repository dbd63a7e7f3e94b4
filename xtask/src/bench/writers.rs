//! One writer per partition, each with a key of its own whose value only grows.
//!
//! A writer sends one `SET` after another on one connection and never sends the same twice. When its
//! connection breaks or its answer is an error it goes to another node, and counts.
//!
//! Writers send as fast as they are answered, or at a pace. At a pace a write that had to wait for the one
//! before is as late as it is: its latency counts from when it was due.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use types::hash::HashRule;

use super::support::{Cluster, until};

/// How long an answer may take before the outcome counts as unknown.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// The pause after a connection that was not made.
const CONNECT_PAUSE: Duration = Duration::from_millis(10);

/// All writers of a cluster's default table.
pub struct Writers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// What a writer has to tell.
#[derive(Default)]
struct State {
    /// The last acknowledged value, when it was sent, and when it was acknowledged.
    last: Option<(u64, Instant, Instant)>,
    /// Times to the acknowledgement, of all writes since they were last asked for.
    latencies: Vec<Duration>,
}

/// What has become of all writes so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Acknowledged.
    pub acknowledged: u64,
    /// Error answers.
    pub errors: u64,
    /// Without an answer.
    pub unknown: u64,
    /// Connections that could not be made.
    pub refused: u64,
}

impl Tally {
    /// Everything that did not go well.
    pub fn failures(&self) -> u64 {
        self.errors + self.unknown + self.refused
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { acknowledged, errors, unknown, refused } = self;
        write!(f, "{acknowledged} writes, {errors} errors, {unknown} unknown, {refused} connections not made")
    }
}

struct Shared {
    /// Redis addresses, by node from 1.
    addresses: Vec<String>,
    /// The node that writers leave and do not go to; 0 for none.
    avoided: AtomicU64,
    over: AtomicBool,
    /// From one write of a writer to its next; zero: as soon as it is answered.
    pace: Duration,
    acknowledged: AtomicU64,
    errors: AtomicU64,
    unknown: AtomicU64,
    refused: AtomicU64,
    states: Vec<Mutex<State>>,
}

impl Writers {
    /// Starts them; each sends as fast as it is answered.
    pub fn start(cluster: &Cluster) -> Self {
        Self::at_pace(cluster, Duration::ZERO)
    }

    /// Starts them; each sends once in this time.
    pub fn at_pace(cluster: &Cluster, pace: Duration) -> Self {
        let partitions = cluster.topology().partitions;
        let shared = Arc::new(Shared {
            addresses: cluster.nodes().into_iter().map(|node| cluster.addresses(node).redis).collect(),
            avoided: AtomicU64::new(0),
            over: AtomicBool::new(false),
            pace,
            acknowledged: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            unknown: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            states: (0..partitions).map(|_| Mutex::default()).collect(),
        });
        let threads = (0..partitions)
            .map(|partition| {
                let shared = Arc::clone(&shared);
                let key = key_of(partition, partitions);
                std::thread::spawn(move || shared.write(partition as usize, &key))
            })
            .collect();
        Self { shared, threads }
    }

    /// The partitions that are written to.
    pub fn partitions(&self) -> Vec<u64> {
        (0..self.shared.states.len() as u64).collect()
    }

    /// Lets all writers leave a node.
    pub fn avoid(&self, node: u64) {
        self.shared.avoided.store(node, Ordering::Relaxed);
    }

    /// Whether a partition's writer was told of a write that it sent after this moment; and when.
    pub fn acknowledged_since(&self, partition: u64, moment: Instant) -> Option<Instant> {
        let (_, sent, acknowledged) = self.state(partition, |state| state.last)?;
        (sent >= moment).then_some(acknowledged)
    }

    /// The last value that a partition's writer was told of.
    pub fn last_value(&self, partition: u64) -> u64 {
        self.state(partition, |state| state.last).map_or(0, |(value, ..)| value)
    }

    /// The slowest write of a partition since it was last asked for its writes.
    pub fn take_slowest(&self, partition: u64) -> Duration {
        let latencies = self.state(partition, |state| std::mem::take(&mut state.latencies));
        latencies.into_iter().max().unwrap_or_default()
    }

    /// So many of a hundred writes since the last call were at most this slow; nothing if there was none.
    pub fn take_percentile(&self, percent: usize) -> Option<Duration> {
        let mut latencies = Vec::new();
        for partition in self.partitions() {
            self.state(partition, |state| latencies.append(&mut state.latencies));
        }
        latencies.sort_unstable();
        let rank = (latencies.len() * percent).div_ceil(100);
        latencies.get(rank.saturating_sub(1)).copied()
    }

    /// Waits for a write of each of these partitions that was sent after this moment. Returns when the last of
    /// them was acknowledged.
    pub fn all_acknowledged_since(&self, what: &str, partitions: &[u64], moment: Instant) -> Instant {
        let acknowledged = |&one: &u64| until(what, || self.acknowledged_since(one, moment));
        partitions.iter().map(acknowledged).max().unwrap_or(moment)
    }

    /// What has become of all writes so far.
    pub fn tally(&self) -> Tally {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Tally {
            acknowledged: read(&self.shared.acknowledged),
            errors: read(&self.shared.errors),
            unknown: read(&self.shared.unknown),
            refused: read(&self.shared.refused),
        }
    }

    /// Stops them and counts the partitions whose value is older than what was acknowledged.
    pub fn stop_and_count_lost(mut self, cluster: &Cluster) -> u64 {
        self.shared.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().expect("a writer does not panic");
        }
        let partitions = self.shared.states.len() as u32;
        let mut connection = cluster.redis(1);
        let lost = (0..partitions).filter(|&partition| {
            let value = until("an answered GET", || {
                redis::cmd("GET")
                    .arg(key_of(partition, partitions))
                    .query::<Option<u64>>(&mut connection)
                    .ok()
            });
            value.unwrap_or_default() < self.last_value(u64::from(partition))
        });
        lost.count() as u64
    }

    fn state<T>(&self, partition: u64, look: impl FnOnce(&mut State) -> T) -> T {
        let state = &self.shared.states[partition as usize];
        look(&mut state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    fn write(&self, partition: usize, key: &str) {
        let mut connection: Option<(u64, redis::Connection)> = None;
        let mut turn = partition as u64;
        // Writers at a pace take turns: all at once, they would wait for each other.
        let mut due = Instant::now() + self.pace * partition as u32 / self.states.len() as u32;
        for value in 1_u64.. {
            let since = self.await_turn(&mut due);
            let avoided = self.avoided.load(Ordering::Relaxed);
            connection = connection.filter(|(node, _)| *node != avoided);
            while connection.is_none() && !self.over.load(Ordering::Relaxed) {
                turn += 1;
                connection = self.connect(1 + turn % self.addresses.len() as u64);
            }
            let Some((_, open)) = connection.as_mut().filter(|_| !self.over.load(Ordering::Relaxed)) else {
                return;
            };
            let sent = Instant::now();
            let answer = redis::cmd("SET").arg(key).arg(value).query::<()>(open);
            let now = Instant::now();
            match answer {
                Ok(()) => {
                    self.acknowledged.fetch_add(1, Ordering::Relaxed);
                    let mut state = self.states[partition].lock().unwrap_or_else(PoisonError::into_inner);
                    state.last = Some((value, sent, now));
                    state.latencies.push(now - since);
                }
                Err(error) => {
                    let counter = if error.code().is_some() { &self.errors } else { &self.unknown };
                    counter.fetch_add(1, Ordering::Relaxed);
                    connection = None;
                }
            }
        }
    }

    /// Waits until the next write is due. Returns when it was to be sent: now, or earlier if it is late.
    fn await_turn(&self, due: &mut Instant) -> Instant {
        let now = Instant::now();
        if self.pace.is_zero() {
            return now;
        }
        let since = *due;
        *due += self.pace;
        if since < now {
            return since;
        }
        std::thread::sleep(since - now);
        Instant::now()
    }

    /// A connection to a node. One that is not made is counted, and the next attempt waits a little.
    fn connect(&self, node: u64) -> Option<(u64, redis::Connection)> {
        if node == self.avoided.load(Ordering::Relaxed) {
            return None;
        }
        let client = redis::Client::open(format!("redis://{}", self.addresses[node as usize - 1]));
        let connection = client.and_then(|client| {
            let connection = client.get_connection_with_timeout(CONNECT_TIMEOUT)?;
            connection.set_read_timeout(Some(ANSWER_TIMEOUT))?;
            Ok(connection)
        });
        if connection.is_err() {
            self.refused.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(CONNECT_PAUSE);
        }
        connection.ok().map(|connection| (node, connection))
    }
}

/// A key of a partition of the default table.
fn key_of(partition: u32, partitions: u32) -> String {
    let keys = (0_u64..).map(|i| format!("writer:{i}"));
    let here =
        |key: &String| HashRule::Tag.partition(key.as_bytes(), partitions).get() == u64::from(partition);
    keys.into_iter().find(here).expect("numbers do not end")
}
