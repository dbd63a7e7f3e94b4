//! Room on disks: what is free, less what is still to come.
//!
//! A node reports what is free *now*. A replica that an operation brings takes its room only as it arrives, so until then
//! it is counted here: all of it while the operation waits for its turn, the rest of it while it copies. Nodes that
//! share a disk share what is free there.
//!
//! ```text
//!   node 4 reports 12 MiB free     operation 7: flow/0 to node 4, 8 MiB, of which 3 have arrived
//!                                  operation 8: flow/1 to node 4, 8 MiB, waits for its turn
//!   12 - (8 - 3) - 8 < 0           operation 9 is refused; operation 8 waits as long as any other may that is blocked
//! ```

use std::collections::BTreeMap;

use api::catalog::{NodeRecord, PartitionRecord};
use api::operation::{OperationRecord, OperationState};
use catalog::place::{HOST, label};
use types::{ErrorCode, Fault, NodeId};

use crate::kind::{self, Step};
use crate::sight::{Sight, replica_on};

/// Bytes that are to come, by disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Incoming {
    bytes: BTreeMap<Disk, u64>,
}

/// A disk.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Disk {
    /// A node's own, as far as is known.
    Of(u64),
    /// One of a host, by the number that the host has for it.
    On(String, u64),
}

impl Incoming {
    /// Bytes come to a node.
    pub(crate) fn add(&mut self, sight: &Sight<'_>, node: u64, bytes: u64) {
        *self.bytes.entry(disk(sight, node)).or_default() += bytes;
    }

    /// Whether a node has room for a replica of a partition besides what is to come.
    ///
    /// # Errors
    /// `NoRoom`, with what it needs and what there is. A node that does not say what is free has room.
    pub(crate) fn check(
        &self,
        sight: &Sight<'_>,
        partition: &PartitionRecord,
        node: u64,
    ) -> Result<(), Fault> {
        let free = sight.observed.nodes.get(&NodeId(node)).and_then(|seen| seen.free_bytes);
        let needed = with_slack(sight.bytes(partition.group));
        let coming = self.bytes.get(&disk(sight, node)).copied().unwrap_or(0);
        match free {
            Some(free) if free < needed.saturating_add(coming) => {
                let detail = format!(
                    "{} needs {} MiB, and node {node} has {} MiB free",
                    sight.name(partition),
                    mib(needed),
                    mib(free.saturating_sub(coming))
                );
                let once = match coming {
                    0 => String::new(),
                    _ => format!(" once {} MiB that are to come are there", mib(coming)),
                };
                Err(Fault::new(ErrorCode::NoRoom, format!("{detail}{once}")))
            }
            _ => Ok(()),
        }
    }
}

/// The node that an operation still brings bytes to, and how many.
pub(crate) fn coming(sight: &Sight<'_>, operation: &OperationRecord) -> Option<(u64, u64)> {
    let kind = operation.kind.as_ref().filter(|kind| kind::copies(kind))?;
    let copies = match operation.state() {
        OperationState::Queued => true,
        OperationState::Running => matches!(Step::of(operation), Some(Step::Add | Step::CatchUp)),
        _ => false,
    };
    let partition = operation.group.and_then(|group| sight.partition(group))?;
    let node = kind::target_node(kind).filter(|_| copies && !operation.cancelling)?;
    let made = replica_on(partition, node);
    let arrived = made.and_then(|replica| sight.replica_seen(partition.group, replica.id));
    let arrived = arrived.map_or(0, |seen| seen.bytes);
    Some((node, sight.bytes(partition.group).saturating_sub(arrived)))
}

/// Nodes whose data lies on one disk of one host share it.
fn disk(sight: &Sight<'_>, node: u64) -> Disk {
    let number = sight.observed.nodes.get(&NodeId(node)).map_or(0, |seen| seen.disk);
    let host = |record: &NodeRecord| label(record, HOST).map(str::to_owned);
    match sight.catalog.node(NodeId(node)).and_then(host) {
        Some(host) if number != 0 => Disk::On(host, number),
        _ => Disk::Of(node),
    }
}

/// What a replica takes on a disk while it arrives: its bytes, and a tenth for the log and for tidying up.
fn with_slack(bytes: u64) -> u64 {
    bytes + bytes / 10
}

/// Whole mebibytes, rounded up.
pub(crate) fn mib(bytes: u64) -> u64 {
    bytes.div_ceil(1024 * 1024)
}
