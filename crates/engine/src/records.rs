//! Ordered records: the store that engines with keys and values stand on.
//!
//! A [`RecordStore`] holds many independent [`Records`], one for each state incarnation of a node. The
//! log is the durability: a write is not durable until [`RecordStore::persist`] returns, but a crash
//! always leaves the effect of a *prefix* of the writes to one `Records`, each batch whole or absent.

mod memory;
pub mod suite;

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use types::StateId;

use crate::{Compaction, EngineError};

pub use memory::{MemoryRecordStore, MemoryRecords, is_empty_range};

/// One record. Keys have 1 to [`KEY_BYTES_MAX`] bytes, values up to 4 GiB.
pub type Record = (Bytes, Bytes);

/// Longest key of a record, in bytes: what log-structured stores keep in 16 bits.
pub const KEY_BYTES_MAX: usize = u16::MAX as usize;

/// Writes that become visible at once. Later writes to a key win.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Keys with their new values; `None` removes.
    pub writes: Vec<(Bytes, Option<Bytes>)>,
}

impl Batch {
    /// Stores a record.
    pub fn put(&mut self, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.writes.push((key.into(), Some(value.into())));
    }

    /// Removes a record.
    pub fn remove(&mut self, key: impl Into<Bytes>) {
        self.writes.push((key.into(), None));
    }
}

/// Refuses keys that a store cannot hold.
///
/// # Errors
/// `Storage` for an empty key or one over [`KEY_BYTES_MAX`]; the engine above has a bug.
pub fn check_key(key: &[u8]) -> Result<(), EngineError> {
    match key.len() {
        1..=KEY_BYTES_MAX => Ok(()),
        bytes => Err(EngineError::Storage(format!("a record's key has {bytes} bytes"))),
    }
}

/// All ordered records of a node, by state.
pub trait RecordStore: Send + Sync {
    /// Makes an empty set of records. Its existence is durable when this returns.
    ///
    /// # Errors
    /// `Storage` when there is one already, or the disk refuses.
    fn create(&self, state: StateId) -> Result<Arc<dyn Records>, EngineError>;

    /// Opens a set of records, with every write that has returned and was not lost in a crash.
    ///
    /// # Errors
    /// `Missing` when there is none.
    fn open(&self, state: StateId) -> Result<Arc<dyn Records>, EngineError>;

    /// Every set there is, in order.
    fn list(&self) -> Result<Vec<StateId>, EngineError>;

    /// Removes a set; fine if it is gone. Handles and views of it may go on until they are dropped.
    fn remove(&self, state: StateId) -> Result<(), EngineError>;

    /// Makes every write that returned before this call durable.
    ///
    /// # Errors
    /// `Storage` when the disk refuses. What is durable is then not known, and the process must not go
    /// on with this store.
    fn persist(&self) -> Result<(), EngineError>;

    /// See [`crate::Engine::compact`].
    ///
    /// # Errors
    /// `Storage` when the disk refuses, `Damaged` when stored bytes do not fit.
    fn compact(&self, state: StateId) -> Result<Compaction, EngineError> {
        let _ = state;
        Ok(Compaction::Done)
    }
}

/// The ordered records of one state.
pub trait Records: Send + Sync {
    /// The latest value of a key. Never a value of a batch whose other writes are not visible yet.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError>;

    /// The latest value of a key, for whoever writes: no batch is on its way while he looks, so nobody needs to make
    /// sure that what is seen of one is all of it.
    fn get_latest(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        self.get(key)
    }

    /// A consistent view of now. Every read of more than one key goes through one.
    fn view(&self) -> Arc<dyn View>;

    /// Applies a batch at once. One writer at a time.
    ///
    /// # Errors
    /// `Storage` when the disk refuses, or a key does not pass [`check_key`]; nothing is written then.
    fn write(&self, batch: Batch) -> Result<(), EngineError>;

    /// Adds records in bulk, keys ascending strictly and all above any that is there. Durable when
    /// this returns, and so is every batch before it.
    ///
    /// # Errors
    /// `Storage` when the keys do not ascend, and whatever the iterator reports; the set has then none
    /// of the new records.
    fn ingest(
        &self,
        records: &mut dyn Iterator<Item = Result<Record, EngineError>>,
    ) -> Result<(), EngineError>;

    /// Bytes on disk and in memory, approximate.
    fn bytes(&self) -> u64;
}

/// Records in key order.
pub type RecordIter<'a> = Box<dyn Iterator<Item = Result<Record, EngineError>> + Send + 'a>;

/// A consistent view of one set of records.
pub trait View: Send + Sync {
    /// The value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError>;

    /// Records between two keys, ascending, or descending if `reverse`.
    fn range(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, reverse: bool) -> RecordIter<'_>;
}
