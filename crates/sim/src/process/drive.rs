//! Effects: log, apply, flush. The original is `replication::driver`.

use std::collections::VecDeque;

use replication::{Applier, ApplyTask, Effect, GroupRecord, Input};
use types::{ErrorCode, Fault, GroupId, ReplicaId, StateId};
use wal::{GroupWrite, LogError, LogStore};

use super::{ApplyCommand, LogCommand, Process, RECLAIM_EVERY};
use crate::event::{Packet, Work};
use crate::network::Channel;
use crate::outside::Outside;

impl Process {
    pub(super) fn execute(&mut self, effect: Effect, out: &mut Outside) {
        match effect {
            Effect::Send(node, message) => {
                out.send(self.place, node, Channel::Raft, Packet::Raft(message));
            }
            Effect::Write(write) => {
                if write.write.as_ref().is_some_and(|write| write.reset.is_some()) {
                    out.install_begins(self.place);
                }
                self.write(LogCommand::Write(write), out);
            }
            Effect::Apply(task) => {
                out.checks.committed(self.place, task.group, &task.entries, out.now);
                self.queue_apply(task.group, ApplyCommand::Apply(task), out);
            }
            Effect::Adopt { group, state } => self.queue_apply(group, ApplyCommand::Adopt(state), out),
            Effect::Discard { group, state } => self.queue_apply(group, ApplyCommand::Discard(state), out),
            Effect::TakeOver(takeover) => {
                if let Some((replica, _)) = self.replicas.get_mut(&takeover.group) {
                    *replica = takeover.replica;
                }
                self.queue_apply(takeover.group, ApplyCommand::TakeOver(takeover), out);
            }
            Effect::TakeSnapshot { group, to } => {
                self.queue_apply(group, ApplyCommand::TakeSnapshot(to), out)
            }
            Effect::SendSnapshot { node, message } => self.send_snapshot(node, message, out),
            Effect::Cut { group, index } => {
                if let Err(error) = self.log.cut(group, index) {
                    out.fail("log", format!("node {}: group {group} cannot be cut: {error}", self.id));
                }
            }
            Effect::Answer(answers) => self.answer(answers, out),
            Effect::Removed(group, replica) => {
                self.forget_transfers(group, out);
                self.write(LogCommand::Delete { group, replica, record: None }, out);
            }
            Effect::Stopped { group, fault } => {
                out.checks.stopped(self.place, self.disk_lied, group, &fault, out.now);
                let replica = self.replicas.get(&group).map_or(ReplicaId::NONE, |(replica, _)| *replica);
                self.damaged.insert((group, replica), fault.to_string());
            }
        }
    }

    fn write(&mut self, command: LogCommand, out: &mut Outside) {
        self.log_queue.waiting.push(command);
        if self.log_queue.writing.is_none() {
            self.begin_write(out);
        }
    }

    /// Everything that waits becomes one write. Its bytes are on their way now, and durable when the
    /// time has passed: a power cut in between tears them.
    fn begin_write(&mut self, out: &mut Outside) {
        let mut commands = std::mem::take(&mut self.log_queue.waiting);
        let batch: Vec<GroupWrite> =
            commands.iter_mut().filter_map(|command| command.take_write(&*self.log)).collect();
        if !batch.is_empty()
            && let Err(error) = self.log.write(&batch, false)
        {
            return out.fail("log", format!("node {}: the log refuses a write: {error}", self.id));
        }
        out.checks.writing(self.place, &batch);
        self.log_queue.writing = Some(commands);
        let time = out.disk_time(self.place);
        self.plan(time, Work::Written, out);
    }

    /// The write is durable: its promises may leave.
    pub(super) fn written(&mut self, out: &mut Outside) {
        if let Err(error) = self.log.write(&[], true) {
            return out.fail("log", format!("node {}: the log cannot be synced: {error}", self.id));
        }
        out.checks.written(self.place);
        for command in self.log_queue.writing.take().unwrap_or_default() {
            match command {
                LogCommand::Write(write) => {
                    for (node, message) in write.then {
                        out.send(self.place, node, Channel::Raft, Packet::Raft(message));
                    }
                    self.input(Input::Persisted { group: write.group, number: write.number }, out);
                }
                LogCommand::Delete { group, replica, record } => {
                    self.queue_apply(group, ApplyCommand::Remove(replica, record), out);
                }
            }
        }
        if !self.log_queue.waiting.is_empty() {
            self.begin_write(out);
        }
    }

    /// Space is given back between writes, by the thread that writes.
    pub(super) fn reclaim(&mut self, out: &mut Outside) {
        if self.log_queue.writing.is_none() {
            match self.log.reclaim() {
                Ok(()) | Err(LogError::DiskFull) => {}
                Err(error) => out.fail("log", format!("node {}: {error}", self.id)),
            }
        }
        self.plan(RECLAIM_EVERY.as_nanos() as u64, Work::Reclaim, out);
    }

    fn queue_apply(&mut self, group: GroupId, command: ApplyCommand, out: &mut Outside) {
        let queue = self.applies.entry(group).or_default();
        queue.push_back(command);
        if queue.len() == 1 {
            let time = out.apply_time(self.place);
            self.plan(time, Work::Apply(group), out);
        }
    }

    /// Carries out the first command of a group's queue.
    pub(super) fn apply_next(&mut self, group: GroupId, out: &mut Outside) {
        let Some(command) = self.applies.get_mut(&group).and_then(VecDeque::pop_front) else { return };
        match command {
            ApplyCommand::Apply(task) => self.apply(task, out),
            ApplyCommand::Adopt(state) => self.adopt(group, state, out),
            ApplyCommand::Discard(state) => {
                self.received.remove(&state);
                self.remove_state(group, state);
            }
            ApplyCommand::TakeSnapshot(to) => self.take_snapshot(group, to, out),
            ApplyCommand::TakeOver(takeover) => {
                if let Some(hosted) = self.hosted.get_mut(&group) {
                    hosted.applier.take_over(&takeover.membership());
                }
            }
            ApplyCommand::Remove(replica, record) => self.remove(group, replica, record.as_ref(), out),
        }
        if self.applies.get(&group).is_some_and(|queue| !queue.is_empty()) {
            let time = out.apply_time(self.place);
            self.plan(time, Work::Apply(group), out);
        }
    }

    fn apply(&mut self, task: ApplyTask, out: &mut Outside) {
        let group = task.group;
        let Some(hosted) = self.hosted.get_mut(&group) else { return };
        let before = (hosted.applier.applied(), hosted.applier.hlc());
        let listening = hosted.shared.is_awaited();
        hosted.applier.listen(listening);
        let mut outcome = match hosted.applier.apply(task.entries) {
            Ok(outcome) => outcome,
            Err(error) => return self.stop(group, error.to_fault(), out),
        };
        hosted.shared.observe(hosted.applier.hlc());
        hosted.shared.set_writes(hosted.applier.writes());
        let keys = hosted.applier.take_filled();
        let is_filled = hosted.shared.is_awaited() && !(listening && keys.is_empty());
        let replica = self.replicas.get(&group).map_or(ReplicaId::NONE, |(replica, _)| *replica);
        for (index, work) in hosted.applier.take_digests() {
            match work() {
                Ok(digest) => {
                    out.checks.digest_taken(group, replica, index, &digest);
                    hosted.shared.add_digest(index, digest);
                }
                Err(error) => out.fail("digests", format!("node {}: {error}", self.id)),
            }
        }
        out.applied(self.place, (group, replica), &hosted.applier, before, &outcome.memberships);
        if group == GroupId::CATALOG {
            out.catalog_commands(self.tap.take());
            self.plan_changed(out);
        }
        self.unflushed.insert(group);
        let answers = std::mem::take(&mut outcome.answers);
        self.answer(answers, out);
        self.input(Input::Applied(outcome), out);
        if is_filled {
            self.filled(group, listening.then_some(keys), out);
        }
    }

    fn adopt(&mut self, group: GroupId, state: StateId, out: &mut Outside) {
        let Some(received) = self.received.remove(&state) else { return };
        let applier = match Applier::open(group, received) {
            Ok(applier) => applier,
            Err(error) => return self.stop(group, error.to_fault(), out),
        };
        let Some(hosted) = self.hosted.get_mut(&group) else { return };
        hosted.shared.observe(applier.hlc());
        hosted.shared.set_writes(applier.writes());
        hosted.shared.set_reader(Some(applier.state().reader()));
        let old = std::mem::replace(&mut hosted.state, state);
        let before = (hosted.applier.applied(), hosted.applier.hlc());
        hosted.applier = applier;
        let replica = self.replicas.get(&group).map_or(ReplicaId::NONE, |(replica, _)| *replica);
        out.applied(self.place, (group, replica), &hosted.applier, before, &[]);
        self.remove_state(group, old);
    }

    fn remove(
        &mut self,
        group: GroupId,
        replica: ReplicaId,
        record: Option<&GroupRecord>,
        out: &mut Outside,
    ) {
        if self.replicas.get(&group).is_none_or(|(here, _)| *here != replica) {
            return;
        }
        self.unflushed.remove(&group);
        if let Some(hosted) = self.hosted.remove(&group) {
            hosted.shared.set_reader(None);
        }
        if let Some(record) = record {
            self.remove_state(group, record.state());
        }
        self.shared.remove(&group);
        self.replicas.remove(&group);
        out.checks.removed(self.place, group);
    }

    pub(super) fn remove_state(&self, group: GroupId, state: StateId) {
        // Of a group that is gone the kind is not known any more; no two engines share a state's number.
        let kind = self.replicas.get(&group).map(|(_, kind)| *kind);
        for (_, engine) in self.engines.iter().filter(|(of, _)| kind.is_none_or(|kind| kind == **of)) {
            // Memory cannot refuse; and a state that stays is removed at the next start.
            let _ = engine.remove(state);
        }
    }

    /// Applied state becomes durable.
    pub(super) fn flush(&mut self, out: &mut Outside) {
        self.flush_all(out);
        self.plan(self.flush_interval, Work::Flush, out);
    }

    /// The same, asked for.
    pub(super) fn flush_all(&mut self, out: &mut Outside) {
        if !self.unflushed.is_empty() {
            for engine in self.engines.values() {
                if let Err(error) = engine.flush() {
                    out.fail("state", format!("node {}: {error}", self.id));
                }
            }
        }
        for group in std::mem::take(&mut self.unflushed) {
            let Some(hosted) = self.hosted.get(&group) else { continue };
            let index = hosted.applier.state().durable();
            if index < hosted.applier.applied().index {
                self.unflushed.insert(group);
            }
            out.checks.durable(self.place, group, index);
            self.input(Input::StateDurable { group, index }, out);
        }
    }

    /// A replica whose state or log cannot be used stops.
    pub(super) fn stop(&mut self, group: GroupId, fault: Fault, out: &mut Outside) {
        if let Some(hosted) = self.hosted.remove(&group) {
            hosted.shared.set_reader(None);
        }
        if fault.code == ErrorCode::DataUnreadable {
            out.fail("state", format!("node {}: {fault}", self.id));
        } else {
            self.input(Input::Stop(group, fault), out);
        }
    }
}

impl LogCommand {
    fn take_write(&mut self, log: &dyn LogStore) -> Option<GroupWrite> {
        match self {
            LogCommand::Write(write) => write.write.take(),
            LogCommand::Delete { group, replica, record } => {
                let summary = log.group(*group)?;
                *record = GroupRecord::from_bytes(&summary.record);
                let named = record.as_ref().map_or(ReplicaId::NONE, GroupRecord::replica);
                (named == *replica).then(|| GroupWrite { group: *group, delete: true, ..Default::default() })
            }
        }
    }
}
