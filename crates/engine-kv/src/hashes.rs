//! Hashes: fields with values.
//!
//! A field is a part: position and field, then version and value (see `collection`).

use api::kv::{HashOp, HashRequest, HashSet, KvError};
use bytes::{BufMut, Bytes, BytesMut};
use engine::{ApplyContext, EngineError};

use crate::collection::{Edit, find, positioned};
use crate::look::Look;
use crate::reply;
use crate::staging::Staging;
use crate::state::{Outcome, Stop};
use crate::value::Kind;

/// Bytes of the version in front of a field's value.
const VERSION_BYTES: usize = 8;

/// Answers a read.
pub(crate) fn read(look: &dyn Look, request: &HashRequest) -> Outcome {
    let found = find(look, &request.key, Kind::Hash)?;
    match &request.op {
        Some(HashOp::Get(field)) => {
            let part =
                found.map(|found| found.parts.get(look, &positioned(&[], field))).transpose()?.flatten();
            Ok(reply::maybe(part.map(value_of).transpose()?.as_ref()))
        }
        Some(HashOp::Len(_)) => Ok(reply::integer(found.map_or(0, |found| found.count as i64))),
        _ => Err(Stop::Refused(KvError::Unsupported)),
    }
}

/// Executes a write, or a read in the middle of writes.
pub(crate) fn write(staging: &mut Staging, context: &ApplyContext, request: &HashRequest) -> Outcome {
    match &request.op {
        Some(HashOp::Set(set)) => set_fields(staging, context, &request.key, set),
        _ => read(&staging.look(context), request),
    }
}

fn set_fields(staging: &mut Staging, context: &ApplyContext, key: &Bytes, set: &HashSet) -> Outcome {
    let mut hash = Edit::open(staging, context, key, Kind::Hash)?;
    let mut added = 0;
    for pair in &set.fields {
        let sub_key = positioned(&[], &pair.key);
        let is_new = hash.parts.get(&staging.look(context), &sub_key)?.is_none();
        added += u64::from(is_new);
        hash.put(staging, context, &sub_key, part(context, &pair.value));
    }
    hash.count += added;
    hash.finish(staging, context);
    Ok(reply::integer(added as i64))
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
    if part.len() < VERSION_BYTES {
        return Err(EngineError::Damaged("a field is too short".into()));
    }
    Ok(part.slice(VERSION_BYTES..))
}
