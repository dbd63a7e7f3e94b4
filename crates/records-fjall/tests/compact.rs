//! Compaction on demand: space comes back, contents stay, and a large state that is written to is left alone.

#![expect(clippy::unwrap_used, reason = "this is a test")]

use std::ops::Bound;

use engine::Compaction;
use engine::records::{Batch, RecordStore, Records};
use records_fjall::{FjallStore, StoreOptions};
use types::StateId;

const STATE: StateId = StateId(1);
const RECORDS: u32 = 20_000;

/// Bytes that no compression makes smaller.
fn value(number: u32) -> Vec<u8> {
    let mut state = u64::from(number) + 1;
    let mut bytes = Vec::with_capacity(512);
    while bytes.len() < 512 {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        bytes.extend_from_slice(&(state >> 16).to_be_bytes());
    }
    bytes
}

fn fill(records: &dyn Records, numbers: impl Iterator<Item = u32>) {
    let numbers: Vec<u32> = numbers.collect();
    for some in numbers.chunks(100) {
        let mut batch = Batch::default();
        some.iter().for_each(|number| batch.put(number.to_be_bytes().to_vec(), value(*number)));
        records.write(batch).unwrap();
    }
}

#[test]
fn what_was_removed_leaves_the_disk_and_the_rest_stays() {
    let directory = tempfile::tempdir().unwrap();
    let store = FjallStore::open(directory.path(), StoreOptions::default()).unwrap();
    let records = store.create(STATE).unwrap();
    fill(&*records, 0..RECORDS);
    assert_eq!(store.compact(STATE).unwrap(), Compaction::Done);
    let before = records.bytes();
    assert!(before > u64::from(RECORDS) * 512, "{before}");
    for some in (0..RECORDS).filter(|number| number % 100 != 0).collect::<Vec<_>>().chunks(100) {
        let mut batch = Batch::default();
        some.iter().for_each(|number| batch.remove(number.to_be_bytes().to_vec()));
        records.write(batch).unwrap();
    }
    assert_eq!(store.compact(STATE).unwrap(), Compaction::Done);
    let after = records.bytes();
    assert!(after < before / 20, "{before} bytes, then {after}");
    let view = records.view();
    let left: Vec<_> = view.range(Bound::Unbounded, Bound::Unbounded, false).map(Result::unwrap).collect();
    assert_eq!(left.len(), RECORDS as usize / 100);
    assert!(
        left.iter()
            .all(|(key, kept)| { *kept == value(u32::from_be_bytes(key.as_ref().try_into().unwrap())) })
    );
    assert_eq!(store.compact(StateId(9)).unwrap(), Compaction::Done, "gone: nothing to do");
}

#[test]
fn a_large_state_that_is_written_to_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let store = FjallStore::open(directory.path(), StoreOptions::default()).unwrap();
    let records = store.create(STATE).unwrap();
    // More than the 128 MiB that nobody feels.
    let mut ingested =
        (0..300_000u32).map(|number| Ok((number.to_be_bytes().to_vec().into(), value(number).into())));
    records.ingest(&mut ingested).unwrap();
    let mut batch = Batch::default();
    batch.put("x", "y");
    records.write(batch).unwrap();
    match store.compact(STATE).unwrap() {
        Compaction::Left(why) => assert!(why.contains("being written to"), "{why}"),
        Compaction::Done => panic!("compacted"),
    }
}
