//! What the face knows of one client, and what it counts.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::Waker;
use std::time::{Duration, Instant};

use bytes::Bytes;
use proto_redis::Session;
use proto_redis::client::ClientFacts;

use super::blocking::Ending;
use super::pipeline::{CallName, Outcome};
use super::worker::lock;
use super::{Addressing, RedisCounters};

/// No command waits for an element.
const NOT_BLOCKED: u8 = 0;
/// One does.
const BLOCKED: u8 = 1;
/// One does, and another client has said that its time is up.
const TIME_UP: u8 = 2;
/// One does, and another client has said that it ends with an error.
const UNBLOCKED: u8 = 3;

/// One client, as others see it.
pub(crate) struct Client {
    /// `CLIENT ID`.
    pub(crate) id: u64,
    /// How its port addresses.
    pub(crate) addressing: Addressing,
    /// Outcomes for it.
    pub(crate) mailbox: Mailbox,
    local: Option<SocketAddr>,
    since: Instant,
    /// Milliseconds after `since` of its last command.
    active_millis: AtomicU64,
    killed: AtomicBool,
    /// See [`BLOCKED`] and its neighbours.
    blocked: AtomicU8,
    facts: Mutex<ClientFacts>,
}

/// Outcomes on their way to one client.
#[derive(Default)]
pub(crate) struct Mailbox(Mutex<MailboxState>);

#[derive(Default)]
struct MailboxState {
    waiting: VecDeque<(CallName, Outcome)>,
    waker: Option<Waker>,
}

/// Counters of the face. Clients count in batches, once per look at their socket.
#[derive(Default)]
pub(crate) struct Counters {
    commands: AtomicU64,
    errors: AtomicU64,
    connections_total: AtomicU64,
    connections_refused: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    /// What there was at the last look, and what came in the second before it.
    rate: Mutex<(Rates, Rates)>,
}

/// How much there is each second.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rates {
    /// Commands.
    pub(crate) commands: u64,
    /// Bytes received.
    pub(crate) bytes_in: u64,
    /// Bytes sent.
    pub(crate) bytes_out: u64,
}

impl Mailbox {
    /// Whom to wake.
    pub(crate) fn register(&self, waker: &Waker) {
        let mut state = lock(&self.0);
        if !state.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            state.waker = Some(waker.clone());
        }
    }

    /// The next outcome.
    pub(crate) fn take(&self) -> Option<(CallName, Outcome)> {
        lock(&self.0).waiting.pop_front()
    }

    /// Takes an outcome and wakes the client.
    pub(crate) fn put(&self, call: CallName, outcome: Outcome) {
        let mut state = lock(&self.0);
        state.waiting.push_back((call, outcome));
        if let Some(waker) = &state.waker {
            waker.wake_by_ref();
        }
    }

    fn wake(&self) {
        if let Some(waker) = &lock(&self.0).waker {
            waker.wake_by_ref();
        }
    }
}

impl Client {
    /// A client that has just connected.
    pub(crate) fn new(id: u64, addressing: Addressing, peer: SocketAddr, local: Option<SocketAddr>) -> Self {
        let facts = ClientFacts {
            id,
            address: peer.to_string(),
            local_address: local.map_or_else(String::new, |local| local.to_string()),
            ..ClientFacts::default()
        };
        Self {
            id,
            addressing,
            mailbox: Mailbox::default(),
            local,
            since: Instant::now(),
            active_millis: AtomicU64::new(0),
            killed: AtomicBool::new(false),
            blocked: AtomicU8::new(NOT_BLOCKED),
            facts: Mutex::new(facts),
        }
    }

    /// Notes what a command may have changed.
    pub(crate) fn note(&self, session: &Session, input_bytes: usize, output_bytes: usize) {
        let now = self.since.elapsed().as_millis() as u64;
        self.active_millis.store(now, Ordering::Relaxed);
        let mut facts = lock(&self.facts);
        facts.last_command = session.last_command();
        facts.protocol = session.protocol();
        facts.no_evict = session.no_evict();
        facts.queued_commands = session.queued_commands();
        (facts.input_bytes, facts.output_bytes) = (input_bytes as u64, output_bytes as u64);
        let (library_name, library_version) = session.library();
        keep_equal(&mut facts.name, session.name());
        keep_equal(&mut facts.library_name, library_name);
        keep_equal(&mut facts.library_version, library_version);
    }

    /// What `CLIENT LIST` shows.
    pub(crate) fn facts(&self) -> ClientFacts {
        ClientFacts {
            age_seconds: self.since.elapsed().as_secs(),
            idle_seconds: self.idle().as_secs(),
            blocked: self.is_blocked(),
            ..lock(&self.facts).clone()
        }
    }

    /// Ends the connection, after the replies that are ready.
    pub(crate) fn kill(&self) {
        self.killed.store(true, Ordering::Relaxed);
        self.mailbox.wake();
    }

    /// Whether somebody wants the connection to end.
    pub(crate) fn is_killed(&self) -> bool {
        self.killed.load(Ordering::Relaxed)
    }

    /// A command begins to wait for an element, or waits no more.
    pub(crate) fn set_blocked(&self, blocked: bool) {
        self.blocked.store(if blocked { BLOCKED } else { NOT_BLOCKED }, Ordering::Relaxed);
    }

    /// Whether a command waits for an element.
    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked.load(Ordering::Relaxed) != NOT_BLOCKED
    }

    /// Ends the wait of its command. `false` if none waits, or somebody else has ended it.
    pub(crate) fn unblock(&self, with_error: bool) -> bool {
        let told = if with_error { UNBLOCKED } else { TIME_UP };
        let order = Ordering::Relaxed;
        let done = self.blocked.compare_exchange(BLOCKED, told, order, order).is_ok();
        if done {
            self.mailbox.wake();
        }
        done
    }

    /// Whether somebody wants the command that waits to end, and how.
    pub(crate) fn ending(&self) -> Option<Ending> {
        match self.blocked.load(Ordering::Relaxed) {
            TIME_UP => Some(Ending::TimeUp),
            UNBLOCKED => Some(Ending::Unblocked),
            _ => None,
        }
    }

    /// The port that it is connected to.
    pub(crate) fn port(&self) -> u16 {
        self.local.map_or(0, |local| local.port())
    }

    /// The address that it is connected to.
    pub(crate) fn local_ip(&self) -> String {
        self.local.map_or_else(String::new, |local| local.ip().to_string())
    }

    /// Time since its last command.
    pub(crate) fn idle(&self) -> Duration {
        let active = Duration::from_millis(self.active_millis.load(Ordering::Relaxed));
        self.since.elapsed().saturating_sub(active)
    }
}

impl Counters {
    /// All of them; open connections are counted elsewhere.
    pub(crate) fn read(&self) -> RedisCounters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        RedisCounters {
            commands: read(&self.commands),
            errors: read(&self.errors),
            connections: 0,
            slow_commands: 0,
            connections_total: read(&self.connections_total),
            connections_refused: read(&self.connections_refused),
            bytes_in: read(&self.bytes_in),
            bytes_out: read(&self.bytes_out),
        }
    }

    /// Counts a connection that was accepted.
    pub(crate) fn add_connection(&self) {
        self.connections_total.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a connection that found no place.
    pub(crate) fn add_refused(&self) {
        self.connections_refused.fetch_add(1, Ordering::Relaxed);
    }

    /// To be called once a second.
    pub(crate) fn measure_rate(&self) {
        let RedisCounters { commands, bytes_in, bytes_out, .. } = self.read();
        let now = Rates { commands, bytes_in, bytes_out };
        let mut rate = lock(&self.rate);
        let (before, _) = *rate;
        let since = Rates {
            commands: commands.saturating_sub(before.commands),
            bytes_in: bytes_in.saturating_sub(before.bytes_in),
            bytes_out: bytes_out.saturating_sub(before.bytes_out),
        };
        *rate = (now, since);
    }

    /// Counts a batch of commands.
    pub(crate) fn add_commands(&self, commands: u64, errors: u64) {
        self.commands.fetch_add(commands, Ordering::Relaxed);
        if errors > 0 {
            self.errors.fetch_add(errors, Ordering::Relaxed);
        }
    }

    /// Counts bytes received.
    pub(crate) fn add_bytes_in(&self, bytes: usize) {
        self.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts bytes sent.
    pub(crate) fn add_bytes_out(&self, bytes: usize) {
        self.bytes_out.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// What came in the last second, about.
    pub(crate) fn rates(&self) -> Rates {
        lock(&self.rate).1
    }

    /// `CONFIG RESETSTAT`.
    pub(crate) fn reset(&self) {
        for counter in [
            &self.commands,
            &self.errors,
            &self.connections_total,
            &self.connections_refused,
            &self.bytes_in,
            &self.bytes_out,
        ] {
            counter.store(0, Ordering::Relaxed);
        }
        *lock(&self.rate) = Default::default();
    }
}

/// Copies a text only when it has changed; nearly always it has not.
fn keep_equal(known: &mut Bytes, now: &Bytes) {
    if known != now {
        *known = now.clone();
    }
}
