//! The header in front of every value. The crate's page has the drawing.

use bytes::{BufMut, Bytes, BytesMut};
use engine::EngineError;
use types::Hlc;

/// The format version of values.
const FORMAT: u8 = 1;
const FIXED_BYTES: usize = 11;
const HAS_EXPIRY: u8 = 1;
const HAS_COLLECTION: u8 = 2;
const IS_UNFINISHED: u8 = 4;

/// What a key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Bytes.
    String = 1,
    /// Fields with values.
    Hash = 2,
    /// A sequence.
    List = 3,
    /// Members.
    Set = 4,
    /// Members in order of their score.
    SortedSet = 5,
    /// Bits in pages.
    Bitmap = 6,
}

impl Kind {
    /// The name that `TYPE` answers with. A bitmap is a string to Redis.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::String | Kind::Bitmap => "string",
            Kind::Hash => "hash",
            Kind::List => "list",
            Kind::Set => "set",
            Kind::SortedSet => "zset",
        }
    }

    /// Whether it is a string to Redis.
    pub const fn is_string(self) -> bool {
        matches!(self, Kind::String | Kind::Bitmap)
    }

    fn of(byte: u8) -> Option<Self> {
        let kinds = [Kind::String, Kind::Hash, Kind::List, Kind::Set, Kind::SortedSet, Kind::Bitmap];
        kinds.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// What stands before the body of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the key holds.
    pub kind: Kind,
    /// The stamp of the entry that wrote it last.
    pub version: Hlc,
    /// The last millisecond since 1970 in which it exists; `None` is for ever.
    pub expiry_millis: Option<u64>,
    /// Under which number its parts are stored, if it has parts.
    pub collection: Option<u64>,
    /// An import has not brought all of it yet: only the import sees it, and it goes at its expiry if nothing comes
    /// any more.
    pub unfinished: bool,
}

impl Header {
    /// A value's bytes: this header, then the body's pieces.
    pub(crate) fn encode(&self, body: &[&[u8]]) -> Bytes {
        let optional = usize::from(self.expiry_millis.is_some()) + usize::from(self.collection.is_some());
        let body_bytes: usize = body.iter().map(|piece| piece.len()).sum();
        // The exact size: bytes with room to spare cost another allocation when they are shared.
        let mut bytes = BytesMut::with_capacity(FIXED_BYTES + 8 * optional + body_bytes);
        let mut flags = 0;
        if self.expiry_millis.is_some() {
            flags |= HAS_EXPIRY;
        }
        if self.collection.is_some() {
            flags |= HAS_COLLECTION;
        }
        if self.unfinished {
            flags |= IS_UNFINISHED;
        }
        bytes.put_slice(&[FORMAT, self.kind as u8, flags]);
        bytes.put_u64(self.version.0);
        for number in self.expiry_millis.into_iter().chain(self.collection) {
            bytes.put_u64(number);
        }
        for piece in body {
            bytes.put_slice(piece);
        }
        bytes.freeze()
    }

    /// Reads a header and says where the body begins.
    ///
    /// # Errors
    /// `Damaged` for bytes that no release up to this one has written.
    pub fn decode(bytes: &[u8]) -> Result<(Self, usize), EngineError> {
        let damaged = || EngineError::Damaged("a value's header does not fit".into());
        let fixed: &[u8; FIXED_BYTES] = bytes.first_chunk().ok_or_else(damaged)?;
        let [format, kind, flags, ..] = *fixed;
        if format != FORMAT || flags & !(HAS_EXPIRY | HAS_COLLECTION | IS_UNFINISHED) != 0 {
            return Err(damaged());
        }
        let mut place = 3;
        let mut number = || {
            let field = bytes.get(place..place + 8).and_then(|field| field.try_into().ok());
            place += 8;
            field.map(u64::from_be_bytes).ok_or_else(damaged)
        };
        let header = Header {
            kind: Kind::of(kind).ok_or_else(damaged)?,
            version: Hlc(number()?),
            expiry_millis: if flags & HAS_EXPIRY != 0 { Some(number()?) } else { None },
            collection: if flags & HAS_COLLECTION != 0 { Some(number()?) } else { None },
            unfinished: flags & IS_UNFINISHED != 0,
        };
        Ok((header, place))
    }

    /// Whether nobody sees the value at a moment: it has expired, or is not whole yet.
    pub fn is_hidden(&self, now: Hlc) -> bool {
        self.unfinished || self.is_expired(now)
    }

    /// Whether the value is gone at a moment: after its last millisecond, as in Redis.
    pub fn is_expired(&self, now: Hlc) -> bool {
        self.expiry_millis.is_some_and(|deadline| now.millis() > deadline)
    }
}

/// A value as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) header: Header,
    pub(crate) body: Bytes,
}

impl Stored {
    /// Reads a value, without copying it.
    pub(crate) fn decode(bytes: Bytes) -> Result<Self, EngineError> {
        let (header, body_at) = Header::decode(&bytes)?;
        Ok(Self { header, body: bytes.slice(body_at..) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_are_the_bytes_of_the_drawing() {
        let header = Header {
            kind: Kind::Hash,
            version: Hlc(7),
            expiry_millis: Some(9),
            collection: Some(4),
            unfinished: false,
        };
        let bytes = header.encode(&[b"a", b"b"]);
        let drawing = b"\x01\x02\x03\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0\x04ab";
        assert_eq!(bytes, &drawing[..]);
        let stored = Stored::decode(bytes).unwrap();
        assert_eq!((stored.header, &stored.body[..]), (header, &b"ab"[..]));
        let half = Header { unfinished: true, ..header };
        let bytes = half.encode(&[]);
        assert_eq!((bytes[2], Header::decode(&bytes).unwrap().0), (7, half));
    }

    #[test]
    fn a_value_lives_through_its_last_millisecond() {
        let header = Header {
            kind: Kind::String,
            version: Hlc(0),
            expiry_millis: Some(1000),
            collection: None,
            unfinished: false,
        };
        assert!(!header.is_hidden(Hlc::from_millis(1000)));
        assert!(header.is_hidden(Hlc::from_millis(1001)));
        let half = Header { unfinished: true, ..header };
        assert!(half.is_hidden(Hlc(0)) && !half.is_expired(Hlc(0)));
    }

    proptest! {
        #[test]
        fn damage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = Stored::decode(bytes.into());
        }
    }
}
