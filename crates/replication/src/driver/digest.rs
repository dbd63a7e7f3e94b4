//! The digest thread: hashes states that were taken hold of.
//!
//! A large state takes minutes. Snapshots on their way would be given up meanwhile, so digests have a thread
//! of their own, which hashes one state at a time. All replicas of a partition are hashed at once, perhaps on one machine,
//! and writes go first: the thread has the lowest priority, gives way every few dozen microseconds, and reads no
//! faster than snapshots may leave the node.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use engine::DigestWork;
use types::{GroupId, LogIndex};

use super::rest::Rest;
use super::store::Core;
use crate::shared::GroupShared;

/// Waiting for work; nothing depends on how long.
const WAIT: Duration = Duration::from_secs(1);

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
    let (shared, mut rest) = (core.clone(), Rest::new(core.clone(), |core| core.digests.is_closed()));
    engine::pace::set(move |bytes| {
        if let Some(hashing) = &*shared.hashing.lock().unwrap_or_else(PoisonError::into_inner) {
            hashing.add_hashed(bytes as u64);
        }
        rest.take(bytes);
    });
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
