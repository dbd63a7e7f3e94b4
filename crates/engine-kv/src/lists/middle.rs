//! Edits in the middle of lists.
//!
//! An insertion opens a gap, removals leave gaps, and places must follow one another. So some elements move, by
//! as little work as possible: of the runs between the places of the edit one stays where it is, the longest, and
//! the others move towards it or away from it.
//!
//! ```text
//!   remove x      a  x  b  c  d  e  x  f          the runs: a │ b c d e │ f
//!                  ↘                  ↙
//!                    a  b  c  d  e  f             b c d e stay; 2 elements move
//! ```
//!
//! What moves is in memory at once, so it has a limit, [`EDIT_BYTES_MAX`]; an edit beyond it is refused and
//! changes nothing. Looking for the places needs no memory to speak of: elements stream by.

use std::ops::Range;

use api::kv::{KvError, ListInsert, ListRemove, ListSet};
use bytes::Bytes;
use engine::{ApplyContext, EngineError};
use types::limits::{EDIT_BYTES_MAX, EDIT_ELEMENT_BYTES};

use super::{List, Row, damaged};
use crate::look::Look;
use crate::reader::encode;
use crate::reply;
use crate::staging::Staging;
use crate::state::{Outcome, Stop};

/// `LSET`.
pub(super) fn set(staging: &mut Staging, context: &ApplyContext, set: &ListSet) -> Outcome {
    let Some(list) = List::open_existing(staging, context, &set.key)? else {
        return Err(Stop::Refused(KvError::NoSuchKey));
    };
    let Some(index) = list.row.index(set.index) else {
        return Ok(encode(api::kv::KvAnswer::Refusal("ERR index out of range".into())));
    };
    list.put(staging, context, index, set.element.clone());
    list.finish(staging, context);
    Ok(reply::ok())
}

/// `LINSERT`.
pub(super) fn insert(staging: &mut Staging, context: &ApplyContext, insert: &ListInsert) -> Outcome {
    let Some(mut list) = List::open_existing(staging, context, &insert.key)? else {
        return Ok(reply::integer(0));
    };
    let Some(pivot) = first_match(&list.row, &staging.look(context), &insert.pivot)? else {
        return Ok(reply::integer(-1));
    };
    let at = if insert.before { pivot } else { pivot + 1 };
    let (left, right) = (0..at, at..list.row.count);
    let moves_left = left.end - left.start < right.end - right.start;
    let moving = if moves_left { left } else { right };
    let elements = gather(&list.row, &staging.look(context), [moving])?;
    let elements = elements.ok_or(Stop::Refused(KvError::EditTooLarge))?;
    if moves_left {
        list.row.first =
            list.row.first.checked_sub(1).ok_or_else(|| damaged("it begins at the first place"))?;
    }
    list.row.count += 1;
    let begin = if moves_left { 0 } else { at + 1 };
    for (index, element) in (begin..).zip(elements) {
        list.put(staging, context, index, element);
    }
    list.put(staging, context, at, insert.element.clone());
    let length = list.row.count as i64;
    list.finish(staging, context);
    Ok(reply::integer(length))
}

/// `LREM`.
pub(super) fn remove(staging: &mut Staging, context: &ApplyContext, remove: &ListRemove) -> Outcome {
    let Some(mut list) = List::open_existing(staging, context, &remove.key)? else {
        return Ok(reply::integer(0));
    };
    let gone = matches(&list.row, &staging.look(context), &remove.element, remove.count)?;
    if gone.is_empty() {
        return Ok(reply::integer(0));
    }
    let (count, removed) = (list.row.count, gone.len() as u64);
    let runs = runs_between(&gone, count);
    let kept = count - removed;
    let longest = runs.iter().enumerate().max_by_key(|(_, run)| run.end - run.start);
    let (stays, moved) = longest.map_or((0, kept), |(run, range)| (run, kept - (range.end - range.start)));
    // Copying all that stays may be less than moving some of it and removing the rest.
    let copied = if kept > 0 && kept < moved + removed {
        gather(&list.row, &staging.look(context), runs.iter().cloned())?
    } else {
        None
    };
    match copied {
        // The key goes, and its parts with it.
        _ if kept == 0 => list.row.count = 0,
        Some(elements) => list.start_over(staging, context, elements)?,
        None => close_gaps(&mut list, staging, context, &runs, stays)?,
    }
    list.finish(staging, context);
    Ok(reply::integer(removed as i64))
}

/// Moves all runs to the one that stays.
fn close_gaps(
    list: &mut List,
    staging: &mut Staging,
    context: &ApplyContext,
    runs: &[Range<u64>],
    stays: usize,
) -> Result<(), Stop> {
    let (row, stay) = (list.row, runs[stays].clone());
    let moved = |runs: &[Range<u64>]| {
        let elements = gather(&row, &staging.look(context), runs.iter().cloned())?;
        elements.ok_or(Stop::Refused(KvError::EditTooLarge))
    };
    check_removals(row.count - (stay.end - stay.start))?;
    let (left, right) = (moved(&runs[..stays])?, moved(&runs[stays + 1..])?);
    let (begin, end) = (stay.start - left.len() as u64, stay.end + right.len() as u64);
    for (index, element) in (begin..).zip(left).chain((stay.end..).zip(right)) {
        list.put(staging, context, index, element);
    }
    list.clear(staging, context, 0..begin);
    list.clear(staging, context, end..row.count);
    list.row.first += begin;
    list.row.count = end - begin;
    Ok(())
}

/// Refuses to remove more elements one by one than a command may move: each is held in memory as well.
pub(super) fn check_removals(elements: u64) -> Result<(), Stop> {
    let most = (EDIT_BYTES_MAX / EDIT_ELEMENT_BYTES) as u64;
    if elements > most { Err(Stop::Refused(KvError::EditTooLarge)) } else { Ok(()) }
}

/// The runs of indexes before, between and behind some, which ascend; runs may be empty.
fn runs_between(gone: &[u64], count: u64) -> Vec<Range<u64>> {
    let mut begin = 0;
    let mut runs = Vec::with_capacity(gone.len() + 1);
    for &index in gone {
        runs.push(begin..index);
        begin = index + 1;
    }
    runs.push(begin..count);
    runs
}

/// The elements of some ranges of indexes; `None` if they are too many to be in memory at once.
pub(super) fn gather(
    row: &Row,
    look: &dyn Look,
    ranges: impl IntoIterator<Item = Range<u64>>,
) -> Result<Option<Vec<Bytes>>, EngineError> {
    let mut bytes = 0;
    let mut elements = Vec::new();
    for range in ranges.into_iter().filter(|range| !range.is_empty()) {
        for element in row.elements(look, range, false) {
            let (_, element) = element?;
            bytes += EDIT_ELEMENT_BYTES + element.len();
            if bytes > EDIT_BYTES_MAX {
                return Ok(None);
            }
            elements.push(element);
        }
    }
    Ok(Some(elements))
}

/// The leftmost index of an element.
fn first_match(row: &Row, look: &dyn Look, wanted: &[u8]) -> Result<Option<u64>, EngineError> {
    for element in row.elements(look, 0..row.count, false) {
        let (index, element) = element?;
        if element == wanted {
            return Ok(Some(index));
        }
    }
    Ok(None)
}

/// The indexes of an element, ascending: the first `count` from the left, from the right if negative, all if 0.
fn matches(row: &Row, look: &dyn Look, wanted: &[u8], count: i64) -> Result<Vec<u64>, EngineError> {
    let from_right = count < 0;
    let most = if count == 0 { usize::MAX } else { count.unsigned_abs().try_into().unwrap_or(usize::MAX) };
    let mut indexes = Vec::new();
    for element in row.elements(look, 0..row.count, from_right) {
        let (index, element) = element?;
        if element == wanted {
            indexes.push(index);
            if indexes.len() == most {
                break;
            }
        }
    }
    if from_right {
        indexes.reverse();
    }
    Ok(indexes)
}
