//! A worker thread: inputs in, effects out, a tick when it is time.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use api::peer::RaftMessage;
use types::{Fault, GroupId, NodeId, ReplicaId};

use super::apply::ApplyCommand;
use super::bulk::BulkCommand;
use super::log::LogCommand;
use super::store::Core;
use crate::effects::{Effect, Input};
use crate::worker::Worker;

/// Reports are published every so many ticks.
const REPORT_TICKS: u64 = 2;

pub(super) fn run_worker(core: &Core, place: usize, mut worker: Worker) {
    let mut inputs = Vec::new();
    let mut ticks = 0;
    loop {
        let now = core.now();
        let wait = worker.next_turn().since(now.moment);
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
                worker.publish_reports(now.moment);
                *core.counters[place].lock().unwrap_or_else(PoisonError::into_inner) = worker.counters();
            }
        }
        execute_all(core, worker.turn(now));
        if worker.take_news() {
            core.outbox.news();
        }
    }
}

/// What is collected over a turn, and handed over together: whoever takes it wakes once and finds it all.
struct Collected {
    writes: Vec<LogCommand>,
    sends: BTreeMap<NodeId, Vec<RaftMessage>>,
    /// For each apply thread.
    tasks: Vec<Vec<ApplyCommand>>,
}

/// Executes the effects of a turn. Writes, messages and tasks are collected; nothing depends on their order among each
/// other.
fn execute_all(core: &Core, effects: Vec<Effect>) {
    let tasks = core.applies.iter().map(|_| Vec::new()).collect();
    let mut collected = Collected { writes: Vec::new(), sends: BTreeMap::new(), tasks };
    for effect in effects {
        execute(core, effect, &mut collected);
    }
    core.send_all(std::mem::take(&mut collected.sends));
    collected.hand_over(core);
}

impl Collected {
    fn hand_over(&mut self, core: &Core) {
        core.writes.push_all(self.writes.drain(..));
        for (queue, tasks) in core.applies.iter().zip(&mut self.tasks) {
            queue.push_all(tasks.drain(..));
        }
    }
}

fn execute(core: &Core, effect: Effect, collected: &mut Collected) {
    if !matches!(effect, Effect::Write(_) | Effect::Apply(_) | Effect::Send(..)) {
        // What came before an adoption or a removal must stay before it.
        collected.hand_over(core);
    }
    match effect {
        Effect::Write(write) => collected.writes.push(LogCommand::Write(write)),
        Effect::Apply(task) => {
            collected.tasks[core.applier_of(task.group)].push(ApplyCommand::Apply(task));
        }
        Effect::Send(node, message) => collected.sends.entry(node).or_default().push(message),
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
        Effect::TakeOver(takeover) => {
            core.take_over(takeover.group, takeover.replica);
            core.applier(takeover.group).push(ApplyCommand::TakeOver(takeover));
        }
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
