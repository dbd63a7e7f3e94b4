//! Replies as bytes: what `api::kv::KvReply` encodes to, without building it first.
//!
//! A field's tag byte is its number times 8 plus its wire type: 0 for numbers, 2 for bytes.

use api::kv::KvError;
use bytes::{BufMut, Bytes, BytesMut};
use types::limits::REPLY_PART_BYTES_MAX;

use crate::state::Stop;

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
    let mut bytes = BytesMut::with_capacity(1 + varint_bytes(value.len()) + value.len());
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

/// A reply of many items that are gathered one by one, as many as a reply may have.
///
/// An item is field 1 of the answer, whether the answer is `Values` or `Many`.
pub(crate) struct Gathered {
    /// The tag byte of the answer.
    tag: u8,
    items: BytesMut,
}

/// Bytes of a reply besides its items: tags and lengths, also of a reply around it.
const WRAPPING_BYTES: usize = 64;

impl Gathered {
    /// No values yet.
    pub(crate) fn values() -> Self {
        Self { tag: 0x2a, items: BytesMut::new() }
    }

    /// No replies yet.
    pub(crate) fn many() -> Self {
        Self { tag: 0x52, items: BytesMut::new() }
    }

    /// Adds a value to values.
    ///
    /// # Errors
    /// `ReplyTooLarge` if the reply would become larger than one may be.
    pub(crate) fn add(&mut self, value: &[u8]) -> Result<(), Stop> {
        debug_assert_eq!(self.tag, 0x2a);
        let inner_bytes = 1 + varint_bytes(value.len()) + value.len();
        self.begin(inner_bytes)?;
        self.items.put_u8(0x0a);
        put_varint(value.len() as u64, &mut self.items);
        self.items.put_slice(value);
        Ok(())
    }

    /// Adds a value that may be absent to values.
    ///
    /// # Errors
    /// As [`Gathered::add`].
    pub(crate) fn add_maybe(&mut self, value: Option<&[u8]>) -> Result<(), Stop> {
        match value {
            Some(value) => self.add(value),
            None => self.begin(0),
        }
    }

    /// Adds a reply to many.
    ///
    /// # Errors
    /// As [`Gathered::add`].
    pub(crate) fn add_reply(&mut self, reply: &[u8]) -> Result<(), Stop> {
        debug_assert_eq!(self.tag, 0x52);
        self.begin(reply.len())?;
        self.items.put_slice(reply);
        Ok(())
    }

    /// The reply.
    pub(crate) fn finish(self) -> Bytes {
        let length = self.items.len();
        let mut bytes = BytesMut::with_capacity(1 + varint_bytes(length) + length);
        bytes.put_u8(self.tag);
        put_varint(length as u64, &mut bytes);
        bytes.put_slice(&self.items);
        bytes.freeze()
    }

    fn begin(&mut self, item_bytes: usize) -> Result<(), Stop> {
        if self.items.len() + item_bytes + WRAPPING_BYTES > REPLY_PART_BYTES_MAX {
            return Err(Stop::Refused(KvError::ReplyTooLarge));
        }
        self.items.put_u8(0x0a);
        put_varint(item_bytes as u64, &mut self.items);
        Ok(())
    }
}

/// Bytes that a number takes.
fn varint_bytes(number: usize) -> usize {
    (70 - (number as u64 | 1).leading_zeros() as usize) / 7
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
    use api::kv::{KvAnswer, KvReply, Many, Maybe, Values};
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

    #[test]
    fn gathered_replies_are_what_the_api_encodes() {
        let values = [Some(vec![]), Some(vec![7; 200]), None, Some(vec![1])];
        let mut gathered = Gathered::values();
        for value in &values {
            assert!(gathered.add_maybe(value.as_deref()).is_ok());
        }
        let wanted = values.map(|value| Maybe { value: value.map(Bytes::from) }).to_vec();
        let wanted = KvReply::new(KvAnswer::Values(Values { values: wanted }));
        assert_eq!(gathered.finish(), wanted.encode_to_vec());
        assert_eq!(Gathered::values().finish(), KvReply::new(KvAnswer::Values(Values::default())).encode_to_vec());

        let mut gathered = Gathered::many();
        for reply in [integer(300), value(&[7; 200])] {
            assert!(gathered.add_reply(&reply).is_ok());
        }
        let replies = vec![KvReply::integer(300), KvReply::value(vec![7; 200])];
        assert_eq!(gathered.finish(), KvReply::new(KvAnswer::Many(Many { replies })).encode_to_vec());
    }

    #[test]
    fn a_reply_ends_where_a_frame_would() {
        let mut gathered = Gathered::values();
        let value = vec![0; 1024 * 1024 - 8];
        let fit = (0..100).take_while(|_| gathered.add(&value).is_ok()).count();
        assert_eq!(fit, REPLY_PART_BYTES_MAX / 1024 / 1024 - 1);
        assert!(gathered.finish().len() <= REPLY_PART_BYTES_MAX);
    }
}
