//! Counters by size and by latency, in the buckets of ZanKV's statistics.
//!
//! | bucket | bytes | microseconds |
//! |---|---|---|
//! | 0 | below 100 | below 1,024 |
//! | 1 | 100 to 1,023 | 1,024 to 1,999 |
//! | k = 2 … 14 | from 2^(k-2) KiB to below 2^(k-1) KiB | from 2^(k-1) to below 2^k times 1,000 |
//! | 15 | from 8 MiB | from 16,384,000 |
//!
//! The first border of the latency is a power of two and the others are not: programs that read these arrays
//! know them like that.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How many buckets there are.
pub const BUCKETS: usize = 16;
const LAST: usize = BUCKETS - 1;
/// Sizes below this are in the first bucket.
const SMALL_BYTES: u64 = 100;
/// Latencies below this are in the first bucket, in microseconds.
const FAST_MICROS: u64 = 1_024;

/// Where the buckets of sizes after the first begin, in bytes.
pub const SIZE_BORDERS: [u64; LAST] = {
    let mut borders = [SMALL_BYTES; LAST];
    let mut bucket = 1;
    while bucket < LAST {
        borders[bucket] = 1_024 << (bucket - 1);
        bucket += 1;
    }
    borders
};
/// Where the buckets of latencies after the first begin, in microseconds.
pub const LATENCY_BORDERS: [u64; LAST] = {
    let mut borders = [FAST_MICROS; LAST];
    let mut bucket = 1;
    while bucket < LAST {
        borders[bucket] = 1_000 << bucket;
        bucket += 1;
    }
    borders
};

/// The bucket of a size in bytes.
pub const fn size_bucket(bytes: u64) -> usize {
    if bytes < SMALL_BYTES {
        return 0;
    }
    match (bytes / 1_024).checked_ilog2() {
        None => 1,
        Some(power) => smaller(power as usize + 2, LAST),
    }
}

/// The bucket of a latency in microseconds.
pub const fn latency_bucket(micros: u64) -> usize {
    if micros < FAST_MICROS {
        return 0;
    }
    match (micros / 1_000).checked_ilog2() {
        None => 0,
        Some(power) => smaller(power as usize + 1, LAST),
    }
}

const fn smaller(left: usize, right: usize) -> usize {
    if left < right { left } else { right }
}

/// How often each bucket was hit.
pub type BucketCounts = [u64; BUCKETS];

/// Counts by bucket, from many threads.
#[derive(Debug, Default)]
pub struct Buckets([AtomicU64; BUCKETS]);

impl Buckets {
    /// Counts some hits of a bucket.
    pub fn add(&self, bucket: usize, hits: u64) {
        self.0[smaller(bucket, LAST)].fetch_add(hits, Ordering::Relaxed);
    }

    /// What was counted so far.
    pub fn counts(&self) -> BucketCounts {
        std::array::from_fn(|bucket| self.0[bucket].load(Ordering::Relaxed))
    }
}

/// Writes by size and by latency.
#[derive(Debug, Default)]
pub struct WriteStatistics {
    sizes: Buckets,
    latencies: Buckets,
}

/// What [`WriteStatistics`] has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriteCounts {
    /// By the size of the write.
    pub sizes: BucketCounts,
    /// By the time that it took.
    pub latencies: BucketCounts,
}

impl WriteStatistics {
    /// Counts a write.
    pub fn add(&self, bytes: usize, took: Duration) {
        self.sizes.add(size_bucket(bytes as u64), 1);
        self.add_latencies(took, 1);
    }

    /// Counts some writes by their sizes only.
    pub fn add_sizes(&self, counts: &BucketCounts) {
        for (bucket, hits) in counts.iter().enumerate().filter(|(_, hits)| **hits > 0) {
            self.sizes.add(bucket, *hits);
        }
    }

    /// Counts some writes that were made together by the time that they took together.
    pub fn add_latencies(&self, took: Duration, writes: u64) {
        self.latencies.add(latency_bucket(micros(took)), writes);
    }

    /// What was counted so far.
    pub fn counts(&self) -> WriteCounts {
        WriteCounts { sizes: self.sizes.counts(), latencies: self.latencies.counts() }
    }
}

/// Whole microseconds of a time.
pub fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that a bucket begins at each of these values, and that what is just below is in the one before.
    fn begins(bucket_of: impl Fn(u64) -> usize, borders: &[u64; LAST]) {
        assert_eq!(bucket_of(0), 0);
        for (bucket, &border) in (1..).zip(borders) {
            assert_eq!((bucket_of(border - 1), bucket_of(border)), (bucket - 1, bucket), "at {border}");
        }
        assert_eq!(bucket_of(u64::MAX), LAST);
    }

    #[test]
    fn sizes_have_these_borders() {
        const KIB: u64 = 1_024;
        let borders = [
            100,
            KIB,
            2 * KIB,
            4 * KIB,
            8 * KIB,
            16 * KIB,
            32 * KIB,
            64 * KIB,
            128 * KIB,
            256 * KIB,
            512 * KIB,
            1_024 * KIB,
            2_048 * KIB,
            4_096 * KIB,
            8_192 * KIB,
        ];
        assert_eq!(SIZE_BORDERS, borders);
        begins(size_bucket, &borders);
    }

    #[test]
    fn latencies_have_these_borders() {
        const MS: u64 = 1_000;
        let borders = [
            1_024,
            2 * MS,
            4 * MS,
            8 * MS,
            16 * MS,
            32 * MS,
            64 * MS,
            128 * MS,
            256 * MS,
            512 * MS,
            1_024 * MS,
            2_048 * MS,
            4_096 * MS,
            8_192 * MS,
            16_384 * MS,
        ];
        assert_eq!(LATENCY_BORDERS, borders);
        begins(latency_bucket, &borders);
        assert_eq!(latency_bucket(1_000), 0, "the one border that is a power of two");
    }

    #[test]
    fn a_write_is_counted_once_by_size_and_once_by_time() {
        let statistics = WriteStatistics::default();
        statistics.add(100, Duration::from_millis(3));
        let mut sizes = [0; BUCKETS];
        (sizes[0], sizes[2]) = (2, 5);
        statistics.add_sizes(&sizes);
        statistics.add_latencies(Duration::from_micros(10), 7);
        statistics.add_latencies(Duration::MAX, 1);
        let counts = statistics.counts();
        assert_eq!(counts.sizes[..3], [2, 1, 5]);
        assert_eq!(counts.latencies[..3], [7, 0, 1], "3 ms");
        assert_eq!(counts.latencies[LAST], 1);
        assert_eq!(counts.sizes.iter().sum::<u64>(), 8);
    }
}
