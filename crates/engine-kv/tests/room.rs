//! What a request may take: however little of the log it is, it fits the memory of every replica, and one that is
//! refused has changed nothing.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use api::kv::{
    ContentKind, Copy, Element, Import, Key, Keys, KvAnswer, KvError, KvOp, KvReply, KvRequest, ListOp,
    ListPopFirst, ListPush, ListRange, ListRemove, ListRequest, Many, Piece, Set, SetRange, Transaction,
};
use bytes::Bytes;
use common::{Disk, Memory, context, engine};
use engine::{Applied, StateMachine};
use prost::Message;
use types::limits::{
    EDIT_BYTES_MAX, EDIT_ELEMENT_BYTES, ENTRY_RESULT_BYTES_MAX, MEMBER_BYTES_MAX, REPLY_PART_BYTES_MAX,
    RESULT_BYTES_MAX, VALUE_BYTES_MAX,
};
use types::{Hlc, LogIndex, StateId, Term};

struct World {
    state: Box<dyn StateMachine>,
    index: u64,
}

impl World {
    fn new() -> Self {
        Self { state: engine(Memory::default().open()).create(StateId(1)).unwrap(), index: 5 }
    }

    fn run(&mut self, op: KvOp) -> KvAnswer {
        let reply = self.reply(op);
        assert!(reply.len() <= REPLY_PART_BYTES_MAX);
        KvReply::decode(reply).unwrap().answer.unwrap()
    }

    fn reply(&mut self, op: KvOp) -> Bytes {
        let is_write = op.is_write();
        let request = KvRequest::new(op).encode_to_vec();
        if !is_write {
            return self.state.reader().read(&request, Hlc::from_millis(1)).unwrap();
        }
        let reply = self.state.stage(&context(1, self.index), &request).unwrap();
        self.state.commit(Applied { index: LogIndex(self.index), term: Term(1) }, &[]).unwrap();
        self.index += 1;
        reply
    }

    fn digest(&self) -> engine::Digest {
        (self.state.digest(Hlc::from_millis(1)).unwrap())().unwrap()
    }
}

fn refused(error: KvError) -> KvAnswer {
    KvAnswer::Error(error as i32)
}

fn get() -> KvOp {
    KvOp::Get(Key { key: "k".into() })
}

fn set(value: Bytes) -> KvOp {
    KvOp::Set(Set { key: "k".into(), value, ..Default::default() })
}

fn push(key: &'static str, elements: Vec<Bytes>) -> KvOp {
    let push = ListPush { key: key.into(), elements, left: false, only_if_present: false };
    KvOp::List(ListRequest::new(ListOp::Push(push)))
}

fn large() -> Bytes {
    vec![b'x'; VALUE_BYTES_MAX].into()
}

#[test]
fn elements_that_fit_a_reply_but_not_with_their_key_stay_in_the_list() {
    let mut world = World::new();
    world.run(push("l", vec![large()]));
    // The elements alone would be a reply of nearly the greatest size.
    let almost = REPLY_PART_BYTES_MAX - VALUE_BYTES_MAX - 90;
    world.run(push("l", vec![vec![b'y'; almost].into(), "z".into()]));
    let before = world.digest();
    let pop = |count| ListPopFirst { keys: vec!["l".into()], left: true, count };
    let pop = |count| KvOp::List(ListRequest::new(ListOp::PopFirst(pop(count))));
    assert_eq!(world.run(pop(2)), refused(KvError::ReplyTooLarge));
    assert_eq!(world.digest(), before);
    assert!(matches!(world.run(pop(1)), KvAnswer::Many(_)));
    assert!(matches!(world.run(pop(2)), KvAnswer::Many(_)));
}

#[test]
fn more_elements_than_fit_into_memory_are_not_removed_one_by_one() {
    let mut world = World::new();
    for _ in 0..=EDIT_BYTES_MAX / EDIT_ELEMENT_BYTES / 65_536 {
        world.run(push("l", vec!["x".into(); 65_536]));
    }
    // What stays is too much to be copied.
    for _ in 0..=EDIT_BYTES_MAX / VALUE_BYTES_MAX {
        world.run(push("l", vec![large()]));
    }
    let before = world.digest();
    let trim = |start| ListOp::Trim(ListRange { key: "l".into(), start, stop: -1 });
    let trim = |start| KvOp::List(ListRequest::new(trim(start)));
    let large_ones = (EDIT_BYTES_MAX / VALUE_BYTES_MAX) as i64 + 1;
    let remove = ListRemove { key: "l".into(), element: "x".into(), count: 0 };
    assert_eq!(
        world.run(KvOp::List(ListRequest::new(ListOp::Remove(remove)))),
        refused(KvError::EditTooLarge)
    );
    assert_eq!(world.run(trim(-large_ones)), refused(KvError::EditTooLarge));
    assert_eq!(world.digest(), before);
    assert_eq!(world.run(trim(65_536)), KvReply::ok().answer.unwrap());
    assert_eq!(world.run(trim(-large_ones)), KvReply::ok().answer.unwrap());
    let length = ListOp::Len(Key { key: "l".into() });
    assert_eq!(world.run(KvOp::List(ListRequest::new(length))), KvAnswer::Integer(large_ones));
}

#[test]
fn all_replies_of_a_transaction_are_one_reply() {
    let mut world = World::new();
    world.run(set(large()));
    let requests = [get(), get(), set("new".into()), get(), get()].map(KvRequest::new);
    let transaction = Transaction { watched: Vec::new(), requests: requests.to_vec() };
    let error = KvReply::error(KvError::ReplyTooLarge);
    let replies =
        vec![KvReply::value(large()), error, KvReply::ok(), KvReply::value("new"), KvReply::value("new")];
    assert_eq!(world.run(KvOp::Transaction(transaction)), KvAnswer::Many(Many { replies }));
}

#[test]
fn a_value_named_again_and_again_is_no_reply() {
    let mut world = World::new();
    world.run(set(large()));
    let keys = vec!["k".into(); 3];
    assert_eq!(world.run(KvOp::MGet(Keys { keys })), refused(KvError::ReplyTooLarge));
}

#[test]
fn a_collection_that_does_not_fit_into_memory_is_not_copied() {
    let mut world = World::new();
    world.run(push("small", vec!["a".into()]));
    for _ in 0..RESULT_BYTES_MAX / VALUE_BYTES_MAX {
        world.run(push("large", vec![large()]));
    }
    let before = world.digest();
    let copy = |from: &'static str| KvOp::Copy(Copy { from: from.into(), to: "to".into(), replace: true });
    assert_eq!(world.run(copy("large")), refused(KvError::ResultTooLarge));
    assert_eq!(world.digest(), before);
    assert_eq!(world.run(copy("small")), KvAnswer::Integer(1));
}

#[test]
fn copies_of_one_entry_fit_into_memory_together() {
    let mut world = World::new();
    for _ in 0..RESULT_BYTES_MAX / VALUE_BYTES_MAX - 1 {
        world.run(push("l", vec![large()]));
    }
    let copy = |to: &'static str| KvOp::Copy(Copy { from: "l".into(), to: to.into(), replace: true });
    let requests = ["a", "b", "c"].map(|to| KvRequest::new(copy(to))).to_vec();
    let transaction = Transaction { watched: Vec::new(), requests };
    let error = KvReply::error(KvError::ResultTooLarge);
    let replies = vec![KvReply::integer(1), KvReply::integer(1), error];
    assert_eq!(world.run(KvOp::Transaction(transaction)), KvAnswer::Many(Many { replies }));
    assert_eq!(world.run(copy("c")), KvAnswer::Integer(1), "another entry has room of its own");
}

#[test]
fn zeros_of_one_entry_fit_into_memory_together() {
    let mut world = World::new();
    let op = SetRange { key: "k".into(), offset: VALUE_BYTES_MAX as u64 - 1, value: "x".into() };
    let (range, del) = (KvOp::SetRange(op), KvOp::Del(Keys { keys: vec!["k".into()] }));
    let pair = [range, del].map(KvRequest::new);
    let fit = ENTRY_RESULT_BYTES_MAX / VALUE_BYTES_MAX;
    let requests = pair.iter().cycle().take(2 * fit + 2).cloned().collect();
    let transaction = Transaction { watched: Vec::new(), requests };
    let KvAnswer::Many(many) = world.run(KvOp::Transaction(transaction)) else { panic!("no replies") };
    let length = KvReply::integer(VALUE_BYTES_MAX as i64);
    assert_eq!(many.replies[2 * fit - 2..2 * fit], [length, KvReply::integer(1)]);
    let error = KvReply::error(KvError::ResultTooLarge);
    assert_eq!(many.replies[2 * fit..], [error, KvReply::integer(0)]);
}

#[test]
fn contents_with_a_name_that_is_too_long_are_refused_whole() {
    let mut world = World::new();
    let before = world.digest();
    let piece = |kind, elements| Piece { key: "k".into(), kind: kind as i32, elements, ..Default::default() };
    let name = Bytes::from(vec![b'n'; MEMBER_BYTES_MAX + 1]);
    let member = Element { name, ..Default::default() };
    let pieces = vec![
        Piece { value: "v".into(), ..piece(ContentKind::String, Vec::new()) },
        Piece { key: "set".into(), ..piece(ContentKind::Set, vec![member]) },
    ];
    let import = Import { pieces, ..Default::default() };
    assert_eq!(world.run(KvOp::Import(import)), refused(KvError::TooLong));
    assert_eq!(world.digest(), before);
}
