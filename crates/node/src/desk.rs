//! The desk: requests that gateways send to this node's replicas, until they are answered.
//!
//! A read is answered at once under a lease; else the group asks a quorum, and the desk reads when it is
//! told to. A write becomes a proposal. The desk remembers who asked under a token.

use std::collections::BTreeMap;

use api::entry;
use api::peer::{Access, Outcome, Refused, Reply, Request};
use bytes::Bytes;
use env::Clock;
use replication::{Answer, GroupShared, Input, Token};
use types::{ErrorCode, Fault, Generation, GroupId, NodeId, limits};

/// What a desk does with a request.
pub enum Received {
    /// It is answered already.
    Reply(Reply),
    /// Give this to the group's worker; an answer with the token will come.
    Input(Token, Input),
}

/// Open requests by token. `O` is where the answer goes.
pub struct Desk<O> {
    next_token: u64,
    open: BTreeMap<Token, Waiting<O>>,
    reads_by_lease: u64,
}

struct Waiting<O> {
    origin: O,
    id: u64,
    group: GroupId,
    /// What to read once the group allows it.
    read: Option<Bytes>,
}

impl<O: Clone> Default for Desk<O> {
    fn default() -> Self {
        Self::new()
    }
}

impl<O: Clone> Desk<O> {
    /// A desk without requests.
    pub fn new() -> Self {
        Self { next_token: 1, open: BTreeMap::new(), reads_by_lease: 0 }
    }

    /// Requests that are not answered.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Reads that needed no quorum.
    pub fn reads_by_lease(&self) -> u64 {
        self.reads_by_lease
    }

    /// A request came for a replica of this node. `shared` is what can be seen of its group, `generation`
    /// what the catalog copy says of it, if it is here at all.
    pub fn receive(
        &mut self,
        origin: O,
        request: Request,
        here: Option<(&GroupShared, Generation)>,
        clock: &dyn Clock,
    ) -> Received {
        let id = request.id;
        let Some((shared, generation)) = here else {
            return Received::Reply(refusal(id, &ErrorCode::NotLeader.into(), None));
        };
        let group = GroupId(request.group);
        if request.generation != generation.get() {
            return Received::Reply(refusal(id, &ErrorCode::StaleRoute.into(), None));
        }
        if self.open.len() >= limits::GATEWAY_IN_FLIGHT_MAX {
            return Received::Reply(refusal(id, &ErrorCode::Overloaded.into(), None));
        }
        let access = Access::try_from(request.access);
        let read = match access {
            Ok(Access::Read) => shared.read_by_lease(clock, &request.body),
            Ok(Access::StaleRead) => shared.read_state(clock, &request.body),
            Ok(Access::Write) => None,
            Err(_) => {
                return Received::Reply(refusal(id, &ErrorCode::VersionUnsupported.into(), None));
            }
        };
        if let Some(value) = read {
            self.reads_by_lease += 1;
            return Received::Reply(read_reply(id, value));
        }
        let token = Token(self.next_token);
        self.next_token += 1;
        let is_write = access == Ok(Access::Write);
        let body = request.body.clone();
        let waiting = Waiting { origin, id, group, read: (!is_write).then_some(body) };
        self.open.insert(token, waiting);
        let input = match is_write {
            true => Input::Propose { group, token, request: proposal(request) },
            false => Input::Read { group, token },
        };
        Received::Input(token, input)
    }

    /// The group answered. Returns where the reply goes, unless the token is unknown.
    pub fn answer(
        &mut self,
        token: Token,
        answer: Answer,
        shared: impl FnOnce(GroupId) -> Option<std::sync::Arc<GroupShared>>,
        clock: &dyn Clock,
    ) -> Option<(O, Reply)> {
        let waiting = self.open.remove(&token)?;
        let id = waiting.id;
        let reply = match (answer, waiting.read) {
            (Answer::Done(bytes), _) => Reply { id, outcome: Some(Outcome::Done(bytes)) },
            (Answer::Refused { fault, leader }, _) => refusal(id, &fault, leader),
            (Answer::ReadNow, Some(body)) => {
                match shared(waiting.group).and_then(|shared| shared.read_state(clock, &body)) {
                    Some(value) => read_reply(id, value),
                    None => refusal(id, &ErrorCode::NotLeader.into(), None),
                }
            }
            (Answer::ReadNow, None) => refusal(id, &ErrorCode::Internal.into(), None),
        };
        Some((waiting.origin, reply))
    }
}

fn proposal(request: Request) -> entry::Request {
    entry::Request {
        kind: request.kind,
        session: request.session,
        sequence: request.sequence,
        floor: request.floor,
        generation: request.generation,
        body: request.body,
    }
}

fn read_reply(id: u64, value: Result<Bytes, engine::EngineError>) -> Reply {
    match value {
        Ok(bytes) => Reply { id, outcome: Some(Outcome::Done(bytes)) },
        Err(error) => refusal(id, &replication::start::engine_fault(&error), None),
    }
}

/// A reply that refuses.
pub fn refusal(id: u64, fault: &Fault, leader: Option<NodeId>) -> Reply {
    let refused = Refused {
        code: fault.code.as_str().to_owned(),
        detail: fault.detail.clone(),
        leader: leader.map_or(0, NodeId::get),
    };
    Reply { id, outcome: Some(Outcome::Refused(refused)) }
}
