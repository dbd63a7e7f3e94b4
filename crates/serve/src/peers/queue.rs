//! What waits to be written to a peer: bounded in number and in bytes, filled by any thread.
//!
//! Whoever brings something writes it as well, if the socket takes it: waking another thread for it costs
//! more than the write. So the connection's task leaves its socket here while it has nothing to do, and
//! only gets it back for what the socket did not take at once.
//!
//! ```text
//!                       ┌── socket is here, and takes it all ──► written by the pusher
//!   push ──► waiting ───┤
//!                       └── else ──► notified: the task takes socket, rest and waiting, and writes
//! ```

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use api::frame::Frame;
use api::peer::{RaftMessage, Reply, Request};
use bytes::{Buf, BytesMut};
use prost::Message;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::Notify;
use types::limits::{FRAME_BYTES_MAX, FRAMES_WAITING_MAX, PEER_QUEUE_BYTES_MAX, PEER_WRITE_BYTES};

use super::wire::encode_all;

/// Bytes that a body needs in a batch besides its own: its tag and length.
const FIELD_BYTES: usize = 12;
/// More than this is left to the connection's task: the pusher has other things to do.
const WRITE_AT_ONCE_BYTES: usize = 64 * 1024;

/// Why something was not taken for sending. Nothing of it has left, or ever will.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    /// There is no connection, and none is being made just now.
    #[error("the peer is not connected")]
    Disconnected,
    /// As much waits for the peer as may.
    #[error("too much waits for the peer")]
    Full,
    /// It is larger than any frame.
    #[error("too large for a frame")]
    TooLarge,
}

/// Something to send.
pub(crate) enum Item {
    /// Shares a frame with its neighbours.
    Raft(RaftMessage),
    /// Shares a frame with its neighbours.
    Request(Request),
    /// Shares a frame with its neighbours.
    Reply(Reply),
    /// A frame of its own.
    Frame(Frame),
}

/// Something to send and its size.
pub(crate) struct Waiting {
    /// What.
    pub(crate) item: Item,
    /// About how many bytes it takes on the wire.
    pub(crate) bytes: usize,
}

/// The queue. *Closed* while there is no connection: then it takes nothing.
pub(crate) struct Queue {
    state: Mutex<State>,
    filled: Notify,
    drained: Notify,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    open: bool,
    /// The socket, while the connection's task has nothing to write.
    writer: Option<OwnedWriteHalf>,
    /// The end of frames that the socket took only the beginning of, and before that what the last burst
    /// was encoded in.
    encoded: BytesMut,
}

/// What the connection's task gets to write.
pub(crate) struct Work {
    /// The socket.
    pub(crate) writer: OwnedWriteHalf,
    /// Frames, the first of which may have begun.
    pub(crate) encoded: BytesMut,
}

impl Item {
    fn bytes(&self) -> usize {
        FIELD_BYTES
            + match self {
                Item::Raft(body) => body.encoded_len(),
                Item::Request(body) => body.encoded_len(),
                Item::Reply(body) => body.encoded_len(),
                Item::Frame(Frame::Chunk(body)) => body.encoded_len(),
                Item::Frame(Frame::ChunkAck(body)) => body.encoded_len(),
                Item::Frame(Frame::Report(body)) => body.encoded_len(),
                Item::Frame(Frame::Transfer(body)) => body.encoded_len(),
                Item::Frame(Frame::Catalog(body)) => body.encoded_len(),
                Item::Frame(Frame::CutLog(body)) => body.encoded_len(),
                Item::Frame(Frame::Compact(body)) => body.encoded_len(),
                // Handshakes and batches are not queued.
                Item::Frame(_) => 0,
            }
    }

    pub(crate) fn into_raft(self) -> Option<RaftMessage> {
        if let Item::Raft(body) = self { Some(body) } else { None }
    }

    pub(crate) fn into_request(self) -> Option<Request> {
        if let Item::Request(body) = self { Some(body) } else { None }
    }

    pub(crate) fn into_reply(self) -> Option<Reply> {
        if let Item::Reply(body) = self { Some(body) } else { None }
    }
}

impl Queue {
    /// A closed queue.
    pub(crate) fn new() -> Self {
        Self { state: Mutex::default(), filled: Notify::new(), drained: Notify::new() }
    }

    /// Takes items until one does not fit; those after it are not taken either, so that order holds.
    /// Returns how many were taken and why the next one was not.
    pub(crate) fn push(&self, items: impl IntoIterator<Item = Item>) -> (usize, Option<NotSent>) {
        let mut taken = 0;
        let mut refused = None;
        let mut state = self.lock();
        let was_empty = state.waiting.is_empty();
        for item in items {
            match state.admit(item) {
                Ok(()) => taken += 1,
                Err(reason) => {
                    refused = Some(reason);
                    break;
                }
            }
        }
        let written = taken > 0 && state.write_at_once();
        drop(state);
        // One wake-up per burst: the task takes everything that is there.
        if was_empty && taken > 0 && !written {
            self.filled.notify_one();
        }
        (taken, refused)
    }

    /// Leaves the socket here until there is something to write that nobody else could, and takes that, up
    /// to about [`PEER_WRITE_BYTES`] (one item always). Ends only by being dropped; the socket then stays
    /// until the queue is closed.
    pub(crate) async fn work(&self, writer: OwnedWriteHalf, encoded: BytesMut) -> Work {
        {
            let mut state = self.lock();
            state.writer = Some(writer);
            state.encoded = encoded;
        }
        loop {
            if let Some(work) = self.take_work() {
                self.drained.notify_waiters();
                return work;
            }
            self.filled.notified().await;
        }
    }

    /// Waits until there is room for more, or the queue is closed.
    pub(crate) async fn room(&self) {
        loop {
            let mut drained = std::pin::pin!(self.drained.notified());
            drained.as_mut().enable();
            if !self.lock().is_full() {
                return;
            }
            drained.await;
        }
    }

    /// From now on items are taken.
    pub(crate) fn open(&self) {
        self.lock().open = true;
    }

    /// From now on nothing is taken, and what waits is forgotten. Returns how much that was.
    pub(crate) fn close(&self) -> usize {
        let mut state = self.lock();
        let forgotten = state.waiting.len();
        *state = State::default();
        drop(state);
        self.drained.notify_waiters();
        forgotten
    }

    fn take_work(&self) -> Option<Work> {
        let mut state = self.lock();
        if state.encoded.is_empty() && state.waiting.is_empty() {
            return None;
        }
        let writer = state.writer.take()?;
        let State { waiting, bytes, encoded, .. } = &mut *state;
        encode(waiting, bytes, encoded);
        Some(Work { writer, encoded: std::mem::take(encoded) })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing between lock and unlock can leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Writes what waits, if the socket is here and it is not much. `false` if something is left.
    fn write_at_once(&mut self) -> bool {
        let Some(writer) = self.writer.as_ref().filter(|_| self.bytes <= WRITE_AT_ONCE_BYTES) else {
            return false;
        };
        loop {
            if self.encoded.is_empty() {
                self.encoded.clear();
                if self.waiting.is_empty() {
                    return true;
                }
                encode(&mut self.waiting, &mut self.bytes, &mut self.encoded);
            }
            match writer.try_write(&self.encoded) {
                Ok(written) if written > 0 => self.encoded.advance(written),
                // The task waits until the socket takes more, or learns what is wrong with it.
                _ => return false,
            }
        }
    }

    fn is_full(&self) -> bool {
        self.waiting.len() >= FRAMES_WAITING_MAX || self.bytes >= PEER_QUEUE_BYTES_MAX
    }

    fn admit(&mut self, item: Item) -> Result<(), NotSent> {
        if !self.open {
            return Err(NotSent::Disconnected);
        }
        if self.is_full() {
            return Err(NotSent::Full);
        }
        let bytes = item.bytes();
        // The kind before a frame's body counts too.
        if bytes >= FRAME_BYTES_MAX {
            return Err(NotSent::TooLarge);
        }
        self.bytes += bytes;
        self.waiting.push_back(Waiting { item, bytes });
        Ok(())
    }
}

/// Encodes items up to [`PEER_WRITE_BYTES`] (one always) behind what is encoded already.
fn encode(waiting: &mut VecDeque<Waiting>, waiting_bytes: &mut usize, encoded: &mut BytesMut) {
    let (mut items, mut bytes) = (VecDeque::new(), 0);
    while let Some(next) = waiting.front()
        && (bytes == 0 || bytes + next.bytes <= PEER_WRITE_BYTES)
    {
        bytes += next.bytes;
        items.extend(waiting.pop_front());
    }
    *waiting_bytes -= bytes;
    encode_all(&mut items, encoded);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(bytes: usize) -> Item {
        Item::Request(Request { body: vec![0; bytes].into(), ..Default::default() })
    }

    #[tokio::test]
    async fn what_is_over_the_bounds_is_refused_and_order_holds() {
        let queue = Queue::new();
        assert_eq!(queue.push([request(1)]), (0, Some(NotSent::Disconnected)));
        queue.open();
        let many = (0..FRAMES_WAITING_MAX + 5).map(|_| request(1));
        assert_eq!(queue.push(many), (FRAMES_WAITING_MAX, Some(NotSent::Full)));
        assert_eq!(queue.close(), FRAMES_WAITING_MAX);

        queue.open();
        assert_eq!(
            queue.push([request(1), request(FRAME_BYTES_MAX), request(1)]),
            (1, Some(NotSent::TooLarge))
        );
        let large = PEER_QUEUE_BYTES_MAX / 8;
        let (taken, why) = queue.push((0..20).map(|_| request(large)));
        assert_eq!((taken, why), (8, Some(NotSent::Full)));

        let (_reader, writer) = socket().await;
        let work = queue.work(writer, BytesMut::new()).await;
        assert_eq!(frames(work.encoded), 1, "the next one would not fit one write");
        let work = queue.work(work.writer, BytesMut::new()).await;
        assert_eq!(frames(work.encoded), 1, "a large one leaves alone");
        queue.room().await;
    }

    #[tokio::test]
    async fn who_brings_something_writes_it_and_leaves_only_what_the_socket_does_not_take() {
        let queue = std::sync::Arc::new(Queue::new());
        queue.open();
        let (mut reader, writer) = socket().await;
        let task = tokio::spawn({
            let queue = queue.clone();
            async move { queue.work(writer, BytesMut::new()).await }
        });
        while queue.lock().writer.is_none() {
            tokio::task::yield_now().await;
        }
        queue.push([request(10)]);
        assert!(queue.lock().writer.is_some() && queue.lock().waiting.is_empty(), "written without the task");
        let mut sent = 1;
        while queue.lock().encoded.is_empty() {
            assert_eq!(queue.push([request(WRITE_AT_ONCE_BYTES / 2)]), (1, None));
            sent += 1;
        }
        assert_eq!(queue.push([request(1)]), (1, None), "waits behind the frame that has begun");
        let Work { mut writer, encoded } = task.await.unwrap();
        let rest = tokio::spawn(async move {
            tokio::io::AsyncWriteExt::write_all(&mut writer, &encoded).await.unwrap();
        });
        let mut all = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut reader, &mut all).await.unwrap();
        rest.await.unwrap();
        assert_eq!(frames(BytesMut::from(&all[..])), sent + 1, "all of them, in order and whole");
    }

    async fn socket() -> (tokio::net::TcpStream, OwnedWriteHalf) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (reader, writer) = stream.into_split();
        drop(reader);
        (listener.accept().await.unwrap().0, writer)
    }

    /// How many frames these bytes are.
    fn frames(mut bytes: BytesMut) -> usize {
        let mut frames = 0;
        while Frame::decode(&mut bytes).unwrap().is_some() {
            frames += 1;
        }
        assert!(bytes.is_empty());
        frames
    }
}
