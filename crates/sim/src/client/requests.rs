//! Calls of clients as requests to the engine, and what its replies tell them.

use api::entry::RequestKind;
use api::kv::{
    Condition, GenericOp, GenericRequest, HashAdd, HashOp, HashRequest, IncrBy, Key, KeyAndMembers, Keys,
    KvAnswer, KvError, KvOp, KvReply, KvRequest, ListMove, ListOp, ListPop, ListPush, ListRange, ListRequest,
    Pair, ScoredMember, Set, SetOp, SetRequest, SortedAdd, SortedOp, SortedRequest, Transaction, Watched,
};
use api::peer::Access;
use bytes::Bytes;
use prost::Message;
use types::{ErrorCode, Fault, GroupId};

use crate::history::collections::{Lists, joined};
use crate::history::{Call, Outcome, Reply};
use crate::process::Block;

/// The field of a bundle's hash that counts its members.
const COUNT: &[u8] = b"count";

/// How a call is made.
pub enum Way {
    /// One request.
    Once(node::Call),
    /// A command that waits for elements.
    Waiting(Block),
}

/// The call to a group's gateway; `lasts` is how long it waits if it does, in nanoseconds.
pub fn way(group: GroupId, key: &[u8], call: &Call, lasts: u64) -> Way {
    let op = op(Bytes::copy_from_slice(key), call);
    let access = if op.is_write() { Access::Write } else { Access::Read };
    let body: Bytes = KvRequest::new(op).encode_to_vec().into();
    if call.waits() {
        return Way::Waiting(Block { group, pop: body, key: Bytes::copy_from_slice(key), lasts });
    }
    Way::Once(node::Call { group, access, kind: RequestKind::Data, body })
}

fn op(key: Bytes, call: &Call) -> KvOp {
    let bytes = |value: &[u8]| Bytes::copy_from_slice(value);
    let set = |key: Bytes, value: &[u8], condition: Condition| {
        let (value, condition) = (bytes(value), condition as i32);
        KvOp::Set(Set { key, value, condition, expiry: None, return_old: false })
    };
    match call {
        Call::Get => KvOp::Get(Key { key }),
        Call::Set(value) => set(key, value, Condition::Always),
        Call::SetIfAbsent(value) => set(key, value, Condition::IfAbsent),
        Call::Add(delta) => KvOp::IncrBy(IncrBy { key, delta: *delta }),
        Call::Append(value) => KvOp::Append(Pair { key, value: bytes(value) }),
        Call::Remove => KvOp::Del(Keys { keys: vec![key] }),
        Call::Version => {
            let op = Some(GenericOp::Version(Key { key }));
            KvOp::Generic(GenericRequest { op })
        }
        Call::Exchange { version, new, .. } => {
            let watched = vec![Watched { key: key.clone(), version: *version }];
            let requests = vec![KvRequest::new(set(key, new, Condition::Always))];
            KvOp::Transaction(Transaction { watched, requests })
        }
        Call::Push(word) => {
            let push = ListPush { key, elements: vec![bytes(word)], left: false, only_if_present: false };
            list(ListOp::Push(push))
        }
        Call::Take { .. } => list(ListOp::Pop(ListPop { key, left: true, count: None })),
        Call::TakeMoved => list(ListOp::Pop(ListPop { key: moved(&key), left: true, count: None })),
        Call::Move { .. } => {
            let to = moved(&key);
            list(ListOp::Move(ListMove { from: key, to, from_left: true, to_left: false }))
        }
        Call::Lists => {
            let range = |key| list(ListOp::Range(ListRange { key, start: 0, stop: -1 }));
            together([range(key.clone()), range(moved(&key))])
        }
        Call::Join(_) | Call::Members | Call::Leave => bundle(&key, call),
    }
}

fn list(op: ListOp) -> KvOp {
    KvOp::List(ListRequest { op: Some(op) })
}

fn together(ops: impl IntoIterator<Item = KvOp>) -> KvOp {
    let requests = ops.into_iter().map(KvRequest::new).collect();
    KvOp::Transaction(Transaction { watched: Vec::new(), requests })
}

/// The second list of a queue. Everybody finds it through the first one's partition.
fn moved(key: &[u8]) -> Bytes {
    [key, b":moved"].concat().into()
}

/// The hash, the set and the sorted set of a bundle are changed and read together.
fn bundle(key: &[u8], call: &Call) -> KvOp {
    let [hash, set, sorted] =
        [":hash", ":set", ":sorted"].map(|end| Bytes::from([key, end.as_bytes()].concat()));
    let of_hash = |op| KvOp::Hash(HashRequest { key: hash.clone(), op: Some(op) });
    let of_set = |op| KvOp::Sets(SetRequest { op: Some(op) });
    let of_sorted = |op| KvOp::Sorted(SortedRequest { op: Some(op) });
    let field = Bytes::from_static(COUNT);
    match call {
        Call::Join(word) => {
            let member = Bytes::copy_from_slice(word);
            let scored = vec![ScoredMember { member: member.clone(), score: 1.0 }];
            together([
                of_hash(HashOp::Add(HashAdd { field, delta: 1 })),
                of_set(SetOp::Add(KeyAndMembers { key: set.clone(), members: vec![member] })),
                of_sorted(SortedOp::Add(SortedAdd {
                    key: sorted.clone(),
                    members: scored,
                    ..Default::default()
                })),
            ])
        }
        Call::Members => together([
            of_hash(HashOp::Get(field)),
            of_set(SetOp::Members(Key { key: set.clone() })),
            of_sorted(SortedOp::Card(Key { key: sorted.clone() })),
        ]),
        _ => KvOp::Del(Keys { keys: vec![hash, set, sorted] }),
    }
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
        (
            Call::Get | Call::Take { .. } | Call::TakeMoved | Call::Move { .. },
            Some(KvAnswer::Value(value)),
        ) => Reply::Value(Some(value.to_vec())),
        (Call::Get | Call::Take { .. } | Call::TakeMoved | Call::Move { .. }, Some(KvAnswer::Nil(_))) => {
            Reply::Value(None)
        }
        (Call::Set(_) | Call::SetIfAbsent(_), Some(KvAnswer::Ok(_))) => Reply::Stored,
        (Call::SetIfAbsent(_), Some(KvAnswer::Nil(_))) => Reply::NotStored,
        (
            Call::Add(_) | Call::Append(_) | Call::Remove | Call::Push(_) | Call::Version,
            Some(KvAnswer::Integer(number)),
        ) => Reply::Number(number),
        (Call::Add(_), Some(KvAnswer::Error(code)))
            if code == KvError::NotInteger as i32 || code == KvError::Overflow as i32 =>
        {
            Reply::NotANumber
        }
        // A watched key that has changed keeps the transaction from happening, and nothing else does.
        (Call::Exchange { .. }, Some(KvAnswer::Nil(_))) => return Ok(Outcome::Refused),
        (Call::Leave, Some(KvAnswer::Integer(3))) => Reply::Number(1),
        (Call::Leave, Some(KvAnswer::Integer(0))) => Reply::Number(0),
        (_, Some(KvAnswer::Many(many))) => {
            let answers = many.replies.into_iter().map(|reply| reply.answer).collect::<Vec<_>>();
            of_transaction(call, &answers).ok_or_else(|| format!("{call} is answered by {answers:?}"))?
        }
        (_, answer) => return Err(format!("{call} is answered by {answer:?}")),
    };
    Ok(Outcome::Returned(now, told))
}

/// What the answers of a transaction tell, if they can be those of one moment.
fn of_transaction(call: &Call, answers: &[Option<KvAnswer>]) -> Option<Reply> {
    match (call, answers) {
        (Call::Exchange { .. }, [Some(KvAnswer::Ok(_))]) => Some(Reply::Stored),
        (Call::Lists, [Some(KvAnswer::Values(first)), Some(KvAnswer::Values(moved))]) => {
            let words = |values: &api::kv::Values| -> Option<Vec<Vec<u8>>> {
                values.values.iter().map(|maybe| Some(maybe.value.as_ref()?.to_vec())).collect()
            };
            Some(Reply::Value(Lists { first: words(first)?, moved: words(moved)? }.value()))
        }
        (
            Call::Join(_),
            [Some(KvAnswer::Integer(count)), Some(KvAnswer::Integer(1)), Some(KvAnswer::Integer(1))],
        ) => Some(Reply::Number(*count)),
        (Call::Members, [count, Some(KvAnswer::Page(page)), Some(KvAnswer::Integer(scored))]) => {
            let count = match count {
                Some(KvAnswer::Value(count)) => std::str::from_utf8(count).ok()?.parse().ok()?,
                Some(KvAnswer::Nil(_)) => 0,
                _ => return None,
            };
            let mut members: Vec<Vec<u8>> = page.keys.iter().map(|member| member.to_vec()).collect();
            members.sort();
            let alike = members.len() == count && *scored == count as i64;
            alike.then(|| Reply::Value((count > 0).then(|| joined(&members))))
        }
        _ => None,
    }
}
