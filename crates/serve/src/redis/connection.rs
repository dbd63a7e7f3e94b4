//! One client: bytes in, commands started, replies out.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use proto_redis::{Decoder, Reply};
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep_until};
use types::limits::{
    CLIENT_COMMANDS_OPEN_MAX, CLIENT_OUTPUT_BYTES_MAX, CLIENT_OUTPUT_PAUSE_BYTES, CLIENT_READ_BYTES,
    CLIENT_READ_BYTES_MAX,
};

use super::blocking::Ending;
use super::client::Client;
use super::execute::Executor;
use super::worker::Worker;

/// One client's connection.
pub(crate) struct Connection {
    stream: TcpStream,
    worker: Arc<Worker>,
    client: Arc<Client>,
    decoder: Decoder,
    /// Bytes that are not understood yet. Empty for most connections most of the time: memory for reading
    /// is lent by the worker.
    input: BytesMut,
    /// Room for the arguments of one command.
    args: Vec<Bytes>,
    executor: Executor,
    /// Rings when the time of a command that waits is up.
    timer: Option<Pin<Box<Sleep>>>,
    /// No more is read: the client has gone, or said something that is no command.
    deaf: bool,
}

/// Whether to go on.
enum Progress {
    /// Something moved; look again.
    Made,
    /// Nothing can move before somebody wakes the task.
    None,
    /// The connection is over.
    End,
}

impl Connection {
    /// A connection that was accepted.
    pub(crate) fn new(stream: TcpStream, worker: Arc<Worker>, client: Arc<Client>) -> Self {
        let executor = Executor::new(worker.clone(), client.clone());
        Self {
            stream,
            worker,
            client,
            decoder: Decoder::new(),
            input: BytesMut::new(),
            args: Vec::new(),
            executor,
            timer: None,
            deaf: false,
        }
    }

    /// Serves the client until it goes, or has to.
    pub(crate) async fn run(mut self) {
        std::future::poll_fn(|context| self.poll(context)).await;
        self.executor.leave();
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.client.mailbox.register(context.waker());
        loop {
            self.executor.take_mail();
            if let Some(ending) = self.client.ending() {
                self.executor.end_waiting(ending);
            }
            match self.turn(context) {
                Ok(Progress::Made) => {}
                Ok(Progress::None) if self.is_time_up(context) => self.executor.end_waiting(Ending::TimeUp),
                Ok(Progress::None) => return Poll::Pending,
                Ok(Progress::End) | Err(_) => return Poll::Ready(()),
            }
            if self.client.is_killed() && self.executor.pipeline().out().is_empty() {
                return Poll::Ready(());
            }
        }
    }

    /// One look at everything that may move.
    fn turn(&mut self, context: &mut Context<'_>) -> io::Result<Progress> {
        self.start_commands();
        let paused = !self.may_read();
        // Before the replies leave: who has read one finds it counted.
        self.executor.report(self.input.len());
        let flushed = self.write(context)?;
        if self.executor.pipeline().bytes() > CLIENT_OUTPUT_BYTES_MAX {
            tracing::warn!(client = self.client.id, "disconnected a client that does not read its replies");
            return Ok(Progress::End);
        }
        if flushed && (self.executor.is_done() || self.client.is_killed()) {
            return Ok(Progress::End);
        }
        if paused && self.may_read() {
            // Commands that have been read already go on where they stopped.
            return Ok(Progress::Made);
        }
        if self.deaf && self.executor.is_blocked() {
            // The client has gone, and what it waits for is for others.
            return Ok(Progress::End);
        }
        if self.deaf {
            let answered = self.executor.pipeline().is_idle() && !self.executor.is_stalled();
            return Ok(if flushed && answered { Progress::End } else { Progress::None });
        }
        if !self.may_read() && !self.may_listen() {
            return Ok(Progress::None);
        }
        self.read(context)
    }

    /// Behind a command that waits nothing starts, yet its end must be heard if the client goes.
    fn may_listen(&self) -> bool {
        self.executor.is_blocked() && self.input.len() < CLIENT_READ_BYTES_MAX
    }

    /// Whether the time of the command that waits is up. If not, the task is woken then.
    fn is_time_up(&mut self, context: &mut Context<'_>) -> bool {
        let Some(deadline) = self.executor.deadline() else {
            self.timer = None;
            return false;
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(context).is_ready()
    }

    /// Reading waits while the client has enough to wait for, or does not read itself, and ends with `QUIT`.
    fn may_read(&mut self) -> bool {
        !self.executor.is_stalled()
            && !self.executor.has_quit()
            && self.executor.pipeline().len() < CLIENT_COMMANDS_OPEN_MAX
            && self.executor.pipeline().bytes() < CLIENT_OUTPUT_PAUSE_BYTES
    }

    /// Starts every command that is there and may start.
    fn start_commands(&mut self) {
        self.executor.resume();
        while !self.input.is_empty() && self.may_read() {
            self.decoder.restrict(!self.executor.is_authenticated());
            match self.decoder.decode(&mut self.input, &mut self.args) {
                Ok(true) => self.executor.command(&self.args),
                Ok(false) => break,
                Err(error) => {
                    self.executor.protocol_error(&Reply::Error(error.text()));
                    self.deaf = true;
                    self.input.clear();
                }
            }
        }
        // The arguments hold the read buffer.
        self.args.clear();
    }

    /// Writes what may leave. `true` when all of it has left.
    fn write(&mut self, context: &mut Context<'_>) -> io::Result<bool> {
        let out = self.executor.pipeline().out();
        while !out.is_empty() {
            match Pin::new(&mut self.stream).poll_write(context, out)? {
                Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(written) => {
                    out.advance(written);
                    self.worker.face().counters.add_bytes_out(written);
                }
                Poll::Pending => return Ok(false),
            }
        }
        // A long reply shall not cost memory for ever.
        if out.capacity() > CLIENT_READ_BYTES_MAX {
            *out = BytesMut::new();
        }
        Ok(true)
    }

    fn read(&mut self, context: &mut Context<'_>) -> io::Result<Progress> {
        let borrowed = self.input.is_empty();
        if borrowed {
            self.input = self.worker.lend_buffer();
        }
        // A length in a command is only a claim: memory grows with what comes, in steps.
        let missing = self.decoder.missing(&self.input);
        self.input.reserve(missing.clamp(CLIENT_READ_BYTES, CLIENT_READ_BYTES_MAX));
        let read = std::pin::pin!(self.stream.read_buf(&mut self.input)).poll(context);
        let progress = match read {
            Poll::Ready(Ok(0)) => {
                self.deaf = true;
                Ok(Progress::Made)
            }
            Poll::Ready(Ok(bytes)) => {
                self.worker.face().counters.add_bytes_in(bytes);
                self.start_commands();
                Ok(Progress::Made)
            }
            Poll::Ready(Err(error)) => Err(error),
            Poll::Pending => Ok(Progress::None),
        };
        self.settle_buffer(borrowed);
        progress
    }

    /// Gives a borrowed buffer back. What is left of a command that is not complete moves to a buffer of
    /// the connection's own.
    fn settle_buffer(&mut self, borrowed: bool) {
        if self.input.is_empty() {
            let mut buffer = std::mem::take(&mut self.input);
            if borrowed {
                buffer.clear();
                self.worker.return_buffer(buffer);
            }
        } else if borrowed && self.input.len() < CLIENT_READ_BYTES / 4 {
            let own = BytesMut::from(&self.input[..]);
            let mut buffer = std::mem::replace(&mut self.input, own);
            buffer.clear();
            self.worker.return_buffer(buffer);
        }
    }
}
