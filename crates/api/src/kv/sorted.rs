//! Requests to sorted sets.

use bytes::Bytes;
use prost::{Message, Oneof};

use super::Key;

/// A request to one sorted set or several.
#[derive(Clone, PartialEq, Message)]
pub struct SortedRequest {
    /// What to do; `None` is a request of a newer release.
    #[prost(oneof = "SortedOp", tags = "1")]
    pub op: Option<SortedOp>,
}

/// What to do with sorted sets. Reads have tags 1 to 39, writes 40 and up.
#[derive(Clone, PartialEq, Oneof)]
pub enum SortedOp {
    /// How many members there are. Reply: `Integer`.
    #[prost(message, tag = "1")]
    Card(Key),
}

impl SortedRequest {
    /// Whether it changes anything.
    pub fn is_write(&self) -> bool {
        match &self.op {
            None | Some(SortedOp::Card(_)) => false,
        }
    }

    /// Calls `visit` with every key, in the order in which a client named them.
    ///
    /// # Errors
    /// The first that `visit` returns.
    pub fn visit_keys<E>(&mut self, visit: &mut dyn FnMut(&mut Bytes) -> Result<(), E>) -> Result<(), E> {
        match &mut self.op {
            None => Ok(()),
            Some(SortedOp::Card(key)) => visit(&mut key.key),
        }
    }
}
