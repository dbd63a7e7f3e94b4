//! What a measurement found.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::worker::Tally;

/// The outcome of all threads.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// How long it took.
    pub seconds: f64,
    /// Commands that were answered.
    pub answered: u64,
    /// Answered commands in a second.
    pub per_second: f64,
    /// Answered reads.
    pub reads: u64,
    /// Answered writes.
    pub writes: u64,
    /// Error answers, by the first word of the error.
    pub errors: BTreeMap<String, u64>,
    /// Reads without an answer.
    pub lost_reads: u64,
    /// Writes without an answer: nobody knows whether they were carried out.
    pub unknown_writes: u64,
    /// Connections that broke, and failed attempts to make them again.
    pub broken_connections: u64,
    /// Latency of answered commands.
    pub latency_us: Latency,
    #[serde(skip)]
    tally: Option<Box<hdrhistogram::Histogram<u64>>>,
}

/// Latency in microseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Latency {
    /// The mean.
    pub mean: f64,
    /// Half of the commands were faster.
    pub p50: u64,
    /// 90 % were faster.
    pub p90: u64,
    /// 99 % were faster.
    pub p99: u64,
    /// 99.9 % were faster.
    pub p99_9: u64,
    /// The slowest.
    pub max: u64,
}

impl Report {
    /// Nothing yet.
    pub fn new() -> Self {
        Self {
            seconds: 0.0,
            answered: 0,
            per_second: 0.0,
            reads: 0,
            writes: 0,
            errors: BTreeMap::new(),
            lost_reads: 0,
            unknown_writes: 0,
            broken_connections: 0,
            latency_us: Latency::default(),
            tally: None,
        }
    }

    /// Adds what a thread counted.
    pub fn add(&mut self, tally: &Tally) {
        self.reads += tally.reads;
        self.writes += tally.writes;
        self.lost_reads += tally.lost_reads;
        self.unknown_writes += tally.unknown_writes;
        self.broken_connections += tally.broken_connections;
        for (word, count) in &tally.errors {
            *self.errors.entry(word.clone()).or_default() += count;
        }
        match &mut self.tally {
            Some(sum) => sum.add(&tally.latency_us).expect("all threads have the same bounds"),
            None => self.tally = Some(Box::new(tally.latency_us.clone())),
        }
    }

    /// Computes what follows from the sums.
    pub fn finish(&mut self, took: Duration) {
        self.seconds = took.as_secs_f64();
        self.answered = self.reads + self.writes;
        self.per_second = self.answered as f64 / self.seconds.max(f64::MIN_POSITIVE);
        if let Some(latency) = &self.tally {
            self.latency_us = Latency {
                mean: latency.mean(),
                p50: latency.value_at_quantile(0.5),
                p90: latency.value_at_quantile(0.9),
                p99: latency.value_at_quantile(0.99),
                p99_9: latency.value_at_quantile(0.999),
                max: latency.max(),
            };
        }
    }

    /// Whether every command was answered, and none by an error.
    pub fn is_clean(&self) -> bool {
        self.errors.is_empty() && self.lost_reads + self.unknown_writes + self.broken_connections == 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = |us: u64| us as f64 / 1000.0;
        let latency = &self.latency_us;
        writeln!(f, "throughput   {:.0} commands/s", self.per_second)?;
        writeln!(
            f,
            "answered     {} in {:.1} s ({} reads, {} writes)",
            self.answered, self.seconds, self.reads, self.writes
        )?;
        writeln!(
            f,
            "latency      p50 {:.2} ms, p90 {:.2}, p99 {:.2}, p99.9 {:.2}, max {:.2}",
            milliseconds(latency.p50),
            milliseconds(latency.p90),
            milliseconds(latency.p99),
            milliseconds(latency.p99_9),
            milliseconds(latency.max)
        )?;
        let errors: u64 = self.errors.values().sum();
        write!(f, "errors       {errors}")?;
        for (word, count) in &self.errors {
            write!(f, ", {word} {count}")?;
        }
        writeln!(f)?;
        write!(
            f,
            "unanswered   {} writes (outcome unknown), {} reads; {} connections broke",
            self.unknown_writes, self.lost_reads, self.broken_connections
        )
    }
}
