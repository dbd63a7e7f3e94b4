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
}

struct Waiting<O> {
    origin: O,
    id: u64,
    group: GroupId,
    /// What to read once the group allows it.
    read: Option<Bytes>,
}

impl<O> Default for Desk<O> {
    fn default() -> Self {
        Self::new()
    }
}

impl<O> Desk<O> {
    /// A desk without requests.
    pub fn new() -> Self {
        Self { next_token: 1, open: BTreeMap::new() }
    }

    /// Requests that are not answered.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Remembers a request that needs its group's worker: one that [`answer_at_once`] leaves open.
    pub fn take_on(&mut self, origin: O, request: Request) -> Received {
        let (id, group) = (request.id, GroupId(request.group));
        if self.open.len() >= limits::GATEWAY_IN_FLIGHT_MAX {
            return Received::Reply(refusal(id, &ErrorCode::Overloaded.into(), None));
        }
        let token = Token(self.next_token);
        self.next_token += 1;
        let is_write = request.access == Access::Write as i32;
        let body = request.body.clone();
        let waiting = Waiting { origin, id, group, read: (!is_write).then_some(body) };
        self.open.insert(token, waiting);
        let input = match is_write {
            true => Input::Propose { group, token, request: proposal(request) },
            false => Input::Read { group, token },
        };
        Received::Input(token, input)
    }

    /// The group answered: hands back what to do, unless the token is unknown.
    pub fn settle(&mut self, token: Token, answer: Answer) -> Option<(O, Settled)> {
        let waiting = self.open.remove(&token)?;
        let id = waiting.id;
        let settled = match (answer, waiting.read) {
            (Answer::Done(bytes), _) => Settled::Reply(Reply { id, outcome: Some(Outcome::Done(bytes)) }),
            (Answer::Refused { fault, leader }, _) => Settled::Reply(refusal(id, &fault, leader)),
            (Answer::ReadNow, Some(body)) => Settled::Read { id, group: waiting.group, body },
            (Answer::ReadNow, None) => Settled::Reply(refusal(id, &ErrorCode::Internal.into(), None)),
        };
        Some((waiting.origin, settled))
    }
}

/// What to do for a request that its group has answered.
pub enum Settled {
    /// Send this.
    Reply(Reply),
    /// Read, then send. Reading may take long: not under a lock.
    Read {
        /// The request.
        id: u64,
        /// Where.
        group: GroupId,
        /// What.
        body: Bytes,
    },
}

impl Settled {
    /// The reply, after reading if that is needed.
    pub fn into_reply(
        self,
        shared: impl FnOnce(GroupId) -> Option<std::sync::Arc<GroupShared>>,
        clock: &dyn Clock,
    ) -> Reply {
        match self {
            Settled::Reply(reply) => reply,
            Settled::Read { id, group, body } => {
                match shared(group).and_then(|shared| shared.read_state(clock, &body)) {
                    Some(value) => read_reply(id, value),
                    None => refusal(id, &ErrorCode::NotLeader.into(), None),
                }
            }
        }
    }
}

/// The reply to a request that needs no worker: a refusal, or a read under a lease. `here` is what can be
/// seen of its group and the generation that the catalog copy says, if it is here at all. May read, so not
/// under a lock.
pub fn answer_at_once(
    request: &Request,
    here: Option<(&GroupShared, Generation)>,
    clock: &dyn Clock,
) -> Option<Reply> {
    let id = request.id;
    let Some((shared, generation)) = here else {
        return Some(refusal(id, &ErrorCode::NotLeader.into(), None));
    };
    if request.generation != generation.get() {
        return Some(refusal(id, &ErrorCode::StaleRoute.into(), None));
    }
    match Access::try_from(request.access) {
        Ok(Access::Read) => Some(read_reply(id, shared.read_by_lease(clock, &request.body)?)),
        Ok(Access::StaleRead) => Some(read_reply(id, shared.read_state(clock, &request.body)?)),
        Ok(Access::Write) => None,
        // Those who wait are not the desk's: see `line`.
        Ok(Access::Wait) | Err(_) => Some(refusal(id, &ErrorCode::VersionUnsupported.into(), None)),
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
