//! Sorted sets: members in order of their scores.

use api::kv::{KvError, SortedOp, SortedRequest};
use engine::ApplyContext;

use crate::collection::find;
use crate::look::Look;
use crate::reply;
use crate::staging::Staging;
use crate::state::{Outcome, Stop};
use crate::value::Kind;

/// Answers a read.
pub(crate) fn read(look: &dyn Look, request: &SortedRequest) -> Outcome {
    match &request.op {
        Some(SortedOp::Card(key)) => {
            let found = find(look, &key.key, Kind::SortedSet)?;
            Ok(reply::integer(found.map_or(0, |found| found.count as i64)))
        }
        _ => Err(Stop::Refused(KvError::Unsupported)),
    }
}

/// Executes a write, or a read in the middle of writes.
pub(crate) fn write(staging: &mut Staging, context: &ApplyContext, request: &SortedRequest) -> Outcome {
    read(&staging.look(context), request)
}
