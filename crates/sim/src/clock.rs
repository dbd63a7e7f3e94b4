//! A node's clocks: a monotonic one that runs a little fast or slow, and a wall clock that jumps.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use env::{Clock, Moment};

/// The wall time at which every world begins, in milliseconds since 1970.
pub const WALL_START_MILLIS: u64 = 1_700_000_000_000;
/// A rate of 1, in parts per million.
pub const RATE_ONE: u64 = 1_000_000;

/// The clocks of one machine. They survive its processes, as real ones do.
pub struct NodeClock {
    /// The world's time, shared by all.
    world: Arc<AtomicU64>,
    /// Where the present rate began: in world time, and on this clock.
    anchor_world: AtomicU64,
    anchor_moment: AtomicU64,
    /// Parts per million of real time.
    rate: AtomicU64,
    /// How far the wall clock is off, in milliseconds.
    wall_offset: AtomicI64,
}

impl NodeClock {
    /// A clock that shows `start` now and runs at `rate`.
    pub fn new(world: Arc<AtomicU64>, start: u64, rate: u64, wall_offset: i64) -> Self {
        let now = world.load(Relaxed);
        Self {
            world,
            anchor_world: now.into(),
            anchor_moment: start.into(),
            rate: rate.into(),
            wall_offset: wall_offset.into(),
        }
    }

    /// From now on it runs at another rate.
    pub fn set_rate(&self, rate: u64) {
        let moment = self.now().0;
        self.anchor_moment.store(moment, Relaxed);
        self.anchor_world.store(self.world.load(Relaxed), Relaxed);
        self.rate.store(rate, Relaxed);
    }

    /// The wall clock is off by this much from now on.
    pub fn set_wall_offset(&self, millis: i64) {
        self.wall_offset.store(millis, Relaxed);
    }

    /// The world's time at which this clock, at its present rate, will show `moment` or a little more.
    pub fn world_time_of(&self, moment: Moment) -> u64 {
        let ahead = moment.0.saturating_sub(self.anchor_moment.load(Relaxed));
        let real = u128::from(ahead) * u128::from(RATE_ONE) / u128::from(self.rate.load(Relaxed)) + 1;
        self.anchor_world.load(Relaxed) + real as u64
    }
}

impl Clock for NodeClock {
    fn now(&self) -> Moment {
        let elapsed = self.world.load(Relaxed) - self.anchor_world.load(Relaxed);
        let shown = u128::from(elapsed) * u128::from(self.rate.load(Relaxed)) / u128::from(RATE_ONE);
        Moment(self.anchor_moment.load(Relaxed) + shown as u64)
    }

    fn wall_millis(&self) -> u64 {
        let true_millis = WALL_START_MILLIS + self.world.load(Relaxed) / 1_000_000;
        true_millis.saturating_add_signed(self.wall_offset.load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_keeps_its_rate_and_never_goes_back_when_the_rate_changes() {
        let world = Arc::new(AtomicU64::new(1000));
        let clock = NodeClock::new(world.clone(), 50, 1_100_000, 0);
        world.store(11_000, Relaxed);
        assert_eq!(clock.now(), Moment(50 + 11_000));
        clock.set_rate(900_000);
        assert_eq!(clock.now(), Moment(50 + 11_000));
        let due = clock.world_time_of(Moment(50 + 11_000 + 900));
        world.store(due, Relaxed);
        assert!(clock.now() >= Moment(50 + 11_000 + 900) && due <= 12_002);
    }
}
