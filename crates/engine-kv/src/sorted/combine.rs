//! Unions, intersections and differences of sorted sets and sets, whose members have the score 1.
//!
//! A result is held in memory, because it is returned in order of score: it has a limit, [`RESULT_BYTES_MAX`].

use std::collections::BTreeMap;
use std::ops::Bound;

use api::kv::{
    Aggregate, Combination, KvError, SortedCombine, SortedCommonCount, SortedStoreCombined, SortedStoreRange,
};
use bytes::Bytes;
use engine::{ApplyContext, EngineError};
use types::limits::{RESULT_BYTES_MAX, RESULT_MEMBER_BYTES};

use super::change::SortedEdit;
use super::place::sortable;
use super::range::{Scored, walk};
use super::read::{Members, Sorted};
use crate::collection::{Found, Parts};
use crate::look::Look;
use crate::members;
use crate::reply;
use crate::staging::Staging;
use crate::state::{Outcome, Stop};
use crate::value::Kind;

/// The union, intersection or difference of several keys.
pub(super) fn combined(look: &dyn Look, ask: &SortedCombine) -> Outcome {
    let mut found = Scored::default();
    for (member, score) in combine(look, ask)?.into_members() {
        found.add(member, score)?;
    }
    Ok(found.reply())
}

/// How many members several keys have in common.
pub(super) fn common_count(look: &dyn Look, ask: &SortedCommonCount) -> Outcome {
    let mut sources = Source::all(look, &ask.keys)?;
    sources.sort_by_key(Source::count);
    let Some((smallest, others)) = sources.split_first() else { return Ok(reply::integer(0)) };
    let mut count = 0;
    for member in smallest.members() {
        let (member, _) = member?;
        if is_in_all(others, &member)? {
            count += 1;
        }
        if count == ask.limit && ask.limit > 0 {
            break;
        }
    }
    Ok(reply::integer(count as i64))
}

/// Stores a union, intersection or difference.
pub(super) fn store_combined(
    staging: &mut Staging,
    context: &ApplyContext,
    ask: &SortedStoreCombined,
) -> Outcome {
    let wanted = ask.combine.as_ref().ok_or(Stop::Refused(KvError::Unsupported))?;
    let result = combine(&staging.look(context), wanted)?;
    store(staging, context, &ask.to, result)
}

/// Stores a range.
pub(super) fn store_range(staging: &mut Staging, context: &ApplyContext, ask: &SortedStoreRange) -> Outcome {
    let range = ask.range.as_ref().ok_or(Stop::Refused(KvError::Unsupported))?;
    let mut result = Held::default();
    {
        let look = staging.look(context);
        if let Some(set) = Sorted::find(&look, &range.key)? {
            for member in walk(&set, range)? {
                let (member, score) = member?;
                result.add(member, score)?;
            }
        }
    }
    store(staging, context, &ask.to, result)
}

/// Stores members in place of whatever a key holds; without members there is no such key afterwards.
pub(super) fn store(staging: &mut Staging, context: &ApplyContext, to: &Bytes, result: Held) -> Outcome {
    staging.make(context, result.bytes)?;
    let mut set = SortedEdit::replacing(staging, context, to)?;
    for (member, score) in result.into_members() {
        set.set(staging, context, &member, None, score);
    }
    let count = set.count();
    set.finish(staging, context)?;
    Ok(reply::integer(count as i64))
}

/// Members of a result, each once.
#[derive(Default)]
pub(super) struct Held {
    members: Vec<(Bytes, f64)>,
    bytes: usize,
}

impl Held {
    /// Adds a member.
    ///
    /// # Errors
    /// `ResultTooLarge` if the result would have more bytes than it may.
    pub(super) fn add(&mut self, member: Bytes, score: f64) -> Result<(), Stop> {
        self.bytes += member.len() + RESULT_MEMBER_BYTES;
        if self.bytes > RESULT_BYTES_MAX {
            return Err(Stop::Refused(KvError::ResultTooLarge));
        }
        self.members.push((member, score));
        Ok(())
    }

    /// In order of score.
    fn sorted(mut self) -> Self {
        self.members.sort_unstable_by(|a, b| (sortable(a.1), &a.0).cmp(&(sortable(b.1), &b.0)));
        self
    }

    fn into_members(self) -> Vec<(Bytes, f64)> {
        self.members
    }
}

fn combine(look: &dyn Look, ask: &SortedCombine) -> Result<Held, Stop> {
    let mut sources = Source::all(look, &ask.keys)?;
    for (source, weight) in sources.iter_mut().zip(&ask.weights) {
        source.weight = *weight;
    }
    let result = match ask.combination() {
        Combination::Union => union(sources, ask.aggregate())?,
        Combination::Intersection => intersection(sources, ask.aggregate())?,
        Combination::Difference => difference(&sources)?,
    };
    Ok(result.sorted())
}

/// Sums of decimal numbers depend on the order: as in Redis it is that of the sizes, the smallest set first.
fn union(mut sources: Vec<Source<'_>>, aggregate: Aggregate) -> Result<Held, Stop> {
    sources.sort_by_key(Source::count);
    let mut scores: BTreeMap<Bytes, f64> = BTreeMap::new();
    let mut bytes = 0;
    for source in &sources {
        for member in source.members() {
            let (member, score) = member?;
            let score = zero_if_nan(source.weight * score);
            if let Some(known) = scores.get_mut(&member) {
                *known = together(*known, score, aggregate);
                continue;
            }
            bytes += member.len() + RESULT_MEMBER_BYTES;
            if bytes > RESULT_BYTES_MAX {
                return Err(Stop::Refused(KvError::ResultTooLarge));
            }
            scores.insert(member, score);
        }
    }
    Ok(Held { members: scores.into_iter().collect(), bytes })
}

fn intersection(mut sources: Vec<Source<'_>>, aggregate: Aggregate) -> Result<Held, Stop> {
    sources.sort_by_key(Source::count);
    let mut result = Held::default();
    let Some((smallest, others)) = sources.split_first() else { return Ok(result) };
    'members: for member in smallest.members() {
        let (member, score) = member?;
        let mut score = zero_if_nan(smallest.weight * score);
        for other in others {
            let Some(another) = other.score(&member)? else { continue 'members };
            score = together(score, other.weight * another, aggregate);
        }
        result.add(member, score)?;
    }
    Ok(result)
}

fn difference(sources: &[Source<'_>]) -> Result<Held, Stop> {
    let mut result = Held::default();
    let Some((first, others)) = sources.split_first() else { return Ok(result) };
    for member in first.members() {
        let (member, score) = member?;
        if !is_in_any(others, &member)? {
            result.add(member, score)?;
        }
    }
    Ok(result)
}

fn is_in_all(sources: &[Source<'_>], member: &[u8]) -> Result<bool, EngineError> {
    for source in sources {
        if source.score(member)?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

fn is_in_any(sources: &[Source<'_>], member: &[u8]) -> Result<bool, EngineError> {
    for source in sources {
        if source.score(member)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Two scores of a member as one, by the rules of Redis; `another` may be NaN.
fn together(score: f64, another: f64, aggregate: Aggregate) -> f64 {
    match aggregate {
        Aggregate::Sum => zero_if_nan(score + another),
        Aggregate::Min if another < score => another,
        Aggregate::Max if another > score => another,
        Aggregate::Min | Aggregate::Max => score,
    }
}

/// Infinities that cancel out, and infinity times nothing.
fn zero_if_nan(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// One of several keys to be combined.
struct Source<'a> {
    held: Holding<'a>,
    weight: f64,
}

enum Holding<'a> {
    Nothing,
    Sorted(Sorted<'a>),
    Set(&'a dyn Look, Parts, u64),
}

impl<'a> Source<'a> {
    /// Looks all keys up.
    ///
    /// # Errors
    /// `WrongType` if one holds neither a sorted set nor a set.
    fn all(look: &'a dyn Look, keys: &[Bytes]) -> Result<Vec<Self>, Stop> {
        keys.iter().map(|key| Self::find(look, key)).collect()
    }

    fn find(look: &'a dyn Look, key: &[u8]) -> Result<Self, Stop> {
        let held = match look.live(key)? {
            None => Holding::Nothing,
            Some(stored) => {
                let kind = stored.header.kind;
                match kind {
                    Kind::SortedSet => Holding::Sorted(Sorted::of(look, &Found::of(look.epoch(), &stored)?)?),
                    Kind::Set => {
                        let found = Found::of(look.epoch(), &stored)?;
                        Holding::Set(look, found.parts, found.count)
                    }
                    _ => return Err(Stop::Refused(KvError::WrongType)),
                }
            }
        };
        Ok(Self { held, weight: 1.0 })
    }

    fn count(&self) -> u64 {
        match &self.held {
            Holding::Nothing => 0,
            Holding::Sorted(set) => set.count,
            Holding::Set(_, _, count) => *count,
        }
    }

    /// The members in the order of their positions.
    fn members(&self) -> Members<'a> {
        match &self.held {
            Holding::Nothing => Box::new(std::iter::empty()),
            Holding::Sorted(set) => set.in_order(),
            Holding::Set(look, parts, _) => {
                let records = parts.range(*look, Bound::Unbounded, Bound::Unbounded, false);
                Box::new(records.map(|record| {
                    let (sub_key, _) = record?;
                    let name = members::name_of(&sub_key)?;
                    Ok((sub_key.slice_ref(name), 1.0))
                }))
            }
        }
    }

    fn score(&self, member: &[u8]) -> Result<Option<f64>, EngineError> {
        match &self.held {
            Holding::Nothing => Ok(None),
            Holding::Sorted(set) => set.score(member),
            Holding::Set(look, parts, _) => Ok(members::get(*look, *parts, member)?.map(|_| 1.0)),
        }
    }
}
