//! The member's connections: its words to `serve::peers`, and theirs to it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use api::frame::{Channel, Frame};
use api::peer::{CutLog, RaftMessage, Reply, Report, Request, TransferLeader};
use node::{Node, Transport};
use serve::peers::{self, PeerHandler, Peers};
use tokio::runtime::Handle;
use types::{Endpoint, ErrorCode, Fault, NodeId};

use super::End;
use super::room::Room;

/// A node that leaves the cluster is told so: it gets a last copy of the catalog, within this time.
const FAREWELL: Duration = Duration::from_secs(10);

/// The connections to other nodes.
pub struct Wires {
    peers: Arc<Peers>,
    runtime: Handle,
    end: mpsc::Sender<End>,
    peerage: Arc<Mutex<Peerage>>,
}

/// Who there is, as the catalog says, and who was there a moment ago.
#[derive(Default)]
struct Peerage {
    known: BTreeMap<NodeId, Endpoint>,
    /// Nodes that have left, and until when they are still talked to.
    leaving: BTreeMap<NodeId, (Endpoint, Instant)>,
}

impl Peerage {
    /// Takes on what the catalog says now. Returns whether somebody has left.
    fn change(&mut self, directory: &BTreeMap<NodeId, Endpoint>, now: Instant) -> bool {
        let before = std::mem::replace(&mut self.known, directory.clone());
        let gone = before.into_iter().filter(|(node, _)| !directory.contains_key(node));
        let gone: Vec<_> = gone.map(|(node, endpoint)| (node, (endpoint, now + FAREWELL))).collect();
        let has_left = !gone.is_empty();
        self.leaving.extend(gone);
        self.leaving.retain(|node, _| !directory.contains_key(node));
        has_left
    }

    fn forget(&mut self, now: Instant) {
        self.leaving.retain(|_, (_, until)| now < *until);
    }

    fn all(&self) -> BTreeMap<NodeId, Endpoint> {
        let leaving = self.leaving.iter().map(|(node, (endpoint, _))| (*node, endpoint.clone()));
        self.known.clone().into_iter().chain(leaving).collect()
    }
}

impl Wires {
    /// Connections that were opened, the runtime that they live on, and where to say that the process
    /// must end.
    pub fn new(peers: Peers, runtime: Handle, end: mpsc::Sender<End>) -> Self {
        Self { peers: Arc::new(peers), runtime, end, peerage: Arc::default() }
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

    fn send_cut(&self, to: NodeId, cut: CutLog) -> bool {
        self.peers.send_cut(to, cut).is_ok()
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
        if lock(&self.peerage).change(directory, Instant::now()) {
            let (peers, peerage) = (self.peers.clone(), self.peerage.clone());
            self.runtime.spawn(async move {
                tokio::time::sleep(FAREWELL).await;
                // The lock keeps a change that comes meanwhile in order.
                let mut peerage = lock(&peerage);
                peerage.forget(Instant::now());
                peers.set_peers(&peerage.all());
            });
        }
        let peerage = lock(&self.peerage);
        self.peers.set_peers(&peerage.all());
    }

    fn fatal(&self, fault: Fault) {
        tracing::error!(%fault, "this process cannot go on");
        let _ = self.end.send(Err(fault));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A map that is replaced whole is never half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_leaves_is_talked_to_for_a_moment_whatever_changes_meanwhile() {
        let directory = |nodes: &[u64]| -> BTreeMap<NodeId, Endpoint> {
            nodes.iter().map(|node| (NodeId(*node), format!("host:{node}"))).collect()
        };
        let nodes = |peerage: &Peerage| peerage.all().into_keys().map(NodeId::get).collect::<Vec<_>>();
        let now = Instant::now();
        let mut peerage = Peerage::default();
        assert!(!peerage.change(&directory(&[1, 2, 4]), now));
        assert!(peerage.change(&directory(&[1, 2]), now));
        assert!(!peerage.change(&directory(&[1, 2]), now), "another version of the catalog");
        assert_eq!(nodes(&peerage), [1, 2, 4]);
        peerage.forget(now + FAREWELL / 2);
        assert_eq!(nodes(&peerage), [1, 2, 4]);
        peerage.forget(now + FAREWELL);
        assert_eq!(nodes(&peerage), [1, 2]);
    }
}
