//! The shared suite of engines, on the simulator's store and on the real one.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;

use api::kv::{Expiry, ExpiryKind, Key, Keys, KvOp, KvReply, KvRequest, Set};
use bytes::Bytes;
use common::{Disk, Memory, OnDisk, engine};
use engine::Engine;
use engine::suite::{self, Subject};
use prost::Message;

struct Kv<D>(D);

fn request(op: KvOp) -> Bytes {
    KvRequest::new(op).encode_to_vec().into()
}

fn name(key: u32) -> Bytes {
    format!("key:{key}").into()
}

impl<D: Disk> Subject for Kv<D> {
    fn open(&mut self) -> Arc<dyn Engine> {
        engine(self.0.open())
    }

    fn crash(&mut self, running: Arc<dyn Engine>, seed: u64) -> Arc<dyn Engine> {
        let left = self.0.crash(seed);
        drop(running);
        engine(left)
    }

    fn put(&self, key: u32, value: u32, expiry_millis: Option<u64>) -> Bytes {
        let expiry = expiry_millis.map(|at| Expiry { kind: ExpiryKind::At as i32, millis: at as i64 });
        let value = value.to_string().into();
        request(KvOp::Set(Set { key: name(key), value, expiry, ..Set::default() }))
    }

    fn remove(&self, key: u32) -> Bytes {
        request(KvOp::Del(Keys { keys: vec![name(key)] }))
    }

    fn get(&self, key: u32) -> Bytes {
        request(KvOp::Get(Key { key: name(key) }))
    }

    fn got(&self, value: Option<u32>) -> Bytes {
        value.map_or(KvReply::nil(), |value| KvReply::value(value.to_string())).encode_to_vec().into()
    }

    fn put_large(&self, key: u32, bytes: usize) -> Bytes {
        request(KvOp::Set(Set { key: name(key), value: vec![b'v'; bytes].into(), ..Set::default() }))
    }

    fn change_key(&self, key: u32) -> Bytes {
        name(key)
    }
}

#[test]
fn passes_the_suite_in_memory() {
    suite::run(|| Kv(Memory::default()));
}

#[test]
fn passes_the_suite_on_disk() {
    suite::run(|| Kv(OnDisk::new()));
}
