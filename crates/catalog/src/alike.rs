//! Operations that want the same: whoever asks for what goes on already joins it.
//!
//! A second operation would wait for the first one, and then find nothing to do or be in the way of what came after.
//! So a wish is answered with the operation that does it. Whether one goes on is decided where commands are carried
//! out, one after another: of two wishes that come at once the second one joins the first.

use api::operation::{OnPartition, OperationKind, OperationRecord, OperationState};
use api::restoring::RestoreWish;

use crate::{Catalog, mutant};
use types::{ErrorCode, Fault, OperationId};

/// Whether an operation goes on, to do what it was asked for.
pub fn goes_on(operation: &OperationRecord) -> bool {
    !operation.state().has_ended() && !operation.cancelling
}

/// The node whose replica an operation makes or brings back.
pub fn target_node(kind: &OperationKind) -> Option<u64> {
    match kind {
        OperationKind::AddReplica(at) | OperationKind::RecoverReplica(at) => Some(at.node),
        OperationKind::Migrate(moved) => Some(moved.to),
        _ => None,
    }
}

/// The node that an operation with parts is about.
pub fn about_node(kind: &OperationKind) -> Option<u64> {
    match kind {
        OperationKind::OfflineNode(on)
        | OperationKind::RecoverNode(on)
        | OperationKind::Drain(on)
        | OperationKind::Undrain(on)
        | OperationKind::Decommission(on) => Some(on.node),
        _ => None,
    }
}

/// Whether an operation on a partition does what a wish asks for. Where the wish leaves the choice of a node to whoever
/// plans, any choice is what it asks for.
fn meets(known: &OperationKind, wish: &OperationKind) -> bool {
    let chosen = |known: u64, wish: u64| wish == 0 || known == wish;
    let same =
        |known: &OnPartition, wish: &OnPartition| known.group == wish.group && chosen(known.node, wish.node);
    match (known, wish) {
        (OperationKind::ChangeLeader(known), OperationKind::ChangeLeader(wish))
        | (OperationKind::AddReplica(known), OperationKind::AddReplica(wish)) => same(known, wish),
        (OperationKind::Migrate(known), OperationKind::Migrate(wish)) => {
            known.group == wish.group && known.from == wish.from && chosen(known.to, wish.to)
        }
        _ => known == wish,
    }
}

impl Catalog {
    /// The operation that does what a wish about one partition asks for: by itself, or as a part of one that goes on.
    /// Such a part may be done already, if there is no other.
    pub fn doing_on_partition(&self, wish: &OperationKind) -> Option<&OperationRecord> {
        let does = |known: &&OperationRecord| {
            let kind = known.kind.as_ref().filter(|_| known.group.is_some());
            kind.is_some_and(|kind| meets(kind, wish)) && self.does(known, wish)
        };
        let all = || self.operations().filter(does);
        all().find(|known| !known.state().has_ended()).or_else(|| all().next())
    }

    fn does(&self, known: &OperationRecord, wish: &OperationKind) -> bool {
        if known.parent == 0 {
            return goes_on(known);
        }
        let Some(parent) = self.operation(OperationId(known.parent)) else { return false };
        // Whoever takes leadership off a node is content with any other leader.
        let is_loose = matches!(wish, OperationKind::ChangeLeader(_))
            && matches!(parent.kind, Some(OperationKind::OfflineNode(_) | OperationKind::Drain(_)));
        goes_on(parent) && (goes_on(known) || known.state() == OperationState::Done) && !is_loose
    }

    /// The operation with parts that goes on and does what a wish asks for, which is to have these parts.
    pub fn doing_in_parts(&self, wish: &OperationKind, parts: &[&OperationKind]) -> Option<&OperationRecord> {
        let is_it = |known: &&OperationRecord| {
            let is_alike = known.parent == 0 && known.group.is_none() && known.kind.as_ref() == Some(wish);
            is_alike && goes_on(known) && self.has_parts(known, wish, parts)
        };
        self.operations().find(is_it)
    }

    /// Whether an operation does all of these parts. What was mended may be broken again, and what is named by its
    /// partitions is just those; everything else is the same thing whatever parts it would have now.
    fn has_parts(&self, known: &OperationRecord, wish: &OperationKind, wanted: &[&OperationKind]) -> bool {
        let counts = |part: &OperationRecord| match wish {
            OperationKind::RecoverNode(_) | OperationKind::RecoverCluster(_) => goes_on(part),
            _ => goes_on(part) || part.state() == OperationState::Done,
        };
        let is_named_by_parts = !matches!(
            wish,
            OperationKind::OfflineNode(_)
                | OperationKind::Drain(_)
                | OperationKind::Undrain(_)
                | OperationKind::Decommission(_)
                | OperationKind::SetReplicas(_)
                | OperationKind::Balance(_)
                | OperationKind::Optimize(_)
        );
        let parts = || self.operations().filter(|part| part.parent == known.id && counts(part));
        !is_named_by_parts || wanted.iter().all(|want| parts().any(|part| part.kind.as_ref() == Some(want)))
    }

    /// The operation that does all that new ones are to do, if one goes on. `is_in_force`: what the new ones change at
    /// their start is so already. Otherwise somebody has wished the contrary since that one began.
    ///
    /// # Errors
    /// `PartitionBusy`: another operation is about the same node.
    pub(crate) fn doing_already(
        &self,
        start: &[OperationRecord],
        is_in_force: bool,
    ) -> Result<Option<u64>, Fault> {
        let Some((head, parts)) = start.split_first().filter(|_| !mutant!(TwiceAtOnce)) else {
            return Ok(None);
        };
        let Some(kind) = &head.kind else { return Ok(None) };
        if head.group.is_some() {
            let known = if parts.is_empty() { self.doing_on_partition(kind) } else { None };
            return Ok(known.filter(|known| !known.state().has_ended()).map(|known| known.id));
        }
        let parts: Vec<&OperationKind> = parts.iter().filter_map(|part| part.kind.as_ref()).collect();
        if let OperationKind::Restore(wish) = kind {
            return Ok(self.doing_restore(wish)?.map(|known| known.id));
        }
        if let Some(known) = self.doing_in_parts(kind, &parts).filter(|_| is_in_force) {
            return Ok(Some(known.id));
        }
        let Some(node) = about_node(kind) else { return Ok(None) };
        match self.active_about(node) {
            Some(other) => {
                let detail = format!("operation {} about node {node}", other.id);
                Err(Fault::new(ErrorCode::PartitionBusy, detail))
            }
            None => Ok(None),
        }
    }

    /// The restore that goes on and brings what a wish asks for into all of its tables.
    ///
    /// # Errors
    /// `TableRestoring`: one that has not ended writes something else into one of them, or is being undone. Two of them
    /// in one table would be neither.
    pub fn doing_restore(&self, wish: &RestoreWish) -> Result<Option<&OperationRecord>, Fault> {
        let of = |known: &OperationRecord| match &known.kind {
            Some(OperationKind::Restore(known)) => Some(known.clone()),
            _ => None,
        };
        let mut active = self.operations().filter(|known| !known.state().has_ended());
        let other = active
            .find_map(|known| Some((known, of(known).filter(|other| other.writes_into(&wish.tables))?)));
        match other {
            None => Ok(None),
            Some((known, other)) if goes_on(known) && other.brings(wish) && !wish.restarts => Ok(Some(known)),
            Some((known, other)) => {
                let id = known.id;
                let detail = format!(
                    "operation {id} restores {} into it and has not ended; 'skein op watch {id}' waits for it, \
                     'skein op cancel {id}' gives it up",
                    other.backup
                );
                Err(Fault::new(ErrorCode::TableRestoring, detail))
            }
        }
    }

    /// An operation about a node that has not ended.
    pub fn active_about(&self, node: u64) -> Option<&OperationRecord> {
        let is_about = |known: &&OperationRecord| known.kind.as_ref().and_then(about_node) == Some(node);
        self.operations().filter(|known| !known.state().has_ended()).find(is_about)
    }
}
