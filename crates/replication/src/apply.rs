//! The applier: committed entries into one replica's state, in order, exactly once.
//!
//! ```text
//!   entries ──► for each request: session says new? ──► engine.stage ──► reply kept in the session
//!                                                                │
//!      one commit: data, applied position, membership, clock, sessions ──► only then the answers
//! ```
//!
//! Invariant: what an entry does depends on the state before it and its bytes alone. Everything that
//! is stored here is stored in the engine's own batch, so that a crash leaves a position, never a mix.

use std::sync::Arc;

use api::entry::{APPLY_VERSION, Barrier, BarrierReply, Envelope, Request, RequestKind};
use api::peer::{Membership, SnapshotMeta};
use bytes::Bytes;
use engine::{
    Applied, ApplyContext, Change, DigestWork, Engine, EngineError, Held, SnapshotSource, StateMachine,
    SystemChange,
};
use prost::Message as _;
use raft::eraftpb::Entry;
use types::buckets::size_bucket;
use types::era::era_of;
use types::{ErrorCode, Fault, Generation, GroupId, Hlc, LogIndex, SessionId, StateId, limits};

use crate::effects::{Answer, ApplyOutcome, Token};
use crate::message::{self, Work};
use crate::sessions::{Sessions, Verdict};
use crate::{membership, mutant};

/// Name of the system record with the group's own facts.
const GROUP_RECORD: &[u8] = b"g";
/// Name of the system record with the membership.
const MEMBERSHIP_RECORD: &[u8] = b"m";
/// First byte of both.
const FORMAT: u8 = 1;

/// Where the era stands in a session's id: above any index that a group reaches.
const SESSION_ERA_SHIFT: u32 = 56;

/// Why a replica cannot apply.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The state's system records do not fit.
    #[error("system record {0} cannot be read")]
    Record(&'static str),
    /// Entries are missing before one: a bug, which must not become a replica that differs.
    #[error("entry {found} came after {after}")]
    Gap {
        /// The last entry that was applied.
        after: LogIndex,
        /// The entry that came.
        found: LogIndex,
    },
    /// An entry cannot be read, or was written by a newer release.
    #[error("entry {index} cannot be applied: {detail}")]
    Entry {
        /// The entry.
        index: LogIndex,
        /// Why.
        detail: String,
    },
}

impl ApplyError {
    /// What a user is told.
    pub fn to_fault(&self) -> Fault {
        let code = match self {
            ApplyError::Engine(error) => return crate::start::engine_fault(error),
            // Every replica stops at the same entry: it is no damage of this one, and a copy of another
            // would not help.
            ApplyError::Entry { .. } => ErrorCode::DataNewer,
            ApplyError::Record(_) => ErrorCode::DataDamaged,
            ApplyError::Gap { .. } => ErrorCode::Internal,
        };
        Fault::new(code, self.to_string())
    }
}

/// The group's own facts, as stored with the state.
#[derive(Clone, Copy, PartialEq, prost::Message)]
struct GroupFacts {
    /// The last stamp that was applied.
    #[prost(fixed64, tag = "1")]
    hlc: u64,
    /// The generation that requests must name.
    #[prost(uint64, tag = "2")]
    generation: u64,
    /// The generation refuses writes.
    #[prost(bool, tag = "3")]
    sealed: bool,
    /// Requests of clients applied since the group was born: what people call the offset. Elections,
    /// memberships, sessions, digests and upkeep are none.
    #[prost(uint64, tag = "4")]
    writes: u64,
    /// The last barrier: its stamp, who wanted it, and its place.
    #[prost(fixed64, tag = "5")]
    barrier_at: u64,
    #[prost(fixed64, tag = "6")]
    barrier_id: u64,
    #[prost(uint64, tag = "7")]
    barrier_index: u64,
    #[prost(uint64, tag = "8")]
    barrier_term: u64,
}

/// The state of a replica at a barrier.
pub struct BarrierHold {
    /// Who wanted it.
    pub id: u64,
    /// The place of the barrier.
    pub index: LogIndex,
    /// The state.
    pub state: Arc<dyn Held>,
}

/// One replica's state and everything that replication keeps with it.
pub struct Applier {
    group: GroupId,
    state: Box<dyn StateMachine>,
    facts: GroupFacts,
    membership: Membership,
    sessions: Sessions,
    membership_changed: bool,
    digests: Vec<(LogIndex, DigestWork)>,
    holds: Vec<BarrierHold>,
    feeds: bool,
    changes: Vec<Change>,
}

impl Applier {
    /// Makes the state of a group's founding member: durable when this returns. `membership` is the
    /// group's membership at its birth, the same on every founding member; empty for a replica that
    /// waits for a snapshot, which begins at position 0.
    pub fn create(
        engine: &Arc<dyn Engine>,
        group: GroupId,
        state: StateId,
        generation: Generation,
        membership: Membership,
    ) -> Result<Self, ApplyError> {
        let mut applier = Self {
            group,
            state: engine.create(state)?,
            facts: GroupFacts { generation: generation.get(), ..Default::default() },
            sessions: Sessions::default(),
            membership_changed: true,
            membership,
            digests: Vec::new(),
            holds: Vec::new(),
            feeds: false,
            changes: Vec::new(),
        };
        if !applier.membership.members.is_empty() {
            let first =
                Applied { index: limits::FIRST_LOG_INDEX.into(), term: limits::FIRST_LOG_INDEX.into() };
            applier.commit(first)?;
        }
        engine.flush()?;
        Ok(applier)
    }

    /// Takes over a state that was opened or received.
    pub fn open(group: GroupId, state: Box<dyn StateMachine>) -> Result<Self, ApplyError> {
        let records = state.system()?;
        let find = |name: &[u8]| records.iter().find(|record| record.name == name);
        let body = |name: &[u8], label| match find(name) {
            None => Ok(None),
            Some(record) => match record.value.first() {
                Some(&FORMAT) => Ok(Some(record.value.slice(1..))),
                _ => Err(ApplyError::Record(label)),
            },
        };
        let facts = match body(GROUP_RECORD, "group")? {
            Some(bytes) => GroupFacts::decode(bytes).map_err(|_| ApplyError::Record("group"))?,
            None => GroupFacts::default(),
        };
        let membership = match body(MEMBERSHIP_RECORD, "membership")? {
            Some(bytes) => Membership::decode(bytes).map_err(|_| ApplyError::Record("membership"))?,
            None => Membership::default(),
        };
        let sessions = Sessions::load(&records).ok_or(ApplyError::Record("session"))?;
        Ok(Self {
            group,
            state,
            facts,
            membership,
            sessions,
            membership_changed: false,
            digests: Vec::new(),
            holds: Vec::new(),
            feeds: false,
            changes: Vec::new(),
        })
    }

    /// The last entry applied.
    pub fn applied(&self) -> Applied {
        self.state.applied()
    }

    /// The group's membership as of that entry.
    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    /// The last stamp as of that entry.
    pub fn hlc(&self) -> Hlc {
        Hlc(self.facts.hlc)
    }

    /// Requests of clients applied since the group was born: equal on all replicas at one log position.
    pub fn writes(&self) -> u64 {
        self.facts.writes
    }

    /// The engine's state.
    pub fn state(&self) -> &dyn StateMachine {
        &*self.state
    }

    /// Applies entries, commits, and returns the answers. There is one commit unless the engine is full before the
    /// last entry. Entries at or below the applied position are skipped: they were applied before a restart.
    pub fn apply(&mut self, entries: Vec<(Entry, Vec<Token>)>) -> Result<ApplyOutcome, ApplyError> {
        let mut outcome = ApplyOutcome { group: self.group, ..Default::default() };
        let mut applied = self.state.applied();
        for (entry, tokens) in entries {
            if entry.index <= applied.index.get() {
                continue;
            }
            if entry.index != applied.index.get() + 1 {
                return Err(ApplyError::Gap { after: applied.index, found: entry.index.into() });
            }
            if self.state.is_full() {
                self.commit(applied)?;
            }
            applied = Applied { index: entry.index.into(), term: entry.term.into() };
            if mutant!(AppliedTooFar) {
                self.commit(applied)?;
            }
            match message::work(&entry) {
                Work::Nothing => {}
                Work::Membership(change) => self.change_membership(change, &mut outcome),
                Work::Envelope(bytes) => self.apply_envelope(applied, &bytes, tokens, &mut outcome)?,
            }
        }
        if applied > self.state.applied() || mutant!(AppliedTooFar) {
            self.commit(applied)?;
        }
        outcome.applied = applied;
        outcome.hlc = self.hlc();
        outcome.changes = std::mem::take(&mut self.changes);
        Ok(outcome)
    }

    /// Whether outcomes say what changed, from the next entry on.
    pub fn set_feed(&mut self, feeds: bool) {
        self.feeds = feeds;
    }

    /// Whether [`Self::take_filled`] is wanted, from the next entry on.
    pub fn listen(&mut self, on: bool) {
        self.state.listen(on);
    }

    /// Keys for whose elements somebody may wait; see [`StateMachine::take_filled`].
    pub fn take_filled(&mut self) -> Vec<Bytes> {
        self.state.take_filled()
    }

    /// The work of hashing the state, for digest entries of the last [`Self::apply`].
    pub fn take_digests(&mut self) -> Vec<(LogIndex, DigestWork)> {
        std::mem::take(&mut self.digests)
    }

    /// The states at barriers of the last [`Self::apply`].
    pub fn take_holds(&mut self) -> Vec<BarrierHold> {
        std::mem::take(&mut self.holds)
    }

    /// Takes hold of the state for a follower.
    pub fn snapshot(&self) -> Result<(SnapshotMeta, Box<dyn SnapshotSource>), ApplyError> {
        let applied = self.state.applied();
        let ahead = u64::from(mutant!(SnapshotTooFar));
        let meta = SnapshotMeta {
            index: applied.index.get() + ahead,
            term: applied.term.get(),
            membership: Some(self.membership.clone()),
            transfer: 0,
        };
        Ok((meta, self.state.snapshot()?))
    }

    /// Puts the membership of a takeover in force, unless the state knows a later one. It is stored with the next
    /// commit; until then the group's record in the log has it.
    pub fn take_over(&mut self, membership: &Membership) {
        if membership.epoch > self.membership.epoch {
            self.membership = membership.clone();
            self.membership_changed = true;
        }
    }

    fn apply_envelope(
        &mut self,
        at: Applied,
        bytes: &Bytes,
        tokens: Vec<Token>,
        outcome: &mut ApplyOutcome,
    ) -> Result<(), ApplyError> {
        let unreadable = |detail: String| ApplyError::Entry { index: at.index, detail };
        let envelope = Envelope::from_bytes(bytes).map_err(|error| unreadable(error.to_string()))?;
        if envelope.apply_version > APPLY_VERSION {
            return Err(unreadable(format!("apply version {} is newer", envelope.apply_version)));
        }
        // What is taken hold of is everything before this entry, on every replica, whatever else it applies at once.
        let kinds = [RequestKind::Digest as i32, RequestKind::Barrier as i32];
        let hashes = envelope.requests.iter().any(|request| kinds.contains(&request.kind));
        let before = Applied { index: at.index.get().saturating_sub(1).into(), term: at.term };
        if hashes && before > self.state.applied() {
            self.commit(before)?;
        }
        let last = Hlc(self.facts.hlc);
        let hlc = if mutant!(ClockGoesBack) { envelope.hlc } else { self.facts.hlc.max(envelope.hlc) };
        self.facts.hlc = hlc;
        let chance = if mutant!(ApplyNotDetermined) { tokens.len() as u64 } else { 0 };
        let context = ApplyContext {
            hlc: Hlc(hlc + chance),
            seed: envelope.seed,
            apply_version: envelope.apply_version,
            index: at.index,
            wants_changes: self.feeds,
        };
        let mut tokens = tokens.into_iter();
        for (place, request) in envelope.requests.into_iter().enumerate() {
            let token = tokens.next();
            let answer = match RequestKind::try_from(request.kind) {
                // Whatever stands before it in its own entry has the entry's stamp.
                Ok(RequestKind::Barrier) => {
                    let before = if place == 0 { last } else { context.hlc };
                    self.barrier(at, before, &context, &request)?
                }
                _ => self.carry_out(at, place, &context, request, outcome)?,
            };
            if let Some(token) = token {
                outcome.answers.push((token, answer));
            }
        }
        Ok(())
    }

    fn carry_out(
        &mut self,
        at: Applied,
        place: usize,
        context: &ApplyContext,
        request: Request,
        outcome: &mut ApplyOutcome,
    ) -> Result<Answer, ApplyError> {
        let session = SessionId(request.session);
        if request.session != 0 && !mutant!(SessionIgnored) {
            match self.sessions.judge(session, request.sequence) {
                Verdict::New => {}
                Verdict::Repeated(reply) => {
                    outcome.repeated += 1;
                    return Ok(Answer::Done(reply));
                }
                Verdict::Forgotten => return Ok(refused(ErrorCode::OutcomeUnknown)),
                Verdict::Expired => return Ok(refused(ErrorCode::SessionExpired)),
            }
        }
        let reply = match RequestKind::try_from(request.kind) {
            Ok(RequestKind::Register) => return Ok(self.register(at, place, context, &request)),
            Ok(RequestKind::Digest) => self.digest(at, context)?,
            Ok(RequestKind::Seal) => {
                self.facts.sealed = true;
                Bytes::new()
            }
            Ok(kind) if kind.is_for_engine() && self.facts.sealed => return Ok(refused(ErrorCode::Sealed)),
            Ok(kind) if kind.is_for_engine() && request.generation != self.facts.generation => {
                return Ok(refused(ErrorCode::StaleRoute));
            }
            Ok(kind @ (RequestKind::Data | RequestKind::Upkeep)) => {
                self.facts.writes += u64::from(kind == RequestKind::Data);
                outcome.sizes[size_bucket(request.body.len() as u64)] += 1;
                self.state.stage(context, &request.body)?
            }
            // Every replica of this release refuses alike; a release that knows the kind raises the
            // apply version first.
            Ok(RequestKind::Barrier | RequestKind::Outbox | RequestKind::AdoptExternal) | Err(_) => {
                return Ok(refused(ErrorCode::VersionUnsupported));
            }
        };
        if request.session != 0 {
            let ahead = if mutant!(FloorTooHigh) { 2 } else { 0 };
            self.sessions.keep(session, request.sequence, request.floor + ahead, &reply, context.hlc);
        }
        Ok(Answer::Done(reply))
    }

    /// A session's id is the place of its registration: the entry's index, and the place inside the
    /// entry in the low bits, so that one entry can register several. The high bits are the era of the entry's
    /// term: after a takeover, indexes that were lost are used again.
    fn register(&mut self, at: Applied, place: usize, context: &ApplyContext, request: &Request) -> Answer {
        let era = era_of(at.term.get()) << SESSION_ERA_SHIFT;
        let gateway = request.body.first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        let id = SessionId(era | (at.index.get() << 16) | (place as u64 & 0xffff));
        self.sessions.register(id, gateway, context.hlc);
        Answer::Done(Bytes::copy_from_slice(&id.get().to_be_bytes()))
    }

    /// Takes hold of the state, in which everything before this entry is committed, and replies with the index
    /// under which the digests of all replicas can be asked for.
    fn digest(&mut self, at: Applied, context: &ApplyContext) -> Result<Bytes, ApplyError> {
        self.digests.push((at.index, self.state.digest(context.hlc)?));
        Ok(Bytes::copy_from_slice(&at.index.get().to_be_bytes()))
    }

    /// Takes hold of the state, in which everything before this entry is committed, unless the barrier comes too
    /// late: then some write has its stamp or a later one already.
    fn barrier(
        &mut self,
        at: Applied,
        before: Hlc,
        context: &ApplyContext,
        request: &Request,
    ) -> Result<Answer, ApplyError> {
        let Ok(wanted) = Barrier::decode(request.body.clone()) else {
            return Ok(refused(ErrorCode::VersionUnsupported));
        };
        let facts = &mut self.facts;
        let known = (facts.barrier_at, facts.barrier_id) == (wanted.at, wanted.id);
        let late = !known && (before.0 >= wanted.at || context.hlc.0 < wanted.at);
        if !known && !late {
            (facts.barrier_at, facts.barrier_id) = (wanted.at, wanted.id);
            (facts.barrier_index, facts.barrier_term) = (at.index.get(), at.term.get());
            if let Some(state) = self.state.hold(Hlc(wanted.at))? {
                self.holds.push(BarrierHold { id: wanted.id, index: at.index, state });
            }
        }
        let (index, term) = if late { (0, 0) } else { (self.facts.barrier_index, self.facts.barrier_term) };
        let reply = BarrierReply { late, index, term, before: before.0 };
        Ok(Answer::Done(reply.encode_to_vec().into()))
    }

    fn change_membership(&mut self, change: membership::Change, outcome: &mut ApplyOutcome) {
        let mut after = change.apply_to(&self.membership);
        if let (true, Some(membership)) = (mutant!(EpochNotRaised), &mut after) {
            membership.epoch = self.membership.epoch;
        }
        if let Some(membership) = &after {
            self.membership = membership.clone();
            self.membership_changed = true;
        }
        outcome.memberships.push((change, after));
    }

    fn commit(&mut self, applied: Applied) -> Result<(), ApplyError> {
        let mut system =
            vec![SystemChange { name: Bytes::from_static(GROUP_RECORD), value: Some(stored(&self.facts)) }];
        if self.membership_changed && !mutant!(MembershipNotStored) {
            system.push(SystemChange {
                name: Bytes::from_static(MEMBERSHIP_RECORD),
                value: Some(stored(&self.membership)),
            });
        }
        self.membership_changed = false;
        let sessions = self.sessions.take_changes();
        if !mutant!(SessionsNotStored) {
            system.extend(sessions);
        }
        let changes = self.state.commit(applied, &system)?;
        self.changes.extend(changes);
        Ok(())
    }
}

fn refused(code: ErrorCode) -> Answer {
    Answer::Refused { fault: code.into(), leader: None }
}

fn stored(message: &impl prost::Message) -> Bytes {
    let mut bytes = Vec::with_capacity(1 + message.encoded_len());
    bytes.push(FORMAT);
    message.encode_raw(&mut bytes);
    bytes.into()
}
