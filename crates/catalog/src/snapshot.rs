//! Snapshots of group 0's state: its records in order of key, in chunks.
//!
//! ```text
//! chunk:  format byte, u32 BE number from 0, then records    (each record is whole in one chunk)
//! record: u32 BE length of key, key, u32 BE length of value, value
//! ```
//!
//! The facts come last, because they sort last: a stream without them was cut short.

use std::ops::Bound;
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use engine::records::{Record as Stored, Records, View};
use engine::{Applied, EngineError, SnapshotSink, SnapshotSource, StateMachine};
use types::StateId;

use crate::CatalogEngine;
use crate::machine::{FACTS, OBJECT, SYSTEM, decode_facts, facts_record, load};
use crate::record::FORMAT;

/// A snapshot being read.
pub(crate) struct CatalogSource {
    view: Arc<dyn View>,
    /// The number of the next chunk.
    number: u32,
    /// The last key that was handed out.
    last: Option<Bytes>,
    ended: bool,
}

impl CatalogSource {
    pub(crate) fn new(view: Arc<dyn View>) -> Self {
        Self { view, number: 0, last: None, ended: false }
    }
}

impl SnapshotSource for CatalogSource {
    fn next_chunk(&mut self, bytes_max: usize) -> Result<Option<Bytes>, EngineError> {
        if self.ended {
            return Ok(None);
        }
        let mut chunk = BytesMut::new();
        chunk.put_u8(FORMAT);
        chunk.put_u32(self.number);
        let from = self.last.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut last = None;
        let mut full = false;
        for found in self.view.range(from, Bound::Unbounded, false) {
            let (key, value) = found?;
            put_part(&mut chunk, &key);
            put_part(&mut chunk, &value);
            last = Some(key);
            full = chunk.len() >= bytes_max;
            if full {
                break;
            }
        }
        self.ended = !full;
        if last.is_none() {
            return Ok(None);
        }
        self.last = last;
        self.number += 1;
        Ok(Some(chunk.freeze()))
    }
}

/// A snapshot being written into a new state.
pub(crate) struct CatalogSink {
    engine: CatalogEngine,
    state: StateId,
    records: Arc<dyn Records>,
    /// The number of the chunk that must come next.
    number: u32,
    last: Bytes,
    /// From the facts, once they came.
    applied: Option<Applied>,
}

impl CatalogSink {
    pub(crate) fn new(engine: CatalogEngine, state: StateId, records: Arc<dyn Records>) -> Self {
        Self { engine, state, records, number: 0, last: Bytes::new(), applied: None }
    }

    /// Keys rise strictly and are of a known kind. So nothing follows the facts, which sort last.
    fn check_key(&mut self, key: &Bytes) -> Result<(), EngineError> {
        let known = matches!(key.first(), Some(&SYSTEM | &OBJECT)) || key == FACTS;
        if !known || *key <= self.last {
            return Err(EngineError::BadSnapshot("a record out of its place".into()));
        }
        self.last = key.clone();
        Ok(())
    }
}

impl SnapshotSink for CatalogSink {
    fn write(&mut self, chunk: &[u8]) -> Result<(), EngineError> {
        let mut rest = Bytes::copy_from_slice(chunk);
        if rest.is_empty() || rest.get_u8() != FORMAT {
            return Err(EngineError::BadSnapshot("a chunk of an unknown format".into()));
        }
        if rest.try_get_u32() != Ok(self.number) || !rest.has_remaining() {
            return Err(EngineError::BadSnapshot(format!("chunk {} is missing", self.number)));
        }
        self.number += 1;
        let mut stored: Vec<Stored> = Vec::new();
        while rest.has_remaining() {
            let (key, value) = (take_part(&mut rest)?, take_part(&mut rest)?);
            self.check_key(&key)?;
            if key == FACTS {
                let bad = |_| EngineError::BadSnapshot("its facts are malformed".into());
                self.applied = Some(decode_facts(&value).map_err(bad)?);
            } else {
                stored.push((key, value));
            }
        }
        if !stored.is_empty() {
            self.records.ingest(&mut stored.into_iter().map(Ok))?;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Box<dyn StateMachine>, EngineError> {
        let Some(applied) = self.applied else {
            return Err(EngineError::BadSnapshot("it ends too early".into()));
        };
        // Only a state that can be opened may become complete.
        load(self.records.view().as_ref()).map_err(|error| EngineError::BadSnapshot(error.to_string()))?;
        self.records.ingest(&mut std::iter::once(Ok(facts_record(applied))))?;
        Ok(Box::new(self.engine.machine(self.state, self.records)?))
    }
}

fn put_part(chunk: &mut BytesMut, part: &[u8]) {
    chunk.put_u32(part.len() as u32);
    chunk.put_slice(part);
}

fn take_part(rest: &mut Bytes) -> Result<Bytes, EngineError> {
    let cut = || EngineError::BadSnapshot("a record is cut off".into());
    let length = rest.try_get_u32().map_err(|_| cut())? as usize;
    if length > rest.len() {
        return Err(cut());
    }
    Ok(rest.split_to(length))
}
