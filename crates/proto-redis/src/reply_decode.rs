//! Replies from bytes, RESP2 and RESP3: for load generators, tests and tools.
//!
//! The decoder takes bytes off the buffer as it understands them and keeps unfinished aggregates on a
//! stack, so a large reply that arrives in many pieces is looked at once. Strings are slices of the buffer.

use crate::reply::Reply;
use crate::text::{ErrorText, parse_integer};
use bytes::{Buf, Bytes, BytesMut};
use types::limits::{CLIENT_OUTPUT_BYTES_MAX, INLINE_BYTES_MAX};

/// Deepest nesting of aggregates; `COMMAND DOCS` needs about six.
const DEPTH_MAX: usize = 32;
/// Most elements of one aggregate: the smallest element takes three bytes.
const ELEMENTS_MAX: i64 = (CLIENT_OUTPUT_BYTES_MAX / 3) as i64;
/// Room that is set aside for an aggregate before its elements are here.
const ELEMENTS_RESERVED: usize = 64;

/// Bytes that are no reply; the connection is useless from here on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyDecodeError {
    /// A reply begins with a byte that has no meaning.
    #[error("unknown reply type 0x{0:02x}")]
    Type(u8),
    /// A number, a length or a boolean is malformed or over its limit.
    #[error("malformed {0}")]
    Malformed(&'static str),
    /// A line has no end.
    #[error("a line of a reply is over {INLINE_BYTES_MAX} bytes")]
    LineTooLong,
    /// Aggregates in aggregates without end.
    #[error("a reply is nested deeper than {DEPTH_MAX}")]
    TooDeep,
}

/// Cuts replies off the front of one connection's read buffer.
#[derive(Debug, Default)]
pub struct ReplyDecoder {
    open: Vec<Aggregate>,
    /// A string whose length is known and whose bytes are awaited.
    awaited: Option<(u8, usize)>,
    /// Bytes at the front that have been searched for the end of a line.
    searched: usize,
}

#[derive(Debug)]
struct Aggregate {
    kind: u8,
    left: usize,
    items: Vec<Reply>,
}

/// What one line or string of the input amounts to.
enum Token {
    Whole(Reply),
    Open(Aggregate),
    Awaiting,
}

impl ReplyDecoder {
    /// A decoder at the start of a connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next reply off the buffer. `None`: more bytes are needed. Attributes are skipped.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Reply>, ReplyDecodeError> {
        loop {
            let token = match self.awaited {
                Some((kind, length)) => {
                    if buffer.len() < length + 2 {
                        return Ok(None);
                    }
                    self.awaited = None;
                    Token::Whole(take_string(buffer, kind, length)?)
                }
                None => match self.take_line(buffer)? {
                    None => return Ok(None),
                    Some(line) => self.read_line(line)?,
                },
            };
            match token {
                Token::Awaiting => {}
                Token::Open(aggregate) if aggregate.left > 0 => {
                    if self.open.len() == DEPTH_MAX {
                        return Err(ReplyDecodeError::TooDeep);
                    }
                    self.open.push(aggregate);
                }
                Token::Open(aggregate) => {
                    if let Some(reply) = close(aggregate).and_then(|reply| self.place(reply)) {
                        return Ok(Some(reply));
                    }
                }
                Token::Whole(reply) => {
                    if let Some(reply) = self.place(reply) {
                        return Ok(Some(reply));
                    }
                }
            }
        }
    }

    /// Puts a finished reply where it belongs; gives it back if that is nowhere.
    fn place(&mut self, mut reply: Reply) -> Option<Reply> {
        while let Some(parent) = self.open.last_mut() {
            parent.items.push(reply);
            parent.left -= 1;
            if parent.left > 0 {
                return None;
            }
            reply = self.open.pop().and_then(close)?;
        }
        Some(reply)
    }

    fn take_line(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, ReplyDecodeError> {
        match buffer[self.searched..].iter().position(|&byte| byte == b'\n') {
            Some(offset) => {
                let end = self.searched + offset;
                self.searched = 0;
                let mut line = buffer.split_to(end + 1).freeze();
                let bare = line.strip_suffix(b"\r\n").ok_or(ReplyDecodeError::Malformed("line"))?.len();
                line.truncate(bare);
                Ok(Some(line))
            }
            None if buffer.len() > INLINE_BYTES_MAX => Err(ReplyDecodeError::LineTooLong),
            None => {
                self.searched = buffer.len();
                Ok(None)
            }
        }
    }

    fn read_line(&mut self, mut line: Bytes) -> Result<Token, ReplyDecodeError> {
        if line.is_empty() {
            return Err(ReplyDecodeError::Malformed("line"));
        }
        let kind = line.get_u8();
        let reply = match kind {
            b'+' => Reply::Simple(line),
            b'-' => Reply::Error(ErrorText::new(line)),
            b':' => Reply::Integer(number(&line)?),
            b'_' => Reply::Null,
            b'#' => Reply::Bool(boolean(&line)?),
            b',' => Reply::Double(double(&line)?),
            b'(' => Reply::BigNumber(line),
            b'$' | b'!' | b'=' => match number(&line)? {
                -1 => Reply::Null,
                length => {
                    let length =
                        usize::try_from(length).ok().filter(|&bytes| bytes <= CLIENT_OUTPUT_BYTES_MAX);
                    self.awaited = Some((kind, length.ok_or(ReplyDecodeError::Malformed("length"))?));
                    return Ok(Token::Awaiting);
                }
            },
            b'*' | b'~' | b'>' | b'%' | b'|' => match number(&line)? {
                -1 => Reply::NullArray,
                count if (0..=ELEMENTS_MAX).contains(&count) => {
                    let pairs = matches!(kind, b'%' | b'|');
                    let left = count as usize * if pairs { 2 } else { 1 };
                    let items = Vec::with_capacity(left.min(ELEMENTS_RESERVED));
                    return Ok(Token::Open(Aggregate { kind, left, items }));
                }
                _ => return Err(ReplyDecodeError::Malformed("count")),
            },
            other => return Err(ReplyDecodeError::Type(other)),
        };
        Ok(Token::Whole(reply))
    }
}

/// The reply that an aggregate amounts to; none for an attribute.
fn close(aggregate: Aggregate) -> Option<Reply> {
    let items = aggregate.items;
    Some(match aggregate.kind {
        b'|' => return None,
        b'~' => Reply::Set(items),
        b'>' => Reply::Push(items),
        b'%' => {
            let mut pairs = Vec::with_capacity(items.len() / 2);
            let mut items = items.into_iter();
            while let (Some(key), Some(value)) = (items.next(), items.next()) {
                pairs.push((key, value));
            }
            Reply::Map(pairs)
        }
        _ => Reply::Array(items),
    })
}

fn take_string(buffer: &mut BytesMut, kind: u8, length: usize) -> Result<Reply, ReplyDecodeError> {
    let mut bytes = buffer.split_to(length + 2).freeze();
    if !bytes.ends_with(b"\r\n") {
        return Err(ReplyDecodeError::Malformed("string"));
    }
    bytes.truncate(length);
    Ok(match kind {
        b'!' => Reply::Error(ErrorText::new(bytes)),
        b'=' => match *bytes {
            [a, b, c, b':', ..] => Reply::Verbatim { format: [a, b, c], text: bytes.slice(4..) },
            _ => return Err(ReplyDecodeError::Malformed("verbatim text")),
        },
        _ => Reply::Bulk(bytes),
    })
}

fn number(text: &[u8]) -> Result<i64, ReplyDecodeError> {
    parse_integer(text).ok_or(ReplyDecodeError::Malformed("number"))
}

fn boolean(text: &[u8]) -> Result<bool, ReplyDecodeError> {
    match text {
        b"t" => Ok(true),
        b"f" => Ok(false),
        _ => Err(ReplyDecodeError::Malformed("boolean")),
    }
}

fn double(text: &[u8]) -> Result<f64, ReplyDecodeError> {
    let text = std::str::from_utf8(text).map_err(|_| ReplyDecodeError::Malformed("double"))?;
    text.parse().map_err(|_| ReplyDecodeError::Malformed("double"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode_all(bytes: &[u8]) -> Result<Vec<Reply>, ReplyDecodeError> {
        let (mut decoder, mut buffer) = (ReplyDecoder::new(), BytesMut::from(bytes));
        let mut replies = Vec::new();
        while let Some(reply) = decoder.decode(&mut buffer)? {
            replies.push(reply);
        }
        Ok(replies)
    }

    #[test]
    fn attributes_are_skipped_also_inside() {
        let replies = decode_all(b"|1\r\n+ttl\r\n:1\r\n*2\r\n|1\r\n+a\r\n*0\r\n:1\r\n:2\r\n").unwrap();
        assert_eq!(replies, [Reply::Array(vec![Reply::Integer(1), Reply::Integer(2)])]);
    }

    #[test]
    fn malformed_replies_are_refused() {
        use ReplyDecodeError::*;
        let deep = b"*1\r\n".repeat(DEPTH_MAX + 1);
        let cases: [(&[u8], ReplyDecodeError); 9] = [
            (b"?\r\n", Type(b'?')),
            (b"\r\n", Malformed("line")),
            (b"+OK\n", Malformed("line")),
            (b":x\r\n", Malformed("number")),
            (b"$-2\r\n", Malformed("length")),
            (b"$1\r\nabc", Malformed("string")),
            (b"*99999999999\r\n", Malformed("count")),
            (b"=2\r\nab\r\n", Malformed("verbatim text")),
            (&deep, TooDeep),
        ];
        for (bytes, error) in cases {
            assert_eq!(decode_all(bytes), Err(error), "{}", String::from_utf8_lossy(bytes));
        }
    }
}
