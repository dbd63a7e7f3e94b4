//! The applier and an engine that becomes full: what is staged is committed in time, entry by entry.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::sync::{Arc, Mutex};

use api::entry::{Envelope, Request};
use bytes::Bytes;
use engine::{
    Applied, ApplyContext, Change, DigestWork, EngineError, Reader, SnapshotSource, StateMachine, Statistics,
    SystemChange, SystemRecord,
};
use raft::eraftpb::Entry;
use replication::{Answer, Applier, Token};
use types::{GroupId, Hlc, LogIndex, StateId, Term};

/// Requests that may be staged.
const ROOM: usize = 3;

/// Is full of a few requests, and notes every commit: its position, and how many requests were in it.
struct Narrow {
    applied: Applied,
    staged: usize,
    commits: Arc<Mutex<Vec<(u64, usize)>>>,
}

struct Nothing;

impl Reader for Nothing {
    fn read(&self, _request: &[u8], _now: Hlc) -> Result<Bytes, EngineError> {
        Ok(Bytes::new())
    }
}

impl StateMachine for Narrow {
    fn applied(&self) -> Applied {
        self.applied
    }

    fn durable(&self) -> LogIndex {
        self.applied.index
    }

    fn system(&self) -> Result<Vec<SystemRecord>, EngineError> {
        Ok(Vec::new())
    }

    fn stage(&mut self, _context: &ApplyContext, request: &[u8]) -> Result<Bytes, EngineError> {
        self.staged += 1;
        Ok(Bytes::copy_from_slice(request))
    }

    fn commit(&mut self, applied: Applied, _system: &[SystemChange]) -> Result<Vec<Change>, EngineError> {
        self.applied = applied;
        self.commits.lock().unwrap().push((applied.index.get(), std::mem::take(&mut self.staged)));
        Ok(Vec::new())
    }

    fn is_full(&self) -> bool {
        self.staged >= ROOM
    }

    fn reader(&self) -> Arc<dyn Reader> {
        Arc::new(Nothing)
    }

    fn snapshot(&self) -> Result<Box<dyn SnapshotSource>, EngineError> {
        Err(EngineError::Missing(StateId(1)))
    }

    fn digest(&self, _at: Hlc) -> Result<DigestWork, EngineError> {
        Err(EngineError::Missing(StateId(1)))
    }

    fn statistics(&self) -> Statistics {
        Statistics::default()
    }
}

/// An entry with so many requests; each has its entry's index for a body.
fn entry(index: u64, requests: usize) -> (Entry, Vec<Token>) {
    let request = Request { body: index.to_string().into(), ..Default::default() };
    let envelope =
        Envelope { apply_version: 1, hlc: 1, requests: vec![request; requests], ..Default::default() };
    let entry = Entry { index, term: 5, data: envelope.to_bytes(), ..Default::default() };
    (entry, vec![Token(index); requests])
}

#[test]
fn a_full_engine_is_committed_between_entries() {
    let commits = Arc::new(Mutex::new(Vec::new()));
    let applied = Applied { index: LogIndex(5), term: Term(5) };
    let state = Narrow { applied, staged: 0, commits: commits.clone() };
    let mut applier = Applier::open(GroupId(1), Box::new(state)).unwrap();
    // The fourth entry alone is more than there is room for: an entry is never cut.
    let sizes = [1, 1, 2, 5, 1, 1];
    let entries = sizes.iter().zip(6..).map(|(requests, index)| entry(index, *requests)).collect();
    let outcome = applier.apply(entries).unwrap();
    assert_eq!(*commits.lock().unwrap(), [(8, 4), (9, 5), (11, 2)]);
    assert_eq!((applier.applied().index, outcome.applied.index), (LogIndex(11), LogIndex(11)));
    let answers = outcome.answers.iter().map(|(token, answer)| match answer {
        Answer::Done(reply) => (token.0, reply.to_vec()),
        other => panic!("{other:?}"),
    });
    let wanted = sizes
        .iter()
        .zip(6_u64..)
        .flat_map(|(requests, index)| vec![(index, index.to_string().into()); *requests]);
    assert_eq!(answers.collect::<Vec<_>>(), wanted.collect::<Vec<(u64, Vec<u8>)>>());
}
