//! Numbers as Redis reads them from strings.

/// The number that a string holds: no spaces, no plus, no leading zeros, no "-0".
pub(crate) fn parse_integer(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    match digits {
        [b'0'] if digits.len() == text.len() => Some(0),
        [b'1'..=b'9', rest @ ..] if rest.iter().all(u8::is_ascii_digit) => {
            std::str::from_utf8(text).ok()?.parse().ok()
        }
        _ => None,
    }
}

/// A decimal number as `strtod` of C reads it, which `SORT` uses: behind white space, up to a zero byte, in
/// decimal or hexadecimal, or infinite. The empty string is 0. `None` for anything else, and for `nan` and what is
/// too large or too small for a number of 64 bits.
pub(crate) fn parse_double(text: &[u8]) -> Option<f64> {
    let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
    if text.is_empty() {
        return Some(0.0);
    }
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let begin = text.iter().position(|byte| !is_space(byte))?;
    let text = std::str::from_utf8(&text[begin..]).ok()?;
    let (negative, magnitude) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if magnitude.starts_with(['-', '+']) {
        return None;
    }
    let hexadecimal = magnitude.strip_prefix("0x").or_else(|| magnitude.strip_prefix("0X"));
    let (number, significand): (f64, _) = match hexadecimal {
        Some(digits) => (parse_hexadecimal(digits)?, digits.split(['p', 'P']).next()),
        None => (magnitude.parse().ok()?, magnitude.split(['e', 'E']).next()),
    };
    let is_zero = significand.is_some_and(|digits| digits.chars().all(|digit| matches!(digit, '0' | '.')));
    // `inf` has no digits; digits that make an infinite number, or one below the least normal one, do not fit.
    let is_word = magnitude.starts_with(|letter: char| letter.is_ascii_alphabetic());
    let fits = if is_word { number.is_infinite() } else { number.is_normal() || (number == 0.0 && is_zero) };
    fits.then_some(if negative { -number } else { number })
}

/// What follows `0x`: hexadecimal digits, perhaps with a point, perhaps with `p` and a power of two.
fn parse_hexadecimal(text: &str) -> Option<f64> {
    let (digits, exponent) = match text.split_once(['p', 'P']) {
        Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let (mut significand, mut power) = (0_u64, i64::from(exponent) - 4 * fraction.len() as i64);
    for digit in whole.chars().chain(fraction.chars()) {
        let digit = u64::from(digit.to_digit(16)?);
        if significand >> 60 == 0 {
            significand = significand << 4 | digit;
        } else {
            // Beyond 64 bits a digit decides only whether there is more than half a step.
            significand |= u64::from(digit != 0);
            power += 4;
        }
    }
    let power = power.clamp(-2000, 2000) as i32;
    // In two steps, as the power alone may not fit.
    Some(significand as f64 * 2_f64.powi(power / 2) * 2_f64.powi(power - power / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_form_is_a_number() {
        for number in [0, 7, -7, 10, i64::MAX, i64::MIN] {
            assert_eq!(parse_integer(number.to_string().as_bytes()), Some(number));
        }
        for text in [
            "",
            "-",
            "+1",
            "01",
            "-0",
            "00",
            " 1",
            "1 ",
            "1.0",
            "9223372036854775808",
            "-9223372036854775809",
        ] {
            assert_eq!(parse_integer(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn doubles_are_read_as_c_reads_them() {
        let read = [
            ("", 0.0),
            (" 1", 1.0),
            ("\t\x0b-1.5", -1.5),
            ("+.5", 0.5),
            ("5.", 5.0),
            ("1e3", 1000.0),
            ("0e999", 0.0),
            ("0x10", 16.0),
            ("-0X1.8p1", -3.0),
            ("0x0", 0.0),
            ("0xe", 14.0),
            ("inf", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
            ("7\0x", 7.0),
            ("\0", 0.0),
            ("9223372036854775807", 9_223_372_036_854_775_807.0),
            // Half a step goes to the even neighbour, a little less goes down, a little more up.
            ("0x1fffffffffffff8000000000", 2_f64.powi(93)),
            ("0x1fffffffffffff7fffffffff", 2_f64.powi(93) - 2_f64.powi(40)),
            ("0x10000000000000800000000", 2_f64.powi(88)),
            ("0x10000000000000800000001", 2_f64.powi(88) + 2_f64.powi(36)),
        ];
        for (text, number) in read {
            assert_eq!(parse_double(text.as_bytes()), Some(number), "{text:?}");
        }
        let refused = [
            " ",
            "1 ",
            "x",
            "--1",
            "+-1",
            ".",
            "1e",
            "0x",
            "0x.p1",
            "0xg",
            "nan",
            "1e400",
            "1e-400",
            "0x1p-2000",
            "in",
            "\u{a0}1",
        ];
        for text in refused {
            assert_eq!(parse_double(text.as_bytes()), None, "{text:?}");
        }
    }
}
