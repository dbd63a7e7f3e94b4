//! The digest thread: hashes states that were taken hold of.
//!
//! A large state takes minutes. Snapshots on their way would be given up meanwhile, so digests have a thread
//! of their own, which hashes one state at a time. All replicas of a partition are hashed at once, perhaps on one machine,
//! and writes go first: the thread has the lowest priority, gives way every few dozen microseconds, and reads no
//! faster than snapshots may leave the node.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use engine::DigestWork;
use types::{GroupId, LogIndex};

use super::store::Core;
use crate::budget::Budget;
use crate::shared::GroupShared;

/// Waiting for work; nothing depends on how long.
const WAIT: Duration = Duration::from_secs(1);
/// How long hashing rests at a time while its rate allows no more.
const REST: Duration = Duration::from_millis(5);

/// States of one group to hash, by the index that each stands at.
pub(super) struct DigestCommand {
    pub(super) shared: Arc<GroupShared>,
    pub(super) digests: Vec<(LogIndex, DigestWork)>,
}

/// What waits, one per group. Each keeps a state from being cleaned up, and whoever asks for a digest again
/// has given up the one before: a newer one takes its place.
#[derive(Default)]
struct Waiting(VecDeque<(GroupId, DigestCommand)>);

impl Waiting {
    fn add(&mut self, command: DigestCommand) {
        let group = command.shared.group();
        match self.0.iter_mut().find(|(of, _)| *of == group) {
            Some((_, waiting)) => *waiting = command,
            None => self.0.push_back((group, command)),
        }
    }

    fn take(&mut self) -> Option<DigestCommand> {
        self.0.pop_front().map(|(_, command)| command)
    }
}

pub(super) fn run_digests(core: &Arc<Core>) {
    env::stand_back();
    let mut rest = Rest::of(core.clone());
    engine::pace::set(move |bytes| rest.take(bytes));
    let (mut commands, mut waiting) = (Vec::new(), Waiting::default());
    loop {
        let wait = if waiting.0.is_empty() { WAIT } else { Duration::ZERO };
        // What waits when the store closes is of no use to anybody.
        if !core.digests.take(&mut commands, wait) {
            return;
        }
        commands.drain(..).for_each(|command| waiting.add(command));
        if let Some(command) = waiting.take() {
            hash(core, command);
        }
    }
}

fn hash(core: &Core, command: DigestCommand) {
    let DigestCommand { shared, digests } = command;
    *core.hashing.lock().unwrap_or_else(PoisonError::into_inner) = Some(shared.clone());
    for (index, work) in digests {
        match work() {
            Ok(digest) => shared.add_digest(index, digest),
            Err(error) => tracing::warn!(group = shared.group().get(), %error, "digest failed"),
        }
    }
}

/// Makes room for others while a state is hashed.
struct Rest {
    core: Arc<Core>,
    budget: Budget,
}

impl Rest {
    fn of(core: Arc<Core>) -> Self {
        Self { core, budget: Budget::default() }
    }

    /// So many more bytes were hashed.
    fn take(&mut self, bytes: usize) {
        if let Some(shared) = &*self.core.hashing.lock().unwrap_or_else(PoisonError::into_inner) {
            shared.add_hashed(bytes as u64);
        }
        self.follow_rate();
        self.budget.spend(bytes);
        while !self.budget.allows(self.core.now().moment) && !self.core.digests.is_closed() {
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

#[cfg(test)]
mod tests {
    use super::*;
    use engine::Digest;

    fn command(group: u64, index: u64) -> DigestCommand {
        let work: DigestWork = Box::new(|| Ok(Digest { hash: 1, records: 1 }));
        let shared = Arc::new(GroupShared::new(GroupId(group)));
        DigestCommand { shared, digests: vec![(LogIndex(index), work)] }
    }

    #[test]
    fn a_newer_digest_of_a_group_takes_the_place_of_one_that_waits() {
        let mut waiting = Waiting::default();
        for (group, index) in [(1, 10), (2, 20), (1, 11)] {
            waiting.add(command(group, index));
        }
        let taken = std::iter::from_fn(|| waiting.take());
        let taken: Vec<_> =
            taken.map(|command| (command.shared.group().get(), command.digests[0].0.get())).collect();
        assert_eq!(taken, [(1, 11), (2, 20)]);
    }
}
