//! HyperLogLogs: strings that count different elements.

use api::kv::{HyperLogLogRequest, KvError};
use engine::ApplyContext;

use crate::look::Look;
use crate::staging::Staging;
use crate::state::{Outcome, Stop};

/// Answers a read.
pub(crate) fn read(_look: &dyn Look, _request: &HyperLogLogRequest) -> Outcome {
    Err(Stop::Refused(KvError::Unsupported))
}

/// Executes a write, or a read in the middle of writes.
pub(crate) fn write(staging: &mut Staging, context: &ApplyContext, request: &HyperLogLogRequest) -> Outcome {
    read(&staging.look(context), request)
}
