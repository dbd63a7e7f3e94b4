//! Reads a whole backup, with all that it stands on, and compares it with what its manifests say.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use api::kv::{ContentSum, Contents};
use serde::Serialize;

use crate::chain::Chain;
use crate::error::BackupError;
use crate::keys::KeysReader;
use crate::layers::Layers;
use crate::manifest::{PartitionRecord, SumRecord, TableRecord};
use crate::read::FileContents;
use crate::target::Target;
use crate::write::{Pacer, Progress};

/// What a verification has found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Backups that were read: this one, and those that it stands on.
    pub backups: u64,
    /// Files that were read.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What they hold, put together.
    pub sum: SumRecord,
    /// Each file that is not what was written: which, where, why. None if the backup is good.
    pub damaged: Vec<String>,
}

/// Reads every file of a backup and of all that it stands on, put together as a restore does it. Damage of one file
/// does not keep it from reading the others.
///
/// # Errors
/// What the target says; `Cancelled`.
pub fn all(target: &dyn Target, chain: &Chain, progress: &Progress) -> Result<Verified, BackupError> {
    let mut verifying = Verifying { target, chain, pacer: Pacer::new(progress), progress };
    let mut found = Verified { backups: chain.manifests().len() as u64, ..Verified::default() };
    let (mut sums, mut damaged) = (Vec::new(), BTreeSet::new());
    for table in &chain.newest().begun.tables {
        for partition in &table.partitions {
            match verifying.partition(table, partition) {
                Ok(sum) => {
                    let (files, bytes) = verifying.size(table, partition)?;
                    found.files += files;
                    found.bytes += bytes;
                    sums.push(sum);
                }
                Err(error) => {
                    damaged.insert(note(error)?);
                    // Which of the files it was is not the whole answer: there may be more.
                    verifying.each_file(table, partition, &mut damaged)?;
                }
            }
        }
    }
    found.damaged.extend(damaged);
    found.sum = SumRecord::total(&sums);
    Ok(found)
}

/// Damage in words.
///
/// # Errors
/// The error, if it is none.
fn note(error: BackupError) -> Result<String, BackupError> {
    match error {
        BackupError::Damaged { .. } | BackupError::Missing(_) => Ok(error.to_string()),
        error => Err(error),
    }
}

struct Verifying<'a> {
    target: &'a dyn Target,
    chain: &'a Chain,
    pacer: Pacer<'a>,
    progress: &'a Progress,
}

impl Verifying<'_> {
    /// Reads a partition as a restore does; what it holds.
    fn partition(
        &mut self,
        table: &TableRecord,
        partition: &PartitionRecord,
    ) -> Result<SumRecord, BackupError> {
        let name = (table.namespace.as_str(), table.name.as_str());
        let mut layers = Layers::open(self.target, self.chain, name, partition.partition)?;
        let (mut sum, mut before) = (ContentSum::default(), 0);
        while let Some(contents) = layers.next_block()? {
            contents.pieces.iter().for_each(|piece| sum.add(piece));
            self.spend(&contents, layers.bytes_read(), &mut before)?;
        }
        let sum = SumRecord::from(&sum);
        if sum == partition.sum {
            return Ok(sum);
        }
        let file =
            format!("{}/{}/{:04}", self.chain.newest().begun.id, table.directory(), partition.partition);
        Err(BackupError::damaged(
            &file,
            0,
            "every file is what was written, and together they hold something else",
        ))
    }

    /// Reads the files of a partition one by one, in every backup of the chain.
    fn each_file(
        &mut self,
        table: &TableRecord,
        partition: &PartitionRecord,
        damaged: &mut BTreeSet<String>,
    ) -> Result<(), BackupError> {
        for manifest in self.chain.manifests() {
            let name = (table.namespace.as_str(), table.name.as_str());
            let (table, partition) = manifest.begun.partition(name, partition.partition)?;
            let keys = KeysReader::open(self.target, manifest, table, partition);
            if let Err(error) = keys.and_then(|mut keys| keys.read_to_end()) {
                damaged.insert(note(error)?);
            }
            for number in 0..partition.files.len() {
                let file = FileContents::open(self.target, manifest, table, partition, number);
                if let Err(error) = file.and_then(|file| self.file(file)) {
                    damaged.insert(note(error)?);
                }
            }
        }
        Ok(())
    }

    fn file(&mut self, mut file: FileContents) -> Result<(), BackupError> {
        let mut before = 0;
        while let Some(contents) = file.next_block()? {
            self.spend(&contents, file.bytes_read(), &mut before)?;
        }
        Ok(())
    }

    fn spend(&mut self, contents: &Contents, read: u64, before: &mut u64) -> Result<(), BackupError> {
        self.progress.check()?;
        let bytes = read - *before;
        *before = read;
        self.progress.file_bytes.fetch_add(bytes, Ordering::Relaxed);
        let keys = contents.pieces.iter().filter(|piece| piece.first == 0).count() as u64;
        self.progress.keys.fetch_add(keys, Ordering::Relaxed);
        self.pacer.spend(keys, bytes)
    }

    /// How many files a partition has in the chain, and their bytes.
    fn size(&self, table: &TableRecord, partition: &PartitionRecord) -> Result<(u64, u64), BackupError> {
        let (mut files, mut bytes) = (0, 0);
        for manifest in self.chain.manifests() {
            let name = (table.namespace.as_str(), table.name.as_str());
            let (_, partition) = manifest.begun.partition(name, partition.partition)?;
            files += partition.all_files().count() as u64;
            bytes += partition.all_files().map(|file| file.bytes).sum::<u64>();
        }
        Ok((files, bytes))
    }
}
