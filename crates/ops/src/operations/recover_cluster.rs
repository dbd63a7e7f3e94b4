//! `recover-cluster`: a check of everything, which normally finds nothing to do.

use api::admin::OperationRequest;
use api::kv::Nothing;
use api::operation::OperationKind;
use types::Fault;

use crate::operations::recover;
use crate::plan::{Draft, joined};
use crate::sight::Sight;

pub(super) fn plan(sight: &Sight<'_>, _request: &OperationRequest) -> Result<Draft, Fault> {
    let wish = OperationKind::RecoverCluster(Nothing {});
    let parts = |partition| recover::parts(sight, partition, None);
    let parts: Vec<OperationKind> = sight.catalog.partitions().flat_map(parts).collect();
    if let Some(joins) = joined::in_parts(sight, &wish, &parts)? {
        return Ok(joins);
    }
    let mut draft = Draft { parent: Some(wish), parts, ..Default::default() };
    for node in sight.catalog.nodes() {
        if sight.is_up(node.id) {
            draft.edits.extend(recover::back_online(sight, node.id));
        } else {
            let note = format!("{}: its replicas come back when it does", sight.how_is(node.id));
            draft.notes.push(note);
        }
    }
    Ok(draft)
}
