//! Small collections in one string: listpacks, ziplists and intsets.
//!
//! ```text
//!   listpack  bytes u32 LE │ count u16 LE │ entries │ 0xff
//!     entry   0xxxxxxx number │ 10llllll bytes │ 110xxxxx xxxxxxxx number, signed
//!             1110llll llllllll bytes │ 0xf0 u32 LE bytes │ 0xf1 … 0xf4 number of 2, 3, 4, 8 bytes, LE
//!             and behind it its length again, in 1 to 5 bytes
//!   ziplist   bytes u32 LE │ last entry u32 LE │ count u16 LE │ entries │ 0xff
//!     entry   length of the one before: u8, or 0xfe u32 LE
//!             00llllll bytes │ 01llllll llllllll bytes │ 10...... u32 BE bytes
//!             0xc0 i16 │ 0xd0 i32 │ 0xe0 i64 │ 0xf0 i24 │ 0xfe i8 │ 1111xxxx x − 1
//!   intset    width u32 LE: 2, 4 or 8 │ count u32 LE │ numbers LE
//! ```
//!
//! Counts are not trusted: the entries end where the end is written. There is a limit to them, because an entry takes
//! much more memory than the two bytes that it may have here.

use bytes::Bytes;

use crate::RdbError;
use crate::source::Source;

const END: u8 = 0xff;
const BAD_LISTPACK: RdbError = RdbError::Malformed("a listpack is malformed");
const BAD_ZIPLIST: RdbError = RdbError::Malformed("a ziplist is malformed");
const BAD_INTSET: RdbError = RdbError::Malformed("an intset is malformed");

/// The entries of a listpack, if they are no more than so many.
pub(crate) fn listpack(mut bytes: Bytes, most: usize) -> Result<Vec<Bytes>, RdbError> {
    let whole = bytes.len();
    if u32::from_le_bytes(bytes.array()?) as usize != whole {
        return Err(BAD_LISTPACK);
    }
    let _count: [u8; 2] = bytes.array()?;
    let mut entries = Vec::new();
    loop {
        let before = bytes.len();
        let first = bytes.byte()?;
        if first == END {
            return if bytes.is_empty() { Ok(entries) } else { Err(BAD_LISTPACK) };
        }
        if entries.len() == most {
            return Err(RdbError::TooLarge);
        }
        entries.push(listpack_entry(first, &mut bytes)?);
        let entry_bytes = before - bytes.len();
        bytes.take(back_length_bytes(entry_bytes))?;
    }
}

fn listpack_entry(first: u8, bytes: &mut Bytes) -> Result<Bytes, RdbError> {
    let number = match first {
        0x00..=0x7f => i64::from(first),
        0x80..=0xbf => return bytes.take(u64::from(first & 0x3f)),
        0xc0..=0xdf => {
            let low = i64::from(first & 0x1f) << 8 | i64::from(bytes.byte()?);
            // 13 bits with a sign.
            low << 51 >> 51
        }
        0xe0..=0xef => {
            let length = u64::from(first & 0x0f) << 8 | u64::from(bytes.byte()?);
            return bytes.take(length);
        }
        0xf0 => {
            let length = u32::from_le_bytes(bytes.array()?);
            return bytes.take(u64::from(length));
        }
        0xf1 => signed::<2>(bytes)?,
        0xf2 => signed::<3>(bytes)?,
        0xf3 => signed::<4>(bytes)?,
        0xf4 => signed::<8>(bytes)?,
        _ => return Err(BAD_LISTPACK),
    };
    Ok(text(number))
}

/// Bytes of the length behind an entry of so many bytes.
fn back_length_bytes(entry_bytes: usize) -> u64 {
    match entry_bytes {
        0..=127 => 1,
        128..16_383 => 2,
        16_383..2_097_151 => 3,
        2_097_151..268_435_455 => 4,
        _ => 5,
    }
}

/// The entries of a ziplist, likewise.
pub(crate) fn ziplist(mut bytes: Bytes, most: usize) -> Result<Vec<Bytes>, RdbError> {
    let whole = bytes.len();
    if u32::from_le_bytes(bytes.array()?) as usize != whole {
        return Err(BAD_ZIPLIST);
    }
    let _last_and_count: [u8; 6] = bytes.array()?;
    let mut entries = Vec::new();
    loop {
        match bytes.byte()? {
            END => return if bytes.is_empty() { Ok(entries) } else { Err(BAD_ZIPLIST) },
            0xfe => {
                let _before: [u8; 4] = bytes.array()?;
            }
            _ => {}
        }
        let first = bytes.byte()?;
        if entries.len() == most {
            return Err(RdbError::TooLarge);
        }
        entries.push(ziplist_entry(first, &mut bytes)?);
    }
}

fn ziplist_entry(first: u8, bytes: &mut Bytes) -> Result<Bytes, RdbError> {
    let number = match first {
        0x00..=0x3f => return bytes.take(u64::from(first)),
        0x40..=0x7f => {
            let length = u64::from(first & 0x3f) << 8 | u64::from(bytes.byte()?);
            return bytes.take(length);
        }
        0x80..=0xbf => {
            let length = u32::from_be_bytes(bytes.array()?);
            return bytes.take(u64::from(length));
        }
        0xc0 => signed::<2>(bytes)?,
        0xd0 => signed::<4>(bytes)?,
        0xe0 => signed::<8>(bytes)?,
        0xf0 => signed::<3>(bytes)?,
        0xfe => signed::<1>(bytes)?,
        0xf1..=0xfd => i64::from(first & 0x0f) - 1,
        _ => return Err(BAD_ZIPLIST),
    };
    Ok(text(number))
}

/// The numbers of an intset as text, likewise.
pub(crate) fn intset(mut bytes: Bytes, most: usize) -> Result<Vec<Bytes>, RdbError> {
    let width = u32::from_le_bytes(bytes.array()?);
    let count = u64::from(u32::from_le_bytes(bytes.array()?));
    if !matches!(width, 2 | 4 | 8) || count * u64::from(width) != bytes.len() as u64 {
        return Err(BAD_INTSET);
    }
    if count > most as u64 {
        return Err(RdbError::TooLarge);
    }
    let mut numbers = Vec::new();
    for _ in 0..count {
        numbers.push(text(match width {
            2 => signed::<2>(&mut bytes)?,
            4 => signed::<4>(&mut bytes)?,
            _ => signed::<8>(&mut bytes)?,
        }));
    }
    Ok(numbers)
}

/// A number of N bytes, the lowest first.
fn signed<const N: usize>(bytes: &mut Bytes) -> Result<i64, RdbError> {
    let field: [u8; N] = bytes.array()?;
    let mut whole = [0; 8];
    whole[..N].copy_from_slice(&field);
    let unused = 64 - 8 * N as u32;
    Ok(i64::from_le_bytes(whole) << unused >> unused)
}

fn text(number: i64) -> Bytes {
    number.to_string().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MOST: usize = 100;

    fn shown(entries: Result<Vec<Bytes>, RdbError>) -> Vec<String> {
        entries.unwrap().iter().map(|entry| String::from_utf8_lossy(entry).into_owned()).collect()
    }

    #[test]
    fn entries_of_a_listpack() {
        let body: &[&[u8]] = &[
            b"\x05\x01",
            b"\x83abc\x04",
            b"\xdf\xff\x02",
            b"\xe0\x02xy\x04",
            b"\xf1\x00\x80\x03",
            b"\xf2\xff\xff\xff\x04",
            b"\xf3\x00\x00\x01\x00\x05",
            b"\xf4\xff\xff\xff\xff\xff\xff\xff\x7f\x09",
            b"\xff",
        ];
        let body = body.concat();
        let mut bytes = ((body.len() + 6) as u32).to_le_bytes().to_vec();
        bytes.extend_from_slice(b"\x08\x00");
        bytes.extend_from_slice(&body);
        let entries = shown(listpack(bytes.clone().into(), MOST));
        assert_eq!(entries, ["5", "abc", "-1", "xy", "-32768", "-1", "65536", "9223372036854775807"]);
        bytes.push(0);
        assert!(listpack(bytes.into(), MOST).is_err());
    }

    #[test]
    fn entries_of_a_ziplist() {
        let body: &[&[u8]] = &[
            b"\x00\x03abc",
            b"\x05\xf1",
            b"\x02\xfd",
            b"\x02\xfe\x80",
            b"\x03\xc0\x00\x01",
            b"\x04\xf0\xff\xff\x7f",
            b"\xfe\x05\x00\x00\x00\x40\x02xy",
            b"\xff",
        ];
        let body = body.concat();
        let mut bytes = ((body.len() + 10) as u32).to_le_bytes().to_vec();
        bytes.extend_from_slice(&[0; 6]);
        bytes.extend_from_slice(&body);
        let entries = shown(ziplist(bytes.into(), MOST));
        assert_eq!(entries, ["abc", "0", "12", "-128", "256", "8388607", "xy"]);
    }

    #[test]
    fn numbers_of_an_intset() {
        assert_eq!(
            shown(intset(Bytes::from_static(b"\x02\0\0\0\x02\0\0\0\x01\0\xff\xff"), MOST)),
            ["1", "-1"]
        );
        assert!(intset(Bytes::from_static(b"\x02\0\0\0\xff\xff\xff\xff\x01\0"), MOST).is_err());
        assert!(intset(Bytes::from_static(b"\x03\0\0\0\x00\0\0\0"), MOST).is_err());
    }

    proptest! {
        #[test]
        fn damage_never_panics(mut bytes in proptest::collection::vec(any::<u8>(), 4..80)) {
            let length = (bytes.len() as u32).to_le_bytes();
            bytes[..4].copy_from_slice(&length);
            let bytes = Bytes::from(bytes);
            let _ = listpack(bytes.clone(), MOST);
            let _ = ziplist(bytes.clone(), MOST);
            let _ = intset(bytes, MOST);
        }
    }
}
