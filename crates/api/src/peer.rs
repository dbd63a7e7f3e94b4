//! What nodes say to each other, inside the frames of [`crate::frame`].
//!
//! Raft's own messages are carried in a mirror of our own: the Protocol Buffers library inside `raft`
//! never reads bytes from the network.

use bytes::Bytes;
use prost::{Message, Oneof};

/// A Raft message of one group. Fields follow `raft`'s `eraftpb.Message`.
#[derive(Clone, PartialEq, Message)]
pub struct RaftMessage {
    /// The group.
    #[prost(uint64, tag = "1")]
    pub group: u64,
    /// Sending replica.
    #[prost(uint64, tag = "2")]
    pub from: u64,
    /// Receiving replica.
    #[prost(uint64, tag = "3")]
    pub to: u64,
    /// `MessageType` of `raft`, as its number.
    #[prost(int32, tag = "4")]
    pub kind: i32,
    /// The sender's term.
    #[prost(uint64, tag = "5")]
    pub term: u64,
    /// Term of the entry at `index`.
    #[prost(uint64, tag = "6")]
    pub log_term: u64,
    /// Log index, meaning by kind.
    #[prost(uint64, tag = "7")]
    pub index: u64,
    /// Entries after `index`.
    #[prost(message, repeated, tag = "8")]
    pub entries: Vec<LogEntry>,
    /// The sender's commit index.
    #[prost(uint64, tag = "9")]
    pub commit: u64,
    /// Term of the entry at `commit`.
    #[prost(uint64, tag = "10")]
    pub commit_term: u64,
    /// What a snapshot message installs.
    #[prost(message, optional, tag = "11")]
    pub snapshot: Option<SnapshotMeta>,
    /// The follower asks for a snapshot at least at this index.
    #[prost(uint64, tag = "12")]
    pub request_snapshot: u64,
    /// The sender refuses.
    #[prost(bool, tag = "13")]
    pub reject: bool,
    /// Where the sender's log may match.
    #[prost(uint64, tag = "14")]
    pub reject_hint: u64,
    /// Raft's own context (a transfer election, a read request).
    #[prost(bytes = "bytes", tag = "15")]
    pub context: Bytes,
    /// The sender's election priority.
    #[prost(int64, tag = "16")]
    pub priority: i64,
    /// On a heartbeat: the leader's round. On its response: the last round that was heard in this term.
    #[prost(uint64, tag = "17")]
    pub lease_round: u64,
    /// What the sender's wall clock showed, in milliseconds since 1970; 0 when it does not say.
    #[prost(uint64, tag = "18")]
    pub wall_millis: u64,
}

/// One entry of a group's log.
#[derive(Clone, PartialEq, Message)]
pub struct LogEntry {
    /// Its index.
    #[prost(uint64, tag = "1")]
    pub index: u64,
    /// Its term.
    #[prost(uint64, tag = "2")]
    pub term: u64,
    /// `EntryType` of `raft`, as its number.
    #[prost(int32, tag = "3")]
    pub kind: i32,
    /// The envelope, or a membership change.
    #[prost(bytes = "bytes", tag = "4")]
    pub data: Bytes,
    /// Raft's context of a membership change.
    #[prost(bytes = "bytes", tag = "5")]
    pub context: Bytes,
}

/// What a replica's group looks like: who is in it, and how.
#[derive(Clone, PartialEq, Message)]
pub struct Membership {
    /// Counts changes; directives name the one they expect.
    #[prost(uint64, tag = "1")]
    pub epoch: u64,
    /// Everybody in it, in order of replica id.
    #[prost(message, repeated, tag = "2")]
    pub members: Vec<Member>,
}

/// One member of a group.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Member {
    /// Its replica id.
    #[prost(uint64, tag = "1")]
    pub replica: u64,
    /// The node that hosts it.
    #[prost(uint64, tag = "2")]
    pub node: u64,
    /// Receives the log but has no vote.
    #[prost(bool, tag = "3")]
    pub learner: bool,
}

/// The log position and membership that a snapshot stands at.
#[derive(Clone, PartialEq, Message)]
pub struct SnapshotMeta {
    /// Last log index in it.
    #[prost(uint64, tag = "1")]
    pub index: u64,
    /// Term of that index.
    #[prost(uint64, tag = "2")]
    pub term: u64,
    /// The group at that index.
    #[prost(message, optional, tag = "3")]
    pub membership: Option<Membership>,
    /// Names the transfer whose chunks carry the state; unique at its sender.
    #[prost(uint64, tag = "4")]
    pub transfer: u64,
}

/// A piece of a snapshot.
#[derive(Clone, PartialEq, Message)]
pub struct SnapshotChunk {
    /// The group.
    #[prost(uint64, tag = "1")]
    pub group: u64,
    /// Sending replica.
    #[prost(uint64, tag = "2")]
    pub from: u64,
    /// Receiving replica.
    #[prost(uint64, tag = "3")]
    pub to: u64,
    /// The transfer.
    #[prost(uint64, tag = "4")]
    pub transfer: u64,
    /// Place in the transfer, from 0. 2^64 - 1 is no place: the sender says that it is still there.
    #[prost(uint64, tag = "5")]
    pub number: u64,
    /// CRC32C of `data`.
    #[prost(fixed32, tag = "6")]
    pub checksum: u32,
    /// Opaque to all but the engine.
    #[prost(bytes = "bytes", tag = "7")]
    pub data: Bytes,
    /// On the last chunk: the Raft message to hand over once the state is complete and durable.
    #[prost(message, optional, tag = "8")]
    pub finish: Option<RaftMessage>,
}

/// How far a receiver is.
#[derive(Clone, PartialEq, Message)]
pub struct SnapshotAck {
    /// The group.
    #[prost(uint64, tag = "1")]
    pub group: u64,
    /// The receiving replica.
    #[prost(uint64, tag = "2")]
    pub from: u64,
    /// The transfer.
    #[prost(uint64, tag = "3")]
    pub transfer: u64,
    /// The next chunk that is expected.
    #[prost(uint64, tag = "4")]
    pub next: u64,
    /// The receiver gave up; the sender must take a new snapshot.
    #[prost(bool, tag = "5")]
    pub refused: bool,
}

/// A request from a gateway to the replica that it believes leads.
#[derive(Clone, PartialEq, Message)]
pub struct Request {
    /// Names the request at its gateway's node.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// The group.
    #[prost(uint64, tag = "2")]
    pub group: u64,
    /// What the gateway knows of the table.
    #[prost(uint64, tag = "3")]
    pub generation: u64,
    /// What the gateway knows of the partition.
    #[prost(uint64, tag = "4")]
    pub route_epoch: u64,
    /// Read or write.
    #[prost(enumeration = "Access", tag = "5")]
    pub access: i32,
    /// `RequestKind`, for writes.
    #[prost(int32, tag = "6")]
    pub kind: i32,
    /// See `entry::Request`.
    #[prost(uint64, tag = "7")]
    pub session: u64,
    /// See `entry::Request`.
    #[prost(uint64, tag = "8")]
    pub sequence: u64,
    /// See `entry::Request`.
    #[prost(uint64, tag = "9")]
    pub floor: u64,
    /// For the engine.
    #[prost(bytes = "bytes", tag = "10")]
    pub body: Bytes,
}

/// What a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum Access {
    /// A linearizable read.
    Read = 0,
    /// A write through the log.
    Write = 1,
    /// A read of whatever this replica has; only when the client asked for it.
    StaleRead = 2,
    /// A place in the leader's line of those who wait for elements: the body is a [`Wait`], and what is done is a
    /// [`Turn`], perhaps much later.
    Wait = 3,
}

/// A client waits until one of some keys has elements. What it does then is a write of its own.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Wait {
    /// Names the wait at its gateway; the same in all requests about it, never used twice in a run.
    #[prost(uint64, tag = "1")]
    pub wait: u64,
    /// What it waits for.
    #[prost(enumeration = "Awaited", tag = "2")]
    pub awaited: i32,
    /// The keys, as they are stored.
    #[prost(bytes = "bytes", repeated, tag = "3")]
    pub keys: Vec<Bytes>,
    /// Since when, milliseconds since 1970: who has waited longest is first in line.
    #[prost(uint64, tag = "4")]
    pub since_millis: u64,
    /// It is over: the client has what it wanted, or waits no more.
    #[prost(bool, tag = "5")]
    pub over: bool,
}

/// What a client waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum Awaited {
    /// Elements of lists.
    Lists = 0,
    /// Members of sorted sets.
    SortedSets = 1,
}

/// What a waiting client is told.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Turn {
    /// It is its turn to try. Else there is nothing yet, and it is to ask again.
    #[prost(bool, tag = "1")]
    pub come: bool,
}

/// The answer to a [`Request`].
#[derive(Clone, PartialEq, Message)]
pub struct Reply {
    /// The request.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// What became of it.
    #[prost(oneof = "Outcome", tags = "2, 3")]
    pub outcome: Option<Outcome>,
}

/// What became of a request.
#[derive(Clone, PartialEq, Oneof)]
pub enum Outcome {
    /// The engine's reply.
    #[prost(bytes = "bytes", tag = "2")]
    Done(Bytes),
    /// Not carried out here, or not known.
    #[prost(message, tag = "3")]
    Refused(Refused),
}

/// Why a request was not carried out here.
#[derive(Clone, PartialEq, Message)]
pub struct Refused {
    /// A code of `types::errors`, as its text.
    #[prost(string, tag = "1")]
    pub code: String,
    /// What exactly.
    #[prost(string, tag = "2")]
    pub detail: String,
    /// With `not-leader`: the node believed to lead, or 0.
    #[prost(uint64, tag = "3")]
    pub leader: u64,
}

/// What a node reports to the meta nodes several times a second.
#[derive(Clone, PartialEq, Message)]
pub struct Report {
    /// The node.
    #[prost(uint64, tag = "1")]
    pub node: u64,
    /// The run of its process.
    #[prost(uint64, tag = "2")]
    pub boot: u64,
    /// Its wall clock, milliseconds since 1970.
    #[prost(uint64, tag = "3")]
    pub wall_millis: u64,
    /// Its replicas.
    #[prost(message, repeated, tag = "4")]
    pub replicas: Vec<ReplicaReport>,
    /// Its process id.
    #[prost(uint32, tag = "5")]
    pub pid: u32,
    /// The catalog copy that it works with.
    #[prost(uint64, tag = "6")]
    pub catalog_version: u64,
    /// Bytes that its disk has left for data, the reserve not counted; see `disk_bytes`.
    #[prost(uint64, tag = "7")]
    pub free_bytes: u64,
    /// Bytes of its disk; 0 while it does not know, and then `free_bytes` says nothing.
    #[prost(uint64, tag = "8")]
    pub disk_bytes: u64,
    /// How long its process runs, in milliseconds.
    #[prost(uint64, tag = "9")]
    pub uptime_millis: u64,
    /// The number that its host has for the disk of its data: nodes of one host with the same number share what is
    /// free. 0 if it does not know.
    #[prost(uint64, tag = "10")]
    pub disk: u64,
}

/// What a node reports of one replica.
#[derive(Clone, PartialEq, Message)]
pub struct ReplicaReport {
    /// The group.
    #[prost(uint64, tag = "1")]
    pub group: u64,
    /// The replica.
    #[prost(uint64, tag = "2")]
    pub replica: u64,
    /// Its role and health.
    #[prost(enumeration = "ReplicaState", tag = "3")]
    pub state: i32,
    /// Its term.
    #[prost(uint64, tag = "4")]
    pub term: u64,
    /// Last applied index.
    #[prost(uint64, tag = "5")]
    pub applied: u64,
    /// Last known commit index.
    #[prost(uint64, tag = "6")]
    pub commit: u64,
    /// The leader that it follows, a replica id, or 0.
    #[prost(uint64, tag = "7")]
    pub leader: u64,
    /// On the leader: the group's membership.
    #[prost(message, optional, tag = "8")]
    pub membership: Option<Membership>,
    /// Bytes of state, approximately; of a replica that receives a snapshot, those that have arrived.
    #[prost(uint64, tag = "9")]
    pub bytes: u64,
    /// Live records.
    #[prost(uint64, tag = "10")]
    pub records: u64,
    /// On the leader: members whose log is within reach and whose node answers, by replica id.
    #[prost(uint64, repeated, tag = "11")]
    pub in_sync: Vec<u64>,
    /// Why it is stopped, if it is.
    #[prost(string, tag = "12")]
    pub detail: String,
    /// Digests of its state, for a while after they were asked for.
    #[prost(message, repeated, tag = "13")]
    pub digests: Vec<DigestAt>,
    /// The epoch of the membership that it knows itself to be in; 0 if it is in none. A later one without it
    /// means that it was let go.
    #[prost(uint64, tag = "14")]
    pub member_epoch: u64,
    /// Requests of clients that it applied since the group was born.
    #[prost(uint64, tag = "15")]
    pub writes: u64,
    /// The index of the last entry of its log.
    #[prost(uint64, tag = "16")]
    pub last_index: u64,
    /// The term of that entry.
    #[prost(uint64, tag = "17")]
    pub last_term: u64,
    /// The stamp of the last entry that it applied, milliseconds since 1970.
    #[prost(uint64, tag = "18")]
    pub stamp_ms: u64,
    /// The operation for which it is being compacted at the moment, or 0.
    #[prost(uint64, tag = "19")]
    pub compacting: u64,
    /// The last operation for which it was compacted by this run of its node, or 0.
    #[prost(uint64, tag = "20")]
    pub compacted: u64,
    /// Why it was left as it was instead; empty if it was not.
    #[prost(string, tag = "21")]
    pub compaction_left: String,
    /// Bytes that were hashed for digests since the process began: while one is waited for this rises.
    #[prost(uint64, tag = "22")]
    pub hashed: u64,
    /// On the leader: requests per second, reads and writes, smoothed over the last minute or so; nothing before it has
    /// led for long enough to say.
    #[prost(uint64, optional, tag = "23")]
    pub load: Option<u64>,
}

/// A hash of a replica's live records at a log index.
#[derive(Clone, PartialEq, Message)]
pub struct DigestAt {
    /// The index of the digest entry.
    #[prost(uint64, tag = "1")]
    pub index: u64,
    /// XXH3-128, big-endian.
    #[prost(bytes = "bytes", tag = "2")]
    pub hash: Bytes,
    /// How many records were hashed.
    #[prost(uint64, tag = "3")]
    pub records: u64,
}

/// What a replica is at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum ReplicaState {
    /// Being opened, or waiting for its first snapshot.
    Starting = 0,
    /// Follows a leader.
    Follower = 1,
    /// Looks for votes.
    Candidate = 2,
    /// Leads.
    Leader = 3,
    /// Receives the log without a vote.
    Learner = 4,
    /// Stopped because of damage or a bug; `detail` says why.
    Stopped = 5,
}

/// A word to a node about its replica: make the state durable, and cut the log as far as its holds allow.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct CutLog {
    /// The group.
    #[prost(uint64, tag = "1")]
    pub group: u64,
}

/// A word to a node about its replica: give back the space of what was removed.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct CompactState {
    /// The group.
    #[prost(uint64, tag = "1")]
    pub group: u64,
    /// The operation that wants it.
    #[prost(uint64, tag = "2")]
    pub operation: u64,
}

/// A gateway's or tool's word to a node about its replicas.
#[derive(Clone, PartialEq, Message)]
pub struct TransferLeader {
    /// The group.
    #[prost(uint64, tag = "1")]
    pub group: u64,
    /// The replica that shall lead.
    #[prost(uint64, tag = "2")]
    pub to: u64,
}
