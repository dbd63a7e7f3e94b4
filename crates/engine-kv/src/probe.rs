//! Questions to sets and sorted sets whose members come in the order of their positions.
//!
//! Both kinds keep their members in the same order, that of position and name. So the members of one are compared with
//! those of others as sorted lists are: one walk through each, side by side. A set that is much larger than the one
//! whose members are in question is not walked through but searched.

use std::cmp::Ordering;
use std::iter::Peekable;

use bytes::{Buf, Bytes};
use engine::EngineError;

use crate::collection::Parts;
use crate::look::{Look, RecordsInOrder};

/// Most walks that are open at once: each holds on to some blocks of the store.
pub(crate) const WALKS_MAX: usize = 64;
/// A search costs as much as walking past so many members, about.
const MEMBERS_PER_SEARCH: u64 = 8;

/// The members of one set or sorted set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ordered {
    /// Where they lie.
    pub(crate) parts: Parts,
    /// What stands before the position in their sub-keys.
    pub(crate) tag: &'static [u8],
    /// How many there are.
    pub(crate) count: u64,
}

impl Ordered {
    /// All members as (position and name, value).
    pub(crate) fn walk(self, look: &dyn Look) -> RecordsInOrder<'_> {
        let records = self.parts.with_prefix(look, self.tag);
        Box::new(records.map(move |record| {
            let (mut sub_key, value) = record?;
            // It begins with the tag. Not a slice: that would count another owner.
            sub_key.advance(self.tag.len().min(sub_key.len()));
            Ok((sub_key, value))
        }))
    }

    fn find(self, look: &dyn Look, member: &[u8]) -> Result<Option<Bytes>, EngineError> {
        match self.tag {
            [] => self.parts.get(look, member),
            tag => self.parts.get(look, &[tag, member].concat()),
        }
    }
}

/// One probe for each set, for so many questions in ascending order.
pub(crate) fn probes<'a>(look: &'a dyn Look, sets: &[Ordered], questions: u64) -> Vec<Probe<'a>> {
    let may_walk = sets.len() < WALKS_MAX;
    let probe = |set: &Ordered| {
        if may_walk && set.count / MEMBERS_PER_SEARCH <= questions {
            Probe::Walk(set.walk(look).peekable())
        } else {
            Probe::Search(*set)
        }
    };
    sets.iter().map(probe).collect()
}

/// Says whether members, asked for in ascending order, are in a set, and with what value.
pub(crate) enum Probe<'a> {
    /// Looks each of them up.
    Search(Ordered),
    /// Walks through the set beside the questions.
    Walk(Peekable<RecordsInOrder<'a>>),
}

impl Probe<'_> {
    /// The value of a member, given by its position and name.
    pub(crate) fn find(&mut self, look: &dyn Look, member: &[u8]) -> Result<Option<Bytes>, EngineError> {
        let walk = match self {
            Probe::Search(set) => return set.find(look, member),
            Probe::Walk(walk) => walk,
        };
        loop {
            let order = match walk.peek() {
                None => return Ok(None),
                Some(Ok((head, _))) => head[..].cmp(member),
                Some(Err(_)) => Ordering::Less,
            };
            match order {
                Ordering::Greater => return Ok(None),
                Ordering::Equal => return Ok(walk.next().transpose()?.map(|(_, value)| value)),
                Ordering::Less => walk.next().transpose()?,
            };
        }
    }
}
