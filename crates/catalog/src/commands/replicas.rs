//! Replicas: what nodes tell of them, and how a lost one is replaced.

use std::collections::{BTreeMap, BTreeSet};

use api::catalog::{
    ClusterRecord, Established, ObservedMembership, PartitionRecord, ReplaceReplica, ReplicaRecord,
};
use api::peer::{Member, Membership};
use types::{Fault, GroupId, NodeId};

use super::{Decision, bad_argument, founders, put_partition, shown};
use crate::Catalog;

/// Replicas exist durably. Those that are no longer wished for are passed over: they were dropped or
/// replaced while the word was under way.
pub(super) fn establish(catalog: &Catalog, cluster: ClusterRecord, established: &Established) -> Decision {
    let mut told: BTreeMap<GroupId, BTreeSet<u64>> = BTreeMap::new();
    for one in &established.replicas {
        told.entry(GroupId(one.group)).or_default().insert(one.replica);
    }
    let mut changes = Vec::new();
    for (group, replicas) in told {
        let Some(partition) = catalog.partition(group) else { continue };
        let news = |replica: &ReplicaRecord| !replica.established && replicas.contains(&replica.id);
        if partition.replicas.iter().any(news) {
            let mut partition = partition.clone();
            for replica in partition.replicas.iter_mut().filter(|replica| news(replica)) {
                replica.established = true;
            }
            partition.may_begin |= founders::are_a_majority(&partition);
            changes.push(put_partition(partition));
        }
    }
    Decision::ok(cluster, changes)
}

/// A leader tells its group's membership, and that it leads. A membership that is not newer than what is
/// known has no effect, and neither has the word of a leader whose term is not later: that is also how the
/// leader that an operation has set stays set until it was elected.
pub(super) fn observe(
    catalog: &Catalog,
    cluster: ClusterRecord,
    observed: &ObservedMembership,
) -> Result<Decision, Fault> {
    let group = GroupId(observed.group);
    let Some(membership) = &observed.membership else {
        return Err(bad_argument(format!("group {group}: no membership was told")));
    };
    let Some(known) = catalog.partition(group) else {
        return known_to_be_gone(&cluster, group);
    };
    check_membership(membership, known.next_replica, group)?;
    if observed.leader >= known.next_replica {
        let detail = format!("group {group}: a leader {} that was never given out", observed.leader);
        return Err(bad_argument(detail));
    }
    // Whoever leads has begun.
    let mut partition = PartitionRecord { may_begin: true, ..known.clone() };
    if known.observed.as_ref().is_none_or(|before| before.epoch < membership.epoch) {
        let mut membership = membership.clone();
        membership.members.sort_by_key(|member| member.replica);
        partition.observed = Some(membership);
    }
    if observed.leader != 0 && observed.term > known.leader_term {
        (partition.leader, partition.leader_term) = (observed.leader, observed.term);
    }
    let changes = if partition == *known { Vec::new() } else { vec![put_partition(partition)] };
    Ok(Decision::ok(cluster, changes))
}

/// Replaces a lost replica by an empty one with a new id on the same node, at the same rank.
///
/// The new one is no founder: it has no vote before it has had a snapshot, so it cannot make up for what
/// the lost one has promised. The lost one leaves the wish, and its id never comes back.
pub(super) fn replace(
    catalog: &Catalog,
    cluster: ClusterRecord,
    replace: &ReplaceReplica,
) -> Result<Decision, Fault> {
    let group = GroupId(replace.group);
    let Some(partition) = catalog.partition(group) else {
        return known_to_be_gone(&cluster, group);
    };
    let Some(rank) = partition.replicas.iter().position(|replica| replica.id == replace.replica) else {
        if (1..partition.next_replica).contains(&replace.replica) {
            return Ok(Decision::ok(cluster, Vec::new()));
        }
        return Err(bad_argument(format!("group {group} never had a replica {}", replace.replica)));
    };
    let lost = partition.replicas[rank];
    if !catalog.mends(group, NodeId(lost.node)) {
        let detail =
            format!("group {group}: with auto_failover=false replica {} is replaced by command", lost.id);
        return Err(bad_argument(detail));
    }
    let (survivors, quorum) = survivors(partition, replace.replica);
    if survivors < quorum {
        let detail = format!(
            "group {group}: without replica {} only {survivors} of the {quorum} voters that decide are known to \
             hold its data ({})",
            replace.replica,
            shown(&replace.reason)
        );
        return Err(bad_argument(detail));
    }
    let mut partition = partition.clone();
    // One that was taken offline by command stays so.
    partition.replicas[rank] =
        ReplicaRecord { id: partition.next_replica, founding: false, established: false, ..lost };
    partition.next_replica += 1;
    partition.route_epoch += 1;
    Ok(Decision::ok(cluster, vec![put_partition(partition)]))
}

/// How many voters besides one are known to hold the group's data, and how many decide. A replica that was
/// only wished for, or is still without a vote, holds nothing yet that anybody may rely on.
///
/// One that an operation lets go counts as long as it is a voter in what a leader told: its group keeps it until the
/// others are a quorum without it, so each would wait for the other for ever. One that was lost is not wished for
/// either, but has its successor on its node.
fn survivors(partition: &PartitionRecord, besides: u64) -> (usize, usize) {
    let membership = partition.observed.as_ref().or(partition.birth.as_ref());
    let voters = || membership.iter().flat_map(|known| &known.members).filter(|member| !member.learner);
    let has_wish_on = |node: u64| partition.replicas.iter().any(|wish| wish.node == node);
    let holds = |voter: &&Member| match partition.replicas.iter().find(|wish| wish.id == voter.replica) {
        Some(wish) => wish.established,
        None => partition.observed.is_some() && !has_wish_on(voter.node),
    };
    let survivors = voters().filter(|voter| voter.replica != besides).filter(holds).count();
    (survivors, voters().count() / 2 + 1)
}

/// Word of a dropped group comes late and means nothing; a group that never was is a mistake.
fn known_to_be_gone(cluster: &ClusterRecord, group: GroupId) -> Result<Decision, Fault> {
    if group.get() < cluster.next_group {
        return Ok(Decision::ok(*cluster, Vec::new()));
    }
    Err(bad_argument(format!("there never was a group {group}")))
}

fn check_membership(membership: &Membership, next_replica: u64, group: GroupId) -> Result<(), Fault> {
    let ids: BTreeSet<u64> = membership.members.iter().map(|member| member.replica).collect();
    let given_out = ids.iter().all(|id| (1..next_replica).contains(id));
    if ids.is_empty() || ids.len() != membership.members.len() || !given_out {
        let detail = format!("group {group}: a membership with replicas that were never given out");
        return Err(bad_argument(detail));
    }
    Ok(())
}
