//! Peers' clocks: how far a node's own wall clock is believed.
//!
//! A stamp that is too late can be made good, one that is too early cannot: stamps never go back, so a
//! leader that stamps one entry with the year 2100 ends every deadline of its group, and stops its time for
//! a human life. Therefore a wall clock is believed only up to [`limits::CLOCK_SKEW_MAX`] ahead of the
//! median of its peers:
//!
//! ```text
//!   peers' clocks    ···│····│····│············      believed: up to here ▼
//!                            median ├── CLOCK_SKEW_MAX ──┤
//!   own clock        ······························│ 2100        it is taken for this ┘
//! ```
//!
//! Every Raft message says what its sender's clock showed. A peer's clock is remembered as its distance
//! from the monotonic clock here, which goes on when the peer is gone. Messages are late, never early, so
//! of what a peer said lately the latest time counts.
//!
//! The middle one of an even number of peers is the later of the two: one peer whose clock has stopped does
//! not stop a third's. Of two nodes the slower clock is followed. A node that has heard nobody believes
//! itself. See `docs/decisions` (2026-11-26, clocks).

use std::collections::BTreeMap;
use std::time::Duration;

use env::Moment;
use types::{NodeId, limits};

use crate::effects::{Effect, Now};

/// A clock that was read this long ago is not looked at any more: it may have been set since.
const REMEMBERED: Duration = Duration::from_secs(3600);
/// Delays of messages differ within this time; after it, an earlier time means that a clock was set back.
const LATELY: Duration = Duration::from_secs(10);
/// Later times do not fit a stamp, and are nobody's.
const WALL_MILLIS_MAX: u64 = 1 << 47;

/// What a node's peers say about the time.
#[derive(Debug, Default)]
pub struct PeerClocks {
    /// What messages of this turn said.
    said: Vec<(NodeId, u64)>,
    known: BTreeMap<NodeId, Known>,
    /// How far the latest believable wall clock is from the monotonic one, in milliseconds.
    ceiling: Option<i64>,
    /// When that was last worked out.
    settled: Moment,
}

/// A peer's clock.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// How far it is from the monotonic clock here, in milliseconds.
    offset: i64,
    at: Moment,
}

impl PeerClocks {
    /// A message from a peer says what its clock showed; 0 when it does not say.
    pub fn hear(&mut self, from: NodeId, wall_millis: u64) {
        let said = (from, wall_millis);
        if wall_millis > 0 && wall_millis < WALL_MILLIS_MAX && self.said.last() != Some(&said) {
            self.said.push(said);
        }
    }

    /// The time, with a wall clock that is not ahead of what is believed.
    pub fn bound(&mut self, now: Now) -> Now {
        for (from, wall_millis) in std::mem::take(&mut self.said) {
            self.learn(from, offset(wall_millis, now.moment), now.moment);
        }
        // Once per tick is enough: clocks do not move against each other.
        if self.ceiling.is_none() || now.moment.since(self.settled) >= limits::TICK {
            self.settle(now.moment);
        }
        match self.ceiling {
            Some(ceiling) if !crate::mutant!(WallClockBelieved) => {
                let latest = millis(now.moment).saturating_add_signed(ceiling);
                Now { wall_millis: now.wall_millis.min(latest), ..now }
            }
            _ => now,
        }
    }

    fn learn(&mut self, from: NodeId, offset: i64, now: Moment) {
        let known = self.known.entry(from).or_insert(Known { offset, at: now });
        if offset >= known.offset || now.since(known.at) >= LATELY {
            *known = Known { offset, at: now };
        }
    }

    fn settle(&mut self, now: Moment) {
        self.settled = now;
        self.known.retain(|_, known| now.since(known.at) < REMEMBERED);
        let mut offsets: Vec<i64> = self.known.values().map(|known| known.offset).collect();
        offsets.sort_unstable();
        let median = offsets.get(offsets.len() / 2);
        self.ceiling = median.map(|median| median + limits::CLOCK_SKEW_MAX.as_millis() as i64);
    }
}

/// Writes on everything that leaves for other nodes what the clock here shows, believed or not.
pub fn sign(effects: &mut [Effect], wall_millis: u64) {
    for effect in effects {
        match effect {
            Effect::Send(_, message) => message.wall_millis = wall_millis,
            Effect::Write(write) => {
                write.then.iter_mut().for_each(|(_, message)| message.wall_millis = wall_millis);
            }
            _ => {}
        }
    }
}

/// How far a wall clock is from the monotonic one, in milliseconds.
pub(crate) fn offset(wall_millis: u64, now: Moment) -> i64 {
    wall_millis as i64 - millis(now) as i64
}

/// A moment in milliseconds.
pub(crate) fn millis(moment: Moment) -> u64 {
    moment.0 / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A clock that was right when the monotonic one began.
    const START: u64 = 1_700_000_000_000;
    const SKEW: u64 = limits::CLOCK_SKEW_MAX.as_millis() as u64;

    fn at(seconds: u64, wall_millis: u64) -> Now {
        Now { moment: Moment(seconds * 1_000_000_000), wall_millis }
    }

    fn right(seconds: u64) -> u64 {
        START + seconds * 1000
    }

    /// What is believed at a second, if the clock here shows the year 2100.
    fn latest(clocks: &mut PeerClocks, seconds: u64) -> u64 {
        clocks.bound(at(seconds, START * 3)).wall_millis
    }

    #[test]
    fn a_jump_ahead_is_not_followed_but_the_peers_are() {
        let mut clocks = PeerClocks::default();
        assert_eq!(latest(&mut clocks, 1), START * 3, "nobody says anything else");
        clocks.hear(NodeId(2), right(2));
        clocks.hear(NodeId(3), right(2) - 90);
        assert_eq!(latest(&mut clocks, 2), right(2) + SKEW);
        assert_eq!(latest(&mut clocks, 500), right(500) + SKEW, "what was heard goes on");
        assert_eq!(clocks.bound(at(501, right(501) + 3)).wall_millis, right(501) + 3);
        assert_eq!(clocks.bound(at(501, 7)).wall_millis, 7, "to be late is harmless");
        clocks.hear(NodeId(2), START * 3);
        assert_eq!(latest(&mut clocks, 502), START * 3, "two of three agree");
    }

    #[test]
    fn a_peer_whose_clock_has_stopped_stops_nobody_but_its_only_peer() {
        let mut clocks = PeerClocks::default();
        clocks.hear(NodeId(2), 9);
        assert_eq!(latest(&mut clocks, 1), 9 + SKEW);
        clocks.hear(NodeId(3), right(2));
        assert_eq!(latest(&mut clocks, 2), right(2) + SKEW);
    }

    #[test]
    fn late_messages_do_not_set_a_clock_back_but_time_does() {
        let mut clocks = PeerClocks::default();
        clocks.hear(NodeId(2), right(1));
        assert_eq!(latest(&mut clocks, 1), right(1) + SKEW);
        clocks.hear(NodeId(2), right(1));
        assert_eq!(latest(&mut clocks, 5), right(5) + SKEW, "that one was four seconds on its way");
        clocks.hear(NodeId(2), right(12) - 60_000);
        assert_eq!(latest(&mut clocks, 12), right(12) - 60_000 + SKEW);
        assert_eq!(latest(&mut clocks, 12 + 3600), START * 3, "too long ago");
    }

    #[test]
    fn what_no_clock_can_show_is_not_heard() {
        let mut clocks = PeerClocks::default();
        clocks.hear(NodeId(2), u64::MAX);
        clocks.hear(NodeId(3), 0);
        assert_eq!(latest(&mut clocks, 1), START * 3);
    }
}
