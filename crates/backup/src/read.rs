//! Reads contents out of a backup, part by part.

use std::io::Read;

use api::kv::Contents;

use crate::backups::in_backup;
use crate::block::{BlockReader, FileHead};
use crate::chain::Chain;
use crate::error::BackupError;
use crate::layers::Layers;
use crate::manifest::{FileRecord, Manifest, PartitionRecord, TableRecord};
use crate::target::Target;

/// What of a table is restored on its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The partition that was saved.
    pub partition: u32,
    /// The file's number in it; 0 if it is the whole partition.
    pub file: u32,
    /// What it is called in a record of what is done.
    pub name: String,
    /// Bytes of contents.
    pub bytes: u64,
}

/// The parts of a table: the files of a full backup, each of which can be restored alone. Those of an increment mean
/// nothing without what they stand on: its parts are the partitions.
pub fn parts(manifest: &Manifest, table: &TableRecord) -> Vec<Part> {
    if manifest.begun.parent.is_some() {
        return whole_partitions(table);
    }
    let of = |partition: &PartitionRecord| {
        let partition_number = partition.partition;
        let part = move |(file, number): (&FileRecord, u32)| Part {
            partition: partition_number,
            file: number,
            name: file.path.clone(),
            bytes: file.sum.bytes,
        };
        partition.files.iter().zip(0..).map(part).collect::<Vec<_>>()
    };
    table.partitions.iter().flat_map(of).collect()
}

/// The partitions of a table as its parts.
pub fn whole_partitions(table: &TableRecord) -> Vec<Part> {
    let part = |partition: &PartitionRecord| Part {
        partition: partition.partition,
        file: 0,
        name: format!("{}/{:04}", table.directory(), partition.partition),
        bytes: partition.sum.bytes,
    };
    table.partitions.iter().map(part).collect()
}

/// The contents of one of the [`parts`].
pub enum PartContents<'a> {
    /// A file of a full backup.
    File(Box<FileContents>),
    /// A partition of an increment, with what it stands on.
    Layers(Layers<'a>),
}

impl<'a> PartContents<'a> {
    /// Begins to read a part of a table of the newest backup of a chain.
    ///
    /// # Errors
    /// `NoBackup` if there is no such part; `Missing`, `Damaged`; what the target says.
    pub fn open(
        target: &'a dyn Target,
        chain: &'a Chain,
        table: (&str, &str),
        (partition, file): (u32, u32),
    ) -> Result<Self, BackupError> {
        let manifest = chain.newest();
        if manifest.begun.parent.is_some() {
            return Layers::open(target, chain, table, partition).map(Self::Layers);
        }
        let (table, place) = manifest.begun.partition(table, partition)?;
        FileContents::open(target, manifest, table, place, file as usize).map(Box::new).map(Self::File)
    }

    /// The next contents; `None` once all of the part was read and is what was written.
    ///
    /// # Errors
    /// `Damaged`, naming file and offset; what the target says.
    pub fn next_block(&mut self) -> Result<Option<Contents>, BackupError> {
        match self {
            Self::File(file) => file.next_block(),
            Self::Layers(layers) => layers.next_block(),
        }
    }

    /// Bytes of files that were read.
    pub fn bytes_read(&self) -> u64 {
        match self {
            Self::File(file) => file.bytes_read(),
            Self::Layers(layers) => layers.bytes_read(),
        }
    }
}

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
            keys: false,
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
