//! Sweeps what writers that died have left unfinished: see `target::Target::sweep`.
//!
//! An archive may have very many files, and to look through all of them takes time: that is left to whoever thins it out.

use crate::archive::DIRECTORY;
use crate::backups::is_id;
use crate::error::BackupError;
use crate::target::Target;

/// Sweeps among backups, complete or not. Returns how many files went.
///
/// # Errors
/// What the target says.
pub fn among_backups(target: &dyn Target) -> Result<u64, BackupError> {
    let mut swept = 0;
    for name in target.list("")? {
        match name.strip_suffix('/') {
            // What else lies there is nobody's business.
            Some(id) if is_id(id) => swept += target.sweep(id)?,
            _ => {}
        }
    }
    Ok(swept)
}

/// Sweeps among archives. Returns how many files went.
///
/// # Errors
/// What the target says.
pub fn among_archives(target: &dyn Target) -> Result<u64, BackupError> {
    target.sweep(DIRECTORY)
}
