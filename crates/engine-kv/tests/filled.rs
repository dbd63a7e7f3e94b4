//! Which keys a state names to those who wait for elements.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use api::kv::{
    Copy, Key, Keys, KvOp, KvRequest, ListMove, ListOp, ListPop, ListPush, ListRequest, Pair, Rename,
    Transaction,
};
use bytes::Bytes;
use common::{Disk, Memory, context, engine};
use engine::{Applied, StateMachine};
use prost::Message;
use types::{LogIndex, StateId, Term};

struct World {
    state: Box<dyn StateMachine>,
    index: u64,
}

impl World {
    fn new() -> Self {
        let state = engine(Memory::default().open()).create(StateId(1)).unwrap();
        Self { state, index: 1 }
    }

    /// One entry with these operations; the keys that are named after it.
    fn entry(&mut self, ops: &[KvOp]) -> Vec<String> {
        for op in ops {
            let request = KvRequest::new(op.clone()).encode_to_vec();
            self.state.stage(&context(1_000, self.index), &request).unwrap();
        }
        self.state.commit(Applied { index: LogIndex(self.index), term: Term(1) }, &[]).unwrap();
        self.index += 1;
        let filled = self.state.take_filled();
        filled.into_iter().map(|key| String::from_utf8(key.to_vec()).unwrap()).collect()
    }
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn list(op: ListOp) -> KvOp {
    KvOp::List(ListRequest::new(op))
}

fn push(key: &str) -> KvOp {
    let push = ListPush { key: bytes(key), elements: vec![bytes("x"), bytes("y")], ..Default::default() };
    list(ListOp::Push(push))
}

fn pop(key: &str) -> KvOp {
    list(ListOp::Pop(ListPop { key: bytes(key), left: true, count: None }))
}

#[test]
fn keys_that_have_elements_are_named_while_somebody_listens() {
    let mut world = World::new();
    assert!(world.entry(&[push("before")]).is_empty(), "nobody listens");
    world.state.listen(true);
    assert!(world.entry(&[]).is_empty(), "what was before is not made up for");
    assert_eq!(world.entry(&[push("b"), push("a"), push("b")]), ["a", "b"], "each once");
    assert_eq!(world.entry(&[pop("a")]), ["a"], "one is left");
    assert!(world.entry(&[pop("a")]).is_empty(), "none is left");
    let len = list(ListOp::Len(Key { key: bytes("b") }));
    assert!(world.entry(&[len]).is_empty(), "looking changes nothing");
    world.state.listen(false);
    assert!(world.entry(&[push("a")]).is_empty());
}

#[test]
fn whatever_brings_elements_is_named_and_nothing_else() {
    let mut world = World::new();
    world.state.listen(true);
    world.entry(&[push("list")]);
    let to = |key: &str| ListMove { from: bytes("list"), to: bytes(key), from_left: true, to_left: true };
    assert_eq!(world.entry(&[list(ListOp::Move(to("moved")))]), ["list", "moved"]);
    let copy = Copy { from: bytes("list"), to: bytes("copy"), replace: false };
    assert_eq!(world.entry(&[KvOp::Copy(copy)]), ["copy"]);
    let rename = Rename { from: bytes("list"), to: bytes("renamed"), only_if_absent: false };
    assert_eq!(world.entry(&[KvOp::Rename(rename)]), ["renamed"]);
    let requests = vec![KvRequest::new(push("inside"))];
    let transaction = Transaction { watched: Vec::new(), requests };
    assert_eq!(world.entry(&[KvOp::Transaction(transaction)]), ["inside"]);
    let others = [
        KvOp::MSet(api::kv::MSet {
            pairs: vec![Pair { key: bytes("string"), value: bytes("v") }],
            only_if_none: false,
        }),
        KvOp::Del(Keys { keys: vec![bytes("copy")] }),
    ];
    assert!(world.entry(&others).is_empty());
}
