//! Gateway, desk and upkeep. The originals are `node::Node` and its upkeep thread.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use api::catalog::{CatalogCommand, CatalogOp};
use api::entry::RequestKind;
use api::frame::CatalogCopy;
use api::peer::{Access, Outcome, ReplicaReport, Reply, Report, Request};
use bytes::Bytes;
use env::Clock;
use node::control::{self, View};
use node::desk::{Received, answer_at_once};
use node::hosting::HostAction;
use node::{Call, GatewayCounters, GatewayEffect, GroupRoute, RouteTable, Routes};
use node::{heard, sweep};
use prost::Message;
use replication::{Answer, GroupShared, Input, Token};
use types::{Fault, Generation, GroupId, NodeId, OperationId};

use super::{Caller, Process, Who};
use crate::event::{Packet, Work};
use crate::network::Channel;
use crate::outside::Outside;

/// How often the catalog copy's version is looked at, in nanoseconds, as in the product.
const CATALOG_LOOK_EVERY: u64 = 100_000_000;

/// Why a call was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A client's operation, by client and number.
    Client(usize, u64),
    /// A request for a client's command that waits.
    Waiting(Who),
    /// The node's own word to the catalog, or its housekeeping.
    Own,
    /// Somebody who runs the cluster changes the catalog.
    Operator,
    /// The same, by the number of what they do, and they want to hear how it ended.
    Command(usize),
    /// A step of an operation.
    Step,
    /// A digest for an operation.
    Digest(OperationId),
}

/// A call that is over.
pub struct Ended {
    /// Why it was made.
    pub purpose: Purpose,
    /// How it ended.
    pub result: Result<Bytes, Fault>,
}

/// What the gateway asks about groups.
struct ProcessRoutes<'a> {
    routes: &'a RouteTable,
    shared: &'a BTreeMap<GroupId, Arc<GroupShared>>,
}

impl Routes for ProcessRoutes<'_> {
    fn route(&self, group: GroupId) -> Option<GroupRoute> {
        self.routes.group(group).cloned()
    }

    fn leader(&self, group: GroupId) -> Option<NodeId> {
        self.shared.get(&group)?.leader()
    }
}

/// Calls a method of the gateway with what it needs to know, and executes what comes out.
macro_rules! gateway {
    ($process:ident, $out:ident, $method:ident($($argument:expr),*)) => {{
        let mut effects = Vec::new();
        let now = $process.now();
        let routes = ProcessRoutes { routes: &$process.member.routes, shared: &$process.shared };
        let result = $process.member.gateway.$method($($argument,)* &routes, now, &mut effects);
        (result, effects)
    }};
}

impl Process {
    /// Takes on a call.
    pub fn submit(&mut self, call: Call, purpose: Purpose, out: &mut Outside) {
        if let Some(result) = self.unchanged(&call, &purpose) {
            out.coverage.unchanged_by_lease += 1;
            return out.ended.push(Ended { purpose, result });
        }
        let (id, effects) = gateway!(self, out, submit(call));
        self.member.purposes.insert(id, purpose);
        self.finish_gateway(effects, out);
    }

    /// The reply to a client's write that would change nothing, where the listener of this node could give it. A client
    /// of the world has one command under way.
    fn unchanged(&self, call: &Call, purpose: &Purpose) -> Option<Result<Bytes, Fault>> {
        if !matches!(purpose, Purpose::Client(..)) || call.access != Access::Write {
            return None;
        }
        let reply = self.shared.get(&call.group)?.unchanged_by_lease(&*self.clock, &call.body)?;
        Some(reply.map_err(|error| replication::start::engine_fault(&error)))
    }

    /// Changes the catalog.
    pub fn change_catalog(&mut self, op: CatalogOp, purpose: Purpose, out: &mut Outside) {
        let body = CatalogCommand { op: Some(op) }.encode_to_vec().into();
        let call = Call { group: GroupId::CATALOG, access: Access::Write, kind: RequestKind::Data, body };
        self.submit(call, purpose, out);
    }

    /// What the gateway and the desk counted.
    pub fn counters(&self) -> (GatewayCounters, u64) {
        (self.member.gateway.counters(), self.member.reads_by_lease)
    }

    /// The way to the table that clients use.
    pub fn table(&self) -> Option<&Arc<catalog::TableRoute>> {
        self.member.routes.table(catalog::DEFAULT_NAMESPACE, catalog::DEFAULT_TABLE)
    }

    pub(super) fn on_reply(&mut self, from: NodeId, reply: Reply, out: &mut Outside) {
        let ((), effects) = gateway!(self, out, reply(from, reply));
        self.finish_gateway(effects, out);
    }

    pub(super) fn gateway_disconnected(&mut self, node: NodeId, out: &mut Outside) {
        let now = self.now();
        self.member.gateway.disconnected(node, now);
        self.finish_gateway(Vec::new(), out);
    }

    pub(super) fn gateway_tick(&mut self, out: &mut Outside) {
        self.member.gateway_planned = u64::MAX;
        let ((), effects) = gateway!(self, out, tick());
        self.finish_gateway(effects, out);
    }

    fn finish_gateway(&mut self, effects: Vec<GatewayEffect>, out: &mut Outside) {
        let mut work = VecDeque::from(effects);
        while let Some(effect) = work.pop_front() {
            match effect {
                GatewayEffect::Complete(id, result) => {
                    let purpose = self.member.purposes.remove(&id);
                    if let Some(Purpose::Waiting(who)) = purpose {
                        self.blocked_call_ended(who, result, out);
                        continue;
                    }
                    if let Some(purpose) = purpose.and_then(|purpose| self.ended(purpose, &result)) {
                        out.ended.push(Ended { purpose, result });
                    }
                }
                GatewayEffect::Send(to, request) if to == self.id => {
                    if let Some(reply) = self.receive(Caller::Here, request, out) {
                        let ((), more) = gateway!(self, out, reply(to, reply));
                        work.extend(more);
                    }
                }
                GatewayEffect::Send(to, request) => {
                    let id = request.id;
                    if !out.send(self.place, to, Channel::Requests, Packet::Request(request)) {
                        let now = self.now();
                        self.member.gateway.lost(to, id, false, now);
                    }
                }
            }
        }
        if let Some(due) = self.member.gateway.next_due() {
            let at = self.clock.world_time_of(due).max(out.now);
            if at < self.member.gateway_planned {
                self.member.gateway_planned = at;
                self.plan(at - out.now, Work::Gateway, out);
            }
        }
    }

    pub(super) fn receive(&mut self, caller: Caller, request: Request, out: &mut Outside) -> Option<Reply> {
        if request.access == Access::Wait as i32 {
            self.take_wait(caller, &request, out);
            return None;
        }
        let group = GroupId(request.group);
        let generation = self.member.routes.group(group).map_or(Generation(0), |route| route.generation);
        let here = self.shared.get(&group).map(|shared| (&**shared, generation));
        let is_read = request.access != Access::Write as i32;
        if let Some(reply) = answer_at_once(&request, here, &*self.clock) {
            let done = matches!(reply.outcome, Some(Outcome::Done(_)));
            self.member.reads_by_lease += u64::from(is_read && done);
            return Some(reply);
        }
        match self.member.desk.take_on(caller, request) {
            Received::Reply(reply) => Some(reply),
            Received::Input(_, input) => {
                self.input(input, out);
                None
            }
        }
    }

    pub(super) fn answer(&mut self, answers: Vec<(Token, Answer)>, out: &mut Outside) {
        for (token, answer) in answers {
            let shared = &self.shared;
            let find = |group| shared.get(&group).cloned();
            if let Some((caller, settled)) = self.member.desk.settle(token, answer) {
                let reply = settled.into_reply(find, &*self.clock);
                self.reply(caller, reply, out);
            }
        }
    }

    pub(super) fn reply(&mut self, caller: Caller, reply: Reply, out: &mut Outside) {
        match caller {
            Caller::Here => self.on_reply(self.id, reply, out),
            Caller::There(place, run) => {
                let node = NodeId(place as u64 + 1);
                out.send(self.place, node, Channel::Requests, Packet::Reply(run, reply));
            }
        }
    }

    /// A node without a working replica of the catalog gets a copy when its own is old.
    pub(super) fn on_report(&mut self, report: Report, out: &mut Outside) {
        let node = NodeId(report.node);
        let catalog = self.member.watch.latest();
        if heard::needs_copy(&report, &catalog) {
            out.coverage.catalog_copies += 1;
            let copy = CatalogCopy { version: catalog.version().get(), state: catalog.encode() };
            out.send(self.place, node, Channel::Bulk, Packet::Catalog(copy));
        }
        self.member.observations.insert(node, (self.now(), report));
    }

    pub(super) fn on_catalog(&mut self, copy: &CatalogCopy, out: &mut Outside) {
        match catalog::Catalog::decode(&copy.state) {
            Ok(catalog) => {
                if self.member.watch.offer(Arc::new(catalog)) {
                    self.compare(out);
                }
            }
            Err(error) => out.fail("catalog", format!("node {}: a copy is refused: {error}", self.id)),
        }
    }

    pub(super) fn look(&mut self, out: &mut Outside) {
        self.compare(out);
        self.operate(out);
        self.tick_line(out);
        let pause = control::look_every(self.member.ready);
        self.plan(pause.as_nanos() as u64, Work::Look, out);
    }

    /// The replica of the catalog here has applied something: it is looked at soon.
    pub(super) fn plan_changed(&mut self, out: &mut Outside) {
        if !self.look_planned && self.catalog().version() != self.member.routes.version() {
            self.look_planned = true;
            let after = out.random.below(CATALOG_LOOK_EVERY);
            self.plan(after, Work::Changed, out);
        }
    }

    pub(super) fn catalog_changed(&mut self, out: &mut Outside) {
        self.look_planned = false;
        self.compare(out);
        self.operate(out);
    }

    /// Compares the catalog with this node, and acts.
    fn compare(&mut self, out: &mut Outside) {
        let catalog = self.member.watch.latest();
        if catalog.version() != self.member.routes.version() {
            self.member.routes = RouteTable::new(&catalog, Some(&self.member.bootstrap));
        }
        if self.member.may_found && catalog.cluster().is_none() {
            self.found(out);
        }
        let here = self.replicas();
        let reports = self.reports();
        let now = self.now();
        let view = View {
            catalog: &catalog,
            me: &self.member.me,
            here: &here,
            reports: &reports,
            damaged: &self.damaged,
            bootstrap: Some(&self.member.bootstrap),
            clock_is_far: heard::clock_is_far(
                self.clock.wall_millis(),
                self.id,
                &self.member.observations,
                now,
            ),
        };
        let decision = self.member.control.step(&view, now);
        if !self.member.ready && decision.hosting.is_empty() {
            self.member.ready =
                heard::has_caught_up(&catalog, &self.member.me, &here, &reports, &self.damaged);
        }
        for action in decision.hosting {
            match action {
                HostAction::Create(new) => {
                    if let Err(fault) = self.create(&new, out) {
                        out.fail("hosting", format!("node {}: {fault}", self.id));
                    }
                }
                HostAction::Remove(group, replica) => {
                    self.damaged.remove(&(group, replica));
                    self.input(Input::Remove(group, replica), out);
                }
                HostAction::TakeOver(takeover) => self.input(Input::TakeOver(takeover), out),
                HostAction::ReportLost(..) | HostAction::ReportEstablished(..) => {}
            }
        }
        for input in decision.inputs {
            out.coverage.transfers += u64::from(matches!(input, Input::Transfer { .. }));
            self.input(input, out);
        }
        for op in decision.commands {
            out.coverage.replicas_replaced += u64::from(matches!(op, CatalogOp::ReplaceReplica(_)));
            self.change_catalog(op, Purpose::Own, out);
        }
    }

    /// Makes the founding replica of the catalog's group, if this node has one and nobody has a catalog.
    fn found(&mut self, out: &mut Outside) {
        let (bootstrap, now) = (&self.member.bootstrap, self.now());
        let Some(new) = heard::founding(bootstrap, self.id, &self.member.observations, now) else { return };
        if let Err(fault) = self.create(&new, out) {
            out.fail("hosting", format!("node {}: {fault}", self.id));
        }
    }

    /// Whether it has caught up since its start and serves.
    pub fn is_ready(&self) -> bool {
        self.member.ready
    }

    fn reports(&self) -> Vec<ReplicaReport> {
        self.shared.values().map(|shared| shared.report()).collect()
    }

    /// Tells the meta nodes how this node is.
    pub(super) fn report(&mut self, out: &mut Outside) {
        let catalog = self.member.watch.latest();
        let report = Report {
            node: self.id.get(),
            boot: self.run,
            wall_millis: self.clock.wall_millis(),
            replicas: self.reports(),
            pid: 1,
            catalog_version: catalog.version().get(),
            ..Default::default()
        };
        let mut listeners = catalog.catalog_nodes();
        if listeners.is_empty() {
            listeners.extend(self.member.bootstrap.nodes.iter().map(|founder| NodeId(founder.id)));
        }
        self.member.observations.insert(self.id, (self.now(), report.clone()));
        for node in listeners {
            out.send(self.place, node, Channel::Raft, Packet::Report(report.clone()));
        }
        let pause = control::report_every(self.member.ready);
        self.plan(pause.as_nanos() as u64, Work::Report, out);
    }

    /// Leaders remove what has expired.
    pub(super) fn sweep(&mut self, out: &mut Outside) {
        let question = sweep::question();
        for report in self.reports().into_iter().filter(sweep::sweeps) {
            let group = GroupId(report.group);
            let shared = self.shared.get(&group);
            let read = shared.and_then(|shared| shared.read_by_lease(&*self.clock, &question));
            let Some(Ok(found)) = read else { continue };
            if let Some(call) = sweep::removal(group, found) {
                self.submit(call, Purpose::Own, out);
            }
        }
        self.plan(sweep::SWEEP_EVERY.as_nanos() as u64, Work::Sweep, out);
    }
}
