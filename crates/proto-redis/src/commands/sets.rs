//! Commands on sets.

use super::members::{all, check_bytes, choice, member, members, scan};
use super::{is_word, keyed};
use crate::form::Shape;
use crate::plan::Plan;
use crate::table::Call;
use crate::text::{ErrorText, SYNTAX, parse_integer};
use api::kv::{
    Combining, CommonCount, Key, KeyAndMembers, Keys, KvOp, Pair, SetChoice, SetCombination, SetMove, SetOp,
    SetPop, SetRequest, SetScan, StoreCombination,
};

type Parsed = Result<Plan, ErrorText>;

const NO_KEYS: ErrorText = ErrorText::fixed("ERR numkeys should be greater than 0");
const TOO_MANY_KEYS: ErrorText = ErrorText::fixed("ERR Number of keys can't be greater than number of args");
const NEGATIVE_LIMIT: ErrorText = ErrorText::fixed("ERR LIMIT can't be negative");
const NOT_POSITIVE: ErrorText = ErrorText::fixed("ERR value is out of range, must be positive");

pub(crate) fn sadd(call: &mut Call<'_>) -> Parsed {
    let members = members(call, 2)?.members;
    set(call, SetOp::Add(KeyAndMembers { key: call.arg(1), members }), Shape::Plain)
}

pub(crate) fn srem(call: &mut Call<'_>) -> Parsed {
    let members = members(call, 2)?.members;
    set(call, SetOp::Remove(KeyAndMembers { key: call.arg(1), members }), Shape::Plain)
}

pub(crate) fn sismember(call: &mut Call<'_>) -> Parsed {
    set(call, SetOp::Has(Pair { key: call.arg(1), value: call.arg(2) }), Shape::Plain)
}

pub(crate) fn smismember(call: &mut Call<'_>) -> Parsed {
    let members = all(call, 2).members;
    set(call, SetOp::Contains(KeyAndMembers { key: call.arg(1), members }), Shape::Numbers)
}

pub(crate) fn smembers(call: &mut Call<'_>) -> Parsed {
    set(call, SetOp::Members(Key { key: call.arg(1) }), Shape::BulkSet)
}

pub(crate) fn scard(call: &mut Call<'_>) -> Parsed {
    set(call, SetOp::Card(Key { key: call.arg(1) }), Shape::Plain)
}

pub(crate) fn smove(call: &mut Call<'_>) -> Parsed {
    let op = SetMove { from: call.arg(1), to: call.arg(2), member: member(call, 3)? };
    set(call, SetOp::Move(op), Shape::Plain)
}

/// `SPOP key [count]`
pub(crate) fn spop(call: &mut Call<'_>) -> Parsed {
    let (count, shape) = match &call.args[2..] {
        [] => (None, Shape::Plain),
        [text] => {
            let count = parse_integer(text).and_then(|count| u64::try_from(count).ok());
            (Some(count.ok_or(NOT_POSITIVE)?), Shape::BulkSet)
        }
        _ => return Err(SYNTAX),
    };
    set(call, SetOp::Pop(SetPop { key: call.arg(1), count }), shape)
}

/// `SRANDMEMBER key [count]`
pub(crate) fn srandmember(call: &mut Call<'_>) -> Parsed {
    if call.args.len() > 3 {
        return Err(SYNTAX);
    }
    let choice = choice(call)?;
    let shape = if choice.count.is_some() { Shape::Bulks } else { Shape::Plain };
    set(call, SetOp::Choose(SetChoice { key: call.arg(1), choice }), shape)
}

/// `SSCAN key cursor [MATCH pattern] [COUNT count]`
pub(crate) fn sscan(call: &mut Call<'_>) -> Parsed {
    let key = call.arg(1);
    match scan(call)? {
        Ok(scan) => set(call, SetOp::Scan(SetScan { key, scan }), Shape::MemberPage),
        Err(error) => set(call, SetOp::Card(Key { key }), Shape::RefusePageIfPresent(error)),
    }
}

pub(crate) fn sinter(call: &mut Call<'_>) -> Parsed {
    set(call, SetOp::Combine(combination(call, 1, Combining::Intersection)?), Shape::BulkSet)
}

pub(crate) fn sunion(call: &mut Call<'_>) -> Parsed {
    set(call, SetOp::Combine(combination(call, 1, Combining::Union)?), Shape::BulkSet)
}

pub(crate) fn sdiff(call: &mut Call<'_>) -> Parsed {
    set(call, SetOp::Combine(combination(call, 1, Combining::Difference)?), Shape::BulkSet)
}

pub(crate) fn sinterstore(call: &mut Call<'_>) -> Parsed {
    store(call, Combining::Intersection)
}

pub(crate) fn sunionstore(call: &mut Call<'_>) -> Parsed {
    store(call, Combining::Union)
}

pub(crate) fn sdiffstore(call: &mut Call<'_>) -> Parsed {
    store(call, Combining::Difference)
}

/// `SINTERCARD numkeys key [key ...] [LIMIT limit]`
pub(crate) fn sintercard(call: &mut Call<'_>) -> Parsed {
    let count = parse_integer(&call.args[1]).and_then(|count| usize::try_from(count).ok());
    let count = count.filter(|&count| count > 0).ok_or(NO_KEYS)?;
    let Some((keys, mut rest)) = call.args[2..].split_at_checked(count) else { return Err(TOO_MANY_KEYS) };
    let mut limit = 0;
    while let [word, tail @ ..] = rest {
        let (true, [number, tail @ ..]) = (is_word(word, "LIMIT"), tail) else { return Err(SYNTAX) };
        let number = parse_integer(number).and_then(|number| u64::try_from(number).ok());
        (limit, rest) = (number.ok_or(NEGATIVE_LIMIT)?, tail);
    }
    check_bytes(call)?;
    let sets = Keys { keys: keys.to_vec() };
    set(call, SetOp::CountCommon(CommonCount { sets, limit }), Shape::Plain)
}

fn set(call: &Call<'_>, op: SetOp, shape: Shape) -> Parsed {
    keyed(call, KvOp::Sets(SetRequest { op: Some(op) }), shape)
}

/// The sets under the keys from here on.
fn combination(call: &Call<'_>, from: usize, how: Combining) -> Result<SetCombination, ErrorText> {
    check_bytes(call)?;
    Ok(SetCombination { how: how as i32, sets: Keys { keys: call.args[from..].to_vec() } })
}

fn store(call: &Call<'_>, how: Combining) -> Parsed {
    let op = StoreCombination { to: call.arg(1), combination: combination(call, 2, how)? };
    set(call, SetOp::Store(op), Shape::Plain)
}
