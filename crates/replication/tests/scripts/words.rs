//! Words of scripts: numbers, requests, replies.

use api::entry::BarrierReply;
use api::kv::{Condition, Key, KvAnswer, KvOp, KvReply, KvRequest, Set};
use api::peer::{Member, Membership, ReplicaReport, ReplicaState};
use bytes::Bytes;
use prost::Message;
use replication::{Answer, Token};

/// A read of a key.
pub fn get(key: &str) -> Bytes {
    let key = Bytes::copy_from_slice(key.as_bytes());
    KvRequest::new(KvOp::Get(Key { key })).encode_to_vec().into()
}

/// A write of a value.
pub fn set(key: &str, value: &str) -> Bytes {
    let (key, value) = (Bytes::copy_from_slice(key.as_bytes()), Bytes::copy_from_slice(value.as_bytes()));
    let set = Set { key, value, condition: Condition::Always as i32, expiry: None, return_old: false };
    KvRequest::new(KvOp::Set(set)).encode_to_vec().into()
}

/// What whoever waited for a token is told.
pub fn told(id: u64, token: Token, answer: &Answer) -> String {
    match answer {
        Answer::Done(reply) => format!("n{id}   {} is told {}", token.0, shown(reply)),
        Answer::Refused { fault, .. } => format!("n{id}   {} is told {}", token.0, fault.code.as_str()),
        Answer::ReadNow => format!("n{id}   {} may read", token.0),
    }
}

/// A reply of the engine, a session's number, or a barrier's place.
pub fn shown(reply: &[u8]) -> String {
    match KvReply::decode(reply).ok().and_then(|reply| reply.answer) {
        Some(KvAnswer::Ok(_)) => "ok".into(),
        Some(KvAnswer::Nil(_)) => "nothing".into(),
        Some(KvAnswer::Value(value)) => String::from_utf8_lossy(&value).into_owned(),
        Some(other) => format!("{other:?}"),
        None => match (<[u8; 8]>::try_from(reply), BarrierReply::decode(reply)) {
            (Ok(id), _) => format!("session {}", u64::from_be_bytes(id)),
            (_, Ok(BarrierReply { late: true, .. })) => "too late".into(),
            (_, Ok(barrier)) => format!("barrier {}", barrier.index),
            _ => format!("{reply:?}"),
        },
    }
}

/// The number of `n3`.
pub fn node_number(text: &str) -> u64 {
    number(text.strip_prefix('n').expect("nodes are called n1, n2, …"))
}

/// A number.
pub fn number(text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| panic!("'{text}' is no number"))
}

/// What a replica is.
pub fn status(report: &ReplicaReport, membership: &Membership, lease: bool) -> String {
    let state = ReplicaState::try_from(report.state).unwrap_or(ReplicaState::Stopped);
    let member = |member: &Member| match member.learner {
        true => format!("({})", member.replica),
        false => member.replica.to_string(),
    };
    let members: Vec<String> = membership.members.iter().map(member).collect();
    format!(
        "replica {} {state:?} term {} leader {} commit {} applied {} epoch {} members {}{}",
        report.replica,
        report.term,
        report.leader,
        report.commit,
        report.applied,
        membership.epoch,
        members.join(" "),
        if lease { " lease" } else { "" }
    )
}
