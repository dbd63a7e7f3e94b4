//! Words that travel or are stored: requests, replies, log entries, frames, the catalog's records and
//! the admin API's JSON, as plain data with versioned encodings.
//!
//! Bodies have field tags (Protocol Buffers, by `prost`), so that releases that know different fields
//! understand each other. Around a body stands a versioned wrapping of our own: [`entry`] for the log,
//! [`frame`] for the wire. Lengths are checked against `types::limits` before anything is allocated.

pub mod admin;
pub mod archive;
pub mod auth;
pub mod catalog;
pub mod entry;
pub mod frame;
pub mod job;
pub mod kv;
pub mod mutants;
pub mod operation;
pub mod peer;
pub mod recovery;
pub mod restoring;
pub mod saving;
pub mod zankv;

/// Bytes that are not what their format says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The version marker is one that this release does not know.
    #[error("unknown format version {0}")]
    Version(u8),
    /// A length passes its limit.
    #[error("{what} of {bytes} bytes is over the limit of {limit}")]
    TooLarge {
        /// What was too large.
        what: &'static str,
        /// Its length.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// A checksum does not fit.
    #[error("checksum mismatch in {0}")]
    Checksum(&'static str),
    /// The structure does not fit.
    #[error("malformed {0}")]
    Malformed(&'static str),
}

impl From<prost::DecodeError> for DecodeError {
    fn from(_: prost::DecodeError) -> Self {
        DecodeError::Malformed("body")
    }
}
