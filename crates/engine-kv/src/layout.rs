//! Keys of records, and the facts record. The crate's page has the drawing.

use bytes::{BufMut, Bytes, BytesMut};
use engine::{Applied, EngineError};
use types::hash;

/// First byte of system records.
pub(crate) const SYSTEM: u8 = 0x10;
/// The whole key of the record that says how changes are kept.
pub(crate) const RECORDING: &[u8] = &[0x17];
/// First byte of changes that are kept.
pub(crate) const CHANGES: u8 = 0x18;
/// First byte of the parts of collections.
pub(crate) const PART: u8 = 0x20;
/// First byte of the numbers of dead collections, whose parts wait for removal.
pub(crate) const DEAD: u8 = 0x28;
/// First byte of keys' records.
pub(crate) const DATA: u8 = 0x30;
/// First byte of the expiry index.
pub(crate) const EXPIRY: u8 = 0x40;
/// The whole key of the facts record; it sorts last.
pub(crate) const FACTS: &[u8] = &[0x7f];

/// No epoch is as high as this; a state rebuilt from the others after four thousand million flushes
/// would be the way out.
pub(crate) const EPOCH_END: u32 = u32::MAX;

/// Bytes of a data record's key before the user's key: tag, epoch, position.
const DATA_PREFIX_BYTES: usize = 1 + 4 + POSITION_BYTES;
/// Bytes of an expiry record's key before the user's key: tag, epoch, deadline.
const EXPIRY_PREFIX_BYTES: usize = 1 + 4 + 8;
/// Bytes of a part's key before its sub-key: tag, epoch, collection.
pub(crate) const PART_PREFIX_BYTES: usize = 1 + 4 + 8;
/// 42 bits, rounded up to bytes.
pub(crate) const POSITION_BYTES: usize = 6;

/// The format version of the facts, and with it of the whole state.
const FORMAT: u8 = 1;

/// The key of a system record.
pub(crate) fn system_key(name: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(1 + name.len());
    bytes.put_u8(SYSTEM);
    bytes.put_slice(name);
    bytes.freeze()
}

/// The record key of a piece of the changes of an entry.
pub(crate) fn changes_key(index: u64, piece: u32) -> Bytes {
    let mut bytes = BytesMut::with_capacity(1 + 8 + 4);
    bytes.put_u8(CHANGES);
    bytes.put_u64(index);
    bytes.put_u32(piece);
    bytes.freeze()
}

/// The record key of a user's key.
pub(crate) fn data_key(epoch: u32, key: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(DATA_PREFIX_BYTES + key.len());
    bytes.put_slice(&data_start(epoch, hash::position(key)));
    bytes.put_slice(key);
    bytes.freeze()
}

/// Where the records of a position begin.
pub(crate) fn data_start(epoch: u32, position: u64) -> [u8; DATA_PREFIX_BYTES] {
    let mut bytes = [0; DATA_PREFIX_BYTES];
    bytes[0] = DATA;
    bytes[1..5].copy_from_slice(&epoch.to_be_bytes());
    bytes[5..].copy_from_slice(&position.to_be_bytes()[8 - POSITION_BYTES..]);
    bytes
}

/// A position as it stands in keys.
pub(crate) fn position_bytes(position: u64) -> [u8; POSITION_BYTES] {
    let [_, _, bytes @ ..] = position.to_be_bytes();
    bytes
}

/// The record key of a part of a collection, whose sub-key is given in pieces.
pub(crate) fn part_key(epoch: u32, collection: u64, sub_key: &[&[u8]]) -> Bytes {
    let sub_key_bytes: usize = sub_key.iter().map(|piece| piece.len()).sum();
    let mut bytes = Vec::with_capacity(PART_PREFIX_BYTES + sub_key_bytes);
    bytes.put_slice(&collection_key(PART, epoch, collection));
    for piece in sub_key {
        bytes.put_slice(piece);
    }
    bytes.into()
}

/// Where the parts of a collection end.
pub(crate) fn parts_end(epoch: u32, collection: u64) -> Bytes {
    // Numbers are given out from 0 up, one at a time: there is always a next one.
    Bytes::copy_from_slice(&collection_key(PART, epoch, collection.saturating_add(1)))
}

/// The record key that says that a collection is dead.
pub(crate) fn dead_key(epoch: u32, collection: u64) -> Bytes {
    Bytes::copy_from_slice(&collection_key(DEAD, epoch, collection))
}

fn collection_key(kind: u8, epoch: u32, collection: u64) -> [u8; PART_PREFIX_BYTES] {
    let mut bytes = [0; PART_PREFIX_BYTES];
    bytes[0] = kind;
    bytes[1..5].copy_from_slice(&epoch.to_be_bytes());
    bytes[5..].copy_from_slice(&collection.to_be_bytes());
    bytes
}

/// The collection in the key of a part or of a dead one's record.
pub(crate) fn collection_of(record_key: &[u8]) -> Result<u64, EngineError> {
    let bytes = record_key.get(5..PART_PREFIX_BYTES).and_then(|bytes| bytes.try_into().ok());
    bytes.map(u64::from_be_bytes).ok_or_else(short_key)
}

/// The position and the user's key of a data record.
pub(crate) fn split_data_key(record_key: &Bytes) -> Result<(u64, Bytes), EngineError> {
    let position = record_key.get(5..DATA_PREFIX_BYTES).ok_or_else(short_key)?;
    let position = position.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte));
    Ok((position, record_key.slice(DATA_PREFIX_BYTES..)))
}

/// The key in the expiry index.
pub(crate) fn expiry_key(epoch: u32, deadline_millis: u64, key: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(EXPIRY_PREFIX_BYTES + key.len());
    bytes.put_slice(&expiry_start(epoch, deadline_millis));
    bytes.put_slice(key);
    bytes.freeze()
}

/// Where the index records of a deadline begin.
pub(crate) fn expiry_start(epoch: u32, deadline_millis: u64) -> [u8; EXPIRY_PREFIX_BYTES] {
    let mut bytes = [0; EXPIRY_PREFIX_BYTES];
    bytes[0] = EXPIRY;
    bytes[1..5].copy_from_slice(&epoch.to_be_bytes());
    bytes[5..].copy_from_slice(&deadline_millis.to_be_bytes());
    bytes
}

/// The user's key of an index record.
pub(crate) fn split_expiry_key(record_key: &Bytes) -> Result<Bytes, EngineError> {
    if record_key.len() < EXPIRY_PREFIX_BYTES {
        return Err(short_key());
    }
    Ok(record_key.slice(EXPIRY_PREFIX_BYTES..))
}

/// Where the records of a kind and a data epoch begin.
pub(crate) fn epoch_start(kind: u8, epoch: u32) -> [u8; 5] {
    let [a, b, c, d] = epoch.to_be_bytes();
    [kind, a, b, c, d]
}

/// The data epoch in the key of a data or expiry record.
pub(crate) fn epoch_of(record_key: &[u8]) -> Result<u32, EngineError> {
    let bytes = record_key.get(1..5).and_then(|bytes| bytes.try_into().ok());
    bytes.map(u32::from_be_bytes).ok_or_else(short_key)
}

fn short_key() -> EngineError {
    EngineError::Damaged("a record's key is too short".into())
}

/// What the engine knows of a state besides its data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The last entry in the state.
    pub(crate) applied: Applied,
    /// The epoch of the live records.
    pub(crate) epoch: u32,
    /// The lowest epoch that may have records left; below `epoch` they are garbage.
    pub(crate) oldest_epoch: u32,
    /// Data records of `epoch`, expired ones that were not removed yet included.
    pub(crate) records: u64,
    /// The number for the next collection.
    pub(crate) next_collection: u64,
}

impl Facts {
    /// The value of the facts record.
    pub(crate) fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(41);
        bytes.put_u8(FORMAT);
        bytes.put_u64(self.applied.index.get());
        bytes.put_u64(self.applied.term.get());
        bytes.put_u32(self.epoch);
        bytes.put_u32(self.oldest_epoch);
        bytes.put_u64(self.records);
        bytes.put_u64(self.next_collection);
        bytes.freeze()
    }

    /// Reads the value of the facts record.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, EngineError> {
        match bytes.first() {
            Some(&FORMAT) => {}
            Some(version) => {
                return Err(EngineError::Damaged(format!("state of unknown format version {version}")));
            }
            None => return Err(EngineError::Damaged("empty facts record".into())),
        }
        let mut fields = Fields(&bytes[1..]);
        let facts = Facts {
            applied: Applied { index: fields.u64()?.into(), term: fields.u64()?.into() },
            epoch: fields.u32()?,
            oldest_epoch: fields.u32()?,
            records: fields.u64()?,
            next_collection: fields.u64()?,
        };
        if facts.oldest_epoch > facts.epoch || facts.epoch == EPOCH_END || !fields.0.is_empty() {
            return Err(EngineError::Damaged("the facts record contradicts itself".into()));
        }
        Ok(facts)
    }
}

/// Takes big-endian numbers off the front of bytes.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn u64(&mut self) -> Result<u64, EngineError> {
        self.array().map(u64::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, EngineError> {
        self.array().map(u32::from_be_bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], EngineError> {
        let (field, rest) = self
            .0
            .split_first_chunk::<N>()
            .ok_or_else(|| EngineError::Damaged("the facts record is too short".into()))?;
        self.0 = rest;
        Ok(*field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{LogIndex, Term};

    #[test]
    fn byte_order_is_order_of_meaning() {
        assert!(data_start(0, (1 << 42) - 1) < data_start(1, 0));
        assert!(data_start(7, 255) < data_start(7, 256));
        assert!(expiry_key(1, 255, b"z") < expiry_key(1, 256, b"a"));
        let kinds = [SYSTEM, RECORDING[0], CHANGES, PART, DEAD, DATA, EXPIRY, FACTS[0]];
        assert!(kinds.is_sorted(), "the facts must come last");
    }

    #[test]
    fn keys_split_into_what_they_were_made_of() {
        let record = data_key(3, b"user:1");
        assert_eq!(split_data_key(&record).unwrap(), (hash::position(b"user:1"), "user:1".into()));
        assert_eq!(epoch_of(&record).unwrap(), 3);
        assert_eq!(split_expiry_key(&expiry_key(3, 9, b"user:1")).unwrap(), "user:1");
        assert!(split_data_key(&record.slice(..9)).is_err());
    }

    #[test]
    fn facts_round_trip_and_damage_is_named() {
        let facts = Facts {
            applied: Applied { index: LogIndex(7), term: Term(2) },
            epoch: 4,
            oldest_epoch: 3,
            records: 99,
            next_collection: 5,
        };
        let bytes = facts.encode();
        assert_eq!(Facts::decode(&bytes).unwrap(), facts);
        for length in 0..bytes.len() {
            assert!(matches!(Facts::decode(&bytes[..length]), Err(EngineError::Damaged(_))));
        }
        let mut newer = bytes.to_vec();
        newer[0] = 2;
        assert!(Facts::decode(&newer).unwrap_err().to_string().contains("version 2"));
    }
}
