//! Quorum arithmetic.

use std::collections::BTreeMap;

/// How many voters a majority is.
pub const fn majority(voters: usize) -> usize {
    voters / 2 + 1
}

/// How many nodes, whichever they are, may be lost with a majority of the voters still in sync; 0 if
/// there is none even now. Takes the node of each voter that is in sync.
///
/// The worst loss is that of the nodes with the most voters, so those go first. Normally each has one.
pub fn tolerance(in_sync: &[u64], voters: usize) -> u32 {
    let mut left = in_sync.len().saturating_sub(majority(voters));
    let mut by_node: BTreeMap<u64, usize> = BTreeMap::new();
    for node in in_sync {
        *by_node.entry(*node).or_default() += 1;
    }
    let mut counts: Vec<usize> = by_node.into_values().collect();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    let mut lost = 0;
    for count in counts {
        if count > left {
            break;
        }
        left -= count;
        lost += 1;
    }
    lost
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_majority_in_sync_must_remain() {
        let one_each = |in_sync: u64, voters| tolerance(&(0..in_sync).collect::<Vec<_>>(), voters);
        let tolerated = |voters| [0, 1, 2, 3, 4, 5].map(|in_sync| one_each(in_sync, voters));
        assert_eq!(tolerated(1)[..2], [0, 0]);
        assert_eq!(tolerated(2)[..3], [0, 0, 0]);
        assert_eq!(tolerated(3)[..4], [0, 0, 0, 1]);
        assert_eq!(tolerated(4)[..5], [0, 0, 0, 0, 1]);
        assert_eq!(tolerated(5), [0, 0, 0, 0, 1, 2]);
        assert_eq!(one_each(7, 7), 3);
    }

    #[test]
    fn a_node_with_two_voters_is_the_worst_to_lose() {
        assert_eq!(tolerance(&[1, 1, 2], 3), 0);
        assert_eq!(tolerance(&[1, 1, 2, 3, 4], 5), 1);
        assert_eq!(tolerance(&[1, 2, 3, 4, 5], 5), 2);
    }

    #[test]
    fn the_arithmetic_agrees_with_trying_every_loss() {
        for code in 0..4u64.pow(5) {
            let in_sync: Vec<u64> = (0..5).map(|at| code / 4u64.pow(at) % 4).collect();
            let survives = |lost: u64| in_sync.iter().filter(|node| lost & (1 << **node) == 0).count() >= 3;
            let tolerated = |size: u32| (0..16).filter(|lost: &u64| lost.count_ones() == size).all(survives);
            let expected = (1..=4).take_while(|size| tolerated(*size)).count() as u32;
            assert_eq!(tolerance(&in_sync, 5), expected, "{in_sync:?}");
        }
    }
}
