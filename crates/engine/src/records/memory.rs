//! Records in memory, with an honest crash: what was not made durable may be lost.
//!
//! The simulator runs the product's engines on this store. A map is shared with its views by `Arc` and
//! copied only when a write meets a view that is still alive, so a view costs one counter. Writes since
//! the last persist keep an undo note each; a crash plays some of the latest notes back.
//!
//! ```text
//!            persist            crash(seed) cuts here
//!               │                      │
//!   ────────────┼──batch──batch──batch─┼─batch──batch──►
//!    durable    │      survives        │     lost
//! ```

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use bytes::Bytes;
use types::StateId;

use super::{Batch, Record, RecordIter, RecordStore, Records, View, check_key};
use crate::EngineError;

type Map = BTreeMap<Bytes, Bytes>;

/// A [`RecordStore`] in memory. Clones share the same records.
#[derive(Clone, Default)]
pub struct MemoryRecordStore {
    states: Arc<Mutex<BTreeMap<StateId, Arc<MemoryRecords>>>>,
}

/// The [`Records`] of one state in memory.
#[derive(Default)]
pub struct MemoryRecords {
    content: RwLock<Content>,
}

#[derive(Default)]
struct Content {
    map: Arc<Map>,
    /// Sum of the lengths of all keys and values.
    bytes: u64,
    /// One for each batch that is not durable, oldest first.
    undo: Vec<Vec<(Bytes, Option<Bytes>)>>,
}

impl MemoryRecordStore {
    /// A store without any records.
    pub fn new() -> Self {
        Self::default()
    }

    /// What a crash of the machine leaves: of each state's batches since the last persist a prefix
    /// survives, whose length is a function of `seed` and the state. Handles from before the crash go on
    /// with what they had, apart from the store, like a process that is dead but still referenced.
    pub fn crash(&self, seed: u64) {
        let mut states = self.lock();
        for (state, records) in states.iter_mut() {
            let content = records.read();
            let undone = content.undo.len() as u64;
            let lost = mix(seed ^ mix(state.get())) % (undone + 1);
            let survivor = content.without_last(lost as usize);
            drop(content);
            *records = Arc::new(MemoryRecords { content: RwLock::new(survivor) });
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<StateId, Arc<MemoryRecords>>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RecordStore for MemoryRecordStore {
    fn create(&self, state: StateId) -> Result<Arc<dyn Records>, EngineError> {
        let mut states = self.lock();
        if states.contains_key(&state) {
            return Err(EngineError::Storage(format!("state {state} exists already")));
        }
        let records = Arc::new(MemoryRecords::default());
        states.insert(state, records.clone());
        Ok(records)
    }

    fn open(&self, state: StateId) -> Result<Arc<dyn Records>, EngineError> {
        match self.lock().get(&state) {
            Some(records) => Ok(records.clone()),
            None => Err(EngineError::Missing(state)),
        }
    }

    fn list(&self) -> Result<Vec<StateId>, EngineError> {
        Ok(self.lock().keys().copied().collect())
    }

    fn remove(&self, state: StateId) -> Result<(), EngineError> {
        self.lock().remove(&state);
        Ok(())
    }

    fn persist(&self) -> Result<(), EngineError> {
        for records in self.lock().values() {
            records.write_content(|content| content.undo.clear());
        }
        Ok(())
    }
}

impl MemoryRecords {
    fn read(&self) -> std::sync::RwLockReadGuard<'_, Content> {
        self.content.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_content<T>(&self, change: impl FnOnce(&mut Content) -> T) -> T {
        change(&mut self.content.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Records for MemoryRecords {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        Ok(self.read().map.get(key).cloned())
    }

    fn view(&self) -> Arc<dyn View> {
        Arc::new(MemoryView(self.read().map.clone()))
    }

    fn write(&self, batch: Batch) -> Result<(), EngineError> {
        batch.writes.iter().try_for_each(|(key, _)| check_key(key))?;
        self.write_content(|content| {
            let undo = batch.writes.into_iter().map(|(key, value)| content.set(key, value)).collect();
            content.undo.push(undo);
        });
        Ok(())
    }

    fn ingest(
        &self,
        records: &mut dyn Iterator<Item = Result<Record, EngineError>>,
    ) -> Result<(), EngineError> {
        let mut last = self.read().map.keys().next_back().cloned();
        let mut added = Vec::new();
        for record in records {
            let (key, value) = record?;
            check_key(&key)?;
            if last.as_ref().is_some_and(|last| *last >= key) {
                return Err(EngineError::Storage("ingested keys do not ascend".into()));
            }
            last = Some(key.clone());
            added.push((key, value));
        }
        self.write_content(|content| {
            for (key, value) in added {
                content.set(key, Some(value));
            }
            content.undo.clear();
        });
        Ok(())
    }

    fn bytes(&self) -> u64 {
        self.read().bytes
    }
}

impl Content {
    /// Changes one record and returns what undoes it.
    fn set(&mut self, key: Bytes, value: Option<Bytes>) -> (Bytes, Option<Bytes>) {
        let map = Arc::make_mut(&mut self.map);
        let length = key.len() as u64;
        let added = value.as_ref().map_or(0, |value| length + value.len() as u64);
        let before = match value {
            Some(value) => map.insert(key.clone(), value),
            None => map.remove(&key),
        };
        self.bytes += added;
        self.bytes -= before.as_ref().map_or(0, |value| length + value.len() as u64);
        (key, before)
    }

    /// The content with the last `count` batches taken back; the rest counts as durable.
    fn without_last(&self, count: usize) -> Content {
        let mut survivor = Content { map: self.map.clone(), bytes: self.bytes, undo: Vec::new() };
        for batch in self.undo.iter().rev().take(count) {
            for (key, before) in batch.iter().rev() {
                survivor.set(key.clone(), before.clone());
            }
        }
        survivor
    }
}

struct MemoryView(Arc<Map>);

impl View for MemoryView {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        Ok(self.0.get(key).cloned())
    }

    fn range(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, reverse: bool) -> RecordIter<'_> {
        if is_empty_range(from, to) {
            return Box::new(std::iter::empty());
        }
        let records = self.0.range::<[u8], _>((from, to));
        let records = records.map(|(key, value)| Ok((key.clone(), value.clone())));
        if reverse { Box::new(records.rev()) } else { Box::new(records) }
    }
}

/// Whether nothing can lie between two bounds. Ordered maps panic on such ranges, so they are asked
/// about before.
pub fn is_empty_range(from: Bound<&[u8]>, to: Bound<&[u8]>) -> bool {
    match (from, to) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(from), Bound::Included(to)) => from > to,
        (Bound::Included(from) | Bound::Excluded(from), Bound::Included(to) | Bound::Excluded(to)) => {
            from >= to
        }
    }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood, 2014): spreads a seed over all bits.
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::super::suite::{self, Subject};
    use super::*;

    struct Memory(MemoryRecordStore);

    impl Subject for Memory {
        fn open(&mut self) -> Arc<dyn RecordStore> {
            Arc::new(self.0.clone())
        }

        fn crash(&mut self, running: Arc<dyn RecordStore>, seed: u64) -> Arc<dyn RecordStore> {
            drop(running);
            self.0.crash(seed);
            self.open()
        }
    }

    #[test]
    fn passes_the_suite() {
        suite::run(|| Memory(MemoryRecordStore::new()));
    }

    #[test]
    fn crashes_cut_at_every_place_and_repeat_by_seed() {
        let survivors = |seed| {
            let store = MemoryRecordStore::new();
            let records = store.create(StateId(1)).unwrap();
            for number in 0..4_u8 {
                let mut batch = Batch::default();
                batch.put(vec![number], vec![]);
                records.write(batch).unwrap();
            }
            store.crash(seed);
            let left = store
                .open(StateId(1))
                .unwrap()
                .view()
                .range(Bound::Unbounded, Bound::Unbounded, false)
                .count();
            assert_eq!(records.bytes(), 4, "a handle from before the crash changed");
            left
        };
        let seen: std::collections::BTreeSet<usize> = (0..64).map(survivors).collect();
        assert_eq!(seen, (0..=4).collect(), "some cut never happens");
        assert_eq!(survivors(9), survivors(9));
    }
}
