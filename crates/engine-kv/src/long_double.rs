//! The numbers of INCRBYFLOAT: 80-bit x87 arithmetic, as Redis has it on x86-64.
//!
//! Redis reads with `strtold`, adds `long double`s and prints with `%.17Lf`, so its replies show the
//! rounding of a 64-bit mantissa: 1000000 plus 0.1 is not 1000000.1. A compatible reply must round in
//! the same places, and replicas must agree whatever machine they run on; so the three steps are done
//! here in whole numbers. A value is `mantissa × 2^exponent` with a mantissa of up to 64 bits.

use std::cmp::Ordering;

use crate::big::Big;

/// Longest text that Redis reads as a decimal number (`MAX_LONG_DOUBLE_CHARS`).
const TEXT_BYTES_MAX: usize = 5 * 1024;
/// Exponent of the last bit of the smallest numbers.
const EXPONENT_MIN: i64 = -16_445;
/// Exponent of the last bit of the greatest numbers.
const EXPONENT_MAX: i64 = 16_383 - 63;
/// Digits that Redis prints after the point before it takes trailing zeros away.
const FRACTION_DIGITS: u32 = 17;
/// No number has its first digit further from the point than this; larger exponents need no arithmetic.
const DECIMAL_EXPONENT_MAX: u64 = 10_000;

/// A number of 80-bit extended precision, or infinity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LongDouble {
    negative: bool,
    magnitude: Magnitude,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Magnitude {
    /// `mantissa × 2^exponent`; the exponent of zero is the least.
    Finite {
        mantissa: u64,
        exponent: i64,
    },
    Infinite,
}

impl LongDouble {
    /// Nothing.
    pub(crate) const ZERO: LongDouble =
        LongDouble { negative: false, magnitude: Magnitude::Finite { mantissa: 0, exponent: EXPONENT_MIN } };

    /// Reads what `strtold` reads and Redis accepts: decimal and hexadecimal numbers with exponents, and
    /// infinity; not NaN, not what overflows or vanishes, no spaces.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        if text.len() >= TEXT_BYTES_MAX {
            return None;
        }
        let (negative, digits) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            _ => (false, text),
        };
        let magnitude = if digits.eq_ignore_ascii_case(b"inf") || digits.eq_ignore_ascii_case(b"infinity") {
            Magnitude::Infinite
        } else if let [b'0', b'x' | b'X', hexadecimal @ ..] = digits {
            parse_hexadecimal(hexadecimal)?
        } else {
            parse_decimal(digits)?
        };
        Some(Self { negative, magnitude })
    }

    /// Whether it is not infinite.
    pub(crate) fn is_finite(&self) -> bool {
        matches!(self.magnitude, Magnitude::Finite { .. })
    }

    /// The sum, or `None` if it is infinite or no number.
    pub(crate) fn plus(&self, other: &Self) -> Option<Self> {
        let (
            Magnitude::Finite { mantissa: a, exponent: a_exponent },
            Magnitude::Finite { mantissa: b, exponent: b_exponent },
        ) = (&self.magnitude, &other.magnitude)
        else {
            return None;
        };
        if *a == 0 || *b == 0 {
            return Some(if *a == 0 { other.clone() } else { self.clone() });
        }
        // Exact addition at the finer of the two exponents, then one rounding.
        let exponent = *a_exponent.min(b_exponent);
        let mut a = Big::from(*a).shifted_left((a_exponent - exponent) as usize);
        let mut b = Big::from(*b).shifted_left((b_exponent - exponent) as usize);
        let negative = if self.negative == other.negative {
            a.add(&b);
            self.negative
        } else {
            match a.cmp(&b) {
                Ordering::Equal => return Some(Self::ZERO),
                Ordering::Greater => {
                    a.subtract(&b);
                    self.negative
                }
                Ordering::Less => {
                    b.subtract(&a);
                    a = b;
                    other.negative
                }
            }
        };
        match round(&a, exponent, false) {
            Magnitude::Infinite => None,
            magnitude => Some(Self { negative, magnitude }),
        }
    }

    /// `%.17Lf` without trailing zeros. Only finite numbers are printed.
    pub(crate) fn to_text(&self) -> String {
        let Magnitude::Finite { mantissa, exponent } = self.magnitude else { return "inf".into() };
        let text = if exponent >= 0 {
            Big::from(mantissa).shifted_left(exponent as usize).to_decimal()
        } else {
            with_fraction(mantissa, exponent.unsigned_abs())
        };
        if self.negative && text != "0" { format!("-{text}") } else { text }
    }
}

/// `mantissa / 2^shift` with 17 digits after the point, rounded to even, trailing zeros removed.
fn with_fraction(mantissa: u64, shift: u64) -> String {
    let one = 10_u128.pow(FRACTION_DIGITS);
    // Below 2^64 × 10^17 < 2^121, so it fits.
    let scaled = u128::from(mantissa) * one;
    let rounded = if shift >= 128 {
        0
    } else {
        let (whole, rest) = (scaled >> shift, scaled & ((1 << shift) - 1));
        match rest.cmp(&(1 << (shift - 1))) {
            Ordering::Less => whole,
            Ordering::Equal => whole + (whole & 1),
            Ordering::Greater => whole + 1,
        }
    };
    let text = format!("{}.{:017}", rounded / one, rounded % one);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The nearest number to `(value + something below 1 if inexact) × 2^exponent`, ties to even.
fn round(value: &Big, exponent: i64, inexact: bool) -> Magnitude {
    let bits = value.bits() as i64;
    let drop = (bits - 64).max(EXPONENT_MIN - exponent).max(0);
    let mut exponent = exponent + drop;
    let kept = value.shifted_right(drop as usize);
    let mut mantissa = u128::from(kept.low());
    if drop > 0 {
        let half = value.bit(drop as usize - 1);
        let below_half = inexact || value.has_bits_below(drop as usize - 1);
        if half && (below_half || mantissa & 1 == 1) {
            mantissa += 1;
        }
    }
    if mantissa == 0 {
        return LongDouble::ZERO.magnitude;
    }
    // Bring the mantissa to its 64-bit form, as far as the least exponent allows.
    if mantissa >> 64 != 0 {
        mantissa >>= 1;
        exponent += 1;
    }
    let room = i64::from((mantissa as u64).leading_zeros()).min(exponent - EXPONENT_MIN);
    let (mantissa, exponent) = ((mantissa as u64) << room, exponent - room);
    if exponent > EXPONENT_MAX { Magnitude::Infinite } else { Magnitude::Finite { mantissa, exponent } }
}

/// Digits with a point and an exponent, base 10.
fn parse_decimal(text: &[u8]) -> Option<Magnitude> {
    let (digits, point, exponent) =
        split_number(text, |byte| matches!(byte, b'e' | b'E'), u8::is_ascii_digit)?;
    let mut value = Big::from(0);
    for digit in &digits {
        value.multiply_add(10, u64::from(digit - b'0'));
    }
    if value.is_zero() {
        return Some(LongDouble::ZERO.magnitude);
    }
    let exponent = exponent.saturating_sub(point);
    if exponent.unsigned_abs() > DECIMAL_EXPONENT_MAX {
        return None;
    }
    let mut power = Big::from(1);
    for _ in 0..exponent.unsigned_abs() {
        power.multiply_add(10, 0);
    }
    let magnitude =
        if exponent >= 0 { round(&value.times(&power), 0, false) } else { divide(&value, &power) };
    in_range(magnitude)
}

/// Digits with a point and a power of two, base 16, after the `0x`.
fn parse_hexadecimal(text: &[u8]) -> Option<Magnitude> {
    let (digits, point, exponent) =
        split_number(text, |byte| matches!(byte, b'p' | b'P'), u8::is_ascii_hexdigit)?;
    let mut value = Big::from(0);
    for digit in &digits {
        value.multiply_add(16, u64::from(char::from(*digit).to_digit(16)?));
    }
    if value.is_zero() {
        return Some(LongDouble::ZERO.magnitude);
    }
    let exponent = exponent.saturating_sub(4 * point);
    if exponent.unsigned_abs() > 8 * DECIMAL_EXPONENT_MAX {
        return None;
    }
    in_range(round(&value, exponent, false))
}

/// Redis refuses what `strtold` reports as out of range.
fn in_range(magnitude: Magnitude) -> Option<Magnitude> {
    match magnitude {
        Magnitude::Infinite | Magnitude::Finite { mantissa: 0, .. } => None,
        magnitude => Some(magnitude),
    }
}

/// The quotient with at least 66 bits, rounded.
fn divide(value: &Big, divisor: &Big) -> Magnitude {
    let shift = 66 + divisor.bits() as i64 - value.bits() as i64;
    let (mut rest, divisor) = if shift >= 0 {
        (value.shifted_left(shift as usize), divisor.clone())
    } else {
        (value.clone(), divisor.shifted_left(shift.unsigned_abs() as usize))
    };
    // Schoolbook division, bit by bit: the quotient has 66 or 67 bits.
    let mut quotient = Big::from(0);
    for place in (0..=67).rev() {
        let part = divisor.shifted_left(place);
        quotient = quotient.shifted_left(1);
        if rest.cmp(&part) != Ordering::Less {
            rest.subtract(&part);
            quotient.multiply_add(1, 1);
        }
    }
    round(&quotient, -shift, !rest.is_zero())
}

/// Splits `digits.digits` and an exponent: all digits, how many came after the point, the exponent.
fn split_number(
    text: &[u8],
    is_marker: impl Fn(u8) -> bool,
    is_digit: impl Fn(&u8) -> bool,
) -> Option<(Vec<u8>, i64, i64)> {
    let (number, exponent) = match text.iter().position(|byte| is_marker(*byte)) {
        Some(place) => (&text[..place], parse_exponent(&text[place + 1..])?),
        None => (text, 0),
    };
    let (whole, fraction) = match number.iter().position(|byte| *byte == b'.') {
        Some(place) => (&number[..place], &number[place + 1..]),
        None => (number, &[][..]),
    };
    let digits = [whole, fraction].concat();
    if digits.is_empty() || !digits.iter().all(is_digit) {
        return None;
    }
    Some((digits, fraction.len() as i64, exponent))
}

fn parse_exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits
        .iter()
        .fold(0_i64, |number, digit| number.saturating_mul(10).saturating_add(i64::from(digit - b'0')));
    Some(if negative { -number } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponents_below_all_numbers_are_refused() {
        for text in ["1.23e-99999999999999999999", "1.23e-9223372036854775807", "0x1.8p-9223372036854775807"]
        {
            assert_eq!(LongDouble::parse(text.as_bytes()), None, "{text}");
        }
    }

    fn sum(a: &str, b: &str) -> String {
        let read = |text: &str| LongDouble::parse(text.as_bytes());
        match (read(a), read(b)) {
            (Some(a), Some(b)) => a.plus(&b).map_or("not finite".into(), |sum| sum.to_text()),
            _ => "not a number".into(),
        }
    }

    /// The expected texts are those of redis-server 7.0.15 on x86-64.
    #[test]
    fn sums_are_those_of_redis() {
        let cases = include_str!("../testdata/incrbyfloat.txt");
        let mut count = 0;
        for line in cases.lines().filter(|line| !line.starts_with('#')) {
            let fields: Vec<&str> = line.split('\t').collect();
            let [a, b, expected] = fields[..] else { panic!("bad line {line:?}") };
            assert_eq!(sum(a, b), expected, "{a} + {b}");
            count += 1;
        }
        assert!(count > 100);
    }

    #[test]
    fn huge_exponents_end_quickly() {
        assert_eq!(sum("1e999999999999999999999", "0"), "not a number");
        assert_eq!(sum("0e999999999999999999999", "1"), "1");
        assert_eq!(sum("0x1p99999999999", "0"), "not a number");
        assert_eq!(sum(&"9".repeat(5119), "1"), "not a number");
    }
}
