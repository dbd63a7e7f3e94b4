//! Each rule of a catalog, broken once: bytes that break it are refused.

#![expect(clippy::unwrap_used, reason = "this is a test")]

use std::sync::Arc;

use api::catalog::{
    Bootstrap, CatalogCommand, CatalogOp, ClusterRecord, EngineKind, HashBy, NewTable, NodeRecord,
    PartitionRecord, TableRecord,
};
use api::peer::{Member, Membership};
use catalog::{Catalog, CatalogError, Record};
use engine::ApplyContext;
use types::{Hlc, LogIndex};

fn good() -> Vec<Record> {
    let node = |id: u64| NodeRecord { id, endpoint: format!("n{id}:7000"), ..NodeRecord::default() };
    let member = |id: u64| Member { replica: id, node: id, learner: false };
    let bootstrap = Bootstrap {
        cluster: 42,
        nodes: (1..=3).map(node).collect(),
        membership: Some(Membership { epoch: 1, members: (1..=3).map(member).collect() }),
        tables: vec![NewTable {
            namespace: String::new(),
            name: "t".into(),
            engine: EngineKind::Kv.into(),
            hash: HashBy::ByNamespace.into(),
            partitions: 2,
            replicas: 3,
            options: vec![],
            scratch_of: 0,
            restoring: String::new(),
            restored_by: 0,
        }],
    };
    let context = ApplyContext {
        hlc: Hlc::default(),
        seed: 0,
        apply_version: api::entry::APPLY_VERSION,
        index: LogIndex(6),
        wants_changes: false,
    };
    let mut catalog = Catalog::default();
    catalog.apply(&CatalogCommand { op: Some(CatalogOp::Bootstrap(bootstrap)) }, &context);
    catalog.records().collect()
}

/// The rule that is broken after a change of the records.
fn broken(change: impl FnOnce(&mut Vec<Record>)) -> String {
    let mut records = good();
    change(&mut records);
    match Catalog::from_records(records) {
        Err(CatalogError::Inconsistent(rule)) => rule,
        other => panic!("{other:?}"),
    }
}

fn cluster(change: impl FnOnce(&mut ClusterRecord)) -> String {
    broken(|records| {
        let found = records.iter_mut().find_map(|record| match record {
            Record::Cluster(cluster) => Some(cluster),
            _ => None,
        });
        change(found.unwrap());
    })
}

/// Changes table 1.
fn table(change: impl FnOnce(&mut TableRecord)) -> String {
    broken(|records| {
        let found = records.iter_mut().find_map(|record| match record {
            Record::Table(table) if table.id == 1 => Some(table),
            _ => None,
        });
        change(Arc::make_mut(found.unwrap()));
    })
}

/// Changes group 2.
fn partition(change: impl FnOnce(&mut PartitionRecord)) -> String {
    broken(|records| {
        let found = records.iter_mut().find_map(|record| match record {
            Record::Partition(partition) if partition.group == 2 => Some(partition),
            _ => None,
        });
        change(Arc::make_mut(found.unwrap()));
    })
}

#[test]
fn what_commands_made_keeps_every_rule() {
    assert!(Catalog::from_records(good()).is_ok());
    assert_eq!(Catalog::from_records([]), Ok(Catalog::default()));
}

#[test]
fn the_cluster_and_its_counters_fit_the_rest() {
    let without_cluster = broken(|records| records.retain(|record| !matches!(record, Record::Cluster(_))));
    assert_eq!(without_cluster, "records without a cluster");
    assert_eq!(cluster(|cluster| cluster.cluster = 0), "cluster id 0");
    assert_eq!(cluster(|cluster| cluster.next_node = 3), "node 3 was never given out");
    assert_eq!(cluster(|cluster| cluster.next_table = 1), "table 1 was never given out");
    assert_eq!(cluster(|cluster| cluster.next_group = 2), "group 2 was never given out");
    assert_eq!(cluster(|cluster| cluster.next_group = u64::MAX), "a counter near its end");
}

#[test]
fn tables_and_partitions_fit_together() {
    assert_eq!(table(|table| table.name = "catalog".into()), "two tables of one name");
    assert_eq!(table(|table| table.groups = vec![]), "table 1 has no partitions");
    assert_eq!(table(|table| table.groups = vec![2, 1]), "group 2 is not partition 0 of table 1");
    assert_eq!(table(|table| table.groups = vec![1, 2, 3]), "group 3 is not partition 2 of table 1");
    assert_eq!(table(|table| table.generation = 2), "group 1 is not partition 0 of table 1");
    assert_eq!(table(|table| table.hash = 2), "table 1 has an unknown engine or hash rule");
    assert_eq!(table(|table| table.engine = 77), "table 1 has an unknown engine or hash rule");
    assert_eq!(table(|table| table.engine = 0), "table 1 has the engine of another kind of table");
    assert_eq!(partition(|partition| partition.engine = 0), "group 2 is not partition 1 of table 1");
    let of = |table: u64| move |record: &Record| !matches!(record, Record::Table(one) if one.id == table);
    assert_eq!(broken(|records| records.retain(of(1))), "group 1 has no table");
    assert_eq!(broken(|records| records.retain(of(0))), "no system table");
}

#[test]
fn replicas_are_known_and_distinct() {
    assert_eq!(partition(|partition| partition.replicas.clear()), "group 2 has no replicas");
    assert_eq!(partition(|partition| partition.birth = None), "group 2 has no founding members");
    assert_eq!(partition(|partition| partition.next_replica = 3), "group 2 has an unknown replica or node");
    assert_eq!(partition(|partition| partition.replicas[0].id = 0), "group 2 has an unknown replica or node");
    assert_eq!(
        partition(|partition| partition.replicas[0].node = 9),
        "group 2 has an unknown replica or node"
    );
    assert_eq!(partition(|partition| partition.replicas[0].id = 2), "group 2 has a replica or node twice");
    let node = |partition: &mut PartitionRecord| partition.replicas[0].node = partition.replicas[1].node;
    assert_eq!(partition(node), "group 2 has a replica or node twice");
    assert_eq!(partition(|partition| partition.route_epoch = u64::MAX), "group 2 has a counter near its end");
    let observed = |partition: &mut PartitionRecord| {
        let member = Member { replica: 9, node: 1, learner: false };
        partition.observed = Some(Membership { epoch: 2, members: vec![member] });
    };
    assert_eq!(partition(observed), "group 2 has a member 9 that was never given out");
    let late = |partition: &mut PartitionRecord| {
        partition.next_replica = 5;
        partition.replicas[0].id = 4;
    };
    assert_eq!(partition(late), "group 2 has a founder that is not in its birth");
}

#[test]
fn a_record_is_read_only_under_its_own_name() {
    for record in good() {
        let value = record.to_bytes();
        assert_eq!(Record::from_bytes(&record.name().to_bytes(), &value), Ok(record.clone()));
        let mut other = record.name().to_bytes().to_vec();
        *other.last_mut().unwrap() ^= 0x40;
        assert!(Record::from_bytes(&other, &value).is_err(), "{record}");
        let mut newer = value.to_vec();
        newer[0] += 1;
        let version = api::DecodeError::Version(catalog::FORMAT + 1);
        assert_eq!(Record::from_bytes(&record.name().to_bytes(), &newer.into()), Err(version));
    }
}
