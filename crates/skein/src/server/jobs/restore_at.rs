//! A partition as of a time: what a backup has of it, what an archive tells since, and into a table with the result.
//!
//! ```text
//!   backup's files ──► scratch state ◄── changes up to the time
//!                          │
//!                          └─ export ──► pieces by the *target's* partitions ──► groups
//! ```
//!
//! Changes mean something only in their order and beside the keys that they were made beside (a key may be renamed),
//! so they are carried out here, in one place, in a state that nobody else sees. What is written to the table is the
//! outcome alone: no key more than once, whatever happened to it, and a restore that breaks off may begin again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use api::entry::APPLY_VERSION;
use api::job::RestorePartition;
use api::kv::{ContentSelection, Contents, EntryChanges, Import, KvAnswer, KvOp, KvReply, KvRequest};
use backup::archive::{Changes, Run};
use backup::write::Pacer;
use backup::{Chain, Layers, PartitionRecord, TableRecord, Target};
use bytes::Bytes;
use engine::{Applied, ApplyContext, Engine, EngineError, StateMachine};
use engine_kv::KvEngine;
use node::Node;
use prost::Message;
use records_fjall::{FjallStore, StoreOptions};
use types::{ErrorCode, Fault, Hlc, LogIndex, StateId, Term};

use super::Running;
use super::restore::Restoring;
use super::save::kinds;

/// Memory of a scratch state: for what was written and is not in a file yet, and for what was read.
const SCRATCH_BYTES: u64 = 16 * 1024 * 1024;
/// Bytes of requests that go into one commit.
const COMMIT_BYTES: usize = 1024 * 1024;
/// Contents that are read from it at once.
const PAGE_BYTES: usize = 512 * 1024;

/// Writes what a partition held at a time into a table.
pub(super) fn partition(
    node: &Arc<Node>,
    scratch: &Path,
    wish: &RestorePartition,
    job: &Running,
) -> Result<(), Fault> {
    let target = backup::open(&wish.of.url).map_err(|error| error.to_fault())?;
    let chain = Chain::load(&*target, &wish.of.backup).map_err(|error| error.to_fault())?;
    let name = (wish.of.namespace.as_str(), wish.of.table.as_str());
    let found = chain.newest().begun.partition(name, wish.of.partition);
    let (table, partition) = found.map_err(|error| error.to_fault())?;
    let mut state = Scratch::new(scratch)?;
    fill(&mut state, &*target, &chain, (table, partition), job)?;
    let run = Run {
        archive: wish.archive.clone(),
        namespace: table.namespace.clone(),
        table: table.name.clone(),
        partition: partition.partition,
        group: partition.group,
        since: wish.since,
    };
    let changes = Changes::open(&*target, &run, partition.index, wish.to_ms);
    let mut changes = changes.map_err(|error| error.to_fault())?;
    while let Some(entry) = changes.next_entry().map_err(|error| error.to_fault())? {
        job.progress.check().map_err(|error| error.to_fault())?;
        state.redo(entry)?;
    }
    give_out(&mut state, node, wish, job)
}

/// Fills a state with what a backup, and what it stands on, has of a partition.
fn fill(
    state: &mut Scratch,
    target: &dyn Target,
    chain: &Chain,
    (table, partition): (&TableRecord, &PartitionRecord),
    job: &Running,
) -> Result<(), Fault> {
    let at = Hlc::from_millis(chain.newest().begun.at_ms);
    let layers = Layers::open(target, chain, (&table.namespace, &table.name), partition.partition);
    let mut layers = layers.map_err(|error| error.to_fault())?;
    let mut before = 0;
    while let Some(contents) = layers.next_block().map_err(|error| error.to_fault())? {
        job.progress.check().map_err(|error| error.to_fault())?;
        job.progress.file_bytes.fetch_add(layers.bytes_read() - before, Ordering::Relaxed);
        before = layers.bytes_read();
        state.import(at, contents)?;
    }
    Ok(())
}

/// Writes what a state holds into the table.
fn give_out(
    state: &mut Scratch,
    node: &Arc<Node>,
    wish: &RestorePartition,
    job: &Running,
) -> Result<(), Fault> {
    state.commit()?;
    let selection = ContentSelection { kinds: kinds(&wish.of.kinds)?, ..Default::default() };
    let held = state.machine.hold(Hlc::from_millis(wish.to_ms)).map_err(engine_fault)?;
    let held = held.ok_or_else(|| Fault::from(ErrorCode::VersionUnsupported))?;
    let mut source = held.export(&selection.encode_to_vec()).map_err(engine_fault)?;
    let mut restoring = Restoring::new(node, &wish.of, job)?;
    let mut pacer = Pacer::new(&job.progress);
    while let Some(page) = source.next_page(PAGE_BYTES).map_err(engine_fault)? {
        let contents = Contents::decode(page.body).map_err(|_| Fault::from(ErrorCode::Internal))?;
        for piece in contents.pieces {
            restoring.take(piece)?;
        }
        pacer.spend(page.sum.keys, page.sum.bytes).map_err(|error| error.to_fault())?;
    }
    restoring.finish()
}

/// A state that is of no use to anybody after the job. Its directory goes with it.
struct Scratch {
    directory: PathBuf,
    machine: Box<dyn StateMachine>,
    index: u64,
    /// Bytes of requests that are staged.
    staged: usize,
}

impl Scratch {
    fn new(directory: &Path) -> Result<Self, Fault> {
        let failed = |error: std::io::Error| {
            let detail = format!("{}: {error}", directory.display());
            Fault::new(ErrorCode::DataUnreadable, detail)
        };
        match std::fs::remove_dir_all(directory) {
            // What a process that died has left.
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        std::fs::create_dir_all(directory).map_err(failed)?;
        let options = StoreOptions { write_buffer_bytes: SCRATCH_BYTES, block_cache_bytes: SCRATCH_BYTES };
        let store = FjallStore::open(directory, options).map_err(engine_fault)?;
        let machine = KvEngine::new(Arc::new(store)).create(StateId(1)).map_err(engine_fault)?;
        Ok(Self { directory: directory.to_owned(), machine, index: 0, staged: 0 })
    }

    /// Takes in a part of the backup. Nothing of it had expired at its moment.
    fn import(&mut self, at: Hlc, contents: Contents) -> Result<(), Fault> {
        let import = Import { pieces: contents.pieces, ..Default::default() };
        match self.stage(at, KvOp::Import(import))? {
            Some(KvAnswer::Imported(done)) if done.refused.is_none() && done.expired == 0 => Ok(()),
            _ => Err(Fault::new(ErrorCode::BackupDamaged, "the backup holds a key twice")),
        }
    }

    /// Carries out the changes of an entry.
    fn redo(&mut self, entry: EntryChanges) -> Result<(), Fault> {
        let (index, hlc) = (entry.index, Hlc(entry.hlc));
        match self.stage(hlc, KvOp::Redo(entry))? {
            Some(KvAnswer::Ok(_)) => Ok(()),
            other => {
                let detail =
                    format!("the changes of entry {index} do not fit what was before them: {other:?}");
                Err(Fault::new(ErrorCode::BackupDamaged, detail))
            }
        }
    }

    fn stage(&mut self, hlc: Hlc, op: KvOp) -> Result<Option<KvAnswer>, Fault> {
        self.index += 1;
        let context = ApplyContext {
            hlc,
            seed: 0,
            apply_version: APPLY_VERSION,
            index: LogIndex(self.index),
            wants_changes: false,
        };
        let request = KvRequest::new(op).encode_to_vec();
        let reply: Bytes = self.machine.stage(&context, &request).map_err(engine_fault)?;
        self.staged += request.len();
        if self.staged >= COMMIT_BYTES {
            self.commit()?;
        }
        Ok(KvReply::decode(reply).ok().and_then(|reply| reply.answer))
    }

    fn commit(&mut self) -> Result<(), Fault> {
        self.staged = 0;
        let applied = Applied { index: LogIndex(self.index), term: Term(1) };
        self.machine.commit(applied, &[]).map(|_| ()).map_err(engine_fault)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays is removed before the next job.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn engine_fault(error: EngineError) -> Fault {
    replication::start::engine_fault(&error)
}
