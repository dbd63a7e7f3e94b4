//! How threads that go through whole states make room for others: no faster than moves may be, and giving way often.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::store::Core;
use crate::budget::Budget;

/// How long work rests at a time while its rate allows no more.
const REST: Duration = Duration::from_millis(5);

/// Makes room for others while a state is read.
pub(super) struct Rest {
    core: Arc<Core>,
    budget: Budget,
    /// The store closes.
    is_over: fn(&Core) -> bool,
}

impl Rest {
    pub(super) fn new(core: Arc<Core>, is_over: fn(&Core) -> bool) -> Self {
        Self { core, budget: Budget::default(), is_over }
    }

    /// So many more bytes were worked on.
    pub(super) fn take(&mut self, bytes: usize) {
        self.follow_rate();
        self.budget.spend(bytes);
        while !self.budget.allows(self.core.now().moment) && !(self.is_over)(&self.core) {
            std::thread::sleep(REST);
            self.follow_rate();
        }
        // A priority decides who is next, and not before a slice of time is over.
        std::thread::yield_now();
    }

    fn follow_rate(&mut self) {
        let rate = self.core.move_rate.load(Ordering::Relaxed);
        self.budget.set_rate(rate, self.core.now().moment);
    }
}
