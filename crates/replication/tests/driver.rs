//! The threads of a store: what takes long does not hold up what others wait for.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use api::catalog::EngineKind;
use api::entry::{Request, RequestKind};
use api::peer::{Member, Membership, RaftMessage, SnapshotAck, SnapshotChunk};
use bytes::Bytes;
use engine::stubs::memory::MemoryEngine;
use engine::{
    Applied, ApplyContext, Change, Compaction, DigestWork, Engine, EngineError, Reader, SnapshotSink,
    SnapshotSource, StateMachine, Statistics, SystemChange, SystemRecord,
};
use env::OsClock;
use replication::driver::{Outbox, Store, StoreOptions};
use replication::start::{Engines, NewReplica};
use replication::{Answer, Campaign, Input, Token};
use types::{Fault, Generation, GroupId, Hlc, LogIndex, NodeId, ReplicaId, StateId};
use wal::MemoryLog;

const GROUP: GroupId = GroupId(1);
const PATIENCE: Duration = Duration::from_secs(20);

/// Bytes that each state says it has hashed, and in what steps.
const HASHED: usize = 12 << 20;
const STEP: usize = 128 << 10;

/// The memory engine, but hashing a state takes until somebody lets it go on.
struct SlowDigests {
    inner: MemoryEngine,
    go_on: Arc<Mutex<mpsc::Receiver<()>>>,
}

struct SlowState {
    inner: Box<dyn StateMachine>,
    go_on: Arc<Mutex<mpsc::Receiver<()>>>,
}

impl SlowDigests {
    fn slow(&self, inner: Box<dyn StateMachine>) -> Box<dyn StateMachine> {
        Box::new(SlowState { inner, go_on: self.go_on.clone() })
    }
}

impl Engine for SlowDigests {
    fn create(&self, state: StateId) -> Result<Box<dyn StateMachine>, EngineError> {
        Ok(self.slow(self.inner.create(state)?))
    }

    fn open(&self, state: StateId) -> Result<Box<dyn StateMachine>, EngineError> {
        Ok(self.slow(self.inner.open(state)?))
    }

    fn list(&self) -> Result<Vec<StateId>, EngineError> {
        self.inner.list()
    }

    /// Merges something, and then waits for its end.
    fn compact(&self, _: StateId) -> Result<Compaction, EngineError> {
        (0..HASHED / STEP).for_each(|_| engine::pace::worked(STEP));
        while !engine::pace::is_over() {
            std::thread::yield_now();
        }
        Ok(Compaction::Left("it was ended".into()))
    }

    fn remove(&self, state: StateId) -> Result<(), EngineError> {
        self.inner.remove(state)
    }

    fn ingest(&self, state: StateId) -> Result<Box<dyn SnapshotSink>, EngineError> {
        self.inner.ingest(state)
    }

    fn flush(&self) -> Result<(), EngineError> {
        self.inner.flush()
    }
}

impl StateMachine for SlowState {
    fn applied(&self) -> Applied {
        self.inner.applied()
    }

    fn durable(&self) -> LogIndex {
        self.inner.durable()
    }

    fn system(&self) -> Result<Vec<SystemRecord>, EngineError> {
        self.inner.system()
    }

    fn stage(&mut self, context: &ApplyContext, request: &[u8]) -> Result<Bytes, EngineError> {
        self.inner.stage(context, request)
    }

    fn commit(&mut self, applied: Applied, system: &[SystemChange]) -> Result<Vec<Change>, EngineError> {
        self.inner.commit(applied, system)
    }

    fn is_full(&self) -> bool {
        self.inner.is_full()
    }

    fn reader(&self) -> Arc<dyn Reader> {
        self.inner.reader()
    }

    fn snapshot(&self) -> Result<Box<dyn SnapshotSource>, EngineError> {
        self.inner.snapshot()
    }

    fn digest(&self, at: Hlc) -> Result<DigestWork, EngineError> {
        let (work, go_on) = (self.inner.digest(at)?, self.go_on.clone());
        Ok(Box::new(move || {
            let _ = go_on.lock().unwrap().recv();
            (0..HASHED / STEP).for_each(|_| engine::pace::worked(STEP));
            work()
        }))
    }

    fn statistics(&self) -> Statistics {
        self.inner.statistics()
    }
}

/// What a store says.
#[derive(Debug)]
enum Word {
    Ack(SnapshotAck),
    Answer(Answer),
}

struct Words(mpsc::Sender<Word>);

impl Outbox for Words {
    fn send(&self, _: NodeId, _: Vec<RaftMessage>) -> bool {
        true
    }

    fn send_chunk(&self, _: NodeId, _: SnapshotChunk) {}

    fn send_ack(&self, _: NodeId, ack: SnapshotAck) {
        let _ = self.0.send(Word::Ack(ack));
    }

    fn answer(&self, answers: Vec<(Token, Answer)>) {
        for (_, answer) in answers {
            let _ = self.0.send(Word::Answer(answer));
        }
    }

    fn stopped(&self, group: GroupId, _: ReplicaId, fault: Fault) {
        panic!("group {group} stopped: {fault}");
    }

    fn fatal(&self, fault: Fault) {
        panic!("{fault}");
    }
}

/// A store with one group of one replica, and what lets its digests go on.
fn store() -> (Store, mpsc::Receiver<Word>, mpsc::Sender<()>) {
    let (say, words) = mpsc::channel();
    let (let_go_on, go_on) = mpsc::channel();
    let engine = SlowDigests { inner: MemoryEngine::new(), go_on: Arc::new(Mutex::new(go_on)) };
    let engines: Engines = BTreeMap::from([(EngineKind::Kv as i32, Arc::new(engine) as Arc<dyn Engine>)]);
    let flush_interval = Duration::from_millis(100);
    let options = StoreOptions { seed: 1, workers: 1, appliers: 1, flush_interval };
    let log = Arc::new(MemoryLog::default());
    let store = Store::start(&options, log, engines, Arc::new(OsClock), Arc::new(Words(say))).unwrap();
    let members = vec![Member { replica: 1, node: 1, learner: false }];
    let new = NewReplica {
        group: GROUP,
        replica: ReplicaId(1),
        engine: EngineKind::Kv,
        generation: Generation(1),
        founding: Membership { epoch: 1, members },
    };
    store.create(&new).unwrap();
    // It begins when it is told that it may.
    assert!(store.input(GROUP, Input::Campaign { group: GROUP, when: Campaign::AsUsual }));
    (store, words, let_go_on)
}

/// Asks for a digest, and returns the place of its entry.
fn digest(store: &Store, words: &mpsc::Receiver<Word>) -> LogIndex {
    loop {
        let request = Request { kind: RequestKind::Digest as i32, generation: 1, ..Default::default() };
        assert!(store.input(GROUP, Input::Propose { group: GROUP, token: Token(1), request }));
        match words.recv_timeout(PATIENCE).unwrap() {
            Word::Answer(Answer::Done(index)) => {
                return LogIndex(u64::from_be_bytes(index[..].try_into().unwrap()));
            }
            // It is about to lead.
            Word::Answer(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn hashing_keeps_to_the_rate_of_moves_and_says_how_far_it_is() {
    let (store, words, let_go_on) = store();
    let rate = 40 << 20;
    store.limit_snapshots(rate as u64);
    let begun = std::time::Instant::now();
    let index = digest(&store, &words);
    let_go_on.send(()).unwrap();
    let shared = store.shared(GROUP).unwrap();
    while shared.digest(index).is_none() {
        assert!(begun.elapsed() < PATIENCE, "no digest");
        std::thread::yield_now();
    }
    // What a pause may have saved goes at once.
    let saved = Duration::from_millis(100);
    let needed = Duration::from_secs_f64(HASHED as f64 / rate as f64) - saved;
    assert!(begun.elapsed() >= needed, "{:?}, at least {needed:?}", begun.elapsed());
    assert_eq!(shared.report().hashed, HASHED as u64);
    store.stop().unwrap();
}

#[test]
fn a_digest_that_takes_long_holds_up_no_snapshot() {
    let (store, words, let_go_on) = store();
    let index = digest(&store, &words);
    // The state is taken hold of and is being hashed. A chunk for nobody here is refused at once.
    store.chunk(NodeId(2), SnapshotChunk { group: 7, from: 2, to: 3, transfer: 9, ..Default::default() });
    match words.recv_timeout(PATIENCE).expect("the bulk thread is free") {
        Word::Ack(ack) => assert!(ack.refused && ack.transfer == 9, "{ack:?}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(store.shared(GROUP).unwrap().digest(index), None);
    let_go_on.send(()).unwrap();
    store.stop().unwrap();
    assert_eq!(store.replica(GROUP), Some(ReplicaId(1)));
}

#[test]
fn a_compaction_ends_with_its_store() {
    let (store, _words, _) = store();
    store.compact(GROUP, 7);
    let shared = store.shared(GROUP).unwrap();
    let begun = std::time::Instant::now();
    while shared.report().compacting != 7 {
        assert!(begun.elapsed() < PATIENCE, "{:?}", shared.report());
        std::thread::yield_now();
    }
    store.stop().unwrap();
    assert_eq!(shared.compacted().left, "it was ended");
}
