//! The catalog as a value: its records, its one door for change, and its whole copy.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::catalog::{
    CatalogAnswer, CatalogCommand, CatalogReply, CatalogState, ClusterRecord, NodeRecord, PartitionRecord,
    SettingRecord, TableRecord,
};
use api::peer::Refused;
use bytes::Bytes;
use engine::ApplyContext;
use prost::Message;
use types::settings::Setting;
use types::{CatalogVersion, ClusterId, Fault, GroupId, NodeId, TableId};

use crate::check::check;
use crate::record::{Record, RecordChange, RecordName, with_format, without_format};
use crate::{CatalogError, commands};

/// The metadata of one cluster: a plain value that only [`Catalog::apply`] changes.
///
/// Clones are cheap in the way that matters: nodes, tables and partitions are shared until changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Catalog {
    /// `None` until the first command of the cluster.
    pub(crate) cluster: Option<ClusterRecord>,
    pub(crate) nodes: BTreeMap<NodeId, Arc<NodeRecord>>,
    pub(crate) tables: BTreeMap<TableId, Arc<TableRecord>>,
    pub(crate) partitions: BTreeMap<GroupId, Arc<PartitionRecord>>,
    /// Only those that were set.
    pub(crate) settings: BTreeMap<String, String>,
    /// Namespace, then name: follows from `tables`.
    names: BTreeMap<String, BTreeMap<String, TableId>>,
}

impl Catalog {
    /// Carries out a command and returns its reply and what it changed, in order.
    ///
    /// A pure function of the catalog, the command and the entry's index. A command that is refused or
    /// has nothing left to do changes nothing; every other one ends with the cluster's own record, whose
    /// version is then `context.index`.
    pub fn apply(
        &mut self,
        command: &CatalogCommand,
        context: &ApplyContext,
    ) -> (CatalogReply, Vec<RecordChange>) {
        let (reply, changes) = self.decide(command, context);
        self.absorb(&changes);
        (reply, changes)
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
                    let cluster = ClusterRecord { version: context.index.get(), ..decision.cluster };
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
            Record::Cluster(cluster) => self.cluster = Some(cluster),
            Record::Node(node) => {
                self.nodes.insert(NodeId(node.id), node);
            }
            Record::Partition(partition) => {
                self.partitions.insert(GroupId(partition.group), partition);
            }
            Record::Setting(setting) => {
                self.settings.insert(setting.name, setting.value);
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
            RecordName::Cluster => self.cluster = None,
            RecordName::Node(id) => {
                self.nodes.remove(id);
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

    /// The log index of the last change; 0 before the first command.
    pub fn version(&self) -> CatalogVersion {
        CatalogVersion(self.cluster.map_or(0, |cluster| cluster.version))
    }

    /// All nodes, in order of id.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeRecord> {
        self.nodes.values().map(Arc::as_ref)
    }

    /// A node.
    pub fn node(&self, id: NodeId) -> Option<&NodeRecord> {
        self.nodes.get(&id).map(Arc::as_ref)
    }

    /// All tables in order of id, the system table first.
    pub fn tables(&self) -> impl Iterator<Item = &TableRecord> {
        self.tables.values().map(Arc::as_ref)
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
        let stored = self.settings.get(setting.name).and_then(|text| setting.check(text).ok());
        stored.unwrap_or_else(|| setting.default_number())
    }

    /// All records, in the order of their stored names.
    pub fn records(&self) -> impl Iterator<Item = Record> {
        let setting = |(name, value): (&String, &String)| {
            Record::Setting(SettingRecord { name: name.clone(), value: value.clone() })
        };
        let cluster = self.cluster.iter().copied().map(Record::Cluster);
        cluster
            .chain(self.nodes.values().cloned().map(Record::Node))
            .chain(self.partitions.values().cloned().map(Record::Partition))
            .chain(self.settings.iter().map(setting))
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
        let setting =
            |(name, value): (&String, &String)| SettingRecord { name: name.clone(), value: value.clone() };
        with_format(&CatalogState {
            cluster: self.cluster,
            nodes: self.nodes().cloned().collect(),
            tables: self.tables().cloned().collect(),
            partitions: self.partitions().cloned().collect(),
            settings: self.settings.iter().map(setting).collect(),
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
                .chain(state.settings.into_iter().map(Record::Setting)),
        )
    }

    /// How many records there are.
    pub(crate) fn records_count(&self) -> usize {
        usize::from(self.cluster.is_some())
            + self.nodes.len()
            + self.tables.len()
            + self.partitions.len()
            + self.settings.len()
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
