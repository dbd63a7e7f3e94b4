//! Planted bugs of all crates, by one name.

use api::mutants as commands;
use catalog::mutants as laws;
use replication::mutants as drive;

/// Bugs whose moment is too short for random runs: stories find them, `tests/founders.rs` and `tests/lone_voter.rs`.
const OF_STORIES: [Bug; 2] =
    [Bug::Laws(laws::Mutant::BegunTooEarly), Bug::Drive(drive::Mutant::TermSpokenBeforeFsync)];

/// A bug that can be planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bug {
    /// In `replication`.
    Drive(drive::Mutant),
    /// In `catalog`, `ops` or `node`: seen where operators are at work.
    Laws(laws::Mutant),
    /// In `proto-redis` or `engine-kv`.
    Commands(commands::Mutant),
}

impl Bug {
    /// Every bug.
    pub fn all() -> Vec<Bug> {
        let drive = drive::Mutant::ALL.iter().copied().map(Bug::Drive);
        let laws = laws::Mutant::ALL.iter().copied().map(Bug::Laws);
        let commands = commands::Mutant::ALL.iter().copied().map(Bug::Commands);
        drive.chain(laws).chain(commands).collect()
    }

    /// Every bug that random runs must find.
    pub fn hunted() -> Vec<Bug> {
        Bug::all().into_iter().filter(|bug| !OF_STORIES.contains(bug)).collect()
    }

    /// Its name.
    pub fn name(self) -> String {
        match self {
            Bug::Drive(mutant) => format!("{mutant:?}"),
            Bug::Laws(mutant) => format!("{mutant:?}"),
            Bug::Commands(mutant) => format!("{mutant:?}"),
        }
    }

    /// The bug of a name.
    pub fn named(name: &str) -> Option<Bug> {
        Bug::all().into_iter().find(|bug| bug.name() == name)
    }
}

/// Plants one bug for this thread, or none.
pub fn plant(bug: Option<Bug>) {
    drive::plant(match bug {
        Some(Bug::Drive(mutant)) => Some(mutant),
        _ => None,
    });
    commands::plant(match bug {
        Some(Bug::Commands(mutant)) => Some(mutant),
        _ => None,
    });
    laws::plant(match bug {
        Some(Bug::Laws(mutant)) => Some(mutant),
        _ => None,
    });
}
