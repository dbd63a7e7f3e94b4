//! Everything outside of a process that its steps touch: time, agenda, network, checkers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use api::operation::OperationChange;
use bytes::Bytes;
use catalog::{Record, RecordChange};
use engine::{Applied, ApplyContext};
use replication::Applier;
use replication::Input;
use types::{GroupId, Hlc, NodeId, ReplicaId};

use crate::agenda::Agenda;
use crate::checkers::Checks;
use crate::checkers::laws::Noted;
use crate::coverage::Coverage;
use crate::coverage::steps::{At, kind_name};
use crate::event::{Event, Packet, Place};
use crate::faults::Fault;
use crate::network::{Channel, Network};
use crate::process::Ended;
use crate::random::Random;
use crate::trace::Trace;

/// A disk that is well takes this long at most, once in a while.
const STALL: u64 = 50_000_000;

/// Whoever has been awake for as long knows of a node that has been down for as long: well over `suspect_after_ms`.
const KNOWN_AFTER: u64 = 8_000_000_000;

/// Whether a node's process runs, and since when.
#[derive(Clone, Copy)]
pub enum Pulse {
    /// It has run, unpaused, since then.
    Awake(u64),
    /// There has been no process, or a paused one, since then.
    Down(u64),
}

/// What the processes of a world share.
pub struct Outside {
    /// The world's time, in nanoseconds.
    pub now: u64,
    /// The same, for the clocks of the nodes.
    pub world_clock: Arc<AtomicU64>,
    /// What will happen.
    pub agenda: Agenda,
    /// Chance of processes, disks and threads.
    pub random: Random,
    /// The network.
    pub network: Network,
    /// What happened.
    pub trace: Trace,
    /// Who watches.
    pub checks: Checks,
    /// What was reached.
    pub coverage: Coverage,
    /// Calls that are over and that nobody has looked at yet.
    pub ended: Vec<Ended>,
    /// The run of each node's process.
    pub runs: Vec<u64>,
    /// Whether each node runs.
    pub pulses: Vec<Pulse>,
    /// Usual time of a log write on each node, in nanoseconds.
    pub disk_times: Vec<u64>,
    /// Usual time to apply one task on each node, in nanoseconds.
    pub apply_times: Vec<u64>,
    /// Of 1000 snapshots that are being installed, so many meet a crash.
    pub crashes_in_install: u64,
    /// Of 1000 steps of operations, so many meet a crash of the node that leads the catalog.
    pub crashes_at_steps: u64,
    /// Who dies when a step is committed: by operation and the revision that the step is made from.
    pub doomed: BTreeMap<(u64, u64), Place>,
}

impl Outside {
    /// Sends a packet to a node. `false` when no connection could take it.
    pub fn send(&mut self, from: Place, to: NodeId, channel: Channel, packet: Packet) -> bool {
        let to = (to.get() as Place).wrapping_sub(1);
        if to >= self.runs.len() || to == from {
            return false;
        }
        if let Packet::Raft(message) = &packet {
            self.checks.said(from, message, self.now);
        }
        let Self { now, agenda, coverage, network, .. } = self;
        network.send((from, to, channel), packet, *now, agenda, coverage)
    }

    /// How long a log write takes.
    pub fn disk_time(&mut self, place: Place) -> u64 {
        self.random.latency(self.disk_times[place], STALL)
    }

    /// A snapshot is about to be installed: now and then it meets a crash on the way.
    pub fn install_begins(&mut self, place: Place) {
        if self.random.permille(self.crashes_in_install) {
            let at = self.now + self.random.below(3 * self.disk_times[place]);
            let down = self.random.below(1_000_000_000);
            let power = self.random.permille(500);
            let fault = if power { Fault::PowerCut(place, down) } else { Fault::Kill(place, down) };
            self.coverage.crashes_in_install += 1;
            self.agenda.plan(at, Event::Strike(fault));
        }
    }

    /// The leader of the catalog is about to make a step of an operation: now and then it dies right before it
    /// is committed, or right after.
    pub fn step_begins(&mut self, place: Place, change: &OperationChange) {
        if change.update.is_empty() && change.start.is_empty() {
            return;
        }
        if matches!(self.pulses[place], Pulse::Awake(since) if self.now - since >= KNOWN_AFTER) {
            self.checks.step(change, &self.known_down(), self.now);
        }
        if !self.random.permille(self.crashes_at_steps) {
            return;
        }
        // A step of a part may be the end of the whole: both are at a boundary.
        let records = || change.start.iter().chain(&change.update);
        if self.random.permille(500) {
            records().for_each(|record| self.coverage.steps.note(record, At::DiedBefore));
            self.end_leader(place);
        } else {
            self.doomed.extend(records().map(|record| ((record.id, record.revision), place)));
        }
    }

    /// Nodes that have been down for so long that everybody knows.
    fn known_down(&self) -> BTreeSet<u64> {
        let down = |pulse: &Pulse| matches!(pulse, Pulse::Down(since) if self.now - since >= KNOWN_AFTER);
        (1..).zip(&self.pulses).filter(|(_, pulse)| down(pulse)).map(|(node, _)| node).collect()
    }

    fn end_leader(&mut self, place: Place) {
        let down = self.random.between(50_000_000, 3_000_000_000);
        let fault = match self.random.below(4) {
            0 => Fault::Isolate(place, down),
            1 => Fault::PowerCut(place, down),
            _ => Fault::Kill(place, down),
        };
        self.agenda.plan(self.now, Event::Strike(fault));
    }

    /// A node has carried out commands of the catalog.
    pub fn catalog_commands(&mut self, commands: Vec<(ApplyContext, Bytes)>) {
        for noted in self.checks.catalog_commands(commands, self.now) {
            self.coverage.commands_stale += u64::from(noted.stale);
            self.coverage.founders_chosen += u64::from(noted.chose_founders);
            self.tell_catalog(&noted);
            let Some(change) = noted.change else { continue };
            self.coverage.steps_seen += 1;
            self.coverage.forgotten += change.forget.len() as u64;
            for started in &change.start {
                let by_hand = started.by == "admin" || started.parent != 0;
                self.coverage.automated += u64::from(!by_hand);
            }
            for edit in change.edits.iter().filter_map(|edit| edit.edit.as_ref()) {
                self.trace.note(self.now, &[75], |f| write!(f, "──── edit {edit:?}"));
            }
            let mut dies = None;
            for record in change.start.iter().chain(&change.update) {
                self.trace.note(self.now, &[70, record.id, record.revision], |f| {
                    let step = record.steps.get(record.step as usize).map_or("", |step| &step.name);
                    let (state, kind) = (record.state(), kind_name(record));
                    write!(f, "──── operation {} ({kind}) is {state:?} {step}", record.id)
                });
                self.coverage.steps.note(record, At::Passed);
                if let Some(place) = self.doomed.remove(&(record.id, record.revision)) {
                    self.coverage.steps.note(record, At::DiedAfter);
                    dies = Some(place);
                }
            }
            if let Some(place) = dies {
                self.end_leader(place);
            }
        }
        let laws = self.checks.laws();
        self.coverage.evidence_checked = laws.evidence.compared;
        self.coverage.votes_checked = laws.votes.checked;
        self.coverage.repeats_checked = laws.repeated;
    }

    /// What operations are at is told by itself.
    fn tell_catalog(&mut self, noted: &Noted) {
        if let Some(why) = &noted.refused {
            self.trace.note(self.now, &[76], |f| write!(f, "──── refused: {why}"));
        }
        let of_operations =
            |change: &&RecordChange| matches!(change, RecordChange::Put(Record::Operation(_)));
        for change in noted.changes.iter().filter(|change| !of_operations(change)) {
            self.trace.note(self.now, &[77], |f| write!(f, "──── {change}"));
        }
    }

    /// How long it takes to apply a task.
    pub fn apply_time(&mut self, place: Place) -> u64 {
        self.random.latency(self.apply_times[place], STALL / 4)
    }

    /// Something is wrong. The first time counts.
    pub fn fail(&mut self, checker: &'static str, detail: String) {
        self.checks.fail(checker, detail, self.now);
    }

    /// A replica has applied entries, or taken over a received state.
    pub fn applied(
        &mut self,
        place: Place,
        (group, replica): (GroupId, ReplicaId),
        applier: &Applier,
        before: (Applied, Hlc),
        memberships: &[(replication::membership::Change, Option<api::peer::Membership>)],
    ) {
        let after = applier.applied();
        self.trace.note(self.now, &[7, place as u64, group.get(), after.index.get()], |f| {
            write!(f, "n{} applied group {group} up to {}", place + 1, after.index)
        });
        self.checks.applied(place, (group, replica), applier, before, self.now);
        if !memberships.is_empty() {
            self.checks.memberships(place, group, applier, self.now);
        }
        self.coverage.digests_compared = self.checks.digests_compared();
    }
}

impl Trace {
    /// An input of a worker.
    pub fn input(&mut self, now: u64, node: NodeId, input: &Input) {
        let kind = match input {
            Input::Start(..) => 1,
            Input::Stop(..) => 2,
            Input::Remove(..) => 3,
            Input::Message(_, message) => {
                let numbers = [
                    4,
                    node.get(),
                    message.group,
                    message.from,
                    message.kind as u64,
                    message.term,
                    message.index,
                ];
                return self.note(now, &numbers, |f| {
                    write!(f, "n{node} ◄ {}", replication::effects::describe(message))
                });
            }
            Input::Unreachable(_) => 5,
            Input::Propose { .. } => 6,
            Input::Read { .. } => 7,
            Input::Persisted { .. } => 8,
            Input::Applied(_) => 9,
            Input::StateDurable { .. } => 10,
            Input::SnapshotTaken { .. } => 11,
            Input::SnapshotSent { .. } => 12,
            Input::SnapshotReceived { .. } => 13,
            Input::Wish { .. } => 14,
            Input::Transfer { .. } => 15,
            Input::Hold { .. } => 16,
            Input::Campaign { .. } => 17,
            Input::CutNow(_) => 18,
            Input::TakeOver(_) => 19,
        };
        const NAMES: [&str; 20] = [
            "",
            "start",
            "stop",
            "remove",
            "",
            "unreachable",
            "propose",
            "read",
            "persisted",
            "applied",
            "state durable",
            "snapshot taken",
            "snapshot sent",
            "snapshot received",
            "wish",
            "transfer",
            "hold",
            "campaign",
            "cut now",
            "take over",
        ];
        let group = input.group();
        self.note(now, &[kind, node.get(), group.get()], |f| {
            write!(f, "n{node} ◄ group {group} {}", NAMES[kind as usize])?;
            let Input::Wish { replicas, epoch, .. } = input else { return Ok(()) };
            write!(f, " at epoch {epoch}:")?;
            replicas.iter().try_for_each(|wish| {
                write!(f, " {}{}@{}", wish.replica, if wish.voter { "" } else { "~" }, wish.node)
            })
        });
    }

    /// An effect of a worker.
    pub fn effect(&mut self, now: u64, node: NodeId, effect: &replication::Effect) {
        use replication::Effect;
        let n = node.get();
        let numbers = match effect {
            Effect::Send(to, m) => [20, n, m.group, to.get(), m.kind as u64, m.term, m.index, m.commit],
            Effect::Write(w) => {
                let last = w.write.as_ref().and_then(|write| write.entries.last());
                let last = last.map_or(0, |entry| entry.index.get());
                [21, n, w.group.get(), w.number, last, w.then.len() as u64, 0, 0]
            }
            Effect::Apply(task) => {
                let last = task.entries.last().map_or(0, |(entry, _)| entry.index);
                [22, n, task.group.get(), last, 0, 0, 0, 0]
            }
            Effect::Adopt { group, state } => [23, n, group.get(), state.get(), 0, 0, 0, 0],
            Effect::Discard { group, state } => [24, n, group.get(), state.get(), 0, 0, 0, 0],
            Effect::TakeSnapshot { group, to } => [25, n, group.get(), to.get(), 0, 0, 0, 0],
            Effect::SendSnapshot { node, message } => {
                [26, n, message.group, node.get(), message.term, 0, 0, 0]
            }
            Effect::Cut { group, index } => [27, n, group.get(), index.get(), 0, 0, 0, 0],
            Effect::Answer(answers) => {
                [28, n, answers.len() as u64, answers.first().map_or(0, |(token, _)| token.0), 0, 0, 0, 0]
            }
            Effect::Removed(group, _) => [29, n, group.get(), 0, 0, 0, 0, 0],
            Effect::TakeOver(takeover) => [31, n, takeover.group.get(), takeover.replica.get(), 0, 0, 0, 0],
            Effect::Stopped { group, .. } => [30, n, group.get(), 0, 0, 0, 0, 0],
        };
        self.note(now, &numbers, |f| write!(f, "n{node} ► {effect}"));
    }
}
