//! Journals that a crash tore or that were damaged later, and the lock on a store that is in use.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs::{self, File};
use std::ops::Bound;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::copy_dir;
use engine::EngineError;
use engine::records::{Batch, RecordStore, Records};
use records_fjall::{FjallStore, StoreOptions};
use tempfile::TempDir;
use types::StateId;

const STATE: StateId = StateId(1);
const MIB: usize = 1024 * 1024;

fn open(path: &Path) -> Result<FjallStore, EngineError> {
    FjallStore::open(path, StoreOptions::default())
}

fn put(records: &dyn Records, key: &str, value: Vec<u8>) {
    let mut batch = Batch::default();
    batch.put(key.to_owned(), value);
    records.write(batch).unwrap();
}

/// Bytes that compression leaves as they are.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..length).map(|_| step()).collect()
}

fn keys(store: &FjallStore) -> Vec<String> {
    let view = store.open(STATE).unwrap().view();
    let range = view.range(Bound::Unbounded, Bound::Unbounded, false);
    range.map(|record| String::from_utf8_lossy(&record.unwrap().0).into_owned()).collect()
}

fn journals(path: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let mut journals: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|e| e == "jnl")).collect();
    journals.sort_by_key(|path| path.file_stem().unwrap().to_str().unwrap().parse::<u64>().unwrap());
    journals
}

fn copied(path: &Path) -> TempDir {
    let copy = TempDir::new().unwrap();
    copy_dir(path, copy.path());
    copy
}

fn written_bytes(path: &Path) -> u64 {
    fs::read(path).unwrap().iter().rposition(|byte| *byte != 0).unwrap() as u64 + 1
}

#[test]
fn a_page_lost_inside_the_torn_end_costs_only_what_follows() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path()).unwrap();
    let records = store.create(STATE).unwrap();
    for key in ["a", "b", "c"] {
        put(&*records, key, noise(40_000, 7));
    }
    // Written out, but never synced as far as a disk is concerned.
    store.persist().unwrap();
    let [journal] = &journals(directory.path())[..] else { panic!("one journal") };
    let end = written_bytes(journal);
    for (lost_at, left) in [(end - 20_000, &["a", "b"][..]), (end - 60_000, &["a"]), (end - 100_000, &[])] {
        let copy = copied(directory.path());
        let file = File::options().write(true).open(copy.path().join(journal.file_name().unwrap())).unwrap();
        file.write_all_at(&[0; 4096], lost_at).unwrap();
        let reopened = open(copy.path()).unwrap();
        assert_eq!(keys(&reopened), left);
        // It goes on from there, and what it writes is found again.
        put(&*reopened.open(STATE).unwrap(), "z", noise(100, 1));
        drop(reopened);
        assert_eq!(keys(&open(copy.path()).unwrap()).last().unwrap(), "z");
    }
    // Cut at every kind of place in the last batch.
    for cut in [end - 1, end - 14, end - 39_000, end - 40_030] {
        let copy = copied(directory.path());
        let file = File::options().write(true).open(copy.path().join(journal.file_name().unwrap())).unwrap();
        file.set_len(cut).unwrap();
        assert_eq!(keys(&open(copy.path()).unwrap()), ["a", "b"]);
    }
}

#[test]
fn damage_in_an_earlier_journal_is_reported_and_makes_no_hole() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path()).unwrap();
    let idle = store.create(STATE).unwrap();
    put(&*idle, "idle", noise(100, 1));
    // Another state fills a journal, which the idle one's record then holds.
    let busy = store.create(StateId(2)).unwrap();
    for number in 0.. {
        put(&*busy, &format!("{number}"), noise(4 * MIB, number));
        if journals(directory.path()).len() > 1 {
            break;
        }
        assert!(number < 100, "the journal never ends");
    }
    put(&*idle, "idle later", noise(100, 2));
    store.persist().unwrap();
    let copy = copied(directory.path());
    drop((idle, busy, store));
    assert_eq!(keys(&open(copied(copy.path()).path()).unwrap()), ["idle", "idle later"]);
    let [first, ..] = &journals(copy.path())[..] else { panic!("no journal") };
    File::options().write(true).open(first).unwrap().write_all_at(&[9; 16], 1000).unwrap();
    assert!(matches!(open(copy.path()), Err(EngineError::Damaged(text)) if text.contains("jnl")));
}

#[test]
fn a_store_in_use_is_left_alone() {
    let directory = TempDir::new().unwrap();
    let store: Arc<FjallStore> = Arc::new(open(directory.path()).unwrap());
    let records = store.create(STATE).unwrap();
    put(&*records, "a", noise(20_000, 1));
    let [journal] = &journals(directory.path())[..] else { panic!("one journal") };
    let before = fs::metadata(journal).unwrap().len();
    assert!(
        matches!(open(directory.path()), Err(EngineError::Storage(text)) if text.contains("another process"))
    );
    assert_eq!(fs::metadata(journal).unwrap().len(), before, "the journal was cut while it was written");
}
