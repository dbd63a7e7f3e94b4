//! The member's connections: its words to `serve::peers`, and theirs to it.

use std::collections::BTreeMap;
use std::sync::{Arc, mpsc};

use api::frame::{Channel, Frame};
use api::peer::{RaftMessage, Reply, Report, Request, TransferLeader};
use node::{Node, Transport};
use serve::peers::{self, PeerHandler, Peers};
use tokio::runtime::Handle;
use types::{Endpoint, ErrorCode, Fault, NodeId};

use super::End;
use super::room::Room;

/// The connections to other nodes.
pub struct Wires {
    peers: Peers,
    runtime: Handle,
    end: mpsc::Sender<End>,
}

impl Wires {
    /// Connections that were opened, the runtime that they live on, and where to say that the process
    /// must end.
    pub fn new(peers: Peers, runtime: Handle, end: mpsc::Sender<End>) -> Self {
        Self { peers, runtime, end }
    }

    /// Frames go to the handler from now on.
    pub fn start(&self, handler: Arc<dyn PeerHandler>) {
        self.peers.start(handler);
    }

    /// Frames dropped and connections refused so far.
    pub fn counters(&self) -> (u64, u64) {
        (self.peers.frames_dropped(), self.peers.frames_refused())
    }
}

impl Transport for Wires {
    fn send_raft(&self, to: NodeId, messages: Vec<RaftMessage>) -> bool {
        self.peers.send_raft(to, messages) == 0
    }

    fn send_requests(&self, to: NodeId, requests: Vec<Request>) -> usize {
        self.peers.send_requests(to, requests).0
    }

    fn reply(&self, to: node::Origin, replies: Vec<Reply>) {
        self.peers.reply(peers::Origin { node: to.node, boot: to.boot }, replies);
    }

    fn send_transfer(&self, to: NodeId, transfer: TransferLeader) -> bool {
        self.peers.send_transfer(to, transfer).is_ok()
    }

    fn send_report(&self, to: NodeId, report: Report) {
        self.peers.send_report(to, report);
    }

    fn send_bulk(&self, to: NodeId, frame: Frame) {
        // What finds no room is repeated by the transfer that it belongs to.
        let _ = self.peers.try_send_bulk(to, frame);
    }

    fn set_peers(&self, directory: &BTreeMap<NodeId, Endpoint>) {
        // Links are tasks, and the caller is a thread of its own.
        let _inside = self.runtime.enter();
        self.peers.set_peers(directory);
    }

    fn fatal(&self, fault: Fault) {
        tracing::error!(%fault, "this process cannot go on");
        let _ = self.end.send(Err(fault));
    }
}

/// What comes from other nodes, for the member.
pub struct Handler {
    node: Arc<Node>,
    wires: Arc<Wires>,
    room: Arc<Room>,
}

impl Handler {
    /// A handler for a member.
    pub fn new(node: Arc<Node>, wires: Arc<Wires>, room: Arc<Room>) -> Self {
        Self { node, wires, room }
    }
}

impl PeerHandler for Handler {
    fn raft(&self, from: peers::Origin, messages: Vec<RaftMessage>) {
        self.node.on_raft(from.node, messages);
    }

    fn requests(&self, from: peers::Origin, mut requests: Vec<Request>) {
        let refused = self.room.refuse(&mut requests);
        if !refused.is_empty() {
            self.wires.peers.reply(from, refused);
        }
        self.node.on_requests(node::Origin { node: from.node, boot: from.boot }, requests);
    }

    fn replies(&self, from: peers::Origin, replies: Vec<Reply>) {
        self.node.on_replies(from.node, replies);
    }

    fn frame(&self, from: peers::Origin, frame: Frame) {
        self.node.on_frame(from.node, frame);
    }

    fn connected(&self, to: NodeId, channel: Channel) {
        tracing::debug!(to = to.get(), ?channel, "connected");
    }

    fn disconnected(&self, to: NodeId, channel: Channel) {
        tracing::debug!(to = to.get(), ?channel, "disconnected");
        self.node.on_disconnected(to, channel);
    }

    fn refused(&self, by: NodeId, code: ErrorCode) {
        if code == ErrorCode::DuplicateNode {
            self.wires.fatal(Fault::new(code, format!("node {by} knows another run of this node")));
        }
    }
}
