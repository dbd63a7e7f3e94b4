//! What holds for every sequence of commands, and for any bytes.

#![expect(clippy::unwrap_used, reason = "this is a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::catalog::{
    ArchiveChange, ArchiveRecord, Bootstrap, CatalogAnswer, CatalogCommand, CatalogOp, Established,
    GroupReplica, Label, NewTable, NodeRecord, ObservedMembership, ReplaceReplica, SetSetting, TableName,
};
use api::operation::{
    CatalogEdit, Edit, ExpectedPartition, NodeFlags, OnNode, OnPartition, OperationChange, OperationKind,
    OperationRecord, PermitChange, PermitRecord, ReplaceRank, ReplicasWish, SetOffline,
};
use api::peer::{Member, Membership};
use bytes::Bytes;
use catalog::status::{Observations, status};
use catalog::{Birth, Catalog, CatalogEngine, Record, RecordChange};
use engine::records::MemoryRecordStore;
use engine::{Applied, ApplyContext, Engine};
use proptest::prelude::*;
use prost::Message;
use types::{GroupId, Hlc, LogIndex, NodeId, StateId, TableId, Term};

fn node(id: u64, boot: u64, labels: Vec<Label>) -> NodeRecord {
    NodeRecord { id, boot, labels, endpoint: format!("n{id}:7000"), ..NodeRecord::default() }
}

fn bootstrap(cluster: u64, nodes: u64) -> CatalogOp {
    let member = |id| Member { replica: id, node: id, learner: false };
    CatalogOp::Bootstrap(Bootstrap {
        cluster,
        nodes: (1..=nodes).map(|id| node(id, id, vec![])).collect(),
        membership: Some(Membership { epoch: 1, members: (1..=nodes.min(5)).map(member).collect() }),
        tables: vec![],
    })
}

/// Commands of which many make sense: ids and names are few.
fn any_op() -> impl Strategy<Value = CatalogOp> {
    let name =
        || prop::sample::select(vec!["a", "b", "_", "default", "catalog", "no-name"]).prop_map(String::from);
    let namespace = || prop::sample::select(vec!["", "other"]).prop_map(String::from);
    let group_replica = || (0..8u64, 0..8u64).prop_map(|(group, replica)| GroupReplica { group, replica });
    let label = prop::sample::select(vec!["dc", "rack", "host"])
        .prop_map(|name| Label { name: name.into(), value: "x".into() });
    prop_oneof![
        1 => (0..3u64, 0..7u64).prop_map(|(cluster, nodes)| bootstrap(cluster, nodes)),
        2 => (0..9u64, 0..20u64, prop::collection::vec(label, 0..2))
            .prop_map(|(id, boot, labels)| CatalogOp::RegisterNode(node(id, boot, labels))),
        4 => (namespace(), name(), 0..3i32, -1..4i32, 0..5u32, 0..9u32).prop_map(
            |(namespace, name, engine, hash, partitions, replicas)| {
                let options = vec![Label { name: "made-by".into(), value: name.clone() }];
                CatalogOp::CreateTable(NewTable {
                    namespace,
                    name,
                    engine,
                    hash,
                    partitions,
                    replicas,
                    options,
                    scratch_of: 0,
                    restoring: String::new(),
                    restored_by: 0,
                })
            }
        ),
        2 => (namespace(), name())
            .prop_map(|(namespace, name)| CatalogOp::DropTable(TableName { namespace, name })),
        4 => prop::collection::vec(group_replica(), 0..5)
            .prop_map(|replicas| CatalogOp::Established(Established { replicas })),
        3 => (0..8u64, 0..6u64, prop::collection::vec((0..8u64, 0..6u64, any::<bool>()), 0..4)).prop_map(
            |(group, epoch, members)| {
                let member = |(replica, node, learner)| Member { replica, node, learner };
                let members = members.into_iter().map(member).collect();
                CatalogOp::Observed(ObservedMembership {
                    group,
                    membership: Some(Membership { epoch, members }),
                    ..Default::default()
                })
            }
        ),
        8 => any_change().prop_map(CatalogOp::Operate),
        2 => (0..7u64, 0..7u64, prop::collection::vec(1..7u64, 0..2)).prop_map(|(node, release, seen)| {
            let grant = (node > 0).then(|| PermitRecord { node, until_ms: 7, ..Default::default() });
            let release = if grant.is_some() { 0 } else { release };
            CatalogOp::Permit(PermitChange { grant, seen, release, ..Default::default() })
        }),
        1 => proptest::option::of(0..3u64).prop_map(|archive| {
            let begin = archive.map(|archive| ArchiveRecord {
                archive,
                id: format!("a{archive}"),
                url: "file:///archive".into(),
                every_ms: 1,
                ..Default::default()
            });
            CatalogOp::Archive(ArchiveChange { begin })
        }),
        4 => group_replica().prop_map(|GroupReplica { group, replica }| {
            CatalogOp::ReplaceReplica(ReplaceReplica { group, replica, reason: "lost".into() })
        }),
        1 => (prop::sample::select(vec!["suspect_after_ms", "nonsense"]), 0..2000u64).prop_map(
            |(name, value)| CatalogOp::Set(SetSetting { name: name.into(), value: value.to_string(), ..Default::default() })
        ),
    ]
}

/// Operations are started, go on or end, and edit something on the way.
fn any_change() -> impl Strategy<Value = OperationChange> {
    let record = (0..3u64, 0..6u64, 1..4u64, 0..5i32, any::<bool>());
    let record = record.prop_map(|(group, id, revision, state, parent)| OperationRecord {
        id,
        revision,
        state,
        group: (!parent).then_some(group),
        kind: Some(match parent {
            true => OperationKind::Drain(OnNode { node: id }),
            false => OperationKind::AddReplica(OnPartition { group, node: id }),
        }),
        ..Default::default()
    });
    let records = || prop::collection::vec(record.clone(), 0..2);
    let expect = (0..3u64, 1..3u64);
    let expect = expect.prop_map(|(group, route_epoch)| ExpectedPartition { group, route_epoch });
    (
        prop::collection::vec(expect, 0..2),
        records(),
        records(),
        prop::collection::vec(any_edit(), 0..3),
        prop::collection::vec(1..6u64, 0..2),
        prop_oneof![9 => Just(0), 1 => 1..6u64],
    )
        .prop_map(|(expect, start, update, edits, forget, joins)| {
            let edits = edits.into_iter().map(|edit| CatalogEdit { edit: Some(edit) }).collect();
            OperationChange { expect, start, update, edits, forget, joins }
        })
}

fn any_edit() -> impl Strategy<Value = Edit> {
    let group_replica = || (0..4u64, 0..8u64);
    prop_oneof![
        4 => (0..4u64, 0..7u64).prop_map(|(group, node)| Edit::AddReplica(OnPartition { group, node })),
        3 => (group_replica(), 0..8u64).prop_map(|((group, replica), successor)| {
            Edit::RemoveReplica(ReplaceRank { group, replica, successor })
        }),
        3 => (group_replica(), any::<bool>()).prop_map(|((group, replica), offline)| {
            Edit::SetOffline(SetOffline { group, replica, offline, ..Default::default() })
        }),
        1 => group_replica().prop_map(|(group, replica)| Edit::SetLeader(GroupReplica { group, replica })),
        1 => (0..7u64, any::<[bool; 3]>()).prop_map(|(node, [drained, leaving, offline])| {
            Edit::SetNode(NodeFlags { node, drained, leaving, offline })
        }),
        1 => (0..7u64).prop_map(|node| Edit::RemoveNode(OnNode { node })),
        1 => (0..3u64, 0..9u32).prop_map(|(table, replicas)| {
            Edit::SetReplicas(ReplicasWish { table, replicas })
        }),
    ]
}

/// Half of the sequences begin with a cluster that works, so that the rest has something to work on.
fn any_commands() -> impl Strategy<Value = Vec<CatalogCommand>> {
    let start = prop_oneof![Just(vec![]), (1..6u64).prop_map(|nodes| vec![bootstrap(1, nodes)])];
    (start, prop::collection::vec(any_op(), 0..60)).prop_map(|(start, rest)| {
        start.into_iter().chain(rest).map(|op| CatalogCommand { op: Some(op) }).collect()
    })
}

/// A permit is asked for by somebody who knows all partitions.
fn knowing(command: &CatalogCommand, catalog: &Catalog) -> CatalogCommand {
    let mut command = command.clone();
    if let Some(CatalogOp::Permit(change)) = &mut command.op {
        let known = catalog.partitions().map(|partition| (partition.group, partition.route_epoch));
        change.expect = known.map(|(group, route_epoch)| ExpectedPartition { group, route_epoch }).collect();
    }
    command
}

fn context(index: u64) -> ApplyContext {
    ApplyContext {
        hlc: Hlc::from_millis(index),
        seed: 0,
        apply_version: api::entry::APPLY_VERSION,
        index: LogIndex(index),
        wants_changes: false,
    }
}

/// Everything that was ever given out, and what may never change about it.
#[derive(Default)]
struct Memory {
    nodes: BTreeSet<NodeId>,
    tables: BTreeSet<TableId>,
    groups: BTreeSet<GroupId>,
    births: BTreeMap<GroupId, Option<Membership>>,
    /// By group and replica: its node, and whether it was established.
    replicas: BTreeMap<(GroupId, u64), (u64, bool)>,
    /// What was there at the last look.
    present: BTreeSet<(GroupId, u64)>,
}

impl Memory {
    /// New ids are above all that were given out before; what is remembered holds.
    fn check(&mut self, catalog: &Catalog) {
        rise(&mut self.nodes, catalog.nodes().map(|node| NodeId(node.id)));
        rise(&mut self.tables, catalog.tables().map(|table| TableId(table.id)));
        rise(&mut self.groups, catalog.partitions().map(|partition| GroupId(partition.group)));
        let mut present = BTreeSet::new();
        for partition in catalog.partitions() {
            let group = GroupId(partition.group);
            let birth = self.births.entry(group).or_insert_with(|| partition.birth.clone());
            assert_eq!(*birth, partition.birth, "the membership at birth is constant");
            for replica in &partition.replicas {
                let key = (group, replica.id);
                present.insert(key);
                let known = self.replicas.range((group, 0)..=(group, u64::MAX)).next_back();
                let highest = known.map_or(0, |(&(_, id), _)| id);
                match self.replicas.insert(key, (replica.node, replica.established)) {
                    None => assert!(replica.id > highest || highest == 0 || replica.founding),
                    Some((node, established)) => {
                        assert!(self.present.contains(&key), "a replica that left never comes back");
                        assert_eq!(node, replica.node, "a replica stays on its node");
                        assert!(replica.established || !established, "established is for ever");
                    }
                }
            }
        }
        self.present = present;
        for node in catalog.nodes() {
            for hosted in catalog.hosted(NodeId(node.id)) {
                let birth = self.births[&hosted.group].clone().unwrap();
                if let Birth::Founding(membership) = hosted.birth {
                    assert_eq!(membership, birth, "all founders are born alike");
                    let founder = |member: &Member| member.replica == hosted.replica.get();
                    assert!(membership.members.iter().any(founder));
                }
            }
        }
    }
}

fn rise<T: Ord + Copy + std::fmt::Debug>(seen: &mut BTreeSet<T>, now: impl Iterator<Item = T>) {
    let highest = seen.last().copied();
    for id in now {
        if seen.insert(id) {
            assert!(Some(id) > highest, "{id:?} after {highest:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn commands_are_deterministic_and_keep_every_promise(commands in any_commands()) {
        let (mut catalog, mut twin) = (Catalog::default(), Catalog::default());
        let mut memory = Memory::default();
        for (command, index) in commands.iter().zip(6..) {
            let command = &knowing(command, &catalog);
            let before = catalog.clone();
            let (reply, changes) = catalog.apply(command, &context(index));
            prop_assert_eq!(twin.apply(command, &context(index)), (reply.clone(), changes.clone()));
            prop_assert_eq!(&twin, &catalog);

            let refused = matches!(reply.answer, Some(CatalogAnswer::Refused(_)));
            prop_assert!(!refused || changes.is_empty(), "a refusal changes nothing");
            prop_assert_eq!(changes.is_empty(), catalog == before, "changes are told");
            let version = if changes.is_empty() { before.version().get() } else { index };
            prop_assert_eq!(catalog.version().get(), version);

            prop_assert_eq!(&Catalog::from_records(catalog.records()).unwrap(), &catalog);
            // Copies are for nodes that have nothing to do with operations.
            let copied = catalog.records().filter(|record| !matches!(record, Record::Operation(_)));
            prop_assert_eq!(Catalog::decode(&catalog.encode()).unwrap(), Catalog::from_records(copied).unwrap());
            memory.check(&catalog);
            let health = status(&catalog, &Observations::default());
            prop_assert_eq!(health.fault_tolerance, 0);

            // Said again, a command either has no effect or is refused, unless it makes a table, a node or an
            // operation, or takes back with its second edit what it did with its first.
            let mut again = catalog.clone();
            let (_, repeated) = again.apply(command, &context(index + 1));
            let makes_node = matches!(&command.op, Some(CatalogOp::RegisterNode(node)) if node.boot == 0);
            let makes_more = matches!(&command.op, Some(CatalogOp::Operate(change))
                if !change.start.is_empty() || change.edits.len() > 1);
            prop_assert!(repeated.is_empty() || makes_node || makes_more, "{:?}", command);
        }
    }

    #[test]
    fn what_is_stored_is_what_was_applied(commands in any_commands(), reopen in any::<prop::sample::Index>()) {
        let store = Arc::new(MemoryRecordStore::new());
        let engine = CatalogEngine::new(store.clone());
        let mut machine = engine.create(StateId(1)).unwrap();
        let mut catalog = Catalog::default();
        let reopen_at = reopen.index(commands.len() + 1);
        for (at, (command, index)) in commands.iter().zip(6..).enumerate() {
            if at == reopen_at {
                machine = CatalogEngine::new(store.clone()).open(StateId(1)).unwrap();
            }
            let command = &knowing(command, &catalog);
            let (reply, _) = catalog.apply(command, &context(index));
            let staged = machine.stage(&context(index), &command.encode_to_vec()).unwrap();
            prop_assert_eq!(staged, Bytes::from(reply.encode_to_vec()));
            machine.commit(Applied { index: LogIndex(index), term: Term(1) }, &[]).unwrap();
        }
        drop(machine);
        let second = CatalogEngine::new(store);
        second.open(StateId(1)).unwrap();
        prop_assert_eq!(&*second.watch().latest(), &catalog);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut marked = vec![catalog::FORMAT];
        marked.extend_from_slice(&bytes);
        for bytes in [Bytes::from(bytes.clone()), marked.into()] {
            let _ = Catalog::decode(&bytes);
            for name in [&b"c"[..], b"n\0\0\0\0\0\0\0\x01", b"p\0\0\0\0\0\0\0\0", b"s", b"t\0\0\0\0\0\0\0\x01", b"x", b""] {
                let _ = Record::from_bytes(name, &bytes);
            }
        }
        if let Ok(command) = CatalogCommand::decode(&bytes[..]) {
            Catalog::default().apply(&command, &context(6));
        }
    }

    #[test]
    fn a_copy_with_any_byte_changed_is_read_or_refused(
        at in any::<prop::sample::Index>(),
        value in any::<u8>(),
        commands in any_commands(),
    ) {
        let mut catalog = Catalog::default();
        for (command, index) in commands.iter().zip(6..) {
            catalog.apply(command, &context(index));
        }
        let mut bytes = catalog.encode().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = value;
        // Whatever still passes the checks can be worked with.
        if let Ok(mut catalog) = Catalog::decode(&bytes.into()) {
            for (command, index) in commands.iter().zip(100..) {
                let (_, changes) = catalog.apply(command, &context(index));
                changes.iter().for_each(|change: &RecordChange| drop(change.to_string()));
            }
            status(&catalog, &Observations::default());
            Catalog::from_records(catalog.records()).unwrap();
        }
    }
}
