//! The cluster as the shell needs it: the calls that it makes, and what one look at it tells.

use std::time::{Duration, Instant};

use api::admin::{
    NodeStatus, Operation, OperationRequest, PartitionStatus, ReplicaStatus, SetSetting, SettingValue,
    StartOperation, Status, Table,
};
use client::Client;
use types::{ErrorCode, Fault};

use crate::failure::Reason;

/// The namespace of tables that were made without one; the original calls it no database.
pub const DEFAULT_DATABASE: &str = "default";
/// The catalog's own table, which is none of the user's.
pub const CATALOG_TABLE: &str = "catalog";
/// Who asks, in the records of operations and settings.
const ASKER: &str = "ns";
/// The pause between two looks at an operation.
const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// The calls of the admin API that the shell makes.
pub trait Cluster {
    /// How the cluster is.
    ///
    /// # Errors
    /// What the cluster says, here and below.
    fn status(&self) -> Result<Status, Fault>;
    /// All tables.
    fn tables(&self) -> Result<Vec<Table>, Fault>;
    /// Drops a table.
    fn drop_table(&self, namespace: &str, name: &str) -> Result<(), Fault>;
    /// All operations that are remembered, oldest first.
    fn operations(&self) -> Result<Vec<Operation>, Fault>;
    /// Starts an operation.
    fn start(&self, request: OperationRequest) -> Result<Operation, Fault>;
    /// An operation once it has ended, or as it is when so much time has passed.
    fn ended(&self, id: u64, patience: Duration) -> Result<Operation, Fault>;
    /// Asks an operation to end early.
    fn cancel(&self, id: u64) -> Result<Operation, Fault>;
    /// Forgets an operation that has ended.
    fn forget(&self, id: u64) -> Result<(), Fault>;
    /// All settings.
    fn settings(&self) -> Result<Vec<SettingValue>, Fault>;
    /// Changes a setting.
    fn set(&self, name: &str, value: &str) -> Result<SettingValue, Fault>;
}

impl Cluster for Client {
    fn status(&self) -> Result<Status, Fault> {
        Client::status(self)
    }

    fn tables(&self) -> Result<Vec<Table>, Fault> {
        Client::tables(self)
    }

    fn drop_table(&self, namespace: &str, name: &str) -> Result<(), Fault> {
        Client::drop_table(self, namespace, name)
    }

    fn operations(&self) -> Result<Vec<Operation>, Fault> {
        Client::operations(self)
    }

    fn start(&self, request: OperationRequest) -> Result<Operation, Fault> {
        self.start_operation(&StartOperation { request, planned: None, by: Some(ASKER.to_owned()) })
    }

    fn ended(&self, id: u64, patience: Duration) -> Result<Operation, Fault> {
        let began = Instant::now();
        loop {
            let operation = self.operation(id)?;
            if has_ended(&operation) || began.elapsed() > patience {
                return Ok(operation);
            }
            std::thread::sleep(LOOK_PAUSE);
        }
    }

    fn cancel(&self, id: u64) -> Result<Operation, Fault> {
        self.cancel_operation(id)
    }

    fn forget(&self, id: u64) -> Result<(), Fault> {
        self.forget_operation(id)
    }

    fn settings(&self) -> Result<Vec<SettingValue>, Fault> {
        Client::settings(self)
    }

    fn set(&self, name: &str, value: &str) -> Result<SettingValue, Fault> {
        self.set_setting(name, &SetSetting { value: value.to_owned(), by: Some(ASKER.to_owned()) })
    }
}

/// Whether nothing will happen any more.
pub fn has_ended(operation: &Operation) -> bool {
    matches!(operation.state.as_str(), "done" | "failed" | "cancelled")
}

/// One look at a cluster.
pub struct Seen {
    /// How it is.
    pub status: Status,
    /// Its tables.
    pub tables: Vec<Table>,
}

impl Seen {
    /// Looks.
    ///
    /// # Errors
    /// What the cluster says.
    pub fn at(cluster: &dyn Cluster) -> Result<Self, Fault> {
        Ok(Self { status: cluster.status()?, tables: cluster.tables()? })
    }

    /// The node that people call by this address.
    pub fn node_at(&self, address: &str) -> Option<&NodeStatus> {
        let by = |is: fn(&NodeStatus) -> &str| self.status.nodes.iter().find(|node| is(node) == address);
        by(|node| &node.endpoint).or_else(|| by(|node| &node.http)).or_else(|| by(|node| &node.redis))
    }

    /// A node.
    pub fn node(&self, id: u64) -> Option<&NodeStatus> {
        self.status.nodes.iter().find(|node| node.id == id)
    }

    /// What people call a node.
    pub fn endpoint(&self, id: u64) -> String {
        self.node(id).map_or_else(|| format!("node {id}"), |node| node.endpoint.clone())
    }

    /// A table of a database by its name; `database:name` means that one.
    ///
    /// # Errors
    /// In the words of the original.
    pub fn table(&self, database: &str, name: &str) -> Result<&Table, Reason> {
        let (namespace, name) = name.split_once(':').unwrap_or((namespace(database), name));
        let found = self.tables.iter().find(|table| table.namespace == namespace && table.name == name);
        found.ok_or_else(|| {
            Reason::new(ErrorCode::UnknownTable, "table does not exist")
                .note(format!("{namespace}:{name}; 'showtable' lists the tables of the database"))
        })
    }

    /// The tables of a database, oldest first.
    pub fn tables_in(&self, database: &str) -> impl Iterator<Item = &Table> {
        let namespace = namespace(database).to_owned();
        self.tables.iter().filter(move |table| table.namespace == namespace)
    }

    /// The partitions of a table, in order.
    pub fn partitions(&self, table: &Table) -> Vec<&PartitionStatus> {
        let name = full_name(table);
        let mut found: Vec<_> =
            self.status.partitions.iter().filter(|partition| partition.table == name).collect();
        found.sort_by_key(|partition| partition.partition);
        found
    }

    /// A partition of a table.
    ///
    /// # Errors
    /// In the words of the original.
    pub fn partition(&self, table: &Table, pid: u32) -> Result<&PartitionStatus, Reason> {
        let mut partitions = self.partitions(table).into_iter();
        partitions.find(|partition| partition.partition == u64::from(pid)).ok_or_else(|| {
            Reason::new(ErrorCode::UnknownPartition, "pid does not exist").note(format!(
                "{} has the partitions 0 to {}",
                table.name,
                table.partitions.saturating_sub(1)
            ))
        })
    }

    /// Whether a replica does its part: in sync, or, as long as nobody leads, there to be led.
    pub fn is_alive(&self, partition: &PartitionStatus, replica: &ReplicaStatus) -> bool {
        let is_up = self.node(replica.node).is_some_and(is_healthy);
        match replica.state.as_str() {
            "in-sync" => is_up,
            "catching-up" => is_up && partition.leader.is_none() && replica.role == "follower",
            _ => false,
        }
    }
}

/// Whether a node answers.
pub fn is_healthy(node: &NodeStatus) -> bool {
    node.state == "up"
}

/// The replica that leads.
pub fn leader(partition: &PartitionStatus) -> Option<&ReplicaStatus> {
    partition.replicas.iter().find(|replica| replica.role == "leader")
}

/// The replica on a node.
pub fn replica_on(partition: &PartitionStatus, node: u64) -> Option<&ReplicaStatus> {
    partition.replicas.iter().find(|replica| replica.node == node && !replica.leaving)
}

/// The namespace that a database is.
pub fn namespace(database: &str) -> &str {
    if database.is_empty() { DEFAULT_DATABASE } else { database }
}

/// `namespace:name`, or just the name in the default namespace, as the admin API names tables.
pub fn full_name(table: &Table) -> String {
    if table.namespace == DEFAULT_DATABASE {
        table.name.clone()
    } else {
        format!("{}:{}", table.namespace, table.name)
    }
}
