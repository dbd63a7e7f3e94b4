//! `take-over`: a survivor of a lost majority goes on alone.
//!
//! What made the plan is looked at again when the step is entered: a majority or a better replica that has come back
//! since stops it. Once entered there is no way back, for the others have lost their ids.

use api::catalog::PartitionRecord;
use api::operation::{Edit, TakeOver};
use types::{ErrorCode, Fault};

use super::{Doing, Look, Stop, Wait};
use crate::operations::recover_quorum::{Loss, survivor};
use crate::sight::replica_of;

pub(super) fn enter(doing: &Doing<'_>, partition: &PartitionRecord) -> Result<Vec<Edit>, Stop> {
    let node = match doing.kind {
        api::operation::OperationKind::RecoverQuorum(at) => at.node,
        _ => 0,
    };
    let name = doing.sight.name(partition);
    let refused = |detail: String| Err(Stop::Failed(Fault::new(ErrorCode::PlanOutdated, detail)));
    match survivor(doing.sight, partition) {
        Loss::Survivor(found) if found.node == node => Ok(vec![Edit::TakeOver(TakeOver {
            group: partition.group,
            survivor: found.replica,
            route_epoch: partition.route_epoch,
            term: found.term,
            epoch: found.epoch,
        })]),
        Loss::Survivor(better) => {
            refused(format!("{name}: the replica on node {} has more than that on node {node}", better.node))
        }
        Loss::None(why) => refused(format!("{name}: {why}")),
        Loss::All => refused(format!("{name}: no replica is left")),
    }
}

pub(super) fn look(doing: &Doing<'_>, partition: &PartitionRecord) -> Look {
    let sight = doing.sight;
    let made = doing.operation.made_replica;
    let Some(replica) = replica_of(partition, made) else {
        // It led, and has been moved away since.
        return Look::done();
    };
    if sight.leader(partition.group) == Some(made) {
        return Look::done();
    }
    let node = replica.node;
    let why = match sight.is_up(node) {
        true => format!("node {node} has to go on with {} alone", sight.name(partition)),
        false => sight.how_is(node),
    };
    Look::waits(Wait::blocked(why, Some(node)))
}
