//! `LCS`: what two strings have in common.
//!
//! The longest common subsequence by the textbook's table, in which each cell follows from three neighbours:
//!
//! ```text
//!                 second[column]
//!               ┌──────┬──────┐
//!               │ ╲    │  ↑   │     equal bytes:  one more than at ╲
//!   first[row]  ├──────┼──────┤     else:         the greater of ↑ and ←
//!               │  ←   │ cell │
//!               └──────┴──────┘
//! ```
//!
//! Lengths need two rows only. To find the way back one bit of each cell is kept, whether ↑ was greater: the
//! rest follows from the bytes. From the last cell the way goes to the first, so matches come last first, and of
//! several subsequences it is the one that Redis finds.

use api::kv::{KvAnswer, KvReply, Lcs, LcsAnswer, Many};
use bytes::Bytes;
use types::limits::LCS_PAIRS_MAX;

use crate::look::Look;
use crate::reader::encode;
use crate::reply;
use crate::state::{Outcome, Stop};
use crate::strings::string_of;

const NOT_STRINGS: &str = "ERR The specified keys must contain string values";
/// Redis says this at its own limit, which lies higher.
const TOO_MANY_PAIRS: &str = "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len";

/// Answers a comparison.
pub(crate) fn compare(look: &dyn Look, lcs: &Lcs) -> Outcome {
    let (first, second) = match (text(look, &lcs.first), text(look, &lcs.second)) {
        (Ok(first), Ok(second)) => (first, second),
        (Err(Stop::Failed(error)), _) | (_, Err(Stop::Failed(error))) => return Err(error.into()),
        _ => return Ok(refusal(NOT_STRINGS)),
    };
    if first.len().saturating_mul(second.len()) > LCS_PAIRS_MAX {
        return Ok(refusal(TOO_MANY_PAIRS));
    }
    Ok(match lcs.answer() {
        LcsAnswer::Nothing => reply::ok(),
        LcsAnswer::Length => reply::integer(lengths(&first, &second, |_, _| {}) as i64),
        LcsAnswer::Text => {
            let mut text: Vec<u8> = Vec::new();
            let (_, way) = ways(&first, &second);
            way.back(&first, &second, |row, _| text.push(first[row]));
            text.reverse();
            reply::value(&text)
        }
        LcsAnswer::Matches => matches(&first, &second, lcs.least),
    })
}

fn text(look: &dyn Look, key: &Bytes) -> Result<Bytes, Stop> {
    Ok(look.live(key)?.map(|stored| string_of(look, &stored)).transpose()?.unwrap_or_default())
}

fn refusal(text: &str) -> Bytes {
    encode(KvAnswer::Refusal(text.into()))
}

/// Pieces of the subsequence that lie together in both strings.
fn matches(first: &[u8], second: &[u8], least: u64) -> Bytes {
    let (length, way) = ways(first, second);
    let mut replies = vec![KvReply::integer(length as i64)];
    let mut add = |row: usize, column: usize, bytes: usize| {
        if bytes > 0 && bytes as u64 >= least {
            for place in [row, row + bytes - 1, column, column + bytes - 1] {
                replies.push(KvReply::integer(place as i64));
            }
        }
    };
    // The piece that is being gathered, from its end to its beginning.
    let mut piece = (0, 0, 0);
    way.back(first, second, |row, column| {
        if piece.2 > 0 && piece.0 == row + 1 && piece.1 == column + 1 {
            piece = (row, column, piece.2 + 1);
        } else {
            add(piece.0, piece.1, piece.2);
            piece = (row, column, 1);
        }
    });
    add(piece.0, piece.1, piece.2);
    encode(KvAnswer::Many(Many { replies }))
}

/// One bit for each pair of bytes: whether the way back goes up.
struct Way {
    columns: usize,
    up: Vec<u64>,
}

/// The length of the subsequence, and the way to it.
fn ways(first: &[u8], second: &[u8]) -> (u32, Way) {
    let columns = second.len();
    let mut way = Way { columns, up: vec![0; (first.len() * columns).div_ceil(64)] };
    let length = lengths(first, second, |row, column| {
        let bit = row * columns + column;
        way.up[bit / 64] |= 1 << (bit % 64);
    });
    (length, way)
}

/// Fills the table and returns its last cell; `is_up` is told of cells that took what lies above.
fn lengths(first: &[u8], second: &[u8], mut is_up: impl FnMut(usize, usize)) -> u32 {
    // Cells of the row above, and of this one up to the column.
    let mut cells = vec![0_u32; second.len() + 1];
    for (row, byte) in first.iter().enumerate() {
        let mut diagonal = 0;
        for (column, other) in second.iter().enumerate() {
            let (left, above) = (cells[column], cells[column + 1]);
            cells[column + 1] = if byte == other {
                diagonal + 1
            } else if above > left {
                is_up(row, column);
                above
            } else {
                left
            };
            diagonal = above;
        }
    }
    cells.last().copied().unwrap_or(0)
}

impl Way {
    /// Walks from the last pair to the first and tells of each pair of the subsequence.
    fn back(&self, first: &[u8], second: &[u8], mut on_pair: impl FnMut(usize, usize)) {
        let (mut rows, mut columns) = (first.len(), second.len());
        while rows > 0 && columns > 0 {
            let (row, column) = (rows - 1, columns - 1);
            let bit = row * self.columns + column;
            if first[row] == second[column] {
                on_pair(row, column);
                (rows, columns) = (row, column);
            } else if self.up[bit / 64] >> (bit % 64) & 1 == 1 {
                rows = row;
            } else {
                columns = column;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subsequence(first: &str, second: &str) -> String {
        let (length, way) = ways(first.as_bytes(), second.as_bytes());
        let mut text = Vec::new();
        way.back(first.as_bytes(), second.as_bytes(), |row, _| text.insert(0, first.as_bytes()[row]));
        assert_eq!(length as usize, text.len());
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn the_longest_is_found() {
        assert_eq!(subsequence("ohmytext", "mynewtext"), "mytext");
        assert_eq!(subsequence("", "x"), "");
        assert_eq!(subsequence("abc", "xyz"), "");
        assert_eq!(subsequence("abcbdab", "bdcaba").len(), 4);
    }
}
