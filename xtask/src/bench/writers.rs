//! One writer per partition, each with a key of its own whose value only grows.
//!
//! A writer sends one `SET` after another on one connection and never sends the same twice. When its
//! connection breaks or its answer is an error it goes to another node, and counts.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use types::hash::HashRule;

use super::support::Cluster;

/// How long an answer may take before the outcome counts as unknown.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

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
    /// The longest time from sending to acknowledgement since it was last asked for.
    slowest: Duration,
}

struct Shared {
    /// Redis addresses, by node from 1.
    addresses: Vec<String>,
    /// The node that writers leave and do not go to; 0 for none.
    avoided: AtomicU64,
    over: AtomicBool,
    errors: AtomicU64,
    unknown: AtomicU64,
    states: Vec<Mutex<State>>,
}

impl Writers {
    /// Starts them.
    pub fn start(cluster: &Cluster) -> Self {
        let partitions = cluster.topology().partitions;
        let shared = Arc::new(Shared {
            addresses: cluster.nodes().into_iter().map(|node| cluster.addresses(node).redis).collect(),
            avoided: AtomicU64::new(0),
            over: AtomicBool::new(false),
            errors: AtomicU64::new(0),
            unknown: AtomicU64::new(0),
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

    /// The slowest write of a partition since the last call.
    pub fn take_slowest(&self, partition: u64) -> Duration {
        self.state(partition, |state| std::mem::take(&mut state.slowest))
    }

    /// Error answers so far.
    pub fn errors(&self) -> u64 {
        self.shared.errors.load(Ordering::Relaxed)
    }

    /// Writes without an answer so far.
    pub fn unknown(&self) -> u64 {
        self.shared.unknown.load(Ordering::Relaxed)
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
            let value = super::support::until("an answered GET", || {
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
        for value in 1_u64.. {
            if self.over.load(Ordering::Relaxed) {
                return;
            }
            let avoided = self.avoided.load(Ordering::Relaxed);
            connection = connection.filter(|(node, _)| *node != avoided);
            while connection.is_none() && !self.over.load(Ordering::Relaxed) {
                turn += 1;
                connection = self.connect(1 + turn % self.addresses.len() as u64);
            }
            let Some((_, open)) = &mut connection else { return };
            let sent = Instant::now();
            let answer = redis::cmd("SET").arg(key).arg(value).query::<()>(open);
            let now = Instant::now();
            match answer {
                Ok(()) => {
                    let mut state = self.states[partition].lock().unwrap_or_else(PoisonError::into_inner);
                    state.last = Some((value, sent, now));
                    state.slowest = state.slowest.max(now - sent);
                }
                Err(error) => {
                    let counter = if error.code().is_some() { &self.errors } else { &self.unknown };
                    counter.fetch_add(1, Ordering::Relaxed);
                    connection = None;
                }
            }
        }
    }

    fn connect(&self, node: u64) -> Option<(u64, redis::Connection)> {
        if node == self.avoided.load(Ordering::Relaxed) {
            return None;
        }
        let client = redis::Client::open(format!("redis://{}", self.addresses[node as usize - 1])).ok()?;
        let connection = client.get_connection_with_timeout(Duration::from_secs(1)).ok()?;
        connection.set_read_timeout(Some(ANSWER_TIMEOUT)).ok()?;
        Some((node, connection))
    }
}

/// A key of a partition of the default table.
fn key_of(partition: u32, partitions: u32) -> String {
    let keys = (0_u64..).map(|i| format!("writer:{i}"));
    let here =
        |key: &String| HashRule::Tag.partition(key.as_bytes(), partitions).get() == u64::from(partition);
    keys.into_iter().find(here).expect("numbers do not end")
}
