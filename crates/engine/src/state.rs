//! The engine contract. See the crate's page for the picture.

use std::sync::Arc;

use api::kv::ContentSum;
use bytes::Bytes;
use types::{Hlc, LogIndex, StateId, Term};

/// What went wrong inside an engine. A refusal that the user caused is a *reply*, not one of these.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The state that was asked for does not exist.
    #[error("state {0} does not exist")]
    Missing(StateId),
    /// Stored bytes are not what they should be. The replica must be rebuilt.
    #[error("damaged state: {0}")]
    Damaged(String),
    /// The disk is full, or was and the store has stopped itself. The process must begin anew, and may at
    /// once: nothing is damaged.
    #[error("no room: {0}")]
    Full(String),
    /// The disk refused. The process must not go on with this engine.
    #[error("storage failed: {0}")]
    Storage(String),
    /// A snapshot chunk does not fit.
    #[error("bad snapshot: {0}")]
    BadSnapshot(String),
}

/// The last entry that a state contains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Applied {
    /// Its index; 0 when nothing was applied yet.
    pub index: LogIndex,
    /// Its term.
    pub term: Term,
}

/// What an entry decided for its requests.
#[derive(Clone, Copy, Debug)]
pub struct ApplyContext {
    /// "Now". Never goes back within a group.
    pub hlc: Hlc,
    /// Chance.
    pub seed: u64,
    /// Which release's behaviour.
    pub apply_version: u32,
    /// The entry.
    pub index: LogIndex,
    /// Whether to record [`Change`]s.
    pub wants_changes: bool,
}

/// A record that replication keeps inside the engine's state: membership, clock, sessions.
/// Names are short; the engine keeps them apart from its own records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemRecord {
    /// Its name.
    pub name: Bytes,
    /// Its bytes.
    pub value: Bytes,
}

/// A change to a system record; `None` removes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemChange {
    /// Its name.
    pub name: Bytes,
    /// Its bytes afterwards.
    pub value: Option<Bytes>,
}

/// What a commit changed, in terms of the table's contents: the raw material of backups, resharding and
/// shipping to other clusters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The stamp of the entry.
    pub hlc: Hlc,
    /// The record's key, as the table's users know it.
    pub key: Bytes,
    /// The part of the record (a field, a member), or empty.
    pub sub_key: Bytes,
    /// The engine's encoding of the new value, or `None` when it was removed.
    pub value: Option<Bytes>,
}

/// A hash of the live records in key order, as of an entry's stamp. Equal digests at equal positions
/// are the evidence that replicas are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest {
    /// XXH3-128 of the records.
    pub hash: u128,
    /// How many records were hashed.
    pub records: u64,
}

/// Sizes for people and for placement; approximate where noted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Live records, exact: counted in apply.
    pub records: u64,
    /// Bytes on disk and in memory, approximate.
    pub bytes: u64,
}

/// The engine of a kind of table on one node.
pub trait Engine: Send + Sync {
    /// Makes an empty state at position 0.
    ///
    /// # Errors
    /// `Storage` when the disk refuses.
    fn create(&self, state: StateId) -> Result<Box<dyn StateMachine>, EngineError>;

    /// Opens a state as a crash or a clean stop left it.
    ///
    /// # Errors
    /// `Missing` when it was never made durable; `Damaged` when its bytes do not fit.
    fn open(&self, state: StateId) -> Result<Box<dyn StateMachine>, EngineError>;

    /// Every state there is, complete or not, in order.
    fn list(&self) -> Result<Vec<StateId>, EngineError>;

    /// Removes a state and its bytes; fine if it is gone. Its readers may go on until they are dropped.
    fn remove(&self, state: StateId) -> Result<(), EngineError>;

    /// Begins to fill a new state from a snapshot's chunks.
    fn ingest(&self, state: StateId) -> Result<Box<dyn SnapshotSink>, EngineError>;

    /// Makes everything that was committed before this call durable, in all states. May take long.
    fn flush(&self) -> Result<(), EngineError>;

    /// Gives back the space of what was removed from a state, and makes it as quick to read as it can be. What is
    /// stored does not change. May take long; meanwhile the state is read and written to. Fine if it is gone.
    ///
    /// # Errors
    /// `Storage` when the disk refuses, `Damaged` when stored bytes do not fit.
    fn compact(&self, state: StateId) -> Result<Compaction, EngineError> {
        let _ = state;
        Ok(Compaction::Done)
    }
}

/// What became of a wish to compact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compaction {
    /// It is done, or there is nothing to do.
    Done,
    /// The state is as it was, and why.
    Left(String),
}

/// One replica's state. Owned by one apply thread; readers are shared.
pub trait StateMachine: Send {
    /// The last entry of the last commit.
    fn applied(&self) -> Applied;

    /// The index up to which a crash of the machine would lose nothing. Never above `applied`.
    fn durable(&self) -> LogIndex;

    /// All system records, in order of name.
    fn system(&self) -> Result<Vec<SystemRecord>, EngineError>;

    /// Executes one write against the state and everything staged before it, and returns the reply.
    /// Nothing is visible to readers until [`Self::commit`]. Bytes that are no request of this engine
    /// get a reply that says so; they are never an error, because every replica must agree.
    fn stage(&mut self, context: &ApplyContext, request: &[u8]) -> Result<Bytes, EngineError>;

    /// Makes everything staged, the position and the system records visible at once. Returns the
    /// changes of requests whose context wanted them.
    fn commit(&mut self, applied: Applied, system: &[SystemChange]) -> Result<Vec<Change>, EngineError>;

    /// Whether so much is staged that it is to be committed before the next entry is: more than
    /// [`STAGED_BYTES_MAX`](types::limits::STAGED_BYTES_MAX). Never after a commit. How entries are grouped into commits
    /// changes nothing that is stored or replied, so replicas need not agree.
    fn is_full(&self) -> bool;

    /// Whether keys are remembered for [`Self::take_filled`], from the next request on. What is staged, stored
    /// and replied does not depend on it: replicas need not agree.
    fn listen(&mut self, _on: bool) {}

    /// Keys of lists and sorted sets that were changed since the last call and had elements then, for those who
    /// wait for elements. Forgets them. Nothing for engines without such.
    fn take_filled(&mut self) -> Vec<Bytes> {
        Vec::new()
    }

    /// A handle for reads of the latest commit.
    fn reader(&self) -> Arc<dyn Reader>;

    /// The state of the last commit, system records included, as a stream of chunks. Later commits do
    /// not show in it.
    fn snapshot(&self) -> Result<Box<dyn SnapshotSource>, EngineError>;

    /// Takes hold of the last commit now and returns the work of hashing it, to be done elsewhere.
    /// Records that have expired at `at` are left out.
    fn digest(&self, at: Hlc) -> Result<DigestWork, EngineError>;

    /// Takes hold of the contents of the last commit now, to be read later, elsewhere and as often as wanted.
    /// What has expired at `at` is not among them. `None` from an engine whose contents mean nothing outside
    /// of it.
    fn hold(&self, at: Hlc) -> Result<Option<Arc<dyn Held>>, EngineError> {
        let _ = at;
        Ok(None)
    }

    /// Sizes.
    fn statistics(&self) -> Statistics;
}

/// Contents that were taken hold of. Held for long, they keep the store from cleaning up.
pub trait Held: Send + Sync {
    /// Begins to read them; `selection` says which, in the engine's words, and empty means all.
    ///
    /// # Errors
    /// `Damaged` for a selection that cannot be read; it may come from a newer release.
    fn export(&self, selection: &[u8]) -> Result<Box<dyn ContentSource>, EngineError>;
}

/// Contents being read.
pub trait ContentSource: Send {
    /// The next page of about `bytes_max` bytes; `None` at the end.
    fn next_page(&mut self, bytes_max: usize) -> Result<Option<ContentPage>, EngineError> {
        self.next_page_without(bytes_max, &mut |_, _| false)
    }

    /// The next page of about `bytes_max` bytes that were read, without the keys that are known already. Those count in
    /// the page's sum as the others do, and leave nothing in its body, which may be empty.
    fn next_page_without(
        &mut self,
        bytes_max: usize,
        is_known: IsKnown<'_>,
    ) -> Result<Option<ContentPage>, EngineError>;
}

/// Whether somebody has what a key holds already, by the key and the stamp of its last change. Asked once for each key,
/// in the order in which they are read: by position, then by their bytes.
pub type IsKnown<'a> = &'a mut dyn FnMut(&Bytes, Hlc) -> bool;

/// Some contents, in the form in which the engine takes them in again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentPage {
    /// The contents.
    pub body: Bytes,
    /// What they come to.
    pub sum: ContentSum,
    /// No key is cut at the end of the page.
    pub is_whole: bool,
}

/// The work of hashing a state that was taken hold of.
pub type DigestWork = Box<dyn FnOnce() -> Result<Digest, EngineError> + Send>;

/// Reads one replica's state, from any thread.
pub trait Reader: Send + Sync {
    /// Answers a read of the latest commit, as of `now`. Bytes that are no read of this engine get a
    /// reply that says so.
    fn read(&self, request: &[u8], now: Hlc) -> Result<Bytes, EngineError>;

    /// Answers a write that would change nothing, if that can be told at the cost of a read: the reply is then what the
    /// write would get as of `now`. `None` for every other write.
    ///
    /// # Errors
    /// As [`Self::read`].
    fn unchanged(&self, request: &[u8], now: Hlc) -> Result<Option<Bytes>, EngineError> {
        let _ = (request, now);
        Ok(None)
    }
}

/// A snapshot being read.
pub trait SnapshotSource: Send {
    /// The next chunk of about `bytes_max` bytes; `None` at the end.
    fn next_chunk(&mut self, bytes_max: usize) -> Result<Option<Bytes>, EngineError>;
}

/// A snapshot being written into a new state. Dropped unfinished, the state stays incomplete and
/// `open` refuses it as missing.
pub trait SnapshotSink: Send {
    /// Takes the next chunk.
    fn write(&mut self, chunk: &[u8]) -> Result<(), EngineError>;

    /// All chunks are in: makes the state durable and opens it.
    fn finish(self: Box<Self>) -> Result<Box<dyn StateMachine>, EngineError>;
}
