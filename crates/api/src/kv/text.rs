//! Requests to strings that compare.

use bytes::Bytes;
use prost::Message;

use super::Expiry;

/// Store or remove a string if it is what the caller believes it to be.
#[derive(Clone, PartialEq, Message)]
pub struct IfEqual {
    /// The key; an absent one equals nothing.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// What the string must be.
    #[prost(bytes = "bytes", tag = "2")]
    pub expected: Bytes,
    /// What it becomes; absent: the key is removed.
    #[prost(bytes = "bytes", optional, tag = "3")]
    pub value: Option<Bytes>,
    /// The expiry afterwards.
    #[prost(message, optional, tag = "4")]
    pub expiry: Option<Expiry>,
}

/// What two strings have in common.
#[derive(Clone, PartialEq, Message)]
pub struct Lcs {
    /// The key of one; an absent string is empty.
    #[prost(bytes = "bytes", tag = "1")]
    pub first: Bytes,
    /// The key of the other.
    #[prost(bytes = "bytes", tag = "2")]
    pub second: Bytes,
    /// What to answer.
    #[prost(enumeration = "LcsAnswer", tag = "3")]
    pub answer: i32,
    /// Leave out matches that are shorter than this many bytes.
    #[prost(uint64, tag = "4")]
    pub least: u64,
}

/// What is wanted of the longest common subsequence of two strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum LcsAnswer {
    /// Whether the keys hold strings, and no more. Reply: `Ok`.
    Nothing = 0,
    /// The subsequence. Reply: `Value`.
    Text = 1,
    /// Its length in bytes. Reply: `Integer`.
    Length = 2,
    /// Where its pieces lie. Reply: `Many` numbers: the length, then for each piece, the last one first, its
    /// first and last byte in the one string and its first and last byte in the other.
    Matches = 3,
}
