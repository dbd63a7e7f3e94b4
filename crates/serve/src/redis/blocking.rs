//! A command that waits for an element, as a connection has it: its slot, its deadline, and how its end reads. What
//! comes next is decided by [`proto_redis::blocked`].

use api::peer::Awaited;
use bytes::Bytes;
pub(crate) use proto_redis::blocked::Ending;
use proto_redis::blocking::{NOTHING, UNBLOCKED};
use proto_redis::{Form, Reply, blocked};
use tokio::time::Instant;
use types::GroupId;

use super::Call;
use super::pipeline::{Outcome, decode};

/// A command that waits.
pub(crate) struct Blocked {
    /// Its slot in the pipeline.
    pub(crate) slot: u64,
    group: GroupId,
    command: blocked::Blocked,
    form: Form,
    deadline: Option<Instant>,
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
        awaited: (Awaited, Vec<Bytes>),
        number: (u64, u64),
        deadline: Option<Instant>,
    ) -> Self {
        Self { slot, group, command: blocked::Blocked::new(pop, awaited, number), form, deadline }
    }

    /// The first request.
    pub(crate) fn begin(&mut self) -> Call {
        let first = self.command.begin();
        self.call(first)
    }

    /// What follows from the outcome of the request that was under way.
    pub(crate) fn on_outcome(&mut self, outcome: Outcome) -> Next {
        match self.command.on_outcome(outcome) {
            blocked::Next::Ask(ask) => Next::Ask(self.call(ask)),
            blocked::Next::Over(outcome) => {
                Next::Over(self.form.reply(outcome.and_then(|bytes| decode(&bytes))))
            }
            blocked::Next::Ended(ending) => Next::Over(reply(ending)),
        }
    }

    /// It is to end with nothing. The reply, unless a pop is under way.
    pub(crate) fn end(&mut self, ending: Ending) -> Option<Reply> {
        self.command.end(ending).then(|| reply(ending))
    }

    /// When its time is up; once is enough.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline.filter(|_| !self.command.is_ending())
    }

    /// What is to be sent when it is over, so that others need not wait behind it.
    pub(crate) fn farewell(&self) -> Option<Call> {
        self.command.farewell().map(|ask| self.call(ask))
    }

    fn call(&self, blocked::Ask { access, body }: blocked::Ask) -> Call {
        Call { group: self.group, access, body }
    }
}

fn reply(ending: Ending) -> Reply {
    match ending {
        Ending::TimeUp => NOTHING,
        Ending::Unblocked => UNBLOCKED.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use api::kv::KvReply;
    use prost::Message;
    use proto_redis::form::Shape;
    use types::ErrorCode;

    use super::*;

    fn blocked(deadline: Option<Instant>) -> Blocked {
        let form = Form { shape: Shape::Plain, command: "blmove" };
        let pop = (GroupId(1), Bytes::from_static(b"pop"), form);
        Blocked::new(1, pop, (Awaited::Lists, vec![Bytes::from_static(b"k")]), (7, 1000), deadline)
    }

    fn over(next: Next) -> Reply {
        match next {
            Next::Over(reply) => reply,
            Next::Ask(call) => panic!("{call:?}"),
        }
    }

    fn replied(reply: KvReply) -> Outcome {
        Ok(reply.encode_to_vec().into())
    }

    #[test]
    fn its_end_reads_as_its_command_and_its_reason_say() {
        let mut found = blocked(Some(Instant::now() + Duration::from_secs(1)));
        found.begin();
        assert!(found.deadline().is_some());
        assert_eq!(found.end(Ending::TimeUp), None);
        assert_eq!(found.deadline(), None, "once is enough");
        assert_eq!(over(found.on_outcome(replied(KvReply::value("x")))), Reply::text("x"));
        for (ending, wanted) in [(Ending::TimeUp, NOTHING), (Ending::Unblocked, UNBLOCKED.into())] {
            let mut popping = blocked(None);
            popping.begin();
            assert_eq!(popping.end(ending), None);
            assert_eq!(over(popping.on_outcome(replied(KvReply::nil()))), wanted);
            let mut waiting = blocked(None);
            waiting.begin();
            assert!(matches!(waiting.on_outcome(replied(KvReply::nil())), Next::Ask(_)));
            assert_eq!(waiting.end(ending), Some(wanted));
        }
        let mut failed = blocked(None);
        failed.begin();
        assert!(over(failed.on_outcome(Err(ErrorCode::OutcomeUnknown.into()))).is_error());
    }
}
