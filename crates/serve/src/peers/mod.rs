//! Connections between nodes.
//!
//! ```text
//!            node 1                                            node 2
//!   ┌───────────────────────┐                        ┌───────────────────────┐
//!   │ raft      [queue]─────┼── Raft ───────────────▶│ raft messages, reports│
//!   │ requests  [queue]─────┼── Requests ───────────▶│ requests, transfers   │
//!   │           replies ◀───┼────────── replies ─────┼─[queue]               │
//!   │ bulk      [queue]─────┼── Bulk ───────────────▶│ chunks, acks, catalog │
//!   └───────────────────────┘                        └───────────────────────┘
//!               and the same three, called by node 2, the other way round
//! ```
//!
//! For each ordered pair of nodes there are three TCP connections, called by the one that has something
//! to say, so that a snapshot never delays a heartbeat and a burst of requests never delays either. Only
//! replies go back on the connection of their requests. What waits in a queue leaves in one write: many
//! raft messages are one frame, and so are many requests and many replies.
//!
//! **A link** (the calling end of one connection) is in one of three states:
//!
//! ```text
//!            ┌────────── kick, or the pause is over ─────────┐
//!            ▼                                               │
//!        calling ──── welcome ───▶ up ──── broken ───▶ waiting
//!            └─────────── refused, unreachable ──────────────┘
//! ```
//!
//! While calling or up its queue takes frames. When it begins to wait, the queue is emptied and closed and
//! the handler hears `disconnected`: whatever was sent on this channel and not answered has to be taken
//! for lost. The first retry after a connection that had lasted is immediate, then pauses grow; a call
//! *from* a peer kicks our links to it, so a peer that restarted is reconnected at once.
//!
//! **Bounds.** Queues are bounded in number and bytes. A full raft queue drops (Raft repeats itself) and
//! counts; a full request queue refuses, so that the gateway can look elsewhere; a full bulk queue makes
//! the sender wait.
//!
//! **Trust.** Nothing is believed before [`handshake`] is through; until then frames are at most 1 KiB, and
//! a time limit runs. Afterwards every frame is limited in length, checksummed, and of a kind that belongs
//! on its channel, or the connection is closed. Whether a message's *content* may be believed (sender,
//! term, positions) is checked by `replication`. Connections are authenticated but not encrypted: the
//! network between nodes is expected to be the cluster's own.
//!
//! **Copies.** [`Peers::probe`] keeps a copied data directory from joining beside its original;
//! [`registry`] has the rule, `docs/decisions/2026-11-26-handshake.md` the reasons.

mod accept;
mod handshake;
mod link;
mod probe;
mod queue;
mod registry;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use api::auth::Secret;
use api::frame::{Channel, Frame};
use api::peer::{CutLog, RaftMessage, Reply, Report, Request, TransferLeader};
use std::net::TcpListener;
use tokio::task::AbortHandle;
use types::{BootId, ClusterId, Endpoint, ErrorCode, NodeId};

pub use handshake::{FEATURE_LEVEL, PROTOCOL_VERSION_MIN};
pub use queue::NotSent;

use link::Link;
use queue::{Item, Queue};
use registry::Registry;

/// Who this node is to its peers.
#[derive(Clone, Debug)]
pub struct PeerConfig {
    /// The cluster.
    pub cluster: ClusterId,
    /// This node.
    pub node: NodeId,
    /// This run of its process.
    pub boot: BootId,
    /// What all nodes of the cluster know.
    pub secret: Secret,
    /// Where other nodes reach this one.
    pub endpoint: Endpoint,
}

/// One run of a node, proved by a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// The node.
    pub node: NodeId,
    /// The run.
    pub boot: BootId,
}

/// What happens to frames that arrive, and to connections that come and go.
///
/// Called from the tasks of the connections: nothing here may block or take long; pass the work on.
/// Deliveries from one node on one channel are in order and never at the same time.
pub trait PeerHandler: Send + Sync + 'static {
    /// Raft messages.
    fn raft(&self, from: Origin, messages: Vec<RaftMessage>);
    /// Requests of a gateway. Answer each with [`Peers::reply`].
    fn requests(&self, from: Origin, requests: Vec<Request>);
    /// Answers to requests that this node sent to `from`.
    fn replies(&self, from: Origin, replies: Vec<Reply>);
    /// A report, a wish for another leader, a snapshot's chunk or its acknowledgement, a catalog.
    fn frame(&self, from: Origin, frame: Frame);
    /// A link came up.
    fn connected(&self, to: NodeId, channel: Channel);
    /// A link went down, or could not be made: what was sent on it and not answered is lost.
    fn disconnected(&self, to: NodeId, channel: Channel);
    /// A peer that has proved itself knows another live run of this node ([`ErrorCode::DuplicateNode`]:
    /// this process must end), or some peer refused for another reason. Told once while it lasts.
    fn refused(&self, by: NodeId, code: ErrorCode);
}

/// Connections to all peers. Dropping it closes them all.
pub struct Peers {
    shared: Arc<Shared>,
    acceptor: AbortHandle,
}

/// What the tasks share.
pub(crate) struct Shared {
    me: PeerConfig,
    registry: Arc<Registry>,
    /// Set by [`Peers::start`]; until then only probes are answered.
    handler: OnceLock<Arc<dyn PeerHandler>>,
    links: RwLock<BTreeMap<NodeId, PeerLinks>>,
    dropped: AtomicU64,
    refused: AtomicU64,
}

struct PeerLinks {
    endpoint: Endpoint,
    raft: Link,
    requests: Link,
    bulk: Link,
}

impl Peers {
    /// Begins to answer at a listener: probes at once, everything else once [`Peers::start`] was called.
    /// To be called inside a Tokio runtime, on which all connections will live; the listener is one of
    /// [`crate::listen::bind`].
    ///
    /// # Errors
    /// The runtime cannot take the listener.
    pub fn listen(config: PeerConfig, listener: TcpListener) -> std::io::Result<Self> {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let shared = Arc::new(Shared {
            me: config,
            registry: Arc::default(),
            handler: OnceLock::new(),
            links: RwLock::default(),
            dropped: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        });
        let acceptor = tokio::spawn(accept::run(shared.clone(), listener)).abort_handle();
        Ok(Self { shared, acceptor })
    }

    /// Asks whether another run of this node is alive: whoever answers at the endpoint that the cluster has
    /// recorded for this node, and every known peer. At most [`types::limits::PROBE_TIMEOUT`] in total;
    /// peers that cannot be reached are no obstacle.
    ///
    /// # Errors
    /// `duplicate-node`: this process must not start any replica.
    pub async fn probe(
        &self,
        recorded: Option<&str>,
        peers: &BTreeMap<NodeId, Endpoint>,
    ) -> Result<(), types::Fault> {
        probe::run(&self.shared.me, recorded, peers).await
    }

    /// Opens all channels: frames go to the handler from now on. A second call has no effect.
    pub fn start(&self, handler: Arc<dyn PeerHandler>) {
        let _ = self.shared.handler.set(handler);
    }

    /// Replaces the directory of nodes. Links to nodes that are new begin, links to nodes that are gone
    /// end, links to nodes that moved are made anew; the handler hears `disconnected` for each link that
    /// ended. This node itself is left out. Only after [`Peers::start`].
    pub fn set_peers(&self, directory: &BTreeMap<NodeId, Endpoint>) {
        let mut ended = Vec::new();
        let mut links = self.shared.links.write().unwrap_or_else(PoisonError::into_inner);
        links.retain(|&node, peer| {
            let stays = directory.get(&node) == Some(&peer.endpoint);
            if !stays {
                ended.push(node);
            }
            stays
        });
        for (&node, endpoint) in directory {
            if node != self.shared.me.node {
                links.entry(node).or_insert_with(|| PeerLinks::new(&self.shared, node, endpoint));
            }
        }
        drop(links);
        if let Some(handler) = self.shared.handler.get() {
            for node in ended {
                for channel in [Channel::Raft, Channel::Requests, Channel::Bulk] {
                    handler.disconnected(node, channel);
                }
            }
        }
    }

    /// Sends raft messages, in order. What has no room or no connection is dropped and counted; Raft
    /// repeats it. Returns how many were dropped: the sender may tell Raft that the peer is unreachable.
    pub fn send_raft(&self, to: NodeId, messages: Vec<RaftMessage>) -> usize {
        let all = messages.len();
        let items = messages.into_iter().map(Item::Raft);
        let (taken, _) = self.push(to, Channel::Raft, items);
        self.shared.count_dropped(all - taken)
    }

    /// Sends a report, on the channel of raft messages. Dropped as they are; the next report says it all.
    pub fn send_report(&self, to: NodeId, report: Report) {
        let (taken, _) = self.push(to, Channel::Raft, [Item::Frame(Frame::Report(report))]);
        self.shared.count_dropped(1 - taken);
    }

    /// Sends requests, in order. Returns how many were taken: those after them have not left this node,
    /// because of the reason that stands beside.
    pub fn send_requests(&self, to: NodeId, requests: Vec<Request>) -> (usize, Option<NotSent>) {
        self.push(to, Channel::Requests, requests.into_iter().map(Item::Request))
    }

    /// Asks a node to move a leader.
    ///
    /// # Errors
    /// It was not sent.
    pub fn send_transfer(&self, to: NodeId, transfer: TransferLeader) -> Result<(), NotSent> {
        let (_, refused) = self.push(to, Channel::Requests, [Item::Frame(Frame::Transfer(transfer))]);
        refused.map_or(Ok(()), Err)
    }

    /// Asks a node to cut the log of its replica.
    ///
    /// # Errors
    /// It was not sent.
    pub fn send_cut(&self, to: NodeId, cut: CutLog) -> Result<(), NotSent> {
        let (_, refused) = self.push(to, Channel::Requests, [Item::Frame(Frame::CutLog(cut))]);
        refused.map_or(Ok(()), Err)
    }

    /// Answers requests of a run of a node, on its own connection. If that run is gone, so is its wish for
    /// an answer.
    pub fn reply(&self, to: Origin, replies: Vec<Reply>) {
        let all = replies.len();
        let taken = match self.shared.registry.replies_to(to) {
            Some(queue) => queue.push(replies.into_iter().map(Item::Reply)).0,
            None => 0,
        };
        self.shared.count_dropped(all - taken);
    }

    /// Sends a chunk, its acknowledgement, a catalog or a wish for space, unless too much waits already.
    ///
    /// # Errors
    /// It was not sent. After [`NotSent::Full`], [`Peers::bulk_room`] tells when to try again.
    pub fn try_send_bulk(&self, to: NodeId, frame: Frame) -> Result<(), NotSent> {
        debug_assert!(matches!(
            frame,
            Frame::Chunk(_) | Frame::ChunkAck(_) | Frame::Catalog(_) | Frame::Compact(_)
        ));
        let (_, refused) = self.push(to, Channel::Bulk, [Item::Frame(frame)]);
        refused.map_or(Ok(()), Err)
    }

    /// Waits until there is room for more bulk to a node, or no connection to it.
    pub async fn bulk_room(&self, to: NodeId) {
        if let Some(queue) = self.queue(to, Channel::Bulk) {
            queue.room().await;
        }
    }

    /// Frames that were dropped because a queue was full or a peer away (`FRAMES_DROPPED`).
    pub fn frames_dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Connections that were closed because of what came on them (`FRAMES_REFUSED`).
    pub fn frames_refused(&self) -> u64 {
        self.shared.refused.load(Ordering::Relaxed)
    }

    fn push(
        &self,
        to: NodeId,
        channel: Channel,
        items: impl IntoIterator<Item = Item>,
    ) -> (usize, Option<NotSent>) {
        self.queue(to, channel).map_or((0, Some(NotSent::Disconnected)), |queue| queue.push(items))
    }

    fn queue(&self, to: NodeId, channel: Channel) -> Option<Arc<Queue>> {
        let links = self.shared.links.read().unwrap_or_else(PoisonError::into_inner);
        links.get(&to)?.link(channel).map(|link| link.queue.clone())
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        self.acceptor.abort();
        self.shared.links.write().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Shared {
    fn count_dropped(&self, frames: usize) -> usize {
        self.dropped.fetch_add(frames as u64, Ordering::Relaxed);
        frames
    }

    fn count_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// A node has called: if our links to it wait, they need not any longer.
    fn kick(&self, node: NodeId) {
        let links = self.links.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(peer) = links.get(&node) {
            for link in [&peer.raft, &peer.requests, &peer.bulk] {
                link.kick.notify_one();
            }
        }
    }
}

impl PeerLinks {
    fn new(shared: &Arc<Shared>, node: NodeId, endpoint: &str) -> Self {
        let link = |channel| Link::start(shared, node, endpoint, channel);
        Self {
            endpoint: endpoint.to_string(),
            raft: link(Channel::Raft),
            requests: link(Channel::Requests),
            bulk: link(Channel::Bulk),
        }
    }

    fn link(&self, channel: Channel) -> Option<&Link> {
        match channel {
            Channel::Raft => Some(&self.raft),
            Channel::Requests => Some(&self.requests),
            Channel::Bulk => Some(&self.bulk),
            Channel::Probe => None,
        }
    }
}
