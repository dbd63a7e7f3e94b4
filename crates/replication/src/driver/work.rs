//! A worker thread: inputs in, effects out, a tick when it is time.

use std::sync::PoisonError;

use types::{Fault, GroupId, ReplicaId};

use super::apply::ApplyCommand;
use super::bulk::BulkCommand;
use super::log::LogCommand;
use super::store::Core;
use crate::effects::{Effect, Input};
use crate::worker::Worker;

/// Reports are published every so many ticks.
const REPORT_TICKS: u64 = 4;

pub(super) fn run_worker(core: &Core, place: usize, mut worker: Worker) {
    let mut inputs = Vec::new();
    let mut ticks = 0;
    loop {
        let now = core.now();
        let wait = worker.next_tick().since(now.moment);
        if !core.inboxes[place].take(&mut inputs, wait) {
            return;
        }
        // The time is taken before the work: a lease that begins in this turn begins here.
        let now = core.now();
        for input in inputs.drain(..) {
            worker.input(input);
        }
        if now.moment >= worker.next_tick() {
            worker.tick(now);
            ticks += 1;
            if u64::is_multiple_of(ticks, REPORT_TICKS) {
                worker.publish_reports();
                *core.counters[place].lock().unwrap_or_else(PoisonError::into_inner) = worker.counters();
            }
        }
        for effect in worker.turn(now) {
            execute(core, effect);
        }
    }
}

fn execute(core: &Core, effect: Effect) {
    match effect {
        Effect::Send(node, message) => core.outbox.send(node, message),
        Effect::Write(write) => core.writes.push(LogCommand::Write(write)),
        Effect::Apply(task) => core.applier(task.group).push(ApplyCommand::Apply(task)),
        Effect::Adopt { group, state } => core.applier(group).push(ApplyCommand::Adopt { group, state }),
        Effect::Discard { group, state } => core.applier(group).push(ApplyCommand::Discard { group, state }),
        Effect::TakeSnapshot { group, to } => {
            core.applier(group).push(ApplyCommand::TakeSnapshot { group, to });
        }
        Effect::SendSnapshot { node, message } => core.bulk.push(BulkCommand::Send(node, message)),
        // The log's cut may wait for a sync, and ticks must not.
        Effect::Cut { group, index } => core.cuts.push((group, index)),
        // An answer may read the state, or call whoever waits for it; ticks must not wait for that.
        Effect::Answer(answers) => core.answers.push(answers),
        Effect::Removed(group, replica) => remove(core, group, replica),
        Effect::Stopped { group, fault } => stopped(core, group, fault),
    }
}

/// First the log forgets the replica, so that after a crash its state is one that nobody names; then
/// the state goes; only then may the group have another replica here. Each step looks whether it is
/// still this replica that is here: a removal that was asked for twice must not hit the next one.
fn remove(core: &Core, group: GroupId, replica: ReplicaId) {
    core.bulk.push(BulkCommand::Forget(group));
    core.writes.push(LogCommand::Delete { group, replica, record: None });
}

fn stopped(core: &Core, group: GroupId, fault: Fault) {
    let replicas = core.replicas.read().unwrap_or_else(PoisonError::into_inner);
    let replica = replicas.get(&group).map_or(ReplicaId::NONE, |(replica, _)| *replica);
    drop(replicas);
    core.outbox.stopped(group, replica, fault);
}

/// Tells a group's worker that work is finished.
pub(super) fn report(core: &Core, group: GroupId, input: Input) {
    core.inbox(group).push(input);
}
