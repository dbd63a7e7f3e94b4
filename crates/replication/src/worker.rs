//! A worker: the groups of one thread, from inputs to effects.
//!
//! One turn is: any number of [`Worker::input`]s and at most one [`Worker::tick`], then one
//! [`Worker::turn`], which lets every group that was touched say what it has become. Nothing here
//! waits, so a slow disk or a stalled engine delays no tick.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use api::peer::RaftMessage;
use env::Moment;
use types::{ErrorCode, Fault, GroupId, NodeId, limits};
use wal::LogStore;

use crate::clocks::{self, PeerClocks};
use crate::effects::{Answer, Campaign, Effect, GroupStart, Input, Now};
use crate::group::Group;
use crate::message::BadMessage;
use crate::pace::Pace;
use crate::shared::GroupShared;
use crate::takeover::Pending;

/// What a worker is told at its birth.
#[derive(Clone, Debug)]
pub struct WorkerOptions {
    /// Everything that looks random follows from it.
    pub seed: u64,
    /// Entries kept behind the durable state for late followers.
    pub log_keep_entries: u64,
    /// When replicas of groups other than the catalog's begin an election, until they are told.
    pub campaign: Campaign,
    /// Bytes of committed entries that a group hands to apply before the first of them are applied.
    pub apply_bytes_max: usize,
    /// Whether a group that panics is stopped and reported, instead of ending the process. The
    /// simulator wants to see panics.
    pub catch_panics: bool,
    /// Where `raft` talks to.
    pub logger: slog::Logger,
}

impl WorkerOptions {
    /// What the product uses.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            log_keep_entries: limits::LOG_KEEP_ENTRIES,
            apply_bytes_max: limits::APPLY_BYTES_MAX,
            campaign: Campaign::OnlyIfAsked,
            catch_panics: true,
            logger: slog::Logger::root(slog::Discard, slog::o!()),
        }
    }
}

/// What happened since the worker began; for metrics, and for the simulator's coverage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Times that a replica became leader.
    pub elections: u64,
    /// Snapshots that were installed.
    pub snapshots_installed: u64,
    /// Snapshots that left.
    pub snapshots_sent: u64,
    /// Membership changes that counted.
    pub membership_changes: u64,
    /// Times that a suffix of a log was replaced by a new leader's entries.
    pub truncations: u64,
    /// Times that a log was cut at its front.
    pub log_cuts: u64,
    /// Committed entries that waited in the log until apply had room for them.
    pub entries_waited: u64,
    /// Times that a leader's lease ran out before it was renewed.
    pub lease_expiries: u64,
    /// Reads that waited for a quorum.
    pub reads_by_quorum: u64,
    /// Requests that were answered from a session's memory.
    pub sessions_repeated: u64,
    /// Messages that were refused.
    pub messages_refused: u64,
    /// Groups that were stopped.
    pub stopped: u64,
}

impl Counters {
    /// The sum of two.
    #[must_use]
    pub fn plus(&self, other: &Counters) -> Counters {
        Counters {
            elections: self.elections + other.elections,
            snapshots_installed: self.snapshots_installed + other.snapshots_installed,
            snapshots_sent: self.snapshots_sent + other.snapshots_sent,
            membership_changes: self.membership_changes + other.membership_changes,
            truncations: self.truncations + other.truncations,
            log_cuts: self.log_cuts + other.log_cuts,
            entries_waited: self.entries_waited + other.entries_waited,
            lease_expiries: self.lease_expiries + other.lease_expiries,
            reads_by_quorum: self.reads_by_quorum + other.reads_by_quorum,
            sessions_repeated: self.sessions_repeated + other.sessions_repeated,
            messages_refused: self.messages_refused + other.messages_refused,
            stopped: self.stopped + other.stopped,
        }
    }
}

/// The groups of one thread.
pub struct Worker {
    options: WorkerOptions,
    log: Arc<dyn LogStore>,
    groups: BTreeMap<GroupId, Group>,
    shared: BTreeMap<GroupId, Arc<GroupShared>>,
    touched: BTreeSet<GroupId>,
    clocks: PeerClocks,
    pace: Pace,
    next_tick: Moment,
    counters: Counters,
    effects: Vec<Effect>,
    /// A report says something that others wait for.
    news: bool,
    /// Replicas between their old and their new id.
    pub(crate) pending: BTreeMap<GroupId, Pending>,
}

impl Worker {
    /// A worker without groups.
    pub fn new(options: WorkerOptions, log: Arc<dyn LogStore>, now: Now) -> Self {
        Self {
            options,
            log,
            groups: BTreeMap::new(),
            shared: BTreeMap::new(),
            touched: BTreeSet::new(),
            clocks: PeerClocks::default(),
            pace: Pace::default(),
            next_tick: now.moment.plus(limits::TICK),
            counters: Counters::default(),
            effects: Vec::new(),
            news: false,
            pending: BTreeMap::new(),
        }
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The groups, in order.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.values()
    }

    /// One group.
    pub fn group(&self, group: GroupId) -> Option<&Group> {
        self.groups.get(&group)
    }

    /// What other threads see of a group.
    pub fn shared(&self, group: GroupId) -> Option<&Arc<GroupShared>> {
        self.shared.get(&group)
    }

    /// When the next tick is due.
    pub fn next_tick(&self) -> Moment {
        self.next_tick
    }

    /// When the next turn is due although nothing happens: a tick, or the end of a burst of writes.
    pub fn next_turn(&self) -> Moment {
        self.pace.due().map_or(self.next_tick, |due| due.min(self.next_tick))
    }

    /// Ticks every group if it is time: never more often than real time passes, and never twice to make
    /// up for a pause, because followers' promises are counted in ticks.
    pub fn tick(&mut self, now: Now) {
        if now.moment < self.next_tick {
            return;
        }
        let on_time = self.next_tick.plus(limits::TICK);
        self.next_tick = if on_time > now.moment { on_time } else { now.moment.plus(limits::TICK) };
        let now = self.clocks.bound(now);
        let ids: Vec<GroupId> = self.groups.keys().copied().collect();
        for id in ids {
            self.with(id, |group, _, counters| group.tick(now, counters));
        }
    }

    /// Something happened outside.
    pub fn input(&mut self, input: Input) {
        match input {
            Input::Start(start, shared) => {
                self.shared.extend(shared.map(|shared| (start.group, shared)));
                self.start(*start);
            }
            Input::Stop(group, fault) => self.stop(group, fault),
            Input::Remove(group, replica) => {
                if self.is_taking_over(group)
                    || self.groups.get(&group).is_some_and(|running| running.replica() != replica)
                {
                    return;
                }
                self.withdraw(group);
                self.shared.remove(&group);
                // Also for one that was stopped or damaged: its log and state must go.
                self.effects.push(Effect::Removed(group, replica));
            }
            Input::Message(from, message) => self.message(from, message),
            Input::Unreachable(node) => self.unreachable(node),
            Input::Propose { group, token, request } => {
                if !self.touch(group, |group, out, _| group.propose(token, request, out)) {
                    self.not_here(token);
                }
            }
            Input::Read { group, token } => {
                if !self.touch(group, |group, out, _| group.read(token, out)) {
                    self.not_here(token);
                }
            }
            Input::TakeOver(takeover) => self.take_over(takeover),
            Input::Persisted { group, number } => {
                if !self.taken_over(group, number) {
                    self.touch(group, |group, out, _| group.persisted(number, out));
                }
            }
            Input::Applied(outcome) => {
                self.touch(outcome.group, |group, _, counters| group.on_applied(outcome, counters));
            }
            Input::StateDurable { group, index } => self.tell(group, |group| group.state_durable(index)),
            Input::SnapshotTaken { group, to, meta } => {
                self.touch(group, |group, _, _| group.snapshot_taken(to.get(), meta));
            }
            Input::SnapshotSent { group, to, arrived } => {
                self.touch(group, |group, _, counters| {
                    counters.snapshots_sent += u64::from(arrived);
                    group.snapshot_sent(to.get(), arrived);
                });
            }
            Input::SnapshotReceived { from, state, message } => {
                let id = GroupId(message.group);
                if !self.touch(id, |group, out, _| group.snapshot_received(from, state, message, out)) {
                    self.effects.push(Effect::Discard { group: id, state });
                }
            }
            Input::Wish { group, replicas, epoch } => {
                self.touch(group, |group, _, _| group.set_wish(replicas, epoch));
            }
            Input::Campaign { group, when } => {
                self.touch(group, |group, _, _| group.set_campaign(when));
            }
            Input::CutNow(group) => {
                self.touch(group, |group, _, _| group.cut_now());
            }
            Input::Hold { group, name, hold } => self.tell(group, |group| group.hold(&name, hold)),
            Input::Transfer { group, to } => {
                self.touch(group, |group, _, _| group.transfer(to));
            }
        }
    }

    fn message(&mut self, from: NodeId, message: RaftMessage) {
        let id = GroupId(message.group);
        self.clocks.hear(from, message.wall_millis);
        let mut lost = None;
        self.touch(id, |group, _, counters| {
            if let Err(error) = group.step(from, message) {
                counters.messages_refused += 1;
                tracing::debug!(group = id.get(), from = from.get(), %error, "message refused");
                lost = matches!(error, BadMessage::Lost { .. }).then_some(error);
            }
        });
        // Such a replica must not vote any more, and a copy of another mends it.
        if let Some(error) = lost {
            self.stop(id, Fault::new(ErrorCode::DataDamaged, format!("group {id}: {error}")));
        }
    }

    /// Lets a group work and say at the end of the turn what it has become. Returns whether it is here.
    fn touch(&mut self, id: GroupId, work: impl FnOnce(&mut Group, &mut Vec<Effect>, &mut Counters)) -> bool {
        self.with(id, |group, effects, counters| {
            work(group, effects, counters);
            true
        })
    }

    /// Tells a group something that by itself changes nothing outside.
    fn tell(&mut self, id: GroupId, work: impl FnOnce(&mut Group)) {
        self.with(id, |group, _, _| {
            work(group);
            false
        });
    }

    /// Ends the turn: returns everything that is to be done outside, in order.
    pub fn turn(&mut self, now: Now) -> Vec<Effect> {
        let shown = now.wall_millis;
        let now = self.clocks.bound(now);
        for id in &self.touched {
            if let Some(group) = self.groups.get(id) {
                self.pace.note(*id, group.waiting(), group.under_way());
            }
        }
        let open = self.pace.is_open(now.moment);
        if open {
            self.touched.extend(self.pace.go(now.moment));
        }
        for id in std::mem::take(&mut self.touched) {
            let (mut waiting, mut under_way) = (0, 0);
            let mut news = None;
            self.with(id, |group, out, counters| {
                group.turn(now, open, out, counters);
                (waiting, under_way) = (group.waiting(), group.under_way());
                news = group.has_news().then(|| (group.report(), group.view()));
                false
            });
            if let (Some((report, view)), Some(shared)) = (news, self.shared.get(&id)) {
                shared.set_report(report);
                shared.set_view(view);
                self.news = true;
            }
            self.pace.note(id, waiting, under_way);
        }
        clocks::sign(&mut self.effects, shown);
        std::mem::take(&mut self.effects)
    }

    /// Whether a report has been published since the last time that says something others wait for.
    pub fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.news)
    }

    /// Publishes reports for other threads to see, and notes the load of leaders until now.
    pub fn publish_reports(&self, now: Moment) {
        for (id, group) in &self.groups {
            if let Some(shared) = self.shared.get(id) {
                shared.set_report(group.report());
                shared.set_view(group.view());
                shared.note_load(now);
            }
        }
    }

    fn stop(&mut self, id: GroupId, fault: Fault) {
        self.touched.remove(&id);
        self.pace.note(id, 0, 0);
        if let Some(mut group) = self.groups.remove(&id) {
            group.drain(&mut self.effects);
        }
        self.counters.stopped += 1;
        if let Some(shared) = self.shared.get(&id) {
            shared.end_lease();
            let mut report = shared.report();
            report.state = api::peer::ReplicaState::Stopped as i32;
            report.detail = fault.to_string();
            shared.set_report(report);
        }
        self.effects.push(Effect::Stopped { group: id, fault });
    }

    /// Stops running a replica, whose requests are answered.
    pub(crate) fn withdraw(&mut self, id: GroupId) {
        self.touched.remove(&id);
        self.pace.note(id, 0, 0);
        if let Some(shared) = self.shared.get(&id) {
            shared.end_lease();
        }
        if let Some(mut group) = self.groups.remove(&id) {
            group.drain(&mut self.effects);
        }
    }

    pub(crate) fn push(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    pub(crate) fn start(&mut self, start: GroupStart) {
        let id = start.group;
        let shared = self.shared.entry(id).or_insert_with(|| Arc::new(GroupShared::new(id))).clone();
        shared.observe(start.hlc);
        match Group::start(start, &self.options, self.log.clone(), shared) {
            Ok(group) => {
                self.groups.insert(id, group);
                self.touched.insert(id);
            }
            Err(fault) => self.stop(id, fault),
        }
    }

    fn unreachable(&mut self, node: NodeId) {
        let ids: Vec<GroupId> = self.groups.keys().copied().collect();
        for id in ids {
            self.with(id, |group, _, _| {
                group.unreachable(node);
                false
            });
        }
    }

    fn not_here(&mut self, token: crate::effects::Token) {
        let answer = Answer::Refused { fault: ErrorCode::NotLeader.into(), leader: None };
        self.effects.push(Effect::Answer(vec![(token, answer)]));
    }

    /// Lets a group work; it is touched if `work` says so. Returns whether the group is here.
    fn with(
        &mut self,
        id: GroupId,
        work: impl FnOnce(&mut Group, &mut Vec<Effect>, &mut Counters) -> bool,
    ) -> bool {
        let Some(group) = self.groups.get_mut(&id) else { return false };
        let (effects, counters) = (&mut self.effects, &mut self.counters);
        if !self.options.catch_panics {
            if work(group, effects, counters) {
                self.touched.insert(id);
            }
            return true;
        }
        match catch_unwind(AssertUnwindSafe(|| work(group, effects, counters))) {
            Ok(true) => {
                self.touched.insert(id);
            }
            Ok(false) => {}
            // Whatever the group is now, it is not trusted: it leaves, the others go on.
            Err(panic) => {
                let detail = panic
                    .downcast_ref::<String>()
                    .map(String::as_str)
                    .or_else(|| panic.downcast_ref::<&str>().copied())
                    .unwrap_or("panic");
                let fault = Fault::new(ErrorCode::Internal, format!("group {id}: {detail}"));
                tracing::error!(group = id.get(), detail, "group stopped");
                self.stop(id, fault);
            }
        }
        true
    }
}
