//! Lists: elements in a row.
//!
//! Elements lie at places that follow one another: `place u64 │` as sub-key. The body keeps the place of the
//! first one, so that an index is a sum.

use api::kv::{KvError, ListOp, ListPush, ListRequest};
use engine::{ApplyContext, EngineError};

use crate::collection::{Edit, find};
use crate::look::Look;
use crate::reply;
use crate::staging::Staging;
use crate::state::{Outcome, Stop};
use crate::value::Kind;

/// Where the first element of a new list lies: room for 2^63 pushes at both ends.
const MIDDLE: u64 = 1 << 63;

/// Answers a read.
pub(crate) fn read(look: &dyn Look, request: &ListRequest) -> Outcome {
    match &request.op {
        Some(ListOp::Len(key)) => {
            let found = find(look, &key.key, Kind::List)?;
            Ok(reply::integer(found.map_or(0, |found| found.count as i64)))
        }
        _ => Err(Stop::Refused(KvError::Unsupported)),
    }
}

/// Executes a write, or a read in the middle of writes.
pub(crate) fn write(staging: &mut Staging, context: &ApplyContext, request: &ListRequest) -> Outcome {
    match &request.op {
        Some(ListOp::Push(push)) => push_elements(staging, context, push),
        _ => read(&staging.look(context), request),
    }
}

fn push_elements(staging: &mut Staging, context: &ApplyContext, push: &ListPush) -> Outcome {
    let mut list = Edit::open(staging, context, &push.key, Kind::List)?;
    if push.only_if_present && !list.existed() {
        return Ok(reply::integer(0));
    }
    let mut first = first_place(&list.rest)?;
    for element in &push.elements {
        let place = if push.left { first - 1 } else { first + list.count };
        first = first.min(place);
        list.put(staging, context, &place.to_be_bytes(), element.clone());
        list.count += 1;
    }
    list.rest = first.to_be_bytes().to_vec();
    let length = list.count as i64;
    list.finish(staging, context);
    Ok(reply::integer(length))
}

/// The place of the first element, from a list's body.
fn first_place(rest: &[u8]) -> Result<u64, EngineError> {
    match rest {
        [] => Ok(MIDDLE),
        rest => rest
            .try_into()
            .map(u64::from_be_bytes)
            .map_err(|_| EngineError::Damaged("the body of a list does not fit".into())),
    }
}
