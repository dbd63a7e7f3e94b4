//! What FLUSH leaves behind is removed by later commits, and goes into no snapshot and no digest.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::ops::Bound;
use std::sync::Arc;

use api::kv::{Keys, KvAnswer, KvOp, KvReply, KvRequest, Scan};
use common::commands::{Command, parse};
use common::{Disk, Memory, context, engine};
use engine::records::RecordStore;
use engine::{Applied, Engine, StateMachine};
use prost::Message;
use types::{Hlc, LogIndex, StateId, Term};

const STATE: StateId = StateId(1);

struct World {
    disk: Memory,
    store: Arc<dyn RecordStore>,
    engine: Arc<dyn Engine>,
    state: Box<dyn StateMachine>,
    index: u64,
}

impl World {
    fn new() -> Self {
        let mut disk = Memory::default();
        let store = disk.open();
        let engine = engine(store.clone());
        let state = engine.create(STATE).unwrap();
        Self { disk, store, engine, state, index: 5 }
    }

    /// One entry with a command per line.
    fn entry(&mut self, commands: &[&str]) {
        for command in commands {
            let Command::Op(op) = parse(command) else { panic!("not a request") };
            self.state.stage(&context(1_000_000, self.index), &bytes(op)).unwrap();
        }
        self.state.commit(Applied { index: LogIndex(self.index), term: Term(1) }, &[]).unwrap();
        self.index += 1;
    }

    fn fill(&mut self, keys: usize) {
        let commands: Vec<String> = (0..keys).map(|key| format!("SET key:{key} 1 PX 5000")).collect();
        self.entry(&commands.iter().map(String::as_str).collect::<Vec<_>>());
    }

    fn records(&self, state: StateId) -> usize {
        let view = self.store.open(state).unwrap().view();
        view.range(Bound::Unbounded, Bound::Unbounded, false).count()
    }

    /// Empty entries until nothing changes any more; how many it took.
    fn settle(&mut self) -> usize {
        for count in 0.. {
            let before = self.records(STATE);
            self.entry(&[]);
            if self.records(STATE) == before {
                return count;
            }
        }
        unreachable!()
    }

    fn digest(&self) -> engine::Digest {
        (self.state.digest(Hlc::from_millis(1_000_000)).unwrap())().unwrap()
    }
}

fn bytes(op: KvOp) -> Vec<u8> {
    KvRequest::new(op).encode_to_vec()
}

#[test]
fn it_goes_a_few_records_at_a_time() {
    let mut world = World::new();
    world.fill(1000);
    // A data record and an index record for each key, and the facts.
    assert_eq!(world.records(STATE), 2001);
    world.entry(&["FLUSHDB", "SET a 1"]);
    assert_eq!(world.state.statistics().records, 1);
    assert!(world.records(STATE) > 1700, "FLUSH itself removed much");
    let commits = world.settle();
    assert!((7..=8).contains(&commits), "{commits} commits");
    assert_eq!(world.records(STATE), 2, "something is left");
}

#[test]
fn a_leader_that_looks_for_expired_keys_finds_it_and_a_sweep_takes_much() {
    let mut world = World::new();
    world.fill(1000);
    let scan = bytes(KvOp::Scan(Scan { expired: true, count: 100, ..Default::default() }));
    let look = |world: &World| {
        let reply = world.state.reader().read(&scan, Hlc::from_millis(1_000_000)).unwrap();
        match KvReply::decode(reply).unwrap().answer {
            Some(KvAnswer::Page(page)) => (page.keys.len(), page.next.is_some()),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(look(&world), (0, false), "nothing to remove");
    world.entry(&["FLUSHDB", "SET a 1"]);
    assert_eq!(look(&world), (0, true), "what FLUSH left");
    let sweep = bytes(KvOp::RemoveExpired(Keys::default()));
    world.state.stage(&context(1_000_000, world.index), &sweep).unwrap();
    world.entry(&[]);
    assert_eq!(world.records(STATE), 2, "all in one commit");
    assert_eq!(look(&world), (0, false));
}

#[test]
fn flushes_meanwhile_and_restarts_do_not_hide_any() {
    let mut world = World::new();
    world.fill(1000);
    world.entry(&["FLUSHDB"]);
    world.fill(300);
    for _ in 0..3 {
        world.entry(&[]);
    }
    world.entry(&["FLUSHDB", "SET a 1 PX 5000", "FLUSHDB", "SET b 1 PX 5000"]);
    world.entry(&[]);
    world.engine.flush().unwrap();
    world.engine = engine(world.disk.open());
    world.state = world.engine.open(STATE).unwrap();
    world.settle();
    world.settle();
    assert_eq!(world.records(STATE), 3, "something is left");
    assert_eq!(world.digest().records, 1);
}

#[test]
fn it_is_in_no_snapshot() {
    let mut world = World::new();
    world.fill(1000);
    world.entry(&["FLUSHDB", "SET a 1"]);
    let mut source = world.state.snapshot().unwrap();
    let mut sink = world.engine.ingest(StateId(2)).unwrap();
    while let Some(chunk) = source.next_chunk(1000).unwrap() {
        sink.write(&chunk).unwrap();
    }
    let copied = sink.finish().unwrap();
    assert_eq!(world.records(StateId(2)), 2);
    let digest = (copied.digest(Hlc::from_millis(1_000_000)).unwrap())().unwrap();
    assert_eq!(digest, world.digest());
}

#[test]
fn changes_of_a_flush_name_every_key() {
    let mut world = World::new();
    world.entry(&["MSET a 1 b 2 c 3"]);
    let wanted = engine::ApplyContext { wants_changes: true, ..context(1_000_000, 6) };
    for command in ["DEL b", "SET d 4", "FLUSHDB", "SET e 5"] {
        let Command::Op(op) = parse(command) else { panic!("not a request") };
        world.state.stage(&wanted, &bytes(op)).unwrap();
    }
    let changes = world.state.commit(Applied { index: LogIndex(6), term: Term(1) }, &[]).unwrap();
    let mut told: Vec<(String, bool)> = changes
        .iter()
        .map(|change| (String::from_utf8_lossy(&change.key).into_owned(), change.value.is_some()))
        .collect();
    assert_eq!(told[..2], [("b".into(), false), ("d".into(), true)]);
    assert_eq!(told.pop(), Some(("e".into(), true)));
    told[2..].sort();
    assert_eq!(told[2..], [("a".into(), false), ("c".into(), false), ("d".into(), false)]);
}
