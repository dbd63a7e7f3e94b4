//! The test kit: real clusters on free ports in temporary directories, and what can be done to them.
//!
//! Nothing here sleeps for a guessed time: [`until`] looks again and again until a condition holds, and
//! says which one it was if it never does. The bench of `xtask` uses the same kit.

#![allow(dead_code, reason = "each user of the kit needs a part of it")]

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use api::admin::{Status, Verdict};
use client::{Addresses, Client, Directory, Lookup, Topology};
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process};

/// Long enough for two busy cores; a test that passes never waits for it.
pub const PATIENCE: Duration = Duration::from_secs(90);
/// The pause between two looks at a condition.
const LOOK_PAUSE: Duration = Duration::from_millis(5);
/// Where test clusters look for ports: below what the system hands out by itself.
const PORTS: std::ops::Range<u32> = 10_000..30_000;
/// Ports of the largest test cluster.
const PORTS_PER_CLUSTER: u32 = 60;

/// What a cluster shall be.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Nodes.
    pub nodes: u16,
    /// Partitions of the default table.
    pub partitions: u32,
    /// More arguments of `skein up`.
    pub arguments: Vec<String>,
    /// Environment of the agent and so of the nodes.
    pub environment: Vec<(String, String)>,
}

/// A cluster of real processes; it is stopped, or killed, when it is dropped.
pub struct Cluster {
    binary: PathBuf,
    shape: Shape,
    directory: Directory,
    base_port: u16,
    /// Kept for its end.
    _temporary: Option<tempfile::TempDir>,
}

impl Default for Shape {
    fn default() -> Self {
        Self { nodes: 3, partitions: 8, arguments: Vec::new(), environment: Vec::new() }
    }
}

/// Tests that run: most beside others, some without.
static RUNNING: RwLock<()> = RwLock::new(());

/// For a test that loads both cores, or holds the cluster to a time: no other one runs meanwhile.
pub fn alone() -> RwLockWriteGuard<'static, ()> {
    RUNNING.write().unwrap_or_else(PoisonError::into_inner)
}

/// For a test that mostly waits: as many run at once as the runner has threads, which is one for each core.
pub fn beside_others() -> RwLockReadGuard<'static, ()> {
    RUNNING.read().unwrap_or_else(PoisonError::into_inner)
}

/// Looks until there is something to see.
///
/// # Panics
/// There is not, for as long as [`PATIENCE`].
pub fn until<T>(what: &str, attempt: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, what, attempt)
}

/// Looks until there is something to see, for a given time.
///
/// # Panics
/// There is not, for that long.
pub fn within<T>(limit: Duration, what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(seen) = attempt() {
            return seen;
        }
        assert!(Instant::now() < deadline, "after {} s still not: {what}", limit.as_secs());
        std::thread::sleep(LOOK_PAUSE);
    }
}

/// The first of as many ports as the largest cluster needs, none of them in use.
pub fn free_base_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let places = (PORTS.end - PORTS.start) / PORTS_PER_CLUSTER;
    // Processes of tests that run at once begin at different places.
    let offset = std::process::id();
    until("some free ports", || {
        let place = (offset + NEXT.fetch_add(1, Ordering::Relaxed)) % places;
        let base = PORTS.start + place * PORTS_PER_CLUSTER;
        let is_free = |port: u32| std::net::TcpListener::bind(("127.0.0.1", port as u16)).is_ok();
        (base..base + PORTS_PER_CLUSTER).all(is_free).then_some(base as u16)
    })
}

impl Cluster {
    /// A cluster that serves, in a temporary directory.
    pub fn start(binary: impl AsRef<Path>, shape: Shape) -> Self {
        let temporary = tempfile::tempdir().expect("a temporary directory");
        let mut cluster = Self::at(binary, temporary.path().join("cluster"), shape);
        cluster._temporary = Some(temporary);
        cluster.up();
        cluster
    }

    /// A cluster in this directory, not started.
    pub fn at(binary: impl AsRef<Path>, path: impl Into<PathBuf>, shape: Shape) -> Self {
        let directory = Directory::new(path);
        // A directory that was copied has its ports; another would be refused.
        let present = directory.read_topology().expect("a readable topology");
        let base_port = present.map_or_else(free_base_port, |topology| topology.base_port());
        Self { binary: binary.as_ref().into(), shape, directory, base_port, _temporary: None }
    }

    /// `skein up --detach`, which must succeed.
    pub fn up(&self) {
        let output = self.try_up(&[]);
        assert!(output.status.success(), "up: {}", words(&output));
    }

    /// `skein up --detach` with more arguments, whatever becomes of it.
    pub fn try_up(&self, more: &[&str]) -> Output {
        let (base_port, nodes) = (self.base_port.to_string(), self.shape.nodes.to_string());
        let partitions = self.shape.partitions.to_string();
        let mut command = self.command(["up", "--detach"]);
        // A cluster that is there may have grown since it was made.
        let is_new = self.directory.read_topology().is_ok_and(|topology| topology.is_none());
        for (option, value) in
            [("--base-port", &base_port), ("--nodes", &nodes), ("--partitions", &partitions)]
        {
            if is_new && !more.contains(&option) {
                command.args([option, value]);
            }
        }
        command.args(&self.shape.arguments).args(more).output().expect("the binary")
    }

    /// `skein down`, which must succeed.
    pub fn down(&self) {
        let output = self.command(["down"]).output().expect("the binary");
        assert!(output.status.success(), "down: {}", words(&output));
    }

    /// A command with `--dir`.
    pub fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(arguments).arg("--dir").arg(self.directory.path());
        command.envs(self.shape.environment.iter().cloned());
        command.env_remove("SKEIN_ADDR").env_remove("SKEIN_SECRET_FILE").stdin(Stdio::null());
        command
    }

    /// Runs a command with `--dir` to its end.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Output {
        self.command(arguments).output().expect("the binary")
    }

    /// Its directory.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Its shape as it stands in the directory.
    pub fn topology(&self) -> Topology {
        self.directory.topology().expect("a cluster")
    }

    /// The ids of its nodes.
    pub fn nodes(&self) -> Vec<u64> {
        self.topology().nodes.iter().map(|node| node.id).collect()
    }

    /// Where a node is reached.
    pub fn addresses(&self, node: u64) -> Addresses {
        let topology = self.topology();
        topology.reached(topology.node(node).expect("a node of the cluster"))
    }

    /// A client of the admin API that asks any node.
    pub fn client(&self) -> Client {
        let lookup = Lookup { directory: Some(self.directory.path().into()), ..Lookup::default() };
        lookup.client().expect("a client")
    }

    /// A client of the admin API that asks one node.
    pub fn client_of(&self, node: u64) -> Client {
        Client::new(vec![self.addresses(node).http], Some(&self.directory.secret().expect("a secret")))
    }

    /// How it is; waits for somebody who can tell.
    pub fn status(&self) -> Status {
        let client = self.client();
        until("a status", || client.status().ok())
    }

    /// Waits for a verdict.
    pub fn becomes(&self, verdict: Verdict) -> Status {
        let client = self.client();
        let mut last = None;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match client.status() {
                Ok(status) if status.verdict == verdict => return status,
                other => last = Some(other).or(last),
            }
            assert!(Instant::now() < deadline, "never {verdict:?}, last {last:?}");
            std::thread::sleep(LOOK_PAUSE);
        }
    }

    /// A connection of a Redis client, once the node takes it.
    pub fn redis(&self, node: u64) -> redis::Connection {
        let client =
            redis::Client::open(format!("redis://{}", self.addresses(node).redis)).expect("an address");
        until("a Redis connection", || client.get_connection_with_timeout(Duration::from_secs(2)).ok())
    }

    /// Whether a node's process lives.
    pub fn is_running(&self, node: u64) -> bool {
        is_locked(&self.directory.node_directory(node).join("server.pid"))
    }

    /// The process of a node, which must live.
    pub fn pid(&self, node: u64) -> u32 {
        let file = self.directory.node_directory(node).join("server.pid");
        until("a node's process", || is_locked(&file).then(|| pid_in(&file)).flatten())
    }

    /// The agent's process, which must live.
    pub fn agent_pid(&self) -> u32 {
        let file = self.directory.agent_pid_file();
        until("an agent", || is_locked(&file).then(|| pid_in(&file)).flatten())
    }

    /// Sends a signal to a node.
    pub fn signal(&self, node: u64, signal: Signal) {
        send(self.pid(node), signal);
    }

    /// `kill -9` of a node; returns when that process is gone. An agent may have started the next already.
    pub fn kill(&self, node: u64) {
        let pid = self.pid(node);
        send(pid, Signal::KILL);
        until("the end of a killed node", || (!is_alive(pid)).then_some(()));
    }

    /// `kill -9` of the agent; its nodes go on.
    pub fn kill_agent(&self) {
        let pid = self.agent_pid();
        send(pid, Signal::KILL);
        until("the end of the agent", || (!is_alive(pid)).then_some(()));
    }

    /// `kill -9` of the agent and all nodes, as near to at once as it goes.
    pub fn kill_all(&self) {
        let mut pids = Vec::new();
        if is_locked(&self.directory.agent_pid_file()) {
            pids.push(self.agent_pid());
        }
        // The agent goes first, or it would repair what follows.
        pids.extend(
            self.nodes().into_iter().filter(|&node| self.is_running(node)).map(|node| self.pid(node)),
        );
        pids.iter().for_each(|&pid| send(pid, Signal::KILL));
        pids.iter().for_each(|&pid| until("the end of all", || (!is_alive(pid)).then_some(())));
    }

    /// Starts a node without an agent.
    pub fn start_node(&self, node: u64) {
        let directory = self.directory.node_directory(node);
        let log =
            File::options().append(true).create(true).open(directory.join("server.log")).expect("a log");
        let mut command = Command::new(&self.binary);
        command.args(["server", "--own-session", "--config"]).arg(directory.join("node.toml"));
        command.envs(self.shape.environment.iter().cloned());
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a second handle")).stderr(log);
        let mut child = command.spawn().expect("the binary");
        // Waited for, so that its end leaves nothing behind in the process table.
        std::thread::spawn(move || child.wait());
    }

    /// Waits until a node says that it serves.
    pub fn node_is_ready(&self, node: u64) {
        let client = self.client_of(node);
        until("a node that is ready", || client.identity().ok().filter(|identity| identity.ready));
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.directory.read_topology().is_ok_and(|topology| topology.is_some()) {
            if std::thread::panicking() {
                // Ends at once and leaves what it wrote to be read in the test's output.
                for node in self.nodes() {
                    let log = self.directory.node_directory(node).join("server.log");
                    let text = std::fs::read_to_string(log).unwrap_or_default();
                    let last: Vec<&str> = text.lines().rev().take(20).collect();
                    eprintln!("node {node}, last lines of its log:");
                    last.iter().rev().for_each(|line| eprintln!("  {line}"));
                }
            }
            self.kill_all();
        }
    }
}

/// What a command said.
pub fn words(output: &Output) -> String {
    format!(
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Whether somebody holds the lock of a pid file.
fn is_locked(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockShared).is_err())
}

fn pid_in(path: &Path) -> Option<u32> {
    let text = std::fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| line.strip_prefix("pid = ")?.parse().ok())
}

/// Sends a signal to a process; one that is gone gets none.
pub fn send(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// Whether a process lives; one that only waits to be waited for does not. One whose first thread has ended still has
/// its ports while another waits for the disk.
pub fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let Some((_, fields)) = stat.rsplit_once(')') else { return false };
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    let threads = fields.get(THREADS_FIELD).and_then(|threads| threads.parse::<u32>().ok());
    let has_ended = matches!(fields.first(), None | Some(&"Z" | &"X"));
    !has_ended || threads.is_some_and(|threads| threads > 1)
}

/// Where `/proc/PID/stat` tells the number of threads, counted from the state.
const THREADS_FIELD: usize = 17;
