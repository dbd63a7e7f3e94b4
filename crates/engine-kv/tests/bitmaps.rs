//! Long bitmaps: what a changed bit costs.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

mod common;

use api::kv::{BitCount, BitSet, BitsOp, BitsRequest, GetRange, Key, KvOp, KvReply, KvRequest};
use common::{Disk, Memory, context, engine};
use engine::{Applied, ApplyContext, StateMachine};
use prost::Message;
use types::limits::{BITMAP_PAGE_BYTES, VALUE_BYTES_MAX};
use types::{Hlc, LogIndex, StateId, Term};

/// The last bit of the longest string.
const LAST_BIT: u64 = 8 * VALUE_BYTES_MAX as u64 - 1;

/// Carries out a write and returns the bytes that it stored.
fn write(state: &mut dyn StateMachine, index: u64, op: BitsOp) -> usize {
    let request = KvRequest::new(KvOp::Bits(BitsRequest { op: Some(op) })).encode_to_vec();
    let context = ApplyContext { wants_changes: true, ..context(1000, index) };
    state.stage(&context, &request).unwrap();
    let changes = state.commit(Applied { index: LogIndex(index), term: Term(1) }, &[]).unwrap();
    changes.iter().filter_map(|change| change.value.as_ref()).map(|value| value.len()).sum()
}

fn read(state: &dyn StateMachine, op: KvOp) -> KvReply {
    let reply = state.reader().read(&KvRequest::new(op).encode_to_vec(), Hlc::from_millis(1000)).unwrap();
    KvReply::decode(reply).unwrap()
}

#[test]
fn a_bit_of_the_longest_string_writes_one_page() {
    let engine = engine(Memory::default().open());
    let mut state = engine.create(StateId(1)).unwrap();
    let set = |offset| BitsOp::Set(BitSet { key: "b".into(), offset, on: true });
    for (index, offset) in (6..).zip([LAST_BIT, 0, LAST_BIT / 2, 77, LAST_BIT - 8]) {
        let bytes = write(&mut *state, index, set(offset));
        assert!(bytes <= BITMAP_PAGE_BYTES + 64, "{bytes} bytes for bit {offset}");
    }
    assert_eq!(write(&mut *state, 11, set(77)), 0, "nothing has changed");
    let key = || Key { key: "b".into() };
    assert_eq!(read(&*state, KvOp::StrLen(key())), KvReply::integer(VALUE_BYTES_MAX as i64));
    let count = BitCount { key: "b".into(), range: None };
    let count = KvOp::Bits(BitsRequest { op: Some(BitsOp::Count(count)) });
    assert_eq!(read(&*state, count), KvReply::integer(5));
    let range = GetRange { key: "b".into(), start: -2, end: -1 };
    assert_eq!(read(&*state, KvOp::GetRange(range)), KvReply::value(&b"\x01\x01"[..]));
    let whole = read(&*state, KvOp::Get(key()));
    assert_eq!(whole.encode_to_vec().len(), KvReply::value(vec![0; VALUE_BYTES_MAX]).encode_to_vec().len());
}

#[test]
fn a_long_string_is_cut_once() {
    let engine = engine(Memory::default().open());
    let mut state = engine.create(StateId(1)).unwrap();
    let set = |offset, on| BitsOp::Set(BitSet { key: "b".into(), offset, on });
    let pair = api::kv::Set { key: "b".into(), value: vec![0xff; 100_000].into(), ..Default::default() };
    let request = KvRequest::new(KvOp::Set(pair)).encode_to_vec();
    state.stage(&context(1000, 6), &request).unwrap();
    state.commit(Applied { index: LogIndex(6), term: Term(1) }, &[]).unwrap();
    assert_eq!(write(&mut *state, 7, set(5, true)), 0, "it is set already");
    assert!(write(&mut *state, 8, set(5, false)) >= 100_000, "every page is written");
    assert!(write(&mut *state, 9, set(6, false)) <= BITMAP_PAGE_BYTES + 64);
}
