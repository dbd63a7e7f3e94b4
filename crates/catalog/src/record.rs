//! Records: the catalog in pieces, as they are stored, compared and printed.
//!
//! ```text
//! name                      value
//! 'a'                       format byte, ArchiveRecord
//! 'c'                       format byte, ClusterRecord
//! 'd' name                  format byte, ScheduleRecord
//! 'f' node id, u64 BE       format byte, NodeFlags
//! 'n' node id, u64 BE       format byte, NodeRecord
//! 'o' operation id, u64 BE  format byte, OperationRecord
//! 'p' group id, u64 BE      format byte, PartitionRecord
//! 'q' node id, u64 BE       format byte, PermitRecord
//! 's' name                  format byte, SettingRecord
//! 't' table id, u64 BE      format byte, TableRecord
//! ```

use std::fmt;
use std::sync::Arc;

use api::DecodeError;
use api::catalog::{ArchiveRecord, ClusterRecord, NodeRecord, PartitionRecord, SettingRecord, TableRecord};
use api::operation::{NodeFlags, OperationRecord, PermitRecord};
use api::saving::ScheduleRecord;
use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use types::{GroupId, NodeId, OperationId, TableId};

/// The format version that this release writes, in the first byte of a record and of a whole copy.
pub const FORMAT: u8 = 1;

/// Which object of the catalog.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecordName {
    /// The archive.
    Archive,
    /// The cluster itself.
    Cluster,
    /// A schedule of backups.
    Schedule(String),
    /// Flags of a node.
    Flags(NodeId),
    /// A node.
    Node(NodeId),
    /// An operation.
    Operation(OperationId),
    /// A partition, by its group.
    Partition(GroupId),
    /// The permit to stop a node.
    Permit(NodeId),
    /// A setting.
    Setting(String),
    /// A table.
    Table(TableId),
}

/// One object of the catalog. Large ones are shared between the copies of a catalog.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// The archive.
    Archive(ArchiveRecord),
    /// The cluster itself.
    Cluster(ClusterRecord),
    /// A schedule of backups.
    Schedule(Arc<ScheduleRecord>),
    /// Flags of a node.
    Flags(NodeFlags),
    /// A node.
    Node(Arc<NodeRecord>),
    /// An operation.
    Operation(Arc<OperationRecord>),
    /// A partition.
    Partition(Arc<PartitionRecord>),
    /// The permit to stop a node.
    Permit(PermitRecord),
    /// A setting.
    Setting(SettingRecord),
    /// A table.
    Table(Arc<TableRecord>),
}

/// What a command did to one object.
#[derive(Clone, Debug, PartialEq)]
pub enum RecordChange {
    /// It is new, or looks like this now.
    Put(Record),
    /// It is gone.
    Remove(RecordName),
}

impl RecordName {
    /// The name under which the object is stored. Names sort as the enum does.
    pub fn to_bytes(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(9);
        match self {
            RecordName::Archive => bytes.put_u8(b'a'),
            RecordName::Cluster => bytes.put_u8(b'c'),
            RecordName::Schedule(name) => {
                bytes.put_u8(b'd');
                bytes.put_slice(name.as_bytes());
            }
            RecordName::Flags(id) => put_id(&mut bytes, b'f', id.get()),
            RecordName::Node(id) => put_id(&mut bytes, b'n', id.get()),
            RecordName::Operation(id) => put_id(&mut bytes, b'o', id.get()),
            RecordName::Permit(id) => put_id(&mut bytes, b'q', id.get()),
            RecordName::Partition(group) => put_id(&mut bytes, b'p', group.get()),
            RecordName::Setting(name) => {
                bytes.put_u8(b's');
                bytes.put_slice(name.as_bytes());
            }
            RecordName::Table(id) => put_id(&mut bytes, b't', id.get()),
        }
        bytes.freeze()
    }
}

impl Record {
    /// Which object it is.
    pub fn name(&self) -> RecordName {
        match self {
            Record::Archive(_) => RecordName::Archive,
            Record::Cluster(_) => RecordName::Cluster,
            Record::Schedule(schedule) => RecordName::Schedule(schedule.name.clone()),
            Record::Flags(flags) => RecordName::Flags(NodeId(flags.node)),
            Record::Node(node) => RecordName::Node(NodeId(node.id)),
            Record::Operation(operation) => RecordName::Operation(OperationId(operation.id)),
            Record::Permit(permit) => RecordName::Permit(NodeId(permit.node)),
            Record::Partition(partition) => RecordName::Partition(GroupId(partition.group)),
            Record::Setting(setting) => RecordName::Setting(setting.name.clone()),
            Record::Table(table) => RecordName::Table(TableId(table.id)),
        }
    }

    /// The bytes that are stored under the object's name.
    pub fn to_bytes(&self) -> Bytes {
        match self {
            Record::Archive(record) => with_format(record),
            Record::Cluster(record) => with_format(record),
            Record::Schedule(record) => with_format(record.as_ref()),
            Record::Flags(record) => with_format(record),
            Record::Node(record) => with_format(record.as_ref()),
            Record::Operation(record) => with_format(record.as_ref()),
            Record::Permit(record) => with_format(record),
            Record::Partition(record) => with_format(record.as_ref()),
            Record::Setting(record) => with_format(record),
            Record::Table(record) => with_format(record.as_ref()),
        }
    }

    /// Reads a stored object.
    ///
    /// # Errors
    /// `Version` when a newer release wrote it; `Malformed` when the bytes are no record or belong to
    /// another name.
    pub fn from_bytes(name: &[u8], value: &Bytes) -> Result<Record, DecodeError> {
        let body = without_format(value)?;
        let record = match name.first() {
            Some(b'a') => Record::Archive(ArchiveRecord::decode(body)?),
            Some(b'c') => Record::Cluster(ClusterRecord::decode(body)?),
            Some(b'd') => Record::Schedule(Arc::new(ScheduleRecord::decode(body)?)),
            Some(b'f') => Record::Flags(NodeFlags::decode(body)?),
            Some(b'o') => Record::Operation(Arc::new(OperationRecord::decode(body)?)),
            Some(b'q') => Record::Permit(PermitRecord::decode(body)?),
            Some(b'n') => Record::Node(Arc::new(NodeRecord::decode(body)?)),
            Some(b'p') => Record::Partition(Arc::new(PartitionRecord::decode(body)?)),
            Some(b's') => Record::Setting(SettingRecord::decode(body)?),
            Some(b't') => Record::Table(Arc::new(TableRecord::decode(body)?)),
            _ => return Err(DecodeError::Malformed("catalog record name")),
        };
        if record.name().to_bytes() != name {
            return Err(DecodeError::Malformed("catalog record under another's name"));
        }
        Ok(record)
    }
}

/// A body behind its format byte.
pub(crate) fn with_format(body: &impl Message) -> Bytes {
    let mut bytes = BytesMut::with_capacity(1 + body.encoded_len());
    bytes.put_u8(FORMAT);
    body.encode_raw(&mut bytes);
    bytes.freeze()
}

/// The body behind a format byte that this release knows.
pub(crate) fn without_format(bytes: &Bytes) -> Result<Bytes, DecodeError> {
    match bytes.first() {
        Some(&FORMAT) => Ok(bytes.slice(1..)),
        Some(&other) => Err(DecodeError::Version(other)),
        None => Err(DecodeError::Malformed("empty catalog bytes")),
    }
}

fn put_id(bytes: &mut BytesMut, kind: u8, id: u64) {
    bytes.put_u8(kind);
    bytes.put_u64(id);
}

impl fmt::Display for RecordName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordName::Archive => f.write_str("archive"),
            RecordName::Cluster => f.write_str("cluster"),
            RecordName::Schedule(name) => write!(f, "schedule {name}"),
            RecordName::Flags(id) => write!(f, "flags {id}"),
            RecordName::Node(id) => write!(f, "node {id}"),
            RecordName::Operation(id) => write!(f, "operation {id}"),
            RecordName::Permit(id) => write!(f, "permit {id}"),
            RecordName::Partition(group) => write!(f, "group {group}"),
            RecordName::Setting(name) => write!(f, "setting {name}"),
            RecordName::Table(id) => write!(f, "table {id}"),
        }
    }
}

impl fmt::Display for RecordChange {
    /// One line, for tests and traces.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordChange::Put(record) => write!(f, "{record}"),
            RecordChange::Remove(name) => write!(f, "{name} removed"),
        }
    }
}

impl fmt::Display for Record {
    /// One line, for tests and traces.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.name())?;
        match self {
            Record::Archive(archive) => {
                write!(f, " {} to {} every {} ms", archive.id, archive.url, archive.every_ms)?;
                write!(f, " hold={}", archive.hold_bytes_max)?;
                if archive.keep_ms > 0 {
                    write!(f, " keep={}", archive.keep_ms)?;
                }
                f.write_str(if archive.ended { " ended" } else { "" })?;
                archive.tables.iter().try_for_each(|table| write!(f, " {table}"))
            }
            Record::Cluster(cluster) => write!(
                f,
                " id={:x} version={} next node={} table={} group={}",
                cluster.cluster, cluster.version, cluster.next_node, cluster.next_table, cluster.next_group
            ),
            Record::Node(node) => {
                write!(f, " {} roles={} boot={}", node.endpoint, node.roles.join(","), node.boot)?;
                if node.store != 0 {
                    write!(f, " store={}", node.store)?;
                }
                node.labels.iter().try_for_each(|label| write!(f, " {}={}", label.name, label.value))
            }
            Record::Partition(partition) => display_partition(partition, f),
            Record::Setting(setting) => write!(f, " {}", setting.value),
            Record::Schedule(schedule) => display_schedule(schedule, f),
            Record::Flags(flags) => {
                for (set, name) in
                    [(flags.drained, "drained"), (flags.leaving, "leaving"), (flags.offline, "offline")]
                {
                    if set {
                        write!(f, " {name}")?;
                    }
                }
                Ok(())
            }
            Record::Operation(operation) => display_operation(operation, f),
            Record::Permit(permit) => write!(f, " {} until {}", permit.holder, permit.until_ms),
            Record::Table(table) => {
                write!(f, " {}:{} engine={:?}", table.namespace, table.name, table.engine())?;
                write!(f, " hash={:?} replicas={}", table.hash(), table.replicas)?;
                if !table.restoring.is_empty() {
                    write!(f, " restoring={}", table.restoring)?;
                }
                write!(f, " generation={} groups={}", table.generation, ranges(&table.groups))?;
                if table.scratch_of != 0 {
                    write!(f, " scratch of={}", table.scratch_of)?;
                }
                table.options.iter().try_for_each(|option| write!(f, " {}={}", option.name, option.value))
            }
        }
    }
}

fn display_schedule(schedule: &ScheduleRecord, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, " '{}' to {} keep={} drill={}", schedule.cron, schedule.url, schedule.keep, schedule.drill)?;
    let so_far = schedule.so_far();
    if schedule.full_every > 1 {
        write!(f, " full-every={} chain={}", schedule.full_every, so_far.chain)?;
    }
    schedule.tables.iter().try_for_each(|table| write!(f, " {table}"))?;
    schedule.namespaces.iter().try_for_each(|namespace| write!(f, " {namespace}:*"))?;
    schedule.kinds.iter().try_for_each(|kind| write!(f, " kind={kind}"))?;
    write!(f, " due={}", so_far.due_ms)?;
    for (word, backup) in
        [("complete", so_far.complete), ("proven", so_far.proven), ("drilled", so_far.drilled)]
    {
        if !backup.is_empty() {
            write!(f, " {word}={backup}")?;
        }
    }
    Ok(())
}

fn display_operation(operation: &OperationRecord, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, " {:?} revision={}", operation.state(), operation.revision)?;
    if operation.parent != 0 {
        write!(f, " parent={}", operation.parent)?;
    }
    if let Some(group) = operation.group {
        write!(f, " group={group}")?;
    }
    if operation.cancelling {
        f.write_str(" cancelling")?;
    }
    write!(f, " step={}/{}", operation.step, operation.steps.len())?;
    if let Some(step) = operation.steps.get(operation.step as usize) {
        write!(f, " {}", step.name)?;
    }
    if operation.made_replica != 0 {
        write!(f, " made={}", operation.made_replica)?;
    }
    if !operation.fault_code.is_empty() {
        write!(f, " [{}] {}", operation.fault_code, operation.fault_detail)?;
    }
    Ok(())
}

/// `+` marks a replica that is established, `-` one that is offline, `*` one that joins later: `1+@3` is replica 1 on node 3.
fn display_partition(partition: &PartitionRecord, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, " table={} generation={}", partition.table, partition.generation)?;
    write!(f, " index={} epoch={} replicas=", partition.index, partition.route_epoch)?;
    for (i, replica) in partition.replicas.iter().enumerate() {
        let comma = if i == 0 { "" } else { "," };
        let joining = if replica.founding { "" } else { "*" };
        let established = if replica.established { "+" } else { "" };
        let offline = if replica.offline { "-" } else { "" };
        write!(f, "{comma}{}{joining}{established}{offline}@{}", replica.id, replica.node)?;
    }
    write!(f, " next={}", partition.next_replica)?;
    if !partition.may_begin {
        f.write_str(" unborn")?;
    }
    if partition.leader != 0 {
        write!(f, " leader={} term={}", partition.leader, partition.leader_term)?;
    }
    let Some(observed) = &partition.observed else { return Ok(()) };
    write!(f, " observed={}:", observed.epoch)?;
    for (i, member) in observed.members.iter().enumerate() {
        let comma = if i == 0 { "" } else { "," };
        let learner = if member.learner { "~" } else { "" };
        write!(f, "{comma}{}{learner}@{}", member.replica, member.node)?;
    }
    Ok(())
}

/// Groups of a table follow each other, so `5..12` says it all; others are listed.
fn ranges(ids: &[u64]) -> String {
    match (ids.first(), ids.last()) {
        (Some(first), Some(last))
            if ids.len() > 1 && last.checked_sub(*first) == Some(ids.len() as u64 - 1) =>
        {
            format!("{first}..{last}")
        }
        _ => ids.iter().map(u64::to_string).collect::<Vec<_>>().join(","),
    }
}
