//! The corpus: what a real Redis server answered, to be replayed against Skein.
//!
//! A file is one scenario: an empty server and one new connection. Its lines are
//!
//! ```text
//! # a comment
//! > SET greeting "hello world" EX 100     a command, quoted as in redis-cli
//! +OK                                     the reply to it
//! > MGET greeting missing
//! ["hello world", nil]
//! ```
//!
//! Replies are written on one line: `+word`, `-ERR text`, `:number`, `"bytes"` with the escapes of
//! redis-cli, `nil`, `nil-array`, `[a, b]`, `{key: value}`, `~[a, b]` for a set, `,1.5`, `#true`,
//! `(12345` and `="text"` for verbatim text. `?` stands for any reply that is no error.
//!
//! The directory `testscripts/corpus` of the engine has the files. Every reply in them is a function of the commands
//! before it, so a replay compares for equality. A file whose name begins with `parse` stores nothing;
//! the others read what they wrote. `one_partition` is for a table with one partition, the rest for
//! tables of any shape: keys of one command have a common tag there. `password` is for a server with
//! the password [`PASSWORD`].

use crate::line;
use crate::reply::Reply;
use std::fmt::Write;

/// The password of the server that answered `password.txt`.
pub const PASSWORD: &str = "secret";

/// A command and what Redis answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// Where it stands in the file, from 1.
    pub line_number: usize,
    /// As written.
    pub line: String,
    /// The words of the command.
    pub args: Vec<Vec<u8>>,
    /// The reply, in the notation of this module; see [`Exchange::accepts`].
    pub expected: String,
}

impl Exchange {
    /// Whether a reply is the expected one.
    pub fn accepts(&self, reply: &Reply) -> bool {
        if self.expected == "?" { !reply.is_error() } else { render(reply) == self.expected }
    }
}

/// A file that is no corpus.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line_number}: {what}")]
pub struct CorpusError {
    /// Where, from 1.
    pub line_number: usize,
    /// What is wrong there.
    pub what: &'static str,
}

/// Reads a file. A command without a reply has an empty `expected`.
pub fn read(text: &str) -> Result<Vec<Exchange>, CorpusError> {
    let mut exchanges: Vec<Exchange> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line_number = index + 1;
        let error = |what| CorpusError { line_number, what };
        if let Some(command) = line.strip_prefix("> ") {
            let args = line::split(command.as_bytes()).map_err(|_| error("unbalanced quotes"))?;
            if args.is_empty() {
                return Err(error("an empty command"));
            }
            let line = command.to_owned();
            exchanges.push(Exchange { line_number, line, args, expected: String::new() });
        } else if !line.is_empty() && !line.starts_with('#') {
            match exchanges.last_mut() {
                Some(exchange) if exchange.expected.is_empty() => line.clone_into(&mut exchange.expected),
                Some(_) => return Err(error("a second reply to one command")),
                None => return Err(error("a reply without a command")),
            }
        }
    }
    Ok(exchanges)
}

/// A reply on one line, in the notation of this module.
pub fn render(reply: &Reply) -> String {
    let mut out = String::new();
    render_to(reply, &mut out);
    out
}

fn render_to(reply: &Reply, out: &mut String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(['\r', '\n'], " ");
    // Writing to a string cannot fail.
    let _ = match reply {
        Reply::Simple(word) => write!(out, "+{}", text(word)),
        Reply::Error(error) => write!(out, "-{}", text(error.as_bytes())),
        Reply::Integer(number) => write!(out, ":{number}"),
        Reply::Bulk(bytes) => write!(out, "{}", quoted(bytes)),
        Reply::Null => write!(out, "nil"),
        Reply::NullArray => write!(out, "nil-array"),
        Reply::Double(number) | Reply::Coordinate(number) => write!(out, ",{number}"),
        Reply::Bool(yes) => write!(out, "#{yes}"),
        Reply::BigNumber(digits) => write!(out, "({}", text(digits)),
        Reply::Verbatim { text, .. } => write!(out, "={}", quoted(text)),
        Reply::Array(items) => return render_items("[", items, out),
        Reply::Set(items) => return render_items("~[", items, out),
        Reply::Packed(list) => return render_to(&list.unpacked(), out),
        Reply::Push(items) => return render_items(">[", items, out),
        Reply::Map(pairs) => return render_map(pairs, out),
        Reply::Pairs(pairs) => {
            let flat: Vec<_> = pairs.iter().flat_map(|(name, value)| [name.clone(), value.clone()]).collect();
            return render_items("[", &flat, out);
        }
    };
}

fn render_items(open: &str, items: &[Reply], out: &mut String) {
    out.push_str(open);
    for (index, item) in items.iter().enumerate() {
        out.push_str(if index > 0 { ", " } else { "" });
        render_to(item, out);
    }
    out.push(']');
}

fn render_map(pairs: &[(Reply, Reply)], out: &mut String) {
    out.push('{');
    for (index, (key, value)) in pairs.iter().enumerate() {
        out.push_str(if index > 0 { ", " } else { "" });
        render_to(key, out);
        out.push_str(": ");
        render_to(value, out);
    }
    out.push('}');
}

/// Always in quotes, so that a string never looks like another kind of reply.
fn quoted(bytes: &[u8]) -> String {
    let word = line::quote(bytes);
    if word.starts_with('"') { word } else { format!("\"{word}\"") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn a_file_is_read_back() {
        let text = "# title\n> SET a \"b c\"\n+OK\n\n> GET a\n\"b c\"\n> QUIT\n";
        let exchanges = read(text).unwrap();
        assert_eq!(exchanges.len(), 3);
        assert_eq!(exchanges[0].args, [&b"SET"[..], b"a", b"b c"]);
        assert_eq!(exchanges[1].expected, render(&Reply::text("b c")));
        assert_eq!((exchanges[2].line_number, &exchanges[2].expected[..]), (7, ""));
        assert_eq!(read("+OK\n").unwrap_err().to_string(), "line 1: a reply without a command");
        assert!(read("> GET 'a\n").is_err());

        let any = &read("> TIME\n?\n").unwrap()[0];
        assert!(any.accepts(&Reply::Integer(1)) && !any.accepts(&crate::text::SYNTAX.into()));
        assert!(exchanges[0].accepts(&Reply::OK) && !exchanges[0].accepts(&Reply::Null));
    }

    #[test]
    fn replies_on_one_line() {
        let nested = Reply::Array(vec![Reply::text("x"), Reply::Map(vec![(Reply::Null, Reply::Integer(1))])]);
        assert_eq!(render(&nested), r#"["x", {nil: :1}]"#);
        assert_eq!(render(&Reply::Bulk(Bytes::from_static(b"\x00\"\r\n"))), r#""\x00\"\r\n""#);
    }
}
