//! A sorted set being changed: keeps scores, places and index in step.

use std::collections::BTreeMap;

use bytes::Bytes;
use engine::{ApplyContext, EngineError};

use super::index::IndexEdit;
use super::place::{MEMBER, PLACE, member_value, place_in, positive_zero, score_in, sortable};
use super::read::Sorted;
use super::root::Root;
use crate::collection::Edit;
use crate::staging::Staging;
use crate::state::Stop;
use crate::value::Kind;
use types::limits::MEMBER_BYTES_MAX;

/// A sorted set being changed.
pub(crate) struct SortedEdit {
    edit: Edit,
    root: Root,
    /// Places that the index does not know yet; true: added, false: removed.
    places: BTreeMap<Bytes, bool>,
}

impl SortedEdit {
    /// Looks a sorted set up for writing; an absent one is empty, and comes to be with its first member.
    ///
    /// # Errors
    /// `WrongType` if the key holds something else.
    pub(crate) fn open(staging: &mut Staging, context: &ApplyContext, key: &Bytes) -> Result<Self, Stop> {
        Self::of(Edit::open(staging, context, key, Kind::SortedSet)?)
    }

    /// The same for a key whose value is to be replaced, whatever it is.
    pub(crate) fn replacing(
        staging: &mut Staging,
        context: &ApplyContext,
        key: &Bytes,
    ) -> Result<Self, Stop> {
        Self::of(Edit::replacing(staging, context, key, Kind::SortedSet)?)
    }

    fn of(edit: Edit) -> Result<Self, Stop> {
        let root = Root::decode(&edit.rest)?;
        Ok(Self { edit, root, places: BTreeMap::new() })
    }

    /// How many members it has.
    pub(crate) fn count(&self) -> u64 {
        self.edit.count
    }

    /// The score of a member.
    pub(crate) fn score(
        &self,
        staging: &Staging,
        context: &ApplyContext,
        member: &[u8],
    ) -> Result<Option<f64>, EngineError> {
        // What is too long to be stored is not there.
        if member.len() > MEMBER_BYTES_MAX {
            return Ok(None);
        }
        let value = self.edit.get_record(staging, context, &self.member_key(member))?;
        value.map(|value| score_in(&value)).transpose()
    }

    /// Gives a member a score; `before` is the one it has.
    pub(crate) fn set(
        &mut self,
        staging: &mut Staging,
        context: &ApplyContext,
        member: &[u8],
        before: Option<f64>,
        score: f64,
    ) {
        match before {
            Some(before) => self.remove_place(staging, context, before, member),
            None => self.edit.count += 1,
        }
        let score = positive_zero(score);
        let value = member_value(context.hlc.0, score);
        self.edit.put_record(staging, context, self.member_key(member), Some(value));
        let place_key = self.place_key(score, member);
        let place = place_in(&place_key);
        self.edit.put_record(staging, context, place_key, Some(Bytes::new()));
        self.note(place, true);
    }

    /// Removes a member, which has this score.
    pub(crate) fn remove(
        &mut self,
        staging: &mut Staging,
        context: &ApplyContext,
        member: &[u8],
        score: f64,
    ) {
        self.edit.count -= 1;
        self.edit.put_record(staging, context, self.member_key(member), None);
        self.remove_place(staging, context, score, member);
    }

    /// Removes every member.
    pub(crate) fn clear(&mut self) {
        self.edit.count = 0;
    }

    /// Goes on without any member under a new collection number; who wants some of the old ones sets them again.
    pub(crate) fn start_over(&mut self, staging: &mut Staging) {
        self.edit.start_over(staging);
        self.edit.count = 0;
        self.root = Root::default();
        self.places.clear();
    }

    /// Stages index and key.
    pub(crate) fn finish(mut self, staging: &mut Staging, context: &ApplyContext) -> Result<(), EngineError> {
        if self.edit.count > 0 {
            self.find_ends(staging, context)?;
            let root = &mut self.root;
            IndexEdit { staging, context, edit: &self.edit, root }.apply(&self.places)?;
            self.edit.rest = self.root.encode();
        }
        self.edit.finish(staging, context);
        Ok(())
    }

    /// Looks for the first and the last place, if those that were are gone.
    fn find_ends(&mut self, staging: &Staging, context: &ApplyContext) -> Result<(), EngineError> {
        let (first, last) = self.root.is_gone();
        if !first && !last {
            return Ok(());
        }
        let look = staging.look(context);
        let sorted = Sorted::new(&look, self.edit.parts, self.edit.count, &self.root);
        if let Some(place) = if first { sorted.end(false)? } else { None } {
            self.root.set_first(&place);
        }
        if let Some(place) = if last { sorted.end(true)? } else { None } {
            self.root.set_last(&place);
        }
        Ok(())
    }

    /// Calls a function with the set as it was when the edit began; nothing may have been changed yet.
    pub(super) fn look<T>(
        &self,
        staging: &Staging,
        context: &ApplyContext,
        read: impl FnOnce(&Sorted<'_>) -> Result<T, Stop>,
    ) -> Result<T, Stop> {
        debug_assert!(self.places.is_empty());
        let look = staging.look(context);
        read(&Sorted::new(&look, self.edit.parts, self.edit.count, &self.root))
    }

    /// The record key of a member's part.
    fn member_key(&self, member: &[u8]) -> Bytes {
        self.edit.parts.key_of_member(&[MEMBER], member)
    }

    /// The record key of a place.
    fn place_key(&self, score: f64, member: &[u8]) -> Bytes {
        self.edit.parts.key_of(&[&[PLACE], &sortable(score).to_be_bytes(), member])
    }

    fn remove_place(&mut self, staging: &mut Staging, context: &ApplyContext, score: f64, member: &[u8]) {
        let place_key = self.place_key(score, member);
        let place = place_in(&place_key);
        self.edit.put_record(staging, context, place_key, None);
        self.note(place, false);
    }

    /// What is added and removed again, or the other way round, is no change. Without an index nobody asks.
    fn note(&mut self, place: Bytes, added: bool) {
        if added {
            self.root.add(&place, self.edit.count == 1);
        } else {
            self.root.remove(&place);
        }
        if self.root.levels > 0 && self.places.remove(&place).is_none() {
            self.places.insert(place, added);
        }
    }
}
