//! Bits of strings.

use api::kv::{BitSet, BitsOp, BitsRequest, KvError};
use bytes::Bytes;
use engine::{ApplyContext, EngineError};

use crate::look::Look;
use crate::reply;
use crate::staging::Staging;
use crate::state::{Outcome, Stop};
use crate::strings::{body_of, check_length, string_of};
use crate::value::Stored;

/// Answers a read.
pub(crate) fn read(look: &dyn Look, request: &BitsRequest) -> Outcome {
    match &request.op {
        Some(BitsOp::Get(place)) => {
            let Some(stored) = look.live(&place.key)? else { return Ok(reply::integer(0)) };
            Ok(reply::flag(bit(&string_of(look, &stored)?, place.offset)))
        }
        _ => Err(Stop::Refused(KvError::Unsupported)),
    }
}

/// Executes a write, or a read in the middle of writes.
pub(crate) fn write(staging: &mut Staging, context: &ApplyContext, request: &BitsRequest) -> Outcome {
    match &request.op {
        Some(BitsOp::Set(set)) => set_bit(staging, context, set),
        _ => read(&staging.look(context), request),
    }
}

/// The string that a bitmap's pages make up.
pub(crate) fn assembled(_look: &dyn Look, _stored: &Stored) -> Result<Bytes, Stop> {
    Err(EngineError::Damaged("a bitmap of a newer release".into()).into())
}

fn set_bit(staging: &mut Staging, context: &ApplyContext, set: &BitSet) -> Outcome {
    let slot = staging.slot(context, &set.key)?;
    let mut body = body_of(staging, context, &slot)?.to_vec();
    let byte = (set.offset / 8) as usize;
    check_length(set.offset / 8 + 1)?;
    if body.len() <= byte {
        body.resize(byte + 1, 0);
    }
    let before = bit(&body, set.offset);
    let mask = 0x80 >> (set.offset % 8);
    if set.on {
        body[byte] |= mask;
    } else {
        body[byte] &= !mask;
    }
    staging.put_string(context, &slot, slot.expiry_millis(), &[&body]);
    Ok(reply::flag(before))
}

fn bit(bytes: &[u8], offset: u64) -> bool {
    bytes.get((offset / 8) as usize).is_some_and(|byte| byte & (0x80 >> (offset % 8)) != 0)
}
