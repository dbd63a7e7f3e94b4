//! What waits to be written to a peer: bounded in number and in bytes, filled by any thread, emptied by
//! the connection's task.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use api::frame::Frame;
use api::peer::{RaftMessage, Reply, Request};
use prost::Message;
use tokio::sync::Notify;
use types::limits::{FRAME_BYTES_MAX, FRAMES_WAITING_MAX, PEER_QUEUE_BYTES_MAX, PEER_WRITE_BYTES};

/// Bytes that a body needs in a batch besides its own: its tag and length.
const FIELD_BYTES: usize = 12;

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
        drop(state);
        // One wake-up per burst: the writer takes everything that is there.
        if was_empty && taken > 0 {
            self.filled.notify_one();
        }
        (taken, refused)
    }

    /// Waits until something is there and takes it, up to [`PEER_WRITE_BYTES`] (one item always).
    /// Ends only by being dropped.
    pub(crate) async fn take(&self, into: &mut VecDeque<Waiting>) {
        while !self.take_now(into) {
            self.filled.notified().await;
        }
        self.drained.notify_waiters();
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

    fn take_now(&self, into: &mut VecDeque<Waiting>) -> bool {
        let mut state = self.lock();
        let mut bytes = 0;
        while let Some(next) = state.waiting.front()
            && (bytes == 0 || bytes + next.bytes <= PEER_WRITE_BYTES)
        {
            bytes += next.bytes;
            into.extend(state.waiting.pop_front());
        }
        state.bytes -= bytes;
        bytes > 0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing between lock and unlock can leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
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

        let mut taken = VecDeque::new();
        queue.take(&mut taken).await;
        assert_eq!(taken.len(), 1, "the next one would not fit one write");
        queue.take(&mut taken).await;
        assert_eq!(taken.len(), 2, "a large one leaves alone");
        queue.room().await;
    }
}
