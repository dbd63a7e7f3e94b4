//! Chance that follows from a seed: the generator xoshiro256++, seeded by SplitMix64.
//!
//! Source: Blackman and Vigna, "Scrambled Linear Pseudorandom Number Generators" (2021). Our own, because
//! a trace must not change with the version of a library.

/// A stream of numbers that is a function of its seed.
#[derive(Clone, Debug)]
pub struct Random([u64; 4]);

impl Random {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Self {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            mix(state)
        };
        Self([next(), next(), next(), next()])
    }

    /// A stream of its own for a purpose, so that more of one kind of chance does not shift the others.
    #[must_use]
    pub fn fork(&mut self, purpose: u64) -> Random {
        Random::new(self.next() ^ mix(purpose))
    }

    /// The next number.
    #[allow(
        clippy::should_implement_trait,
        reason = "a stream of numbers that never ends is no iterator here"
    )]
    pub fn next(&mut self) -> u64 {
        let state = &mut self.0;
        let result = state[0].wrapping_add(state[3]).rotate_left(23).wrapping_add(state[0]);
        let shifted = state[1] << 17;
        state[2] ^= state[0];
        state[3] ^= state[1];
        state[1] ^= state[2];
        state[0] ^= state[3];
        state[2] ^= shifted;
        state[3] = state[3].rotate_left(45);
        result
    }

    /// A number below `bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// A number from `low` (included) to `high` (not included).
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low))
    }

    /// True in `parts` of 1000 cases.
    pub fn permille(&mut self, parts: u64) -> bool {
        self.below(1000) < parts
    }

    /// One of a list, which must not be empty.
    pub fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len() as u64) as usize]
    }

    /// Times that are mostly near `usual` and rarely much longer, as on real networks and disks: half to
    /// three halves of `usual`, and one in a hundred anything up to `longest`.
    pub fn latency(&mut self, usual: u64, longest: u64) -> u64 {
        let base = usual / 2 + self.below(usual.max(1));
        if self.below(100) == 0 { self.between(base, longest.max(base + 1)) } else { base }
    }
}

/// SplitMix64's finaliser: spreads a number over all bits.
pub fn mix(number: u64) -> u64 {
    let mut mixed = number;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_a_function_of_its_seed_and_stays_within_bounds() {
        let numbers = |seed| -> Vec<u64> {
            let mut random = Random::new(seed);
            (0..100).map(|_| random.between(5, 9)).collect()
        };
        assert_eq!(numbers(1), numbers(1));
        assert_ne!(numbers(1), numbers(2));
        assert!(numbers(3).iter().all(|number| (5..9).contains(number)));
        assert_eq!(Random::new(1).below(0), 0);
    }
}
