//! Views: what gateways and nodes need to know, read off a catalog. All of them are pure.
//!
//! A view costs up to the size of the catalog. Make it once for each catalog version, not per request.

use std::collections::{BTreeMap, BTreeSet};

use api::catalog::{EngineKind, HashBy, PartitionRecord, TableRecord, Takeover};
use api::peer::Membership;
use types::hash::HashRule;
use types::{
    ConfigEpoch, Endpoint, Generation, GroupId, NodeId, PartitionIndex, ReplicaId, RouteEpoch, TableId,
};

use crate::Catalog;

/// Where the keys of a table are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableRoute {
    /// The table.
    pub table: TableId,
    /// Its engine.
    pub engine: EngineKind,
    /// The generation that requests must name.
    pub generation: Generation,
    /// How a key finds its partition.
    pub hash: HashRule,
    /// The partitions, by index; at least one.
    pub partitions: Vec<PartitionRoute>,
}

/// Where a partition is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionRoute {
    /// Its group.
    pub group: GroupId,
    /// The epoch that requests must name.
    pub route_epoch: RouteEpoch,
    /// Its replicas in order of rank: try the first one first. Which of them leads only they know.
    pub replicas: Vec<(ReplicaId, NodeId)>,
}

impl TableRoute {
    /// The partition that holds a key.
    pub fn partition_of(&self, key: &[u8]) -> PartitionIndex {
        self.hash.partition(key, self.partitions.len() as u32)
    }

    /// The way to a partition.
    pub fn partition(&self, index: PartitionIndex) -> Option<&PartitionRoute> {
        self.partitions.get(usize::try_from(index.get()).ok()?)
    }
}

/// A replica that a node shall host.
#[derive(Clone, Debug, PartialEq)]
pub struct HostedReplica {
    /// Its group.
    pub group: GroupId,
    /// Its id.
    pub replica: ReplicaId,
    /// Its table's engine.
    pub engine: EngineKind,
    /// Its table.
    pub table: TableId,
    /// Its table's generation that it belongs to.
    pub generation: Generation,
    /// How it begins, if it does not exist yet.
    pub birth: Birth,
    /// It has existed durably. If it is missing now it is lost: it must be replaced, never born again.
    pub established: bool,
    /// The epoch that requests to it must name.
    pub route_epoch: RouteEpoch,
    /// Its place in the order in which replicas campaign; 0 is first.
    pub rank: u32,
    /// It was taken offline by command: it receives the log, and has no vote.
    pub offline: bool,
    /// It goes on with the log and state of another replica of its node, which survived the others.
    pub takeover: Option<Takeover>,
}

/// How a replica begins.
#[derive(Clone, Debug, PartialEq)]
pub enum Birth {
    /// It is a member from the first entry on. All founders of a group get the same membership, whenever
    /// they are born and whatever has been replaced since.
    Founding(Membership),
    /// It begins empty, without a vote, and waits for a snapshot.
    Joining,
}

/// What a group's membership shall become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The replicas wished for, with their nodes.
    pub replicas: BTreeMap<ReplicaId, NodeId>,
    /// Those of them that shall have no vote, because they were taken offline.
    pub learners: BTreeSet<ReplicaId>,
    /// The epoch of the membership that the catalog knows: a directive made from this wish is meant for
    /// that one. The epoch at birth until a leader has told a later one.
    pub expected: ConfigEpoch,
}

impl Catalog {
    /// The way to a table's keys. `None` for a table that is not there, and for the system table, whose
    /// group understands no data requests.
    pub fn route(&self, namespace: &str, name: &str) -> Option<TableRoute> {
        let table = self.table_named(namespace, name)?;
        if table.engine() == EngineKind::Catalog { None } else { self.route_of(table) }
    }

    /// The way to the catalog's own group.
    pub fn catalog_route(&self) -> Option<PartitionRoute> {
        self.partition(GroupId::CATALOG).map(partition_route)
    }

    /// The table of a name as people write it: `namespace:name`, a bare name in the default namespace,
    /// or `catalog` for the system table.
    pub fn find(&self, name: &str) -> Option<&TableRecord> {
        match name.split_once(':') {
            Some((namespace, name)) => self.table_named(namespace, name),
            None => self.table_named(crate::DEFAULT_NAMESPACE, name),
        }
    }

    /// The partition of a table at a place in its generation in force.
    pub fn partition_of_table(&self, table: &TableRecord, index: PartitionIndex) -> Option<&PartitionRecord> {
        let group = table.groups.get(usize::try_from(index.get()).ok()?)?;
        self.partition(GroupId(*group))
    }

    /// The replicas that a node shall host, in order of group. State that it has of any other replica
    /// may be deleted.
    pub fn hosted(&self, node: NodeId) -> Vec<HostedReplica> {
        self.partitions().filter_map(|partition| hosted_replica(partition, node)).collect()
    }

    /// What a group's membership shall become.
    pub fn wish(&self, group: GroupId) -> Option<Wish> {
        let partition = self.partition(group)?;
        let known = partition.observed.as_ref().or(partition.birth.as_ref());
        Some(Wish {
            replicas: partition
                .replicas
                .iter()
                .map(|replica| (ReplicaId(replica.id), NodeId(replica.node)))
                .collect(),
            learners: partition
                .replicas
                .iter()
                .filter(|replica| replica.offline)
                .map(|replica| ReplicaId(replica.id))
                .collect(),
            expected: ConfigEpoch(known.map_or(0, |membership| membership.epoch)),
        })
    }

    /// Where each node is reached by other nodes.
    pub fn endpoints(&self) -> BTreeMap<NodeId, Endpoint> {
        self.nodes().map(|node| (NodeId(node.id), node.endpoint.clone())).collect()
    }

    /// The nodes that replicate the catalog: whom to ask for a newer copy, and who may lead it.
    pub fn catalog_nodes(&self) -> Vec<NodeId> {
        self.partition(GroupId::CATALOG).map(nodes_of).unwrap_or_default()
    }

    /// The nodes on which a group may be led: those of the replicas wished for, the likeliest leader first, then
    /// those that its members have not let go yet. One of them may lead until the others can.
    pub fn group_nodes(&self, group: GroupId) -> Vec<NodeId> {
        self.partition(group).map(nodes_of).unwrap_or_default()
    }

    fn route_of(&self, table: &TableRecord) -> Option<TableRoute> {
        let partition = |group: &u64| self.partition(GroupId(*group)).map(partition_route);
        Some(TableRoute {
            table: TableId(table.id),
            engine: table.engine(),
            generation: Generation(table.generation),
            hash: match table.hash() {
                HashBy::Whole => HashRule::Whole,
                HashBy::Tag | HashBy::ByNamespace => HashRule::Tag,
            },
            partitions: table.groups.iter().map(partition).collect::<Option<Vec<_>>>()?,
        })
    }
}

/// A table's name as people write it: without its namespace in the default one.
pub fn display_name(table: &TableRecord) -> String {
    if table.namespace == crate::DEFAULT_NAMESPACE {
        return table.name.clone();
    }
    format!("{}:{}", table.namespace, table.name)
}

fn nodes_of(partition: &PartitionRecord) -> Vec<NodeId> {
    let mut nodes: Vec<NodeId> = partition.replicas.iter().map(|replica| NodeId(replica.node)).collect();
    for member in partition.observed.iter().flat_map(|observed| &observed.members) {
        if !nodes.contains(&NodeId(member.node)) {
            nodes.push(NodeId(member.node));
        }
    }
    nodes
}

fn partition_route(partition: &PartitionRecord) -> PartitionRoute {
    PartitionRoute {
        group: GroupId(partition.group),
        route_epoch: RouteEpoch(partition.route_epoch),
        replicas: partition
            .replicas
            .iter()
            .map(|replica| (ReplicaId(replica.id), NodeId(replica.node)))
            .collect(),
    }
}

fn hosted_replica(partition: &PartitionRecord, node: NodeId) -> Option<HostedReplica> {
    let rank = partition.replicas.iter().position(|replica| replica.node == node.get())?;
    let replica = partition.replicas[rank];
    let birth = match (&partition.birth, replica.founding) {
        (Some(membership), true) => Birth::Founding(membership.clone()),
        _ => Birth::Joining,
    };
    Some(HostedReplica {
        group: GroupId(partition.group),
        replica: ReplicaId(replica.id),
        engine: partition.engine(),
        table: TableId(partition.table),
        generation: Generation(partition.generation),
        birth,
        established: replica.established,
        route_epoch: RouteEpoch(partition.route_epoch),
        rank: rank as u32,
        offline: replica.offline,
        takeover: partition.takeover.filter(|takeover| takeover.replica == replica.id),
    })
}
