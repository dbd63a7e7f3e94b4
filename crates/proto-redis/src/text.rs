//! Error texts and numbers as Redis writes and reads them.

use bytes::Bytes;
use std::fmt;

/// The text of an error reply, without the leading `-`: a prefix in capitals and a sentence.
#[derive(Clone, PartialEq, Eq)]
pub struct ErrorText(Bytes);

impl ErrorText {
    /// A fixed text.
    pub const fn fixed(text: &'static str) -> Self {
        Self(Bytes::from_static(text.as_bytes()))
    }

    /// A text made for the moment. It may hold bytes that a client sent, so it need not be UTF-8.
    pub fn new(text: impl Into<Bytes>) -> Self {
        Self(text.into())
    }

    /// The word at its front, by which programs and statistics tell errors apart.
    pub fn word(&self) -> &[u8] {
        self.0.split(|byte| *byte == b' ').next().unwrap_or_default()
    }

    /// The bytes; line breaks in them become spaces when they are sent.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for ErrorText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for ErrorText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ErrorText({self})")
    }
}

impl From<String> for ErrorText {
    fn from(text: String) -> Self {
        Self(Bytes::from(text))
    }
}

/// `ERR syntax error`.
pub const SYNTAX: ErrorText = ErrorText::fixed("ERR syntax error");
/// A number was expected.
pub const NOT_INTEGER: ErrorText = ErrorText::fixed("ERR value is not an integer or out of range");
/// A decimal number was expected.
pub const NOT_FLOAT: ErrorText = ErrorText::fixed("ERR value is not a valid float");
/// The key holds another type.
pub const WRONG_TYPE: ErrorText =
    ErrorText::fixed("WRONGTYPE Operation against a key holding the wrong kind of value");
/// The keys of one command must lie together and do not.
pub const CROSS_SLOT: ErrorText = ErrorText::fixed("CROSSSLOT Keys in request don't hash to the same slot");

/// `ERR invalid expire time in '<command>' command`.
pub fn invalid_expire(command: &str) -> ErrorText {
    format!("ERR invalid expire time in '{command}' command").into()
}

/// `ERR wrong number of arguments for '<command>' command`.
pub fn wrong_arity(command: &str) -> ErrorText {
    format!("ERR wrong number of arguments for '{command}' command").into()
}

/// A whole number as Redis accepts it: decimal digits, at most one leading `-`, no spaces, no `+`, no
/// leading zeros.
pub fn parse_integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] if digits.len() <= 19 => {}
        _ => return None,
    }
    // 19 digits always fit an unsigned 64-bit number.
    let mut magnitude: u64 = 0;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        magnitude = magnitude * 10 + u64::from(digit - b'0');
    }
    if negative { 0i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() }
}

/// Writes a number in decimal without the detour through `fmt`; replies are full of them.
pub(crate) fn put_integer(out: &mut bytes::BytesMut, number: i64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = number.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        at -= 1;
        digits[at] = b'-';
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_as_strictly_as_redis_does() {
        for (text, number) in
            [("0", 0), ("-1", -1), ("9223372036854775807", i64::MAX), ("-9223372036854775808", i64::MIN)]
        {
            assert_eq!(parse_integer(text.as_bytes()), Some(number), "{text}");
        }
        let refused =
            ["", "-", "-0", "+1", "01", " 1", "1 ", "1.0", "9223372036854775808", "-9223372036854775809"];
        for text in refused {
            assert_eq!(parse_integer(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn integers_are_written_in_full() {
        for number in [0, 7, -7, 10, 1_234_567, i64::MAX, i64::MIN] {
            let mut out = bytes::BytesMut::new();
            put_integer(&mut out, number);
            assert_eq!(out, number.to_string().as_bytes());
        }
    }
}
