//! Requests to a key that must hold a certain kind of value, as ZanKV's clients make them.

use api::kv::{Expiry, ExpiryKind, KvError, TypedOp, TypedRequest};
use engine::ApplyContext;

use crate::export::content_kind;
use crate::keys::{self, Deadline};
use crate::look::Look;
use crate::reply;
use crate::staging::{Slot, Staging};
use crate::state::{Outcome, Stop};
use crate::value::Stored;

/// Answers a read.
pub(crate) fn read(look: &dyn Look, request: &TypedRequest) -> Outcome {
    let found = look.live(&request.key)?;
    check_kind(found.as_ref(), request)?;
    match &request.op {
        Some(TypedOp::Exists(_)) => Ok(reply::flag(found.is_some())),
        Some(TypedOp::Ttl(_)) => {
            let deadline = found.and_then(|stored| stored.header.expiry_millis);
            let left = deadline.map(|deadline| deadline.saturating_sub(look.now().millis()) as i64);
            Ok(reply::integer(left.unwrap_or(-1)))
        }
        _ => Err(Stop::Refused(KvError::Unsupported)),
    }
}

/// Executes a write, or a read in the middle of writes.
pub(crate) fn write(staging: &mut Staging, context: &ApplyContext, request: &TypedRequest) -> Outcome {
    if !request.is_write() {
        return read(&staging.look(context), request);
    }
    let slot: Slot = staging.slot(context, &request.key)?;
    check_kind(slot.found.as_ref(), request)?;
    match &request.op {
        Some(TypedOp::Clear(_)) => {
            staging.remove(context, &slot);
            Ok(reply::flag(slot.found.is_some()))
        }
        Some(TypedOp::Expire(millis)) => {
            let expiry = Expiry { kind: ExpiryKind::In as i32, millis: *millis };
            keys::set_deadline(staging, context, &slot, Deadline::of(context, expiry)?);
            Ok(reply::flag(slot.found.is_some()))
        }
        Some(TypedOp::Persist(_)) => {
            keys::set_deadline(staging, context, &slot, Deadline::Never);
            Ok(reply::flag(slot.expiry_millis().is_some()))
        }
        _ => Err(Stop::Refused(KvError::Unsupported)),
    }
}

/// Refuses a key that holds another kind.
fn check_kind(found: Option<&Stored>, request: &TypedRequest) -> Result<(), Stop> {
    match found {
        Some(stored) if content_kind(stored.header.kind) != request.kind() => {
            Err(Stop::Refused(KvError::WrongType))
        }
        _ => Ok(()),
    }
}
