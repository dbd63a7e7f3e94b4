//! The answering end: accepts connections, takes their handshakes, delivers their frames.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use api::frame::{Channel, Frame};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use types::ErrorCode;
use types::limits::{
    FRAME_BYTES_MAX, HANDSHAKE_BYTES_MAX, HANDSHAKE_TIMEOUT, HANDSHAKES_PENDING_MAX, PEER_RETRY_MIN,
};

use super::handshake::{self, HandshakeError, Met};
use super::link::write_all;
use super::queue::Queue;
use super::registry::Voice;
use super::wire::{FrameReader, WireError};
use super::{Origin, PeerHandler, Shared};
use crate::listen::tune_peer;

/// Kinds of refusal that were logged. A caller retries for ever; the log says it once.
type Logged = Arc<Mutex<BTreeSet<ErrorCode>>>;

/// Accepts for ever. Connections end with this task.
pub(crate) async fn run(shared: Arc<Shared>, listener: TcpListener) {
    let pending = Arc::new(Semaphore::new(HANDSHAKES_PENDING_MAX));
    let logged = Logged::default();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    // Too many strangers at the door: this one is turned away, nodes call again.
                    if let Ok(permit) = pending.clone().try_acquire_owned() {
                        connections.spawn(connection(shared.clone(), stream, permit, logged.clone()));
                    }
                }
                Err(error) => {
                    // Out of file descriptors, most likely. They come back when connections end.
                    tracing::warn!(%error, "cannot accept a connection from a peer");
                    tokio::time::sleep(PEER_RETRY_MIN).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One connection from its first byte to its last.
async fn connection(shared: Arc<Shared>, stream: TcpStream, pending: OwnedSemaphorePermit, logged: Logged) {
    if tune_peer(&stream).is_err() {
        return;
    }
    let (reader, mut writer) = stream.into_split();
    let mut reader = FrameReader::new(reader, HANDSHAKE_BYTES_MAX);
    let ready = shared.handler.get().cloned();
    let answer = handshake::answer(&shared.me, &shared.registry, ready.is_some(), &mut reader, &mut writer);
    let met = match tokio::time::timeout(HANDSHAKE_TIMEOUT, answer).await {
        Ok(met) => met,
        Err(_) => Err(HandshakeError::Timeout),
    };
    drop(pending);
    let met = match met {
        Ok(met) => met,
        Err(error) => return refuse(&shared, &error, &logged),
    };
    // A probe has no presence: it has its answer and is done.
    let (Met { origin, channel, presence: Some(_presence) }, Some(handler)) = (met, ready) else { return };
    logged.lock().unwrap_or_else(PoisonError::into_inner).clear();
    shared.kick(origin.node);
    reader.set_limit(FRAME_BYTES_MAX);

    let replies = Arc::new(Queue::new());
    replies.open();
    let (voice, replaced) = shared.registry.speak(origin, channel, replies.clone());
    let conversation = Conversation { shared: &shared, handler: handler.as_ref(), origin, channel, voice };
    tokio::select! {
        () = conversation.deliver_all(&mut reader) => {}
        _ = write_all(&replies, writer) => {}
        _ = replaced => {}
    }
    replies.close();
}

struct Conversation<'a> {
    shared: &'a Shared,
    handler: &'a dyn PeerHandler,
    origin: Origin,
    channel: Channel,
    voice: Voice,
}

impl Conversation<'_> {
    /// Delivers frames until the connection ends or a newer one has replaced it.
    async fn deliver_all(&self, reader: &mut FrameReader<OwnedReadHalf>) {
        loop {
            let delivered = match reader.next().await {
                Ok(frame) => self.deliver(frame),
                Err(error) => Err(error),
            };
            match delivered {
                Ok(true) => {}
                Ok(false) | Err(WireError::Closed | WireError::Io(_)) => return,
                Err(error) => {
                    self.shared.count_refused();
                    tracing::warn!(peer = %self.origin.node, channel = ?self.channel, %error, "peer cut off");
                    return;
                }
            }
        }
    }

    /// Delivers a frame that belongs on this channel; `false` if another connection speaks for it now.
    fn deliver(&self, frame: Frame) -> Result<bool, WireError> {
        let (handler, origin) = (self.handler, self.origin);
        Ok(match (self.channel, frame) {
            (Channel::Raft, Frame::Raft(batch)) => {
                self.voice.deliver(|| handler.raft(origin, batch.messages))
            }
            (Channel::Requests, Frame::Requests(batch)) => {
                self.voice.deliver(|| handler.requests(origin, batch.requests))
            }
            (Channel::Raft, frame @ Frame::Report(_))
            | (Channel::Requests, frame @ (Frame::Transfer(_) | Frame::CutLog(_)))
            | (
                Channel::Bulk,
                frame @ (Frame::Chunk(_) | Frame::ChunkAck(_) | Frame::Catalog(_) | Frame::Compact(_)),
            ) => self.voice.deliver(|| handler.frame(origin, frame)),
            _ => return Err(WireError::OutOfPlace),
        })
    }
}

/// Counts and logs a handshake that failed for a reason worth knowing.
fn refuse(shared: &Shared, error: &HandshakeError, logged: &Logged) {
    match error {
        HandshakeError::Refused(ErrorCode::NotReady) => {}
        HandshakeError::Refused(code) => {
            shared.count_refused();
            if logged.lock().unwrap_or_else(PoisonError::into_inner).insert(*code) {
                tracing::warn!(code = code.as_str(), hint = code.hint(), "refused a connection: {error}");
            }
        }
        HandshakeError::Wire(WireError::Decode(_) | WireError::OutOfPlace) => shared.count_refused(),
        // Closed early, or silent: port scans and peers that died do that.
        HandshakeError::Wire(WireError::Io(_) | WireError::Closed)
        | HandshakeError::Timeout
        | HandshakeError::OtherNode(_)
        | HandshakeError::RefusedByPeer(_) => {}
    }
}
