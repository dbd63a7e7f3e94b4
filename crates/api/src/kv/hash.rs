//! Requests to hashes.

use bytes::Bytes;
use prost::{Message, Oneof};

use super::{Nothing, Pair};

/// A request to one hash.
#[derive(Clone, PartialEq, Message)]
pub struct HashRequest {
    /// The key of the hash.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// What to do; `None` is a request of a newer release.
    #[prost(oneof = "HashOp", tags = "2, 3, 40")]
    pub op: Option<HashOp>,
}

/// What to do with a hash. Reads have tags 2 to 39, writes 40 and up.
#[derive(Clone, PartialEq, Oneof)]
pub enum HashOp {
    /// The value of a field. Reply: `Value` or `Nil`.
    #[prost(bytes = "bytes", tag = "2")]
    Get(Bytes),
    /// How many fields there are. Reply: `Integer`.
    #[prost(message, tag = "3")]
    Len(Nothing),
    /// Store fields. Reply: `Integer`, how many are new.
    #[prost(message, tag = "40")]
    Set(HashSet),
}

/// Store fields of a hash.
#[derive(Clone, PartialEq, Message)]
pub struct HashSet {
    /// Fields (as keys) and values; a later one wins over an earlier one of the same field.
    #[prost(message, repeated, tag = "1")]
    pub fields: Vec<Pair>,
}

impl HashRequest {
    /// Whether it changes anything.
    pub fn is_write(&self) -> bool {
        match &self.op {
            None | Some(HashOp::Get(_) | HashOp::Len(_)) => false,
            Some(HashOp::Set(_)) => true,
        }
    }
}
