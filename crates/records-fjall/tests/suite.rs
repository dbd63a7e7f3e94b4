//! The shared suite of record stores on fjall. A crash is a copy of the directory, taken while the store
//! is running and opened instead of it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;

use common::copy_dir;
use engine::records::RecordStore;
use engine::records::suite::{self, Subject};
use records_fjall::{FjallStore, StoreOptions};
use tempfile::TempDir;

struct OnDisk(TempDir);

impl Subject for OnDisk {
    fn open(&mut self) -> Arc<dyn RecordStore> {
        Arc::new(FjallStore::open(self.0.path(), StoreOptions::default()).unwrap())
    }

    fn crash(&mut self, running: Arc<dyn RecordStore>, _seed: u64) -> Arc<dyn RecordStore> {
        let copy = TempDir::new().unwrap();
        copy_dir(self.0.path(), copy.path());
        drop(running);
        self.0 = copy;
        self.open()
    }
}

#[test]
fn passes_the_suite() {
    suite::run(|| OnDisk(TempDir::new().unwrap()));
}
