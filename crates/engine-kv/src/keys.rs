//! Writes to keys of any type, each as Redis 7 defines it.

use api::kv::{Condition, Copy, Expire, Expiry, ExpiryKind, Keys, KvError, Rename};
use engine::ApplyContext;

use crate::collection;
use crate::reply;
use crate::staging::{Slot, Staging};
use crate::state::{Outcome, Stop};
use crate::value::Header;

/// What becomes of a key's expiry, with the entry's stamp taken into account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deadline {
    /// It will not expire.
    Never,
    /// As before.
    Keep,
    /// It exists up to this millisecond.
    At(u64),
    /// The time has passed: it goes now.
    Passed,
}

impl Deadline {
    /// Reads what a request asks for.
    pub(crate) fn of(context: &ApplyContext, expiry: Expiry) -> Result<Self, Stop> {
        let now = context.hlc.millis() as i64;
        let at = match expiry.kind() {
            ExpiryKind::Clear => return Ok(Deadline::Never),
            ExpiryKind::Keep => return Ok(Deadline::Keep),
            ExpiryKind::At => expiry.millis,
            ExpiryKind::In => now.checked_add(expiry.millis).ok_or(Stop::Refused(KvError::InvalidExpiry))?,
        };
        Ok(if at <= now { Deadline::Passed } else { Deadline::At(at as u64) })
    }

    /// The expiry to store over what a slot holds.
    pub(crate) fn over(self, slot: &Slot) -> Option<u64> {
        match self {
            Deadline::At(millis) => Some(millis),
            Deadline::Keep => slot.expiry_millis(),
            Deadline::Never | Deadline::Passed => None,
        }
    }
}

/// Gives what is in a slot another deadline.
pub(crate) fn set_deadline(staging: &mut Staging, context: &ApplyContext, slot: &Slot, deadline: Deadline) {
    let Some(stored) = &slot.found else { return };
    match deadline {
        Deadline::Passed => staging.remove(context, slot),
        Deadline::Never | Deadline::Keep | Deadline::At(_) => {
            let expiry_millis = deadline.over(slot);
            if expiry_millis != stored.header.expiry_millis {
                let header = Header { expiry_millis, version: context.hlc, ..stored.header };
                staging.put(context, slot, header, &[&stored.body]);
            }
        }
    }
}

/// `EXPIRE` and its kin, and `PERSIST`.
pub(crate) fn expire(staging: &mut Staging, context: &ApplyContext, expire: &Expire) -> Outcome {
    let deadline = match expire.expiry {
        Some(expiry) => Deadline::of(context, expiry)?,
        None => return Err(Stop::Refused(KvError::Unsupported)),
    };
    let slot = staging.slot(context, &expire.key)?;
    if slot.found.is_none() {
        return Ok(reply::flag(false));
    }
    let before = slot.expiry_millis();
    let after = match (deadline, expire.expiry) {
        // A time that has passed still compares by its own number.
        (Deadline::Passed, Some(expiry)) => Some(absolute_millis(context, expiry)),
        (deadline, _) => deadline.over(&slot).map(|millis| millis as i64),
    };
    let before_signed = before.map(|millis| millis as i64);
    let wanted = match expire.condition() {
        Condition::Always => true,
        Condition::IfAbsent => before.is_none(),
        Condition::IfPresent => before.is_some(),
        // No expiry is an infinite one: nothing is later, everything is sooner.
        Condition::IfLater => before_signed.is_some_and(|before| after.is_none_or(|after| after > before)),
        Condition::IfPresentAndSooner => {
            before_signed.is_some_and(|before| after.is_some_and(|after| after < before))
        }
        Condition::IfSooner => after.is_some_and(|after| before_signed.is_none_or(|before| after < before)),
    };
    if !wanted || (deadline == Deadline::Never && before.is_none()) {
        return Ok(reply::flag(false));
    }
    set_deadline(staging, context, &slot, deadline);
    Ok(reply::flag(true))
}

/// `DEL` and `UNLINK`.
pub(crate) fn del(staging: &mut Staging, context: &ApplyContext, keys: &Keys) -> Outcome {
    let mut removed = 0;
    for key in &keys.keys {
        let slot = staging.slot(context, key)?;
        removed += i64::from(slot.found.is_some());
        staging.remove(context, &slot);
    }
    Ok(reply::integer(removed))
}

/// Removes keys that the leader found expired, if they still are at the entry's stamp.
pub(crate) fn remove_expired(staging: &mut Staging, context: &ApplyContext, keys: &Keys) -> Outcome {
    let mut removed = 0;
    for key in &keys.keys {
        let slot = staging.raw_slot(key)?;
        if slot.found.as_ref().is_some_and(|stored| stored.header.is_expired(context.hlc)) {
            staging.remove(context, &slot);
            removed += 1;
        }
    }
    Ok(reply::integer(removed))
}

/// `RENAME` and `RENAMENX`. The expiry moves with the value.
pub(crate) fn rename(staging: &mut Staging, context: &ApplyContext, rename: &Rename) -> Outcome {
    let from = staging.slot(context, &rename.from)?;
    let Some(stored) = &from.found else { return Err(Stop::Refused(KvError::NoSuchKey)) };
    let done = if rename.only_if_absent { reply::flag(true) } else { reply::ok() };
    if rename.from == rename.to {
        return Ok(if rename.only_if_absent { reply::flag(false) } else { done });
    }
    let to = staging.slot(context, &rename.to)?;
    if rename.only_if_absent && to.found.is_some() {
        return Ok(reply::flag(false));
    }
    let header = Header { version: context.hlc, ..stored.header };
    staging.detach(context, &from);
    staging.put(context, &to, header, &[&stored.body]);
    Ok(done)
}

/// `COPY`. The copy expires when the original does.
pub(crate) fn copy(staging: &mut Staging, context: &ApplyContext, copy: &Copy) -> Outcome {
    if copy.from == copy.to {
        return Ok(reply::flag(false));
    }
    let from = staging.slot(context, &copy.from)?;
    let Some(stored) = &from.found else { return Ok(reply::flag(false)) };
    let to = staging.slot(context, &copy.to)?;
    if to.found.is_some() && !copy.replace {
        return Ok(reply::flag(false));
    }
    staging.make(context, stored.body.len())?;
    let header = collection::duplicate(staging, context, stored, &to)?;
    staging.put(context, &to, Header { version: context.hlc, ..header }, &[&stored.body]);
    Ok(reply::flag(true))
}

fn absolute_millis(context: &ApplyContext, expiry: Expiry) -> i64 {
    match expiry.kind() {
        ExpiryKind::In => (context.hlc.millis() as i64).saturating_add(expiry.millis),
        _ => expiry.millis,
    }
}
