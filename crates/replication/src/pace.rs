//! Pace: when the writes that wait for a worker's groups become entries.
//!
//! An entry costs the same however many writes it carries: an fsync on each replica, a message and its
//! answer for each follower, a commit of each engine, and several threads that wake up. While few writes
//! are under way, each becomes an entry at once. While many are, those that arrive wait until as many
//! wait as are under way, so that they travel together:
//!
//! ```text
//!   arrive      1 2 3 4   5 6 7 8 9 10   ...
//!               └──┬──┘   └──┬──┘
//!   under way      4         4 → 8 → 6 → 4
//!   go             1..4      5..8        9 .. 12: as many as are under way
//! ```
//!
//! Nobody waits for a clock: what is under way is applied sooner or later, and each time it is, fewer
//! need to wait. Nagle's algorithm (RFC 896) does the same for small segments. What is under way is the
//! worker's, not a group's, because the log of all groups is synced as one. A group that cannot
//! commit must not hold up the others, so nobody waits longer than [`limits::BURST`].

use std::collections::{BTreeMap, BTreeSet};

use env::Moment;
use types::{GroupId, limits};

/// What is under way, and who waits for it.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// When writes last became entries.
    went: Moment,
    /// Writes that are proposed and not applied, of the groups that have any.
    under_way: BTreeMap<GroupId, usize>,
    /// Groups with writes that wait, and how many.
    held: BTreeMap<GroupId, usize>,
}

impl Pace {
    /// Whether writes may become entries now.
    pub(crate) fn is_open(&self, now: Moment) -> bool {
        let under_way: usize = self.under_way.values().sum();
        let waiting: usize = self.held.values().sum();
        under_way < limits::BURST_WRITES_FREE || waiting >= under_way || now >= self.went.plus(limits::BURST)
    }

    /// A group's writes: how many wait, and how many are under way.
    pub(crate) fn note(&mut self, group: GroupId, waiting: usize, under_way: usize) {
        for (counts, count) in [(&mut self.held, waiting), (&mut self.under_way, under_way)] {
            if count > 0 {
                counts.insert(group, count);
            } else {
                counts.remove(&group);
            }
        }
    }

    /// Writes become entries now: the groups that have some.
    pub(crate) fn go(&mut self, now: Moment) -> BTreeSet<GroupId> {
        if !self.held.is_empty() {
            self.went = now;
        }
        self.held.keys().copied().collect()
    }

    /// When those who wait need wait no longer; nothing if nobody waits.
    pub(crate) fn due(&self) -> Option<Moment> {
        (!self.held.is_empty()).then(|| self.went.plus(limits::BURST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: GroupId = GroupId(1);
    const B: GroupId = GroupId(2);
    const MANY: usize = 4 * limits::BURST_WRITES_FREE;

    #[test]
    fn a_few_writes_never_wait() {
        let mut pace = Pace::default();
        pace.note(A, 1, limits::BURST_WRITES_FREE - 1);
        assert!(pace.is_open(Moment(2)));
    }

    #[test]
    fn many_hold_back_those_after_them_until_as_many_wait_or_enough_are_applied() {
        let mut pace = Pace::default();
        pace.note(A, 0, MANY);
        pace.note(B, MANY - 1, 0);
        assert!(!pace.is_open(Moment(2)));
        pace.note(A, 0, MANY - 1);
        assert!(pace.is_open(Moment(3)));
        pace.note(A, 1, MANY);
        assert!(pace.is_open(Moment(4)));
        assert_eq!(pace.go(Moment(4)), BTreeSet::from([A, B]));
    }

    #[test]
    fn a_group_that_cannot_commit_holds_nobody_for_longer_than_a_burst() {
        let mut pace = Pace::default();
        pace.note(A, MANY, 0);
        pace.go(Moment(7));
        pace.note(A, 0, MANY);
        assert_eq!(pace.due(), None);
        pace.note(B, 1, 0);
        let due = pace.due().expect("somebody waits");
        assert_eq!(due, Moment(7).plus(limits::BURST));
        assert!(!pace.is_open(Moment(due.0 - 1)));
        assert!(pace.is_open(due));
    }
}
