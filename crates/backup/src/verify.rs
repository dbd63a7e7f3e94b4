//! Reads a whole backup and compares it with what its manifest says.

use std::sync::atomic::Ordering;

use serde::Serialize;

use crate::error::BackupError;
use crate::manifest::{Manifest, SumRecord};
use crate::read::FileContents;
use crate::target::Target;
use crate::write::{Limits, Pacer, Progress};

/// What a verification has found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Files that were read.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What they hold.
    pub sum: SumRecord,
    /// Each file that is not what was written: which, where, why. None if the backup is good.
    pub damaged: Vec<String>,
}

/// Reads every file of a backup. Damage of one file does not keep it from reading the others.
///
/// # Errors
/// What the target says; `Cancelled`.
pub fn all(
    target: &dyn Target,
    manifest: &Manifest,
    limits: Limits,
    progress: &Progress,
) -> Result<Verified, BackupError> {
    let mut found = Verified::default();
    let mut sums = Vec::new();
    let mut pacer = Pacer::new(limits, progress);
    for table in &manifest.begun.tables {
        for partition in &table.partitions {
            for number in 0..partition.files.len() {
                let file = FileContents::open(target, manifest, table, partition, number);
                match file.and_then(|file| read(file, &mut pacer, progress)) {
                    Ok(()) => {
                        found.files += 1;
                        found.bytes += partition.files[number].bytes;
                        sums.push(&partition.files[number].sum);
                    }
                    Err(error @ (BackupError::Damaged { .. } | BackupError::Missing(_))) => {
                        found.damaged.push(error.to_string());
                    }
                    Err(error) => return Err(error),
                }
            }
        }
    }
    found.sum = SumRecord::total(sums);
    Ok(found)
}

fn read(mut file: FileContents, pacer: &mut Pacer<'_>, progress: &Progress) -> Result<(), BackupError> {
    let mut before = 0;
    while let Some(contents) = file.next_block()? {
        progress.check()?;
        let bytes = file.bytes_read() - before;
        before = file.bytes_read();
        progress.file_bytes.fetch_add(bytes, Ordering::Relaxed);
        let keys = contents.pieces.iter().filter(|piece| piece.first == 0).count() as u64;
        progress.keys.fetch_add(keys, Ordering::Relaxed);
        pacer.spend(keys, bytes)?;
    }
    Ok(())
}
