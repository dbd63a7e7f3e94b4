//! The hybrid logical clock: wall time that never goes back within a group.
//!
//! A stamp is 48 bits of milliseconds since 1970 and 16 bits of counter, so stamps compare as plain
//! numbers and still read as times. Source: Kulkarni et al., "Logical Physical Clocks" (2014).

/// A hybrid stamp: milliseconds since 1970 in the upper 48 bits, a counter in the lower 16.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hlc(pub u64);

const COUNTER_BITS: u32 = 16;

impl Hlc {
    /// The first stamp of a millisecond.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis << COUNTER_BITS)
    }

    /// Milliseconds since 1970.
    pub const fn millis(self) -> u64 {
        self.0 >> COUNTER_BITS
    }

    /// The place within its millisecond.
    pub const fn counter(self) -> u16 {
        (self.0 & 0xffff) as u16
    }
}

impl std::fmt::Display for Hlc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.millis(), self.counter())
    }
}

impl std::fmt::Debug for Hlc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hlc({self})")
    }
}

/// Hands out stamps that rise strictly, whatever the wall clock does.
#[derive(Clone, Copy, Debug, Default)]
pub struct HybridClock {
    last: Hlc,
}

impl HybridClock {
    /// A clock that will only hand out stamps after `last`.
    pub const fn after(last: Hlc) -> Self {
        Self { last }
    }

    /// The next stamp: at least `wall_millis`, and more than every stamp before it.
    pub fn next(&mut self, wall_millis: u64) -> Hlc {
        self.last = Hlc::from_millis(wall_millis).max(Hlc(self.last.0 + 1));
        self.last
    }

    /// What a reader may call "now": the wall time, but never before a stamp that was handed out.
    pub fn peek(&self, wall_millis: u64) -> Hlc {
        Hlc::from_millis(wall_millis).max(self.last)
    }

    /// Takes note of a stamp made elsewhere.
    pub fn observe(&mut self, stamp: Hlc) {
        self.last = self.last.max(stamp);
    }

    /// The last stamp that was handed out or observed.
    pub const fn last(&self) -> Hlc {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_rise_even_when_the_wall_clock_goes_back() {
        let mut clock = HybridClock::default();
        let stamps: Vec<Hlc> = [1000, 1000, 999, 5, 1001].map(|wall| clock.next(wall)).to_vec();
        assert!(stamps.windows(2).all(|pair| pair[0] < pair[1]), "{stamps:?}");
        assert_eq!(stamps[4], Hlc::from_millis(1001));
    }
}
