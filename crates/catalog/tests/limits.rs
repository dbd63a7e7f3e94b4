//! A catalog of the largest size that the limits allow.

use std::sync::Arc;

use api::catalog::{
    ClusterRecord, EngineKind, HashBy, Label, NodeRecord, PartitionRecord, ReplicaRecord, TableRecord,
    Takeover,
};
use api::peer::{Member, Membership};
use catalog::{Catalog, Record, Role};
use types::limits::{
    ADDRESS_BYTES_MAX, FRAME_BYTES_MAX, GROUPS_MAX, LABEL_BYTES_MAX, LABELS_MAX, NAME_BYTES_MAX, NODES_MAX,
    REPLICAS_MAX, TABLE_OPTIONS_BYTES_MAX, TABLE_OPTIONS_MAX, TABLES_MAX,
};

/// Replaced so often that its ids take five bytes.
const HIGH: u64 = 1 << 30;

/// As many of them as there may be are as long as all together may be.
fn longest_option(n: usize) -> Label {
    const WIDTH: usize = TABLE_OPTIONS_BYTES_MAX / TABLE_OPTIONS_MAX / 2;
    Label { name: format!("{n:0>WIDTH$}"), value: "v".repeat(WIDTH) }
}

fn largest_node(id: u64) -> NodeRecord {
    let address = || "a".repeat(ADDRESS_BYTES_MAX);
    let label = |n| Label {
        name: format!("{n:0>width$}", width = LABEL_BYTES_MAX),
        value: "v".repeat(LABEL_BYTES_MAX),
    };
    NodeRecord {
        id,
        endpoint: address(),
        redis: address(),
        zankv: address(),
        http: address(),
        roles: Role::ALL.iter().map(|role| role.as_str().into()).collect(),
        boot: u64::MAX,
        version: "v".repeat(NAME_BYTES_MAX),
        feature_level: u32::MAX,
        labels: (0..LABELS_MAX).map(label).collect(),
        store: u64::MAX,
    }
}

fn largest_partition(group: u64, table: u64, index: u64) -> PartitionRecord {
    let member = |n: u64| Member { replica: HIGH + n, node: NODES_MAX as u64 - n, learner: true };
    let membership =
        || Membership { epoch: HIGH, members: (0..u64::from(REPLICAS_MAX)).map(member).collect() };
    let replica = |n: u64| ReplicaRecord {
        id: HIGH + n,
        node: NODES_MAX as u64 - n,
        founding: true,
        established: true,
        offline: true,
        led: true,
    };
    PartitionRecord {
        group,
        table,
        generation: 1,
        index,
        route_epoch: HIGH,
        replicas: (0..u64::from(REPLICAS_MAX)).map(replica).collect(),
        next_replica: HIGH + 100,
        observed: Some(membership()),
        engine: if table == 0 { EngineKind::Catalog.into() } else { EngineKind::Kv.into() },
        birth: Some(membership()),
        leader: HIGH,
        leader_term: HIGH,
        may_begin: true,
        takeover: Some(Takeover {
            replica: HIGH,
            survivor: HIGH,
            term: HIGH,
            epoch: HIGH,
            node: NODES_MAX as u64,
        }),
    }
}

fn table(id: u64, groups: Vec<u64>) -> TableRecord {
    let system = id == 0;
    let long = format!("{id:0>width$}", width = NAME_BYTES_MAX);
    TableRecord {
        id,
        namespace: if system { "default".into() } else { long.clone() },
        name: if system { "catalog".into() } else { long },
        engine: if system { EngineKind::Catalog.into() } else { EngineKind::Kv.into() },
        hash: HashBy::Whole.into(),
        replicas: REPLICAS_MAX,
        generation: 1,
        groups,
        options: (0..TABLE_OPTIONS_MAX).map(longest_option).collect(),
        scratch_of: 0,
        restoring: String::new(),
    }
}

#[test]
fn a_whole_copy_of_the_largest_catalog_fits_a_frame() {
    let cluster = ClusterRecord {
        cluster: u64::MAX,
        version: u64::MAX,
        next_node: NODES_MAX as u64 + 1,
        next_table: TABLES_MAX as u64,
        next_group: GROUPS_MAX as u64,
        next_operation: HIGH,
    };
    let mut records = vec![Record::Cluster(cluster)];
    records.extend((1..=NODES_MAX as u64).map(|id| Record::Node(Arc::new(largest_node(id)))));
    let per_table = (GROUPS_MAX / (TABLES_MAX - 1)) as u64;
    let mut next_group = 0;
    for id in 0..TABLES_MAX as u64 {
        let partitions = if id == 0 { 1 } else { per_table.min(GROUPS_MAX as u64 - next_group) };
        let groups: Vec<u64> = (next_group..next_group + partitions).collect();
        next_group += partitions;
        for (group, index) in groups.iter().zip(0..) {
            records.push(Record::Partition(Arc::new(largest_partition(*group, id, index))));
        }
        records.push(Record::Table(Arc::new(table(id, groups))));
    }
    let catalog = Catalog::from_records(records).unwrap();
    let bytes = catalog.encode();
    let wrapping = 64;
    assert!(bytes.len() + wrapping <= FRAME_BYTES_MAX, "{} bytes of {FRAME_BYTES_MAX}", bytes.len());
    assert!(bytes.len() > FRAME_BYTES_MAX / 2, "the limits are not far from what a frame takes");
    assert_eq!(Catalog::decode(&bytes).unwrap(), catalog);
}
