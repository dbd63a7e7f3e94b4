//! A world: machines, processes, clients and a network under one clock and one stream of chance.
//!
//! ```text
//!        Agenda ── next event ──►  World ──► Process … on Machine …      one step at a time,
//!          ▲                         │                                   nothing in between
//!          └──── whatever follows ───┴──► Checks
//! ```
//!
//! - `world.rs`: making a world, and its loop
//! - `world/strike.rs`: faults and their ends
//! - `world/workload.rs`: clients and those who run the cluster

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use api::catalog::{Bootstrap, EngineKind, HashBy, Label, NewTable, NodeRecord};
use api::peer::{Member, Membership};
use catalog::Role;
use engine::records::MemoryRecordStore;
use wal::model::ModelDisk;

use crate::agenda::Agenda;
use crate::checkers::{Checks, Violation, liveness, lost, queues, rest};
use crate::client::{self, Client, Use};
use crate::clock::NodeClock;
use crate::coverage::Coverage;
use crate::event::{Event, Place};
use crate::history::Operation;
use crate::linearizability;
use crate::machine::Machine;
use crate::network::Network;
use crate::outside::{Outside, Pulse};
use crate::plan::{
    COMMANDS_MIN, FAULTS_MIN, KINDS_MIN, MILLI, OPERATIONS_MIN, Plan, SECOND, TIME_MIN, WELL_WITHIN,
};
use crate::process::{Process, Start};
use crate::random::Random;
use crate::trace::Trace;

mod operators;
mod strike;
mod workload;

/// How often the world looks whether everything is well.
const INSPECT_EVERY: u64 = 250 * MILLI;

/// Usual time to apply one task.
const APPLY_TIME: u64 = 50_000;

/// A world.
pub struct World {
    plan: Plan,
    out: Outside,
    random: Random,
    nodes: Vec<Node>,
    clients: Vec<Client>,
    keys: Vec<(Vec<u8>, Use)>,
    history: Vec<Operation>,
    bootstrap: Bootstrap,
    next_run: u64,
    healed: bool,
    /// Keys whose final value is to be read, the next one last; `None` while clients go on.
    final_reads: Option<Vec<(Vec<u8>, Use)>>,
    struck: Vec<&'static str>,
    /// How long clients have waited for answers, together.
    waited: u64,
    /// Clients rest until then.
    hush_until: u64,
    operators: operators::Operators,
    over: bool,
}

/// A machine and what runs on it.
pub struct Node {
    pub(crate) machine: Machine,
    pub(crate) process: Option<Process>,
    /// It has served: it must not found anything again.
    has_served: bool,
    /// What waits for a paused process.
    paused: Option<Vec<Event>>,
    /// When its process last went on after a pause.
    resumed: u64,
    /// Its log cannot be opened any more; it stays away.
    pub(crate) lost: bool,
    /// It is in the cluster: from the beginning, or since somebody added it.
    joined: bool,
    /// It was removed from the cluster, has heard so, and runs no more.
    left: bool,
}

impl Node {
    /// Whether it is, or shall be, a part of the cluster.
    pub(crate) fn is_there(&self) -> bool {
        self.joined && !self.left && !self.lost
    }
}

/// What came of a run.
pub struct Outcome {
    /// The first broken promise.
    pub violation: Option<Violation>,
    /// What was reached.
    pub coverage: Coverage,
    /// Hash of everything that happened.
    pub hash: u64,
    /// Simulated time, in nanoseconds.
    pub time: u64,
    /// How long clients waited for answers of nodes that were not paused meanwhile, together, in nanoseconds.
    pub waited: u64,
}

/// How a node presents itself to the catalog.
pub fn node_record(place: Place, run: u64, dcs: usize) -> NodeRecord {
    let dc = (dcs > 0).then(|| Label { name: "dc".into(), value: format!("dc{}", place % dcs) });
    NodeRecord {
        id: place as u64 + 1,
        endpoint: format!("node{}:1", place + 1),
        roles: Role::ALL.iter().map(|role| role.as_str().to_owned()).collect(),
        boot: run,
        version: "sim".into(),
        labels: dc.into_iter().collect(),
        feature_level: 1,
        ..Default::default()
    }
}

impl World {
    /// A world at its first moment.
    pub fn new(plan: Plan, readable: bool) -> Self {
        let mut random = Random::new(plan.seed ^ 0x5eed);
        let world_clock = Arc::new(AtomicU64::new(0));
        let machines = plan.clocks.iter().map(|(rate, offset)| {
            let start = random.between(SECOND, 1000 * SECOND);
            Machine {
                disk: ModelDisk::new(),
                records: MemoryRecordStore::new(),
                clock: Arc::new(NodeClock::new(world_clock.clone(), start, *rate, *offset)),
                lied: false,
                disk_lies: false,
                harmed: BTreeSet::new(),
            }
        });
        let founders = plan.founders();
        let node = |(place, machine)| Node {
            machine,
            process: None,
            has_served: false,
            paused: None,
            resumed: 0,
            lost: false,
            joined: place < founders,
            left: false,
        };
        let nodes: Vec<Node> = machines.enumerate().map(node).collect();
        let network = Network::new(plan.nodes, plan.weather, random.fork(1), plan.codec_every);
        let out = Outside {
            now: 0,
            world_clock,
            agenda: Agenda::default(),
            random: random.fork(2),
            network,
            trace: Trace::new(readable),
            checks: Checks::new(plan.nodes),
            coverage: Coverage::default(),
            ended: Vec::new(),
            runs: vec![0; plan.nodes],
            pulses: vec![Pulse::Down(0); plan.nodes],
            disk_times: vec![plan.disk_time; plan.nodes],
            apply_times: vec![APPLY_TIME; plan.nodes],
            crashes_in_install: plan.crashes_in_install,
            crashes_at_steps: plan.crashes_at_steps,
            doomed: Default::default(),
        };
        let client = |_| Client { random: random.fork(3), begun: 0, waiting: None, watch: None };
        let clients = (0..plan.clients).map(client).collect();
        let bootstrap = bootstrap(&plan);
        let keys = client::keys();
        let (history, struck) = (Vec::new(), Vec::new());
        Self {
            plan,
            out,
            random,
            nodes,
            clients,
            keys,
            history,
            bootstrap,
            next_run: 1,
            healed: false,
            final_reads: None,
            struck,
            waited: 0,
            hush_until: 0,
            operators: Default::default(),
            over: false,
        }
    }

    /// Lets it run to its end.
    pub fn run(mut self) -> Outcome {
        for place in 0..self.nodes.len() {
            self.start(place);
        }
        for client in 0..self.clients.len() {
            let at = SECOND + self.random.below(SECOND);
            self.out.agenda.plan(at, Event::Client(client));
        }
        for (at, fault) in std::mem::take(&mut self.plan.faults) {
            self.out.agenda.plan(at, Event::Strike(fault));
        }
        self.hire_operators();
        self.out.agenda.plan(self.plan.heal_at, Event::Heal);
        while !self.over && self.out.checks.violation().is_none() {
            let Some((at, event)) = self.out.agenda.take_next() else { break };
            self.out.now = at.max(self.out.now);
            self.out.world_clock.store(self.out.now, Relaxed);
            self.handle(event);
            self.end_calls();
        }
        if self.out.checks.violation().is_none() {
            self.check_history();
            if self.plan.must_be_strong {
                self.check_strength();
            }
        }
        self.finish()
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Work(place, run, work) => {
                let Some(event) = self.awake(place, run, Event::Work(place, run, work)) else { return };
                let Event::Work(_, _, work) = event else { return };
                self.with(place, |process, out| process.work(work, out));
            }
            Event::Arrive(link, epoch, packet) => {
                let Some((from, to)) = self.out.network.ends(link, epoch) else { return };
                let run = self.out.runs[to];
                let from = (from, self.out.runs[from]);
                self.handle(Event::Received(to, run, from, packet));
            }
            Event::Received(place, run, from, packet) => {
                let Some(event) = self.awake(place, run, Event::Received(place, run, from, packet)) else {
                    return;
                };
                let Event::Received(_, _, from, packet) = event else { return };
                self.with(place, |process, out| process.packet(from, packet, out));
            }
            Event::Disconnected(place, run, other, channel) => {
                let event = Event::Disconnected(place, run, other, channel);
                if self.awake(place, run, event).is_some() {
                    self.with(place, |process, out| process.disconnected(other, channel, out));
                }
            }
            Event::Submit(place, run, call, purpose) => {
                let event = self.awake(place, run, Event::Submit(place, run, call, purpose));
                let Some(Event::Submit(_, _, call, purpose)) = event else { return };
                self.with(place, |process, out| process.submit(call, purpose, out));
            }
            Event::Client(client) => self.client_acts(client),
            Event::Impatient(client, number) => self.client_gives_up(client, number),
            Event::Strike(fault) => self.strike(fault),
            Event::Repair(repair) => self.repair(repair),
            Event::Operator(number) => self.operator_acts(number),
            Event::Late(number, op, tolerance) => self.start_late(number, *op, tolerance),
            Event::Tidy => self.tidy(),
            Event::Heal => self.heal(),
            Event::Inspect => self.inspect(),
        }
    }

    /// The event back, if it can happen: the process is still that run and not paused. A paused one
    /// finds it when it goes on.
    fn awake(&mut self, place: Place, run: u64, event: Event) -> Option<Event> {
        let node = &mut self.nodes[place];
        if node.process.as_ref().is_none_or(|process| process.run() != run) {
            return None;
        }
        match &mut node.paused {
            Some(waiting) => {
                waiting.push(event);
                None
            }
            None => Some(event),
        }
    }

    fn with(&mut self, place: Place, work: impl FnOnce(&mut Process, &mut Outside)) {
        let node = &mut self.nodes[place];
        if let Some(process) = &mut node.process {
            work(process, &mut self.out);
            node.has_served |= process.is_ready();
            if process.has_left() {
                self.leave(place);
            }
        }
    }

    /// Starts a process on what lies on its machine.
    fn start(&mut self, place: Place) {
        let node = &mut self.nodes[place];
        if node.process.is_some() || !node.is_there() {
            return;
        }
        let run = self.next_run;
        self.next_run += 1;
        self.out.runs[place] = run;
        let start = Start {
            bootstrap: &self.bootstrap,
            run,
            may_found: !node.has_served,
            log_keep_entries: self.plan.log_keep_entries,
            apply_bytes_max: self.plan.apply_bytes_max,
            segment_bytes: self.plan.segment_bytes,
            flush_interval: self.plan.flush_interval,
            dcs: self.plan.dcs,
        };
        self.out.trace.note(self.out.now, &[40, place as u64, run], |f| write!(f, "n{} starts", place + 1));
        match Process::start(place, &node.machine, &start, &mut self.out) {
            Ok(process) => {
                node.process = Some(process);
                self.out.pulses[place] = Pulse::Awake(self.out.now);
                self.out.network.set_up(place, true);
                for other in 0..self.nodes.len() {
                    let blocked = self.out.network.is_blocked(place, other)
                        || self.out.network.is_blocked(other, place);
                    if self.nodes[other].process.is_none() && other != place || blocked {
                        self.out.network.cut_off(place, other);
                    }
                }
            }
            Err(fault) if node.machine.lied => {
                self.out.trace.note(self.out.now, &[41, place as u64], |f| {
                    write!(f, "n{} is lost: {fault}", place + 1)
                });
                self.out.coverage.logs_damaged += 1;
                node.lost = true;
            }
            Err(fault) => self.out.fail("promises", format!("node {} does not start: {fault}", place + 1)),
        }
    }

    /// A node has heard that it was removed from the cluster: its process ends, as the product's does.
    fn leave(&mut self, place: Place) {
        self.out.trace.note(self.out.now, &[42, place as u64], |f| write!(f, "n{} has left", place + 1));
        self.out.coverage.nodes_left += 1;
        self.end_process(place);
        self.nodes[place].left = true;
    }

    /// Looks whether everything is well, and ends the run when it is.
    fn inspect(&mut self) {
        let now = self.out.now;
        let busy = self.clients.iter().any(|client| client.waiting.is_some());
        let enough = self.history.len() >= OPERATIONS_MIN && now >= self.plan.clients_until;
        let is_up = |node: u64| self.nodes.get(node as usize - 1).is_some_and(|node| node.process.is_some());
        let well = liveness::check(&self.nodes)
            .and_then(|()| self.out.checks.rest())
            .and_then(|()| rest::check_wishes(self.out.checks.laws().catalog(), &is_up));
        let enough = enough && self.operators_wait() == 0;
        if self.final_reads.is_none() && enough && !busy && well.is_ok() {
            let keys = self.keys.clone();
            self.final_reads = Some(keys);
            self.out.agenda.plan(now, Event::Client(0));
        } else if self.final_reads.as_ref().is_some_and(Vec::is_empty) && !busy && well.is_ok() {
            self.over = true;
            return;
        }
        if now > self.plan.heal_at + WELL_WITHIN {
            // A replica that lags may only be on its way; whoever is not in its place is the cause.
            let reason = liveness::check_places(&self.nodes).err().or(well.err());
            let unheard = self.operators_wait();
            let reason = reason
                .unwrap_or_else(|| format!("{} operations, {unheard} commands unheard", self.history.len()));
            let open: Vec<String> = self.open_operations();
            let detail =
                format!("not well {} s after the last fault: {reason}; {open:?}", WELL_WITHIN / SECOND);
            return self.out.fail("liveness", detail);
        }
        self.out.agenda.plan(now + INSPECT_EVERY, Event::Inspect);
    }

    /// A run that did not go through enough proves too little.
    fn check_strength(&mut self) {
        let kinds: BTreeSet<&str> = self.struck.iter().copied().collect();
        let strong = self.struck.len() >= FAULTS_MIN
            && kinds.len() >= KINDS_MIN
            && self.history.len() >= OPERATIONS_MIN
            && self.out.now >= TIME_MIN
            && (self.plan.commands.is_empty() || self.commands_accepted() >= COMMANDS_MIN);
        if !strong {
            let (faults, operations) = (self.struck.len(), self.history.len());
            let commands = self.commands_accepted();
            let detail =
                format!("{faults} faults of {kinds:?}, {operations} operations, {commands} commands");
            self.out.fail("strength", detail);
        }
    }

    fn check_history(&mut self) {
        if let Err(detail) = liveness::replicas_equal(&self.nodes) {
            self.out.fail("digests", detail);
        }
        if let Err(detail) = lost::check(&self.history) {
            self.out.fail("lost", detail);
        }
        if let Err(detail) = queues::check(&self.history) {
            self.out.fail("queues", detail);
        }
        if let Err(violation) = linearizability::check(&self.history) {
            self.out.fail("linearizability", violation.to_string());
        }
    }

    fn finish(mut self) -> Outcome {
        for node in &mut self.nodes {
            if let Some(process) = node.process.take() {
                count(&process, &mut self.out.coverage);
            }
        }
        self.out.coverage.operations = self.history.len() as u64;
        let unknown = |operation: &&Operation| operation.outcome == crate::history::Outcome::Unknown;
        self.out.coverage.outcomes_unknown = self.history.iter().filter(unknown).count() as u64;
        Outcome {
            violation: self.out.checks.violation().cloned(),
            coverage: self.out.coverage,
            hash: self.out.trace.hash(),
            time: self.out.now,
            waited: self.waited,
        }
    }
}

/// Adds up what a process counted, when it ends.
fn count(process: &Process, coverage: &mut Coverage) {
    coverage.add_counters(&process.worker().counters());
    let (gateway, by_lease) = process.counters();
    coverage.reads_by_lease += by_lease;
    coverage.retries += gateway.retried;
    coverage.forwarded += gateway.forwarded;
}

fn bootstrap(plan: &Plan) -> Bootstrap {
    let member = |place: usize| Member { replica: place as u64 + 1, node: place as u64 + 1, learner: false };
    let table = NewTable {
        namespace: catalog::DEFAULT_NAMESPACE.into(),
        name: catalog::DEFAULT_TABLE.into(),
        engine: EngineKind::Kv as i32,
        hash: HashBy::ByNamespace as i32,
        partitions: plan.partitions,
        replicas: plan.replicas,
        options: Vec::new(),
        scratch_of: 0,
        restoring: String::new(),
        restored_by: 0,
    };
    Bootstrap {
        cluster: plan.seed + 1,
        nodes: (0..plan.founders()).map(|place| node_record(place, 0, plan.dcs)).collect(),
        membership: Some(Membership { epoch: 1, members: (0..plan.metas).map(member).collect() }),
        tables: vec![table],
    }
}
