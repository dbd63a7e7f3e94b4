//! `recover-quorum`: partitions whose majority is lost for good go on with one survivor each.
//!
//! The only operation that gives up acknowledged writes. It says which it gives up, as far as that can be known:
//!
//! ```text
//!   survivor's log  ─────────────── applied ──────── last
//!                                      │               │
//!                                      │               └─ kept up to here; entries beyond it that any report has
//!                                      │                  named as committed are known to be lost
//!                                      └─ its stamp: stamps never go back in a log, so everything that the
//!                                         survivor lacks was acknowledged later than this
//! ```
//!
//! Why it is safe otherwise: `docs/decisions/2026-11-26-recover-quorum.md`.

use std::cmp::Reverse;

use api::admin::OperationRequest;
use api::catalog::PartitionRecord;
use api::operation::{OnPartition, OperationKind};
use api::peer::{Member, ReplicaState};
use catalog::status::NodeState;
use types::{Fault, NodeId, utc};

use crate::observed::ReplicaSeen;
use crate::plan::{self, Draft};
use crate::sight::{Sight, replica_of};

/// How it is with a partition's majority.
pub(crate) enum Loss {
    /// It is not lost, and why.
    None(String),
    /// It is lost, and this replica has the most of what is left.
    Survivor(Survivor),
    /// Nothing is left on a node that is up.
    All,
}

/// The best replica that is left.
pub(crate) struct Survivor {
    pub(crate) replica: u64,
    pub(crate) node: u64,
    /// The last entry of its log: its term, and its index.
    last: (u64, u64),
    stamp_ms: u64,
    /// The highest term and membership epoch that any replica has named.
    pub(crate) term: u64,
    pub(crate) epoch: u64,
    /// The highest index that any replica has named as committed.
    committed: u64,
    /// The last entry of a lost replica, if that is known to be later.
    later: Option<(u64, u64)>,
    /// Every replica that is lost was heard of.
    all_heard: bool,
}

pub(super) fn plan(sight: &Sight<'_>, request: &OperationRequest) -> Result<Draft, Fault> {
    let asked = match request.table {
        Some(_) => plan::partitions(sight, request)?,
        None => sight.catalog.partitions().filter(|partition| partition.table != 0).collect(),
    };
    let (mut parts, mut notes) = (Vec::new(), Vec::new());
    for partition in asked {
        let name = sight.name(partition);
        match survivor(sight, partition) {
            Loss::None(why) if request.table.is_some() => notes.push(format!("{name}: {why}")),
            Loss::None(_) => {}
            Loss::All => notes.push(format!("{name}: no replica is left on a node that is up")),
            Loss::Survivor(found) => {
                plan::not_busy(sight, partition)?;
                notes.push(format!("{name}: {}", found.bound()));
                let at = OnPartition { group: partition.group, node: found.node };
                parts.push(OperationKind::RecoverQuorum(at));
            }
        }
    }
    if !parts.is_empty() {
        notes.push(
            "the other replicas are made anew, and their old ids end: stop what still runs of them".into(),
        );
    }
    let parent = OperationKind::RecoverQuorum(OnPartition { group: 0, node: 0 });
    let mut draft = Draft::of_parts(parent, parts, 0);
    draft.notes = notes;
    Ok(draft)
}

/// What is given up of a partition, for the record of the operation that does.
pub(crate) fn bound(sight: &Sight<'_>, group: u64) -> Option<String> {
    match survivor(sight, sight.partition(group)?) {
        Loss::Survivor(found) => Some(found.bound()),
        Loss::None(_) | Loss::All => None,
    }
}

/// Looks for the replica that has the most, if the majority is lost. A node that was not heard of for a while, but
/// not for long enough to be down, may be well.
pub(crate) fn survivor(sight: &Sight<'_>, partition: &PartitionRecord) -> Loss {
    let none = |why: &str| Loss::None(why.into());
    if partition.table == 0 {
        return none("the catalog's own group is not recovered by the catalog");
    }
    if sight.leader(partition.group).is_some() {
        return none("it has a leader");
    }
    let voters = sight.voters(partition);
    let left: Vec<&Member> =
        voters.iter().copied().filter(|voter| !is_lost(sight, partition, voter)).collect();
    if left.len() > voters.len() / 2 {
        return none("it has a majority, and elects a leader by itself");
    }
    // Who has no data, or is not known to have some, is no survivor.
    let able = left.iter().filter_map(|voter| {
        let seen = sight.replica_seen(partition.group, voter.replica).filter(|seen| seen.up)?;
        let wished = replica_of(partition, voter.replica).filter(|wished| wished.established)?;
        Some((*voter, seen, wished.id))
    });
    let Some((best, seen, _)) = able.max_by_key(|(_, seen, id)| (seen.last, Reverse(*id))) else {
        // One that is suspect may have more than anybody.
        return if left.is_empty() {
            Loss::All
        } else {
            none("what is left of it does not answer at the moment")
        };
    };
    if left.iter().any(|voter| sight.observed.state(NodeId(voter.node)) != NodeState::Up) {
        return none("another replica may be well: its node is suspect, and not down yet");
    }
    let all: Vec<&ReplicaSeen> =
        sight.seen(partition.group).into_iter().flat_map(|seen| seen.replicas.values()).collect();
    let known = sight.membership(partition).map_or(0, |membership| membership.epoch);
    let heard = |voter: &&Member| sight.replica_seen(partition.group, voter.replica).is_some();
    Loss::Survivor(Survivor {
        replica: best.replica,
        node: best.node,
        last: seen.last,
        stamp_ms: seen.stamp_ms,
        term: all.iter().map(|seen| seen.term).max().unwrap_or(0).max(partition.leader_term),
        epoch: known,
        committed: all.iter().map(|seen| seen.commit).max().unwrap_or(0),
        later: all.iter().map(|lost| lost.last).filter(|last| *last > seen.last).max(),
        all_heard: voters.iter().all(heard),
    })
}

/// A replica is lost with its node, or without it: missing there, stopped, or empty.
fn is_lost(sight: &Sight<'_>, partition: &PartitionRecord, voter: &Member) -> bool {
    match sight.observed.state(NodeId(voter.node)) {
        NodeState::Down => true,
        NodeState::Up => sight
            .replica_seen(partition.group, voter.replica)
            .is_none_or(|seen| matches!(seen.state, ReplicaState::Stopped | ReplicaState::Starting)),
        _ => false,
    }
}

impl Survivor {
    /// What is kept, what is known to be lost, and what may be.
    fn bound(&self) -> String {
        let (term, index) = self.last;
        let kept = format!("node {} has everything up to entry {index} of term {term}", self.node);
        let known = match self.committed.checked_sub(index).filter(|lost| *lost > 0) {
            Some(1) => format!("entry {} is lost", self.committed),
            Some(_) => format!("entries {} to {} are lost", index + 1, self.committed),
            None => match self.later {
                Some((term, index)) => format!(
                    "a lost one had entry {index} of term {term}, and it is unknown whether that was acknowledged"
                ),
                None if self.all_heard => "no report of the lost replicas names a later one".into(),
                None => "how many later ones there were is unknown".into(),
            },
        };
        let at_most = match self.stamp_ms {
            0 => "at most everything that was acknowledged".into(),
            stamp => format!("at most what was acknowledged after {}", utc::text(stamp)),
        };
        format!("{kept}; {known}; lost is {at_most}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_says_what_is_kept_lost_and_unknown() {
        let survivor = |committed, later, all_heard| Survivor {
            replica: 1,
            node: 3,
            last: (6, 120),
            stamp_ms: 1_795_724_989_123,
            term: 6,
            epoch: 1,
            committed,
            later,
            all_heard,
        };
        let tail = "lost is at most what was acknowledged after 2026-11-26 20:29:49.123 UTC";
        let said = |committed, heard| survivor(committed, None, heard).bound();
        let kept = "node 3 has everything up to entry 120 of term 6";
        assert_eq!(said(130, true), format!("{kept}; entries 121 to 130 are lost; {tail}"));
        assert_eq!(said(121, false), format!("{kept}; entry 121 is lost; {tail}"));
        assert_eq!(
            said(120, true),
            format!("{kept}; no report of the lost replicas names a later one; {tail}")
        );
        assert_eq!(said(0, false), format!("{kept}; how many later ones there were is unknown; {tail}"));
        let unknown = "a lost one had entry 121 of term 7, and it is unknown whether that was acknowledged";
        assert_eq!(survivor(120, Some((7, 121)), true).bound(), format!("{kept}; {unknown}; {tail}"));
    }
}
