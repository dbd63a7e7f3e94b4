//! The time of a group is not moved by the wall clock of one machine.
//!
//! A leader may stamp no further ahead than the median of its peers' clocks allows (`replication::clocks`).
//! Whatever peers it has heard, at least two machines' clocks have shown about that time then.

use std::collections::BTreeMap;

use types::{GroupId, Hlc, limits};

use crate::clock::WALL_START_MILLIS;
use crate::event::Place;

/// Monotonic clocks run at different rates while a peer's clock is remembered.
const SLACK_MILLIS: i64 = 10_000;

/// What clocks have shown, and what groups may have believed.
pub struct Stamps {
    /// How far ahead each machine's wall clock has ever been, in milliseconds.
    ahead: Vec<i64>,
    /// Stamps of sole voters, in milliseconds: those that come after cannot go back.
    alone: BTreeMap<GroupId, u64>,
}

impl Stamps {
    /// Of machines whose clocks are right.
    pub fn new(nodes: usize) -> Self {
        Self { ahead: vec![0; nodes], alone: BTreeMap::new() }
    }

    /// A wall clock was set.
    pub fn clock_set(&mut self, place: Place, offset_millis: i64) {
        self.ahead[place] = self.ahead[place].max(offset_millis);
    }

    /// A replica has applied an entry of a group with this stamp, `now` nanoseconds after the world began. A sole voter
    /// that nobody answers has nothing but its own clock.
    pub fn applied(&mut self, group: GroupId, hlc: Hlc, voters: usize, now: u64) -> Result<(), String> {
        let mut ahead = self.ahead.clone();
        ahead.sort_unstable_by(|a, b| b.cmp(a));
        let agree = usize::from(voters > 1);
        if self.alone.get(&group).is_some_and(|before| hlc.millis() <= *before) {
            return Ok(());
        }
        let allowed = ahead[agree] + limits::CLOCK_SKEW_MAX.as_millis() as i64 + SLACK_MILLIS;
        let is = hlc.millis() as i64 - WALL_START_MILLIS as i64 - (now / 1_000_000) as i64;
        if is > allowed {
            let number = agree + 1;
            let most = ahead[agree];
            return Err(format!("a stamp is {is} ms ahead, and clocks of {number} machines at most {most}"));
        }
        if voters == 1 {
            self.alone.insert(group, hlc.millis());
        }
        Ok(())
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
        assert!(stamps.applied(GroupId(1), far, 3, 0).is_err());
        assert!(stamps.applied(GroupId(1), far, 3, 50_000_000_000).is_ok());
        stamps.clock_set(2, 59_000);
        assert!(stamps.applied(GroupId(1), far, 3, 0).is_ok());
    }

    #[test]
    fn a_sole_voter_moves_its_own_group() {
        let mut stamps = Stamps::new(3);
        let far = Hlc::from_millis(WALL_START_MILLIS + 60_000);
        stamps.clock_set(0, 60_000);
        assert!(stamps.applied(GroupId(1), far, 1, 0).is_ok());
        assert!(stamps.applied(GroupId(1), far, 3, 0).is_ok(), "stamps never go back");
        assert!(stamps.applied(GroupId(2), far, 3, 0).is_err());
    }
}
