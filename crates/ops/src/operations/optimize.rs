//! `optimize`: the space of what was removed is given back, replica by replica.
//!
//! One part for each partition, and one partition at a time in the whole cluster, see `executor::queue`: so one node
//! at a time has the work, whoever asks and however often. Whoever asks for what goes on already joins it.

use api::admin::OperationRequest;
use api::catalog::TableRecord;
use api::operation::{OnPartition, OperationKind, OptimizeWish};
use catalog::NAMESPACE_TABLE;
use types::{ErrorCode, Fault};

use crate::plan::{Draft, joined};
use crate::sight::Sight;

pub(super) fn plan(sight: &Sight<'_>, request: &OperationRequest) -> Result<Draft, Fault> {
    let wish = wish(sight, request)?;
    // What is compacted with everything, or with its namespace, needs no second time.
    let all = OptimizeWish::default();
    let of_namespace = OptimizeWish { table: 0, ..wish.clone() };
    for wider in [all, of_namespace, wish.clone()] {
        if let Some(joins) = joined::in_parts(sight, &OperationKind::Optimize(wider), &[], &[])? {
            return Ok(joins);
        }
    }
    Ok(draft(sight, wish))
}

/// Everything that a wish names.
pub(crate) fn draft(sight: &Sight<'_>, wish: OptimizeWish) -> Draft {
    let tables = sight.catalog.tables().filter(|table| is_meant(&wish, table));
    let groups = tables.flat_map(|table| &table.groups);
    let part = |group: &u64| OperationKind::Compact(OnPartition { group: *group, node: 0 });
    let parts = groups.map(part).collect();
    Draft { parent: Some(OperationKind::Optimize(wish)), parts, ..Draft::default() }
}

fn is_meant(wish: &OptimizeWish, table: &TableRecord) -> bool {
    table.id != 0
        && (wish.namespace.is_empty() || wish.namespace == table.namespace)
        && (wish.table == 0 || wish.table == table.id)
}

/// What a request names: a table by `table` alone, as everywhere, or by `namespace` and `table` as in ZanKV, where
/// the table of a namespace is a part of it and not apart from the others.
fn wish(sight: &Sight<'_>, request: &OperationRequest) -> Result<OptimizeWish, Fault> {
    let unknown = |name: String| Fault::new(ErrorCode::UnknownTable, format!("'{name}'"));
    let table = match (&request.namespace, &request.table) {
        (None, None) => return Ok(OptimizeWish::default()),
        (None, Some(name)) => sight.catalog.find(name).ok_or_else(|| unknown(name.clone()))?,
        (Some(namespace), None) => {
            let exists = sight.catalog.tables().any(|table| table.namespace == *namespace);
            let wish = OptimizeWish { namespace: namespace.clone(), table: 0 };
            return if exists { Ok(wish) } else { Err(unknown(format!("{namespace}:*"))) };
        }
        (Some(namespace), Some(name)) => {
            let own = sight.catalog.table_named(namespace, name);
            let found = own.or_else(|| sight.catalog.table_named(namespace, NAMESPACE_TABLE));
            found.ok_or_else(|| unknown(format!("{namespace}:{name}")))?
        }
    };
    if table.id == 0 {
        return Err(Fault::new(
            ErrorCode::BadArgument,
            "the catalog is small; there is nothing to give back",
        ));
    }
    Ok(OptimizeWish { namespace: table.namespace.clone(), table: table.id })
}
