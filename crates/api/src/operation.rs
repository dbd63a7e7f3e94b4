//! Operations as the catalog stores them: what was asked, how far it is, what it showed.
//!
//! An operation is a durable, stepwise change of the cluster. Its record is changed by
//! [`OperationChange`]s only, each of which names the revision that it was made from, so that the word of
//! a meta leader that is no longer one changes nothing. The record's change and the edits of what the
//! operation is about are one command: a step is persisted before it acts.

use prost::{Message, Oneof};

use crate::restoring::RestoreWish;
use crate::saving::{BackupWish, DrillWish, SavedRecord, ScheduleNews};

/// An operation.
#[derive(Clone, PartialEq, Message)]
pub struct OperationRecord {
    /// Its id; one number space for all operations of a cluster. 0 in a wish for a new one.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// Rises with each change of the record.
    #[prost(uint64, tag = "2")]
    pub revision: u64,
    /// The operation that this one is a part of, or 0.
    #[prost(uint64, tag = "3")]
    pub parent: u64,
    /// What was asked, with every choice made.
    #[prost(
        oneof = "OperationKind",
        tags = "16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 33, 40, 41, 50, 51, 53"
    )]
    pub kind: Option<OperationKind>,
    /// How it is.
    #[prost(enumeration = "OperationState", tag = "4")]
    pub state: i32,
    /// Its steps, in order; for an operation with parts one that waits for them, and perhaps one after that.
    #[prost(message, repeated, tag = "5")]
    pub steps: Vec<StepRecord>,
    /// The place of the step that it is at; as many as there are steps once all are done.
    #[prost(uint32, tag = "6")]
    pub step: u32,
    /// The partition that it changes, whose lock it holds while it runs; absent for one with parts.
    #[prost(uint64, optional, tag = "7")]
    pub group: Option<u64>,
    /// Whoever wants it to end early has said so: it undoes what it did, if it still can.
    #[prost(bool, tag = "8")]
    pub cancelling: bool,
    /// What happened, oldest first; the oldest beyond a limit are dropped.
    #[prost(message, repeated, tag = "9")]
    pub events: Vec<EventRecord>,
    /// What it measured to prove its outcome.
    #[prost(message, repeated, tag = "10")]
    pub evidence: Vec<EvidenceRecord>,
    /// Why it failed: an error code, and the detail. Empty while it did not.
    #[prost(string, tag = "11")]
    pub fault_code: String,
    /// See `fault_code`.
    #[prost(string, tag = "12")]
    pub fault_detail: String,
    /// Who asked: `admin`, or the name of the automation.
    #[prost(string, tag = "13")]
    pub by: String,
    /// When it was asked for, milliseconds since 1970 by the meta leader's clock.
    #[prost(uint64, tag = "14")]
    pub created_ms: u64,
    /// When it ended, or 0.
    #[prost(uint64, tag = "15")]
    pub ended_ms: u64,
    /// Replica that the operation made, once it did.
    #[prost(uint64, tag = "31")]
    pub made_replica: u64,
    /// When it began to run, or 0 while it waits.
    #[prost(uint64, tag = "32")]
    pub started_ms: u64,
    /// The leader of record before the operation named another one, or 0.
    #[prost(uint64, tag = "34")]
    pub led_before: u64,
    /// What it has saved or proved.
    #[prost(message, optional, tag = "52")]
    pub saved: Option<SavedRecord>,
    /// How many replicas its table wished before the operation changed that, or 0.
    #[prost(uint32, tag = "35")]
    pub replicas_before: u32,
}

/// How an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum OperationState {
    /// Waits for its turn: for a limit, or for another operation on the same partition.
    Queued = 0,
    /// Runs.
    Running = 1,
    /// Ended: its outcome is proved.
    Done = 2,
    /// Ended: it could not be done; what it had begun was undone as far as it could be.
    Failed = 3,
    /// Ended: cancelled, and undone; what its parts had done stays.
    Cancelled = 4,
}

impl OperationState {
    /// Whether nothing will happen any more.
    pub const fn has_ended(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }
}

/// What an operation does.
#[derive(Clone, PartialEq, Oneof)]
pub enum OperationKind {
    /// Another replica leads. One partition.
    #[prost(message, tag = "16")]
    ChangeLeader(OnPartition),
    /// One replica more, on a node. One partition.
    #[prost(message, tag = "17")]
    AddReplica(OnPartition),
    /// The replica on a node goes. One partition.
    #[prost(message, tag = "18")]
    RemoveReplica(OnPartition),
    /// A replica moves to another node, and keeps its rank; its old node may be dead. One partition.
    #[prost(message, tag = "19")]
    Migrate(MoveReplica),
    /// The replica on a node loses its vote and its part in redundancy, but stays. One partition.
    #[prost(message, tag = "20")]
    OfflineReplica(OnPartition),
    /// The replica on a node gets back what `OfflineReplica` took, or is made anew if it is lost. One
    /// partition.
    #[prost(message, tag = "21")]
    RecoverReplica(OnPartition),
    /// The log of the replicas is cut as far as it can be. One partition.
    #[prost(message, tag = "22")]
    Snapshot(OnPartition),
    /// Everything on a node goes offline. Parts: `ChangeLeader`, `OfflineReplica`.
    #[prost(message, tag = "23")]
    OfflineNode(OnNode),
    /// Everything on a node comes back. Parts: `RecoverReplica`.
    #[prost(message, tag = "24")]
    RecoverNode(OnNode),
    /// Whatever is wrong with any replica is mended. Parts: `RecoverReplica`.
    #[prost(message, tag = "25")]
    RecoverCluster(crate::kv::Nothing),
    /// Replicas apart and by bytes, leaders by load. Parts: `Migrate`, `ChangeLeader`.
    #[prost(message, tag = "26")]
    Balance(BalanceWish),
    /// A node shall lead nothing. Parts: `ChangeLeader`.
    #[prost(message, tag = "27")]
    Drain(OnNode),
    /// A drained node may lead again.
    #[prost(message, tag = "28")]
    Undrain(OnNode),
    /// Everything on a node moves away, then the node leaves. Parts: `Migrate`.
    #[prost(message, tag = "29")]
    Decommission(OnNode),
    /// A table gets another number of replicas. Parts: `AddReplica`, `RemoveReplica`.
    #[prost(message, tag = "30")]
    SetReplicas(ReplicasWish),
    /// The majority of a partition is lost, and given up: the replica on a node goes on alone. One partition.
    #[prost(message, tag = "33")]
    RecoverQuorum(OnPartition),
    /// The space of what was removed is given back. Parts: `Compact`.
    #[prost(message, tag = "40")]
    Optimize(OptimizeWish),
    /// The replicas give back the space of what was removed, one after another. One partition.
    #[prost(message, tag = "41")]
    Compact(OnPartition),
    /// Tables are saved as of one point in time. Without parts.
    #[prost(message, tag = "50")]
    Backup(BackupWish),
    /// A backup is restored into scratch tables, and compared with its source. Without parts.
    #[prost(message, tag = "51")]
    Drill(DrillWish),
    /// A backup is restored. Parts, once all of it is written: `AddReplica`.
    #[prost(message, tag = "53")]
    Restore(RestoreWish),
}

/// What shall be compacted.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct OptimizeWish {
    /// Only tables of this namespace; empty: of all.
    #[prost(string, tag = "1")]
    pub namespace: String,
    /// Only this table, or 0.
    #[prost(uint64, tag = "2")]
    pub table: u64,
}

/// A partition, and a node of it.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct OnPartition {
    /// The group.
    #[prost(uint64, tag = "1")]
    pub group: u64,
    /// The node; in a request 0 means that the plan chooses.
    #[prost(uint64, tag = "2")]
    pub node: u64,
}

/// A node.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct OnNode {
    /// The node.
    #[prost(uint64, tag = "1")]
    pub node: u64,
}

/// From where to where.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct MoveReplica {
    /// The group.
    #[prost(uint64, tag = "1")]
    pub group: u64,
    /// The node that has the replica.
    #[prost(uint64, tag = "2")]
    pub from: u64,
    /// The node that shall have it; in a request 0 means that the plan chooses.
    #[prost(uint64, tag = "3")]
    pub to: u64,
}

/// What shall be evened out.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct BalanceWish {
    /// Replicas: over dc, rack and host, and by bytes.
    #[prost(bool, tag = "1")]
    pub replicas: bool,
    /// Leaders, by load.
    #[prost(bool, tag = "2")]
    pub leaders: bool,
}

/// How many replicas.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct ReplicasWish {
    /// The table.
    #[prost(uint64, tag = "1")]
    pub table: u64,
    /// How many replicas each partition shall have.
    #[prost(uint32, tag = "2")]
    pub replicas: u32,
}

/// A step of an operation.
#[derive(Clone, PartialEq, Message)]
pub struct StepRecord {
    /// Its name, of the table in `ops`.
    #[prost(string, tag = "1")]
    pub name: String,
    /// When it began, or 0.
    #[prost(uint64, tag = "2")]
    pub begun_ms: u64,
    /// When it was done, or 0.
    #[prost(uint64, tag = "3")]
    pub ended_ms: u64,
}

/// Something that happened to an operation.
#[derive(Clone, PartialEq, Message)]
pub struct EventRecord {
    /// When, milliseconds since 1970.
    #[prost(uint64, tag = "1")]
    pub at_ms: u64,
    /// What, in a sentence.
    #[prost(string, tag = "2")]
    pub text: String,
}

/// The hashes of a partition's replicas at one log position.
#[derive(Clone, PartialEq, Message)]
pub struct EvidenceRecord {
    /// The group.
    #[prost(uint64, tag = "1")]
    pub group: u64,
    /// The log index.
    #[prost(uint64, tag = "2")]
    pub index: u64,
    /// The replicas that were compared.
    #[prost(message, repeated, tag = "3")]
    pub digests: Vec<DigestRecord>,
}

/// The hash of one replica.
#[derive(Clone, PartialEq, Message)]
pub struct DigestRecord {
    /// The replica.
    #[prost(uint64, tag = "1")]
    pub replica: u64,
    /// Its node.
    #[prost(uint64, tag = "2")]
    pub node: u64,
    /// XXH3-128, as hexadecimal text.
    #[prost(string, tag = "3")]
    pub hash: String,
    /// How many records.
    #[prost(uint64, tag = "4")]
    pub records: u64,
}

/// A change of operations and of what they are about: all of it, or nothing.
#[derive(Clone, PartialEq, Message)]
pub struct OperationChange {
    /// Partitions that a plan looked at, as it saw them: if one has changed, nothing is done.
    #[prost(message, repeated, tag = "1")]
    pub expect: Vec<ExpectedPartition>,
    /// New operations. The others are parts of the first if it has no group. If one that goes on does the same, it is
    /// joined, and nothing is started. Reply: `Operations`.
    #[prost(message, repeated, tag = "2")]
    pub start: Vec<OperationRecord>,
    /// Operations as they shall be, each with the revision that it was made from.
    #[prost(message, repeated, tag = "3")]
    pub update: Vec<OperationRecord>,
    /// What the step does to the rest of the catalog.
    #[prost(message, repeated, tag = "4")]
    pub edits: Vec<CatalogEdit>,
    /// Ended operations to be forgotten.
    #[prost(uint64, repeated, tag = "5")]
    pub forget: Vec<u64>,
    /// The operation that does what is wished already, or 0. Refused once it does not go on any more. Reply:
    /// `Operations`.
    #[prost(uint64, tag = "6")]
    pub joins: u64,
}

/// A partition as a plan saw it.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct ExpectedPartition {
    /// The group.
    #[prost(uint64, tag = "1")]
    pub group: u64,
    /// Its route epoch.
    #[prost(uint64, tag = "2")]
    pub route_epoch: u64,
}

/// A change that a step makes.
#[derive(Clone, PartialEq, Message)]
pub struct CatalogEdit {
    /// Which; `None` is one of a newer release.
    #[prost(oneof = "Edit", tags = "1, 2, 3, 4, 5, 6, 7, 8, 20")]
    pub edit: Option<Edit>,
}

/// A change that a step makes. Repeated, it has no effect, or is refused.
#[derive(Clone, PartialEq, Oneof)]
pub enum Edit {
    /// The wish gets one replica more, on this node, at the last rank. Its id is written to
    /// `made_replica` of the operation that is updated with it.
    #[prost(message, tag = "1")]
    AddReplica(OnPartition),
    /// The replica leaves the wish; its successor (if any) takes its rank. Refused if it is not wished for: its node
    /// may have replaced it, and then another one has to leave.
    #[prost(message, tag = "2")]
    RemoveReplica(ReplaceRank),
    /// The replica shall have no vote and counts for nothing, or again as the others.
    #[prost(message, tag = "3")]
    SetOffline(SetOffline),
    /// The replica is the one that shall lead; in manual mode the only one that may.
    #[prost(message, tag = "4")]
    SetLeader(crate::catalog::GroupReplica),
    /// Flags of a node.
    #[prost(message, tag = "5")]
    SetNode(NodeFlags),
    /// A node without replicas leaves the cluster.
    #[prost(message, tag = "6")]
    RemoveNode(OnNode),
    /// How many replicas the partitions of a table shall have. The replicas themselves come and go by other
    /// edits.
    #[prost(message, tag = "7")]
    SetReplicas(ReplicasWish),
    /// A survivor becomes the only member of its group, under a new id; every other replica gets a new id as
    /// well. Refused if the partition has changed since. The survivor's new id is written to `made_replica` of
    /// the operation that is updated with it.
    #[prost(message, tag = "8")]
    TakeOver(TakeOver),
    /// Something came of a schedule of backups.
    #[prost(message, tag = "20")]
    Schedule(ScheduleNews),
}

/// See [`Edit::TakeOver`].
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct TakeOver {
    /// The group.
    #[prost(uint64, tag = "1")]
    pub group: u64,
    /// The replica that survived.
    #[prost(uint64, tag = "2")]
    pub survivor: u64,
    /// The route epoch of the partition that this was decided for.
    #[prost(uint64, tag = "3")]
    pub route_epoch: u64,
    /// The highest term that any replica of the group has named.
    #[prost(uint64, tag = "4")]
    pub term: u64,
    /// The highest epoch of a membership that any has named.
    #[prost(uint64, tag = "5")]
    pub epoch: u64,
}

/// A replica that leaves, and the one that takes its rank.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct ReplaceRank {
    /// The group.
    #[prost(uint64, tag = "1")]
    pub group: u64,
    /// The replica that leaves.
    #[prost(uint64, tag = "2")]
    pub replica: u64,
    /// The replica that takes its rank, or 0.
    #[prost(uint64, tag = "3")]
    pub successor: u64,
}

/// See [`Edit::SetOffline`].
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct SetOffline {
    /// The group.
    #[prost(uint64, tag = "1")]
    pub group: u64,
    /// The replica.
    #[prost(uint64, tag = "2")]
    pub replica: u64,
    /// Offline, or not.
    #[prost(bool, tag = "3")]
    pub offline: bool,
    /// It is taken offline, and led until then.
    #[prost(bool, tag = "4")]
    pub led: bool,
}

/// See [`Edit::SetNode`].
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct NodeFlags {
    /// The node.
    #[prost(uint64, tag = "1")]
    pub node: u64,
    /// It shall lead nothing.
    #[prost(bool, tag = "2")]
    pub drained: bool,
    /// It gets no new replicas, because it is to leave.
    #[prost(bool, tag = "3")]
    pub leaving: bool,
    /// It was taken offline by command, and stays out until it is recovered.
    #[prost(bool, tag = "4")]
    pub offline: bool,
}

/// The right to stop one node.
#[derive(Clone, PartialEq, Message)]
pub struct PermitRecord {
    /// The node.
    #[prost(uint64, tag = "1")]
    pub node: u64,
    /// Who asked.
    #[prost(string, tag = "2")]
    pub holder: String,
    /// When it was granted, milliseconds since 1970.
    #[prost(uint64, tag = "3")]
    pub granted_ms: u64,
    /// When it ends, milliseconds since 1970. Then the node counts as down until it was seen healthy.
    #[prost(uint64, tag = "4")]
    pub until_ms: u64,
}

/// A change of permits.
#[derive(Clone, PartialEq, Message)]
pub struct PermitChange {
    /// The permit to grant; refused unless the permits in force are those of `seen`.
    #[prost(message, optional, tag = "1")]
    pub grant: Option<PermitRecord>,
    /// The nodes whose permits the question took into account.
    #[prost(uint64, repeated, tag = "2")]
    pub seen: Vec<u64>,
    /// The node whose permit ends.
    #[prost(uint64, tag = "3")]
    pub release: u64,
    /// Partitions that the answer looked at, as it saw them: if one has changed, nothing is granted.
    #[prost(message, repeated, tag = "4")]
    pub expect: Vec<ExpectedPartition>,
    /// Who holds the permit that is replaced or ends; empty: nobody, or it ends whoever does.
    #[prost(string, tag = "5")]
    pub holder: String,
    /// A permit that lasts longer than this does not end, milliseconds since 1970; 0: it does.
    #[prost(uint64, tag = "6")]
    pub until_ms: u64,
}
