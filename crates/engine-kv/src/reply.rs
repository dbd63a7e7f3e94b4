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

/// A decimal number.
pub(crate) fn double(number: f64) -> Bytes {
    let mut bytes = BytesMut::with_capacity(9);
    bytes.put_u8(0x41);
    bytes.put_f64_le(number);
    bytes.freeze()
}

/// A refusal.
pub(crate) fn error(error: KvError) -> Bytes {
    let mut bytes = BytesMut::with_capacity(2);
    bytes.put_u8(0x38);
    put_varint(error as u64, &mut bytes);
    bytes.freeze()
}

/// A refusal in words of its own.
pub(crate) fn refusal(words: &str) -> Bytes {
    let mut bytes = BytesMut::with_capacity(1 + varint_bytes(words.len()) + words.len());
    bytes.put_u8(0x5a);
    put_varint(words.len() as u64, &mut bytes);
    bytes.put_slice(words.as_bytes());
    bytes.freeze()
}

/// A reply of many items that are gathered one by one, as many as a reply may have.
///
/// An item is field 1 of the answer, whether the answer is `Values`, `Page` or `Many`.
pub(crate) struct Gathered {
    /// The tag byte of the answer.
    tag: u8,
    /// Room for the answer's tag and length, then the items.
    bytes: BytesMut,
}

/// The tag bytes of the answers.
const VALUES: u8 = 0x2a;
const PAGE: u8 = 0x32;
const MANY: u8 = 0x52;

/// Room in front of the items for the answer's tag and length: a length of up to 35 bits.
const HEAD_BYTES: usize = 6;

/// Bytes of a reply besides its items: tags and lengths, also of a reply around it.
const WRAPPING_BYTES: usize = 64;

impl Gathered {
    /// No values yet.
    pub(crate) fn values() -> Self {
        Self::new(VALUES)
    }

    /// A page without anything on it yet.
    pub(crate) fn page() -> Self {
        Self::new(PAGE)
    }

    /// No replies yet.
    pub(crate) fn many() -> Self {
        Self::new(MANY)
    }

    fn new(tag: u8) -> Self {
        let mut bytes = BytesMut::with_capacity(512);
        bytes.put_bytes(0, HEAD_BYTES);
        Self { tag, bytes }
    }

    /// Adds a value to values or to a page.
    ///
    /// # Errors
    /// `ReplyTooLarge` if the reply would become larger than one may be.
    pub(crate) fn add(&mut self, value: &[u8]) -> Result<(), Stop> {
        if self.tag == VALUES {
            self.begin(1 + varint_bytes(value.len()) + value.len())?;
            self.bytes.put_u8(0x0a);
            put_varint(value.len() as u64, &mut self.bytes);
        } else {
            debug_assert_eq!(self.tag, PAGE);
            self.begin(value.len())?;
        }
        self.bytes.put_slice(value);
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
        debug_assert_eq!(self.tag, MANY);
        self.begin(reply.len())?;
        self.bytes.put_slice(reply);
        Ok(())
    }

    /// The reply.
    pub(crate) fn finish(mut self) -> Bytes {
        let length = self.bytes.len() - HEAD_BYTES;
        let mut head = BytesMut::with_capacity(HEAD_BYTES);
        head.put_u8(self.tag);
        put_varint(length as u64, &mut head);
        let start = HEAD_BYTES - head.len();
        self.bytes[start..HEAD_BYTES].copy_from_slice(&head);
        self.bytes.freeze().slice(start..)
    }

    /// The only item of a page as a reply of its own; nil if there is none.
    pub(crate) fn finish_single(self) -> Bytes {
        debug_assert_eq!(self.tag, PAGE);
        let item = self.bytes.freeze().slice(HEAD_BYTES..);
        // An item differs from a value by its tag only.
        match item.split_first() {
            None => nil(),
            Some((_, rest)) => {
                let mut bytes = BytesMut::with_capacity(item.len());
                bytes.put_u8(0x22);
                bytes.put_slice(rest);
                bytes.freeze()
            }
        }
    }

    /// The reply of a page that may not be the last one: `next` is where to go on.
    pub(crate) fn finish_page(mut self, next: Option<u64>) -> Bytes {
        debug_assert_eq!(self.tag, PAGE);
        if let Some(next) = next {
            self.bytes.put_u8(0x10);
            put_varint(next, &mut self.bytes);
        }
        self.finish()
    }

    fn begin(&mut self, item_bytes: usize) -> Result<(), Stop> {
        if self.bytes.len() + item_bytes + WRAPPING_BYTES > REPLY_PART_BYTES_MAX {
            return Err(Stop::Refused(KvError::ReplyTooLarge));
        }
        self.bytes.put_u8(0x0a);
        put_varint(item_bytes as u64, &mut self.bytes);
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
    use api::kv::{KvAnswer, KvReply, Many, Maybe, Page, Values};
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
        for number in [0.0, -1.5, f64::INFINITY] {
            assert_eq!(double(number), KvReply::new(KvAnswer::Double(number)).encode_to_vec());
        }
        for refusal in [KvError::Unsupported, KvError::WrongType, KvError::InvalidExpiry] {
            assert_eq!(error(refusal), KvReply::error(refusal).encode_to_vec());
        }
        let words = KvReply::new(KvAnswer::Refusal("ERR x".into()));
        assert_eq!(refusal("ERR x"), words.encode_to_vec());
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
        assert_eq!(
            Gathered::values().finish(),
            KvReply::new(KvAnswer::Values(Values::default())).encode_to_vec()
        );

        for next in [None, Some(300)] {
            let mut gathered = Gathered::page();
            let keys = vec![Bytes::new(), Bytes::from(vec![7; 200])];
            for key in &keys {
                assert!(gathered.add(key).is_ok());
            }
            let wanted = KvReply::new(KvAnswer::Page(Page { keys, next }));
            assert_eq!(gathered.finish_page(next), wanted.encode_to_vec());
        }
        let mut single = Gathered::page();
        assert!(single.add(&[7; 200]).is_ok());
        assert_eq!(single.finish_single(), KvReply::value(vec![7; 200]).encode_to_vec());
        assert_eq!(Gathered::page().finish_single(), nil());

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
