//! A backend without a cluster: keys in memory, and a writer thread that stands for the log.
//!
//! It shows what the Redis face itself costs. With a file it writes and syncs every burst of writes before
//! it answers them, as a log would.

#![allow(clippy::unwrap_used)] // a stand-in for tests and measurements

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use api::catalog::EngineKind;
use api::kv::{KvAnswer, KvOp, KvReply, KvRequest, Maybe, Page, Values};
use api::peer::Access;
use bytes::Bytes;
use catalog::{PartitionRoute, TableRoute};
use prost::Message;
use serve::redis::{Backend, Call, Done, NamedRoute, NodeFacts};
use types::hash::{HashRule, position};
use types::{ErrorCode, Fault, Generation, GroupId, NodeId, ReplicaId, RouteEpoch, TableId};

type Keys = BTreeMap<(u64, Bytes), Bytes>;

/// See the module.
pub struct Memory {
    tables: Vec<NamedRoute>,
    groups: BTreeMap<GroupId, Mutex<Keys>>,
    queue: Mutex<Sender<(Call, Done)>>,
    /// Reads on the spot are allowed, as they are to a leader with a lease.
    pub lease: AtomicBool,
    /// While it is locked nothing in the queue is answered.
    pub gate: Arc<Mutex<()>>,
    /// Requests that went through the queue.
    pub submitted: AtomicU64,
}

fn table(namespace: &str, name: &str, id: u64, partitions: u64, hash: HashRule) -> NamedRoute {
    let partition = |index| PartitionRoute {
        group: GroupId(100 * id + index),
        route_epoch: RouteEpoch(1),
        replicas: (1..=3).map(|n| (ReplicaId(n), NodeId(n))).collect(),
    };
    let route = TableRoute {
        table: TableId(id),
        engine: EngineKind::Kv,
        generation: Generation(1),
        hash,
        partitions: (0..partitions).map(partition).collect(),
    };
    NamedRoute { namespace: namespace.into(), name: name.into(), restoring: false, route: Arc::new(route) }
}

impl Memory {
    /// A default table, and `cp:orders` for the other port.
    pub fn start(partitions: u64, log: Option<File>) -> Arc<Self> {
        let tables = vec![
            table("default", "default", 1, partitions, HashRule::Tag),
            table("cp", "orders", 2, 4, HashRule::Whole),
        ];
        let (queue, calls) = channel();
        let groups = tables.iter().flat_map(|named| &named.route.partitions);
        let memory = Arc::new(Self {
            groups: groups.map(|partition| (partition.group, Mutex::default())).collect(),
            tables,
            queue: Mutex::new(queue),
            lease: AtomicBool::new(true),
            gate: Arc::default(),
            submitted: AtomicU64::new(0),
        });
        let writer = Arc::downgrade(&memory);
        std::thread::spawn(move || run_log(&writer, &calls, log));
        memory
    }

    fn execute(&self, group: GroupId, request: &[u8]) -> Result<Bytes, Fault> {
        let request =
            KvRequest::decode(request).map_err(|e| Fault::new(ErrorCode::Internal, e.to_string()))?;
        let mut keys = self.groups[&group].lock().unwrap();
        let reply = answer(&mut keys, request.op.unwrap());
        Ok(reply.encode_to_vec().into())
    }
}

/// Takes everything that waits, makes it durable, answers all of it.
fn run_log(memory: &std::sync::Weak<Memory>, calls: &Receiver<(Call, Done)>, mut log: Option<File>) {
    while let Ok(first) = calls.recv() {
        let burst: Vec<_> = std::iter::once(first).chain(calls.try_iter()).collect();
        if let Some(log) = &mut log
            && burst.iter().any(|(call, _)| call.access == Access::Write)
        {
            let bytes: Vec<u8> = burst.iter().flat_map(|(call, _)| call.body.iter().copied()).collect();
            log.write_all(&bytes).unwrap();
            log.sync_data().unwrap();
        }
        let Some(memory) = memory.upgrade() else { return };
        drop(memory.gate.lock());
        for (call, done) in burst {
            done(memory.execute(call.group, &call.body));
        }
    }
}

fn answer(keys: &mut Keys, op: KvOp) -> KvReply {
    let place = |key: &Bytes| (position(key), key.clone());
    match op {
        KvOp::Get(op) => {
            keys.get(&place(&op.key)).map_or(KvReply::nil(), |value| KvReply::value(value.clone()))
        }
        KvOp::MGet(op) => {
            let values = op.keys.iter().map(|key| Maybe { value: keys.get(&place(key)).cloned() }).collect();
            KvReply::new(KvAnswer::Values(Values { values }))
        }
        KvOp::Exists(op) => {
            KvReply::integer(op.keys.iter().filter(|key| keys.contains_key(&place(key))).count() as i64)
        }
        KvOp::Set(op) => {
            keys.insert(place(&op.key), Bytes::copy_from_slice(&op.value));
            KvReply::ok()
        }
        KvOp::MSet(op) => {
            keys.extend(op.pairs.iter().map(|pair| (place(&pair.key), pair.value.clone())));
            KvReply::integer(1)
        }
        KvOp::IncrBy(op) => {
            let old =
                keys.get(&place(&op.key)).map_or(0, |v| std::str::from_utf8(v).unwrap().parse().unwrap());
            let new: i64 = old + op.delta;
            keys.insert(place(&op.key), new.to_string().into());
            KvReply::integer(new)
        }
        KvOp::Append(op) => {
            let value = keys.entry(place(&op.key)).or_default();
            *value = [&value[..], &op.value[..]].concat().into();
            KvReply::integer(value.len() as i64)
        }
        KvOp::Del(op) => {
            KvReply::integer(op.keys.iter().filter_map(|key| keys.remove(&place(key))).count() as i64)
        }
        KvOp::DbSize(_) => KvReply::integer(keys.len() as i64),
        KvOp::Flush(_) => {
            keys.clear();
            KvReply::ok()
        }
        KvOp::Scan(op) => {
            let mut rest =
                keys.range((op.position, Bytes::new())..).map(|((place, key), _)| (*place, key.clone()));
            let page: Vec<_> = rest.by_ref().take(op.count as usize).collect();
            let next = rest.next().map(|(place, _)| place);
            let is_wanted = |key: &Bytes| {
                let name = [op.shown_before.clone(), key.clone()].concat();
                op.pattern.is_empty() || types::glob::matches(&op.pattern, &name, false)
            };
            let keys = page.into_iter().map(|(_, key)| key).filter(is_wanted).collect();
            KvReply::new(KvAnswer::Page(Page { keys, next }))
        }
        KvOp::RandomKey(_) => {
            keys.keys().next().map_or(KvReply::nil(), |(_, key)| KvReply::value(key.clone()))
        }
        _ => KvReply::error(api::kv::KvError::Unsupported),
    }
}

impl Memory {
    fn submit(&self, call: Call, done: Done) {
        self.submitted.fetch_add(1, Ordering::Relaxed);
        let _ = self.queue.lock().unwrap().send((call, done));
    }
}

impl Backend for Memory {
    fn routes_version(&self) -> u64 {
        1
    }

    fn tables(&self) -> Vec<NamedRoute> {
        self.tables.clone()
    }

    fn try_read(&self, group: GroupId, request: &[u8]) -> Option<Result<Bytes, Fault>> {
        self.lease.load(Ordering::Relaxed).then(|| self.execute(group, request))
    }

    fn try_unchanged(&self, _: GroupId, _: &[u8]) -> Option<Result<Bytes, Fault>> {
        None
    }

    fn submit_all(&self, calls: Vec<(Call, Done)>) {
        calls.into_iter().for_each(|(call, done)| self.submit(call, done));
    }

    fn facts(&self) -> NodeFacts {
        NodeFacts { node: 1, cluster: 42, boot: 7, log_writable: true, ..NodeFacts::default() }
    }
}
