//! How fast one core stages, commits and reads: `cargo run --release -p engine-kv --example speed`.
//!
//! One thread does everything, as much as a node's apply thread would; the table says what a request
//! costs in the engine alone.

use std::sync::Arc;
use std::time::Instant;

use api::kv::{Expiry, ExpiryKind, Key, KvOp, KvRequest, Set};
use engine::records::{MemoryRecordStore, RecordStore};
use engine::{Applied, ApplyContext, Engine, EngineError, StateMachine, SystemChange};
use engine_kv::KvEngine;
use prost::Message;
use records_fjall::{FjallStore, StoreOptions};
use types::{Hlc, LogIndex, StateId, Term};

const KEYS: u64 = 200_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let disk = FjallStore::open(directory.path(), StoreOptions::default())?;
    for (name, store) in
        [("memory", Arc::new(MemoryRecordStore::new()) as Arc<dyn RecordStore>), ("fjall", Arc::new(disk))]
    {
        let mut state = KvEngine::new(store).create(StateId(1))?;
        let mut index = 5;
        for (what, requests_per_entry, expiry) in [
            ("SET, new keys", 50, None),
            ("SET, known keys", 50, None),
            ("SET with expiry", 50, Some(Expiry { kind: ExpiryKind::In as i32, millis: 1_000_000 })),
            ("SET, 1 an entry", 1, None),
        ] {
            let started = Instant::now();
            sets(&mut *state, &mut index, requests_per_entry, expiry)?;
            report(name, what, started);
        }
        let started = Instant::now();
        gets(&*state)?;
        report(name, "GET", started);
        println!("{name:>8}  {:>12} records, {} bytes", state.statistics().records, state.statistics().bytes);
    }
    Ok(())
}

fn report(store: &str, what: &str, since: Instant) {
    let seconds = since.elapsed().as_secs_f64();
    println!(
        "{store:>8}  {what:<16} {:>9.0}/s  {:>6.2} us each",
        KEYS as f64 / seconds,
        seconds * 1e6 / KEYS as f64
    );
}

/// A key that is not in order of its number.
fn key(number: u64) -> String {
    format!("key:{:010}", number.wrapping_mul(7919) % KEYS)
}

fn sets(
    state: &mut dyn StateMachine,
    index: &mut u64,
    requests_per_entry: u64,
    expiry: Option<Expiry>,
) -> Result<(), EngineError> {
    for first in (0..KEYS).step_by(requests_per_entry as usize) {
        let context = ApplyContext {
            hlc: Hlc::from_millis(1_000_000 + *index),
            seed: 0,
            apply_version: 1,
            index: LogIndex(*index),
            wants_changes: false,
        };
        for number in first..first + requests_per_entry {
            let set =
                Set { key: key(number).into(), value: vec![b'v'; 100].into(), expiry, ..Set::default() };
            state.stage(&context, &KvRequest::new(KvOp::Set(set)).encode_to_vec())?;
        }
        let clock = SystemChange { name: "clock".into(), value: Some(index.to_be_bytes().to_vec().into()) };
        state.commit(Applied { index: LogIndex(*index), term: Term(1) }, &[clock])?;
        *index += 1;
    }
    Ok(())
}

fn gets(state: &dyn StateMachine) -> Result<(), EngineError> {
    let reader = state.reader();
    for number in 0..KEYS {
        let request = KvRequest::new(KvOp::Get(Key { key: key(number).into() })).encode_to_vec();
        let reply = reader.read(&request, Hlc::from_millis(1_000_000))?;
        assert!(reply.len() > 100, "a key was not found");
    }
    Ok(())
}
