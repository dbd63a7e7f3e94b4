//! The admin API's JSON: what the command line, the console and other programs may ask and be told.
//!
//! | method and path | body | reply |
//! |---|---|---|
//! | `GET /health` | | 200 `ready` once the node serves, else 503 and why; no secret needed |
//! | `GET /metrics` | | Prometheus text; no secret needed |
//! | `GET /v1/identity` | | [`Identity`]; no secret needed |
//! | `GET /v1/status` | | [`Status`] |
//! | `GET /v1/nodes` | | list of [`NodeStatus`] |
//! | `GET /v1/tables` | | list of [`Table`] |
//! | `POST /v1/tables` | [`CreateTable`] | [`Table`] |
//! | `GET /v1/tables/{namespace}/{name}` | | [`Table`] |
//! | `DELETE /v1/tables/{namespace}/{name}` | | `{}` |
//! | `POST /v1/leader` | [`MoveLeader`] | `{}` once the replica leads |
//! | `POST /v1/digest` | [`TablePartition`] | [`DigestReport`]: the hash of every replica at one log position |
//!
//! Every request to `/v1/` but `identity` carries `Authorization: Bearer TOKEN` with
//! [`crate::auth`]'s admin token of the cluster's secret. An error is an HTTP status of 400 and up with
//! [`ErrorBody`].

use serde::{Deserialize, Serialize};
use types::{ErrorCode, Fault};

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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// Its process id; 0 while unknown.
    pub pid: u32,
    /// The release that it runs.
    pub version: String,
    /// Replicas that it hosts.
    pub replicas: u32,
    /// Groups that it leads.
    pub leads: u32,
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
    /// Live records, as its leader reports.
    pub records: u64,
    /// Bytes of state, as its leader reports, approximate.
    pub bytes: u64,
}

/// How a replica is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReplicaStatus {
    /// Its id in its group.
    pub replica: u64,
    /// Its node.
    pub node: u64,
    /// `leader`, `follower` or `learner`.
    pub role: String,
    /// `in-sync`, `catching-up`, `starting`, `stopped`, `lost`, or `unreachable` when its node is not up.
    pub state: String,
    /// The last log index that it applied.
    pub applied: u64,
}

/// Who answers at an address.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// The cluster's id, as hexadecimal text.
    pub cluster: String,
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
