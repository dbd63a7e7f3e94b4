//! Lists: elements in a row.
//!
//! Elements lie at **places** that follow one another, numbers of 64 bits; a place is the sub-key, an element the
//! value of its part. The body keeps the place of the first element, so that an index is a sum and either end
//! grows and shrinks without touching the rest.
//!
//! ```text
//!   body in the key's record:   count u64 │ place of the first element u64
//!
//!   index        0     1     2     3
//!              ┌─────┬─────┬─────┬─────┐
//!              │  a  │  b  │  c  │  d  │          first = 2^63 − 1, count = 4
//!              └─────┴─────┴─────┴─────┘
//!   place    2^63−1  2^63 2^63+1 2^63+2           a new list begins at 2^63: room at both ends for ever
//! ```
//!
//! [`ends`] has what happens at the ends, in time that does not depend on the length. [`middle`] has the edits of
//! the middle, which have to close or open gaps.

mod ends;
mod middle;

use std::collections::BTreeSet;
use std::ops::{Bound, Range};

use api::kv::{Element, KvError, ListChange, ListOp, ListPosition, ListRange, ListRequest};
use bytes::Bytes;
use engine::{ApplyContext, EngineError};

use crate::collection::{Edit, Found, Parts, find};
use crate::look::Look;
use crate::reply::{self, Gathered};
use crate::staging::{Slot, Staging};
use crate::state::{Outcome, Stop};
use crate::value::Kind;
use types::limits::RESULT_MEMBER_BYTES;

/// Where the first element of a new list lies: room for 2^63 pushes at both ends.
const MIDDLE: u64 = 1 << 63;

/// Answers a read.
pub(crate) fn read(look: &dyn Look, request: &ListRequest) -> Outcome {
    match &request.op {
        Some(ListOp::Len(key)) => {
            let found = find(look, &key.key, Kind::List)?;
            Ok(reply::integer(found.map_or(0, |found| found.count as i64)))
        }
        Some(ListOp::Index(at)) => {
            let Some(row) = find_row(look, &at.key)? else { return Ok(reply::nil()) };
            match row.index(at.index) {
                Some(index) => Ok(reply::value(&row.get(look, index)?)),
                None => Ok(reply::nil()),
            }
        }
        Some(ListOp::Range(range)) => elements_between(look, range),
        Some(ListOp::Position(position)) => positions(look, position),
        _ => Err(Stop::Refused(KvError::Unsupported)),
    }
}

/// Executes a write, or a read in the middle of writes.
pub(crate) fn write(staging: &mut Staging, context: &ApplyContext, request: &ListRequest) -> Outcome {
    match &request.op {
        Some(ListOp::Push(push)) => ends::push(staging, context, push),
        Some(ListOp::Pop(pop)) => ends::pop(staging, context, pop),
        Some(ListOp::PopFirst(pop)) => ends::pop_first(staging, context, pop),
        Some(ListOp::Move(request)) => ends::move_element(staging, context, request),
        Some(ListOp::Trim(range)) => ends::trim(staging, context, range),
        Some(ListOp::Set(set)) => middle::set(staging, context, set),
        Some(ListOp::Insert(insert)) => middle::insert(staging, context, insert),
        Some(ListOp::Remove(remove)) => middle::remove(staging, context, remove),
        _ => read(&staging.look(context), request),
    }
}

/// `LRANGE`.
fn elements_between(look: &dyn Look, range: &ListRange) -> Outcome {
    let mut elements = Gathered::values();
    if let Some(row) = find_row(look, &range.key)? {
        for element in row.elements(look, row.between(range.start, range.stop), false) {
            elements.add(&element?.1)?;
        }
    }
    Ok(elements.finish())
}

/// `LPOS`.
fn positions(look: &dyn Look, wanted: &ListPosition) -> Outcome {
    let row = find_row(look, &wanted.key)?;
    let mut found = Gathered::many();
    let from_right = wanted.rank < 0;
    let (mut before, mut left) = (wanted.rank.unsigned_abs().max(1) - 1, wanted.count.unwrap_or(1));
    if left == 0 {
        left = u64::MAX;
    }
    if let Some(row) = row {
        let looks = if wanted.looks_max == 0 { row.count } else { wanted.looks_max.min(row.count) };
        let searched = if from_right { row.count - looks..row.count } else { 0..looks };
        for element in row.elements(look, searched, from_right) {
            let (index, element) = element?;
            if element != wanted.element {
                continue;
            }
            if before > 0 {
                before -= 1;
                continue;
            }
            let index = reply::integer(index as i64);
            if wanted.count.is_none() {
                return Ok(index);
            }
            found.add_reply(&index)?;
            left -= 1;
            if left == 0 {
                break;
            }
        }
    }
    Ok(if wanted.count.is_none() { reply::nil() } else { found.finish() })
}

/// Where the elements of a list lie.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    parts: Parts,
    /// The place of the first element.
    first: u64,
    /// How many elements there are.
    pub(crate) count: u64,
}

impl Row {
    /// Reads a list's body.
    pub(crate) fn of(found: &Found) -> Result<Self, EngineError> {
        Self::read(found.parts, found.count, &found.rest)
    }

    fn read(parts: Parts, count: u64, rest: &[u8]) -> Result<Self, EngineError> {
        let first = match rest {
            [] => MIDDLE,
            rest => u64::from_be_bytes(rest.try_into().map_err(|_| damaged("its body does not fit"))?),
        };
        first.checked_add(count).ok_or_else(|| damaged("it ends behind the last place"))?;
        Ok(Self { parts, first, count })
    }

    /// The place of the first element.
    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    /// The sub-key of the element at an index, which may be the one behind the last.
    fn sub_key(&self, index: u64) -> [u8; 8] {
        (self.first + index).to_be_bytes()
    }

    /// The element at an index below the count.
    fn get(&self, look: &dyn Look, index: u64) -> Result<Bytes, EngineError> {
        self.parts.get(look, &self.sub_key(index))?.ok_or_else(|| damaged("an element is gone"))
    }

    /// Indexes with their elements, in one pass, ascending or descending. The range lies within the list.
    pub(crate) fn elements<'a>(
        &self,
        look: &'a dyn Look,
        indexes: Range<u64>,
        reverse: bool,
    ) -> impl Iterator<Item = Result<(u64, Bytes), EngineError>> + use<'a> {
        let (from, to) = (self.sub_key(indexes.start), self.sub_key(indexes.end.max(indexes.start)));
        let mut records = self.parts.range(look, Bound::Included(&from), Bound::Excluded(&to), reverse);
        let (first, mut left) = (self.first, indexes);
        std::iter::from_fn(move || {
            let index = if reverse { left.next_back()? } else { left.next()? };
            Some(match records.next() {
                Some(Ok((sub_key, value))) if sub_key == (first + index).to_be_bytes()[..] => {
                    Ok((index, value))
                }
                Some(Err(error)) => Err(error),
                Some(Ok(_)) | None => Err(damaged("an element is gone")),
            })
        })
    }

    /// The index that a client means; `None` if it lies outside.
    fn index(&self, index: i64) -> Option<u64> {
        let index = if index < 0 { self.count.checked_sub(index.unsigned_abs())? } else { index as u64 };
        (index < self.count).then_some(index)
    }

    /// The indexes between two that a client means, both included; empty if there are none.
    fn between(&self, start: i64, stop: i64) -> Range<u64> {
        let from_left = |index: i64| match index {
            0.. => Some(index as u64),
            _ => self.count.checked_sub(index.unsigned_abs()),
        };
        let start = from_left(start).unwrap_or(0);
        let end = from_left(stop).map_or(0, |stop| stop.saturating_add(1).min(self.count));
        if start < end { start..end } else { 0..0 }
    }
}

/// The list of a key, for reading.
fn find_row(look: &dyn Look, key: &[u8]) -> Result<Option<Row>, Stop> {
    Ok(find(look, key, Kind::List)?.as_ref().map(Row::of).transpose()?)
}

/// A list being changed.
struct List {
    edit: Edit,
    row: Row,
}

impl List {
    /// The list of a key; an absent one is empty.
    fn open(staging: &mut Staging, context: &ApplyContext, key: &Bytes) -> Result<Self, Stop> {
        let slot = staging.slot(context, key)?;
        Self::of_slot(staging, slot)
    }

    /// The list of a key, if there is one.
    fn open_existing(
        staging: &mut Staging,
        context: &ApplyContext,
        key: &Bytes,
    ) -> Result<Option<Self>, Stop> {
        let slot = staging.slot(context, key)?;
        if slot.found.is_none() { Ok(None) } else { Self::of_slot(staging, slot).map(Some) }
    }

    /// A new list in place of what a key holds.
    fn replacing(staging: &mut Staging, context: &ApplyContext, key: &Bytes) -> Result<Self, Stop> {
        Self::of_edit(Edit::replacing(staging, context, key, Kind::List)?)
    }

    fn of_slot(staging: &mut Staging, slot: Slot) -> Result<Self, Stop> {
        Self::of_edit(Edit::of_slot(staging, slot, Kind::List)?)
    }

    fn of_edit(edit: Edit) -> Result<Self, Stop> {
        let row = Row::read(edit.parts, edit.count, &edit.rest)?;
        Ok(Self { edit, row })
    }

    /// Adds an element at an end.
    fn push(
        &mut self,
        staging: &mut Staging,
        context: &ApplyContext,
        element: Bytes,
        left: bool,
    ) -> Result<(), EngineError> {
        let row = &mut self.row;
        if left {
            row.first = row.first.checked_sub(1).ok_or_else(|| damaged("it begins at the first place"))?;
        }
        row.count += 1;
        row.first.checked_add(row.count).ok_or_else(|| damaged("it ends behind the last place"))?;
        let index = if left { 0 } else { row.count - 1 };
        self.put(staging, context, index, element);
        Ok(())
    }

    /// Stages an element at an index.
    fn put(&self, staging: &mut Staging, context: &ApplyContext, index: u64, element: Bytes) {
        self.edit.put(staging, context, &self.row.sub_key(index), element);
    }

    /// Stages the removal of the elements at some indexes; the list is as long as before.
    fn clear(&self, staging: &mut Staging, context: &ApplyContext, indexes: Range<u64>) {
        for index in indexes {
            self.edit.remove(staging, context, &self.row.sub_key(index));
        }
    }

    /// Goes on with these elements alone, under a new number.
    fn start_over(
        &mut self,
        staging: &mut Staging,
        context: &ApplyContext,
        elements: Vec<Bytes>,
    ) -> Result<(), EngineError> {
        self.edit.start_over(staging);
        self.row = Row { parts: self.edit.parts, first: MIDDLE, count: 0 };
        elements.into_iter().try_for_each(|element| self.push(staging, context, element, false))
    }

    /// Stages the record of the key; the list is gone if it is empty.
    fn finish(mut self, staging: &mut Staging, context: &ApplyContext) {
        self.edit.count = self.row.count;
        self.edit.rest = Bytes::copy_from_slice(&self.row.first.to_be_bytes());
        self.edit.finish(staging, context);
    }
}

/// Carries out what an entry has changed in the same list of another state, whose places are others.
pub(crate) fn redo(
    staging: &mut Staging,
    context: &ApplyContext,
    key: &Bytes,
    change: &ListChange,
    elements: &[Element],
) -> Result<(), Stop> {
    let mut list = List::open(staging, context, key)?;
    let before = list.row;
    let place = |there: u64| before.first.wrapping_add(there.wrapping_sub(change.first_before));
    let first = place(change.first);
    let fits = |place: &u64| place.checked_sub(first).is_some_and(|index| index < change.count);
    let places: BTreeSet<u64> = change.places.iter().map(|there| place(*there)).collect();
    let is_told_once = places.len() == change.places.len();
    if first.checked_add(change.count).is_none() || !is_told_once || !places.iter().all(fits) {
        return Err(Stop::Refused(KvError::Unsupported));
    }
    // A place that the list did not have before must have been told, or there would be a hole.
    let (end_before, end) = (before.first + before.count, first + change.count);
    let stays = end.min(end_before).saturating_sub(first.max(before.first));
    let new = places.iter().filter(|place| !(before.first..end_before).contains(place)).count();
    if new as u64 != change.count - stays {
        return Err(Stop::Refused(KvError::Unsupported));
    }
    for (there, element) in change.places.iter().zip(elements) {
        list.edit.put(staging, context, &place(*there).to_be_bytes(), element.value.clone());
    }
    for gone in (before.first..end_before.min(first)).chain(before.first.max(end)..end_before) {
        list.edit.remove(staging, context, &gone.to_be_bytes());
    }
    (list.row.first, list.row.count) = (first, change.count);
    list.finish(staging, context);
    Ok(())
}

/// Stores elements as the list of a key, whatever it held; without elements the key is gone.
pub(crate) fn store(
    staging: &mut Staging,
    context: &ApplyContext,
    key: &Bytes,
    elements: Vec<Bytes>,
) -> Result<(), Stop> {
    staging.make(context, elements.iter().map(|element| element.len() + RESULT_MEMBER_BYTES).sum())?;
    let mut list = List::replacing(staging, context, key)?;
    for element in elements {
        list.push(staging, context, element, false)?;
    }
    list.finish(staging, context);
    Ok(())
}

fn damaged(what: &str) -> EngineError {
    EngineError::Damaged(format!("a list: {what}"))
}
