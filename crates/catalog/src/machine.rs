//! The catalog behind the engine contract: group 0's state on one node.
//!
//! The whole catalog is in memory; its records are stored beside it, so that a commit writes only what
//! changed.
//!
//! ```text
//! key                      value
//! 0x10 name                a system record of replication
//! 0x30 record name         an object of the catalog, see `record`
//! 0x7f                     facts: format byte, applied index and term, u64 BE each
//! ```
//!
//! The facts sort last and are made last: a state without them was never completed.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use api::catalog::{CatalogCommand, CatalogFound, CatalogQuery, CatalogRead, CatalogReadReply};
use api::frame::CatalogCopy;
use api::kv::Nothing;
use api::peer::Refused;
use bytes::{BufMut, Bytes, BytesMut};
use engine::records::{Batch, RecordStore, Records, View};
use engine::{
    Applied, ApplyContext, Change, Digest, DigestWork, Engine, EngineError, Reader, SnapshotSink,
    SnapshotSource, StateMachine, Statistics, SystemChange, SystemRecord,
};
use prost::Message;
use types::limits::{STAGED_BYTES_MAX, STAGED_RECORD_BYTES};
use types::{ErrorCode, Fault, Hlc, LogIndex, StateId, Term};
use xxhash_rust::xxh3::Xxh3;

use crate::catalog::refusal;
use crate::record::{FORMAT, Record, RecordChange};
use crate::snapshot::{CatalogSink, CatalogSource};
use crate::{Catalog, CatalogWatch};

/// First byte of system records.
pub(crate) const SYSTEM: u8 = 0x10;
/// First byte of the catalog's objects.
pub(crate) const OBJECT: u8 = 0x30;
/// The whole key of the facts.
pub(crate) const FACTS: &[u8] = &[0x7f];

const FACTS_BYTES: usize = 1 + 8 + 8;

/// The engine of group 0 on one node. Clones share everything.
///
/// The record store may hold states of other engines; [`Engine::list`] then names those as well.
#[derive(Clone)]
pub struct CatalogEngine {
    pub(crate) store: Arc<dyn RecordStore>,
    watch: CatalogWatch,
    /// Of every state that is open.
    open: Arc<Mutex<BTreeMap<StateId, Weak<Progress>>>>,
}

/// How far a state is, for whoever flushes it while its owner works.
struct Progress {
    applied: AtomicU64,
    durable: AtomicU64,
}

impl CatalogEngine {
    /// An engine over a store of records.
    pub fn new(store: Arc<dyn RecordStore>) -> Self {
        Self { store, watch: CatalogWatch::default(), open: Arc::default() }
    }

    /// Where the newest catalog of this node is shown: each commit of its replica of group 0, and
    /// whatever copies the node offers.
    pub fn watch(&self) -> CatalogWatch {
        self.watch.clone()
    }

    /// Makes a state of complete and durable records.
    pub(crate) fn machine(
        &self,
        state: StateId,
        records: Arc<dyn Records>,
    ) -> Result<CatalogMachine, EngineError> {
        let view = records.view();
        let applied = match view.get(FACTS)? {
            Some(facts) => decode_facts(&facts)?,
            None => return Err(EngineError::Missing(state)),
        };
        let catalog = Arc::new(load(view.as_ref())?);
        let index = applied.index.get();
        let progress = Arc::new(Progress { applied: index.into(), durable: index.into() });
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, progress| progress.strong_count() > 0);
        open.insert(state, Arc::downgrade(&progress));
        let committed = CatalogWatch::default();
        committed.offer(Arc::clone(&catalog));
        self.watch.offer_own(Arc::clone(&catalog));
        Ok(CatalogMachine {
            records,
            staged: Vec::new(),
            staged_bytes: 0,
            changes: Vec::new(),
            working: catalog,
            applied,
            progress,
            committed,
            shown: self.watch.clone(),
        })
    }
}

impl Engine for CatalogEngine {
    fn create(&self, state: StateId) -> Result<Box<dyn StateMachine>, EngineError> {
        let records = self.store.create(state)?;
        records.ingest(&mut std::iter::once(Ok(facts_record(Applied::default()))))?;
        Ok(Box::new(self.machine(state, records)?))
    }

    fn open(&self, state: StateId) -> Result<Box<dyn StateMachine>, EngineError> {
        let records = self.store.open(state)?;
        // What a process left behind may still be on its way to the disk.
        self.store.persist()?;
        Ok(Box::new(self.machine(state, records)?))
    }

    fn list(&self) -> Result<Vec<StateId>, EngineError> {
        self.store.list()
    }

    fn remove(&self, state: StateId) -> Result<(), EngineError> {
        self.store.remove(state)
    }

    fn ingest(&self, state: StateId) -> Result<Box<dyn SnapshotSink>, EngineError> {
        let records = self.store.create(state)?;
        Ok(Box::new(CatalogSink::new(self.clone(), state, records)))
    }

    fn flush(&self) -> Result<(), EngineError> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let reached: Vec<_> = open
            .values()
            .filter_map(Weak::upgrade)
            .map(|progress| (progress.applied.load(Ordering::Acquire), progress))
            .collect();
        self.store.persist()?;
        for (applied, progress) in reached {
            progress.durable.fetch_max(applied, Ordering::AcqRel);
        }
        Ok(())
    }
}

/// Group 0's state.
pub(crate) struct CatalogMachine {
    records: Arc<dyn Records>,
    /// The last commit and everything staged since.
    working: Arc<Catalog>,
    staged: Vec<RecordChange>,
    /// Bytes of the requests since the last commit, and what is about each record that they change.
    staged_bytes: usize,
    /// Of the staged requests that want them.
    changes: Vec<Change>,
    applied: Applied,
    progress: Arc<Progress>,
    /// The last commit, for readers.
    committed: CatalogWatch,
    /// The engine's watch.
    shown: CatalogWatch,
}

impl StateMachine for CatalogMachine {
    fn applied(&self) -> Applied {
        self.applied
    }

    fn durable(&self) -> LogIndex {
        LogIndex(self.progress.durable.load(Ordering::Acquire))
    }

    fn system(&self) -> Result<Vec<SystemRecord>, EngineError> {
        let view = self.records.view();
        let records = view.range(Bound::Included(&[SYSTEM]), Bound::Excluded(&[SYSTEM + 1]), false);
        let record = |(key, value): (Bytes, Bytes)| SystemRecord { name: key.slice(1..), value };
        records.map(|found| found.map(record)).collect()
    }

    fn stage(&mut self, context: &ApplyContext, request: &[u8]) -> Result<Bytes, EngineError> {
        let Ok(command) = CatalogCommand::decode(request) else {
            let fault = Fault::new(ErrorCode::BadArgument, "not a catalog command");
            return Ok(refusal(fault).encode_to_vec().into());
        };
        let (reply, changes) = self.working.decide(&command, context);
        if !changes.is_empty() {
            Arc::make_mut(&mut self.working).absorb(&changes);
        }
        if context.wants_changes {
            self.changes.extend(changes.iter().map(|change| published(context.hlc, change)));
        }
        self.staged_bytes += request.len() + changes.len() * STAGED_RECORD_BYTES;
        self.staged.extend(changes);
        Ok(reply.encode_to_vec().into())
    }

    fn commit(&mut self, applied: Applied, system: &[SystemChange]) -> Result<Vec<Change>, EngineError> {
        self.staged_bytes = 0;
        let mut batch = Batch::default();
        for change in system {
            batch.writes.push((tagged(SYSTEM, &change.name), change.value.clone()));
        }
        for change in self.staged.drain(..) {
            match change {
                RecordChange::Put(record) => {
                    batch.put(tagged(OBJECT, &record.name().to_bytes()), record.to_bytes());
                }
                RecordChange::Remove(name) => batch.remove(tagged(OBJECT, &name.to_bytes())),
            }
        }
        let (key, value) = facts_record(applied);
        batch.put(key, value);
        self.records.write(batch)?;
        self.applied = applied;
        self.progress.applied.store(applied.index.get(), Ordering::Release);
        self.committed.offer(Arc::clone(&self.working));
        self.shown.offer_own(Arc::clone(&self.working));
        Ok(std::mem::take(&mut self.changes))
    }

    fn is_full(&self) -> bool {
        self.staged_bytes > STAGED_BYTES_MAX
    }

    fn reader(&self) -> Arc<dyn Reader> {
        Arc::new(CatalogReader { committed: self.committed.clone() })
    }

    fn snapshot(&self) -> Result<Box<dyn SnapshotSource>, EngineError> {
        Ok(Box::new(CatalogSource::new(self.records.view())))
    }

    fn digest(&self, _at: Hlc) -> Result<DigestWork, EngineError> {
        let catalog = self.committed.latest();
        Ok(Box::new(move || Ok(digest(&catalog))))
    }

    fn statistics(&self) -> Statistics {
        let records = self.committed.latest().records_count() as u64;
        Statistics { records, bytes: self.records.bytes() }
    }
}

struct CatalogReader {
    committed: CatalogWatch,
}

impl Reader for CatalogReader {
    fn read(&self, request: &[u8], _now: Hlc) -> Result<Bytes, EngineError> {
        let catalog = self.committed.latest();
        let copy = || CatalogCopy { version: catalog.version().get(), state: catalog.encode() };
        let refused = |code: ErrorCode, detail: &str| {
            CatalogFound::Refused(Refused { code: code.as_str().into(), detail: detail.into(), leader: 0 })
        };
        let found = match CatalogRead::decode(request).map(|read| read.query) {
            Ok(Some(CatalogQuery::Whole(_))) => CatalogFound::Copy(copy()),
            Ok(Some(CatalogQuery::NewerThan(version))) if catalog.version().get() > version => {
                CatalogFound::Copy(copy())
            }
            Ok(Some(CatalogQuery::Records(_))) => CatalogFound::Records(catalog.stored()),
            Ok(Some(CatalogQuery::NewerThan(_))) => CatalogFound::Unchanged(Nothing {}),
            Ok(None) => refused(ErrorCode::VersionUnsupported, "a catalog read of a newer release"),
            Err(_) => refused(ErrorCode::BadArgument, "not a catalog read"),
        };
        Ok(CatalogReadReply { found: Some(found) }.encode_to_vec().into())
    }
}

/// Reads all objects of a state and checks that they are a catalog.
pub(crate) fn load(view: &dyn View) -> Result<Catalog, EngineError> {
    let mut objects = Vec::new();
    for found in view.range(Bound::Included(&[OBJECT]), Bound::Excluded(&[OBJECT + 1]), false) {
        let (key, value) = found?;
        let record = Record::from_bytes(&key[1..], &value).map_err(crate::CatalogError::from)?;
        objects.push(record);
    }
    Ok(Catalog::from_records(objects)?)
}

/// The facts of a state as a record.
pub(crate) fn facts_record(applied: Applied) -> (Bytes, Bytes) {
    let mut value = BytesMut::with_capacity(FACTS_BYTES);
    value.put_u8(FORMAT);
    value.put_u64(applied.index.get());
    value.put_u64(applied.term.get());
    (Bytes::from_static(FACTS), value.freeze())
}

/// Reads the facts of a state.
pub(crate) fn decode_facts(value: &[u8]) -> Result<Applied, EngineError> {
    let damaged = || EngineError::Damaged("catalog facts".into());
    let bytes: &[u8; FACTS_BYTES] = value.try_into().map_err(|_| damaged())?;
    let [format, rest @ ..] = bytes;
    let (index, term) = rest.split_at(8);
    let number = |bytes: &[u8]| bytes.iter().fold(0, |number, &byte| (number << 8) | u64::from(byte));
    if *format != FORMAT {
        return Err(damaged());
    }
    Ok(Applied { index: LogIndex(number(index)), term: Term(number(term)) })
}

fn tagged(tag: u8, name: &[u8]) -> Bytes {
    let mut key = BytesMut::with_capacity(1 + name.len());
    key.put_u8(tag);
    key.put_slice(name);
    key.freeze()
}

/// A change as consumers outside the cluster see it: the object's stored name and bytes.
fn published(hlc: Hlc, change: &RecordChange) -> Change {
    let (key, value) = match change {
        RecordChange::Put(record) => (record.name().to_bytes(), Some(record.to_bytes())),
        RecordChange::Remove(name) => (name.to_bytes(), None),
    };
    Change { hlc, key, sub_key: Bytes::new(), value }
}

/// Objects in the order of their names, each with the lengths of its parts. Nothing expires here.
fn digest(catalog: &Catalog) -> Digest {
    let mut hasher = Xxh3::new();
    let mut records = 0;
    for record in catalog.records() {
        for part in [record.name().to_bytes(), record.to_bytes()] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(&part);
        }
        records += 1;
    }
    Digest { hash: hasher.digest128(), records }
}
