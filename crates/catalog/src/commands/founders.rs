//! How a group begins, and how it gets other founders as long as it has not.
//!
//! Founders are chosen when a table is made, from all nodes: some may be down, and never come back. A founder that was
//! never made cannot be replaced as a lost replica is, because nobody can send it a snapshot; and nobody can say
//! of a silent node that it has made none. So the catalog decides when a group begins:
//!
//! ```text
//!   chosen ──► a majority of the founders is told to exist ──► may_begin: elections, acknowledgements
//!     ▲   │
//!     └───┘ others are chosen: new ids, a new membership at birth of the next epoch    never after may_begin
//! ```
//!
//! Of the two arrows one comes first in the catalog's log. If it is `may_begin`, no others are chosen. If others are
//! chosen, no copy of the catalog will ever say that the first ones may begin, so whoever of them is made later, on a
//! node that comes back with an old copy, elects nobody; and what nobody leads has acknowledged nothing.

use api::catalog::{ChooseFounders, ClusterRecord, PartitionRecord};
use types::{ErrorCode, Fault, GroupId, NodeId};

use super::tables::{founder, founding_membership};
use super::{Decision, bad_argument, put_partition};
use crate::Catalog;
use crate::role::Role;

/// Whether a majority of a group's founders is known to exist.
pub(super) fn are_a_majority(partition: &PartitionRecord) -> bool {
    let founders = partition.birth.iter().flat_map(|birth| &birth.members);
    let exist = partition.replicas.iter().filter(|replica| replica.founding && replica.established).count();
    exist > founders.count() / 2
}

/// Chooses other founders for a group that has not begun.
pub(super) fn choose(
    catalog: &Catalog,
    cluster: ClusterRecord,
    chosen: &ChooseFounders,
) -> Result<Decision, Fault> {
    let group = GroupId(chosen.group);
    let Some(known) = catalog.partition(group) else {
        return Err(bad_argument(format!("there is no group {group}")));
    };
    if known.may_begin {
        return Err(Fault::new(ErrorCode::Unsafe, format!("group {group} has begun with its founders")));
    }
    if known.route_epoch != chosen.route_epoch {
        return Err(Fault::new(ErrorCode::PlanOutdated, format!("group {group} has changed since")));
    }
    let nodes: Vec<NodeId> = chosen.nodes.iter().copied().map(NodeId).collect();
    let (epoch, count) = known.birth.as_ref().map_or((0, 0), |birth| (birth.epoch, birth.members.len()));
    let twice = |at: usize| nodes[..at].contains(&nodes[at]);
    let stores_data = |node: &NodeId| catalog.nodes.get(node).is_some_and(|record| Role::Data.of(record));
    if nodes.len() != count || (0..nodes.len()).any(twice) || !nodes.iter().all(stores_data) {
        let detail = format!("group {group} has {count} founders, each on a data node of its own");
        return Err(bad_argument(detail));
    }
    let birth = founding_membership(&nodes, known.next_replica, epoch + 1);
    let partition = PartitionRecord {
        replicas: birth.members.iter().map(founder).collect(),
        next_replica: known.next_replica + count as u64,
        route_epoch: known.route_epoch + 1,
        leader: 0,
        birth: Some(birth),
        ..known.clone()
    };
    Ok(Decision::ok(cluster, vec![put_partition(partition)]))
}
