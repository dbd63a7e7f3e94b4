//! Commands that are named where something is in the way.

use api::catalog::PartitionRecord;

use crate::sight::Sight;

/// What to type to learn how a partition is.
pub(crate) fn explain_partition(sight: &Sight<'_>, partition: &PartitionRecord) -> String {
    format!("skein explain partition {} {}", sight.table_name(partition), partition.index)
}

/// What to type so that a partition gets one more replica.
pub(crate) fn add_replica(sight: &Sight<'_>, partition: &PartitionRecord) -> String {
    format!("skein partition add-replica {} {}", sight.table_name(partition), partition.index)
}
