//! Requests to hashes.

use bytes::Bytes;
use prost::{Message, Oneof};

use super::{Choice, MemberScan, Members, Nothing, Pair};

/// A request to one hash.
#[derive(Clone, PartialEq, Message)]
pub struct HashRequest {
    /// The key of the hash.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// What to do; `None` is a request of a newer release.
    #[prost(oneof = "HashOp", tags = "2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 40, 41, 42, 43, 44")]
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
    /// The values of several fields. Reply: `Values`.
    #[prost(message, tag = "4")]
    GetMany(Members),
    /// All fields with their values, in turn. Reply: `Page`.
    #[prost(message, tag = "5")]
    All(Nothing),
    /// All fields. Reply: `Page`.
    #[prost(message, tag = "6")]
    Fields(Nothing),
    /// All values, in the order of their fields. Reply: `Page`.
    #[prost(message, tag = "7")]
    FieldValues(Nothing),
    /// Whether there is such a field. Reply: `Integer` 0 or 1.
    #[prost(bytes = "bytes", tag = "8")]
    Exists(Bytes),
    /// Length of a field's value, 0 if there is none. Reply: `Integer`.
    #[prost(bytes = "bytes", tag = "9")]
    ValueLen(Bytes),
    /// Fields with values, in turn, in order of position. Reply: `Page`.
    #[prost(message, tag = "10")]
    Scan(MemberScan),
    /// Fields by chance. Reply: see [`Choice`].
    #[prost(message, tag = "11")]
    Choose(Choice),
    /// Store fields. Reply: `Integer`, how many are new.
    #[prost(message, tag = "40")]
    Set(HashSet),
    /// Store one field (as key) if there is none. Reply: `Integer` 0 or 1.
    #[prost(message, tag = "41")]
    SetNew(Pair),
    /// Remove fields. Reply: `Integer`, how many there were.
    #[prost(message, tag = "42")]
    Remove(Members),
    /// Add to the whole number in a field; absent counts as 0. Reply: `Integer`.
    #[prost(message, tag = "43")]
    Add(HashAdd),
    /// Add to the decimal number in a field (as key); absent counts as 0. Reply: `Value`, the new text.
    #[prost(message, tag = "44")]
    AddFloat(Pair),
}

/// Store fields of a hash.
#[derive(Clone, PartialEq, Message)]
pub struct HashSet {
    /// Fields (as keys) and values; a later one wins over an earlier one of the same field.
    #[prost(message, repeated, tag = "1")]
    pub fields: Vec<Pair>,
}

/// Add to the whole number in a field.
#[derive(Clone, PartialEq, Message)]
pub struct HashAdd {
    /// The field.
    #[prost(bytes = "bytes", tag = "1")]
    pub field: Bytes,
    /// What to add.
    #[prost(sint64, tag = "2")]
    pub delta: i64,
}

impl HashRequest {
    /// Whether it changes anything.
    pub fn is_write(&self) -> bool {
        match &self.op {
            None
            | Some(
                HashOp::Get(_)
                | HashOp::Len(_)
                | HashOp::GetMany(_)
                | HashOp::All(_)
                | HashOp::Fields(_)
                | HashOp::FieldValues(_)
                | HashOp::Exists(_)
                | HashOp::ValueLen(_)
                | HashOp::Scan(_)
                | HashOp::Choose(_),
            ) => false,
            Some(
                HashOp::Set(_) | HashOp::SetNew(_) | HashOp::Remove(_) | HashOp::Add(_) | HashOp::AddFloat(_),
            ) => true,
        }
    }
}
