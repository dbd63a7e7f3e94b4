//! Values: the five types, read from every form and written in the plain one.

use bytes::{BufMut, Bytes, BytesMut};

use crate::source::{STRING_COST, Source};
use crate::{RdbError, packed};

/// What a key holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Bytes.
    String(Bytes),
    /// Elements in order.
    List(Vec<Bytes>),
    /// Members. A form that was damaged on purpose may name one twice.
    Set(Vec<Bytes>),
    /// Fields and their values. A form that was damaged on purpose may name a field twice.
    Hash(Vec<(Bytes, Bytes)>),
    /// Members and their scores, none of which is NaN. A form that was damaged on purpose may name one twice.
    SortedSet(Vec<(Bytes, f64)>),
}

const STRING: u8 = 0;
const LIST: u8 = 1;
const SET: u8 = 2;
const SORTED_SET_TEXT: u8 = 3;
const HASH: u8 = 4;
const SORTED_SET: u8 = 5;
const LIST_ZIPLIST: u8 = 10;
const SET_INTSET: u8 = 11;
const SORTED_SET_ZIPLIST: u8 = 12;
const HASH_ZIPLIST: u8 = 13;
const LIST_QUICKLIST: u8 = 14;
const HASH_LISTPACK: u8 = 16;
const SORTED_SET_LISTPACK: u8 = 17;
const LIST_QUICKLIST_2: u8 = 18;
const SET_LISTPACK: u8 = 20;

/// A node of a list that is one element.
const NODE_PLAIN: u64 = 1;
/// A node of a list that is a listpack.
const NODE_PACKED: u64 = 2;

impl Value {
    /// Reads a value of this type.
    pub(crate) fn read(kind: u8, source: &mut impl Source) -> Result<Self, RdbError> {
        let value = match kind {
            STRING => return Ok(Value::String(source.string()?)),
            LIST => Value::List(strings(source)?),
            SET => Value::Set(strings(source)?),
            HASH => {
                let count = source.count()?;
                Value::Hash(gather(count, || Ok((source.string()?, source.string()?)))?)
            }
            SORTED_SET => Value::SortedSet(scored(source, binary_score)?),
            SORTED_SET_TEXT => Value::SortedSet(scored(source, text_score)?),
            LIST_ZIPLIST => Value::List(entries(source, packed::ziplist)?),
            SET_INTSET => Value::Set(entries(source, packed::intset)?),
            SET_LISTPACK => Value::Set(entries(source, packed::listpack)?),
            HASH_ZIPLIST => Value::Hash(pairs(entries(source, packed::ziplist)?)?),
            HASH_LISTPACK => Value::Hash(pairs(entries(source, packed::listpack)?)?),
            SORTED_SET_ZIPLIST => Value::SortedSet(with_scores(entries(source, packed::ziplist)?)?),
            SORTED_SET_LISTPACK => Value::SortedSet(with_scores(entries(source, packed::listpack)?)?),
            LIST_QUICKLIST => Value::List(nodes(source, |source| entries(source, packed::ziplist))?),
            LIST_QUICKLIST_2 => Value::List(nodes(source, node)?),
            kind => return Err(RdbError::Type(kind)),
        };
        if value.is_empty() { Err(RdbError::Malformed("a collection without elements")) } else { Ok(value) }
    }

    /// The type of the plain form.
    pub(crate) fn kind(&self) -> u8 {
        match self {
            Value::String(_) => STRING,
            Value::List(_) => LIST,
            Value::Set(_) => SET,
            Value::Hash(_) => HASH,
            Value::SortedSet(_) => SORTED_SET,
        }
    }

    /// Appends the plain form, without the type.
    pub(crate) fn write(&self, bytes: &mut BytesMut) {
        match self {
            Value::String(string) => put_string(string, bytes),
            Value::List(elements) | Value::Set(elements) => {
                put_count(elements.len() as u64, bytes);
                elements.iter().for_each(|element| put_string(element, bytes));
            }
            Value::Hash(fields) => {
                put_count(fields.len() as u64, bytes);
                for (field, value) in fields {
                    put_string(field, bytes);
                    put_string(value, bytes);
                }
            }
            Value::SortedSet(members) => {
                put_count(members.len() as u64, bytes);
                for (member, score) in members {
                    put_string(member, bytes);
                    bytes.put_f64_le(*score);
                }
            }
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Value::String(_) => false,
            Value::List(elements) | Value::Set(elements) => elements.is_empty(),
            Value::Hash(fields) => fields.is_empty(),
            Value::SortedSet(members) => members.is_empty(),
        }
    }
}

/// So many items. Memory is taken as they come: a count costs nobody anything.
fn gather<T>(count: u64, mut item: impl FnMut() -> Result<T, RdbError>) -> Result<Vec<T>, RdbError> {
    let mut items = Vec::new();
    for _ in 0..count {
        items.push(item()?);
    }
    Ok(items)
}

/// The entries of a collection that is packed in one string.
fn entries(
    source: &mut impl Source,
    unpack: fn(Bytes, usize) -> Result<Vec<Bytes>, RdbError>,
) -> Result<Vec<Bytes>, RdbError> {
    let packed = source.string()?;
    let most = source.room().map_or(u64::MAX, |room| *room / STRING_COST);
    let entries = unpack(packed, usize::try_from(most).unwrap_or(usize::MAX))?;
    source.spend(entries.len() as u64 * STRING_COST)?;
    Ok(entries)
}

fn strings(source: &mut impl Source) -> Result<Vec<Bytes>, RdbError> {
    let count = source.count()?;
    gather(count, || source.string())
}

fn scored<S: Source>(
    source: &mut S,
    score: fn(&mut S) -> Result<f64, RdbError>,
) -> Result<Vec<(Bytes, f64)>, RdbError> {
    let count = source.count()?;
    gather(count, || {
        let member = source.string()?;
        Ok((member, not_nan(score(source)?)?))
    })
}

fn binary_score(source: &mut impl Source) -> Result<f64, RdbError> {
    Ok(f64::from_le_bytes(source.array()?))
}

fn text_score(source: &mut impl Source) -> Result<f64, RdbError> {
    match source.byte()? {
        253 => Ok(f64::NAN),
        254 => Ok(f64::INFINITY),
        255 => Ok(f64::NEG_INFINITY),
        length => parse_score(&source.take(u64::from(length))?),
    }
}

fn parse_score(text: &[u8]) -> Result<f64, RdbError> {
    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    number.ok_or(RdbError::Malformed("a score is no number"))
}

fn not_nan(score: f64) -> Result<f64, RdbError> {
    if score.is_nan() { Err(RdbError::Malformed("a score is no number")) } else { Ok(score) }
}

/// Entries two by two.
fn pairs(entries: Vec<Bytes>) -> Result<Vec<(Bytes, Bytes)>, RdbError> {
    if entries.len() % 2 == 1 {
        return Err(RdbError::Malformed("a name without a value"));
    }
    let mut entries = entries.into_iter();
    Ok(std::iter::from_fn(|| Some((entries.next()?, entries.next()?))).collect())
}

fn with_scores(entries: Vec<Bytes>) -> Result<Vec<(Bytes, f64)>, RdbError> {
    let pairs = pairs(entries)?.into_iter();
    pairs.map(|(member, score)| Ok((member, not_nan(parse_score(&score)?)?))).collect()
}

/// The elements of a list in nodes.
fn nodes<S: Source>(
    source: &mut S,
    node: fn(&mut S) -> Result<Vec<Bytes>, RdbError>,
) -> Result<Vec<Bytes>, RdbError> {
    let mut elements = Vec::new();
    for _ in 0..source.count()? {
        elements.append(&mut node(source)?);
    }
    Ok(elements)
}

fn node(source: &mut impl Source) -> Result<Vec<Bytes>, RdbError> {
    match source.count()? {
        NODE_PLAIN => Ok(vec![source.string()?]),
        NODE_PACKED => entries(source, packed::listpack),
        _ => Err(RdbError::Malformed("a node of a list of unknown form")),
    }
}

pub(crate) fn put_count(count: u64, bytes: &mut BytesMut) {
    match count {
        0..64 => bytes.put_u8(count as u8),
        64..16_384 => bytes.put_u16(0x4000 | count as u16),
        _ => match u32::try_from(count) {
            Ok(count) => {
                bytes.put_u8(0x80);
                bytes.put_u32(count);
            }
            Err(_) => {
                bytes.put_u8(0x81);
                bytes.put_u64(count);
            }
        },
    }
}

/// As Redis writes it: a whole number of up to 32 bits takes fewer bytes than its text.
pub(crate) fn put_string(string: &[u8], bytes: &mut BytesMut) {
    match small_number(string) {
        Some(number) => {
            if let Ok(number) = i8::try_from(number) {
                bytes.put_u8(0xc0);
                bytes.put_i8(number);
            } else if let Ok(number) = i16::try_from(number) {
                bytes.put_u8(0xc1);
                bytes.put_i16_le(number);
            } else {
                bytes.put_u8(0xc2);
                bytes.put_i32_le(number);
            }
        }
        None => {
            put_count(string.len() as u64, bytes);
            bytes.put_slice(string);
        }
    }
}

/// The number whose one and only text this is.
fn small_number(string: &[u8]) -> Option<i32> {
    if string.len() > 11 {
        return None;
    }
    let number: i32 = std::str::from_utf8(string).ok()?.parse().ok()?;
    (number.to_string().as_bytes() == string).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: u8, bytes: &'static [u8]) -> Result<Value, RdbError> {
        Value::read(kind, &mut Bytes::from_static(bytes))
    }

    #[test]
    fn counts_and_strings_take_their_shortest_form() {
        for count in [0, 63, 64, 16_383, 16_384, u64::from(u32::MAX), 1 << 40] {
            let mut bytes = BytesMut::new();
            put_count(count, &mut bytes);
            assert_eq!(bytes.freeze().count().unwrap(), count);
        }
        for string in ["", "0", "-1", "127", "128", "-32769", "2147483647", "2147483648", "01", "+1", "x"] {
            let mut bytes = BytesMut::new();
            put_string(string.as_bytes(), &mut bytes);
            assert_eq!(bytes.freeze().string().unwrap(), string);
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert!(matches!(read(LIST, b"\0"), Err(RdbError::Malformed(_))), "nothing in it");
        assert!(matches!(read(LIST, b"\x81\xff\xff\xff\xff\xff\xff\xff\xff"), Err(RdbError::Ends)));
        assert!(matches!(read(15, b""), Err(RdbError::Type(15))));
        assert!(matches!(read(SORTED_SET_TEXT, b"\x01\x01a\xfd"), Err(RdbError::Malformed(_))));
        let value = read(SORTED_SET_TEXT, b"\x01\x01a\x031.5").unwrap();
        assert_eq!(value, Value::SortedSet(vec![("a".into(), 1.5)]));
    }
}
