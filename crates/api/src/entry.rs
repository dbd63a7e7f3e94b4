//! The entry envelope: what one Raft log entry carries.
//!
//! ```text
//! byte 0   format version (1)
//! bytes 1… Envelope: apply version, HLC, seed, origin cluster, requests
//! ```
//!
//! The leader decides whatever is not determined (time, chance) and writes it here, so that applying an
//! entry is a pure function of the state and the entry. Kinds that no release proposes yet are reserved
//! now, because backups, cross-cluster shipping and resharding will stand on their numbers.

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;

use crate::DecodeError;

/// The format version that this release writes.
pub const FORMAT: u8 = 1;

/// The apply behaviour that this release proposes; older ones are kept for replay.
pub const APPLY_VERSION: u32 = 1;

/// What one log entry carries.
#[derive(Clone, PartialEq, Message)]
pub struct Envelope {
    /// Which release's apply behaviour the requests are executed with.
    #[prost(uint32, tag = "1")]
    pub apply_version: u32,
    /// The entry's stamp: "now" for everything in it.
    #[prost(fixed64, tag = "2")]
    pub hlc: u64,
    /// Chance for everything in it.
    #[prost(fixed64, tag = "3")]
    pub seed: u64,
    /// The cluster that first accepted the writes; 0 is this one.
    #[prost(uint64, tag = "4")]
    pub origin: u64,
    /// In order.
    #[prost(message, repeated, tag = "5")]
    pub requests: Vec<Request>,
}

/// One request of an entry.
#[derive(Clone, PartialEq, Message)]
pub struct Request {
    /// What `body` is.
    #[prost(enumeration = "RequestKind", tag = "1")]
    pub kind: i32,
    /// The gateway's session with this group; 0 for requests that may be applied twice.
    #[prost(uint64, tag = "2")]
    pub session: u64,
    /// The request's number within its session, from 1.
    #[prost(uint64, tag = "3")]
    pub sequence: u64,
    /// The lowest sequence that the gateway has not had an answer to; replies below may be forgotten.
    #[prost(uint64, tag = "4")]
    pub floor: u64,
    /// The generation that the request was routed to; another one is refused.
    #[prost(uint64, tag = "5")]
    pub generation: u64,
    /// For the engine, or as `kind` says.
    #[prost(bytes = "bytes", tag = "6")]
    pub body: Bytes,
}

/// What a request's body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum RequestKind {
    /// A write for the table's engine.
    Data = 0,
    /// Register a gateway's session. Body: the gateway's incarnation, 8 bytes big-endian. The reply is
    /// the session id, 8 bytes big-endian.
    Register = 1,
    /// Hash the live records at this entry; body empty.
    Digest = 2,
    /// A place that all partitions have in common: every write before this entry has a stamp below the one in the
    /// body, a [`Barrier`], and every later one has not. The reply is a [`BarrierReply`].
    Barrier = 3,
    /// From here on the generation refuses writes; body empty.
    Seal = 4,
    /// Reserved: writes for other partitions, delivered exactly once by the leader.
    Outbox = 5,
    /// Reserved: take over immutable files by manifest and checksum.
    AdoptExternal = 6,
    /// A write for the table's engine that no client asked for: the removal of what has expired, marks of an archive.
    /// It is like [`RequestKind::Data`], but does not count as a request of a client.
    Upkeep = 7,
}

impl RequestKind {
    /// Whether the body is a write for the table's engine.
    pub fn is_for_engine(self) -> bool {
        matches!(self, RequestKind::Data | RequestKind::Upkeep)
    }
}

/// Body of a [`RequestKind::Barrier`].
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Barrier {
    /// The stamp.
    #[prost(fixed64, tag = "1")]
    pub at: u64,
    /// Who wants it: the same barrier asked for again has the same place.
    #[prost(fixed64, tag = "2")]
    pub id: u64,
}

/// Where a barrier stands.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct BarrierReply {
    /// It stands nowhere: a write had reached its stamp before. A later stamp is to be chosen.
    #[prost(bool, tag = "1")]
    pub late: bool,
    /// The log index, if it is not late.
    #[prost(uint64, tag = "2")]
    pub index: u64,
    /// The term.
    #[prost(uint64, tag = "3")]
    pub term: u64,
    /// The last stamp before it.
    #[prost(fixed64, tag = "4")]
    pub before: u64,
}

impl Envelope {
    /// The bytes of a log entry.
    pub fn to_bytes(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(1 + self.encoded_len());
        bytes.put_u8(FORMAT);
        self.encode_raw(&mut bytes);
        bytes.freeze()
    }

    /// Reads the bytes of a log entry; they may come from a peer or a damaged disk.
    pub fn from_bytes(bytes: &Bytes) -> Result<Self, DecodeError> {
        match bytes.first() {
            Some(&FORMAT) => Ok(Envelope::decode(bytes.slice(1..))?),
            Some(&other) => Err(DecodeError::Version(other)),
            None => Err(DecodeError::Malformed("empty entry")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envelopes_round_trip_and_refuse_other_versions() {
        let envelope = Envelope {
            apply_version: APPLY_VERSION,
            hlc: 7,
            seed: 9,
            origin: 0,
            requests: vec![Request { sequence: 3, body: Bytes::from_static(b"x"), ..Request::default() }],
        };
        let bytes = envelope.to_bytes();
        assert_eq!(Envelope::from_bytes(&bytes), Ok(envelope));
        let mut newer = bytes.to_vec();
        newer[0] = 9;
        assert_eq!(Envelope::from_bytes(&newer.into()), Err(DecodeError::Version(9)));
        assert!(Envelope::from_bytes(&Bytes::new()).is_err());
    }
}
