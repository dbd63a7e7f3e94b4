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
//! The waiting itself is done at the leader, by `node::line`. Whoever serves the client sends the requests and says when
//! its time is up.

use api::kv::KvReply;
use api::mutant;
use api::peer::{Access, Awaited, Turn, Wait};
use bytes::Bytes;
use prost::Message;
use types::{ErrorCode, Fault};

/// A command that waits.
pub struct Blocked {
    /// The command that does not wait.
    pop: Bytes,
    wait: Wait,
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
pub enum Ending {
    /// Its time is up, or another client says so.
    TimeUp,
    /// Another client ends it with an error.
    Unblocked,
}

/// A request to the leader of its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// What it needs.
    pub access: Access,
    /// Its bytes.
    pub body: Bytes,
}

/// What comes next.
#[derive(Debug)]
pub enum Next {
    /// This request.
    Ask(Ask),
    /// Nothing: a pop found something or failed, or the wait failed.
    Over(Result<Bytes, Fault>),
    /// Nothing: it ends without anything.
    Ended(Ending),
}

impl Blocked {
    /// A command that begins: the request that pops; what it waits for and the keys; under a number that no other wait
    /// of this node has, and since when, in milliseconds since 1970.
    pub fn new(
        pop: Bytes,
        (awaited, keys): (Awaited, Vec<Bytes>),
        (number, since_millis): (u64, u64),
    ) -> Self {
        let wait = Wait { wait: number, awaited: awaited as i32, keys, since_millis, over: false };
        Self { pop, wait, phase: Phase::Popping, in_line: false, ending: None }
    }

    /// The first request.
    pub fn begin(&mut self) -> Ask {
        self.phase = Phase::Popping;
        Ask { access: Access::Write, body: self.pop.clone() }
    }

    /// What follows from the outcome of the request that was under way.
    pub fn on_outcome(&mut self, outcome: Result<Bytes, Fault>) -> Next {
        match (self.phase, outcome) {
            (_, Err(fault)) => Next::Over(Err(fault)),
            (Phase::Popping, Ok(reply)) => match (is_nothing(&reply), self.ending) {
                (true, Some(ending)) => Next::Ended(ending),
                (true, None) => Next::Ask(self.wait()),
                (false, _) => Next::Over(Ok(reply)),
            },
            (Phase::Waiting, Ok(turn)) => match Turn::decode(turn) {
                Ok(Turn { come: true }) => Next::Ask(self.begin()),
                Ok(Turn { come: false }) => Next::Ask(self.wait()),
                Err(error) => {
                    let detail = format!("an answer to a wait: {error}");
                    Next::Over(Err(Fault::new(ErrorCode::Internal, detail)))
                }
            },
        }
    }

    /// It is to end with nothing. Whether it does so now, because no pop is under way.
    pub fn end(&mut self, ending: Ending) -> bool {
        self.ending = self.ending.or(Some(ending));
        self.phase == Phase::Waiting || mutant!(EndsThoughPopping)
    }

    /// Whether it is to end as soon as a pop finds nothing.
    pub fn is_ending(&self) -> bool {
        self.ending.is_some()
    }

    /// What is to be sent when it is over, so that others need not wait behind it.
    pub fn farewell(&self) -> Option<Ask> {
        let over = Wait { keys: Vec::new(), over: true, ..self.wait.clone() };
        self.in_line.then(|| Ask { access: Access::Wait, body: over.encode_to_vec().into() })
    }

    fn wait(&mut self) -> Ask {
        self.phase = Phase::Waiting;
        self.in_line = true;
        Ask { access: Access::Wait, body: self.wait.encode_to_vec().into() }
    }
}

/// Whether a pop found nothing. What cannot be read is for whoever shows it to the client.
fn is_nothing(reply: &Bytes) -> bool {
    KvReply::decode(reply.clone()).is_ok_and(|reply| reply == KvReply::nil())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocked() -> Blocked {
        Blocked::new(Bytes::from_static(b"pop"), (Awaited::Lists, vec![Bytes::from_static(b"k")]), (7, 1000))
    }

    fn asked(next: Next) -> Ask {
        match next {
            Next::Ask(call) => call,
            other => panic!("{other:?}"),
        }
    }

    fn over(next: Next) -> Result<KvReply, Fault> {
        match next {
            Next::Over(outcome) => outcome.map(|reply| KvReply::decode(reply).unwrap()),
            other => panic!("{other:?}"),
        }
    }

    fn replied(reply: KvReply) -> Result<Bytes, Fault> {
        Ok(reply.encode_to_vec().into())
    }

    fn told(come: bool) -> Result<Bytes, Fault> {
        Ok(Turn { come }.encode_to_vec().into())
    }

    #[test]
    fn it_pops_waits_and_pops_again() {
        let mut blocked = blocked();
        assert_eq!(blocked.begin().body, "pop");
        assert!(blocked.farewell().is_none(), "nobody knows of it");
        let call = asked(blocked.on_outcome(replied(KvReply::nil())));
        let wait = Wait::decode(call.body).unwrap();
        assert_eq!((call.access, wait.wait, wait.since_millis, wait.over), (Access::Wait, 7, 1000, false));
        assert_eq!(asked(blocked.on_outcome(told(false))).access, Access::Wait);
        assert_eq!(asked(blocked.on_outcome(told(true))).body, "pop");
        let again = asked(blocked.on_outcome(replied(KvReply::nil())));
        assert_eq!(again.access, Access::Wait, "somebody was faster");
        assert_eq!(asked(blocked.on_outcome(told(true))).access, Access::Write);
        assert_eq!(over(blocked.on_outcome(replied(KvReply::value("x")))), Ok(KvReply::value("x")));
        assert!(Wait::decode(blocked.farewell().unwrap().body).unwrap().over);
    }

    #[test]
    fn an_element_on_its_way_is_delivered_though_the_time_is_up() {
        let mut blocked = blocked();
        blocked.begin();
        assert!(!blocked.end(Ending::TimeUp));
        assert!(blocked.is_ending());
        assert_eq!(over(blocked.on_outcome(replied(KvReply::value("x")))), Ok(KvReply::value("x")));
    }

    #[test]
    fn it_ends_with_nothing_for_the_first_reason() {
        for ending in [Ending::TimeUp, Ending::Unblocked] {
            let mut popping = blocked();
            popping.begin();
            assert!(!popping.end(ending));
            popping.end(Ending::Unblocked);
            match popping.on_outcome(replied(KvReply::nil())) {
                Next::Ended(found) => assert_eq!(found, ending),
                other => panic!("{other:?}"),
            }
            let mut waiting = blocked();
            waiting.begin();
            asked(waiting.on_outcome(replied(KvReply::nil())));
            assert!(waiting.end(ending));
        }
    }

    #[test]
    fn whatever_is_wrong_ends_it() {
        let mut popping = blocked();
        popping.begin();
        let unknown = Fault::from(ErrorCode::OutcomeUnknown);
        assert_eq!(over(popping.on_outcome(Err(unknown.clone()))), Err(unknown));
        for (outcome, code) in [
            (Err(ErrorCode::NoLeader.into()), ErrorCode::NoLeader),
            (Ok(Bytes::from_static(b"\xff")), ErrorCode::Internal),
        ] {
            let mut waiting = blocked();
            waiting.begin();
            asked(waiting.on_outcome(replied(KvReply::nil())));
            assert_eq!(over(waiting.on_outcome(outcome)).unwrap_err().code, code);
        }
    }
}
