//! The sparse form of a HyperLogLog: runs of equal registers, in order.
//!
//! ```text
//!   00llllll              l + 1 registers that have seen nothing, 1 to 64
//!   01llllll llllllll     the same, 1 to 16384
//!   1vvvvvll              l + 1 registers with rank v + 1: 1 to 4 registers, rank 1 to 32
//! ```
//!
//! Raising a register splits the run in which it lies into up to three. Afterwards short runs of one rank around
//! the place are joined, in the same order as in Redis: the same elements give the same bytes.

use super::format::{Invalid, REGISTERS, Registers};

/// No register has seen anything: one run.
pub(super) const EMPTY: [u8; 2] = [0x40 | ((REGISTERS - 1) >> 8) as u8, 0xff];

/// Longest run of empty registers in one byte.
const SHORT_EMPTY_MAX: usize = 64;
/// Longest run of registers with a rank.
const RANKED_MAX: usize = 4;
/// Highest rank that a run can have.
const RANK_MAX: u8 = 32;
/// Runs that are looked at for joining after a change.
const JOIN_RUNS: usize = 5;

/// What became of a register that was to be raised.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Raised {
    /// It is at least so high now; whether it was lower.
    Done(bool),
    /// The rank or the runs do not fit this form. Nothing was changed.
    DoesNotFit,
}

/// A run of equal registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    /// 0: they have seen nothing.
    rank: u8,
    length: usize,
    /// How many bytes it takes.
    bytes: usize,
}

impl Run {
    /// The run at the front of these bytes.
    fn read(bytes: &[u8]) -> Result<Self, Invalid> {
        match *bytes {
            [first, ..] if first & 0x80 != 0 => {
                Ok(Run { rank: (first >> 2 & 0x1f) + 1, length: usize::from(first & 3) + 1, bytes: 1 })
            }
            [first, second, ..] if first & 0x40 != 0 => {
                let length = usize::from(first & 0x3f) << 8 | usize::from(second);
                Ok(Run { rank: 0, length: length + 1, bytes: 2 })
            }
            [first, ..] if first & 0x40 == 0 => Ok(Run { rank: 0, length: usize::from(first) + 1, bytes: 1 }),
            _ => Err(Invalid::Corrupted),
        }
    }

    /// Appends a run; nothing if it has no registers.
    fn write(rank: u8, length: usize, bytes: &mut Vec<u8>) {
        match (rank, length.checked_sub(1)) {
            (_, None) => {}
            (0, Some(less)) if length <= SHORT_EMPTY_MAX => bytes.push(less as u8),
            (0, Some(less)) => bytes.extend_from_slice(&[0x40 | (less >> 8) as u8, less as u8]),
            (rank, Some(less)) => bytes.push(0x80 | (rank - 1) << 2 | less as u8),
        }
    }
}

/// All registers.
pub(super) fn registers(body: &[u8]) -> Result<Registers, Invalid> {
    let mut registers = Registers::default();
    let (mut at, mut register) = (0, 0);
    while at < body.len() {
        let run = Run::read(&body[at..])?;
        registers.fill(register, run.length, run.rank)?;
        at += run.bytes;
        register += run.length;
    }
    if register == REGISTERS { Ok(registers) } else { Err(Invalid::Corrupted) }
}

/// Raises a register of the runs that begin at `body_at`. They may grow by `room` bytes.
pub(super) fn raise(
    string: &mut Vec<u8>,
    body_at: usize,
    register: usize,
    rank: u8,
    room: usize,
) -> Result<Raised, Invalid> {
    if rank > RANK_MAX {
        return Ok(Raised::DoesNotFit);
    }
    let (mut previous, mut at, mut first) = (body_at, body_at, 0);
    let run = loop {
        let run = Run::read(&string[at..])?;
        if register < first + run.length {
            break run;
        }
        previous = at;
        at += run.bytes;
        first += run.length;
    };
    if run.rank >= rank {
        return Ok(Raised::Done(false));
    }
    let mut split = Vec::with_capacity(5);
    Run::write(run.rank, register - first, &mut split);
    Run::write(rank, 1, &mut split);
    Run::write(run.rank, first + run.length - register - 1, &mut split);
    if split.len() > run.bytes + room {
        return Ok(Raised::DoesNotFit);
    }
    string.splice(at..at + run.bytes, split);
    join(string, previous);
    Ok(Raised::Done(true))
}

/// Joins runs of one rank that follow one another and fit one run.
fn join(string: &mut Vec<u8>, from: usize) {
    let mut at = from;
    for _ in 0..JOIN_RUNS {
        let Some(Ok(run)) = string.get(at..).map(Run::read) else { return };
        let next = Run::read(string.get(at + run.bytes..).unwrap_or_default());
        match next {
            Ok(next) if run.rank > 0 && next.rank == run.rank && run.length + next.length <= RANKED_MAX => {
                let mut joined = Vec::with_capacity(1);
                Run::write(run.rank, run.length + next.length, &mut joined);
                // The joined run may be joined again.
                string.splice(at..at + 2, joined);
            }
            _ => at += run.bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raised(registers: &[(usize, u8)]) -> Vec<u8> {
        let mut string = EMPTY.to_vec();
        for (register, rank) in registers {
            assert_eq!(raise(&mut string, 0, *register, *rank, 100), Ok(Raised::Done(true)));
        }
        string
    }

    #[test]
    fn runs_are_split_and_joined() {
        assert_eq!(EMPTY, [0x7f, 0xff]);
        assert_eq!(raised(&[(0, 1)]), [0x80, 0x7f, 0xfe]);
        assert_eq!(raised(&[(REGISTERS - 1, 32)]), [0x7f, 0xfe, 0xfc]);
        assert_eq!(raised(&[(64, 1)]), [0x3f, 0x80, 0x7f, 0xbe]);
        assert_eq!(raised(&[(65, 1)]), [0x40, 0x40, 0x80, 0x7f, 0xbd]);
        assert_eq!(raised(&[(0, 1), (1, 1)]), [0x81, 0x7f, 0xfd]);
        assert_eq!(raised(&[(0, 1), (2, 1), (1, 1)]), [0x82, 0x7f, 0xfc]);
        assert_eq!(raised(&[(0, 1), (1, 1), (1, 2)]), [0x80, 0x84, 0x7f, 0xfd]);
    }

    #[test]
    fn what_does_not_fit_changes_nothing() {
        let mut string = EMPTY.to_vec();
        assert_eq!(raise(&mut string, 0, 7, 33, 100), Ok(Raised::DoesNotFit));
        assert_eq!(raise(&mut string, 0, 100, 1, 2), Ok(Raised::DoesNotFit));
        assert_eq!(string, EMPTY);
        assert_eq!(raise(&mut string, 0, 100, 1, 3), Ok(Raised::Done(true)));
    }
}
