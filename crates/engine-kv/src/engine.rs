//! The engine: makes, opens and removes states, and knows how far each is durable.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::records::{Batch, RecordStore};
use engine::{Engine, EngineError, SnapshotSink, StateMachine};
use types::StateId;

use crate::layout::{FACTS, Facts};
use crate::snapshot::KvSink;
use crate::state::{KvState, Shared};

/// The kv engine of a node. It may share its store with other engines only if their states have
/// different ids.
pub struct KvEngine {
    store: Arc<dyn RecordStore>,
    /// Every state that this process has opened, so that `flush` can tell each how far it is durable.
    states: Mutex<BTreeMap<StateId, Arc<Shared>>>,
}

impl KvEngine {
    /// An engine over a store of records.
    pub fn new(store: Arc<dyn RecordStore>) -> Self {
        Self { store, states: Mutex::default() }
    }

    fn states(&self) -> MutexGuard<'_, BTreeMap<StateId, Arc<Shared>>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new place for what is shared about a state.
    fn register(&self, state: StateId) -> Arc<Shared> {
        let shared = Arc::<Shared>::default();
        self.states().insert(state, shared.clone());
        shared
    }
}

impl Engine for KvEngine {
    fn create(&self, state: StateId) -> Result<Box<dyn StateMachine>, EngineError> {
        let records = self.store.create(state)?;
        let facts = Facts::default();
        let mut batch = Batch::default();
        batch.put(FACTS, facts.encode());
        records.write(batch)?;
        // A state that was created is there after a crash; only an unfinished snapshot is not.
        self.store.persist()?;
        Ok(Box::new(KvState::new(records, facts, self.register(state))))
    }

    fn open(&self, state: StateId) -> Result<Box<dyn StateMachine>, EngineError> {
        let records = self.store.open(state)?;
        let facts = records.get(FACTS)?.ok_or(EngineError::Missing(state))?;
        let facts = Facts::decode(&facts)?;
        let known = self.states().get(&state).cloned();
        let shared = match known {
            Some(shared) => shared,
            None => {
                // What a dead process wrote may be in the page cache only, and look as if it was safe.
                self.store.persist()?;
                let shared = self.register(state);
                shared.durable.store(facts.applied.index.get(), Ordering::Release);
                shared
            }
        };
        Ok(Box::new(KvState::new(records, facts, shared)))
    }

    fn list(&self) -> Result<Vec<StateId>, EngineError> {
        self.store.list()
    }

    fn remove(&self, state: StateId) -> Result<(), EngineError> {
        self.states().remove(&state);
        self.store.remove(state)
    }

    fn ingest(&self, state: StateId) -> Result<Box<dyn SnapshotSink>, EngineError> {
        let records = self.store.create(state)?;
        Ok(Box::new(KvSink::new(records, self.register(state))))
    }

    fn flush(&self) -> Result<(), EngineError> {
        let reached: Vec<(Arc<Shared>, u64)> = self
            .states()
            .values()
            .map(|shared| (shared.clone(), shared.applied.load(Ordering::Acquire)))
            .collect();
        self.store.persist()?;
        for (shared, index) in reached {
            shared.durable.fetch_max(index, Ordering::AcqRel);
        }
        Ok(())
    }
}
