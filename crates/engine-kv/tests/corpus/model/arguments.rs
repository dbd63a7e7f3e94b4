//! Numbers and options in the words of commands.

use super::{NOT_FLOAT, NOT_INTEGER, NOT_POSITIVE, Text};

/// A word as an option: in capitals.
pub fn option(word: &[u8]) -> String {
    String::from_utf8_lossy(word).to_uppercase()
}

/// A whole number as Redis reads it: no sign `+`, no zeros in front.
pub fn whole(word: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(word).ok()?;
    let number: i64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// The same as an argument.
pub fn whole_argument(word: &[u8]) -> Result<i64, String> {
    whole(word).ok_or_else(|| NOT_INTEGER.into())
}

/// A count that must not be negative.
pub fn count_argument(word: &[u8]) -> Result<usize, String> {
    whole(word).filter(|number| *number >= 0).map(|number| number as usize).ok_or_else(|| NOT_POSITIVE.into())
}

/// A decimal number; `inf` is one, and so is `0x10`.
pub fn decimal(word: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(word).ok()?;
    if let Some(digits) = text.strip_prefix("0x") {
        return i64::from_str_radix(digits, 16).ok().map(|number| number as f64);
    }
    text.parse().ok().filter(|number: &f64| !number.is_nan())
}

/// The same as an argument.
pub fn decimal_argument(word: &[u8]) -> Result<f64, String> {
    decimal(word).ok_or_else(|| NOT_FLOAT.into())
}

/// The places from `start` to `end`, both included and negative ones from the end, of something so long.
pub fn places(start: i64, end: i64, length: usize) -> std::ops::Range<usize> {
    let length = length as i64;
    let from_end = |place: i64| if place < 0 { place + length } else { place };
    let (start, end) = (from_end(start).max(0), (from_end(end) + 1).min(length));
    if start >= end { 0..0 } else { start as usize..end as usize }
}

/// `numkeys` and the keys after it; the rest of the words.
pub fn counted_keys(words: &[Text]) -> Result<(&[Text], &[Text]), String> {
    let count = whole_argument(&words[0])? as usize;
    Ok((&words[1..1 + count], &words[1 + count..]))
}
