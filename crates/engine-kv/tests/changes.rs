//! Changes that were kept make, over contents that were taken hold of, the state at each later entry.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use api::kv::{
    ChangesPage, ContentSum, Contents, Copy, EntryChanges, Import, KvAnswer, KvOp, KvReply, KvRequest,
    ListOp, ListPush, ListRequest, ReadChanges, Record, Recording, Set,
};
use bytes::Bytes;
use common::chance::Chance;
use common::{Disk, Memory, context, engine};
use engine::{Applied, Engine, StateMachine};
use proptest::prelude::*;
use prost::Message;
use types::{Hlc, LogIndex, StateId, Term};

const NOW: u64 = 1_000_000;
const ARCHIVE: u64 = 7;

/// A state, its engine, and the index of its last entry.
struct State {
    engine: std::sync::Arc<dyn Engine>,
    state: Box<dyn StateMachine>,
    index: u64,
}

impl State {
    fn new() -> Self {
        let engine = engine(Memory::default().open());
        let state = engine.create(StateId(1)).unwrap();
        Self { engine, state, index: 5 }
    }

    fn stage(&mut self, op: KvOp) -> KvReply {
        let request = KvRequest::new(op).encode_to_vec();
        // Each entry is a millisecond later than the one before.
        let reply = self.state.stage(&context(NOW + self.index, self.index), &request).unwrap();
        KvReply::decode(reply).unwrap()
    }

    fn commit(&mut self) {
        self.state.commit(Applied { index: LogIndex(self.index), term: Term(1) }, &[]).unwrap();
    }

    fn write(&mut self, op: KvOp) -> KvReply {
        self.index += 1;
        let reply = self.stage(op);
        self.commit();
        reply
    }

    fn sum(&self) -> ContentSum {
        contents(&*self.state, self.index).1
    }

    fn record(&mut self, safe: u64, bytes_max: u64, stop: bool) -> Recording {
        match self.write(KvOp::Record(Record { archive: ARCHIVE, safe, bytes_max, stop })).answer {
            Some(KvAnswer::Recording(recording)) => recording,
            other => panic!("not recorded: {other:?}"),
        }
    }

    fn page(&self, ask: ReadChanges) -> ChangesPage {
        let request = KvRequest::new(KvOp::Changes(ask)).encode_to_vec();
        let reply = self.state.reader().read(&request, Hlc::from_millis(NOW)).unwrap();
        match KvReply::decode(reply).unwrap().answer {
            Some(KvAnswer::Changes(page)) => page,
            other => panic!("no changes: {other:?}"),
        }
    }

    /// All changes from an entry on, read in pages.
    fn changes(&self, since: u64, from: u64, bytes_max: u64) -> Vec<EntryChanges> {
        let mut ask = ReadChanges { archive: ARCHIVE, since, from, piece: 0, to: self.index, bytes_max };
        let mut changes: Vec<EntryChanges> = Vec::new();
        loop {
            let page = self.page(ask);
            assert!(!page.lost);
            changes.extend(page.changes);
            if page.end {
                return changes;
            }
            let last = changes.last().unwrap();
            (ask.from, ask.piece) = (last.index, last.piece + 1);
        }
    }

    /// Goes on with a copy of the state, as a replica does that was given a snapshot.
    fn copy(&mut self) {
        let mut source = self.state.snapshot().unwrap();
        let mut sink = self.engine.ingest(StateId(self.index + 100)).unwrap();
        while let Some(chunk) = source.next_chunk(300).unwrap() {
            sink.write(&chunk).unwrap();
        }
        self.state = sink.finish().unwrap();
    }
}

fn contents(state: &dyn StateMachine, index: u64) -> (Vec<api::kv::Piece>, ContentSum) {
    let held = state.hold(Hlc::from_millis(NOW + index)).unwrap().unwrap();
    let mut source = held.export(&[]).unwrap();
    let (mut pieces, mut sum) = (Vec::new(), ContentSum::default());
    while let Some(page) = source.next_page(1 << 20).unwrap() {
        pieces.extend(Contents::decode(page.body).unwrap().pieces);
        sum.merge(&page.sum);
    }
    (pieces, sum)
}

/// The pieces of each entry put together.
fn entries(changes: Vec<EntryChanges>) -> Vec<EntryChanges> {
    let mut entries: Vec<EntryChanges> = Vec::new();
    for change in changes {
        match entries.last_mut().filter(|last| last.more) {
            Some(last) => {
                assert_eq!((last.index, last.piece + 1), (change.index, change.piece));
                (last.piece, last.more) = (change.piece, change.more);
                last.moved.extend(change.moved);
                last.gone.extend(change.gone);
                last.written.extend(change.written);
            }
            None => {
                assert_eq!(change.piece, 0);
                entries.push(change);
            }
        }
    }
    assert!(entries.is_sorted_by(|one, next| one.index < next.index && !one.more));
    entries
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..Default::default() })]

    #[test]
    fn what_was_kept_makes_every_later_state(
        seed in any::<u64>(),
        (before, entries_after) in (0_u64..40, 1_u64..60),
        page_bytes in 1_u64..3000,
    ) {
        let mut chance = Chance(seed);
        let mut source = State::new();
        for _ in 0..before {
            source.write(chance.op());
        }
        let since = source.record(0, u64::MAX, false).since;
        for _ in 0..chance.below(10) {
            source.write(chance.op());
        }
        let (base, base_at) = (contents(&*source.state, source.index).0, source.index);
        let mut sums = Vec::new();
        for _ in 0..entries_after {
            // Several entries of several requests go into one commit.
            for _ in 0..=chance.below(3) {
                source.index += 1;
                for _ in 0..=chance.below(3) {
                    source.stage(chance.op());
                }
            }
            source.commit();
            sums.push((source.index, source.sum()));
            match chance.below(12) {
                0 => source.copy(),
                1 => drop(source.record(base_at, u64::MAX, false)),
                _ => {}
            }
        }
        let mut copy = State::new();
        copy.index = base_at;
        let import = KvOp::Import(Import { pieces: base, ..Default::default() });
        copy.stage(import);
        copy.commit();
        let mut changes = entries(source.changes(since, base_at + 1, page_bytes)).into_iter().peekable();
        for (index, sum) in sums {
            while let Some(change) = changes.next_if(|change| change.index <= index) {
                prop_assert_eq!(Hlc(change.hlc).millis(), NOW + change.index);
                copy.index = change.index;
                let reply = copy.stage(KvOp::Redo(change.clone()));
                prop_assert_eq!(reply, KvReply::ok(), "{:?}", change);
                copy.commit();
            }
            copy.index = index;
            prop_assert_eq!(copy.sum(), sum, "after entry {}", index);
        }
    }

    /// Whatever bytes pretend to be changes, nothing panics.
    #[test]
    fn nonsense_is_refused(seed in any::<u64>(), place in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let mut chance = Chance(seed);
        let mut source = State::new();
        let since = source.record(0, u64::MAX, false).since;
        for _ in 0..20 {
            source.write(chance.op());
        }
        let mut copy = State::new();
        for change in entries(source.changes(since, since + 1, 1 << 20)) {
            let mut bytes = change.encode_to_vec();
            let at = place.index(bytes.len());
            bytes[at] ^= 1 << bit;
            if let Ok(change) = EntryChanges::decode(&bytes[..]) {
                copy.write(KvOp::Redo(change));
            }
            copy.sum();
        }
    }
}

#[test]
fn what_is_safe_is_forgotten_and_the_rest_is_kept() {
    let mut state = State::new();
    let since = state.record(0, u64::MAX, false).since;
    let set = |number: u64| {
        let value = format!("v{number}").into();
        KvOp::Set(Set { key: "k".into(), value, ..Default::default() })
    };
    (0..10).for_each(|number| drop(state.write(set(number))));
    let all = state.record(0, u64::MAX, false).bytes;
    assert!(all > 0);
    let half = state.record(since + 5, u64::MAX, false);
    assert_eq!((half.since, half.safe, half.bytes), (since, since + 5, all / 2));
    let kept = state.changes(since, since + 6, 1);
    assert_eq!(
        kept.iter().map(|change| change.index).collect::<Vec<_>>(),
        [6, 7, 8, 9, 10].map(|at| since + at)
    );
    let ask = ReadChanges { archive: ARCHIVE, since, from: since + 5, to: since + 6, ..Default::default() };
    assert!(state.page(ask).lost, "what is forgotten is not told as if there was nothing");
    assert!(state.page(ReadChanges { archive: 8, from: since + 6, ..ask }).lost);
    assert_eq!(state.record(u64::MAX, u64::MAX, false).bytes, 0);
}

#[test]
fn more_than_may_be_kept_is_a_gap_and_then_a_new_beginning() {
    let mut state = State::new();
    let since = state.record(0, 200, false).since;
    let set = || KvOp::Set(Set { key: "k".into(), value: vec![7; 90].into(), ..Default::default() });
    state.write(set());
    let ask = ReadChanges {
        archive: ARCHIVE,
        since,
        from: since + 1,
        to: u64::MAX,
        bytes_max: 1,
        ..Default::default()
    };
    assert!(!state.page(ask).lost);
    (0..3).for_each(|_| drop(state.write(set())));
    assert!(state.page(ask).lost);
    let again = state.record(0, 200, false);
    assert_eq!((again.since, again.bytes), (again.index, 0));
    state.write(set());
    let kept = state.changes(again.since, again.since + 1, 1);
    assert_eq!(kept.len(), 1);
    // The end of it leaves nothing.
    state.record(0, 0, true);
    state.write(set());
    let ask = ReadChanges { since: again.since, from: again.since + 1, ..ask };
    assert!(state.page(ask).lost);
    let again = state.record(0, u64::MAX, false);
    assert!(state.changes(again.since, again.since + 1, 1).is_empty());
}

#[test]
fn a_large_entry_comes_in_pieces() {
    let mut source = State::new();
    let since = source.record(0, u64::MAX, false).since;
    let elements: Vec<Bytes> = (0..3000).map(|number| Bytes::from(vec![number as u8; 400])).collect();
    let push = ListPush { key: "l".into(), elements, ..Default::default() };
    source.write(KvOp::List(ListRequest { op: Some(ListOp::Push(push)) }));
    source.write(KvOp::Copy(Copy { from: "l".into(), to: "m".into(), replace: false }));
    let changes = source.changes(since, since + 1, 1);
    assert!(changes.len() > 6 && changes.iter().all(|change| change.encoded_len() < 400_000));
    let mut copy = State::new();
    for change in entries(changes) {
        copy.index = change.index;
        assert_eq!(copy.stage(KvOp::Redo(change)), KvReply::ok());
        copy.commit();
    }
    assert_eq!(copy.sum(), source.sum());
}
