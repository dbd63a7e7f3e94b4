//! Replies, and their bytes in RESP2 and RESP3.

use crate::float;
use crate::packed::Packed;
use crate::text::{ErrorText, put_integer};
use bytes::{BufMut, Bytes, BytesMut};

/// Which version of the protocol a connection speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// What every client understands; each connection starts with it.
    #[default]
    Resp2,
    /// Chosen by `HELLO 3`: adds maps, sets, doubles, booleans and one null.
    Resp3,
}

impl Protocol {
    /// 2 or 3.
    pub fn number(self) -> i64 {
        match self {
            Protocol::Resp2 => 2,
            Protocol::Resp3 => 3,
        }
    }
}

/// What a client is answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// A word such as `OK`; line breaks are sent as spaces.
    Simple(Bytes),
    /// An error.
    Error(ErrorText),
    /// A whole number.
    Integer(i64),
    /// Bytes of any kind.
    Bulk(Bytes),
    /// No value.
    Null,
    /// No array; RESP3 has one null for both.
    NullArray,
    /// A list.
    Array(Vec<Reply>),
    /// Pairs, in the order given; a flat array in RESP2.
    Map(Vec<(Reply, Reply)>),
    /// Pairs in a list: each a list of two in RESP3, all of them a flat array in RESP2.
    Pairs(Vec<(Reply, Reply)>),
    /// A list without order; an array in RESP2.
    Set(Vec<Reply>),
    /// A list of bulk strings, of one of the kinds above.
    Packed(Packed),
    /// A decimal number; its text in RESP2.
    Double(f64),
    /// A decimal number with all its decimals, up to 17 of them; its text in RESP2.
    Coordinate(f64),
    /// True or false; 1 or 0 in RESP2.
    Bool(bool),
    /// A whole number of any length, in decimal; its text in RESP2.
    BigNumber(Bytes),
    /// Text for people, with its format in three letters; bare bytes in RESP2.
    Verbatim {
        /// `txt` or `mkd`.
        format: [u8; 3],
        /// The text.
        text: Bytes,
    },
    /// A message that is no answer; an array in RESP2.
    Push(Vec<Reply>),
}

impl Reply {
    /// `+OK`.
    pub const OK: Reply = Reply::Simple(Bytes::from_static(b"OK"));

    /// A fixed word.
    pub const fn simple(word: &'static str) -> Reply {
        Reply::Simple(Bytes::from_static(word.as_bytes()))
    }

    /// Bytes.
    pub fn bulk(bytes: impl Into<Bytes>) -> Reply {
        Reply::Bulk(bytes.into())
    }

    /// A fixed text, as bytes.
    pub const fn text(text: &'static str) -> Reply {
        Reply::Bulk(Bytes::from_static(text.as_bytes()))
    }

    /// 1 or 0.
    pub fn flag(yes: bool) -> Reply {
        Reply::Integer(i64::from(yes))
    }

    /// Whether it is an error.
    pub fn is_error(&self) -> bool {
        matches!(self, Reply::Error(_))
    }

    /// Appends the bytes of this reply.
    pub fn encode(&self, protocol: Protocol, out: &mut BytesMut) {
        let resp3 = protocol == Protocol::Resp3;
        match self {
            Reply::Simple(word) => put_line(out, b'+', word),
            Reply::Error(text) => put_line(out, b'-', text.as_bytes()),
            Reply::Integer(number) => put_head(out, b':', *number),
            Reply::Bulk(bytes) => put_bulk(out, b'$', bytes),
            Reply::Null if resp3 => out.put_slice(b"_\r\n"),
            Reply::NullArray if resp3 => out.put_slice(b"_\r\n"),
            Reply::Null => out.put_slice(b"$-1\r\n"),
            Reply::NullArray => out.put_slice(b"*-1\r\n"),
            Reply::Array(items) => put_items(out, b'*', items, protocol),
            Reply::Set(items) => put_items(out, if resp3 { b'~' } else { b'*' }, items, protocol),
            Reply::Packed(list) => list.encode(protocol, out),
            Reply::Push(items) => put_items(out, if resp3 { b'>' } else { b'*' }, items, protocol),
            Reply::Map(pairs) => put_map(out, pairs, protocol),
            Reply::Pairs(pairs) => put_pairs(out, pairs, protocol),
            Reply::Double(number) if resp3 => put_line(out, b',', float::text(*number).as_bytes()),
            Reply::Double(number) => put_bulk(out, b'$', float::text(*number).as_bytes()),
            Reply::Coordinate(number) if resp3 => {
                put_line(out, b',', float::decimal_text(*number).as_bytes())
            }
            Reply::Coordinate(number) => put_bulk(out, b'$', float::decimal_text(*number).as_bytes()),
            Reply::Bool(yes) if resp3 => out.put_slice(if *yes { b"#t\r\n" } else { b"#f\r\n" }),
            Reply::Bool(yes) => put_head(out, b':', i64::from(*yes)),
            Reply::BigNumber(digits) if resp3 => put_line(out, b'(', digits),
            Reply::BigNumber(digits) => put_bulk(out, b'$', digits),
            Reply::Verbatim { format, text } if resp3 => {
                put_head(out, b'=', text.len() as i64 + 4);
                out.put_slice(format);
                out.put_u8(b':');
                out.put_slice(text);
                out.put_slice(b"\r\n");
            }
            Reply::Verbatim { text, .. } => put_bulk(out, b'$', text),
        }
    }
}

impl From<ErrorText> for Reply {
    fn from(text: ErrorText) -> Self {
        Reply::Error(text)
    }
}

pub(crate) fn put_head(out: &mut BytesMut, kind: u8, number: i64) {
    out.put_u8(kind);
    put_integer(out, number);
    out.put_slice(b"\r\n");
}

pub(crate) fn put_bulk(out: &mut BytesMut, kind: u8, bytes: &[u8]) {
    out.reserve(bytes.len() + 32);
    put_head(out, kind, bytes.len() as i64);
    out.put_slice(bytes);
    out.put_slice(b"\r\n");
}

/// A line that cannot be broken in two by what a client sent.
fn put_line(out: &mut BytesMut, kind: u8, text: &[u8]) {
    out.put_u8(kind);
    if text.iter().any(|&byte| byte == b'\r' || byte == b'\n') {
        out.extend(text.iter().map(|&byte| if byte == b'\r' || byte == b'\n' { b' ' } else { byte }));
    } else {
        out.put_slice(text);
    }
    out.put_slice(b"\r\n");
}

fn put_items(out: &mut BytesMut, kind: u8, items: &[Reply], protocol: Protocol) {
    put_head(out, kind, items.len() as i64);
    for item in items {
        item.encode(protocol, out);
    }
}

fn put_map(out: &mut BytesMut, pairs: &[(Reply, Reply)], protocol: Protocol) {
    match protocol {
        Protocol::Resp2 => put_head(out, b'*', pairs.len() as i64 * 2),
        Protocol::Resp3 => put_head(out, b'%', pairs.len() as i64),
    }
    for (key, value) in pairs {
        key.encode(protocol, out);
        value.encode(protocol, out);
    }
}

fn put_pairs(out: &mut BytesMut, pairs: &[(Reply, Reply)], protocol: Protocol) {
    let nested = protocol == Protocol::Resp3;
    put_head(out, b'*', pairs.len() as i64 * if nested { 1 } else { 2 });
    for (name, value) in pairs {
        if nested {
            put_head(out, b'*', 2);
        }
        name.encode(protocol, out);
        value.encode(protocol, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(reply: &Reply, protocol: Protocol) -> String {
        let mut out = BytesMut::new();
        reply.encode(protocol, &mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn both_protocols() {
        let map = Reply::Map(vec![(Reply::text("a"), Reply::Integer(-1))]);
        let pairs = Reply::Pairs(vec![(Reply::text("a"), Reply::Integer(-1))]);
        let verbatim = Reply::Verbatim { format: *b"txt", text: Bytes::from_static(b"hi") };
        let cases = [
            (Reply::OK, "+OK\r\n", "+OK\r\n"),
            (Reply::Null, "$-1\r\n", "_\r\n"),
            (Reply::NullArray, "*-1\r\n", "_\r\n"),
            (map, "*2\r\n$1\r\na\r\n:-1\r\n", "%1\r\n$1\r\na\r\n:-1\r\n"),
            (pairs, "*2\r\n$1\r\na\r\n:-1\r\n", "*1\r\n*2\r\n$1\r\na\r\n:-1\r\n"),
            (Reply::Set(vec![Reply::Bool(true)]), "*1\r\n:1\r\n", "~1\r\n#t\r\n"),
            (Reply::Double(1.5), "$3\r\n1.5\r\n", ",1.5\r\n"),
            (Reply::Double(f64::NEG_INFINITY), "$4\r\n-inf\r\n", ",-inf\r\n"),
            (Reply::Double(0.1), "$19\r\n0.10000000000000001\r\n", ",0.10000000000000001\r\n"),
            (Reply::Coordinate(1e-7), "$9\r\n0.0000001\r\n", ",0.0000001\r\n"),
            (Reply::BigNumber(Bytes::from_static(b"12")), "$2\r\n12\r\n", "(12\r\n"),
            (verbatim, "$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n"),
            (Reply::Push(vec![]), "*0\r\n", ">0\r\n"),
        ];
        for (reply, two, three) in cases {
            assert_eq!(encoded(&reply, Protocol::Resp2), two);
            assert_eq!(encoded(&reply, Protocol::Resp3), three);
        }
    }

    #[test]
    fn a_line_break_cannot_forge_a_second_reply() {
        let error = Reply::Error(ErrorText::new(&b"ERR a\r\n+OK"[..]));
        assert_eq!(encoded(&error, Protocol::Resp2), "-ERR a  +OK\r\n");
    }
}
