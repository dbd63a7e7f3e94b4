//! Permits: may a node be stopped now?
//!
//! A node may be stopped if every partition keeps a majority of its voters in sync without it. Of three voters
//! and more that is a leader and at least one more, so no redundancy that matters is lost either. Counted as
//! gone are, besides the node itself:
//!
//! - nodes that are suspect or down;
//! - nodes with a permit, whether they have stopped yet or not;
//! - nodes whose permit has expired, until they were seen healthy after it: whoever took the permit may still
//!   be about to stop the node, or has stopped it for longer than it said.
//!
//! A partition with one voter, and with it a cluster of one node, cannot do without it: there the answer is
//! always no, and whoever wants to stop the node anyway stops the cluster, or moves the partition first. A node
//! that is down already may be stopped: that changes nothing.

use std::collections::BTreeSet;

use api::admin::{Permit, PermitRelease, PermitRequest};
use api::catalog::PartitionRecord;
use api::operation::{ExpectedPartition, PermitChange, PermitRecord};
use catalog::status::NodeState;
use catalog::{Catalog, mutant};
use types::limits::PERMIT_MAX;
use types::{ErrorCode, Fault, NodeId};

use crate::Observed;
use crate::safety::{Harm, harm_of_stop};
use crate::sight::{Sight, count};

/// How long a permit holds when nothing is said, in seconds.
const SECONDS_DEFAULT: u64 = 60;
/// Who holds a permit when nobody says who.
const HOLDER_DEFAULT: &str = "admin";
/// So many partitions are named in a refusal.
const NAMED_MAX: usize = 4;

/// Whether a node may be stopped now; if so, the command that grants it, and the permit. The command is
/// refused if another permit was granted since.
///
/// # Errors
/// `no-permit` with the partitions and nodes that are in the way.
pub fn may_stop(
    catalog: &Catalog,
    observed: &Observed,
    node: NodeId,
    wish: &PermitRequest,
) -> Result<(PermitChange, Permit), Fault> {
    let sight = Sight::new(catalog, observed);
    if catalog.node(node).is_none() {
        return Err(Fault::new(ErrorCode::UnknownNode, format!("node {node}")));
    }
    let seconds = wish.seconds.unwrap_or(SECONDS_DEFAULT);
    if !(1..=PERMIT_MAX.as_secs()).contains(&seconds) {
        let detail = format!("a permit is for 1 to {} seconds, not {seconds}", PERMIT_MAX.as_secs());
        return Err(Fault::new(ErrorCode::BadArgument, detail));
    }
    let harms: Vec<String> = harms(&sight, node).into_iter().map(|harm| harm.why).collect();
    if !harms.is_empty() {
        let named = harms[..harms.len().min(NAMED_MAX)].join("; ");
        let more = match harms.len().saturating_sub(NAMED_MAX) {
            0 => String::new(),
            more => format!("; and {more} more partitions"),
        };
        let detail = format!("without node {node} {named}{more}");
        return Err(Fault::new(ErrorCode::NoPermit, detail));
    }
    let holder = wish.holder.clone().unwrap_or_else(|| HOLDER_DEFAULT.into());
    let held = catalog.permit(node);
    let is_held = |permit: &&PermitRecord| observed.wall_ms < permit.until_ms;
    if let Some(permit) = held.filter(is_held).filter(|permit| permit.holder != holder) {
        return Err(Fault::new(ErrorCode::NoPermit, held_by(permit, observed.wall_ms)));
    }
    // Whoever asks again may still do what was asked for before.
    let before = held.filter(is_held).map_or(0, |permit| permit.until_ms);
    let until_ms = observed.wall_ms.saturating_add(seconds * 1000).max(before);
    let grant =
        PermitRecord { node: node.get(), holder: holder.clone(), granted_ms: observed.wall_ms, until_ms };
    let seen = catalog.permits().map(|permit| permit.node).filter(|other| *other != node.get()).collect();
    let expected = |partition: &PartitionRecord| ExpectedPartition {
        group: partition.group,
        route_epoch: partition.route_epoch,
    };
    let expect = catalog.partitions().map(expected).collect();
    let change = PermitChange {
        grant: (!wish.only_ask).then_some(grant),
        seen,
        expect,
        holder: held.map(|permit| permit.holder.clone()).unwrap_or_default(),
        ..Default::default()
    };
    let until_ms = if wish.only_ask { 0 } else { until_ms };
    Ok((change, Permit { node: node.get(), holder, until_ms, notes: notes(&sight, node) }))
}

/// `bob holds the right to stop node 2 for 40 s more`.
fn held_by(permit: &PermitRecord, wall_ms: u64) -> String {
    let left = permit.until_ms.saturating_sub(wall_ms).div_ceil(1000);
    format!("{} holds the right to stop node {} for {left} s more", permit.holder, permit.node)
}

/// The command that gives back the right to stop a node.
///
/// # Errors
/// `no-permit` if another holds it.
pub fn give_back(
    catalog: &Catalog,
    node: NodeId,
    wish: &PermitRelease,
) -> Result<Option<PermitChange>, Fault> {
    if catalog.node(node).is_none() {
        return Err(Fault::new(ErrorCode::UnknownNode, format!("node {node}")));
    }
    let Some(permit) = catalog.permit(node) else { return Ok(None) };
    let holder = wish.holder.as_deref().unwrap_or(HOLDER_DEFAULT);
    if permit.holder != holder {
        let detail = format!("{} holds the right to stop node {node}, not {holder}", permit.holder);
        return Err(Fault::new(ErrorCode::NoPermit, detail));
    }
    let change = PermitChange { release: node.get(), holder: holder.into(), ..Default::default() };
    Ok(Some(change))
}

/// What partitions would lose if the node stopped now; nothing if it is down already.
pub(crate) fn harms<'a>(sight: &Sight<'a>, node: NodeId) -> Vec<Harm<'a>> {
    if sight.observed.state(node) == NodeState::Down {
        return Vec::new();
    }
    let gone = counted_as_gone(sight, node);
    sight.catalog.partitions().filter_map(|partition| harm_of_stop(sight, partition, node, &gone)).collect()
}

/// Nodes on which a permit question does not count, the asked one aside.
fn counted_as_gone(sight: &Sight<'_>, node: NodeId) -> BTreeSet<NodeId> {
    let counts = |permit: &&PermitRecord| !is_over(sight, permit) && !mutant!(PermitIgnoresHolders);
    let permits = sight.catalog.permits().filter(counts);
    let holders = permits.map(|permit| NodeId(permit.node));
    holders.chain(sight.missing_nodes()).filter(|other| *other != node).collect()
}

/// Whether a permit's time has passed, and its node was seen healthy after it.
pub(crate) fn is_over(sight: &Sight<'_>, permit: &PermitRecord) -> bool {
    sight.observed.wall_ms >= permit.until_ms && is_healthy(sight, NodeId(permit.node))
}

/// It is up, and every vote that it has counts.
fn is_healthy(sight: &Sight<'_>, node: NodeId) -> bool {
    sight.observed.is_up(node)
        && sight.catalog.partitions().all(|partition| {
            let voters = sight.voters(partition);
            let own = voters.iter().find(|voter| voter.node == node.get());
            own.is_none_or(|voter| sight.in_sync(partition.group, voter.replica))
        })
}

/// What would be worse while the node is stopped.
fn notes(sight: &Sight<'_>, node: NodeId) -> Vec<String> {
    let mut notes = Vec::new();
    let leads = |group: u64| sight.leader_node(group) == Some(node);
    let led = sight.catalog.partitions().filter(|partition| leads(partition.group)).count();
    if led > 0 {
        notes.push(format!(
            "node {node} leads {}: each elects another leader in about a second; 'skein node drain {node}' \
             moves them first",
            count(led, "partition")
        ));
    }
    let votes = |partition: &&api::catalog::PartitionRecord| {
        sight.voters(partition).iter().any(|voter| voter.node == node.get())
    };
    let fewer = sight.catalog.partitions().filter(votes).count();
    if fewer > 0 {
        let have = if fewer == 1 { "has" } else { "have" };
        notes.push(format!("{} {have} one replica in sync less", count(fewer, "partition")));
    }
    notes
}
