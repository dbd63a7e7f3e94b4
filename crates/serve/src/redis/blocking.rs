//! A command that waits for an element: which request comes next, and when it is over.
//!
//! ```text
//!            ┌── something, or an error ─────────────────────────┐
//!   Popping ─┤                                                   ├──▶ the reply
//!      ▲     └── nothing ──▶ Waiting ── time is up, unblocked ───┘
//!      └──────── "come" ────────┘ └─▶ itself, when there is nothing for long
//! ```
//!
//! While a pop is under way the command does not end, whatever the clock says: an element that was popped is
//! delivered. What is popped for a client that has gone in the meantime is lost, as in Redis when a reply is lost.
//!
//! The waiting itself is done at the leader: see `node::line`.

use api::kv::KvReply;
use api::peer::{Access, Awaited, Turn, Wait};
use bytes::Bytes;
use prost::Message;
use proto_redis::blocking::{NOTHING, UNBLOCKED};
use proto_redis::{Form, Reply, fault_error};
use tokio::time::Instant;
use types::{ErrorCode, Fault, GroupId};

use super::Call;
use super::pipeline::{Outcome, decode};

/// A command that waits.
pub(crate) struct Blocked {
    /// Its slot in the pipeline.
    pub(crate) slot: u64,
    group: GroupId,
    /// The command that does not wait.
    pop: Bytes,
    form: Form,
    wait: Wait,
    deadline: Option<Instant>,
    phase: Phase,
    /// A leader may know of it.
    in_line: bool,
    /// It is over if the pop that is under way finds nothing.
    ending: Option<Ending>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Popping,
    Waiting,
}

/// Why a wait ends with nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Its time is up, or another client says so.
    TimeUp,
    /// Another client ends it with an error.
    Unblocked,
}

/// What comes next.
pub(crate) enum Next {
    /// This request.
    Ask(Call),
    /// Nothing: this is the reply.
    Over(Reply),
}

impl Blocked {
    /// A command that begins. `keys` are those it waits for, under a number that no other wait of this node has.
    pub(crate) fn new(
        slot: u64,
        (group, pop, form): (GroupId, Bytes, Form),
        (awaited, keys): (Awaited, Vec<Bytes>),
        (number, since_millis): (u64, u64),
        deadline: Option<Instant>,
    ) -> Self {
        let wait = Wait { wait: number, awaited: awaited as i32, keys, since_millis, over: false };
        Self { slot, group, pop, form, wait, deadline, phase: Phase::Popping, in_line: false, ending: None }
    }

    /// The first request.
    pub(crate) fn begin(&mut self) -> Call {
        self.phase = Phase::Popping;
        Call { group: self.group, access: Access::Write, body: self.pop.clone() }
    }

    /// What follows from the outcome of the request that was under way.
    pub(crate) fn on_outcome(&mut self, outcome: Outcome) -> Next {
        match self.phase {
            Phase::Popping => match outcome.and_then(|bytes| decode(&bytes)) {
                Ok(reply) if reply == KvReply::nil() => match self.ending {
                    Some(ending) => Next::Over(ending.reply()),
                    None => self.wait(),
                },
                outcome => Next::Over(self.form.reply(outcome)),
            },
            Phase::Waiting => match outcome.map(Turn::decode) {
                Ok(Ok(Turn { come: true })) => Next::Ask(self.begin()),
                Ok(Ok(Turn { come: false })) => self.wait(),
                Ok(Err(error)) => {
                    let fault = Fault::new(ErrorCode::Internal, format!("an answer to a wait: {error}"));
                    Next::Over(fault_error(&fault).into())
                }
                Err(fault) => Next::Over(fault_error(&fault).into()),
            },
        }
    }

    /// It is to end with nothing. The reply, unless a pop is under way.
    pub(crate) fn end(&mut self, ending: Ending) -> Option<Reply> {
        self.ending = self.ending.or(Some(ending));
        (self.phase == Phase::Waiting).then(|| ending.reply())
    }

    /// When its time is up.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline.filter(|_| self.ending.is_none())
    }

    /// What is to be sent when it is over, so that others need not wait behind it.
    pub(crate) fn farewell(&self) -> Option<Call> {
        let over = Wait { keys: Vec::new(), over: true, ..self.wait.clone() };
        self.in_line.then(|| Call {
            group: self.group,
            access: Access::Wait,
            body: over.encode_to_vec().into(),
        })
    }

    fn wait(&mut self) -> Next {
        self.phase = Phase::Waiting;
        self.in_line = true;
        Next::Ask(Call { group: self.group, access: Access::Wait, body: self.wait.encode_to_vec().into() })
    }
}

impl Ending {
    fn reply(self) -> Reply {
        match self {
            Ending::TimeUp => NOTHING,
            Ending::Unblocked => UNBLOCKED.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proto_redis::form::Shape;

    use super::*;

    fn blocked(deadline: Option<Instant>) -> Blocked {
        let form = Form { shape: Shape::Plain, command: "blmove" };
        let pop = (GroupId(1), Bytes::from_static(b"pop"), form);
        Blocked::new(1, pop, (Awaited::Lists, vec![Bytes::from_static(b"k")]), (7, 1000), deadline)
    }

    fn asked(next: Next) -> Call {
        match next {
            Next::Ask(call) => call,
            Next::Over(reply) => panic!("{reply:?}"),
        }
    }

    fn over(next: Next) -> Reply {
        match next {
            Next::Over(reply) => reply,
            Next::Ask(call) => panic!("{call:?}"),
        }
    }

    fn nil() -> Outcome {
        Ok(KvReply::nil().encode_to_vec().into())
    }

    fn told(come: bool) -> Outcome {
        Ok(Turn { come }.encode_to_vec().into())
    }

    #[test]
    fn it_pops_waits_and_pops_again() {
        let mut blocked = blocked(None);
        assert_eq!(blocked.begin().body, "pop");
        assert_eq!(blocked.farewell(), None, "nobody knows of it");
        let call = asked(blocked.on_outcome(nil()));
        let wait = Wait::decode(call.body).unwrap();
        assert_eq!((call.access, wait.wait, wait.since_millis, wait.over), (Access::Wait, 7, 1000, false));
        assert_eq!(asked(blocked.on_outcome(told(false))).access, Access::Wait);
        assert_eq!(asked(blocked.on_outcome(told(true))).body, "pop");
        assert_eq!(asked(blocked.on_outcome(nil())).access, Access::Wait, "somebody was faster");
        assert_eq!(asked(blocked.on_outcome(told(true))).access, Access::Write);
        let value = KvReply::value("x").encode_to_vec().into();
        assert_eq!(over(blocked.on_outcome(Ok(value))), Reply::text("x"));
        assert!(Wait::decode(blocked.farewell().unwrap().body).unwrap().over);
    }

    #[test]
    fn an_element_on_its_way_is_delivered_though_the_time_is_up() {
        let mut blocked = blocked(Some(Instant::now() + Duration::from_secs(1)));
        blocked.begin();
        assert_eq!(blocked.end(Ending::TimeUp), None);
        assert_eq!(blocked.deadline(), None, "once is enough");
        let value = KvReply::value("x").encode_to_vec().into();
        assert_eq!(over(blocked.on_outcome(Ok(value))), Reply::text("x"));
    }

    #[test]
    fn it_ends_with_nothing_or_with_an_error() {
        for (ending, reply) in [(Ending::TimeUp, NOTHING), (Ending::Unblocked, UNBLOCKED.into())] {
            let mut popping = blocked(None);
            popping.begin();
            assert_eq!(popping.end(ending), None);
            assert_eq!(over(popping.on_outcome(nil())), reply);
            let mut waiting = blocked(None);
            waiting.begin();
            asked(waiting.on_outcome(nil()));
            assert_eq!(waiting.end(ending), Some(reply));
        }
    }

    #[test]
    fn whatever_is_wrong_ends_it() {
        let mut popping = blocked(None);
        popping.begin();
        assert!(over(popping.on_outcome(Err(ErrorCode::OutcomeUnknown.into()))).is_error());
        for outcome in [Err(ErrorCode::NoLeader.into()), Ok(Bytes::from_static(b"\xff"))] {
            let mut waiting = blocked(None);
            waiting.begin();
            asked(waiting.on_outcome(nil()));
            assert!(over(waiting.on_outcome(outcome)).is_error());
        }
    }
}
