//! An apply thread: committed entries into states. The only place where an engine may stall.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use engine::StateMachine;
use types::{ErrorCode, Fault, GroupId, ReplicaId, StateId};

use super::bulk::BulkCommand;
use super::digest::DigestCommand;
use super::store::{Core, Filled};
use super::work::report;
use crate::apply::Applier;
use crate::effects::{Answer, ApplyTask, Input, Token};
use crate::record::GroupRecord;
use crate::shared::GroupShared;
use crate::takeover::Takeover;

/// Waiting for work; nothing depends on how long.
const WAIT: Duration = Duration::from_secs(1);

pub(super) enum ApplyCommand {
    /// A replica begins.
    Open { applier: Box<Applier>, shared: Arc<GroupShared>, state: StateId },
    /// Entries to apply.
    Apply(ApplyTask),
    /// A received state, to be adopted or discarded.
    Keep(StateId, Box<dyn StateMachine>),
    /// The received state is in force.
    Adopt { group: GroupId, state: StateId },
    /// The received state is of no use.
    Discard { group: GroupId, state: StateId },
    /// Take hold of the state for a follower.
    TakeSnapshot { group: GroupId, to: ReplicaId },
    /// The replica has a new id, and is the only member of its group.
    TakeOver(Takeover),
    /// The log has forgotten the replica.
    Remove { group: GroupId, replica: ReplicaId, record: Option<GroupRecord> },
    /// States were made durable: report how far.
    Flushed,
}

struct Hosted {
    applier: Applier,
    shared: Arc<GroupShared>,
    state: StateId,
}

struct ApplyThread<'a> {
    core: &'a Core,
    hosted: BTreeMap<GroupId, Hosted>,
    received: BTreeMap<StateId, Box<dyn StateMachine>>,
    /// Groups that applied something since their durable index was last reported.
    applied: BTreeSet<GroupId>,
    /// Answers and reports of the commands taken together, told together.
    answers: Vec<(Token, Answer)>,
    reports: Vec<Input>,
    /// Keys that somebody may wait for, told last.
    filled: Vec<(GroupId, Filled)>,
}

pub(super) fn run_apply(core: &Core, place: usize) {
    let mut thread = ApplyThread {
        core,
        hosted: BTreeMap::new(),
        received: BTreeMap::new(),
        applied: BTreeSet::new(),
        answers: Vec::new(),
        reports: Vec::new(),
        filled: Vec::new(),
    };
    let mut commands = Vec::new();
    while core.applies[place].take(&mut commands, WAIT) {
        for command in commands.drain(..) {
            thread.execute(command);
        }
        thread.tell();
    }
}

impl ApplyThread<'_> {
    fn execute(&mut self, command: ApplyCommand) {
        match command {
            ApplyCommand::Open { applier, shared, state } => {
                shared.set_statistics(applier.state().statistics());
                shared.set_writes(applier.writes());
                self.hosted.insert(shared.group(), Hosted { applier: *applier, shared, state });
            }
            ApplyCommand::Apply(task) => self.apply(task),
            ApplyCommand::Keep(id, state) => {
                self.received.insert(id, state);
            }
            ApplyCommand::Adopt { group, state } => self.adopt(group, state),
            ApplyCommand::Discard { group, state } => {
                self.received.remove(&state);
                self.remove_state(group, state);
            }
            ApplyCommand::TakeOver(takeover) => {
                if let Some(hosted) = self.hosted.get_mut(&takeover.group) {
                    hosted.applier.take_over(&takeover.membership());
                }
            }
            ApplyCommand::TakeSnapshot { group, to } => self.take_snapshot(group, to),
            ApplyCommand::Remove { group, replica, record } => self.remove(group, replica, record),
            ApplyCommand::Flushed => self.report_durable(),
        }
    }

    fn apply(&mut self, task: ApplyTask) {
        let group = task.group;
        let tokens: Vec<Token> = task.entries.iter().flat_map(|(_, tokens)| tokens).copied().collect();
        let Some(hosted) = self.hosted.get_mut(&group) else { return self.refuse(tokens) };
        self.core.entries_applied.fetch_add(task.entries.len() as u64, Ordering::Relaxed);
        let begun = self.core.clock.now();
        let listening = hosted.shared.is_awaited();
        hosted.applier.listen(listening);
        let mut outcome = match hosted.applier.apply(task.entries) {
            Ok(outcome) => outcome,
            Err(error) => {
                self.refuse(tokens);
                return self.stop(group, error.to_fault());
            }
        };
        let keys = hosted.applier.take_filled();
        if hosted.shared.is_awaited() && !(listening && keys.is_empty()) {
            let filled = if listening { Filled::Keys(keys) } else { Filled::Unknown };
            self.filled.push((group, filled));
        }
        hosted.shared.observe(hosted.applier.hlc());
        hosted.shared.set_writes(hosted.applier.writes());
        let writes = outcome.sizes.iter().sum();
        if writes > 0 {
            // Entries that are committed together are there together: that is how long each of them took.
            let statistics = hosted.shared.write_statistics();
            statistics.add_sizes(&outcome.sizes);
            statistics.add_latencies(self.core.clock.now().since(begun), writes);
        }
        let digests = hosted.applier.take_digests();
        if !digests.is_empty() {
            self.core.digests.push(DigestCommand { shared: hosted.shared.clone(), digests });
        }
        let now = self.core.clock.now();
        for hold in hosted.applier.take_holds() {
            hosted.shared.holds().add(hold, now);
        }
        self.applied.insert(group);
        self.answers.append(&mut outcome.answers);
        self.reports.push(Input::Applied(outcome));
    }

    /// Says what was done: answers first, for somebody waits for them.
    fn tell(&mut self) {
        if !self.answers.is_empty() {
            self.core.outbox.answer(std::mem::take(&mut self.answers));
        }
        if !self.reports.is_empty() {
            self.core.report_all(std::mem::take(&mut self.reports));
        }
        for (group, filled) in self.filled.drain(..) {
            self.core.outbox.filled(group, filled);
        }
    }

    /// Those who wait for entries that cannot be applied here: they are committed, so the next leader
    /// applies them.
    fn refuse(&self, tokens: Vec<Token>) {
        let refused = Answer::Refused { fault: ErrorCode::NoLeader.into(), leader: None };
        let answers: Vec<_> = tokens.into_iter().map(|token| (token, refused.clone())).collect();
        if !answers.is_empty() {
            self.core.outbox.answer(answers);
        }
    }

    fn adopt(&mut self, group: GroupId, state: StateId) {
        let Some(received) = self.received.remove(&state) else { return };
        let applier = match Applier::open(group, received) {
            Ok(applier) => applier,
            Err(error) => return self.stop(group, error.to_fault()),
        };
        let Some(hosted) = self.hosted.get_mut(&group) else { return };
        hosted.shared.observe(applier.hlc());
        hosted.shared.set_writes(applier.writes());
        hosted.shared.set_reader(Some(applier.state().reader()));
        let old = std::mem::replace(&mut hosted.state, state);
        hosted.applier = applier;
        self.remove_state(group, old);
    }

    fn take_snapshot(&mut self, group: GroupId, to: ReplicaId) {
        let taken = self.hosted.get(&group).map(|hosted| hosted.applier.snapshot());
        match taken {
            Some(Ok((meta, source))) => {
                self.core.bulk.push(BulkCommand::Taken { group, to, meta, source });
            }
            Some(Err(error)) => self.stop(group, error.to_fault()),
            None => report(self.core, group, Input::SnapshotTaken { group, to, meta: None }),
        }
    }

    fn report_durable(&mut self) {
        for group in std::mem::take(&mut self.applied) {
            let Some(hosted) = self.hosted.get(&group) else { continue };
            hosted.shared.set_statistics(hosted.applier.state().statistics());
            let index = hosted.applier.state().durable();
            if index < hosted.applier.applied().index {
                self.applied.insert(group);
            }
            report(self.core, group, Input::StateDurable { group, index });
        }
    }

    fn remove(&mut self, group: GroupId, replica: ReplicaId, record: Option<GroupRecord>) {
        if self.core.replica(group) != Some(replica) {
            return;
        }
        self.applied.remove(&group);
        if let Some(hosted) = self.hosted.remove(&group) {
            hosted.shared.set_reader(None);
        }
        if let Some(record) = record {
            self.remove_state(group, record.state());
        }
        self.core.forget(group);
    }

    fn remove_state(&self, group: GroupId, state: StateId) {
        self.core.remove_state(group, state);
    }

    /// A storage failure ends the process; damage ends the replica.
    fn stop(&mut self, group: GroupId, fault: Fault) {
        if let Some(hosted) = self.hosted.remove(&group) {
            hosted.shared.set_reader(None);
        }
        if matches!(fault.code, ErrorCode::DataUnreadable | ErrorCode::DiskFull) {
            self.core.outbox.fatal(fault);
        } else {
            report(self.core, group, Input::Stop(group, fault));
        }
    }
}
