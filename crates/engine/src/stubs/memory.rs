//! The pure memory engine: a state is one value, a commit replaces it, and that is durable at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use bytes::Bytes;
use types::{Hlc, LogIndex, StateId};

use super::language::Table;
use crate::{
    Applied, ApplyContext, Change, DigestWork, Engine, EngineError, Reader, SnapshotSink, SnapshotSource,
    StateMachine, Statistics, SystemChange, SystemRecord,
};

type Cell = Arc<RwLock<Table>>;

/// An engine whose states live in memory. Clones share them, as processes share a disk.
#[derive(Clone, Default)]
pub struct MemoryEngine {
    states: Arc<Mutex<BTreeMap<StateId, Option<Cell>>>>,
}

impl MemoryEngine {
    /// An engine without states.
    pub fn new() -> Self {
        Self::default()
    }

    /// The states; `None` is one whose snapshot is not complete.
    fn states(&self) -> MutexGuard<'_, BTreeMap<StateId, Option<Cell>>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn insert(&self, state: StateId, table: Table) -> Box<dyn StateMachine> {
        let cell = Arc::new(RwLock::new(table.clone()));
        self.states().insert(state, Some(cell.clone()));
        Box::new(MemoryState { cell, staged: table, changes: Vec::new() })
    }
}

impl Engine for MemoryEngine {
    fn create(&self, state: StateId) -> Result<Box<dyn StateMachine>, EngineError> {
        Ok(self.insert(state, Table::default()))
    }

    fn open(&self, state: StateId) -> Result<Box<dyn StateMachine>, EngineError> {
        let cell = self.states().get(&state).cloned().flatten().ok_or(EngineError::Missing(state))?;
        let staged = committed(&cell);
        Ok(Box::new(MemoryState { cell, staged, changes: Vec::new() }))
    }

    fn list(&self) -> Result<Vec<StateId>, EngineError> {
        Ok(self.states().keys().copied().collect())
    }

    fn remove(&self, state: StateId) -> Result<(), EngineError> {
        self.states().remove(&state);
        Ok(())
    }

    fn ingest(&self, state: StateId) -> Result<Box<dyn SnapshotSink>, EngineError> {
        self.states().insert(state, None);
        Ok(Box::new(MemorySink { engine: self.clone(), state, bytes: Vec::new(), next: 0 }))
    }

    fn flush(&self) -> Result<(), EngineError> {
        Ok(())
    }
}

struct MemoryState {
    cell: Cell,
    /// The committed table with what is staged.
    staged: Table,
    changes: Vec<Change>,
}

fn committed(cell: &Cell) -> Table {
    cell.read().unwrap_or_else(PoisonError::into_inner).clone()
}

impl StateMachine for MemoryState {
    fn applied(&self) -> Applied {
        self.staged.applied
    }

    fn durable(&self) -> LogIndex {
        self.staged.applied.index
    }

    fn system(&self) -> Result<Vec<SystemRecord>, EngineError> {
        Ok(committed(&self.cell).system())
    }

    fn stage(&mut self, context: &ApplyContext, request: &[u8]) -> Result<Bytes, EngineError> {
        Ok(self.staged.write(context, request, &mut self.changes))
    }

    fn commit(&mut self, applied: Applied, system: &[SystemChange]) -> Result<Vec<Change>, EngineError> {
        self.staged.applied = applied;
        self.staged.change_system(system);
        *self.cell.write().unwrap_or_else(PoisonError::into_inner) = self.staged.clone();
        Ok(std::mem::take(&mut self.changes))
    }

    fn reader(&self) -> Arc<dyn Reader> {
        Arc::new(MemoryReader(self.cell.clone()))
    }

    fn snapshot(&self) -> Result<Box<dyn SnapshotSource>, EngineError> {
        Ok(Box::new(EncodedSource::new(&committed(&self.cell))))
    }

    fn digest(&self, at: Hlc) -> Result<DigestWork, EngineError> {
        let table = committed(&self.cell);
        Ok(Box::new(move || Ok(table.digest(at))))
    }

    fn statistics(&self) -> Statistics {
        Statistics { records: committed(&self.cell).rows(), bytes: 0 }
    }
}

struct MemoryReader(Cell);

impl Reader for MemoryReader {
    fn read(&self, request: &[u8], now: Hlc) -> Result<Bytes, EngineError> {
        Ok(committed(&self.0).read(request, now))
    }
}

/// A table's bytes cut into chunks; each begins with its number, so that none can be missed or doubled.
pub(super) struct EncodedSource {
    rest: Bytes,
    next: u32,
}

impl EncodedSource {
    pub(super) fn new(table: &Table) -> Self {
        Self { rest: table.encode(), next: 0 }
    }
}

impl SnapshotSource for EncodedSource {
    fn next_chunk(&mut self, bytes_max: usize) -> Result<Option<Bytes>, EngineError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let piece = self.rest.split_to(bytes_max.clamp(1, self.rest.len()));
        let chunk = [&self.next.to_be_bytes()[..], &piece[..]].concat();
        self.next += 1;
        Ok(Some(chunk.into()))
    }
}

/// Puts chunks together again.
pub(super) fn take_chunk(bytes: &mut Vec<u8>, next: &mut u32, chunk: &[u8]) -> Result<(), EngineError> {
    match chunk.split_first_chunk() {
        Some((number, piece)) if u32::from_be_bytes(*number) == *next => {
            *next += 1;
            bytes.extend_from_slice(piece);
            Ok(())
        }
        _ => Err(EngineError::BadSnapshot("a chunk is missing".into())),
    }
}

struct MemorySink {
    engine: MemoryEngine,
    state: StateId,
    bytes: Vec<u8>,
    next: u32,
}

impl SnapshotSink for MemorySink {
    fn write(&mut self, chunk: &[u8]) -> Result<(), EngineError> {
        take_chunk(&mut self.bytes, &mut self.next, chunk)
    }

    fn finish(self: Box<Self>) -> Result<Box<dyn StateMachine>, EngineError> {
        let table =
            Table::decode(&self.bytes).map_err(|error| EngineError::BadSnapshot(error.to_string()))?;
        Ok(self.engine.insert(self.state, table))
    }
}

#[cfg(test)]
mod tests {
    use super::super::language::examples;
    use super::*;
    use crate::suite::{self, Subject};

    struct Memory(MemoryEngine);

    impl Subject for Memory {
        fn open(&mut self) -> Arc<dyn Engine> {
            Arc::new(self.0.clone())
        }

        fn crash(&mut self, _running: Arc<dyn Engine>, _seed: u64) -> Arc<dyn Engine> {
            self.open()
        }

        fn put(&self, key: u32, value: u32, expiry_millis: Option<u64>) -> Bytes {
            examples::put(key, value, expiry_millis)
        }

        fn remove(&self, key: u32) -> Bytes {
            examples::remove(key)
        }

        fn get(&self, key: u32) -> Bytes {
            examples::get(key)
        }

        fn got(&self, value: Option<u32>) -> Bytes {
            examples::got(value)
        }

        fn change_key(&self, key: u32) -> Bytes {
            key.to_string().into()
        }
    }

    #[test]
    fn passes_the_suite() {
        suite::run(|| Memory(MemoryEngine::new()));
    }
}
