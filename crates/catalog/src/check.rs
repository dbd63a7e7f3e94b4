//! The rules that every catalog keeps, checked when one is read from a disk or a peer.
//!
//! No sequence of commands breaks them; bytes may.

use std::collections::BTreeSet;

use api::catalog::{ClusterRecord, EngineKind, HashBy, PartitionRecord, TableRecord};
use types::{GroupId, NodeId, TableId};

use crate::{Catalog, CatalogError, DEFAULT_NAMESPACE, SYSTEM_TABLE};

/// Counters rise by one at a time, so one beyond this was never reached: adding to it is safe.
const COUNTER_MAX: u64 = 1 << 60;

/// Checks every rule.
///
/// # Errors
/// `Inconsistent` with the first rule that is broken.
pub(crate) fn check(catalog: &Catalog) -> Result<(), CatalogError> {
    let Some(cluster) = &catalog.cluster else {
        let empty = catalog.records().next().is_none();
        return require(empty, || "records without a cluster".into());
    };
    require(cluster.cluster != 0, || "cluster id 0".into())?;
    let counters = [cluster.next_node, cluster.next_table, cluster.next_group, cluster.next_operation];
    require(counters.iter().all(|&next| next < COUNTER_MAX), || "a counter near its end".into())?;
    for id in catalog.nodes.keys() {
        require((1..cluster.next_node).contains(&id.get()), || format!("node {id} was never given out"))?;
    }
    require(catalog.names_count() == catalog.tables.len(), || "two tables of one name".into())?;
    let system = catalog.table_named(DEFAULT_NAMESPACE, SYSTEM_TABLE);
    let fits = system.is_some_and(|table| table.id == 0 && table.groups == [GroupId::CATALOG.get()]);
    require(fits, || "no system table".into())?;
    for table in catalog.tables() {
        check_table(catalog, cluster, table)?;
    }
    for partition in catalog.partitions() {
        check_partition(catalog, cluster, partition)?;
    }
    Ok(())
}

fn check_table(catalog: &Catalog, cluster: &ClusterRecord, table: &TableRecord) -> Result<(), CatalogError> {
    let id = table.id;
    require(id < cluster.next_table, || format!("table {id} was never given out"))?;
    let known = EngineKind::try_from(table.engine).is_ok()
        && matches!(HashBy::try_from(table.hash), Ok(HashBy::Tag | HashBy::Whole));
    require(known, || format!("table {id} has an unknown engine or hash rule"))?;
    let of_cluster = table.engine == i32::from(EngineKind::Catalog);
    require(of_cluster == (id == 0), || format!("table {id} has the engine of another kind of table"))?;
    require(!table.groups.is_empty(), || format!("table {id} has no partitions"))?;
    for (index, &group) in table.groups.iter().enumerate() {
        let fits = catalog.partition(GroupId(group)).is_some_and(|partition| {
            partition.table == id
                && partition.generation == table.generation
                && partition.index == index as u64
                && partition.engine == table.engine
        });
        require(fits, || format!("group {group} is not partition {index} of table {id}"))?;
    }
    Ok(())
}

fn check_partition(
    catalog: &Catalog,
    cluster: &ClusterRecord,
    partition: &PartitionRecord,
) -> Result<(), CatalogError> {
    let group = partition.group;
    let counters = [partition.next_replica, partition.route_epoch];
    require(counters.iter().all(|&next| next < COUNTER_MAX), || {
        format!("group {group} has a counter near its end")
    })?;
    require(group < cluster.next_group, || format!("group {group} was never given out"))?;
    require(catalog.tables.contains_key(&TableId(partition.table)), || {
        format!("group {group} has no table")
    })?;
    if let Some(takeover) = &partition.takeover {
        let given_out = 1..partition.next_replica;
        let known = given_out.contains(&takeover.replica) && given_out.contains(&takeover.survivor);
        let reached = takeover.term < COUNTER_MAX && takeover.epoch < COUNTER_MAX;
        require(known && reached, || format!("group {group} was taken over by an unknown replica"))?;
    }
    let mut replicas = BTreeSet::new();
    let mut nodes = BTreeSet::new();
    for replica in &partition.replicas {
        let known = (1..partition.next_replica).contains(&replica.id)
            && catalog.nodes.contains_key(&NodeId(replica.node));
        require(known, || format!("group {group} has an unknown replica or node"))?;
        let distinct = replicas.insert(replica.id) && nodes.insert(replica.node);
        require(distinct, || format!("group {group} has a replica or node twice"))?;
    }
    require(!replicas.is_empty(), || format!("group {group} has no replicas"))?;
    let birth = partition.birth.as_ref().map_or(&[][..], |birth| &birth.members);
    require(!birth.is_empty(), || format!("group {group} has no founding members"))?;
    let members = birth.iter().chain(partition.observed.iter().flat_map(|observed| &observed.members));
    for member in members {
        require((1..partition.next_replica).contains(&member.replica), || {
            format!("group {group} has a member {} that was never given out", member.replica)
        })?;
    }
    for replica in partition.replicas.iter().filter(|replica| replica.founding) {
        let born = birth.iter().any(|member| member.replica == replica.id && member.node == replica.node);
        require(born, || format!("group {group} has a founder that is not in its birth"))?;
    }
    Ok(())
}

fn require(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), CatalogError> {
    if holds { Ok(()) } else { Err(CatalogError::Inconsistent(otherwise())) }
}
