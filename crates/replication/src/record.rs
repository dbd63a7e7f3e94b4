//! The group's record in the log: hard state, identity, and which state incarnation is in force.
//!
//! It is the anchor of a replica: a state on disk counts only if the record names it, and the batch that
//! writes the record together with the log's new start is the one commit point of a snapshot install.

use api::peer::Membership;
use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use raft::eraftpb::HardState;
use types::{Generation, ReplicaId, StateId};

/// The record's format version.
pub const FORMAT: u8 = 1;

/// The group's record.
#[derive(Clone, PartialEq, Message)]
pub struct GroupRecord {
    /// The replica that this node hosts.
    #[prost(uint64, tag = "1")]
    pub replica: u64,
    /// The state incarnation in force.
    #[prost(uint64, tag = "2")]
    pub state: u64,
    /// `EngineKind`, as its number.
    #[prost(int32, tag = "3")]
    pub engine: i32,
    /// The generation that requests must name.
    #[prost(uint64, tag = "4")]
    pub generation: u64,
    /// Raft: the current term.
    #[prost(uint64, tag = "5")]
    pub term: u64,
    /// Raft: who got the vote in this term.
    #[prost(uint64, tag = "6")]
    pub vote: u64,
    /// Raft: the commit index, as of the last write; the truth may be ahead.
    #[prost(uint64, tag = "7")]
    pub commit: u64,
    /// The membership that a takeover has put in force. It counts until the state knows a later one.
    #[prost(message, optional, tag = "8")]
    pub takeover: Option<Membership>,
}

impl GroupRecord {
    /// The bytes for the log.
    pub fn to_bytes(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(1 + self.encoded_len());
        bytes.put_u8(FORMAT);
        self.encode_raw(&mut bytes);
        bytes.freeze()
    }

    /// Reads the log's bytes; `None` when they are no such record.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        match bytes.split_first() {
            Some((&FORMAT, body)) => Self::decode(body).ok(),
            _ => None,
        }
    }

    /// The replica.
    pub fn replica(&self) -> ReplicaId {
        self.replica.into()
    }

    /// The state incarnation in force.
    pub fn state(&self) -> StateId {
        self.state.into()
    }

    /// The generation.
    pub fn generation(&self) -> Generation {
        self.generation.into()
    }

    /// Raft's part.
    pub fn hard_state(&self) -> HardState {
        HardState { term: self.term, vote: self.vote, commit: self.commit, ..Default::default() }
    }

    /// Takes over Raft's part.
    pub fn set_hard_state(&mut self, hard_state: &HardState) {
        self.term = hard_state.term;
        self.vote = hard_state.vote;
        self.commit = hard_state.commit;
    }
}
