//! What an operation costs: bytes over the network, time, and fault tolerance on the way.

use std::collections::{BTreeMap, BTreeSet};

use api::admin::PlannedPart;
use api::operation::OperationKind;
use types::settings::{MOVE_BYTES_PER_SECOND, MOVES_PER_NODE};

use crate::kind;
use crate::safety::partition_tolerance;
use crate::sight::{Sight, replica_on};

/// Bytes per second that a copy is expected to reach where no limit is set; measured between local nodes.
const UNLIMITED_BYTES_PER_SECOND: u64 = 100 * 1024 * 1024;

/// What it costs.
pub(super) struct Cost {
    pub(super) bytes: u64,
    pub(super) seconds: u64,
    pub(super) lowest_fault_tolerance: u32,
}

pub(super) fn of(sight: &Sight<'_>, parts: &[OperationKind], parent: Option<&OperationKind>) -> Cost {
    Cost {
        bytes: parts.iter().map(|kind| bytes(sight, kind)).sum(),
        seconds: seconds(sight, parts),
        lowest_fault_tolerance: lowest_fault_tolerance(sight, parts, parent),
    }
}

/// Bytes that a backup or a restore writes, and how long that takes: all nodes write at once, and a limit is for all of them.
pub(super) fn of_saving(shown: &[PlannedPart], parent: Option<&OperationKind>) -> (u64, u64) {
    let bytes = shown.iter().map(|part| part.bytes).sum();
    let limit = match parent {
        Some(OperationKind::Backup(wish)) if wish.bytes_per_second > 0 => wish.bytes_per_second,
        Some(OperationKind::Restore(wish)) if wish.bytes_per_second > 0 => wish.bytes_per_second,
        _ => UNLIMITED_BYTES_PER_SECOND,
    };
    (bytes, u64::div_ceil(bytes, limit).max(1))
}

/// Bytes that an operation on a partition sends.
pub(crate) fn bytes(sight: &Sight<'_>, kind: &OperationKind) -> u64 {
    if kind::copies(kind) { kind::group(kind).map_or(0, |group| sight.bytes(group)) } else { 0 }
}

/// The busiest node decides: what it sends or gets, and a second for each operation of its queue.
fn seconds(sight: &Sight<'_>, parts: &[OperationKind]) -> u64 {
    let rate = match sight.catalog.setting(&MOVE_BYTES_PER_SECOND) {
        0 => UNLIMITED_BYTES_PER_SECOND,
        limit => limit,
    };
    let at_once = sight.catalog.setting(&MOVES_PER_NODE).max(1);
    let mut load: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for kind in parts.iter().filter(|kind| kind::copies(kind)) {
        let sender = kind::group(kind).and_then(|group| sight.leader_node(group)).map(|node| node.get());
        for node in sender.into_iter().chain(kind::target_node(kind)).collect::<BTreeSet<_>>() {
            let (sent, moves) = load.entry(node).or_default();
            *sent += bytes(sight, kind);
            *moves += 1;
        }
    }
    let copying = load.values().map(|(sent, moves)| sent.div_ceil(rate) + moves.div_ceil(at_once)).max();
    copying.unwrap_or(0).max(u64::from(!parts.is_empty()))
}

/// Voters of a partition on the way, and those of them that are in sync, by node.
struct Voters {
    all: BTreeSet<u64>,
    in_sync: BTreeSet<u64>,
}

impl Voters {
    fn of(sight: &Sight<'_>, group: u64) -> Option<Self> {
        let partition = sight.partition(group)?;
        let all = sight.voters(partition).into_iter().map(|voter| voter.node).collect();
        let led = sight.leader(group).is_some();
        let in_sync = if led { sight.voters_in_sync(partition) } else { BTreeSet::new() };
        Some(Self { all, in_sync })
    }

    fn add(&mut self, node: u64) {
        self.all.insert(node);
        self.in_sync.insert(node);
    }

    fn remove(&mut self, node: u64) {
        self.all.remove(&node);
        self.in_sync.remove(&node);
    }

    fn tolerance(&self) -> u32 {
        partition_tolerance(&self.in_sync, self.all.len())
    }
}

/// The lowest fault tolerance of any partition at any moment, provided that nothing else happens.
fn lowest_fault_tolerance(sight: &Sight<'_>, parts: &[OperationKind], parent: Option<&OperationKind>) -> u32 {
    let groups = sight.catalog.partitions().map(|partition| partition.group);
    let mut voters: BTreeMap<u64, Voters> =
        groups.filter_map(|group| Some((group, Voters::of(sight, group)?))).collect();
    let mut lowest = voters.values().map(Voters::tolerance).min().unwrap_or(0);
    for kind in parts {
        let Some(group) = kind::group(kind) else { continue };
        let Some(voters) = voters.get_mut(&group) else { continue };
        if let (true, Some(node)) = (kind::copies(kind), kind::target_node(kind)) {
            voters.add(node);
            lowest = lowest.min(voters.tolerance());
        }
        if let Some(node) = kind::source_node(kind, parent) {
            voters.remove(node);
            lowest = lowest.min(voters.tolerance());
        }
        if let OperationKind::RecoverReplica(at) = kind
            && sight.partition(group).is_some_and(|partition| replica_on(partition, at.node).is_some())
        {
            voters.add(at.node);
        }
    }
    lowest
}
