//! The pure memory engine: a state is one value, a commit replaces it, and that is durable at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use types::StateId;

use super::language::Table;
use super::state::{Committed, Durable, table_sink};
use crate::{Engine, EngineError, SnapshotSink, StateMachine};

/// An engine whose states live in memory. Clones share them, as processes share a disk.
#[derive(Clone, Default)]
pub struct MemoryEngine {
    states: Arc<Mutex<States>>,
}

/// The states; `None` is one whose snapshot is not complete.
type States = BTreeMap<StateId, Option<Arc<Committed>>>;

impl MemoryEngine {
    /// An engine without states.
    pub fn new() -> Self {
        Self::default()
    }

    fn states(&self) -> MutexGuard<'_, States> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn insert(&self, state: StateId, table: Table) -> Box<dyn StateMachine> {
        let committed = Committed::new(table, Durable::AtCommit);
        self.states().insert(state, Some(committed.clone()));
        committed.machine()
    }
}

impl Engine for MemoryEngine {
    fn create(&self, state: StateId) -> Result<Box<dyn StateMachine>, EngineError> {
        Ok(self.insert(state, Table::default()))
    }

    fn open(&self, state: StateId) -> Result<Box<dyn StateMachine>, EngineError> {
        let committed = self.states().get(&state).cloned().flatten();
        Ok(committed.ok_or(EngineError::Missing(state))?.machine())
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
        let engine = self.clone();
        Ok(table_sink(move |table| Ok(engine.insert(state, table))))
    }

    fn flush(&self) -> Result<(), EngineError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::state::tests::Stub;
    use super::*;
    use crate::suite;

    #[test]
    fn passes_the_suite() {
        suite::run(|| {
            let engine = MemoryEngine::new();
            Stub(move || Arc::new(engine.clone()) as Arc<dyn Engine>)
        });
    }
}
