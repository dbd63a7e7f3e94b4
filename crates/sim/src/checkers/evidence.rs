//! Evidence is true: an operation that made or brought back a replica is done only with the hashes of the
//! replicas at one log position, all equal, and each the one that the replica has.

use std::collections::BTreeMap;

use api::operation::{EvidenceRecord, OperationKind, OperationRecord, OperationState};
use engine::Digest;
use types::{GroupId, LogIndex, ReplicaId};

use super::laws::Transition;

/// The hash of a replica at a place of its group's log.
type At = (GroupId, LogIndex, ReplicaId);

/// The true hashes.
#[derive(Default)]
pub struct Evidence {
    truth: BTreeMap<At, (String, u64)>,
    /// Hashes that were compared.
    pub compared: u64,
}

impl Evidence {
    /// A replica has hashed its records.
    pub fn taken(&mut self, group: GroupId, replica: ReplicaId, index: LogIndex, digest: &Digest) {
        self.truth.insert((group, index, replica), (format!("{:032x}", digest.hash), digest.records));
    }

    /// Looks at operations that a command has ended.
    ///
    /// # Errors
    /// Evidence that is missing or not true.
    pub fn check(&mut self, transition: &Transition<'_>) -> Result<(), String> {
        for operation in transition.after.operations() {
            let known = transition.before.operation(operation.id.into());
            let news = known.is_none_or(|known| known.evidence.len() < operation.evidence.len());
            // One with parts shows nothing itself.
            let is_done = operation.group.is_some()
                && operation.state() == OperationState::Done
                && known.is_some_and(|known| known.state() != OperationState::Done);
            let named = |detail: String| format!("operation {}: {detail}", operation.id);
            if let (true, Some(last)) = (news, operation.evidence.last()) {
                self.check_truth(last).map_err(named)?;
            }
            if is_done {
                check_done(operation).map_err(named)?;
            }
        }
        Ok(())
    }

    fn check_truth(&mut self, evidence: &EvidenceRecord) -> Result<(), String> {
        for shown in &evidence.digests {
            let at = (GroupId(evidence.group), LogIndex(evidence.index), ReplicaId(shown.replica));
            self.compared += 1;
            let truth = self.truth.get(&at);
            if truth.is_none_or(|(hash, records)| (hash, *records) != (&shown.hash, shown.records)) {
                return Err(format!(
                    "{shown:?} at {} of group {}, but it is {truth:?}",
                    evidence.index, at.0
                ));
            }
        }
        Ok(())
    }
}

fn check_done(operation: &OperationRecord) -> Result<(), String> {
    let node = match &operation.kind {
        Some(OperationKind::AddReplica(at) | OperationKind::RecoverReplica(at)) => at.node,
        Some(OperationKind::Migrate(moved)) => moved.to,
        _ => return Ok(()),
    };
    let Some(last) = operation.evidence.last() else { return Err("is done without evidence".into()) };
    if !last.digests.iter().any(|shown| shown.node == node) {
        return Err(format!("its evidence lacks its own replica on node {node}: {last:?}"));
    }
    match last.digests.windows(2).all(|pair| pair[0].hash == pair[1].hash) {
        true => Ok(()),
        false => Err(format!("is done with hashes that differ: {last:?}")),
    }
}
