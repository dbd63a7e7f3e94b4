//! When the faults have stopped, everything becomes well: each group has its wished members and a
//! leader, and all replicas have applied what is committed.

use std::sync::Arc;

use catalog::Catalog;
use replication::group::Group;
use types::{GroupId, NodeId, ReplicaId};

use super::memberships::shown;
use crate::process::Process;
use crate::world::Node;

/// Whether everything is well.
///
/// # Errors
/// What is not, in words.
pub fn check(nodes: &[Node]) -> Result<(), String> {
    let catalog = newest_catalog(nodes)?;
    for (place, node) in nodes.iter().enumerate() {
        if let Some(process) = &node.process
            && process.catalog().version() != catalog.version()
        {
            let (has, newest) = (process.catalog().version(), catalog.version());
            return Err(format!("node {} has catalog {has}, the newest is {newest}", place + 1));
        }
    }
    check_groups(nodes, &catalog, true)
}

/// The same, but replicas may lag: everybody is where it should be.
///
/// # Errors
/// Who is not, in words.
pub fn check_places(nodes: &[Node]) -> Result<(), String> {
    check_groups(nodes, &*newest_catalog(nodes)?, false)
}

fn newest_catalog(nodes: &[Node]) -> Result<Arc<Catalog>, String> {
    let down = nodes.iter().position(|node| node.process.is_none() && node.is_there());
    if let Some(place) = down {
        return Err(format!("node {} does not run", place + 1));
    }
    let all = nodes.iter().filter_map(|node| node.process.as_ref()).map(|process| process.catalog());
    let newest = all.max_by_key(|catalog| catalog.version()).ok_or("no node runs")?;
    if newest.cluster().is_none() {
        return Err("there is no catalog".into());
    }
    Ok(newest)
}

fn check_groups(nodes: &[Node], catalog: &Catalog, all_applied: bool) -> Result<(), String> {
    let mut groups = catalog.partitions().map(|partition| GroupId(partition.group));
    groups.try_for_each(|group| check_group(nodes, catalog, group, all_applied))
}

fn check_group(nodes: &[Node], catalog: &Catalog, group: GroupId, all_applied: bool) -> Result<(), String> {
    let wish = catalog.wish(group).ok_or_else(|| format!("group {group} is gone"))?;
    let Some((process, leader)) = leader_of(nodes, group) else {
        return Err(format!("group {group} has no leader"));
    };
    let membership = process.applier(group).map(|applier| applier.membership().clone()).unwrap_or_default();
    let members: Vec<(ReplicaId, NodeId, bool)> = membership
        .members
        .iter()
        .map(|member| (member.replica.into(), member.node.into(), member.learner))
        .collect();
    let shall = |(replica, node): (&ReplicaId, &NodeId)| (*replica, *node, wish.learners.contains(replica));
    if members != wish.replicas.iter().map(shall).collect::<Vec<_>>() {
        let wished: Vec<String> =
            wish.replicas.iter().map(|(replica, node)| format!("{replica}@{node}")).collect();
        return Err(format!("group {group} is {}, should be {}", shown(&membership), wished.join(" ")));
    }
    for (replica, node) in wish.replicas {
        let place = node.get() as usize - 1;
        if nodes[place].lost {
            continue;
        }
        let process = nodes[place].process.as_ref();
        let running =
            process.and_then(|process| Some((process.worker().group(group)?, process.applier(group)?)));
        let Some((running, applier)) = running.filter(|(running, _)| running.replica() == replica) else {
            return Err(format!("replica {replica} of group {group} does not run on node {node}"));
        };
        let applied = applier.applied().index.get();
        if all_applied && (running.commit() != leader.commit() || applied != leader.commit()) {
            let detail = format!(
                "applied {applied} of commit {}, the leader's is {}",
                running.commit(),
                leader.commit()
            );
            return Err(format!("replica {replica} of group {group} on node {node} has {detail}"));
        }
    }
    Ok(())
}

/// The process that leads a group in the latest term, and its replica.
fn leader_of(nodes: &[Node], group: GroupId) -> Option<(&Process, &Group)> {
    let processes = nodes.iter().filter_map(|node| node.process.as_ref());
    processes
        .filter_map(|process| Some((process, process.worker().group(group)?)))
        .filter(|(_, running)| running.leads())
        .max_by_key(|(_, running)| running.term())
}

/// Whether every group on a node has a majority without it, and three voters at the least. Its leader knows who votes;
/// the catalog hears of a vote that went only a moment later.
pub fn can_do_without(nodes: &[Node], place: usize) -> bool {
    let Ok(catalog) = newest_catalog(nodes) else { return false };
    let mut partitions = catalog.partitions();
    partitions.all(|partition| {
        let Some((leader, _)) = leader_of(nodes, GroupId(partition.group)) else { return false };
        let Some(applier) = leader.applier(GroupId(partition.group)) else { return false };
        let voters = || applier.membership().members.iter().filter(|member| !member.learner);
        voters().count() >= 3 || voters().all(|voter| voter.node != place as u64 + 1)
    })
}

/// At the end: all replicas of a group, which stand at one position, have one digest.
///
/// # Errors
/// Two that differ, in words.
pub fn replicas_equal(nodes: &[Node]) -> Result<(), String> {
    let mut known = std::collections::BTreeMap::new();
    for (place, node) in nodes.iter().enumerate() {
        let Some(process) = &node.process else { continue };
        for group in process.replicas().into_keys() {
            let Some(applier) = process.applier(group) else { continue };
            let index = applier.applied().index;
            let digest = applier.state().digest(applier.hlc()).and_then(|work| work());
            let digest = digest.map_err(|error| format!("node {}: group {group}: {error}", place + 1))?;
            let (first, there) = *known.entry((group, index)).or_insert((digest, place));
            if first != digest {
                let (a, b) = (there + 1, place + 1);
                return Err(format!(
                    "group {group} at {index}: node {a} has {first:?}, node {b} has {digest:?}"
                ));
            }
        }
    }
    Ok(())
}
