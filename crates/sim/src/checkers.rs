//! The checkers: each watches one promise, in its own file, and the first that is broken ends the run.
//!
//! | file | promise |
//! |---|---|
//! | `leaders` | at most one leader per group and term |
//! | `logs` | a committed entry never changes, on no replica |
//! | `digests` | replicas at equal positions are equal |
//! | `positions` | applied positions and stamps never go back, but by a crash to what was durable |
//! | `stamps` | one machine's wall clock does not move the time of a group |
//! | `promises` | what was written durably is there after every crash |
//! | `words` | nothing that promises is said before it is durable |
//! | `memberships` | a config epoch means the same membership everywhere |
//! | `identities` | a replica id is used once |
//! | `procedures` | operations go forward step by step, and what they edit is written down with them |
//! | `locks` | a partition has at most one running operation |
//! | `numbers` | ids of operations, nodes and replicas are given out once |
//! | `repeats` | a change of operations that is carried out twice changes nothing the second time |
//! | `votes` | no operation takes more votes than it announced |
//! | `quorums` | no operation takes a vote while those that stay are known to be no majority |
//! | `evidence` | what operations show as proof is true |
//! | `permits` | permits never allow two nodes to be stopped that break a majority together |
//! | `departures` | a node that has left hosts nothing |
//! | `rest` | at the end every operation has ended, and nothing of any is left behind |
//! | `queues` | no element of a queue is lost or served twice |
//! | `lost` | no acknowledged write is lost, none is carried out twice |
//! | `liveness` | when the faults have stopped, everything becomes well soon |
//! | `crate::linearizability` | the clients' history is that of one copy |

use std::collections::BTreeSet;
use std::fmt;

use api::operation::OperationChange;
use bytes::Bytes;
use engine::{Applied, ApplyContext, Digest};
use replication::group::Group;
use replication::{Applier, GroupStart};
use types::{ErrorCode, Fault, GroupId, Hlc, LogIndex, ReplicaId};
use wal::GroupWrite;

use crate::event::Place;

pub mod departures;
pub mod digests;
pub mod evidence;
pub mod identities;
pub mod laws;
pub mod leaders;
pub mod liveness;
pub mod locks;
pub mod logs;
pub mod lost;
pub mod memberships;
pub mod numbers;
pub mod permits;
pub mod positions;
pub mod procedures;
pub mod promises;
pub mod queues;
pub mod quorums;
pub mod repeats;
pub mod rest;
pub mod stamps;
pub mod votes;
pub mod words;

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Who saw it.
    pub checker: &'static str,
    /// What was seen.
    pub detail: String,
    /// When, in nanoseconds of the world.
    pub at: u64,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {:.3} s: {}", self.checker, self.at as f64 / 1e9, self.detail)
    }
}

/// The checkers that watch a world while it runs.
pub struct Checks {
    violation: Option<Violation>,
    leaders: leaders::Leaders,
    logs: logs::Logs,
    digests: digests::Digests,
    positions: positions::Positions,
    stamps: stamps::Stamps,
    promises: Vec<promises::Promises>,
    memberships: memberships::Memberships,
    identities: identities::Identities,
    laws: laws::Laws,
}

impl Checks {
    /// Checkers of a world with this many nodes.
    pub fn new(nodes: usize) -> Self {
        Self {
            violation: None,
            leaders: Default::default(),
            logs: Default::default(),
            digests: Default::default(),
            positions: Default::default(),
            stamps: stamps::Stamps::new(nodes),
            promises: (0..nodes).map(|_| Default::default()).collect(),
            memberships: Default::default(),
            identities: Default::default(),
            laws: Default::default(),
        }
    }

    /// The first broken promise.
    pub fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// A promise is broken.
    pub fn fail(&mut self, checker: &'static str, detail: String, at: u64) {
        self.violation.get_or_insert(Violation { checker, detail, at });
    }

    /// How many digests were compared.
    pub fn digests_compared(&self) -> u64 {
        self.digests.compared()
    }

    /// A worker's turn is over.
    pub fn role(&mut self, place: Place, group: &Group, now: u64) {
        if group.leads() {
            let found = self.leaders.leads(place, group.id(), group.term(), group.replica());
            self.note("leaders", found, now);
        }
    }

    /// A worker says that entries are committed.
    pub fn committed<T>(&mut self, place: Place, group: GroupId, entries: &[(logs::Entry, T)], now: u64) {
        for (entry, _) in entries {
            let found = self.logs.committed(place, group, entry);
            self.note("logs", found, now);
        }
    }

    /// A replica has applied entries or adopted a state.
    pub fn applied(
        &mut self,
        place: Place,
        (group, replica): (GroupId, ReplicaId),
        applier: &Applier,
        before: (Applied, Hlc),
        now: u64,
    ) {
        let found = self.positions.applied(place, (group, replica), before, applier);
        self.note("positions", found, now);
        let voters = replication::membership::voters(applier.membership()).count();
        let found = self.stamps.applied(group, applier.hlc(), voters, now);
        self.note("stamps", found, now);
        let found = self.digests.applied(place, group, applier);
        self.note("digests", found, now);
    }

    /// A machine's wall clock is off by this much from now on, in milliseconds.
    pub fn clock_set(&mut self, place: Place, offset: i64) {
        self.stamps.clock_set(place, offset);
    }

    /// Memberships were applied; this one is in force.
    pub fn memberships(&mut self, place: Place, group: GroupId, applier: &Applier, now: u64) {
        let membership = applier.membership();
        let found = self.memberships.seen(place, group, membership);
        self.note("memberships", found, now);
        let found = self.laws.votes.is_in(group, membership);
        self.note("votes", found, now);
        if self.laws.votes.membership(group) == Some(membership) {
            let found = self.laws.departures.is_in(group, membership);
            self.note("departures", found, now);
        }
    }

    /// A state is durable up to an index.
    pub fn durable(&mut self, place: Place, group: GroupId, index: LogIndex) {
        self.positions.durable(place, group, index);
    }

    /// Whether all that operations have begun is over.
    ///
    /// # Errors
    /// What is not, in words.
    pub fn rest(&self) -> Result<(), String> {
        self.laws.rest()
    }

    /// A replica was made.
    pub fn created(&mut self, place: Place, start: &GroupStart, applier: &Applier, now: u64) {
        let found = self.identities.created(place, start.group, start.record.replica());
        self.note("identities", found, now);
        self.promises[place].created(start);
        self.positions.removed(place, start.group);
        self.memberships(place, start.group, applier, now);
    }

    /// A node has carried out commands of the catalog. Returns what they were, if it is the first that did.
    pub fn catalog_commands(&mut self, commands: Vec<(ApplyContext, Bytes)>, now: u64) -> Vec<laws::Noted> {
        match self.laws.carried_out(commands) {
            Ok(noted) => noted,
            Err((checker, detail)) => {
                self.fail(checker, detail, now);
                Vec::new()
            }
        }
    }

    /// A replica has hashed its records for a digest entry.
    pub fn digest_taken(&mut self, group: GroupId, replica: ReplicaId, index: LogIndex, digest: &Digest) {
        self.laws.evidence.taken(group, replica, index, digest);
    }

    /// What the commands of the catalog have made so far.
    pub fn laws(&self) -> &laws::Laws {
        &self.laws
    }

    /// A plan has announced what these operations would leave.
    pub fn announce(&mut self, operations: &[u64], tolerance: u32) {
        self.laws.announce(operations, tolerance);
    }

    /// The leader of the catalog is about to make a step while these nodes are known to be down.
    pub fn step(&mut self, change: &OperationChange, down: &BTreeSet<u64>, now: u64) {
        let found = quorums::check(change, down, &self.laws.votes);
        self.note("quorums", found, now);
    }

    /// A replica is gone.
    pub fn removed(&mut self, place: Place, group: GroupId) {
        self.positions.removed(place, group);
    }

    /// A Raft message leaves a node.
    pub fn said(&mut self, place: Place, message: &api::peer::RaftMessage, now: u64) {
        let found = words::said(&self.promises[place], message);
        self.note("words", found, now);
    }

    /// A write to the log is under way.
    pub fn writing(&mut self, place: Place, batch: &[GroupWrite]) {
        self.promises[place].writing(batch);
    }

    /// It is durable.
    pub fn written(&mut self, place: Place) {
        self.promises[place].written();
    }

    /// A replica was opened at the start of a process. Returns whether its disk has lost what it had
    /// promised, which only a disk that `lied` may do.
    pub fn opened(
        &mut self,
        place: Place,
        lied: bool,
        start: &GroupStart,
        applier: &Applier,
        now: u64,
    ) -> bool {
        let kept = self.promises[place].opened(start);
        if lied {
            return kept.is_err();
        }
        self.note("promises", kept, now);
        let found = self.positions.opened(place, start.group, applier);
        self.note("positions", found, now);
        let found = self.digests.applied(place, start.group, applier);
        self.note("digests", found, now);
        self.memberships(place, start.group, applier, now);
        false
    }

    /// A replica was refused at the start of a process, which only a disk that lied, or a state that was
    /// taken away, is a reason for.
    pub fn damaged(&mut self, place: Place, expected: bool, group: GroupId, fault: &Fault, now: u64) {
        if !expected {
            let detail = format!("node {}: group {group} is damaged without a reason: {fault}", place + 1);
            self.fail("promises", detail, now);
        }
    }

    /// All replicas of a node's start were seen. Returns whether one is missing, which only a disk that
    /// `lied` may do.
    pub fn all_opened(&mut self, place: Place, lied: bool, found: &promises::Found, now: u64) -> bool {
        let missing = self.promises[place].all_opened(found);
        if let (Err(_), false) = (&missing, lied) {
            self.note("promises", missing.clone(), now);
        }
        missing.is_err()
    }

    /// A replica stopped while it ran, which only the damage of a disk that `lied` is a reason for.
    pub fn stopped(&mut self, place: Place, lied: bool, group: GroupId, fault: &Fault, now: u64) {
        if !lied || fault.code != ErrorCode::DataDamaged {
            self.fail("stopped", format!("node {}: group {group} stopped: {fault}", place + 1), now);
        }
    }

    fn note(&mut self, checker: &'static str, found: Result<(), String>, now: u64) {
        if let Err(detail) = found {
            self.fail(checker, detail, now);
        }
    }
}
