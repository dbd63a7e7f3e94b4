//! Events: everything that can happen at a moment of the world's time.

use api::frame::CatalogCopy;
use api::peer::{RaftMessage, Reply, Report, Request, SnapshotAck, SnapshotChunk};
use types::GroupId;

use crate::faults::{Fault, Repair};
use crate::network::Channel;
use crate::process::{Block, Purpose, Who};

/// The place of a node in the world, from 0. Its `NodeId` is one more.
pub type Place = usize;

/// Something that happens.
pub enum Event {
    /// A thread of a process has something to do. Void when the process is another run by then.
    Work(Place, u64, Work),
    /// A packet arrives over a connection. Void when the connection is another one by then.
    Arrive(usize, u32, Packet),
    /// The same once it is at its receiver, which may be paused: to a run of a node, from a run of a node, which may be
    /// another one when the receiver goes on.
    Received(Place, u64, (Place, u64), Packet),
    /// A run of a node notices that a connection to another node is gone.
    Disconnected(Place, u64, Place, Channel),
    /// A call reaches a run of a node.
    Submit(Place, u64, node::Call, Purpose),
    /// A client does its next thing.
    Client(usize),
    /// A client loses patience with the operation that it has made under this number.
    Impatient(usize, u64),
    /// A fault strikes.
    Strike(Fault),
    /// A fault ends.
    Repair(Repair),
    /// Somebody who runs the cluster does something, named by its number in the plan.
    Operator(usize),
    /// An operator starts what was planned a while ago: its number, the command, and what was announced.
    Late(usize, Box<api::catalog::CatalogOp>, u32),
    /// Operators look whether everything that they have begun is over.
    Tidy,
    /// All faults end; from here on everything must become well.
    Heal,
    /// The world looks whether everything is well.
    Inspect,
}

/// What a process does, by the thread that does it in the product.
pub enum Work {
    /// Worker: inputs wait.
    Turn,
    /// Worker: a tick is due.
    Tick,
    /// Log: the write that was begun is durable.
    Written,
    /// Log: space is given back.
    Reclaim,
    /// Apply: the next command of a group.
    Apply(GroupId),
    /// Bulk: transfers look at the time.
    Transfers,
    /// Flush: applied state becomes durable.
    Flush,
    /// Upkeep: compare the catalog with this node.
    Look,
    /// Upkeep: the catalog here has changed.
    Changed,
    /// Upkeep: report to the meta nodes.
    Report,
    /// Upkeep: remove what has expired.
    Sweep,
    /// Upkeep: time for the gateway.
    Gateway,
    /// Upkeep: time for those who wait for elements.
    Line,
    /// A connection: a client sends a command that waits.
    Block(Who, Block),
    /// A connection: the time of a command that waits is up.
    TimeUp(Who),
    /// A connection: the client is gone.
    HangUp(Who),
}

/// What travels between nodes.
#[derive(Clone)]
pub enum Packet {
    /// On the Raft connection.
    Raft(RaftMessage),
    /// On the Raft connection.
    Report(Report),
    /// On the Raft connection: a wish for another leader.
    Transfer(api::peer::TransferLeader),
    /// On the Raft connection: a wish for a shorter log.
    Cut(api::peer::CutLog),
    /// On the request connection.
    Request(Request),
    /// On the request connection, to the run of the process that asked.
    Reply(u64, Reply),
    /// On the bulk connection.
    Chunk(SnapshotChunk),
    /// On the bulk connection.
    Ack(SnapshotAck),
    /// On the bulk connection.
    Catalog(CatalogCopy),
    /// On the bulk connection: a wish for space.
    Compact(api::peer::CompactState),
}
