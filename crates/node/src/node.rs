//! The node: gateway, desk and store, tied together.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::thread::JoinHandle;

use api::catalog::{Bootstrap, NodeRecord};
use api::frame::{CatalogCopy, Channel, Frame};
use api::peer::{Access, Awaited, Outcome, RaftMessage, Reply, Report, Request, SnapshotAck, SnapshotChunk};
use bytes::Bytes;
use catalog::returns::Returns;
use catalog::{CatalogWatch, TableRoute};
use env::{Clock, Moment};
use replication::driver::{Filled, Outbox, Store, StoreOptions};
use replication::start::Engines;
use replication::{Answer, GroupShared, Input, Token};
use types::{BootId, Endpoint, ErrorCode, Fault, Generation, GroupId, NodeId, ReplicaId, limits};
use wal::LogStore;

use crate::control::News;
use crate::desk::{Desk, Received, Settled, answer_at_once, refusal};
use crate::gateway::{Call, Gateway, GatewayCounters, GatewayEffect, GroupRoute, Routes};
use crate::heard::{self, Heard};
use crate::line::{self, Elements, Line};
use crate::operate::Operator;
use crate::routes::RouteTable;
use crate::tasks::Tasks;
use crate::upkeep::Upkeep;

/// One run of a node, as its connection proved it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// The node.
    pub node: NodeId,
    /// The run.
    pub boot: BootId,
}

/// The connections to other nodes. Nothing here may block.
pub trait Transport: Send + Sync {
    /// Raft messages, in order; may be lost. Returns whether all of them left.
    fn send_raft(&self, to: NodeId, messages: Vec<RaftMessage>) -> bool;

    /// Requests, in order. Returns how many were taken; the others have not left.
    fn send_requests(&self, to: NodeId, requests: Vec<Request>) -> usize;

    /// Answers to a run of a node.
    fn reply(&self, to: Origin, replies: Vec<Reply>);

    /// A wish for another leader. Returns whether it left.
    fn send_transfer(&self, to: NodeId, transfer: api::peer::TransferLeader) -> bool;

    /// A wish for a shorter log. Returns whether it left.
    fn send_cut(&self, to: NodeId, cut: api::peer::CutLog) -> bool;

    /// A report; may be lost.
    fn send_report(&self, to: NodeId, report: Report);

    /// A snapshot's chunk or ack, or a catalog copy; may be lost.
    fn send_bulk(&self, to: NodeId, frame: Frame);

    /// Who there is, and where.
    fn set_peers(&self, directory: &BTreeMap<NodeId, Endpoint>);

    /// The process must end.
    fn fatal(&self, fault: Fault);
}

/// What a node is told at its start.
pub struct NodeConfig {
    /// Who it is, as the catalog shall know it.
    pub me: NodeRecord,
    /// How the cluster was founded; known to founders.
    pub bootstrap: Option<Bootstrap>,
    /// Whether this node may take part in the founding: it has never served. It does so only after every
    /// other founder has said that there is no cluster yet; a founder that lost its data must not found
    /// again, because its replicas have made promises.
    pub may_found: bool,
    /// Everything that looks random follows from it; different in each run.
    pub seed: u64,
    /// Threads and intervals of the store.
    pub store: StoreOptions,
    /// What there is on the disk of the data.
    pub disk: DiskRoom,
    /// The number that this host has for that disk, or 0: nodes of one host with the same number share it.
    pub disk_number: u64,
}

/// Tells how many bytes a node's data may still take, and how many its disk has in all; nothing if it does not
/// know.
pub type DiskRoom = Box<dyn Fn() -> Option<(u64, u64)> + Send + Sync>;

/// Called once, with the end of a call.
pub type Done = Box<dyn FnOnce(Result<Bytes, Fault>) + Send>;

/// One member of a cluster.
pub struct Node {
    pub(crate) me: NodeRecord,
    pub(crate) id: NodeId,
    pub(crate) bootstrap: Option<Bootstrap>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) watch: CatalogWatch,
    routes: RwLock<Arc<RouteTable>>,
    routes_version: AtomicU64,
    gateway: Mutex<GatewayState>,
    desk: Mutex<Desk<Caller>>,
    line: Mutex<Line<Caller>>,
    store: OnceLock<Store>,
    pub(crate) upkeep: Arc<Upkeep>,
    pub(crate) started: Moment,
    pub(crate) observations: Mutex<Heard>,
    /// How often the processes of other nodes have begun anew.
    pub(crate) returns: Mutex<BTreeMap<NodeId, Returns>>,
    pub(crate) damaged: Mutex<BTreeMap<(GroupId, ReplicaId), String>>,
    pub(crate) may_found: bool,
    pub(crate) disk: DiskRoom,
    pub(crate) disk_number: u64,
    /// Shared with the answers that it waits for.
    pub(crate) operator: Arc<Mutex<Operator>>,
    /// Who carries out tasks of operations.
    pub(crate) tasks: OnceLock<Arc<dyn Tasks>>,
    pub(crate) ready: AtomicBool,
    reads_by_lease: AtomicU64,
    pub(crate) keys_expired: Arc<AtomicU64>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct GatewayState {
    gateway: Gateway,
    done: BTreeMap<u64, Done>,
}

/// Who asked the desk.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Caller {
    /// The gateway of this node.
    Here,
    /// The gateway of another.
    There(Origin),
}

impl Node {
    /// Opens everything on disk, founds what is to be founded, and begins to run.
    pub fn start(
        config: NodeConfig,
        log: Arc<dyn LogStore>,
        engines: Engines,
        watch: CatalogWatch,
        clock: Arc<dyn Clock>,
        transport: Arc<dyn Transport>,
    ) -> Result<Arc<Self>, Fault> {
        let id = NodeId(config.me.id);
        let gateway = Gateway::new(id, config.seed);
        let routes = RouteTable::new(&watch.latest(), config.bootstrap.as_ref());
        let node = Arc::new(Self {
            id,
            me: config.me,
            bootstrap: config.bootstrap,
            started: clock.now(),
            clock,
            transport,
            watch,
            routes_version: AtomicU64::new(routes.version().get()),
            routes: RwLock::new(Arc::new(routes)),
            gateway: Mutex::new(GatewayState { gateway, done: BTreeMap::new() }),
            desk: Mutex::default(),
            line: Mutex::default(),
            store: OnceLock::new(),
            upkeep: Arc::new(Upkeep::new()),
            observations: Mutex::default(),
            returns: Mutex::default(),
            damaged: Mutex::default(),
            may_found: config.may_found,
            disk: config.disk,
            disk_number: config.disk_number,
            operator: Arc::default(),
            tasks: OnceLock::new(),
            ready: AtomicBool::new(false),
            reads_by_lease: AtomicU64::new(0),
            keys_expired: Arc::default(),
            threads: Mutex::default(),
        });
        let store =
            Store::start(&config.store, log, engines, node.clock.clone(), Arc::new(Out(node.clone())))?;
        let _ = node.store.set(store);
        let upkeep = node.clone();
        let guarded = move || {
            // Without its upkeep a node looks alive to its clients, says nothing to the others, and obeys nobody.
            if catch_unwind(AssertUnwindSafe(|| upkeep.run_upkeep())).is_err() {
                upkeep.transport.fatal(Fault::new(ErrorCode::Internal, "thread upkeep panicked"));
            }
        };
        let thread = std::thread::Builder::new().name("upkeep".into()).spawn(guarded);
        let thread = thread.map_err(|error| Fault::new(ErrorCode::Internal, error.to_string()))?;
        lock(&node.threads).push(thread);
        Ok(node)
    }

    /// Stops everything, makes applied state durable, and returns.
    pub fn stop(&self) -> Result<(), Fault> {
        self.upkeep.stop();
        for thread in std::mem::take(&mut *lock(&self.threads)) {
            let _ = thread.join();
        }
        self.store.get().map_or(Ok(()), Store::stop)
    }

    /// This node.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// This run of it.
    pub fn boot(&self) -> BootId {
        BootId(self.me.boot)
    }

    /// Keys that were removed because their time had come, by this node's leaders.
    pub fn keys_expired(&self) -> u64 {
        self.keys_expired.load(Ordering::Relaxed)
    }

    /// What its data may still take, and the size of its disk, in bytes; nothing if the system does not say.
    pub fn disk_room(&self) -> Option<(u64, u64)> {
        (self.disk)()
    }

    /// Whether it has caught up since its start and serves.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    /// The way to a table's keys.
    pub fn table(&self, namespace: &str, name: &str) -> Option<Arc<TableRoute>> {
        self.routes().table(namespace, name).cloned()
    }

    /// The catalog version that routes are made from: look tables up again when it changes.
    pub fn routes_version(&self) -> u64 {
        self.routes_version.load(Ordering::Acquire)
    }

    /// Reads at once, if this node leads the group under a lease. Otherwise [`Self::submit`].
    pub fn try_read(&self, group: GroupId, request: &[u8]) -> Option<Result<Bytes, Fault>> {
        let shared = self.store.get()?.shared(group)?;
        let value = shared.read_by_lease(&*self.clock, request)?;
        self.reads_by_lease.fetch_add(1, Ordering::Relaxed);
        Some(value.map_err(|error| replication::start::engine_fault(&error)))
    }

    /// Answers a write that would change nothing at once, if this node leads the group under a lease; otherwise
    /// [`Self::submit`]. Whoever asks has no other write under way there.
    pub fn try_unchanged(&self, group: GroupId, request: &[u8]) -> Option<Result<Bytes, Fault>> {
        let shared = self.store.get()?.shared(group)?;
        let value = shared.unchanged_by_lease(&*self.clock, request)?;
        self.reads_by_lease.fetch_add(1, Ordering::Relaxed);
        Some(value.map_err(|error| replication::start::engine_fault(&error)))
    }

    /// Takes on a call for a group; `done` is told its end exactly once, on any thread.
    pub fn submit(&self, call: Call, done: Done) {
        self.submit_all(vec![(call, done)]);
    }

    /// Takes on calls together, in order: they reach their groups together, and cost one wake-up.
    pub fn submit_all(&self, calls: Vec<(Call, Done)>) {
        let mut effects = Vec::new();
        let mut state = lock(&self.gateway);
        let routes = self.routes();
        let view = NodeRoutes { node: self, routes: &routes };
        let now = self.clock.now();
        for (call, done) in calls {
            let id = state.gateway.submit(call, &view, now, &mut effects);
            state.done.insert(id, done);
        }
        self.execute(state, &view, effects);
    }

    /// Raft messages came from a node.
    pub fn on_raft(&self, from: NodeId, messages: Vec<RaftMessage>) {
        let Some(store) = self.store.get() else { return };
        store.messages(from, messages);
    }

    /// Requests came from another node's gateway.
    pub fn on_requests(&self, from: Origin, requests: Vec<Request>) {
        let mut replies = self.receive(Caller::There(from), requests);
        replies.iter_mut().for_each(fit_frame);
        if !replies.is_empty() {
            self.transport.reply(from, replies);
        }
    }

    /// Answers came to requests of this node's gateway.
    pub fn on_replies(&self, from: NodeId, replies: Vec<Reply>) {
        let mut effects = Vec::new();
        let mut state = lock(&self.gateway);
        let routes = self.routes();
        let view = NodeRoutes { node: self, routes: &routes };
        let now = self.clock.now();
        for reply in replies {
            state.gateway.reply(from, reply, &view, now, &mut effects);
        }
        self.execute(state, &view, effects);
    }

    /// Another frame came.
    pub fn on_frame(&self, from: NodeId, frame: Frame) {
        let Some(store) = self.store.get() else { return };
        match frame {
            Frame::Chunk(chunk) => store.chunk(from, chunk),
            Frame::ChunkAck(ack) => store.ack(from, ack),
            Frame::Report(report) if report.node == from.get() => self.on_report(report),
            Frame::Transfer(transfer) => {
                let group = GroupId(transfer.group);
                // A wish that finds no room is wished again by whoever waits for it.
                let _ = store.input(group, Input::Transfer { group, to: ReplicaId(transfer.to) });
            }
            Frame::CutLog(cut) => store.cut_now(GroupId(cut.group)),
            Frame::Compact(compact) => store.compact(GroupId(compact.group), compact.operation),
            Frame::Catalog(copy) => self.on_catalog(&copy),
            other => tracing::debug!(from = from.get(), ?other, "frame without a reader"),
        }
    }

    /// A connection broke.
    pub fn on_disconnected(&self, to: NodeId, channel: Channel) {
        match channel {
            Channel::Raft => {
                if let Some(store) = self.store.get() {
                    store.unreachable(to);
                }
            }
            Channel::Requests => {
                let mut state = lock(&self.gateway);
                state.gateway.disconnected(to, self.clock.now());
                let due = state.gateway.next_due();
                drop(state);
                if let Some(due) = due {
                    self.upkeep.wake_by(due);
                }
            }
            Channel::Bulk | Channel::Probe => {}
        }
    }

    /// Counters of the gateway, and reads that needed no quorum.
    pub fn counters(&self) -> (GatewayCounters, u64) {
        (lock(&self.gateway).gateway.counters(), self.reads_by_lease.load(Ordering::Relaxed))
    }

    /// Clients of all nodes that wait for elements at this node's leaders.
    pub fn waits(&self) -> usize {
        lock(&self.line).len()
    }

    /// The store of replicas; there from the end of `start` on.
    pub fn store(&self) -> Option<&Store> {
        self.store.get()
    }

    /// Time for the gateway. Returns when it wants to be called again.
    pub(crate) fn tick_gateway(&self) -> Option<Moment> {
        let mut effects = Vec::new();
        let mut state = lock(&self.gateway);
        let routes = self.routes();
        let view = NodeRoutes { node: self, routes: &routes };
        state.gateway.tick(&view, self.clock.now(), &mut effects);
        self.execute_quietly(state, &view, effects);
        lock(&self.gateway).gateway.next_due()
    }

    /// Whoever holds the gateway reads them after its lock was taken: with older ones than its calls were made with, it
    /// would know nothing of a table that is new.
    pub(crate) fn routes(&self) -> Arc<RouteTable> {
        self.routes.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes routes anew when the catalog copy has changed. Returns whether it had.
    pub(crate) fn refresh_routes(&self) -> bool {
        let catalog = self.watch.latest();
        if catalog.version() == self.routes().version() {
            return false;
        }
        let routes = Arc::new(RouteTable::new(&catalog, self.bootstrap.as_ref()));
        *self.routes.write().unwrap_or_else(PoisonError::into_inner) = routes;
        self.routes_version.store(catalog.version().get(), Ordering::Release);
        true
    }

    /// Asks the transport to connect to the founders, and later to whomever the catalog names. Once what
    /// comes from them can be given to this node.
    pub fn connect(&self) {
        let Some(bootstrap) = &self.bootstrap else { return };
        let directory = bootstrap.nodes.iter().map(|node| (NodeId(node.id), node.endpoint.clone())).collect();
        self.transport.set_peers(&directory);
    }

    /// Executes effects, and sees to it that the gateway gets its time.
    fn execute<'a>(
        &'a self,
        state: MutexGuard<'a, GatewayState>,
        view: &NodeRoutes<'_>,
        effects: Vec<GatewayEffect>,
    ) {
        if let Some(due) = self.execute_quietly(state, view, effects) {
            self.upkeep.wake_by(due);
        }
    }

    /// Executes effects until there are none; answers are told without the lock. Returns when the
    /// gateway wants its time.
    fn execute_quietly<'a>(
        &'a self,
        mut state: MutexGuard<'a, GatewayState>,
        view: &NodeRoutes<'_>,
        effects: Vec<GatewayEffect>,
    ) -> Option<Moment> {
        let mut finished = Vec::new();
        let mut work = effects;
        while !work.is_empty() {
            let mut sends: BTreeMap<NodeId, Vec<Request>> = BTreeMap::new();
            for effect in work.drain(..) {
                match effect {
                    GatewayEffect::Complete(id, result) => {
                        finished.extend(state.done.remove(&id).map(|done| (done, result)));
                    }
                    GatewayEffect::Send(to, request) => sends.entry(to).or_default().push(request),
                }
            }
            for (to, requests) in sends {
                self.send(to, requests, &mut state.gateway, view, &mut work);
            }
        }
        let due = state.gateway.next_due();
        drop(state);
        for (done, result) in finished {
            done(result);
        }
        due
    }

    /// Sends requests to a node, which may be this one; tells the gateway of those that did not leave, and
    /// of replies that are there at once.
    fn send(
        &self,
        to: NodeId,
        requests: Vec<Request>,
        gateway: &mut Gateway,
        view: &NodeRoutes<'_>,
        out: &mut Vec<GatewayEffect>,
    ) {
        let now = self.clock.now();
        if to == self.id {
            for reply in self.receive(Caller::Here, requests) {
                gateway.reply(to, reply, view, now, out);
            }
            return;
        }
        let ids: Vec<u64> = requests.iter().map(|request| request.id).collect();
        let taken = self.transport.send_requests(to, requests);
        for id in ids.into_iter().skip(taken) {
            gateway.lost(to, id, false, now);
        }
    }

    fn receive(&self, caller: Caller, requests: Vec<Request>) -> Vec<Reply> {
        let Some(store) = self.store.get() else {
            let fault = Fault::from(ErrorCode::NotReady);
            return requests.iter().map(|request| refusal(request.id, &fault, None)).collect();
        };
        let routes = self.routes();
        let (mut replies, mut inputs, mut waits) = (Vec::new(), Vec::new(), Vec::new());
        for request in requests {
            let group = GroupId(request.group);
            let shared = store.shared(group);
            let generation = routes.group(group).map_or(Generation(0), |route| route.generation);
            let here = shared.as_deref().map(|shared| (shared, generation));
            if request.access == Access::Wait as i32 {
                waits.push(request);
                continue;
            }
            let is_read = request.access != Access::Write as i32;
            if let Some(reply) = answer_at_once(&request, here, &*self.clock) {
                let done = matches!(reply.outcome, Some(Outcome::Done(_)));
                self.reads_by_lease.fetch_add(u64::from(is_read && done), Ordering::Relaxed);
                replies.push(reply);
                continue;
            }
            match lock(&self.desk).take_on(caller, request) {
                Received::Reply(reply) => replies.push(reply),
                Received::Input(_, input) => inputs.push(input),
            }
        }
        for refused in store.inputs(inputs) {
            let (Input::Propose { token, .. } | Input::Read { token, .. }) = refused else { continue };
            let answer = Answer::Refused { fault: ErrorCode::Overloaded.into(), leader: None };
            if let Some((_, Settled::Reply(reply))) = lock(&self.desk).settle(token, answer) {
                replies.push(reply);
            }
        }
        if !waits.is_empty() {
            replies.append(&mut self.take_waits(caller, &waits));
        }
        replies
    }

    fn on_answers(&self, answers: Vec<(Token, Answer)>) {
        let shared = |group| -> Option<Arc<GroupShared>> { self.store.get()?.shared(group) };
        let settled: Vec<(Caller, Settled)> = {
            let mut desk = lock(&self.desk);
            answers.into_iter().filter_map(|(token, answer)| desk.settle(token, answer)).collect()
        };
        let replies =
            settled.into_iter().map(|(caller, settled)| (caller, settled.into_reply(shared, &*self.clock)));
        self.reply_all(replies);
    }

    /// Sends answers to whom they are for.
    fn reply_all(&self, replies: impl IntoIterator<Item = (Caller, Reply)>) {
        let mut here = Vec::new();
        let mut there: BTreeMap<Origin, Vec<Reply>> = BTreeMap::new();
        for (caller, mut reply) in replies {
            match caller {
                Caller::Here => here.push(reply),
                Caller::There(origin) => {
                    fit_frame(&mut reply);
                    there.entry(origin).or_default().push(reply);
                }
            }
        }
        for (origin, replies) in there {
            self.transport.reply(origin, replies);
        }
        if !here.is_empty() {
            self.on_replies(self.id, here);
        }
    }

    /// Requests about waits. The answers to this caller are returned, those to others leave.
    fn take_waits(&self, caller: Caller, requests: &[Request]) -> Vec<Reply> {
        let (moment, wall) = (self.clock.now(), self.clock.wall_millis());
        let mut out = Vec::new();
        let mut line = lock(&self.line);
        for request in requests {
            // First in line, then the look at the state: in between a commit may come.
            if let Some(shared) = self.store.get().and_then(|store| store.shared(GroupId(request.group))) {
                shared.set_awaited(true);
            }
            line.request(caller, request, (moment, wall), &NodeElements(self), &mut out);
        }
        let due = line.next_due();
        drop(line);
        if let Some(due) = due {
            self.upkeep.wake_by(due);
        }
        let (mine, others) = out.into_iter().partition(|(to, _)| *to == caller);
        self.reply_all(Vec::from_iter::<Vec<(Caller, Reply)>>(others));
        Vec::from_iter::<Vec<(Caller, Reply)>>(mine).into_iter().map(|(_, reply)| reply).collect()
    }

    /// Commits have changed keys that somebody waits for.
    fn on_filled(&self, group: GroupId, filled: Filled) {
        let keys = match filled {
            Filled::Keys(keys) => Some(keys),
            Filled::Unknown => None,
        };
        let mut out = Vec::new();
        lock(&self.line).filled(group, keys, self.clock.now(), &NodeElements(self), &mut out);
        self.reply_all(out);
    }

    /// Time for those who wait. Returns when to look at them again.
    pub(crate) fn tick_line(&self) -> Option<Moment> {
        let mut out = Vec::new();
        let mut line = lock(&self.line);
        line.tick(self.clock.now(), &NodeElements(self), &mut out);
        for group in line.take_left() {
            if let Some(shared) = self.store.get().and_then(|store| store.shared(group)) {
                shared.set_awaited(false);
            }
        }
        let due = line.next_due();
        drop(line);
        self.reply_all(out);
        due
    }

    fn on_report(&self, report: Report) {
        let now = self.clock.now();
        self.help_with_catalog(&report);
        let news = News::of(&report.replicas);
        let of_node = NodeId(report.node);
        lock(&self.returns).entry(of_node).or_default().heard(now.since(self.started), report.boot);
        let before = lock(&self.observations).insert(NodeId(report.node), (now, report));
        if before.is_none_or(|(_, before)| News::of(&before.replicas) != news) {
            // An operation may wait for it.
            self.upkeep.hurry();
        }
    }

    /// A node that does not run a replica of the catalog gets a copy when its own is old.
    fn help_with_catalog(&self, report: &Report) {
        let node = NodeId(report.node);
        let catalog = self.watch.latest();
        if heard::needs_copy(report, &catalog) {
            let copy = CatalogCopy { version: catalog.version().get(), state: catalog.encode() };
            self.transport.send_bulk(node, Frame::Catalog(copy));
        }
    }

    /// The cluster that this node was told to be of.
    fn cluster(&self) -> Option<u64> {
        let known = self.watch.latest().cluster().map(|cluster| cluster.get());
        known.or_else(|| self.bootstrap.as_ref().map(|bootstrap| bootstrap.cluster))
    }

    fn on_catalog(&self, copy: &CatalogCopy) {
        match catalog::Catalog::decode(&copy.state) {
            Ok(catalog) if catalog.cluster().map(|cluster| cluster.get()) != self.cluster() => {
                tracing::warn!("catalog copy of another cluster refused");
            }
            Ok(catalog) => {
                if self.watch.offer(Arc::new(catalog)) {
                    self.upkeep.wake();
                }
            }
            Err(error) => tracing::warn!(%error, "catalog copy refused"),
        }
    }
}

/// A reply that no frame can carry becomes a refusal: the caller would wait for it in vain.
fn fit_frame(reply: &mut Reply) {
    let Some(Outcome::Done(bytes)) = &reply.outcome else { return };
    if bytes.len() > limits::ENTRY_BYTES_MAX {
        let detail = format!(
            "the reply has {} bytes, and up to {} travel between nodes: ask for less at once",
            bytes.len(),
            limits::ENTRY_BYTES_MAX
        );
        *reply = refusal(reply.id, &Fault::new(ErrorCode::RequestTooLarge, detail), None);
    }
}

/// What the gateway asks about groups.
struct NodeRoutes<'a> {
    node: &'a Node,
    routes: &'a RouteTable,
}

impl Routes for NodeRoutes<'_> {
    fn route(&self, group: GroupId) -> Option<GroupRoute> {
        self.routes.group(group).cloned()
    }

    fn leader(&self, group: GroupId) -> Option<NodeId> {
        self.node.store.get()?.shared(group)?.leader()
    }
}

/// What the line asks about this node's replicas. One short read of one record each.
struct NodeElements<'a>(&'a Node);

impl Elements for NodeElements<'_> {
    fn count(&self, group: GroupId, awaited: Awaited, key: &Bytes) -> u64 {
        let shared = self.0.store.get().and_then(|store| store.shared(group));
        let read = shared.and_then(|shared| shared.read_state(&*self.0.clock, &line::question(awaited, key)));
        read.and_then(Result::ok).map_or(0, line::count)
    }

    fn leads(&self, group: GroupId) -> Result<(), Option<NodeId>> {
        match self.0.store.get().and_then(|store| store.shared(group)?.leader()) {
            Some(leader) if leader == self.0.id => Ok(()),
            other => Err(other),
        }
    }
}

/// Where the store's words go.
struct Out(Arc<Node>);

impl Outbox for Out {
    fn send(&self, to: NodeId, messages: Vec<RaftMessage>) -> bool {
        self.0.transport.send_raft(to, messages)
    }

    fn send_chunk(&self, to: NodeId, chunk: SnapshotChunk) {
        self.0.transport.send_bulk(to, Frame::Chunk(chunk));
    }

    fn send_ack(&self, to: NodeId, ack: SnapshotAck) {
        self.0.transport.send_bulk(to, Frame::ChunkAck(ack));
    }

    fn answer(&self, answers: Vec<(Token, Answer)>) {
        self.0.on_answers(answers);
    }

    fn filled(&self, group: GroupId, filled: Filled) {
        self.0.on_filled(group, filled);
    }

    fn stopped(&self, group: GroupId, replica: ReplicaId, fault: Fault) {
        // Damage of this replica is mended by a copy of another. A bug, or an entry of a newer release, would
        // meet the copy too: then the replica stays as it is, and is reported.
        if fault.code == ErrorCode::DataDamaged {
            lock(&self.0.damaged).insert((group, replica), fault.to_string());
            self.0.upkeep.wake();
        } else {
            tracing::error!(group = group.get(), replica = replica.get(), %fault, "replica stopped");
        }
    }

    fn news(&self) {
        self.0.upkeep.hurry();
    }

    fn fatal(&self, fault: Fault) {
        self.0.transport.fatal(fault);
    }
}

/// What was being done when a thread panicked is not trusted less than the process itself.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
