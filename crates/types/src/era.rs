//! Eras: how often a group was taken over by a survivor of a lost majority.
//!
//! Terms and config epochs count one at a time. Their high bits count takeovers, so whatever the old group may still
//! do, it never reaches the numbers of the new one.

/// A term and a config epoch begin anew above this many bits whenever their group is taken over.
const ERA_BITS: u32 = 32;

/// The era of a term or a config epoch; 0 before the first takeover.
pub fn era_of(counter: u64) -> u64 {
    counter >> ERA_BITS
}

/// The first term and config epoch of an era.
pub fn era_start(era: u64) -> u64 {
    era << ERA_BITS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_era_begins_above_all_of_the_one_before() {
        assert_eq!((era_of(0), era_of(u64::from(u32::MAX))), (0, 0));
        assert_eq!(era_of(era_start(1)), 1);
        assert!(era_start(era_of(77) + 1) > 77);
    }
}
