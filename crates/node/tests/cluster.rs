//! Three members in one process, joined by channels: founding, tables, reads and writes, the loss of a
//! leader, a restart. The log and the records are the ones in memory; time and threads are real.

#![allow(clippy::unwrap_used, clippy::large_enum_variant, reason = "a test")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use api::catalog::{Bootstrap, EngineKind, NewTable, NodeRecord};
use api::entry::RequestKind;
use api::frame::{Channel, Frame};
use api::kv::{Key, KvAnswer, KvOp, KvReply, KvRequest, Set};
use api::peer::{Access, CutLog, Member, Membership, RaftMessage, Reply, Report, Request, TransferLeader};
use bytes::Bytes;
use catalog::CatalogEngine;
use engine::records::MemoryRecordStore;
use engine_kv::KvEngine;
use env::OsClock;
use node::{Call, Node, NodeConfig, Origin, Transport};
use prost::Message;
use replication::driver::StoreOptions;
use types::{BootId, Endpoint, ErrorCode, Fault, GroupId, NodeId};
use wal::{LogStore, MemoryLog};

/// What one node says to another.
enum Word {
    Raft(NodeId, Vec<RaftMessage>),
    Requests(Origin, Vec<Request>),
    Replies(NodeId, Vec<Reply>),
    Frame(NodeId, Frame),
    Gone(NodeId),
}

type Lines = Arc<Mutex<BTreeMap<NodeId, mpsc::Sender<Word>>>>;

/// The connections of one node.
struct Wire {
    me: Origin,
    lines: Lines,
    cut: AtomicBool,
}

impl Wire {
    fn say(&self, to: NodeId, word: Word) -> bool {
        let lines = self.lines.lock().unwrap();
        !self.cut.load(Ordering::Relaxed) && lines.get(&to).is_some_and(|line| line.send(word).is_ok())
    }
}

impl Transport for Wire {
    fn send_raft(&self, to: NodeId, messages: Vec<RaftMessage>) -> bool {
        self.say(to, Word::Raft(self.me.node, messages))
    }

    fn send_requests(&self, to: NodeId, requests: Vec<Request>) -> usize {
        let count = requests.len();
        if self.say(to, Word::Requests(self.me, requests)) { count } else { 0 }
    }

    fn reply(&self, to: Origin, replies: Vec<Reply>) {
        self.say(to.node, Word::Replies(self.me.node, replies));
    }

    fn send_transfer(&self, to: NodeId, transfer: TransferLeader) -> bool {
        self.say(to, Word::Frame(self.me.node, Frame::Transfer(transfer)))
    }

    fn send_cut(&self, to: NodeId, cut: CutLog) -> bool {
        self.say(to, Word::Frame(self.me.node, Frame::CutLog(cut)))
    }

    fn send_report(&self, to: NodeId, report: Report) {
        self.say(to, Word::Frame(self.me.node, Frame::Report(report)));
    }

    fn send_bulk(&self, to: NodeId, frame: Frame) {
        self.say(to, Word::Frame(self.me.node, frame));
    }

    fn set_peers(&self, _directory: &BTreeMap<NodeId, Endpoint>) {}

    fn fatal(&self, fault: Fault) {
        panic!("node {}: {fault}", self.me.node);
    }
}

/// What a node keeps when it stops.
#[derive(Clone)]
struct Disk {
    log: Arc<MemoryLog>,
    records: Arc<MemoryRecordStore>,
}

struct Member1 {
    node: Arc<Node>,
    wire: Arc<Wire>,
}

struct Cluster {
    lines: Lines,
    disks: BTreeMap<NodeId, Disk>,
    members: BTreeMap<NodeId, Member1>,
    boot: u64,
}

impl Cluster {
    fn new(nodes: u64) -> Self {
        let disk = || Disk { log: Arc::default(), records: Arc::default() };
        let disks = (1..=nodes).map(|id| (NodeId(id), disk())).collect();
        let mut cluster = Self { lines: Lines::default(), disks, members: BTreeMap::new(), boot: 0 };
        (1..=nodes).for_each(|id| cluster.start(NodeId(id)));
        cluster.wait("ready", |cluster| cluster.members.values().all(|member| member.node.is_ready()));
        cluster
    }

    fn bootstrap(&self) -> Bootstrap {
        let ids: Vec<u64> = self.disks.keys().map(|id| id.get()).collect();
        let members = ids.iter().map(|id| Member { replica: *id, node: *id, learner: false }).collect();
        let table = NewTable {
            namespace: "default".into(),
            name: "default".into(),
            engine: EngineKind::Kv as i32,
            partitions: 4,
            ..Default::default()
        };
        Bootstrap {
            cluster: 7,
            nodes: ids.iter().map(|id| record(*id, 0)).collect(),
            membership: Some(Membership { epoch: 1, members }),
            tables: vec![table],
        }
    }

    fn start(&mut self, id: NodeId) {
        self.boot += 1;
        let me = Origin { node: id, boot: BootId(self.boot) };
        let wire = Arc::new(Wire { me, lines: self.lines.clone(), cut: AtomicBool::new(false) });
        let disk = self.disks[&id].clone();
        let catalog = CatalogEngine::new(disk.records.clone());
        let watch = catalog.watch();
        let kv = KvEngine::new(disk.records.clone());
        let engines: replication::start::Engines = BTreeMap::from([
            (EngineKind::Catalog as i32, Arc::new(catalog) as Arc<dyn engine::Engine>),
            (EngineKind::Kv as i32, Arc::new(kv) as Arc<dyn engine::Engine>),
        ]);
        let config = NodeConfig {
            me: record(id.get(), self.boot),
            bootstrap: Some(self.bootstrap()),
            may_found: disk.log.groups().is_empty(),
            seed: self.boot,
            store: StoreOptions {
                seed: self.boot,
                workers: 1,
                appliers: 1,
                flush_interval: Duration::from_millis(100),
            },
            disk: Box::new(|| None),
            disk_number: 0,
        };
        let (line, words) = mpsc::channel();
        let node = Node::start(config, disk.log, engines, watch, Arc::new(OsClock), wire.clone()).unwrap();
        self.lines.lock().unwrap().insert(id, line);
        let listener = node.clone();
        std::thread::spawn(move || {
            for word in words {
                match word {
                    Word::Raft(from, messages) => listener.on_raft(from, messages),
                    Word::Requests(from, requests) => listener.on_requests(from, requests),
                    Word::Replies(from, replies) => listener.on_replies(from, replies),
                    Word::Frame(from, frame) => listener.on_frame(from, frame),
                    Word::Gone(node) => {
                        listener.on_disconnected(node, Channel::Requests);
                        listener.on_disconnected(node, Channel::Raft);
                    }
                }
            }
        });
        self.members.insert(id, Member1 { node, wire });
    }

    fn stop(&mut self, id: NodeId) {
        let member = self.members.remove(&id).unwrap();
        member.wire.cut.store(true, Ordering::Relaxed);
        self.lines.lock().unwrap().remove(&id);
        for other in self.lines.lock().unwrap().values() {
            let _ = other.send(Word::Gone(id));
        }
        member.node.stop().unwrap();
    }

    fn wait(&self, what: &str, done: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !done(self) {
            assert!(start.elapsed() < Duration::from_secs(20), "not in time: {what}");
            std::thread::yield_now();
        }
    }

    fn call(&self, at: NodeId, op: KvOp) -> Result<KvAnswer, Fault> {
        let node = &self.members[&at].node;
        let key = match &op {
            KvOp::Get(key) => key.key.clone(),
            KvOp::Set(set) => set.key.clone(),
            other => panic!("{other:?}"),
        };
        let route = node.table("default", "default").expect("the default table exists");
        let group = route.partition(route.partition_of(&key)).unwrap().group;
        let body: Bytes = KvRequest::new(op.clone()).encode_to_vec().into();
        let access = if op.is_write() { Access::Write } else { Access::Read };
        let (sender, receiver) = mpsc::channel();
        let call = Call { group, access, kind: RequestKind::Data, body };
        node.submit(call, Box::new(move |result| drop(sender.send(result))));
        let reply = receiver.recv_timeout(Duration::from_secs(20)).expect("every call ends")?;
        Ok(KvReply::decode(reply).unwrap().answer.unwrap())
    }

    fn set(&self, at: u64, key: &str, value: &str) -> Result<KvAnswer, Fault> {
        let (key, value) = (Bytes::copy_from_slice(key.as_bytes()), Bytes::copy_from_slice(value.as_bytes()));
        self.call(NodeId(at), KvOp::Set(Set { key, value, ..Default::default() }))
    }

    fn get(&self, at: u64, key: &str) -> KvAnswer {
        self.call(NodeId(at), KvOp::Get(Key { key: Bytes::copy_from_slice(key.as_bytes()) })).unwrap()
    }
}

fn record(id: u64, boot: u64) -> NodeRecord {
    NodeRecord {
        id,
        endpoint: format!("n{id}:1"),
        roles: vec!["meta".into(), "data".into(), "gateway".into()],
        boot,
        ..Default::default()
    }
}

fn value(text: &str) -> KvAnswer {
    KvAnswer::Value(Bytes::copy_from_slice(text.as_bytes()))
}

#[test]
fn a_cluster_founds_itself_serves_every_key_everywhere_and_survives_nodes() {
    let mut cluster = Cluster::new(3);
    for key in 0..40 {
        let at = key % 3 + 1;
        let done = cluster.set(at, &format!("key{key}"), &format!("value{key}")).unwrap();
        assert!(matches!(done, KvAnswer::Ok(_)), "{done:?}");
    }
    for key in 0..40 {
        assert_eq!(cluster.get((key + 1) % 3 + 1, &format!("key{key}")), value(&format!("value{key}")));
    }

    cluster.stop(NodeId(1));
    for key in 0..40 {
        assert_eq!(cluster.get(2, &format!("key{key}")), value(&format!("value{key}")));
        cluster.set(3, &format!("key{key}"), "without node 1").unwrap();
    }

    cluster.start(NodeId(1));
    cluster.wait("node 1 ready", |cluster| cluster.members[&NodeId(1)].node.is_ready());
    cluster.stop(NodeId(3));
    for key in 0..40 {
        assert_eq!(cluster.get(1, &format!("key{key}")), value("without node 1"));
    }

    cluster.stop(NodeId(2));
    let alone = cluster.set(1, "key0", "alone").unwrap_err();
    assert!(matches!(alone.code, ErrorCode::OutcomeUnknown | ErrorCode::NoLeader), "{alone}");
    assert_eq!(cluster.members[&NodeId(1)].node.leader_of(GroupId(9999)), None);
}
