//! Commands on hashes.

use super::members::{all, check_bytes, check_pairs, choice, member, members, scan};
use super::{integer, is_word, keyed};
use crate::form::Shape;
use crate::plan::Plan;
use crate::table::Call;
use crate::text::{ErrorText, SYNTAX, wrong_arity};
use api::kv::{HashAdd, HashOp, HashRequest, HashSet, KvOp, Nothing, Pair};

type Parsed = Result<Plan, ErrorText>;

pub(crate) fn hset(call: &mut Call<'_>) -> Parsed {
    let set = HashSet { fields: fields(call)? };
    hash(call, HashOp::Set(set), Shape::Plain)
}

pub(crate) fn hmset(call: &mut Call<'_>) -> Parsed {
    let set = HashSet { fields: fields(call)? };
    hash(call, HashOp::Set(set), Shape::Done)
}

pub(crate) fn hsetnx(call: &mut Call<'_>) -> Parsed {
    let pair = Pair { key: member(call, 2)?, value: call.value(3)? };
    hash(call, HashOp::SetNew(pair), Shape::Plain)
}

pub(crate) fn hget(call: &mut Call<'_>) -> Parsed {
    hash(call, HashOp::Get(call.arg(2)), Shape::Plain)
}

pub(crate) fn hmget(call: &mut Call<'_>) -> Parsed {
    hash(call, HashOp::GetMany(all(call, 2)), Shape::Bulks)
}

pub(crate) fn hgetall(call: &mut Call<'_>) -> Parsed {
    hash(call, HashOp::All(Nothing {}), Shape::BulkMap)
}

pub(crate) fn hkeys(call: &mut Call<'_>) -> Parsed {
    hash(call, HashOp::Fields(Nothing {}), Shape::Bulks)
}

pub(crate) fn hvals(call: &mut Call<'_>) -> Parsed {
    hash(call, HashOp::FieldValues(Nothing {}), Shape::Bulks)
}

pub(crate) fn hdel(call: &mut Call<'_>) -> Parsed {
    hash(call, HashOp::Remove(members(call, 2)?), Shape::Plain)
}

pub(crate) fn hexists(call: &mut Call<'_>) -> Parsed {
    hash(call, HashOp::Exists(call.arg(2)), Shape::Plain)
}

pub(crate) fn hlen(call: &mut Call<'_>) -> Parsed {
    hash(call, HashOp::Len(Nothing {}), Shape::Plain)
}

pub(crate) fn hstrlen(call: &mut Call<'_>) -> Parsed {
    hash(call, HashOp::ValueLen(call.arg(2)), Shape::Plain)
}

pub(crate) fn hincrby(call: &mut Call<'_>) -> Parsed {
    let add = HashAdd { field: member(call, 2)?, delta: integer(&call.args[3])? };
    hash(call, HashOp::Add(add), Shape::Plain)
}

/// The number is read where it is added, by the engine: it has the arithmetic of 80 bits.
pub(crate) fn hincrbyfloat(call: &mut Call<'_>) -> Parsed {
    let pair = Pair { key: member(call, 2)?, value: call.value(3)? };
    hash(call, HashOp::AddFloat(pair), Shape::Plain)
}

/// `HRANDFIELD key [count [WITHVALUES]]`
pub(crate) fn hrandfield(call: &mut Call<'_>) -> Parsed {
    let mut choice = choice(call)?;
    let shape = match &call.args[2..] {
        [] => Shape::Plain,
        [_] => Shape::Bulks,
        [_, word] if is_word(word, "WITHVALUES") => {
            check_pairs(&choice)?;
            choice.with_values = true;
            Shape::BulkPairs
        }
        _ => return Err(SYNTAX),
    };
    hash(call, HashOp::Choose(choice), shape)
}

/// `HSCAN key cursor [MATCH pattern] [COUNT count]`
pub(crate) fn hscan(call: &mut Call<'_>) -> Parsed {
    match scan(call)? {
        Ok(scan) => hash(call, HashOp::Scan(scan), Shape::MemberPage),
        Err(error) => hash(call, HashOp::Len(Nothing {}), Shape::RefusePageIfPresent(error)),
    }
}

fn hash(call: &Call<'_>, op: HashOp, shape: Shape) -> Parsed {
    keyed(call, KvOp::Hash(HashRequest { key: call.arg(1), op: Some(op) }), shape)
}

/// Fields and values in turn, behind the key.
fn fields(call: &Call<'_>) -> Result<Vec<Pair>, ErrorText> {
    if !call.args.len().is_multiple_of(2) {
        return Err(wrong_arity(call.command.full_name));
    }
    check_bytes(call)?;
    let pair = |field| Ok(Pair { key: member(call, field)?, value: call.value(field + 1)? });
    (2..call.args.len()).step_by(2).map(pair).collect()
}
