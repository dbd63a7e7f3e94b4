//! The shared suite of record stores: what every [`RecordStore`] must do, as one function.
//!
//! A store's test implements [`Subject`] and calls [`run`]. The checks panic with what is wrong.

use std::collections::BTreeMap;
use std::ops::Bound::{self, Excluded, Included, Unbounded};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use types::StateId;

use super::{Batch, KEY_BYTES_MAX, Record, RecordStore, Records, View};
use crate::EngineError;

/// A kind of store under test.
pub trait Subject {
    /// Opens the store: the first time empty, later as a clean stop left it. Every handle of before was
    /// dropped.
    fn open(&mut self) -> Arc<dyn RecordStore>;

    /// Ends a running store as a crash of the machine would, and opens what is left.
    fn crash(&mut self, running: Arc<dyn RecordStore>, seed: u64) -> Arc<dyn RecordStore>;
}

/// Runs every check, each on a store of its own made by `subject`.
pub fn run<S: Subject>(subject: impl Fn() -> S) {
    reads_see_the_last_write(&mut subject());
    keys_have_a_length(&mut subject());
    ranges_are_ordered_and_bounded(&mut subject());
    views_stay_as_they_were(&mut subject());
    states_are_apart(&mut subject());
    ingested_records_ascend(&mut subject());
    a_clean_stop_keeps_everything(&mut subject());
    for seed in 0..4 {
        a_crash_leaves_a_prefix(&mut subject(), seed);
        persisted_writes_survive(&mut subject(), seed);
    }
    batches_become_visible_at_once(&mut subject());
    for seed in 0..4 {
        agrees_with_an_ordered_map(&mut subject(), seed);
    }
}

const STATE: StateId = StateId(7);

fn good<T>(result: Result<T, EngineError>) -> T {
    result.unwrap_or_else(|error| panic!("the store failed: {error}"))
}

fn created(subject: &mut dyn Subject) -> (Arc<dyn RecordStore>, Arc<dyn Records>) {
    let store = subject.open();
    let records = good(store.create(STATE));
    (store, records)
}

fn put(records: &dyn Records, pairs: &[(&str, &str)]) {
    let mut batch = Batch::default();
    for (key, value) in pairs {
        batch.put(key.to_string(), value.to_string());
    }
    good(records.write(batch));
}

fn get(records: &dyn Records, key: &str) -> Option<String> {
    let value = good(records.get(key.as_bytes()));
    assert_eq!(value, good(records.get_latest(key.as_bytes())), "nothing is being written");
    value.map(text)
}

fn text(bytes: Bytes) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

fn keys(view: &dyn View, from: Bound<&str>, to: Bound<&str>, reverse: bool) -> String {
    let range = view.range(from.map(str::as_bytes), to.map(str::as_bytes), reverse);
    let keys: Vec<String> = range.map(|record| text(good(record).0)).collect();
    keys.join(" ")
}

fn reads_see_the_last_write(subject: &mut dyn Subject) {
    let (_store, records) = created(subject);
    assert_eq!(get(&*records, "a"), None);
    put(&*records, &[("a", "1"), ("b", "")]);
    assert_eq!(get(&*records, "a").as_deref(), Some("1"));
    assert_eq!(get(&*records, "b").as_deref(), Some(""));
    put(&*records, &[("a", "2"), ("a", "3")]);
    assert_eq!(get(&*records, "a").as_deref(), Some("3"), "the later write of a batch wins");
    let mut batch = Batch::default();
    batch.put("a", "4");
    batch.remove("a");
    batch.remove("c");
    batch.remove("b");
    batch.put("b", "5");
    good(records.write(batch));
    assert_eq!(get(&*records, "a"), None);
    assert_eq!(get(&*records, "b").as_deref(), Some("5"));
    good(records.write(Batch::default()));
}

fn keys_have_a_length(subject: &mut dyn Subject) {
    let (_store, records) = created(subject);
    for length in [0, KEY_BYTES_MAX + 1] {
        let key = Bytes::from(vec![b'k'; length]);
        let mut batch = Batch::default();
        batch.put("good", "1");
        batch.put(key.clone(), "1");
        assert!(records.write(batch).is_err(), "a key of {length} bytes");
        assert!(records.ingest(&mut [Ok((key, Bytes::new()))].into_iter()).is_err());
    }
    assert_eq!(get(&*records, "good"), None, "a refused batch was written in part");
    let longest = "k".repeat(KEY_BYTES_MAX);
    put(&*records, &[(&longest, "1")]);
    assert_eq!(get(&*records, &longest).as_deref(), Some("1"));
    assert_eq!(get(&*records, ""), None);
}

fn ranges_are_ordered_and_bounded(subject: &mut dyn Subject) {
    let (_store, records) = created(subject);
    put(&*records, &[("c", "3"), ("a", "1"), ("b", "2"), ("ab", "x"), ("d", "4")]);
    let view = records.view();
    let view = &*view;
    assert_eq!(keys(view, Unbounded, Unbounded, false), "a ab b c d");
    assert_eq!(keys(view, Unbounded, Unbounded, true), "d c b ab a");
    assert_eq!(keys(view, Included("ab"), Excluded("c"), false), "ab b");
    assert_eq!(keys(view, Excluded("ab"), Included("c"), true), "c b");
    assert_eq!(keys(view, Included("c"), Included("c"), false), "c");
    assert_eq!(keys(view, Excluded("c"), Excluded("c"), false), "");
    assert_eq!(keys(view, Included("d"), Included("a"), false), "", "bounds the wrong way round");
    assert_eq!(keys(view, Included("x"), Unbounded, true), "");
}

fn views_stay_as_they_were(subject: &mut dyn Subject) {
    let (_store, records) = created(subject);
    put(&*records, &[("a", "1"), ("b", "1")]);
    let view = records.view();
    put(&*records, &[("a", "2"), ("c", "2")]);
    let mut batch = Batch::default();
    batch.remove("b");
    good(records.write(batch));
    assert_eq!(good(view.get(b"a")).map(text).as_deref(), Some("1"));
    assert_eq!(keys(&*view, Unbounded, Unbounded, false), "a b");
    assert_eq!(keys(&*records.view(), Unbounded, Unbounded, false), "a c");
    drop(records);
    assert_eq!(keys(&*view, Unbounded, Unbounded, false), "a b", "a view needs no other handle");
}

fn states_are_apart(subject: &mut dyn Subject) {
    let store = subject.open();
    assert!(matches!(store.open(STATE), Err(EngineError::Missing(STATE))));
    assert_eq!(good(store.list()), []);
    let one = good(store.create(StateId(1)));
    let many = good(store.create(StateId(u64::MAX)));
    assert!(store.create(StateId(1)).is_err(), "created twice");
    put(&*one, &[("a", "1")]);
    assert_eq!(get(&*many, "a"), None);
    assert_eq!(good(store.list()), [StateId(1), StateId(u64::MAX)]);
    let view = one.view();
    good(store.remove(StateId(1)));
    good(store.remove(StateId(1)));
    assert_eq!(keys(&*view, Unbounded, Unbounded, false), "a", "a view outlives its state");
    assert!(matches!(store.open(StateId(1)), Err(EngineError::Missing(_))));
    assert_eq!(good(store.list()), [StateId(u64::MAX)]);
    let again = good(store.create(StateId(1)));
    assert_eq!(get(&*again, "a"), None, "a new state has nothing of the old one");
}

fn ingested_records_ascend(subject: &mut dyn Subject) {
    let (store, records) = created(subject);
    let ingest = |pairs: &[(&str, &str)]| {
        let record = |(key, value): &(&str, &str)| -> Result<Record, EngineError> {
            Ok((Bytes::copy_from_slice(key.as_bytes()), Bytes::copy_from_slice(value.as_bytes())))
        };
        records.ingest(&mut pairs.iter().map(record))
    };
    put(&*records, &[("a", "1")]);
    good(ingest(&[("b", "2"), ("c", "3")]));
    good(ingest(&[]));
    assert!(ingest(&[("d", "4"), ("d", "4")]).is_err(), "equal keys");
    assert!(ingest(&[("f", "4"), ("e", "4")]).is_err(), "descending keys");
    assert!(ingest(&[("c", "4")]).is_err(), "a key that is not above what is there");
    let mut broken = [Ok(("x".into(), "1".into())), Err(EngineError::BadSnapshot("cut off".into()))];
    let mut broken = broken.iter_mut().map(|record| std::mem::replace(record, Ok(Default::default())));
    assert!(matches!(records.ingest(&mut broken), Err(EngineError::BadSnapshot(_))));
    assert_eq!(keys(&*records.view(), Unbounded, Unbounded, false), "a b c");
    put(&*records, &[("b", "5")]);
    assert_eq!(get(&*records, "b").as_deref(), Some("5"), "writes win over what was ingested before");
    good(ingest(&[("d", "6")]));
    let store = subject.crash(store, 3);
    let records = good(store.open(STATE));
    assert_eq!(keys(&*records.view(), Unbounded, Unbounded, false), "a b c d");
    assert_eq!(get(&*records, "b").as_deref(), Some("5"), "what came before an ingestion is durable with it");
}

fn a_clean_stop_keeps_everything(subject: &mut dyn Subject) {
    let (store, records) = created(subject);
    put(&*records, &[("a", "1")]);
    good(store.persist());
    put(&*records, &[("b", "2")]);
    drop((store, records));
    let store = subject.open();
    let records = good(store.open(STATE));
    assert_eq!(keys(&*records.view(), Unbounded, Unbounded, false), "a b");
    put(&*records, &[("a", "3")]);
    assert_eq!(get(&*records, "a").as_deref(), Some("3"), "a write after the stop wins");
}

fn a_crash_leaves_a_prefix(subject: &mut dyn Subject, seed: u64) {
    const BATCHES: u32 = 200;
    let (store, records) = created(subject);
    let other = good(store.create(StateId(8)));
    for number in 0..BATCHES {
        // Each batch writes a record of its own and one that all share; a hole would show in either.
        let name = format!("{number:03}");
        put(&*records, &[(&name, "x"), ("last", &name)]);
        put(&*other, &[(&name, "y")]);
    }
    let store = subject.crash(store, seed);
    let records = good(store.open(STATE));
    let survivors: Vec<String> = (0..BATCHES)
        .map(|number| format!("{number:03}"))
        .filter(|name| get(&*records, name).is_some())
        .collect();
    let expected: Vec<String> = (0..survivors.len()).map(|number| format!("{number:03}")).collect();
    assert_eq!(survivors, expected, "a crash left a hole");
    assert_eq!(get(&*records, "last"), survivors.last().cloned(), "a crash tore a batch");
}

fn persisted_writes_survive(subject: &mut dyn Subject, seed: u64) {
    let (store, records) = created(subject);
    let other = good(store.create(StateId(8)));
    put(&*records, &[("a", "1"), ("b", "1")]);
    put(&*other, &[("c", "1")]);
    good(store.persist());
    put(&*records, &[("a", "2")]);
    drop((records, other));
    let store = subject.crash(store, seed);
    let records = good(store.open(STATE));
    assert!(matches!(get(&*records, "a").as_deref(), Some("1" | "2")));
    assert_eq!(get(&*records, "b").as_deref(), Some("1"));
    assert_eq!(get(&*good(store.open(StateId(8))), "c").as_deref(), Some("1"));
    good(store.remove(StateId(8)));
    let store = subject.crash(store, seed + 1);
    assert_eq!(good(store.list()), [STATE], "a removed state came back");
}

fn batches_become_visible_at_once(subject: &mut dyn Subject) {
    const BATCHES: u64 = 2_000;
    let (_store, records) = created(subject);
    let done = AtomicBool::new(false);
    let number_at = |bytes: Option<Bytes>| -> u64 {
        let eight = bytes.and_then(|bytes| bytes[..].try_into().ok());
        eight.map_or(0, u64::from_be_bytes)
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 1..=BATCHES {
                let mut batch = Batch::default();
                for key in ["a", "b", "c", "d", "e", "f"] {
                    batch.put(key, number.to_be_bytes().to_vec());
                }
                good(records.write(batch));
            }
            done.store(true, Ordering::Release);
        });
        while !done.load(Ordering::Acquire) {
            let first = number_at(good(records.get(b"a")));
            let second = number_at(good(records.get(b"f")));
            assert!(second >= first, "a get saw half a batch: a = {first}, then f = {second}");
            let view = records.view();
            let range = view.range(Unbounded, Unbounded, false);
            let numbers: Vec<u64> = range.map(|record| number_at(Some(good(record).1))).collect();
            assert!(
                numbers.windows(2).all(|pair| pair[0] == pair[1]),
                "a view saw half a batch: {numbers:?}"
            );
        }
    });
}

fn agrees_with_an_ordered_map(subject: &mut dyn Subject, seed: u64) {
    let (mut store, mut records) = created(subject);
    let mut model = BTreeMap::<Vec<u8>, Vec<u8>>::new();
    let mut chance = Chance(seed);
    for _ in 0..300 {
        let mut batch = Batch::default();
        for _ in 0..chance.below(8) {
            let key = format!("{:02}", chance.below(40)).into_bytes();
            if chance.below(3) == 0 {
                model.remove(&key);
                batch.remove(key);
            } else {
                let value = vec![b'v'; chance.below(300) as usize];
                model.insert(key.clone(), value.clone());
                batch.put(key, value);
            }
        }
        good(records.write(batch));
        if chance.below(40) == 0 {
            good(store.persist());
            drop(records);
            store = if chance.below(2) == 0 {
                subject.crash(store, seed)
            } else {
                drop(store);
                subject.open()
            };
            records = good(store.open(STATE));
        }
        let from = format!("{:02}", chance.below(40)).into_bytes();
        let to = format!("{:02}", chance.below(40)).into_bytes();
        let found: Vec<Record> = good(records.view().range(Included(&from), Excluded(&to), false).collect());
        let expected: Vec<Record> = if from < to {
            let range = model.range(from..to);
            range.map(|(key, value)| (key.clone().into(), value.clone().into())).collect()
        } else {
            Vec::new()
        };
        assert_eq!(found, expected, "seed {seed}");
    }
}

/// Numbers that are a function of a seed: SplitMix64.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    /// A number below a bound.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}
