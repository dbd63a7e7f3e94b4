//! Clients: each does one thing after the other and notes what it was told.

use api::entry::RequestKind;
use api::kv::{Condition, IncrBy, Key, Keys, KvAnswer, KvError, KvOp, KvReply, KvRequest, Pair, Set};
use api::peer::Access;
use bytes::Bytes;
use prost::Message;
use types::{ErrorCode, Fault, GroupId};

use crate::event::Place;
use crate::history::{Call, Outcome, Reply};
use crate::random::Random;

/// A client.
pub struct Client {
    /// Its chance.
    pub random: Random,
    /// Operations that it began.
    pub begun: u64,
    /// The one that it waits for.
    pub waiting: Option<Waiting>,
}

/// An operation under way.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    /// The client's number for it.
    pub number: u64,
    /// Its place in the history.
    pub entry: usize,
    /// Whom it asked, and which run.
    pub node: (Place, u64),
}

/// What a key is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Anything.
    Register,
    /// Only additions of 1; see `checkers::lost`.
    Counter,
    /// Only appended words; see `checkers::lost`.
    List,
}

/// The keys of a world and their uses.
pub fn keys() -> Vec<(Vec<u8>, Use)> {
    let of = |prefix: &str, count: usize, used: Use| -> Vec<(Vec<u8>, Use)> {
        (0..count).map(|number| (format!("{prefix}{number}").into_bytes(), used)).collect()
    };
    [of("register", 5, Use::Register), of("counter", 2, Use::Counter), of("list", 2, Use::List)].concat()
}

impl Client {
    /// What it does next. Values name the client and its operation, so that every one is unique.
    pub fn choose(&mut self, client: usize, keys: &[(Vec<u8>, Use)]) -> (Vec<u8>, Call) {
        let (key, used) = self.random.pick(keys).clone();
        let word = format!("{client}.{}", self.begun);
        let call = match (used, self.random.below(10)) {
            (_, 0..=2) => Call::Get,
            (Use::Counter, _) => Call::Add(1),
            (Use::List, _) => Call::Append(format!("{word};").into_bytes()),
            (Use::Register, 3) => Call::Remove,
            (Use::Register, 4) => Call::SetIfAbsent(word.into_bytes()),
            (Use::Register, 5) => Call::Append(format!("+{word}").into_bytes()),
            (Use::Register, 6) => Call::Add(self.random.between(1, 100) as i64),
            // Half of the values are numbers, so that additions find some.
            (Use::Register, 7) => Call::Set((self.begun * 100 + client as u64).to_string().into_bytes()),
            (Use::Register, _) => Call::Set(word.into_bytes()),
        };
        (key, call)
    }

    /// How long it rests, in nanoseconds.
    pub fn rest(&mut self) -> u64 {
        match self.random.below(10) {
            0..=3 => self.random.below(3_000_000),
            4..=6 => self.random.below(300_000_000),
            _ => self.random.below(1_500_000_000),
        }
    }
}

/// The call to a group's gateway.
pub fn call(group: GroupId, key: &[u8], call: &Call) -> node::Call {
    let key = Bytes::copy_from_slice(key);
    let bytes = |value: &[u8]| Bytes::copy_from_slice(value);
    let set = |value: &[u8], condition: Condition| {
        let (key, value, condition) = (key.clone(), bytes(value), condition as i32);
        KvOp::Set(Set { key, value, condition, expiry: None, return_old: false })
    };
    let op = match call {
        Call::Get => KvOp::Get(Key { key }),
        Call::Set(value) => set(value, Condition::Always),
        Call::SetIfAbsent(value) => set(value, Condition::IfAbsent),
        Call::Add(delta) => KvOp::IncrBy(IncrBy { key, delta: *delta }),
        Call::Append(value) => KvOp::Append(Pair { key, value: bytes(value) }),
        Call::Remove => KvOp::Del(Keys { keys: vec![key] }),
    };
    let access = if op.is_write() { Access::Write } else { Access::Read };
    let body = KvRequest::new(op).encode_to_vec().into();
    node::Call { group, access, kind: RequestKind::Data, body }
}

/// What a client makes of the end of its call.
///
/// # Errors
/// In words, an answer that no client of this call should get.
pub fn outcome(call: &Call, result: Result<Bytes, Fault>, now: u64) -> Result<Outcome, String> {
    let bytes = match result {
        Ok(bytes) => bytes,
        Err(fault) => {
            return Ok(match fault.code {
                ErrorCode::OutcomeUnknown | ErrorCode::SessionExpired => Outcome::Unknown,
                code if code.is_retryable() => Outcome::Refused,
                _ => return Err(format!("{call} ended with {fault}")),
            });
        }
    };
    let reply = KvReply::decode(bytes).map_err(|error| format!("the reply to {call}: {error}"))?;
    let told = match (call, reply.answer) {
        (Call::Get, Some(KvAnswer::Value(value))) => Reply::Value(Some(value.to_vec())),
        (Call::Get, Some(KvAnswer::Nil(_))) => Reply::Value(None),
        (Call::Set(_) | Call::SetIfAbsent(_), Some(KvAnswer::Ok(_))) => Reply::Stored,
        (Call::SetIfAbsent(_), Some(KvAnswer::Nil(_))) => Reply::NotStored,
        (Call::Add(_) | Call::Append(_) | Call::Remove, Some(KvAnswer::Integer(number))) => {
            Reply::Number(number)
        }
        (Call::Add(_), Some(KvAnswer::Error(code)))
            if code == KvError::NotInteger as i32 || code == KvError::Overflow as i32 =>
        {
            Reply::NotANumber
        }
        (_, answer) => return Err(format!("{call} is answered by {answer:?}")),
    };
    Ok(Outcome::Returned(now, told))
}
