//! Writes to strings, each as Redis 7 defines it.

use api::kv::{Condition, Expiry, ExpiryKind, GetEx, IfEqual, IncrBy, KvError, MSet, Pair, Set, SetRange};
use bytes::Bytes;
use engine::ApplyContext;
use types::limits::VALUE_BYTES_MAX;

use crate::bits;
use crate::keys::{self, Deadline};
use crate::long_double::LongDouble;
use crate::look::Look;
use crate::number::parse_integer;
use crate::reply;
use crate::staging::{Slot, Staging};
use crate::state::{Outcome, Stop};
use crate::value::{Kind, Stored};

/// `SET` with all its options.
pub(crate) fn set(staging: &mut Staging, context: &ApplyContext, set: &Set) -> Outcome {
    check_length(set.value.len() as u64)?;
    // Redis looks at the expiry before it looks at the key.
    let deadline = string_deadline(context, set.expiry)?;
    let slot = staging.slot(context, &set.key)?;
    let old = match (set.return_old, &slot.found) {
        (true, Some(stored)) => Some(string_of(&staging.look(context), stored)?),
        _ => None,
    };
    let stored = match set.condition() {
        Condition::Always => true,
        Condition::IfAbsent => slot.found.is_none(),
        Condition::IfPresent => slot.found.is_some(),
        Condition::IfLater | Condition::IfSooner | Condition::IfPresentAndSooner => {
            return Err(Stop::Refused(KvError::Unsupported));
        }
    };
    if stored {
        match deadline.unwrap_or(Deadline::Never) {
            Deadline::Passed => staging.remove(context, &slot),
            deadline => staging.put_string(context, &slot, deadline.over(&slot), &[&set.value]),
        }
    }
    Ok(match (set.return_old, stored) {
        (true, _) => reply::maybe(old.as_ref()),
        (false, true) => reply::ok(),
        (false, false) => reply::nil(),
    })
}

/// `MSET` and `MSETNX`.
pub(crate) fn set_many(staging: &mut Staging, context: &ApplyContext, set: &MSet) -> Outcome {
    for pair in &set.pairs {
        check_length(pair.value.len() as u64)?;
    }
    if set.only_if_none {
        for pair in &set.pairs {
            if staging.slot(context, &pair.key)?.found.is_some() {
                return Ok(reply::flag(false));
            }
        }
    }
    for pair in &set.pairs {
        let slot = staging.slot(context, &pair.key)?;
        staging.put_string(context, &slot, None, &[&pair.value]);
    }
    Ok(reply::flag(true))
}

/// `GETDEL`.
pub(crate) fn get_del(staging: &mut Staging, context: &ApplyContext, key: &Bytes) -> Outcome {
    let slot = staging.slot(context, key)?;
    let Some(stored) = &slot.found else { return Ok(reply::nil()) };
    let reply = reply::value(&string_of(&staging.look(context), stored)?);
    staging.remove(context, &slot);
    Ok(reply)
}

/// `GETEX`.
pub(crate) fn get_ex(staging: &mut Staging, context: &ApplyContext, get: &GetEx) -> Outcome {
    let slot = staging.slot(context, &get.key)?;
    let Some(stored) = &slot.found else { return Ok(reply::nil()) };
    let body = string_of(&staging.look(context), stored)?;
    let deadline = string_deadline(context, get.expiry)?.unwrap_or(Deadline::Keep);
    keys::set_deadline(staging, context, &slot, deadline);
    Ok(reply::value(&body))
}

/// `APPEND`.
pub(crate) fn append(staging: &mut Staging, context: &ApplyContext, pair: &Pair) -> Outcome {
    let slot = staging.slot(context, &pair.key)?;
    let old = body_of(staging, context, &slot)?;
    let length = old.len() as u64 + pair.value.len() as u64;
    check_length(length)?;
    staging.put_string(context, &slot, slot.expiry_millis(), &[&old, &pair.value]);
    Ok(reply::integer(length as i64))
}

/// `SETRANGE`.
pub(crate) fn set_range(staging: &mut Staging, context: &ApplyContext, set: &SetRange) -> Outcome {
    let slot = staging.slot(context, &set.key)?;
    let old = body_of(staging, context, &slot)?;
    if set.value.is_empty() {
        // Nothing to write: an absent key is not made.
        return Ok(reply::integer(old.len() as i64));
    }
    let end = set.offset.saturating_add(set.value.len() as u64);
    check_length(end)?;
    // Zeros that nobody sent.
    staging.make(context, (set.offset as usize).saturating_sub(old.len()))?;
    let mut body = old.to_vec();
    if body.len() < end as usize {
        body.resize(end as usize, 0);
    }
    body[set.offset as usize..end as usize].copy_from_slice(&set.value);
    staging.put_string(context, &slot, slot.expiry_millis(), &[&body]);
    Ok(reply::integer(body.len() as i64))
}

/// `INCR`, `DECR` and their kin.
pub(crate) fn incr_by(staging: &mut Staging, context: &ApplyContext, add: &IncrBy) -> Outcome {
    let slot = staging.slot(context, &add.key)?;
    let old = match &slot.found {
        Some(stored) => {
            let body = string_of(&staging.look(context), stored)?;
            parse_integer(&body).ok_or(Stop::Refused(KvError::NotInteger))?
        }
        None => 0,
    };
    let sum = old.checked_add(add.delta).ok_or(Stop::Refused(KvError::Overflow))?;
    staging.put_string(context, &slot, slot.expiry_millis(), &[sum.to_string().as_bytes()]);
    Ok(reply::integer(sum))
}

/// `INCRBYFLOAT`.
pub(crate) fn incr_by_float(staging: &mut Staging, context: &ApplyContext, pair: &Pair) -> Outcome {
    let not_float = Stop::Refused(KvError::NotFloat);
    let slot = staging.slot(context, &pair.key)?;
    let old = match &slot.found {
        Some(stored) => LongDouble::parse(&string_of(&staging.look(context), stored)?).ok_or(not_float)?,
        None => LongDouble::ZERO,
    };
    let delta = LongDouble::parse(&pair.value).ok_or(Stop::Refused(KvError::NotFloat))?;
    let sum = old.plus(&delta).ok_or(Stop::Refused(KvError::NotFinite))?;
    let text = sum.to_text();
    staging.put_string(context, &slot, slot.expiry_millis(), &[text.as_bytes()]);
    Ok(reply::value(text.as_bytes()))
}

/// `SETIFEQ` and `DELIFEQ`.
pub(crate) fn if_equal(staging: &mut Staging, context: &ApplyContext, request: &IfEqual) -> Outcome {
    let deadline = string_deadline(context, request.expiry)?;
    let slot = staging.slot(context, &request.key)?;
    let Some(stored) = &slot.found else { return Ok(reply::flag(false)) };
    let is_equal = string_of(&staging.look(context), stored)? == request.expected;
    match (&request.value, deadline.unwrap_or(Deadline::Never)) {
        _ if !is_equal => {}
        (None, _) | (_, Deadline::Passed) => staging.remove(context, &slot),
        (Some(value), deadline) => {
            check_length(value.len() as u64)?;
            staging.put_string(context, &slot, deadline.over(&slot), &[value]);
        }
    }
    Ok(reply::flag(is_equal))
}

/// The bytes of a value that must be a string.
pub(crate) fn string_of(look: &dyn Look, stored: &Stored) -> Result<Bytes, Stop> {
    match stored.header.kind {
        Kind::String => Ok(stored.body.clone()),
        Kind::Bitmap => bits::assembled(look, stored),
        _ => Err(Stop::Refused(KvError::WrongType)),
    }
}

/// The string in a slot; empty if there is none.
pub(crate) fn body_of(staging: &Staging, context: &ApplyContext, slot: &Slot) -> Result<Bytes, Stop> {
    match &slot.found {
        Some(stored) => string_of(&staging.look(context), stored),
        None => Ok(Bytes::new()),
    }
}

pub(crate) fn check_length(bytes: u64) -> Result<(), Stop> {
    if bytes > VALUE_BYTES_MAX as u64 { Err(Stop::Refused(KvError::TooLong)) } else { Ok(()) }
}

/// The deadline that `SET` and `GETEX` ask for. Other than with `EXPIRE`, a time that is not positive is
/// a mistake.
fn string_deadline(context: &ApplyContext, expiry: Option<Expiry>) -> Result<Option<Deadline>, Stop> {
    let Some(expiry) = expiry else { return Ok(None) };
    if matches!(expiry.kind(), ExpiryKind::At | ExpiryKind::In) && expiry.millis <= 0 {
        return Err(Stop::Refused(KvError::InvalidExpiry));
    }
    Deadline::of(context, expiry).map(Some)
}
