//! What the face counts of writes and scans, in ZanKV's buckets, and the commands that took long.
//!
//! A command that is answered on the spot costs one look at the clock. One that leaves for a partition carries what
//! is counted about it in its slot ([`Started`]): when it began, and its words, in memory that is used again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use env::Moment;
use proto_redis::lookups::{Lookup, Lookups};
use proto_redis::slow_log::{self, SlowCommand, SlowLog, SlowLogQuestion};
use proto_redis::table::NUMBERED;
use proto_redis::{CountedCall, ErrorText, Reply};
use types::GroupId;
use types::buckets::{BucketCounts, Buckets, WriteStatistics, latency_bucket, micros};
use types::limits::{SLOW_LOG_ENTRIES_DEFAULT, SLOW_LOG_MICROS_DEFAULT};

use super::Written;
use super::command_counts::{CommandCount, CommandCounts};
use super::worker::lock;

/// What a face has counted.
pub(crate) struct Statistics {
    /// Of every group that may be written to: counters outlive changes of the routes.
    writes: Mutex<BTreeMap<GroupId, Arc<Writes>>>,
    scans: AtomicU64,
    scan_latencies: Buckets,
    slow: Mutex<SlowLog>,
    slow_commands: AtomicU64,
    slow_micros: AtomicI64,
    slow_entries: AtomicU64,
    /// Of each worker.
    commands: Mutex<Vec<Arc<CommandCounts>>>,
    /// What the commands had done when statistics were reset last, by number.
    commands_before: Mutex<Vec<CommandCount>>,
    lookups: [AtomicU64; 2],
    /// Errors by their first word. Those are the program's own, and few.
    errors: Mutex<BTreeMap<String, u64>>,
}

/// Writes to one group.
#[derive(Debug, Default)]
pub(crate) struct Writes {
    counts: WriteStatistics,
    bytes: AtomicU64,
    micros: AtomicU64,
}

impl Writes {
    /// Counts a write.
    pub(crate) fn add(&self, bytes: usize, took: Duration) {
        self.counts.add(bytes, took);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.micros.fetch_add(micros(took), Ordering::Relaxed);
    }

    fn read(&self) -> Written {
        let read = |sum: &AtomicU64| sum.load(Ordering::Relaxed);
        Written { counts: self.counts.counts(), bytes: read(&self.bytes), micros: read(&self.micros) }
    }
}

/// A command that has begun.
#[derive(Debug)]
pub(crate) struct Start {
    /// When it was parsed.
    pub(crate) at: Moment,
    /// The bytes of its words.
    pub(crate) bytes: usize,
    /// Its words for the slow log; nothing while that is off.
    pub(crate) packed: Vec<u8>,
    /// How its calls are counted.
    pub(crate) call: Option<CountedCall>,
    /// What its reply tells of keys.
    pub(crate) lookup: Lookup,
}

/// A command that is not answered yet, or was answered just now.
#[derive(Debug)]
pub(crate) struct Started {
    /// When it was parsed.
    pub(crate) at: Moment,
    /// Its words for the slow log; nothing while that is off.
    pub(crate) packed: Vec<u8>,
    /// How it is counted.
    pub(crate) counted: Counted,
    /// How its calls are counted.
    pub(crate) call: Option<CountedCall>,
    /// It was answered with an error.
    pub(crate) failed: bool,
}

/// How a command is counted when it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counted {
    /// Only if it was slow.
    No,
    /// As a write to a group, of so many bytes.
    Write(GroupId, usize),
    /// As a scan.
    Scan,
}

impl Statistics {
    /// Nothing was counted yet.
    pub(crate) fn new() -> Self {
        Self {
            writes: Mutex::default(),
            scans: AtomicU64::new(0),
            scan_latencies: Buckets::default(),
            slow: Mutex::default(),
            slow_commands: AtomicU64::new(0),
            slow_micros: AtomicI64::new(SLOW_LOG_MICROS_DEFAULT),
            slow_entries: AtomicU64::new(SLOW_LOG_ENTRIES_DEFAULT),
            commands: Mutex::default(),
            commands_before: Mutex::default(),
            lookups: Default::default(),
            errors: Mutex::default(),
        }
    }

    /// Where writes to each of these groups are counted. Counters of groups that are gone are forgotten.
    pub(crate) fn writes_of(&self, groups: impl Iterator<Item = GroupId>) -> BTreeMap<GroupId, Arc<Writes>> {
        let mut writes = lock(&self.writes);
        let wanted: BTreeMap<_, _> =
            groups.map(|group| (group, writes.get(&group).cloned().unwrap_or_default())).collect();
        writes.clone_from(&wanted);
        wanted
    }

    /// Writes by group; those that were never written to from here are left out.
    pub(crate) fn written(&self) -> BTreeMap<GroupId, Written> {
        let written =
            lock(&self.writes).iter().map(|(group, writes)| (*group, writes.read())).collect::<Vec<_>>();
        written.into_iter().filter(|(_, written)| *written != Written::default()).collect()
    }

    /// How many scans there were, and how long they took.
    pub(crate) fn scan_counts(&self) -> (u64, BucketCounts) {
        (self.scans.load(Ordering::Relaxed), self.scan_latencies.counts())
    }

    /// How many commands were slow.
    pub(crate) fn slow_commands(&self) -> u64 {
        self.slow_commands.load(Ordering::Relaxed)
    }

    /// Counters for the commands of one more worker.
    pub(crate) fn new_command_counts(&self) -> Arc<CommandCounts> {
        let counts = Arc::new(CommandCounts::new());
        lock(&self.commands).push(counts.clone());
        counts
    }

    /// What the commands have done since the last reset, by number.
    pub(crate) fn command_counts(&self) -> Vec<CommandCount> {
        let mut counts = self.all_command_counts();
        for (count, before) in counts.iter_mut().zip(lock(&self.commands_before).iter()) {
            count.subtract(before);
        }
        counts
    }

    fn all_command_counts(&self) -> Vec<CommandCount> {
        let mut sums = vec![CommandCount::NONE; NUMBERED.len()];
        for counts in lock(&self.commands).iter() {
            sums.iter_mut().zip(counts.read()).for_each(|(sum, more)| sum.add(&more));
        }
        sums
    }

    /// Counts a batch of keys that were looked up, and errors.
    pub(crate) fn count_replies(&self, lookups: Lookups, errors: &[ErrorText]) {
        let [hits, misses] = &self.lookups;
        for (counter, more) in [(hits, lookups.hits), (misses, lookups.misses)] {
            if more > 0 {
                counter.fetch_add(more, Ordering::Relaxed);
            }
        }
        if !errors.is_empty() {
            let mut known = lock(&self.errors);
            for error in errors {
                let word = String::from_utf8_lossy(error.word());
                match known.get_mut(&*word) {
                    Some(count) => *count += 1,
                    None => drop(known.insert(word.into_owned(), 1)),
                }
            }
        }
    }

    /// Keys that were looked up.
    pub(crate) fn lookups(&self) -> Lookups {
        let [hits, misses] = &self.lookups;
        Lookups { hits: hits.load(Ordering::Relaxed), misses: misses.load(Ordering::Relaxed) }
    }

    /// Error replies by their first word.
    pub(crate) fn errors(&self) -> Vec<(String, u64)> {
        lock(&self.errors).iter().map(|(word, count)| (word.clone(), *count)).collect()
    }

    /// `CONFIG RESETSTAT`: what commands, lookups and errors have been so far is forgotten. Counters that ZanKV's
    /// operators know are never reset.
    pub(crate) fn reset(&self) {
        *lock(&self.commands_before) = self.all_command_counts();
        self.lookups.iter().for_each(|counter| counter.store(0, Ordering::Relaxed));
        lock(&self.errors).clear();
    }

    /// Counts a scan that was answered.
    pub(crate) fn count_scan(&self, took: Duration) {
        self.scans.fetch_add(1, Ordering::Relaxed);
        self.scan_latencies.add(latency_bucket(micros(took)), 1);
    }

    /// Writes the words of a command to an empty buffer, for the slow log; nothing while it is off.
    pub(crate) fn pack(&self, args: &[Bytes], buffer: &mut Vec<u8>) {
        if self.slow_micros.load(Ordering::Relaxed) >= 0 {
            slow_log::pack(args, buffer);
        }
    }

    /// Whether a command that took so long is slow.
    pub(crate) fn is_slow(&self, took: Duration) -> bool {
        u64::try_from(self.slow_micros.load(Ordering::Relaxed)).is_ok_and(|limit| micros(took) >= limit)
    }

    /// Notes a slow command.
    pub(crate) fn note_slow(&self, command: SlowCommand) {
        self.slow_commands.fetch_add(1, Ordering::Relaxed);
        lock(&self.slow).note(command, self.slow_entries.load(Ordering::Relaxed) as usize);
    }

    /// The newest slow commands, each with its number.
    pub(crate) fn newest_slow(&self, count: usize) -> Vec<(u64, SlowCommand)> {
        lock(&self.slow).newest().take(count).cloned().collect()
    }

    /// `SLOWLOG`.
    pub(crate) fn ask_slow(&self, question: SlowLogQuestion) -> Reply {
        lock(&self.slow).answer(question)
    }

    /// `slowlog-log-slower-than` and `slowlog-max-len`.
    pub(crate) fn slow_limits(&self) -> (i64, u64) {
        (self.slow_micros.load(Ordering::Relaxed), self.slow_entries.load(Ordering::Relaxed))
    }

    /// `CONFIG SET slowlog-log-slower-than`.
    pub(crate) fn set_slow_micros(&self, micros: i64) {
        self.slow_micros.store(micros, Ordering::Relaxed);
    }

    /// `CONFIG SET slowlog-max-len`.
    pub(crate) fn set_slow_entries(&self, entries: u64) {
        self.slow_entries.store(entries, Ordering::Relaxed);
        lock(&self.slow).shorten(entries as usize);
    }
}
