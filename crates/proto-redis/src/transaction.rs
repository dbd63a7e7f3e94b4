//! Transactions: `MULTI`, `EXEC`, `DISCARD`, `WATCH` and `UNWATCH`.
//!
//! ```text
//!   WATCH k      read k's version at its leader ──▶ Session: k is watched at this version
//!   MULTI        Session: a queue
//!   SET k v      QUEUED; arguments are kept, not a plan: HELLO and AUTH change the session when they run
//!   GET k        QUEUED
//!   EXEC         Exec: parse what is queued ──▶ one operation { watched, requests } for one partition
//!                                                         │
//!                [OK, v]  ◀── each reply in its own form ─┴─▶ nil if a watched key has changed
//! ```
//!
//! All keys of a transaction, watched ones included, lie in one partition; the first key decides which. A
//! command whose keys lie elsewhere is refused when it is queued, and `EXEC` then refuses the whole, as Redis'
//! cluster mode does. Commands without keys that concern the connection or the node are answered by the
//! listener in their place among the replies. Commands about all partitions cannot be queued.

use crate::faults::fault_error;
use crate::form::{Form, answer, unexpected};
use crate::parse::too_large;
use crate::plan::{Keyed, Place, Plan, Question, Target, place_checked};
use crate::reply::Reply;
use crate::scatter::{Gather, Part, Scatter};
use crate::session::Session;
use crate::table::{Addressing, Call, Command};
use crate::text::{CROSS_SLOT, ErrorText};
use crate::unsupported::refuse;
use api::kv::{
    GenericOp, GenericRequest, Key, KvAnswer, KvOp, KvReply, KvRequest, Many, Transaction, Watched,
};
use bytes::Bytes;
use types::limits::{TRANSACTION_BYTES_MAX, TRANSACTION_COMMANDS_MAX, WATCHED_KEYS_MAX};
use types::{ErrorCode, Fault};

/// What a queued argument costs besides its bytes.
const ARGUMENT_BYTES: usize = 16;

const NESTED: ErrorText = ErrorText::fixed("ERR MULTI calls can not be nested");
const WATCH_INSIDE: ErrorText = ErrorText::fixed("ERR WATCH inside MULTI is not allowed");
const EXEC_WITHOUT: ErrorText = ErrorText::fixed("ERR EXEC without MULTI");
const DISCARD_WITHOUT: ErrorText = ErrorText::fixed("ERR DISCARD without MULTI");
const ABORTED: ErrorText = ErrorText::fixed("EXECABORT Transaction discarded because of previous errors.");
const SEVERAL_PARTITIONS: &str = "it is about all partitions, and a transaction is about one";

/// What a connection has queued since `MULTI`, and what it watches.
#[derive(Clone, Debug, Default)]
pub(crate) struct TransactionState {
    queue: Option<Queue>,
    watched: Vec<WatchedKey>,
}

/// Commands between `MULTI` and `EXEC`.
#[derive(Clone, Debug, Default)]
struct Queue {
    commands: Vec<Queued>,
    bytes: usize,
    /// A key of the transaction: the others must lie where it lies.
    anchor: Option<Bytes>,
    /// A command was refused: so is the whole.
    refused: bool,
}

/// One command that waits for `EXEC`.
#[derive(Clone, Debug)]
struct Queued {
    args: Vec<Bytes>,
    command: &'static Command,
}

/// A key as the client typed it, and the version that it had.
#[derive(Clone, Debug, PartialEq)]
struct WatchedKey {
    key: Bytes,
    version: i64,
}

/// `WATCH`: the versions of these keys are to be read.
#[derive(Clone, Debug, PartialEq)]
pub struct Watch {
    /// The keys as typed.
    keys: Vec<Bytes>,
}

/// `EXEC`: what is to be carried out together.
#[derive(Clone, Debug, PartialEq)]
pub struct Exec {
    members: Vec<Member>,
    watched: Vec<WatchedKey>,
}

/// One command of a transaction, parsed.
#[derive(Clone, Debug, PartialEq)]
enum Member {
    Said(Reply),
    Asked(Question),
    Keyed(Keyed),
    Scattered(Scatter),
}

/// Puts the reply to `EXEC` together.
#[derive(Clone, Debug, PartialEq)]
pub struct ExecReply {
    members: Vec<MemberReply>,
}

/// How one command of a transaction gets its reply.
#[derive(Clone, Debug, PartialEq)]
enum MemberReply {
    Said(Reply),
    Asked(Question),
    /// From the next reply of the engine.
    One(Form),
    /// From the next so many.
    Several(Gather, usize),
}

impl TransactionState {
    /// Commands queued since `MULTI`; `None` outside of a transaction.
    pub(crate) fn queued(&self) -> Option<usize> {
        self.queue.as_ref().map(|queue| queue.commands.len())
    }

    /// Keys that are watched.
    pub(crate) fn watched(&self) -> usize {
        self.watched.len()
    }

    /// Notes that a command was refused, and returns what the client is told. `EXEC` ends the transaction and the
    /// watches even so, also outside of a transaction, as in Redis.
    pub(crate) fn refuse(&mut self, name: Option<&Bytes>, error: ErrorText) -> ErrorText {
        if name.is_some_and(|name| name.eq_ignore_ascii_case(b"exec")) {
            *self = Self::default();
            return abort_because_of(&error);
        }
        if let Some(queue) = &mut self.queue {
            queue.refused = true;
        }
        error
    }

    /// Queues a command if there is a transaction and the command is not one that runs at once.
    pub(crate) fn enqueue(
        &mut self,
        command: &'static Command,
        args: &[Bytes],
    ) -> Option<Result<Plan, ErrorText>> {
        let queue = self.queue.as_mut().filter(|_| !runs_at_once(command))?;
        Some(queue.push(command, args).inspect_err(|_| queue.refused = true))
    }
}

impl Queue {
    fn push(&mut self, command: &'static Command, args: &[Bytes]) -> Result<Plan, ErrorText> {
        if command.addressing == Addressing::WholeTable {
            return Err(refuse(command.full_name, &format!("inside MULTI, {SEVERAL_PARTITIONS}")));
        }
        if self.commands.len() >= TRANSACTION_COMMANDS_MAX {
            let detail = format!("a transaction has at most {TRANSACTION_COMMANDS_MAX} commands");
            return Err(too_large(detail));
        }
        self.bytes += args.iter().map(|arg| arg.len() + ARGUMENT_BYTES).sum::<usize>();
        if self.bytes > TRANSACTION_BYTES_MAX {
            let detail = format!("a transaction has at most {TRANSACTION_BYTES_MAX} bytes");
            return Err(too_large(detail));
        }
        if !self.refused {
            // What was received holds the whole buffer that it was received in.
            let args = args.iter().map(|arg| Bytes::copy_from_slice(arg)).collect();
            self.commands.push(Queued { args, command });
        }
        Ok(Plan::Queued(command.keys.indexes(args).filter_map(|index| args.get(index).cloned()).collect()))
    }
}

/// Commands that are carried out inside `MULTI`, not queued.
fn runs_at_once(command: &Command) -> bool {
    matches!(command.full_name, "multi" | "exec" | "discard" | "watch" | "quit" | "reset")
}

fn abort_because_of(error: &ErrorText) -> ErrorText {
    let because = error.as_bytes();
    let because = because.strip_prefix(b"ERR ").unwrap_or(because);
    ErrorText::new([b"EXECABORT Transaction discarded because of: ", because].concat())
}

/// `MULTI`
pub(crate) fn multi(call: &mut Call<'_>) -> Result<Plan, ErrorText> {
    let state = call.session.transaction_mut();
    if state.queue.is_some() {
        return Err(NESTED);
    }
    let anchor = state.watched.first().map(|watched| watched.key.clone());
    state.queue = Some(Queue { anchor, ..Queue::default() });
    Ok(Plan::Answer(Reply::OK))
}

/// `DISCARD`
pub(crate) fn discard(call: &mut Call<'_>) -> Result<Plan, ErrorText> {
    let state = std::mem::take(call.session.transaction_mut());
    if state.queue.is_none() {
        *call.session.transaction_mut() = state;
        return Err(DISCARD_WITHOUT);
    }
    Ok(Plan::Answer(Reply::OK))
}

/// `WATCH key [key ...]`
pub(crate) fn watch(call: &mut Call<'_>) -> Result<Plan, ErrorText> {
    let state = call.session.transaction_mut();
    if state.queue.is_some() {
        return Err(WATCH_INSIDE);
    }
    if state.watched.len() + call.args.len() - 1 > WATCHED_KEYS_MAX {
        return Err(too_large(format!("a connection watches at most {WATCHED_KEYS_MAX} keys")));
    }
    // The first look counts; a key that is watched already was looked at then.
    let mut keys: Vec<Bytes> = Vec::new();
    for key in &call.args[1..] {
        let known = state.watched.iter().any(|watched| watched.key == key) || keys.contains(key);
        if !known {
            keys.push(Bytes::copy_from_slice(key));
        }
    }
    Ok(if keys.is_empty() { Plan::Answer(Reply::OK) } else { Plan::Watch(Watch { keys }) })
}

/// `UNWATCH`
pub(crate) fn unwatch(call: &mut Call<'_>) -> Result<Plan, ErrorText> {
    call.session.transaction_mut().watched.clear();
    Ok(Plan::Answer(Reply::OK))
}

/// `EXEC`
pub(crate) fn exec(call: &mut Call<'_>) -> Result<Plan, ErrorText> {
    let state = std::mem::take(call.session.transaction_mut());
    let Some(queue) = state.queue else {
        *call.session.transaction_mut() = state;
        return Err(EXEC_WITHOUT);
    };
    if queue.refused {
        return Err(ABORTED);
    }
    let members = queue.commands.into_iter().map(|queued| queued.parse(call.session)).collect();
    Ok(Plan::Exec(Exec { members, watched: state.watched }))
}

impl Queued {
    fn parse(self, session: &mut Session) -> Member {
        let Self { args, command } = self;
        match (command.parse)(&mut Call { args: &args, command, session }) {
            Ok(Plan::Answer(reply)) => Member::Said(reply),
            Ok(Plan::Ask(question)) => Member::Asked(question),
            Ok(Plan::Keyed(keyed)) => Member::Keyed(keyed),
            Ok(Plan::Scatter(scatter)) => Member::Scattered(scatter),
            // Nobody waits inside a transaction: what is not there now is not there.
            Ok(Plan::Block(block)) => Member::Keyed(block.keyed),
            Ok(Plan::Everywhere(_) | Plan::Walk(_) | Plan::Queued(_) | Plan::Watch(_) | Plan::Exec(_)) => {
                Member::Said(refuse(command.full_name, "inside MULTI").into())
            }
            Err(error) => Member::Said(error.into()),
        }
    }
}

impl Session {
    /// The reply to a command that was queued, once it is known where its keys lie: `QUEUED`, or why the
    /// transaction cannot have it.
    pub fn queued(&mut self, keys: &[Bytes], place: impl Fn(&Bytes) -> Result<Place, ErrorText>) -> Reply {
        let state = self.transaction_mut();
        let Some(queue) = &mut state.queue else { return EXEC_WITHOUT.into() };
        if let Err(error) = queue.keep_together(keys, place) {
            queue.refused = true;
            return error.into();
        }
        Reply::simple("QUEUED")
    }

    /// The reply to `WATCH`: from now on the keys are watched, if all of them were read.
    pub fn watching(&mut self, watch: Watch, versions: Vec<Result<KvReply, Fault>>) -> Reply {
        let version = |outcome: Result<KvReply, Fault>| match answer(outcome?)? {
            KvAnswer::Integer(version) => Ok(version),
            other => Err(unexpected("a version", &other)),
        };
        match versions.into_iter().map(version).collect::<Result<Vec<i64>, Fault>>() {
            Ok(versions) => {
                let watched = watch.keys.into_iter().zip(versions);
                let watched = watched.map(|(key, version)| WatchedKey { key, version });
                self.transaction_mut().watched.extend(watched);
                Reply::OK
            }
            Err(fault) => fault_error(&fault).into(),
        }
    }
}

impl Queue {
    fn keep_together(
        &mut self,
        keys: &[Bytes],
        place: impl Fn(&Bytes) -> Result<Place, ErrorText>,
    ) -> Result<(), ErrorText> {
        let Some(first) = keys.first() else { return Ok(()) };
        let mut together = Together::default();
        for key in keys {
            together.add(place_checked(key, &place)?.target)?;
        }
        match &self.anchor {
            // Placed anew each time: tables come and go between the commands.
            Some(anchor) => together.add(place_checked(anchor, &place)?.target)?,
            // A command that is refused does not decide where the others belong.
            None => self.anchor = Some(Bytes::copy_from_slice(first)),
        }
        Ok(())
    }
}

impl Watch {
    /// One read per key, in order; give their replies to [`Session::watching`].
    ///
    /// Errors: what `place` says, or `CROSSSLOT` if not all watched keys lie in one partition.
    pub fn parts(
        &self,
        session: &Session,
        place: impl Fn(&Bytes) -> Result<Place, ErrorText>,
    ) -> Result<Vec<Part>, ErrorText> {
        let before = session.transaction().watched.first().map(|watched| &watched.key);
        let target = match before.or(self.keys.first()) {
            Some(key) => place_checked(key, &place)?.target,
            None => return Ok(Vec::new()),
        };
        let part = |key| {
            let Place { target: found, key } = place_checked(key, &place)?;
            if found != target {
                return Err(CROSS_SLOT);
            }
            let request = GenericRequest { op: Some(GenericOp::Version(Key { key })) };
            Ok(Part { target, op: KvOp::Generic(request) })
        };
        self.keys.iter().map(part).collect()
    }
}

impl Exec {
    /// The one operation and how its reply reads. There is none if no partition need be asked.
    ///
    /// Errors: the reply to `EXEC`, where nothing is carried out.
    pub fn address(
        self,
        place: impl Fn(&Bytes) -> Result<Place, ErrorText>,
    ) -> Result<(Option<(Target, KvOp)>, ExecReply), ErrorText> {
        self.address_all(place).map_err(|error| abort_because_of(&error))
    }

    fn address_all(
        self,
        place: impl Fn(&Bytes) -> Result<Place, ErrorText>,
    ) -> Result<(Option<(Target, KvOp)>, ExecReply), ErrorText> {
        let mut together = Together::default();
        let mut watched = Vec::with_capacity(self.watched.len());
        for WatchedKey { key, version } in self.watched {
            let Place { target, key } = place_checked(&key, &place)?;
            together.add(target)?;
            watched.push(Watched { key, version });
        }
        let mut requests = Vec::with_capacity(self.members.len());
        let mut members = Vec::with_capacity(self.members.len());
        for member in self.members {
            members.push(match member {
                Member::Said(reply) => MemberReply::Said(reply),
                Member::Asked(question) => MemberReply::Asked(question),
                Member::Keyed(keyed) => {
                    let (target, op, form) = keyed.address(&place)?;
                    together.add(target)?;
                    requests.push(KvRequest::new(op));
                    MemberReply::One(form)
                }
                Member::Scattered(scatter) => {
                    let (parts, gather) = scatter.split(&place)?;
                    let count = parts.len();
                    for part in parts {
                        together.add(part.target)?;
                        requests.push(KvRequest::new(part.op));
                    }
                    MemberReply::Several(gather, count)
                }
            });
        }
        let op = together.0.map(|target| (target, KvOp::Transaction(Transaction { watched, requests })));
        Ok((op, ExecReply { members }))
    }
}

/// The one partition of a transaction.
#[derive(Default)]
struct Together(Option<Target>);

impl Together {
    fn add(&mut self, target: Target) -> Result<(), ErrorText> {
        if *self.0.get_or_insert(target) == target { Ok(()) } else { Err(CROSS_SLOT) }
    }
}

impl ExecReply {
    /// The reply to `EXEC` that asked no partition.
    pub fn without_partition(self, ask: impl FnMut(&Question) -> Reply) -> Reply {
        self.finish(Ok(KvReply::new(KvAnswer::Many(Many { replies: Vec::new() }))), ask)
    }

    /// The reply to `EXEC`. `ask` answers questions to the listener; it is called in the order of the commands,
    /// and only if the transaction was carried out.
    pub fn finish(self, outcome: Result<KvReply, Fault>, mut ask: impl FnMut(&Question) -> Reply) -> Reply {
        let replies = match outcome.and_then(answer) {
            Ok(KvAnswer::Many(many)) => many.replies,
            Ok(KvAnswer::Nil(_)) => return Reply::NullArray,
            Ok(other) => return fault_error(&unexpected("several answers", &other)).into(),
            Err(fault) => return fault_error(&fault).into(),
        };
        let mut replies = replies.into_iter();
        let missing = || Fault::new(ErrorCode::Internal, "a command of a transaction without a reply");
        let mut next = || replies.next().ok_or_else(missing);
        let members = self.members.into_iter();
        Reply::Array(
            members
                .map(|member| match member {
                    MemberReply::Said(reply) => reply,
                    MemberReply::Asked(question) => ask(&question),
                    MemberReply::One(form) => form.reply(next()),
                    MemberReply::Several(gather, count) => {
                        gather.finish((0..count).map(|_| next()).collect())
                    }
                })
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::parse;

    /// What is said to commands inside `MULTI` where keys of the tables `t` and `u` have a place.
    fn queued(commands: &[&str]) -> Vec<String> {
        let place = |key: &Bytes| match key.first() {
            Some(b't') => Ok(Place { target: Target { table: 0, partition: 0 }, key: key.clone() }),
            Some(b'u') => Ok(Place { target: Target { table: 1, partition: 0 }, key: key.clone() }),
            _ => Err(format!("ERR nowhere: {}", String::from_utf8_lossy(key)).into()),
        };
        let mut session = Session::new(1, None);
        let mut say = |line: &str| {
            let args: Vec<Bytes> =
                line.split(' ').map(|word| Bytes::copy_from_slice(word.as_bytes())).collect();
            match parse(&args, &mut session) {
                Ok(Plan::Queued(keys)) => crate::corpus::render(&session.queued(&keys, place)),
                Ok(plan) => format!("{plan:?}"),
                Err(error) => format!("-{error}"),
            }
        };
        say("MULTI");
        commands.iter().map(|line| say(line)).collect()
    }

    #[test]
    fn a_key_without_a_place_speaks_for_itself_only() {
        let aborted = "-EXECABORT Transaction discarded because of previous errors.";
        assert_eq!(
            queued(&["GET a", "GET b", "GET t1", "GET c", "GET u1", "EXEC"]),
            [
                "-ERR nowhere: a",
                "-ERR nowhere: b",
                "+QUEUED",
                "-ERR nowhere: c",
                &format!("-{CROSS_SLOT}"),
                aborted
            ]
        );
        assert_eq!(
            queued(&["DEL t1 u1", "GET u1", "EXEC"]),
            [&format!("-{CROSS_SLOT}"), "+QUEUED", aborted],
            "what was refused decides nothing"
        );
    }
}
