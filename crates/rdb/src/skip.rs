//! Values that are not stored here, read over: what comes behind them in a file is wanted all the same.

use crate::RdbError;
use crate::source::Source;

const STREAM: u8 = 15;
const STREAM_2: u8 = 19;
const STREAM_3: u8 = 21;
const MODULE_2: u8 = 7;

/// Bytes of an entry's id in a list of entries that were not acknowledged.
const ID_BYTES: u64 = 16;
const TIME_BYTES: u64 = 8;

/// Reads over a value of a type that is not stored here, and says what it was.
///
/// # Errors
/// [`RdbError::Type`] for a type whose end cannot be found.
pub(crate) fn skip(kind: u8, source: &mut impl Source) -> Result<&'static str, RdbError> {
    match kind {
        STREAM | STREAM_2 | STREAM_3 => stream(kind, source).map(|()| "stream"),
        MODULE_2 => module(source).map(|()| "value of a module"),
        kind => Err(RdbError::Type(kind)),
    }
}

fn stream(kind: u8, source: &mut impl Source) -> Result<(), RdbError> {
    for _ in 0..source.count()? {
        // The first id and the entries of a node.
        source.string()?;
        source.string()?;
    }
    // Entries and the last id; then the first id, the greatest one deleted, and how many there ever were.
    counts(if kind == STREAM { 3 } else { 8 }, source)?;
    for _ in 0..source.count()? {
        source.string()?;
        // The last id delivered; then how many entries were read.
        counts(if kind == STREAM { 2 } else { 3 }, source)?;
        for _ in 0..source.count()? {
            source.take(ID_BYTES + TIME_BYTES)?;
            source.count()?;
        }
        for _ in 0..source.count()? {
            source.string()?;
            source.take(if kind == STREAM_3 { 2 * TIME_BYTES } else { TIME_BYTES })?;
            for _ in 0..source.count()? {
                source.take(ID_BYTES)?;
            }
        }
    }
    Ok(())
}

fn counts(number: usize, source: &mut impl Source) -> Result<(), RdbError> {
    for _ in 0..number {
        source.count()?;
    }
    Ok(())
}

/// What a module has written, field by field, behind the module's name.
pub(crate) fn module(source: &mut impl Source) -> Result<(), RdbError> {
    source.count()?;
    loop {
        match source.count()? {
            0 => return Ok(()),
            1 | 2 => {
                source.count()?;
            }
            3 => {
                source.take(4)?;
            }
            4 => {
                source.take(8)?;
            }
            5 => {
                source.string()?;
            }
            _ => return Err(RdbError::Malformed("a field of a module of unknown form")),
        }
    }
}
