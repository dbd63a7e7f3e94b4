//! What requests to hashes, sets and sorted sets have in common.

use bytes::Bytes;
use prost::Message;

/// Several fields, members or elements.
#[derive(Clone, PartialEq, Message)]
pub struct Members {
    /// In the order in which the client named them; repeats are allowed.
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub members: Vec<Bytes>,
}

/// A page of fields or members, in order of position. The page's `next` is the position to go on from.
#[derive(Clone, PartialEq, Message)]
pub struct MemberScan {
    /// The first position to return, 0 in the beginning.
    #[prost(uint64, tag = "1")]
    pub position: u64,
    /// About how many to look at; at least one position is always finished.
    #[prost(uint64, tag = "2")]
    pub count: u64,
    /// Only those that match this glob pattern of Redis; absent means all.
    #[prost(bytes = "bytes", optional, tag = "3")]
    pub pattern: Option<Bytes>,
}

/// Fields or members by chance.
///
/// Reply without a count: `Value`, or `Nil` if there is nothing to choose from. With one: `Page`.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Choice {
    /// So many different ones, or all if there are fewer; negative: exactly so many, with repeats.
    #[prost(sint64, optional, tag = "1")]
    pub count: Option<i64>,
    /// Each is followed by its value or score.
    #[prost(bool, tag = "2")]
    pub with_values: bool,
    /// Any number: what is chosen follows from it and from what is there.
    #[prost(fixed64, tag = "3")]
    pub seed: u64,
}
