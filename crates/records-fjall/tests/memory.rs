//! The governor: memtables stay within the budget together, and an idle state holds no journal for ever.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::records::{Batch, RecordStore, Records};
use records_fjall::{FjallStore, StoreOptions};
use tempfile::TempDir;
use types::StateId;

const MIB: u64 = 1024 * 1024;

fn write(records: &dyn Records, from: u64, count: u64, value_bytes: usize) {
    let mut batch = Batch::default();
    for number in from..from + count {
        let mut value = vec![0; value_bytes];
        // Not compressible, so that the journal grows by what is written.
        let mut state = number | 1;
        for byte in &mut value {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *byte = state as u8;
        }
        batch.put(number.to_be_bytes().to_vec(), value);
    }
    records.write(batch).unwrap();
}

#[test]
fn many_states_share_one_budget() {
    const STATES: u64 = 20;
    let directory = TempDir::new().unwrap();
    let options = StoreOptions { write_buffer_bytes: 8 * MIB, block_cache_bytes: MIB };
    let store = FjallStore::open(directory.path(), options).unwrap();
    let states: Vec<Arc<dyn Records>> =
        (1..=STATES).map(|state| store.create(StateId(state)).unwrap()).collect();
    let mut most = 0;
    for round in 0..300 {
        for records in &states {
            write(&**records, round * 20, 20, 200);
        }
        most = most.max(store.memtable_bytes());
    }
    // 20 states with 6000 records each would be some 40 MiB; no memtable alone passes 16 MiB.
    let bound = options.write_buffer_bytes * 5 / 4;
    assert!(most > options.write_buffer_bytes / 2 && most <= bound, "{most} bytes in memtables");
    for records in &states {
        assert!(records.get(&0_u64.to_be_bytes()).unwrap().is_some());
    }
}

#[test]
fn an_idle_state_holds_no_journal_for_ever() {
    let directory = TempDir::new().unwrap();
    let options = StoreOptions { write_buffer_bytes: 8 * MIB, block_cache_bytes: MIB };
    let store = FjallStore::open(directory.path(), options).unwrap();
    let idle = store.create(StateId(1)).unwrap();
    write(&*idle, 0, 1, 10);
    let busy = store.create(StateId(2)).unwrap();
    for number in 0..400 {
        write(&*busy, number % 7, 1, MIB as usize);
        assert!(journals(directory.path()) <= 4, "journals pile up after {number} MiB");
    }
    assert_eq!(idle.get(&0_u64.to_be_bytes()).unwrap().unwrap().len(), 10);
}

#[test]
fn a_quiet_state_gives_back_what_was_removed() {
    let directory = TempDir::new().unwrap();
    let options = StoreOptions { write_buffer_bytes: 8 * MIB, block_cache_bytes: MIB };
    let store = FjallStore::open(directory.path(), options).unwrap();
    let records = store.create(StateId(1)).unwrap();
    for number in 0..200 {
        write(&*records, number, 1, MIB as usize);
    }
    assert!(size(directory.path()) > 200 * MIB, "{} bytes", size(directory.path()));
    let mut batch = Batch::default();
    (0..199_u64).for_each(|number| batch.remove(number.to_be_bytes().to_vec()));
    records.write(batch).unwrap();
    // What is left is the journal that is being written, and the one record.
    let begun = Instant::now();
    while size(directory.path()) > 80 * MIB {
        assert!(begun.elapsed() < Duration::from_secs(60), "{} bytes", size(directory.path()));
        std::thread::yield_now();
    }
    assert!(records.get(&0_u64.to_be_bytes()).unwrap().is_none());
    assert_eq!(records.get(&199_u64.to_be_bytes()).unwrap().unwrap().len(), MIB as usize);
}

/// Bytes that a directory takes on disk.
fn size(path: &Path) -> u64 {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => size(&entry.path()),
        Ok(metadata) => metadata.blocks() * 512,
        // Removed meanwhile.
        Err(_) => 0,
    });
    sizes.sum()
}

fn journals(path: &Path) -> usize {
    let names = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().ends_with(".jnl")).count()
}
