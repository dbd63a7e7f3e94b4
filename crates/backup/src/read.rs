//! Reads contents out of a backup, file by file.

use std::io::Read;

use api::kv::Contents;

use crate::backups::in_backup;
use crate::block::{BlockReader, FileHead};
use crate::error::BackupError;
use crate::manifest::{FileRecord, Manifest, PartitionRecord, TableRecord};
use crate::target::Target;

/// The contents of one file, checked as they are read.
///
/// A block was compared with its own checksum when it is given out. Whether the whole file is the one that was
/// written is known at its end: `None` says so, and whoever restores counts the file as done only then.
pub struct FileContents {
    reader: BlockReader<Box<dyn Read + Send>>,
    name: String,
    record: FileRecord,
}

impl FileContents {
    /// Begins to read a file of a backup.
    ///
    /// # Errors
    /// `Missing`; `Damaged` if it is another file; what the target says.
    pub fn open(
        target: &dyn Target,
        manifest: &Manifest,
        table: &TableRecord,
        partition: &PartitionRecord,
        number: usize,
    ) -> Result<Self, BackupError> {
        let id = &manifest.begun.id;
        let missing =
            || BackupError::NoBackup(format!("partition {} has no file {number}", partition.partition));
        let record = partition.files.get(number).ok_or_else(missing)?.clone();
        let head = FileHead {
            backup: id.clone(),
            namespace: table.namespace.clone(),
            table: table.name.clone(),
            partition: partition.partition,
            number: number as u32,
        };
        let name = in_backup(id, &record.path);
        let reader = BlockReader::new(target.open(&name)?, &name, &head)?;
        Ok(Self { reader, name, record })
    }

    /// The contents of the next block; `None` once the whole file was read and is the one that was written.
    ///
    /// # Errors
    /// `Damaged`, naming file and offset; what the target says.
    pub fn next_block(&mut self) -> Result<Option<Contents>, BackupError> {
        let block = self.reader.next_block()?;
        if block.is_none() && !self.record.fits(&self.reader.sum()) {
            let what = "the file is whole, but not the one that the manifest describes";
            return Err(BackupError::damaged(&self.name, 0, what));
        }
        Ok(block)
    }

    /// Bytes of the file that were read.
    pub fn bytes_read(&self) -> u64 {
        self.reader.offset()
    }
}
