//! One replica's state: stages requests, commits them with position and system records.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use api::kv::{KvError, KvOp, KvRequest};
use bytes::Bytes;
use engine::records::Records;
use engine::{
    Applied, ApplyContext, Change, DigestWork, EngineError, Held, Reader, SnapshotSource, StateMachine,
    Statistics, SystemChange, SystemRecord,
};
use prost::Message;
use types::limits::{KEY_BYTES_MAX, STAGED_BYTES_MAX};
use types::{Hlc, LogIndex};

use crate::changes::Recorder;
use crate::export::KvHeld;
use crate::garbage::Collector;
use crate::layout::{self, Facts};
use crate::reader::KvReader;
use crate::snapshot::KvSnapshot;
use crate::staging::Staging;
use crate::{
    bits, changes, digest, dump, generic, hashes, hyperloglog, import, keys, lists, reader, reply, sets,
    sorted, strings, transaction, typed,
};

/// How a request ends early.
pub(crate) enum Stop {
    /// The user's fault: every replica gives this reply, and nothing was changed.
    Refused(KvError),
    /// The store's fault.
    Failed(EngineError),
}

impl From<EngineError> for Stop {
    fn from(error: EngineError) -> Self {
        Stop::Failed(error)
    }
}

/// A reply, or why there is none.
pub(crate) type Outcome = Result<Bytes, Stop>;

/// The engine error of an outcome; a refusal is a reply.
pub(crate) fn settle(outcome: Outcome) -> Result<Bytes, EngineError> {
    match outcome {
        Ok(reply) => Ok(reply),
        Err(Stop::Refused(refusal)) => Ok(reply::error(refusal)),
        Err(Stop::Failed(error)) => Err(error),
    }
}

/// What the threads that touch a state share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// The data epoch of the last commit. A commit that changes it holds the lock from before its batch
    /// is visible until after; readers hold it while they find their records.
    pub(crate) epoch: RwLock<u32>,
    /// Index of the last commit, readable while the owner works.
    pub(crate) applied: AtomicU64,
    /// Index up to which a crash loses nothing.
    pub(crate) durable: AtomicU64,
}

/// One replica's state.
pub(crate) struct KvState {
    records: Arc<dyn Records>,
    shared: Arc<Shared>,
    /// The facts of the last commit.
    committed: Facts,
    staging: Staging,
    collector: Collector,
}

impl KvState {
    /// The state in these records, whose facts are known.
    ///
    /// # Errors
    /// `Damaged` if what is kept of its changes does not fit.
    pub(crate) fn new(
        records: Arc<dyn Records>,
        facts: Facts,
        shared: Arc<Shared>,
    ) -> Result<Self, EngineError> {
        *shared.epoch.write().unwrap_or_else(PoisonError::into_inner) = facts.epoch;
        shared.applied.store(facts.applied.index.get(), Ordering::Release);
        let recorder = Recorder::open(&*records)?;
        let staging = Staging::new(records.clone(), facts, recorder);
        Ok(Self { records, shared, committed: facts, staging, collector: Collector::default() })
    }
}

impl StateMachine for KvState {
    fn applied(&self) -> Applied {
        self.committed.applied
    }

    fn durable(&self) -> LogIndex {
        LogIndex(self.shared.durable.load(Ordering::Acquire)).min(self.committed.applied.index)
    }

    fn system(&self) -> Result<Vec<SystemRecord>, EngineError> {
        let from = std::ops::Bound::Included(&[layout::SYSTEM][..]);
        let to = std::ops::Bound::Excluded(&[layout::SYSTEM + 1][..]);
        let view = self.records.view();
        let records = view.range(from, to, false);
        records
            .map(|record| record.map(|(key, value)| SystemRecord { name: key.slice(1..), value }))
            .collect()
    }

    fn stage(&mut self, context: &ApplyContext, request: &[u8]) -> Result<Bytes, EngineError> {
        let mut op = KvRequest::decode(request).ok().and_then(|request| request.op);
        self.staging.begin_request(context)?;
        if matches!(op, Some(KvOp::RemoveExpired(_))) {
            self.collector.sweep();
        }
        settle(match &mut op {
            Some(op) if op.is_write() => checked_write(&mut self.staging, context, op),
            _ => Err(Stop::Refused(KvError::Unsupported)),
        })
    }

    fn commit(&mut self, applied: Applied, system: &[SystemChange]) -> Result<Vec<Change>, EngineError> {
        if self.staging.take_new_dead() {
            self.collector.has_new_dead();
        }
        let (mut batch, changes) = self.staging.take()?;
        let mut facts = Facts { applied, ..self.staging.facts };
        self.collector.collect(&*self.records, &mut facts, &mut batch)?;
        self.collector.forget_changes(&*self.records, self.staging.recorder.forgettable(), &mut batch)?;
        for change in system {
            batch.writes.push((layout::system_key(&change.name), change.value.clone()));
        }
        batch.put(layout::FACTS, facts.encode());
        if facts.epoch == self.committed.epoch {
            self.records.write(batch)?;
        } else {
            let mut epoch = self.shared.epoch.write().unwrap_or_else(PoisonError::into_inner);
            self.records.write(batch)?;
            *epoch = facts.epoch;
        }
        self.committed = facts;
        self.staging.facts = facts;
        self.shared.applied.store(applied.index.get(), Ordering::Release);
        Ok(changes)
    }

    fn is_full(&self) -> bool {
        self.staging.bytes() > STAGED_BYTES_MAX
    }

    fn listen(&mut self, on: bool) {
        self.staging.listen(on);
    }

    fn take_filled(&mut self) -> Vec<Bytes> {
        self.staging.take_filled()
    }

    fn reader(&self) -> Arc<dyn Reader> {
        Arc::new(KvReader::new(self.records.clone(), self.shared.clone()))
    }

    fn snapshot(&self) -> Result<Box<dyn SnapshotSource>, EngineError> {
        Ok(Box::new(KvSnapshot::new(self.records.view(), self.committed)))
    }

    fn digest(&self, at: Hlc) -> Result<DigestWork, EngineError> {
        let (view, epoch) = (self.records.view(), self.committed.epoch);
        Ok(Box::new(move || digest::of(&*view, epoch, at)))
    }

    fn hold(&self, at: Hlc) -> Result<Option<Arc<dyn Held>>, EngineError> {
        Ok(Some(Arc::new(KvHeld::new(self.records.view(), self.committed.epoch, at))))
    }

    fn statistics(&self) -> Statistics {
        Statistics { records: self.committed.records, bytes: self.records.bytes() }
    }
}

/// Executes one write of a client.
pub(crate) fn checked_write(staging: &mut Staging, context: &ApplyContext, op: &mut KvOp) -> Outcome {
    check_keys(op)?;
    write(staging, context, op)
}

/// Executes one write, whose keys are of lengths that the store may be given.
pub(crate) fn write(staging: &mut Staging, context: &ApplyContext, op: &KvOp) -> Outcome {
    match op {
        KvOp::Set(set) => strings::set(staging, context, set),
        KvOp::MSet(set) => strings::set_many(staging, context, set),
        KvOp::GetDel(key) => strings::get_del(staging, context, &key.key),
        KvOp::GetEx(get) => strings::get_ex(staging, context, get),
        KvOp::Append(pair) => strings::append(staging, context, pair),
        KvOp::SetRange(set) => strings::set_range(staging, context, set),
        KvOp::IncrBy(add) => strings::incr_by(staging, context, add),
        KvOp::IncrByFloat(pair) => strings::incr_by_float(staging, context, pair),
        KvOp::Del(keys) => keys::del(staging, context, keys),
        KvOp::Expire(expire) => keys::expire(staging, context, expire),
        KvOp::Rename(rename) => keys::rename(staging, context, rename),
        KvOp::Copy(copy) => keys::copy(staging, context, copy),
        KvOp::RemoveExpired(keys) => keys::remove_expired(staging, context, keys),
        KvOp::Import(request) => import::import(staging, context, request),
        KvOp::Flush(_) => {
            staging.flush(context)?;
            Ok(reply::ok())
        }
        KvOp::IfEqual(request) => strings::if_equal(staging, context, request),
        KvOp::Restore(request) => dump::restore(staging, context, request),
        KvOp::Record(request) => changes::record(staging, context, request),
        KvOp::Redo(changes) => changes::redo(staging, context, changes),
        KvOp::Typed(request) => typed::write(staging, context, request),
        KvOp::Hash(request) => hashes::write(staging, context, request),
        KvOp::List(request) => lists::write(staging, context, request),
        KvOp::Sets(request) => sets::write(staging, context, request),
        KvOp::Sorted(request) => sorted::write(staging, context, request),
        KvOp::Bits(request) => bits::write(staging, context, request),
        KvOp::HyperLogLog(request) => hyperloglog::write(staging, context, request),
        KvOp::Generic(request) => generic::write(staging, context, request),
        KvOp::Transaction(transaction) => transaction::execute(staging, context, transaction),
        // Reads of a transaction.
        _ => reader::answer(&staging.look(context), op),
    }
}

/// Refuses keys that are longer than the store may be given. Faces refuse them before, with better words.
fn check_keys(op: &mut KvOp) -> Result<(), Stop> {
    op.visit_keys(&mut |key| {
        if key.len() <= KEY_BYTES_MAX { Ok(()) } else { Err(Stop::Refused(KvError::TooLong)) }
    })
}
