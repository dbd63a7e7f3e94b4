//! Compaction on demand: space comes back, contents stay, and writers of a large state go on meanwhile.

#![expect(clippy::unwrap_used, reason = "this is a test")]

use std::cell::Cell;
use std::ops::Bound;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

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

/// More than what is compacted as a whole.
const MANY: u32 = 300_000;
/// Of these one stays.
const STAYS: u32 = 20;

/// A large state of which most was removed: the graves are flushed, and cover what lies in the last level.
fn large(store: &FjallStore) -> Arc<dyn Records> {
    let records = store.create(STATE).unwrap();
    let mut ingested = (0..MANY).map(|number| Ok((key(number).into(), value(number).into())));
    records.ingest(&mut ingested).unwrap();
    for some in (0..MANY).filter(|number| number % STAYS != 0).collect::<Vec<_>>().chunks(1000) {
        let mut batch = Batch::default();
        some.iter().for_each(|number| batch.remove(key(*number)));
        records.write(batch).unwrap();
    }
    records
}

fn key(number: u32) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

/// Writes one key after another, which are none of the state's own, until told to stop. Returns how many.
fn write_until(records: &dyn Records, stop: &AtomicBool) -> u32 {
    let mut written = 0;
    while !stop.load(Ordering::Relaxed) {
        fill(records, (MANY + written)..(MANY + written + 100));
        written += 100;
        std::thread::sleep(Duration::from_millis(1));
    }
    written
}

#[test]
fn a_large_state_is_compacted_in_pieces_while_it_is_written_to() {
    let directory = tempfile::tempdir().unwrap();
    let store = FjallStore::open(directory.path(), StoreOptions::default()).unwrap();
    let records = large(&store);
    let before = records.bytes();
    assert!(before > u64::from(MANY) * 512, "{before}");
    let merged = Rc::new(Cell::new(0));
    let told = merged.clone();
    engine::pace::set(move |bytes| told.set(told.get() + bytes));
    let stop = AtomicBool::new(false);
    let written = std::thread::scope(|scope| {
        let writer = scope.spawn(|| write_until(&*records, &stop));
        let outcome = store.compact(STATE);
        stop.store(true, Ordering::Relaxed);
        assert_eq!(outcome.unwrap(), Compaction::Done);
        writer.join().unwrap()
    });
    assert!(merged.get() > (MANY / STAYS) as usize * 512 / 2, "{} bytes are told", merged.get());
    let new = u64::from(written) * 640;
    assert!(records.bytes() < before / 5 + 3 * new, "{before} bytes, then {} with {new}", records.bytes());
    let view = records.view();
    let kept: Vec<_> = view.range(Bound::Unbounded, Bound::Unbounded, false).map(Result::unwrap).collect();
    let expected = (0..MANY).filter(|number| number % STAYS == 0).chain(MANY..MANY + written);
    assert_eq!(kept.len(), (MANY / STAYS + written) as usize);
    for ((found, contents), number) in kept.iter().zip(expected) {
        assert_eq!((&found[..], &contents[..]), (&key(number)[..], &value(number)[..]));
    }
}

#[test]
fn a_compaction_that_is_over_leaves_the_state_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let store = FjallStore::open(directory.path(), StoreOptions::default()).unwrap();
    let records = large(&store);
    let over = Rc::new(Cell::new(false));
    let (told, asked) = (over.clone(), over.clone());
    engine::pace::set(move |_| told.set(true));
    engine::pace::set_end(move || asked.get());
    match store.compact(STATE).unwrap() {
        Compaction::Left(why) => assert!(why.contains("its node stops"), "{why}"),
        Compaction::Done => panic!("it went on"),
    }
    let view = records.view();
    assert_eq!(view.range(Bound::Unbounded, Bound::Unbounded, false).count(), (MANY / STAYS) as usize);
    // What was begun is no harm to the next one.
    over.set(false);
    engine::pace::set(|_| ());
    assert_eq!(store.compact(STATE).unwrap(), Compaction::Done);
    assert_eq!(view.range(Bound::Unbounded, Bound::Unbounded, false).count(), (MANY / STAYS) as usize);
}
