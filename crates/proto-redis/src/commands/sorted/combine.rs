//! Unions, intersections and differences of sorted sets and sets.

use super::super::is_word;
use super::super::members::check_bytes;
use super::{Parsed, sorted};
use crate::float;
use crate::form::Shape;
use crate::table::Call;
use crate::text::{ErrorText, NOT_INTEGER, SYNTAX, parse_integer};
use api::kv::{Aggregate, Combination, SortedCombine, SortedCommonCount, SortedOp, SortedStoreCombined};
use bytes::Bytes;

const NOT_A_WEIGHT: ErrorText = ErrorText::fixed("ERR weight value is not a float");
const NEGATIVE_LIMIT: ErrorText = ErrorText::fixed("ERR LIMIT can't be negative");

/// `ZUNION numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM|MIN|MAX] [WITHSCORES]`
pub(crate) fn zunion(call: &mut Call<'_>) -> Parsed {
    combined(call, Combination::Union)
}

pub(crate) fn zinter(call: &mut Call<'_>) -> Parsed {
    combined(call, Combination::Intersection)
}

pub(crate) fn zdiff(call: &mut Call<'_>) -> Parsed {
    combined(call, Combination::Difference)
}

pub(crate) fn zunionstore(call: &mut Call<'_>) -> Parsed {
    stored(call, Combination::Union)
}

pub(crate) fn zinterstore(call: &mut Call<'_>) -> Parsed {
    stored(call, Combination::Intersection)
}

pub(crate) fn zdiffstore(call: &mut Call<'_>) -> Parsed {
    stored(call, Combination::Difference)
}

fn combined(call: &Call<'_>, combination: Combination) -> Parsed {
    let (keys, rest) = keys(call, 1)?;
    let mut scores = false;
    match options(combination, keys, rest, Some(&mut scores)) {
        Ok(combine) => sorted(call, SortedOp::Combined(combine), Shape::ScoredMembers { scores }),
        Err(error) => refused(call, keys, error),
    }
}

fn stored(call: &Call<'_>, combination: Combination) -> Parsed {
    let (keys, rest) = keys(call, 2)?;
    match options(combination, keys, rest, None) {
        Ok(combine) => {
            let op = SortedStoreCombined { to: call.arg(1), combine: Some(combine) };
            sorted(call, SortedOp::StoreCombined(op), Shape::Plain)
        }
        Err(error) => refused(call, keys, error),
    }
}

/// `ZINTERCARD numkeys key [key ...] [LIMIT limit]`
pub(crate) fn zintercard(call: &mut Call<'_>) -> Parsed {
    let (keys, mut rest) = keys(call, 1)?;
    let mut limit = 0;
    while let [word, tail @ ..] = rest {
        let (true, [number, tail @ ..]) = (is_word(word, "LIMIT"), tail) else {
            return refused(call, keys, SYNTAX);
        };
        match parse_integer(number).and_then(|number| u64::try_from(number).ok()) {
            Some(number) => limit = number,
            None => return refused(call, keys, NEGATIVE_LIMIT),
        }
        rest = tail;
    }
    let op = SortedCommonCount { keys: keys.to_vec(), limit };
    sorted(call, SortedOp::CommonCount(op), Shape::Plain)
}

/// Redis looks at the types of the keys before it looks at the options behind them.
fn refused(call: &Call<'_>, keys: &[Bytes], error: ErrorText) -> Parsed {
    let op = SortedCommonCount { keys: keys.to_vec(), limit: 1 };
    sorted(call, SortedOp::CommonCount(op), Shape::Refuse(error))
}

/// The keys, whose number stands at `count_at`, and what follows them.
fn keys<'a>(call: &Call<'a>, count_at: usize) -> Result<(&'a [Bytes], &'a [Bytes]), ErrorText> {
    let count = parse_integer(&call.args[count_at]).ok_or(NOT_INTEGER)?;
    if count < 1 {
        let command = call.command.full_name;
        return Err(format!("ERR at least 1 input key is needed for '{command}' command").into());
    }
    let rest = &call.args[count_at + 1..];
    check_bytes(call)?;
    usize::try_from(count).ok().and_then(|count| rest.split_at_checked(count)).ok_or(SYNTAX)
}

/// Reads what follows the keys. `scores` is where `WITHSCORES` is noted, if it is allowed.
fn options(
    combination: Combination,
    keys: &[Bytes],
    mut rest: &[Bytes],
    mut scores: Option<&mut bool>,
) -> Result<SortedCombine, ErrorText> {
    let mut combine = SortedCombine { combination: combination as i32, ..SortedCombine::default() };
    let has_weights = combination != Combination::Difference;
    while let [word, tail @ ..] = rest {
        if has_weights && is_word(word, "WEIGHTS") && tail.len() >= keys.len() {
            let (weights, tail) = tail.split_at(keys.len());
            combine.weights = weights
                .iter()
                .map(|text| float::double(text).ok_or(NOT_A_WEIGHT))
                .collect::<Result<_, _>>()?;
            rest = tail;
        } else if let (true, true, [how, tail @ ..]) = (has_weights, is_word(word, "AGGREGATE"), tail) {
            combine.aggregate = aggregate(how).ok_or(SYNTAX)? as i32;
            rest = tail;
        } else if let Some(scores) = scores.as_deref_mut().filter(|_| is_word(word, "WITHSCORES")) {
            *scores = true;
            rest = tail;
        } else {
            return Err(SYNTAX);
        }
    }
    combine.keys = keys.to_vec();
    Ok(combine)
}

fn aggregate(word: &[u8]) -> Option<Aggregate> {
    let words = [("SUM", Aggregate::Sum), ("MIN", Aggregate::Min), ("MAX", Aggregate::Max)];
    words.into_iter().find(|(name, _)| is_word(word, name)).map(|(_, aggregate)| aggregate)
}
