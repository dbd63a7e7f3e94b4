//! The engine: makes, opens and removes states, and knows how far each is durable.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::records::{Batch, RecordStore};
use engine::{Compaction, Engine, EngineError, SnapshotSink, StateMachine};
use types::StateId;

use crate::layout::{FACTS, Facts};
use crate::snapshot::KvSink;
use crate::state::{KvState, Shared};

/// The kv engine of a node. It may share its store with other engines only if their states have
/// different ids.
pub struct KvEngine {
    store: Arc<dyn RecordStore>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// Every state that this process has opened, so that `flush` can tell each how far it is durable.
    states: BTreeMap<StateId, Arc<Shared>>,
    /// Whether what an earlier process wrote has been made durable by this one.
    has_persisted: bool,
}

impl KvEngine {
    /// An engine over a store of records.
    pub fn new(store: Arc<dyn RecordStore>) -> Self {
        Self { store, known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new place for what is shared about a state.
    fn register(&self, state: StateId) -> Arc<Shared> {
        let shared = Arc::<Shared>::default();
        self.known().states.insert(state, shared.clone());
        shared
    }

    /// What is shared about a state that is found at an index: as this process knows it, or new.
    fn find(&self, state: StateId, applied: u64) -> Result<Arc<Shared>, EngineError> {
        let mut known = self.known();
        if let Some(shared) = known.states.get(&state) {
            return Ok(shared.clone());
        }
        if !known.has_persisted {
            // What a dead process wrote may be in the page cache only, and look as if it was safe.
            self.store.persist()?;
            known.has_persisted = true;
        }
        let shared = Arc::<Shared>::default();
        shared.durable.store(applied, Ordering::Release);
        known.states.insert(state, shared.clone());
        Ok(shared)
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
        Ok(Box::new(KvState::new(records, facts, self.register(state))?))
    }

    fn open(&self, state: StateId) -> Result<Box<dyn StateMachine>, EngineError> {
        let records = self.store.open(state)?;
        let facts = records.get(FACTS)?.ok_or(EngineError::Missing(state))?;
        let facts = Facts::decode(&facts)?;
        let shared = self.find(state, facts.applied.index.get())?;
        Ok(Box::new(KvState::new(records, facts, shared)?))
    }

    fn list(&self) -> Result<Vec<StateId>, EngineError> {
        self.store.list()
    }

    fn remove(&self, state: StateId) -> Result<(), EngineError> {
        self.known().states.remove(&state);
        self.store.remove(state)
    }

    fn ingest(&self, state: StateId) -> Result<Box<dyn SnapshotSink>, EngineError> {
        let records = self.store.create(state)?;
        Ok(Box::new(KvSink::new(records, self.register(state))))
    }

    fn compact(&self, state: StateId) -> Result<Compaction, EngineError> {
        self.store.compact(state)
    }

    fn flush(&self) -> Result<(), EngineError> {
        let reached: Vec<(Arc<Shared>, u64)> = self
            .known()
            .states
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
