//! Commands to a port, many at once.

use std::io::{self, ErrorKind, Read, Write};

use bytes::{Bytes, BytesMut};
use proto_redis::{Reply, ReplyDecoder};

/// Bytes of commands that are sent before their replies are read. They fit the buffers of two sockets, so neither
/// side waits for the other to read.
const BATCH_BYTES: usize = 64 * 1024;
/// Bytes that are read at once.
const READ_BYTES: usize = 64 * 1024;

/// A connection that sends commands in batches. Each command has a note, which comes back with its reply.
pub struct Sender<S, N> {
    stream: S,
    decoder: ReplyDecoder,
    input: BytesMut,
    output: Vec<u8>,
    notes: Vec<N>,
}

impl<S: Read + Write, N> Sender<S, N> {
    /// A sender over a connection that has shown its password.
    pub fn new(stream: S) -> Self {
        let (decoder, input) = (ReplyDecoder::new(), BytesMut::new());
        Self { stream, decoder, input, output: Vec::new(), notes: Vec::new() }
    }

    /// Adds a command.
    pub fn add(&mut self, args: &[Bytes], note: N) {
        self.output.extend_from_slice(format!("*{}\r\n", args.len()).as_bytes());
        for arg in args {
            self.output.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
            self.output.extend_from_slice(arg);
            self.output.extend_from_slice(b"\r\n");
        }
        self.notes.push(note);
    }

    /// Whether the batch is large enough to be sent.
    pub fn is_full(&self) -> bool {
        self.output.len() >= BATCH_BYTES
    }

    /// Sends what was added, and returns the notes with their replies, in order.
    ///
    /// # Errors
    /// The connection is broken, or its bytes are no replies.
    pub fn flush(&mut self) -> io::Result<Vec<(N, Reply)>> {
        self.stream.write_all(&self.output)?;
        self.output.clear();
        let notes = std::mem::take(&mut self.notes);
        let mut replies = Vec::with_capacity(notes.len());
        for note in notes {
            replies.push((note, self.reply()?));
        }
        Ok(replies)
    }

    /// Sends one command by itself. Nothing else is under way.
    ///
    /// # Errors
    /// As [`Sender::flush`].
    pub fn ask(&mut self, args: &[Bytes], note: N) -> io::Result<Reply> {
        self.add(args, note);
        self.flush()?.pop().map(|(_, reply)| reply).ok_or_else(|| ErrorKind::InvalidData.into())
    }

    fn reply(&mut self) -> io::Result<Reply> {
        loop {
            let reply = self.decoder.decode(&mut self.input);
            if let Some(reply) = reply.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))? {
                return Ok(reply);
            }
            let mut chunk = [0; READ_BYTES];
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(bytes) => self.input.extend_from_slice(&chunk[..bytes]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
