//! Which steps of which operations were entered, and next to which of them the node that leads the catalog died.

use std::collections::BTreeMap;

use api::operation::{OperationKind, OperationRecord, OperationState};

/// The kinds of operations and what each of them passes, in order. `change-leader` has other steps as a part of
/// taking a node offline.
const KINDS: [(&str, &[&str]); 15] = [
    ("change-leader", &["hand-over", "settled", "offline", "settle", "done"]),
    ("add-replica", &["add", "catch-up", "evidence", "done"]),
    ("remove-replica", &["hand-over", "remove", "done"]),
    ("migrate", &["add", "catch-up", "evidence", "hand-over", "remove", "done"]),
    ("offline-replica", &["hand-over", "offline", "done"]),
    ("recover-replica", &["recover", "catch-up", "evidence", "done"]),
    ("snapshot", &["cut", "done"]),
    ("offline-node", &["parts", "done"]),
    ("recover-node", &["parts", "done"]),
    ("recover-cluster", &["parts", "done"]),
    ("balance", &["parts", "done"]),
    ("drain", &["parts", "done"]),
    ("undrain", &["done"]),
    ("decommission", &["parts", "leave", "done"]),
    ("set-replicas", &["parts", "done"]),
];

/// Those that only stories carry out, because the checkers do not know what they give up, or because states in
/// memory have nothing to compact: counted, and not missed where they never happened.
const OF_STORIES: [(&str, &[&str]); 3] = [
    ("recover-quorum", &["take-over", "done"]),
    ("optimize", &["parts", "done"]),
    ("compact", &["compact", "done"]),
];

/// Ends and turns that any operation can take.
const ANY: [&str; 3] = ["cancelling", "cancelled", "failed"];

/// What happened at a boundary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// It was passed.
    Passed = 0,
    /// The leader of the catalog died, or was cut off, right before the command was committed.
    DiedBefore = 1,
    /// ... right after it was committed.
    DiedAfter = 2,
}

/// Counts by kind and boundary.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Steps(BTreeMap<(&'static str, &'static str), [u64; 3]>);

impl Steps {
    /// Notes what happened at the boundary that this record is at.
    pub fn note(&mut self, record: &OperationRecord, at: At) {
        let mut all = KINDS.iter().chain(&OF_STORIES);
        let Some((kind, steps)) = all.find(|(name, _)| *name == kind_name(record)) else { return };
        for label in labels(record) {
            let known = steps.iter().find(|step| **step == label);
            let any = || ANY.iter().find(|any| **any == label).map(|any| ("any operation", *any));
            if let Some(name) = known.map(|step| (*kind, *step)).or_else(any) {
                self.0.entry(name).or_default()[at as usize] += 1;
            }
        }
    }

    /// Adds another run's.
    pub fn add(&mut self, other: &Steps) {
        for (name, counts) in &other.0 {
            let known = self.0.entry(*name).or_default();
            known.iter_mut().zip(counts).for_each(|(known, count)| *known += count);
        }
    }

    /// How often a step of a kind was entered.
    pub fn passed(&self, kind: &'static str, step: &'static str) -> u64 {
        self.0.get(&(kind, step)).map_or(0, |counts| counts[At::Passed as usize])
    }

    /// Every line of the table. Some boundaries are passed within one command; there nobody can die.
    pub fn lines(&self) -> Vec<(String, u64)> {
        let of_kinds = KINDS.iter().flat_map(|(kind, steps)| steps.iter().map(|step| (*kind, *step)));
        let any = ANY.iter().map(|label| ("any operation", *label));
        let line = |name: (&'static str, &'static str)| {
            let counts = self.0.get(&name).copied().unwrap_or_default();
            let (kind, step) = name;
            [
                (format!("{kind}: {step}"), counts[0]),
                (format!("{kind}: {step}, leader died before"), counts[1]),
                (format!("{kind}: {step}, leader died after"), counts[2]),
            ]
        };
        of_kinds.chain(any).flat_map(line).collect()
    }
}

/// What a record has come to with its last change.
fn labels(record: &OperationRecord) -> Vec<&str> {
    match record.state() {
        OperationState::Queued => Vec::new(),
        OperationState::Done => vec!["done"],
        OperationState::Failed => vec!["failed"],
        OperationState::Cancelled => vec!["cancelled"],
        OperationState::Running => {
            let step = record.steps.get(record.step as usize).map(|step| step.name.as_str());
            let cancelling = record.cancelling.then_some("cancelling");
            step.into_iter().chain(cancelling).collect()
        }
    }
}

/// The name of an operation's kind.
pub fn kind_name(record: &OperationRecord) -> &'static str {
    match &record.kind {
        None => "",
        Some(OperationKind::ChangeLeader(_)) => "change-leader",
        Some(OperationKind::AddReplica(_)) => "add-replica",
        Some(OperationKind::RemoveReplica(_)) => "remove-replica",
        Some(OperationKind::Migrate(_)) => "migrate",
        Some(OperationKind::OfflineReplica(_)) => "offline-replica",
        Some(OperationKind::RecoverReplica(_)) => "recover-replica",
        Some(OperationKind::Snapshot(_)) => "snapshot",
        Some(OperationKind::OfflineNode(_)) => "offline-node",
        Some(OperationKind::RecoverNode(_)) => "recover-node",
        Some(OperationKind::RecoverCluster(_)) => "recover-cluster",
        Some(OperationKind::Balance(_)) => "balance",
        Some(OperationKind::Drain(_)) => "drain",
        Some(OperationKind::Undrain(_)) => "undrain",
        Some(OperationKind::Decommission(_)) => "decommission",
        Some(OperationKind::SetReplicas(_)) => "set-replicas",
        Some(OperationKind::RecoverQuorum(_)) => "recover-quorum",
        Some(OperationKind::Optimize(_)) => "optimize",
        Some(OperationKind::Compact(_)) => "compact",
        Some(OperationKind::Backup(_)) => "backup",
        Some(OperationKind::Drill(_)) => "drill",
    }
}
