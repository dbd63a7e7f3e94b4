//! The records of one state: a keyspace.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use engine::EngineError;
use engine::records::{Batch, Record, RecordIter, Records, View, check_key, is_empty_range};
use fjall::{Database, Guard, Keyspace, Readable, Snapshot};

use crate::error::guarded;
use crate::governor::{Governor, memory_of};
use crate::tidy::{Activity, Space};

/// The records of one state.
pub(crate) struct FjallRecords {
    database: Database,
    keyspace: Keyspace,
    activity: Arc<Activity>,
    governor: Arc<Governor>,
}

impl FjallRecords {
    /// The records in a keyspace.
    pub(crate) fn new(database: Database, space: Space, governor: Arc<Governor>) -> Self {
        let Space { keyspace, activity } = space;
        Self { database, keyspace, activity, governor }
    }

    fn last_key(&self) -> Result<Option<Bytes>, EngineError> {
        let last =
            guarded(|| self.database.snapshot().last_key_value(&self.keyspace).map(Guard::key).transpose())?;
        Ok(last.map(Bytes::from))
    }
}

impl Records for FjallRecords {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        // A plain `Keyspace::get` would see a batch whose other writes are still on their way.
        let value = guarded(|| self.database.snapshot().get(&self.keyspace, key))?;
        Ok(value.map(Bytes::from))
    }

    fn get_latest(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        let value = guarded(|| self.keyspace.get(key))?;
        Ok(value.map(Bytes::from))
    }

    fn view(&self) -> Arc<dyn View> {
        Arc::new(FjallView { snapshot: self.database.snapshot(), keyspace: self.keyspace.clone() })
    }

    fn write(&self, batch: Batch) -> Result<(), EngineError> {
        self.governor.admit(&self.keyspace)?;
        let records = batch.writes.len();
        let (mut bytes, mut removed) = (0, 0);
        let mut writes = fjall::OwnedWriteBatch::with_capacity(self.database.clone(), records);
        for (key, value) in batch.writes {
            check_key(&key)?;
            bytes += key.len() as u64;
            match value {
                Some(value) => {
                    bytes += value.len() as u64;
                    writes.insert(&self.keyspace, key, value);
                }
                None => {
                    removed += 1;
                    writes.remove(&self.keyspace, key);
                }
            }
        }
        guarded(|| writes.commit())?;
        self.activity.note(removed);
        self.governor.note_write(bytes, records as u64)
    }

    fn ingest(
        &self,
        records: &mut dyn Iterator<Item = Result<Record, EngineError>>,
    ) -> Result<(), EngineError> {
        let mut last = self.last_key()?;
        let mut ingestion = guarded(|| self.keyspace.start_ingestion())?;
        for record in records {
            let (key, value) = record?;
            check_key(&key)?;
            if last.as_ref().is_some_and(|last| *last >= key) {
                return Err(EngineError::Storage("ingested keys do not ascend".into()));
            }
            last = Some(key.clone());
            guarded(|| ingestion.write(key, value))?;
        }
        guarded(|| ingestion.finish())
    }

    fn bytes(&self) -> u64 {
        self.keyspace.disk_space() + memory_of(&self.keyspace)
    }
}

struct FjallView {
    snapshot: Snapshot,
    keyspace: Keyspace,
}

impl View for FjallView {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        let value = guarded(|| self.snapshot.get(&self.keyspace, key))?;
        Ok(value.map(Bytes::from))
    }

    fn range(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, reverse: bool) -> RecordIter<'_> {
        if is_empty_range(from, to) {
            return Box::new(std::iter::empty());
        }
        let guards = match guarded(|| Ok(self.snapshot.range::<&[u8], _>(&self.keyspace, (from, to)))) {
            Ok(guards) => guards,
            Err(error) => return Box::new(std::iter::once(Err(error))),
        };
        Box::new(Walk { guards, reverse, failed: false })
    }
}

/// Records of a range, one way or the other. Ends after an error.
struct Walk {
    guards: fjall::Iter,
    reverse: bool,
    failed: bool,
}

impl Iterator for Walk {
    type Item = Result<Record, EngineError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let (guards, reverse) = (&mut self.guards, self.reverse);
        let record = guarded(|| {
            let guard = if reverse { guards.next_back() } else { guards.next() };
            guard.map(Guard::into_inner).transpose()
        });
        self.failed = record.is_err();
        record.map(|record| record.map(|(key, value)| (key.into(), value.into()))).transpose()
    }
}
