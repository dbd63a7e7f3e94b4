//! Commands on ranges of sorted sets: by rank, by score, by the order of members.

use super::super::integer;
use super::super::is_word;
use super::{Parsed, sorted};
use crate::float;
use crate::form::Shape;
use crate::table::Call;
use crate::text::{ErrorText, SYNTAX};
use api::kv::{
    Bounds, LexBound, LexBounds, LexPlace, RankBounds, ScoreBounds, SortedBetween, SortedBounds, SortedOp,
    SortedRange, SortedStoreRange,
};
use bytes::Bytes;

const NOT_SCORES: ErrorText = ErrorText::fixed("ERR min or max is not a float");
const NOT_LEX: ErrorText = ErrorText::fixed("ERR min or max not valid string range item");
const LIMITED_RANKS: ErrorText =
    ErrorText::fixed("ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX");
const SCORES_BY_LEX: ErrorText =
    ErrorText::fixed("ERR syntax error, WITHSCORES not supported in combination with BYLEX");

/// What the two bounds of a command are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Lex,
}

/// `ZRANGE key start stop [BYSCORE|BYLEX] [REV] [LIMIT offset count] [WITHSCORES]`
pub(crate) fn zrange(call: &mut Call<'_>) -> Parsed {
    range(call, None, None)
}

/// `ZRANGESTORE dst src min max [BYSCORE|BYLEX] [REV] [LIMIT offset count]`
pub(crate) fn zrangestore(call: &mut Call<'_>) -> Parsed {
    let options = Options::read(&call.args[5..], None, None, false)?;
    let range = Some(options.range(call.arg(2), &call.args[3], &call.args[4])?);
    sorted(call, SortedOp::StoreRange(SortedStoreRange { to: call.arg(1), range }), Shape::Plain)
}

pub(crate) fn zrevrange(call: &mut Call<'_>) -> Parsed {
    range(call, Some(By::Rank), Some(true))
}

pub(crate) fn zrangebyscore(call: &mut Call<'_>) -> Parsed {
    range(call, Some(By::Score), Some(false))
}

pub(crate) fn zrevrangebyscore(call: &mut Call<'_>) -> Parsed {
    range(call, Some(By::Score), Some(true))
}

pub(crate) fn zrangebylex(call: &mut Call<'_>) -> Parsed {
    range(call, Some(By::Lex), Some(false))
}

pub(crate) fn zrevrangebylex(call: &mut Call<'_>) -> Parsed {
    range(call, Some(By::Lex), Some(true))
}

fn range(call: &Call<'_>, by: Option<By>, reverse: Option<bool>) -> Parsed {
    let options = Options::read(&call.args[4..], by, reverse, true)?;
    let range = options.range(call.arg(1), &call.args[2], &call.args[3])?;
    sorted(call, SortedOp::Range(range), Shape::ScoredMembers { scores: options.scores })
}

pub(crate) fn zcount(call: &mut Call<'_>) -> Parsed {
    let op = SortedOp::Count(between(call, By::Score)?);
    sorted(call, op, Shape::Plain)
}

pub(crate) fn zlexcount(call: &mut Call<'_>) -> Parsed {
    let op = SortedOp::Count(between(call, By::Lex)?);
    sorted(call, op, Shape::Plain)
}

pub(crate) fn zremrangebyrank(call: &mut Call<'_>) -> Parsed {
    let op = SortedOp::RemoveBetween(between(call, By::Rank)?);
    sorted(call, op, Shape::Plain)
}

pub(crate) fn zremrangebyscore(call: &mut Call<'_>) -> Parsed {
    let op = SortedOp::RemoveBetween(between(call, By::Score)?);
    sorted(call, op, Shape::Plain)
}

pub(crate) fn zremrangebylex(call: &mut Call<'_>) -> Parsed {
    let op = SortedOp::RemoveBetween(between(call, By::Lex)?);
    sorted(call, op, Shape::Plain)
}

/// `… key min max`
fn between(call: &Call<'_>, by: By) -> Result<SortedBetween, ErrorText> {
    let bounds = bounds(by, &call.args[2], &call.args[3])?;
    Ok(SortedBetween { key: call.arg(1), between: Some(SortedBounds { bounds: Some(bounds) }) })
}

/// The options of the commands that return or store ranges.
struct Options {
    by: By,
    reverse: bool,
    scores: bool,
    offset: i64,
    limit: i64,
}

impl Options {
    /// `by` and `reverse` are those that the command's name has fixed.
    fn read(
        mut rest: &[Bytes],
        by: Option<By>,
        reverse: Option<bool>,
        may_have_scores: bool,
    ) -> Result<Self, ErrorText> {
        let (mut chosen_by, mut chosen_reverse) = (by, reverse);
        let (mut scores, mut offset, mut limit) = (false, 0, -1);
        while let [word, tail @ ..] = rest {
            rest = tail;
            if may_have_scores && is_word(word, "WITHSCORES") {
                scores = true;
            } else if let (true, [first, count, tail @ ..]) = (is_word(word, "LIMIT"), tail) {
                (offset, limit) = (integer(first)?, integer(count)?);
                rest = tail;
            } else if reverse.is_none() && chosen_reverse.is_none() && is_word(word, "REV") {
                chosen_reverse = Some(true);
            } else if chosen_by.is_none() && is_word(word, "BYLEX") {
                chosen_by = Some(By::Lex);
            } else if chosen_by.is_none() && is_word(word, "BYSCORE") {
                chosen_by = Some(By::Score);
            } else {
                return Err(SYNTAX);
            }
        }
        let by = chosen_by.unwrap_or(By::Rank);
        if limit != -1 && by == By::Rank {
            return Err(LIMITED_RANKS);
        }
        if scores && by == By::Lex {
            return Err(SCORES_BY_LEX);
        }
        Ok(Self { by, reverse: chosen_reverse.unwrap_or(false), scores, offset, limit })
    }

    /// The range between two bounds, of which the upper one comes first in a reverse range, except of ranks.
    fn range(&self, key: Bytes, first: &[u8], second: &[u8]) -> Result<SortedRange, ErrorText> {
        let is_turned = self.reverse && self.by != By::Rank;
        let (min, max) = if is_turned { (second, first) } else { (first, second) };
        let between = Some(SortedBounds { bounds: Some(bounds(self.by, min, max)?) });
        Ok(SortedRange { key, between, reverse: self.reverse, offset: self.offset, limit: Some(self.limit) })
    }
}

fn bounds(by: By, min: &[u8], max: &[u8]) -> Result<Bounds, ErrorText> {
    match by {
        By::Rank => Ok(Bounds::Rank(RankBounds { start: integer(min)?, stop: integer(max)? })),
        By::Score => {
            let (min, excludes_min) = score(min)?;
            let (max, excludes_max) = score(max)?;
            Ok(Bounds::Score(ScoreBounds { min, max, excludes_min, excludes_max }))
        }
        By::Lex => Ok(Bounds::Lex(LexBounds { min: Some(lex(min)?), max: Some(lex(max)?) })),
    }
}

/// `5` or `(5`
fn score(text: &[u8]) -> Result<(f64, bool), ErrorText> {
    let (number, is_excluded) = match text {
        [b'(', number @ ..] => (number, true),
        number => (number, false),
    };
    Ok((float::bound(number).ok_or(NOT_SCORES)?, is_excluded))
}

/// `-`, `+`, `[member` or `(member`
fn lex(text: &[u8]) -> Result<LexBound, ErrorText> {
    let (place, member) = match text {
        b"-" => (LexPlace::Lowest, &[][..]),
        b"+" => (LexPlace::Highest, &[][..]),
        [b'[', member @ ..] => (LexPlace::Included, member),
        [b'(', member @ ..] => (LexPlace::Excluded, member),
        _ => return Err(NOT_LEX),
    };
    Ok(LexBound { place: place as i32, member: Bytes::copy_from_slice(member) })
}
