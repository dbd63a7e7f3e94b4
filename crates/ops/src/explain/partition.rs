//! Why a partition is as it is.

use api::admin::{Blocker, Explanation};
use api::catalog::{PartitionRecord, ReplicaRecord};
use api::peer::ReplicaState;
use catalog::status::majority;
use types::settings::AUTO_FAILOVER;
use types::{GroupId, NodeId};

use super::{next_commands, unblock_node};
use crate::hints;
use crate::kind;
use crate::safety::partition_tolerance;
use crate::show::state_name;
use crate::sight::{Sight, replica_of};
use crate::top_up::{self, Short};

pub(super) fn explain(sight: &Sight<'_>, group: GroupId) -> Explanation {
    let Some(partition) = sight.catalog.partition(group) else {
        let summary = format!("there is no group {group}");
        return Explanation { summary, facts: Vec::new(), blockers: Vec::new(), next: Vec::new() };
    };
    let mut blockers = in_the_way(sight, partition);
    let (table, index) = (sight.table_name(partition), partition.index);
    let rest = if blockers.is_empty() {
        Vec::new()
    } else if let Some(operation) = sight.busy(group.get()) {
        vec![format!("skein op explain {}", operation.id)]
    } else if sight.has_lost_majority(partition) {
        // The nodes come first: this is for whoever cannot start them any more.
        vec!["skein recover-quorum --plan".into()]
    } else {
        vec![format!("skein partition recover {table} {index}")]
    };
    if let Some(Short { why, unblock }) = top_up::explain(sight, partition) {
        let (table, partition) = (Some(table), Some(index));
        blockers.push(Blocker { table, partition, node: None, why, unblock });
    }
    Explanation {
        summary: summary(sight, partition),
        facts: facts(sight, partition),
        next: next_commands(&blockers, rest),
        blockers,
    }
}

/// What keeps a partition from being as it should, with what would help.
fn in_the_way(sight: &Sight<'_>, partition: &PartitionRecord) -> Vec<Blocker> {
    let replicas = partition.replicas.iter().filter_map(|replica| blocker(sight, partition, replica));
    manual(sight, partition).into_iter().chain(replicas).chain(leaving(sight, partition)).collect()
}

/// What would help an operation on a partition that waits for it to be in order, or for one of its nodes: the node that
/// is in the way, and what to do about it. A node that is down comes first: to start it takes nothing away. Where nothing
/// has to be done, the partition's own explanation says how far it is.
pub(super) fn way_out(
    sight: &Sight<'_>,
    partition: &PartitionRecord,
    node: Option<u64>,
) -> (Option<u64>, String) {
    let helps = |blocker: &Blocker| !blocker.unblock.is_empty() && (node.is_none() || blocker.node == node);
    let is_up = |blocker: &Blocker| blocker.node.is_none_or(|node| sight.is_up(node));
    match in_the_way(sight, partition).into_iter().filter(helps).min_by_key(is_up) {
        Some(found) => (found.node, found.unblock),
        None => (node, hints::explain_partition(sight, partition)),
    }
}

fn summary(sight: &Sight<'_>, partition: &PartitionRecord) -> String {
    let name = sight.name(partition);
    let voters = sight.voters(partition);
    let in_sync = sight.voters_in_sync(partition);
    let needed = majority(voters.len());
    let Some(leader) = sight.seen(partition.group).and_then(|seen| seen.leader) else {
        let able = sight.heirs(partition, 0).len();
        return format!(
            "{name} is not served: it has no leader; {able} of its {} voters can vote, {needed} needed",
            voters.len()
        );
    };
    if in_sync.len() < needed {
        return format!(
            "{name} is not served: {} of its {} voters are in sync, {needed} needed",
            in_sync.len(),
            voters.len()
        );
    }
    match partition_tolerance(&in_sync, voters.len()) {
        0 => format!("{name} is served by node {}; none of its nodes may be lost", leader.node),
        1 => format!("{name} is served by node {}; any one of its nodes may be lost", leader.node),
        many => format!("{name} is served by node {}; any {many} of its nodes may be lost", leader.node),
    }
}

fn facts(sight: &Sight<'_>, partition: &PartitionRecord) -> Vec<String> {
    let group = partition.group;
    let mut facts = Vec::new();
    for (rank, replica) in partition.replicas.iter().enumerate() {
        let role = if sight.leader(group) == Some(replica.id) {
            "leads"
        } else if sight.votes(partition, replica.id) {
            "votes"
        } else {
            "has no vote"
        };
        let sync = if sight.in_sync(group, replica.id) { "in sync" } else { "not in sync" };
        let applied = sight.replica_seen(group, replica.id).map_or(0, |seen| seen.applied);
        facts.push(format!(
            "replica {} on node {}, rank {rank}: {role}, {sync}, applied {applied}",
            replica.id, replica.node
        ));
    }
    let record = replica_of(partition, partition.leader);
    facts.extend(
        record.map(|replica| {
            format!("the leader of record is replica {} on node {}", replica.id, replica.node)
        }),
    );
    facts.push(format!("it has {} bytes", sight.bytes(group)));
    if let Some(operation) = sight.busy(group) {
        let kind = operation.kind.as_ref().map_or("", kind::name);
        facts.push(format!("operation {} ({kind}) on it is {}", operation.id, state_name(operation)));
    }
    facts
}

/// What keeps a replica from being as it should.
fn blocker(sight: &Sight<'_>, partition: &PartitionRecord, replica: &ReplicaRecord) -> Option<Blocker> {
    let group = partition.group;
    let seen = sight.replica_seen(group, replica.id);
    let place = format!("replica {} on node {}", replica.id, replica.node);
    let (table, index) = (sight.table_name(partition), partition.index);
    let recover = format!("skein partition recover {table} {index} --node {}", replica.node);
    let (why, unblock) = if !sight.is_up(replica.node) {
        (sight.how_is(replica.node), unblock_node(sight, replica.node))
    } else if sight.catalog.flags(NodeId(replica.node)).offline {
        (format!("node {} was taken offline", replica.node), unblock_node(sight, replica.node))
    } else if replica.offline {
        (format!("{place} was taken offline"), recover)
    } else if let Some(seen) = seen.filter(|seen| seen.state == ReplicaState::Stopped) {
        (format!("{place} has stopped: {}", seen.detail), recover)
    } else if seen.is_none() && replica.established {
        (format!("{place} is lost"), recover)
    } else if sight.leader(group).is_none() {
        return None;
    } else if !sight.in_sync(group, replica.id) {
        (format!("{place} is catching up"), String::new())
    } else if !sight.votes(partition, replica.id) {
        (format!("{place} has no vote yet"), String::new())
    } else {
        return None;
    };
    Some(Blocker { table: Some(table), partition: Some(index), node: Some(replica.node), why, unblock })
}

/// Members that nobody wishes for any more, and that the group still has.
fn leaving(sight: &Sight<'_>, partition: &PartitionRecord) -> Vec<Blocker> {
    let members = sight.membership(partition).map_or(&[][..], |membership| &membership.members);
    let strays = members.iter().filter(|member| replica_of(partition, member.replica).is_none());
    let blocker = |member: &api::peer::Member| Blocker {
        table: Some(sight.table_name(partition)),
        partition: Some(partition.index),
        node: Some(member.node),
        why: format!("replica {} on node {} is to leave", member.replica, member.node),
        unblock: String::new(),
    };
    strays.map(blocker).collect()
}

/// In manual mode only the leader of record may lead.
fn manual(sight: &Sight<'_>, partition: &PartitionRecord) -> Option<Blocker> {
    let is_manual = sight.catalog.setting(&AUTO_FAILOVER) == 0 && partition.table != 0;
    if !is_manual || sight.leader(partition.group).is_some() {
        return None;
    }
    let (table, index) = (sight.table_name(partition), partition.index);
    Some(Blocker {
        node: replica_of(partition, partition.leader).map(|replica| replica.node),
        why: "auto_failover is false: no other replica takes over without a command".into(),
        unblock: format!("skein partition change-leader {table} {index}"),
        table: Some(table),
        partition: Some(index),
    })
}
