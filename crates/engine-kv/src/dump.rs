//! `DUMP` and `RESTORE`: whole values in Redis' own form (see the `rdb` crate).

use std::ops::Bound;

use api::kv::{ContentKind, Element, Import, KvAnswer, KvError, OnConflict, Piece, Restore};
use bytes::Bytes;
use engine::{ApplyContext, EngineError};
use rdb::{RdbError, Value};
use types::limits::{
    COMMAND_PART_BYTES_MAX, EDIT_BYTES_MAX, EDIT_ELEMENT_BYTES, MEMBER_BYTES_MAX, VALUE_BYTES_MAX,
};

use crate::collection::Found;
use crate::export::{element, elements_prefix};
use crate::import;
use crate::keys::Deadline;
use crate::look::Look;
use crate::reader::encode;
use crate::reply;
use crate::staging::Staging;
use crate::state::{Outcome, Stop};
use crate::strings::string_of;
use crate::value::{Kind, Stored};

const BUSY: &str = "BUSYKEY Target key name already exists.";
const BAD_PAYLOAD: &str = "ERR DUMP payload version or checksum are wrong";
const BAD_DATA: &str = "ERR Bad data format";

/// Bytes that an element takes in a payload besides its own, at most.
const ELEMENT_COST: usize = 16;

/// Most memory that a payload may take before it is known how large its value is: what can be written at once, and as
/// much again three times for the form that it comes in.
const RESTORED_BYTES_MAX: u64 = 4 * EDIT_BYTES_MAX as u64;

/// `DUMP`.
pub(crate) fn dump(look: &dyn Look, key: &Bytes) -> Outcome {
    let Some(stored) = look.live(key)? else { return Ok(reply::nil()) };
    let value = match stored.header.kind {
        Kind::String | Kind::Bitmap => Value::String(string_of(look, &stored)?),
        Kind::List => Value::List(elements(look, &stored)?.map(|element| element.value).collect()),
        Kind::Set => Value::Set(elements(look, &stored)?.map(|element| element.name).collect()),
        Kind::Hash => Value::Hash(elements(look, &stored)?.map(|it| (it.name, it.value)).collect()),
        Kind::SortedSet => Value::SortedSet(elements(look, &stored)?.map(|it| (it.name, it.score)).collect()),
    };
    Ok(reply::value(&rdb::dump(&value)))
}

/// The elements of a collection.
///
/// # Errors
/// `ReplyTooLarge` if they are more than a `RESTORE` would take.
fn elements(look: &dyn Look, stored: &Stored) -> Result<impl Iterator<Item = Element>, Stop> {
    let kind = stored.header.kind;
    let found = Found::of(look.epoch(), stored)?;
    let prefix = elements_prefix(kind);
    let (mut elements, mut bytes) = (Vec::new(), 0);
    for part in found.parts.range(look, Bound::Included(&prefix), Bound::Unbounded, false) {
        let (sub_key, value) = part?;
        // Behind the elements there may be records that are derived from them.
        if !sub_key.starts_with(&prefix) {
            break;
        }
        let element = element(kind, &sub_key, value)?;
        bytes += element.name.len() + element.value.len() + ELEMENT_COST;
        if bytes > COMMAND_PART_BYTES_MAX {
            return Err(Stop::Refused(KvError::ReplyTooLarge));
        }
        elements.push(element);
    }
    if elements.len() as u64 != found.count {
        return Err(EngineError::Damaged("the number of elements of a collection does not fit".into()).into());
    }
    Ok(elements.into_iter())
}

/// `RESTORE`.
pub(crate) fn restore(staging: &mut Staging, context: &ApplyContext, request: &Restore) -> Outcome {
    let slot = staging.slot(context, &request.key)?;
    if slot.found.is_some() && !request.replace {
        return Ok(refusal(BUSY));
    }
    if !request.complaint.is_empty() {
        return Ok(refusal(&request.complaint));
    }
    let value = match rdb::restore(&request.payload, RESTORED_BYTES_MAX) {
        Ok(value) => value,
        Err(RdbError::TooLarge) => return Err(Stop::Refused(KvError::EditTooLarge)),
        Err(RdbError::Version | RdbError::Checksum) => return Ok(refusal(BAD_PAYLOAD)),
        Err(_) => return Ok(refusal(BAD_DATA)),
    };
    // A time beyond all numbers has passed: Redis counts round.
    let deadline = match request.expiry.map(|expiry| Deadline::of(context, expiry)) {
        None => Deadline::Never,
        Some(deadline) => deadline.unwrap_or(Deadline::Passed),
    };
    let piece = piece(request.key.clone(), value)?;
    let expiry_millis = match deadline {
        Deadline::Passed => {
            staging.remove(context, &slot);
            return Ok(reply::ok());
        }
        deadline => deadline.over(&slot),
    };
    let pieces = vec![Piece { expiry_millis, ..piece }];
    let on_conflict = OnConflict::Overwrite as i32;
    import::import(staging, context, &Import { pieces, on_conflict, ..Default::default() })?;
    Ok(reply::ok())
}

/// A value as contents.
///
/// # Errors
/// `TooLong` and `EditTooLarge` for what this engine does not hold or does not write at once.
fn piece(key: Bytes, value: Value) -> Result<Piece, Stop> {
    let named = |name| Element { name, ..Default::default() };
    let (kind, elements) = match value {
        Value::String(value) if value.len() > VALUE_BYTES_MAX => {
            return Err(Stop::Refused(KvError::TooLong));
        }
        Value::String(value) => {
            return Ok(Piece { key, kind: ContentKind::String as i32, value, ..Default::default() });
        }
        Value::List(elements) => {
            let element = |value| Element { value, ..Default::default() };
            (ContentKind::List, elements.into_iter().map(element).collect())
        }
        Value::Set(members) => (ContentKind::Set, members.into_iter().map(named).collect()),
        Value::Hash(fields) => {
            let field = |(name, value)| Element { value, ..named(name) };
            (ContentKind::Hash, fields.into_iter().map(field).collect())
        }
        Value::SortedSet(members) => {
            let member = |(name, score)| Element { score, ..named(name) };
            (ContentKind::SortedSet, members.into_iter().map(member).collect::<Vec<_>>())
        }
    };
    let is_too_long =
        |element: &Element| element.name.len() > MEMBER_BYTES_MAX || element.value.len() > VALUE_BYTES_MAX;
    if elements.iter().any(is_too_long) {
        return Err(Stop::Refused(KvError::TooLong));
    }
    // A small payload may hold much.
    let bytes = |element: &Element| element.name.len() + element.value.len() + EDIT_ELEMENT_BYTES;
    if elements.iter().map(bytes).sum::<usize>() > EDIT_BYTES_MAX {
        return Err(Stop::Refused(KvError::EditTooLarge));
    }
    Ok(Piece { key, kind: kind as i32, elements, ..Default::default() })
}

fn refusal(text: &str) -> Bytes {
    encode(KvAnswer::Refusal(text.into()))
}
