//! The files engine: a state is a file that is written as a whole, only when the engine is flushed.
//!
//! Between flushes everything new is in memory, so the durable position lags behind the applied one and
//! a crash goes back to the last flush, as with a search index that commits once a second. A file is
//! replaced by writing another one and renaming it; an unfinished snapshot is an empty file.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use types::StateId;

use super::language::Table;
use super::state::{Committed, Durable, table_sink};
use crate::{Engine, EngineError, SnapshotSink, StateMachine};

/// An engine whose states are files in a directory.
#[derive(Clone)]
pub struct FilesEngine {
    directory: PathBuf,
    /// The states that are open.
    open: Arc<Mutex<BTreeMap<StateId, Arc<Committed>>>>,
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

    fn states(&self) -> MutexGuard<'_, BTreeMap<StateId, Arc<Committed>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state machine of a table that is in its file.
    fn machine(&self, state: StateId, table: Table) -> Box<dyn StateMachine> {
        let committed = Committed::new(table, Durable::WhenFlushed);
        self.states().insert(state, committed.clone());
        committed.machine()
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
        let engine = self.clone();
        Ok(table_sink(move |table| {
            engine.store(state, &table.encode())?;
            Ok(engine.machine(state, table))
        }))
    }

    fn flush(&self) -> Result<(), EngineError> {
        let states: Vec<(StateId, Arc<Committed>)> =
            self.states().iter().map(|(state, committed)| (*state, committed.clone())).collect();
        for (state, committed) in states {
            let table = committed.table();
            if table.applied.index > *committed.durable() {
                self.store(state, &table.encode())?;
                *committed.durable() = table.applied.index;
            }
        }
        Ok(())
    }
}

fn storage(error: io::Error) -> EngineError {
    EngineError::Storage(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::state::tests::Stub;
    use super::*;
    use crate::{Applied, suite};
    use tempfile::TempDir;
    use types::LogIndex;

    #[test]
    fn passes_the_suite() {
        suite::run(|| {
            let directory = TempDir::new().unwrap();
            // What was not flushed is only in the memory of the engine that is left behind.
            Stub(move || Arc::new(FilesEngine::new(directory.path())) as Arc<dyn Engine>)
        });
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
