//! A command of the user's own, with places where numbers and values go.
//!
//! ```text
//!   ZADD board {other} member:{n}       {n}       a number below --keys, at random or in order
//!   ZRANGE board {n} {n+99}             {n+99}    the same number and 99
//!   HSET h{n} f {value}                 {other}   another random number below --keys
//!                                       {value}   a value of --size bytes
//! ```

use std::io::Write;
use std::str::FromStr;

/// A command whose words are filled in each time that it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    words: Vec<Vec<Piece>>,
}

/// A part of a word.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// The number of the command, and something added to it.
    Number(u64),
    /// Another number.
    Other,
    Value,
}

/// What goes into the places of one command.
pub struct Filling<'a> {
    /// `{n}`.
    pub number: u64,
    /// `{other}`.
    pub other: u64,
    /// `{value}`.
    pub value: &'a [u8],
}

impl Pattern {
    /// Appends the command as RESP. `word` is room to work in.
    pub fn append(&self, filling: &Filling<'_>, word: &mut Vec<u8>, output: &mut Vec<u8>) {
        put(output, format_args!("*{}\r\n", self.words.len()));
        for pieces in &self.words {
            word.clear();
            for piece in pieces {
                match piece {
                    Piece::Text(text) => word.extend_from_slice(text.as_bytes()),
                    Piece::Number(added) => {
                        put(word, format_args!("{}", filling.number.saturating_add(*added)))
                    }
                    Piece::Other => put(word, format_args!("{}", filling.other)),
                    Piece::Value => word.extend_from_slice(filling.value),
                }
            }
            put(output, format_args!("${}\r\n", word.len()));
            output.extend_from_slice(word);
            output.extend_from_slice(b"\r\n");
        }
    }
}

fn put(bytes: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    bytes.write_fmt(text).expect("memory takes what is written to it");
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<_> = text.split_whitespace().map(pieces).collect::<Result<_, _>>()?;
        if words.is_empty() { Err("a command has at least one word".to_owned()) } else { Ok(Self { words }) }
    }
}

fn pieces(word: &str) -> Result<Vec<Piece>, String> {
    let (mut pieces, mut rest) = (Vec::new(), word);
    while let Some((before, tail)) = rest.split_once('{') {
        let (name, after) =
            tail.split_once('}').ok_or_else(|| format!("'{word}' has a '{{' without its '}}'"))?;
        if !before.is_empty() {
            pieces.push(Piece::Text(before.to_owned()));
        }
        pieces.push(place(name)?);
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    Ok(pieces)
}

fn place(name: &str) -> Result<Piece, String> {
    match name.strip_prefix('n') {
        Some("") => return Ok(Piece::Number(0)),
        Some(added) => {
            if let Some(added) = added.strip_prefix('+').and_then(|added| added.parse().ok()) {
                return Ok(Piece::Number(added));
            }
        }
        None => {}
    }
    match name {
        "other" => Ok(Piece::Other),
        "value" => Ok(Piece::Value),
        _ => Err(format!("'{{{name}}}' is no place; there are {{n}}, {{n+99}}, {{other}} and {{value}}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(pattern: &str) -> String {
        let pattern: Pattern = pattern.parse().expect("a pattern");
        let mut output = Vec::new();
        let filling = Filling { number: 7, other: 30, value: b"xyz" };
        pattern.append(&filling, &mut Vec::new(), &mut output);
        String::from_utf8(output).expect("text")
    }

    #[test]
    fn places_are_filled() {
        assert_eq!(sent("ZRANGE z {n} {n+99}"), "*4\r\n$6\r\nZRANGE\r\n$1\r\nz\r\n$1\r\n7\r\n$3\r\n106\r\n");
        assert_eq!(
            sent("HSET h{n}:x f{other} {value}"),
            "*4\r\n$4\r\nHSET\r\n$4\r\nh7:x\r\n$3\r\nf30\r\n$3\r\nxyz\r\n"
        );
        assert_eq!(sent("PING"), "*1\r\n$4\r\nPING\r\n");
    }

    #[test]
    fn mistakes_are_told() {
        for (text, why) in [
            ("", "at least one word"),
            ("GET {key}", "no place"),
            ("GET {n", "without its"),
            ("GET {n+x}", "no place"),
        ] {
            let error = text.parse::<Pattern>().expect_err(text);
            assert!(error.contains(why), "{error}");
        }
    }
}
