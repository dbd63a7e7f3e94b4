//! Commands that wait: `BLPOP` and its kin.
//!
//! Such a command is the command that does not wait, and what to do if it finds nothing:
//!
//! ```text
//!   pop ── something ──▶ the reply
//!    ▲ └── nothing ──▶ wait in the line of the keys at their leader ── time is up ──▶ nil
//!    └──────────────────────── "come" ──┘
//! ```
//!
//! The pop is always made, so nil is the answer of a partition and never a guess. Waiting is the listener's; this
//! module says what is popped, for what it waits, and how long. Inside `MULTI` nobody waits: see
//! [`crate::transaction`].

use std::time::Duration;

use crate::plan::Keyed;
use crate::reply::Reply;
use crate::text::ErrorText;
use api::kv::{KvOp, ListOp, ListRequest, SortedOp, SortedRequest};
use api::peer::Awaited;
use bytes::Bytes;

/// What a client is told whose wait another one has ended with an error.
pub const UNBLOCKED: ErrorText = ErrorText::fixed("UNBLOCKED client unblocked via CLIENT UNBLOCK");

/// A command that waits if there is nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// The command that does not wait. `Nil` means that there was nothing.
    pub keyed: Keyed,
    /// How long it waits at most, from its beginning; `None` is for ever.
    pub timeout: Option<Duration>,
}

/// The reply to a command whose time is up.
pub const NOTHING: Reply = Reply::NullArray;

/// For what an operation waits, once its keys are those that are stored: elements of these keys.
pub fn awaited(op: &KvOp) -> Option<(Awaited, Vec<Bytes>)> {
    match op {
        KvOp::List(ListRequest { op: Some(ListOp::PopFirst(pop)) }) => {
            Some((Awaited::Lists, pop.keys.clone()))
        }
        KvOp::List(ListRequest { op: Some(ListOp::Move(op)) }) => {
            Some((Awaited::Lists, vec![op.from.clone()]))
        }
        KvOp::Sorted(SortedRequest { op: Some(SortedOp::PopFirst(pop)) }) => {
            Some((Awaited::SortedSets, pop.keys.clone()))
        }
        _ => None,
    }
}
