//! Commands on sorted sets: single members here, ranges and combinations in files of their own.

pub(crate) mod combine;
pub(crate) mod range;

use super::members::{all, check_bytes, check_pairs, choice, member, members, scan};
use super::{is_word, keyed};
use crate::float;
use crate::form::Shape;
use crate::plan::Plan;
use crate::table::Call;
use crate::text::{ErrorText, SYNTAX, parse_integer, wrong_arity};
use api::kv::{
    Key, KeyAndMembers, KvOp, ScoredMember, SortedAdd, SortedChoice, SortedOp, SortedPop, SortedRank,
    SortedRequest, SortedScan,
};
use bytes::Bytes;

type Parsed = Result<Plan, ErrorText>;

const NX_WITH_XX: ErrorText = ErrorText::fixed("ERR XX and NX options at the same time are not compatible");
const CONDITIONS: ErrorText =
    ErrorText::fixed("ERR GT, LT, and/or NX options at the same time are not compatible");
const ONE_INCREMENT: ErrorText = ErrorText::fixed("ERR INCR option supports a single increment-element pair");
const NOT_POSITIVE: ErrorText = ErrorText::fixed("ERR value is out of range, must be positive");
const FEW_KEYS: ErrorText = ErrorText::fixed("ERR numkeys should be greater than 0");
const FEW_MEMBERS: ErrorText = ErrorText::fixed("ERR count should be greater than 0");

/// `ZADD key [NX|XX] [GT|LT] [CH] [INCR] score member [score member ...]`
pub(crate) fn zadd(call: &mut Call<'_>) -> Parsed {
    add(call, SortedAdd::default())
}

/// `ZINCRBY key increment member`
pub(crate) fn zincrby(call: &mut Call<'_>) -> Parsed {
    // Redis takes options here as well; they never leave an increment and a member.
    add(call, SortedAdd { increment: true, ..SortedAdd::default() })
}

fn add(call: &Call<'_>, mut op: SortedAdd) -> Parsed {
    let first = take_conditions(&call.args[2..], &mut op) + 2;
    let pairs = &call.args[first..];
    if pairs.is_empty() || !pairs.len().is_multiple_of(2) {
        return Err(SYNTAX);
    }
    if op.only_new && op.only_known {
        return Err(NX_WITH_XX);
    }
    if op.only_new as u8 + op.only_greater as u8 + op.only_lower as u8 > 1 {
        return Err(CONDITIONS);
    }
    if op.increment && pairs.len() > 2 {
        return Err(ONE_INCREMENT);
    }
    check_bytes(call)?;
    let scores: Vec<_> = pairs.iter().step_by(2).map(|text| float::number(text)).collect::<Result<_, _>>()?;
    for (index, score) in scores.into_iter().enumerate() {
        op.members.push(ScoredMember { member: member(call, first + 2 * index + 1)?, score });
    }
    op.key = call.arg(1);
    let shape = if op.increment { Shape::Double } else { Shape::Plain };
    sorted(call, SortedOp::Add(op), shape)
}

/// Takes options off the front; how many.
fn take_conditions(args: &[Bytes], op: &mut SortedAdd) -> usize {
    for (index, word) in args.iter().enumerate() {
        let option = match word.to_ascii_lowercase().as_slice() {
            b"nx" => &mut op.only_new,
            b"xx" => &mut op.only_known,
            b"gt" => &mut op.only_greater,
            b"lt" => &mut op.only_lower,
            b"ch" => &mut op.count_changed,
            b"incr" => &mut op.increment,
            _ => return index,
        };
        *option = true;
    }
    args.len()
}

pub(crate) fn zrem(call: &mut Call<'_>) -> Parsed {
    let members = members(call, 2)?.members;
    sorted(call, SortedOp::Remove(KeyAndMembers { key: call.arg(1), members }), Shape::Plain)
}

pub(crate) fn zcard(call: &mut Call<'_>) -> Parsed {
    sorted(call, SortedOp::Card(Key { key: call.arg(1) }), Shape::Plain)
}

pub(crate) fn zscore(call: &mut Call<'_>) -> Parsed {
    scores(call, Shape::FirstDouble)
}

pub(crate) fn zmscore(call: &mut Call<'_>) -> Parsed {
    scores(call, Shape::Doubles)
}

fn scores(call: &Call<'_>, shape: Shape) -> Parsed {
    check_bytes(call)?;
    let members = all(call, 2).members;
    sorted(call, SortedOp::Scores(KeyAndMembers { key: call.arg(1), members }), shape)
}

/// `ZRANK key member [WITHSCORE]`
pub(crate) fn zrank(call: &mut Call<'_>) -> Parsed {
    rank(call, false)
}

pub(crate) fn zrevrank(call: &mut Call<'_>) -> Parsed {
    rank(call, true)
}

fn rank(call: &Call<'_>, reverse: bool) -> Parsed {
    let with_score = match &call.args[3..] {
        [] => false,
        [word] if is_word(word, "WITHSCORE") => true,
        [_] => return Err(SYNTAX),
        _ => return Err(wrong_arity(call.command.full_name)),
    };
    let op = SortedRank { key: call.arg(1), member: call.arg(2), reverse, with_score };
    sorted(call, SortedOp::Rank(op), if with_score { Shape::RankAndScore } else { Shape::Plain })
}

pub(crate) fn zpopmin(call: &mut Call<'_>) -> Parsed {
    pop(call, true)
}

pub(crate) fn zpopmax(call: &mut Call<'_>) -> Parsed {
    pop(call, false)
}

/// `ZPOPMIN key [count]`
fn pop(call: &Call<'_>, min: bool) -> Parsed {
    let (count, shape) = match &call.args[2..] {
        [] => (1, Shape::Popped),
        [text] => {
            let count = parse_integer(text).and_then(|count| u64::try_from(count).ok());
            (count.ok_or(NOT_POSITIVE)?, Shape::PoppedMany)
        }
        _ => return Err(SYNTAX),
    };
    sorted(call, SortedOp::PopFirst(SortedPop { keys: vec![call.arg(1)], min, count }), shape)
}

/// `ZMPOP numkeys key [key ...] MIN|MAX [COUNT count]`
pub(crate) fn zmpop(call: &mut Call<'_>) -> Parsed {
    let op = pop_first(&call.args[1..])?;
    check_bytes(call)?;
    let shape = Shape::PoppedFrom(op.keys.clone());
    sorted(call, SortedOp::PopFirst(op), shape)
}

/// `numkeys key [key ...] MIN|MAX [COUNT count]`
pub(crate) fn pop_first(args: &[Bytes]) -> Result<SortedPop, ErrorText> {
    let positive =
        |text: &Bytes| parse_integer(text).and_then(|number| u64::try_from(number).ok()).filter(|n| *n > 0);
    let [count, rest @ ..] = args else { return Err(SYNTAX) };
    let count = positive(count).ok_or(FEW_KEYS)?;
    let keys = usize::try_from(count).ok().and_then(|count| rest.split_at_checked(count));
    let Some((keys, [place, options @ ..])) = keys else { return Err(SYNTAX) };
    let min = is_word(place, "MIN");
    if !min && !is_word(place, "MAX") {
        return Err(SYNTAX);
    }
    let count = match options {
        [] => 1,
        [word, count] if is_word(word, "COUNT") => positive(count).ok_or(FEW_MEMBERS)?,
        [word, count, ..] if is_word(word, "COUNT") => {
            positive(count).ok_or(FEW_MEMBERS)?;
            return Err(SYNTAX);
        }
        _ => return Err(SYNTAX),
    };
    Ok(SortedPop { keys: keys.to_vec(), min, count })
}

/// `ZRANDMEMBER key [count [WITHSCORES]]`
pub(crate) fn zrandmember(call: &mut Call<'_>) -> Parsed {
    let choice = choice(call)?;
    let shape = match &call.args[2..] {
        [] => Shape::FirstMember,
        [_] => Shape::ScoredMembers { scores: false },
        [_, word] if is_word(word, "WITHSCORES") => {
            check_pairs(&choice)?;
            Shape::ScoredMembers { scores: true }
        }
        _ => return Err(SYNTAX),
    };
    sorted(call, SortedOp::Choose(SortedChoice { key: call.arg(1), choice }), shape)
}

/// `ZSCAN key cursor [MATCH pattern] [COUNT count]`
pub(crate) fn zscan(call: &mut Call<'_>) -> Parsed {
    let key = call.arg(1);
    match scan(call)? {
        Ok(scan) => sorted(call, SortedOp::Scan(SortedScan { key, scan }), Shape::ScoredPage),
        Err(error) => sorted(call, SortedOp::Card(Key { key }), Shape::RefusePageIfPresent(error)),
    }
}

/// An operation on sorted sets, with its answer in this shape.
pub(super) fn sorted(call: &Call<'_>, op: SortedOp, shape: Shape) -> Parsed {
    keyed(call, KvOp::Sorted(SortedRequest::new(op)), shape)
}
