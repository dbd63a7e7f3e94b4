//! Where a new replica goes.
//!
//! Of the nodes that may have it, the one that shares its `dc`, then its `rack`, then its `host` with the
//! fewest of the partition's other replicas, then the one with the least on it, then the lowest id.

use std::collections::BTreeMap;

use api::catalog::{NodeRecord, PartitionRecord};
use api::operation::OperationKind;
use catalog::place::{SPREAD_LABELS, label};
use types::{ErrorCode, Fault, NodeId};

use crate::kind;
use crate::room::{self, Incoming};
use crate::sight::{Sight, replica_on, role_for};

/// An empty replica weighs this much, so that replicas of empty tables are spread as well.
pub(crate) const REPLICA_WEIGHT: u64 = 1024 * 1024;

/// What is on the nodes, and what the plan so far brings to them and takes away.
#[derive(Clone, Default)]
pub(crate) struct Ledger {
    /// Weight by node.
    weight: BTreeMap<u64, u64>,
    incoming: Incoming,
    /// Nodes that flap get nothing either.
    steady_only: bool,
}

impl Ledger {
    /// The cluster as it is wished, with what operations that have not ended bring to it: the catalog's own replicas
    /// are light and not counted.
    pub(crate) fn of(sight: &Sight<'_>) -> Self {
        let mut ledger = Self::default();
        for partition in sight.catalog.partitions().filter(|partition| partition.table != 0) {
            let weight = sight.bytes(partition.group) + REPLICA_WEIGHT;
            for replica in &partition.replicas {
                *ledger.weight.entry(replica.node).or_default() += weight;
            }
        }
        for operation in sight.catalog.operations() {
            let Some((node, bytes)) = room::coming(sight, operation) else { continue };
            ledger.incoming.add(sight, node, bytes);
            // One that has begun is wished for already.
            let partition = operation.group.and_then(|group| sight.partition(group));
            if partition
                .is_some_and(|partition| partition.table != 0 && replica_on(partition, node).is_none())
            {
                *ledger.weight.entry(node).or_default() += bytes + REPLICA_WEIGHT;
            }
        }
        ledger
    }

    /// The same for what the cluster does by itself: nodes that flap get nothing.
    pub(crate) fn of_steady(sight: &Sight<'_>) -> Self {
        Self { steady_only: true, ..Self::of(sight) }
    }

    pub(crate) fn weight(&self, node: u64) -> u64 {
        self.weight.get(&node).copied().unwrap_or(0)
    }

    /// A replica comes to a node.
    pub(crate) fn add(&mut self, sight: &Sight<'_>, group: u64, node: u64) {
        let bytes = sight.bytes(group);
        *self.weight.entry(node).or_default() += bytes + REPLICA_WEIGHT;
        self.incoming.add(sight, node, bytes);
    }

    /// A replica leaves a node.
    pub(crate) fn remove(&mut self, sight: &Sight<'_>, group: u64, node: u64) {
        let weight = self.weight.entry(node).or_default();
        *weight = weight.saturating_sub(sight.bytes(group) + REPLICA_WEIGHT);
    }

    /// The best node for one more replica; `leaving` is a node whose replica goes, and which is not asked.
    /// `taken` gets replicas of this partition by the same plan.
    pub(crate) fn best(
        &self,
        sight: &Sight<'_>,
        partition: &PartitionRecord,
        leaving: Option<u64>,
        taken: &[u64],
    ) -> Result<u64, Fault> {
        let stays: Vec<&NodeRecord> = others(sight, partition, leaving, taken);
        let mut full = None;
        let mut best: Option<([usize; 3], u64, u64)> = None;
        for node in sight.hosts(partition.group) {
            let has = replica_on(partition, node.id).is_some()
                || taken.contains(&node.id)
                || is_to_get(sight, partition, node.id);
            if has || leaving == Some(node.id) {
                continue;
            }
            match self.fits(sight, partition, node) {
                Ok(()) => {
                    let rank = (shared(node, &stays), self.weight(node.id), node.id);
                    best = Some(best.map_or(rank, |known| known.min(rank)));
                }
                Err(fault) if fault.code == ErrorCode::NoRoom => full = Some(fault),
                Err(_) => {}
            }
        }
        match (best, full) {
            (Some((_, _, node)), _) => Ok(node),
            (None, Some(full)) => Err(full),
            (None, None) => {
                let busy = sight.busy(partition.group).map(|other| {
                    let kind = other.kind.as_ref().map_or("", kind::name);
                    format!("; operation {} ({kind}) on it has not ended", other.id)
                });
                let detail = format!(
                    "{} has a replica on every {} node that is up and may get one{}",
                    sight.name(partition),
                    role_for(partition.group).as_str(),
                    busy.unwrap_or_default()
                );
                Err(Fault::new(ErrorCode::NotEnoughNodes, detail))
            }
        }
    }

    /// Whether a node that was named may get a replica.
    pub(crate) fn check(
        &self,
        sight: &Sight<'_>,
        partition: &PartitionRecord,
        node: &NodeRecord,
    ) -> Result<(), Fault> {
        if replica_on(partition, node.id).is_some() {
            let detail = format!("{} on node {}", sight.name(partition), node.id);
            return Err(Fault::new(ErrorCode::AlreadyThere, detail));
        }
        self.fits(sight, partition, node)
    }

    fn fits(&self, sight: &Sight<'_>, partition: &PartitionRecord, node: &NodeRecord) -> Result<(), Fault> {
        let unfit = |why: String| Err(Fault::new(ErrorCode::NodeUnfit, why));
        let role = role_for(partition.group);
        if !role.of(node) {
            return unfit(format!("node {} does not have the role '{}'", node.id, role.as_str()));
        }
        if !sight.is_up(node.id) {
            return unfit(sight.how_is(node.id));
        }
        let flags = sight.catalog.flags(NodeId(node.id));
        if flags.leaving || flags.offline {
            let how = if flags.leaving { "is to leave the cluster" } else { "was taken offline" };
            return unfit(format!("node {} {how}", node.id));
        }
        if self.steady_only && sight.flaps(node.id) {
            return unfit(format!("node {} ends and begins anew time after time", node.id));
        }
        self.incoming.check(sight, partition, node.id)
    }
}

/// Whether an operation that has not ended brings a replica of a partition to a node.
fn is_to_get(sight: &Sight<'_>, partition: &PartitionRecord, node: u64) -> bool {
    let brings = |kind: &OperationKind| kind::copies(kind) && kind::target_node(kind) == Some(node);
    sight.under_way(partition.group).any(|known| known.kind.as_ref().is_some_and(brings))
}

fn others<'a>(
    sight: &Sight<'a>,
    partition: &PartitionRecord,
    leaving: Option<u64>,
    taken: &[u64],
) -> Vec<&'a NodeRecord> {
    let nodes = partition.replicas.iter().map(|replica| replica.node).chain(taken.iter().copied());
    nodes.filter(|node| leaving != Some(*node)).filter_map(|node| sight.catalog.node(NodeId(node))).collect()
}

/// How many of some nodes are in the same place as one, at each level. Rack 1 of one data centre is not rack
/// 1 of another.
fn shared(node: &NodeRecord, others: &[&NodeRecord]) -> [usize; 3] {
    std::array::from_fn(|level| {
        let place = |node: &NodeRecord| {
            SPREAD_LABELS[..=level].iter().map(|name| value(node, name)).collect::<Vec<_>>()
        };
        let own = place(node);
        others.iter().filter(|other| place(other) == own).count()
    })
}

/// Whether a replica on `to` instead of `from` would lie closer to the others than it does now.
pub(crate) fn lies_closer(
    sight: &Sight<'_>,
    partition: &PartitionRecord,
    from: u64,
    to: &NodeRecord,
) -> bool {
    let Some(from) = sight.catalog.node(NodeId(from)) else { return false };
    let others = others(sight, partition, Some(from.id), &[]);
    shared(to, &others) > shared(from, &others)
}

/// A warning about a node that was named although it lies close to another replica.
pub(crate) fn closeness(
    sight: &Sight<'_>,
    partition: &PartitionRecord,
    leaving: Option<u64>,
    node: &NodeRecord,
) -> Option<String> {
    let others = others(sight, partition, leaving, &[]);
    let (label, shared, other) = SPREAD_LABELS.iter().rev().find_map(|name| {
        let own = value(node, name)?;
        let other = others.iter().find(|other| value(other, name).as_ref() == Some(&own))?;
        Some((name, own, other.id))
    })?;
    // Sharing is only worth a word where somebody does not.
    let elsewhere = sight.hosts(partition.group).any(|host| value(host, label).as_ref() != Some(&shared));
    elsewhere.then(|| {
        format!(
            "{} would have replicas on nodes {other} and {} of the same {label} {shared}",
            sight.name(partition),
            node.id
        )
    })
}

fn value(node: &NodeRecord, name: &str) -> Option<String> {
    label(node, name).map(str::to_owned)
}
