//! Commands on the bits of strings.

use super::{integer, is_word, keyed};
use crate::form::Shape;
use crate::plan::Plan;
use crate::table::Call;
use crate::text::{ErrorText, SYNTAX, parse_integer};
use api::kv::{
    BitCombine, BitCount, BitField, BitFieldOverflow, BitFieldVerb, BitFields, BitFind, BitOperation,
    BitPlace, BitRange, BitSet, BitsOp, BitsRequest, Key, KvOp,
};
use bytes::Bytes;
use types::limits::VALUE_BYTES_MAX;

type Parsed = Result<Plan, ErrorText>;

/// Bits of the longest string.
const BITS_MAX: u64 = 8 * VALUE_BYTES_MAX as u64;

const BAD_OFFSET: ErrorText = ErrorText::fixed("ERR bit offset is not an integer or out of range");
const BAD_BIT: ErrorText = ErrorText::fixed("ERR bit is not an integer or out of range");
const BAD_SOUGHT_BIT: ErrorText = ErrorText::fixed("ERR The bit argument must be 1 or 0.");
const NOT_ONE_SOURCE: ErrorText = ErrorText::fixed("ERR BITOP NOT must be called with a single source key.");
const BAD_FIELD_TYPE: ErrorText = ErrorText::fixed(
    "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
);
const BAD_OVERFLOW: ErrorText = ErrorText::fixed("ERR Invalid OVERFLOW type specified");
const ONLY_GET: ErrorText = ErrorText::fixed("ERR BITFIELD_RO only supports the GET subcommand");

pub(crate) fn getbit(call: &mut Call<'_>) -> Parsed {
    let place = BitPlace { key: call.arg(1), offset: bit_offset(&call.args[2])? };
    bits(call, BitsOp::Get(place), Shape::Plain)
}

pub(crate) fn setbit(call: &mut Call<'_>) -> Parsed {
    let offset = bit_offset(&call.args[2])?;
    let on = match parse_integer(&call.args[3]) {
        Some(0) => false,
        Some(1) => true,
        _ => return Err(BAD_BIT),
    };
    bits(call, BitsOp::Set(BitSet { key: call.arg(1), offset, on }), Shape::Plain)
}

/// `BITCOUNT key [start end [BYTE|BIT]]`
pub(crate) fn bitcount(call: &mut Call<'_>) -> Parsed {
    let key = call.arg(1);
    match count_range(&call.args[2..]) {
        Ok(range) => bits(call, BitsOp::Count(BitCount { key, range }), Shape::Plain),
        Err(error) => refuse(call, 0, error),
    }
}

fn count_range(words: &[Bytes]) -> Result<Option<BitRange>, ErrorText> {
    let (start, end, unit) = match words {
        [] => return Ok(None),
        [start, end] => (start, end, None),
        [start, end, unit] => (start, end, Some(unit)),
        _ => return Err(SYNTAX),
    };
    let (start, end) = (integer(start)?, integer(end)?);
    // Redis knows that this is nothing before it reads the unit.
    let is_nothing = start < 0 && end < start;
    let in_bits = unit.filter(|_| !is_nothing).map_or(Ok(false), |unit| is_bit_unit(unit))?;
    Ok(Some(BitRange { start, end: Some(end), in_bits }))
}

/// `BITPOS key bit [start [end [BYTE|BIT]]]`
pub(crate) fn bitpos(call: &mut Call<'_>) -> Parsed {
    let on = match integer(&call.args[2])? {
        0 => false,
        1 => true,
        _ => return Err(BAD_SOUGHT_BIT),
    };
    let key = call.arg(1);
    match find_range(&call.args[3..]) {
        Ok(range) => bits(call, BitsOp::Find(BitFind { key, on, range }), Shape::Plain),
        Err(error) => refuse(call, if on { -1 } else { 0 }, error),
    }
}

fn find_range(words: &[Bytes]) -> Result<Option<BitRange>, ErrorText> {
    let [start, rest @ ..] = words else { return Ok(None) };
    if rest.len() > 2 {
        return Err(SYNTAX);
    }
    let start = integer(start)?;
    let in_bits = rest.get(1).map_or(Ok(false), |unit| is_bit_unit(unit))?;
    let end = rest.first().map(|end| integer(end)).transpose()?;
    Ok(Some(BitRange { start, end, in_bits }))
}

fn is_bit_unit(word: &[u8]) -> Result<bool, ErrorText> {
    if is_word(word, "BIT") {
        Ok(true)
    } else if is_word(word, "BYTE") {
        Ok(false)
    } else {
        Err(SYNTAX)
    }
}

/// `BITOP AND|OR|XOR|NOT destkey key [key ...]`
pub(crate) fn bitop(call: &mut Call<'_>) -> Parsed {
    let operations = [
        ("AND", BitOperation::And),
        ("OR", BitOperation::Or),
        ("XOR", BitOperation::Xor),
        ("NOT", BitOperation::Not),
    ];
    let found = operations.into_iter().find(|(name, _)| is_word(&call.args[1], name));
    let (_, operation) = found.ok_or(SYNTAX)?;
    if operation == BitOperation::Not && call.args.len() != 4 {
        return Err(NOT_ONE_SOURCE);
    }
    let combine = BitCombine { operation: operation as i32, to: call.arg(2), from: call.args[3..].to_vec() };
    bits(call, BitsOp::Combine(combine), Shape::Plain)
}

/// `BITFIELD key [GET type offset | [OVERFLOW WRAP|SAT|FAIL] SET type offset value | INCRBY type offset add] ...`
pub(crate) fn bitfield(call: &mut Call<'_>) -> Parsed {
    let fields = BitFields { key: call.arg(1), steps: field_steps(&call.args[2..])? };
    let op = if only_reads(&fields) { BitsOp::Read(fields) } else { BitsOp::Change(fields) };
    bits(call, op, Shape::Numbers)
}

/// `BITFIELD_RO key [GET type offset ...]`
pub(crate) fn bitfield_ro(call: &mut Call<'_>) -> Parsed {
    let fields = BitFields { key: call.arg(1), steps: field_steps(&call.args[2..])? };
    if !only_reads(&fields) {
        return Err(ONLY_GET);
    }
    bits(call, BitsOp::Read(fields), Shape::Numbers)
}

fn only_reads(fields: &BitFields) -> bool {
    fields.steps.iter().all(|step| step.verb() == BitFieldVerb::Get)
}

fn field_steps(words: &[Bytes]) -> Result<Vec<BitField>, ErrorText> {
    let mut overflow = BitFieldOverflow::Wrap;
    let mut steps = Vec::new();
    let mut rest = words;
    while let [word, tail @ ..] = rest {
        let (verb, width, offset, operand) = match tail {
            [kind, tail @ ..] if is_word(word, "OVERFLOW") => {
                overflow = overflow_named(kind)?;
                rest = tail;
                continue;
            }
            [width, offset, tail @ ..] if is_word(word, "GET") => {
                rest = tail;
                (BitFieldVerb::Get, width, offset, None)
            }
            [width, offset, operand, tail @ ..] if is_word(word, "SET") => {
                rest = tail;
                (BitFieldVerb::Set, width, offset, Some(operand))
            }
            [width, offset, operand, tail @ ..] if is_word(word, "INCRBY") => {
                rest = tail;
                (BitFieldVerb::Add, width, offset, Some(operand))
            }
            _ => return Err(SYNTAX),
        };
        let (signed, bits) = field_type(width)?;
        let offset = field_offset(offset, bits)?;
        let operand = operand.map_or(Ok(0), |operand| integer(operand))?;
        steps.push(BitField { verb: verb as i32, signed, bits, offset, operand, overflow: overflow as i32 });
    }
    Ok(steps)
}

fn overflow_named(word: &[u8]) -> Result<BitFieldOverflow, ErrorText> {
    let kinds = [
        ("WRAP", BitFieldOverflow::Wrap),
        ("SAT", BitFieldOverflow::Saturate),
        ("FAIL", BitFieldOverflow::Fail),
    ];
    let found = kinds.into_iter().find(|(name, _)| is_word(word, name));
    found.map(|(_, kind)| kind).ok_or(BAD_OVERFLOW)
}

/// `i1` to `i64`, `u1` to `u63`, in small letters.
fn field_type(word: &[u8]) -> Result<(bool, u32), ErrorText> {
    let (signed, digits) = match word {
        [b'i', digits @ ..] => (true, digits),
        [b'u', digits @ ..] => (false, digits),
        _ => return Err(BAD_FIELD_TYPE),
    };
    match parse_integer(digits) {
        Some(bits @ 1..=63) => Ok((signed, bits as u32)),
        Some(64) if signed => Ok((signed, 64)),
        _ => Err(BAD_FIELD_TYPE),
    }
}

/// A bit, or `#number` for the place of that number in a row of numbers of this width.
fn field_offset(word: &[u8], bits: u32) -> Result<u64, ErrorText> {
    let (digits, unit) = match word {
        [b'#', digits @ ..] => (digits, i64::from(bits)),
        digits => (digits, 1),
    };
    let offset = parse_integer(digits).and_then(|number| number.checked_mul(unit)).ok_or(BAD_OFFSET)?;
    let offset = u64::try_from(offset).map_err(|_| BAD_OFFSET)?;
    if offset.saturating_add(u64::from(bits)) > BITS_MAX { Err(BAD_OFFSET) } else { Ok(offset) }
}

fn bit_offset(word: &[u8]) -> Result<u64, ErrorText> {
    let offset = parse_integer(word).and_then(|offset| u64::try_from(offset).ok());
    offset.filter(|offset| *offset < BITS_MAX).ok_or(BAD_OFFSET)
}

/// The arguments are wrong, yet Redis looks at the key first.
fn refuse(call: &Call<'_>, absent: i64, error: ErrorText) -> Parsed {
    keyed(call, KvOp::Type(Key { key: call.arg(1) }), Shape::RefuseString { absent, error })
}

fn bits(call: &Call<'_>, op: BitsOp, shape: Shape) -> Parsed {
    keyed(call, KvOp::Bits(BitsRequest { op: Some(op) }), shape)
}
