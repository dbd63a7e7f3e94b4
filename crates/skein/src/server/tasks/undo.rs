//! Taking back what a backup or a drill has left when it is cancelled.

use std::time::Duration;

use api::saving::{BackupWish, DrillWish};
use backup::BackupError;
use backup::read::parts;
use node::TaskResult;
use types::Fault;

use super::AtWork;
use super::drill::{forget, scratch_name};
use super::filling::known;
use super::save::{open, save_name};
use crate::backups::hold_of;
use crate::backups::restoring::restore_name;

/// A job that was ended may be writing for this long still.
const PAUSE: Duration = Duration::from_secs(1);
/// How often what such a job has written is removed once more.
const ATTEMPTS_MAX: u32 = 5;
const DOING: &str = "what it left is removed";

/// Removes the remains of a backup. One that is complete already stays: it is a good one.
pub(super) fn backup(at_work: &AtWork<'_>, wish: &BackupWish) -> Result<TaskResult, Fault> {
    at_work.check(DOING)?;
    let target = open(&wish.url)?;
    let told = |text: String| Ok(TaskResult { saved: None, notes: vec![text] });
    let begun = match backup::begun(&*target, &wish.backup) {
        Ok(begun) => begun,
        Err(BackupError::NoBackup(_)) => return told("nothing was begun at the place of the backup".into()),
        Err(error) => return Err(error.to_fault()),
    };
    let crew = at_work.crew();
    let pieces = begun.tables.iter().map(|table| table.partitions.len()).sum();
    crew.end(&save_name(&begun.id), pieces);
    crew.release(&hold_of(&begun.id));
    if backup::load(&*target, &wish.backup).is_ok() {
        return told(format!("backup {} was complete already, and stays", wish.backup));
    }
    let mut removed = 0;
    for _ in 0..ATTEMPTS_MAX {
        match backup::delete(&*target, &wish.backup) {
            Ok(files) => removed += files,
            Err(BackupError::NoBackup(_)) => break,
            Err(error) => return Err(error.to_fault()),
        }
        at_work.pause(DOING, PAUSE)?;
    }
    told(format!("the remains of backup {} were removed, {removed} files", wish.backup))
}

/// Ends the restores of a drill; the scratch tables are dropped by the catalog.
pub(super) fn drill(at_work: &AtWork<'_>, wish: &DrillWish) -> Result<TaskResult, Fault> {
    at_work.check(DOING)?;
    let target = open(&wish.url)?;
    let manifest = match backup::load(&*target, &wish.backup) {
        Ok(manifest) => manifest,
        // It was none to begin with.
        Err(BackupError::NoBackup(_)) => return Ok(TaskResult::default()),
        Err(error) => return Err(error.to_fault()),
    };
    let crew = at_work.crew();
    for (table, number) in manifest.begun.tables.iter().zip(0..) {
        let name = scratch_name(at_work, number);
        let known = known(at_work, &*target, &wish.backup, (catalog::DEFAULT_NAMESPACE, &name));
        if let Ok(Some(record)) = known {
            crew.end(&restore_name(&record), parts(&manifest, table).len());
        }
    }
    forget(at_work, &*target, &manifest);
    let notes = vec!["its scratch tables are dropped".to_owned()];
    Ok(TaskResult { saved: None, notes })
}
