//! The files engine: a state is a file that is written as a whole, only when the engine is flushed.
//!
//! Between flushes everything new is in memory, so the durable position lags behind the applied one and
//! a crash goes back to the last flush, as with a search index that commits once a second. A file is
//! replaced by writing another one and renaming it; an unfinished snapshot is an empty file.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use bytes::Bytes;
use types::{Hlc, LogIndex, StateId};

use super::language::Table;
use super::memory::{EncodedSource, take_chunk};
use crate::{
    Applied, ApplyContext, Change, DigestWork, Engine, EngineError, Reader, SnapshotSink, SnapshotSource,
    StateMachine, Statistics, SystemChange, SystemRecord,
};

/// An engine whose states are files in a directory.
#[derive(Clone)]
pub struct FilesEngine {
    directory: PathBuf,
    /// The states that are open.
    open: Arc<Mutex<BTreeMap<StateId, Arc<Shared>>>>,
}

#[derive(Default)]
struct Shared {
    committed: RwLock<Table>,
    durable: Mutex<LogIndex>,
}

impl Shared {
    fn table(&self) -> Table {
        self.committed.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn durable(&self) -> MutexGuard<'_, LogIndex> {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FilesEngine {
    /// An engine over a directory that exists.
    pub fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), open: Arc::default() }
    }

    fn path(&self, state: StateId) -> PathBuf {
        self.directory.join(format!("{state}.state"))
    }

    fn store(&self, state: StateId, bytes: &[u8]) -> Result<(), EngineError> {
        let unfinished = self.directory.join(format!("{state}.new"));
        let mut file = File::create(&unfinished).map_err(storage)?;
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(storage)?;
        fs::rename(&unfinished, self.path(state)).map_err(storage)?;
        File::open(&self.directory).and_then(|directory| directory.sync_all()).map_err(storage)
    }

    fn states(&self) -> MutexGuard<'_, BTreeMap<StateId, Arc<Shared>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state machine of a table that is in its file.
    fn machine(&self, state: StateId, table: Table) -> Box<dyn StateMachine> {
        let shared = Arc::new(Shared {
            durable: Mutex::new(table.applied.index),
            committed: RwLock::new(table.clone()),
        });
        self.states().insert(state, shared.clone());
        Box::new(FilesState { shared, staged: table, changes: Vec::new() })
    }
}

impl Engine for FilesEngine {
    fn create(&self, state: StateId) -> Result<Box<dyn StateMachine>, EngineError> {
        let table = Table::default();
        self.store(state, &table.encode())?;
        Ok(self.machine(state, table))
    }

    fn open(&self, state: StateId) -> Result<Box<dyn StateMachine>, EngineError> {
        let bytes = match fs::read(self.path(state)) {
            Ok(bytes) if bytes.is_empty() => return Err(EngineError::Missing(state)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(EngineError::Missing(state)),
            other => other.map_err(storage)?,
        };
        Ok(self.machine(state, Table::decode(&bytes)?))
    }

    fn list(&self) -> Result<Vec<StateId>, EngineError> {
        let mut states = Vec::new();
        for entry in fs::read_dir(&self.directory).map_err(storage)? {
            let name = entry.map_err(storage)?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(".state")?.parse().ok());
            states.extend(number.map(StateId));
        }
        states.sort();
        Ok(states)
    }

    fn remove(&self, state: StateId) -> Result<(), EngineError> {
        self.states().remove(&state);
        match fs::remove_file(self.path(state)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(storage(error)),
            _ => Ok(()),
        }
    }

    fn ingest(&self, state: StateId) -> Result<Box<dyn SnapshotSink>, EngineError> {
        self.store(state, &[])?;
        Ok(Box::new(FilesSink { engine: self.clone(), state, bytes: Vec::new(), next: 0 }))
    }

    fn flush(&self) -> Result<(), EngineError> {
        let states: Vec<(StateId, Arc<Shared>)> =
            self.states().iter().map(|(state, shared)| (*state, shared.clone())).collect();
        for (state, shared) in states {
            let table = shared.table();
            if table.applied.index > *shared.durable() {
                self.store(state, &table.encode())?;
                *shared.durable() = table.applied.index;
            }
        }
        Ok(())
    }
}

struct FilesState {
    shared: Arc<Shared>,
    /// The committed table with what is staged.
    staged: Table,
    changes: Vec<Change>,
}

impl StateMachine for FilesState {
    fn applied(&self) -> Applied {
        self.staged.applied
    }

    fn durable(&self) -> LogIndex {
        *self.shared.durable()
    }

    fn system(&self) -> Result<Vec<SystemRecord>, EngineError> {
        Ok(self.shared.table().system())
    }

    fn stage(&mut self, context: &ApplyContext, request: &[u8]) -> Result<Bytes, EngineError> {
        Ok(self.staged.write(context, request, &mut self.changes))
    }

    fn commit(&mut self, applied: Applied, system: &[SystemChange]) -> Result<Vec<Change>, EngineError> {
        self.staged.applied = applied;
        self.staged.change_system(system);
        *self.shared.committed.write().unwrap_or_else(PoisonError::into_inner) = self.staged.clone();
        Ok(std::mem::take(&mut self.changes))
    }

    fn reader(&self) -> Arc<dyn Reader> {
        Arc::new(FilesReader(self.shared.clone()))
    }

    fn snapshot(&self) -> Result<Box<dyn SnapshotSource>, EngineError> {
        Ok(Box::new(EncodedSource::new(&self.shared.table())))
    }

    fn digest(&self, at: Hlc) -> Result<DigestWork, EngineError> {
        let table = self.shared.table();
        Ok(Box::new(move || Ok(table.digest(at))))
    }

    fn statistics(&self) -> Statistics {
        Statistics { records: self.shared.table().rows(), bytes: 0 }
    }
}

struct FilesReader(Arc<Shared>);

impl Reader for FilesReader {
    fn read(&self, request: &[u8], now: Hlc) -> Result<Bytes, EngineError> {
        Ok(self.0.table().read(request, now))
    }
}

struct FilesSink {
    engine: FilesEngine,
    state: StateId,
    bytes: Vec<u8>,
    next: u32,
}

impl SnapshotSink for FilesSink {
    fn write(&mut self, chunk: &[u8]) -> Result<(), EngineError> {
        take_chunk(&mut self.bytes, &mut self.next, chunk)
    }

    fn finish(self: Box<Self>) -> Result<Box<dyn StateMachine>, EngineError> {
        let table =
            Table::decode(&self.bytes).map_err(|error| EngineError::BadSnapshot(error.to_string()))?;
        self.engine.store(self.state, &self.bytes)?;
        Ok(self.engine.machine(self.state, table))
    }
}

fn storage(error: io::Error) -> EngineError {
    EngineError::Storage(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::language::examples;
    use super::*;
    use crate::suite::{self, Subject};
    use tempfile::TempDir;

    struct Files(TempDir);

    impl Subject for Files {
        fn open(&mut self) -> Arc<dyn Engine> {
            Arc::new(FilesEngine::new(self.0.path()))
        }

        fn crash(&mut self, _running: Arc<dyn Engine>, _seed: u64) -> Arc<dyn Engine> {
            // What was not flushed is only in the memory of the engine that is left behind.
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
        suite::run(|| Files(TempDir::new().unwrap()));
    }

    #[test]
    fn the_durable_position_lags_until_a_flush() {
        let directory = TempDir::new().unwrap();
        let engine = FilesEngine::new(directory.path());
        let mut state = engine.create(StateId(1)).unwrap();
        state.commit(Applied { index: LogIndex(9), ..Applied::default() }, &[]).unwrap();
        assert_eq!((state.applied().index, state.durable()), (LogIndex(9), LogIndex(0)));
        engine.flush().unwrap();
        assert_eq!(state.durable(), LogIndex(9));
    }
}
