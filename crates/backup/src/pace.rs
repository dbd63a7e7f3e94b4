//! Pace: how long to wait so that no more than so much happens in a second.

use std::time::Duration;

/// Time that was not used is made good only up to this: the work itself takes time, but after a pause it must not
/// run ahead.
const SLACK: Duration = Duration::from_millis(100);

/// Spreads work evenly: after each piece it says how long to wait before the next.
#[derive(Clone, Debug, Default)]
pub struct Pace {
    /// When the work that was done may be over, since some beginning.
    due: Duration,
}

impl Pace {
    /// So many units were done at a moment, told as the time since some beginning; at most `rate` may be done in a
    /// second, 0 is no limit. How long to wait now.
    pub fn spend(&mut self, units: u64, rate: u64, now: Duration) -> Duration {
        if rate == 0 {
            return Duration::ZERO;
        }
        let takes = Duration::from_secs_f64(units as f64 / rate as f64);
        self.due = self.due.max(now.saturating_sub(SLACK)) + takes;
        self.due.saturating_sub(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_kept_and_little_is_saved_up() {
        let mut pace = Pace::default();
        let mut now = Duration::ZERO;
        for _ in 0..50 {
            now += pace.spend(10, 100, now);
        }
        assert_eq!(now.as_millis(), 5000);
        now += Duration::from_secs(60);
        assert_eq!(pace.spend(10, 100, now), Duration::ZERO);
        assert_eq!(pace.spend(10, 100, now).as_millis(), 100);
        // The time that the work takes is not added.
        let mut working = Pace::default();
        let mut now = Duration::ZERO;
        for _ in 0..50 {
            now += Duration::from_millis(60);
            now += working.spend(10, 100, now);
        }
        assert!((4900..=5100).contains(&now.as_millis()), "{now:?}");
        assert_eq!(working.spend(1 << 40, 0, now), Duration::ZERO);
    }
}
