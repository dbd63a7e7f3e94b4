//! Clients that read and write while the guide is followed: what they were told must be true, also at the end.
//!
//! ```text
//!   partition 0:  SET key n ──► first door        one client for each partition, so that one that is not
//!                 GET key   ──► second door       served does not keep the others from being used
//!   partition 1:  the same
//! ```
//!
//! A key has one writer, so the read that follows an acknowledged write must find exactly that, wherever it asks. A key
//! whose write failed is not written again: nobody knows whether, or when, that write takes effect.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use redis::{Cmd, FromRedisValue};

use super::kit::{Guide, PARTITIONS, key};
use super::until;

/// Keys that a client writes in turn.
const KEYS: u64 = 40;
/// The pause between two writes of a client: a load, and not a measurement, leaves the machine to what is tested.
const PACE: Duration = Duration::from_millis(5);
/// How long a connection may take to be made; a node that does not run refuses at once.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);
/// How long an answer may take; a partition without a leader is told of sooner.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// Failures of which the words are kept.
const WORDS_MAX: usize = 10;

/// A load on the table `flow`.
pub struct Load {
    /// Where clients connect: writers at the first, readers at the second, and at the other when one is gone.
    doors: [String; 2],
    over: AtomicBool,
    tallies: [Tally; PARTITIONS as usize],
    words: Mutex<Vec<String>>,
}

/// What the client of one partition was told.
#[derive(Default)]
pub struct Tally {
    /// Writes that were acknowledged.
    pub writes: AtomicU64,
    /// Reads that were answered.
    pub reads: AtomicU64,
    /// Requests that failed, whatever became of them.
    pub failed: AtomicU64,
    /// Different keys, those included whose first write failed.
    pub keys: AtomicU64,
}

impl Tally {
    fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn progress(&self) -> (u64, u64) {
        (self.writes.load(Ordering::Relaxed), self.reads.load(Ordering::Relaxed))
    }
}

impl Load {
    /// A load that goes through two nodes, by their hosts in the guide.
    pub fn through(guide: &Guide, hosts: [&str; 2]) -> Self {
        let doors = hosts.map(|host| guide.cluster.addresses(guide.node(host)).zankv);
        Self { doors, over: AtomicBool::new(false), tallies: Default::default(), words: Mutex::default() }
    }

    /// Runs `work` while clients read and write; every partition is served before it and after it. Then whatever was
    /// acknowledged is looked up: nothing may be lost.
    pub fn around(&self, work: impl FnOnce()) {
        let written = std::thread::scope(|scope| {
            let client = |partition: u32| scope.spawn(move || Client::new(self, partition).run());
            let clients: Vec<_> = (0..PARTITIONS).map(client).collect();
            // Ends the clients even if the work panics.
            let over = Over(&self.over);
            self.goes_on();
            work();
            self.goes_on();
            drop(over);
            clients
                .into_iter()
                .flat_map(|client| client.join().expect("no panic"))
                .collect::<BTreeMap<_, _>>()
        });
        let mut reader = Door::new(&self.doors, 0);
        for (key, value) in &written {
            let found: Option<u64> = until("an answer", || reader.ask(&get(key)).ok());
            // A write that failed may have taken effect after the one that was acknowledged.
            assert!(found >= Some(*value), "{key} is {found:?}, and {value} was acknowledged");
        }
        eprintln!("{} keys, none lost; {self}", written.len());
    }

    /// Waits until every partition acknowledges a write and answers a read, both asked for from now on.
    pub fn goes_on(&self) {
        (0..PARTITIONS).for_each(|partition| self.goes_on_in(partition));
    }

    /// The same of one partition.
    pub fn goes_on_in(&self, partition: u32) {
        let tally = self.tally(partition);
        let (writes, reads) = tally.progress();
        until("a write and a read", || {
            // The first of each may have been on its way.
            let (now_writes, now_reads) = tally.progress();
            (now_writes >= writes + 2 && now_reads >= reads + 2).then_some(())
        });
    }

    /// What the client of a partition was told.
    pub fn tally(&self, partition: u32) -> &Tally {
        &self.tallies[partition as usize]
    }

    /// How many writes to a partition were acknowledged so far.
    pub fn writes_in(&self, partition: u32) -> u64 {
        self.tally(partition).progress().0
    }

    /// No request may have failed.
    pub fn had_no_failure(&self) {
        let words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(words.is_empty(), "{self}: {words:#?}");
    }
}

impl std::fmt::Display for Load {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (partition, tally) in self.tallies.iter().enumerate() {
            let ((writes, reads), failed) = (tally.progress(), tally.failed.load(Ordering::Relaxed));
            write!(f, " partition {partition}: {writes} writes, {reads} reads, {failed} failed;")?;
        }
        Ok(())
    }
}

/// The client of one partition.
struct Client<'a> {
    load: &'a Load,
    partition: u32,
    writer: Door<'a>,
    reader: Door<'a>,
    /// The keys that it writes in turn; a place is empty before its first write, and after one that failed.
    keys: [Option<String>; KEYS as usize],
    /// What was acknowledged last, by key.
    written: BTreeMap<String, u64>,
}

impl<'a> Client<'a> {
    fn new(load: &'a Load, partition: u32) -> Self {
        let (writer, reader) = (Door::new(&load.doors, 0), Door::new(&load.doors, 1));
        let keys = [const { None }; KEYS as usize];
        Self { load, partition, writer, reader, keys, written: BTreeMap::new() }
    }

    fn run(mut self) -> BTreeMap<String, u64> {
        for number in 1.. {
            if self.load.over.load(Ordering::Relaxed) {
                break;
            }
            self.write_and_read(number);
            std::thread::sleep(PACE);
        }
        self.written
    }

    fn write_and_read(&mut self, number: u64) {
        let load = self.load;
        let tally = load.tally(self.partition);
        let place = (number % KEYS) as usize;
        let key = self.keys[place].take().unwrap_or_else(|| {
            Tally::count(&tally.keys);
            key(self.partition, number)
        });
        let mut set = command("SET", &key);
        if let Err(error) = self.writer.ask::<()>(set.arg(number)) {
            // The next write at this place has a key of its own.
            return self.fails(&error);
        }
        Tally::count(&tally.writes);
        self.written.insert(key.clone(), number);
        match self.reader.ask::<Option<u64>>(&get(&key)) {
            Ok(found) => {
                assert_eq!(found, Some(number), "{key}, which was acknowledged a moment ago");
                Tally::count(&tally.reads);
            }
            Err(error) => self.fails(&error),
        }
        self.keys[place] = Some(key);
    }

    fn fails(&self, error: &redis::RedisError) {
        Tally::count(&self.load.tally(self.partition).failed);
        let mut words = self.load.words.lock().unwrap_or_else(PoisonError::into_inner);
        if words.len() < WORDS_MAX {
            words.push(format!("partition {}: {error}", self.partition));
        }
    }
}

/// A connection to one of the nodes, made again at the other one when it breaks.
struct Door<'a> {
    addresses: &'a [String; 2],
    at: usize,
    connection: Option<redis::Connection>,
}

impl<'a> Door<'a> {
    fn new(addresses: &'a [String; 2], at: usize) -> Self {
        Self { addresses, at, connection: None }
    }

    /// Sends a command once.
    fn ask<T: FromRedisValue>(&mut self, command: &Cmd) -> redis::RedisResult<T> {
        let answer = self.connection().and_then(|connection| command.query(connection));
        // What has a code was said by the server, and the connection is as good as before. Behind anything else a
        // late answer might be taken for the next one's.
        if answer.as_ref().is_err_and(|error: &redis::RedisError| error.code().is_none()) {
            self.connection = None;
            self.at = (self.at + 1) % self.addresses.len();
        }
        answer
    }

    fn connection(&mut self) -> redis::RedisResult<&mut redis::Connection> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let client = redis::Client::open(format!("redis://{}", self.addresses[self.at]))?;
                let connection = client.get_connection_with_timeout(CONNECT_LIMIT)?;
                connection.set_read_timeout(Some(ANSWER_LIMIT))?;
                connection
            }
        };
        Ok(self.connection.insert(connection))
    }
}

fn command(name: &str, key: &str) -> Cmd {
    let mut command = redis::cmd(name);
    command.arg(format!("default:flow:{key}"));
    command
}

fn get(key: &str) -> Cmd {
    command("GET", key)
}

/// Says that it is over when it goes.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
