//! Set algebra: intersections, unions and differences of sets that need not fit into memory.
//!
//! All sets have their members in the same order, so they are combined as sorted lists are (see `probe`).
//!
//! ```text
//!   intersection   the smallest set ──▶ each member ──▶ is it in every other one?
//!   difference     the first set    ──▶ each member ──▶ is it in none of the others?
//!   union          all sets, merged; the least of all next members is the next one
//! ```

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use api::kv::{Combining, KvError};
use bytes::Bytes;
use engine::EngineError;
use types::limits::{RESULT_BYTES_MAX, RESULT_MEMBER_BYTES};

use crate::collection::{Found, Parts};
use crate::look::Look;
use crate::members;
use crate::probe::{Ordered, WALKS_MAX, probes};
use crate::state::Stop;

/// Takes a member's sub-key; whether to go on.
pub(super) type Visit<'a> = &'a mut dyn FnMut(&Bytes) -> Result<bool, Stop>;

/// Sub-keys in ascending order.
type SubKeys<'a> = Box<dyn Iterator<Item = Result<Bytes, EngineError>> + 'a>;

/// Visits the members of a combination in their order. A `None` among the sets is an empty one.
pub(super) fn combine(
    look: &dyn Look,
    how: Combining,
    sets: &[Option<Found>],
    visit: Visit<'_>,
) -> Result<(), Stop> {
    match how {
        Combining::Intersection => intersection(look, sets, visit),
        Combining::Union => union(look, sets, visit),
        Combining::Difference => difference(look, sets, visit),
    }
}

/// What is in all sets.
pub(super) fn intersection(look: &dyn Look, sets: &[Option<Found>], visit: Visit<'_>) -> Result<(), Stop> {
    let Some(mut sets) = sets.iter().map(Option::as_ref).collect::<Option<Vec<_>>>() else { return Ok(()) };
    sets.sort_by_key(|set| set.count);
    let Some((smallest, others)) = sets.split_first() else { return Ok(()) };
    let others: Vec<_> = others.iter().map(|set| ordered(set)).collect();
    let mut probes = probes(look, &others, smallest.count);
    for sub_key in sub_keys(look, smallest.parts) {
        let sub_key = sub_key?;
        let mut is_in_all = true;
        for probe in &mut probes {
            if probe.find(look, &sub_key)?.is_none() {
                is_in_all = false;
                break;
            }
        }
        if is_in_all && !visit(&sub_key)? {
            break;
        }
    }
    Ok(())
}

/// What is in the first set and in no other.
fn difference(look: &dyn Look, sets: &[Option<Found>], visit: Visit<'_>) -> Result<(), Stop> {
    let Some((Some(first), others)) = sets.split_first() else { return Ok(()) };
    let mut others: Vec<_> = others.iter().flatten().map(ordered).collect();
    // What a large set has is found there first.
    others.sort_by_key(|set| Reverse(set.count));
    let mut probes = probes(look, &others, first.count);
    for sub_key in sub_keys(look, first.parts) {
        let sub_key = sub_key?;
        let mut is_in_another = false;
        for probe in &mut probes {
            if probe.find(look, &sub_key)?.is_some() {
                is_in_another = true;
                break;
            }
        }
        if !is_in_another && !visit(&sub_key)? {
            break;
        }
    }
    Ok(())
}

/// What is in any set. Of very many sets, the union of the first ones is held in memory and then merged like a
/// set with the next ones.
fn union(look: &dyn Look, sets: &[Option<Found>], visit: Visit<'_>) -> Result<(), Stop> {
    let sets: Vec<_> = sets.iter().flatten().collect();
    let mut rest = &sets[..];
    let mut earlier = Vec::new();
    while rest.len() > WALKS_MAX {
        let (now, later) = rest.split_at(WALKS_MAX);
        let (mut merged, mut bytes) = (Vec::new(), 0);
        merge(look, now, std::mem::take(&mut earlier), &mut |sub_key| {
            bytes += sub_key.len() + RESULT_MEMBER_BYTES;
            if bytes > RESULT_BYTES_MAX {
                return Err(Stop::Refused(KvError::ResultTooLarge));
            }
            merged.push(sub_key.clone());
            Ok(true)
        })?;
        (earlier, rest) = (merged, later);
    }
    merge(look, rest, earlier, visit)
}

/// Merges sets and a sorted list.
fn merge(look: &dyn Look, sets: &[&Found], list: Vec<Bytes>, visit: Visit<'_>) -> Result<(), Stop> {
    let mut walks: Vec<SubKeys<'_>> = sets.iter().map(|set| sub_keys(look, set.parts)).collect();
    walks.push(Box::new(list.into_iter().map(Ok)));
    // The next member of each walk, the least of them on top.
    let mut heads = BinaryHeap::with_capacity(walks.len());
    for (number, walk) in walks.iter_mut().enumerate() {
        if let Some(head) = walk.next() {
            heads.push(Reverse((head?, number)));
        }
    }
    let mut last: Option<Bytes> = None;
    while let Some(Reverse((sub_key, number))) = heads.pop() {
        if let Some(head) = walks[number].next() {
            heads.push(Reverse((head?, number)));
        }
        if last.as_ref() != Some(&sub_key) {
            if !visit(&sub_key)? {
                break;
            }
            last = Some(sub_key);
        }
    }
    Ok(())
}

fn sub_keys(look: &dyn Look, parts: Parts) -> SubKeys<'_> {
    Box::new(members::all(look, parts).map(|part| part.map(|(sub_key, _)| sub_key)))
}

fn ordered(set: &Found) -> Ordered {
    Ordered { parts: set.parts, tag: &[], count: set.count }
}
