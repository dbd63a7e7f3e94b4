//! Wishes for what goes on already: they join the operation that does it, so a second run changes nothing.

use api::operation::{Edit, OperationKind, OperationRecord};
use types::{ErrorCode, Fault};

use super::Draft;
use crate::kind;
use crate::sight::Sight;

/// What there is to say of a wish that joins an operation.
pub(super) fn summary(sight: &Sight<'_>, id: u64) -> String {
    let known = sight.catalog.operation(id.into());
    let what = known.and_then(|known| Some(kind::what(sight, known.kind.as_ref()?, known.group.is_some())));
    format!("operation {id} does this already: {}", what.unwrap_or_default())
}

/// Joins the operation with parts that does what is wished, if one goes on: it would have these parts now, if they
/// matter, and would change this at its start. Where that is anything, somebody has wished the contrary since.
///
/// # Errors
/// `PartitionBusy`: another operation about the same node has not ended.
pub(crate) fn in_parts(
    sight: &Sight<'_>,
    wish: &OperationKind,
    parts: &[OperationKind],
    edits: &[Edit],
) -> Result<Option<Draft>, Fault> {
    let parts: Vec<&OperationKind> = parts.iter().collect();
    if let Some(known) = sight.catalog.doing_in_parts(wish, &parts).filter(|_| edits.is_empty()) {
        return Ok(Some(joins(known)));
    }
    let Some(node) = kind::about_node(wish) else { return Ok(None) };
    let Some(other) = sight.catalog.active_about(node) else { return Ok(None) };
    let kind = other.kind.as_ref().map_or("", kind::name);
    let detail = format!("operation {} ({kind}) is about node {node} and has not ended", other.id);
    Err(Fault::new(ErrorCode::PartitionBusy, detail))
}

fn joins(known: &OperationRecord) -> Draft {
    Draft { parent: known.kind.clone(), joins: Some(known.id), ..Draft::default() }
}

/// Partitions of a wish, by whether an operation does it already.
pub(crate) struct Joined<'a> {
    sight: &'a Sight<'a>,
    /// The wish names one partition.
    alone: bool,
    found: Vec<&'a OperationRecord>,
}

impl<'a> Joined<'a> {
    /// For a wish about so many partitions.
    pub(crate) fn of(sight: &'a Sight<'a>, partitions: usize) -> Self {
        Self { sight, alone: partitions == 1, found: Vec::new() }
    }

    /// Whether this is done already, for one of the partitions.
    pub(crate) fn takes(&mut self, wish: &OperationKind) -> bool {
        let known = self.sight.catalog.doing_on_partition(wish);
        // A part that has ended is nothing to wait for.
        let known = known.filter(|known| !self.alone || !known.state().has_ended());
        self.found.extend(known);
        known.is_some()
    }

    /// Joins, if all of the wish is done already by one operation.
    ///
    /// # Errors
    /// `PartitionBusy`: only some of it is, or several operations do it.
    pub(crate) fn all(self, others: &[OperationKind]) -> Result<Option<Draft>, Fault> {
        let Some(first) = self.found.first() else { return Ok(None) };
        let with_parts = self.sight.catalog.operation(first.parent.into());
        let of_one = self.found.iter().all(|known| known.parent == first.parent);
        match with_parts {
            _ if !others.is_empty() => {}
            _ if self.found.len() == 1 && !first.state().has_ended() => return Ok(Some(joins(first))),
            Some(parent) if of_one => return Ok(Some(joins(parent))),
            _ => {}
        }
        let kind = first.kind.as_ref().map_or("", kind::name);
        let place = self.sight.group_name(first.group.unwrap_or(0));
        Err(Fault::new(ErrorCode::PartitionBusy, format!("operation {} ({kind}) on {place}", first.id)))
    }
}
