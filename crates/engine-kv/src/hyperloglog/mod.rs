//! HyperLogLogs: strings that count different elements.
//!
//! Such a string has 16384 registers. An element's hash names a register and a rank, the place of the first one
//! in the rest of its bits; the register keeps the highest rank. How many elements there were follows from the
//! registers ([`estimate`]), give or take 0.8 %. The string's bytes are those of Redis ([`format`]), so that
//! values move between the two as strings.

mod estimate;
mod format;
mod sparse;

use api::kv::{HyperLogLogOp, HyperLogLogRequest, KeyAndMembers, Keys, KvError};
use bytes::Bytes;
use engine::ApplyContext;

use crate::look::Look;
use crate::reader::encode;
use crate::reply;
use crate::staging::Staging;
use crate::state::{Outcome, Stop};
use crate::strings::string_of;
use api::kv::KvAnswer;
use format::{Invalid, Registers, Sketch};

/// Answers a read.
pub(crate) fn read(look: &dyn Look, request: &HyperLogLogRequest) -> Outcome {
    let outcome = match &request.op {
        Some(HyperLogLogOp::Count(keys)) => count(look, keys),
        _ => Err(Stop::Refused(KvError::Unsupported).into()),
    };
    Failure::settle(outcome)
}

/// Executes a write, or a read in the middle of writes.
pub(crate) fn write(staging: &mut Staging, context: &ApplyContext, request: &HyperLogLogRequest) -> Outcome {
    let outcome = match &request.op {
        Some(HyperLogLogOp::Add(add)) => add_elements(staging, context, add),
        Some(HyperLogLogOp::Merge(keys)) => merge(staging, context, keys),
        _ => return read(&staging.look(context), request),
    };
    Failure::settle(outcome)
}

/// Why there is no ordinary reply.
enum Failure {
    /// The string is no HyperLogLog.
    Invalid(Invalid),
    /// Anything else.
    Stop(Stop),
}

impl Failure {
    fn settle(outcome: Result<Bytes, Failure>) -> Outcome {
        match outcome {
            Ok(reply) => Ok(reply),
            Err(Failure::Invalid(invalid)) => Ok(encode(KvAnswer::Refusal(invalid.to_string()))),
            Err(Failure::Stop(stop)) => Err(stop),
        }
    }
}

impl From<Invalid> for Failure {
    fn from(invalid: Invalid) -> Self {
        Failure::Invalid(invalid)
    }
}

impl<E: Into<Stop>> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure::Stop(error.into())
    }
}

/// `PFADD`.
fn add_elements(
    staging: &mut Staging,
    context: &ApplyContext,
    add: &KeyAndMembers,
) -> Result<Bytes, Failure> {
    let slot = staging.slot(context, &add.key)?;
    let found = sketch(&staging.look(context), &add.key)?;
    let mut changed = found.is_none();
    let mut sketch = found.unwrap_or_default();
    for element in &add.members {
        let (register, rank) = format::place(element);
        changed |= sketch.raise(register, rank)?;
    }
    if changed {
        sketch.forget_count();
        staging.put_string(context, &slot, slot.expiry_millis(), &[sketch.as_bytes()]);
    }
    Ok(reply::flag(changed))
}

/// `PFCOUNT`. Other than in Redis it is a read: it uses a count that the string remembers, and does not write
/// one into it.
fn count(look: &dyn Look, keys: &Keys) -> Result<Bytes, Failure> {
    if let [key] = &keys.keys[..] {
        let Some(sketch) = sketch(look, key)? else { return Ok(reply::integer(0)) };
        let count = match sketch.remembered_count() {
            Some(count) => count,
            None => estimate::count(&sketch.registers()?),
        };
        return Ok(reply::integer(count as i64));
    }
    let mut union = Registers::default();
    for key in &keys.keys {
        if let Some(sketch) = sketch(look, key)? {
            union.take_greater(&sketch.registers()?);
        }
    }
    Ok(reply::integer(estimate::count(&union) as i64))
}

/// `PFMERGE`: the first key gets what all have seen. It is dense afterwards if any of them was.
fn merge(staging: &mut Staging, context: &ApplyContext, keys: &Keys) -> Result<Bytes, Failure> {
    let Some(to) = keys.keys.first() else { return Err(Stop::Refused(KvError::Unsupported).into()) };
    let mut union = Registers::default();
    let mut is_dense = false;
    for key in &keys.keys {
        if let Some(sketch) = sketch(&staging.look(context), key)? {
            is_dense |= sketch.is_dense();
            union.take_greater(&sketch.registers()?);
        }
    }
    let slot = staging.slot(context, to)?;
    let mut merged = sketch(&staging.look(context), to)?.unwrap_or_default();
    if is_dense {
        merged.make_dense()?;
    }
    for (register, rank) in union.set() {
        merged.raise(register, rank)?;
    }
    merged.forget_count();
    staging.put_string(context, &slot, slot.expiry_millis(), &[merged.as_bytes()]);
    Ok(reply::ok())
}

/// The HyperLogLog that a key holds.
fn sketch(look: &dyn Look, key: &Bytes) -> Result<Option<Sketch>, Failure> {
    let Some(stored) = look.live(key)? else { return Ok(None) };
    let string = string_of(look, &stored)?;
    Ok(Some(Sketch::of(&string)?))
}
