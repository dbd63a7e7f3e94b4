//! How many bytes of snapshots may leave a node: a token bucket that may go into debt.
//!
//! A chunk leaves whole as soon as the bucket is not empty, and what it takes beyond its content is paid back
//! before the next one leaves. So a rate holds on average whatever the size of a chunk, and after a pause no
//! more than [`BURST`] leaves at once.

use std::time::Duration;

use env::Moment;

/// What a bucket that was not used for a while has saved: this much time at its rate.
const BURST: Duration = Duration::from_millis(100);

const NANOS: i128 = 1_000_000_000;

/// The bytes that may leave.
#[derive(Debug, Default)]
pub struct Budget {
    /// Bytes per second; `None` without a limit.
    rate: Option<u64>,
    /// Bytes × nanoseconds per second, so that nothing is lost by rounding; negative while in debt.
    saved: i128,
    at: Moment,
}

impl Budget {
    /// Sets the rate, bytes per second; 0 is no limit. Returns whether that is another one than before.
    pub fn set_rate(&mut self, bytes_per_second: u64, now: Moment) -> bool {
        let rate = (bytes_per_second > 0).then_some(bytes_per_second);
        if rate == self.rate {
            return false;
        }
        (self.rate, self.saved, self.at) = (rate, 0, now);
        true
    }

    /// Whether there is a limit.
    pub fn is_limited(&self) -> bool {
        self.rate.is_some()
    }

    /// Whether something may leave now.
    pub fn allows(&mut self, now: Moment) -> bool {
        let Some(rate) = self.rate else { return true };
        let rate = i128::from(rate);
        let gained = rate * now.since(self.at).as_nanos() as i128;
        self.at = self.at.max(now);
        self.saved = (self.saved + gained).min(rate * BURST.as_nanos() as i128);
        self.saved > 0
    }

    /// This many bytes leave.
    pub fn spend(&mut self, bytes: usize) {
        if self.rate.is_some() {
            self.saved -= bytes as i128 * NANOS;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that leave within a time, in chunks, when somebody looks every 20 ms.
    fn sent(budget: &mut Budget, from: Moment, time: Duration, chunk: usize) -> usize {
        let (mut now, mut sent) = (from, 0);
        while now < from.plus(time) {
            while budget.allows(now) && sent < 1 << 40 {
                budget.spend(chunk);
                sent += chunk;
            }
            now = now.plus(Duration::from_millis(20));
        }
        sent
    }

    #[test]
    fn a_rate_holds_on_average_and_a_pause_saves_little() {
        let mut budget = Budget::default();
        assert!(budget.allows(Moment(0)) && !budget.is_limited());
        assert!(budget.set_rate(10_000_000, Moment(0)));
        assert!(!budget.set_rate(10_000_000, Moment(5)));
        let ten_seconds = sent(&mut budget, Moment(0), Duration::from_secs(10), 256 * 1024);
        assert!((99_000_000..101_500_000).contains(&ten_seconds), "{ten_seconds}");
        let after_a_pause = Moment(0).plus(Duration::from_secs(3600));
        let at_once = sent(&mut budget, after_a_pause, Duration::from_millis(1), 256 * 1024);
        assert!(at_once <= 1_000_000 + 256 * 1024, "{at_once}");
    }

    #[test]
    fn a_chunk_that_is_larger_than_a_second_is_paid_back() {
        let mut budget = Budget::default();
        budget.set_rate(100_000, Moment(0));
        let minute = sent(&mut budget, Moment(0), Duration::from_secs(60), 1_000_000);
        assert!((6_000_000..=7_000_000).contains(&minute), "{minute}");
    }
}
