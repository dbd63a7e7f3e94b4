//! Collections: values of many parts, each part a record of its own.
//!
//! The record of the key has the header and a short body; the parts lie under the collection's number.
//! A number is never used twice, so removing a collection is removing the one record of its key and
//! noting the number as dead; the parts go later, some with each commit (see `garbage`).
//!
//! ```text
//!   body in the key's record:   count u64 │ what the kind keeps besides
//!
//!   kind        sub-key of a part                        value of a part
//!   hash        position 6 bytes │ field                 version u64 │ value
//!   set         position 6 bytes │ member                version u64
//!   sorted set  see `sorted`
//!   list        see `lists`
//!   bitmap      see `bits`
//! ```
//!
//! The **position** of a field or member is the upper 42 bits of its hash, as it is for keys: the order of
//! parts is then one that a cursor of `HSCAN` can name, whatever is added or removed in the meantime.
//!
//! Reads go through [`Found`], writes through [`Edit`]. An edit collects nothing: parts are staged at once,
//! [`Edit::finish`] stages the record of the key. A collection without parts does not exist.

use std::ops::Bound;

use api::kv::KvError;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use engine::{ApplyContext, EngineError};
use types::hash;
use types::limits::{MEMBER_BYTES_MAX, RESULT_BYTES_MAX, RESULT_MEMBER_BYTES};

use crate::layout;
use crate::look::{Look, RecordsInOrder};
use crate::staging::{Slot, Staging};
use crate::state::Stop;
use crate::value::{Header, Kind, Stored};

/// Bytes of a position in front of a field or member.
pub(crate) const POSITION_BYTES: usize = layout::POSITION_BYTES;
/// Bytes of the count at the front of a collection's body.
const COUNT_BYTES: usize = 8;

/// Where the parts of a collection lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    epoch: u32,
    number: u64,
}

impl Parts {
    /// The record key of a part.
    pub(crate) fn key(self, sub_key: &[u8]) -> Bytes {
        self.key_of(&[sub_key])
    }

    /// The record key of a part whose sub-key is given in pieces.
    pub(crate) fn key_of(self, sub_key: &[&[u8]]) -> Bytes {
        layout::part_key(self.epoch, self.number, sub_key)
    }

    /// The collection's number.
    pub(crate) fn number(self) -> u64 {
        self.number
    }

    /// The record key of a field or member behind a tag of the kind's own, which may be empty.
    pub(crate) fn key_of_member(self, tag: &[u8], member: &[u8]) -> Bytes {
        self.key_of(&[tag, &layout::position_bytes(hash::position(member)), member])
    }

    /// The value of a part.
    pub(crate) fn get(self, look: &dyn Look, sub_key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        look.get(&self.key(sub_key))
    }

    /// Parts between two sub-keys as (sub-key, value); `Unbounded` is the collection's end.
    pub(crate) fn range<'a>(
        self,
        look: &'a dyn Look,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        reverse: bool,
    ) -> RecordsInOrder<'a> {
        let from = match from {
            Bound::Included(sub_key) => Bound::Included(self.key(sub_key)),
            Bound::Excluded(sub_key) => Bound::Excluded(self.key(sub_key)),
            Bound::Unbounded => Bound::Included(self.key(&[])),
        };
        let to = match to {
            Bound::Included(sub_key) => Bound::Included(self.key(sub_key)),
            Bound::Excluded(sub_key) => Bound::Excluded(self.key(sub_key)),
            Bound::Unbounded => Bound::Excluded(layout::parts_end(self.epoch, self.number)),
        };
        let records = look.range(as_slice(&from), as_slice(&to), reverse);
        Box::new(records.map(|record| {
            let (mut key, value) = record?;
            if key.len() < layout::PART_PREFIX_BYTES {
                return Err(EngineError::Damaged("the key of a part is too short".into()));
            }
            // Not a slice: that would count another owner, and long replies have many parts.
            key.advance(layout::PART_PREFIX_BYTES);
            Ok((key, value))
        }))
    }

    /// All parts that begin with these bytes, ascending.
    pub(crate) fn with_prefix<'a>(self, look: &'a dyn Look, prefix: &[u8]) -> RecordsInOrder<'a> {
        let end = successor_of_prefix(prefix);
        let to = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        self.range(look, Bound::Included(prefix), to, false)
    }
}

fn as_slice(bound: &Bound<Bytes>) -> Bound<&[u8]> {
    match bound {
        Bound::Included(bytes) => Bound::Included(bytes),
        Bound::Excluded(bytes) => Bound::Excluded(bytes),
        Bound::Unbounded => Bound::Unbounded,
    }
}

/// The least bytes above everything with this prefix; `None` if there are none.
pub(crate) fn successor_of_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != 0xff)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

/// A field's or member's sub-key behind a tag of the kind's own, which may be empty.
pub(crate) fn positioned(tag: &[u8], member: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(tag.len() + POSITION_BYTES + member.len());
    bytes.put_slice(tag);
    bytes.put_slice(&layout::position_bytes(hash::position(member)));
    bytes.put_slice(member);
    bytes.freeze()
}

/// A collection that was found.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) parts: Parts,
    /// How many elements it has.
    pub(crate) count: u64,
    /// What the kind keeps besides.
    pub(crate) rest: Bytes,
}

impl Found {
    /// Reads a collection's body.
    pub(crate) fn of(epoch: u32, stored: &Stored) -> Result<Self, EngineError> {
        let damaged = || EngineError::Damaged("the body of a collection does not fit".into());
        let number = stored.header.collection.ok_or_else(damaged)?;
        let count = stored.body.first_chunk().ok_or_else(damaged)?;
        Ok(Self {
            parts: Parts { epoch, number },
            count: u64::from_be_bytes(*count),
            rest: stored.body.slice(COUNT_BYTES..),
        })
    }
}

/// Looks a collection up for reading.
///
/// # Errors
/// `WrongType` if the key holds something else.
pub(crate) fn find(look: &dyn Look, key: &[u8], kind: Kind) -> Result<Option<Found>, Stop> {
    match look.live(key)? {
        None => Ok(None),
        Some(stored) if stored.header.kind == kind => Ok(Some(Found::of(look.epoch(), &stored)?)),
        Some(_) => Err(Stop::Refused(KvError::WrongType)),
    }
}

/// A collection being changed.
pub(crate) struct Edit {
    slot: Slot,
    kind: Kind,
    pub(crate) parts: Parts,
    /// How many elements it has. Whoever adds and removes parts keeps it.
    pub(crate) count: u64,
    /// What the kind keeps besides, at most some bytes.
    pub(crate) rest: Bytes,
}

impl Edit {
    /// Looks a collection up for writing; an absent one is empty, and comes to be with its first part.
    ///
    /// # Errors
    /// `WrongType` if the key holds something else.
    pub(crate) fn open(
        staging: &mut Staging,
        context: &ApplyContext,
        key: &Bytes,
        kind: Kind,
    ) -> Result<Self, Stop> {
        let slot = staging.slot(context, key)?;
        Self::of_slot(staging, slot, kind)
    }

    /// The same for a key that was looked up.
    pub(crate) fn of_slot(staging: &mut Staging, slot: Slot, kind: Kind) -> Result<Self, Stop> {
        let epoch = staging.facts.epoch;
        match &slot.found {
            Some(stored) if stored.header.kind != kind => Err(Stop::Refused(KvError::WrongType)),
            Some(stored) => {
                let found = Found::of(epoch, stored)?;
                Ok(Self { kind, parts: found.parts, count: found.count, rest: found.rest, slot })
            }
            None => {
                let parts = Parts { epoch, number: staging.next_collection() };
                Ok(Self { slot, kind, parts, count: 0, rest: Bytes::new() })
            }
        }
    }

    /// The same for a key whose value is to be replaced, whatever it is: what was there is gone.
    pub(crate) fn replacing(
        staging: &mut Staging,
        context: &ApplyContext,
        key: &Bytes,
        kind: Kind,
    ) -> Result<Self, Stop> {
        let mut slot = staging.slot(context, key)?;
        staging.remove(context, &slot);
        slot.found = None;
        Self::of_slot(staging, slot, kind)
    }

    /// The same for a key whose value takes on another kind and keeps its expiry; it has no parts yet.
    pub(crate) fn turning(staging: &mut Staging, slot: Slot, kind: Kind) -> Self {
        let parts = Parts { epoch: staging.facts.epoch, number: staging.next_collection() };
        Self { slot, kind, parts, count: 0, rest: Bytes::new() }
    }

    /// Whether the key held the collection before the edit.
    pub(crate) fn existed(&self) -> bool {
        self.slot.found.is_some()
    }

    /// Goes on under a new number, where there are no parts: cheaper than removing most of the old ones one by
    /// one. Those are garbage when the edit is finished; whoever wants some of them copies them.
    pub(crate) fn start_over(&mut self, staging: &mut Staging) {
        self.parts = Parts { epoch: self.parts.epoch, number: staging.next_collection() };
    }

    /// The value of a part at this point of the edit.
    pub(crate) fn get(
        &self,
        staging: &Staging,
        context: &ApplyContext,
        sub_key: &[u8],
    ) -> Result<Option<Bytes>, EngineError> {
        self.get_record(staging, context, &self.parts.key(sub_key))
    }

    /// The same by the record key, for those who need that again.
    pub(crate) fn get_record(
        &self,
        staging: &Staging,
        context: &ApplyContext,
        record_key: &[u8],
    ) -> Result<Option<Bytes>, EngineError> {
        // The number of a new collection is new: nothing of it is stored yet.
        if self.existed() { staging.look(context).get(record_key) } else { Ok(staging.staged(record_key)) }
    }

    /// Stages the removal of the fields or members with these names, and keeps the count; how many there were.
    pub(crate) fn remove_named(
        &mut self,
        staging: &mut Staging,
        context: &ApplyContext,
        names: &[Bytes],
    ) -> Result<u64, EngineError> {
        let mut removed = 0;
        for name in names.iter().filter(|name| name.len() <= MEMBER_BYTES_MAX) {
            let record_key = self.parts.key_of_member(&[], name);
            if self.get_record(staging, context, &record_key)?.is_some() {
                self.put_record(staging, context, record_key, None);
                removed += 1;
            }
        }
        self.count = self.count.saturating_sub(removed);
        Ok(removed)
    }

    /// Stages a part.
    pub(crate) fn put(&self, staging: &mut Staging, context: &ApplyContext, sub_key: &[u8], value: Bytes) {
        self.put_record(staging, context, self.parts.key(sub_key), Some(value));
    }

    /// Stages the removal of a part.
    pub(crate) fn remove(&self, staging: &mut Staging, context: &ApplyContext, sub_key: &[u8]) {
        self.put_record(staging, context, self.parts.key(sub_key), None);
    }

    /// Stages a part, or its removal, by its record key.
    pub(crate) fn put_record(
        &self,
        staging: &mut Staging,
        context: &ApplyContext,
        record_key: Bytes,
        value: Option<Bytes>,
    ) {
        staging.put_part(context, &self.slot.key, record_key, value);
    }

    /// Stages the record of the key; the collection is gone if it has no elements.
    pub(crate) fn finish(self, staging: &mut Staging, context: &ApplyContext) {
        if self.count == 0 {
            staging.remove(context, &self.slot);
            return;
        }
        let header = Header {
            kind: self.kind,
            version: context.hlc,
            expiry_millis: self.slot.expiry_millis(),
            collection: Some(self.parts.number),
            unfinished: self.slot.found.as_ref().is_some_and(|stored| stored.header.unfinished),
        };
        staging.put(context, &self.slot, header, &[&self.count.to_be_bytes(), &self.rest]);
    }
}

/// Copies the parts of a collection under a new number, and returns the header and body of the copy.
///
/// # Errors
/// `ResultTooLarge` for more than a replica should hold in memory at once; nothing is changed then.
pub(crate) fn duplicate(
    staging: &mut Staging,
    context: &ApplyContext,
    stored: &Stored,
    to: &Slot,
) -> Result<Header, Stop> {
    let Some(number) = stored.header.collection else { return Ok(stored.header) };
    let from = Parts { epoch: staging.facts.epoch, number };
    let copy = Parts { epoch: staging.facts.epoch, number: staging.next_collection() };
    let (mut parts, mut bytes) = (Vec::new(), 0);
    for part in from.range(&staging.look(context), Bound::Unbounded, Bound::Unbounded, false) {
        let (sub_key, value) = part?;
        bytes += sub_key.len() + value.len() + RESULT_MEMBER_BYTES;
        if bytes > RESULT_BYTES_MAX {
            return Err(Stop::Refused(KvError::ResultTooLarge));
        }
        parts.push((sub_key, value));
    }
    staging.make(context, bytes)?;
    for (sub_key, value) in parts {
        staging.put_part(context, &to.key, copy.key(&sub_key), Some(value));
    }
    Ok(Header { collection: Some(copy.number), ..stored.header })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_above_all_that_begin_with_it() {
        assert_eq!(successor_of_prefix(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(successor_of_prefix(b"a\xff\xff"), Some(b"b".to_vec()));
        assert_eq!(successor_of_prefix(b"\xff"), None);
        assert_eq!(successor_of_prefix(b""), None);
    }

    #[test]
    fn the_order_of_parts_is_that_of_their_positions() {
        let mut members: Vec<_> = (0..100_u32).map(|number| number.to_string()).collect();
        members.sort_by_key(|member| positioned(b"", member.as_bytes()));
        assert!(members.is_sorted_by_key(|member| hash::position(member.as_bytes())));
    }
}
