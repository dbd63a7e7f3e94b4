//! Snapshots: the live records of a state as a stream of chunks, and a sink that makes a state of them.
//!
//! ```text
//!   chunk:   format u8 = 1 │ chunk number u32, from 0 │ record │ record │ …
//!   record:  key length u32 │ value length u32 │ key │ value
//! ```
//!
//! Chunks are numbered, so that none is missed or taken twice. Records are whole within a chunk and ascend
//! over all chunks. The facts come last: only with them is
//! the new state complete, and they say how many records there must be. Garbage of old epochs stays
//! behind. Chunks come from a peer, so the sink believes nothing that it can check.

use std::ops::Bound;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use engine::records::{Record, Records, View};
use engine::{EngineError, SnapshotSink, SnapshotSource, StateMachine};

use crate::layout::{self, CHANGES, DATA, DEAD, EXPIRY, FACTS, Facts, PART, RECORDING, SYSTEM};
use crate::state::{KvState, Shared};
use crate::value::Header;

/// The format version of chunks.
const FORMAT: u8 = 1;
/// Bytes of records that the sink collects before it hands them to the store: large enough that the
/// store makes few files, small enough to hold in memory.
const PIECE_BYTES: usize = 8 * 1024 * 1024;

/// A snapshot being read.
pub(crate) struct KvSnapshot {
    view: Arc<dyn View>,
    facts: Facts,
    /// Where the next record is looked for; `None` when all have been given out.
    next: Option<Bound<Bytes>>,
    /// The next chunk's number.
    number: u32,
}

impl KvSnapshot {
    /// The snapshot of a view whose facts are known.
    pub(crate) fn new(view: Arc<dyn View>, facts: Facts) -> Self {
        // The copy has no garbage, and its facts say so.
        let facts = Facts { oldest_epoch: facts.epoch, ..facts };
        Self { view, facts, next: Some(Bound::Included(Bytes::from_static(&[SYSTEM]))), number: 0 }
    }

    /// The start of the stretch of records that a key lies in or before, and its end.
    fn stretches(&self) -> [(Bytes, Bytes); 5] {
        let of = |kind| {
            let start = layout::epoch_start(kind, self.facts.epoch);
            let end = layout::epoch_start(kind, self.facts.epoch + 1);
            (Bytes::copy_from_slice(&start), Bytes::copy_from_slice(&end))
        };
        // And changes that are kept: whoever leads next goes on with them.
        let system = (Bytes::from_static(&[SYSTEM]), Bytes::from_static(&[PART]));
        [system, of(PART), of(DEAD), of(DATA), of(EXPIRY)]
    }
}

impl SnapshotSource for KvSnapshot {
    fn next_chunk(&mut self, bytes_max: usize) -> Result<Option<Bytes>, EngineError> {
        let Some(from) = self.next.take() else { return Ok(None) };
        let mut chunk = BytesMut::with_capacity(bytes_max.min(PIECE_BYTES));
        chunk.put_u8(FORMAT);
        chunk.put_u32(self.number);
        self.number += 1;
        for (start, end) in self.stretches() {
            let from = match &from {
                Bound::Included(from) if *from > start => Bound::Included(&from[..]),
                Bound::Excluded(from) if *from >= start => Bound::Excluded(&from[..]),
                _ => Bound::Included(&start[..]),
            };
            for record in self.view.range(from, Bound::Excluded(&end), false) {
                let (key, value) = record?;
                put_record(&mut chunk, &key, &value);
                if chunk.len() >= bytes_max {
                    self.next = Some(Bound::Excluded(key));
                    return Ok(Some(chunk.freeze()));
                }
            }
        }
        put_record(&mut chunk, FACTS, &self.facts.encode());
        Ok(Some(chunk.freeze()))
    }
}

fn put_record(chunk: &mut BytesMut, key: &[u8], value: &[u8]) {
    chunk.reserve(8 + key.len() + value.len());
    chunk.put_u32(key.len() as u32);
    chunk.put_u32(value.len() as u32);
    chunk.put_slice(key);
    chunk.put_slice(value);
}

/// A state being filled from chunks.
pub(crate) struct KvSink {
    records: Arc<dyn Records>,
    shared: Arc<Shared>,
    piece: Vec<Record>,
    piece_bytes: usize,
    last_key: Bytes,
    /// The epoch of the data seen, if any was.
    epoch: Option<u32>,
    data_records: u64,
    facts: Option<Facts>,
    /// The number of the next chunk.
    number: u32,
}

impl KvSink {
    /// A sink into records that are empty.
    pub(crate) fn new(records: Arc<dyn Records>, shared: Arc<Shared>) -> Self {
        Self {
            records,
            shared,
            piece: Vec::new(),
            piece_bytes: 0,
            last_key: Bytes::new(),
            epoch: None,
            data_records: 0,
            facts: None,
            number: 0,
        }
    }

    fn take_record(&mut self, key: Bytes, value: Bytes) -> Result<(), EngineError> {
        if key <= self.last_key {
            return Err(bad("keys do not ascend"));
        }
        match key[0] {
            SYSTEM | CHANGES => {}
            _ if key == RECORDING => {}
            PART | DEAD => {
                layout::collection_of(&key).map_err(|_| bad("a key is too short"))?;
                self.check_epoch(&key)?;
            }
            DATA => {
                Header::decode(&value).map_err(|_| bad("a value does not fit"))?;
                layout::split_data_key(&key).map_err(|_| bad("a key is too short"))?;
                self.check_epoch(&key)?;
                self.data_records += 1;
            }
            EXPIRY => {
                layout::split_expiry_key(&key).map_err(|_| bad("a key is too short"))?;
                self.check_epoch(&key)?;
            }
            _ if key == FACTS => {
                self.facts = Some(Facts::decode(&value).map_err(|error| bad(&error.to_string()))?);
            }
            _ => return Err(bad("a record of an unknown kind")),
        }
        self.piece_bytes += key.len() + value.len();
        self.last_key = key.clone();
        self.piece.push((key, value));
        Ok(())
    }

    fn check_epoch(&mut self, key: &[u8]) -> Result<(), EngineError> {
        let epoch = layout::epoch_of(key).map_err(|_| bad("a key is too short"))?;
        if *self.epoch.get_or_insert(epoch) == epoch { Ok(()) } else { Err(bad("records of two epochs")) }
    }

    fn store_piece(&mut self) -> Result<(), EngineError> {
        self.piece_bytes = 0;
        self.records.ingest(&mut std::mem::take(&mut self.piece).into_iter().map(Ok))
    }
}

impl SnapshotSink for KvSink {
    fn write(&mut self, chunk: &[u8]) -> Result<(), EngineError> {
        let Some((&FORMAT, mut rest)) = chunk.split_first() else {
            return Err(bad("a chunk of an unknown format version"));
        };
        if take_number(&mut rest)? != self.number {
            return Err(bad("a chunk is missing or came twice"));
        }
        self.number += 1;
        while !rest.is_empty() {
            let key_bytes = take_number(&mut rest)? as usize;
            let value_bytes = take_number(&mut rest)? as usize;
            let key = take(&mut rest, key_bytes)?;
            let value = take(&mut rest, value_bytes)?;
            // Empty keys are refused here: they would not be above the empty `last_key`.
            self.take_record(Bytes::copy_from_slice(key), Bytes::copy_from_slice(value))?;
        }
        // The facts stay in memory until `finish` has found everything in order.
        if self.piece_bytes >= PIECE_BYTES && self.facts.is_none() { self.store_piece() } else { Ok(()) }
    }

    fn finish(mut self: Box<Self>) -> Result<Box<dyn StateMachine>, EngineError> {
        let facts = self.facts.ok_or_else(|| bad("the end is missing"))?;
        if self.data_records != facts.records || self.epoch.is_some_and(|epoch| epoch != facts.epoch) {
            return Err(bad("the records are not those that the facts count"));
        }
        self.store_piece()?;
        let index = facts.applied.index.get();
        self.shared.durable.store(index, std::sync::atomic::Ordering::Release);
        Ok(Box::new(KvState::new(self.records, facts, self.shared)?))
    }
}

fn take_number(bytes: &mut &[u8]) -> Result<u32, EngineError> {
    let (number, rest) = bytes.split_first_chunk().ok_or_else(|| bad("a chunk is cut off"))?;
    *bytes = rest;
    Ok(u32::from_be_bytes(*number))
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Result<&'a [u8], EngineError> {
    let (taken, rest) = bytes.split_at_checked(length).ok_or_else(|| bad("a record is cut off"))?;
    *bytes = rest;
    Ok(taken)
}

fn bad(what: &str) -> EngineError {
    EngineError::BadSnapshot(what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::records::{MemoryRecordStore, RecordStore};
    use proptest::prelude::*;
    use types::{Hlc, StateId};

    fn sink() -> Box<KvSink> {
        let records = MemoryRecordStore::new().create(StateId(1)).unwrap();
        Box::new(KvSink::new(records, Arc::default()))
    }

    fn install(records: &[(Bytes, Bytes)]) -> Result<(), EngineError> {
        let mut chunk = BytesMut::from(&[FORMAT, 0, 0, 0, 0][..]);
        for (key, value) in records {
            put_record(&mut chunk, key, value);
        }
        let mut sink = sink();
        sink.write(&chunk)?;
        sink.finish().map(|_| ())
    }

    fn value() -> Bytes {
        let kind = crate::value::Kind::String;
        let (version, expiry_millis, collection) = (Hlc(1), None, None);
        Header { kind, version, expiry_millis, collection, unfinished: false }.encode(&[b"v"])
    }

    fn facts(records: u64, epoch: u32) -> (Bytes, Bytes) {
        let facts = Facts { records, epoch, oldest_epoch: epoch, ..Facts::default() };
        (Bytes::from_static(FACTS), facts.encode())
    }

    #[test]
    fn a_peer_is_not_believed() {
        let key = |epoch| (layout::data_key(epoch, b"a"), value());
        assert!(install(&[key(1), facts(1, 1)]).is_ok());
        let refused = |records: &[(Bytes, Bytes)], why: &str| match install(records) {
            Err(EngineError::BadSnapshot(text)) => assert!(text.contains(why), "{text}"),
            other => panic!("not refused: {other:?}"),
        };
        refused(&[key(1)], "end is missing");
        refused(&[key(1), facts(2, 1)], "not those that the facts count");
        refused(&[key(1), facts(1, 2)], "not those that the facts count");
        refused(&[key(1), key(2), facts(2, 2)], "two epochs");
        refused(&[key(1), key(1), facts(2, 1)], "do not ascend");
        refused(&[facts(0, 1), facts(0, 1)], "do not ascend");
        refused(&[(Bytes::new(), value()), facts(0, 0)], "do not ascend");
        refused(&[(layout::data_key(1, b"a"), Bytes::from_static(b"x")), facts(1, 1)], "value does not fit");
        refused(&[(Bytes::from_static(&[DATA, 0, 0]), value()), facts(1, 0)], "too short");
        refused(&[(Bytes::from_static(&[EXPIRY, 0]), Bytes::new()), facts(0, 0)], "too short");
        refused(&[(Bytes::from_static(&[0x55]), Bytes::new()), facts(0, 0)], "unknown kind");
        refused(&[(Bytes::from_static(FACTS), Bytes::from_static(&[9]))], "version 9");
    }

    proptest! {
        #[test]
        fn damage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..60), number in 0_u8..2) {
            let mut chunk = vec![FORMAT, 0, 0, 0, number];
            chunk.extend(&bytes);
            let mut sink = sink();
            let _ = sink.write(&chunk);
            let _ = sink.write(&bytes);
            let _ = sink.finish();
        }
    }
}
