//! Requests to lists.

use bytes::Bytes;
use prost::{Message, Oneof};

use super::Key;

/// A request to one list or several.
#[derive(Clone, PartialEq, Message)]
pub struct ListRequest {
    /// What to do; `None` is a request of a newer release.
    #[prost(oneof = "ListOp", tags = "1, 40")]
    pub op: Option<ListOp>,
}

/// What to do with lists. Reads have tags 1 to 39, writes 40 and up.
#[derive(Clone, PartialEq, Oneof)]
pub enum ListOp {
    /// How many elements there are. Reply: `Integer`.
    #[prost(message, tag = "1")]
    Len(Key),
    /// Add elements at an end. Reply: `Integer`, the length afterwards.
    #[prost(message, tag = "40")]
    Push(ListPush),
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

impl ListRequest {
    /// Whether it changes anything.
    pub fn is_write(&self) -> bool {
        match &self.op {
            None | Some(ListOp::Len(_)) => false,
            Some(ListOp::Push(_)) => true,
        }
    }

    /// Calls `visit` with every key, in the order in which a client named them.
    ///
    /// # Errors
    /// The first that `visit` returns.
    pub fn visit_keys<E>(&mut self, visit: &mut dyn FnMut(&mut Bytes) -> Result<(), E>) -> Result<(), E> {
        match &mut self.op {
            None => Ok(()),
            Some(ListOp::Len(key)) => visit(&mut key.key),
            Some(ListOp::Push(push)) => visit(&mut push.key),
        }
    }
}
