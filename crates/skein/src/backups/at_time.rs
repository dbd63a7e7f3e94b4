//! A time to be restored, by a backup and an archive of changes.

use api::job::{Job, RestoreFile, RestorePartition};
use backup::TableRecord;
use backup::archive::Covered;
use serde::Serialize;

use super::time;

/// A time, and what tells it over a backup.
pub struct AtTime {
    /// The last millisecond: writes with a later stamp are left out.
    pub to_ms: u64,
    /// The archive's runs, by table and partition of the backup.
    pub covered: Covered,
    /// The places of the backup's tables, by directory.
    pub tables: Vec<String>,
}

/// Times that can be restored over a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stretch {
    /// The backup.
    pub backup: String,
    /// The first millisecond.
    pub from_ms: u64,
    /// The last one.
    pub to_ms: u64,
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

/// Stretches of time, a line for each.
pub fn stretches(stretches: &[Stretch]) -> String {
    let line = |stretch: &Stretch| {
        let (from, to) = (time(stretch.from_ms), time(stretch.to_ms));
        format!("  {from} ({}) to {to} ({}), over {}", stretch.from_ms, stretch.to_ms, stretch.backup)
    };
    stretches.iter().map(line).collect::<Vec<_>>().join("\n")
}
