//! Chance that every replica has alike: numbers that follow from a seed.
//!
//! A write takes the seed of its log entry, a read the one in its request.

/// A source of random numbers (splitmix64).
pub(crate) struct Chance(u64);

impl Chance {
    /// The numbers that follow from this seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `end`, each as likely as the others; 0 if `end` is 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        // The upper half of a product of 128 bits: the bias is `end` parts of 2^64.
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spread_evenly_and_follow_from_the_seed() {
        let mut counts = [0; 10];
        let mut chance = Chance::new(7);
        for _ in 0..10_000 {
            counts[chance.below(10) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
        assert_eq!(Chance::new(7).below(u64::MAX), Chance::new(7).below(u64::MAX));
        assert_eq!(Chance::new(7).below(0), 0);
    }
}
