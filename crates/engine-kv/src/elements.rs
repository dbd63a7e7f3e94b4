//! The elements of a collection, whatever its kind: what `SORT`, `MEMORY USAGE` and `OBJECT` go by.

use std::ops::Bound;

use api::kv::{Element, KvError};
use bytes::Bytes;
use engine::EngineError;

use crate::collection::Found;
use crate::export::{element, elements_prefix};
use crate::lists::Row;
use crate::look::Look;
use crate::sorted::Sorted;
use crate::state::Stop;
use crate::value::Kind;

/// Elements one after another; each is read when it is asked for.
pub(crate) type Elements<'a> = Box<dyn Iterator<Item = Result<Bytes, EngineError>> + 'a>;

/// A collection that can be sorted, at a moment.
pub(crate) enum Sortable<'a> {
    /// A list.
    List(&'a dyn Look, Row),
    /// A set.
    Set(&'a dyn Look, Found),
    /// A sorted set.
    Sorted(Sorted<'a>),
}

impl<'a> Sortable<'a> {
    /// The collection of a key, if there is one.
    ///
    /// # Errors
    /// `WrongType` for a string or hash.
    pub(crate) fn find(look: &'a dyn Look, key: &[u8]) -> Result<Option<Self>, Stop> {
        let Some(stored) = look.live(key)? else { return Ok(None) };
        let found = |stored| Found::of(look.epoch(), stored);
        match stored.header.kind {
            Kind::List => Ok(Some(Self::List(look, Row::of(&found(&stored)?)?))),
            Kind::Set => Ok(Some(Self::Set(look, found(&stored)?))),
            Kind::SortedSet => Ok(Some(Self::Sorted(Sorted::of(look, &found(&stored)?)?))),
            Kind::String | Kind::Bitmap | Kind::Hash => Err(Stop::Refused(KvError::WrongType)),
        }
    }

    /// How many elements there are.
    pub(crate) fn count(&self) -> u64 {
        match self {
            Self::List(_, row) => row.count,
            Self::Set(_, found) => found.count,
            Self::Sorted(set) => set.count,
        }
    }

    /// The elements in the order of the collection from one on, backwards from the last if `reverse`. Those of a
    /// set have no order, and no other way round.
    pub(crate) fn from(&self, start: u64, reverse: bool) -> Result<Elements<'a>, EngineError> {
        match self {
            Self::List(look, row) => {
                let (start, count) = (start.min(row.count), row.count);
                let indexes = if reverse { 0..count - start } else { start..count };
                Ok(Box::new(row.elements(*look, indexes, reverse).map(|element| Ok(element?.1))))
            }
            Self::Set(look, found) => {
                let members = elements(*look, Kind::Set, found).skip(start as usize);
                Ok(Box::new(members.map(|element| Ok(element?.1.name))))
            }
            Self::Sorted(set) => Ok(Box::new(set.at_rank(start, reverse)?.map(|member| Ok(member?.0)))),
        }
    }
}

/// The elements of a collection in the order of their parts, each with the bytes that its part has.
pub(crate) fn elements<'a>(
    look: &'a dyn Look,
    kind: Kind,
    found: &Found,
) -> impl Iterator<Item = Result<(usize, Element), EngineError>> + use<'a> {
    let prefix = elements_prefix(kind);
    let parts = found.parts.range(look, Bound::Included(&prefix), Bound::Unbounded, false);
    parts
        // Behind the elements there may be records that are derived from them.
        .take_while(move |part| part.as_ref().map_or(true, |(sub_key, _)| sub_key.starts_with(&prefix)))
        .map(move |part| {
            let (sub_key, value) = part?;
            Ok((sub_key.len() + value.len(), element(kind, &sub_key, value)?))
        })
}
