//! The store: one database, one keyspace for each state.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

use engine::records::{RecordStore, Records};
use engine::{Compaction, EngineError};
use fjall::{Database, KeyspaceCreateOptions, PersistMode};
use types::StateId;

use crate::error::{guarded, sort};
use crate::governor::{Governor, MEMTABLE_BYTES_MAX, memory_of};
use crate::journal;
use crate::old_tables::OldTables;
use crate::pieces::Filters;
use crate::records::FjallRecords;
use crate::tidy::{OWN_KEYSPACE, Place, Space, Tidier};

/// Threads that flush and compact. More would take cores from the threads that answer.
const WORKER_THREADS: usize = 1;
/// fjall wants at least this much room for journals.
const JOURNALS_BYTES_MIN: u64 = 64 * 1024 * 1024;
/// Files that are kept open. Their number grows with the data, and a process has a limit of them.
const OPEN_FILES_MAX: usize = 512;

/// How much memory a store may use.
#[derive(Clone, Copy, Debug)]
pub struct StoreOptions {
    /// For recent writes of all states, before they are in files.
    pub write_buffer_bytes: u64,
    /// For blocks read from files.
    pub block_cache_bytes: u64,
}

impl Default for StoreOptions {
    /// The defaults of the settings of the same names.
    fn default() -> Self {
        Self {
            write_buffer_bytes: types::settings::WRITE_BUFFER_BYTES.default_number(),
            block_cache_bytes: types::settings::BLOCK_CACHE_BYTES.default_number(),
        }
    }
}

/// A [`RecordStore`] on disk.
pub struct FjallStore {
    database: Database,
    /// Every keyspace there is.
    keyspaces: Arc<RwLock<BTreeMap<StateId, Space>>>,
    governor: Arc<Governor>,
    place: Place,
    old_tables: OldTables,
    /// Ends with the store.
    _tidier: Tidier,
}

impl FjallStore {
    /// Opens the store in a directory, which is made if it is not there.
    ///
    /// # Errors
    /// `Storage` when the disk refuses or another process has the store open; `Damaged` when the files
    /// are not what they should be.
    pub fn open(path: &Path, options: StoreOptions) -> Result<Self, EngineError> {
        journal::look_over(path)?;
        let old_tables = OldTables::start()?;
        let database = guarded(|| {
            Database::builder(path)
                .manual_journal_persist(true)
                .worker_threads(WORKER_THREADS)
                .cache_size(options.block_cache_bytes)
                .max_cached_files(Some(OPEN_FILES_MAX))
                .max_journaling_size(JOURNALS_BYTES_MIN.max(2 * options.write_buffer_bytes))
                .with_compaction_filter_factories(Filters::assigner(old_tables.keeper()))
                .open()
        })?;
        let mut keyspaces = BTreeMap::new();
        for name in database.list_keyspace_names().into_iter().filter(|name| &**name != OWN_KEYSPACE) {
            let state = parse_name(&name)?;
            let keyspace = guarded(|| database.keyspace(&name, keyspace_options))?;
            old_tables.watch(&keyspace);
            keyspaces.insert(state, Space::new(keyspace));
        }
        let keyspaces = Arc::new(RwLock::new(keyspaces));
        let governor = Governor::new(options.write_buffer_bytes, keyspaces.clone());
        let own = guarded(|| database.keyspace(OWN_KEYSPACE, keyspace_options))?;
        let place = Place { database: database.clone(), own, directory: path.to_owned() };
        let tidier = Tidier::start(place.clone(), keyspaces.clone())?;
        let governor = Arc::new(governor);
        Ok(Self { database, keyspaces, governor, place, old_tables, _tidier: tidier })
    }

    /// Memory that the writes not yet being flushed take, of all states together.
    pub fn memtable_bytes(&self) -> u64 {
        let keyspaces = self.keyspaces.read().unwrap_or_else(PoisonError::into_inner);
        keyspaces.values().map(|space| memory_of(&space.keyspace)).sum()
    }

    fn records(&self, space: Space) -> Arc<dyn Records> {
        Arc::new(FjallRecords::new(self.database.clone(), space, self.governor.clone()))
    }

    fn keyspaces_mut(&self) -> RwLockWriteGuard<'_, BTreeMap<StateId, Space>> {
        self.keyspaces.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RecordStore for FjallStore {
    fn create(&self, state: StateId) -> Result<Arc<dyn Records>, EngineError> {
        let mut keyspaces = self.keyspaces_mut();
        if keyspaces.contains_key(&state) {
            return Err(EngineError::Storage(format!("state {state} exists already")));
        }
        let keyspace = guarded(|| self.database.keyspace(&name_of(state), keyspace_options))?;
        self.old_tables.watch(&keyspace);
        let space = Space::new(keyspace);
        keyspaces.insert(state, space.clone());
        Ok(self.records(space))
    }

    fn open(&self, state: StateId) -> Result<Arc<dyn Records>, EngineError> {
        let keyspaces = self.keyspaces.read().unwrap_or_else(PoisonError::into_inner);
        match keyspaces.get(&state) {
            Some(space) => Ok(self.records(space.clone())),
            None => Err(EngineError::Missing(state)),
        }
    }

    fn list(&self) -> Result<Vec<StateId>, EngineError> {
        let keyspaces = self.keyspaces.read().unwrap_or_else(PoisonError::into_inner);
        Ok(keyspaces.keys().copied().collect())
    }

    fn remove(&self, state: StateId) -> Result<(), EngineError> {
        let removed = self.keyspaces_mut().remove(&state);
        match removed {
            Some(space) => {
                self.old_tables.forget(&space.keyspace);
                guarded(|| self.database.delete_keyspace(space.keyspace))
            }
            None => Ok(()),
        }
    }

    fn persist(&self) -> Result<(), EngineError> {
        self.database.persist(PersistMode::SyncAll).map_err(sort)
    }

    fn compact(&self, state: StateId) -> Result<Compaction, EngineError> {
        let space = self.keyspaces.read().unwrap_or_else(PoisonError::into_inner).get(&state).cloned();
        space.map_or(Ok(Compaction::Done), |space| self.place.compact_now(&space))
    }
}

fn keyspace_options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default().manual_journal_persist(true).max_memtable_size(MEMTABLE_BYTES_MAX)
}

/// The name of a state's keyspace: 16 hexadecimal digits.
fn name_of(state: StateId) -> String {
    format!("{:016x}", state.get())
}

fn parse_name(name: &str) -> Result<StateId, EngineError> {
    match u64::from_str_radix(name, 16) {
        Ok(number) if name == name_of(StateId(number)) => Ok(StateId(number)),
        _ => Err(EngineError::Damaged(format!("a keyspace has the strange name {name:?}"))),
    }
}
