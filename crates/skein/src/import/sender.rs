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

/// What came of a batch.
pub struct Flushed<N> {
    /// The notes of commands with their replies, in order.
    pub replies: Vec<(N, Reply)>,
    /// The connection broke: why, and the notes of commands without a reply. They may have been carried out or not.
    pub broken: Option<(io::Error, Vec<N>)>,
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

    /// Sends what was added, and takes the replies.
    pub fn flush(&mut self) -> Flushed<N> {
        let mut notes = std::mem::take(&mut self.notes).into_iter();
        let output = std::mem::take(&mut self.output);
        let mut replies = Vec::with_capacity(notes.len());
        let mut broken = self.stream.write_all(&output).err();
        while broken.is_none() && notes.len() > 0 {
            match self.reply() {
                Ok(reply) => replies.extend(notes.next().map(|note| (note, reply))),
                Err(error) => broken = Some(error),
            }
        }
        Flushed { replies, broken: broken.map(|error| (error, notes.collect())) }
    }

    /// Sends one command by itself. Nothing else is under way.
    ///
    /// # Errors
    /// The connection is broken, or its bytes are no replies.
    pub fn ask(&mut self, args: &[Bytes], note: N) -> io::Result<Reply> {
        self.add(args, note);
        let Flushed { mut replies, broken } = self.flush();
        match (replies.pop(), broken) {
            (Some((_, reply)), None) => Ok(reply),
            (_, Some((error, _))) => Err(error),
            (None, None) => Err(ErrorKind::InvalidData.into()),
        }
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
