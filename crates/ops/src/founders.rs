//! Other founders for a group that cannot begin.
//!
//! A table may be made while nodes are down, and its founders are chosen from all nodes. A group begins once a
//! majority of them exists. If so many are on nodes that are down that there will be none, others are chosen from
//! the nodes that are up; the group has nothing yet that could be lost, and the catalog refuses if it has begun
//! meanwhile. So this waits neither for a command in manual mode, nor until fewer nodes look dead.

use api::catalog::{CatalogOp, ChooseFounders, PartitionRecord};
use catalog::status::{NodeState, majority};
use types::NodeId;

use crate::executor::Work;
use crate::plan::target::Ledger;
use crate::sight::Sight;

/// Groups that get other founders in one look at most.
const CHOSEN_AT_ONCE_MAX: usize = 128;

/// Chooses founders for every group that cannot begin with those that it has.
pub(crate) fn choose(sight: &Sight<'_>, work: &mut Work) {
    let waits = |partition: &&PartitionRecord| {
        !partition.may_begin && sight.busy(partition.group).is_none() && !can_begin(sight, partition)
    };
    let mut ledger = None;
    for partition in sight.catalog.partitions().filter(waits).take(CHOSEN_AT_ONCE_MAX) {
        let ledger = ledger.get_or_insert_with(|| Ledger::of(sight));
        let Some(nodes) = others(sight, ledger, partition) else { continue };
        let (group, route_epoch) = (partition.group, partition.route_epoch);
        work.commands.push(CatalogOp::ChooseFounders(ChooseFounders { group, route_epoch, nodes }));
    }
}

/// Whether a majority of the founders exists or may still be made.
fn can_begin(sight: &Sight<'_>, partition: &PartitionRecord) -> bool {
    let able =
        |node: u64| sight.observed.nodes.get(&NodeId(node)).is_some_and(|seen| seen.state != NodeState::Down);
    let founders = partition.replicas.iter().filter(|replica| replica.founding);
    let able = founders.filter(|founder| able(founder.node)).count();
    able >= majority(size(partition))
}

fn size(partition: &PartitionRecord) -> usize {
    partition.birth.as_ref().map_or(0, |birth| birth.members.len())
}

/// As many founders as before: those on nodes that are up stay, in their order; the other places go to nodes that are
/// up, as far as there are any. Nothing, if even that is no majority.
fn others(sight: &Sight<'_>, ledger: &mut Ledger, partition: &PartitionRecord) -> Option<Vec<u64>> {
    let founders = partition.birth.iter().flat_map(|birth| &birth.members).map(|founder| founder.node);
    let (mut nodes, mut away): (Vec<u64>, Vec<u64>) = founders.partition(|node| sight.is_up(*node));
    away.reverse();
    while !away.is_empty() {
        let Ok(node) = ledger.best(sight, partition, None, &nodes) else { break };
        ledger.add(sight, partition.group, node);
        nodes.push(node);
        away.pop();
    }
    let is_majority = nodes.len() >= majority(size(partition));
    nodes.extend(away.into_iter().rev());
    is_majority.then_some(nodes)
}
