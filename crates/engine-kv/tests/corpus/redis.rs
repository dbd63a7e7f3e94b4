//! A real Redis server on a socket of its own, and a client for it made of this crate's codec.

use bytes::BytesMut;
use proto_redis::{Reply, ReplyDecoder};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// A server that ends with the test.
pub struct Server {
    process: Child,
    socket: PathBuf,
}

/// One connection, speaking RESP2.
pub struct Connection {
    stream: UnixStream,
    decoder: ReplyDecoder,
    buffer: BytesMut,
}

impl Server {
    /// Starts `redis-server` 7.0 with one empty database and returns when it listens; `None` if it is not
    /// installed or of another version.
    pub fn start(password: Option<&str>) -> Option<Self> {
        let version = Command::new("redis-server").arg("--version").output().ok()?;
        if !String::from_utf8_lossy(&version.stdout).contains("v=7.0.") {
            return None;
        }
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let name = format!("skein-corpus-{}-{number}.sock", std::process::id());
        let socket = std::env::temp_dir().join(name);
        let mut process = Command::new("redis-server")
            .args(["--port", "0", "--databases", "1", "--save", "", "--appendonly", "no", "--unixsocket"])
            .arg(&socket)
            .args(["--requirepass", password.unwrap_or_default()])
            .current_dir(std::env::temp_dir())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let output = BufReader::new(process.stdout.take()?);
        let listens = |line: &String| line.contains("ready to accept connections");
        let started = output.lines().map_while(Result::ok).any(|line| listens(&line));
        assert!(started, "redis-server did not start");
        Some(Self { process, socket })
    }

    pub fn connect(&self) -> Connection {
        let stream = UnixStream::connect(&self.socket).unwrap();
        Connection { stream, decoder: ReplyDecoder::new(), buffer: BytesMut::new() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_file(&self.socket);
    }
}

impl Connection {
    /// Sends a command and waits for its reply.
    pub fn command(&mut self, args: &[Vec<u8>]) -> Reply {
        let mut request = format!("*{}\r\n", args.len()).into_bytes();
        for arg in args {
            request.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
            request.extend_from_slice(arg);
            request.extend_from_slice(b"\r\n");
        }
        self.stream.write_all(&request).unwrap();
        self.reply().expect("the server closed the connection")
    }

    /// Sends bytes and nothing more, and waits for all replies.
    pub fn bytes(mut self, request: &[u8]) -> Vec<Reply> {
        // The server closes the connection at the first error, perhaps before it has read everything.
        let _ = self.stream.write_all(request);
        let _ = self.stream.shutdown(Shutdown::Write);
        std::iter::from_fn(|| self.reply()).collect()
    }

    /// The next reply; `None` at the end of the connection.
    fn reply(&mut self) -> Option<Reply> {
        loop {
            if let Some(reply) = self.decoder.decode(&mut self.buffer).unwrap() {
                return Some(reply);
            }
            let mut piece = [0; 4096];
            match self.stream.read(&mut piece) {
                Ok(length) if length > 0 => self.buffer.extend_from_slice(&piece[..length]),
                _ => return None,
            }
        }
    }
}
