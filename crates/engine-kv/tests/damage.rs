//! Damaged bytes give errors that say so; nothing panics and nothing is believed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use api::kv::KvRequest;
use common::commands::{Command, parse};
use common::{Disk, Memory, OnDisk, context, engine};
use engine::records::{Batch, RecordStore};
use engine::{Applied, Engine, EngineError, StateMachine};
use engine_kv::KvEngine;
use prost::Message;
use records_fjall::{FjallStore, StoreOptions};
use types::{Hlc, LogIndex, StateId, Term};

const STATE: StateId = StateId(1);
const COPY: StateId = StateId(2);
const NOW: Hlc = Hlc::from_millis(1_000_000);

fn request(command: &str) -> Vec<u8> {
    match parse(command) {
        Command::Op(op) => KvRequest::new(op).encode_to_vec(),
        Command::Bytes(bytes) => bytes,
    }
}

fn filled(store: Arc<dyn RecordStore>, keys: usize) -> (Arc<dyn Engine>, Box<dyn StateMachine>) {
    let engine = engine(store);
    let mut state = engine.create(STATE).unwrap();
    for key in 0..keys {
        let value = format!("{key:0>100}");
        state.stage(&context(1_000_000, 5), &request(&format!("SET key:{key} {value}"))).unwrap();
    }
    state.commit(Applied { index: LogIndex(5), term: Term(1) }, &[]).unwrap();
    engine.flush().unwrap();
    (engine, state)
}

fn is_damaged<T>(result: Result<T, EngineError>) -> bool {
    matches!(result, Err(EngineError::Damaged(_)))
}

#[test]
fn damaged_records_are_reported_by_everything_that_reads_them() {
    let store = Memory::default().open();
    let (engine, mut state) = filled(store.clone(), 3);
    let records = store.open(STATE).unwrap();
    let range = records.view();
    let all = range.range(std::ops::Bound::Unbounded, std::ops::Bound::Unbounded, false);
    let keys: Vec<_> = all.map(|record| record.unwrap().0).collect();
    let mut batch = Batch::default();
    for key in &keys[..3] {
        batch.put(key.clone(), "?");
    }
    records.write(batch).unwrap();
    let reader = state.reader();
    for command in ["GET key:1", "MGET key:1", "SCAN 0", "RANDOMKEY 0", "TYPE key:1"] {
        assert!(is_damaged(reader.read(&request(command), NOW)), "{command}");
    }
    assert!(is_damaged(state.stage(&context(1_000_000, 6), &request("SET key:1 x"))));
    assert!(is_damaged((state.digest(NOW).unwrap())()));
    let mut batch = Batch::default();
    batch.put(keys[3].clone(), "?");
    records.write(batch).unwrap();
    assert!(is_damaged(reader.read(&request("DBSIZE"), NOW)));
    assert!(is_damaged(engine.open(STATE)));
}

fn files_under(path: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_under(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

/// Reads everything of both states of a store: their positions and numbers of records.
fn read_everything(path: &Path) -> Result<Vec<(u64, u64)>, EngineError> {
    let store = FjallStore::open(path, StoreOptions::default())?;
    let engine = KvEngine::new(Arc::new(store));
    let read = |state: Box<dyn StateMachine>| {
        let digest = (state.digest(NOW)?)()?;
        state.reader().read(&request("GET key:1"), NOW)?;
        state.system()?;
        assert_eq!(digest.records, state.statistics().records);
        Ok((state.applied().index.get(), digest.records))
    };
    [STATE, COPY].map(|state| engine.open(state).and_then(read)).into_iter().collect()
}

/// Each file of a store in turn is damaged at some places: tables, manifests, the journal.
#[test]
fn damaged_files_never_panic_and_never_lie() {
    const KEYS: usize = 300;
    let mut disk = OnDisk::new();
    let (engine, state) = filled(disk.open(), KEYS);
    // The first state lies in the journal; a copy made by a snapshot lies in tables.
    let mut source = state.snapshot().unwrap();
    let mut sink = engine.ingest(COPY).unwrap();
    while let Some(chunk) = source.next_chunk(10_000).unwrap() {
        sink.write(&chunk).unwrap();
    }
    drop((sink.finish().unwrap(), source, state, engine));
    let all = (5, KEYS as u64);
    let mut outcomes = BTreeMap::<&str, usize>::new();
    for file in files_under(disk.path()) {
        let name = file.strip_prefix(disk.path()).unwrap();
        // A journal is mostly room that was never written.
        let written = fs::read(&file).unwrap().iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        for place in [0, written / 3, written / 2, written.saturating_sub(9)] {
            let copy = disk.copy();
            if !flip(&copy.path().join(name), place) {
                continue;
            }
            let outcome = match read_everything(copy.path()) {
                Ok(states) if states == [all, all] => "unharmed",
                // The unreadable end of a journal is cut off: the position goes back, and the log replays.
                Ok(states) if states == [(0, 0), all] => "gone back",
                Err(EngineError::Missing(_)) => "missing",
                Err(EngineError::Damaged(_)) => "damaged",
                other => panic!("{} at {place}: {other:?}", name.display()),
            };
            *outcomes.entry(outcome).or_default() += 1;
        }
    }
    for outcome in ["damaged", "gone back"] {
        assert!(outcomes.get(outcome).copied().unwrap_or(0) > 2, "{outcomes:?}");
    }
}

/// Damages one byte; false if the file has none there.
fn flip(path: &Path, place: usize) -> bool {
    let file = fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    if file.read_at(&mut byte, place as u64).unwrap() == 0 {
        return false;
    }
    file.write_at(&[byte[0] ^ 0x5a], place as u64).unwrap();
    true
}
