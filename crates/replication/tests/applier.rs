//! The applier over a real engine: sessions, seals, digests, the change feed, restarts.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;

use api::entry::{Barrier, BarrierReply, Envelope, Request, RequestKind};
use api::kv::{IncrBy, Key, KvAnswer, KvOp, KvReply, KvRequest, Set};
use api::peer::{Member, Membership};
use bytes::Bytes;
use engine::records::MemoryRecordStore;
use engine::{Change, Engine};
use engine_kv::KvEngine;
use prost::Message;
use raft::eraftpb::Entry;
use replication::{Answer, Applier, ApplyOutcome, Token};
use types::{ErrorCode, Generation, GroupId, Hlc, StateId};

struct Replica {
    engine: Arc<dyn Engine>,
    applier: Applier,
    next: u64,
}

impl Replica {
    fn new() -> Self {
        let engine: Arc<dyn Engine> = Arc::new(KvEngine::new(Arc::new(MemoryRecordStore::default())));
        let membership =
            Membership { epoch: 1, members: vec![Member { replica: 1, node: 1, learner: false }] };
        let applier = Applier::create(&engine, GroupId(1), StateId(1), Generation(1), membership).unwrap();
        Self { engine, applier, next: 6 }
    }

    /// One entry with these requests, and what each was answered.
    fn apply(&mut self, requests: Vec<Request>) -> (Vec<Answer>, ApplyOutcome) {
        let tokens = (0..requests.len() as u64).map(Token).collect();
        let entry = self.entry(requests);
        let mut outcome = self.applier.apply(vec![(entry, tokens)]).unwrap();
        let answers = std::mem::take(&mut outcome.answers);
        (answers.into_iter().map(|(_, answer)| answer).collect(), outcome)
    }

    fn entry(&mut self, requests: Vec<Request>) -> Entry {
        let envelope = Envelope {
            apply_version: 1,
            hlc: Hlc::from_millis(1_000 + self.next).0,
            requests,
            ..Default::default()
        };
        let entry = Entry { index: self.next, term: 5, data: envelope.to_bytes(), ..Default::default() };
        self.next += 1;
        entry
    }

    fn restart(&mut self) {
        self.engine.flush().unwrap();
        self.applier = Applier::open(GroupId(1), self.engine.open(StateId(1)).unwrap()).unwrap();
    }

    fn session(&mut self) -> u64 {
        let register = Request {
            kind: RequestKind::Register as i32,
            body: Bytes::from_static(&[0, 0, 0, 0, 0, 0, 0, 9]),
            ..Default::default()
        };
        match &self.apply(vec![register]).0[..] {
            [Answer::Done(id)] => u64::from_be_bytes(id[..].try_into().unwrap()),
            other => panic!("{other:?}"),
        }
    }

    fn digest(&mut self) -> u128 {
        self.apply(vec![Request { kind: RequestKind::Digest as i32, ..Default::default() }]);
        let mut digests = self.applier.take_digests();
        (digests.pop().unwrap().1)().unwrap().hash
    }
}

/// A barrier, and what its reply says.
fn barrier(replica: &mut Replica, at_millis: u64, id: u64, with: Option<Request>) -> BarrierReply {
    let body = Barrier { at: Hlc::from_millis(at_millis).0, id }.encode_to_vec().into();
    let barrier = Request { kind: RequestKind::Barrier as i32, body, ..Default::default() };
    let requests = with.into_iter().chain([barrier]).collect();
    match replica.apply(requests).0.pop() {
        Some(Answer::Done(reply)) => BarrierReply::decode(reply).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn data(session: u64, sequence: u64, op: KvOp) -> Request {
    Request {
        session,
        sequence,
        floor: sequence.min(1),
        generation: 1,
        body: KvRequest::new(op).encode_to_vec().into(),
        ..Default::default()
    }
}

fn set(key: &str, value: &str) -> KvOp {
    let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    KvOp::Set(Set { key: bytes(key), value: bytes(value), ..Default::default() })
}

fn increment() -> KvOp {
    KvOp::IncrBy(IncrBy { key: Bytes::from_static(b"counter"), delta: 1 })
}

fn number(answer: &Answer) -> i64 {
    match answer {
        Answer::Done(reply) => match KvReply::decode(reply.clone()).unwrap().answer {
            Some(KvAnswer::Integer(number)) => number,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

fn code(answer: &Answer) -> ErrorCode {
    match answer {
        Answer::Refused { fault, .. } => fault.code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_request_that_is_sent_twice_is_carried_out_once_even_across_a_restart() {
    let mut replica = Replica::new();
    let session = replica.session();
    assert_eq!(number(&replica.apply(vec![data(session, 1, increment())]).0[0]), 1);
    let (answers, outcome) = replica.apply(vec![data(session, 1, increment())]);
    assert_eq!((number(&answers[0]), outcome.repeated), (1, 1));
    replica.restart();
    assert_eq!(number(&replica.apply(vec![data(session, 1, increment())]).0[0]), 1);
    assert_eq!(number(&replica.apply(vec![data(session, 2, increment())]).0[0]), 2);
    assert_eq!(code(&replica.apply(vec![data(4711, 1, increment())]).0[0]), ErrorCode::SessionExpired);
}

#[test]
fn entries_that_were_applied_before_a_restart_are_skipped() {
    let mut replica = Replica::new();
    let entry = replica.entry(vec![data(0, 0, increment())]);
    replica.applier.apply(vec![(entry.clone(), Vec::new())]).unwrap();
    replica.restart();
    replica.applier.apply(vec![(entry, Vec::new())]).unwrap();
    let read = KvRequest::new(KvOp::Get(Key { key: Bytes::from_static(b"counter") })).encode_to_vec();
    let reply = replica.applier.state().reader().read(&read, Hlc::from_millis(1)).unwrap();
    assert_eq!(KvReply::decode(reply).unwrap(), KvReply::value(&b"1"[..]));
}

#[test]
fn a_sealed_generation_and_another_generation_refuse_writes() {
    let mut replica = Replica::new();
    let other = Request { generation: 2, ..data(0, 0, set("a", "1")) };
    assert_eq!(code(&replica.apply(vec![other]).0[0]), ErrorCode::StaleRoute);
    let seal = Request { kind: RequestKind::Seal as i32, ..Default::default() };
    let (answers, _) = replica.apply(vec![seal, data(0, 0, set("a", "1"))]);
    assert_eq!(code(&answers[1]), ErrorCode::Sealed, "from this entry on");
    replica.restart();
    assert_eq!(code(&replica.apply(vec![data(0, 0, set("a", "1"))]).0[0]), ErrorCode::Sealed);
}

#[test]
fn reserved_kinds_are_refused_by_every_replica_alike() {
    let mut replica = Replica::new();
    for kind in [RequestKind::Outbox as i32, RequestKind::AdoptExternal as i32, 99] {
        let request = Request { kind, ..Default::default() };
        assert_eq!(code(&replica.apply(vec![request]).0[0]), ErrorCode::VersionUnsupported);
    }
}

#[test]
fn only_requests_of_clients_are_counted() {
    let mut replica = Replica::new();
    let session = replica.session();
    replica.digest();
    barrier(&mut replica, 1, 7, None);
    let upkeep = |op| Request { kind: RequestKind::Upkeep as i32, ..data(0, 0, op) };
    let swept = KvOp::RemoveExpired(api::kv::Keys { keys: vec![Bytes::from_static(b"gone")] });
    replica.apply(vec![upkeep(swept)]);
    assert_eq!(replica.applier.writes(), 0, "what a new table has");
    replica.apply(vec![data(session, 1, increment()), upkeep(increment())]);
    assert_eq!(replica.applier.writes(), 1);
    assert_eq!(number(&replica.apply(vec![data(session, 2, increment())]).0[0]), 3, "upkeep is carried out");
    let other = Request { generation: 2, ..upkeep(set("a", "1")) };
    assert_eq!(code(&replica.apply(vec![other]).0[0]), ErrorCode::StaleRoute);
    replica.apply(vec![Request { kind: RequestKind::Seal as i32, ..Default::default() }]);
    assert_eq!(code(&replica.apply(vec![upkeep(set("a", "1"))]).0[0]), ErrorCode::Sealed);
}

#[test]
fn the_clock_of_a_group_never_goes_back() {
    let mut replica = Replica::new();
    replica.apply(vec![data(0, 0, set("a", "1"))]);
    let before = replica.applier.hlc();
    let envelope = Envelope { apply_version: 1, hlc: 5, ..Default::default() };
    let entry = Entry { index: replica.next, term: 5, data: envelope.to_bytes(), ..Default::default() };
    replica.applier.apply(vec![(entry, Vec::new())]).unwrap();
    assert_eq!(replica.applier.hlc(), before);
}

#[test]
fn the_change_feed_tells_everything_that_a_copy_needs() {
    let mut replica = Replica::new();
    replica.applier.set_feed(true);
    let mut changes: Vec<Change> = Vec::new();
    for round in 0..50 {
        let key = format!("key{}", round % 7);
        let (_, outcome) = replica.apply(vec![
            data(0, 0, set(&key, &format!("value{round}"))),
            data(0, 0, KvOp::Del(api::kv::Keys { keys: vec![Bytes::from(format!("key{}", round % 5))] })),
        ]);
        changes.extend(outcome.changes);
    }
    let mut copy = std::collections::BTreeMap::new();
    for change in changes {
        match change.value {
            Some(value) => copy.insert(change.key, value),
            None => copy.remove(&change.key),
        };
    }
    let live = copy.len() as u64;
    assert_eq!(replica.applier.state().statistics().records, live);
    let before = replica.digest();
    replica.restart();
    assert_eq!(replica.digest(), before);
}

#[test]
fn a_digest_is_the_same_however_the_entries_come_and_whatever_else_is_in_its_entry() {
    let hash = Request { kind: RequestKind::Digest as i32, ..Default::default() };
    let entries = |replica: &mut Replica| {
        let first = replica.entry(vec![data(0, 0, set("key", "before"))]);
        let second = replica.entry(vec![data(0, 0, set("key", "with it")), hash.clone()]);
        [first, second].map(|entry| (entry, Vec::new()))
    };
    let digest = |replica: &mut Replica| (replica.applier.take_digests().pop().unwrap().1)().unwrap();
    let mut together = Replica::new();
    let both = entries(&mut together);
    together.applier.apply(both.into()).unwrap();
    let mut one_by_one = Replica::new();
    for entry in entries(&mut one_by_one) {
        one_by_one.applier.apply(vec![entry]).unwrap();
    }
    assert_eq!(digest(&mut together), digest(&mut one_by_one));
}

/// Keys in the state that was taken hold of at a barrier.
fn held_keys(replica: &mut Replica, id: u64) -> u64 {
    let hold = replica.applier.take_holds().pop().unwrap();
    assert_eq!(hold.id, id);
    let mut source = hold.state.export(&[]).unwrap();
    let mut keys = 0;
    while let Some(page) = source.next_page(1000).unwrap() {
        keys += page.sum.keys;
    }
    keys
}

#[test]
fn a_barrier_stands_between_what_is_below_its_stamp_and_what_is_not() {
    let mut replica = Replica::new();
    // Entries have the stamps 1006, 1007, … ms, one after the other.
    replica.apply(vec![data(0, 0, set("a", "1"))]);
    let early = barrier(&mut replica, 1_008, 1, None);
    assert!(early.late, "its own entry has an earlier stamp: a leader has not waited");
    let placed = barrier(&mut replica, 1_008, 1, None);
    assert_eq!((placed.late, placed.index, placed.term), (false, 8, 5));
    replica.apply(vec![data(0, 0, set("b", "1"))]);
    assert_eq!(held_keys(&mut replica, 1), 1);
    assert!(barrier(&mut replica, 1_009, 2, None).late, "a write has its stamp");
    let shared = barrier(&mut replica, 1_011, 3, Some(data(0, 0, set("c", "1"))));
    assert!(shared.late, "a write of its own entry has its stamp");
    assert!(replica.applier.take_holds().is_empty());
}

#[test]
fn a_barrier_that_is_asked_for_again_has_the_same_place() {
    let mut replica = Replica::new();
    let placed = barrier(&mut replica, 1_006, 1, None);
    assert!(!placed.late);
    replica.apply(vec![data(0, 0, set("a", "1"))]);
    replica.restart();
    assert_eq!(barrier(&mut replica, 1_006, 1, None).index, placed.index);
    assert!(replica.applier.take_holds().is_empty(), "its state is another one by now");
    assert!(barrier(&mut replica, 1_006, 2, None).late, "somebody else's is another");
}
