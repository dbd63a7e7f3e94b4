//! `compact`: the replicas of a partition give back the space of what was removed, one after another.
//!
//! Followers go first, and the leader last. Whether one is done is what its node says of it: after a restart it has
//! forgotten, and does it again. Replicas on nodes that are down are not waited for.

use api::catalog::{PartitionRecord, ReplicaRecord};
use types::{GroupId, NodeId, OperationId};

use super::{Doing, Look, Wait};
use crate::executor::Directive;

pub(super) fn look(doing: &Doing<'_>, partition: &PartitionRecord) -> Look {
    let sight = doing.sight;
    let leader = sight.leader(partition.group);
    let mut replicas: Vec<&ReplicaRecord> = partition.replicas.iter().collect();
    replicas.sort_by_key(|replica| (leader == Some(replica.id), replica.node));
    let seen =
        |replica: &ReplicaRecord| sight.replica_seen(partition.group, replica.id).filter(|seen| seen.up);
    let operation = doing.operation.id;
    let next =
        replicas.into_iter().find(|replica| seen(replica).is_some_and(|seen| seen.compacted < operation));
    let Some(next) = next else {
        return Look { notes: left_alone(doing, partition), ..Look::done() };
    };
    let (node, name) = (next.node, sight.name(partition));
    if seen(next).is_some_and(|seen| seen.compacting == operation) {
        // It takes as long as it takes; who does not want to wait cancels.
        let why = format!("node {node} compacts its replica of {name}");
        return Look::waits(Wait { node: Some(node), ..Wait::queued(why) });
    }
    let directive = Directive::Compact {
        group: GroupId(partition.group),
        node: NodeId(node),
        operation: OperationId(operation),
    };
    let why = format!("node {node} begins to compact its replica of {name}");
    Look { directives: vec![directive], ..Look::waits(Wait::working(why, Some(node), node)) }
}

/// What nodes had to say instead of compacting, for the record of the operation.
fn left_alone(doing: &Doing<'_>, partition: &PartitionRecord) -> Vec<String> {
    let sight = doing.sight;
    let words = |replica: &ReplicaRecord| {
        let seen = sight.replica_seen(partition.group, replica.id);
        match seen.filter(|seen| seen.up) {
            None => Some(format!("{}: its replica was not compacted", sight.how_is(replica.node))),
            Some(seen) if seen.compaction_left.is_empty() => None,
            Some(seen) => Some(format!(
                "node {} did not compact all of its replica: {}",
                replica.node, seen.compaction_left
            )),
        }
    };
    partition.replicas.iter().filter_map(words).collect()
}
