//! `BITCOUNT` and `BITPOS`, page by page.

use api::kv::{BitCount, BitFind, BitRange};
use engine::EngineError;

use super::text::{Pieces, Text};
use crate::look::Look;
use crate::reply;
use crate::state::Outcome;

/// Bits from the first to the last, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    first: u64,
    last: u64,
}

impl Span {
    /// The bits that a range names in a string; `None` if it names none.
    ///
    /// Both ends count from the string's end if they are negative, and stop at its ends.
    fn of(range: Option<BitRange>, bytes: u64) -> Option<Self> {
        let range = range.unwrap_or_default();
        let places = if range.in_bits { 8 * bytes } else { bytes } as i64;
        let place = |place: i64| if place < 0 { place.saturating_add(places).max(0) } else { place };
        let (start, end) = (place(range.start), place(range.end.unwrap_or(-1)).min(places - 1));
        if places == 0 || start > end {
            return None;
        }
        let (start, end) = (start as u64, end as u64);
        Some(match range.in_bits {
            true => Span { first: start, last: end },
            false => Span { first: 8 * start, last: 8 * end + 7 },
        })
    }

    /// A byte of the string without the bits that lie outside.
    fn masked(self, at: u64, byte: u8) -> u8 {
        let mut byte = byte;
        if at == self.first / 8 {
            byte &= 0xff >> (self.first % 8);
        }
        if at == self.last / 8 {
            byte &= 0xff << (7 - self.last % 8);
        }
        byte
    }

    fn pieces<'a>(self, text: &Text, look: &'a dyn Look) -> Pieces<'a> {
        text.pieces(look, self.first / 8, self.last / 8 + 1)
    }
}

/// `BITCOUNT`.
pub(super) fn count(look: &dyn Look, count: &BitCount) -> Outcome {
    let Some(stored) = look.live(&count.key)? else { return Ok(reply::integer(0)) };
    let text = Text::of(look, &stored)?;
    // Redis looks at this pair before it looks at the string.
    let turned = |range: BitRange| range.start < 0 && range.end.is_some_and(|end| end < range.start);
    if count.range.is_some_and(turned) {
        return Ok(reply::integer(0));
    }
    let Some(span) = Span::of(count.range, text.len()) else { return Ok(reply::integer(0)) };
    let mut ones = 0;
    for piece in span.pieces(&text, look) {
        let piece = piece?;
        ones += piece.bytes.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>();
        // The bytes at the ends were counted whole.
        for end in [span.first / 8, span.last / 8] {
            let byte = end.checked_sub(piece.at).and_then(|place| piece.bytes.get(place as usize));
            let outside = byte.map_or(0, |byte| byte & !span.masked(end, 0xff));
            ones -= u64::from(outside.count_ones());
            if span.first / 8 == span.last / 8 {
                break;
            }
        }
    }
    Ok(reply::integer(ones as i64))
}

/// `BITPOS`.
pub(super) fn find(look: &dyn Look, find: &BitFind) -> Outcome {
    let Some(stored) = look.live(&find.key)? else {
        // An absent string is one of endless zeros.
        return Ok(reply::integer(if find.on { -1 } else { 0 }));
    };
    let text = Text::of(look, &stored)?;
    let Some(span) = Span::of(find.range, text.len()) else { return Ok(reply::integer(-1)) };
    let found = first_of(span.pieces(&text, look), span, find.on)?;
    // Without an end the string goes on with zeros.
    let is_open = find.range.is_none_or(|range| range.end.is_none());
    let beyond = (is_open && !find.on).then_some(span.last + 1);
    Ok(reply::integer(found.or(beyond).map_or(-1, |bit| bit as i64)))
}

/// The first bit of a kind in a span.
fn first_of(pieces: Pieces<'_>, span: Span, on: bool) -> Result<Option<u64>, EngineError> {
    let mut next = span.first / 8;
    for piece in pieces {
        let piece = piece?;
        if !on && piece.at > next {
            // Zeros that are not stored.
            return Ok(Some(span.first.max(8 * next)));
        }
        for (at, byte) in (piece.at..).zip(piece.bytes.iter()) {
            let wanted = span.masked(at, if on { *byte } else { !*byte });
            if wanted != 0 {
                return Ok(Some(8 * at + u64::from(wanted.leading_zeros())));
            }
        }
        next = piece.at + piece.bytes.len() as u64;
    }
    let rest = (!on && 8 * next <= span.last).then(|| span.first.max(8 * next));
    Ok(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(start: i64, end: Option<i64>, in_bits: bool, bytes: u64) -> Option<(u64, u64)> {
        Span::of(Some(BitRange { start, end, in_bits }), bytes).map(|span| (span.first, span.last))
    }

    #[test]
    fn ranges_stop_at_the_ends_of_the_string() {
        assert_eq!(span(0, None, false, 3), Some((0, 23)));
        assert_eq!(span(-1, Some(-1), false, 3), Some((16, 23)));
        assert_eq!(span(-100, Some(100), true, 3), Some((0, 23)));
        assert_eq!(span(5, Some(6), true, 3), Some((5, 6)));
        assert_eq!(span(2, Some(1), false, 3), None);
        assert_eq!(span(3, None, false, 3), None);
        assert_eq!(span(0, None, false, 0), None);
        assert_eq!(span(i64::MIN, Some(i64::MAX), true, 1), Some((0, 7)));
    }

    #[test]
    fn bytes_at_the_ends_lose_what_lies_outside() {
        let span = Span { first: 3, last: 12 };
        assert_eq!(span.masked(0, 0xff), 0b0001_1111);
        assert_eq!(span.masked(1, 0xff), 0b1111_1000);
        assert_eq!(Span { first: 3, last: 4 }.masked(0, 0xff), 0b0001_1000);
    }
}
