//! What `DUMP` gives out and `RESTORE` takes.

use bytes::{BufMut, Bytes, BytesMut};

use crate::source::{Limited, Source};
use crate::{RdbError, VERSION_READ_MAX, VERSION_WRITTEN, Value, crc64};

/// Version and checksum behind the value.
const FOOTER_BYTES: usize = 2 + 8;

/// A value as `RESTORE` of Redis 7.0 and later takes it.
pub fn dump(value: &Value) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_u8(value.kind());
    value.write(&mut bytes);
    bytes.put_u16_le(VERSION_WRITTEN);
    let crc = crc64::extend(0, &bytes);
    bytes.put_u64_le(crc);
    bytes.freeze()
}

/// The value in a payload. Some bytes of it may stand for a thousand times as much, so there is a limit to the memory
/// that the value takes: each string, each element of a packed collection, 64 bytes, and what was compressed its
/// whole length.
///
/// # Errors
/// [`RdbError::Version`] and [`RdbError::Checksum`] before anything else; then what is wrong with the value.
/// [`RdbError::TooLarge`] for one that would take more memory than `memory_max` bytes.
pub fn restore(payload: &Bytes, memory_max: u64) -> Result<Value, RdbError> {
    let body_bytes = payload.len().checked_sub(FOOTER_BYTES).ok_or(RdbError::Checksum)?;
    let mut footer = payload.slice(body_bytes..);
    if u16::from_le_bytes(footer.array()?) > VERSION_READ_MAX {
        return Err(RdbError::Version);
    }
    if u64::from_le_bytes(footer.array()?) != crc64::extend(0, &payload[..body_bytes + 2]) {
        return Err(RdbError::Checksum);
    }
    let mut body = Limited { bytes: payload.slice(..body_bytes), room: memory_max };
    let kind = body.byte()?;
    // Like Redis, what stands behind the value is left alone.
    Value::read(kind, &mut body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ROOM: u64 = 1024 * 1024;
    const LIST_OF_LISTPACKS: u8 = 18;

    fn string() -> impl Strategy<Value = Bytes> {
        prop_oneof![
            any::<i64>().prop_map(|number| Bytes::from(number.to_string())),
            proptest::collection::vec(any::<u8>(), 0..80).prop_map(Bytes::from),
        ]
    }

    fn value() -> impl Strategy<Value = Value> {
        let strings = || proptest::collection::vec(string(), 1..80);
        let score = any::<f64>().prop_filter("a score is a number", |score| !score.is_nan());
        prop_oneof![
            string().prop_map(Value::String),
            strings().prop_map(Value::List),
            strings().prop_map(Value::Set),
            proptest::collection::vec((string(), string()), 1..40).prop_map(Value::Hash),
            proptest::collection::vec((string(), score), 1..40).prop_map(Value::SortedSet),
        ]
    }

    #[test]
    fn a_payload_of_redis_is_read_and_written() {
        // `SET k hello` and `DUMP k` of Redis 7.0.
        let payload = Bytes::from_static(b"\x00\x05hello\x0a\x00");
        let crc = crc64::extend(0, &payload).to_le_bytes();
        let payload = Bytes::from([&payload[..], &crc].concat());
        assert_eq!(restore(&payload, ROOM).unwrap(), Value::String("hello".into()));
        assert_eq!(dump(&Value::String("hello".into())), payload);
    }

    #[test]
    fn a_changed_payload_is_refused() {
        let payload = dump(&Value::String("hello".into()));
        for place in 0..payload.len() {
            let mut changed = payload.to_vec();
            changed[place] ^= 1;
            let error = restore(&changed.into(), ROOM).unwrap_err();
            assert!(matches!(error, RdbError::Checksum | RdbError::Version), "{error}");
        }
        assert!(matches!(restore(&Bytes::new(), ROOM), Err(RdbError::Checksum)));
    }

    #[test]
    fn a_small_payload_of_a_large_value_is_refused() {
        // A listpack of zeros, each with its length of one byte behind it, compressed: `00 01` over and over.
        let entries = 1_000_000;
        let mut text = vec![0, 1];
        let mut packed = vec![1, 0, 1];
        while text.len() < 2 * entries {
            packed.extend_from_slice(&[0xe0, 0xff, 1]);
            text.extend_from_slice(&[0; 264]);
        }
        let length = 6 + text.len() as u32 + 1;
        let mut body = vec![LIST_OF_LISTPACKS, 1, 2, 0xc3];
        let mut compressed = vec![5];
        compressed.extend_from_slice(&length.to_le_bytes());
        compressed.extend_from_slice(&[0xff, 0xff]);
        compressed.extend_from_slice(&packed);
        compressed.extend_from_slice(&[0, 0xff]);
        for count in [compressed.len() as u32, length] {
            body.push(0x80);
            body.extend_from_slice(&count.to_be_bytes());
        }
        body.extend_from_slice(&compressed);
        body.extend_from_slice(&VERSION_WRITTEN.to_le_bytes());
        let crc = crc64::extend(0, &body).to_le_bytes();
        let payload = Bytes::from([&body[..], &crc].concat());
        assert!(payload.len() < 30_000);
        for room in [0, ROOM, 32 * ROOM] {
            assert!(matches!(restore(&payload, room), Err(RdbError::TooLarge)), "{room}");
        }
        let Value::List(elements) = restore(&payload, 128 * ROOM).unwrap() else { panic!("no list") };
        assert!(elements.len() >= entries && elements.iter().all(|element| element == "0"));
    }

    proptest! {
        #[test]
        fn values_come_back(value in value()) {
            prop_assert_eq!(restore(&dump(&value), ROOM).unwrap(), value);
        }

        #[test]
        fn damage_behind_a_right_checksum_never_panics(
            kind in 0_u8..24, body in proptest::collection::vec(any::<u8>(), 0..80),
        ) {
            let mut bytes = BytesMut::new();
            bytes.put_u8(kind);
            bytes.put_slice(&body);
            bytes.put_u16_le(VERSION_WRITTEN);
            let crc = crc64::extend(0, &bytes);
            bytes.put_u64_le(crc);
            let _ = restore(&bytes.freeze(), ROOM);
        }
    }
}
