//! Old tables, and who removes their files.
//!
//! fjall keeps the versions of a state that somebody may still read. When it forgets one it removes the files of the
//! tables that only that one had, one after another, under the lock of the state that every read and every write takes.
//! On a file system that needs 5 ms for a file of 16 MiB, the end of a compaction of half a gigabyte kept clients
//! waiting for 180 ms. So before anything is replaced the tables of then are put aside; the file of a table goes with
//! its last holder, which is this module's thread.
//!
//! ```text
//!   a compaction ends ──► kept: tables 1 2 3 ──► replaced: the state is at version 8, without 1 and 2
//!   fjall forgets version 7: no file goes, for here they are held
//!   fjall's first version is 8 or later ──► let go: files 1 and 2 go, without a lock
//! ```
//!
//! fjall does not say which versions it has, but how many, and the number of the last one. A version's number is at
//! most one more than that of the version before it (`version/mod.rs` of lsm-tree 3.1.10, which is pinned), so the
//! first of `n` that end with version `v` is `v - n + 1` or later.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use engine::EngineError;
use fjall::{AbstractTree, AnyTree};
use lsm_tree::{Table, TableId};

/// How often it is looked whether tables may go, while there are any.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A compaction that has not replaced anything so long after its end never will.
const REPLACED_WITHIN: Duration = Duration::from_secs(60);

/// The tables that are kept, and the thread that lets go of them. Dropping it lets go of all.
pub(crate) struct OldTables {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Where compactions put tables aside.
#[derive(Clone)]
pub(crate) struct Keeper(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The states that are looked after, by the names of their keyspaces.
    trees: BTreeMap<String, AnyTree>,
    kept: Vec<Kept>,
    ends: bool,
}

/// The tables of a state at the end of a compaction.
struct Kept {
    /// Of which keyspace.
    name: String,
    /// All of them; only those that were replaced once that is known.
    tables: BTreeMap<TableId, Table>,
    since: Instant,
    /// The first version that was seen without some of them.
    replaced_by: Option<u64>,
}

impl OldTables {
    /// Begins with nothing to look after.
    ///
    /// # Errors
    /// `Storage` when the system gives no thread.
    pub(crate) fn start() -> Result<Self, EngineError> {
        let shared = Arc::<Shared>::default();
        let own = shared.clone();
        let thread = std::thread::Builder::new().name("old-tables".into()).spawn(move || own.run());
        let thread = thread.map_err(|error| EngineError::Storage(format!("no thread: {error}")))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// For the compactions of a store.
    pub(crate) fn keeper(&self) -> Keeper {
        Keeper(self.shared.clone())
    }

    /// Looks after a state from now on.
    pub(crate) fn watch(&self, keyspace: &fjall::Keyspace) {
        self.shared.lock().trees.insert(keyspace.name().to_string(), keyspace.tree.clone());
    }

    /// A state is to be removed.
    pub(crate) fn forget(&self, keyspace: &fjall::Keyspace) {
        let name = &**keyspace.name();
        let (_tree, _tables) = {
            let mut state = self.shared.lock();
            let is_its = |kept: &mut Kept| *kept.name == *name;
            (state.trees.remove(name), state.kept.extract_if(.., is_its).collect::<Vec<_>>())
        };
    }
}

impl Drop for OldTables {
    fn drop(&mut self) {
        self.shared.lock().ends = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Keeper {
    /// A compaction of a state has merged everything, holds no lock, and is about to replace tables.
    pub(crate) fn ends(&self, keyspace: &str) {
        let Some(tree) = self.0.lock().trees.get(keyspace).cloned() else { return };
        let kept = Kept::of(keyspace, &tree);
        self.0.lock().kept.push(kept);
        self.0.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut state = self.lock();
        while !state.ends {
            if state.kept.is_empty() {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let ends = |state: &mut State| !state.ends;
            let waited = self.changed.wait_timeout_while(state, LOOK_EVERY, ends);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            let State { trees, kept, .. } = &mut *state;
            let gone: Vec<Kept> = kept.extract_if(.., |kept| kept.may_go(trees)).collect();
            // Here files are removed, while compactions may put more tables aside.
            drop(state);
            drop(gone);
            state = self.lock();
        }
        state.trees.clear();
        let _kept = std::mem::take(&mut state.kept);
        drop(state);
    }
}

impl Kept {
    fn of(keyspace: &str, tree: &AnyTree) -> Self {
        let version = tree.current_version();
        let tables = version.iter_tables().map(|table| (table.id(), table.clone())).collect();
        Self { name: keyspace.to_owned(), tables, since: Instant::now(), replaced_by: None }
    }

    /// Whether fjall has forgotten every version with tables that were replaced.
    fn may_go(&mut self, trees: &BTreeMap<String, AnyTree>) -> bool {
        let Some(tree) = trees.get(&self.name) else { return true };
        // In this order: the list may grow in between, which makes the bound lower, never higher.
        let version = tree.current_version();
        let first = version.id().saturating_sub(tree.version_free_list_len() as u64);
        if self.replaced_by.is_none() {
            let there: BTreeSet<TableId> = version.iter_tables().map(Table::id).collect();
            if self.tables.keys().any(|table| !there.contains(table)) {
                self.replaced_by = Some(version.id());
                self.tables.retain(|table, _| !there.contains(table));
            }
        }
        match self.replaced_by {
            Some(version) => version <= first,
            None => self.since.elapsed() >= REPLACED_WITHIN,
        }
    }
}

#[cfg(test)]
mod tests {
    use fjall::{Database, Keyspace, KeyspaceCreateOptions};
    use lsm_tree::file::TABLES_FOLDER;

    use super::*;
    use crate::governor::wait_until_less;

    /// One flushed table.
    fn flush(keyspace: &Keyspace, value: &str) {
        keyspace.insert("key", value).unwrap();
        keyspace.rotate_memtable().unwrap();
        wait_until_less(1, || keyspace.sealed_memtable_count() as u64).unwrap();
    }

    #[test]
    fn a_table_that_was_replaced_goes_when_fjall_has_forgotten_it_and_not_before() {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::builder(directory.path()).worker_threads(1).open().unwrap();
        let keyspace = database.keyspace("state", KeyspaceCreateOptions::default).unwrap();
        let other = database.keyspace("other", KeyspaceCreateOptions::default).unwrap();
        let tables = keyspace.path().join(TABLES_FOLDER);
        let trees = BTreeMap::from([("state".to_owned(), keyspace.tree.clone())]);
        flush(&keyspace, "1");
        flush(&keyspace, "2");
        let mut kept = Kept::of("state", &keyspace.tree);
        let files = || kept.tables.keys().filter(|id| tables.join(id.to_string()).exists()).count();
        let both = files();
        assert_eq!(both, 2);

        // A view keeps fjall from forgetting.
        let view = database.snapshot();
        keyspace.major_compact().unwrap();
        flush(&other, "1");
        assert!(!kept.may_go(&trees), "fjall has it still");
        assert!(kept.replaced_by.is_some());
        drop(view);
        let mut looks = 0;
        while !kept.may_go(&trees) {
            flush(&other, "2");
            looks += 1;
            assert!(looks < 100, "fjall never forgets it");
        }
        let (ids, there) = (kept.tables.keys().copied().collect::<Vec<_>>(), |id: &TableId| {
            tables.join(id.to_string()).exists()
        });
        assert!(ids.iter().all(there), "somebody removed a file that is held here");
        drop(kept);
        assert!(!ids.iter().any(there));
    }

    #[test]
    fn what_a_compaction_replaces_is_put_aside_and_let_go() {
        let directory = tempfile::tempdir().unwrap();
        let old_tables = OldTables::start().unwrap();
        let filters = crate::pieces::Filters::assigner(old_tables.keeper());
        let database = Database::builder(directory.path())
            .worker_threads(1)
            .with_compaction_filter_factories(filters)
            .open()
            .unwrap();
        let keyspace = database.keyspace("state", KeyspaceCreateOptions::default).unwrap();
        let other = database.keyspace("other", KeyspaceCreateOptions::default).unwrap();
        old_tables.watch(&keyspace);
        flush(&keyspace, "1");
        flush(&keyspace, "2");
        let view = database.snapshot();
        keyspace.major_compact().unwrap();
        assert_eq!(old_tables.shared.lock().kept.len(), 1, "the compaction put nothing aside");
        drop(view);
        wait_until_less(1, || {
            flush(&other, "1");
            old_tables.shared.lock().kept.len() as u64
        })
        .unwrap();
        old_tables.forget(&keyspace);
        assert!(old_tables.shared.lock().trees.is_empty());
    }
}
