//! Replies in the order of commands, and which commands may be in flight together.
//!
//! ```text
//!   commands    SET a   SET b   GET c   GET a
//!                 │       │       │       ✋ waits: SET a is not answered
//!   slots      [open 7][open 8][ready ]
//!                          │
//!   out  ◀── nothing may leave before slot 7
//! ```
//!
//! A reply that is known while nothing is open before it goes straight to `out`; that is every reply of a
//! client that only reads. Otherwise it waits in a slot.

use std::collections::VecDeque;

use api::kv::KvReply;
use api::peer::Access;
use bytes::{Bytes, BytesMut};
use prost::Message;
use proto_redis::info::Sections;
use proto_redis::lookups::{Lookup, Lookups};
use proto_redis::transaction::{ExecReply, Watch};
use proto_redis::{ErrorText, Form, Gather, Reply, ReplyMode, Target, Walk, fault_error};
use types::limits::{self, CLIENT_OUTPUT_BYTES_MAX};
use types::{ErrorCode, Fault, GroupId};

use super::statistics::{Counted, Start, Started};

/// What became of a request.
pub(crate) type Outcome = Result<Bytes, Fault>;

/// Names a request of a connection: the slot of its command, and the part of the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CallName {
    /// The slot.
    pub(crate) slot: u64,
    /// The part.
    pub(crate) part: u32,
}

/// What an unfinished command waits for.
pub(crate) enum Work {
    /// One request.
    Keyed { group: GroupId, access: Access, form: Form },
    /// One request after another until there is something.
    Block { group: GroupId },
    /// One request that is a transaction.
    Exec { group: GroupId, reply: ExecReply },
    /// One request per part.
    Parts(Parts),
    /// One request after another.
    Walk { walk: Box<Walk>, targets: Vec<Target>, at: u32 },
}

/// The parts of a command, those answered and those not.
pub(crate) struct Parts {
    /// Where each part went.
    pub(crate) calls: Vec<(GroupId, Access)>,
    /// By part.
    pub(crate) outcomes: Vec<Option<Result<KvReply, Fault>>>,
    /// What becomes of them.
    pub(crate) finish: Finish,
}

/// What becomes of the outcomes of all parts.
pub(crate) enum Finish {
    /// A reply that is put together from them.
    Gather(Gather),
    /// `INFO`; they are the numbers of keys.
    Info(Sections),
    /// `WATCH`; they are the versions of the keys.
    Watch(Watch),
}

/// What a completed request leads to.
pub(crate) enum Next {
    /// Others are still open, or the command is answered.
    Nothing,
    /// All parts of this command are there: make its reply and [`Pipeline::answer`] it.
    Finish { slot: u64, parts: Parts },
    /// A command that waits goes on, or ends with [`Pipeline::end_block`].
    Block { outcome: Outcome },
    /// A transaction is over: make its reply and [`Pipeline::answer`] it.
    Exec { slot: u64, reply: ExecReply, outcome: Result<KvReply, Fault> },
    /// Take the next step of a walk and call [`Pipeline::walk_on`] or [`Pipeline::answer`].
    Walk { slot: u64, walk: Box<Walk>, targets: Vec<Target>, at: u32, outcome: Result<KvReply, Fault> },
}

enum Slot {
    /// Encoded replies of one or several commands.
    Ready(BytesMut),
    /// A command without its reply. `None`: its work is with the caller for a moment.
    Open { number: u64, mode: ReplyMode, work: Option<Work>, started: Option<Started>, lookup: Lookup },
}

/// See the module.
#[derive(Default)]
pub(crate) struct Pipeline {
    /// Replies that may leave.
    out: BytesMut,
    slots: VecDeque<Slot>,
    /// The number of the next slot that is opened.
    next: u64,
    open: OpenCalls,
    /// Bytes in ready slots.
    waiting_bytes: usize,
    /// What the reply to the newest command tells of keys.
    lookup: Lookup,
    lookups: Lookups,
    errors: Vec<ErrorText>,
    /// Commands that were answered since they were last asked for.
    answered: Vec<Started>,
}

/// Requests that are not answered, by group.
#[derive(Default)]
struct OpenCalls {
    groups: Vec<OpenGroup>,
    /// A walk is under way; it goes everywhere.
    walks: usize,
}

struct OpenGroup {
    group: GroupId,
    reads: u32,
    writes: u32,
}

impl Pipeline {
    /// Whether a request may begin now without changing the order that the client sees.
    pub(crate) fn may_start(&self, group: GroupId, access: Access) -> bool {
        self.open.walks == 0
            && self.open.groups.iter().find(|open| open.group == group).is_none_or(|open| match access {
                Access::Write => open.reads == 0,
                Access::Read | Access::StaleRead | Access::Wait => open.writes == 0,
            })
    }

    /// Whether nothing is open.
    pub(crate) fn is_idle(&self) -> bool {
        self.open.walks == 0 && self.open.groups.is_empty()
    }

    /// How many commands are open or wait for one that is, at most.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Bytes of replies that are not sent.
    pub(crate) fn bytes(&self) -> usize {
        self.out.len() + self.waiting_bytes
    }

    /// What may be sent; the caller removes from its front what it has sent.
    pub(crate) fn out(&mut self) -> &mut BytesMut {
        &mut self.out
    }

    /// Error replies since the last call to [`Pipeline::drain_errors`].
    pub(crate) fn errors(&self) -> &[ErrorText] {
        &self.errors
    }

    /// Forgets the error replies.
    pub(crate) fn drain_errors(&mut self) {
        self.errors.clear();
    }

    /// Keys that were looked up since the last call.
    pub(crate) fn take_lookups(&mut self) -> Lookups {
        std::mem::take(&mut self.lookups)
    }

    /// What the reply to the next command will tell of keys.
    pub(crate) fn expect(&mut self, lookup: Lookup) {
        self.lookup = lookup;
    }

    /// How many slots have been opened so far.
    pub(crate) fn opened(&self) -> u64 {
        self.next
    }

    /// Notes when the command that was opened last began, and its words. What kind of command it is follows from
    /// its work.
    pub(crate) fn note_started(&mut self, start: Start) {
        let Start { at, bytes, packed, call, .. } = start;
        let newest = self.next.wrapping_sub(1);
        let Some(Slot::Open { work, started, .. }) = self.slot(newest) else { return };
        let counted = match work {
            // It takes as long as nobody brings anything.
            Some(Work::Block { .. }) => return,
            Some(Work::Keyed { group, access: Access::Write, .. }) => Counted::Write(*group, bytes),
            // As a `DEL` of one key.
            Some(Work::Parts(parts)) => match parts.calls[..] {
                [(group, Access::Write)] => Counted::Write(group, bytes),
                _ => Counted::No,
            },
            Some(Work::Walk { .. }) => Counted::Scan,
            _ => Counted::No,
        };
        *started = Some(Started { at, packed, counted, call, failed: false });
    }

    /// Moves commands that were answered to where they are counted.
    pub(crate) fn drain_answered(&mut self, into: &mut Vec<Started>) {
        into.append(&mut self.answered);
    }

    /// Adds the reply of the newest command.
    pub(crate) fn reply(&mut self, reply: &Reply, mode: ReplyMode) {
        self.count(self.lookup, reply);
        if self.slots.is_empty() {
            encode(reply, mode, &mut self.out);
            return;
        }
        if !matches!(self.slots.back(), Some(Slot::Ready(_))) {
            self.slots.push_back(Slot::Ready(BytesMut::new()));
        }
        if let Some(Slot::Ready(bytes)) = self.slots.back_mut() {
            let before = bytes.len();
            encode(reply, mode, bytes);
            self.waiting_bytes += bytes.len() - before;
        }
    }

    /// Opens a slot for the newest command. Its requests are named by the returned number.
    pub(crate) fn open(&mut self, mode: ReplyMode, work: Work) -> u64 {
        let number = self.next;
        self.next += 1;
        self.open.add(&work);
        let lookup = self.lookup;
        self.slots.push_back(Slot::Open { number, mode, work: Some(work), started: None, lookup });
        number
    }

    /// Takes the outcome of a request.
    pub(crate) fn complete(&mut self, call: CallName, outcome: Outcome) -> Next {
        let Some(Slot::Open { work, .. }) = self.slot(call.slot) else { return Next::Nothing };
        if matches!(work, Some(Work::Block { .. })) {
            return Next::Block { outcome };
        }
        if let Some(Work::Keyed { group, access, form }) =
            work.take_if(|work| matches!(work, Work::Keyed { .. }))
        {
            self.open.remove(group, access);
            self.answer(call.slot, &reply_of(&form, outcome));
            return Next::Nothing;
        }
        let outcome = outcome.and_then(|bytes| decode(&bytes));
        match work.take() {
            Some(Work::Exec { group, reply }) => {
                self.open.remove(group, Access::Write);
                Next::Exec { slot: call.slot, reply, outcome }
            }
            Some(Work::Parts(mut parts)) => {
                let Some((&(group, access), place)) =
                    parts.calls.get(call.part as usize).zip(parts.outcomes.get_mut(call.part as usize))
                else {
                    return Next::Nothing;
                };
                *place = Some(outcome);
                if parts.outcomes.iter().all(Option::is_some) {
                    self.open.remove(group, access);
                    return Next::Finish { slot: call.slot, parts };
                }
                *work = Some(Work::Parts(parts));
                self.open.remove(group, access);
                Next::Nothing
            }
            Some(Work::Walk { walk, targets, at }) => {
                Next::Walk { slot: call.slot, walk, targets, at, outcome }
            }
            Some(Work::Keyed { .. } | Work::Block { .. }) | None => Next::Nothing,
        }
    }

    /// Puts a walk back that asks its next question.
    pub(crate) fn walk_on(&mut self, slot: u64, walk: Box<Walk>, targets: Vec<Target>, at: u32) {
        if let Some(Slot::Open { work, .. }) = self.slot(slot) {
            *work = Some(Work::Walk { walk, targets, at });
        }
    }

    /// The walk of a slot is over.
    pub(crate) fn end_walk(&mut self, slot: u64, reply: &Reply) {
        self.open.walks -= 1;
        self.answer(slot, reply);
    }

    /// The command of a slot waits no more.
    pub(crate) fn end_block(&mut self, slot: u64, reply: &Reply) {
        if let Some(Slot::Open { work, .. }) = self.slot(slot)
            && let Some(Work::Block { group }) = work.take()
        {
            self.open.remove(group, Access::Write);
            self.answer(slot, reply);
        }
    }

    /// The reply of an open command; whatever it held up moves on.
    pub(crate) fn answer(&mut self, number: u64, reply: &Reply) {
        let Some(place) = self.place(number) else { return };
        let Slot::Open { mode, started, lookup, .. } = &mut self.slots[place] else { return };
        let (mode, lookup) = (*mode, *lookup);
        let failed = reply.is_error();
        self.answered.extend(started.take().map(|started| Started { failed, ..started }));
        self.count(lookup, reply);
        if place == 0 {
            self.slots.pop_front();
            encode(reply, mode, &mut self.out);
            self.advance();
        } else {
            let mut bytes = BytesMut::new();
            encode(reply, mode, &mut bytes);
            self.waiting_bytes += bytes.len();
            self.slots[place] = Slot::Ready(bytes);
        }
    }

    fn count(&mut self, lookup: Lookup, reply: &Reply) {
        match reply {
            Reply::Error(error) => self.errors.push(error.clone()),
            reply => self.lookups.add(lookup, reply),
        }
    }

    /// Moves ready replies at the front to `out`.
    fn advance(&mut self) {
        while let Some(Slot::Ready(bytes)) = self.slots.front() {
            self.waiting_bytes -= bytes.len();
            self.out.extend_from_slice(bytes);
            self.slots.pop_front();
        }
    }

    fn slot(&mut self, number: u64) -> Option<&mut Slot> {
        let place = self.place(number)?;
        self.slots.get_mut(place)
    }

    /// Where an open slot is. Near the front, most often.
    fn place(&self, number: u64) -> Option<usize> {
        self.slots.iter().position(|slot| matches!(slot, Slot::Open { number: n, .. } if *n == number))
    }
}

impl OpenCalls {
    fn add(&mut self, work: &Work) {
        match work {
            Work::Keyed { group, access, .. } => self.count(*group, *access),
            Work::Exec { group, .. } | Work::Block { group } => self.count(*group, Access::Write),
            Work::Parts(parts) => {
                // Parts that are answered already are not open.
                for (call, outcome) in parts.calls.iter().zip(&parts.outcomes) {
                    if outcome.is_none() {
                        self.count(call.0, call.1);
                    }
                }
            }
            Work::Walk { .. } => self.walks += 1,
        }
    }

    fn count(&mut self, group: GroupId, access: Access) {
        let place = self.groups.iter().position(|open| open.group == group).unwrap_or_else(|| {
            self.groups.push(OpenGroup { group, reads: 0, writes: 0 });
            self.groups.len() - 1
        });
        *self.groups[place].counter(access) += 1;
    }

    fn remove(&mut self, group: GroupId, access: Access) {
        if let Some(place) = self.groups.iter().position(|open| open.group == group) {
            *self.groups[place].counter(access) -= 1;
            if self.groups[place].reads == 0 && self.groups[place].writes == 0 {
                self.groups.swap_remove(place);
            }
        }
    }
}

impl OpenGroup {
    fn counter(&mut self, access: Access) -> &mut u32 {
        match access {
            Access::Write => &mut self.writes,
            Access::Read | Access::StaleRead | Access::Wait => &mut self.reads,
        }
    }
}

/// Appends a reply. One that no client could be sent becomes an error.
fn encode(reply: &Reply, mode: ReplyMode, out: &mut BytesMut) {
    if mode.silent {
        return;
    }
    let before = out.len();
    reply.encode(mode.protocol, out);
    let bytes = out.len() - before;
    if bytes > CLIENT_OUTPUT_BYTES_MAX {
        out.truncate(before);
        let detail = format!("a reply of {bytes} bytes, at most {CLIENT_OUTPUT_BYTES_MAX} are sent at once");
        let fault = Fault::new(ErrorCode::RequestTooLarge, detail);
        Reply::Error(fault_error(&fault)).encode(mode.protocol, out);
    }
}

/// The reply to the client of a command that is one request.
pub(crate) fn reply_of(form: &Form, outcome: Outcome) -> Reply {
    let packed = outcome.as_ref().ok().filter(|bytes| bytes.len() <= limits::REPLY_PART_BYTES_MAX);
    let packed = packed.and_then(|bytes| form.packed(bytes));
    packed.unwrap_or_else(|| form.reply(outcome.and_then(|bytes| decode(&bytes))))
}

/// The engine's reply in the bytes that the backend gave.
///
/// # Errors
/// `RequestTooLarge` for a reply that could not have come from another node: a command must not depend on
/// which node it is sent to. `Internal` if it cannot be read.
pub(crate) fn decode(bytes: &Bytes) -> Result<KvReply, Fault> {
    if bytes.len() > limits::REPLY_PART_BYTES_MAX {
        let detail = format!(
            "a reply of {} bytes from one partition, and up to {} are allowed: ask for less at once",
            bytes.len(),
            limits::REPLY_PART_BYTES_MAX
        );
        return Err(Fault::new(ErrorCode::RequestTooLarge, detail));
    }
    KvReply::decode(bytes.clone())
        .map_err(|error| Fault::new(ErrorCode::Internal, format!("a reply that cannot be read: {error}")))
}

#[cfg(test)]
mod tests {
    use env::Moment;
    use proto_redis::Protocol;
    use proto_redis::form::Shape;

    use super::*;

    const MODE: ReplyMode = ReplyMode { protocol: Protocol::Resp2, silent: false, close: false };
    const A: GroupId = GroupId(1);
    const B: GroupId = GroupId(2);

    fn keyed(group: GroupId, access: Access) -> Work {
        Work::Keyed { group, access, form: Form { shape: Shape::Plain, command: "x" } }
    }

    fn number(n: i64) -> Result<Bytes, Fault> {
        Ok(KvReply::integer(n).encode_to_vec().into())
    }

    fn name(slot: u64) -> CallName {
        CallName { slot, part: 0 }
    }

    fn sent(pipeline: &mut Pipeline) -> String {
        String::from_utf8(pipeline.out().split().to_vec()).unwrap()
    }

    #[test]
    fn replies_leave_in_the_order_of_commands() {
        let mut pipeline = Pipeline::default();
        pipeline.reply(&Reply::Integer(0), MODE);
        let one = pipeline.open(MODE, keyed(A, Access::Write));
        let two = pipeline.open(MODE, keyed(A, Access::Write));
        pipeline.reply(&Reply::Integer(3), MODE);
        pipeline.reply(&Reply::Integer(4), ReplyMode { silent: true, ..MODE });
        let five = pipeline.open(ReplyMode { silent: true, ..MODE }, keyed(B, Access::Write));
        pipeline.reply(&Reply::Integer(6), MODE);
        assert_eq!(sent(&mut pipeline), ":0\r\n");
        pipeline.complete(name(two), number(2));
        assert_eq!((sent(&mut pipeline).as_str(), pipeline.bytes()), ("", 12));
        pipeline.complete(name(one), number(1));
        assert_eq!(sent(&mut pipeline), ":1\r\n:2\r\n:3\r\n");
        pipeline.complete(name(five), number(5));
        pipeline.complete(name(five), number(5));
        assert_eq!((sent(&mut pipeline).as_str(), pipeline.bytes(), pipeline.len()), (":6\r\n", 0, 0));
        assert!(pipeline.is_idle());
    }

    fn start(at: Moment, bytes: usize, packed: &[u8]) -> Start {
        Start { at, bytes, packed: packed.to_vec(), call: None, lookup: Lookup::None }
    }

    #[test]
    fn what_is_answered_can_be_counted_once() {
        let mut pipeline = Pipeline::default();
        let write = pipeline.open(MODE, keyed(A, Access::Write));
        pipeline.note_started(start(Moment(7), 30, b"words"));
        let read = pipeline.open(MODE, keyed(B, Access::Read));
        pipeline.note_started(start(Moment(8), 20, b""));
        let mut answered = Vec::new();
        pipeline.drain_answered(&mut answered);
        assert!(answered.is_empty());
        pipeline.complete(name(read), number(1));
        pipeline.complete(name(write), number(1));
        pipeline.complete(name(write), number(1));
        pipeline.drain_answered(&mut answered);
        let counted: Vec<_> = answered.iter().map(|started| (started.at, started.counted)).collect();
        assert_eq!(counted, [(Moment(8), Counted::No), (Moment(7), Counted::Write(A, 30))]);
        assert_eq!(pipeline.opened(), 2);
    }

    #[test]
    fn only_what_keeps_the_order_may_start() {
        let mut pipeline = Pipeline::default();
        let write = pipeline.open(MODE, keyed(A, Access::Write));
        assert!(pipeline.may_start(A, Access::Write) && pipeline.may_start(B, Access::Read));
        assert!(!pipeline.may_start(A, Access::Read), "it would not see the write");
        pipeline.complete(name(write), number(1));
        let read = pipeline.open(MODE, keyed(A, Access::Read));
        assert!(pipeline.may_start(A, Access::Read));
        assert!(!pipeline.may_start(A, Access::Write), "the read would see it");
        pipeline.complete(name(read), Err(ErrorCode::NoLeader.into()));
        assert!(pipeline.may_start(A, Access::Write));
        assert_eq!(pipeline.errors().len(), 1);
    }

    #[test]
    fn parts_are_answered_when_all_are_there() {
        let mut pipeline = Pipeline::default();
        let parts = Parts {
            calls: vec![(A, Access::Write), (B, Access::Write)],
            outcomes: vec![None, None],
            finish: Finish::Gather(proto_redis::Everywhere::Flush.parts([]).1),
        };
        let slot = pipeline.open(MODE, Work::Parts(parts));
        assert!(matches!(pipeline.complete(CallName { slot, part: 1 }, number(1)), Next::Nothing));
        assert!(pipeline.may_start(B, Access::Read) && !pipeline.may_start(A, Access::Read));
        assert!(matches!(pipeline.complete(CallName { slot, part: 0 }, number(1)), Next::Finish { .. }));
        pipeline.answer(slot, &Reply::OK);
        assert_eq!(sent(&mut pipeline), "+OK\r\n");
        assert!(pipeline.is_idle());
    }
}
