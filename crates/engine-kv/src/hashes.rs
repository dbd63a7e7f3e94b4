//! Hashes: fields with values.
//!
//! A field is a part: position and field, then version and value (see `collection` and `members`).

use api::kv::{Choice, HashAdd, HashOp, HashRequest, HashSet, KvError, MemberScan, Members, Pair};
use bytes::{BufMut, Bytes, BytesMut};
use engine::records::Record;
use engine::{ApplyContext, EngineError};

use crate::collection::{Edit, Found, find, positioned};
use crate::long_double::LongDouble;
use crate::look::Look;
use crate::members;
use crate::number::parse_integer;
use crate::reply::{self, Gathered};
use crate::staging::Staging;
use crate::state::{Outcome, Stop};
use crate::strings::check_length;
use crate::value::Kind;

/// Bytes of the version in front of a field's value.
const VERSION_BYTES: usize = 8;

/// Answers a read.
pub(crate) fn read(look: &dyn Look, request: &HashRequest) -> Outcome {
    let found = find(look, &request.key, Kind::Hash)?;
    match &request.op {
        Some(HashOp::Get(field)) => Ok(reply::maybe(value(look, found.as_ref(), field)?.as_ref())),
        Some(HashOp::Len(_)) => Ok(reply::integer(found.map_or(0, |found| found.count as i64))),
        Some(HashOp::GetMany(fields)) => get_many(look, found.as_ref(), fields),
        Some(HashOp::All(_)) => list(look, found.as_ref(), true, true),
        Some(HashOp::Fields(_)) => list(look, found.as_ref(), true, false),
        Some(HashOp::FieldValues(_)) => list(look, found.as_ref(), false, true),
        Some(HashOp::Exists(field)) => Ok(reply::flag(value(look, found.as_ref(), field)?.is_some())),
        Some(HashOp::ValueLen(field)) => {
            let length = value(look, found.as_ref(), field)?.map_or(0, |value| value.len());
            Ok(reply::integer(length as i64))
        }
        Some(HashOp::Scan(scan)) => page(look, found.as_ref(), scan),
        Some(HashOp::Choose(choice)) => choose(look, found.as_ref(), choice),
        _ => Err(Stop::Refused(KvError::Unsupported)),
    }
}

/// Executes a write, or a read in the middle of writes.
pub(crate) fn write(staging: &mut Staging, context: &ApplyContext, request: &HashRequest) -> Outcome {
    let key = &request.key;
    match &request.op {
        Some(HashOp::Set(set)) => set_fields(staging, context, key, set),
        Some(HashOp::SetNew(pair)) => set_new(staging, context, key, pair),
        Some(HashOp::Remove(fields)) => remove(staging, context, key, fields),
        Some(HashOp::Add(add)) => add_integer(staging, context, key, add),
        Some(HashOp::AddFloat(pair)) => add_float(staging, context, key, pair),
        _ => read(&staging.look(context), request),
    }
}

pub(crate) fn value(
    look: &dyn Look,
    found: Option<&Found>,
    field: &[u8],
) -> Result<Option<Bytes>, EngineError> {
    let Some(found) = found else { return Ok(None) };
    members::get(look, found.parts, field)?.map(value_of).transpose()
}

fn get_many(look: &dyn Look, found: Option<&Found>, fields: &Members) -> Outcome {
    let mut gathered = Gathered::values();
    for field in &fields.members {
        gathered.add_maybe(value(look, found, field)?.as_deref())?;
    }
    Ok(gathered.finish())
}

/// `HGETALL`, `HKEYS`, `HVALS`.
fn list(look: &dyn Look, found: Option<&Found>, with_fields: bool, with_values: bool) -> Outcome {
    let mut gathered = Gathered::page();
    if let Some(found) = found {
        for part in members::all(look, found.parts) {
            gather(&mut gathered, &part?, with_fields, with_values)?;
        }
    }
    Ok(gathered.finish())
}

fn page(look: &dyn Look, found: Option<&Found>, scan: &MemberScan) -> Outcome {
    let mut gathered = Gathered::page();
    let next = match found {
        Some(found) => {
            members::page(look, found.parts, scan, &mut |part| gather(&mut gathered, part, true, true))?
        }
        None => None,
    };
    Ok(gathered.finish_page(next))
}

fn choose(look: &dyn Look, found: Option<&Found>, choice: &Choice) -> Outcome {
    if choice.count.is_none() {
        let mut field = None;
        if let Some(found) = found {
            members::choose(look, found, choice, &mut |(sub_key, _)| {
                field = Some(reply::value(members::name_of(sub_key)?));
                Ok(())
            })?;
        }
        return Ok(field.unwrap_or_else(reply::nil));
    }
    let mut gathered = Gathered::page();
    if let Some(found) = found {
        members::choose(look, found, choice, &mut |part| {
            gather(&mut gathered, part, true, choice.with_values)
        })?;
    }
    Ok(gathered.finish())
}

fn gather(gathered: &mut Gathered, part: &Record, with_field: bool, with_value: bool) -> Result<(), Stop> {
    let (sub_key, value) = part;
    if with_field {
        gathered.add(members::name_of(sub_key)?)?;
    }
    if with_value {
        gathered.add(value.get(VERSION_BYTES..).ok_or_else(short_field)?)?;
    }
    Ok(())
}

/// `HSET` and `HMSET`.
fn set_fields(staging: &mut Staging, context: &ApplyContext, key: &Bytes, set: &HashSet) -> Outcome {
    members::check_names(set.fields.iter().map(|pair| &pair.key))?;
    let mut hash = Edit::open(staging, context, key, Kind::Hash)?;
    let mut added = 0;
    for pair in &set.fields {
        let record_key = hash.parts.key_of_member(&[], &pair.key);
        added += u64::from(hash.get_record(staging, context, &record_key)?.is_none());
        hash.put_record(staging, context, record_key, Some(part(context, &pair.value)));
    }
    hash.count += added;
    hash.finish(staging, context);
    Ok(reply::integer(added as i64))
}

/// `HSETNX`.
fn set_new(staging: &mut Staging, context: &ApplyContext, key: &Bytes, pair: &Pair) -> Outcome {
    members::check_names([&pair.key].into_iter())?;
    let mut hash = Edit::open(staging, context, key, Kind::Hash)?;
    let sub_key = positioned(&[], &pair.key);
    if hash.get(staging, context, &sub_key)?.is_some() {
        return Ok(reply::flag(false));
    }
    hash.put(staging, context, &sub_key, part(context, &pair.value));
    hash.count += 1;
    hash.finish(staging, context);
    Ok(reply::flag(true))
}

/// `HDEL`.
fn remove(staging: &mut Staging, context: &ApplyContext, key: &Bytes, fields: &Members) -> Outcome {
    let mut hash = Edit::open(staging, context, key, Kind::Hash)?;
    let removed = hash.remove_named(staging, context, &fields.members)?;
    if removed > 0 {
        hash.finish(staging, context);
    }
    Ok(reply::integer(removed as i64))
}

/// `HINCRBY`.
fn add_integer(staging: &mut Staging, context: &ApplyContext, key: &Bytes, add: &HashAdd) -> Outcome {
    let field = Field::open(staging, context, key, &add.field)?;
    let old = field.value.as_ref().map_or(Some(0), |text| parse_integer(text));
    let Some(old) = old else { return Ok(reply::refusal("ERR hash value is not an integer")) };
    let sum = old.checked_add(add.delta).ok_or(Stop::Refused(KvError::Overflow))?;
    field.store(staging, context, sum.to_string().as_bytes());
    Ok(reply::integer(sum))
}

/// `HINCRBYFLOAT`. Redis looks at the number before it looks at the key.
fn add_float(staging: &mut Staging, context: &ApplyContext, key: &Bytes, pair: &Pair) -> Outcome {
    let delta = LongDouble::parse(&pair.value).ok_or(Stop::Refused(KvError::NotFloat))?;
    if !delta.is_finite() {
        return Ok(reply::refusal("ERR value is NaN or Infinity"));
    }
    let field = Field::open(staging, context, key, &pair.key)?;
    let old = field.value.as_ref().map_or(Some(LongDouble::ZERO), |text| LongDouble::parse(text));
    let Some(old) = old else { return Ok(reply::refusal("ERR hash value is not a float")) };
    let sum = old.plus(&delta).ok_or(Stop::Refused(KvError::NotFinite))?.to_text();
    check_length(sum.len() as u64)?;
    field.store(staging, context, sum.as_bytes());
    Ok(reply::value(sum.as_bytes()))
}

/// One field being changed.
struct Field {
    hash: Edit,
    sub_key: Bytes,
    /// What it holds.
    value: Option<Bytes>,
}

impl Field {
    fn open(staging: &mut Staging, context: &ApplyContext, key: &Bytes, field: &Bytes) -> Result<Self, Stop> {
        members::check_names([field].into_iter())?;
        let hash = Edit::open(staging, context, key, Kind::Hash)?;
        let sub_key = positioned(&[], field);
        let value = hash.get(staging, context, &sub_key)?.map(value_of).transpose()?;
        Ok(Self { hash, sub_key, value })
    }

    fn store(mut self, staging: &mut Staging, context: &ApplyContext, value: &[u8]) {
        self.hash.put(staging, context, &self.sub_key, part(context, value));
        self.hash.count += u64::from(self.value.is_none());
        self.hash.finish(staging, context);
    }
}

/// A part's value.
fn part(context: &ApplyContext, value: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(VERSION_BYTES + value.len());
    bytes.put_u64(context.hlc.0);
    bytes.put_slice(value);
    bytes.freeze()
}

/// The value of a field in its part.
fn value_of(part: Bytes) -> Result<Bytes, EngineError> {
    if part.len() < VERSION_BYTES { Err(short_field()) } else { Ok(part.slice(VERSION_BYTES..)) }
}

fn short_field() -> EngineError {
    EngineError::Damaged("a field is too short".into())
}
