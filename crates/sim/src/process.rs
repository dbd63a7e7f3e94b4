//! One run of a node's process: the product's worker, log, appliers, transfers, gateway, desk and
//! upkeep, with the world's events in place of threads.
//!
//! ```text
//!            inputs                effects
//!   packets ───────► Worker ─┬──────────────► network
//!   answers ◄──┐             ├─► log queue ──► SegmentedLog on a ModelDisk ──┐ Persisted
//!              └─ Desk ◄──── ├─► apply queues ─► Applier, KvEngine, … ───────┤ Applied
//!   Gateway ◄─► clients      └─► Transfers ◄────────────────────────────────►┘ Snapshot…
//! ```
//!
//! What the product's threads do at once, this does in steps that the agenda puts in some order: a step
//! of one thread is one event. `replication::driver` and `node::Node` are the originals; whatever decides
//! anything is called here, not copied.
//!
//! - `process.rs`: birth, packets, the worker's turn
//! - `process/drive.rs`: effects: log, apply, flush
//! - `process/bulk.rs`: snapshots
//! - `process/member.rs`: gateway, desk, upkeep
//! - `process/operate.rs`: the executor of operations
//! - `process/tap.rs`: what the catalog's replica is given

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use api::catalog::{Bootstrap, EngineKind, NodeRecord};
use catalog::{CatalogEngine, CatalogWatch};
use engine::{Engine, StateMachine};
use engine_kv::KvEngine;
use env::{Clock, Moment};
use node::control::Control;
use node::desk::Desk;
use node::heard::Heard;
use node::line::Line;
use node::operate::Operator;
use node::{Gateway, RouteTable};
use proto_redis::blocked::Blocked;
use replication::start::{self, Engines, NewReplica};
use replication::transfer::Transfers;
use replication::{
    Applier, GroupRecord, GroupShared, GroupStart, Input, LogWrite, Now, Worker, WorkerOptions,
};
use types::{ErrorCode, Fault, GroupId, NodeId, ReplicaId, StateId};
use wal::{LogOptions, LogStore, SegmentedLog};

use crate::clock::NodeClock;
use crate::event::{Event, Packet, Place, Work};
use crate::machine::Machine;
use crate::network::Channel;
use crate::outside::Outside;

mod bulk;
mod drive;
mod member;
mod operate;
mod tap;
mod waits;

pub use member::{Ended, Purpose};
use tap::{Tap, Tapped};
pub use waits::{Block, Who};

/// Reports are published every so many ticks, as in the product.
const REPORT_TICKS: u64 = 4;
/// How often the log gives space back, as in the product.
const RECLAIM_EVERY: Duration = Duration::from_millis(500);

/// One run of a node's process.
pub struct Process {
    place: Place,
    id: NodeId,
    run: u64,
    clock: Arc<NodeClock>,
    log: Arc<SegmentedLog>,
    engines: Engines,
    worker: Worker,
    inbox: Vec<Input>,
    turn_planned: bool,
    tick_planned: Moment,
    ticks: u64,
    log_queue: LogQueue,
    applies: BTreeMap<GroupId, VecDeque<ApplyCommand>>,
    hosted: BTreeMap<GroupId, Hosted>,
    received: BTreeMap<StateId, Box<dyn StateMachine>>,
    /// Groups that applied something since their durable index was last reported.
    unflushed: BTreeSet<GroupId>,
    transfers: Transfers,
    transfers_planned: bool,
    replicas: BTreeMap<GroupId, (ReplicaId, i32)>,
    shared: BTreeMap<GroupId, Arc<GroupShared>>,
    next_state: StateId,
    damaged: BTreeMap<(GroupId, ReplicaId), String>,
    /// The node's disk has lied before this run.
    disk_lied: bool,
    member: Member,
    flush_interval: u64,
    tap: Tap,
    look_planned: bool,
}

/// What `node::Node` holds.
struct Member {
    me: NodeRecord,
    bootstrap: Bootstrap,
    watch: CatalogWatch,
    routes: RouteTable,
    gateway: Gateway,
    gateway_planned: u64,
    desk: Desk<Caller>,
    /// Clients of all nodes that wait at this node's leaders, and when to look at them.
    line: Line<Caller>,
    line_planned: u64,
    /// Commands of this node's clients that wait, and how many there ever were.
    blocked: BTreeMap<Who, (GroupId, Blocked)>,
    waits_begun: u64,
    control: Control,
    observations: Heard,
    reads_by_lease: u64,
    purposes: BTreeMap<u64, Purpose>,
    may_found: bool,
    ready: bool,
    started: Moment,
    operator: Operator,
    /// The limit that transfers were told last.
    move_rate: u64,
}

/// Who asked the desk: this process' gateway, or the run of another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Caller {
    Here,
    There(Place, u64),
}

#[derive(Default)]
struct LogQueue {
    waiting: Vec<LogCommand>,
    /// What the disk is busy with.
    writing: Option<Vec<LogCommand>>,
}

enum LogCommand {
    Write(LogWrite),
    Delete { group: GroupId, replica: ReplicaId, record: Option<GroupRecord> },
}

enum ApplyCommand {
    Apply(replication::ApplyTask),
    Adopt(StateId),
    Discard(StateId),
    TakeSnapshot(ReplicaId),
    TakeOver(replication::Takeover),
    Remove(ReplicaId, Option<GroupRecord>),
}

struct Hosted {
    applier: Applier,
    shared: Arc<GroupShared>,
    state: StateId,
}

/// What a process is told at its start, beside its machine.
pub struct Start<'a> {
    /// How the cluster is founded.
    pub bootstrap: &'a Bootstrap,
    /// This run.
    pub run: u64,
    /// Whether this node may take part in the founding: it has never served.
    pub may_found: bool,
    /// Entries kept behind the durable state.
    pub log_keep_entries: u64,
    /// Bytes of committed entries on their way to apply.
    pub apply_bytes_max: usize,
    /// Size of the log's files.
    pub segment_bytes: u64,
    /// How often applied state becomes durable, in nanoseconds.
    pub flush_interval: u64,
    /// Over how many data centres the nodes are spread; 0: nobody says.
    pub dcs: usize,
}

impl Process {
    /// Starts on what lies on a machine, as `Store::start` and `Node::start` do.
    ///
    /// # Errors
    /// What would end the product's process: its log cannot be opened.
    pub fn start(
        place: Place,
        machine: &Machine,
        start: &Start<'_>,
        out: &mut Outside,
    ) -> Result<Self, Fault> {
        let id = NodeId(place as u64 + 1);
        let options = LogOptions { segment_bytes: start.segment_bytes, secret: start.run };
        let log = SegmentedLog::open(Arc::new(machine.disk.clone()), "/log".into(), options)
            .map_err(|error| start::log_fault(&error))?;
        let log = Arc::new(log);
        let records = Arc::new(machine.records.clone());
        let catalog = CatalogEngine::new(records.clone());
        let watch = catalog.watch();
        let mut engines: Engines = BTreeMap::new();
        let tap = Tap::default();
        let tapped = Tapped(catalog, tap.clone());
        engines.insert(EngineKind::Catalog as i32, Arc::new(tapped) as Arc<dyn Engine>);
        engines.insert(EngineKind::Kv as i32, Arc::new(KvEngine::new(records)));
        let clock = machine.clock.clone();
        let now = Now { moment: clock.now(), wall_millis: clock.wall_millis() };
        let mut worker_options = WorkerOptions::new(start.run);
        worker_options.log_keep_entries = start.log_keep_entries;
        worker_options.apply_bytes_max = start.apply_bytes_max;
        // A panic is a finding, not something to live with.
        worker_options.catch_panics = false;
        let (opened, next_state) = start::open_all(&*log, &engines)?;
        let member = Member {
            me: crate::world::node_record(place, start.run, start.dcs),
            bootstrap: start.bootstrap.clone(),
            routes: RouteTable::new(&watch.latest(), Some(start.bootstrap)),
            watch,
            gateway: Gateway::new(id, start.run),
            gateway_planned: u64::MAX,
            desk: Desk::new(),
            line: Line::new(),
            line_planned: u64::MAX,
            blocked: BTreeMap::new(),
            waits_begun: 0,
            control: Control::default(),
            observations: Heard::new(),
            reads_by_lease: 0,
            purposes: BTreeMap::new(),
            may_found: start.may_found,
            ready: false,
            started: now.moment,
            operator: Operator::default(),
            move_rate: 0,
        };
        let worker = Worker::new(worker_options, log.clone(), now);
        let mut process = Self {
            place,
            id,
            run: start.run,
            tick_planned: Moment(0),
            clock,
            engines,
            worker,
            inbox: Vec::new(),
            turn_planned: false,
            ticks: 0,
            log_queue: LogQueue::default(),
            applies: BTreeMap::new(),
            hosted: BTreeMap::new(),
            received: BTreeMap::new(),
            unflushed: BTreeSet::new(),
            transfers: Transfers::new(start.run),
            transfers_planned: false,
            replicas: BTreeMap::new(),
            shared: BTreeMap::new(),
            next_state,
            damaged: BTreeMap::new(),
            disk_lied: machine.lied,
            member,
            flush_interval: start.flush_interval,
            tap,
            look_planned: false,
            log,
        };
        for opened in opened {
            process.open(opened, machine, out);
        }
        process.check_log(machine, out)?;
        process.begin(out);
        Ok(process)
    }

    /// This run's number.
    pub fn run(&self) -> u64 {
        self.run
    }

    /// The worker, for those who look.
    pub fn worker(&self) -> &Worker {
        &self.worker
    }

    /// The replicas that are here, running or not.
    pub fn replicas(&self) -> BTreeMap<GroupId, ReplicaId> {
        self.replicas.iter().map(|(group, (replica, _))| (*group, *replica)).collect()
    }

    /// A running replica's applied position and membership.
    pub fn applier(&self, group: GroupId) -> Option<&Applier> {
        self.hosted.get(&group).map(|hosted| &hosted.applier)
    }

    /// Whether it has heard that it was removed from the cluster.
    pub fn has_left(&self) -> bool {
        self.member.watch.latest().has_left(self.id)
    }

    /// The newest catalog here.
    pub fn catalog(&self) -> Arc<catalog::Catalog> {
        self.member.watch.latest()
    }

    /// Whether a log write is under way.
    pub fn is_writing(&self) -> bool {
        self.log_queue.writing.is_some()
    }

    /// Does a piece of work.
    pub fn work(&mut self, work: Work, out: &mut Outside) {
        match work {
            Work::Turn => self.turn(out),
            Work::Tick => self.turn(out),
            Work::Written => self.written(out),
            Work::Reclaim => self.reclaim(out),
            Work::Apply(group) => self.apply_next(group, out),
            Work::Transfers => self.transfers_tick(out),
            Work::Flush => self.flush(out),
            Work::Look => self.look(out),
            Work::Changed => self.catalog_changed(out),
            Work::Report => self.report(out),
            Work::Sweep => self.sweep(out),
            Work::Gateway => self.gateway_tick(out),
            Work::Line => self.tick_line(out),
            Work::Block(who, block) => self.block(who, block, out),
            Work::TimeUp(who) => self.time_up(who, out),
            Work::HangUp(who) => self.hang_up(who, out),
        }
    }

    /// A packet came from a run of another node: what is answered goes to that run, as over a connection.
    pub fn packet(&mut self, (from, run): (Place, u64), packet: Packet, out: &mut Outside) {
        let node = NodeId(from as u64 + 1);
        match packet {
            Packet::Raft(message) => self.input(Input::Message(node, message), out),
            Packet::Report(report) => self.on_report(report, out),
            Packet::Transfer(wish) => {
                let (group, to) = (GroupId(wish.group), ReplicaId(wish.to));
                self.input(Input::Transfer { group, to }, out);
            }
            Packet::Cut(cut) => self.cut_now(cut, out),
            Packet::Compact(compact) => self.compact_now(compact),
            Packet::Request(request) => {
                let caller = Caller::There(from, run);
                if let Some(reply) = self.receive(caller, request, out) {
                    self.reply(caller, reply, out);
                }
            }
            Packet::Reply(to, reply) if to == self.run => self.on_reply(node, reply, out),
            Packet::Reply(..) => {}
            Packet::Chunk(chunk) => self.chunk(node, chunk, out),
            Packet::Ack(ack) => self.ack(node, ack, out),
            Packet::Catalog(copy) => self.on_catalog(&copy, out),
        }
    }

    /// A connection to another node is gone.
    pub fn disconnected(&mut self, other: Place, channel: Channel, out: &mut Outside) {
        let node = NodeId(other as u64 + 1);
        match channel {
            Channel::Raft => self.input(Input::Unreachable(node), out),
            Channel::Requests => self.gateway_disconnected(node, out),
            Channel::Bulk => {}
        }
    }

    /// Gives the worker an input; it looks soon.
    pub fn input(&mut self, input: Input, out: &mut Outside) {
        self.inbox.push(input);
        if !self.turn_planned {
            self.turn_planned = true;
            let stall = out.random.latency(20_000, 1_000_000);
            self.plan(stall, Work::Turn, out);
        }
    }

    fn plan(&self, after: u64, work: Work, out: &mut Outside) {
        out.agenda.plan(out.now + after, Event::Work(self.place, self.run, work));
    }

    fn begin(&mut self, out: &mut Outside) {
        self.plan_tick(out);
        let spread = out.random.below(100_000_000);
        self.plan(RECLAIM_EVERY.as_nanos() as u64 + spread, Work::Reclaim, out);
        self.plan(self.flush_interval + spread, Work::Flush, out);
        self.plan(spread / 10, Work::Look, out);
        self.plan(spread, Work::Report, out);
        self.plan(spread * 10, Work::Sweep, out);
    }

    fn plan_tick(&mut self, out: &mut Outside) {
        let due = self.worker.next_tick();
        if self.tick_planned < due {
            self.tick_planned = due;
            let late = out.random.latency(200_000, 20_000_000);
            let at = self.clock.world_time_of(due).max(out.now) + late;
            out.agenda.plan(at, Event::Work(self.place, self.run, Work::Tick));
        }
    }

    /// Writes that wait for others to be committed wait until then at most.
    fn plan_burst_end(&mut self, out: &mut Outside) {
        let due = self.worker.next_turn();
        if due < self.worker.next_tick() {
            let at = self.clock.world_time_of(due).max(out.now);
            out.agenda.plan(at, Event::Work(self.place, self.run, Work::Turn));
        }
    }

    /// One turn of the worker: everything that waits, a tick if it is time, then the effects.
    fn turn(&mut self, out: &mut Outside) {
        self.turn_planned = false;
        let now = Now { moment: self.clock.now(), wall_millis: self.clock.wall_millis() };
        for input in std::mem::take(&mut self.inbox) {
            out.trace.input(out.now, self.id, &input);
            self.worker.input(input);
        }
        if now.moment >= self.worker.next_tick() {
            self.worker.tick(now);
            self.ticks += 1;
            if self.ticks.is_multiple_of(REPORT_TICKS) {
                self.worker.publish_reports(now.moment);
            }
        }
        let effects = self.worker.turn(now);
        for group in self.worker.groups() {
            out.checks.role(self.place, group, out.now);
        }
        for effect in effects {
            out.trace.effect(out.now, self.id, &effect);
            self.execute(effect, out);
        }
        self.plan_tick(out);
        self.plan_burst_end(out);
    }

    /// Every group that the log was promised to keep must be in it.
    fn check_log(&mut self, machine: &Machine, out: &mut Outside) -> Result<(), Fault> {
        let found = self.log.groups().into_iter().map(|group| (group.group, (group.last, group.record)));
        let found: BTreeMap<_, _> = found.collect();
        let forgotten = out.checks.all_opened(self.place, machine.lied, &found, out.now);
        if forgotten && !found.contains_key(&GroupId::CATALOG) {
            return Err(Fault::new(ErrorCode::DataDamaged, "the log has forgotten the catalog"));
        }
        Ok(())
    }

    fn open(&mut self, opened: start::Opened, machine: &Machine, out: &mut Outside) {
        match opened {
            Ok((start, applier)) => {
                let (group, replica) = (start.group, start.record.replica());
                let (applied, hlc) = (applier.applied().index, applier.hlc());
                out.trace.note(out.now, &[43, self.place as u64, group.get(), applied.get()], |f| {
                    let place = self.place + 1;
                    write!(f, "n{place} opens replica {replica} of group {group} at {applied}, stamp {hlc}")
                });
                if out.checks.opened(self.place, machine.lied, &start, &applier, out.now) {
                    // No replica can see by itself that its disk lied; whoever runs the cluster can.
                    out.coverage.promises_lost += 1;
                    let fault = Fault::new(ErrorCode::DataDamaged, "the disk lied about what it had stored");
                    self.refuse(group, replica, start.record.engine, &fault, out);
                } else {
                    self.add(start, applier, out);
                }
            }
            Err((group, replica, fault)) => {
                let summary = self.log.group(group);
                let record = summary.and_then(|summary| GroupRecord::from_bytes(&summary.record));
                let record = record.unwrap_or_default();
                let expected = machine.lied || machine.harmed.contains(&record.state());
                out.checks.damaged(self.place, expected, group, &fault, out.now);
                self.refuse(group, replica, record.engine, &fault, out);
            }
        }
    }

    fn refuse(&mut self, group: GroupId, replica: ReplicaId, engine: i32, fault: &Fault, out: &mut Outside) {
        out.coverage.replicas_damaged += 1;
        self.replicas.insert(group, (replica, engine));
        self.damaged.insert((group, replica), fault.to_string());
    }

    fn add(&mut self, start: GroupStart, applier: Applier, out: &mut Outside) {
        let group = start.group;
        let shared = Arc::new(GroupShared::new(group));
        shared.set_reader(Some(applier.state().reader()));
        shared.observe(start.hlc);
        shared.set_writes(applier.writes());
        self.shared.insert(group, shared.clone());
        self.replicas.insert(group, (start.record.replica(), start.record.engine));
        let state = start.record.state();
        self.hosted.insert(group, Hosted { applier, shared: shared.clone(), state });
        self.input(Input::Start(Box::new(start), Some(shared)), out);
    }

    /// Makes a replica, durably, unless one is here.
    fn create(&mut self, new: &NewReplica, out: &mut Outside) -> Result<(), Fault> {
        if self.replicas.contains_key(&new.group) {
            return Ok(());
        }
        let state = self.new_state();
        let (start, applier) = start::create(&*self.log, &self.engines, new, state)?;
        out.checks.created(self.place, &start, &applier, out.now);
        self.add(start, applier, out);
        Ok(())
    }

    fn new_state(&mut self) -> StateId {
        let state = self.next_state;
        self.next_state = state.next();
        state
    }
}
