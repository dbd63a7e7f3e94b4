//! Requests from bytes: RESP arrays of bulk strings, and inline commands.
//!
//! The decoder remembers how far it has understood the front of the buffer, so a command that arrives in
//! a thousand pieces is looked at once. Nothing is copied: when a command is complete its bytes are cut
//! off the buffer and the arguments are slices of them.
//!
//! ```text
//!  buffer   *3\r\n $3\r\n SET\r\n $1\r\n k\r\n $9\r\n val.......
//!                         ───            ─         │
//!  spans                (8,3)          (17,1)      │
//!                                        at ───────┘  everything before is understood
//! ```
//!
//! A slice keeps the whole read buffer alive. That is fine for a request on its way to a partition;
//! what is kept longer must be copied.

use crate::line;
use crate::text::{ErrorText, parse_integer};
use bytes::{Bytes, BytesMut};
use types::limits::{COMMAND_BYTES_MAX, COMMAND_ELEMENTS_MAX, INLINE_BYTES_MAX};

/// Most arguments of a command before the client has proved its password, as in Redis.
const UNAUTHENTICATED_ARGUMENTS_MAX: i64 = 10;
/// Longest argument before the client has proved its password, as in Redis.
const UNAUTHENTICATED_BULK_MAX: i64 = 16 * 1024;
/// How a request of HTTP that carries a body begins, and a line that each request has before its body.
const HTTP_WORDS: [&[u8]; 2] = [b"POST", b"Host:"];
/// Room for the places of so many arguments stays with the connection; a longer command is the exception.
const SPANS_KEPT: usize = 64;

/// Bytes that are no request. The connection is answered with [`ProtocolError::text`] and closed, since
/// nobody can tell where the next command begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// The number of arguments is no number, or over `COMMAND_ELEMENTS_MAX`.
    #[error("invalid multibulk length")]
    ArgumentCount,
    /// The number of arguments has no end.
    #[error("too big mbulk count string")]
    ArgumentCountTooLong,
    /// An argument does not begin with `$`.
    #[error("expected '$', got '{}'", char::from(*.0))]
    NotBulk(u8),
    /// The length of an argument is no number, negative, or over `COMMAND_BYTES_MAX`.
    #[error("invalid bulk length")]
    BulkLength,
    /// The length of an argument has no end.
    #[error("too big bulk count string")]
    BulkLengthTooLong,
    /// All arguments together are over `COMMAND_BYTES_MAX`.
    #[error("command longer than {COMMAND_BYTES_MAX} bytes")]
    CommandTooLong,
    /// More than 10 arguments without a password.
    #[error("unauthenticated multibulk length")]
    UnauthenticatedCount,
    /// An argument over 16 KiB without a password.
    #[error("unauthenticated bulk length")]
    UnauthenticatedBulk,
    /// An inline command over `INLINE_BYTES_MAX`.
    #[error("too big inline request")]
    InlineTooLong,
    /// An inline command with a quote that is not closed.
    #[error("unbalanced quotes in request")]
    UnbalancedQuotes,
    /// A line of an HTTP request. A browser can be made to send one to any port of its machine, with commands as its
    /// body; so nothing after it is read. Redis closes such a connection as well.
    #[error("this is HTTP, and the port speaks the Redis protocol")]
    Http,
}

impl ProtocolError {
    /// The error reply; the text is Redis'.
    pub fn text(self) -> ErrorText {
        match self {
            // The offending byte goes out as it came in, which need not be UTF-8.
            ProtocolError::NotBulk(byte) => {
                let mut text = b"ERR Protocol error: expected '$', got ' '".to_vec();
                let place = text.len() - 2;
                text[place] = byte;
                ErrorText::new(text)
            }
            other => format!("ERR Protocol error: {other}").into(),
        }
    }
}

/// Cuts commands off the front of one connection's read buffer.
///
/// Between calls the caller may append to the buffer and must not remove anything from it.
#[derive(Debug, Default)]
pub struct Decoder {
    state: State,
    /// Bytes at the front of the buffer that belong to the current command and are understood.
    at: usize,
    /// Bytes after `at` that have been searched for the end of a line.
    searched: usize,
    /// Where the arguments lie: start and length.
    spans: Vec<(u32, u32)>,
    restricted: bool,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    /// Between commands.
    #[default]
    Start,
    /// So many arguments are still to come; the next thing is a length.
    Length { left: usize },
    /// An argument of this length, then `left` more.
    Bulk { length: usize, left: usize },
}

impl Decoder {
    /// A decoder at the start of a connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether to hold the client to the small limits for those who have not proved their password.
    pub fn restrict(&mut self, restricted: bool) {
        self.restricted = restricted;
    }

    /// Takes the next command off the buffer into `args` (cleared first). `false`: more bytes are needed.
    ///
    /// A command is never empty: empty lines and empty arrays are skipped, as in Redis.
    pub fn decode(&mut self, buffer: &mut BytesMut, args: &mut Vec<Bytes>) -> Result<bool, ProtocolError> {
        args.clear();
        loop {
            let progress = match self.state {
                State::Start => match buffer.first() {
                    None => return Ok(false),
                    Some(b'*') => self.count(buffer)?,
                    Some(_) => self.inline(buffer, args)?,
                },
                State::Length { left: 0 } => {
                    self.cut(buffer, args);
                    true
                }
                State::Length { left } => self.length(buffer, left)?,
                State::Bulk { length, left } => self.bulk(buffer, length, left),
            };
            if !progress {
                return Ok(false);
            }
            if !args.is_empty() {
                return Ok(true);
            }
        }
    }

    /// How many bytes are missing for certain before [`Decoder::decode`] can go on; 0 when unknown. A
    /// caller that reserves room for them (in steps, they are only a claim) reads large values faster.
    pub fn missing(&self, buffer: &BytesMut) -> usize {
        match self.state {
            State::Bulk { length, .. } => (self.at + length + 2).saturating_sub(buffer.len()),
            _ => 0,
        }
    }

    /// `*<count>\r\n`.
    fn count(&mut self, buffer: &mut BytesMut) -> Result<bool, ProtocolError> {
        let Some(end) = self.line_end(buffer, ProtocolError::ArgumentCountTooLong)? else { return Ok(false) };
        let count = parse_integer(&buffer[1..end]).ok_or(ProtocolError::ArgumentCount)?;
        if count > COMMAND_ELEMENTS_MAX as i64 {
            return Err(ProtocolError::ArgumentCount);
        }
        if self.restricted && count > UNAUTHENTICATED_ARGUMENTS_MAX {
            return Err(ProtocolError::UnauthenticatedCount);
        }
        self.pass_line(end);
        match usize::try_from(count) {
            Ok(left) if left > 0 => self.state = State::Length { left },
            _ => self.drop_front(buffer),
        }
        Ok(true)
    }

    /// `$<length>\r\n`.
    fn length(&mut self, buffer: &BytesMut, left: usize) -> Result<bool, ProtocolError> {
        let Some(end) = self.line_end(buffer, ProtocolError::BulkLengthTooLong)? else { return Ok(false) };
        let line = &buffer[self.at..end];
        // An empty line has its `\r` where the `$` should be.
        if line.first() != Some(&b'$') {
            return Err(ProtocolError::NotBulk(buffer[self.at]));
        }
        let length = parse_integer(&line[1..]).ok_or(ProtocolError::BulkLength)?;
        let length = match usize::try_from(length) {
            Ok(bytes) if bytes <= COMMAND_BYTES_MAX => bytes,
            _ => return Err(ProtocolError::BulkLength),
        };
        if self.restricted && length as i64 > UNAUTHENTICATED_BULK_MAX {
            return Err(ProtocolError::UnauthenticatedBulk);
        }
        self.pass_line(end);
        if self.at + length > COMMAND_BYTES_MAX {
            return Err(ProtocolError::CommandTooLong);
        }
        self.state = State::Bulk { length, left: left - 1 };
        Ok(true)
    }

    /// The bytes of an argument and two more, which Redis does not look at either.
    fn bulk(&mut self, buffer: &BytesMut, length: usize, left: usize) -> bool {
        if buffer.len() < self.at + length + 2 {
            return false;
        }
        // Both fit: `at` stays below COMMAND_BYTES_MAX plus one line.
        self.spans.push((self.at as u32, length as u32));
        self.at += length + 2;
        self.state = State::Length { left };
        true
    }

    /// A line of words.
    fn inline(&mut self, buffer: &mut BytesMut, args: &mut Vec<Bytes>) -> Result<bool, ProtocolError> {
        let Some(end) = self.find(buffer, b'\n') else {
            let too_long = buffer.len() > INLINE_BYTES_MAX;
            return if too_long { Err(ProtocolError::InlineTooLong) } else { Ok(false) };
        };
        self.searched = 0;
        let line = buffer.split_to(end + 1);
        let line = line.strip_suffix(b"\r\n").unwrap_or(&line[..end]);
        let words = line::split(line).map_err(|_| ProtocolError::UnbalancedQuotes)?;
        let is_http = |word: &Vec<u8>| HTTP_WORDS.iter().any(|http| word.eq_ignore_ascii_case(http));
        if words.first().is_some_and(is_http) {
            return Err(ProtocolError::Http);
        }
        args.extend(words.into_iter().map(Bytes::from));
        Ok(true)
    }

    /// The command is complete: cuts it off and slices the arguments out of it.
    fn cut(&mut self, buffer: &mut BytesMut, args: &mut Vec<Bytes>) {
        let command = buffer.split_to(self.at).freeze();
        args.extend(self.spans.iter().map(|&(start, length)| {
            let start = start as usize;
            command.slice(start..start + length as usize)
        }));
        self.spans.clear();
        self.spans.shrink_to(SPANS_KEPT);
        self.at = 0;
        self.state = State::Start;
    }

    fn drop_front(&mut self, buffer: &mut BytesMut) {
        drop(buffer.split_to(self.at));
        self.at = 0;
    }

    /// Where the line that starts at `at` has its `\r`, if the byte after it is here too.
    fn line_end(
        &mut self,
        buffer: &BytesMut,
        too_long: ProtocolError,
    ) -> Result<Option<usize>, ProtocolError> {
        match self.find(buffer, b'\r') {
            Some(end) if end + 1 < buffer.len() => Ok(Some(end)),
            Some(_) => Ok(None),
            None if buffer.len() - self.at > INLINE_BYTES_MAX => Err(too_long),
            None => Ok(None),
        }
    }

    /// Looks for a byte behind what was searched before.
    fn find(&mut self, buffer: &BytesMut, wanted: u8) -> Option<usize> {
        let from = self.at + self.searched;
        let found = buffer[from..].iter().position(|&byte| byte == wanted);
        // A found end is not marked as searched: its second half may still be on its way.
        self.searched += found.unwrap_or(buffer.len() - from);
        found.map(|offset| from + offset)
    }

    fn pass_line(&mut self, end: usize) {
        self.at = end + 2;
        self.searched = 0;
    }
}
