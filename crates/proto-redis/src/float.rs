//! Decimal numbers as C reads and writes them: scores, distances, coordinates.
//!
//! Redis reads numbers with `strtod`, in two ways: strictly where a number is expected, and loosely in the
//! bounds of ranges of scores. It writes them with `%.17g`, which is exact and not always short: 0.1 reads
//! `0.10000000000000001`.

use std::fmt::Write;

use crate::text::{ErrorText, NOT_FLOAT};

/// Significant digits that tell any two numbers apart.
const DIGITS: usize = 17;

/// A number where one is expected; not NaN, no spaces, in range.
pub(crate) fn double(text: &[u8]) -> Option<f64> {
    if text.first().is_none_or(|byte| is_space(*byte)) {
        return None;
    }
    let number = Number::read(text)?;
    let is_whole = number.used == text.len() && !number.is_out_of_range;
    Some(number.value).filter(|value| is_whole && !value.is_nan())
}

/// A number, or `ERR value is not a valid float`.
pub(crate) fn number(text: &[u8]) -> Result<f64, ErrorText> {
    double(text).ok_or(NOT_FLOAT)
}

/// One bound of a range of scores: leading spaces are skipped, nothing is 0, what is out of range is infinite or 0,
/// and what stands behind a NUL does not matter.
pub(crate) fn bound(text: &[u8]) -> Option<f64> {
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    if text.is_empty() {
        return Some(0.0);
    }
    let number = Number::read(text)?;
    Some(number.value).filter(|value| number.used == text.len() && !value.is_nan())
}

/// A number at the front of a text.
struct Number {
    value: f64,
    /// How many bytes it takes, with spaces before it.
    used: usize,
    /// It is too large, or too near to 0, for any number but infinity or 0.
    is_out_of_range: bool,
}

impl Number {
    /// What `strtod` finds.
    fn read(text: &[u8]) -> Option<Self> {
        let spaces = text.iter().take_while(|byte| is_space(**byte)).count();
        let (is_negative, sign) = match text.get(spaces) {
            Some(b'-') => (true, 1),
            Some(b'+') => (false, 1),
            _ => (false, 0),
        };
        let start = spaces + sign;
        let rest = &text[start..];
        let (value, length, is_exact_zero) =
            word(rest).or_else(|| hexadecimal(rest)).or_else(|| decimal(rest))?;
        let is_infinite_word = rest.first().is_some_and(u8::is_ascii_alphabetic);
        let is_out_of_range = (value.is_infinite() && !is_infinite_word) || (value == 0.0 && !is_exact_zero);
        Some(Self { value: if is_negative { -value } else { value }, used: start + length, is_out_of_range })
    }
}

/// As C sees it.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

fn starts_with(text: &[u8], word: &str) -> bool {
    text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()))
}

/// Infinity or NaN: the value, its length, and that it is no zero.
fn word(text: &[u8]) -> Option<(f64, usize, bool)> {
    let words = [("infinity", f64::INFINITY), ("inf", f64::INFINITY), ("nan", f64::NAN)];
    let (word, value) = words.into_iter().find(|(word, _)| starts_with(text, word))?;
    Some((value, word.len(), false))
}

/// Digits with at most one point: their number of bytes, and whether there is one that is not 0.
fn digits(text: &[u8], is_digit: impl Fn(&u8) -> bool) -> Option<(usize, bool)> {
    let (mut length, mut points, mut digits, mut is_zero) = (0, 0, 0, true);
    for byte in text {
        if is_digit(byte) {
            digits += 1;
            is_zero &= *byte == b'0';
        } else if *byte == b'.' && points == 0 {
            points += 1;
        } else {
            break;
        }
        length += 1;
    }
    (digits > 0).then_some((length, !is_zero))
}

/// An exponent behind a letter: its bytes with the letter; none if there are no digits.
fn exponent(text: &[u8], letter: u8) -> usize {
    let [first, rest @ ..] = text else { return 0 };
    if !first.eq_ignore_ascii_case(&letter) {
        return 0;
    }
    let sign = usize::from(matches!(rest.first(), Some(b'+' | b'-')));
    match rest[sign..].iter().take_while(|byte| byte.is_ascii_digit()).count() {
        0 => 0,
        digits => 1 + sign + digits,
    }
}

fn decimal(text: &[u8]) -> Option<(f64, usize, bool)> {
    let (length, is_nonzero) = digits(text, u8::is_ascii_digit)?;
    let length = length + exponent(&text[length..], b'e');
    // Rust reads what is left of C's numbers, and rounds alike.
    let value = std::str::from_utf8(&text[..length]).ok()?.parse().ok()?;
    Some((value, length, !is_nonzero))
}

fn hexadecimal(text: &[u8]) -> Option<(f64, usize, bool)> {
    if !starts_with(text, "0x") {
        return None;
    }
    let (length, is_nonzero) = digits(&text[2..], u8::is_ascii_hexdigit)?;
    let (mantissa, mut binary) = mantissa(&text[2..2 + length]);
    let power = &text[2 + length..];
    let power = &power[..exponent(power, b'p')];
    if let [_, power @ ..] = power {
        let power = std::str::from_utf8(power).ok()?.trim_start_matches('+');
        // Beyond an i64 it makes no difference how far.
        let far = if power.starts_with('-') { i64::MIN / 4 } else { i64::MAX / 4 };
        binary = binary.saturating_add(power.parse().unwrap_or(far));
    }
    let value = scaled(mantissa, binary);
    Some((value, 2 + length + exponent(&text[2 + length..], b'p'), !is_nonzero))
}

/// Hexadecimal digits with at most one point as an integer and a power of two. The last bit of the integer is set if
/// digits that are not 0 were left out behind it, so that rounding knows of them.
fn mantissa(digits: &[u8]) -> (u64, i64) {
    let (mut mantissa, mut power, mut is_fraction) = (0_u64, 0_i64, false);
    for byte in digits {
        let Some(digit) = (*byte as char).to_digit(16) else {
            is_fraction = true;
            continue;
        };
        let has_room = mantissa >> 60 == 0;
        mantissa = if has_room { mantissa << 4 | u64::from(digit) } else { mantissa | u64::from(digit != 0) };
        power += match (has_room, is_fraction) {
            (true, true) => -4,
            (false, false) => 4,
            _ => 0,
        };
    }
    (mantissa, power)
}

/// `mantissa` times two to the `power`.
fn scaled(mantissa: u64, power: i64) -> f64 {
    let (mut value, mut left) = (mantissa as f64, power.clamp(-4000, 4000) as i32);
    while left != 0 && value != 0.0 && value.is_finite() {
        let step = left.clamp(-1000, 1000);
        value *= 2f64.powi(step);
        left -= step;
    }
    value
}

/// A number as `%.17g` writes it.
pub(crate) fn text(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    if number.fract() == 0.0 && number.abs() < 1e17 && (number != 0.0 || number.is_sign_positive()) {
        return (number as i64).to_string();
    }
    let scientific = format!("{:.*e}", DIGITS - 1, number);
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..DIGITS as i32).contains(&exponent) {
        let decimals = (DIGITS as i32 - 1 - exponent) as usize;
        return without_zeros(&format!("{number:.decimals$}")).to_owned();
    }
    let mut out = without_zeros(digits).to_owned();
    let sign = if exponent < 0 { '-' } else { '+' };
    // Writing to a string cannot fail.
    let _ = write!(out, "e{sign}{:02}", exponent.abs());
    out
}

/// A number as `%.17Lf` writes it, without the zeros at its end: for coordinates.
pub(crate) fn decimal_text(number: f64) -> String {
    if number.is_finite() { without_zeros(&format!("{number:.17}")).to_owned() } else { text(number) }
}

fn without_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_read_as_strtod_reads_them() {
        let cases = [
            ("1", 1.0),
            ("-1.5", -1.5),
            ("+.5", 0.5),
            ("5.", 5.0),
            ("1e3", 1000.0),
            ("1E-2", 0.01),
            ("inf", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
            ("0x1A", 26.0),
            ("0x.8p1", 1.0),
            ("0x1p-3", 0.125),
            ("0x1.00000000000008p0", 1.0),
            ("0x1.000000000000080000000001", 1.0000000000000002),
            ("000", 0.0),
            ("0e999", 0.0),
        ];
        for (text, number) in cases {
            assert_eq!(double(text.as_bytes()), Some(number), "{text}");
        }
        let refused =
            ["", " 1", "1 ", "x", "nan", "1e400", "-1e400", "1e-400", "0x1p9999", "1e", "0x", "--1", "1\0"];
        for text in refused {
            assert_eq!(double(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn bounds_are_read_loosely() {
        for (text, number) in [("", 0.0), (" 1", 1.0), ("1e400", f64::INFINITY), ("1\0x", 1.0)] {
            assert_eq!(bound(text.as_bytes()), Some(number), "{text:?}");
        }
        for text in ["nan", "1 ", "(1", "x"] {
            assert_eq!(bound(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn numbers_are_written_with_seventeen_digits() {
        let cases = [
            (0.1, "0.10000000000000001"),
            (-0.0, "-0"),
            (3.0, "3"),
            (-2.5, "-2.5"),
            (1e16, "10000000000000000"),
            (1e17, "1e+17"),
            (1.5e300, "1.5000000000000001e+300"),
            (0.0001, "0.0001"),
            (0.00001, "1.0000000000000001e-05"),
            (5e-324, "4.9406564584124654e-324"),
            (123456789.123, "123456789.123"),
            (f64::NEG_INFINITY, "-inf"),
        ];
        for (number, wanted) in cases {
            assert_eq!(text(number), wanted);
        }
        assert_eq!(decimal_text(13.361389338970184), "13.36138933897018433");
        assert_eq!(decimal_text(-0.5), "-0.5");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(number: f64) {
            prop_assume!(number.is_finite());
            prop_assert_eq!(double(text(number).as_bytes()), Some(number));
        }

        #[test]
        fn nothing_panics(text: Vec<u8>) {
            let _ = (double(&text), bound(&text));
        }
    }
}
