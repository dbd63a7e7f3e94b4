//! A tap on the catalog's engine: every command that a replica of group 0 carries out is noted, exactly as the
//! state machine is given it, so that checkers can follow the catalog command by command.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use engine::{
    Applied, ApplyContext, Change, DigestWork, Engine, EngineError, Reader, SnapshotSink, SnapshotSource,
    StateMachine, Statistics, SystemChange, SystemRecord,
};
use types::{Hlc, LogIndex, StateId};

/// What was carried out since somebody looked last.
#[derive(Clone, Default)]
pub(super) struct Tap(Arc<Mutex<Vec<(ApplyContext, Bytes)>>>);

impl Tap {
    /// Everything since the last look, in order.
    pub(super) fn take(&self) -> Vec<(ApplyContext, Bytes)> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note(&self, context: &ApplyContext, request: &[u8]) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.push((*context, Bytes::copy_from_slice(request)));
    }
}

/// An engine whose states are tapped.
pub(super) struct Tapped<E>(pub(super) E, pub(super) Tap);

struct TappedState(Box<dyn StateMachine>, Tap);

struct TappedSink(Box<dyn SnapshotSink>, Tap);

impl<E: Engine> Tapped<E> {
    fn state(&self, state: Box<dyn StateMachine>) -> Box<dyn StateMachine> {
        Box::new(TappedState(state, self.1.clone()))
    }
}

impl<E: Engine> Engine for Tapped<E> {
    fn create(&self, state: StateId) -> Result<Box<dyn StateMachine>, EngineError> {
        Ok(self.state(self.0.create(state)?))
    }

    fn open(&self, state: StateId) -> Result<Box<dyn StateMachine>, EngineError> {
        Ok(self.state(self.0.open(state)?))
    }

    fn list(&self) -> Result<Vec<StateId>, EngineError> {
        self.0.list()
    }

    fn remove(&self, state: StateId) -> Result<(), EngineError> {
        self.0.remove(state)
    }

    fn ingest(&self, state: StateId) -> Result<Box<dyn SnapshotSink>, EngineError> {
        Ok(Box::new(TappedSink(self.0.ingest(state)?, self.1.clone())))
    }

    fn flush(&self) -> Result<(), EngineError> {
        self.0.flush()
    }
}

impl StateMachine for TappedState {
    fn applied(&self) -> Applied {
        self.0.applied()
    }

    fn durable(&self) -> LogIndex {
        self.0.durable()
    }

    fn system(&self) -> Result<Vec<SystemRecord>, EngineError> {
        self.0.system()
    }

    fn stage(&mut self, context: &ApplyContext, request: &[u8]) -> Result<Bytes, EngineError> {
        self.1.note(context, request);
        self.0.stage(context, request)
    }

    fn commit(&mut self, applied: Applied, system: &[SystemChange]) -> Result<Vec<Change>, EngineError> {
        self.0.commit(applied, system)
    }

    fn is_full(&self) -> bool {
        self.0.is_full()
    }

    fn listen(&mut self, on: bool) {
        self.0.listen(on);
    }

    fn take_filled(&mut self) -> Vec<Bytes> {
        self.0.take_filled()
    }

    fn reader(&self) -> Arc<dyn Reader> {
        self.0.reader()
    }

    fn snapshot(&self) -> Result<Box<dyn SnapshotSource>, EngineError> {
        self.0.snapshot()
    }

    fn digest(&self, at: Hlc) -> Result<DigestWork, EngineError> {
        self.0.digest(at)
    }

    fn statistics(&self) -> Statistics {
        self.0.statistics()
    }
}

impl SnapshotSink for TappedSink {
    fn write(&mut self, chunk: &[u8]) -> Result<(), EngineError> {
        self.0.write(chunk)
    }

    fn finish(self: Box<Self>) -> Result<Box<dyn StateMachine>, EngineError> {
        let TappedSink(sink, tap) = *self;
        Ok(Box::new(TappedState(sink.finish()?, tap)))
    }
}
