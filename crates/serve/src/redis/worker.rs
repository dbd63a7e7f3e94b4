//! Worker threads: each runs a single-threaded runtime and serves its share of the clients.
//!
//! Two kinds of wake-up are kept rare, because each costs a system call. Completions from other threads
//! are collected per worker ([`Completions`]), and only the first one of a burst wakes it. Clients are
//! woken from inside their worker's thread, which costs none.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use proto_redis::slow_log::SlowCommand;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, watch};
use types::buckets::BucketCounts;
use types::{ErrorCode, Fault, GroupId};

use super::client::{Client, Counters};
use super::command_counts::CommandCounts;
use super::connection::Connection;
use super::directory::{Directories, Directory};
use super::pipeline::{CallName, Outcome};
use super::statistics::Statistics;
use super::{Addressing, Backend, Call, Done, RedisConfig, RedisCounters, RedisListeners, Written};
use crate::listen::tune_client;

/// What a client is told that finds no place; Redis' text.
const TOO_MANY_CLIENTS: &[u8] = b"-ERR max number of clients reached\r\n";
/// How often clients that are idle too long are looked for, and rates are measured.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// Calls of a burst that are submitted before the burst is over.
const BURST_CALLS_MAX: usize = 256;
/// The pause after a failure to accept: out of file descriptors, most likely.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The Redis face of a node: listeners, worker threads, clients. Dropping it stops it.
pub struct RedisFace {
    face: Arc<Face>,
    /// Dropped to stop the threads.
    stop: Option<watch::Sender<()>>,
    threads: Vec<JoinHandle<()>>,
}

/// What the workers share.
pub(crate) struct Face {
    /// The node behind.
    pub(crate) backend: Arc<dyn Backend>,
    /// As started.
    pub(crate) config: RedisConfig,
    /// Where keys are.
    pub(crate) directories: Directories,
    /// What happened.
    pub(crate) counters: Counters,
    /// Writes, scans and slow commands.
    pub(crate) statistics: Statistics,
    clients: Mutex<BTreeMap<u64, Arc<Client>>>,
    next_client: AtomicU64,
    next_wait: AtomicU64,
    idle_timeout_seconds: AtomicU64,
    started: Instant,
}

/// One thread's part.
pub(crate) struct Worker {
    face: Arc<Face>,
    /// Where outcomes for this worker's clients go.
    pub(crate) completions: Arc<Completions>,
    /// What its commands have done; only its own thread adds to them.
    pub(crate) commands: Arc<CommandCounts>,
    /// Memory for reading, lent to one connection at a time.
    spare: Mutex<BytesMut>,
    /// Calls that were begun in this burst and have not been submitted.
    begun: Mutex<Vec<(Call, Done)>>,
    /// Told when there are some.
    begun_some: Notify,
    /// State of a generator for `RANDOMKEY`; its numbers need to be spread, not secret.
    random: AtomicU64,
}

/// How the acceptor reaches a worker.
struct Intake {
    connections: mpsc::UnboundedSender<Arrival>,
    load: Arc<AtomicUsize>,
}

/// A connection on its way from the acceptor to its worker.
struct Arrival {
    stream: std::net::TcpStream,
    registered: Registered,
}

/// A client's entry in the list; it ends with this.
struct Registered {
    face: Arc<Face>,
    client: Arc<Client>,
    load: Arc<AtomicUsize>,
}

/// Outcomes on their way to a worker's clients.
pub(crate) struct Completions {
    waiting: Mutex<Vec<(u64, CallName, Outcome)>>,
    filled: Notify,
}

impl RedisFace {
    /// Begins to serve.
    ///
    /// # Errors
    /// Threads or runtimes cannot be made.
    pub fn start(
        config: RedisConfig,
        listeners: RedisListeners,
        backend: Arc<dyn Backend>,
    ) -> Result<Self, Fault> {
        let face = Arc::new(Face {
            backend,
            config,
            directories: Directories::new(),
            counters: Counters::default(),
            statistics: Statistics::new(),
            clients: Mutex::default(),
            next_client: AtomicU64::new(1),
            next_wait: AtomicU64::new(1),
            idle_timeout_seconds: AtomicU64::new(0),
            started: Instant::now(),
        });
        let (stop, stopped) = watch::channel(());
        let mut this = Self { face, stop: Some(stop), threads: Vec::new() };
        let internal = |error: io::Error| Fault::new(ErrorCode::Internal, format!("redis face: {error}"));
        let mut intakes = Vec::new();
        for number in 0..this.face.config.threads.max(1) {
            intakes.push(this.spawn_worker(number, stopped.clone()).map_err(internal)?);
        }
        this.spawn_acceptor(listeners, intakes, stopped).map_err(internal)?;
        Ok(this)
    }

    /// What happened since the start.
    pub fn counters(&self) -> RedisCounters {
        self.face.counters()
    }

    /// Writes of clients of this node since the start, by group.
    pub fn written(&self) -> BTreeMap<GroupId, Written> {
        self.face.statistics.written()
    }

    /// Scans of clients of this node since the start, and how long they took; see [`types::buckets`].
    pub fn scan_counts(&self) -> (u64, BucketCounts) {
        self.face.statistics.scan_counts()
    }

    /// The newest commands that took long, at most so many, each with its number.
    pub fn slow_log(&self, count: usize) -> Vec<(u64, SlowCommand)> {
        self.face.statistics.newest_slow(count)
    }

    /// `slowlog-log-slower-than` and `slowlog-max-len`.
    pub fn slow_limits(&self) -> (i64, u64) {
        self.face.statistics.slow_limits()
    }

    /// As `CONFIG SET slowlog-log-slower-than` does: microseconds, or a negative number for never.
    pub fn set_slow_micros(&self, micros: i64) {
        self.face.statistics.set_slow_micros(micros);
    }

    fn spawn_worker(&mut self, number: usize, stopped: watch::Receiver<()>) -> io::Result<Intake> {
        let (connections, mut arrivals) = mpsc::unbounded_channel::<Arrival>();
        let worker = Arc::new(Worker::new(self.face.clone(), number as u64));
        self.spawn(format!("redis-{number}"), stopped, async move {
            tokio::spawn(worker.completions.clone().distribute(worker.face.clone()));
            tokio::spawn(worker.clone().submit_begun());
            while let Some(Arrival { stream, registered }) = arrivals.recv().await {
                let worker = worker.clone();
                tokio::spawn(async move {
                    if let Ok(stream) = TcpStream::from_std(stream) {
                        Connection::new(stream, worker, registered.client.clone()).run().await;
                    }
                });
            }
        })?;
        Ok(Intake { connections, load: Arc::default() })
    }

    fn spawn_acceptor(
        &mut self,
        listeners: RedisListeners,
        intakes: Vec<Intake>,
        stopped: watch::Receiver<()>,
    ) -> io::Result<()> {
        let face = self.face.clone();
        self.spawn("redis-accept".into(), stopped, async move {
            let plain = accept_all(&face, listeners.plain, Addressing::Plain, &intakes);
            let zankv = accept_all(&face, listeners.zankv, Addressing::Zankv, &intakes);
            tokio::join!(plain, zankv, keep_house(&face));
        })
    }

    /// Runs a future on a thread and runtime of its own until the face stops.
    fn spawn(
        &mut self,
        name: String,
        mut stopped: watch::Receiver<()>,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    // Nothing is ever sent: this ends when the sender is dropped.
                    _ = stopped.changed() => {}
                    () = work => {}
                }
            });
        })?;
        self.threads.push(thread);
        Ok(())
    }
}

impl Drop for RedisFace {
    fn drop(&mut self) {
        self.stop = None;
        for thread in self.threads.drain(..) {
            // A worker that panicked has said so already.
            let _ = thread.join();
        }
    }
}

/// Accepts clients of one port and gives each to the worker with the fewest.
async fn accept_all(
    face: &Arc<Face>,
    listener: std::net::TcpListener,
    addressing: Addressing,
    intakes: &[Intake],
) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "cannot listen for Redis clients"),
    };
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a Redis client");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if lock(&face.clients).len() >= face.config.connections_max {
            face.counters.add_refused();
            // One attempt: the socket's buffer is empty, so it takes the line, and nobody waits for it.
            let _ = stream.try_write(TOO_MANY_CLIENTS);
            continue;
        }
        let Some(intake) = intakes.iter().min_by_key(|intake| intake.load.load(Ordering::Relaxed)) else {
            return;
        };
        if tune_client(&stream).is_err() {
            continue;
        }
        let client = face.register(&stream, address, addressing);
        intake.load.fetch_add(1, Ordering::Relaxed);
        let registered = Registered { face: face.clone(), client, load: intake.load.clone() };
        if let Ok(stream) = stream.into_std() {
            // A worker that is gone is on its way out, and so is this face.
            let _ = intake.connections.send(Arrival { stream, registered });
        }
    }
}

/// Measures rates, and disconnects clients that have been idle for longer than `timeout` says.
async fn keep_house(face: &Face) {
    let mut ticks = tokio::time::interval(HOUSEKEEPING);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        face.counters.measure_rate();
        if let Some(timeout) = face.idle_timeout() {
            // Who waits for an element is not idle, as in Redis.
            let is_idle = |client: &&Arc<Client>| client.idle() >= timeout && !client.is_blocked();
            for client in face.clients().iter().filter(is_idle) {
                client.kill();
            }
        }
    }
}

impl Face {
    /// Brings a directory up to date.
    pub(crate) fn refresh(&self, directory: &mut Arc<Directory>) {
        self.directories.refresh(directory, self.backend.as_ref(), &self.statistics);
    }

    /// Everybody who is connected, in order of id.
    pub(crate) fn clients(&self) -> Vec<Arc<Client>> {
        lock(&self.clients).values().cloned().collect()
    }

    /// A client by its id, if it is connected.
    pub(crate) fn client(&self, id: u64) -> Option<Arc<Client>> {
        lock(&self.clients).get(&id).cloned()
    }

    /// A number for a wait, never used before.
    pub(crate) fn next_wait(&self) -> u64 {
        self.next_wait.fetch_add(1, Ordering::Relaxed)
    }

    /// What happened since the start.
    pub(crate) fn counters(&self) -> RedisCounters {
        RedisCounters {
            connections: lock(&self.clients).len() as u64,
            slow_commands: self.statistics.slow_commands(),
            ..self.counters.read()
        }
    }

    /// How long the face has been there.
    pub(crate) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// After how long an idle client is disconnected.
    pub(crate) fn idle_timeout(&self) -> Option<Duration> {
        let seconds = self.idle_timeout_seconds.load(Ordering::Relaxed);
        (seconds > 0).then(|| Duration::from_secs(seconds))
    }

    /// `CONFIG SET timeout`; 0 is never.
    pub(crate) fn set_idle_timeout(&self, seconds: u64) {
        self.idle_timeout_seconds.store(seconds, Ordering::Relaxed);
    }

    fn register(&self, stream: &TcpStream, address: SocketAddr, addressing: Addressing) -> Arc<Client> {
        let id = self.next_client.fetch_add(1, Ordering::Relaxed);
        let client = Arc::new(Client::new(id, addressing, address, stream.local_addr().ok()));
        self.counters.add_connection();
        lock(&self.clients).insert(id, client.clone());
        client
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        lock(&self.face.clients).remove(&self.client.id);
        self.load.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Worker {
    fn new(face: Arc<Face>, number: u64) -> Self {
        let completions = Completions { waiting: Mutex::default(), filled: Notify::new() };
        let seed = face.started.elapsed().as_nanos() as u64 ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self {
            commands: face.statistics.new_command_counts(),
            face,
            completions: Arc::new(completions),
            spare: Mutex::default(),
            begun: Mutex::default(),
            begun_some: Notify::new(),
            random: AtomicU64::new(seed),
        }
    }

    /// What all workers share.
    pub(crate) fn face(&self) -> &Face {
        &self.face
    }

    /// Begins a call. Calls of one burst of readable connections are submitted together: the task that does
    /// it runs after the connections that are ready now.
    pub(crate) fn begin(&self, call: Call, done: Done) {
        let mut begun = lock(&self.begun);
        begun.push((call, done));
        if begun.len() == 1 {
            drop(begun);
            self.begun_some.notify_one();
        } else if begun.len() >= BURST_CALLS_MAX {
            let calls = std::mem::take(&mut *begun);
            drop(begun);
            self.face.backend.submit_all(calls);
        }
    }

    async fn submit_begun(self: Arc<Self>) {
        loop {
            self.begun_some.notified().await;
            let calls = std::mem::take(&mut *lock(&self.begun));
            if !calls.is_empty() {
                self.face.backend.submit_all(calls);
            }
        }
    }

    /// Memory for reading. One connection at a time needs it, since reading and starting what was read is
    /// one step.
    pub(crate) fn lend_buffer(&self) -> BytesMut {
        std::mem::take(&mut *lock(&self.spare))
    }

    /// Takes memory back; it is empty.
    pub(crate) fn return_buffer(&self, buffer: BytesMut) {
        *lock(&self.spare) = buffer;
    }

    /// A number for `RANDOMKEY` (SplitMix64).
    pub(crate) fn random(&self) -> u64 {
        let state = self.random.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl Completions {
    /// Takes an outcome for a client, from any thread.
    pub(crate) fn push(&self, client: u64, call: CallName, outcome: Outcome) {
        let mut waiting = lock(&self.waiting);
        let first = waiting.is_empty();
        waiting.push((client, call, outcome));
        drop(waiting);
        if first {
            self.filled.notify_one();
        }
    }

    /// Gives outcomes to their clients, for ever. Those of clients that have gone are dropped.
    async fn distribute(self: Arc<Self>, face: Arc<Face>) {
        let mut taken = Vec::new();
        loop {
            self.filled.notified().await;
            std::mem::swap(&mut taken, &mut *lock(&self.waiting));
            let clients = lock(&face.clients);
            for (client, call, outcome) in taken.drain(..) {
                if let Some(client) = clients.get(&client) {
                    client.mailbox.put(call, outcome);
                }
            }
        }
    }
}

/// Locks; nothing under the locks of this face can be left half changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
