//! What may go without harm: the arithmetic of majorities, applied to what was seen.
//!
//! A partition goes on as long as a majority of its voters is in sync. To take a vote away, the group must
//! first agree on it, which takes the majority of now; afterwards it needs the majority of what is left.

use std::collections::BTreeSet;

use api::catalog::PartitionRecord;
use api::peer::Member;
use catalog::mutant;
use catalog::status::{majority, tolerance};
use types::NodeId;

use crate::permits::is_over;

use crate::sight::Sight;

/// Whether a replica's vote may go now; the error is a sentence about what is in the way.
pub(crate) fn may_lose_vote(
    sight: &Sight<'_>,
    partition: &PartitionRecord,
    replica: u64,
) -> Result<(), String> {
    if mutant!(LastVoterOffline) {
        return Ok(());
    }
    let name = sight.name(partition);
    if sight.leader(partition.group).is_none() {
        return Err(format!("{name} has no leader{}", missing(sight, partition, &BTreeSet::new())));
    }
    let voters = sight.voters(partition);
    if !voters.iter().any(|voter| voter.replica == replica) {
        return Ok(());
    }
    let others: Vec<_> = voters.iter().filter(|voter| voter.replica != replica).collect();
    let good = others
        .iter()
        .filter(|voter| sight.in_sync(partition.group, voter.replica) && sight.is_up(voter.node))
        .filter(|voter| !may_be_stopped(sight, voter.node));
    let good = good.count();
    if others.is_empty() || good == 0 {
        return Err(format!("{name} has no other replica in sync with a vote"));
    }
    let needed = majority(others.len());
    if good < needed {
        let without =
            voters.iter().filter(|voter| voter.replica == replica).map(|voter| voter.node).collect();
        let why = missing(sight, partition, &without);
        return Err(format!(
            "{name} would have {good} of {} voters in sync, {needed} needed{why}",
            others.len()
        ));
    }
    Ok(())
}

/// The first node of a partition's voters that keeps one of them from losing its vote: it is not up, may be stopped at
/// any moment, or its replica is not in sync.
pub(crate) fn in_the_way(sight: &Sight<'_>, partition: &PartitionRecord, replica: u64) -> Option<u64> {
    let lacks = |voter: &&Member| {
        let in_sync = sight.in_sync(partition.group, voter.replica);
        !sight.is_up(voter.node) || may_be_stopped(sight, voter.node) || !in_sync
    };
    let others = sight.voters(partition).into_iter().filter(|voter| voter.replica != replica);
    others.into_iter().find(lacks).map(|voter| voter.node)
}

/// `: node 3 is down, replica 2 on node 4 is catching up`; the voters of other nodes that are not in sync.
fn missing(sight: &Sight<'_>, partition: &PartitionRecord, without: &BTreeSet<u64>) -> String {
    let lacking: Vec<String> = sight
        .voters(partition)
        .into_iter()
        .filter(|voter| !without.contains(&voter.node))
        .filter_map(|voter| {
            if !sight.is_up(voter.node) {
                Some(sight.how_is(voter.node))
            } else if may_be_stopped(sight, voter.node) {
                Some(format!("node {} has a permit to stop", voter.node))
            } else if sight.leader(partition.group).is_some()
                && !sight.in_sync(partition.group, voter.replica)
            {
                Some(format!("replica {} on node {} is catching up", voter.replica, voter.node))
            } else {
                None
            }
        })
        .collect();
    if lacking.is_empty() { String::new() } else { format!(": {}", lacking.join(", ")) }
}

/// Whether somebody has the right to stop a node at any moment.
pub(crate) fn may_be_stopped(sight: &Sight<'_>, node: u64) -> bool {
    sight.catalog.permit(NodeId(node)).is_some_and(|permit| !is_over(sight, permit))
}

/// What a partition would lose if a node stopped.
pub(crate) struct Harm<'a> {
    pub(crate) partition: &'a PartitionRecord,
    /// In a sentence without an end.
    pub(crate) why: String,
    /// The first node that is in the way; none if the partition has no other voter at all.
    pub(crate) node: Option<u64>,
}

/// What a partition would lose if a node stopped while others count as down; nothing is well.
///
/// Who votes may change before the node has stopped: whoever is wished for may have its vote by then, and whoever
/// is not may have lost it. The answer holds on the whole way.
pub(crate) fn harm_of_stop<'a>(
    sight: &Sight<'a>,
    partition: &'a PartitionRecord,
    node: NodeId,
    down: &BTreeSet<NodeId>,
) -> Option<Harm<'a>> {
    let now: BTreeSet<Voter> = sight.voters(partition).into_iter().map(Voter::of).collect();
    let wished = partition.replicas.iter().filter(|replica| !replica.offline);
    let wished: BTreeSet<Voter> = wished.map(|replica| (replica.id, replica.node)).map(Voter::from).collect();
    let between = &now | &wished;
    [&now, &between, &wished]
        .into_iter()
        .find_map(|voters| harm_to(sight, partition, (node, down), voters, &now))
}

/// Somebody with a vote.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Voter {
    replica: u64,
    node: u64,
}

impl Voter {
    fn of(member: &Member) -> Self {
        Self { replica: member.replica, node: member.node }
    }
}

impl From<(u64, u64)> for Voter {
    fn from((replica, node): (u64, u64)) -> Self {
        Self { replica, node }
    }
}

/// The same for a set of voters. One that has no vote `now` is in sync when it gets it.
fn harm_to<'a>(
    sight: &Sight<'a>,
    partition: &'a PartitionRecord,
    (node, down): (NodeId, &BTreeSet<NodeId>),
    voters: &BTreeSet<Voter>,
    now: &BTreeSet<Voter>,
) -> Option<Harm<'a>> {
    if !voters.iter().any(|voter| voter.node == node.get()) {
        return None;
    }
    let name = sight.name(partition);
    let harm = |why: String, node: Option<u64>| Some(Harm { partition, why, node });
    if voters.len() == 1 {
        return harm(format!("{name} has its only voter on node {node}"), None);
    }
    if sight.leader(partition.group).is_none() {
        let why = format!("{name} has no leader{}", missing(sight, partition, &BTreeSet::new()));
        let gone = voters.iter().map(|voter| voter.node).find(|other| !sight.is_up(*other));
        return harm(why, gone.or(Some(node.get())));
    }
    let others: Vec<&Voter> = voters.iter().filter(|voter| voter.node != node.get()).collect();
    let in_the_way = |voter: &&Voter| {
        if !sight.is_up(voter.node) {
            Some((voter.node, sight.how_is(voter.node)))
        } else if down.contains(&NodeId(voter.node)) {
            Some((voter.node, format!("node {} has a permit to stop", voter.node)))
        } else if !sight.in_sync(partition.group, voter.replica) && now.contains(voter) {
            let place = format!("replica {} on node {}", voter.replica, voter.node);
            Some((voter.node, format!("{place} is catching up")))
        } else {
            None
        }
    };
    let in_the_way: Vec<(u64, String)> = others.iter().filter_map(in_the_way).collect();
    let (left, needed) = (others.len() - in_the_way.len(), majority(voters.len()));
    if left >= needed {
        // A majority of three and more is a leader and one more: the redundancy that must remain.
        return None;
    }
    let why = format!("{name} would have {left} of {} voters in sync, {needed} needed", voters.len());
    let first = in_the_way.first().map_or(node.get(), |(node, _)| *node);
    let because: Vec<String> = in_the_way.into_iter().map(|(_, why)| why).collect();
    let because = if because.is_empty() { String::new() } else { format!(": {}", because.join(", ")) };
    harm(format!("{why}{because}"), Some(first))
}

/// How many nodes, whichever they are, a partition can lose; 0 if it is not served.
pub(crate) fn partition_tolerance(voters_in_sync: &BTreeSet<u64>, voters: usize) -> u32 {
    tolerance(&voters_in_sync.iter().copied().collect::<Vec<_>>(), voters)
}
