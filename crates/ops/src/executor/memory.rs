//! What a meta leader remembers between two looks. All of it may be lost: then something is said or asked
//! once more, or waited for anew.

use std::collections::BTreeMap;

use api::operation::OperationRecord;
use api::saving::SavedRecord;
use types::limits::OPERATION_PATIENCE;
use types::{Fault, LogIndex, OperationId};

use super::Directive;
use crate::steps::{Pace, Wait};

/// What was said is not said again for this long, in milliseconds.
const REPEAT_MS: u64 = 1_000;
/// How long the first digest of an operation is waited for before it is asked for once more, in milliseconds;
/// each later one twice as long.
const DIGEST_MS: u64 = 30_000;

/// Between two looks an operation has waited for no longer than this, in milliseconds.
const LOOK_GAP_MS: u64 = 5_000;
/// So many times a change is written before it is in vain.
const WRITES_MAX: u32 = 20;

/// See the module's page.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// When each directive was given last.
    told: BTreeMap<Directive, u64>,
    digests: BTreeMap<u64, Digest>,
    waiting: BTreeMap<u64, Waiting>,
    /// The last change of each operation that was written, and did not come about.
    written: BTreeMap<u64, Written>,
    /// Logs that were cut, by operation: when they were told to.
    cut: BTreeMap<u64, u64>,
    /// Tasks that were begun, by operation and step, and what was told of them.
    tasks: BTreeMap<(u64, String), TaskReport>,
    /// Since when partitions have fewer replicas than their tables wish, by group.
    pub(crate) short_since: BTreeMap<u64, u64>,
    /// When something was last evened out by itself.
    pub(crate) balanced_ms: Option<u64>,
}

/// How far a task is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskReport {
    /// What it is at, in a sentence without an end.
    pub doing: String,
    /// Bytes of contents that are done.
    pub bytes_done: u64,
    /// Bytes of contents in all; 0 while that is not known.
    pub bytes_total: u64,
    /// Pieces that are done.
    pub pieces_done: u64,
    /// What came of it, once it has ended.
    pub outcome: Option<Result<TaskResult, Fault>>,
}

/// What came of a task.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskResult {
    /// What was saved or proved.
    pub saved: Option<SavedRecord>,
    /// What is to be remembered, a sentence each.
    pub notes: Vec<String>,
}

/// Whether a task shall go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Yes.
    Yes,
    /// Its operation has ended, or is to be cancelled.
    No,
    /// Another node leads the catalog, and goes on with it.
    Elsewhere,
}

impl TaskReport {
    /// A number that changes as long as something is done.
    pub(crate) fn progress(&self) -> u64 {
        self.bytes_done.wrapping_add(self.pieces_done)
    }
}

/// A digest of an operation.
#[derive(Debug)]
struct Digest {
    index: LogIndex,
    since_ms: u64,
    tries: u32,
}

/// A change that was written, again and again.
#[derive(Debug)]
struct Written {
    revision: u64,
    since_ms: u64,
    times: u32,
}

/// How often a change of an operation has been written in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum InVain {
    /// Not often enough to say.
    NotYet,
    /// So often that the catalog will not take it: the operation fails instead.
    Often,
    /// It does not even fail, because what undoes it is refused as well.
    Always,
}

/// What an operation waits for, and since when.
#[derive(Debug)]
struct Waiting {
    step: u32,
    pace: Pace,
    /// When it was looked at last.
    looked_ms: u64,
    /// How long the step has waited.
    in_step_ms: u64,
    /// How long its pace has been the same.
    at_pace_ms: u64,
}

impl Memory {
    /// Whether a directive is worth saying now; then it counts as said.
    pub(crate) fn tell(&mut self, directive: &Directive, operation: u64, now: u64) -> bool {
        if self.told.get(directive).is_some_and(|at| now.abs_diff(*at) < REPEAT_MS) {
            return false;
        }
        self.told.insert(directive.clone(), now);
        if let Directive::Task { operation, step } = directive {
            self.tasks.entry((operation.get(), (*step).to_owned())).or_default();
        }
        if matches!(directive, Directive::CutLog { .. }) {
            self.cut.entry(operation).or_insert(now);
        }
        true
    }

    /// Notes how far a task is. Whether it shall go on.
    pub(crate) fn task_told(&mut self, operation: u64, step: &str, report: TaskReport) -> bool {
        match self.tasks.get_mut(&(operation, step.to_owned())) {
            Some(known) => {
                *known = report;
                true
            }
            None => false,
        }
    }

    /// What was told of a task, if it was begun.
    pub(crate) fn task(&self, operation: u64, step: &str) -> Option<&TaskReport> {
        self.tasks.get(&(operation, step.to_owned()))
    }

    /// Forgets tasks that are not wanted any more.
    pub(crate) fn tidy_tasks(&mut self, is_wanted: impl Fn(u64, &str) -> bool) {
        self.tasks.retain(|(operation, step), _| is_wanted(*operation, step));
    }

    /// Whether an operation's log was cut, a while ago.
    pub(crate) fn was_cut(&self, operation: u64, now: u64) -> bool {
        self.cut.get(&operation).is_some_and(|at| now.abs_diff(*at) >= REPEAT_MS)
    }

    pub(crate) fn digest_began(&mut self, operation: OperationId, index: LogIndex, now: u64) {
        let digest = self.digests.entry(operation.get()).or_insert(Digest { index, since_ms: now, tries: 0 });
        (digest.index, digest.since_ms) = (index, now);
        digest.tries += 1;
    }

    pub(crate) fn digest(&self, operation: u64) -> Option<LogIndex> {
        self.digests.get(&operation).map(|digest| digest.index)
    }

    /// Whether a digest has been waited for so long, without anything being hashed, that another one should be asked
    /// for.
    pub(crate) fn digest_is_stale(&self, operation: &OperationRecord, now: u64) -> bool {
        let waiting = self.waiting.get(&operation.id).filter(|waiting| waiting.step == operation.step);
        let still_ms = waiting.map_or(0, |waiting| waiting.at_pace_ms);
        self.digests.get(&operation.id).is_some_and(|digest| {
            let doublings = digest.tries.saturating_sub(1).min(10);
            let limit = DIGEST_MS << doublings;
            now.abs_diff(digest.since_ms) >= limit && still_ms >= limit
        })
    }

    /// Notes that a change of an operation is written. One that came about has another revision by the next
    /// look; the catalog may be without a leader for a while, so both time and number count.
    pub(crate) fn writes(&mut self, operation: &OperationRecord, now: u64) -> InVain {
        let revision = operation.revision;
        let new = || Written { revision, since_ms: now, times: 0 };
        let written = self.written.entry(operation.id).or_insert_with(new);
        if written.revision != revision {
            *written = new();
        }
        written.times += 1;
        let patience = OPERATION_PATIENCE.as_millis() as u64;
        match written.times {
            _ if now.abs_diff(written.since_ms) < patience => InVain::NotYet,
            0..=WRITES_MAX => InVain::NotYet,
            times if times <= 2 * WRITES_MAX => InVain::Often,
            _ => InVain::Always,
        }
    }

    /// Notes what an operation waits for in its step. Whether it has waited too long.
    pub(crate) fn waits(&mut self, operation: &OperationRecord, wait: &Wait, now: u64) -> bool {
        self.waits_at(operation, operation.step, wait, now)
    }

    /// The same for one that is to be undone, which is a step after all others.
    pub(crate) fn waits_for_undo(&mut self, operation: &OperationRecord, wait: &Wait, now: u64) -> bool {
        self.waits_at(operation, u32::MAX, wait, now)
    }

    fn waits_at(&mut self, operation: &OperationRecord, step: u32, wait: &Wait, now: u64) -> bool {
        let new = || Waiting { step, pace: wait.pace, looked_ms: now, in_step_ms: 0, at_pace_ms: 0 };
        let known = self.waiting.entry(operation.id).or_insert_with(new);
        if known.step != step {
            *known = new();
        }
        // The wall clock may jump, and nobody was looking while the catalog had no leader.
        let passed = now.saturating_sub(known.looked_ms).min(LOOK_GAP_MS);
        known.looked_ms = now;
        known.in_step_ms += passed;
        known.at_pace_ms = if known.pace == wait.pace { known.at_pace_ms + passed } else { 0 };
        known.pace = wait.pace;
        wait.pace.limit_ms().is_some_and(|limit| known.at_pace_ms >= limit)
    }

    /// How long an operation's step has waited, in milliseconds.
    pub(crate) fn waited_ms(&self, operation: &OperationRecord) -> u64 {
        let waiting = self.waiting.get(&operation.id).filter(|waiting| waiting.step == operation.step);
        waiting.map_or(0, |waiting| waiting.in_step_ms)
    }

    /// Forgets what nobody needs any more.
    pub(crate) fn tidy(&mut self, is_active: impl Fn(u64) -> bool, now: u64) {
        self.told.retain(|_, at| now.abs_diff(*at) < REPEAT_MS);
        self.digests.retain(|id, _| is_active(*id));
        self.waiting.retain(|id, _| is_active(*id));
        self.written.retain(|id, _| is_active(*id));
        self.cut.retain(|id, _| is_active(*id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_not_asked_for_again_while_something_is_hashed() {
        let mut memory = Memory::default();
        let operation = OperationRecord { id: 7, ..Default::default() };
        let wait = |progress| Wait::working("", None, progress);
        memory.digest_began(OperationId(7), LogIndex(5), 0);
        for second in 0..100 {
            memory.waits(&operation, &wait(second), second * 1000);
            assert!(!memory.digest_is_stale(&operation, second * 1000));
        }
        // Its entry was lost, or whoever hashed has died.
        for second in 100..130 {
            memory.waits(&operation, &wait(99), second * 1000);
        }
        assert!(memory.digest_is_stale(&operation, 130_000));
    }
}
