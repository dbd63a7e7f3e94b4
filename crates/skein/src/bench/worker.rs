//! One thread of the load generator and its connections.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use types::{ErrorCode, Fault};

use super::Mix;
use super::connection::{Answer, Connection, Sent};
use super::pattern::{Filling, Pattern};
use crate::cli::BenchKv;

/// How long after the end answers are waited for; what comes later counts as unknown.
const DRAIN: Duration = Duration::from_secs(10);
/// The pause before a broken connection is made again.
const RECONNECT_PAUSE: Duration = Duration::from_millis(50);
/// How often a thread looks at the clock when nothing arrives.
const WAIT: Duration = Duration::from_millis(50);
/// Different error texts that are kept apart; more would be no summary.
const ERROR_KINDS_MAX: usize = 32;
/// Latencies are kept in microseconds up to this one, with three digits.
const LATENCY_US_MAX: u64 = 600_000_000;
/// Digits of a key after its prefix; with it a key has 16 bytes.
const KEY_DIGITS: usize = 12;
/// What follows a value.
const VALUE_END: &str = "\r\n";

/// What all threads share.
pub struct Shared {
    mix: Mix,
    keys: u64,
    in_order: bool,
    incompressible: bool,
    pipeline: u64,
    password: Option<String>,
    set: Template,
    get: Template,
    /// What is sent instead of these, and the value that goes into it.
    pattern: Option<Pattern>,
    value: String,
    /// Commands that may still be sent; at its greatest value without a limit.
    left: AtomicU64,
    /// The next key in order.
    next_key: AtomicU64,
}

/// What a thread counted.
pub struct Tally {
    /// Answered reads.
    pub reads: u64,
    /// Answered writes.
    pub writes: u64,
    /// Error answers by their first word.
    pub errors: BTreeMap<String, u64>,
    /// Reads without an answer.
    pub lost_reads: u64,
    /// Writes without an answer.
    pub unknown_writes: u64,
    /// Connections that broke, or could not be made again.
    pub broken_connections: u64,
    /// From the sending of a batch to each of its answers, in microseconds.
    pub latency_us: Histogram<u64>,
}

/// A thread.
pub struct Worker {
    shared: Arc<Shared>,
    epoll: OwnedFd,
    seats: Vec<Seat>,
    random: u64,
    tally: Tally,
}

/// A place for a connection.
struct Seat {
    address: SocketAddr,
    connection: Option<Connection>,
    /// When a broken connection is made again.
    retry_at: Instant,
    /// Whether the socket's room for more bytes is waited for.
    waits_for_room: bool,
}

/// An encoded command whose key is still zeros.
struct Template {
    bytes: Vec<u8>,
    /// Where the key's digits begin.
    key_at: usize,
    /// Bytes of the value, which ends the command; 0 without one.
    value_bytes: usize,
}

impl Shared {
    /// What the arguments ask for.
    pub fn new(arguments: &BenchKv, password: Option<String>) -> Self {
        let value: String = (0..arguments.size).map(|i| char::from(b'a' + (i % 26) as u8)).collect();
        let key = format!("$16\r\nkey:{:0KEY_DIGITS$}\r\n", 0);
        Self {
            mix: arguments.mix,
            keys: arguments.keys,
            in_order: arguments.in_order,
            incompressible: arguments.incompressible,
            pipeline: arguments.pipeline as u64,
            password,
            set: Template::new(
                format!("*3\r\n$3\r\nSET\r\n{key}${}\r\n{value}{VALUE_END}", value.len()),
                value.len(),
            ),
            get: Template::new(format!("*2\r\n$3\r\nGET\r\n{key}"), 0),
            pattern: arguments.command.clone(),
            value,
            left: AtomicU64::new(arguments.requests.unwrap_or(u64::MAX)),
            next_key: AtomicU64::new(0),
        }
    }

    /// Takes up to a batch of commands out of what may still be sent.
    fn take_batch(&self) -> u64 {
        let mut left = self.left.load(Ordering::Relaxed);
        loop {
            let taken = left.min(self.pipeline);
            // Without a limit nothing is taken from it, so threads do not fight for the number.
            if left == u64::MAX || taken == 0 {
                return taken;
            }
            let swap =
                self.left.compare_exchange_weak(left, left - taken, Ordering::Relaxed, Ordering::Relaxed);
            match swap {
                Ok(_) => return taken,
                Err(now) => left = now,
            }
        }
    }
}

impl Worker {
    /// A thread with one connection to each of these addresses.
    ///
    /// # Errors
    /// `Unreachable` if one cannot be made, `Internal` if the system gives no epoll.
    pub fn new(shared: Arc<Shared>, addresses: Vec<SocketAddr>, seed: u64) -> Result<Self, Fault> {
        let internal = |error: rustix::io::Errno| Fault::new(ErrorCode::Internal, format!("epoll: {error}"));
        let epoll = epoll::create(CreateFlags::CLOEXEC).map_err(internal)?;
        let mut seats = Vec::new();
        for address in addresses {
            let connection = Connection::open(address, shared.password.as_deref())
                .map_err(|error| super::unreachable(address, &error))?;
            let data = EventData::new_u64(seats.len() as u64);
            epoll::add(&epoll, connection.stream(), data, EventFlags::IN).map_err(internal)?;
            let retry_at = Instant::now();
            seats.push(Seat { address, connection: Some(connection), retry_at, waits_for_room: false });
        }
        // An odd multiplier keeps different seeds apart; zero would stay zero in the generator below.
        let random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        Ok(Self { shared, epoll, seats, random, tally: Tally::new() })
    }

    /// Sends until the time or the commands are used up, then waits for what is unanswered.
    ///
    /// # Errors
    /// `Internal` if the system's epoll fails.
    pub fn run(mut self, deadline: Option<Instant>) -> Result<Tally, Fault> {
        for seat in 0..self.seats.len() {
            self.begin(seat, Instant::now());
        }
        let mut events = Vec::with_capacity(self.seats.len().max(1));
        let wait = Timespec { tv_sec: 0, tv_nsec: i64::from(WAIT.subsec_nanos()) };
        let mut drained_by = None;
        loop {
            events.clear();
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&wait)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(Fault::new(ErrorCode::Internal, format!("epoll: {error}"))),
            }
            let now = Instant::now();
            let over = drained_by.is_some() || deadline.is_some_and(|deadline| now >= deadline);
            for event in &events {
                self.handle(event, now, over);
            }
            self.reconnect(now, over);
            if over || self.is_idle(over) {
                let until = *drained_by.get_or_insert(now + DRAIN);
                if self.is_idle(over) || now >= until {
                    break;
                }
            }
        }
        for seat in 0..self.seats.len() {
            self.give_up(seat);
        }
        Ok(self.tally)
    }

    /// Whether nothing is under way and nothing will be: what is over makes no broken connection again.
    fn is_idle(&self, over: bool) -> bool {
        let quiet = |seat: &Seat| seat.connection.as_ref().is_none_or(Connection::is_idle);
        let more = !over
            && self.seats.iter().any(|seat| seat.connection.is_none())
            && self.shared.left.load(Ordering::Relaxed) > 0;
        self.seats.iter().all(quiet) && !more
    }

    fn handle(&mut self, event: &Event, now: Instant, over: bool) {
        let index = event.data.u64() as usize;
        let (tally, seat) = (&mut self.tally, &mut self.seats[index]);
        let Some(connection) = &mut seat.connection else { return };
        let latency_us = u64::try_from((now - connection.began()).as_micros()).unwrap_or(u64::MAX);
        let read = connection.read(|sent, answer| tally.count(sent, &answer, latency_us));
        // A copy: the kernel packs the fields of its events.
        let flags = event.flags;
        let room = flags.contains(EventFlags::OUT);
        let wrote = if room { connection.write() } else { Ok(seat.waits_for_room) };
        match (read, wrote) {
            (Ok(()), Ok(left)) => {
                self.wait_for_room(index, left);
                if self.seats[index].connection.as_ref().is_some_and(Connection::is_idle) && !over {
                    self.begin(index, now);
                }
            }
            _ => self.break_off(index, now),
        }
    }

    /// Sends the next batch of a connection, if there is one to send.
    fn begin(&mut self, index: usize, now: Instant) {
        let shared = Arc::clone(&self.shared);
        let commands = shared.take_batch();
        if commands == 0 {
            return;
        }
        let first = if shared.in_order { shared.next_key.fetch_add(commands, Ordering::Relaxed) } else { 0 };
        let random = &mut self.random;
        let Some(connection) = &mut self.seats[index].connection else { return };
        let (mut word, mut value) = (Vec::new(), shared.value.clone().into_bytes());
        connection.begin(now, |output, batch| {
            for i in 0..commands {
                let dice = next_random(random);
                let key = if shared.in_order { (first + i) % shared.keys } else { dice % shared.keys };
                if let Some(pattern) = &shared.pattern {
                    let other = next_random(random) % shared.keys;
                    if shared.incompressible {
                        scramble(&mut value, random);
                    }
                    let filling = Filling { number: key, other, value: &value };
                    pattern.append(&filling, &mut word, output);
                    // What it does is not known here: without an answer, nobody knows.
                    batch.push(Sent::Write);
                    continue;
                }
                let sum = u64::from(shared.mix.reads) + u64::from(shared.mix.writes);
                // High bits for the kind, so that it does not depend on the key.
                let (template, sent) = if (dice >> 40) % sum < u64::from(shared.mix.reads) {
                    (&shared.get, Sent::Read)
                } else {
                    (&shared.set, Sent::Write)
                };
                template.append(output, key);
                if shared.incompressible {
                    template.scramble_last(output, random);
                }
                batch.push(sent);
            }
        });
        match connection.write() {
            Ok(left) => self.wait_for_room(index, left),
            Err(_) => self.break_off(index, now),
        }
    }

    fn wait_for_room(&mut self, index: usize, wanted: bool) {
        let seat = &mut self.seats[index];
        if seat.waits_for_room == wanted {
            return;
        }
        let Some(connection) = &seat.connection else { return };
        let flags = if wanted { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
        let data = EventData::new_u64(index as u64);
        // A socket that is registered can be changed; nothing else can be wrong with it.
        let _ = epoll::modify(&self.epoll, connection.stream(), data, flags);
        seat.waits_for_room = wanted;
    }

    fn break_off(&mut self, index: usize, now: Instant) {
        self.give_up(index);
        self.tally.broken_connections += 1;
        let seat = &mut self.seats[index];
        (seat.retry_at, seat.waits_for_room) = (now + RECONNECT_PAUSE, false);
    }

    /// Counts what a connection has not been told and closes it.
    fn give_up(&mut self, index: usize) {
        let Some(connection) = self.seats[index].connection.take() else { return };
        for sent in connection.unanswered() {
            match sent {
                Sent::Read => self.tally.lost_reads += 1,
                Sent::Write => self.tally.unknown_writes += 1,
            }
        }
    }

    fn reconnect(&mut self, now: Instant, over: bool) {
        for index in 0..self.seats.len() {
            let seat = &mut self.seats[index];
            if over || seat.connection.is_some() || now < seat.retry_at {
                continue;
            }
            let opened = Connection::open(seat.address, self.shared.password.as_deref());
            let data = EventData::new_u64(index as u64);
            match opened {
                Ok(connection)
                    if epoll::add(&self.epoll, connection.stream(), data, EventFlags::IN).is_ok() =>
                {
                    seat.connection = Some(connection);
                    self.begin(index, now);
                }
                _ => {
                    seat.retry_at = now + RECONNECT_PAUSE;
                    self.tally.broken_connections += 1;
                }
            }
        }
    }
}

impl Tally {
    /// Nothing counted.
    pub fn new() -> Self {
        let latency_us =
            Histogram::new_with_bounds(1, LATENCY_US_MAX, 3).expect("the bounds are those of a histogram");
        Self {
            reads: 0,
            writes: 0,
            errors: BTreeMap::new(),
            lost_reads: 0,
            unknown_writes: 0,
            broken_connections: 0,
            latency_us,
        }
    }

    fn count(&mut self, sent: Sent, answer: &Answer, latency_us: u64) {
        match sent {
            Sent::Read => self.reads += 1,
            Sent::Write => self.writes += 1,
        }
        self.latency_us.saturating_record(latency_us);
        if let Answer::Error(text) = answer {
            let word = text.split(' ').next().unwrap_or_default();
            let known = self.errors.contains_key(word) || self.errors.len() < ERROR_KINDS_MAX;
            let word = if known { word } else { "(others)" };
            *self.errors.entry(word.to_owned()).or_default() += 1;
        }
    }
}

impl Template {
    fn new(command: String, value_bytes: usize) -> Self {
        let key_at = command.find("key:").map_or(0, |at| at + "key:".len());
        Self { bytes: command.into_bytes(), key_at, value_bytes }
    }

    fn append(&self, output: &mut Vec<u8>, mut key: u64) {
        let digits_at = output.len() + self.key_at;
        output.extend_from_slice(&self.bytes);
        for digit in output[digits_at..digits_at + KEY_DIGITS].iter_mut().rev() {
            *digit = b'0' + (key % 10) as u8;
            key /= 10;
        }
    }

    /// Makes the value of the command that was appended last a random one.
    fn scramble_last(&self, output: &mut [u8], random: &mut u64) {
        let end = output.len() - VALUE_END.len();
        scramble(&mut output[end - self.value_bytes..end], random);
    }
}

/// Makes bytes random ones.
fn scramble(value: &mut [u8], random: &mut u64) {
    for bytes in value.chunks_mut(size_of::<u64>()) {
        bytes.copy_from_slice(&next_random(random).to_le_bytes()[..bytes.len()]);
    }
}

/// Xorshift: random enough to spread keys, and nothing next to a system call.
fn next_random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrambled_value_is_another_each_time_and_nothing_else_changes() {
        let command = |value: &str| format!("SET key:{:0KEY_DIGITS$} {value}{VALUE_END}", 0);
        let template = Template::new(command("0123456789"), 10);
        let (mut output, mut random) = (Vec::new(), 1);
        for _ in 0..2 {
            template.append(&mut output, 7);
            template.scramble_last(&mut output, &mut random);
        }
        let (first, second) = output.split_at(template.bytes.len());
        let value_at = template.bytes.len() - VALUE_END.len() - 10;
        assert_ne!(first[value_at..], second[value_at..]);
        for written in [first, second] {
            assert_eq!(&written[..value_at], b"SET key:000000000007 ");
            assert!(written.ends_with(VALUE_END.as_bytes()));
        }
        Template::new(command(""), 0).scramble_last(&mut output, &mut random);
    }
}
