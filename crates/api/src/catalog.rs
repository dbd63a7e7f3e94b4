//! The catalog's records and commands: what a cluster knows of itself, as plain data.
//!
//! Commands are the bodies of `Data` requests to group 0. Records are stored one by one under short
//! names and sent to nodes that do not replicate the catalog.

use prost::{Message, Oneof};

use crate::peer::Membership;

/// A change of the catalog.
#[derive(Clone, PartialEq, Message)]
pub struct CatalogCommand {
    /// What to do; `None` is a command of a newer release.
    #[prost(oneof = "CatalogOp", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 20")]
    pub op: Option<CatalogOp>,
}

/// What to do.
#[derive(Clone, PartialEq, Oneof)]
pub enum CatalogOp {
    /// First command of a cluster: its id, its nodes, who replicates the catalog. Repeated: no effect.
    #[prost(message, tag = "1")]
    Bootstrap(Bootstrap),
    /// A node tells where it is and what it runs. Id 0 asks for a new id. Reply: `Node`.
    #[prost(message, tag = "2")]
    RegisterNode(NodeRecord),
    /// Make a table. Reply: `Table`.
    #[prost(message, tag = "3")]
    CreateTable(NewTable),
    /// Drop a table. Reply: `Ok`.
    #[prost(message, tag = "4")]
    DropTable(TableName),
    /// These replicas exist durably on their nodes: whoever misses them later has lost them.
    #[prost(message, tag = "5")]
    Established(Established),
    /// A group's leader tells the membership in force.
    #[prost(message, tag = "6")]
    Observed(ObservedMembership),
    /// A replica's state is lost or damaged: replace it by one with a new id on the same node.
    #[prost(message, tag = "7")]
    ReplaceReplica(ReplaceReplica),
    /// Change a setting. Reply: `Ok`.
    #[prost(message, tag = "8")]
    Set(SetSetting),
    /// Start, advance or forget operations. Reply: `Operations`.
    #[prost(message, tag = "9")]
    Operate(crate::operation::OperationChange),
    /// Grant or end the right to stop a node. Reply: `Ok`.
    #[prost(message, tag = "10")]
    Permit(crate::operation::PermitChange),
    /// The catalog's own group has lost its majority for good, and a survivor leads it alone. Reply: `Ok`.
    #[prost(message, tag = "11")]
    RecoverCatalog(RecoverCatalog),
    /// A table that was made for a restore holds all of it: clients may use it. Reply: `Ok`.
    #[prost(message, tag = "12")]
    Restored(TableName),
    /// Begin or end the archive of changes. Reply: `Ok`.
    #[prost(message, tag = "13")]
    Archive(ArchiveChange),
    /// Set or remove a schedule of backups. Reply: `Ok`.
    #[prost(message, tag = "20")]
    Schedule(crate::saving::ScheduleChange),
    /// A group that has not begun gets other founders. Reply: `Ok`.
    #[prost(message, tag = "14")]
    ChooseFounders(ChooseFounders),
}

/// Begins or ends the archive.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ArchiveChange {
    /// This one begins; nothing if the one that there is ends.
    #[prost(message, optional, tag = "1")]
    pub begin: Option<ArchiveRecord>,
}

/// The archive: where changes of tables go, continuously.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ArchiveRecord {
    /// Under which number partitions keep changes for it; random, not 0.
    #[prost(fixed64, tag = "1")]
    pub archive: u64,
    /// Its name in the target.
    #[prost(string, tag = "2")]
    pub id: String,
    /// The target.
    #[prost(string, tag = "3")]
    pub url: String,
    /// Tables, as `namespace:name`; none, and no namespace either, means all, those that are made later included.
    #[prost(string, repeated, tag = "4")]
    pub tables: Vec<String>,
    /// How often changes are written, in milliseconds.
    #[prost(uint64, tag = "5")]
    pub every_ms: u64,
    /// Most bytes of changes that a partition keeps until they are written; then there is a gap.
    #[prost(uint64, tag = "6")]
    pub hold_bytes_max: u64,
    /// When it began, milliseconds since 1970.
    #[prost(uint64, tag = "7")]
    pub begun_ms: u64,
    /// It has ended; partitions that have not heard of it still keep changes for it.
    #[prost(bool, tag = "8")]
    pub ended: bool,
    /// The cluster removes what is older than this, in milliseconds, and needed by no backup; 0 is nothing.
    #[prost(uint64, tag = "9")]
    pub keep_ms: u64,
    /// Namespaces: all their tables, those that are made later included.
    #[prost(string, repeated, tag = "10")]
    pub namespaces: Vec<String>,
}

/// Other founders for a group that has not begun, because a majority of the first ones cannot be made.
#[derive(Clone, PartialEq, Message)]
pub struct ChooseFounders {
    /// The group.
    #[prost(uint64, tag = "1")]
    pub group: u64,
    /// The partition's route epoch when they were chosen.
    #[prost(uint64, tag = "2")]
    pub route_epoch: u64,
    /// Their nodes, in order of rank; as many as it had.
    #[prost(uint64, repeated, tag = "3")]
    pub nodes: Vec<u64>,
}

/// The survivor of the catalog's own group, which says so as its leader.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct RecoverCatalog {
    /// Its node.
    #[prost(uint64, tag = "1")]
    pub node: u64,
    /// The id under which it goes on.
    #[prost(uint64, tag = "2")]
    pub replica: u64,
    /// A term in which it leads, of an era that no replica of the old group can reach.
    #[prost(uint64, tag = "3")]
    pub term: u64,
}

/// First command of a cluster. It also stands, encoded, in every founding node's data directory.
#[derive(Clone, PartialEq, Message)]
pub struct Bootstrap {
    /// The cluster's id.
    #[prost(uint64, tag = "1")]
    pub cluster: u64,
    /// The founding nodes, ids assigned.
    #[prost(message, repeated, tag = "2")]
    pub nodes: Vec<NodeRecord>,
    /// Group 0 at its birth.
    #[prost(message, optional, tag = "3")]
    pub membership: Option<Membership>,
    /// Tables to make at once.
    #[prost(message, repeated, tag = "4")]
    pub tables: Vec<NewTable>,
}

/// A node as the catalog knows it.
#[derive(Clone, PartialEq, Message)]
pub struct NodeRecord {
    /// Its id.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// Where other nodes reach it.
    #[prost(string, tag = "2")]
    pub endpoint: String,
    /// Where Redis clients reach it.
    #[prost(string, tag = "3")]
    pub redis: String,
    /// Where Redis clients with ZanKV addressing reach it.
    #[prost(string, tag = "4")]
    pub zankv: String,
    /// Where its HTTP API is.
    #[prost(string, tag = "5")]
    pub http: String,
    /// `meta`, `data`, `gateway`, `worker`, `syncer`.
    #[prost(string, repeated, tag = "6")]
    pub roles: Vec<String>,
    /// The run of its process that registered last.
    #[prost(uint64, tag = "7")]
    pub boot: u64,
    /// The release that it runs.
    #[prost(string, tag = "8")]
    pub version: String,
    /// The highest feature level that it can work at.
    #[prost(uint32, tag = "9")]
    pub feature_level: u32,
    /// `dc`, `rack`, `host` and whatever else, sorted by name.
    #[prost(message, repeated, tag = "10")]
    pub labels: Vec<Label>,
    /// Names its data directory; random, made with it. Another one under the same node id means that the
    /// node has lost whatever it had. 0 while unknown.
    #[prost(fixed64, tag = "11")]
    pub store: u64,
}

/// A name and a value.
#[derive(Clone, PartialEq, Message)]
pub struct Label {
    /// The name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The value.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// A wish for a table.
#[derive(Clone, PartialEq, Message)]
pub struct NewTable {
    /// Its namespace.
    #[prost(string, tag = "1")]
    pub namespace: String,
    /// Its name.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Its engine.
    #[prost(enumeration = "EngineKind", tag = "3")]
    pub engine: i32,
    /// How keys find their partition.
    #[prost(enumeration = "HashBy", tag = "4")]
    pub hash: i32,
    /// How many partitions.
    #[prost(uint32, tag = "5")]
    pub partitions: u32,
    /// How many replicas of each; 0 means three, or as many as there are nodes.
    #[prost(uint32, tag = "6")]
    pub replicas: u32,
    /// See [`TableRecord::options`].
    #[prost(message, repeated, tag = "7")]
    pub options: Vec<Label>,
    /// See [`TableRecord::scratch_of`].
    #[prost(uint64, tag = "8")]
    pub scratch_of: u64,
    /// See [`TableRecord::restoring`].
    #[prost(string, tag = "9")]
    pub restoring: String,
    /// The operation that restores into it, or 0: it is made only as long as that one goes on.
    #[prost(uint64, tag = "10")]
    pub restored_by: u64,
}

/// A table's name.
#[derive(Clone, PartialEq, Message)]
pub struct TableName {
    /// Its namespace.
    #[prost(string, tag = "1")]
    pub namespace: String,
    /// Its name.
    #[prost(string, tag = "2")]
    pub name: String,
}

/// What stores a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum EngineKind {
    /// The catalog itself.
    Catalog = 0,
    /// Redis values.
    Kv = 1,
}

/// See `types::hash::HashRule`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum HashBy {
    /// The key or its `{tag}`.
    Tag = 0,
    /// The whole stored key.
    Whole = 1,
    /// Only in a wish: `Tag` in the namespace `default`, `Whole` in every other.
    ByNamespace = 2,
}

/// A table as the catalog knows it.
#[derive(Clone, PartialEq, Message)]
pub struct TableRecord {
    /// Its id.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// Its namespace.
    #[prost(string, tag = "2")]
    pub namespace: String,
    /// Its name.
    #[prost(string, tag = "3")]
    pub name: String,
    /// Its engine.
    #[prost(enumeration = "EngineKind", tag = "4")]
    pub engine: i32,
    /// How keys find their partition.
    #[prost(enumeration = "HashBy", tag = "5")]
    pub hash: i32,
    /// How many replicas each partition shall have.
    #[prost(uint32, tag = "6")]
    pub replicas: u32,
    /// The generation that requests go to.
    #[prost(uint64, tag = "7")]
    pub generation: u64,
    /// The groups of that generation, by partition.
    #[prost(uint64, repeated, tag = "8")]
    pub groups: Vec<u64>,
    /// What was said when it was made, for tools that ask for it again; it decides nothing. Sorted by name.
    #[prost(message, repeated, tag = "9")]
    pub options: Vec<Label>,
    /// The operation that needs it for a while, or 0: it is dropped when that one does not go on any more.
    #[prost(uint64, tag = "10")]
    pub scratch_of: u64,
    /// The backup that is being restored into it. Until all of it is there, no client is served, so that a part is
    /// never taken for the whole. Empty for every other table.
    #[prost(string, tag = "11")]
    pub restoring: String,
}

/// A partition as the catalog knows it.
#[derive(Clone, PartialEq, Message)]
pub struct PartitionRecord {
    /// Its group.
    #[prost(uint64, tag = "1")]
    pub group: u64,
    /// Its table.
    #[prost(uint64, tag = "2")]
    pub table: u64,
    /// Its generation.
    #[prost(uint64, tag = "3")]
    pub generation: u64,
    /// Its place in the generation.
    #[prost(uint64, tag = "4")]
    pub index: u64,
    /// Rises when its replicas change.
    #[prost(uint64, tag = "5")]
    pub route_epoch: u64,
    /// The replicas wished for, in order of rank: the first is the leader preferred at birth.
    #[prost(message, repeated, tag = "6")]
    pub replicas: Vec<ReplicaRecord>,
    /// The id that the next replica gets.
    #[prost(uint64, tag = "7")]
    pub next_replica: u64,
    /// The membership that its leader reported last.
    #[prost(message, optional, tag = "8")]
    pub observed: Option<Membership>,
    /// Its engine.
    #[prost(enumeration = "EngineKind", tag = "9")]
    pub engine: i32,
    /// The replica that led last as far as the catalog was told, or that an operation made leader; 0 while
    /// unknown. While nobody may take over by himself, it is the only one that campaigns.
    #[prost(uint64, tag = "11")]
    pub leader: u64,
    /// The term in which it led.
    #[prost(uint64, tag = "12")]
    pub leader_term: u64,
    /// The membership that every founding replica is born with. Never changes once the group may begin, because
    /// replicas that began with different memberships could elect two leaders.
    #[prost(message, optional, tag = "10")]
    pub birth: Option<Membership>,
    /// The last time that its majority was lost, and given up.
    #[prost(message, optional, tag = "13")]
    pub takeover: Option<Takeover>,
    /// A majority of its founders exists, so it may begin: elect a leader, and acknowledge. Until then none of its
    /// founders begins, and others may be chosen.
    #[prost(bool, tag = "14")]
    pub may_begin: bool,
}

/// A survivor of a lost majority goes on alone, under a new id.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Takeover {
    /// The id under which it goes on. Lower ids are of the old group.
    #[prost(uint64, tag = "1")]
    pub replica: u64,
    /// The id that it had.
    #[prost(uint64, tag = "2")]
    pub survivor: u64,
    /// The term that it begins in: of an era that no replica of the old group can reach.
    #[prost(uint64, tag = "3")]
    pub term: u64,
    /// The epoch of the membership that it begins with, of that era.
    #[prost(uint64, tag = "4")]
    pub epoch: u64,
    /// Its node.
    #[prost(uint64, tag = "5")]
    pub node: u64,
}

impl PartitionRecord {
    /// Whether a replica is of a group that was given up, or of founders that others were chosen for: it shall lead
    /// nothing any more.
    pub fn has_given_up(&self, replica: u64) -> bool {
        let founders = self.birth.iter().flat_map(|birth| &birth.members);
        let first = founders.map(|founder| founder.replica).min().unwrap_or(0);
        replica < first || self.takeover.is_some_and(|takeover| replica < takeover.replica)
    }

    /// Whether the survivor of a group that was given up has yet to lead. Until then nothing of the old group is
    /// removed: it may be all that there is.
    pub fn awaits_survivor(&self) -> bool {
        self.takeover.is_some_and(|takeover| self.leader_term <= takeover.term)
    }
}

/// A replica wished for.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct ReplicaRecord {
    /// Its id.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// Its node.
    #[prost(uint64, tag = "2")]
    pub node: u64,
    /// It is a member from the group's birth; others begin empty and wait for a snapshot.
    #[prost(bool, tag = "3")]
    pub founding: bool,
    /// It has existed durably on its node; if it is missing there, it is lost.
    #[prost(bool, tag = "4")]
    pub established: bool,
    /// It was taken offline by command: it has no vote and counts for nothing until it is recovered.
    #[prost(bool, tag = "5")]
    pub offline: bool,
    /// It led until it was taken offline.
    #[prost(bool, tag = "6")]
    pub led: bool,
}

/// Replicas that exist durably.
#[derive(Clone, PartialEq, Message)]
pub struct Established {
    /// Group and replica of each.
    #[prost(message, repeated, tag = "1")]
    pub replicas: Vec<GroupReplica>,
}

/// A replica by its group.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct GroupReplica {
    /// The group.
    #[prost(uint64, tag = "1")]
    pub group: u64,
    /// The replica.
    #[prost(uint64, tag = "2")]
    pub replica: u64,
}

/// The membership in force.
#[derive(Clone, PartialEq, Message)]
pub struct ObservedMembership {
    /// The group.
    #[prost(uint64, tag = "1")]
    pub group: u64,
    /// Its membership.
    #[prost(message, optional, tag = "2")]
    pub membership: Option<Membership>,
    /// The replica that leads and says so.
    #[prost(uint64, tag = "3")]
    pub leader: u64,
    /// Its term: word of an older one than is known has no effect on the leader.
    #[prost(uint64, tag = "4")]
    pub term: u64,
}

/// Replace a lost or damaged replica on its own node.
#[derive(Clone, PartialEq, Message)]
pub struct ReplaceReplica {
    /// The group.
    #[prost(uint64, tag = "1")]
    pub group: u64,
    /// The replica that is lost.
    #[prost(uint64, tag = "2")]
    pub replica: u64,
    /// Why, for the log.
    #[prost(string, tag = "3")]
    pub reason: String,
}

/// Change a setting.
#[derive(Clone, PartialEq, Message)]
pub struct SetSetting {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its value as typed.
    #[prost(string, tag = "2")]
    pub value: String,
    /// Who changes it.
    #[prost(string, tag = "3")]
    pub by: String,
    /// When, milliseconds since 1970.
    #[prost(uint64, tag = "4")]
    pub at_ms: u64,
}

/// What the catalog knows of the cluster itself. The counters only rise: an id is given out once.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct ClusterRecord {
    /// The cluster's id; never 0.
    #[prost(uint64, tag = "1")]
    pub cluster: u64,
    /// Rises with every change.
    #[prost(uint64, tag = "2")]
    pub version: u64,
    /// The id that the next node gets.
    #[prost(uint64, tag = "3")]
    pub next_node: u64,
    /// The id that the next table gets.
    #[prost(uint64, tag = "4")]
    pub next_table: u64,
    /// The id that the next group gets.
    #[prost(uint64, tag = "5")]
    pub next_group: u64,
    /// The id that the next operation gets; 0 as long as there was none, and then it is 1.
    #[prost(uint64, tag = "6")]
    pub next_operation: u64,
}

/// A setting that was set; others have their default.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SettingRecord {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its value as typed.
    #[prost(string, tag = "2")]
    pub value: String,
    /// Who changed it last.
    #[prost(string, tag = "3")]
    pub by: String,
    /// When, milliseconds since 1970.
    #[prost(uint64, tag = "4")]
    pub at_ms: u64,
    /// Its value before, as typed; empty if that was the default.
    #[prost(string, tag = "5")]
    pub before: String,
}

/// A copy of a catalog for nodes that do not replicate it, each kind of record in order of its id or name.
/// Operations stay with those that do.
#[derive(Clone, PartialEq, Message)]
pub struct CatalogState {
    /// The cluster; absent before its first command.
    #[prost(message, optional, tag = "1")]
    pub cluster: Option<ClusterRecord>,
    /// The nodes.
    #[prost(message, repeated, tag = "2")]
    pub nodes: Vec<NodeRecord>,
    /// The tables, the system table included.
    #[prost(message, repeated, tag = "3")]
    pub tables: Vec<TableRecord>,
    /// The partitions of all tables.
    #[prost(message, repeated, tag = "4")]
    pub partitions: Vec<PartitionRecord>,
    /// The settings.
    #[prost(message, repeated, tag = "5")]
    pub settings: Vec<SettingRecord>,
    /// Flags of nodes that have any.
    #[prost(message, repeated, tag = "6")]
    pub flags: Vec<crate::operation::NodeFlags>,
    /// Permits in force.
    #[prost(message, repeated, tag = "7")]
    pub permits: Vec<crate::operation::PermitRecord>,
    /// The archive, if there is one.
    #[prost(message, optional, tag = "9")]
    pub archive: Option<ArchiveRecord>,
}

/// A read of the catalog: the body of a `Read` request to group 0.
#[derive(Clone, PartialEq, Message)]
pub struct CatalogRead {
    /// What to read; `None` is a read of a newer release.
    #[prost(oneof = "CatalogQuery", tags = "1, 2, 3")]
    pub query: Option<CatalogQuery>,
}

/// What to read.
#[derive(Clone, PartialEq, Oneof)]
pub enum CatalogQuery {
    /// A whole copy. Reply: `Copy`.
    #[prost(message, tag = "1")]
    Whole(crate::kv::Nothing),
    /// A whole copy if it is newer than this version. Reply: `Copy` or `Unchanged`.
    #[prost(uint64, tag = "2")]
    NewerThan(u64),
    /// Every record, operations included, to be kept outside of the cluster. Reply: `Records`.
    #[prost(message, tag = "3")]
    Records(crate::kv::Nothing),
}

/// The answer to a read.
#[derive(Clone, PartialEq, Message)]
pub struct CatalogReadReply {
    /// The answer; `None` is one of a newer release.
    #[prost(oneof = "CatalogFound", tags = "1, 2, 3, 4")]
    pub found: Option<CatalogFound>,
}

/// What a read found.
#[derive(Clone, PartialEq, Oneof)]
pub enum CatalogFound {
    /// The catalog.
    #[prost(message, tag = "1")]
    Copy(crate::frame::CatalogCopy),
    /// There is nothing newer.
    #[prost(message, tag = "2")]
    Unchanged(crate::kv::Nothing),
    /// Not a read that this release knows.
    #[prost(message, tag = "3")]
    Refused(crate::peer::Refused),
    /// Every record.
    #[prost(message, tag = "4")]
    Records(CatalogRecords),
}

/// Every record of a catalog, as they are stored.
#[derive(Clone, PartialEq, Message)]
pub struct CatalogRecords {
    /// The catalog's version, of which all of them are.
    #[prost(uint64, tag = "1")]
    pub version: u64,
    /// The records, in order of their names.
    #[prost(message, repeated, tag = "2")]
    pub records: Vec<StoredRecord>,
}

/// A record as it is stored.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct StoredRecord {
    /// Its name.
    #[prost(bytes = "bytes", tag = "1")]
    pub name: bytes::Bytes,
    /// Its bytes.
    #[prost(bytes = "bytes", tag = "2")]
    pub value: bytes::Bytes,
}

/// The answer to a command.
#[derive(Clone, PartialEq, Message)]
pub struct CatalogReply {
    /// The answer; `None` is one of a newer release.
    #[prost(oneof = "CatalogAnswer", tags = "1, 2, 3, 4, 5")]
    pub answer: Option<CatalogAnswer>,
}

/// What a reply says.
#[derive(Clone, PartialEq, Oneof)]
pub enum CatalogAnswer {
    /// Done, or nothing to do.
    #[prost(message, tag = "1")]
    Ok(crate::kv::Nothing),
    /// A table.
    #[prost(message, tag = "2")]
    Table(TableRecord),
    /// A node.
    #[prost(message, tag = "3")]
    Node(NodeRecord),
    /// Refused; nothing changed.
    #[prost(message, tag = "4")]
    Refused(crate::peer::Refused),
    /// The ids of the operations that were started, or of the one that does the same already.
    #[prost(message, tag = "5")]
    Operations(OperationIds),
}

/// Ids of operations, in the order of the wishes.
#[derive(Clone, PartialEq, Message)]
pub struct OperationIds {
    /// The ids.
    #[prost(uint64, repeated, tag = "1")]
    pub ids: Vec<u64>,
    /// Nothing was started: the first one went on already, and does what was wished.
    #[prost(bool, tag = "2")]
    pub joined: bool,
}
