//! How fast one core works on hashes and sets: `cargo run --release -p engine-kv --example collections`.
//!
//! One thread does everything; what is shown is its processor time. The last lines say what becomes of a reply behind
//! the engine: it is written for the client as it is, or, as most others are, taken apart and shaped before.

use std::sync::Arc;
use std::time::Duration;

use api::kv::{
    Choice, HashOp, HashRequest, HashSet, KeyAndMembers, KvOp, KvReply, KvRequest, Nothing, Pair, SetChoice,
    SetOp, SetRequest,
};
use bytes::{Bytes, BytesMut};
use engine::records::{MemoryRecordStore, RecordStore};
use engine::{Applied, ApplyContext, Engine, EngineError, StateMachine};
use engine_kv::KvEngine;
use prost::Message;
use proto_redis::Protocol;
use proto_redis::form::{Form, Shape};
use records_fjall::{FjallStore, StoreOptions};
use types::{Hlc, LogIndex, StateId, Term};

/// Requests of each kind.
const REQUESTS: u64 = 50_000;
/// Hashes that are read whole, and their fields.
const HASHES: u64 = 500;
const FIELDS: u64 = 100;
/// Requests of one log entry.
const PER_ENTRY: u64 = 50;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let disk = FjallStore::open(directory.path(), StoreOptions::default())?;
    for (name, store) in
        [("memory", Arc::new(MemoryRecordStore::new()) as Arc<dyn RecordStore>), ("fjall", Arc::new(disk))]
    {
        let mut state = KvEngine::new(store).create(StateId(1))?;
        let mut index = 5;
        write(name, "HSET, new keys", &mut *state, &mut index, REQUESTS, |number| {
            hash(format!("h{number}"), HashOp::Set(fields(number..number + 1)))
        })?;
        write(name, "HSET, one key", &mut *state, &mut index, REQUESTS, |number| {
            hash("big".into(), HashOp::Set(fields(number..number + 1)))
        })?;
        write(name, "SADD, new keys", &mut *state, &mut index, REQUESTS, |number| {
            add(format!("s{number}"), number)
        })?;
        write(name, "SADD, one key", &mut *state, &mut index, REQUESTS, |number| add("all".into(), number))?;
        write(name, "HSET, 100 fields", &mut *state, &mut index, HASHES, |number| {
            hash(format!("whole{number}"), HashOp::Set(fields(0..FIELDS)))
        })?;
        read(name, &*state)?;
    }
    Ok(())
}

fn read(store: &str, state: &dyn StateMachine) -> Result<(), EngineError> {
    let reader = state.reader();
    let now = Hlc::from_millis(1_000_000);
    let mut last = Bytes::new();
    let started = processor_time();
    for number in 0..REQUESTS {
        let op = hash(format!("whole{}", number * 7919 % HASHES), HashOp::All(Nothing {}));
        last = reader.read(&KvRequest::new(op).encode_to_vec(), now)?;
    }
    report(store, "HGETALL of 100", started, REQUESTS);
    let started = processor_time();
    for seed in 0..REQUESTS {
        let choice =
            Choice { count: None, with_values: false, seed: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) };
        let op = SetOp::Choose(SetChoice { key: "all".into(), choice });
        let op = KvOp::Sets(SetRequest { op: Some(op) });
        reader.read(&KvRequest::new(op).encode_to_vec(), now)?;
    }
    report(store, "SRANDMEMBER", started, REQUESTS);

    let form = Form { shape: Shape::BulkMap, command: "hgetall" };
    let mut out = BytesMut::new();
    let started = processor_time();
    for _ in 0..REQUESTS {
        out.clear();
        form.reply(Ok(KvReply::decode(last.clone()).unwrap_or_default())).encode(Protocol::Resp2, &mut out);
    }
    report(store, "… taken apart", started, REQUESTS);
    let started = processor_time();
    for _ in 0..REQUESTS {
        out.clear();
        if let Some(reply) = form.packed(&last) {
            reply.encode(Protocol::Resp2, &mut out);
        }
    }
    report(store, "… as it is", started, REQUESTS);
    Ok(())
}

/// Time that this thread has spent on a processor, as Linux counts it: a busy machine makes no difference.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(text.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0))
}

fn write(
    store: &str,
    what: &str,
    state: &mut dyn StateMachine,
    index: &mut u64,
    requests: u64,
    op: impl Fn(u64) -> KvOp,
) -> Result<(), EngineError> {
    let started = processor_time();
    for first in (0..requests).step_by(PER_ENTRY as usize) {
        let context = ApplyContext {
            hlc: Hlc::from_millis(1_000_000 + *index),
            seed: 0,
            apply_version: 1,
            index: LogIndex(*index),
            wants_changes: false,
        };
        for number in first..first + PER_ENTRY {
            state.stage(&context, &KvRequest::new(op(number)).encode_to_vec())?;
        }
        state.commit(Applied { index: LogIndex(*index), term: Term(1) }, &[])?;
        *index += 1;
    }
    report(store, what, started, requests);
    Ok(())
}

fn hash(key: String, op: HashOp) -> KvOp {
    KvOp::Hash(HashRequest { key: key.into(), op: Some(op) })
}

fn fields(numbers: std::ops::Range<u64>) -> HashSet {
    let pair =
        |number| Pair { key: format!("field:{number}").into(), value: format!("value:{number}").into() };
    HashSet { fields: numbers.map(pair).collect() }
}

fn add(key: String, number: u64) -> KvOp {
    let op = KeyAndMembers { key: key.into(), members: vec![format!("member:{number}").into()] };
    KvOp::Sets(SetRequest { op: Some(SetOp::Add(op)) })
}

fn report(store: &str, what: &str, since: Duration, requests: u64) {
    let seconds = (processor_time() - since).as_secs_f64();
    let requests = requests as f64;
    println!(
        "{store:>8}  {what:<16} {:>9.0}/s  {:>7.2} us each",
        requests / seconds,
        seconds * 1e6 / requests
    );
}
