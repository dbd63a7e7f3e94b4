//! A time to be restored, by a backup and an archive of changes.

use api::job::{Job, RestoreFile, RestorePartition};
use backup::TableRecord;
use backup::archive::Covered;

/// A time, and what tells it over a backup.
pub struct AtTime {
    /// The last millisecond: writes with a later stamp are left out.
    pub to_ms: u64,
    /// The archive's runs, by table and partition of the backup.
    pub covered: Covered,
    /// The places of the backup's tables, by directory.
    pub tables: Vec<String>,
}

impl AtTime {
    /// The job that restores a partition.
    pub fn job(&self, table: &TableRecord, of: &RestoreFile) -> Option<Job> {
        let place = self.tables.iter().position(|directory| *directory == table.directory())?;
        let run = self.covered.runs.get(place)?.get(of.partition as usize)?;
        Some(Job::RestoreAt(RestorePartition {
            of: of.clone(),
            archive: run.archive.clone(),
            since: run.since,
            to_ms: self.to_ms,
        }))
    }
}
