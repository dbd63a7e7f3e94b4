//! One connection of the load generator: a batch out, its replies in.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use proto_redis::{Reply, ReplyDecoder};

/// How long a connection may take to be made, and its first command to be answered.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Bytes that are read at once.
const READ_BYTES: usize = 64 * 1024;

/// A command that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It changes nothing; without an answer it has simply failed.
    Read,
    /// It changes something; without an answer nobody knows.
    Write,
}

/// A connection with a batch under way, or none.
pub struct Connection {
    stream: TcpStream,
    decoder: ReplyDecoder,
    input: BytesMut,
    output: Vec<u8>,
    /// Bytes of `output` that are on their way.
    written: usize,
    /// The commands of the batch.
    batch: Vec<Sent>,
    /// Those of them that were answered.
    answered: usize,
    began: Instant,
}

/// Asks whether a server of the Redis protocol listens there.
///
/// # Errors
/// What the system says, or what makes it look like something else.
pub fn greet(address: SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)?;
    // An error is an answer too: a password may be missing.
    ask(&mut stream, &["PING"]).map(drop).map_err(|error| {
        let kind = error.kind();
        let text = match kind {
            ErrorKind::InvalidData => "it does not speak the Redis protocol".into(),
            ErrorKind::UnexpectedEof => {
                "it closed the connection at PING; does it speak the Redis protocol?".into()
            }
            ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                let seconds = CONNECT_TIMEOUT.as_secs();
                format!("no answer to PING within {seconds} s; does it speak the Redis protocol?")
            }
            _ => return error,
        };
        std::io::Error::new(kind, text)
    })
}

/// A reply, as far as a load generator cares.
#[derive(Debug)]
pub enum Answer {
    /// What was asked for.
    Good,
    /// An error; the text is the server's.
    Error(String),
}

impl Connection {
    /// Connects, and shows the password if there is one.
    ///
    /// # Errors
    /// What the system says, or what the server says of the password.
    pub fn open(address: SocketAddr, password: Option<&str>) -> std::io::Result<Self> {
        let mut stream = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)?;
        stream.set_nodelay(true)?;
        if let Some(password) = password
            && let Answer::Error(text) = ask(&mut stream, &["AUTH", password])?
        {
            return Err(std::io::Error::new(ErrorKind::PermissionDenied, text));
        }
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            decoder: ReplyDecoder::new(),
            input: BytesMut::with_capacity(READ_BYTES),
            output: Vec::new(),
            written: 0,
            batch: Vec::new(),
            answered: 0,
            began: Instant::now(),
        })
    }

    /// The socket, to be waited for.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Whether the last batch is answered.
    pub fn is_idle(&self) -> bool {
        self.answered == self.batch.len()
    }

    /// When the batch under way was begun.
    pub fn began(&self) -> Instant {
        self.began
    }

    /// The commands that have no answer yet.
    pub fn unanswered(&self) -> &[Sent] {
        &self.batch[self.answered..]
    }

    /// Begins a batch; `fill` appends encoded commands and tells of each what it is.
    pub fn begin(&mut self, now: Instant, fill: impl FnOnce(&mut Vec<u8>, &mut Vec<Sent>)) {
        debug_assert!(self.is_idle());
        self.output.clear();
        self.batch.clear();
        (self.written, self.answered, self.began) = (0, 0, now);
        fill(&mut self.output, &mut self.batch);
    }

    /// Sends what the socket takes. Returns whether anything is left.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn write(&mut self) -> std::io::Result<bool> {
        while self.written < self.output.len() {
            match self.stream.write(&self.output[self.written..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(bytes) => self.written += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// Takes in what has arrived; `heed` gets each answer and the command that it belongs to.
    ///
    /// # Errors
    /// The connection is broken, or its bytes are no replies.
    pub fn read(&mut self, mut heed: impl FnMut(Sent, Answer)) -> std::io::Result<()> {
        let mut chunk = [0; READ_BYTES];
        loop {
            let bytes = match self.stream.read(&mut chunk) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(bytes) => bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.input.extend_from_slice(&chunk[..bytes]);
            while let Some(answer) = next_answer(&mut self.decoder, &mut self.input)? {
                let Some(&sent) = self.batch.get(self.answered) else {
                    return Err(std::io::Error::new(ErrorKind::InvalidData, "a reply that nobody asked for"));
                };
                self.answered += 1;
                heed(sent, answer);
            }
            // Less than was asked for means that no more is there now: no second call to find out.
            if bytes < chunk.len() {
                return Ok(());
            }
        }
    }
}

fn next_answer(decoder: &mut ReplyDecoder, input: &mut BytesMut) -> std::io::Result<Option<Answer>> {
    let reply = decoder.decode(input).map_err(|error| std::io::Error::new(ErrorKind::InvalidData, error))?;
    Ok(reply.map(|reply| match reply {
        Reply::Error(error) => Answer::Error(error.to_string()),
        _ => Answer::Good,
    }))
}

/// Sends the first command of a connection and waits for its answer.
fn ask(stream: &mut TcpStream, words: &[&str]) -> std::io::Result<Answer> {
    stream.set_read_timeout(Some(CONNECT_TIMEOUT))?;
    let mut command = format!("*{}\r\n", words.len());
    for word in words {
        command += &format!("${}\r\n{word}\r\n", word.len());
    }
    stream.write_all(command.as_bytes())?;
    let (mut decoder, mut input) = (ReplyDecoder::new(), BytesMut::new());
    let mut chunk = [0; 512];
    loop {
        let bytes = stream.read(&mut chunk)?;
        if bytes == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        input.extend_from_slice(&chunk[..bytes]);
        if let Some(answer) = next_answer(&mut decoder, &mut input)? {
            return Ok(answer);
        }
    }
}
