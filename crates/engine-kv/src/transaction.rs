//! Several requests at once, if watched keys are as they were.
//!
//! Watching needs no memory of its own: the version in a key's header changes with every change, and the
//! transaction says which version it has seen. So a watch survives a change of leader.

use api::kv::{KvAnswer, KvError, KvOp, KvReply, Many, Transaction};
use api::mutant;
use engine::ApplyContext;
use prost::Message;
use types::limits::REPLY_PART_BYTES_MAX;

use crate::reader::encode;
use crate::staging::Staging;
use crate::state::{Outcome, Stop, settle, write};
use crate::{generic, reply};

/// Every reply up to this size fits, however large the others are: a number, a refusal.
const SHORT_REPLY_BYTES: usize = 24;
/// Bytes of a reply among others besides its own, and of the reply around them: tags and lengths.
const WRAPPING_BYTES: usize = 6;

/// Executes a transaction. A refused request changes nothing, and the others happen, as in Redis.
///
/// All replies together are as large as one may be. Each reply that has no room besides those before it is
/// replaced by a refusal; what its request did, if it was a write, is done. Without this bound a few bytes of
/// log, which name a large value again and again, would take more memory than any replica has.
pub(crate) fn execute(staging: &mut Staging, context: &ApplyContext, transaction: &Transaction) -> Outcome {
    for watched in &transaction.watched {
        let is_same = generic::version(&staging.look(context), &watched.key)? == watched.version;
        if !is_same && !mutant!(WatchNotCompared) {
            return Ok(reply::nil());
        }
    }
    let reserved = SHORT_REPLY_BYTES.saturating_mul(transaction.requests.len()) + WRAPPING_BYTES;
    let mut room = REPLY_PART_BYTES_MAX.saturating_sub(reserved);
    let mut replies = Vec::with_capacity(transaction.requests.len());
    for request in &transaction.requests {
        let mut reply = settle(match &request.op {
            None | Some(KvOp::Transaction(_)) => Err(Stop::Refused(KvError::Unsupported)),
            Some(op) => write(staging, context, op),
        })?;
        match room.checked_sub((reply.len() + WRAPPING_BYTES).saturating_sub(SHORT_REPLY_BYTES)) {
            Some(left) => room = left,
            None => reply = reply::error(KvError::ReplyTooLarge),
        }
        replies.push(KvReply::decode(reply).unwrap_or_default());
    }
    Ok(encode(KvAnswer::Many(Many { replies })))
}
