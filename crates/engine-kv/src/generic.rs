//! Requests to keys of any type.

use api::kv::{GenericOp, GenericRequest, KvError};
use bytes::Bytes;
use engine::{ApplyContext, EngineError};

use crate::look::Look;
use crate::staging::Staging;
use crate::state::{Outcome, Stop};
use crate::{inspect, reply, sort};

/// Answers a read.
pub(crate) fn read(look: &dyn Look, request: &GenericRequest) -> Outcome {
    match &request.op {
        Some(GenericOp::Version(key)) => Ok(reply::integer(version(look, &key.key)?)),
        Some(GenericOp::Encoding(key)) => inspect::encoding(look, &key.key),
        Some(GenericOp::Idle(key)) => inspect::idle(look, &key.key),
        Some(GenericOp::Usage(usage)) => inspect::usage(look, usage),
        Some(GenericOp::Sort(request)) => sort::read(look, request),
        _ => Err(Stop::Refused(KvError::Unsupported)),
    }
}

/// Executes a write, or a read in the middle of writes.
pub(crate) fn write(staging: &mut Staging, context: &ApplyContext, request: &GenericRequest) -> Outcome {
    match &request.op {
        Some(GenericOp::SortAndStore(request)) => sort::store(staging, context, request),
        _ => read(&staging.look(context), request),
    }
}

/// The stamp of the entry that changed a key last; 0 if there is no such key.
pub(crate) fn version(look: &dyn Look, key: &Bytes) -> Result<i64, EngineError> {
    Ok(look.live(key)?.map_or(0, |stored| stored.header.version.0 as i64))
}
