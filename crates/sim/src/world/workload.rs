//! Clients act, wait, give up, and hear.

use types::{ErrorCode, GroupId};

use super::World;
use crate::client::{self, Waiting, Way};
use crate::event::{Event, Place, Work};
use crate::history::{Operation, Outcome};
use crate::plan::{MILLI, OPERATIONS_MIN, SECOND, Scenario};
use crate::process::{Ended, Purpose};

/// How long a client waits for an answer.
const PATIENCE_MIN: u64 = 2 * SECOND;
const PATIENCE_MAX: u64 = 14 * SECOND;
/// How long a command waits for an element.
const WAIT_MIN: u64 = 200 * MILLI;
const WAIT_MAX: u64 = 3 * SECOND;
/// A gateway does not give up before this, by whatever clock: its deadline is 10 s.
const UNKNOWN_AFTER: u64 = 9 * SECOND;
/// When nobody answers the door, it is tried again after this.
const KNOCK_AGAIN: u64 = 50 * MILLI;

impl World {
    /// A client does its next thing.
    pub(super) fn client_acts(&mut self, client: usize) {
        if self.clients[client].waiting.is_some() {
            return;
        }
        if self.out.now < self.hush_until {
            let at = self.hush_until + self.random.below(MILLI);
            return self.out.agenda.plan(at, Event::Client(client));
        }
        let chosen = match &mut self.final_reads {
            Some(keys) if client == 0 => keys.last().map(|(key, used)| (key.clone(), used.whole())),
            Some(_) => None,
            None => {
                let enough = self.history.len() >= OPERATIONS_MIN && self.out.now >= self.plan.clients_until;
                (!enough).then(|| self.clients[client].choose(client, &self.keys))
            }
        };
        let Some((key, call)) = chosen else { return };
        let nodes = self.nodes.len() as u64;
        let place = self.clients[client].random.below(nodes) as Place;
        let Some((group, run)) = self.door(place, &key) else {
            let at = self.out.now + KNOCK_AGAIN + self.random.below(KNOCK_AGAIN);
            return self.out.agenda.plan(at, Event::Client(client));
        };
        let state = &mut self.clients[client];
        state.begun += 1;
        let number = state.begun;
        state.waiting = Some(Waiting { number, entry: self.history.len(), node: (place, run) });
        let lasts = if call.waits() { state.random.between(WAIT_MIN, WAIT_MAX) } else { 0 };
        let patience = lasts + state.random.between(PATIENCE_MIN, PATIENCE_MAX);
        let request = client::way(group, &key, &call, lasts);
        let (client_id, invoked) = (client as u64, self.out.now);
        self.history.push(Operation { client: client_id, key, call, invoked, outcome: Outcome::Unknown });
        self.out.agenda.plan(invoked + patience, Event::Impatient(client, number));
        let way = self.random.below(MILLI);
        let event = match request {
            Way::Once(call) => Event::Submit(place, run, call, Purpose::Client(client, number)),
            Way::Waiting(block) => Event::Work(place, run, Work::Block((client, number), block)),
        };
        self.out.agenda.plan(invoked + way, event);
    }

    /// The group of a key and the run of a node, if the node takes clients.
    fn door(&self, place: Place, key: &[u8]) -> Option<(GroupId, u64)> {
        let process = self.nodes[place].process.as_ref()?;
        let table = process.table()?;
        let partition = table.partition(table.partition_of(key))?;
        Some((partition.group, process.run()))
    }

    /// Its patience is at an end: it goes on without knowing.
    pub(super) fn client_gives_up(&mut self, client: usize, number: u64) {
        let state = &mut self.clients[client];
        if let Some(Waiting { node: (place, run), .. }) =
            state.waiting.filter(|waiting| waiting.number == number)
        {
            (state.waiting, state.watch) = (None, None);
            self.out.agenda.plan(self.out.now, Event::Client(client));
            self.out.agenda.plan(self.out.now, Event::Work(place, run, Work::HangUp((client, number))));
        }
    }

    /// A process is gone, and with it the connections of its clients.
    pub(super) fn clients_disconnected(&mut self, place: Place, run: u64) {
        for (number, client) in self.clients.iter_mut().enumerate() {
            if client.waiting.is_some_and(|waiting| waiting.node == (place, run)) {
                (client.waiting, client.watch) = (None, None);
                let at = self.out.now + client.rest();
                self.out.agenda.plan(at, Event::Client(number));
            }
        }
    }

    /// Calls that are over reach those who made them.
    pub(super) fn end_calls(&mut self) {
        for Ended { purpose, result } in std::mem::take(&mut self.out.ended) {
            let (client, number) = match purpose {
                Purpose::Client(client, number) => (client, number),
                Purpose::Command(number) => {
                    self.operator_hears(number, result);
                    continue;
                }
                _ => continue,
            };
            let state = &mut self.clients[client];
            let Some(waiting) = state.waiting.filter(|waiting| waiting.number == number) else { continue };
            state.waiting = None;
            let operation = &mut self.history[waiting.entry];
            let node = &self.nodes[waiting.node.0];
            if node.paused.is_none() && node.resumed < operation.invoked && !operation.call.waits() {
                self.waited += self.out.now - operation.invoked;
            }
            let early = self.out.now < operation.invoked + UNKNOWN_AFTER;
            let gave_up = matches!(&result, Err(fault) if fault.code == ErrorCode::OutcomeUnknown);
            let manual = self.out.checks.laws().was_manual();
            if early && gave_up && !manual && self.plan.scenario != Scenario::Clocks {
                // A gateway that lives and a session that lives leave no doubt, unless only a person can
                // give the group a leader. Sessions die of clocks that jump by hours only.
                let detail = format!("a gateway gives up before its time: {operation}");
                self.out.fail("replies", detail);
            }
            match client::outcome(&operation.call, result, self.out.now) {
                Ok(outcome) => operation.outcome = outcome,
                Err(detail) => self.out.fail("replies", detail),
            }
            let operation = &self.history[waiting.entry];
            state.hears(operation);
            self.out.coverage.note_operation(operation);
            self.out
                .trace
                .note(self.out.now, &[60, client as u64, number], |f| write!(f, "client: {operation}"));
            let known = matches!(operation.outcome, Outcome::Returned(..));
            let rest = match &mut self.final_reads {
                Some(keys) if client == 0 => {
                    if known {
                        keys.pop();
                    }
                    MILLI
                }
                _ => state.rest(),
            };
            self.out.agenda.plan(self.out.now + rest, Event::Client(client));
        }
    }

    /// What clients wait for, for people.
    pub(super) fn open_operations(&self) -> Vec<String> {
        let waiting = self.clients.iter().filter_map(|client| client.waiting);
        waiting.map(|waiting| self.history[waiting.entry].to_string()).collect()
    }
}
