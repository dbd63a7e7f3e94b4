//! Requests to HyperLogLogs, which are strings with a format of their own.

use bytes::Bytes;
use prost::{Message, Oneof};

use super::{KeyAndMembers, Keys};

/// A request to one HyperLogLog or several.
#[derive(Clone, PartialEq, Message)]
pub struct HyperLogLogRequest {
    /// What to do; `None` is a request of a newer release.
    #[prost(oneof = "HyperLogLogOp", tags = "1, 40, 41")]
    pub op: Option<HyperLogLogOp>,
}

/// What to do with HyperLogLogs. Reads have tags 1 to 39, writes 40 and up.
#[derive(Clone, PartialEq, Oneof)]
pub enum HyperLogLogOp {
    /// How many different elements the union of them has seen. Reply: `Integer`.
    #[prost(message, tag = "1")]
    Count(Keys),
    /// Add elements; a key that is absent comes to be even without elements. Reply: `Integer` 1 if anything
    /// changed.
    #[prost(message, tag = "40")]
    Add(KeyAndMembers),
    /// Add to the first of them what the others have seen. Reply: `Ok`.
    #[prost(message, tag = "41")]
    Merge(Keys),
}

impl HyperLogLogRequest {
    /// Whether it changes anything.
    pub fn is_write(&self) -> bool {
        match &self.op {
            None | Some(HyperLogLogOp::Count(_)) => false,
            Some(HyperLogLogOp::Add(_) | HyperLogLogOp::Merge(_)) => true,
        }
    }

    /// Calls `visit` with every key, in the order in which a client named them.
    ///
    /// # Errors
    /// The first that `visit` returns.
    pub fn visit_keys<E>(&mut self, visit: &mut dyn FnMut(&mut Bytes) -> Result<(), E>) -> Result<(), E> {
        match &mut self.op {
            None => Ok(()),
            Some(HyperLogLogOp::Count(keys) | HyperLogLogOp::Merge(keys)) => {
                keys.keys.iter_mut().try_for_each(visit)
            }
            Some(HyperLogLogOp::Add(add)) => visit(&mut add.key),
        }
    }
}
