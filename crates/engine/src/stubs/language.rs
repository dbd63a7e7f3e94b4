//! What the stub engines understand: lines of text, and the table that they change.
//!
//! ```text
//!   write:  put KEY VALUE           reply: "done"
//!           put KEY VALUE MILLIS    … gone after this millisecond since 1970
//!           drop KEY
//!   read:   get KEY                 reply: "value V", or "none"
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use types::Hlc;
use xxhash_rust::xxh3::Xxh3;

use crate::{Applied, ApplyContext, Change, Digest, EngineError, SystemChange, SystemRecord};

/// Version of [`Table::encode`].
const FORMAT: u8 = 1;

/// The contents of a state: everything in ordered maps that are shared until one side changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// The position.
    pub applied: Applied,
    rows: Arc<BTreeMap<Bytes, Row>>,
    system: Arc<BTreeMap<Bytes, Bytes>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    value: Bytes,
    /// The last millisecond in which it exists; `u64::MAX` is for ever.
    deadline_millis: u64,
}

impl Table {
    /// Executes a write and returns its reply.
    pub fn write(&mut self, context: &ApplyContext, request: &[u8], changes: &mut Vec<Change>) -> Bytes {
        let words: Vec<&[u8]> = request.split(|byte| *byte == b' ').collect();
        let (key, row) = match words[..] {
            [b"put", key, value] => (key, Some((value, u64::MAX))),
            [b"put", key, value, deadline] => match std::str::from_utf8(deadline).map(str::parse) {
                Ok(Ok(deadline)) => (key, Some((value, deadline))),
                _ => return Bytes::from_static(b"unknown"),
            },
            [b"drop", key] => (key, None),
            _ => return Bytes::from_static(b"unknown"),
        };
        let key = Bytes::copy_from_slice(key);
        let value = row.map(|(value, _)| Bytes::copy_from_slice(value));
        let rows = Arc::make_mut(&mut self.rows);
        let changed = match row {
            Some((value, deadline_millis)) => {
                rows.insert(key.clone(), Row { value: Bytes::copy_from_slice(value), deadline_millis });
                true
            }
            None => rows.remove(&key).is_some(),
        };
        if changed && context.wants_changes {
            changes.push(Change { hlc: context.hlc, key, sub_key: Bytes::new(), value });
        }
        Bytes::from_static(b"done")
    }

    /// Answers a read.
    pub fn read(&self, request: &[u8], now: Hlc) -> Bytes {
        let Some(key) = request.strip_prefix(b"get ") else { return Bytes::from_static(b"unknown") };
        match self.rows.get(key) {
            Some(row) if now.millis() <= row.deadline_millis => [b"value ", &row.value[..]].concat().into(),
            _ => Bytes::from_static(b"none"),
        }
    }

    /// Changes system records.
    pub fn change_system(&mut self, changes: &[SystemChange]) {
        let system = Arc::make_mut(&mut self.system);
        for change in changes {
            match &change.value {
                Some(value) => system.insert(change.name.clone(), value.clone()),
                None => system.remove(&change.name),
            };
        }
    }

    /// The system records in order.
    pub fn system(&self) -> Vec<SystemRecord> {
        let records = self.system.iter();
        records.map(|(name, value)| SystemRecord { name: name.clone(), value: value.clone() }).collect()
    }

    /// How many rows there are, expired ones included.
    pub fn rows(&self) -> u64 {
        self.rows.len() as u64
    }

    /// The digest of the rows that live at a moment.
    pub fn digest(&self, at: Hlc) -> Digest {
        let mut hasher = Xxh3::new();
        let mut records = 0;
        for (key, row) in self.rows.iter().filter(|(_, row)| at.millis() <= row.deadline_millis) {
            for part in [&key[..], &row.value[..], &row.deadline_millis.to_be_bytes()] {
                hasher.update(&(part.len() as u64).to_be_bytes());
                hasher.update(part);
            }
            records += 1;
        }
        Digest { hash: hasher.digest128(), records }
    }

    /// Everything as bytes, with a checksum at the end.
    pub fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::new();
        bytes.put_u8(FORMAT);
        bytes.put_u64(self.applied.index.get());
        bytes.put_u64(self.applied.term.get());
        bytes.put_u64(self.rows.len() as u64);
        for (key, row) in self.rows.iter() {
            put_bytes(key, &mut bytes);
            put_bytes(&row.value, &mut bytes);
            bytes.put_u64(row.deadline_millis);
        }
        bytes.put_u64(self.system.len() as u64);
        for (name, value) in self.system.iter() {
            put_bytes(name, &mut bytes);
            put_bytes(value, &mut bytes);
        }
        let checksum = xxhash_rust::xxh3::xxh3_64(&bytes);
        bytes.put_u64(checksum);
        bytes.freeze()
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    /// `Damaged` for anything else.
    pub fn decode(bytes: &[u8]) -> Result<Self, EngineError> {
        let damaged = || EngineError::Damaged("a table's bytes do not fit".into());
        let (content, checksum) = bytes.split_last_chunk::<8>().ok_or_else(damaged)?;
        if xxhash_rust::xxh3::xxh3_64(content) != u64::from_be_bytes(*checksum) {
            return Err(damaged());
        }
        Self::decode_content(content).map_err(|_| damaged())
    }

    fn decode_content(mut bytes: &[u8]) -> Result<Self, bytes::TryGetError> {
        let bytes = &mut bytes;
        let mut table = Table::default();
        bytes.try_get_u8()?;
        table.applied.index = bytes.try_get_u64()?.into();
        table.applied.term = bytes.try_get_u64()?.into();
        let rows = Arc::make_mut(&mut table.rows);
        for _ in 0..bytes.try_get_u64()? {
            let (key, value) = (take_bytes(bytes)?, take_bytes(bytes)?);
            rows.insert(key, Row { value, deadline_millis: bytes.try_get_u64()? });
        }
        let system = Arc::make_mut(&mut table.system);
        for _ in 0..bytes.try_get_u64()? {
            system.insert(take_bytes(bytes)?, take_bytes(bytes)?);
        }
        Ok(table)
    }
}

fn put_bytes(part: &[u8], bytes: &mut BytesMut) {
    bytes.put_u64(part.len() as u64);
    bytes.put_slice(part);
}

fn take_bytes(bytes: &mut &[u8]) -> Result<Bytes, bytes::TryGetError> {
    let length = bytes.try_get_u64()?;
    let requested = usize::try_from(length).unwrap_or(usize::MAX);
    let (part, rest) =
        bytes.split_at_checked(requested).ok_or(bytes::TryGetError { requested, available: bytes.len() })?;
    *bytes = rest;
    Ok(Bytes::copy_from_slice(part))
}

/// The suite's requests in this language.
pub mod examples {
    use bytes::Bytes;

    /// `put`.
    pub fn put(key: u32, value: u32, expiry_millis: Option<u64>) -> Bytes {
        match expiry_millis {
            Some(millis) => format!("put {key} {value} {millis}").into(),
            None => format!("put {key} {value}").into(),
        }
    }

    /// `drop`.
    pub fn remove(key: u32) -> Bytes {
        format!("drop {key}").into()
    }

    /// `get`.
    pub fn get(key: u32) -> Bytes {
        format!("get {key}").into()
    }

    /// The reply to `get`.
    pub fn got(value: Option<u32>) -> Bytes {
        value.map_or(Bytes::from_static(b"none"), |value| format!("value {value}").into())
    }
}
