//! Requests to lists.
//!
//! Places in a list count from 0 at its left end; negative ones count from the right end, −1 being the last
//! element, as in Redis.

use bytes::Bytes;
use prost::{Message, Oneof};

use super::Key;

/// A request to one list or several.
#[derive(Clone, PartialEq, Message)]
pub struct ListRequest {
    /// What to do; `None` is a request of a newer release.
    #[prost(oneof = "ListOp", tags = "1, 2, 3, 4, 40, 41, 42, 43, 44, 45, 46, 47")]
    pub op: Option<ListOp>,
}

/// What to do with lists. Reads have tags 1 to 39, writes 40 and up.
#[derive(Clone, PartialEq, Oneof)]
pub enum ListOp {
    /// How many elements there are. Reply: `Integer`.
    #[prost(message, tag = "1")]
    Len(Key),
    /// The element at a place. Reply: `Value` or `Nil`.
    #[prost(message, tag = "2")]
    Index(ListIndex),
    /// The elements between two places, both included. Reply: `Values`.
    #[prost(message, tag = "3")]
    Range(ListRange),
    /// Where an element is. Reply: `Integer` or `Nil`; with a count, `Many` of `Integer`.
    #[prost(message, tag = "4")]
    Position(ListPosition),

    /// Add elements at an end. Reply: `Integer`, the length afterwards.
    #[prost(message, tag = "40")]
    Push(ListPush),
    /// Remove elements at an end. Reply: `Nil` if there is no list; else `Value`, or with a count `Values`.
    #[prost(message, tag = "41")]
    Pop(ListPop),
    /// Remove elements at an end of the first of several lists that is there. Reply: `Nil` if none is; else
    /// `Many` of two: `Integer`, which of the keys it was, from 0, and `Values`, the elements.
    #[prost(message, tag = "42")]
    PopFirst(ListPopFirst),
    /// Move an element from an end of a list to an end of another, or of the same. Reply: `Value`, or `Nil` if
    /// there is none.
    #[prost(message, tag = "43")]
    Move(ListMove),
    /// Replace the element at a place. Reply: `Ok`.
    #[prost(message, tag = "44")]
    Set(ListSet),
    /// Remove all elements but those between two places, both included. Reply: `Ok`.
    #[prost(message, tag = "45")]
    Trim(ListRange),
    /// Add an element beside another. Reply: `Integer`: the length afterwards, −1 if the other is not there, 0 if
    /// there is no list.
    #[prost(message, tag = "46")]
    Insert(ListInsert),
    /// Remove elements that are equal to one. Reply: `Integer`, how many.
    #[prost(message, tag = "47")]
    Remove(ListRemove),
}

/// A place in a list.
#[derive(Clone, PartialEq, Message)]
pub struct ListIndex {
    /// The key of the list.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// The place.
    #[prost(sint64, tag = "2")]
    pub index: i64,
}

/// The part of a list between two places. Places outside of the list are moved to its ends.
#[derive(Clone, PartialEq, Message)]
pub struct ListRange {
    /// The key of the list.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// The first place.
    #[prost(sint64, tag = "2")]
    pub start: i64,
    /// The last place, included.
    #[prost(sint64, tag = "3")]
    pub stop: i64,
}

/// Where an element is in a list.
#[derive(Clone, PartialEq, Message)]
pub struct ListPosition {
    /// The key of the list.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// What is looked for.
    #[prost(bytes = "bytes", tag = "2")]
    pub element: Bytes,
    /// Begin with the so many-th match from the left; negative: from the right. Not 0.
    #[prost(sint64, tag = "3")]
    pub rank: i64,
    /// So many matches are wanted, 0: all; absent: one, and not as a list.
    #[prost(uint64, optional, tag = "4")]
    pub count: Option<u64>,
    /// Look at so many elements at most; 0: at all.
    #[prost(uint64, tag = "5")]
    pub looks_max: u64,
}

/// Add elements to a list.
#[derive(Clone, PartialEq, Message)]
pub struct ListPush {
    /// The key of the list.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// The elements, added one after another.
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub elements: Vec<Bytes>,
    /// At the left end, before the first one; else at the right end.
    #[prost(bool, tag = "3")]
    pub left: bool,
    /// Only to a list that exists.
    #[prost(bool, tag = "4")]
    pub only_if_present: bool,
}

/// Remove elements at an end of a list.
#[derive(Clone, PartialEq, Message)]
pub struct ListPop {
    /// The key of the list.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// At the left end; else at the right end.
    #[prost(bool, tag = "2")]
    pub left: bool,
    /// At most so many; absent: one, and not as a list.
    #[prost(uint64, optional, tag = "3")]
    pub count: Option<u64>,
}

/// Remove elements at an end of the first list that is there.
#[derive(Clone, PartialEq, Message)]
pub struct ListPopFirst {
    /// The keys of the lists, in the order in which they are tried. The first that holds anything but a list is an
    /// error.
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub keys: Vec<Bytes>,
    /// At the left end; else at the right end.
    #[prost(bool, tag = "2")]
    pub left: bool,
    /// At most so many, at least 1.
    #[prost(uint64, tag = "3")]
    pub count: u64,
}

/// Move an element from list to list.
#[derive(Clone, PartialEq, Message)]
pub struct ListMove {
    /// The key of the list that it comes from.
    #[prost(bytes = "bytes", tag = "1")]
    pub from: Bytes,
    /// The key of the list that it goes to; may be the same.
    #[prost(bytes = "bytes", tag = "2")]
    pub to: Bytes,
    /// From the left end; else from the right end.
    #[prost(bool, tag = "3")]
    pub from_left: bool,
    /// To the left end; else to the right end.
    #[prost(bool, tag = "4")]
    pub to_left: bool,
}

/// Replace an element of a list. Refused if there is no list, or no such place.
#[derive(Clone, PartialEq, Message)]
pub struct ListSet {
    /// The key of the list.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// The place.
    #[prost(sint64, tag = "2")]
    pub index: i64,
    /// What is there afterwards.
    #[prost(bytes = "bytes", tag = "3")]
    pub element: Bytes,
}

/// Add an element to a list beside another, the leftmost one if there are several.
#[derive(Clone, PartialEq, Message)]
pub struct ListInsert {
    /// The key of the list.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// The element that is there.
    #[prost(bytes = "bytes", tag = "2")]
    pub pivot: Bytes,
    /// The new one.
    #[prost(bytes = "bytes", tag = "3")]
    pub element: Bytes,
    /// On the left of it; else on the right.
    #[prost(bool, tag = "4")]
    pub before: bool,
}

/// Remove elements of a list that are equal to one.
#[derive(Clone, PartialEq, Message)]
pub struct ListRemove {
    /// The key of the list.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// The first so many from the left; negative: from the right; 0: all.
    #[prost(sint64, tag = "2")]
    pub count: i64,
    /// What they are equal to.
    #[prost(bytes = "bytes", tag = "3")]
    pub element: Bytes,
}

impl ListRequest {
    /// A request for this operation.
    pub fn new(op: ListOp) -> Self {
        Self { op: Some(op) }
    }

    /// Whether it changes anything.
    pub fn is_write(&self) -> bool {
        match &self.op {
            None | Some(ListOp::Len(_) | ListOp::Index(_) | ListOp::Range(_) | ListOp::Position(_)) => false,
            Some(
                ListOp::Push(_)
                | ListOp::Pop(_)
                | ListOp::PopFirst(_)
                | ListOp::Move(_)
                | ListOp::Set(_)
                | ListOp::Trim(_)
                | ListOp::Insert(_)
                | ListOp::Remove(_),
            ) => true,
        }
    }

    /// Calls `visit` with every key, in the order in which a client named them.
    ///
    /// # Errors
    /// The first that `visit` returns.
    pub fn visit_keys<E>(&mut self, visit: &mut dyn FnMut(&mut Bytes) -> Result<(), E>) -> Result<(), E> {
        match &mut self.op {
            None => Ok(()),
            Some(ListOp::Len(op)) => visit(&mut op.key),
            Some(ListOp::Index(op)) => visit(&mut op.key),
            Some(ListOp::Range(op) | ListOp::Trim(op)) => visit(&mut op.key),
            Some(ListOp::Position(op)) => visit(&mut op.key),
            Some(ListOp::Push(op)) => visit(&mut op.key),
            Some(ListOp::Pop(op)) => visit(&mut op.key),
            Some(ListOp::PopFirst(op)) => op.keys.iter_mut().try_for_each(visit),
            Some(ListOp::Move(op)) => visit(&mut op.from).and_then(|()| visit(&mut op.to)),
            Some(ListOp::Set(op)) => visit(&mut op.key),
            Some(ListOp::Insert(op)) => visit(&mut op.key),
            Some(ListOp::Remove(op)) => visit(&mut op.key),
        }
    }
}
