//! Requests to keys of any type that are more than a lookup.

use bytes::Bytes;
use prost::{Message, Oneof};

use super::Key;

/// A request to keys of any type.
#[derive(Clone, PartialEq, Message)]
pub struct GenericRequest {
    /// What to do; `None` is a request of a newer release.
    #[prost(oneof = "GenericOp", tags = "1")]
    pub op: Option<GenericOp>,
}

/// What to do. Reads have tags 1 to 39, writes 40 and up.
#[derive(Clone, PartialEq, Oneof)]
pub enum GenericOp {
    /// The stamp of the entry that changed a key last: what `WATCH` remembers. Reply: `Integer`, 0 if there
    /// is no such key.
    #[prost(message, tag = "1")]
    Version(Key),
}

impl GenericRequest {
    /// Whether it changes anything.
    pub fn is_write(&self) -> bool {
        match &self.op {
            None | Some(GenericOp::Version(_)) => false,
        }
    }

    /// Calls `visit` with every key, in the order in which a client named them.
    ///
    /// # Errors
    /// The first that `visit` returns.
    pub fn visit_keys<E>(&mut self, visit: &mut dyn FnMut(&mut Bytes) -> Result<(), E>) -> Result<(), E> {
        match &mut self.op {
            None => Ok(()),
            Some(GenericOp::Version(key)) => visit(&mut key.key),
        }
    }
}
