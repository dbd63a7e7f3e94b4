//! The calling end of a connection: calls, writes what waits, and calls again.

use std::sync::Arc;
use std::time::Duration;

use api::frame::{Channel, Frame};
use bytes::BytesMut;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use types::limits::{
    FRAME_BYTES_MAX, HANDSHAKE_BYTES_MAX, HANDSHAKE_TIMEOUT, PEER_RETRY_MAX, PEER_RETRY_MIN, PEER_WRITE_BYTES,
};
use types::{Endpoint, ErrorCode, NodeId};

use super::handshake::{self, HandshakeError};
use super::queue::{Queue, Work};
use super::registry::Presence;
use super::wire::{FrameReader, WireError};
use super::{Origin, Shared};
use crate::listen::tune_peer;

/// The calling end of one channel to one peer. Dropping it ends the connection.
pub(crate) struct Link {
    /// What waits to be sent.
    pub(crate) queue: Arc<Queue>,
    /// Ends a pause.
    pub(crate) kick: Arc<Notify>,
    task: AbortHandle,
}

/// A connection that both sides have agreed on.
struct Connection {
    origin: Origin,
    reader: FrameReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    _presence: Presence,
}

/// What the link's task works with.
struct Caller {
    shared: Arc<Shared>,
    to: NodeId,
    endpoint: Endpoint,
    channel: Channel,
    queue: Arc<Queue>,
    kick: Arc<Notify>,
    /// The refusal that was told last, so that it is told once.
    told: Option<ErrorCode>,
}

impl Link {
    /// Begins to call.
    pub(crate) fn start(shared: &Arc<Shared>, to: NodeId, endpoint: &str, channel: Channel) -> Self {
        let queue = Arc::new(Queue::new());
        let kick = Arc::new(Notify::new());
        let caller = Caller {
            shared: shared.clone(),
            to,
            endpoint: endpoint.to_string(),
            channel,
            queue: queue.clone(),
            kick: kick.clone(),
            told: None,
        };
        // Open before the task runs: what is sent right after `set_peers` shall not be lost.
        queue.open();
        Self { queue, kick, task: tokio::spawn(caller.run()).abort_handle() }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
        self.queue.close();
    }
}

impl Caller {
    async fn run(mut self) {
        let mut pause = Duration::ZERO;
        loop {
            self.queue.open();
            let outcome = self.call_in_time().await;
            let forgotten;
            match outcome {
                Ok(connection) => {
                    let since = Instant::now();
                    self.told = None;
                    self.handler(|handler, to, channel| handler.connected(to, channel));
                    let end = self.converse(connection).await;
                    tracing::info!(peer = %self.to, channel = ?self.channel, %end, "connection to peer ended");
                    forgotten = self.queue.close() + 1;
                    // A connection that did not last is no reason to hurry.
                    pause = if since.elapsed() >= PEER_RETRY_MAX { Duration::ZERO } else { pause };
                }
                Err(error) => {
                    forgotten = self.queue.close();
                    self.tell(&error);
                    if is_refusal(&error) {
                        pause = PEER_RETRY_MAX;
                    }
                }
            }
            if forgotten > 0 {
                self.handler(|handler, to, channel| handler.disconnected(to, channel));
            }
            // A kick during the pause means that the peer is there, perhaps just started: begin anew.
            let kicked = tokio::time::timeout(pause, self.kick.notified()).await.is_ok();
            pause = if kicked { PEER_RETRY_MIN } else { (pause * 2).clamp(PEER_RETRY_MIN, PEER_RETRY_MAX) };
        }
    }

    async fn call_in_time(&self) -> Result<Connection, HandshakeError> {
        tokio::time::timeout(HANDSHAKE_TIMEOUT, self.call()).await.unwrap_or(Err(HandshakeError::Timeout))
    }

    async fn call(&self) -> Result<Connection, HandshakeError> {
        let me = &self.shared.me;
        let stream = TcpStream::connect(&self.endpoint).await.map_err(WireError::from)?;
        tune_peer(&stream).map_err(WireError::from)?;
        let (reader, mut writer) = stream.into_split();
        let mut reader = FrameReader::new(reader, HANDSHAKE_BYTES_MAX);
        let answerer = handshake::greet(me, self.to, self.channel, &mut reader, &mut writer).await?;
        let origin = answerer.origin;
        // The rule of one live run holds for nodes that we call as well: nothing is sent to a copy.
        let presence = self.shared.registry.admit(origin).await;
        let presence = presence.map_err(|_| HandshakeError::Refused(ErrorCode::DuplicateNode))?;
        handshake::prove(me, &answerer, self.channel, &mut reader, &mut writer).await?;
        reader.set_limit(FRAME_BYTES_MAX);
        Ok(Connection { origin, reader, writer, _presence: presence })
    }

    /// Writes and reads until something breaks; returns what.
    async fn converse(&self, connection: Connection) -> WireError {
        let Connection { origin, mut reader, writer, _presence } = connection;
        tokio::select! {
            end = write_all(&self.queue, writer) => end,
            end = self.listen(origin, &mut reader) => end,
        }
    }

    /// Takes replies. On other channels nothing may come, but the end of the connection is noticed here.
    async fn listen(&self, origin: Origin, reader: &mut FrameReader<OwnedReadHalf>) -> WireError {
        loop {
            match reader.next().await {
                Ok(Frame::Replies(batch)) if self.channel == Channel::Requests => {
                    self.handler(|handler, _, _| handler.replies(origin, batch.replies));
                }
                Ok(_) => {
                    self.shared.count_refused();
                    return WireError::OutOfPlace;
                }
                Err(WireError::Decode(error)) => {
                    self.shared.count_refused();
                    return error.into();
                }
                Err(error) => return error,
            }
        }
    }

    /// Logs why a call failed and tells a refusal, unless it is the same as before. That a peer cannot be
    /// reached is no news for the log: `disconnected` was told.
    fn tell(&mut self, error: &HandshakeError) {
        let (code, by_peer) = match error {
            HandshakeError::RefusedByPeer(ErrorCode::NotReady) => return,
            HandshakeError::RefusedByPeer(code) => (*code, true),
            HandshakeError::Refused(code) => (*code, false),
            HandshakeError::OtherNode(_) => (ErrorCode::Unreachable, false),
            HandshakeError::Wire(_) | HandshakeError::Timeout => {
                tracing::debug!(peer = %self.to, channel = ?self.channel, %error, "peer not reached");
                return;
            }
        };
        // The other two links meet the same refusal.
        if self.channel != Channel::Raft || self.told == Some(code) {
            return;
        }
        self.told = Some(code);
        tracing::warn!(
            peer = %self.to, endpoint = %self.endpoint, code = code.as_str(), %error, hint = code.hint(),
            "no connection to peer"
        );
        if by_peer {
            self.handler(|handler, to, _| handler.refused(to, code));
        }
    }

    fn handler(&self, act: impl FnOnce(&dyn super::PeerHandler, NodeId, Channel)) {
        if let Some(handler) = self.shared.handler.get() {
            act(handler.as_ref(), self.to, self.channel);
        }
    }
}

/// Whether calling again soon is pointless.
fn is_refusal(error: &HandshakeError) -> bool {
    match error {
        HandshakeError::RefusedByPeer(code) => *code != ErrorCode::NotReady,
        HandshakeError::Refused(_) | HandshakeError::OtherNode(_) => true,
        HandshakeError::Wire(_) | HandshakeError::Timeout => false,
    }
}

/// Writes what waits in a queue and nobody else wrote, until the socket breaks.
pub(crate) async fn write_all(queue: &Queue, mut writer: OwnedWriteHalf) -> WireError {
    let mut encoded = BytesMut::new();
    loop {
        Work { writer, encoded } = queue.work(writer, encoded).await;
        if let Err(error) = writer.write_all(&encoded).await {
            return error.into();
        }
        encoded.clear();
        // One burst shall not cost memory for ever.
        if encoded.capacity() > 2 * PEER_WRITE_BYTES {
            encoded = BytesMut::new();
        }
    }
}
