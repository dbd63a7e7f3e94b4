//! A run of an archive, and what is needed to make it.

use std::path::PathBuf;

use api::kv::EntryChanges;
use backup::archive::{ArchiveBegun, Changes, Run, Writer};
use backup::{BackupError, FORMAT, Target};
use types::Hlc;

/// The entry after which the run tells changes.
pub const SINCE: u64 = 100;

/// A directory with a run of an archive.
pub struct Place {
    pub directory: tempfile::TempDir,
    pub target: std::sync::Arc<dyn Target>,
}

impl Place {
    pub fn new() -> Self {
        let directory = tempfile::TempDir::new().unwrap();
        let target = backup::open(&format!("file://{}", directory.path().display())).unwrap();
        Self { directory, target }
    }

    pub fn writer(&self) -> Writer {
        Writer::open(&*self.target, run(), 1000).unwrap()
    }

    /// A file with the changes of these entries, complete up to the entry `to`.
    pub fn tell(&self, writer: &mut Writer, entries: &[u64], to: u64) -> Result<(), BackupError> {
        for index in entries {
            writer.add(&*self.target, change(*index))?;
        }
        writer.complete(&*self.target, to, ms(to) + 1)
    }

    /// The entries that a restore up to a time carries out after another.
    pub fn read(&self, after: u64, to_ms: u64) -> Result<Vec<u64>, BackupError> {
        let (run, mut entries) = (run(), Vec::new());
        let mut changes = Changes::open(&*self.target, &run, after, to_ms)?;
        while let Some(change) = changes.next_entry()? {
            assert_eq!(change.gone.len(), 1 + usize::from(change.index == 112), "pieces are put together");
            entries.push(change.index);
        }
        Ok(entries)
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(run().directory()).join(name)
    }
}

/// What says that the archive of the run was begun.
pub fn begun() -> ArchiveBegun {
    ArchiveBegun { format: FORMAT, id: run().archive, cluster: "c".into(), begun_ms: 1, tables: Vec::new() }
}

/// The run.
pub fn run() -> Run {
    Run {
        archive: "20261126T231502Z-5c1d9a".into(),
        namespace: "default".into(),
        table: "kv".into(),
        partition: 7,
        group: 31,
        since: SINCE,
    }
}

/// The stamp of an entry, in milliseconds.
pub fn ms(index: u64) -> u64 {
    1000 + 10 * index
}

/// A change by an entry.
pub fn change(index: u64) -> EntryChanges {
    EntryChanges { index, hlc: Hlc::from_millis(ms(index)).0, gone: vec!["k".into()], ..Default::default() }
}
