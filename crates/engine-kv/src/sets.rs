//! Sets: members.
//!
//! A member is a part: position and member, then the version (see `collection`).

use api::kv::{KeyAndMembers, KvError, SetOp, SetRequest};
use bytes::Bytes;
use engine::ApplyContext;

use crate::collection::{Edit, find, positioned};
use crate::look::Look;
use crate::reply;
use crate::staging::Staging;
use crate::state::{Outcome, Stop};
use crate::value::Kind;

/// Answers a read.
pub(crate) fn read(look: &dyn Look, request: &SetRequest) -> Outcome {
    match &request.op {
        Some(SetOp::Card(key)) => {
            let found = find(look, &key.key, Kind::Set)?;
            Ok(reply::integer(found.map_or(0, |found| found.count as i64)))
        }
        _ => Err(Stop::Refused(KvError::Unsupported)),
    }
}

/// Executes a write, or a read in the middle of writes.
pub(crate) fn write(staging: &mut Staging, context: &ApplyContext, request: &SetRequest) -> Outcome {
    match &request.op {
        Some(SetOp::Add(add)) => add_members(staging, context, add),
        _ => read(&staging.look(context), request),
    }
}

fn add_members(staging: &mut Staging, context: &ApplyContext, add: &KeyAndMembers) -> Outcome {
    let mut set = Edit::open(staging, context, &add.key, Kind::Set)?;
    let mut added = 0;
    for member in &add.members {
        let sub_key = positioned(&[], member);
        if set.parts.get(&staging.look(context), &sub_key)?.is_none() {
            set.put(staging, context, &sub_key, Bytes::copy_from_slice(&context.hlc.0.to_be_bytes()));
            added += 1;
        }
    }
    if added > 0 {
        set.count += added;
        set.finish(staging, context);
    }
    Ok(reply::integer(added as i64))
}
