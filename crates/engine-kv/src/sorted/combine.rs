//! Unions, intersections and differences of sorted sets and sets, whose members have the score 1. What is in several is
//! found as in `sets::algebra`: the members of both kinds have the same order.
//!
//! A result is held in memory, because it is returned in order of score: it has a limit, [`RESULT_BYTES_MAX`].

use std::cmp::Reverse;
use std::collections::BTreeMap;

use api::kv::{
    Aggregate, Combination, KvError, SortedCombine, SortedCommonCount, SortedStoreCombined, SortedStoreRange,
};
use bytes::{Buf, Bytes};
use engine::{ApplyContext, EngineError};
use types::limits::{RESULT_BYTES_MAX, RESULT_MEMBER_BYTES};

use super::change::SortedEdit;
use super::place::{score_in, sortable};
use super::range::{Scored, walk};
use super::read::Sorted;
use crate::collection::Found;
use crate::look::{Look, RecordsInOrder};
use crate::members;
use crate::probe::{Ordered, probes};
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
    let mut count = 0;
    common(Source::all(look, &ask.keys)?, look, &mut |_, _, _| {
        count += 1;
        Ok(ask.limit == 0 || count < ask.limit)
    })?;
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
        Combination::Union => union(look, sources, ask.aggregate())?,
        Combination::Intersection => intersection(look, sources, ask.aggregate())?,
        Combination::Difference => difference(look, &sources)?,
    };
    Ok(result.sorted())
}

/// Sums of decimal numbers depend on the order: as in Redis it is that of the sizes, the smallest set first.
fn union(look: &dyn Look, mut sources: Vec<Source<'_>>, aggregate: Aggregate) -> Result<Held, Stop> {
    sources.sort_by_key(Source::count);
    let mut scores: BTreeMap<Bytes, f64> = BTreeMap::new();
    let mut bytes = 0;
    for source in &sources {
        for record in source.walk(look) {
            let (sub_key, value) = record?;
            let (member, score) = (name(sub_key)?, zero_if_nan(source.weight * source.score_of(&value)?));
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

fn intersection(look: &dyn Look, sources: Vec<Source<'_>>, aggregate: Aggregate) -> Result<Held, Stop> {
    let mut result = Held::default();
    common(sources, look, &mut |member, score, others| {
        let score = others.iter().fold(zero_if_nan(score), |score, other| together(score, *other, aggregate));
        result.add(member, score)?;
        Ok(true)
    })?;
    Ok(result)
}

/// Takes a common member with its weighted scores, in the smallest source and in the others; whether to go on.
type VisitCommon<'a> = &'a mut dyn FnMut(Bytes, f64, &[f64]) -> Result<bool, Stop>;

/// Visits the members that all sources have. Sums depend on the order, here as well.
fn common(mut sources: Vec<Source<'_>>, look: &dyn Look, visit: VisitCommon<'_>) -> Result<(), Stop> {
    sources.sort_by_key(Source::count);
    let Some((smallest, others)) = sources.split_first() else { return Ok(()) };
    if smallest.count() == 0 {
        return Ok(());
    }
    let sets: Vec<_> = others.iter().filter_map(Source::ordered).collect();
    let mut probes = probes(look, &sets, smallest.count());
    let mut scores = Vec::with_capacity(others.len());
    'members: for record in smallest.walk(look) {
        let (sub_key, value) = record?;
        scores.clear();
        for (other, probe) in others.iter().zip(&mut probes) {
            let Some(value) = probe.find(look, &sub_key)? else { continue 'members };
            scores.push(other.weight * other.score_of(&value)?);
        }
        let score = smallest.weight * smallest.score_of(&value)?;
        if !visit(name(sub_key)?, score, &scores)? {
            break;
        }
    }
    Ok(())
}

fn difference(look: &dyn Look, sources: &[Source<'_>]) -> Result<Held, Stop> {
    let mut result = Held::default();
    let Some((first, others)) = sources.split_first() else { return Ok(result) };
    let mut others: Vec<_> = others.iter().filter_map(Source::ordered).collect();
    // What a large set has is found there first.
    others.sort_by_key(|set| Reverse(set.count));
    let mut probes = probes(look, &others, first.count());
    'members: for record in first.walk(look) {
        let (sub_key, value) = record?;
        for probe in &mut probes {
            if probe.find(look, &sub_key)?.is_some() {
                continue 'members;
            }
        }
        result.add(name(sub_key)?, first.score_of(&value)?)?;
    }
    Ok(result)
}

/// The member of a position and name.
fn name(mut sub_key: Bytes) -> Result<Bytes, EngineError> {
    let length = members::name_of(&sub_key)?.len();
    sub_key.advance(sub_key.len() - length);
    Ok(sub_key)
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
    Set(Found),
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
                    Kind::Set => Holding::Set(Found::of(look.epoch(), &stored)?),
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
            Holding::Set(found) => found.count,
        }
    }

    /// The members, if there are any.
    fn ordered(&self) -> Option<Ordered> {
        match &self.held {
            Holding::Nothing => None,
            Holding::Sorted(set) => Some(set.ordered()),
            Holding::Set(found) => Some(Ordered { parts: found.parts, tag: &[], count: found.count }),
        }
    }

    /// The members as (position and name, value).
    fn walk<'b>(&self, look: &'b dyn Look) -> RecordsInOrder<'b> {
        self.ordered()
            .map_or_else(|| Box::new(std::iter::empty()) as RecordsInOrder<'b>, |set| set.walk(look))
    }

    /// The score in a member's value.
    fn score_of(&self, value: &[u8]) -> Result<f64, EngineError> {
        match &self.held {
            Holding::Sorted(_) => score_in(value),
            Holding::Nothing | Holding::Set(..) => Ok(1.0),
        }
    }
}
