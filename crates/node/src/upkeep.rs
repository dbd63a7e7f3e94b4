//! The upkeep thread: time for the gateway, the catalog's wishes, reports, expired keys.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use api::catalog::{Bootstrap, CatalogCommand};
use api::entry::RequestKind;
use api::frame::{CatalogCopy, Frame};
use api::peer::{Access, Report};
use env::Moment;
use prost::Message;
use replication::Input;
use replication::start::NewReplica;
use types::settings::MOVE_BYTES_PER_SECOND;
use types::{ErrorCode, Fault, GroupId, NodeId, ReplicaId};

use crate::control::{self, Control, Decision, News, View};
use crate::gateway::Call;
use crate::heard;
use crate::hosting::HostAction;
use crate::node::{Node, lock};
use crate::sweep;

/// How often the catalog copy is looked at; its version alone, which costs next to nothing.
const CATALOG_LOOK_EVERY: Duration = Duration::from_millis(100);

/// Between two looks at least, however much there is to look at.
const LOOK_PAUSE: Duration = Duration::from_millis(10);
/// Bytes of catalog copies that leave at once after a change.
const SPREAD_BYTES_MAX: usize = 1024 * 1024;
/// The pause after a replica could not be made.
const CREATE_PAUSE: Duration = Duration::from_secs(5);

/// When the upkeep thread is to wake.
pub(crate) struct Upkeep {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// What it sleeps until.
    until: Moment,
    woken: bool,
    /// Something has happened that a look should not wait for.
    hurried: bool,
    stopped: bool,
}

impl Upkeep {
    pub(crate) fn new() -> Self {
        let state = State { until: Moment(u64::MAX), woken: false, hurried: false, stopped: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Look again now.
    pub(crate) fn wake(&self) {
        lock(&self.state).woken = true;
        self.changed.notify_one();
    }

    /// Something has happened that a look should not wait for.
    pub(crate) fn hurry(&self) {
        let mut state = lock(&self.state);
        (state.woken, state.hurried) = (true, true);
        drop(state);
        self.changed.notify_one();
    }

    fn take_hurry(&self) -> bool {
        std::mem::take(&mut lock(&self.state).hurried)
    }

    /// Look again at this moment at the latest.
    pub(crate) fn wake_by(&self, moment: Moment) {
        let mut state = lock(&self.state);
        let awake = state.until == Moment(0);
        if awake || moment < state.until {
            state.woken = true;
            drop(state);
            self.changed.notify_one();
        }
    }

    pub(crate) fn stop(&self) {
        lock(&self.state).stopped = true;
        self.changed.notify_one();
    }

    /// Sleeps. `false` when it is over.
    fn sleep(&self, now: Moment, until: Moment) -> bool {
        let mut state = lock(&self.state);
        state.until = until;
        let wait = until.since(now);
        if !state.woken && !state.stopped && !wait.is_zero() {
            (state, _) = self.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner);
        }
        state.woken = false;
        // Awake: nobody needs to wake it before it sleeps again, when it asks what is due.
        state.until = Moment(0);
        !state.stopped
    }
}

/// Replicas that could not be made lately. Each try costs the disk some bytes, and what failed will mostly
/// fail again at once.
#[derive(Default)]
struct Failures(BTreeMap<(GroupId, ReplicaId), Moment>);

impl Failures {
    fn note(&mut self, new: &NewReplica, now: Moment) {
        self.0.retain(|_, at| now.since(*at) < CREATE_PAUSE);
        self.0.insert((new.group, new.replica), now);
    }

    fn is_recent(&self, new: &NewReplica, now: Moment) -> bool {
        self.0.get(&(new.group, new.replica)).is_some_and(|at| now.since(*at) < CREATE_PAUSE)
    }
}

impl Node {
    pub(crate) fn run_upkeep(&self) {
        let mut memory = Control::default();
        let (mut look, mut report, mut sweep) = (Moment(0), Moment(0), Moment(0));
        let mut failures = Failures::default();
        let mut told = News::default();
        let mut looked = Moment(0);
        let mut move_rate = 0;
        loop {
            let now = self.clock.now();
            let changed = self.refresh_routes();
            if changed {
                // Whoever made the change may wait until everybody knows it.
                report = now;
                self.transport.set_peers(&self.directory());
                self.spread_catalog();
            }
            if self.upkeep.take_hurry() {
                look = look.min(looked.plus(LOOK_PAUSE));
            }
            if changed || now >= look {
                looked = now;
                let news = self.look(&mut memory, &mut failures, now);
                if news != told {
                    // Others may wait for it.
                    (told, report) = (news, now);
                }
                self.limit_moves(&mut move_rate);
                self.operate();
                look = now.plus(control::look_every(self.is_ready()));
            }
            if now >= report {
                self.report(now);
                report = now.plus(control::report_every(self.is_ready()));
            }
            if now >= sweep {
                self.sweep();
                sweep = now.plus(sweep::SWEEP_EVERY);
            }
            let due = self.tick_gateway().unwrap_or(Moment(u64::MAX));
            let due = self.tick_line().map_or(due, |line| due.min(line));
            let until = look.min(report).min(sweep).min(due).min(now.plus(CATALOG_LOOK_EVERY));
            if !self.upkeep.sleep(self.clock.now(), until) {
                return;
            }
        }
    }

    /// Nodes without a replica of the catalog get a new one at once from the node that leads it, as long as that
    /// costs little; a large one goes to those whose reports show that they need it.
    fn spread_catalog(&self) {
        let catalog = self.watch.latest();
        if !self.leads_catalog() {
            return;
        }
        let needs = |(node, (_, report)): (&NodeId, &(Moment, Report))| {
            (*node != self.id && heard::needs_copy(report, &catalog)).then_some(*node)
        };
        let needing: Vec<NodeId> = lock(&self.observations).iter().filter_map(needs).collect();
        if needing.is_empty() {
            return;
        }
        let copy = CatalogCopy { version: catalog.version().get(), state: catalog.encode() };
        if copy.state.len() * needing.len() > SPREAD_BYTES_MAX {
            return;
        }
        for node in needing {
            self.transport.send_bulk(node, Frame::Catalog(copy.clone()));
        }
    }

    /// Snapshots leave no faster than the setting allows.
    fn limit_moves(&self, known: &mut u64) {
        let rate = self.watch.latest().setting(&MOVE_BYTES_PER_SECOND);
        if let (true, Some(store)) = (rate != *known, self.store()) {
            store.limit_snapshots(rate);
            *known = rate;
        }
    }

    /// What is wrong with a replica of a group that was found damaged here and not replaced yet.
    pub fn damage(&self, group: GroupId) -> Option<Fault> {
        let damaged = lock(&self.damaged);
        let (_, why) = damaged.iter().find(|((damaged, _), _)| *damaged == group)?;
        // Noted as people read it, with its cause and its code around the detail.
        let code = ErrorCode::DataDamaged;
        let detail = why.trim_start_matches(code.cause()).trim_start_matches(": ");
        Some(Fault::new(code, detail.trim_end_matches(&format!(" [{}]", code.as_str()))))
    }

    /// Where nodes are reached: as the catalog says, and founders as this node was told at its start, which is
    /// younger after all of them have moved while they were stopped.
    fn directory(&self) -> BTreeMap<NodeId, types::Endpoint> {
        let mut directory = self.watch.latest().endpoints();
        // A node that joined from elsewhere knows only where the others were at that time.
        let knows = |bootstrap: &&Bootstrap| bootstrap.nodes.iter().any(|node| node.id == self.id.get());
        let founders = self.bootstrap.iter().filter(knows).flat_map(|bootstrap| &bootstrap.nodes);
        for founder in founders {
            if let Some(endpoint) = directory.get_mut(&NodeId(founder.id)) {
                endpoint.clone_from(&founder.endpoint);
            }
        }
        directory
    }

    /// Makes the founding replica of the catalog's group, if this node has one and nobody has a catalog.
    fn found(&self) -> Result<(), Fault> {
        let (Some(bootstrap), Some(store)) = (&self.bootstrap, self.store()) else { return Ok(()) };
        let heard = lock(&self.observations).clone();
        let new = heard::founding(bootstrap, self.id, &heard, self.clock.now());
        let Some(new) = new.filter(|_| store.replica(GroupId::CATALOG).is_none()) else { return Ok(()) };
        tracing::info!(node = self.id.get(), "founding the cluster");
        store.create(&new)
    }

    /// Compares the catalog with this node, and acts. Returns what others want to know.
    fn look(&self, memory: &mut Control, failures: &mut Failures, now: Moment) -> News {
        let Some(store) = self.store() else { return News::default() };
        let catalog = self.watch.latest();
        if self.may_found
            && catalog.cluster().is_none()
            && let Err(fault) = self.found()
        {
            tracing::error!(%fault, "the cluster cannot be founded");
        }
        let reports = store.reports();
        let here = store.replicas();
        let damaged = lock(&self.damaged).clone();
        let view = View {
            catalog: &catalog,
            me: &self.me,
            here: &here,
            reports: &reports,
            damaged: &damaged,
            bootstrap: self.bootstrap.as_ref(),
            clock_is_far: heard::clock_is_far(
                self.clock.wall_millis(),
                self.id,
                &lock(&self.observations),
                now,
            ),
        };
        let decision = memory.step(&view, now);
        let hosting = !decision.hosting.is_empty();
        self.act(decision, failures, now);
        if !self.is_ready()
            && !hosting
            && heard::has_caught_up(&self.watch.latest(), &self.me, &here, &reports, &damaged)
        {
            tracing::info!(node = self.id.get(), "ready");
            self.ready.store(true, Ordering::Relaxed);
        }
        News::of(&reports)
    }

    fn act(&self, decision: Decision, failures: &mut Failures, now: Moment) {
        let Some(store) = self.store() else { return };
        for action in decision.hosting {
            match action {
                HostAction::Create(new) if failures.is_recent(&new, now) => {}
                HostAction::Create(new) => match store.create(&new) {
                    Ok(()) => {
                        tracing::info!(group = new.group.get(), replica = new.replica.get(), "replica made");
                    }
                    Err(fault) => {
                        tracing::error!(group = new.group.get(), %fault, "replica cannot be made");
                        failures.note(&new, now);
                    }
                },
                HostAction::Remove(group, replica) => {
                    tracing::info!(group = group.get(), replica = replica.get(), "replica removed");
                    lock(&self.damaged).remove(&(group, replica));
                    store.remove(group, replica);
                }
                // What finds it busy, or no room, is decided again at the next look.
                HostAction::TakeOver(takeover) => {
                    let _ = store.input(takeover.group, Input::TakeOver(takeover));
                }
                HostAction::ReportLost(..) | HostAction::ReportEstablished(..) => {}
            }
        }
        for input in decision.inputs {
            // What finds no room is decided again at the next look.
            let _ = store.input(input.group(), input);
        }
        for op in decision.commands {
            let command = CatalogCommand { op: Some(op) };
            self.submit(catalog_call(&command), Box::new(|_| {}));
        }
    }

    /// Tells the meta nodes how this node is.
    fn report(&self, now: Moment) {
        let Some(store) = self.store() else { return };
        let catalog = self.watch.latest();
        let (free_bytes, disk_bytes) = (self.disk)().unwrap_or((0, 0));
        let report = Report {
            node: self.id.get(),
            boot: self.me.boot,
            wall_millis: self.clock.wall_millis(),
            replicas: store.reports(),
            pid: std::process::id(),
            catalog_version: catalog.version().get(),
            uptime_millis: now.since(self.started).as_millis() as u64,
            free_bytes,
            disk_bytes,
            disk: self.disk_number,
        };
        let mut listeners = catalog.catalog_nodes();
        if let (true, Some(bootstrap)) = (listeners.is_empty(), &self.bootstrap) {
            listeners.extend(bootstrap.nodes.iter().map(|founder| NodeId(founder.id)));
        }
        for node in listeners.into_iter().filter(|node| *node != self.id) {
            self.transport.send_report(node, report.clone());
        }
        lock(&self.observations).insert(self.id, (now, report));
    }

    /// Leaders remove what has expired.
    fn sweep(&self) {
        let Some(store) = self.store() else { return };
        let question = sweep::question();
        for report in store.reports().iter().filter(|report| sweep::sweeps(report)) {
            let group = GroupId(report.group);
            let Some(Ok(found)) = self.try_read(group, &question) else { continue };
            let Some(call) = sweep::removal(group, found) else { continue };
            let expired = self.keys_expired.clone();
            let count = move |reply: Result<bytes::Bytes, Fault>| {
                expired.fetch_add(reply.map_or(0, sweep::removed), Ordering::Relaxed);
            };
            self.submit(call, Box::new(count));
        }
    }
}

/// A command to the catalog as a call.
pub(crate) fn catalog_call(command: &CatalogCommand) -> Call {
    Call {
        group: GroupId::CATALOG,
        access: Access::Write,
        kind: RequestKind::Data,
        body: command.encode_to_vec().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_made_is_not_tried_again_at_once() {
        let new = |replica| NewReplica {
            group: GroupId(3),
            replica: ReplicaId(replica),
            engine: api::catalog::EngineKind::Kv,
            generation: types::Generation(1),
            founding: Default::default(),
        };
        let mut failures = Failures::default();
        let begun = Moment(1);
        assert!(!failures.is_recent(&new(1), begun));
        failures.note(&new(1), begun);
        let soon = begun.plus(CREATE_PAUSE / 2);
        assert!(failures.is_recent(&new(1), soon));
        assert!(!failures.is_recent(&new(2), soon), "another one");
        assert!(!failures.is_recent(&new(1), begun.plus(CREATE_PAUSE)), "tried again");
        failures.note(&new(2), begun.plus(CREATE_PAUSE));
        assert_eq!(failures.0.len(), 1, "old ones are forgotten");
    }
}
