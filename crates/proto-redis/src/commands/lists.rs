//! Commands on lists.

use super::{integer, is_word, keyed};
use crate::form::Shape;
use crate::plan::Plan;
use crate::table::Call;
use crate::text::{ErrorText, SYNTAX, parse_integer};
use api::kv::{
    Key, KvOp, ListIndex, ListInsert, ListMove, ListOp, ListPop, ListPopFirst, ListPosition, ListPush,
    ListRange, ListRemove, ListRequest, ListSet,
};
use bytes::Bytes;

type Parsed = Result<Plan, ErrorText>;

const NO_SUCH_KEY: ErrorText = ErrorText::fixed("ERR no such key");
const NOT_POSITIVE: ErrorText = ErrorText::fixed("ERR value is out of range, must be positive");
const FEW_KEYS: ErrorText = ErrorText::fixed("ERR numkeys should be greater than 0");
const FEW_ELEMENTS: ErrorText = ErrorText::fixed("ERR count should be greater than 0");
const RANK_ZERO: ErrorText = ErrorText::fixed(
    "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list",
);
const NEGATIVE_COUNT: ErrorText = ErrorText::fixed("ERR COUNT can't be negative");
const NEGATIVE_MAXLEN: ErrorText = ErrorText::fixed("ERR MAXLEN can't be negative");

pub(crate) fn lpush(call: &mut Call<'_>) -> Parsed {
    push(call, true, false)
}

pub(crate) fn rpush(call: &mut Call<'_>) -> Parsed {
    push(call, false, false)
}

pub(crate) fn lpushx(call: &mut Call<'_>) -> Parsed {
    push(call, true, true)
}

pub(crate) fn rpushx(call: &mut Call<'_>) -> Parsed {
    push(call, false, true)
}

pub(crate) fn lpop(call: &mut Call<'_>) -> Parsed {
    pop(call, true)
}

pub(crate) fn rpop(call: &mut Call<'_>) -> Parsed {
    pop(call, false)
}

pub(crate) fn llen(call: &mut Call<'_>) -> Parsed {
    list(call, ListOp::Len(Key { key: call.arg(1) }), Shape::Plain)
}

/// `LINDEX key index`; Redis looks at the key before it looks at the index.
pub(crate) fn lindex(call: &mut Call<'_>) -> Parsed {
    let key = call.arg(1);
    match integer(&call.args[2]) {
        Ok(index) => list(call, ListOp::Index(ListIndex { key, index }), Shape::Plain),
        Err(error) => list(call, any_element(key), Shape::RefuseIfPresent(error)),
    }
}

/// `LSET key index element`, as before.
pub(crate) fn lset(call: &mut Call<'_>) -> Parsed {
    let key = call.arg(1);
    match integer(&call.args[2]) {
        Ok(index) => {
            let element = call.value(3)?;
            list(call, ListOp::Set(ListSet { key, index, element }), Shape::Plain)
        }
        Err(error) => list(call, any_element(key), Shape::RefuseAnyway(NO_SUCH_KEY, error)),
    }
}

pub(crate) fn lrange(call: &mut Call<'_>) -> Parsed {
    list(call, ListOp::Range(range(call)?), Shape::Bulks)
}

pub(crate) fn ltrim(call: &mut Call<'_>) -> Parsed {
    list(call, ListOp::Trim(range(call)?), Shape::Plain)
}

/// `LINSERT key BEFORE|AFTER pivot element`
pub(crate) fn linsert(call: &mut Call<'_>) -> Parsed {
    let before = is_word(&call.args[2], "BEFORE");
    if !before && !is_word(&call.args[2], "AFTER") {
        return Err(SYNTAX);
    }
    let insert = ListInsert { key: call.arg(1), pivot: call.arg(3), element: call.value(4)?, before };
    list(call, ListOp::Insert(insert), Shape::Plain)
}

/// `LREM key count element`
pub(crate) fn lrem(call: &mut Call<'_>) -> Parsed {
    let count = integer(&call.args[2])?;
    list(call, ListOp::Remove(ListRemove { key: call.arg(1), count, element: call.arg(3) }), Shape::Plain)
}

/// `LPOS key element [RANK rank] [COUNT num-matches] [MAXLEN len]`
pub(crate) fn lpos(call: &mut Call<'_>) -> Parsed {
    let mut wanted =
        ListPosition { key: call.arg(1), element: call.arg(2), rank: 1, count: None, looks_max: 0 };
    let mut rest = &call.args[3..];
    while let [word, tail @ ..] = rest {
        let [argument, tail @ ..] = tail else { return Err(SYNTAX) };
        rest = tail;
        if is_word(word, "RANK") {
            wanted.rank = match integer(argument)? {
                0 => return Err(RANK_ZERO),
                // It has no counterpart with the other sign; Redis takes it for the last match.
                i64::MIN => -1,
                rank => rank,
            };
        } else if is_word(word, "COUNT") {
            wanted.count = Some(not_negative(argument).ok_or(NEGATIVE_COUNT)?);
        } else if is_word(word, "MAXLEN") {
            wanted.looks_max = not_negative(argument).ok_or(NEGATIVE_MAXLEN)?;
        } else {
            return Err(SYNTAX);
        }
    }
    let shape = if wanted.count.is_some() { Shape::Numbers } else { Shape::Plain };
    list(call, ListOp::Position(wanted), shape)
}

/// `LMOVE source destination LEFT|RIGHT LEFT|RIGHT`
pub(crate) fn lmove(call: &mut Call<'_>) -> Parsed {
    let (from_left, to_left) = (is_left(&call.args[3])?, is_left(&call.args[4])?);
    list(
        call,
        ListOp::Move(ListMove { from: call.arg(1), to: call.arg(2), from_left, to_left }),
        Shape::Plain,
    )
}

pub(crate) fn rpoplpush(call: &mut Call<'_>) -> Parsed {
    let request = ListMove { from: call.arg(1), to: call.arg(2), from_left: false, to_left: true };
    list(call, ListOp::Move(request), Shape::Plain)
}

/// `LMPOP numkeys key [key ...] LEFT|RIGHT [COUNT count]`
pub(crate) fn lmpop(call: &mut Call<'_>) -> Parsed {
    let pop = pop_first(&call.args[1..])?;
    let shape = Shape::TakenFrom(pop.keys.clone());
    list(call, ListOp::PopFirst(pop), shape)
}

/// What follows the name of `LMPOP`, and the timeout of `BLMPOP`.
pub(super) fn pop_first(args: &[Bytes]) -> Result<ListPopFirst, ErrorText> {
    let [number, rest @ ..] = args else { return Err(SYNTAX) };
    let number = positive(number).ok_or(FEW_KEYS)?;
    let keys = usize::try_from(number).ok().filter(|&number| number < rest.len()).ok_or(SYNTAX)?;
    let (keys, rest) = rest.split_at(keys);
    let [side, rest @ ..] = rest else { return Err(SYNTAX) };
    let left = is_left(side)?;
    let count = match rest {
        [] => 1,
        [word, count, rest @ ..] if is_word(word, "COUNT") => {
            let count = positive(count).ok_or(FEW_ELEMENTS)?;
            if rest.is_empty() { count } else { return Err(SYNTAX) }
        }
        _ => return Err(SYNTAX),
    };
    Ok(ListPopFirst { keys: keys.to_vec(), left, count })
}

/// `LEFT` or `RIGHT`.
pub(super) fn is_left(word: &[u8]) -> Result<bool, ErrorText> {
    if is_word(word, "LEFT") {
        Ok(true)
    } else if is_word(word, "RIGHT") {
        Ok(false)
    } else {
        Err(SYNTAX)
    }
}

fn push(call: &Call<'_>, left: bool, only_if_present: bool) -> Parsed {
    let push = ListPush { key: call.arg(1), elements: call.values(2)?, left, only_if_present };
    list(call, ListOp::Push(push), Shape::Plain)
}

/// `LPOP key [count]` and `RPOP`.
fn pop(call: &Call<'_>, left: bool) -> Parsed {
    let count = match &call.args[2..] {
        [] => None,
        [count] => Some(not_negative(count).ok_or(NOT_POSITIVE)?),
        _ => return Err(crate::text::wrong_arity(call.command.full_name)),
    };
    let shape = if count.is_some() { Shape::BulksOrNone } else { Shape::Plain };
    list(call, ListOp::Pop(ListPop { key: call.arg(1), left, count }), shape)
}

fn list(call: &Call<'_>, op: ListOp, shape: Shape) -> Parsed {
    keyed(call, KvOp::List(ListRequest::new(op)), shape)
}

/// Asks for nothing but whether there is a list: one that is there has a first element.
fn any_element(key: Bytes) -> ListOp {
    ListOp::Index(ListIndex { key, index: 0 })
}

fn range(call: &Call<'_>) -> Result<ListRange, ErrorText> {
    let (start, stop) = (integer(&call.args[2])?, integer(&call.args[3])?);
    Ok(ListRange { key: call.arg(1), start, stop })
}

fn not_negative(text: &[u8]) -> Option<u64> {
    parse_integer(text).and_then(|number| u64::try_from(number).ok())
}

fn positive(text: &[u8]) -> Option<u64> {
    not_negative(text).filter(|&number| number > 0)
}
