//! Requests for whole values in Redis' own form.

use bytes::Bytes;
use prost::Message;

use super::Expiry;

/// Store a value that `DUMP` has given out, here or in Redis. Reply: `Ok`, or a `Refusal`.
///
/// What is wrong is said in Redis' order: a key that exists, then `complaint`, then the payload.
#[derive(Clone, PartialEq, Message)]
pub struct Restore {
    /// The key.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// The value with its version and checksum.
    #[prost(bytes = "bytes", tag = "2")]
    pub payload: Bytes,
    /// Replace what is there.
    #[prost(bool, tag = "3")]
    pub replace: bool,
    /// The expiry afterwards; absent is none.
    #[prost(message, optional, tag = "4")]
    pub expiry: Option<Expiry>,
    /// What is wrong with the expiry that the client named; nothing if it is empty.
    #[prost(string, tag = "5")]
    pub complaint: String,
}
