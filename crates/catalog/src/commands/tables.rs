//! Tables: how they are made and dropped.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::catalog::{
    CatalogAnswer, ClusterRecord, EngineKind, HashBy, Label, NewTable, NodeRecord, PartitionRecord,
    ReplicaRecord, TableName, TableRecord,
};
use api::operation::OperationState;
use api::peer::{Member, Membership};
use types::limits::{
    GROUPS_MAX, NAME_BYTES_MAX, PARTITIONS_MAX, REPLICAS_MAX, TABLE_OPTIONS_BYTES_MAX, TABLE_OPTIONS_MAX,
    TABLES_MAX,
};
use types::{ErrorCode, Fault, GroupId, NodeId, OperationId, TableId};

use super::{Decision, bad_argument, operations, put_partition, shown};
use crate::place::{self, Candidate, Problem};
use crate::record::{Record, RecordChange, RecordName};
use crate::role::Role;
use crate::{Catalog, DEFAULT_NAMESPACE, DEFAULT_TABLE, NAMESPACE_TABLE, SYSTEM_TABLE};

/// The epochs and the generation that things begin with; 0 is left for "not known".
const FIRST: u64 = 1;
/// How many replicas a partition gets when nothing is said, if there are as many nodes.
const REPLICAS_DEFAULT: u32 = 3;

/// Makes a table: its groups, their replicas and where they live, in one command.
pub(super) fn create(
    catalog: &Catalog,
    mut cluster: ClusterRecord,
    wish: &NewTable,
) -> Result<Decision, Fault> {
    let namespace = if wish.namespace.is_empty() { DEFAULT_NAMESPACE } else { &wish.namespace };
    check_name(namespace)?;
    check_name(&wish.name)?;
    if catalog.table_named(namespace, &wish.name).is_some() {
        return Err(Fault::new(ErrorCode::TableExists, format!("{namespace}:{}", wish.name)));
    }
    // A scratch table has a name that no key begins with.
    if wish.scratch_of == 0 {
        check_not_inside(catalog, namespace)?;
    }
    check_room(catalog, wish.partitions)?;
    check_needed(catalog, wish.scratch_of)?;
    check_needed(catalog, wish.restored_by)?;
    let options = options(wish)?;
    let engine = table_engine(wish)?;
    let hash = hash_rule(wish, namespace)?;
    let candidates = candidates(catalog);
    let replicas = replica_count(wish.replicas, candidates.len())?;

    let problem = Problem { candidates, partitions: wish.partitions, replicas };
    let placement = place::place(&problem).map_err(|short| not_enough_nodes(short.wanted, short.nodes))?;
    let first_group = cluster.next_group;
    let table = TableRecord {
        id: cluster.next_table,
        namespace: namespace.into(),
        name: wish.name.clone(),
        engine: engine.into(),
        hash: hash.into(),
        replicas,
        generation: FIRST,
        groups: (first_group..first_group + u64::from(wish.partitions)).collect(),
        options,
        scratch_of: wish.scratch_of,
        restoring: restoring(wish)?,
    };
    cluster.next_table += 1;
    cluster.next_group += u64::from(wish.partitions);

    let mut changes = Vec::with_capacity(placement.partitions.len() + 1);
    changes.push(RecordChange::Put(Record::Table(Arc::new(table.clone()))));
    for (index, nodes) in placement.partitions.iter().enumerate() {
        changes.push(put_partition(new_partition(&table, index, nodes)));
    }
    Ok(Decision { answer: CatalogAnswer::Table(table), changes, cluster })
}

/// A table that an operation needs is made only as long as that one goes on: later nobody would drop or fill it.
fn check_needed(catalog: &Catalog, operation: u64) -> Result<(), Fault> {
    let goes_on = || {
        let owner = catalog.operation(OperationId(operation));
        owner.is_some_and(|owner| owner.state() == OperationState::Running && !owner.cancelling)
    };
    match operation == 0 || goes_on() {
        true => Ok(()),
        false => {
            Err(Fault::new(ErrorCode::PlanOutdated, format!("operation {operation} does not go on any more")))
        }
    }
}

/// The table of a name; without a namespace it is meant in the default one.
fn named<'a>(catalog: &'a Catalog, name: &TableName) -> Result<&'a TableRecord, Fault> {
    let namespace = if name.namespace.is_empty() { DEFAULT_NAMESPACE } else { &name.namespace };
    catalog.table_named(namespace, &name.name).ok_or_else(|| {
        let detail = format!("{}:{}", shown(namespace), shown(&name.name));
        Fault::new(ErrorCode::UnknownTable, detail)
    })
}

/// Drops a table. Nodes delete its replicas because the catalog no longer wishes them.
///
/// Two tables stay: the catalog's own, and `default:default`, which is what the Redis port serves. It can
/// be emptied, but a port whose every command fails is of use to nobody.
pub(super) fn drop_table(
    catalog: &Catalog,
    cluster: ClusterRecord,
    name: &TableName,
) -> Result<Decision, Fault> {
    let table = named(catalog, name)?;
    if table.id == 0 {
        return Err(bad_argument("the table 'catalog' is the cluster's own and cannot be dropped"));
    }
    if table.namespace == DEFAULT_NAMESPACE && table.name == DEFAULT_TABLE {
        let detail = "the table 'default:default' is what the Redis port serves and cannot be dropped; \
                      FLUSHALL empties it";
        return Err(bad_argument(detail));
    }
    let of_table = |partition: &&PartitionRecord| partition.table == table.id;
    let mut changes: Vec<RecordChange> = catalog
        .partitions()
        .filter(of_table)
        .map(|partition| RecordChange::Remove(RecordName::Partition(GroupId(partition.group))))
        .collect();
    changes.push(RecordChange::Remove(RecordName::Table(TableId(table.id))));
    changes.extend(operations::cancel_all_of(catalog, &table.groups));
    Ok(Decision::ok(cluster, changes))
}

/// Ends the time in which a table serves nobody because it is being restored. Repeated: no effect.
///
/// Whoever asks has seen that all files are written and all replicas equal. What the catalog knows of that itself is
/// that the replicas are there.
pub(super) fn restored(
    catalog: &Catalog,
    cluster: ClusterRecord,
    name: &TableName,
) -> Result<Decision, Fault> {
    let table = named(catalog, name)?;
    if table.restoring.is_empty() {
        return Ok(Decision::ok(cluster, Vec::new()));
    }
    let members = |partition: &PartitionRecord| {
        let known = partition.observed.as_ref().or(partition.birth.as_ref());
        known.map_or(0, |known| known.members.iter().filter(|member| !member.learner).count())
    };
    let mut partitions = catalog.partitions().filter(|partition| partition.table == table.id);
    let short = partitions.find(|partition| members(partition) < table.replicas as usize);
    if let Some(partition) = short {
        let detail = format!(
            "partition {} has {} of {} replicas",
            partition.index,
            members(partition),
            table.replicas
        );
        return Err(Fault::new(ErrorCode::TableRestoring, detail));
    }
    let table = TableRecord { restoring: String::new(), ..table.clone() };
    let changes = vec![RecordChange::Put(Record::Table(Arc::new(table)))];
    Ok(Decision::ok(cluster, changes))
}

/// The system table and its only partition, group 0.
pub(super) fn catalog_table(birth: Membership) -> (TableRecord, PartitionRecord) {
    let table = TableRecord {
        id: 0,
        namespace: DEFAULT_NAMESPACE.into(),
        name: SYSTEM_TABLE.into(),
        engine: EngineKind::Catalog.into(),
        hash: HashBy::Whole.into(),
        replicas: birth.members.len() as u32,
        generation: FIRST,
        groups: vec![GroupId::CATALOG.get()],
        options: Vec::new(),
        scratch_of: 0,
        restoring: String::new(),
    };
    // Its founders exist, or this command would not.
    let partition = PartitionRecord { may_begin: true, ..born_partition(&table, 0, birth) };
    (table, partition)
}

/// A partition at its birth: replica 1 has rank 0, and so on.
fn new_partition(table: &TableRecord, index: usize, nodes: &[NodeId]) -> PartitionRecord {
    born_partition(table, index, founding_membership(nodes, FIRST, FIRST))
}

/// The membership, of this epoch, that founders on these nodes are born with; the first one gets this id.
pub(super) fn founding_membership(nodes: &[NodeId], first: u64, epoch: u64) -> Membership {
    let member = |(rank, node): (usize, &NodeId)| Member {
        replica: first + rank as u64,
        node: node.get(),
        learner: false,
    };
    Membership { epoch, members: nodes.iter().enumerate().map(member).collect() }
}

fn born_partition(table: &TableRecord, index: usize, birth: Membership) -> PartitionRecord {
    let last_replica = birth.members.iter().map(|member| member.replica).max().unwrap_or(0);
    PartitionRecord {
        group: table.groups[index],
        table: table.id,
        generation: table.generation,
        index: index as u64,
        route_epoch: FIRST,
        replicas: birth.members.iter().map(founder).collect(),
        next_replica: last_replica + 1,
        observed: None,
        engine: table.engine,
        leader: 0,
        leader_term: 0,
        birth: Some(birth),
        takeover: None,
        may_begin: false,
    }
}

/// A founder that does not exist yet.
pub(super) fn founder(member: &Member) -> ReplicaRecord {
    ReplicaRecord { id: member.replica, node: member.node, founding: true, ..ReplicaRecord::default() }
}

/// The `data` nodes with what they host already. Nodes that are to leave, or were taken offline, get nothing,
/// and those that are drained shall not lead. The catalog's own replicas are light and not counted.
fn candidates(catalog: &Catalog) -> Vec<Candidate> {
    let fits = |id: &NodeId, node: &NodeRecord| {
        let flags = catalog.flags(*id);
        Role::Data.of(node) && !flags.leaving && !flags.offline
    };
    let candidate = |id: NodeId, node: &NodeRecord| {
        let may_lead = !catalog.flags(id).drained;
        (id, Candidate { may_lead, ..Candidate::of(node) })
    };
    let data_nodes = catalog.nodes.iter().filter(|(id, node)| fits(id, node));
    let mut candidates: BTreeMap<NodeId, Candidate> =
        data_nodes.map(|(&id, node)| candidate(id, node)).collect();
    for partition in catalog.partitions().filter(|partition| partition.table != 0) {
        for (rank, replica) in partition.replicas.iter().enumerate() {
            if let Some(candidate) = candidates.get_mut(&NodeId(replica.node)) {
                candidate.replicas += 1;
                candidate.leaders += u64::from(rank == 0);
            }
        }
    }
    candidates.into_values().collect()
}

fn check_name(name: &str) -> Result<(), Fault> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(allowed) {
        return Ok(());
    }
    Err(Fault::new(ErrorCode::BadName, format!("'{}'", shown(name))))
}

/// In a namespace of ZanKV's a table needs not be made, and must not be: keys that it has already would not be
/// found any more.
fn check_not_inside(catalog: &Catalog, namespace: &str) -> Result<(), Fault> {
    if catalog.table_named(namespace, NAMESPACE_TABLE).is_none() {
        return Ok(());
    }
    let detail = format!(
        "'{namespace}' is a namespace of ZanKV's, in which every table name works without being made: write to \
         {namespace}:TABLE:KEY"
    );
    Err(bad_argument(detail))
}

fn options(wish: &NewTable) -> Result<Vec<Label>, Fault> {
    let bytes: usize = wish.options.iter().map(|option| option.name.len() + option.value.len()).sum();
    if wish.options.len() > TABLE_OPTIONS_MAX || bytes > TABLE_OPTIONS_BYTES_MAX {
        return Err(bad_argument(format!(
            "options of a table: at most {TABLE_OPTIONS_MAX}, of {TABLE_OPTIONS_BYTES_MAX} bytes together"
        )));
    }
    let mut options = wish.options.clone();
    options.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(options)
}

/// The name of a backup, as long as names are.
fn restoring(wish: &NewTable) -> Result<String, Fault> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    match wish.restoring.len() <= NAME_BYTES_MAX && wish.restoring.bytes().all(is_allowed) {
        true => Ok(wish.restoring.clone()),
        false => Err(bad_argument(format!("'{}' is no name of a backup", shown(&wish.restoring)))),
    }
}

fn check_room(catalog: &Catalog, partitions: u32) -> Result<(), Fault> {
    if !(1..=PARTITIONS_MAX).contains(&partitions) {
        return Err(bad_argument(format!("partitions: from 1 to {PARTITIONS_MAX}, not {partitions}")));
    }
    if catalog.tables.len() >= TABLES_MAX {
        return Err(bad_argument(format!("the cluster has {TABLES_MAX} tables, which is the most")));
    }
    let groups = catalog.partitions.len();
    if groups + partitions as usize > GROUPS_MAX {
        let detail = format!("the cluster has {groups} partitions of {GROUPS_MAX}, no room for {partitions}");
        return Err(bad_argument(detail));
    }
    Ok(())
}

fn table_engine(wish: &NewTable) -> Result<EngineKind, Fault> {
    match EngineKind::try_from(wish.engine) {
        Ok(EngineKind::Kv) => Ok(EngineKind::Kv),
        Ok(EngineKind::Catalog) => Err(bad_argument("engine: 'catalog' is for the cluster itself; 'kv' is")),
        Err(_) => Err(bad_argument(format!("engine {} is not known to this release", wish.engine))),
    }
}

fn hash_rule(wish: &NewTable, namespace: &str) -> Result<HashBy, Fault> {
    match HashBy::try_from(wish.hash) {
        Ok(HashBy::ByNamespace) if wish.name == NAMESPACE_TABLE => Ok(HashBy::Whole),
        Ok(HashBy::ByNamespace) if namespace == DEFAULT_NAMESPACE => Ok(HashBy::Tag),
        Ok(HashBy::ByNamespace) => Ok(HashBy::Whole),
        Ok(rule) => Ok(rule),
        Err(_) => Err(bad_argument(format!("hash rule {} is not known to this release", wish.hash))),
    }
}

fn replica_count(wished: u32, nodes: usize) -> Result<u32, Fault> {
    if wished > REPLICAS_MAX {
        return Err(bad_argument(format!("replicas: from 1 to {REPLICAS_MAX}, not {wished}")));
    }
    let nodes = u32::try_from(nodes).unwrap_or(u32::MAX);
    let replicas = if wished == 0 { nodes.clamp(1, REPLICAS_DEFAULT) } else { wished };
    if replicas > nodes { Err(not_enough_nodes(replicas, nodes)) } else { Ok(replicas) }
}

fn not_enough_nodes(wanted: u32, nodes: u32) -> Fault {
    let detail = format!("{wanted} replicas were asked for, and there are {nodes} data nodes");
    Fault::new(ErrorCode::NotEnoughNodes, detail)
}
