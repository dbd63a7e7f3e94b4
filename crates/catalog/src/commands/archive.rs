//! The archive: one at a time, named by whoever begins it.

use api::catalog::{ArchiveChange, ArchiveRecord, ClusterRecord};
use types::{ErrorCode, Fault};

use super::{Decision, bad_argument};
use crate::Catalog;
use crate::record::{Record, RecordChange};

/// Longest URL and name.
const TEXT_BYTES_MAX: usize = 1024;
/// Most tables and namespaces that are named.
const TABLES_MAX: usize = 1024;

/// Begins or ends the archive. Repeated, it has no effect.
pub(super) fn change(
    catalog: &Catalog,
    cluster: ClusterRecord,
    change: &ArchiveChange,
) -> Result<Decision, Fault> {
    let known = catalog.archive();
    let changes = match (&change.begin, known) {
        (None, Some(known)) if !known.ended => {
            vec![RecordChange::Put(Record::Archive(ArchiveRecord { ended: true, ..known.clone() }))]
        }
        (None, _) => Vec::new(),
        (Some(begin), Some(known)) if begin == known => Vec::new(),
        (Some(_), Some(known)) if !known.ended => {
            return Err(Fault::new(ErrorCode::ArchiveRuns, format!("{} to {}", known.id, known.url)));
        }
        (Some(begin), _) => {
            let named = || begin.tables.iter().chain(&begin.namespaces);
            let texts = named().chain([&begin.id, &begin.url]);
            if begin.archive == 0 || begin.ended || begin.every_ms == 0 || named().count() > TABLES_MAX {
                return Err(bad_argument(
                    "an archive has a number, an interval, and a limited number of tables",
                ));
            }
            if texts.into_iter().any(|text| text.is_empty() || text.len() > TEXT_BYTES_MAX) {
                return Err(bad_argument("a name of the archive is empty or too long"));
            }
            vec![RecordChange::Put(Record::Archive(begin.clone()))]
        }
    };
    Ok(Decision::ok(cluster, changes))
}
