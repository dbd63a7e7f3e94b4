//! Several requests at once, if watched keys are as they were.
//!
//! Watching needs no memory of its own: the version in a key's header changes with every change, and the
//! transaction says which version it has seen. So a watch survives a change of leader.

use api::kv::{KvAnswer, KvError, KvOp, KvReply, Many, Transaction};
use engine::ApplyContext;
use prost::Message;

use crate::reader::encode;
use crate::staging::Staging;
use crate::state::{Outcome, Stop, settle, write};
use crate::{generic, reply};

/// Executes a transaction. A refused request changes nothing, and the others happen, as in Redis.
pub(crate) fn execute(staging: &mut Staging, context: &ApplyContext, transaction: &Transaction) -> Outcome {
    for watched in &transaction.watched {
        if generic::version(&staging.look(context), &watched.key)? != watched.version {
            return Ok(reply::nil());
        }
    }
    let mut replies = Vec::with_capacity(transaction.requests.len());
    for request in &transaction.requests {
        let reply = settle(match &request.op {
            None | Some(KvOp::Transaction(_)) => Err(Stop::Refused(KvError::Unsupported)),
            Some(op) => write(staging, context, op),
        })?;
        replies.push(KvReply::decode(reply).unwrap_or_default());
    }
    Ok(encode(KvAnswer::Many(Many { replies })))
}
