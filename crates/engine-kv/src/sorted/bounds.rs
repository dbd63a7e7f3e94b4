//! What lies between two bounds: all of them become two places.

use api::kv::{Bounds, LexBound, LexBounds, LexPlace, RankBounds, ScoreBounds, SortedBounds};
use bytes::Bytes;
use engine::EngineError;

use super::place::{SCORE_BYTES, place, place_of_bits, sortable, split_place};
use super::read::Sorted;

/// Behind every place: no score has these bits.
const END: [u8; SCORE_BYTES] = [0xff; SCORE_BYTES];

/// The places from the first up to, not including, the second.
pub(super) struct Between {
    pub(super) from: Bytes,
    pub(super) to: Bytes,
}

impl Between {
    fn nothing() -> Self {
        Self { from: Bytes::new(), to: Bytes::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.from >= self.to
    }
}

/// The first rank and how many there are from there, of a set with so many members; as Redis reads ranks.
pub(super) fn ranks(bounds: &RankBounds, count: u64) -> (u64, u64) {
    // No set has as many members as an i64 has numbers.
    let length = i64::try_from(count).unwrap_or(i64::MAX);
    let from_end = |rank: i64| if rank < 0 { rank.saturating_add(length) } else { rank };
    let (start, stop) = (from_end(bounds.start).max(0), from_end(bounds.stop).min(length - 1));
    if start > stop { (0, 0) } else { (start as u64, (stop - start + 1) as u64) }
}

/// What lies between two bounds of a set; `None` for those that a newer release knows.
pub(super) fn between(set: &Sorted<'_>, bounds: &SortedBounds) -> Result<Option<Between>, EngineError> {
    Ok(match &bounds.bounds {
        None => None,
        Some(Bounds::Rank(bounds)) => Some(between_ranks(set, bounds)?),
        Some(Bounds::Score(bounds)) => Some(between_scores(bounds)),
        Some(Bounds::Lex(bounds)) => Some(between_members(set, bounds)?),
    })
}

fn between_ranks(set: &Sorted<'_>, bounds: &RankBounds) -> Result<Between, EngineError> {
    let (first, count) = ranks(bounds, set.count);
    if count == 0 {
        return Ok(Between::nothing());
    }
    let place_at = |rank| match set.at_rank(rank, false)?.next().transpose()? {
        Some((member, score)) => Ok(place(score, &member)),
        None => Ok::<_, EngineError>(Bytes::from_static(&END)),
    };
    Ok(Between { from: place_at(first)?, to: place_at(first + count)? })
}

fn between_scores(bounds: &ScoreBounds) -> Between {
    // The next number is the next score.
    let from = sortable(bounds.min) + u64::from(bounds.excludes_min);
    let to = sortable(bounds.max) + u64::from(!bounds.excludes_max);
    Between { from: place_of_bits(from, &[]), to: place_of_bits(to, &[]) }
}

/// Between members, where all scores are equal. Where they are not, Redis says that the result is unspecified; it is
/// then what walking through the members gives: from the first that is not below, up to the first that is above.
fn between_members(set: &Sorted<'_>, bounds: &LexBounds) -> Result<Between, EngineError> {
    let (min, max) = (Edge::lower(bounds.min.as_ref()), Edge::upper(bounds.max.as_ref()));
    let (Some(first), Some(last)) = (set.end(false)?, set.end(true)?) else {
        return Ok(Between::nothing());
    };
    let (_, lowest) = split_place(&first)?;
    let (_, highest) = split_place(&last)?;
    if lowest == highest {
        let bits = sortable(lowest);
        return Ok(Between { from: min.place(bits), to: max.place(bits) });
    }
    let mut from = None;
    for member in set.in_order() {
        let (member, score) = member?;
        if from.is_none() && !min.is_above(&member) {
            from = Some(place(score, &member));
        }
        if let Some(from) = from.as_ref().filter(|_| !max.is_above(&member)) {
            return Ok(Between { from: from.clone(), to: place(score, &member) });
        }
    }
    Ok(from.map_or_else(Between::nothing, |from| Between { from, to: Bytes::from_static(&END) }))
}

/// A place between members: before the first one, after the last, before one, or right behind one.
enum Edge<'a> {
    Start,
    Before(&'a [u8]),
    Behind(&'a [u8]),
    End,
}

impl<'a> Edge<'a> {
    fn lower(bound: Option<&'a LexBound>) -> Self {
        match bound.map(|bound| (bound.place(), &bound.member[..])) {
            None | Some((LexPlace::Lowest, _)) => Edge::Start,
            Some((LexPlace::Included, member)) => Edge::Before(member),
            Some((LexPlace::Excluded, member)) => Edge::Behind(member),
            Some((LexPlace::Highest, _)) => Edge::End,
        }
    }

    fn upper(bound: Option<&'a LexBound>) -> Self {
        match bound.map(|bound| (bound.place(), &bound.member[..])) {
            Some((LexPlace::Lowest, _)) => Edge::Start,
            Some((LexPlace::Included, member)) => Edge::Behind(member),
            Some((LexPlace::Excluded, member)) => Edge::Before(member),
            None | Some((LexPlace::Highest, _)) => Edge::End,
        }
    }

    /// Where it is among the places of one score.
    fn place(&self, bits: u64) -> Bytes {
        match self {
            Edge::Start => place_of_bits(bits, &[]),
            Edge::Before(member) => place_of_bits(bits, member),
            // Nothing lies between a member and the same with a zero behind.
            Edge::Behind(member) => place_of_bits(bits, &[member, &[0][..]].concat()),
            Edge::End => place_of_bits(bits.saturating_add(1), &[]),
        }
    }

    /// Whether a member lies before it.
    fn is_above(&self, member: &[u8]) -> bool {
        match self {
            Edge::Start => false,
            Edge::Before(edge) => member < *edge,
            Edge::Behind(edge) => member <= *edge,
            Edge::End => true,
        }
    }
}
