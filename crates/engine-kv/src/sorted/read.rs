//! A sorted set to be read: scores, ranks, and walks from any place or rank.

use std::ops::Bound;

use bytes::{Buf, Bytes};
use engine::EngineError;
use types::limits::MEMBER_BYTES_MAX;

use super::index::Cover;
use super::node::Node;
use super::place::{self, MEMBER, damaged, place_key, split_place};
use super::root::Root;
use crate::collection::{Found, Parts, find};
use crate::look::Look;
use crate::probe::Ordered;
use crate::state::Stop;
use crate::value::Kind;

/// A sorted set at a moment.
pub(crate) struct Sorted<'a> {
    look: &'a dyn Look,
    parts: Parts,
    /// How many members it has.
    pub(crate) count: u64,
    pub(super) root: Root,
}

/// Members with their scores, one after another.
pub(crate) type Members<'a> = Box<dyn Iterator<Item = Result<(Bytes, f64), EngineError>> + 'a>;

/// Places, one after another.
type Places<'a> = Box<dyn Iterator<Item = Result<Bytes, EngineError>> + 'a>;

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
        Ok(Self { look, parts: found.parts, count: found.count, root: Root::decode(&found.rest)? })
    }

    pub(super) fn new(look: &'a dyn Look, parts: Parts, count: u64, root: &Root) -> Self {
        Self { look, parts, count, root: root.clone() }
    }

    /// The members in the order of their positions.
    pub(super) fn ordered(&self) -> Ordered {
        Ordered { parts: self.parts, tag: &[MEMBER], count: self.count }
    }

    /// The value of a part whose sub-key is a tag and what stands behind it.
    pub(super) fn part(&self, tag: &[u8], rest: &[u8]) -> Result<Option<Bytes>, EngineError> {
        self.look.get(&self.parts.key_of(&[tag, rest]))
    }

    /// The score of a member.
    pub(crate) fn score(&self, member: &[u8]) -> Result<Option<f64>, EngineError> {
        // What is too long to be stored is not there.
        if member.len() > MEMBER_BYTES_MAX {
            return Ok(None);
        }
        let value = self.look.get(&self.parts.key_of_member(&[MEMBER], member))?;
        value.map(|value| place::score_in(&value)).transpose()
    }

    /// How many members lie before a place.
    pub(super) fn rank_before(&self, place: &[u8]) -> Result<u64, EngineError> {
        let (mut before, mut run, mut separator) = (0, Cover::default(), Bytes::new());
        for level in (1..=self.root.levels).rev() {
            let node = Node::get(self, level, &separator)?;
            let at = node.covering(place);
            before += node.entries[..at].iter().map(|entry| entry.members).sum::<u64>();
            run.narrow(&node, at);
            separator = node.entries[at].separator.clone();
        }
        for counted in self.places(Bound::Included(&run.from), Bound::Excluded(place), false) {
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
        let (mut skip, mut run, mut separator) = (rank, Cover::default(), Bytes::new());
        for level in (1..=self.root.levels).rev() {
            let node = Node::get(self, level, &separator)?;
            let at = pass(&node, &mut skip, reverse)?;
            run.narrow(&node, at);
            separator = node.entries[at].separator.clone();
        }
        let walk = if reverse {
            let to = run.to.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
            self.places(Bound::Unbounded, to, true)
        } else {
            self.places(Bound::Included(&run.from), Bound::Unbounded, false)
        };
        Ok(split_all(walk.skip(skip as usize)))
    }

    /// Members between two places, the second not included.
    pub(super) fn between(&self, from: &[u8], to: &[u8], reverse: bool) -> Members<'a> {
        split_all(self.places(Bound::Included(from), Bound::Excluded(to), reverse))
    }

    /// All members in order.
    pub(crate) fn in_order(&self) -> Members<'a> {
        split_all(self.places(Bound::Unbounded, Bound::Unbounded, false))
    }

    /// The first place, or the last.
    pub(super) fn end(&self, last: bool) -> Result<Option<Bytes>, EngineError> {
        self.places(Bound::Unbounded, Bound::Unbounded, last).next().transpose()
    }

    /// Places between two. A walk never goes beyond the first and last place of the set.
    pub(super) fn places(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, reverse: bool) -> Places<'a> {
        let (start, end) = (self.root.start(), self.root.end());
        let from = match from {
            Bound::Included(from) | Bound::Excluded(from) if from < &start[..] => Bound::Included(&start[..]),
            Bound::Unbounded => Bound::Included(&start[..]),
            bound => bound,
        };
        let to = match (to, &end) {
            (Bound::Included(to) | Bound::Excluded(to), Some(end)) if to > &end[..] => {
                Bound::Excluded(&end[..])
            }
            (Bound::Unbounded, Some(end)) => Bound::Excluded(&end[..]),
            (bound, _) => bound,
        };
        // Nothing lies behind the places, so without an end they go on to the end of the collection.
        let (from, to) = (from.map(place_key), to.map(place_key));
        let records = self.parts.range(self.look, as_slice(&from), as_slice(&to), reverse);
        Box::new(records.map(|record| {
            let (mut sub_key, _) = record?;
            sub_key.advance(1);
            Ok(sub_key)
        }))
    }
}

/// Passes entries of a node until so many members are passed; the entry that has the next one.
fn pass(node: &Node, skip: &mut u64, reverse: bool) -> Result<usize, EngineError> {
    let last = node.entries.len() - 1;
    for number in 0..=last {
        let at = if reverse { last - number } else { number };
        let members = node.entries[at].members;
        if *skip < members {
            return Ok(at);
        }
        *skip -= members;
    }
    Err(damaged("the index counts fewer members than there are"))
}

fn as_slice(bound: &Bound<Bytes>) -> Bound<&[u8]> {
    bound.as_ref().map(|bytes| &bytes[..])
}

fn split_all<'a>(places: impl Iterator<Item = Result<Bytes, EngineError>> + 'a) -> Members<'a> {
    Box::new(places.map(|place| split_place(&place?)))
}
