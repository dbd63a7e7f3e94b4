//! What the tests of the kv engine share: stores that can stop and crash, and short names for requests.
#![allow(dead_code, reason = "each test binary uses a part")]

pub mod chance;
pub mod commands;

use std::fs;
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::sync::Arc;

use engine::records::{MemoryRecordStore, RecordStore};
use engine::{ApplyContext, Engine};
use engine_kv::KvEngine;
use records_fjall::{FjallStore, StoreOptions};
use tempfile::TempDir;
use types::{Hlc, LogIndex};

/// A store under the engine, as a disk outlives a process.
pub trait Disk {
    /// Opens the store as a clean stop left it.
    fn open(&mut self) -> Arc<dyn RecordStore>;
    /// Opens what a crash leaves of a running store.
    fn crash(&mut self, seed: u64) -> Arc<dyn RecordStore>;
}

/// The store of the simulator.
#[derive(Default)]
pub struct Memory(MemoryRecordStore);

impl Disk for Memory {
    fn open(&mut self) -> Arc<dyn RecordStore> {
        Arc::new(self.0.clone())
    }

    fn crash(&mut self, seed: u64) -> Arc<dyn RecordStore> {
        self.0.crash(seed);
        self.open()
    }
}

/// The real store. A crash is a copy of its directory, taken while it runs.
pub struct OnDisk(TempDir);

impl OnDisk {
    pub fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The directory as it is now, in another place.
    pub fn copy(&self) -> TempDir {
        let copy = TempDir::new().unwrap();
        copy_dir(self.0.path(), copy.path());
        copy
    }
}

impl Disk for OnDisk {
    fn open(&mut self) -> Arc<dyn RecordStore> {
        Arc::new(FjallStore::open(self.0.path(), StoreOptions::default()).unwrap())
    }

    fn crash(&mut self, _seed: u64) -> Arc<dyn RecordStore> {
        self.0 = self.copy();
        self.open()
    }
}

/// Copies a directory; journals are 64 MiB of room each, most of it zeros that stay unwritten.
fn copy_dir(from: &Path, to: &Path) {
    const BLOCK: usize = 64 * 1024;
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&target).unwrap();
            copy_dir(&entry.path(), &target);
            continue;
        }
        let (mut from, mut to) = (fs::File::open(entry.path()).unwrap(), fs::File::create(target).unwrap());
        to.set_len(from.metadata().unwrap().len()).unwrap();
        let mut block = vec![0; BLOCK];
        loop {
            match from.read(&mut block).unwrap() {
                0 => break,
                count if block[..count] == [0; BLOCK][..count] => to.seek_relative(count as i64).unwrap(),
                count => to.write_all(&block[..count]).unwrap(),
            }
        }
    }
}

pub fn engine(store: Arc<dyn RecordStore>) -> Arc<dyn Engine> {
    Arc::new(KvEngine::new(store))
}

/// The context of an entry at a moment.
pub fn context(millis: u64, index: u64) -> ApplyContext {
    ApplyContext {
        hlc: Hlc::from_millis(millis),
        seed: index,
        apply_version: 1,
        index: LogIndex(index),
        wants_changes: false,
    }
}
