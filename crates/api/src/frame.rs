//! Frames: how bodies travel on a connection between nodes.
//!
//! ```text
//! u32 BE  length of kind and body       (limited by FRAME_BYTES_MAX)
//! u32 BE  CRC32C of kind and body
//! u8      kind
//! …       body, Protocol Buffers
//! ```
//!
//! Unknown kinds are reported, not guessed; unknown fields inside a body are skipped.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;
use types::limits::FRAME_BYTES_MAX;

use crate::{DecodeError, peer};

/// Bytes before the kind.
pub const HEADER_BYTES: usize = 8;

/// The version of the conversation; a node refuses peers whose version range does not meet its own.
pub const PROTOCOL_VERSION: u32 = 1;

/// What a frame carries.
#[derive(Clone, Debug, PartialEq)]
pub enum Frame {
    /// First word of the side that connects.
    Hello(Hello),
    /// Answer to `Hello`.
    Challenge(Challenge),
    /// Answer to `Challenge`.
    Proof(Proof),
    /// Last word of the handshake.
    Welcome(Welcome),
    /// Raft messages of many groups, heartbeats included.
    Raft(RaftBatch),
    /// Requests from a gateway.
    Requests(RequestBatch),
    /// Answers to a gateway.
    Replies(ReplyBatch),
    /// A piece of a snapshot.
    Chunk(peer::SnapshotChunk),
    /// How far a receiver of a snapshot is.
    ChunkAck(peer::SnapshotAck),
    /// A node's state, for the meta nodes.
    Report(peer::Report),
    /// A leader shall hand over.
    Transfer(peer::TransferLeader),
    /// A meta node's catalog, for nodes that do not replicate it.
    Catalog(CatalogCopy),
    /// A replica shall cut its log.
    CutLog(peer::CutLog),
    /// A replica shall give back the space of what was removed.
    Compact(peer::CompactState),
}

/// First word of the side that connects.
#[derive(Clone, PartialEq, Message)]
pub struct Hello {
    /// [`PROTOCOL_VERSION`] of the sender.
    #[prost(uint32, tag = "1")]
    pub version: u32,
    /// The oldest version that the sender still speaks.
    #[prost(uint32, tag = "2")]
    pub version_min: u32,
    /// The cluster.
    #[prost(uint64, tag = "3")]
    pub cluster: u64,
    /// The sender.
    #[prost(uint64, tag = "4")]
    pub node: u64,
    /// The run of the sender's process.
    #[prost(uint64, tag = "5")]
    pub boot: u64,
    /// The node that the sender believes to be calling.
    #[prost(uint64, tag = "6")]
    pub to: u64,
    /// What this connection will carry.
    #[prost(enumeration = "Channel", tag = "7")]
    pub channel: i32,
    /// Random, for the proof.
    #[prost(bytes = "bytes", tag = "8")]
    pub nonce: Bytes,
    /// The highest feature level that the sender can work at.
    #[prost(uint32, tag = "9")]
    pub feature_level: u32,
    /// Where the sender is reached.
    #[prost(string, tag = "10")]
    pub endpoint: String,
}

/// What a connection carries. Separate, so that bulk never delays a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum Channel {
    /// Raft messages and reports.
    Raft = 0,
    /// Requests, and replies on the way back.
    Requests = 1,
    /// Snapshots.
    Bulk = 2,
    /// Only the question "who are you, and do you know another run of me?".
    Probe = 3,
}

/// Answer to `Hello`: who answers, and its half of the proof.
#[derive(Clone, PartialEq, Message)]
pub struct Challenge {
    /// [`PROTOCOL_VERSION`] of the sender.
    #[prost(uint32, tag = "1")]
    pub version: u32,
    /// The cluster.
    #[prost(uint64, tag = "2")]
    pub cluster: u64,
    /// The sender.
    #[prost(uint64, tag = "3")]
    pub node: u64,
    /// The run of the sender's process.
    #[prost(uint64, tag = "4")]
    pub boot: u64,
    /// Random, for the proof.
    #[prost(bytes = "bytes", tag = "5")]
    pub nonce: Bytes,
    /// Proves that the sender knows the secret: HMAC-SHA256 over role, both nonces and both ids.
    #[prost(bytes = "bytes", tag = "6")]
    pub proof: Bytes,
    /// Instead of all that: why the connection is refused, a code of `types::errors`.
    #[prost(string, tag = "7")]
    pub refusal: String,
    /// The highest feature level that the sender can work at.
    #[prost(uint32, tag = "8")]
    pub feature_level: u32,
}

/// Answer to `Challenge`.
#[derive(Clone, PartialEq, Message)]
pub struct Proof {
    /// As in `Challenge`, for the other role.
    #[prost(bytes = "bytes", tag = "1")]
    pub proof: Bytes,
}

/// Last word of the handshake.
#[derive(Clone, PartialEq, Message)]
pub struct Welcome {
    /// Empty, or why the connection is refused: a code of `types::errors`.
    #[prost(string, tag = "1")]
    pub refusal: String,
    /// The run of the *caller's* node that the sender knows to be alive, if it is another one.
    #[prost(uint64, tag = "2")]
    pub other_boot: u64,
}

/// Raft messages of many groups.
#[derive(Clone, PartialEq, Message)]
pub struct RaftBatch {
    /// In order.
    #[prost(message, repeated, tag = "1")]
    pub messages: Vec<peer::RaftMessage>,
}

/// Requests from a gateway.
#[derive(Clone, PartialEq, Message)]
pub struct RequestBatch {
    /// In order.
    #[prost(message, repeated, tag = "1")]
    pub requests: Vec<peer::Request>,
}

/// Answers to a gateway.
#[derive(Clone, PartialEq, Message)]
pub struct ReplyBatch {
    /// In any order.
    #[prost(message, repeated, tag = "1")]
    pub replies: Vec<peer::Reply>,
}

/// A meta node's catalog.
#[derive(Clone, PartialEq, Message)]
pub struct CatalogCopy {
    /// Its version.
    #[prost(uint64, tag = "1")]
    pub version: u64,
    /// The catalog's own encoding.
    #[prost(bytes = "bytes", tag = "2")]
    pub state: Bytes,
}

#[derive(Clone, Copy)]
#[repr(u8)]
enum Kind {
    Hello = 1,
    Challenge = 2,
    Proof = 3,
    Welcome = 4,
    Raft = 16,
    Requests = 17,
    Replies = 18,
    Chunk = 19,
    ChunkAck = 20,
    Report = 21,
    Transfer = 22,
    Catalog = 23,
    CutLog = 24,
    Compact = 32,
}

impl Frame {
    /// Appends the frame to a buffer.
    pub fn encode(&self, out: &mut BytesMut) {
        match self {
            Frame::Hello(body) => put(Kind::Hello, body, out),
            Frame::Challenge(body) => put(Kind::Challenge, body, out),
            Frame::Proof(body) => put(Kind::Proof, body, out),
            Frame::Welcome(body) => put(Kind::Welcome, body, out),
            Frame::Raft(body) => put(Kind::Raft, body, out),
            Frame::Requests(body) => put(Kind::Requests, body, out),
            Frame::Replies(body) => put(Kind::Replies, body, out),
            Frame::Chunk(body) => put(Kind::Chunk, body, out),
            Frame::ChunkAck(body) => put(Kind::ChunkAck, body, out),
            Frame::Report(body) => put(Kind::Report, body, out),
            Frame::Transfer(body) => put(Kind::Transfer, body, out),
            Frame::Catalog(body) => put(Kind::Catalog, body, out),
            Frame::CutLog(body) => put(Kind::CutLog, body, out),
            Frame::Compact(body) => put(Kind::Compact, body, out),
        }
    }

    /// Takes one frame off the front of a buffer; `None` while it is incomplete.
    ///
    /// # Errors
    /// The connection must be closed after one: its place in the stream is lost.
    pub fn decode(buffer: &mut BytesMut) -> Result<Option<Frame>, DecodeError> {
        let Some(header) = buffer.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let length = u32::from_be_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let checksum = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
        if length > FRAME_BYTES_MAX {
            return Err(DecodeError::TooLarge { what: "frame", bytes: length, limit: FRAME_BYTES_MAX });
        }
        if length == 0 {
            return Err(DecodeError::Malformed("empty frame"));
        }
        if buffer.len() < HEADER_BYTES + length {
            buffer.reserve(HEADER_BYTES + length - buffer.len());
            return Ok(None);
        }
        buffer.advance(HEADER_BYTES);
        let mut payload = buffer.split_to(length).freeze();
        if crc32c::crc32c(&payload) != checksum {
            return Err(DecodeError::Checksum("frame"));
        }
        let kind = payload.get_u8();
        Frame::of_kind(kind, payload).map(Some)
    }

    fn of_kind(kind: u8, body: Bytes) -> Result<Frame, DecodeError> {
        Ok(match kind {
            k if k == Kind::Hello as u8 => Frame::Hello(Message::decode(body)?),
            k if k == Kind::Challenge as u8 => Frame::Challenge(Message::decode(body)?),
            k if k == Kind::Proof as u8 => Frame::Proof(Message::decode(body)?),
            k if k == Kind::Welcome as u8 => Frame::Welcome(Message::decode(body)?),
            k if k == Kind::Raft as u8 => Frame::Raft(Message::decode(body)?),
            k if k == Kind::Requests as u8 => Frame::Requests(Message::decode(body)?),
            k if k == Kind::Replies as u8 => Frame::Replies(Message::decode(body)?),
            k if k == Kind::Chunk as u8 => Frame::Chunk(Message::decode(body)?),
            k if k == Kind::ChunkAck as u8 => Frame::ChunkAck(Message::decode(body)?),
            k if k == Kind::Report as u8 => Frame::Report(Message::decode(body)?),
            k if k == Kind::Transfer as u8 => Frame::Transfer(Message::decode(body)?),
            k if k == Kind::Catalog as u8 => Frame::Catalog(Message::decode(body)?),
            k if k == Kind::CutLog as u8 => Frame::CutLog(Message::decode(body)?),
            k if k == Kind::Compact as u8 => Frame::Compact(Message::decode(body)?),
            _ => return Err(DecodeError::Malformed("frame kind, perhaps of a newer release")),
        })
    }
}

fn put(kind: Kind, body: &impl Message, out: &mut BytesMut) {
    let start = out.len();
    let length = 1 + body.encoded_len();
    out.reserve(HEADER_BYTES + length);
    out.put_u32(length as u32);
    out.put_u32(0);
    out.put_u8(kind as u8);
    body.encode_raw(out);
    let checksum = crc32c::crc32c(&out[start + HEADER_BYTES..]);
    out[start + 4..start + HEADER_BYTES].copy_from_slice(&checksum.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> Frame {
        Frame::Raft(RaftBatch {
            messages: vec![peer::RaftMessage { group: 1, from: 2, to: 3, term: 4, ..Default::default() }],
        })
    }

    #[test]
    fn frames_round_trip_in_a_stream_cut_anywhere() {
        let mut whole = BytesMut::new();
        sample().encode(&mut whole);
        Frame::Proof(Proof { proof: Bytes::from_static(b"p") }).encode(&mut whole);
        for cut in 0..whole.len() {
            let mut buffer = BytesMut::from(&whole[..cut]);
            let mut frames = Vec::new();
            while let Some(frame) = Frame::decode(&mut buffer).unwrap() {
                frames.push(frame);
            }
            buffer.extend_from_slice(&whole[cut..]);
            while let Some(frame) = Frame::decode(&mut buffer).unwrap() {
                frames.push(frame);
            }
            assert_eq!(frames.len(), 2, "cut at {cut}");
            assert_eq!(frames[0], sample());
        }
    }

    #[test]
    fn a_flipped_bit_is_noticed() {
        let mut bytes = BytesMut::new();
        sample().encode(&mut bytes);
        for bit in HEADER_BYTES * 8 - 32..bytes.len() * 8 {
            let mut broken = bytes.clone();
            broken[bit / 8] ^= 1 << (bit % 8);
            assert!(Frame::decode(&mut broken).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_huge_length_is_refused_before_anything_is_allocated() {
        let mut bytes = BytesMut::from(&[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0][..]);
        assert!(matches!(Frame::decode(&mut bytes), Err(DecodeError::TooLarge { .. })));
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Frame::decode(&mut BytesMut::from(&bytes[..]));
            for kind in 0..=255u8 {
                let _ = Frame::of_kind(kind, Bytes::from(bytes.clone()));
            }
        }
    }
}
