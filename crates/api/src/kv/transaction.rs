//! Several operations of one partition at once: `MULTI`, `EXEC` and `WATCH`.

use bytes::Bytes;
use prost::Message;

use super::KvRequest;

/// Operations that happen together. Reply: `Many`, one reply for each; or `Nil`, and nothing happened, if a
/// watched key has changed. An operation that is refused does not keep the others from happening, as in Redis.
#[derive(Clone, PartialEq, Message)]
pub struct Transaction {
    /// Keys that must be as they were.
    #[prost(message, repeated, tag = "1")]
    pub watched: Vec<Watched>,
    /// The operations, reads and writes, in order. None of them is a transaction.
    #[prost(message, repeated, tag = "2")]
    pub requests: Vec<KvRequest>,
}

/// A key that must be as it was.
#[derive(Clone, PartialEq, Message)]
pub struct Watched {
    /// The key.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// The stamp of the entry that changed it last, as the reply to `GenericOp::Version` said.
    #[prost(int64, tag = "2")]
    pub version: i64,
}

impl Transaction {
    /// Calls `visit` with every key: the watched ones, then those of the operations.
    ///
    /// # Errors
    /// The first that `visit` returns.
    pub fn visit_keys<E>(&mut self, visit: &mut dyn FnMut(&mut Bytes) -> Result<(), E>) -> Result<(), E> {
        for watched in &mut self.watched {
            visit(&mut watched.key)?;
        }
        for request in &mut self.requests {
            if let Some(op) = &mut request.op {
                op.visit_keys(visit)?;
            }
        }
        Ok(())
    }
}
