//! The governor: keeps the memory of all memtables together under the node's budget.
//!
//! fjall flushes a memtable when it alone passes [`MEMTABLE_BYTES_MAX`]. Hundreds of states would use
//! hundreds of times that, and a state that stopped writing would keep its memtable, and with it every
//! journal since, for ever. So whenever a share of the budget has been written, the largest memtables
//! are sealed and flushed until the rest fits. Journals are bounded by fjall, which flushes the states
//! that hold the oldest one when all together pass `max_journaling_size`.
//!
//! It also slows writers when flushes fall behind, and refuses when they have stopped altogether.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use engine::EngineError;
use fjall::{AbstractTree, Keyspace};
use types::StateId;

use crate::error::guarded;
use crate::tidy::Space;

/// A memtable of this size is flushed: small, so that a restart has little to read again.
pub(crate) const MEMTABLE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// What a record in a memtable costs besides what fjall counts (key, value and 80 bytes): the node of a
/// skip list and the heads of three allocations. Measured: 270 bytes for a key and value of 123.
const RECORD_OVERHEAD_BYTES: u64 = 64;
/// What fjall counts for a record besides key and value.
const RECORD_COUNTED_BYTES: u64 = 80;
/// The memtables are looked at each time this part of the budget has been written.
const CHECKS_PER_BUDGET: u64 = 16;
/// Sealed memtables that a state may have waiting. At four fjall itself would put the writer to sleep,
/// without an end.
const SEALED_MAX: usize = 3;
/// How long a writer looks away while flushes are behind.
const PAUSE: Duration = Duration::from_millis(5);
/// Flushes that make no progress for this long never will.
const STUCK_AFTER: Duration = Duration::from_secs(60);

/// Watches over the memtables of a store.
pub(crate) struct Governor {
    budget_bytes: u64,
    keyspaces: Arc<RwLock<BTreeMap<StateId, Space>>>,
    /// Bytes written since the last look.
    unseen_bytes: AtomicU64,
    /// One look at a time.
    looking: Mutex<()>,
}

impl Governor {
    /// A governor of these keyspaces.
    pub(crate) fn new(budget_bytes: u64, keyspaces: Arc<RwLock<BTreeMap<StateId, Space>>>) -> Self {
        Self { budget_bytes, keyspaces, unseen_bytes: AtomicU64::new(0), looking: Mutex::new(()) }
    }

    /// Called before a write: waits while the state has too much that is sealed and not flushed.
    ///
    /// # Errors
    /// `Storage` when flushes have stopped.
    pub(crate) fn admit(&self, keyspace: &Keyspace) -> Result<(), EngineError> {
        wait_until_less(SEALED_MAX as u64, || keyspace.sealed_memtable_count() as u64)
    }

    /// Called after a write of some bytes in some records.
    ///
    /// # Errors
    /// `Storage` when flushes have stopped.
    pub(crate) fn note_write(&self, bytes: u64, records: u64) -> Result<(), EngineError> {
        let bytes = bytes + records * (RECORD_COUNTED_BYTES + RECORD_OVERHEAD_BYTES);
        let share = self.budget_bytes / CHECKS_PER_BUDGET;
        if self.unseen_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes < share {
            return Ok(());
        }
        // Writers that come while another one waits for flushes wait behind it.
        let _guard = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
        if self.unseen_bytes.load(Ordering::Relaxed) < share {
            return Ok(());
        }
        self.unseen_bytes.store(0, Ordering::Relaxed);
        self.look()
    }

    /// Seals the largest memtables until the rest fits the budget, and waits until what is sealed is at
    /// most half of it.
    fn look(&self) -> Result<(), EngineError> {
        let keyspaces: Vec<Keyspace> = {
            let keyspaces = self.keyspaces.read().unwrap_or_else(PoisonError::into_inner);
            keyspaces.values().map(|space| space.keyspace.clone()).collect()
        };
        let mut sizes: Vec<(u64, &Keyspace)> =
            keyspaces.iter().map(|keyspace| (memory_of(keyspace), keyspace)).collect();
        let mut sum: u64 = sizes.iter().map(|(bytes, _)| bytes).sum();
        sizes.sort_by_key(|(bytes, _)| *bytes);
        while sum > self.budget_bytes
            && let Some((bytes, keyspace)) = sizes.pop()
        {
            sum -= bytes;
            guarded(|| keyspace.rotate_memtable())?;
        }
        wait_until_less(self.budget_bytes / 2, || keyspaces.iter().map(sealed_bytes).sum())
    }
}

/// Waits until a number that flushes bring down is below a bound.
///
/// # Errors
/// `Storage` when flushes have stopped.
pub(crate) fn wait_until_less(bound: u64, measure: impl Fn() -> u64) -> Result<(), EngineError> {
    let mut lowest = measure();
    if lowest < bound {
        return Ok(());
    }
    let mut since = Instant::now();
    loop {
        std::thread::sleep(PAUSE);
        let now = measure();
        if now < bound {
            return Ok(());
        }
        if now < lowest {
            (lowest, since) = (now, Instant::now());
        }
        if since.elapsed() > STUCK_AFTER {
            return Err(EngineError::Storage("memtables are no longer flushed".into()));
        }
    }
}

/// What a keyspace's sealed memtables take. fjall keeps those that were flushed a while longer, so this
/// is asked only of keyspaces that have some waiting.
fn sealed_bytes(keyspace: &Keyspace) -> u64 {
    if keyspace.sealed_memtable_count() == 0 {
        return 0;
    }
    let all = keyspace.tree.get_version_history_lock().memtable_size_sum();
    all.saturating_sub(keyspace.tree.active_memtable().size())
}

/// What a keyspace's memtable takes in memory.
pub(crate) fn memory_of(keyspace: &Keyspace) -> u64 {
    let memtable = keyspace.tree.active_memtable();
    memtable.size() + memtable.len() as u64 * RECORD_OVERHEAD_BYTES
}
