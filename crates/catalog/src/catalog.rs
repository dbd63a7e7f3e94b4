//! The catalog as a value: its records, its one door for change, and its whole copy.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::catalog::{
    ArchiveRecord, CatalogAnswer, CatalogCommand, CatalogReply, CatalogState, ClusterRecord, NodeRecord,
    PartitionRecord, SettingRecord, TableRecord,
};
use api::operation::{NodeFlags, OperationRecord, PermitRecord};
use api::peer::Refused;
use api::saving::ScheduleRecord;
use bytes::Bytes;
use engine::ApplyContext;
use prost::Message;
use types::settings::Setting;
use types::{CatalogVersion, ClusterId, Fault, GroupId, NodeId, OperationId, TableId};

use crate::check::check;
use crate::record::{Record, RecordChange, RecordName, with_format, without_format};
use crate::{CatalogError, Role, commands};

/// The metadata of one cluster: a plain value that only [`Catalog::apply`] changes.
///
/// Clones are cheap in the way that matters: nodes, tables and partitions are shared until changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Catalog {
    /// `None` until the first command of the cluster.
    pub(crate) cluster: Option<ClusterRecord>,
    pub(crate) archive: Option<ArchiveRecord>,
    pub(crate) nodes: BTreeMap<NodeId, Arc<NodeRecord>>,
    pub(crate) tables: BTreeMap<TableId, Arc<TableRecord>>,
    pub(crate) partitions: BTreeMap<GroupId, Arc<PartitionRecord>>,
    /// Only those that were set.
    pub(crate) settings: BTreeMap<String, SettingRecord>,
    pub(crate) flags: BTreeMap<NodeId, NodeFlags>,
    pub(crate) permits: BTreeMap<NodeId, PermitRecord>,
    /// Only where the catalog is replicated; copies come without.
    pub(crate) operations: BTreeMap<OperationId, Arc<OperationRecord>>,
    /// As `operations`.
    pub(crate) schedules: BTreeMap<String, Arc<ScheduleRecord>>,
    /// Namespace, then name: follows from `tables`.
    names: BTreeMap<String, BTreeMap<String, TableId>>,
}

impl Catalog {
    /// Carries out a command and returns its reply and what it changed, in order.
    ///
    /// A pure function of the catalog, the command and the entry's index. A command that is refused or
    /// has nothing left to do changes nothing; every other one ends with the cluster's own record, whose
    /// version is then `context.index`, or one more than before if that is higher.
    pub fn apply(
        &mut self,
        command: &CatalogCommand,
        context: &ApplyContext,
    ) -> (CatalogReply, Vec<RecordChange>) {
        let (reply, changes) = self.decide(command, context);
        self.absorb(&changes);
        (reply, changes)
    }

    /// How many replicas a partition lacks of those that its table wishes. One of a table that is only there for a while,
    /// or that is still being restored, gets what it needs from whoever made it; the catalog has at most one on each node
    /// that may have it and is not to leave.
    pub fn lacks(&self, partition: &PartitionRecord) -> usize {
        let stays = |table: &&TableRecord| table.scratch_of == 0 && table.restoring.is_empty();
        let Some(table) = self.table(TableId(partition.table)).filter(stays) else { return 0 };
        let wished = match partition.table {
            0 => {
                let may = |node: &&NodeRecord| Role::Meta.of(node) && !self.flags(NodeId(node.id)).leaving;
                (table.replicas as usize).min(self.nodes().filter(may).count())
            }
            _ => table.replicas as usize,
        };
        wished.saturating_sub(partition.replicas.len())
    }

    /// What [`Catalog::apply`] would answer and change.
    pub(crate) fn decide(
        &self,
        command: &CatalogCommand,
        context: &ApplyContext,
    ) -> (CatalogReply, Vec<RecordChange>) {
        match commands::decide(self, command) {
            Ok(decision) => {
                let mut changes = decision.changes;
                if !changes.is_empty() {
                    // After a jump the index is behind for a while.
                    let version = context.index.get().max(decision.cluster.version + 1);
                    let cluster = ClusterRecord { version, ..decision.cluster };
                    changes.push(RecordChange::Put(Record::Cluster(cluster)));
                }
                (CatalogReply { answer: Some(decision.answer) }, changes)
            }
            Err(fault) => (refusal(fault), Vec::new()),
        }
    }

    /// Takes over changes that a command decided on, or records that were stored.
    pub(crate) fn absorb(&mut self, changes: &[RecordChange]) {
        for change in changes {
            match change {
                RecordChange::Put(record) => self.put(record.clone()),
                RecordChange::Remove(name) => self.remove(name),
            }
        }
    }

    fn put(&mut self, record: Record) {
        match record {
            Record::Archive(archive) => self.archive = Some(archive),
            Record::Cluster(cluster) => self.cluster = Some(cluster),
            Record::Schedule(schedule) => {
                self.schedules.insert(schedule.name.clone(), schedule);
            }
            Record::Flags(flags) => {
                self.flags.insert(NodeId(flags.node), flags);
            }
            Record::Node(node) => {
                self.nodes.insert(NodeId(node.id), node);
            }
            Record::Operation(operation) => {
                self.operations.insert(OperationId(operation.id), operation);
            }
            Record::Permit(permit) => {
                self.permits.insert(NodeId(permit.node), permit);
            }
            Record::Partition(partition) => {
                self.partitions.insert(GroupId(partition.group), partition);
            }
            Record::Setting(setting) => {
                self.settings.insert(setting.name.clone(), setting);
            }
            Record::Table(table) => {
                let id = TableId(table.id);
                self.names.entry(table.namespace.clone()).or_default().insert(table.name.clone(), id);
                self.tables.insert(id, table);
            }
        }
    }

    fn remove(&mut self, name: &RecordName) {
        match name {
            RecordName::Archive => self.archive = None,
            RecordName::Cluster => self.cluster = None,
            RecordName::Schedule(name) => {
                self.schedules.remove(name);
            }
            RecordName::Flags(id) => {
                self.flags.remove(id);
            }
            RecordName::Node(id) => {
                self.nodes.remove(id);
            }
            RecordName::Operation(id) => {
                self.operations.remove(id);
            }
            RecordName::Permit(id) => {
                self.permits.remove(id);
            }
            RecordName::Partition(group) => {
                self.partitions.remove(group);
            }
            RecordName::Setting(name) => {
                self.settings.remove(name);
            }
            RecordName::Table(id) => {
                let Some(table) = self.tables.remove(id) else { return };
                if let Some(names) = self.names.get_mut(&table.namespace) {
                    names.remove(&table.name);
                    if names.is_empty() {
                        self.names.remove(&table.namespace);
                    }
                }
            }
        }
    }

    /// The cluster, once it has had its first command.
    pub fn cluster(&self) -> Option<ClusterId> {
        self.cluster.map(|cluster| ClusterId(cluster.cluster))
    }

    /// Rises with every change: the log index of the last one, unless the catalog's own majority was ever given up;
    /// 0 before the first command.
    pub fn version(&self) -> CatalogVersion {
        CatalogVersion(self.cluster.map_or(0, |cluster| cluster.version))
    }

    /// The archive of changes, if there is one.
    pub fn archive(&self) -> Option<&ArchiveRecord> {
        self.archive.as_ref()
    }

    /// All nodes, in order of id.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeRecord> {
        self.nodes.values().map(Arc::as_ref)
    }

    /// A node.
    pub fn node(&self, id: NodeId) -> Option<&NodeRecord> {
        self.nodes.get(&id).map(Arc::as_ref)
    }

    /// Whether a node was in the cluster and is not any more: ids are not given out twice.
    pub fn has_left(&self, id: NodeId) -> bool {
        let given_out = self.cluster.map_or(0, |cluster| cluster.next_node);
        id.get() != 0 && id.get() < given_out && !self.nodes.contains_key(&id)
    }

    /// A node's flags; none are set unless an operation set them.
    pub fn flags(&self, id: NodeId) -> NodeFlags {
        self.flags.get(&id).copied().unwrap_or(NodeFlags { node: id.get(), ..Default::default() })
    }

    /// The permits in force or expired and not yet given back, in order of node.
    pub fn permits(&self) -> impl Iterator<Item = &PermitRecord> {
        self.permits.values()
    }

    /// The permit to stop a node.
    pub fn permit(&self, node: NodeId) -> Option<&PermitRecord> {
        self.permits.get(&node)
    }

    /// All schedules of backups, by name. Empty on nodes that do not replicate the catalog.
    pub fn schedules(&self) -> impl Iterator<Item = &ScheduleRecord> {
        self.schedules.values().map(Arc::as_ref)
    }

    /// A schedule of backups.
    pub fn schedule(&self, name: &str) -> Option<&ScheduleRecord> {
        self.schedules.get(name).map(Arc::as_ref)
    }

    /// All operations in order of id: those that have not ended, and the last of those that have. Empty on
    /// a node that does not replicate the catalog.
    pub fn operations(&self) -> impl Iterator<Item = &OperationRecord> {
        self.operations.values().map(Arc::as_ref)
    }

    /// An operation.
    pub fn operation(&self, id: OperationId) -> Option<&OperationRecord> {
        self.operations.get(&id).map(Arc::as_ref)
    }

    /// What is stored of a setting; nothing while it has its default.
    pub fn stored_setting(&self, name: &str) -> Option<&SettingRecord> {
        self.settings.get(name)
    }

    /// All tables in order of id, the system table first.
    pub fn tables(&self) -> impl Iterator<Item = &TableRecord> {
        self.tables.values().map(Arc::as_ref)
    }

    /// The namespaces of ZanKV's, each as the table that its keys are in; in order of that table's id.
    pub fn namespaces(&self) -> impl Iterator<Item = &TableRecord> {
        self.tables().filter(|table| table.name == crate::NAMESPACE_TABLE)
    }

    /// A table by its id.
    pub fn table(&self, id: TableId) -> Option<&TableRecord> {
        self.tables.get(&id).map(Arc::as_ref)
    }

    /// A table by its name, the system table included.
    pub fn table_named(&self, namespace: &str, name: &str) -> Option<&TableRecord> {
        self.table(*self.names.get(namespace)?.get(name)?)
    }

    /// All partitions of all tables, in order of group.
    pub fn partitions(&self) -> impl Iterator<Item = &PartitionRecord> {
        self.partitions.values().map(Arc::as_ref)
    }

    /// A partition by its group.
    pub fn partition(&self, group: GroupId) -> Option<&PartitionRecord> {
        self.partitions.get(&group).map(Arc::as_ref)
    }

    /// The value of a setting, or its default; 0 or 1 for a switch.
    pub fn setting(&self, setting: &Setting) -> u64 {
        let stored = self.settings.get(setting.name).and_then(|set| setting.check(&set.value).ok());
        stored.unwrap_or_else(|| setting.default_number())
    }

    /// All records, in the order of their stored names.
    pub fn records(&self) -> impl Iterator<Item = Record> {
        let cluster = self.cluster.iter().copied().map(Record::Cluster);
        let archive = self.archive.iter().cloned().map(Record::Archive);
        archive
            .chain(cluster)
            .chain(self.schedules.values().cloned().map(Record::Schedule))
            .chain(self.flags.values().copied().map(Record::Flags))
            .chain(self.nodes.values().cloned().map(Record::Node))
            .chain(self.operations.values().cloned().map(Record::Operation))
            .chain(self.partitions.values().cloned().map(Record::Partition))
            .chain(self.permits.values().cloned().map(Record::Permit))
            .chain(self.settings.values().cloned().map(Record::Setting))
            .chain(self.tables.values().cloned().map(Record::Table))
    }

    /// Puts a catalog together from its records, in any order.
    ///
    /// # Errors
    /// `Inconsistent` when the records break a rule that no sequence of commands breaks.
    pub fn from_records(records: impl IntoIterator<Item = Record>) -> Result<Catalog, CatalogError> {
        let mut catalog = Catalog::default();
        for record in records {
            catalog.put(record);
        }
        check(&catalog)?;
        Ok(catalog)
    }

    /// A whole copy, for nodes that do not replicate the catalog.
    pub fn encode(&self) -> Bytes {
        with_format(&CatalogState {
            cluster: self.cluster,
            nodes: self.nodes().cloned().collect(),
            tables: self.tables().cloned().collect(),
            partitions: self.partitions().cloned().collect(),
            settings: self.settings.values().cloned().collect(),
            flags: self.flags.values().copied().collect(),
            permits: self.permits.values().cloned().collect(),
            archive: self.archive.clone(),
        })
    }

    /// Reads a whole copy; it may come from a peer.
    ///
    /// # Errors
    /// `Format` when the bytes are not of a version that this release knows, `Inconsistent` as in
    /// [`Catalog::from_records`].
    pub fn decode(bytes: &Bytes) -> Result<Catalog, CatalogError> {
        let state = CatalogState::decode(without_format(bytes)?).map_err(api::DecodeError::from)?;
        let cluster = state.cluster.into_iter().map(Record::Cluster);
        Catalog::from_records(
            cluster
                .chain(state.nodes.into_iter().map(|node| Record::Node(Arc::new(node))))
                .chain(state.tables.into_iter().map(|table| Record::Table(Arc::new(table))))
                .chain(state.partitions.into_iter().map(|part| Record::Partition(Arc::new(part))))
                .chain(state.settings.into_iter().map(Record::Setting))
                .chain(state.flags.into_iter().map(Record::Flags))
                .chain(state.permits.into_iter().map(Record::Permit))
                .chain(state.archive.into_iter().map(Record::Archive)),
        )
    }

    /// How many records there are.
    pub(crate) fn records_count(&self) -> usize {
        usize::from(self.cluster.is_some())
            + self.nodes.len()
            + self.tables.len()
            + self.partitions.len()
            + self.settings.len()
            + self.flags.len()
            + self.permits.len()
            + self.operations.len()
            + usize::from(self.archive.is_some())
            + self.schedules.len()
    }

    /// How many tables there are by name; as many as by id, unless two have one name.
    pub(crate) fn names_count(&self) -> usize {
        self.names.values().map(BTreeMap::len).sum()
    }
}

/// The reply that refuses a command.
pub(crate) fn refusal(fault: Fault) -> CatalogReply {
    let refused = Refused { code: fault.code.as_str().into(), detail: fault.detail, leader: 0 };
    CatalogReply { answer: Some(CatalogAnswer::Refused(refused)) }
}
