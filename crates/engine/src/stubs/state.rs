//! What both stub engines are made of: a committed table, the state machine over it, its reader, snapshots.
//!
//! An engine decides where its tables are kept and when they are durable. This is everything else.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use bytes::Bytes;
use types::limits::{STAGED_BYTES_MAX, STAGED_RECORD_BYTES};
use types::{Hlc, LogIndex};

use super::language::Table;
use crate::{
    Applied, ApplyContext, Change, DigestWork, EngineError, Reader, SnapshotSink, SnapshotSource,
    StateMachine, Statistics, SystemChange, SystemRecord,
};

/// When a commit is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durable {
    /// At once.
    AtCommit,
    /// When the engine says so, after a flush.
    WhenFlushed,
}

/// The last commit of a state, as its readers and its engine see it.
pub(super) struct Committed {
    table: RwLock<Table>,
    durable: Mutex<LogIndex>,
    when: Durable,
}

impl Committed {
    /// A table that is durable as it is.
    pub(super) fn new(table: Table, when: Durable) -> Arc<Self> {
        let durable = Mutex::new(table.applied.index);
        Arc::new(Self { table: RwLock::new(table), durable, when })
    }

    /// The table; what is committed later does not show in it.
    pub(super) fn table(&self) -> Table {
        self.table.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Up to where it is durable.
    pub(super) fn durable(&self) -> MutexGuard<'_, LogIndex> {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state machine over it. There must be one at a time.
    pub(super) fn machine(self: Arc<Self>) -> Box<dyn StateMachine> {
        Box::new(TableState { staged: self.table(), committed: self, changes: Vec::new(), staged_bytes: 0 })
    }
}

struct TableState {
    committed: Arc<Committed>,
    /// The committed table with what is staged.
    staged: Table,
    changes: Vec<Change>,
    /// Bytes of the requests since the last commit.
    staged_bytes: usize,
}

impl StateMachine for TableState {
    fn applied(&self) -> Applied {
        self.staged.applied
    }

    fn durable(&self) -> LogIndex {
        *self.committed.durable()
    }

    fn system(&self) -> Result<Vec<SystemRecord>, EngineError> {
        Ok(self.committed.table().system())
    }

    fn stage(&mut self, context: &ApplyContext, request: &[u8]) -> Result<Bytes, EngineError> {
        self.staged_bytes += request.len() + STAGED_RECORD_BYTES;
        Ok(self.staged.write(context, request, &mut self.changes))
    }

    fn commit(&mut self, applied: Applied, system: &[SystemChange]) -> Result<Vec<Change>, EngineError> {
        self.staged_bytes = 0;
        self.staged.applied = applied;
        self.staged.change_system(system);
        *self.committed.table.write().unwrap_or_else(PoisonError::into_inner) = self.staged.clone();
        if self.committed.when == Durable::AtCommit {
            *self.committed.durable() = applied.index;
        }
        Ok(std::mem::take(&mut self.changes))
    }

    fn is_full(&self) -> bool {
        self.staged_bytes > STAGED_BYTES_MAX
    }

    fn reader(&self) -> Arc<dyn Reader> {
        Arc::new(TableReader(self.committed.clone()))
    }

    fn snapshot(&self) -> Result<Box<dyn SnapshotSource>, EngineError> {
        Ok(Box::new(TableSource { rest: self.committed.table().encode(), next: 0 }))
    }

    fn digest(&self, at: Hlc) -> Result<DigestWork, EngineError> {
        let table = self.committed.table();
        Ok(Box::new(move || Ok(table.digest(at))))
    }

    fn statistics(&self) -> Statistics {
        Statistics { records: self.committed.table().rows(), bytes: 0 }
    }
}

struct TableReader(Arc<Committed>);

impl Reader for TableReader {
    fn read(&self, request: &[u8], now: Hlc) -> Result<Bytes, EngineError> {
        Ok(self.0.table().read(request, now))
    }
}

/// A table's bytes cut into chunks; each begins with its number, so that none can be missed or doubled.
struct TableSource {
    rest: Bytes,
    next: u32,
}

impl SnapshotSource for TableSource {
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

/// Chunks put together again. `finish` keeps the table, durably.
struct TableSink<F> {
    bytes: Vec<u8>,
    next: u32,
    finish: F,
}

/// A sink that hands its table to `finish`.
pub(super) fn table_sink<F>(finish: F) -> Box<dyn SnapshotSink>
where
    F: FnOnce(Table) -> Result<Box<dyn StateMachine>, EngineError> + Send + 'static,
{
    Box::new(TableSink { bytes: Vec::new(), next: 0, finish })
}

impl<F> SnapshotSink for TableSink<F>
where
    F: FnOnce(Table) -> Result<Box<dyn StateMachine>, EngineError> + Send,
{
    fn write(&mut self, chunk: &[u8]) -> Result<(), EngineError> {
        match chunk.split_first_chunk() {
            Some((number, piece)) if u32::from_be_bytes(*number) == self.next => {
                self.next += 1;
                self.bytes.extend_from_slice(piece);
                Ok(())
            }
            _ => Err(EngineError::BadSnapshot("a chunk is missing".into())),
        }
    }

    fn finish(self: Box<Self>) -> Result<Box<dyn StateMachine>, EngineError> {
        let table =
            Table::decode(&self.bytes).map_err(|error| EngineError::BadSnapshot(error.to_string()))?;
        (self.finish)(table)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::language::examples;
    use super::*;
    use crate::Engine;
    use crate::suite::Subject;

    /// An engine of this language for the suite: whatever the function opens, after a stop and a crash alike.
    pub struct Stub<F>(pub F);

    impl<F: FnMut() -> Arc<dyn Engine>> Subject for Stub<F> {
        fn open(&mut self) -> Arc<dyn Engine> {
            (self.0)()
        }

        fn crash(&mut self, _running: Arc<dyn Engine>, _seed: u64) -> Arc<dyn Engine> {
            (self.0)()
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

        fn put_large(&self, key: u32, bytes: usize) -> Bytes {
            format!("put {key} {}", "v".repeat(bytes)).into()
        }

        fn change_key(&self, key: u32) -> Bytes {
            key.to_string().into()
        }
    }
}
