//! The admin API's JSON: what the command line, the console and other programs may ask and be told.
//!
//! | method and path | body | reply |
//! |---|---|---|
//! | `GET /health` | | 200 `ready` once the node serves, else 503 and why; no secret needed |
//! | `GET /metrics` | | Prometheus text; no secret needed |
//! | `GET /v1/identity` | | [`Identity`]; no secret needed |
//! | `GET /v1/status` | | [`Status`] |
//! | `GET /v1/nodes` | | list of [`NodeStatus`] |
//! | `POST /v1/nodes` | [`JoinNode`] | [`Joined`]: the cluster knows the node |
//! | `GET /v1/tables` | | list of [`Table`] |
//! | `POST /v1/tables` | [`CreateTable`] | [`Table`] |
//! | `GET /v1/tables/{namespace}/{name}` | | [`Table`] |
//! | `DELETE /v1/tables/{namespace}/{name}` | | `{}` |
//! | `GET /v1/namespaces` | | list of [`Namespace`] |
//! | `POST /v1/namespaces` | [`CreateNamespace`] | [`Namespace`] |
//! | `DELETE /v1/namespaces/{name}` | | `{}` |
//! | `POST /v1/leader` | [`MoveLeader`] | `{}` once the replica leads |
//! | `POST /v1/plan` | [`OperationRequest`] | [`Plan`]: what it would do; nothing changes |
//! | `POST /v1/operations` | [`StartOperation`] | [`Operation`]: it is persisted, and runs; the one that does the same already, if one goes on |
//! | `GET /v1/operations` | | list of [`Operation`], oldest first |
//! | `GET /v1/operations/{id}` | | [`Operation`] |
//! | `POST /v1/operations/{id}/cancel` | | [`Operation`] |
//! | `DELETE /v1/operations/{id}` | | `{}`: an ended one is forgotten |
//! | `GET /v1/operations/{id}/explain` | | [`Explanation`] |
//! | `GET /v1/explain/nodes/{id}` | | [`Explanation`] |
//! | `GET /v1/explain/partitions/{namespace}/{name}/{partition}` | | [`Explanation`] |
//! | `POST /v1/nodes/{id}/permit` | [`PermitRequest`] | [`Permit`]: the node may be stopped |
//! | `DELETE /v1/nodes/{id}/permit` | | `{}`: it is given back |
//! | `GET /v1/settings` | | list of [`SettingValue`] |
//! | `PUT /v1/settings/{name}` | [`SetSetting`] | [`SettingValue`] |
//! | `GET /v1/catalog` | | [`crate::recovery::CatalogSurvivor`]: what this node has of the catalog's own group |
//! | `POST /v1/catalog/recover` | [`crate::recovery::GiveUpCatalogMajority`] | `{}`: this node's replica goes on alone once it is at rest |
//! | `POST /v1/digest` | [`TablePartition`] | [`DigestReport`]: the hash of every replica at one log position |
//!
//! Every request to `/v1/` but `identity` carries `Authorization: Bearer TOKEN` with
//! [`crate::auth`]'s admin token of the cluster's secret. An error is an HTTP status of 400 and up with
//! [`ErrorBody`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use types::{ErrorCode, Fault, NodeId};

/// The one-word answer to "is it well?".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Every replica is in sync.
    Healthy,
    /// Everything is served, with less redundancy than wished.
    Degraded,
    /// Some partition has no leader, or its leader has no majority.
    Unavailable,
}

/// How the cluster is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// In a word.
    pub verdict: Verdict,
    /// In a sentence.
    pub summary: String,
    /// The cluster's id, as hexadecimal text.
    pub cluster: String,
    /// How many more nodes, whichever they are, may be lost with everything still served.
    pub fault_tolerance: u32,
    /// How many whole places may be lost, whichever they are, with everything still served: by `dc`, `rack`
    /// and `host`, as far as nodes have such labels. A node without the label `host` stands on the host of its address;
    /// then hosts are told of if there are several, and one of them has more than one node.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tolerance_by: BTreeMap<String, u32>,
    /// The node that leads the catalog; absent while there is none.
    pub leader: Option<u64>,
    /// The version of the catalog that this was made from.
    pub catalog_version: u64,
    /// All nodes.
    pub nodes: Vec<NodeStatus>,
    /// All partitions of all tables, and the catalog's group as table `catalog`.
    pub partitions: Vec<PartitionStatus>,
}

/// How a node is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Its id.
    pub id: u64,
    /// Where other nodes reach it.
    pub endpoint: String,
    /// Where Redis clients reach it.
    pub redis: String,
    /// Where Redis clients with ZanKV addressing reach it.
    pub zankv: String,
    /// Where its HTTP API is.
    pub http: String,
    /// What it does: `meta`, `data`, `gateway`, …
    pub roles: Vec<String>,
    /// `up`, `suspect` or `down`.
    pub state: String,
    /// How long it has been so, in milliseconds: since its process started, or since it was heard of last.
    #[serde(default)]
    pub since_ms: u64,
    /// Its process id; 0 while unknown.
    pub pid: u32,
    /// The release that it runs.
    pub version: String,
    /// Replicas that it hosts.
    pub replicas: u32,
    /// Groups that it leads.
    pub leads: u32,
    /// What was done to it by command: `drained`, `leaving`, `offline`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
    /// Where it stands: `dc`, `rack`, `host` and whatever else.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Bytes that its disk has left for data; absent while it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_bytes: Option<u64>,
    /// Its process has ended and begun anew time after time: until it has been up for a while the cluster gives it nothing
    /// by itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub flapping: bool,
}

/// A node that wants to be known: a new one, or one of the cluster that tells where it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JoinNode {
    /// Its id; 0 asks for a new one.
    pub node: u64,
    /// The run of its process, or whatever random number a new node asks under, as hexadecimal text. Whoever asks
    /// again under the same gets the same id.
    pub boot: String,
    /// Where other nodes reach it.
    pub endpoint: String,
    /// Where Redis clients reach it.
    pub redis: String,
    /// Where Redis clients with ZanKV addressing reach it.
    pub zankv: String,
    /// Where its HTTP API is.
    pub http: String,
    /// What it does; none means everything.
    #[serde(default)]
    pub roles: Vec<String>,
    /// The release that it runs.
    pub version: String,
    /// The highest feature level that it can work at.
    pub feature_level: u32,
    /// `dc`, `rack`, `host` and whatever else.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Its data directory, as hexadecimal text; 0 while it has none.
    pub store: String,
}

/// The answer to [`JoinNode`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Joined {
    /// The cluster's id, as hexadecimal text.
    pub cluster: String,
    /// The node's id.
    pub node: u64,
}

/// How a partition is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartitionStatus {
    /// `namespace:name` of its table, or just the name in the default namespace.
    pub table: String,
    /// Its place in the table.
    pub partition: u64,
    /// Its Raft group.
    pub group: u64,
    /// The node of its leader; absent while there is none.
    pub leader: Option<u64>,
    /// Its replicas.
    pub replicas: Vec<ReplicaStatus>,
    /// What is wrong with it; empty when nothing is.
    pub problem: String,
    /// Live records, as its leader reports, or without one the replica that got furthest.
    pub records: u64,
    /// Bytes of state, by the same, approximate.
    pub bytes: u64,
}

/// How a replica is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReplicaStatus {
    /// Its id in its group.
    pub replica: u64,
    /// Its node.
    pub node: u64,
    /// `leader`, `follower` or `learner`.
    pub role: String,
    /// `in-sync`, `catching-up`, `starting`, `stopped`, `lost`, `offline` when a command has taken its vote,
    /// or `unreachable` when its node is not up.
    pub state: String,
    /// The last log index that it applied.
    pub applied: u64,
    /// Requests of clients that it applied since the partition was made, as it said last; absent while it
    /// has said nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writes: Option<u64>,
    /// Its live records, as it said last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<u64>,
    /// Its bytes of state, as it said last, approximate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// It is no longer wished for, and stays until the others have let it go.
    #[serde(default)]
    pub leaving: bool,
    /// It is out of service, and led when it went.
    #[serde(default)]
    pub led: bool,
}

/// Who answers at an address.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// The cluster's id, as hexadecimal text.
    pub cluster: String,
    /// What people call the cluster; empty if the node was not told.
    #[serde(default)]
    pub name: String,
    /// The node.
    pub node: u64,
    /// The run of its process, as hexadecimal text.
    pub boot: String,
    /// Its process id.
    pub pid: u32,
    /// The release that it runs.
    pub version: String,
    /// Whether it serves.
    pub ready: bool,
}

/// A table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// Its id.
    pub tid: u64,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its engine.
    pub engine: String,
    /// How many partitions it has.
    pub partitions: u32,
    /// How many replicas each partition shall have.
    pub replicas: u32,
    /// Its generation in force.
    pub generation: u64,
    /// How keys find their partition: `tag` or `whole`.
    pub hash: String,
    /// The backup that is being restored into it; no client is served until all of it is there.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub restoring: String,
}

/// A wish for a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CreateTable {
    /// Its namespace; `default` when absent.
    #[serde(default)]
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// Its engine; `kv` when absent.
    #[serde(default)]
    pub engine: Option<String>,
    /// How many partitions; 8 when absent.
    #[serde(default)]
    pub partitions: Option<u32>,
    /// How many replicas; 3, or as many as there are nodes, when absent.
    #[serde(default)]
    pub replicas: Option<u32>,
}

/// A namespace as ZanKV means it: it has the partitions, and a table is the first part of a key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Namespace {
    /// Its name.
    pub name: String,
    /// How many partitions it has.
    pub partitions: u32,
    /// How many replicas each partition shall have.
    pub replicas: u32,
    /// As it was asked for: `value_header_v1` or `default`.
    pub data_version: String,
    /// As it was asked for: `wait_compact` or `local_deletion`.
    pub expiration_policy: String,
}

/// A wish for a namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CreateNamespace {
    /// Its name.
    pub name: String,
    /// How many partitions; 8 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partitions: Option<u32>,
    /// How many replicas; 3, or as many as there are nodes, when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u32>,
    /// `value_header_v1` (when absent) or `default`. Remembered for those who ask; it decides nothing here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_version: Option<String>,
    /// `wait_compact` (when absent, with `value_header_v1`) or `local_deletion`. Remembered as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiration_policy: Option<String>,
}

/// A partition of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TablePartition {
    /// `namespace:name`, or just the name in the default namespace; `catalog` for the catalog's group.
    pub table: String,
    /// Its place in the table.
    pub partition: u64,
}

/// A wish for another leader.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MoveLeader {
    /// `namespace:name`, or just the name in the default namespace; `catalog` for the catalog's group.
    pub table: String,
    /// Its place in the table.
    pub partition: u64,
    /// The node that shall lead.
    pub to: u64,
}

/// The hash of every replica at one log position.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DigestReport {
    /// The log index.
    pub index: u64,
    /// Whether all are equal.
    pub equal: bool,
    /// By replica.
    pub replicas: Vec<ReplicaDigest>,
}

/// The hash of one replica.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReplicaDigest {
    /// The replica.
    pub replica: u64,
    /// Its node.
    pub node: u64,
    /// XXH3-128 of its live records, as hexadecimal text.
    pub hash: String,
    /// How many records.
    pub records: u64,
}

/// An error as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// A code of `types::errors`.
    pub code: String,
    /// What happened.
    pub cause: String,
    /// What exactly.
    pub detail: String,
    /// The next thing to do.
    pub hint: String,
}

impl From<&Fault> for ErrorBody {
    fn from(fault: &Fault) -> Self {
        Self {
            code: fault.code.as_str().into(),
            cause: fault.code.cause().into(),
            detail: fault.detail.clone(),
            hint: fault.code.hint().into(),
        }
    }
}

impl From<&ErrorBody> for Fault {
    /// A code of a newer release becomes `internal`, with its cause kept in the detail.
    fn from(body: &ErrorBody) -> Self {
        match body.code.parse::<ErrorCode>() {
            Ok(code) => Fault::new(code, body.detail.clone()),
            Err(()) => {
                Fault::new(ErrorCode::Internal, format!("{}: {} [{}]", body.cause, body.detail, body.code))
            }
        }
    }
}

/// The refusal of a node that does not lead the catalog: it had no effect, and the node that leads it is named.
pub fn elsewhere(leader: NodeId, http: &str) -> Fault {
    Fault::new(ErrorCode::NotMeta, format!("{ELSEWHERE}{http} (node {leader})"))
}

/// The HTTP address that [`elsewhere`] names.
pub fn address_elsewhere(fault: &Fault) -> Option<&str> {
    let (address, _) = fault.detail.strip_prefix(ELSEWHERE)?.split_once(' ')?;
    (fault.code == ErrorCode::NotMeta).then_some(address)
}

const ELSEWHERE: &str = "the catalog is led at ";

/// A wish for an operation, in the words of people. `kind` decides which of the other fields it takes:
///
/// | kind | takes |
/// |---|---|
/// | `change-leader` | table, partitions, to (a node; absent: the best follower) |
/// | `add-replica` | table, partitions, to (absent: the best place) |
/// | `remove-replica` | table, partitions, from |
/// | `migrate` | table, partitions, from, to (absent: the best place) |
/// | `snapshot` | table, partitions |
/// | `recover-partition` | table, partitions, node (absent: all replicas) |
/// | `offline-node`, `drain`, `undrain`, `decommission` | node |
/// | `recover-node` | node, leaders (it leads again what it led when it went offline) |
/// | `recover-cluster` | |
/// | `balance` | replicas and leaders to be evened out (neither: both) |
/// | `set-replicas` | table, count |
/// | `optimize` | namespace, table (neither: everything) |
/// | `backup`, `drill` | backup |
/// | `restore` | restore |
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OperationRequest {
    /// What to do.
    pub kind: String,
    /// `namespace:name`, or just the name in the default namespace; `catalog` for the catalog's group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// A namespace; `table` is a bare name then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Partitions of the table; empty means all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub partitions: Vec<u64>,
    /// The node that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<u64>,
    /// The node that something leaves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// The node that something goes to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
    /// How many replicas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// Even replicas out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub replicas: bool,
    /// Even leaders out, or give them back.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub leaders: bool,
    /// Which backup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup: Option<crate::saving::BackupRequest>,
    /// What of which backup shall be restored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restore: Option<crate::restoring::RestoreRequest>,
}

/// A wish to start an operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StartOperation {
    /// What.
    pub request: OperationRequest,
    /// The catalog version of the plan that somebody agreed to: if what it touches has changed since, the
    /// operation is refused. Absent: whatever the plan is now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned: Option<u64>,
    /// Who asks; `admin` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// What an operation would do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The catalog version that it was made from.
    pub catalog_version: u64,
    /// What it does, in a sentence.
    pub summary: String,
    /// The operations on single partitions, in order; for one partition just one.
    pub parts: Vec<PlannedPart>,
    /// Bytes of state that go over the network.
    pub bytes: u64,
    /// How long it is expected to take, in seconds.
    pub seconds: u64,
    /// How many more nodes may be lost, whichever they are, at the worst moment on the way.
    pub lowest_fault_tolerance: u32,
    /// What it would have to wait for at present, and warnings.
    pub notes: Vec<String>,
    /// The operation that goes on and does this already: whoever asks for it joins that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joins: Option<u64>,
    /// There is nothing to do.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub idle: bool,
}

/// An operation on one partition, as planned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedPart {
    /// The kind, as in [`Operation`].
    pub kind: String,
    /// What it does, in a sentence.
    pub what: String,
    /// The partition's table.
    pub table: String,
    /// Its place in the table.
    pub partition: u64,
    /// The names of its steps.
    pub steps: Vec<String>,
    /// Bytes of state that go over the network.
    pub bytes: u64,
}

/// An operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// Its id.
    pub id: u64,
    /// The operation that it is a part of; absent if it is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<u64>,
    /// What kind: `migrate`, `decommission`, …
    pub kind: String,
    /// What it does, in a sentence.
    pub what: String,
    /// The table of the partition that it changes; absent for one with parts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// The partition's place in the table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<u64>,
    /// `queued`, `running`, `cancelling`, `done`, `failed` or `cancelled`.
    pub state: String,
    /// The name of the step that it is at; empty before the first and after the last.
    pub step: String,
    /// Its steps.
    pub steps: Vec<OperationStep>,
    /// What it waits for, in a sentence; empty if nothing.
    pub waits_for: String,
    /// Bytes that have arrived, of those that are to.
    pub bytes_done: u64,
    /// Bytes that are to arrive.
    pub bytes_total: u64,
    /// Parts that have ended, of `parts`.
    pub parts_ended: u64,
    /// How many parts it has.
    pub parts: u64,
    /// Who asked.
    pub by: String,
    /// When it was asked for, milliseconds since 1970.
    pub created_ms: u64,
    /// When it began to run, or 0.
    pub started_ms: u64,
    /// When it ended, or 0.
    pub ended_ms: u64,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorBody>,
    /// What happened, oldest first.
    pub events: Vec<OperationEvent>,
    /// What it measured to prove its outcome.
    pub evidence: Vec<DigestReport>,
    /// What it has saved or proved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saved: Option<crate::saving::Saved>,
    /// In the answer to a wish: it went on already when the same was asked for once more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub joined: bool,
}

/// A step of an operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperationStep {
    /// Its name.
    pub name: String,
    /// When it began, milliseconds since 1970, or 0.
    pub begun_ms: u64,
    /// When it was done, or 0.
    pub ended_ms: u64,
}

/// Something that happened to an operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperationEvent {
    /// When, milliseconds since 1970.
    pub at_ms: u64,
    /// What.
    pub text: String,
}

/// Why something is as it is, and what would change it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// In a sentence.
    pub summary: String,
    /// What is known, a sentence each.
    pub facts: Vec<String>,
    /// What stands in the way, the worst first.
    pub blockers: Vec<Blocker>,
    /// What to do next, the most useful first: commands that can be typed, or a word like `start node 3`.
    pub next: Vec<String>,
}

/// Something in the way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Blocker {
    /// The table, if it is about a partition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// The partition's place in the table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<u64>,
    /// The node, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<u64>,
    /// What is in the way.
    pub why: String,
    /// The smallest change that would help; empty if there is none.
    pub unblock: String,
}

/// A wish for a permit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PermitRequest {
    /// Who asks; `admin` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holder: Option<String>,
    /// How long it is needed, in seconds; 60 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
    /// Ask, but take nothing.
    pub only_ask: bool,
}

/// Gives the right to stop a node back.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PermitRelease {
    /// Who holds it; `admin` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holder: Option<String>,
}

/// What came of giving the right to stop a node back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PermitReleased {
    /// Whether somebody had it.
    pub was_held: bool,
}

/// The right to stop a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Permit {
    /// The node.
    pub node: u64,
    /// Who holds it.
    pub holder: String,
    /// Until when, milliseconds since 1970; 0 if it was only asked for.
    pub until_ms: u64,
    /// What would be worse while the node is stopped, a sentence each.
    pub notes: Vec<String>,
}

/// A setting and its value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SettingValue {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Its default.
    pub default: String,
    /// What values it takes.
    pub takes: String,
    /// What it does.
    pub about: String,
    /// Who changed it last; absent if nobody did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed_by: Option<String>,
    /// When, milliseconds since 1970, or 0.
    pub changed_ms: u64,
    /// Its value before that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
}

/// A new value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SetSetting {
    /// The value as typed.
    pub value: String,
    /// Who changes it; `admin` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_where_to_ask_instead() {
        let fault = elsewhere(NodeId(3), "10.0.0.7:6302");
        let body = ErrorBody::from(&fault);
        assert_eq!(address_elsewhere(&Fault::from(&body)), Some("10.0.0.7:6302"));
        assert_eq!(address_elsewhere(&Fault::new(ErrorCode::NotMeta, "this node does not know")), None);
        assert_eq!(address_elsewhere(&Fault { code: ErrorCode::NoLeader, ..fault }), None);
    }
}
