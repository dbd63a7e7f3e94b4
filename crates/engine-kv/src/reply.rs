//! Replies as bytes: what `api::kv::KvReply` encodes to, without building it first.
//!
//! A field's tag byte is its number times 8 plus its wire type: 0 for numbers, 2 for bytes.

use api::kv::KvError;
use bytes::{BufMut, Bytes, BytesMut};

/// "Done".
pub(crate) fn ok() -> Bytes {
    Bytes::from_static(&[0x0a, 0])
}

/// "Nothing there".
pub(crate) fn nil() -> Bytes {
    Bytes::from_static(&[0x12, 0])
}

/// A number.
pub(crate) fn integer(number: i64) -> Bytes {
    match number {
        0 => Bytes::from_static(&[0x18, 0]),
        1 => Bytes::from_static(&[0x18, 2]),
        _ => {
            let mut bytes = BytesMut::with_capacity(11);
            bytes.put_u8(0x18);
            put_varint(((number << 1) ^ (number >> 63)) as u64, &mut bytes);
            bytes.freeze()
        }
    }
}

/// A yes or a no, as Redis says them.
pub(crate) fn flag(yes: bool) -> Bytes {
    integer(i64::from(yes))
}

/// Bytes.
pub(crate) fn value(value: &[u8]) -> Bytes {
    let length_bytes = (70 - (value.len() as u64 | 1).leading_zeros() as usize) / 7;
    let mut bytes = BytesMut::with_capacity(1 + length_bytes + value.len());
    bytes.put_u8(0x22);
    put_varint(value.len() as u64, &mut bytes);
    bytes.put_slice(value);
    bytes.freeze()
}

/// Bytes or "nothing there".
pub(crate) fn maybe(found: Option<&Bytes>) -> Bytes {
    found.map_or_else(nil, |bytes| value(bytes))
}

/// A refusal.
pub(crate) fn error(error: KvError) -> Bytes {
    let mut bytes = BytesMut::with_capacity(2);
    bytes.put_u8(0x38);
    put_varint(error as u64, &mut bytes);
    bytes.freeze()
}

fn put_varint(mut number: u64, bytes: &mut BytesMut) {
    while number >= 0x80 {
        bytes.put_u8(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.put_u8(number as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::kv::KvReply;
    use prost::Message;

    #[test]
    fn replies_are_what_the_api_encodes() {
        assert_eq!(ok(), KvReply::ok().encode_to_vec());
        assert_eq!(nil(), KvReply::nil().encode_to_vec());
        for number in [0, 1, -1, 2, 63, 64, -64, -65, 1 << 40, i64::MAX, i64::MIN] {
            assert_eq!(integer(number), KvReply::integer(number).encode_to_vec());
        }
        for length in [0, 1, 127, 128, 70_000] {
            assert_eq!(value(&vec![7; length]), KvReply::value(vec![7; length]).encode_to_vec());
            assert!(
                value(&vec![7; length]).try_into_mut().is_ok_and(|bytes| bytes.capacity() == bytes.len())
            );
        }
        for refusal in [KvError::Unsupported, KvError::WrongType, KvError::InvalidExpiry] {
            assert_eq!(error(refusal), KvReply::error(refusal).encode_to_vec());
        }
    }
}
