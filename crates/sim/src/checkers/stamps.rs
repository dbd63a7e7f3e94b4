//! The time of a group is not moved by the wall clock of one machine.
//!
//! A leader may stamp no further ahead than the median of its peers' clocks allows (`replication::clocks`).
//! Whatever peers it has heard, at least two machines' clocks have shown about that time then.

use types::{Hlc, limits};

use crate::clock::WALL_START_MILLIS;
use crate::event::Place;

/// Monotonic clocks run at different rates while a peer's clock is remembered.
const SLACK_MILLIS: i64 = 10_000;

/// How far ahead each machine's wall clock has ever been, in milliseconds.
pub struct Stamps(Vec<i64>);

impl Stamps {
    /// Of machines whose clocks are right.
    pub fn new(nodes: usize) -> Self {
        Self(vec![0; nodes])
    }

    /// A wall clock was set.
    pub fn clock_set(&mut self, place: Place, offset_millis: i64) {
        self.0[place] = self.0[place].max(offset_millis);
    }

    /// A replica has applied an entry with this stamp, `now` nanoseconds after the world began.
    pub fn applied(&self, hlc: Hlc, now: u64) -> Result<(), String> {
        let mut ahead = self.0.clone();
        ahead.sort_unstable_by(|a, b| b.cmp(a));
        let allowed = ahead[1] + limits::CLOCK_SKEW_MAX.as_millis() as i64 + SLACK_MILLIS;
        let is = hlc.millis() as i64 - WALL_START_MILLIS as i64 - (now / 1_000_000) as i64;
        match is <= allowed {
            true => Ok(()),
            false => Err(format!("a stamp is {is} ms ahead, and two machines' clocks at most {}", ahead[1])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_clock_moves_no_stamp_and_two_do() {
        let mut stamps = Stamps::new(3);
        let far = Hlc::from_millis(WALL_START_MILLIS + 60_000);
        stamps.clock_set(0, 60_000);
        assert!(stamps.applied(far, 0).is_err());
        assert!(stamps.applied(far, 50_000_000_000).is_ok());
        stamps.clock_set(2, 59_000);
        assert!(stamps.applied(far, 0).is_ok());
    }
}
