//! The hunt: planted bugs that the checkers must find, so that their silence means something.
//!
//! Each bug of [`crate::bugs`] is planted in turn, and seeds are run until one fails. A mutant
//! that survives so many seeds is one that the simulator is blind to.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::bugs::{self, Bug};
use crate::checkers::Violation;
use crate::run::{self, Seeds};

/// Within so many seeds each mutant must be found.
pub const SEEDS_MAX: u64 = 2000;

/// What became of a mutant.
#[derive(Clone, Debug)]
pub struct Hunted {
    /// The mutant.
    pub mutant: Bug,
    /// The seed that found it and what was broken, or `None` when it got away.
    pub found: Option<(u64, Violation)>,
    /// How long that took.
    pub took: Duration,
}

/// Hunts mutants, several at once, and hands over each result as it comes.
pub fn hunt(which: &[Bug], from: u64, mut each: impl FnMut(Hunted) + Send) {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let each = Mutex::new(&mut each);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(mutant) = which.get(next.fetch_add(1, Relaxed)) {
                    let hunted = hunt_one(*mutant, from);
                    each.lock().unwrap_or_else(PoisonError::into_inner)(hunted);
                }
            });
        }
    });
}

fn hunt_one(mutant: Bug, from: u64) -> Hunted {
    let began = Instant::now();
    bugs::plant(Some(mutant));
    let which = if matches!(mutant, Bug::Laws(_)) { Seeds::Operated } else { Seeds::All };
    let seeds = (0..SEEDS_MAX).map(|place| which.at(from, place));
    let found = { seeds }.find_map(|seed| Some((seed, run::run(seed, false).violation?)));
    bugs::plant(None);
    Hunted { mutant, found, took: began.elapsed() }
}
