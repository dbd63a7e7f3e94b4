//! What `DUMP` gives out and `RESTORE` takes.

use bytes::{BufMut, Bytes, BytesMut};

use crate::source::Source;
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

/// The value in a payload.
///
/// # Errors
/// [`RdbError::Version`] and [`RdbError::Checksum`] before anything else; then what is wrong with the value.
pub fn restore(payload: &Bytes) -> Result<Value, RdbError> {
    let body_bytes = payload.len().checked_sub(FOOTER_BYTES).ok_or(RdbError::Checksum)?;
    let mut footer = payload.slice(body_bytes..);
    if u16::from_le_bytes(footer.array()?) > VERSION_READ_MAX {
        return Err(RdbError::Version);
    }
    if u64::from_le_bytes(footer.array()?) != crc64::extend(0, &payload[..body_bytes + 2]) {
        return Err(RdbError::Checksum);
    }
    let mut body = payload.slice(..body_bytes);
    let kind = body.byte()?;
    // Like Redis, what stands behind the value is left alone.
    Value::read(kind, &mut body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
        assert_eq!(restore(&payload).unwrap(), Value::String("hello".into()));
        assert_eq!(dump(&Value::String("hello".into())), payload);
    }

    #[test]
    fn a_changed_payload_is_refused() {
        let payload = dump(&Value::String("hello".into()));
        for place in 0..payload.len() {
            let mut changed = payload.to_vec();
            changed[place] ^= 1;
            let error = restore(&changed.into()).unwrap_err();
            assert!(matches!(error, RdbError::Checksum | RdbError::Version), "{error}");
        }
        assert!(matches!(restore(&Bytes::new()), Err(RdbError::Checksum)));
    }

    proptest! {
        #[test]
        fn values_come_back(value in value()) {
            prop_assert_eq!(restore(&dump(&value)).unwrap(), value);
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
            let _ = restore(&bytes.freeze());
        }
    }
}
