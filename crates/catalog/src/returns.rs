//! Nodes that flap: whose process ends and begins again, time after time.
//!
//! Such a node is up whenever somebody looks, so it is neither replaced nor missed; and whatever it is given it loses
//! again within the minute. So it is called what it is, and what the cluster does by itself gives it nothing until it
//! has been up for a while.
//!
//! ```text
//!   begins ──► begins ──► begins                                     flapping ends
//!     1          2          3 ◄─── all within FLAPPING_WINDOW ───►   FLAPPING_WINDOW after the last
//! ```
//!
//! Every observer counts for itself, from the reports that it hears. What counts is a run of the process that is another
//! than those before; silence alone does not, because it may be the observer that was away.

use std::collections::VecDeque;
use std::time::Duration;

use types::limits::{FLAPPING_RETURNS, FLAPPING_WINDOW};

/// Runs that are remembered: a late report of one of them is no new one.
const RUNS_MAX: usize = 8;

/// How often the process of a node has begun again, as one observer has seen it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Returns {
    /// The last runs, oldest first.
    runs: VecDeque<u64>,
    /// When the last new runs were heard of first, oldest first, by the observer's clock.
    at: VecDeque<Duration>,
}

impl Returns {
    /// A report of a run came. The first run that is heard of says nothing: it may have gone on for years.
    pub fn heard(&mut self, now: Duration, run: u64) {
        if self.runs.contains(&run) {
            return;
        }
        if !self.runs.is_empty() {
            self.at.push_back(now);
        }
        self.runs.push_back(run);
        if self.at.len() > FLAPPING_RETURNS {
            self.at.pop_front();
        }
        if self.runs.len() > RUNS_MAX {
            self.runs.pop_front();
        }
    }

    /// Whether the node flaps.
    pub fn is_flapping(&self, now: Duration) -> bool {
        let (Some(first), Some(last)) = (self.at.front(), self.at.back()) else { return false };
        self.at.len() == FLAPPING_RETURNS
            && last.saturating_sub(*first) <= FLAPPING_WINDOW
            && now.saturating_sub(*last) < FLAPPING_WINDOW
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes(minutes: u64) -> Duration {
        Duration::from_secs(minutes * 60)
    }

    #[test]
    fn a_node_that_begins_again_and_again_flaps_until_it_stays() {
        let mut returns = Returns::default();
        for minute in 0..3 {
            returns.heard(minutes(minute), 100 + minute);
            assert!(!returns.is_flapping(minutes(minute)), "{minute}");
        }
        returns.heard(minutes(3), 103);
        assert!(returns.is_flapping(minutes(3)) && returns.is_flapping(minutes(12)));
        assert!(!returns.is_flapping(minutes(13)), "it has been up for long enough");
        returns.heard(minutes(14), 104);
        assert!(!returns.is_flapping(minutes(14)), "once in a while anything may end");
    }

    #[test]
    fn a_late_report_of_an_earlier_run_is_no_new_run() {
        let mut returns = Returns::default();
        for run in [1, 2, 1, 2, 1, 2] {
            returns.heard(minutes(1), run);
        }
        assert!(!returns.is_flapping(minutes(1)));
    }

    #[test]
    fn restarts_that_lie_apart_are_no_flapping() {
        let mut returns = Returns::default();
        for run in 0..20 {
            returns.heard(minutes(run * 6), run);
            assert!(!returns.is_flapping(minutes(run * 6)));
        }
    }
}
