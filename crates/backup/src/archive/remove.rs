//! Removes an archive that has ended.
//!
//! What says that it was begun goes first: from then on it tells nothing, to whomever asks. What is left if this breaks
//! off is removed by doing it again.

use std::sync::atomic::Ordering;

use super::{BEGUN, DIRECTORY, head, runs};
use crate::backups::is_id;
use crate::error::BackupError;
use crate::target::Target;
use crate::write::Progress;

/// Up to when an archive tells anything at all, in milliseconds; nothing if it never did.
///
/// # Errors
/// What the target says. What is damaged tells nothing.
pub fn last_told_ms(target: &dyn Target, id: &str) -> Result<Option<u64>, BackupError> {
    let mut last = None;
    for run in runs(target, id)? {
        match head(target, &run) {
            Ok(head) => last = last.max(head.map(|head| head.complete_ms)),
            Err(BackupError::Damaged { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(last)
}

/// Removes an archive, or what is left of one. Whoever asks sees to it that nobody writes it any more. Returns how many
/// files went.
///
/// # Errors
/// `NoBackup` if there is nothing of the name; what the target says; `Cancelled`.
pub fn remove(target: &dyn Target, id: &str, progress: &Progress) -> Result<u64, BackupError> {
    let directory = format!("{DIRECTORY}/{id}");
    if !is_id(id) || target.list(&directory)?.is_empty() {
        return Err(BackupError::NoBackup(format!("there is no archive '{id}' in {}", target.url())));
    }
    target.remove(&format!("{directory}/{BEGUN}"))?;
    remove_under(target, &directory, progress)?;
    target.remove_directory(&directory)?;
    Ok(1 + progress.keys.load(Ordering::Relaxed))
}

/// One directory after another, so that only the names of one are in memory.
fn remove_under(target: &dyn Target, directory: &str, progress: &Progress) -> Result<(), BackupError> {
    for name in target.list(directory)? {
        let path = format!("{directory}/{name}");
        match path.strip_suffix('/') {
            Some(below) => remove_under(target, below, progress)?,
            None => {
                progress.check()?;
                target.remove(&path)?;
                progress.keys.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
    Ok(())
}
