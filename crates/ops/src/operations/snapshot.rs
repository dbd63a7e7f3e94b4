//! `snapshot`: applied state is made durable, and the log behind it is cut.

use api::admin::OperationRequest;
use api::operation::{OnPartition, OperationKind};
use types::Fault;

use crate::plan::joined::Joined;
use crate::plan::{self, Draft};
use crate::sight::Sight;

pub(super) fn plan(sight: &Sight<'_>, request: &OperationRequest) -> Result<Draft, Fault> {
    let mut parts = Vec::new();
    let partitions = plan::partitions(sight, request)?;
    let mut joined = Joined::of(sight, partitions.len());
    for partition in partitions {
        let wish = OperationKind::Snapshot(OnPartition { group: partition.group, node: 0 });
        if joined.takes(&wish) {
            continue;
        }
        plan::not_busy(sight, partition)?;
        plan::has_leader(sight, partition)?;
        parts.push(wish);
    }
    if let Some(joins) = joined.all(&parts)? {
        return Ok(joins);
    }
    let group = parts.first().and_then(crate::kind::group).unwrap_or(0);
    let parent = OperationKind::Snapshot(OnPartition { group, node: 0 });
    let named = parts.len();
    Ok(Draft::of_parts(parent, parts, named))
}
