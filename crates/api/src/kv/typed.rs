//! Requests to a key that must hold a certain kind of value.
//!
//! ZanKV has commands for each kind (`HEXPIRE` for hashes, `SEXPIRE` for sets, …), since its kinds do not share
//! names. Here a name has one kind, and what holds another refuses them.

use bytes::Bytes;
use prost::{Message, Oneof};

use super::{ContentKind, Nothing};

/// A request to a key that must hold a certain kind of value.
#[derive(Clone, PartialEq, Message)]
pub struct TypedRequest {
    /// The key.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// What it must hold, if it exists.
    #[prost(enumeration = "ContentKind", tag = "2")]
    pub kind: i32,
    /// What to do; `None` is a request of a newer release.
    #[prost(oneof = "TypedOp", tags = "10, 11, 40, 41, 42")]
    pub op: Option<TypedOp>,
}

/// What to do. Reads have tags 10 to 39, writes 40 and up.
#[derive(Clone, PartialEq, Oneof)]
pub enum TypedOp {
    /// Whether there is such a key. Reply: `Integer` 0 or 1.
    #[prost(message, tag = "10")]
    Exists(Nothing),
    /// When it expires. Reply: `Integer`: milliseconds, −1 without expiry or without key, as in ZanKV.
    #[prost(message, tag = "11")]
    Ttl(Nothing),

    /// Remove it. Reply: `Integer` 0 or 1.
    #[prost(message, tag = "40")]
    Clear(Nothing),
    /// Let it expire so many milliseconds after the entry's stamp. Reply: `Integer` 0 or 1.
    #[prost(sint64, tag = "41")]
    Expire(i64),
    /// Let it not expire. Reply: `Integer` 1 if it would have.
    #[prost(message, tag = "42")]
    Persist(Nothing),
}

impl TypedRequest {
    /// A request for this operation.
    pub fn new(key: Bytes, kind: ContentKind, op: TypedOp) -> Self {
        Self { key, kind: kind as i32, op: Some(op) }
    }

    /// Whether it changes anything.
    pub fn is_write(&self) -> bool {
        match &self.op {
            None | Some(TypedOp::Exists(_) | TypedOp::Ttl(_)) => false,
            Some(TypedOp::Clear(_) | TypedOp::Expire(_) | TypedOp::Persist(_)) => true,
        }
    }
}
