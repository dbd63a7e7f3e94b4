//! How often each command was called, and how long it took: `commandstats` and `latencystats` of `INFO`.
//!
//! Every command counts, so counting must cost next to nothing. Each worker thread has counters of its own, which nobody
//! else writes: an addition is a load and a store, without a lock and without a cache line that two processors want.
//! Whoever asks adds up the workers. `CONFIG RESETSTAT` must not write to them either: it keeps what they had counted, and
//! that is subtracted from then on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proto_redis::CountedCall;
use proto_redis::table::NUMBERED;

/// Latencies below 2^this nanoseconds are in the first bucket: about a microsecond.
const FIRST_POWER: u32 = 10;
/// Buckets for each doubling: a latency is told with an error of at most a quarter.
const PARTS: u64 = 4;
/// Doublings that are told apart; the last begins at 17 seconds.
const DOUBLINGS: u64 = 25;
/// The first bucket, and all others.
const BUCKETS: usize = 1 + (DOUBLINGS * PARTS) as usize;

/// What the commands of one worker thread have done.
pub(crate) struct CommandCounts(Box<[Row]>);

/// One command.
struct Row {
    calls: Counter,
    nanos: Counter,
    rejected: Counter,
    failed: Counter,
    latencies: [Counter; BUCKETS],
}

/// Written by one thread, read by all.
#[derive(Default)]
struct Counter(AtomicU64);

/// What was counted of one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommandCount {
    /// Times that it was carried out.
    pub(crate) calls: u64,
    /// From the parsed command to its reply, all calls together, in nanoseconds.
    pub(crate) nanos: u64,
    /// Times that it was refused before it was looked at.
    pub(crate) rejected: u64,
    /// Calls that were answered with an error.
    pub(crate) failed: u64,
    latencies: [u64; BUCKETS],
}

impl CommandCounts {
    /// Nothing was counted yet.
    pub(crate) fn new() -> Self {
        Self(NUMBERED.iter().map(|_| Row::new()).collect())
    }

    /// Counts a command. Only the worker's own thread may call it.
    pub(crate) fn add(&self, call: CountedCall, took: Duration, failed: bool) {
        let Some(row) = self.0.get(usize::from(call.command.0)) else { return };
        if call.rejected {
            return row.rejected.add(1);
        }
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        row.calls.add(1);
        row.nanos.add(nanos);
        row.latencies[bucket(nanos)].add(1);
        if failed {
            row.failed.add(1);
        }
    }

    /// What was counted so far, by the number of the command.
    pub(crate) fn read(&self) -> Vec<CommandCount> {
        self.0.iter().map(Row::read).collect()
    }
}

impl Row {
    fn new() -> Self {
        let [calls, nanos, rejected, failed] = [(); 4].map(|()| Counter::default());
        Self { calls, nanos, rejected, failed, latencies: std::array::from_fn(|_| Counter::default()) }
    }

    fn read(&self) -> CommandCount {
        CommandCount {
            calls: self.calls.read(),
            nanos: self.nanos.read(),
            rejected: self.rejected.read(),
            failed: self.failed.read(),
            latencies: std::array::from_fn(|bucket| self.latencies[bucket].read()),
        }
    }
}

impl Counter {
    fn add(&self, more: u64) {
        self.0.store(self.read().wrapping_add(more), Ordering::Relaxed);
    }

    fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl CommandCount {
    /// Nothing.
    pub(crate) const NONE: Self =
        Self { calls: 0, nanos: 0, rejected: 0, failed: 0, latencies: [0; BUCKETS] };

    /// Adds what another thread has counted.
    pub(crate) fn add(&mut self, other: &Self) {
        self.combine(other, u64::wrapping_add);
    }

    /// Takes away what was there at an earlier time.
    pub(crate) fn subtract(&mut self, earlier: &Self) {
        self.combine(earlier, u64::saturating_sub);
    }

    fn combine(&mut self, other: &Self, with: fn(u64, u64) -> u64) {
        self.calls = with(self.calls, other.calls);
        self.nanos = with(self.nanos, other.nanos);
        self.rejected = with(self.rejected, other.rejected);
        self.failed = with(self.failed, other.failed);
        for (mine, other) in self.latencies.iter_mut().zip(other.latencies) {
            *mine = with(*mine, other);
        }
    }

    /// The latency that so many of a thousand calls did not exceed, in nanoseconds; 0 if there were none.
    pub(crate) fn percentile(&self, of_thousand: u64) -> u64 {
        let all: u64 = self.latencies.iter().sum();
        let wanted = (u128::from(all) * u128::from(of_thousand)).div_ceil(1000) as u64;
        let mut seen = 0;
        for (bucket, count) in self.latencies.iter().enumerate().filter(|(_, count)| **count > 0) {
            seen += count;
            if seen >= wanted {
                return end(bucket);
            }
        }
        0
    }
}

/// The bucket of a latency in nanoseconds.
fn bucket(nanos: u64) -> usize {
    let Some(power) = nanos.checked_ilog2().filter(|power| *power >= FIRST_POWER) else { return 0 };
    let part = (nanos >> (power - PARTS.ilog2())) % PARTS;
    (1 + u64::from(power - FIRST_POWER) * PARTS + part).min(BUCKETS as u64 - 1) as usize
}

/// Where a bucket ends, in nanoseconds.
fn end(bucket: usize) -> u64 {
    let Some(place) = (bucket as u64).checked_sub(1) else { return 1 << FIRST_POWER };
    let power = u64::from(FIRST_POWER) + place / PARTS;
    (PARTS + place % PARTS + 1) << (power - u64::from(PARTS.ilog2()))
}

#[cfg(test)]
mod tests {
    use proto_redis::table::CommandNumber;

    use super::*;

    #[test]
    fn a_latency_lies_just_below_the_end_of_its_bucket() {
        assert_eq!((bucket(0), bucket(1023), bucket(1024)), (0, 0, 1));
        let mut nanos = 1024u64;
        while nanos < 30_000_000_000 {
            let end = end(bucket(nanos));
            assert!(nanos < end && end <= nanos + nanos / 4 + 1, "{nanos}: {end}");
            assert_eq!(bucket(end), bucket(nanos) + 1, "{end} begins the next");
            nanos += nanos / 7;
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn threads_add_up_and_what_was_before_a_reset_is_taken_away() {
        let call = |rejected| CountedCall { command: CommandNumber(3), rejected };
        let (one, other) = (CommandCounts::new(), CommandCounts::new());
        one.add(call(false), Duration::from_micros(10), false);
        one.add(call(true), Duration::from_micros(10), true);
        other.add(call(false), Duration::from_millis(1), true);
        let sum = |counts: &[&CommandCounts]| {
            let mut sum = CommandCount::NONE;
            counts.iter().for_each(|counts| sum.add(&counts.read()[3]));
            sum
        };
        let before = sum(&[&one, &other]);
        assert_eq!((before.calls, before.nanos, before.rejected, before.failed), (2, 1_010_000, 1, 1));
        other.add(call(false), Duration::from_micros(7), false);
        let mut after = sum(&[&one, &other]);
        after.subtract(&before);
        assert_eq!((after.calls, after.nanos, after.rejected, after.failed), (1, 7_000, 0, 0));
        assert_eq!(one.read()[2], CommandCount::NONE);
    }

    #[test]
    fn percentiles_are_ends_of_buckets() {
        let counts = CommandCounts::new();
        let call = CountedCall { command: CommandNumber(0), rejected: false };
        for _ in 0..98 {
            counts.add(call, Duration::from_micros(2), false);
        }
        counts.add(call, Duration::from_millis(1), false);
        counts.add(call, Duration::from_millis(50), false);
        let count = &counts.read()[0];
        let within = |of_thousand, least: u64| {
            let found = count.percentile(of_thousand);
            assert!((least..=least + least / 4 + 1).contains(&found), "{of_thousand}: {found}");
        };
        within(500, 2_000);
        within(990, 1_000_000);
        within(999, 50_000_000);
        assert_eq!(CommandCount::NONE.percentile(990), 0);
    }
}
