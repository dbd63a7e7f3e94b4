//! Runs of seeds: one by one, or many on all processors. A panic is a finding like any other.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc;

use crate::checkers::Violation;
use crate::coverage::Coverage;
use crate::plan::{OPERATED_EVERY, Plan};
use crate::world::{Outcome, World};

thread_local! {
    /// What the last panic of this thread said, and where.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs one seed.
pub fn run(seed: u64, readable: bool) -> Outcome {
    keep_panics_quiet();
    let world = AssertUnwindSafe(|| World::new(Plan::new(seed), readable).run());
    catch_unwind(world).unwrap_or_else(|_| {
        let detail = PANIC.take().unwrap_or_else(|| "without a word".into());
        let violation = Violation { checker: "panic", detail, at: 0 };
        Outcome { violation: Some(violation), coverage: Coverage::default(), hash: 0, time: 0, waited: 0 }
    })
}

/// Which seeds are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seeds {
    /// All from the first on.
    All,
    /// Those in whose runs operators are at work.
    Operated,
}

impl Seeds {
    /// The seed at a place, counted from the first one.
    pub fn at(self, from: u64, place: u64) -> u64 {
        match self {
            Seeds::All => from + place,
            Seeds::Operated => {
                let first = (from / OPERATED_EVERY) * OPERATED_EVERY + OPERATED_EVERY - 1;
                first + place * OPERATED_EVERY
            }
        }
    }

    /// In how many of so many seeds operators are at work.
    pub fn operated(self, seeds: u64) -> u64 {
        match self {
            Seeds::All => seeds / OPERATED_EVERY,
            Seeds::Operated => seeds,
        }
    }
}

/// Runs many seeds on all processors and hands over each outcome as it comes, in no order. `stop` ends
/// it early.
pub fn run_all(which: Seeds, from: u64, seeds: u64, mut each: impl FnMut(u64, Outcome) -> Next) {
    let next = AtomicU64::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (tell, hear) = mpsc::sync_channel(4 * threads);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (next, tell) = (&next, tell.clone());
            scope.spawn(move || {
                loop {
                    let place = next.fetch_add(1, Relaxed);
                    let seed = which.at(from, place);
                    if place >= seeds || tell.send((seed, run(seed, false))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(tell);
        while let Ok((seed, outcome)) = hear.recv() {
            if each(seed, outcome) == Next::Stop {
                next.store(seeds, Relaxed);
            }
        }
    });
}

/// Whether more seeds are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Yes.
    Go,
    /// No.
    Stop,
}

/// Panics of the simulated code are caught and reported by seed; they need no words of their own.
fn keep_panics_quiet() {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        std::panic::set_hook(Box::new(|panic| {
            PANIC.set(Some(panic.to_string()));
        }));
    });
}
