//! Why a partition's archive is behind, and what to do about it.

use api::admin::PartitionStatus;
use api::archive::ArchivedPartition;
use serde::Serialize;

use crate::say;

/// A partition that is later than this many intervals is late.
const LATE_INTERVALS: u64 = 3;
/// And this much on top, in milliseconds: writing takes time as well.
const LATE_MS: u64 = 2_000;

/// Why a partition is behind, or has lost something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Why {
    /// In a word: `target`, `node`, `leader`, `begins`, `slow`, `gap`.
    pub kind: &'static str,
    /// In a sentence.
    pub text: String,
    /// What to do; empty if nothing is to be done.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub next: String,
}

/// Why a partition that a node writes is behind; nothing if it is not, and never was.
pub fn written(partition: &ArchivedPartition, every_ms: u64, hold_bytes_max: u64) -> Option<Why> {
    let is_late = partition.lag_ms > LATE_INTERVALS * every_ms + LATE_MS;
    if !partition.problem.is_empty() {
        let waiting = (say::bytes(partition.kept_bytes), say::bytes(hold_bytes_max));
        let lost = match partition.gap.as_str() {
            "" => String::new(),
            gap => format!("; what came before is lost: {gap}"),
        };
        return Some(Why {
            kind: "target",
            text: format!("{}; {} of {} wait{lost}", partition.problem, waiting.0, waiting.1),
            next: "mend what the message names; it is tried again by itself".into(),
        });
    }
    if is_late {
        let text = format!("the place takes less than is changed: {} wait", say::bytes(partition.kept_bytes));
        return Some(Why { kind: "slow", text, next: "skein status".into() });
    }
    (!partition.gap.is_empty()).then(|| Why {
        kind: "gap",
        text: format!("it goes on after a gap: {}", partition.gap),
        next: "nothing: the cluster takes a backup by itself (skein op list)".into(),
    })
}

/// Why no node says that it writes a partition. `answered` are the nodes that said anything.
pub fn unwritten(partitions: &[PartitionStatus], group: u64, answered: &[u64]) -> Why {
    let Some(known) = partitions.iter().find(|partition| partition.group == group) else {
        let text = "no node answers that knows it".to_owned();
        return Why { kind: "node", text, next: "skein status".into() };
    };
    let next = format!("skein explain partition {} {}", known.table, known.partition);
    match known.leader {
        None => Why { kind: "leader", text: format!("no node leads it{}", away(known)), next },
        Some(node) if !answered.contains(&node) => {
            let text = format!("node {node}, which leads it, does not answer");
            Why { kind: "node", text, next: format!("skein explain node {node}") }
        }
        Some(node) => {
            let text = format!("node {node} has only begun to lead it");
            Why { kind: "begins", text, next: String::new() }
        }
    }
}

/// The nodes of its replicas that are away.
fn away(partition: &PartitionStatus) -> String {
    let is_away = |state: &str| matches!(state, "unreachable" | "offline" | "lost" | "stopped");
    let away = partition.replicas.iter().filter(|replica| is_away(&replica.state));
    let words: Vec<String> =
        away.map(|replica| format!("node {} is {}", replica.node, replica.state)).collect();
    if words.is_empty() { String::new() } else { format!(": {}", words.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::admin::ReplicaStatus;

    fn partition() -> ArchivedPartition {
        ArchivedPartition { lag_ms: 4_000, kept_bytes: 2048, ..Default::default() }
    }

    fn kind(partition: &ArchivedPartition) -> &'static str {
        written(partition, 1_000, 1 << 20).map_or("", |why| why.kind)
    }

    #[test]
    fn what_is_behind_says_why() {
        assert_eq!(kind(&partition()), "");
        assert_eq!(kind(&ArchivedPartition { lag_ms: 5_001, ..partition() }), "slow");
        assert_eq!(kind(&ArchivedPartition { gap: "too much waited".into(), ..partition() }), "gap");
        let refused = ArchivedPartition {
            problem: "the place refuses [backup-target]".into(),
            gap: "too much waited".into(),
            ..partition()
        };
        let why = written(&refused, 1_000, 1 << 20).unwrap();
        assert_eq!(why.kind, "target");
        assert_eq!(
            why.text,
            "the place refuses [backup-target]; 2.0 KiB of 1.0 MiB wait; what came before is lost: too much waited"
        );
    }

    #[test]
    fn what_nobody_writes_says_who_is_missing() {
        let replica = |node, state: &str| ReplicaStatus { node, state: state.into(), ..Default::default() };
        let mut known = [PartitionStatus {
            table: "flow".into(),
            partition: 3,
            group: 9,
            leader: None,
            replicas: vec![replica(1, "in-sync"), replica(2, "unreachable")],
            problem: String::new(),
            records: 0,
            bytes: 0,
        }];
        let why = unwritten(&known, 9, &[1]);
        assert_eq!((why.kind, why.text.as_str()), ("leader", "no node leads it: node 2 is unreachable"));
        assert_eq!(why.next, "skein explain partition flow 3");
        known[0].leader = Some(2);
        assert_eq!(unwritten(&known, 9, &[1]).text, "node 2, which leads it, does not answer");
        assert_eq!(unwritten(&known, 9, &[1, 2]).kind, "begins");
        assert_eq!(unwritten(&[], 9, &[]).kind, "node");
    }
}
