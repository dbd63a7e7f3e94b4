//! Commands whose keys may lie anywhere: split by partition, and the replies gathered again.
//!
//! Each part is atomic by itself; the whole is not. With one partition there is one part, and the
//! command is atomic as in Redis.

use crate::faults::{engine_error, fault_error};
use crate::form::{answer, unexpected};
use crate::plan::{Place, Target, place_checked};
use crate::reply::Reply;
use crate::text::ErrorText;
use api::kv::{Keys, KvAnswer, KvOp, KvReply, Nothing};
use bytes::Bytes;
use std::collections::BTreeMap;
use types::limits::COMMAND_PART_BYTES_MAX;
use types::{ErrorCode, Fault};

/// A command with keys that may lie anywhere.
#[derive(Clone, Debug, PartialEq)]
pub struct Scatter {
    /// What to do with the keys.
    pub verb: Verb,
    /// The keys as typed, in order, repeats kept.
    pub keys: Vec<Bytes>,
    /// The command, for error texts.
    pub command: &'static str,
}

/// What to do with keys that may lie anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// `MGET`.
    Get,
    /// `EXISTS` and `TOUCH`.
    Exists,
    /// `DEL` and `UNLINK`.
    Delete,
}

/// A command for every partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Everywhere {
    /// `DBSIZE`.
    Count,
    /// `FLUSHDB` and `FLUSHALL`.
    Flush,
}

/// One operation of one partition.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Where to send it.
    pub target: Target,
    /// The operation.
    pub op: KvOp,
}

/// Puts the replies of the parts together.
#[derive(Clone, Debug, PartialEq)]
pub struct Gather {
    sum: Sum,
    writes: bool,
    command: &'static str,
}

#[derive(Clone, Debug, PartialEq)]
enum Sum {
    /// Numbers are added up.
    Number,
    /// Every part is done.
    Done,
    /// For each part, which keys of the command it holds.
    Values { total: usize, places: Vec<Vec<usize>> },
}

impl Scatter {
    /// Splits the keys by partition; parts come in the order of their first keys. A part with very many
    /// bytes of keys is followed by another one for the same partition, so that each fits a frame.
    ///
    /// Errors: what `place` says, or a key that is too long.
    pub fn split(
        self,
        place: impl Fn(&Bytes) -> Result<Place, ErrorText>,
    ) -> Result<(Vec<Part>, Gather), ErrorText> {
        let Scatter { verb, keys, command } = self;
        let total = keys.len();
        let mut open: BTreeMap<Target, usize> = BTreeMap::new();
        let mut parts: Vec<(Target, usize, Vec<Bytes>)> = Vec::new();
        let mut places: Vec<Vec<usize>> = Vec::new();
        for (index, key) in keys.iter().enumerate() {
            let Place { target, key } = place_checked(key, &place)?;
            let part = match open.get(&target) {
                Some(&part) if parts[part].1 + key.len() <= COMMAND_PART_BYTES_MAX => part,
                _ => {
                    open.insert(target, parts.len());
                    parts.push((target, 0, Vec::new()));
                    places.push(Vec::new());
                    parts.len() - 1
                }
            };
            parts[part].1 += key.len();
            parts[part].2.push(key);
            places[part].push(index);
        }
        let parts = parts.into_iter().map(|(target, _, keys)| Part { target, op: verb.op(keys) }).collect();
        let (sum, writes) = match verb {
            Verb::Get => (Sum::Values { total, places }, false),
            Verb::Exists => (Sum::Number, false),
            Verb::Delete => (Sum::Number, true),
        };
        Ok((parts, Gather { sum, writes, command }))
    }
}

impl Verb {
    fn op(self, keys: Vec<Bytes>) -> KvOp {
        let keys = Keys { keys };
        match self {
            Verb::Get => KvOp::MGet(keys),
            Verb::Exists => KvOp::Exists(keys),
            Verb::Delete => KvOp::Del(keys),
        }
    }
}

impl Everywhere {
    /// The same operation for each partition that the listener serves.
    pub fn parts(self, targets: impl IntoIterator<Item = Target>) -> (Vec<Part>, Gather) {
        let (op, sum, writes, command) = match self {
            Everywhere::Count => (KvOp::DbSize(Nothing {}), Sum::Number, false, "dbsize"),
            Everywhere::Flush => (KvOp::Flush(Nothing {}), Sum::Done, true, "flushall"),
        };
        let parts = targets.into_iter().map(|target| Part { target, op: op.clone() }).collect();
        (parts, Gather { sum, writes, command })
    }
}

impl Gather {
    /// The reply to the client from the replies of the parts, in the order of the parts.
    ///
    /// If a part failed, the reply is an error. A write of which some parts were carried out has no clear
    /// outcome, and the error says so; clients do not repeat it by themselves.
    pub fn finish(self, outcomes: Vec<Result<KvReply, Fault>>) -> Reply {
        match self.add_up(outcomes) {
            Ok(reply) => reply,
            Err(fault) => fault_error(&fault).into(),
        }
    }

    fn add_up(self, outcomes: Vec<Result<KvReply, Fault>>) -> Result<Reply, Fault> {
        if let Some(fault) = self.failure(&outcomes) {
            return Err(fault);
        }
        let mut number = 0i64;
        let mut values = match &self.sum {
            Sum::Values { total, .. } => vec![Reply::Null; *total],
            _ => Vec::new(),
        };
        for (part, outcome) in outcomes.into_iter().enumerate() {
            match (&self.sum, answer(outcome?)?) {
                (_, KvAnswer::Error(code)) => return Ok(engine_error(code, self.command).into()),
                (Sum::Number, KvAnswer::Integer(more)) => number = number.saturating_add(more),
                (Sum::Done, KvAnswer::Ok(_)) => {}
                (Sum::Values { places, .. }, KvAnswer::Values(found))
                    if places.get(part).is_some_and(|places| places.len() == found.values.len()) =>
                {
                    for (&place, found) in places[part].iter().zip(found.values) {
                        values[place] = found.value.map_or(Reply::Null, Reply::Bulk);
                    }
                }
                (sum, answer) => return Err(unexpected(&format!("{sum:?}"), &answer)),
            }
        }
        Ok(match self.sum {
            Sum::Number => Reply::Integer(number),
            Sum::Done => Reply::OK,
            Sum::Values { .. } => Reply::Array(values),
        })
    }

    /// The one fault that stands for all. An unknown outcome is never hidden behind a fault that invites
    /// to try again.
    fn failure(&self, outcomes: &[Result<KvReply, Fault>]) -> Option<Fault> {
        let faults: Vec<&Fault> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
        let worst = faults.iter().find(|fault| !fault.code.is_retryable()).or(faults.first())?;
        let done = outcomes.len() - faults.len();
        if self.writes && done > 0 {
            let detail = format!("{done} of {} parts were carried out; {worst}", outcomes.len());
            return Some(Fault::new(ErrorCode::OutcomeUnknown, detail));
        }
        Some((*worst).clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::kv::{Maybe, Values};
    use types::hash::HashRule;

    fn place(key: &Bytes) -> Result<Place, ErrorText> {
        let partition = HashRule::Tag.partition(key, 4).get() as u32;
        Ok(Place { target: Target { table: 0, partition }, key: key.clone() })
    }

    fn scatter(verb: Verb, keys: &[&'static str]) -> (Vec<Part>, Gather) {
        let keys = keys.iter().map(|key| Bytes::from_static(key.as_bytes())).collect();
        Scatter { verb, keys, command: "x" }.split(place).unwrap()
    }

    /// Each key's value is the key; keys that begin with `-` are absent.
    fn echo(part: Part) -> Result<KvReply, Fault> {
        let KvOp::MGet(keys) = part.op else { panic!("only reads here") };
        let value = |key: Bytes| Maybe { value: (!key.starts_with(b"-")).then_some(key) };
        let values = keys.keys.into_iter().map(value).collect();
        Ok(KvReply::new(KvAnswer::Values(Values { values })))
    }

    #[test]
    fn values_come_back_in_the_order_of_the_keys() {
        let keys = ["e", "-a", "b", "c", "e", "d", "{b}2"];
        let (parts, gather) = scatter(Verb::Get, &keys);
        assert!(parts.len() > 1);
        let reply = gather.finish(parts.into_iter().map(echo).collect());
        let wanted = keys.map(|key| if key.starts_with('-') { Reply::Null } else { Reply::text(key) });
        assert_eq!(reply, Reply::Array(wanted.into()));
    }

    #[test]
    fn a_part_with_too_few_values_is_an_error() {
        let (_, gather) = scatter(Verb::Get, &["a", "{a}2"]);
        let short = KvReply::new(KvAnswer::Values(Values { values: vec![Maybe { value: None }] }));
        assert!(gather.finish(vec![Ok(short)]).is_error());
    }

    #[test]
    fn a_write_that_is_half_done_is_unknown_and_not_retryable() {
        let (parts, gather) = scatter(Verb::Delete, &["a", "b", "c", "d", "e"]);
        let mut outcomes: Vec<_> = parts.iter().map(|_| Ok(KvReply::integer(1))).collect();
        outcomes[0] = Err(Fault::from(ErrorCode::NoLeader));
        let Reply::Error(text) = gather.clone().finish(outcomes) else { panic!("an error is due") };
        assert!(text.to_string().starts_with("UNKNOWN "), "{text}");
        assert!(text.to_string().contains("were carried out"), "{text}");

        let nothing_done = parts.iter().map(|_| Err(Fault::from(ErrorCode::NoLeader))).collect();
        let Reply::Error(text) = gather.clone().finish(nothing_done) else { panic!("an error is due") };
        assert!(text.to_string().starts_with("CLUSTERDOWN "), "{text}");

        let mut mixed: Vec<_> = parts.iter().map(|_| Err(Fault::from(ErrorCode::NoLeader))).collect();
        mixed[1] = Err(Fault::from(ErrorCode::OutcomeUnknown));
        let Reply::Error(text) = gather.finish(mixed) else { panic!("an error is due") };
        assert!(text.to_string().starts_with("UNKNOWN "), "{text}");
    }

    #[test]
    fn a_long_part_is_followed_by_another() {
        let keys: Vec<Bytes> = (0..2000).map(|n| Bytes::from(format!("{{t}}{n:08000}"))).collect();
        let count = keys.len();
        let (parts, _) = Scatter { verb: Verb::Delete, keys, command: "del" }.split(place).unwrap();
        assert!(parts.len() > 1);
        let sizes = parts.iter().map(|part| match &part.op {
            KvOp::Del(keys) => (keys.keys.len(), keys.keys.iter().map(Bytes::len).sum::<usize>()),
            other => panic!("{other:?}"),
        });
        let (keys, longest) = sizes.fold((0, 0), |(n, max), (keys, bytes)| (n + keys, bytes.max(max)));
        assert!(keys == count && longest <= COMMAND_PART_BYTES_MAX);
    }
}
