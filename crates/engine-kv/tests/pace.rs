//! Hashing a state says how far it is, so that its thread can make room for others.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::cell::Cell;
use std::rc::Rc;

use api::kv::KvRequest;
use common::commands::{Command, parse};
use common::{Disk, Memory, context, engine};
use engine::Applied;
use prost::Message;
use types::{Hlc, LogIndex, StateId, Term};

#[test]
fn a_digest_tells_its_pace_of_every_record() {
    const RECORDS: usize = 64;
    const VALUE_BYTES: usize = 16 * 1024;
    let mut disk = Memory::default();
    let mut state = engine(disk.open()).create(StateId(1)).unwrap();
    for key in 0..RECORDS {
        let Command::Op(op) = parse(&format!("SET key:{key} {}", "x".repeat(VALUE_BYTES))) else {
            panic!("not a request")
        };
        state.stage(&context(1_000_000, 5), &KvRequest::new(op).encode_to_vec()).unwrap();
    }
    state.commit(Applied { index: LogIndex(5), term: Term(1) }, &[]).unwrap();

    let heard = Rc::new(Cell::new(0));
    let told = heard.clone();
    engine::pace::set(move |bytes| told.set(told.get() + bytes));
    let digest = state.digest(Hlc::from_millis(1_000_000)).unwrap()().unwrap();
    assert_eq!(digest.records, RECORDS as u64);
    // What is left of the last step is not told.
    assert!(heard.get() > (RECORDS - 8) * VALUE_BYTES, "{}", heard.get());
}
