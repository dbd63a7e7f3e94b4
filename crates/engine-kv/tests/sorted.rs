//! Large sorted sets, and replicas that must have the same ones.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;

use api::kv::{
    Bounds, Key, KeyAndMembers, KvAnswer, KvOp, KvReply, KvRequest, RankBounds, ScoreBounds, ScoredMember,
    SortedAdd, SortedBetween, SortedBounds, SortedOp, SortedPop, SortedRange, SortedRank, SortedRequest,
};
use bytes::Bytes;
use common::{context, engine};
use engine::records::MemoryRecordStore;
use engine::{Applied, Digest, StateMachine};
use prost::Message;
use types::{Hlc, LogIndex, StateId, Term};

/// Enough for several levels of the index.
const MEMBERS: u64 = 200_000;
const NOW: u64 = 1_000_000;

struct Replica {
    state: Box<dyn StateMachine>,
    index: u64,
}

impl Replica {
    fn new() -> Self {
        let state = engine(Arc::new(MemoryRecordStore::new())).create(StateId(1)).unwrap();
        Self { state, index: 1 }
    }

    /// One entry, which need not be committed at once.
    fn stage(&mut self, op: &SortedOp) -> KvAnswer {
        self.index += 1;
        let request = KvRequest::new(KvOp::Sorted(SortedRequest::new(op.clone()))).encode_to_vec();
        answer(self.state.stage(&context(NOW + self.index, self.index), &request).unwrap())
    }

    fn commit(&mut self) {
        self.state.commit(Applied { index: LogIndex(self.index), term: Term(1) }, &[]).unwrap();
    }

    fn write(&mut self, op: &SortedOp) -> KvAnswer {
        let answer = self.stage(op);
        self.commit();
        answer
    }

    fn read(&self, op: SortedOp) -> KvAnswer {
        let request = KvRequest::new(KvOp::Sorted(SortedRequest::new(op))).encode_to_vec();
        answer(self.state.reader().read(&request, Hlc::from_millis(NOW)).unwrap())
    }

    fn digest(&self) -> Digest {
        (self.state.digest(Hlc::from_millis(NOW)).unwrap())().unwrap()
    }
}

fn answer(reply: Bytes) -> KvAnswer {
    KvReply::decode(reply).unwrap().answer.unwrap()
}

fn key() -> Bytes {
    Bytes::from_static(b"scores")
}

/// The member whose score is this number.
fn scored(number: u64) -> ScoredMember {
    ScoredMember { member: format!("member:{number}").into(), score: number as f64 }
}

/// Adds the numbers of a range in an order that is none.
fn add(numbers: std::ops::Range<u64>) -> SortedOp {
    let mut members: Vec<_> = numbers.map(scored).collect();
    members.sort_by_key(|member| member.member.clone());
    SortedOp::Add(SortedAdd { key: key(), members, ..SortedAdd::default() })
}

fn between(bounds: Bounds) -> Option<SortedBounds> {
    Some(SortedBounds { bounds: Some(bounds) })
}

fn ranks(start: u64, stop: u64) -> Bounds {
    Bounds::Rank(RankBounds { start: start as i64, stop: stop as i64 })
}

fn rank_of(replica: &Replica, number: u64, reverse: bool) -> KvAnswer {
    let ask = SortedRank { key: key(), member: scored(number).member, reverse, with_score: false };
    replica.read(SortedOp::Rank(ask))
}

fn members(answer: KvAnswer) -> Vec<ScoredMember> {
    match answer {
        KvAnswer::Scored(found) => found.members,
        other => panic!("{other:?}"),
    }
}

#[test]
fn ranks_of_a_large_set_are_found_both_ways() {
    let mut replica = Replica::new();
    // Members come from both ends at once, so that nodes are divided everywhere.
    for step in (0..MEMBERS / 2).step_by(2000) {
        replica.write(&add(step..step + 2000));
        replica.write(&add(MEMBERS - step - 2000..MEMBERS - step));
    }
    assert_eq!(replica.read(SortedOp::Card(Key { key: key() })), KvAnswer::Integer(MEMBERS as i64));
    for number in (0..MEMBERS).step_by(9973) {
        assert_eq!(rank_of(&replica, number, false), KvAnswer::Integer(number as i64));
        assert_eq!(rank_of(&replica, number, true), KvAnswer::Integer((MEMBERS - 1 - number) as i64));
        let between = between(ranks(number, number + 99));
        let ask = SortedRange { key: key(), between, ..SortedRange::default() };
        let wanted: Vec<_> = (number..MEMBERS.min(number + 100)).map(scored).collect();
        assert_eq!(members(replica.read(SortedOp::Range(ask))), wanted);
    }

    // More than half goes at once, then a part of what is left.
    let removed =
        SortedOp::RemoveBetween(SortedBetween { key: key(), between: between(ranks(50_000, 169_999)) });
    assert_eq!(replica.write(&removed), KvAnswer::Integer(120_000));
    let scores = ScoreBounds { min: 10_000.0, max: 20_000.0, excludes_min: true, excludes_max: false };
    let removed =
        SortedOp::RemoveBetween(SortedBetween { key: key(), between: between(Bounds::Score(scores)) });
    assert_eq!(replica.write(&removed), KvAnswer::Integer(10_000));
    assert_eq!(rank_of(&replica, 10_000, false), KvAnswer::Integer(10_000));
    assert_eq!(rank_of(&replica, 20_001, false), KvAnswer::Integer(10_001));
    assert_eq!(rank_of(&replica, 170_000, false), KvAnswer::Integer(40_000));
    let all =
        Bounds::Score(ScoreBounds { min: f64::NEG_INFINITY, max: f64::INFINITY, ..ScoreBounds::default() });
    let count = SortedBetween { key: key(), between: between(all) };
    assert_eq!(replica.read(SortedOp::Count(count)), KvAnswer::Integer(70_000));
}

#[test]
fn replicas_are_equal_however_they_commit() {
    let (mut each, mut all) = (Replica::new(), Replica::new());
    let pop = |min| SortedOp::PopFirst(SortedPop { keys: vec![key()], min, count: 70 });
    let remove = |numbers: &[u64]| {
        let members = numbers.iter().map(|number| scored(*number).member).collect();
        SortedOp::Remove(KeyAndMembers { key: key(), members })
    };
    let mut ops = vec![add(0..3000), pop(true), remove(&[500, 501, 2000]), add(2500..6000), pop(false)];
    ops.extend((0..300).map(|number| remove(&[1000 + number])));
    ops.push(SortedOp::RemoveBetween(SortedBetween { key: key(), between: between(ranks(100, 3000)) }));
    ops.extend((0..300).map(|number| add(7000 + number..7001 + number)));
    for op in &ops {
        assert_eq!(each.write(op), all.stage(op));
    }
    all.commit();
    assert_eq!(each.digest(), all.digest());
}
