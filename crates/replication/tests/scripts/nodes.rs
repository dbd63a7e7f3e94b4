//! A small cluster for scripts: workers whose effects are carried out at once, in order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use api::catalog::EngineKind;
use api::entry::{Barrier, Request, RequestKind};
use api::peer::{Member, Membership, RaftMessage};
use bytes::Bytes;
use engine::records::{MemoryRecordStore, RecordStore};
use engine::{Engine, SnapshotSource, StateMachine};
use engine_kv::KvEngine;
use env::{Clock, Moment};
use prost::Message;
use replication::start::{self, Engines, NewReplica};
use replication::{
    Answer, Applier, Campaign, Effect, GroupShared, GroupStart, Input, LogWrite, Now, Takeover, Token,
    Wished, Worker, WorkerOptions,
};
use types::{ConfigEpoch, Generation, GroupId, Hlc, LogIndex, NodeId, ReplicaId, StateId, limits};
use wal::{GroupWrite, LogStore, MemoryLog};

use crate::words::{self, get, node_number, number, shown, told};

const GROUP: GroupId = GroupId(1);
/// A seed for which a power cut loses everything that was not durable.
const POWER_SEED: u64 = 3;
/// Chunks of snapshots that go by in a script.
const CHUNK_BYTES: usize = 1 << 16;

/// All nodes of a script.
#[derive(Default)]
pub struct Nodes {
    nodes: BTreeMap<u64, Node>,
    /// What is under way, by sender and receiver.
    ways: BTreeMap<(u64, u64), VecDeque<Packet>>,
    cut: BTreeSet<(u64, u64)>,
    keep: u64,
    next_token: u64,
    lines: Vec<String>,
}

enum Packet {
    Raft(RaftMessage),
    /// A state with its message; chunks that travel one by one are the business of `transfer`.
    Snapshot(RaftMessage, Vec<Bytes>),
}

struct Node {
    log: Arc<MemoryLog>,
    records: MemoryRecordStore,
    clock: Arc<ScriptClock>,
    next_state: u64,
    running: Option<Running>,
}

struct Running {
    worker: Worker,
    engines: Engines,
    shared: Arc<GroupShared>,
    applier: Option<Applier>,
    received: BTreeMap<StateId, Box<dyn StateMachine>>,
    taken: BTreeMap<u64, Box<dyn SnapshotSource>>,
    reads: BTreeMap<Token, Bytes>,
    held: Option<Vec<LogWrite>>,
}

#[derive(Default)]
struct ScriptClock(AtomicU64);

impl Clock for ScriptClock {
    fn now(&self) -> Moment {
        Moment(self.0.load(Ordering::Relaxed))
    }

    fn wall_millis(&self) -> u64 {
        1_000_000 + self.0.load(Ordering::Relaxed) / 1_000_000
    }
}

impl Nodes {
    /// Carries out a command and returns what came of it.
    pub fn command(&mut self, line: &str) -> Vec<String> {
        let (quiet, line) = match line.strip_prefix("quietly ") {
            Some(rest) => (true, rest),
            None => (false, line),
        };
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["nodes", count, ref options @ ..] => self.found(number(count), options),
            ["tick", node, ref count @ ..] => {
                let count = count.first().map_or(1, |count| number(count));
                (0..count).for_each(|_| self.tick(node));
            }
            ["live", count] => {
                for _ in 0..number(count) {
                    self.tick("all");
                    while self.deliver_round() {}
                }
            }
            ["deliver"] => while self.deliver_round() {},
            ["deliver", way] => self.deliver(self.way(way)),
            ["drop", way] => {
                let way = self.way(way);
                self.ways.remove(&way);
            }
            ["cut", a, b] => {
                let (a, b) = (node_number(a), node_number(b));
                self.cut.extend([(a, b), (b, a)]);
                self.ways.retain(|way, _| *way != (a, b) && *way != (b, a));
            }
            ["heal"] => self.cut.clear(),
            ["set", node, key, value, ref session @ ..] => {
                self.set(node, key, value, session.first().copied())
            }
            ["register", node] => {
                let body = Bytes::from_static(&[0, 0, 0, 0, 0, 0, 0, 9]);
                let kind = RequestKind::Register as i32;
                self.propose(node, Request { kind, generation: 1, body, ..Default::default() });
            }
            ["barrier", node, millis] => {
                let at = Hlc::from_millis(1_000_000 + number(millis)).0;
                let body = Barrier { at, id: at }.encode_to_vec().into();
                let kind = RequestKind::Barrier as i32;
                self.propose(node, Request { kind, generation: 1, body, ..Default::default() });
            }
            ["read", node, key] => self.read(node, key),
            ["lease", node, key] => self.read_by_lease(node, key),
            ["hold", node] => self.running(node).held = Some(Vec::new()),
            ["sync", node] => {
                let held = self.running(node).held.take().unwrap_or_default();
                held.into_iter().for_each(|write| self.write(node_number(node), write));
                self.turn(node_number(node));
            }
            ["crash", node, ref power @ ..] => {
                let id = node_number(node);
                let node = self.nodes.get_mut(&id).expect("a node of the script");
                node.running = None;
                if power == ["power"] {
                    node.records.crash(POWER_SEED);
                }
                let node = id;
                self.ways.retain(|(from, to), _| *from != node && *to != node);
            }
            ["restart", node] => self.restart(node_number(node)),
            ["lose", node] => {
                let node = self.nodes.get_mut(&node_number(node)).expect("a node of the script");
                let states = node.records.list().unwrap();
                states.into_iter().for_each(|state| node.records.remove(state).unwrap());
            }
            ["forget", node, entries] => {
                let node = self.nodes.get_mut(&node_number(node)).expect("a node of the script");
                node.forget(number(entries));
            }
            ["flush", node] => self.flush(node_number(node)),
            ["join", node, replica] => self.join(node_number(node), number(replica)),
            ["wish", ref replicas @ ..] => self.wish(replicas),
            ["remove", node, replica] => {
                self.input(node_number(node), Input::Remove(GROUP, ReplicaId(number(replica))));
            }
            ["campaign", node, when] => {
                let when = match when {
                    "asked" => Campaign::OnlyIfAsked,
                    "late" => Campaign::Late,
                    of if of.parse::<u64>().is_ok() => Campaign::InPlaceOf(ReplicaId(number(of))),
                    _ => Campaign::AsUsual,
                };
                self.input(node_number(node), Input::Campaign { group: GROUP, when });
            }
            ["takeover", node, survivor, replica, era] => self.take_over(node, survivor, replica, era),
            ["shrink", node] => self.input(node_number(node), Input::CutNow(GROUP)),
            ["transfer", node, to] => {
                self.input(node_number(node), Input::Transfer { group: GROUP, to: ReplicaId(number(to)) });
            }
            ["status"] => self.status(),
            _ => panic!("no such command: {line}"),
        }
        let lines = std::mem::take(&mut self.lines);
        if quiet { Vec::new() } else { lines }
    }

    fn found(&mut self, count: u64, options: &[&str]) {
        self.keep = options.iter().find_map(|option| option.strip_prefix("keep=")).map_or(1000, number);
        let member = |id| Member { replica: id, node: id, learner: false };
        let founding = Membership { epoch: 1, members: (1..=count).map(member).collect() };
        for id in 1..=count {
            self.create(id, id, founding.clone());
        }
        (1..=count).for_each(|id| self.turn(id));
    }

    fn join(&mut self, node: u64, replica: u64) {
        self.create(node, replica, Membership::default());
        self.turn(node);
    }

    fn create(&mut self, id: u64, replica: u64, founding: Membership) {
        let mut node = Node {
            log: Arc::default(),
            records: MemoryRecordStore::new(),
            clock: Arc::default(),
            next_state: 1,
            running: None,
        };
        let engines = engines(&node.records);
        let new = NewReplica {
            group: GROUP,
            replica: ReplicaId(replica),
            engine: EngineKind::Kv,
            generation: Generation(1),
            founding,
        };
        let state = node.new_state();
        let (start, applier) = start::create(&*node.log, &engines, &new, state).unwrap();
        node.start(engines, start, applier, self.keep);
        self.nodes.insert(id, node);
    }

    fn restart(&mut self, id: u64) {
        let keep = self.keep;
        let node = self.nodes.get_mut(&id).expect("a node of the script");
        let engines = engines(&node.records);
        let (mut opened, next) = start::open_all(&*node.log, &engines).unwrap();
        node.next_state = next.get();
        match opened.pop().expect("every node has the group") {
            Ok((start, applier)) => node.start(engines, start, applier, keep),
            Err((group, replica, fault)) => {
                return self.lines.push(format!("n{id} group {group} replica {replica} is damaged: {fault}"));
            }
        }
        self.turn(id);
    }

    fn tick(&mut self, node: &str) {
        let ids: Vec<u64> = match node {
            "all" => self.nodes.keys().copied().collect(),
            node => vec![node_number(node)],
        };
        for id in ids {
            let node = self.nodes.get_mut(&id).expect("a node of the script");
            node.clock.0.fetch_add(limits::TICK.as_nanos() as u64, Ordering::Relaxed);
            let now = node.now();
            if let Some(running) = &mut node.running {
                running.worker.tick(now);
                self.turn(id);
            }
        }
    }

    fn set(&mut self, node: &str, key: &str, value: &str, session: Option<&str>) {
        let mut request = Request { generation: 1, body: words::set(key, value), ..Default::default() };
        if let Some(session) = session.and_then(|session| session.strip_prefix("session=")) {
            let numbers: Vec<u64> = session.split('/').map(number).collect();
            let [session, sequence, floor] = numbers[..] else { panic!("session=S/Q/F") };
            (request.session, request.sequence, request.floor) = (session, sequence, floor);
        }
        self.propose(node, request);
    }

    fn propose(&mut self, node: &str, request: Request) {
        let token = self.token();
        self.input(node_number(node), Input::Propose { group: GROUP, token, request });
    }

    fn read(&mut self, node: &str, key: &str) {
        let token = self.token();
        self.running(node).reads.insert(token, get(key));
        self.input(node_number(node), Input::Read { group: GROUP, token });
    }

    fn read_by_lease(&mut self, node: &str, key: &str) {
        let id = node_number(node);
        let clock = self.nodes[&id].clock.clone();
        let value = self.running(node).shared.read_by_lease(&*clock, &get(key));
        self.lines.push(match value {
            Some(value) => format!("n{id} {key} is {}", shown(&value.unwrap())),
            None => format!("n{id} has no lease"),
        });
    }

    fn flush(&mut self, id: u64) {
        let running = self.nodes.get_mut(&id).and_then(|node| node.running.as_mut()).expect("a running node");
        running.engines.values().for_each(|engine| engine.flush().unwrap());
        let index = running.applier.as_ref().map_or(LogIndex(0), |applier| applier.state().durable());
        self.input(id, Input::StateDurable { group: GROUP, index });
    }

    fn wish(&mut self, replicas: &[&str]) {
        let wished = |text: &&str| {
            let (replica, node) = text.split_once('@').expect("REPLICA@NODE");
            let voter = !replica.starts_with('(');
            let replica = ReplicaId(number(replica.trim_matches(['(', ')'])));
            Wished { replica, node: NodeId(number(node)), voter }
        };
        let replicas: Vec<Wished> = replicas.iter().map(wished).collect();
        for id in self.running_nodes() {
            let epoch = ConfigEpoch(u64::MAX);
            self.input(id, Input::Wish { group: GROUP, replicas: replicas.clone(), epoch });
        }
    }

    fn take_over(&mut self, node: &str, survivor: &str, replica: &str, era: &str) {
        let begins = number(era) << 32;
        let takeover = Takeover {
            group: GROUP,
            survivor: ReplicaId(number(survivor)),
            replica: ReplicaId(number(replica)),
            node: NodeId(node_number(node)),
            term: begins,
            epoch: begins,
        };
        self.input(node_number(node), Input::TakeOver(takeover));
    }

    fn status(&mut self) {
        for (id, node) in &self.nodes {
            let Some(running) = &node.running else {
                self.lines.push(format!("n{id} is down"));
                continue;
            };
            let Some(group) = running.worker.group(GROUP) else {
                self.lines.push(format!("n{id} has no replica"));
                continue;
            };
            let lease = running.shared.has_lease(node.clock.now());
            let membership = running.applier.as_ref().map(|applier| applier.membership().clone());
            let status = words::status(&group.report(), &membership.unwrap_or_default(), lease);
            self.lines.push(format!("n{id} {status}"));
        }
    }

    fn input(&mut self, id: u64, input: Input) {
        let node = self.nodes.get_mut(&id).expect("a node of the script");
        if let Some(running) = &mut node.running {
            running.worker.input(input);
            self.turn(id);
        }
    }

    /// Everything that is under way now arrives. Returns whether there was anything.
    fn deliver_round(&mut self) -> bool {
        let ways: Vec<(u64, u64)> = self.ways.keys().copied().collect();
        ways.iter().for_each(|way| self.deliver(*way));
        !ways.is_empty()
    }

    fn deliver(&mut self, (from, to): (u64, u64)) {
        for packet in self.ways.remove(&(from, to)).unwrap_or_default() {
            match packet {
                Packet::Raft(message) => self.input(to, Input::Message(NodeId(from), message)),
                Packet::Snapshot(message, chunks) => self.deliver_snapshot(from, to, message, &chunks),
            }
        }
    }

    fn deliver_snapshot(&mut self, from: u64, to: u64, message: RaftMessage, chunks: &[Bytes]) {
        let arrived = self.nodes.get_mut(&to).is_some_and(|node| {
            let state = node.new_state();
            let Some(running) = &mut node.running else { return false };
            let mut sink = running.engines[&(EngineKind::Kv as i32)].ingest(state).unwrap();
            chunks.iter().for_each(|chunk| sink.write(chunk).unwrap());
            running.received.insert(state, sink.finish().unwrap());
            let message = message.clone();
            running.worker.input(Input::SnapshotReceived { from: NodeId(from), state, message });
            true
        });
        if arrived {
            self.turn(to);
        }
        let to = ReplicaId(message.to);
        self.input(from, Input::SnapshotSent { group: GROUP, to, arrived });
    }

    /// Ends a node's turn, and carries out its effects until there are none.
    fn turn(&mut self, id: u64) {
        loop {
            let node = self.nodes.get_mut(&id).expect("a node of the script");
            let now = node.now();
            let Some(running) = &mut node.running else { return };
            let effects = running.worker.turn(now);
            if effects.is_empty() {
                return;
            }
            for effect in effects {
                self.lines.extend(format!("n{id} {effect}").lines().map(str::to_owned));
                self.execute(id, effect);
            }
        }
    }

    fn execute(&mut self, id: u64, effect: Effect) {
        match effect {
            Effect::Send(to, message) => self.send(id, to, Packet::Raft(message)),
            Effect::Write(write) => self.write(id, write),
            Effect::SendSnapshot { node, message } => self.send_snapshot(id, node, message),
            Effect::Answer(answers) => self.answers(id, answers),
            Effect::Cut { group, index } => self.nodes[&id].log.cut(group, index).unwrap(),
            Effect::Stopped { .. } | Effect::Removed(..) => {}
            other => {
                let node = self.nodes.get_mut(&id).expect("a node of the script");
                let input = node.running.as_mut().and_then(|running| running.execute(other));
                if let (Some(Input::Applied(outcome)), lines) = (&input, &mut self.lines) {
                    lines.extend(outcome.answers.iter().map(|(token, answer)| told(id, *token, answer)));
                }
                if let (Some(input), Some(running)) = (input, &mut node.running) {
                    running.worker.input(input);
                }
            }
        }
    }

    /// The disk takes a write, or has it wait.
    fn write(&mut self, id: u64, mut write: LogWrite) {
        let node = self.nodes.get_mut(&id).expect("a node of the script");
        let Some(running) = &mut node.running else { return };
        if let Some(held) = &mut running.held {
            return held.push(write);
        }
        if let Some(content) = write.write.take() {
            node.log.write(&[content], true).unwrap();
        }
        running.worker.input(Input::Persisted { group: write.group, number: write.number });
        for (to, message) in write.then {
            self.send(id, to, Packet::Raft(message));
        }
    }

    fn send_snapshot(&mut self, id: u64, to: NodeId, message: RaftMessage) {
        let node = self.nodes.get_mut(&id).expect("a node of the script");
        let Some(running) = &mut node.running else { return };
        let mut source = running.taken.remove(&message.to).expect("a snapshot is taken before it leaves");
        let chunks = std::iter::from_fn(|| source.next_chunk(CHUNK_BYTES).unwrap()).collect();
        self.send(id, to, Packet::Snapshot(message, chunks));
    }

    fn answers(&mut self, id: u64, answers: Vec<(Token, Answer)>) {
        let clock = self.nodes[&id].clock.clone();
        let Some(running) = self.nodes.get_mut(&id).and_then(|node| node.running.as_mut()) else { return };
        for (token, answer) in answers {
            if let (Answer::ReadNow, Some(body)) = (&answer, running.reads.remove(&token)) {
                let value = running.shared.read_state(&*clock, &body).expect("a replica that may be read");
                self.lines.push(format!("n{id}   {} reads {}", token.0, shown(&value.unwrap())));
            }
        }
    }

    fn send(&mut self, from: u64, to: NodeId, packet: Packet) {
        let way = (from, to.get());
        let runs = self.nodes.get(&to.get()).is_some_and(|node| node.running.is_some());
        if runs && !self.cut.contains(&way) {
            self.ways.entry(way).or_default().push_back(packet);
        }
    }

    fn token(&mut self) -> Token {
        self.next_token += 1;
        Token(self.next_token)
    }

    fn running(&mut self, node: &str) -> &mut Running {
        let node = self.nodes.get_mut(&node_number(node)).expect("a node of the script");
        node.running.as_mut().expect("a running node")
    }

    fn running_nodes(&self) -> Vec<u64> {
        self.nodes.iter().filter(|(_, node)| node.running.is_some()).map(|(id, _)| *id).collect()
    }

    fn way(&self, text: &str) -> (u64, u64) {
        let (from, to) = text.split_once('>').expect("n1>n2");
        (node_number(from), node_number(to))
    }
}

impl Node {
    fn start(&mut self, engines: Engines, start: GroupStart, applier: Applier, keep: u64) {
        let shared = Arc::new(GroupShared::new(GROUP));
        shared.set_reader(Some(applier.state().reader()));
        let mut options = WorkerOptions::new(1);
        options.log_keep_entries = keep;
        options.catch_panics = false;
        options.campaign = Campaign::AsUsual;
        let mut worker = Worker::new(options, self.log.clone(), self.now());
        worker.input(Input::Start(Box::new(start), Some(shared.clone())));
        self.running = Some(Running {
            worker,
            engines,
            shared,
            applier: Some(applier),
            received: BTreeMap::new(),
            taken: BTreeMap::new(),
            reads: BTreeMap::new(),
            held: None,
        });
    }

    /// The log ends that many entries before where it said that it ends.
    fn forget(&mut self, entries: u64) {
        let kept = self.log.group(GROUP).expect("the group");
        let end = LogIndex(kept.last.index.get() + 1 - entries);
        let first = LogIndex(kept.start.index.get() + 1);
        let entries = self.log.entries(GROUP, first, end, u64::MAX).unwrap();
        let write = GroupWrite {
            group: GROUP,
            delete: false,
            reset: Some(kept.start),
            entries,
            record: Some(kept.record),
        };
        self.log.write(&[write], true).unwrap();
    }

    fn new_state(&mut self) -> StateId {
        self.next_state += 1;
        StateId(self.next_state)
    }

    fn now(&self) -> Now {
        Now { moment: self.clock.now(), wall_millis: self.clock.wall_millis() }
    }
}

impl Running {
    /// What concerns the state; returns what the worker is told.
    fn execute(&mut self, effect: Effect) -> Option<Input> {
        match effect {
            Effect::Apply(task) => {
                let outcome = self.applier.as_mut()?.apply(task.entries).unwrap();
                Some(Input::Applied(outcome))
            }
            Effect::Adopt { group, state } => {
                let applier = Applier::open(group, self.received.remove(&state)?).unwrap();
                self.shared.set_reader(Some(applier.state().reader()));
                self.applier = Some(applier);
                None
            }
            Effect::TakeOver(takeover) => {
                self.applier.as_mut()?.take_over(&takeover.membership());
                None
            }
            Effect::Discard { state, .. } => {
                self.received.remove(&state);
                None
            }
            Effect::TakeSnapshot { group, to } => {
                let (meta, source) = self.applier.as_ref()?.snapshot().unwrap();
                self.taken.insert(to.get(), source);
                Some(Input::SnapshotTaken { group, to, meta: Some(meta) })
            }
            _ => None,
        }
    }
}

fn engines(records: &MemoryRecordStore) -> Engines {
    let engine: Arc<dyn Engine> = Arc::new(KvEngine::new(Arc::new(records.clone())));
    BTreeMap::from([(EngineKind::Kv as i32, engine)])
}
