//! Files: `dump.rdb`, from its first byte to its checksum.

use std::io::Read;

use bytes::Bytes;

use crate::source::{Source, Stream};
use crate::{RdbError, VERSION_READ_MAX, Value, skip};

const MAGIC: &[u8] = b"REDIS";

const FUNCTION_2: u8 = 0xf5;
const MODULE_FIELD: u8 = 0xf7;
const IDLE: u8 = 0xf8;
const FREQUENCY: u8 = 0xf9;
const FIELD: u8 = 0xfa;
const SIZES: u8 = 0xfb;
const EXPIRY_MILLIS: u8 = 0xfc;
const EXPIRY_SECONDS: u8 = 0xfd;
const DATABASE: u8 = 0xfe;
const END: u8 = 0xff;

/// First version of a file that has a checksum.
const VERSION_CHECKSUM: u16 = 5;

/// A key and what it holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Which of Redis' databases it is in.
    pub database: u64,
    /// The key.
    pub key: Bytes,
    /// The last millisecond since 1970 in which it exists; `None` is for ever.
    pub expiry_millis: Option<u64>,
    /// What it holds.
    pub value: Found,
}

/// What a key in a file holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// A value.
    Value(Value),
    /// Something that this release does not store, by its name; it was read over.
    Unsupported(&'static str),
}

/// Reads the entries of a file, in its order.
pub struct FileReader<R> {
    stream: Stream<R>,
    version: u16,
    database: u64,
    ended: bool,
}

impl<R: Read> FileReader<R> {
    /// Reads the beginning of a file. A source that is read in small pieces should be buffered.
    ///
    /// # Errors
    /// It is no such file, or one of a version that is not known.
    pub fn new(source: R) -> Result<Self, RdbError> {
        let mut stream = Stream::new(source);
        let (magic, version) = (stream.take(MAGIC.len() as u64)?, stream.take(4)?);
        if magic != MAGIC {
            return Err(RdbError::Malformed("it does not begin as a file of Redis does"));
        }
        let version = std::str::from_utf8(&version).ok().and_then(|text| text.parse().ok());
        let version = version.filter(|version| (1..=VERSION_READ_MAX).contains(version));
        Ok(Self { stream, version: version.ok_or(RdbError::Version)?, database: 0, ended: false })
    }

    /// Bytes read so far.
    pub fn position(&self) -> u64 {
        self.stream.taken
    }

    /// The next entry; `None` at the end, after the checksum was found to be right.
    ///
    /// # Errors
    /// The file is damaged at about [`FileReader::position`], or its source failed. Nothing more can be read.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, RdbError> {
        let mut expiry_millis = None;
        while !self.ended {
            match self.stream.byte()? {
                END => self.end()?,
                DATABASE => self.database = self.stream.count()?,
                EXPIRY_SECONDS => {
                    let seconds = i32::from_le_bytes(self.stream.array()?);
                    expiry_millis = Some(u64::try_from(seconds).unwrap_or(0) * 1000);
                }
                EXPIRY_MILLIS => {
                    let millis = i64::from_le_bytes(self.stream.array()?);
                    expiry_millis = Some(u64::try_from(millis).unwrap_or(0));
                }
                FIELD => {
                    self.stream.string()?;
                    self.stream.string()?;
                }
                SIZES => {
                    self.stream.count()?;
                    self.stream.count()?;
                }
                IDLE => {
                    self.stream.count()?;
                }
                FREQUENCY => {
                    self.stream.byte()?;
                }
                FUNCTION_2 => {
                    self.stream.string()?;
                }
                MODULE_FIELD => skip::module(&mut self.stream)?,
                kind => return self.entry(kind, expiry_millis).map(Some),
            }
        }
        Ok(None)
    }

    fn entry(&mut self, kind: u8, expiry_millis: Option<u64>) -> Result<Entry, RdbError> {
        let key = self.stream.string()?;
        let value = match Value::read(kind, &mut self.stream) {
            Ok(value) => Found::Value(value),
            Err(RdbError::Type(_)) => Found::Unsupported(skip::skip(kind, &mut self.stream)?),
            Err(error) => return Err(error),
        };
        Ok(Entry { database: self.database, key, expiry_millis, value })
    }

    /// Compares the checksum; 0 says that the file was written without one.
    fn end(&mut self) -> Result<(), RdbError> {
        self.ended = true;
        if self.version < VERSION_CHECKSUM {
            return Ok(());
        }
        let crc = self.stream.crc;
        match u64::from_le_bytes(self.stream.array()?) {
            0 => Ok(()),
            written if written == crc => Ok(()),
            _ => Err(RdbError::Checksum),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::{BufMut, BytesMut};
    use proptest::prelude::*;

    use super::*;
    use crate::crc64;
    use crate::value::put_string;

    fn file(entries: &[(&str, Value, Option<u64>)]) -> Vec<u8> {
        let mut bytes = BytesMut::from(&b"REDIS0010\xfa\x09redis-ver\x057.0.0\xfe\x03\xfb\x02\x01"[..]);
        for (key, value, expiry) in entries {
            if let Some(expiry) = expiry {
                bytes.put_u8(EXPIRY_MILLIS);
                bytes.put_u64_le(*expiry);
            }
            bytes.put_u8(value.kind());
            put_string(key.as_bytes(), &mut bytes);
            value.write(&mut bytes);
        }
        bytes.put_u8(END);
        let crc = crc64::extend(0, &bytes);
        bytes.put_u64_le(crc);
        bytes.to_vec()
    }

    fn entries(bytes: &[u8]) -> Result<Vec<Entry>, RdbError> {
        let mut reader = FileReader::new(bytes)?;
        let mut entries = Vec::new();
        while let Some(entry) = reader.next_entry()? {
            entries.push(entry);
        }
        assert_eq!(reader.position(), bytes.len() as u64);
        Ok(entries)
    }

    #[test]
    fn a_file_is_read_to_its_end() {
        let value = Value::List(vec!["1".into(), "b".into()]);
        let found = entries(&file(&[("l", value.clone(), Some(7)), ("m", value.clone(), None)])).unwrap();
        let entry = |key: &'static str, expiry_millis| Entry {
            database: 3,
            key: key.into(),
            expiry_millis,
            value: Found::Value(value.clone()),
        };
        assert_eq!(found, [entry("l", Some(7)), entry("m", None)]);
    }

    #[test]
    fn a_stream_is_read_over() {
        let mut bytes = b"REDIS0010\x13\x01s\x00".to_vec();
        bytes.extend_from_slice(b"\x00\x01\x02\x00\x00\x00\x00\x01");
        bytes.extend_from_slice(b"\x01\x01g\x00\x00\x00\x01");
        bytes.extend_from_slice(&[0; 24]);
        bytes.extend_from_slice(b"\x01\x01\x01c");
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(b"\x01");
        bytes.extend_from_slice(&[0; 16]);
        bytes.extend_from_slice(b"\x00\x01k\x01v\xff");
        bytes.extend_from_slice(&[0; 8]);
        let found = entries(&bytes).unwrap();
        assert_eq!(found[0].value, Found::Unsupported("stream"));
        assert_eq!(found[1].value, Found::Value(Value::String("v".into())));
    }

    #[test]
    fn damage_is_found() {
        let bytes = file(&[("l", Value::String("hello".into()), None)]);
        for length in 0..bytes.len() {
            assert!(entries(&bytes[..length]).is_err(), "cut at {length}");
        }
        for place in 0..bytes.len() - 8 {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            assert!(entries(&changed).is_err(), "changed at {place}");
        }
        assert!(matches!(entries(b"REDIS0099"), Err(RdbError::Version)));
        assert!(matches!(entries(b"ZANKV0001"), Err(RdbError::Malformed(_))));
    }

    proptest! {
        #[test]
        fn noise_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..100)) {
            let mut bytes = b"REDIS0010".to_vec();
            bytes.extend_from_slice(&noise);
            let mut reader = FileReader::new(&bytes[..]).unwrap();
            while let Ok(Some(_)) = reader.next_entry() {}
        }
    }
}
