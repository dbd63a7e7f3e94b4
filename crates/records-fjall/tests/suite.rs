//! The shared suite of record stores on fjall. A crash is a copy of the directory, taken while the store
//! is running and opened instead of it.

use std::fs;
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::sync::Arc;

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

fn copy_dir(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&target).unwrap();
            copy_dir(&entry.path(), &target);
        } else {
            copy_file(&entry.path(), &target);
        }
    }
}

/// Copies what is not zero: journals are 64 MiB of room, most of it never written.
fn copy_file(from: &Path, to: &Path) {
    const BLOCK: usize = 64 * 1024;
    let (mut from, mut to) = (fs::File::open(from).unwrap(), fs::File::create(to).unwrap());
    to.set_len(from.metadata().unwrap().len()).unwrap();
    let mut block = vec![0; BLOCK];
    loop {
        let count = from.read(&mut block).unwrap();
        match count {
            0 => return,
            _ if block[..count] == [0; BLOCK][..count] => {
                to.seek_relative(count as i64).unwrap();
            }
            _ => to.write_all(&block[..count]).unwrap(),
        }
    }
}

#[test]
fn passes_the_suite() {
    suite::run(|| OnDisk(TempDir::new().unwrap()));
}
