//! A sorted set to be read: scores, ranks, and walks from any place or rank.

use std::ops::Bound;

use bytes::{Buf, Bytes};
use engine::EngineError;
use types::limits::MEMBER_BYTES_MAX;

use super::index::{Node, Root, node_key, split_node_key};
use super::place::{self, PLACE, damaged, place_key, split_place};
use crate::collection::{Found, Parts, find};
use crate::look::Look;
use crate::state::Stop;
use crate::value::Kind;

/// A sorted set at a moment.
#[derive(Clone, Copy)]
pub(crate) struct Sorted<'a> {
    look: &'a dyn Look,
    parts: Parts,
    /// How many members it has.
    pub(crate) count: u64,
    root: Root,
}

/// Members with their scores, one after another.
pub(crate) type Members<'a> = Box<dyn Iterator<Item = Result<(Bytes, f64), EngineError>> + 'a>;

impl<'a> Sorted<'a> {
    /// Looks a sorted set up.
    ///
    /// # Errors
    /// `WrongType` if the key holds something else.
    pub(crate) fn find(look: &'a dyn Look, key: &[u8]) -> Result<Option<Self>, Stop> {
        let found = find(look, key, Kind::SortedSet)?;
        found.map(|found| Self::of(look, &found).map_err(Stop::Failed)).transpose()
    }

    /// The sorted set that was found.
    pub(crate) fn of(look: &'a dyn Look, found: &Found) -> Result<Self, EngineError> {
        let root = Root::decode(&found.rest, found.count)?;
        Ok(Self::new(look, found.parts, found.count, root))
    }

    pub(super) fn new(look: &'a dyn Look, parts: Parts, count: u64, root: Root) -> Self {
        Self { look, parts, count, root }
    }

    /// The score of a member.
    pub(crate) fn score(&self, member: &[u8]) -> Result<Option<f64>, EngineError> {
        // What is too long to be stored is not there.
        if member.len() > MEMBER_BYTES_MAX {
            return Ok(None);
        }
        let value = self.parts.get(self.look, &place::member_key(member))?;
        value.map(|value| place::score_in(&value)).transpose()
    }

    /// How many members lie before a place.
    pub(super) fn rank_before(&self, place: &[u8]) -> Result<u64, EngineError> {
        let mut before = 0;
        let mut start = Bytes::new();
        for level in (1..=self.root.levels).rev() {
            let mut last: Option<(Bytes, Node)> = None;
            for node in self.nodes(level, Bound::Included(&start), Bound::Included(place), false) {
                let node = node?;
                before += last.map_or(0, |(_, passed)| passed.members);
                last = Some(node);
            }
            (start, _) = last.ok_or_else(|| damaged("a node of the index has no first child"))?;
        }
        for counted in self.places(Bound::Included(&start), Bound::Excluded(place), false) {
            counted?;
            before += 1;
        }
        Ok(before)
    }

    /// Members from a rank on, which counts from the last member if `reverse`, as the walk does.
    pub(crate) fn at_rank(&self, rank: u64, reverse: bool) -> Result<Members<'a>, EngineError> {
        if rank >= self.count {
            return Ok(Box::new(std::iter::empty()));
        }
        let mut skip = rank;
        // The near end of the node that has the member, seen from where the walk comes from: its separator, or
        // in reverse the next one.
        let mut near: Option<Bytes> = None;
        for level in (1..=self.root.levels).rev() {
            near = self.descend(level, near, &mut skip, reverse)?;
        }
        let walk = match (&near, reverse) {
            (None, _) => self.places(Bound::Unbounded, Bound::Unbounded, reverse),
            (Some(near), false) => self.places(Bound::Included(near), Bound::Unbounded, false),
            (Some(near), true) => self.places(Bound::Unbounded, Bound::Excluded(near), true),
        };
        Ok(split_all(walk.skip(skip as usize)))
    }

    /// Passes nodes of a level until so many members are passed, and says where the next node begins.
    fn descend(
        &self,
        level: u8,
        near: Option<Bytes>,
        skip: &mut u64,
        reverse: bool,
    ) -> Result<Option<Bytes>, EngineError> {
        let start = near.as_deref();
        let (from, to) = if reverse {
            (Bound::Unbounded, start.map_or(Bound::Unbounded, Bound::Excluded))
        } else {
            (start.map_or(Bound::Unbounded, Bound::Included), Bound::Unbounded)
        };
        let nodes = self.nodes(level, from, to, reverse);
        let mut edge = near.clone();
        for node in nodes {
            let (separator, node) = node?;
            if *skip < node.members {
                return Ok(if reverse { edge } else { Some(separator) });
            }
            *skip -= node.members;
            edge = Some(separator);
        }
        Err(damaged("the index counts fewer members than there are"))
    }

    /// Members between two places, the second not included.
    pub(super) fn between(&self, from: &[u8], to: &[u8], reverse: bool) -> Members<'a> {
        split_all(self.places(Bound::Included(from), Bound::Excluded(to), reverse))
    }

    /// All members in order.
    pub(crate) fn in_order(&self) -> Members<'a> {
        split_all(self.places(Bound::Unbounded, Bound::Unbounded, false))
    }

    /// The first member, or the last.
    pub(super) fn end(&self, last: bool) -> Result<Option<(Bytes, f64)>, EngineError> {
        split_all(self.places(Bound::Unbounded, Bound::Unbounded, last)).next().transpose()
    }

    /// Places between two.
    pub(super) fn places(
        &self,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        reverse: bool,
    ) -> Box<dyn Iterator<Item = Result<Bytes, EngineError>> + 'a> {
        let from = match from {
            Bound::Unbounded => Bound::Included(Bytes::from_static(&[PLACE])),
            bound => bound.map(place_key),
        };
        // Nothing lies behind the places.
        let to = to.map(place_key);
        let records = self.parts.range(self.look, as_slice(&from), as_slice(&to), reverse);
        Box::new(records.map(|record| {
            let (mut sub_key, _) = record?;
            sub_key.advance(1);
            Ok(sub_key)
        }))
    }

    /// Nodes of a level whose separators lie between two places.
    pub(super) fn nodes(
        &self,
        level: u8,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        reverse: bool,
    ) -> Box<dyn Iterator<Item = Result<(Bytes, Node), EngineError>> + 'a> {
        let from = match from {
            Bound::Unbounded => Bound::Included(node_key(level, &[])),
            bound => bound.map(|separator| node_key(level, separator)),
        };
        let to = match to {
            Bound::Unbounded => Bound::Excluded(node_key(level + 1, &[])),
            bound => bound.map(|separator| node_key(level, separator)),
        };
        let records = self.parts.range(self.look, as_slice(&from), as_slice(&to), reverse);
        Box::new(records.map(|record| {
            let (sub_key, value) = record?;
            Ok((split_node_key(&sub_key)?, Node::decode(&value)?))
        }))
    }
}

fn as_slice(bound: &Bound<Bytes>) -> Bound<&[u8]> {
    bound.as_ref().map(|bytes| &bytes[..])
}

fn split_all<'a>(places: impl Iterator<Item = Result<Bytes, EngineError>> + 'a) -> Members<'a> {
    Box::new(places.map(|place| split_place(&place?)))
}
