//! The catalog behind the engine contract: commits, crashes, snapshots, reads.

#![expect(clippy::unwrap_used, reason = "this is a test")]

use std::sync::Arc;

use api::catalog::{
    Bootstrap, CatalogAnswer, CatalogCommand, CatalogFound, CatalogOp, CatalogQuery, CatalogRead,
    CatalogReadReply, CatalogReply, EngineKind, HashBy, NewTable, NodeRecord, ObservedMembership, TableName,
};
use api::kv::Nothing;
use api::operation::{CatalogEdit, Edit, OnPartition, OperationChange, ReplicasWish};
use api::peer::{Member, Membership};
use bytes::Bytes;
use catalog::{Catalog, CatalogEngine};
use engine::records::{MemoryRecordStore, RecordStore};
use engine::{Applied, ApplyContext, Engine, EngineError, Reader, StateMachine, SystemChange, SystemRecord};
use prost::Message;
use types::{CatalogVersion, GroupId, Hlc, LogIndex, NodeId, StateId, Term};

const STATE: StateId = StateId(1);

fn engine() -> (MemoryRecordStore, CatalogEngine) {
    let store = MemoryRecordStore::new();
    (store.clone(), CatalogEngine::new(Arc::new(store)))
}

fn context(index: u64, wants_changes: bool) -> ApplyContext {
    ApplyContext {
        hlc: Hlc::from_millis(1000 + index),
        seed: 0,
        apply_version: api::entry::APPLY_VERSION,
        index: LogIndex(index),
        wants_changes,
    }
}

fn at(index: u64) -> Applied {
    Applied { index: LogIndex(index), term: Term(2) }
}

fn command(op: CatalogOp) -> Vec<u8> {
    CatalogCommand { op: Some(op) }.encode_to_vec()
}

fn bootstrap() -> Vec<u8> {
    let node = |id: u64| NodeRecord { id, endpoint: format!("n{id}:7000"), ..NodeRecord::default() };
    let member = |id: u64| Member { replica: id, node: id, learner: false };
    command(CatalogOp::Bootstrap(Bootstrap {
        cluster: 42,
        nodes: (1..=3).map(node).collect(),
        membership: Some(Membership { epoch: 1, members: (1..=3).map(member).collect() }),
        tables: vec![],
    }))
}

fn create(name: &str, partitions: u32) -> Vec<u8> {
    command(CatalogOp::CreateTable(NewTable {
        namespace: String::new(),
        name: name.into(),
        engine: EngineKind::Kv.into(),
        hash: HashBy::ByNamespace.into(),
        partitions,
        replicas: 3,
        options: vec![],
        scratch_of: 0,
        restoring: String::new(),
        restored_by: 0,
    }))
}

/// Stages one command and commits it.
fn apply(machine: &mut dyn StateMachine, index: u64, request: &[u8]) -> CatalogAnswer {
    let reply = machine.stage(&context(index, false), request).unwrap();
    machine.commit(at(index), &[]).unwrap();
    CatalogReply::decode(reply).unwrap().answer.unwrap()
}

fn read(reader: &dyn Reader, query: CatalogQuery) -> CatalogFound {
    let request = CatalogRead { query: Some(query) }.encode_to_vec();
    let reply = reader.read(&request, Hlc::default()).unwrap();
    CatalogReadReply::decode(reply).unwrap().found.unwrap()
}

fn copy(reader: &dyn Reader) -> Catalog {
    match read(reader, CatalogQuery::Whole(Nothing {})) {
        CatalogFound::Copy(copy) => Catalog::decode(&copy.state).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn transfer(from: &dyn StateMachine, to: &CatalogEngine, state: StateId, bytes_max: usize) -> Vec<Bytes> {
    let mut source = from.snapshot().unwrap();
    let chunks: Vec<Bytes> = std::iter::from_fn(|| source.next_chunk(bytes_max).unwrap()).collect();
    let mut sink = to.ingest(state).unwrap();
    chunks.iter().for_each(|chunk| sink.write(chunk).unwrap());
    sink.finish().unwrap();
    chunks
}

#[test]
fn nothing_is_visible_before_its_commit() {
    let (_, engine) = engine();
    let watch = engine.watch();
    let mut machine = engine.create(STATE).unwrap();
    let reader = machine.reader();
    machine.stage(&context(6, false), &bootstrap()).unwrap();
    machine.stage(&context(7, false), &create("t", 2)).unwrap();
    assert_eq!(copy(reader.as_ref()), Catalog::default());
    assert_eq!(watch.latest().version(), CatalogVersion(0));

    machine.commit(at(7), &[]).unwrap();
    assert_eq!(copy(reader.as_ref()), *watch.latest());
    assert_eq!(watch.latest().version(), CatalogVersion(7));
    assert!(watch.latest().route("default", "t").is_some());
    assert_eq!(watch.latest().hosted(NodeId(2)).len(), 3);
    assert_eq!(machine.applied(), at(7));
}

#[test]
fn a_reopened_state_is_the_last_commit() {
    let (store, engine) = engine();
    let mut machine = engine.create(STATE).unwrap();
    apply(machine.as_mut(), 6, &bootstrap());
    apply(machine.as_mut(), 7, &create("t", 4));
    apply(machine.as_mut(), 8, &create("u", 1));
    let name = Bytes::from_static(b"membership");
    let stored = SystemChange { name: name.clone(), value: Some(Bytes::from_static(b"three")) };
    machine.commit(at(9), &[stored]).unwrap();
    machine.stage(&context(10, false), &create("lost", 1)).unwrap();
    let before = copy(machine.reader().as_ref());
    let digest = machine.digest(Hlc::default()).unwrap()().unwrap();
    drop(machine);

    let second = CatalogEngine::new(Arc::new(store));
    let machine = second.open(STATE).unwrap();
    assert_eq!(machine.applied(), at(9));
    assert_eq!(machine.system().unwrap(), [SystemRecord { name, value: Bytes::from_static(b"three") }]);
    assert_eq!(copy(machine.reader().as_ref()), before);
    assert_eq!(*second.watch().latest(), before);
    assert_eq!(machine.digest(Hlc::default()).unwrap()().unwrap(), digest);
    assert_eq!(machine.statistics().records, digest.records);
}

#[test]
fn a_crash_loses_only_what_was_not_flushed() {
    for seed in 0..20 {
        let (store, engine) = engine();
        let mut machine = engine.create(STATE).unwrap();
        apply(machine.as_mut(), 6, &bootstrap());
        assert_eq!(machine.durable(), LogIndex(0));
        engine.flush().unwrap();
        assert_eq!(machine.durable(), LogIndex(6));
        for index in 7..12 {
            apply(machine.as_mut(), index, &create(&format!("t{index}"), 3));
        }
        assert_eq!(machine.durable(), LogIndex(6));
        store.crash(seed);

        let machine = CatalogEngine::new(Arc::new(store)).open(STATE).unwrap();
        let applied = machine.applied().index;
        assert!((LogIndex(6)..=LogIndex(11)).contains(&applied), "seed {seed}: {applied}");
        assert_eq!(copy(machine.reader().as_ref()).version().get(), applied.get(), "seed {seed}");
        assert_eq!(machine.durable(), applied);
    }
}

#[test]
fn a_snapshot_carries_everything_in_chunks_of_any_size() {
    let (_, source) = engine();
    let mut machine = source.create(STATE).unwrap();
    apply(machine.as_mut(), 6, &bootstrap());
    machine.stage(&context(7, false), &create("t", 50)).unwrap();
    let change =
        SystemChange { name: Bytes::from_static(b"clock"), value: Some(Bytes::from_static(b"noon")) };
    machine.commit(at(7), &[change]).unwrap();
    for bytes_max in [1, 100, 1 << 20] {
        let (store, target) = engine();
        let chunks = transfer(machine.as_ref(), &target, StateId(5), bytes_max);
        assert_eq!(chunks.len() > 50, bytes_max == 1);
        store.crash(7);
        let copied = CatalogEngine::new(Arc::new(store)).open(StateId(5)).unwrap();
        assert_eq!(copied.applied(), machine.applied());
        assert_eq!(copied.durable(), LogIndex(7));
        assert_eq!(copied.system().unwrap(), machine.system().unwrap());
        assert_eq!(copy(copied.reader().as_ref()), copy(machine.reader().as_ref()));
        let digest = |machine: &dyn StateMachine| machine.digest(Hlc::default()).unwrap()().unwrap();
        assert_eq!(digest(copied.as_ref()), digest(machine.as_ref()));
    }
}

#[test]
fn a_snapshot_that_is_cut_or_damaged_makes_no_state() {
    let (_, source) = engine();
    let mut machine = source.create(STATE).unwrap();
    apply(machine.as_mut(), 6, &bootstrap());
    let (_, target) = engine();
    let chunks = transfer(machine.as_ref(), &target, StateId(5), 1);
    for left_out in 0..chunks.len() {
        let mut sink = target.ingest(StateId(6)).unwrap();
        let kept = chunks.iter().enumerate().filter(|(at, _)| *at != left_out);
        let written: Result<Vec<()>, EngineError> = kept.map(|(_, chunk)| sink.write(chunk)).collect();
        let made = written.and_then(|_| sink.finish());
        assert!(matches!(made.err(), Some(EngineError::BadSnapshot(_))), "without chunk {left_out}");
        assert!(matches!(target.open(StateId(6)).err(), Some(EngineError::Missing(_))));
        target.remove(StateId(6)).unwrap();
    }
    let whole = &chunks[0];
    for end in 0..whole.len() {
        let mut sink = target.ingest(StateId(6)).unwrap();
        let cut = sink.write(&whole[..end]).and_then(|()| sink.write(&chunks[1]));
        assert!(cut.is_err(), "cut at {end}");
        drop(sink);
        target.remove(StateId(6)).unwrap();
    }
    for order in [[0, 0], [1, 0], [0, 2]] {
        let mut sink = target.ingest(StateId(6)).unwrap();
        let written = order.iter().try_for_each(|&at: &usize| sink.write(&chunks[at]));
        assert!(matches!(written, Err(EngineError::BadSnapshot(_))), "{order:?}");
        drop(sink);
        target.remove(StateId(6)).unwrap();
    }
}

#[test]
fn a_snapshot_stands_while_commits_go_on() {
    let (_, source) = engine();
    let mut machine = source.create(STATE).unwrap();
    apply(machine.as_mut(), 6, &bootstrap());
    apply(machine.as_mut(), 7, &create("t", 20));
    let before = copy(machine.reader().as_ref());
    let mut chunks = machine.snapshot().unwrap();
    let digest = machine.digest(Hlc::default()).unwrap();
    let (_, target) = engine();
    let mut sink = target.ingest(StateId(5)).unwrap();
    sink.write(&chunks.next_chunk(200).unwrap().unwrap()).unwrap();
    for index in 8..20 {
        apply(machine.as_mut(), index, &create(&format!("t{index}"), 3));
        if let Some(chunk) = chunks.next_chunk(200).unwrap() {
            sink.write(&chunk).unwrap();
        }
    }
    while let Some(chunk) = chunks.next_chunk(200).unwrap() {
        sink.write(&chunk).unwrap();
    }
    let copied = sink.finish().unwrap();
    assert_eq!(copied.applied(), at(7));
    assert_eq!(copy(copied.reader().as_ref()), before);
    assert_eq!(copied.digest(Hlc::default()).unwrap()().unwrap(), digest().unwrap());
}

#[test]
fn states_are_apart_and_system_records_change_with_the_data() {
    let (_, engine) = engine();
    let mut one = engine.create(STATE).unwrap();
    let two = engine.create(StateId(2)).unwrap();
    assert_eq!(engine.list().unwrap(), [STATE, StateId(2)]);
    let change = |name: &'static str, value: Option<&'static str>| SystemChange {
        name: name.into(),
        value: value.map(Bytes::from),
    };
    one.stage(&context(6, false), &bootstrap()).unwrap();
    one.commit(at(6), &[change("b", Some("1")), change("a", Some("2"))]).unwrap();
    let named = |records: Vec<SystemRecord>| -> Vec<String> {
        records.iter().map(|record| format!("{:?}={:?}", record.name, record.value)).collect()
    };
    assert_eq!(named(one.system().unwrap()), ["b\"a\"=b\"2\"", "b\"b\"=b\"1\""]);
    one.commit(at(7), &[change("a", None)]).unwrap();
    assert_eq!(named(one.system().unwrap()), ["b\"b\"=b\"1\""]);
    assert_eq!(two.applied(), Applied::default());
    assert_eq!(copy(two.reader().as_ref()), Catalog::default());
    assert!(two.system().unwrap().is_empty());
    assert_eq!(two.statistics().records, 0);

    let reader = one.reader();
    engine.remove(STATE).unwrap();
    engine.remove(STATE).unwrap();
    assert!(matches!(engine.open(STATE).err(), Some(EngineError::Missing(_))));
    assert_eq!(copy(reader.as_ref()).version(), CatalogVersion(6), "readers go on until they are dropped");
}

#[test]
fn bytes_that_are_no_request_get_a_reply_that_says_so() {
    let (_, engine) = engine();
    let mut machine = engine.create(STATE).unwrap();
    let refused = |answer: CatalogAnswer| match answer {
        CatalogAnswer::Refused(refused) => refused.code,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(apply(machine.as_mut(), 6, b"\xff\xff")), "bad-argument");
    assert_eq!(refused(apply(machine.as_mut(), 7, b"")), "version-unsupported");
    assert_eq!(refused(apply(machine.as_mut(), 8, &create("t", 1))), "not-ready");
    assert_eq!(machine.applied(), at(8));

    let reader = machine.reader();
    for (bytes, code) in [(&b"\xff"[..], "bad-argument"), (b"", "version-unsupported")] {
        let reply = CatalogReadReply::decode(reader.read(bytes, Hlc::default()).unwrap()).unwrap();
        assert!(matches!(reply.found, Some(CatalogFound::Refused(refused)) if refused.code == code));
    }
}

#[test]
fn a_read_by_version_answers_only_with_news() {
    let (_, engine) = engine();
    let mut machine = engine.create(STATE).unwrap();
    apply(machine.as_mut(), 6, &bootstrap());
    let reader = machine.reader();
    let newer = |version| read(reader.as_ref(), CatalogQuery::NewerThan(version));
    assert!(matches!(newer(5), CatalogFound::Copy(copy) if copy.version == 6));
    assert!(matches!(newer(6), CatalogFound::Unchanged(_)));
}

#[test]
fn changes_are_told_to_those_who_want_them() {
    let (_, engine) = engine();
    let mut machine = engine.create(STATE).unwrap();
    machine.stage(&context(6, false), &bootstrap()).unwrap();
    assert!(machine.commit(at(6), &[]).unwrap().is_empty());
    machine.stage(&context(7, true), &create("t", 2)).unwrap();
    let changes = machine.commit(at(7), &[]).unwrap();
    let keys: Vec<u8> = changes.iter().map(|change| change.key[0]).collect();
    assert_eq!(keys, b"tppc");
    assert!(changes.iter().all(|change| change.hlc == context(7, true).hlc && change.value.is_some()));
    let drop_table =
        command(CatalogOp::DropTable(api::catalog::TableName { namespace: String::new(), name: "t".into() }));
    machine.stage(&context(8, true), &drop_table).unwrap();
    let removed = machine.commit(at(8), &[]).unwrap().iter().filter(|change| change.value.is_none()).count();
    assert_eq!(removed, 3);
}

#[test]
fn the_watch_never_goes_back() {
    let (_, first) = engine();
    let mut machine = first.create(STATE).unwrap();
    apply(machine.as_mut(), 6, &bootstrap());
    let old = first.watch().latest();
    apply(machine.as_mut(), 7, &create("t", 1));
    let watch = first.watch();
    assert!(!watch.offer(old));
    assert_eq!(watch.latest().version(), CatalogVersion(7));
    // A replica that is made anew begins empty; the node goes on with what it knows.
    first.create(StateId(2)).unwrap();
    assert_eq!(watch.latest().version(), CatalogVersion(7));
    assert!(watch.latest().partition(GroupId(1)).is_some());
}

#[test]
fn a_damaged_record_is_noticed_when_the_state_is_opened() {
    let (store, engine) = engine();
    let mut machine = engine.create(STATE).unwrap();
    apply(machine.as_mut(), 6, &bootstrap());
    let records = store.open(STATE).unwrap();
    let mut batch = engine::records::Batch::default();
    batch.put(&b"\x30t\0\0\0\0\0\0\0\x01"[..], &b"\x01\x08\x02"[..]);
    records.write(batch).unwrap();
    assert!(matches!(engine.open(STATE).err(), Some(EngineError::Damaged(_))));
}

#[test]
fn a_table_that_is_restored_is_opened_once_its_replicas_are_there() {
    let (_, engine) = engine();
    let mut machine = engine.create(STATE).unwrap();
    apply(machine.as_mut(), 6, &bootstrap());
    let wish = |restoring: &str| {
        command(CatalogOp::CreateTable(NewTable {
            name: "t".into(),
            engine: EngineKind::Kv.into(),
            hash: HashBy::ByNamespace.into(),
            partitions: 2,
            replicas: 1,
            restoring: restoring.into(),
            ..NewTable::default()
        }))
    };
    assert!(matches!(apply(machine.as_mut(), 7, &wish("../x")), CatalogAnswer::Refused(_)));
    let CatalogAnswer::Table(table) = apply(machine.as_mut(), 8, &wish("20261127T010203Z-5c1d9a")) else {
        panic!("no table");
    };
    assert_eq!(table.restoring, "20261127T010203Z-5c1d9a");

    // Three are wished for, and each partition has one.
    let replicas = Edit::SetReplicas(ReplicasWish { table: table.id, replicas: 3 });
    let edits = vec![CatalogEdit { edit: Some(replicas) }];
    let raise = CatalogOp::Operate(OperationChange { edits, ..Default::default() });
    apply(machine.as_mut(), 9, &command(raise));
    let open = command(CatalogOp::Restored(TableName { namespace: String::new(), name: "t".into() }));
    match apply(machine.as_mut(), 10, &open) {
        CatalogAnswer::Refused(refused) => assert!(format!("{refused:?}").contains("1 of 3"), "{refused:?}"),
        other => panic!("{other:?}"),
    }
    for (group, at) in table.groups.iter().zip(11..) {
        let has = copy(&*machine.reader()).partition(GroupId(*group)).unwrap().replicas[0].node;
        let add = |node| Edit::AddReplica(OnPartition { group: *group, node });
        let edits = (1..=3).filter(|node| *node != has).map(|node| CatalogEdit { edit: Some(add(node)) });
        let add = OperationChange { edits: edits.collect(), ..Default::default() };
        apply(machine.as_mut(), at, &command(CatalogOp::Operate(add)));
    }
    let is_open =
        |machine: &dyn StateMachine| copy(&*machine.reader()).find("t").unwrap().restoring.is_empty();
    for (index, learns) in [(20, true), (30, false)] {
        for (group, at) in table.groups.iter().zip(index..) {
            let wished = copy(&*machine.reader()).partition(GroupId(*group)).unwrap().replicas.clone();
            let member = |id: u64, node| Member { replica: id, node, learner: learns && id == 3 };
            let members = wished.iter().map(|replica| member(replica.id, replica.node)).collect();
            let membership = Some(Membership { epoch: index, members });
            let observed = ObservedMembership { group: *group, membership, ..Default::default() };
            apply(machine.as_mut(), at, &command(CatalogOp::Observed(observed)));
        }
        apply(machine.as_mut(), index + 5, &open);
        assert_eq!(is_open(machine.as_ref()), !learns, "a learner is no replica yet");
    }
    assert!(matches!(apply(machine.as_mut(), 40, &open), CatalogAnswer::Ok(_)), "repeated, nothing happens");
}
