//! ZanKV's HTTP replies: the shapes of its placement driver and of its data nodes. Every node answers both.
//!
//! Names, and which numbers are text, are ZanKV's: programs that watch ZanKV read these. What has no counterpart
//! here is empty or zero, and never left out if ZanKV always has it.
//!
//! | method and path | reply |
//! |---|---|
//! | `GET /ping` | `OK` |
//! | `GET /info` | [`Info`] |
//! | `GET /namespaces` | [`Namespaces`] |
//! | `GET /datanodes` | [`DataNodes`] |
//! | `GET /listpd` | [`PlacementDrivers`] |
//! | `GET /query/{namespace}` | [`Query`]; 304 if `epoch` is given and it is still that one |
//! | `GET /cluster/stats` | [`ClusterStats`] |
//! | `GET /stats` | [`Stats`] |
//! | `GET /raft/stats` | list of [`RaftStats`] |
//! | `GET /tablestats` | [`TableStatsReply`] |
//! | `GET /querytable/stats/{table}` | [`TableStatsOfAll`] |
//! | `GET /slowlog` | [`SlowLog`]; with the token, since it holds keys and values |
//! | `POST /slowlog/set?loglevel=` | nothing |
//! | `POST /kv/optimize[/{namespace}[/{table}]]` | nothing |
//! | `POST /cluster/namespace/create`, `/cluster/namespace/meta/update` | nothing |
//! | `DELETE` or `POST /cluster/namespace/delete` | nothing |
//!
//! Arguments are in the query of the address. An error is an HTTP status of 400 and up with [`Message`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use types::buckets::{BucketCounts, WriteCounts};

/// An error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// What is wrong.
    pub message: String,
}

/// Who answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Info {
    /// Its release.
    pub version: String,
    /// The host that others reach it at.
    pub broadcast_address: String,
    /// The same.
    pub hostname: String,
    /// The port of this API.
    pub http_port: u16,
    /// The port that takes ZanKV's keys.
    pub redis_port: u16,
    /// When its process began, in seconds since 1970.
    pub start_time: i64,
}

/// The commands that took long at this node. It has no counterpart in ZanKV, which writes them to its log file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SlowLog {
    /// What takes longer is noted, in microseconds; -1: nothing is.
    pub slower_than_micros: i64,
    /// The newest first.
    pub entries: Vec<SlowLogEntry>,
}

/// A command that took long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SlowLogEntry {
    /// Its number, never used again by the same process.
    pub id: u64,
    /// When it was noted, in seconds since 1970.
    pub time: u64,
    /// How long it took, in microseconds.
    pub micros: u64,
    /// Its words, long ones shortened; bytes that are no letters are written as `\x00`.
    pub command: Vec<String>,
    /// The client's address.
    pub client: String,
    /// The client's name, or nothing.
    pub client_name: String,
}

/// The namespaces.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Namespaces {
    /// Their names.
    pub namespaces: Vec<String>,
}

/// A data node. Ports are text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataNode {
    /// `ID:HOST::REDISPORT:HTTPPORT:datanode`.
    pub node_id: String,
    /// Its host.
    pub broadcast_address: String,
    /// The same.
    pub hostname: String,
    /// The port that takes ZanKV's keys.
    pub redis_port: String,
    /// The port of this API.
    pub http_port: String,
    /// Empty: there is no such port.
    pub grpc_port: String,
    /// Its release.
    pub version: String,
    /// Its data centre, or nothing.
    pub dc_info: String,
}

/// The data nodes that live.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataNodes {
    /// In order of their ids.
    pub nodes: Vec<DataNode>,
}

/// A placement driver: a node that replicates the catalog.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PlacementDriver {
    /// The node's id.
    #[serde(rename = "RegID")]
    pub reg_id: u64,
    /// `ID:HOST::HTTPPORT:pd`.
    #[serde(rename = "ID")]
    pub id: String,
    /// Its host.
    #[serde(rename = "NodeIP")]
    pub node_ip: String,
    /// The same.
    pub hostname: String,
    /// The port that takes ZanKV's keys.
    pub redis_port: String,
    /// The port of this API.
    pub http_port: String,
    /// Empty: there is no such port.
    pub rpc_port: String,
    /// Where other nodes reach it.
    pub raft_transport_addr: String,
    /// Its release.
    pub version: String,
    /// Its labels.
    pub tags: BTreeMap<String, String>,
    /// Empty: where a node keeps its data is its own business.
    pub data_root: String,
    /// Empty: replicas travel over the nodes' own connections.
    pub rsync_module: String,
    /// Empty: none of them is a learner.
    pub learner_role: String,
}

/// The placement drivers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlacementDrivers {
    /// In order of their ids.
    pub pdnodes: Vec<PlacementDriver>,
    /// The one that leads, as far as is known.
    pub pdleader: Option<PlacementDriver>,
}

/// Where the partitions of a namespace are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Query {
    /// Changes whenever anything else here does.
    pub epoch: u64,
    /// How many partitions there are.
    pub partition_num: u32,
    /// How many replicas each shall have.
    pub replicator: u32,
    /// As it was asked for.
    pub expire_policy: String,
    /// Always false: every write is synced before it is acknowledged.
    pub fsync_optimized: bool,
    /// What stores it.
    pub eng_type: String,
    /// By number, as text.
    pub partitions: BTreeMap<String, Partition>,
}

/// Where a partition is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Partition {
    /// The node that leads it, or shall.
    pub leader: Option<DataNode>,
    /// The nodes that have a replica, by rank.
    pub replicas: Vec<DataNode>,
}

/// How the cluster is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterStats {
    /// Every partition has its replicas, in sync, with a leader; all nodes are up; and nothing is under way that
    /// takes any of that away for a while.
    pub stable: bool,
}

/// What a node has counted since its process began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// Its release.
    pub version: String,
    /// How long it runs, in seconds.
    pub up_time: u64,
    /// The counters.
    pub stats: NodeCounts,
}

/// What a node has counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeCounts {
    /// By partition.
    pub ns_stats: Vec<PartitionCounts>,
    /// Scans.
    pub scan_stats: ScanStats,
}

/// What a node has counted for a partition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartitionCounts {
    /// `NAMESPACE-PARTITION`; for a table of its own `NAMESPACE:TABLE-PARTITION`.
    pub name: String,
    /// Its tables, if they were asked for.
    pub table_stats: Option<Vec<TableStats>>,
    /// Writes that were applied here.
    pub db_write_stats: WriteStats,
    /// Writes that clients of this node sent, from the command's last byte to its reply.
    pub cluster_write_stats: WriteStats,
    /// What its engine tells.
    pub internal_stats: BTreeMap<String, u64>,
    /// What compactions removed.
    pub db_compact_stats: CompactStats,
    /// What stores it.
    pub eng_type: String,
    /// Whether this node leads it.
    pub is_leader: bool,
    /// Left out while it is empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub top_n_write_keys: Vec<KeyCount>,
    /// Left out while it is empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub top_n_large_coll_keys: Vec<KeyCount>,
}

/// Writes by size and by latency; see [`types::buckets`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteStats {
    /// By bytes.
    pub value_size_stats: BucketCounts,
    /// By microseconds.
    pub write_latency_stats: BucketCounts,
}

impl From<WriteCounts> for WriteStats {
    fn from(counts: WriteCounts) -> Self {
        Self { value_size_stats: counts.sizes, write_latency_stats: counts.latencies }
    }
}

/// Scans of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanStats {
    /// How many.
    pub scan_count: u64,
    /// By microseconds.
    pub scan_latency_stats: BucketCounts,
}

/// What compactions removed; zeros are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CompactStats {
    /// Expired records.
    #[serde(skip_serializing_if = "is_zero")]
    pub expired_clean_cnt: u64,
    /// Old versions.
    #[serde(skip_serializing_if = "is_zero")]
    pub version_clean_cnt: u64,
    /// Deleted records.
    #[serde(skip_serializing_if = "is_zero")]
    pub del_clean_cnt: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A key and a number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct KeyCount {
    /// The key.
    pub key: String,
    /// The number.
    pub cnt: i32,
}

/// A table of a namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TableStats {
    /// Its name.
    pub name: String,
    /// Its keys.
    pub key_num: u64,
    /// Bytes on disk: its part of the partition's, by the number of keys.
    pub disk_bytes_usage: u64,
    /// The same as `key_num`.
    pub approximate_key_num: u64,
}

/// Tables: by namespace if one table name was asked for, else by `NAMESPACE:TABLE`.
pub type TablesByNamespace = BTreeMap<String, TableStats>;

/// A table as one node has it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TableStatsReply {
    /// As [`TablesByNamespace`] says.
    pub table_stats: TablesByNamespace,
}

/// A table as all nodes have it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TableStatsOfAll {
    /// Of all nodes together.
    pub total: TablesByNamespace,
    /// By `node_id`; nodes that do not answer are missing.
    pub nodes: BTreeMap<String, TablesByNamespace>,
}

/// A member of a partition's group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupMember {
    /// Its replica.
    pub id: u64,
    /// Its node.
    pub node_id: u64,
    /// As [`PartitionCounts::name`].
    pub group_name: String,
    /// Its group.
    pub group_id: u64,
    /// Where its node is reached by others.
    pub peer_urls: Vec<String>,
}

/// How the group of a partition is, as one of its replicas sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RaftStats {
    /// Who leads.
    pub leader_info: Option<GroupMember>,
    /// Those with a vote.
    pub members: Vec<GroupMember>,
    /// Those without.
    pub learners: Vec<GroupMember>,
    /// Raft's own numbers.
    pub raft_stat: RaftStat,
}

/// Raft's own numbers of a replica.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RaftStat {
    /// The replica; left out while it is zero.
    #[serde(skip_serializing_if = "is_zero")]
    pub id: u64,
    /// Its term; left out while it is zero.
    #[serde(skip_serializing_if = "is_zero")]
    pub term: u64,
    /// The replica that it voted for in that term, or 0.
    pub vote: u64,
    /// The last index that it knows to be committed.
    pub commit: u64,
    /// The replica that leads, or 0.
    pub lead: u64,
    /// `StateLeader`, `StateFollower`, `StateCandidate` or `StatePreCandidate`.
    pub raft_state: String,
    /// The last index that it has applied.
    pub applied: u64,
    /// On the leader: how far the others are, by replica as text.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub progress: BTreeMap<String, RaftProgress>,
    /// The replica that is to lead, or 0.
    pub lead_transferee: u64,
}

/// How far a replica is, as its leader knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RaftProgress {
    /// The last index of its log that is known.
    #[serde(rename = "match")]
    pub matched: u64,
    /// The next index that it is sent.
    pub next: u64,
    /// `StateProbe`, `StateReplicate` or `StateSnapshot`.
    pub state: String,
}
