//! Requests to sets.

use bytes::Bytes;
use prost::{Message, Oneof};

use super::Key;

/// A request to one set or several.
#[derive(Clone, PartialEq, Message)]
pub struct SetRequest {
    /// What to do; `None` is a request of a newer release.
    #[prost(oneof = "SetOp", tags = "1, 40")]
    pub op: Option<SetOp>,
}

/// What to do with sets. Reads have tags 1 to 39, writes 40 and up.
#[derive(Clone, PartialEq, Oneof)]
pub enum SetOp {
    /// How many members there are. Reply: `Integer`.
    #[prost(message, tag = "1")]
    Card(Key),
    /// Add members. Reply: `Integer`, how many are new.
    #[prost(message, tag = "40")]
    Add(KeyAndMembers),
}

/// A key and members.
#[derive(Clone, PartialEq, Message)]
pub struct KeyAndMembers {
    /// The key.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// The members.
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub members: Vec<Bytes>,
}

impl SetRequest {
    /// Whether it changes anything.
    pub fn is_write(&self) -> bool {
        match &self.op {
            None | Some(SetOp::Card(_)) => false,
            Some(SetOp::Add(_)) => true,
        }
    }

    /// Calls `visit` with every key, in the order in which a client named them.
    ///
    /// # Errors
    /// The first that `visit` returns.
    pub fn visit_keys<E>(&mut self, visit: &mut dyn FnMut(&mut Bytes) -> Result<(), E>) -> Result<(), E> {
        match &mut self.op {
            None => Ok(()),
            Some(SetOp::Card(key)) => visit(&mut key.key),
            Some(SetOp::Add(add)) => visit(&mut add.key),
        }
    }
}
