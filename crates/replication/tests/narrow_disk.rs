//! A disk without room for what is large: what is small goes on, of every group that has nothing large before it.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use api::catalog::EngineKind;
use api::entry::Request;
use api::kv::{Condition, KvOp, KvRequest, Set};
use api::peer::{Member, Membership, RaftMessage, SnapshotAck, SnapshotChunk};
use engine::Engine;
use engine::records::MemoryRecordStore;
use engine_kv::KvEngine;
use env::OsClock;
use prost::Message;
use replication::driver::{Outbox, Store, StoreOptions};
use replication::start::{Engines, NewReplica};
use replication::{Answer, Campaign, Input, Token};
use types::limits::SMALL_BATCH_BYTES;
use types::{Fault, Generation, GroupId, LogIndex, NodeId, ReplicaId, Term};
use wal::{GroupSummary, GroupWrite, LogEntry, LogError, LogStore, MemoryLog};

const PATIENCE: Duration = Duration::from_secs(20);
const LARGE: usize = 2 * SMALL_BATCH_BYTES;

/// A log that takes nothing large while there is too little room.
#[derive(Default)]
struct NarrowLog {
    inner: MemoryLog,
    is_narrow: AtomicBool,
}

impl LogStore for NarrowLog {
    fn groups(&self) -> Vec<GroupSummary> {
        self.inner.groups()
    }

    fn group(&self, group: GroupId) -> Option<GroupSummary> {
        self.inner.group(group)
    }

    fn write(&self, batch: &[GroupWrite], sync: bool) -> Result<(), LogError> {
        let entries = batch.iter().flat_map(|write| &write.entries);
        let bytes: usize = entries.map(|entry| entry.payload.len()).sum();
        if bytes > SMALL_BATCH_BYTES && self.is_narrow.load(Ordering::SeqCst) {
            return Err(LogError::DiskFull);
        }
        self.inner.write(batch, sync)
    }

    fn entries(
        &self,
        group: GroupId,
        from: LogIndex,
        to: LogIndex,
        bytes_max: u64,
    ) -> Result<Vec<LogEntry>, LogError> {
        self.inner.entries(group, from, to, bytes_max)
    }

    fn term(&self, group: GroupId, index: LogIndex) -> Result<Term, LogError> {
        self.inner.term(group, index)
    }

    fn cut(&self, group: GroupId, index: LogIndex) -> Result<(), LogError> {
        self.inner.cut(group, index)
    }

    fn reclaim(&self) -> Result<(), LogError> {
        self.inner.reclaim()
    }

    fn bytes(&self) -> u64 {
        self.inner.bytes()
    }
}

struct Answers(mpsc::Sender<(Token, Answer)>);

impl Outbox for Answers {
    fn send(&self, _: NodeId, _: Vec<RaftMessage>) -> bool {
        true
    }

    fn send_chunk(&self, _: NodeId, _: SnapshotChunk) {}

    fn send_ack(&self, _: NodeId, _: SnapshotAck) {}

    fn answer(&self, answers: Vec<(Token, Answer)>) {
        answers.into_iter().for_each(|answer| self.0.send(answer).unwrap_or_default());
    }

    fn stopped(&self, group: GroupId, _: ReplicaId, fault: Fault) {
        panic!("group {group} stopped: {fault}");
    }

    fn fatal(&self, fault: Fault) {
        panic!("{fault}");
    }
}

fn found(store: &Store, group: GroupId) {
    let members = vec![Member { replica: 1, node: 1, learner: false }];
    let new = NewReplica {
        group,
        replica: ReplicaId(1),
        engine: EngineKind::Kv,
        generation: Generation(1),
        founding: Membership { epoch: 1, members },
    };
    store.create(&new).unwrap();
    assert!(store.input(group, Input::Campaign { group, when: Campaign::AsUsual }));
}

fn set(store: &Store, group: GroupId, token: u64, bytes: usize) {
    let set = Set {
        key: "k".into(),
        value: vec![b'x'; bytes].into(),
        condition: Condition::Always as i32,
        expiry: None,
        return_old: false,
    };
    let body = KvRequest::new(KvOp::Set(set)).encode_to_vec().into();
    let request = Request { generation: 1, body, ..Default::default() };
    assert!(store.input(group, Input::Propose { group, token: Token(token), request }));
}

/// Sets until the group leads.
fn lead(store: &Store, group: GroupId, answers: &mpsc::Receiver<(Token, Answer)>) {
    loop {
        set(store, group, 0, 1);
        if matches!(answers.recv_timeout(PATIENCE).unwrap(), (_, Answer::Done(_))) {
            return;
        }
    }
}

#[test]
fn what_is_small_does_not_wait_behind_what_is_large_of_another_group() {
    let (say, answers) = mpsc::channel();
    let engine = Arc::new(KvEngine::new(Arc::new(MemoryRecordStore::new())));
    let engines: Engines = BTreeMap::from([(EngineKind::Kv as i32, engine as Arc<dyn Engine>)]);
    let flush_interval = Duration::from_millis(100);
    let options = StoreOptions { seed: 1, workers: 1, appliers: 1, flush_interval };
    let log = Arc::new(NarrowLog::default());
    let store =
        Store::start(&options, log.clone(), engines, Arc::new(OsClock), Arc::new(Answers(say))).unwrap();
    let (one, other) = (GroupId(1), GroupId(2));
    for group in [one, other] {
        found(&store, group);
        lead(&store, group, &answers);
    }
    log.is_narrow.store(true, Ordering::SeqCst);
    set(&store, one, 1, LARGE);
    set(&store, one, 2, 1);
    for token in 3..6 {
        set(&store, other, token, 1);
        let (told, answer) = answers.recv_timeout(PATIENCE).expect("the other group goes on");
        assert!(told == Token(token) && matches!(answer, Answer::Done(_)), "{told:?}: {answer:?}");
    }
    log.is_narrow.store(false, Ordering::SeqCst);
    for token in [1, 2] {
        let (told, answer) = answers.recv_timeout(PATIENCE).expect("there is room again");
        assert!(told == Token(token) && matches!(answer, Answer::Done(_)), "{told:?}: {answer:?}");
    }
    store.stop().unwrap();
}
