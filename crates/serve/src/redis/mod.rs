//! The Redis face: two ports, many clients, one answer per command and in order.
//!
//! ```text
//!   client ──bytes──▶ Decoder ─▶ parse ─▶ plan
//!                                          │  local: answered on the spot
//!                                          │  read:  Backend::try_read ──▶ answered on the spot
//!                                          │  write, or read elsewhere: Backend::submit ─┐
//!                                          ▼                                             │
//!          out ◀── ready ◀─ [open][ready][open] … slots, in the order of commands        │
//!           │                  ▲                                                         │
//!           ▼                  └──────── mailbox ◀── completions of the worker ◀─────────┘
//!        one write
//! ```
//!
//! A few worker threads ([`worker`]) each run a single-threaded runtime; a connection stays with one. Its
//! task ([`connection`]) reads what is there, takes every complete command, starts them, and writes every
//! reply that is ready with one write. There is no task per request and no lock that two threads want,
//! except for the one on a worker's completions, which is taken once per burst.
//!
//! **Order** ([`pipeline`]). Commands of one connection that were sent without waiting are in flight
//! together, yet look as if they had run one after another: a read does not start before every earlier
//! write of its connection to the same partition is answered, nor a write before such a read. Commands
//! about more than one partition wait for everything before them.
//!
//! **Bounds.** So many connections, so many commands in flight per connection, so many bytes of replies.
//! A client that does not read its replies is not read from either; one that still manages to have too
//! many is disconnected.

mod answers;
mod blocking;
mod client;
mod command_counts;
mod connection;
mod directory;
mod execute;
mod guess;
mod pipeline;
mod statistics;
mod worker;

use std::net::TcpListener;
use std::sync::Arc;

use api::peer::Access;
use bytes::Bytes;
use catalog::TableRoute;
use env::Clock;
use types::buckets::WriteCounts;
use types::{Fault, GroupId};

pub use worker::RedisFace;

/// What the Redis face needs of a node. All calls come from the face's worker threads.
pub trait Backend: Send + Sync + 'static {
    /// Changes whenever [`Backend::tables`] would answer differently. Asked for each command.
    fn routes_version(&self) -> u64;

    /// All tables of Redis values.
    fn tables(&self) -> Vec<NamedRoute>;

    /// Reads at once if this node may, without waiting for anybody; `None` otherwise. `request` and the
    /// result are a `KvRequest` and a `KvReply`.
    fn try_read(&self, group: GroupId, request: &[u8]) -> Option<Result<Bytes, Fault>>;

    /// Answers a write at once that would change nothing, if this node may read at once; `None` otherwise. The
    /// connection that asks has no other write under way in the group.
    fn try_unchanged(&self, group: GroupId, request: &[u8]) -> Option<Result<Bytes, Fault>>;

    /// Begins requests, in order. Each `Done` is called once, from any thread, and returns at once. Requests
    /// of one thread to one group are carried out in the order of submission.
    fn submit_all(&self, calls: Vec<(Call, Done)>);

    /// Facts for `INFO`.
    fn facts(&self) -> NodeFacts;
}

/// What to do with the outcome of a request.
pub type Done = Box<dyn FnOnce(Result<Bytes, Fault>) + Send>;

/// A request for a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The group.
    pub group: GroupId,
    /// What it needs.
    pub access: Access,
    /// A `KvRequest`.
    pub body: Bytes,
}

/// A table by its name.
#[derive(Clone, Debug)]
pub struct NamedRoute {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// It is being restored: nothing in it is served.
    pub restoring: bool,
    /// Where its keys are.
    pub route: Arc<TableRoute>,
}

/// What `INFO` tells of a node besides what the face knows itself.
#[derive(Clone, Debug, Default)]
pub struct NodeFacts {
    /// The node.
    pub node: u64,
    /// The cluster.
    pub cluster: u64,
    /// This run of the process.
    pub boot: u64,
    /// Still starting.
    pub loading: bool,
    /// The log can be written.
    pub log_writable: bool,
    /// Keys removed because their time had come.
    pub expired_keys: u64,
    /// Clients of all nodes that wait for elements at this node's leaders.
    pub waits: u64,
    /// Partitions that this node leads.
    pub partitions_led: u64,
    /// Partitions that this node holds.
    pub partitions_held: u64,
    /// Log entries that they have applied.
    pub entries_applied: u64,
}

/// How a port finds the table of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Addressing {
    /// Every key lives in the default table.
    Plain,
    /// `namespace:table:rest`, as in ZanKV.
    Zankv,
}

/// How the face is set up.
#[derive(Clone)]
pub struct RedisConfig {
    /// What clients must prove first, if anything.
    pub password: Option<Arc<[u8]>>,
    /// Worker threads, at least 1.
    pub threads: usize,
    /// Shown by `CONFIG GET dir`.
    pub directory: String,
    /// Most connections; [`types::limits::CLIENT_CONNECTIONS_MAX`] outside tests.
    pub connections_max: usize,
    /// Tells how long commands take.
    pub clock: Arc<dyn Clock>,
}

/// The listeners of the face, made by [`crate::listen::bind`].
#[derive(Debug)]
pub struct RedisListeners {
    /// For [`Addressing::Plain`].
    pub plain: TcpListener,
    /// For [`Addressing::Zankv`].
    pub zankv: TcpListener,
}

/// What the face has counted since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RedisCounters {
    /// Commands received.
    pub commands: u64,
    /// Commands answered with an error.
    pub errors: u64,
    /// Open connections.
    pub connections: u64,
    /// Connections accepted.
    pub connections_total: u64,
    /// Connections refused because there were too many.
    pub connections_refused: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Commands that took longer than `slowlog-log-slower-than`.
    pub slow_commands: u64,
}

/// Writes of clients to one group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// By size, and by the time from the command to its reply.
    pub counts: WriteCounts,
    /// All sizes together.
    pub bytes: u64,
    /// All times together, in microseconds.
    pub micros: u64,
}

/// A good number of worker threads: half of the processors, since the other half has a log, a store and
/// engines to run, and from four on the network is no bottleneck.
pub fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |processors| (processors.get() / 2).clamp(1, 4))
}
