//! Operators act, and hear what became of it.

use api::admin::PermitRequest;
use api::catalog::{CatalogAnswer, CatalogOp, CatalogReply};
use api::operation::PermitChange;
use bytes::Bytes;
use prost::Message;
use types::{ErrorCode, Fault as Error, NodeId, OperationId, settings};

use super::World;
use crate::event::{Event, Place};
use crate::faults::Fault;
use crate::operator::{Chooser, Command};
use crate::plan::{COMMANDS_MIN, MILLI, SECOND};
use crate::process::{Process, Purpose};

/// When nobody leads the catalog, or a wish was refused, an operator tries again after this.
const AGAIN: u64 = 300 * MILLI;
/// So many wishes of a kind are tried until one is not refused; then others.
const TRIES: usize = 4;
/// Of 1000 operations, so many are asked for a second time at once: the second command joins what the first began.
const ASKED_TWICE: u64 = 80;
/// After the end of all faults, operations have so long to end by themselves; then they are cancelled.
const PATIENCE: u64 = 14 * SECOND;
/// A permit is asked for longer than its node will be stopped, by this many seconds.
const PERMIT_MORE: u64 = 4;

/// What operators wait for.
#[derive(Default)]
pub(super) struct Operators {
    waiting: Vec<Waiting>,
    /// How often something was said: the number of the next command on its way.
    said: usize,
    /// Commands that changed something.
    accepted: usize,
    /// Places whose nodes are to join, the next one last.
    joiners: Vec<Place>,
}

/// A command whose answer has not come.
struct Waiting {
    /// Of this command on its way: what an operator does may be said more than once.
    said: usize,
    /// Of what the operator does, in the plan.
    number: usize,
    node: (Place, u64),
    op: CatalogOp,
    then: Then,
}

/// What follows when a command was accepted.
#[derive(Clone, Copy)]
enum Then {
    Nothing,
    /// It announced this fault tolerance.
    Announced(u32),
    /// The node may be stopped for so long.
    Stop(Place, u64),
    /// The node starts.
    Start(Place),
}

impl World {
    /// Prepares what operators will do.
    pub(super) fn hire_operators(&mut self) {
        for (number, (at, _)) in self.plan.commands.iter().enumerate() {
            self.out.agenda.plan(*at, Event::Operator(number));
        }
        self.operators.joiners = (self.plan.founders()..self.plan.nodes).rev().collect();
        if !self.plan.commands.is_empty() {
            self.out.agenda.plan(self.plan.heal_at + SECOND, Event::Tidy);
        }
    }

    /// An operator does something.
    pub(super) fn operator_acts(&mut self, number: usize) {
        let Some((_, command)) = self.plan.commands.get(number).copied() else { return };
        let Some(place) = self.catalog_leader() else {
            return self.out.agenda.plan(self.out.now + AGAIN, Event::Operator(number));
        };
        let chosen = match command {
            Command::Operate(kind, late) => return self.operate(place, number, kind, late),
            Command::Ask(wish) => {
                let planned = self.choose(place, |chooser, process| {
                    let request = chooser.exact(wish);
                    process.plan_operation(&request)
                });
                let Some(Ok(planned)) = planned else { return };
                let then = Then::Announced(planned.plan.lowest_fault_tolerance);
                return self.say(place, number, CatalogOp::Operate(planned.start), then);
            }
            Command::Cancel => self.cancel_something(place),
            Command::Forget => self.forget_something(place),
            Command::Set => self.set_something(place),
            Command::Stop(length) => self.ask_to_stop(place, length),
            Command::Release(node) => Some((release(node), Then::Nothing)),
            Command::Create => {
                let wish = self.choose(place, |chooser, _| chooser.new_table());
                wish.map(|wish| (CatalogOp::CreateTable(wish), Then::Nothing))
            }
            Command::Join => self.operators.joiners.last().map(|&new| {
                let mut record = super::node_record(new, new as u64 + 1_000_000, self.plan.dcs);
                record.id = 0;
                (CatalogOp::RegisterNode(record), Then::Start(new))
            }),
        };
        match chosen {
            Some((op, then)) => self.say(place, number, op, then),
            None => self.do_something_else(number),
        }
    }

    /// A node that believes to lead the catalog.
    fn catalog_leader(&mut self) -> Option<Place> {
        let leads = |place: &Place| {
            let node = &self.nodes[*place];
            node.paused.is_none() && node.process.as_ref().is_some_and(Process::leads_catalog)
        };
        let leaders: Vec<Place> = (0..self.nodes.len()).filter(leads).collect();
        (!leaders.is_empty()).then(|| *self.random.pick(&leaders))
    }

    fn do_something_else(&mut self, number: usize) {
        let late = if self.random.permille(200) { self.random.below(SECOND) } else { 0 };
        let kind = *self.random.pick(&["change-leader", "migrate", "snapshot", "balance", "recover-cluster"]);
        self.plan.commands[number].1 = Command::Operate(kind, late);
        if self.operators.accepted < COMMANDS_MIN || !self.healed {
            self.out.agenda.plan(self.out.now + AGAIN, Event::Operator(number));
        }
    }

    fn choose<T>(&mut self, place: Place, choose: impl FnOnce(&mut Chooser<'_>, &Process) -> T) -> Option<T> {
        let process = self.nodes[place].process.as_ref()?;
        let catalog = process.catalog();
        let observed = process.observed(&catalog);
        let mut chooser = Chooser { catalog: &catalog, observed: &observed, random: &mut self.random };
        Some(choose(&mut chooser, process))
    }

    fn operate(&mut self, place: Place, number: usize, kind: &str, late: u64) {
        for _ in 0..TRIES {
            let planned = self.choose(place, |chooser, process| {
                let request = chooser.request(kind);
                let planned = process.plan_operation(&request);
                (request, planned)
            });
            let Some((request, planned)) = planned else { return };
            self.out.trace.note(self.out.now, &[71, number as u64, u64::from(planned.is_ok())], |f| {
                let outcome = planned.as_ref().map(|planned| planned.plan.summary.clone());
                write!(f, "operator {number}: {request:?} → {outcome:?}")
            });
            match planned {
                Ok(planned) => {
                    let tolerance = planned.plan.lowest_fault_tolerance;
                    let (op, then) = (CatalogOp::Operate(planned.start), Then::Announced(tolerance));
                    if late > 0 {
                        self.out.coverage.plans_late += 1;
                        let event = Event::Late(number, Box::new(op), tolerance);
                        return self.out.agenda.plan(self.out.now + late, event);
                    }
                    if self.random.permille(ASKED_TWICE) {
                        let at = self.out.now + self.random.below(SECOND / 20);
                        let event = Event::Late(number, Box::new(op.clone()), tolerance);
                        self.out.agenda.plan(at, event);
                    }
                    return self.say(place, number, op, then);
                }
                Err(fault) => {
                    self.out.coverage.plans_refused += 1;
                    if fault.detail.is_empty() || fault.code == ErrorCode::Internal {
                        self.out.fail("replies", format!("{request:?} is refused: {fault}"));
                    }
                }
            }
        }
        self.do_something_else(number);
    }

    /// Somebody has thought about a plan, and starts it.
    pub(super) fn start_late(&mut self, number: usize, op: CatalogOp, tolerance: u32) {
        match self.catalog_leader() {
            Some(place) => self.say(place, number, op, Then::Announced(tolerance)),
            None => self.do_something_else(number),
        }
    }

    fn cancel_something(&mut self, place: Place) -> Option<(CatalogOp, Then)> {
        let change = self.choose(place, |chooser, process| {
            let ended = chooser.random.permille(100);
            chooser.operation(ended).map(|operation| process.cancel_operation(operation))
        });
        let change = self.unless_refused(change??)?;
        self.out.coverage.cancelled += change.update.len() as u64;
        Some((CatalogOp::Operate(change), Then::Nothing))
    }

    fn forget_something(&mut self, place: Place) -> Option<(CatalogOp, Then)> {
        let change = self.choose(place, |chooser, process| {
            let ended = chooser.random.permille(900);
            chooser.operation(ended).map(|operation| process.forget_operation(operation))
        });
        let change = self.unless_refused(change??)?;
        Some((CatalogOp::Operate(change), Then::Nothing))
    }

    fn unless_refused<T>(&mut self, planned: Result<T, Error>) -> Option<T> {
        self.out.coverage.plans_refused += u64::from(planned.is_err());
        planned.ok()
    }

    fn set_something(&mut self, place: Place) -> Option<(CatalogOp, Then)> {
        let (name, value) = self.choose(place, |chooser, _| chooser.setting())?;
        self.out.coverage.settings_set += 1;
        Some((set(name, &value), Then::Nothing))
    }

    fn ask_to_stop(&mut self, place: Place, length: u64) -> Option<(CatalogOp, Then)> {
        let wish =
            PermitRequest { holder: None, seconds: Some(length / SECOND + PERMIT_MORE), only_ask: false };
        let asked = self.choose(place, |chooser, process| {
            let node = chooser.node_to_stop()?;
            Some((node, process.permit(node, &wish)))
        });
        let (node, answer) = asked??;
        self.out.trace.note(self.out.now, &[74, node.get(), u64::from(answer.is_ok())], |f| {
            write!(f, "operator asks n{} for a permit to stop node {node}: {answer:?}", place + 1)
        });
        match answer {
            Ok((change, _)) => {
                let then = Then::Stop(node.get() as Place - 1, length);
                Some((CatalogOp::Permit(change), then))
            }
            Err(_) => {
                self.out.coverage.permits_refused += 1;
                None
            }
        }
    }

    fn say(&mut self, place: Place, number: usize, op: CatalogOp, then: Then) {
        let Some(process) = self.nodes[place].process.as_ref() else { return };
        let node = (place, process.run());
        let said = self.operators.said;
        self.operators.said += 1;
        self.operators.waiting.push(Waiting { said, number, node, op: op.clone(), then });
        if let CatalogOp::Operate(change) = &op {
            self.out.step_begins(place, change);
        }
        self.with(place, |process, out| process.change_catalog(op, Purpose::Command(said), out));
    }

    /// A command is over.
    pub(super) fn operator_hears(&mut self, said: usize, result: Result<Bytes, Error>) {
        let known = self.operators.waiting.iter().position(|waiting| waiting.said == said);
        let Some(known) = known else { return };
        let waiting = self.operators.waiting.remove(known);
        let number = waiting.number;
        let answer = match result.map(CatalogReply::decode) {
            Ok(Ok(reply)) => reply.answer,
            Ok(Err(error)) => return self.out.fail("replies", format!("an answer of the catalog: {error}")),
            Err(_) => return self.ask_again(waiting),
        };
        match answer {
            Some(CatalogAnswer::Refused(refused)) => {
                self.out.trace.note(self.out.now, &[72, number as u64], |f| {
                    write!(f, "operator {number}: refused: {} {}", refused.code, refused.detail)
                });
                self.out.coverage.commands_refused += 1;
                self.do_something_else(number);
            }
            Some(answer) => self.accepted(number, waiting.then, answer),
            None => self.out.fail("replies", "the catalog does not know a command".into()),
        }
    }

    fn accepted(&mut self, number: usize, then: Then, answer: CatalogAnswer) {
        self.out.trace.note(self.out.now, &[73, number as u64], |f| write!(f, "operator {number}: accepted"));
        self.operators.accepted += 1;
        self.out.coverage.commands_accepted += 1;
        match (then, answer) {
            (Then::Announced(_), CatalogAnswer::Operations(started)) if started.joined => {
                self.out.coverage.joined += 1;
            }
            (Then::Announced(tolerance), CatalogAnswer::Operations(started)) => {
                self.out.checks.announce(&started.ids, tolerance);
            }
            (_, CatalogAnswer::Table(_)) => self.out.coverage.tables_made += 1,
            (Then::Stop(place, length), _) => {
                self.out.coverage.permits_granted += 1;
                let at = self.out.now + self.random.below(SECOND / 4);
                self.out.agenda.plan(at, Event::Strike(Fault::Stop(place, length)));
                if self.random.permille(800) {
                    let at = at + length + self.random.between(SECOND / 2, 2 * SECOND);
                    self.plan.commands.push((at, Command::Release(NodeId(place as u64 + 1))));
                    self.out.agenda.plan(at, Event::Operator(self.plan.commands.len() - 1));
                }
            }
            (Then::Start(place), CatalogAnswer::Node(record)) => {
                if record.id != place as u64 + 1 {
                    let detail = format!("node {} was added, {} expected", record.id, place + 1);
                    return self.out.fail("numbers", detail);
                }
                if !self.nodes[place].joined {
                    self.operators.joiners.retain(|joiner| *joiner != place);
                    self.out.coverage.nodes_joined += 1;
                    self.nodes[place].joined = true;
                    self.start(place);
                }
            }
            _ => {}
        }
    }

    /// The answer is lost. Whoever asks again does not know whether the first word did anything.
    fn ask_again(&mut self, waiting: Waiting) {
        if self.random.permille(300) {
            return;
        }
        let Some(place) = self.catalog_leader() else { return self.do_something_else(waiting.number) };
        self.out.coverage.commands_repeated += 1;
        self.say(place, waiting.number, waiting.op, waiting.then);
    }

    /// A process is gone, and with it the connections of operators.
    pub(super) fn operators_disconnected(&mut self, place: Place, run: u64) {
        let waiting = std::mem::take(&mut self.operators.waiting);
        let (lost, others): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|waiting| waiting.node == (place, run));
        self.operators.waiting = others;
        for waiting in lost {
            self.ask_again(waiting);
        }
    }

    /// When all faults have ended, what was begun comes to an end; what does not by itself is cancelled.
    pub(super) fn tidy(&mut self) {
        let now = self.out.now;
        self.out.agenda.plan(now + SECOND, Event::Tidy);
        let Some(place) = self.catalog_leader() else { return };
        if let Some(process) = &self.nodes[place].process {
            process.explain_everything();
        }
        let first = now < self.plan.heal_at + 3 * SECOND / 2;
        // In manual mode a group whose leader of record lacks entries of another waits for a person.
        if first && self.random.permille(500) || now >= self.plan.heal_at + PATIENCE {
            let op = set(settings::AUTO_FAILOVER.name, "true");
            self.with(place, |process, out| process.change_catalog(op, Purpose::Operator, out));
        }
        if now < self.plan.heal_at + PATIENCE {
            return;
        }
        let cancels: Vec<CatalogOp> = match &self.nodes[place].process {
            None => Vec::new(),
            Some(process) => {
                let catalog = process.catalog();
                let active = catalog.operations().filter(|known| !known.state().has_ended());
                let heads = active.filter(|known| known.parent == 0 && !known.cancelling);
                let ids: Vec<OperationId> = heads.map(|known| OperationId(known.id)).collect();
                let changes = ids.into_iter().filter_map(|id| process.cancel_operation(id).ok());
                changes.map(CatalogOp::Operate).collect()
            }
        };
        for op in cancels {
            self.out.coverage.ended_by_hand += 1;
            self.with(place, |process, out| process.change_catalog(op, Purpose::Operator, out));
        }
    }

    /// How many commands of operators have changed something.
    pub(super) fn commands_accepted(&self) -> usize {
        self.operators.accepted
    }

    /// For how many answers operators wait.
    pub(super) fn operators_wait(&self) -> usize {
        self.operators.waiting.len()
    }
}

fn set(name: &str, value: &str) -> CatalogOp {
    CatalogOp::Set(api::catalog::SetSetting {
        name: name.into(),
        value: value.into(),
        by: "admin".into(),
        at_ms: 1,
    })
}

fn release(node: NodeId) -> CatalogOp {
    CatalogOp::Permit(PermitChange { release: node.get(), ..Default::default() })
}
