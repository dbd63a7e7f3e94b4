//! The store: all replicas of one node, and the threads that run them.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use api::peer::{RaftMessage, ReplicaReport, SnapshotAck, SnapshotChunk};
use bytes::Bytes;
use env::Clock;
use types::{ErrorCode, Fault, GroupId, LogIndex, NodeId, ReplicaId, StateId, limits};
use wal::LogStore;

use super::apply::{ApplyCommand, run_apply};
use super::bulk::{BulkCommand, run_bulk};
use super::compact::{CompactCommand, run_compactions};
use super::digest::{DigestCommand, run_digests};
use super::flush::run_flush;
use super::log::{LogCommand, run_log};
use super::queue::Queue;
use super::work::run_worker;
use crate::apply::Applier;
use crate::effects::{Answer, GroupStart, Input, Now, Token};
use crate::record::GroupRecord;
use crate::shared::GroupShared;
use crate::start::{self, Engines, NewReplica};
use crate::worker::{Counters, Worker, WorkerOptions};

/// Where a store's words go. Called from its threads; must not block for long.
pub trait Outbox: Send + Sync {
    /// Raft messages, in order; may be lost. Returns whether all of them left.
    fn send(&self, to: NodeId, messages: Vec<RaftMessage>) -> bool;

    /// A piece of a snapshot; may be lost.
    fn send_chunk(&self, to: NodeId, chunk: SnapshotChunk);

    /// How far the receiver of a snapshot is; may be lost.
    fn send_ack(&self, to: NodeId, ack: SnapshotAck);

    /// What became of requests.
    fn answer(&self, answers: Vec<(Token, Answer)>);

    /// A replica cannot go on: it is damaged, or a bug stopped it.
    fn stopped(&self, group: GroupId, replica: ReplicaId, fault: Fault);

    /// What a group reports has changed in a way that others may wait for: who leads, who is a member, who is in
    /// sync.
    fn news(&self) {}

    /// Keys of a group for whose elements somebody waits may have some; see [`GroupShared::set_awaited`].
    fn filled(&self, _group: GroupId, _filled: Filled) {}

    /// The process must end: its disk cannot be trusted any more.
    fn fatal(&self, fault: Fault);
}

/// Which keys may have got elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filled {
    /// These.
    Keys(Vec<Bytes>),
    /// Nobody listened yet when they did.
    Unknown,
}

/// What a store is told at its birth.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Everything that looks random follows from it.
    pub seed: u64,
    /// Threads that run Raft.
    pub workers: usize,
    /// Threads that apply.
    pub appliers: usize,
    /// How often applied state is made durable.
    pub flush_interval: Duration,
}

/// What the threads share.
pub(super) struct Core {
    pub(super) log: Arc<dyn LogStore>,
    pub(super) engines: Engines,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) outbox: Arc<dyn Outbox>,
    pub(super) inboxes: Vec<Queue<Input>>,
    pub(super) writes: Queue<LogCommand>,
    pub(super) cuts: Queue<(GroupId, LogIndex)>,
    pub(super) answers: Queue<Vec<(Token, Answer)>>,
    pub(super) applies: Vec<Queue<ApplyCommand>>,
    pub(super) bulk: Queue<BulkCommand>,
    pub(super) digests: Queue<DigestCommand>,
    /// The group whose state is hashed, or was last.
    pub(super) hashing: Mutex<Option<Arc<GroupShared>>>,
    /// Bytes per second that moves may read and send; 0 without a limit.
    pub(super) move_rate: AtomicU64,
    pub(super) compactions: Queue<CompactCommand>,
    pub(super) flush: Queue<()>,
    pub(super) shared: RwLock<BTreeMap<GroupId, Arc<GroupShared>>>,
    /// The replica of each group that is here, for those who check before the worker does.
    pub(super) replicas: RwLock<BTreeMap<GroupId, (ReplicaId, i32)>>,
    pub(super) next_state: AtomicU64,
    pub(super) counters: Vec<Mutex<Counters>>,
    pub(super) entries_applied: AtomicU64,
}

/// All replicas of one node.
pub struct Store {
    core: Arc<Core>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Store {
    /// Opens every replica on disk and begins to run them. Replicas that are damaged are reported to the
    /// outbox and not run.
    pub fn start(
        options: &StoreOptions,
        log: Arc<dyn LogStore>,
        engines: Engines,
        clock: Arc<dyn Clock>,
        outbox: Arc<dyn Outbox>,
    ) -> Result<Self, Fault> {
        let (opened, next_state) = start::open_all(&*log, &engines)?;
        let core = Arc::new(Core {
            log,
            engines,
            clock,
            outbox,
            inboxes: (0..options.workers.max(1)).map(|_| Queue::new()).collect(),
            writes: Queue::new(),
            cuts: Queue::new(),
            answers: Queue::new(),
            applies: (0..options.appliers.max(1)).map(|_| Queue::new()).collect(),
            bulk: Queue::new(),
            digests: Queue::new(),
            hashing: Mutex::default(),
            move_rate: AtomicU64::new(0),
            compactions: Queue::new(),
            flush: Queue::new(),
            shared: RwLock::default(),
            replicas: RwLock::default(),
            next_state: AtomicU64::new(next_state.get()),
            counters: (0..options.workers.max(1)).map(|_| Mutex::default()).collect(),
            entries_applied: AtomicU64::new(0),
        });
        for opened in opened {
            match opened {
                Ok((start, applier)) => core.add(start, applier),
                Err((group, replica, fault)) => core.report_damage(group, replica, fault),
            }
        }
        let threads = spawn(&core, options)?;
        Ok(Self { core, threads: Mutex::new(threads) })
    }

    /// Gives an input to the group's worker.
    ///
    /// Returns whether there was room for it in the worker's queue.
    #[must_use]
    pub fn input(&self, group: GroupId, input: Input) -> bool {
        self.core.inbox(group).try_push(input, Core::INBOX_MAX)
    }

    /// Gives inputs to their groups' workers at once. Returns those for which there was no room.
    #[must_use]
    pub fn inputs(&self, inputs: Vec<Input>) -> Vec<Input> {
        let mut refused = Vec::new();
        let mut by_worker: Vec<Vec<Input>> = self.core.inboxes.iter().map(|_| Vec::new()).collect();
        for input in inputs {
            by_worker[self.core.worker_of(input.group())].push(input);
        }
        for (inbox, inputs) in self.core.inboxes.iter().zip(by_worker) {
            if inputs.is_empty() {
                continue;
            }
            if inbox.len() >= Core::INBOX_MAX {
                refused.extend(inputs);
            } else {
                inbox.push_all(inputs);
            }
        }
        refused
    }

    /// Raft messages came from a node. Those that find no room are lost: Raft repeats what matters.
    pub fn messages(&self, from: NodeId, messages: Vec<RaftMessage>) {
        let _ = self.inputs(messages.into_iter().map(|message| Input::Message(from, message)).collect());
    }

    /// The connection to a node broke.
    pub fn unreachable(&self, node: NodeId) {
        for inbox in &self.core.inboxes {
            inbox.push(Input::Unreachable(node));
        }
    }

    /// A piece of a snapshot arrived.
    pub fn chunk(&self, from: NodeId, chunk: SnapshotChunk) {
        // A sender is at most a window ahead; whatever is beyond that many is repeated later.
        let limit = limits::SNAPSHOTS_AT_ONCE_MAX * limits::SNAPSHOT_WINDOW_CHUNKS as usize * 2;
        let _ = self.core.bulk.try_push(BulkCommand::Chunk(from, chunk), limit);
    }

    /// The receiver of a snapshot says how far it is.
    pub fn ack(&self, from: NodeId, ack: SnapshotAck) {
        let _ = self.core.bulk.try_push(BulkCommand::Ack(from, ack), limits::FRAMES_WAITING_MAX);
    }

    /// Sends snapshots at no more than this many bytes per second from now on, all together, and hashes states at no
    /// more; 0 is no limit.
    pub fn limit_snapshots(&self, bytes_per_second: u64) {
        self.core.move_rate.store(bytes_per_second, Ordering::Relaxed);
        self.core.bulk.push(BulkCommand::Rate(bytes_per_second));
    }

    /// Makes what a group has applied durable, and cuts its log as far as its holds allow.
    pub fn cut_now(&self, group: GroupId) {
        self.core.inbox(group).push(Input::CutNow(group));
        self.core.flush.push(());
    }

    /// Gives back the space of what was removed from a group's state, for an operation; its report says when that
    /// is done. Harmless when repeated.
    pub fn compact(&self, group: GroupId, operation: u64) {
        // One that finds no room is said again.
        let command = CompactCommand { group, operation };
        let _ = self.core.compactions.try_push(command, limits::OPERATIONS_AT_ONCE_MAX);
    }

    /// Makes a replica and begins to run it; it exists durably when this returns.
    pub fn create(&self, new: &NewReplica) -> Result<(), Fault> {
        if self.replica(new.group).is_some() {
            return Ok(());
        }
        let state = self.core.new_state();
        let (start, applier) = start::create(&*self.core.log, &self.core.engines, new, state)?;
        self.core.add(start, applier);
        Ok(())
    }

    /// Stops a replica and removes its log and state; [`Self::replica`] knows it until that is done. May be
    /// repeated; never touches another replica of the group.
    pub fn remove(&self, group: GroupId, replica: ReplicaId) {
        self.core.inbox(group).push(Input::Remove(group, replica));
    }

    /// The replica of a group that is here, running or stopped.
    pub fn replica(&self, group: GroupId) -> Option<ReplicaId> {
        self.core.replica(group)
    }

    /// Every replica that is here, running or not.
    pub fn replicas(&self) -> BTreeMap<GroupId, ReplicaId> {
        let replicas = self.core.replicas.read().unwrap_or_else(PoisonError::into_inner);
        replicas.iter().map(|(group, (replica, _))| (*group, *replica)).collect()
    }

    /// What other threads may see of a group.
    pub fn shared(&self, group: GroupId) -> Option<Arc<GroupShared>> {
        self.core.group(group)
    }

    /// The latest reports of all replicas.
    pub fn reports(&self) -> Vec<ReplicaReport> {
        let shared = self.core.shared.read().unwrap_or_else(PoisonError::into_inner);
        shared.values().map(|shared| shared.report()).collect()
    }

    /// What happened so far in the groups, and entries applied.
    pub fn counters(&self) -> (Counters, u64) {
        let mut sum = Counters::default();
        for counters in &self.core.counters {
            sum = sum.plus(&counters.lock().unwrap_or_else(PoisonError::into_inner));
        }
        (sum, self.core.entries_applied.load(Ordering::Relaxed))
    }

    /// Stops all threads, makes everything applied durable, and returns.
    pub fn stop(&self) -> Result<(), Fault> {
        self.core.close();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            let _ = thread.join();
        }
        for engine in self.core.engines.values() {
            engine.flush().map_err(|error| start::engine_fault(&error))?;
        }
        Ok(())
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.core.close();
    }
}

impl Core {
    /// Inputs from outside that wait in one inbox at most.
    const INBOX_MAX: usize = 4 * limits::PROPOSALS_WAITING_MAX;

    pub(super) fn inbox(&self, group: GroupId) -> &Queue<Input> {
        &self.inboxes[self.worker_of(group)]
    }

    pub(super) fn worker_of(&self, group: GroupId) -> usize {
        (group.get() % self.inboxes.len() as u64) as usize
    }

    /// Reports of finished work, to each worker at once.
    pub(super) fn report_all(&self, inputs: Vec<Input>) {
        if let [inbox] = &self.inboxes[..] {
            return inbox.push_all(inputs);
        }
        inputs.into_iter().for_each(|input| self.inbox(input.group()).push(input));
    }

    pub(super) fn applier(&self, group: GroupId) -> &Queue<ApplyCommand> {
        &self.applies[self.applier_of(group)]
    }

    pub(super) fn applier_of(&self, group: GroupId) -> usize {
        (group.get() % self.applies.len() as u64) as usize
    }

    /// What other threads may see of a group.
    pub(super) fn group(&self, group: GroupId) -> Option<Arc<GroupShared>> {
        self.shared.read().unwrap_or_else(PoisonError::into_inner).get(&group).cloned()
    }

    pub(super) fn new_state(&self) -> StateId {
        StateId(self.next_state.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn now(&self) -> Now {
        Now { moment: self.clock.now(), wall_millis: self.clock.wall_millis() }
    }

    /// Sends messages, to each node at once. `raft` is told of a node that did not take them all, so that it
    /// finds out what is missing there instead of waiting for an answer.
    pub(super) fn send_all(&self, messages: BTreeMap<NodeId, Vec<RaftMessage>>) {
        for (to, messages) in messages {
            if !self.outbox.send(to, messages) {
                self.inboxes.iter().for_each(|inbox| inbox.push(Input::Unreachable(to)));
            }
        }
    }

    /// Lets go states at barriers that nobody has asked for lately.
    pub(super) fn tidy_holds(&self) {
        let now = self.clock.now();
        let shared = self.shared.read().unwrap_or_else(PoisonError::into_inner);
        shared.values().for_each(|shared| shared.holds().tidy(now));
    }

    /// Removes a state's bytes; if that fails, the next start does it.
    pub(super) fn remove_state(&self, group: GroupId, state: StateId) {
        let kind = {
            let replicas = self.replicas.read().unwrap_or_else(PoisonError::into_inner);
            replicas.get(&group).map(|(_, kind)| *kind)
        };
        // Of a group that is gone the kind is not known any more; no two engines share a state's number.
        let engines = self.engines.iter().filter(|(of, _)| kind.is_none_or(|kind| kind == **of));
        for (_, engine) in engines {
            if let Err(error) = engine.remove(state) {
                tracing::warn!(group = group.get(), state = state.get(), %error, "state cannot be removed");
            }
        }
    }

    /// The replica of a group that is here, running or stopped.
    pub(super) fn replica(&self, group: GroupId) -> Option<ReplicaId> {
        let replicas = self.replicas.read().unwrap_or_else(PoisonError::into_inner);
        replicas.get(&group).map(|(replica, _)| *replica)
    }

    /// The replica of a group that is here has a new id.
    pub(super) fn take_over(&self, group: GroupId, replica: ReplicaId) {
        let mut replicas = self.replicas.write().unwrap_or_else(PoisonError::into_inner);
        if let Some((id, _)) = replicas.get_mut(&group) {
            *id = replica;
        }
    }

    pub(super) fn forget(&self, group: GroupId) {
        self.shared.write().unwrap_or_else(PoisonError::into_inner).remove(&group);
        self.replicas.write().unwrap_or_else(PoisonError::into_inner).remove(&group);
    }

    fn add(&self, start: GroupStart, applier: Applier) {
        let group = start.group;
        let shared = Arc::new(GroupShared::new(group));
        shared.set_reader(Some(applier.state().reader()));
        shared.observe(start.hlc);
        self.shared.write().unwrap_or_else(PoisonError::into_inner).insert(group, shared.clone());
        let replica = (start.record.replica(), start.record.engine);
        self.replicas.write().unwrap_or_else(PoisonError::into_inner).insert(group, replica);
        let state = start.record.state();
        let open = ApplyCommand::Open { applier: Box::new(applier), shared: shared.clone(), state };
        self.applier(group).push(open);
        self.inbox(group).push(Input::Start(Box::new(start), Some(shared)));
    }

    fn report_damage(&self, group: GroupId, replica: ReplicaId, fault: Fault) {
        let record = self.log.group(group).and_then(|summary| GroupRecord::from_bytes(&summary.record));
        let engine = record.map_or(0, |record| record.engine);
        tracing::error!(group = group.get(), replica = replica.get(), %fault, "replica is damaged");
        self.replicas.write().unwrap_or_else(PoisonError::into_inner).insert(group, (replica, engine));
        self.outbox.stopped(group, replica, fault);
    }

    fn close(&self) {
        self.inboxes.iter().for_each(Queue::close);
        self.applies.iter().for_each(Queue::close);
        self.writes.close();
        self.answers.close();
        self.bulk.close();
        self.digests.close();
        self.compactions.close();
        self.flush.close();
    }
}

/// Answers that come from workers.
fn run_answers(core: &Core) {
    let mut answers = Vec::new();
    while core.answers.take(&mut answers, Duration::from_secs(1)) {
        answers.drain(..).for_each(|some| core.outbox.answer(some));
    }
}

fn spawn(core: &Arc<Core>, options: &StoreOptions) -> Result<Vec<JoinHandle<()>>, Fault> {
    let mut threads = Vec::new();
    let mut thread = |name: String, run: Box<dyn FnOnce() + Send>| {
        let outbox = core.outbox.clone();
        let guarded = move || {
            // A node that has lost one of its threads looks alive to others and is not.
            if catch_unwind(AssertUnwindSafe(run)).is_err() {
                let detail = format!("thread {} panicked", std::thread::current().name().unwrap_or("?"));
                outbox.fatal(Fault::new(ErrorCode::Internal, detail));
            }
        };
        let spawned = std::thread::Builder::new().name(name).spawn(guarded);
        let fault = |error: std::io::Error| {
            Fault::new(ErrorCode::Internal, format!("a thread cannot be started: {error}"))
        };
        spawned.map(|handle| threads.push(handle)).map_err(fault)
    };
    for place in 0..core.inboxes.len() {
        let worker_options = WorkerOptions::new(options.seed);
        let shared = core.clone();
        let worker = Worker::new(worker_options, core.log.clone(), core.now());
        thread(format!("raft-{place}"), Box::new(move || run_worker(&shared, place, worker)))?;
    }
    for place in 0..core.applies.len() {
        let shared = core.clone();
        thread(format!("apply-{place}"), Box::new(move || run_apply(&shared, place)))?;
    }
    let shared = core.clone();
    thread("log".into(), Box::new(move || run_log(&shared)))?;
    let shared = core.clone();
    thread("answer".into(), Box::new(move || run_answers(&shared)))?;
    let (shared, seed) = (core.clone(), options.seed);
    thread("bulk".into(), Box::new(move || run_bulk(&shared, seed)))?;
    let shared = core.clone();
    thread("digest".into(), Box::new(move || run_digests(&shared)))?;
    let shared = core.clone();
    thread("compact".into(), Box::new(move || run_compactions(&shared)))?;
    let (shared, interval) = (core.clone(), options.flush_interval);
    thread("flush".into(), Box::new(move || run_flush(&shared, interval)))?;
    Ok(threads)
}
