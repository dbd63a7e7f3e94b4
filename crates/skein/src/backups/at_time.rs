//! A time to be restored: which backup and which archive tell it.

use api::job::{Job, RestoreFile, RestorePartition};
use backup::archive::{Covered, Known};
use backup::{Manifest, TableRecord, Target};
use serde::Serialize;
use types::{ErrorCode, Fault};

use super::time;

/// A time, and what tells it over a backup.
pub struct AtTime {
    /// The last millisecond: writes with a later stamp are left out.
    to_ms: u64,
    /// The archive's runs, by table and partition of the backup.
    covered: Covered,
    /// The places of the backup's tables, by directory.
    tables: Vec<String>,
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

/// What is chosen of a backup: its tables, or why it has none of them.
pub type Choose<'a> = &'a dyn Fn(&Manifest) -> Result<Vec<String>, Fault>;

/// The newest backup of the tables that were chosen from which a time can be reached.
///
/// # Errors
/// `NotCovered`, naming the times that can be restored; what the target says.
pub fn find(target: &dyn Target, choose: Choose<'_>, to_ms: u64) -> Result<Manifest, Fault> {
    // Read once: with many backups and partitions their heads are many.
    let archives = Known::read(target).map_err(|error| error.to_fault())?;
    let mut known = Vec::new();
    for listed in backup::list(target).map_err(|error| error.to_fault())?.into_iter().rev() {
        let Some(manifest) = listed.manifest else { continue };
        // One without the tables is none for this purpose.
        let Ok(titles) = choose(&manifest) else { continue };
        let Ok(covered) = covered(&archives, &manifest, &titles) else { continue };
        if (covered.from_ms..=covered.to_ms).contains(&to_ms) {
            return Ok(manifest);
        }
        known.push(Stretch { backup: listed.id, from_ms: covered.from_ms, to_ms: covered.to_ms });
    }
    known.reverse();
    let times = match known.is_empty() {
        true => "none can".to_owned(),
        false => format!("these can:\n{}", stretches(&known)),
    };
    let detail = format!("{} ({to_ms}) cannot be restored from {}; {times}", time(to_ms), target.url());
    Err(Fault::new(ErrorCode::NotCovered, detail))
}

/// What tells a time over a backup, for the tables of these titles.
///
/// # Errors
/// `NotCovered`; what the target says.
pub fn over(
    target: &dyn Target,
    manifest: &Manifest,
    titles: &[String],
    to_ms: u64,
) -> Result<AtTime, Fault> {
    let tables = manifest.begun.tables.iter().map(TableRecord::directory).collect();
    let archives = Known::read(target).map_err(|error| error.to_fault())?;
    let why = match covered(&archives, manifest, titles) {
        Ok(covered) if (covered.from_ms..=covered.to_ms).contains(&to_ms) => {
            return Ok(AtTime { to_ms, covered, tables });
        }
        Ok(covered) => format!("that reaches up to {}", time(covered.to_ms)),
        Err(why) => why,
    };
    let backup = &manifest.begun.id;
    let detail = format!("{} ({to_ms}) cannot be restored over {backup} any more: {why}", time(to_ms));
    Err(Fault::new(ErrorCode::NotCovered, detail))
}

fn covered(archives: &Known, manifest: &Manifest, titles: &[String]) -> Result<Covered, String> {
    archives.covered(manifest, &|place: usize| titles.contains(&manifest.begun.tables[place].title()))
}

/// Stretches of time, a line for each.
pub fn stretches(stretches: &[Stretch]) -> String {
    let line = |stretch: &Stretch| {
        let (from, to) = (time(stretch.from_ms), time(stretch.to_ms));
        format!("  {from} ({}) to {to} ({}), over {}", stretch.from_ms, stretch.to_ms, stretch.backup)
    };
    stretches.iter().map(line).collect::<Vec<_>>().join("\n")
}
