//! Requests to the bits of strings.

use bytes::Bytes;
use prost::{Message, Oneof};

/// A request to the bits of one string or several.
#[derive(Clone, PartialEq, Message)]
pub struct BitsRequest {
    /// What to do; `None` is a request of a newer release.
    #[prost(oneof = "BitsOp", tags = "1, 40")]
    pub op: Option<BitsOp>,
}

/// What to do with bits. Reads have tags 1 to 39, writes 40 and up.
#[derive(Clone, PartialEq, Oneof)]
pub enum BitsOp {
    /// One bit. Reply: `Integer` 0 or 1.
    #[prost(message, tag = "1")]
    Get(BitPlace),
    /// Set one bit. Reply: `Integer`, the bit as it was.
    #[prost(message, tag = "40")]
    Set(BitSet),
}

/// Where a bit is.
#[derive(Clone, PartialEq, Message)]
pub struct BitPlace {
    /// The key of the string.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// The bit; 0 is the highest bit of the first byte.
    #[prost(uint64, tag = "2")]
    pub offset: u64,
}

/// Set one bit.
#[derive(Clone, PartialEq, Message)]
pub struct BitSet {
    /// The key of the string.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// The bit; 0 is the highest bit of the first byte.
    #[prost(uint64, tag = "2")]
    pub offset: u64,
    /// What it becomes.
    #[prost(bool, tag = "3")]
    pub on: bool,
}

impl BitsRequest {
    /// Whether it changes anything.
    pub fn is_write(&self) -> bool {
        match &self.op {
            None | Some(BitsOp::Get(_)) => false,
            Some(BitsOp::Set(_)) => true,
        }
    }

    /// Calls `visit` with every key, in the order in which a client named them.
    ///
    /// # Errors
    /// The first that `visit` returns.
    pub fn visit_keys<E>(&mut self, visit: &mut dyn FnMut(&mut Bytes) -> Result<(), E>) -> Result<(), E> {
        match &mut self.op {
            None => Ok(()),
            Some(BitsOp::Get(place)) => visit(&mut place.key),
            Some(BitsOp::Set(set)) => visit(&mut set.key),
        }
    }
}
