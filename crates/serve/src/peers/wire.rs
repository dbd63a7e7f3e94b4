//! Frames on a socket: reading them within a limit, and packing what waits into few writes.

use std::collections::VecDeque;
use std::io;
use std::mem::discriminant;

use api::DecodeError;
use api::frame::{Frame, HEADER_BYTES, RaftBatch, ReplyBatch, RequestBatch};
use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use types::limits::FRAME_BYTES_MAX;

use super::queue::{Item, Waiting};

/// Bytes asked of the kernel at once.
const READ_BYTES: usize = 32 * 1024;

/// Why reading from a peer ended.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The socket failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The bytes are no frame.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The other side closed.
    #[error("closed by the other side")]
    Closed,
    /// A frame of a kind that does not belong on this channel, or not now.
    #[error("a frame that does not belong here")]
    OutOfPlace,
}

/// Reads frames from a socket.
///
/// Every frame gets memory of its own, because parts of it live on: an entry that stays in a cache for
/// minutes must not hold a read buffer full of its neighbours.
pub(crate) struct FrameReader<R> {
    source: R,
    buffer: BytesMut,
    limit: usize,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// A reader that refuses frames of more than `limit` bytes.
    pub(crate) fn new(source: R, limit: usize) -> Self {
        Self { source, buffer: BytesMut::new(), limit }
    }

    /// Changes the limit: once a peer has proved itself it may send more.
    pub(crate) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Gives the socket back; what was read ahead is lost.
    #[cfg(test)]
    pub(crate) fn into_source(self) -> R {
        self.source
    }

    /// The next frame. Not to be dropped half way, except to give the connection up.
    pub(crate) async fn next(&mut self) -> Result<Frame, WireError> {
        loop {
            if let Some(length) = self.frame_length()? {
                if self.buffer.len() >= length {
                    let mut frame = BytesMut::from(&self.buffer[..length]);
                    self.buffer.advance(length);
                    return complete(&mut frame);
                }
                if length > READ_BYTES {
                    return self.rest_of(length).await;
                }
            }
            self.buffer.reserve(READ_BYTES - self.buffer.len().min(READ_BYTES - 1));
            if self.source.read_buf(&mut self.buffer).await? == 0 {
                return Err(WireError::Closed);
            }
        }
    }

    /// Length of the frame at the front, header included, once it is known.
    fn frame_length(&self) -> Result<Option<usize>, WireError> {
        let Some(header) = self.buffer.first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_be_bytes(*header) as usize;
        if length > self.limit {
            return Err(DecodeError::TooLarge { what: "frame", bytes: length, limit: self.limit }.into());
        }
        Ok(Some(HEADER_BYTES + length))
    }

    /// Reads a large frame straight into its own memory.
    async fn rest_of(&mut self, length: usize) -> Result<Frame, WireError> {
        let mut frame = BytesMut::with_capacity(length);
        frame.extend_from_slice(&self.buffer);
        self.buffer.clear();
        while frame.len() < length {
            let missing = (length - frame.len()) as u64;
            if (&mut self.source).take(missing).read_buf(&mut frame).await? == 0 {
                return Err(WireError::Closed);
            }
        }
        complete(&mut frame)
    }
}

/// Decodes a buffer that holds exactly one frame.
fn complete(frame: &mut BytesMut) -> Result<Frame, WireError> {
    Frame::decode(frame)?.ok_or(WireError::Decode(DecodeError::Malformed("frame")))
}

/// Encodes everything in `items`, which becomes empty: neighbours of one kind share a frame, as long as
/// the frame stays within [`FRAME_BYTES_MAX`].
pub(crate) fn encode_all(items: &mut VecDeque<Waiting>, out: &mut BytesMut) {
    while let Some(first) = items.front() {
        match &first.item {
            Item::Raft(_) => Frame::Raft(RaftBatch { messages: run(items, Item::into_raft) }).encode(out),
            Item::Request(_) => {
                Frame::Requests(RequestBatch { requests: run(items, Item::into_request) }).encode(out);
            }
            Item::Reply(_) => {
                Frame::Replies(ReplyBatch { replies: run(items, Item::into_reply) }).encode(out);
            }
            Item::Frame(frame) => {
                frame.encode(out);
                items.pop_front();
            }
        }
    }
}

/// Takes the items at the front that are of one kind and fit one frame; the first one always does.
fn run<T>(items: &mut VecDeque<Waiting>, into_body: fn(Item) -> Option<T>) -> Vec<T> {
    let kind = items.front().map(|first| discriminant(&first.item));
    let mut bytes = 0;
    let mut bodies = Vec::new();
    while let Some(next) = items.front()
        && Some(discriminant(&next.item)) == kind
        && (bytes == 0 || bytes + next.bytes <= FRAME_BYTES_MAX)
    {
        bytes += next.bytes;
        bodies.extend(items.pop_front().and_then(|next| into_body(next.item)));
    }
    bodies
}

#[cfg(test)]
mod tests {
    use api::peer::{RaftMessage, Reply};

    use super::*;

    fn waiting(item: Item, bytes: usize) -> Waiting {
        Waiting { item, bytes }
    }

    async fn frames(bytes: &[u8]) -> Vec<Frame> {
        let mut reader = FrameReader::new(bytes, FRAME_BYTES_MAX);
        let mut frames = Vec::new();
        while let Ok(frame) = reader.next().await {
            frames.push(frame);
        }
        frames
    }

    #[tokio::test]
    async fn neighbours_of_one_kind_share_a_frame_within_its_limit() {
        let raft = |bytes| waiting(Item::Raft(RaftMessage::default()), bytes);
        let reply = || waiting(Item::Reply(Reply::default()), 1);
        let mut items = VecDeque::from([raft(1), raft(1), reply(), reply(), reply(), raft(1)]);
        items.push_back(waiting(Item::Frame(Frame::ChunkAck(Default::default())), 1));
        // Sizes that would not fit one frame together.
        items.extend([raft(FRAME_BYTES_MAX), raft(FRAME_BYTES_MAX), raft(1)]);
        let mut bytes = BytesMut::new();
        encode_all(&mut items, &mut bytes);
        let sizes: Vec<usize> = frames(&bytes)
            .await
            .iter()
            .map(|frame| match frame {
                Frame::Raft(batch) => batch.messages.len(),
                Frame::Replies(batch) => 10 * batch.replies.len(),
                _ => 100,
            })
            .collect();
        assert_eq!(sizes, [2, 30, 1, 100, 1, 1, 1]);
    }

    #[tokio::test]
    async fn frames_are_read_whole_whatever_their_size() {
        let mut bytes = BytesMut::new();
        let sizes = [0, 10, READ_BYTES - 20, READ_BYTES, 5 * READ_BYTES, 3];
        for size in sizes {
            let chunk = api::peer::SnapshotChunk { data: vec![1; size].into(), ..Default::default() };
            Frame::Chunk(chunk).encode(&mut bytes);
        }
        let read: Vec<usize> = frames(&bytes)
            .await
            .into_iter()
            .map(|frame| if let Frame::Chunk(chunk) = frame { chunk.data.len() } else { unreachable!() })
            .collect();
        assert_eq!(read, sizes);
    }

    #[tokio::test]
    async fn a_length_over_the_limit_is_refused_before_memory_is_taken() {
        let mut reader = FrameReader::new(&[0x00, 0x00, 0x04, 0x01][..], 1024);
        let refused = reader.next().await.unwrap_err();
        assert!(matches!(refused, WireError::Decode(DecodeError::TooLarge { bytes: 1025, .. })));
        assert!(reader.buffer.capacity() <= 2 * READ_BYTES);
    }
}
