//! One module for each kind of operation: what it refuses, and what it would do.
//!
//! The steps that carry it out are shared, see `steps`; `kind` says which operation has which.

mod add_replica;
pub(crate) mod backup;
pub(crate) mod balance;
mod change_leader;
mod decommission;
mod drain;
mod migrate;
mod offline;
pub(crate) mod optimize;
mod recover;
mod recover_cluster;
pub(crate) mod recover_quorum;
mod remove_replica;
mod restore;
pub(crate) mod set_replicas;
mod snapshot;

use api::admin::OperationRequest;
use types::{ErrorCode, Fault};

use crate::plan::Draft;
use crate::sight::Sight;

/// A kind's name in a request, and how it is planned.
type Planner = fn(&Sight<'_>, &OperationRequest) -> Result<Draft, Fault>;

const PLANNERS: [(&str, Planner); 19] = [
    ("change-leader", change_leader::plan),
    ("add-replica", add_replica::plan),
    ("remove-replica", remove_replica::plan),
    ("migrate", migrate::plan),
    ("snapshot", snapshot::plan),
    ("offline-node", offline::plan),
    ("recover-node", recover::plan_node),
    ("recover-partition", recover::plan_partition),
    ("recover-cluster", recover_cluster::plan),
    ("recover-quorum", recover_quorum::plan),
    ("drain", drain::plan),
    ("undrain", drain::plan_undrain),
    ("decommission", decommission::plan),
    ("balance", balance::plan),
    ("set-replicas", set_replicas::plan),
    ("optimize", optimize::plan),
    ("backup", backup::plan),
    ("drill", backup::plan_drill),
    ("restore", restore::plan),
];

/// Plans whatever a request asks for.
pub(crate) fn plan(sight: &Sight<'_>, request: &OperationRequest) -> Result<Draft, Fault> {
    let Some((_, planner)) = PLANNERS.iter().find(|(name, _)| *name == request.kind) else {
        let names: Vec<&str> = PLANNERS.iter().map(|(name, _)| *name).collect();
        let detail = format!("there is no operation '{}'; there are {}", request.kind, names.join(", "));
        return Err(Fault::new(ErrorCode::BadArgument, detail));
    };
    planner(sight, request)
}
