//! `evidence`: the replicas are equal, and it is shown.
//!
//! The leader proposes a digest, and every replica hashes its records as of that entry. Replicas of nodes that
//! are down are not waited for, but the operation's own is, whatever happens to its node.

use api::catalog::PartitionRecord;
use api::operation::{DigestRecord, EvidenceRecord};
use api::peer::ReplicaState;
use catalog::mutant;
use types::{ErrorCode, LogIndex, ReplicaId};

use super::{Doing, Look, Outcome, Wait, needs_leader};
use crate::executor::Directive;
use crate::kind;
use crate::sight::replica_on;

pub(super) fn look(doing: &Doing<'_>, partition: &PartitionRecord) -> Look {
    if mutant!(EvidenceIgnored) || mutant!(RemovedBeforeCaughtUp) {
        return Look::done();
    }
    let sight = doing.sight;
    let name = sight.name(partition);
    let Some(own) = replica_on(partition, kind::target_node(doing.kind).unwrap_or(0)) else {
        return Look::failed(ErrorCode::NotThere, format!("{name}: the replica has gone"));
    };
    if let Err(wait) = needs_leader(sight, partition) {
        return Look::waits(wait);
    }
    let asked = doing.memory.digest(doing.operation.id);
    let Some(index) = asked else {
        let why = format!("the leader of {name} has to begin a digest");
        let wait = Wait::blocked(why, sight.leader_node(partition.group).map(|node| node.get()));
        return ask(doing, partition, wait);
    };
    let (digests, missing) = compared(doing, partition, own.id, index);
    if let Some(node) = missing {
        let wait = if sight.is_up(node) {
            let why = format!("node {node} is hashing its replica of {name}");
            let replicas = sight.seen(partition.group).into_iter().flat_map(|seen| seen.replicas.values());
            let hashed: u64 = replicas.map(|seen| seen.hashed).sum();
            Wait::working(why, Some(node), index.get().wrapping_add(hashed))
        } else {
            Wait::blocked(sight.how_is(node), Some(node))
        };
        // Its entry may have been lost with its leader.
        let stale = doing.memory.digest_is_stale(doing.operation, sight.observed.wall_ms);
        return if stale { ask(doing, partition, wait) } else { Look::waits(wait) };
    }
    let equal = digests.windows(2).all(|pair| pair[0].hash == pair[1].hash);
    let hashes: Vec<String> = digests
        .iter()
        .map(|digest| format!("node {}: {}", digest.node, digest.hash.get(..8).unwrap_or(&digest.hash)))
        .collect();
    let evidence = Some(EvidenceRecord { group: partition.group, index: index.get(), digests });
    if equal {
        return Look { evidence, ..Look::done() };
    }
    let detail = format!("the replicas of {name} differ at log index {index}: {}", hashes.join(", "));
    Look { evidence, ..Look::failed(ErrorCode::DataDamaged, detail) }
}

fn ask(doing: &Doing<'_>, partition: &PartitionRecord, wait: Wait) -> Look {
    let operation = doing.operation.id.into();
    let directives = vec![Directive::Digest { group: partition.group.into(), operation }];
    Look { directives, outcome: Outcome::Waits(wait), ..Look::default() }
}

/// The hashes at an index, and the node of a replica whose hash is still missing.
fn compared(
    doing: &Doing<'_>,
    partition: &PartitionRecord,
    own: u64,
    index: LogIndex,
) -> (Vec<DigestRecord>, Option<u64>) {
    let sight = doing.sight;
    let mut digests = Vec::new();
    let mut missing = None;
    for replica in &partition.replicas {
        let seen = sight.replica_seen(partition.group, replica.id);
        match seen.and_then(|seen| seen.digests.get(&index)) {
            Some(digest) => digests.push(DigestRecord {
                replica: replica.id,
                node: replica.node,
                hash: digest.hash.clone(),
                records: digest.records,
            }),
            None => {
                let stopped = seen.is_some_and(|seen| seen.state == ReplicaState::Stopped);
                let in_sync = sight.in_sync(partition.group, replica.id);
                let leads = sight
                    .seen(partition.group)
                    .and_then(|seen| seen.leader)
                    .is_some_and(|leader| leader.replica == ReplicaId(replica.id));
                let waits = leads || (in_sync && !stopped && sight.is_up(replica.node));
                let is_own = replica.id == own;
                if is_own && !mutant!(EvidenceWithoutOwn) || !is_own && waits {
                    missing = Some(replica.node);
                }
            }
        }
    }
    (digests, missing)
}
