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
use proto_redis::Reply;
use proto_redis::slow_log::{self, SlowCommand, SlowLog, SlowLogQuestion};
use types::GroupId;
use types::buckets::{BucketCounts, Buckets, WriteCounts, WriteStatistics, latency_bucket, micros};
use types::limits::{SLOW_LOG_ENTRIES_DEFAULT, SLOW_LOG_MICROS_DEFAULT};

use super::worker::lock;

/// What a face has counted.
pub(crate) struct Statistics {
    /// Of every group that may be written to: counters outlive changes of the routes.
    writes: Mutex<BTreeMap<GroupId, Arc<WriteStatistics>>>,
    scans: AtomicU64,
    scan_latencies: Buckets,
    slow: Mutex<SlowLog>,
    slow_commands: AtomicU64,
    slow_micros: AtomicI64,
    slow_entries: AtomicU64,
}

/// A command that is not answered yet.
#[derive(Debug)]
pub(crate) struct Started {
    /// When it was parsed.
    pub(crate) at: Moment,
    /// Its words for the slow log; nothing while that is off.
    pub(crate) packed: Vec<u8>,
    /// How it is counted.
    pub(crate) counted: Counted,
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
        }
    }

    /// Where writes to each of these groups are counted. Counters of groups that are gone are forgotten.
    pub(crate) fn writes_of(
        &self,
        groups: impl Iterator<Item = GroupId>,
    ) -> BTreeMap<GroupId, Arc<WriteStatistics>> {
        let mut writes = lock(&self.writes);
        let wanted: BTreeMap<_, _> =
            groups.map(|group| (group, writes.get(&group).cloned().unwrap_or_default())).collect();
        writes.clone_from(&wanted);
        wanted
    }

    /// Writes by group; those that were never written to from here are left out.
    pub(crate) fn write_counts(&self) -> BTreeMap<GroupId, WriteCounts> {
        let counts =
            lock(&self.writes).iter().map(|(group, writes)| (*group, writes.counts())).collect::<Vec<_>>();
        counts.into_iter().filter(|(_, counts)| *counts != WriteCounts::default()).collect()
    }

    /// How many scans there were, and how long they took.
    pub(crate) fn scan_counts(&self) -> (u64, BucketCounts) {
        (self.scans.load(Ordering::Relaxed), self.scan_latencies.counts())
    }

    /// How many commands were slow.
    pub(crate) fn slow_commands(&self) -> u64 {
        self.slow_commands.load(Ordering::Relaxed)
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
