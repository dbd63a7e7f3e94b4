//! What readers and reports see of a group from other threads, and the lease's last word.
//!
//! A read under a lease looks at the clock twice:
//!
//! ```text
//!   1. epoch e, lease until t; is now < t?          no → ask a quorum
//!   2. read the state
//!   3. is now < t still, and the epoch still e?     no → forget the value, ask a quorum
//! ```
//!
//! The second look is what makes it safe to be paused in step 2 for any length of time.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use api::peer::{DigestAt, ReplicaReport, ReplicaState};
use bytes::Bytes;
use engine::{Digest, EngineError, Reader, Statistics};
use env::{Clock, Moment};
use types::buckets::WriteStatistics;
use types::{GroupId, Hlc, LogIndex, NodeId};

use crate::clocks;
use crate::effects::Now;
use crate::holds::Holds;
use crate::load::Load;

/// Digests remembered per replica, for those who ask a little later.
const DIGESTS_KEPT: usize = 8;

/// What other threads see of a group.
pub struct GroupShared {
    group: GroupId,
    lease_until: AtomicU64,
    lease_epoch: AtomicU64,
    hlc: AtomicU64,
    /// How far the believed wall clock was from the monotonic one at the last tick, in milliseconds.
    clock: AtomicI64,
    leader: AtomicU64,
    reader: RwLock<Option<Arc<dyn Reader>>>,
    report: Mutex<ReplicaReport>,
    digests: Mutex<Vec<(LogIndex, Digest)>>,
    /// States at barriers.
    holds: Mutex<Holds>,
    statistics: Mutex<Statistics>,
    /// Requests of clients that were applied.
    writes: AtomicU64,
    /// Reads that were answered from the state since the process began.
    reads: AtomicU64,
    load: Mutex<Load>,
    /// Bytes of a state on its way that have arrived.
    received: AtomicU64,
    /// Bytes that were hashed for digests since the process began.
    hashed: AtomicU64,
    /// Writes of clients that were applied since the process began.
    write_statistics: WriteStatistics,
    view: Mutex<RaftView>,
    /// The operation for which it is being compacted; 0 for none.
    compacting: AtomicU64,
    compacted: Mutex<Compacted>,
    /// Somebody waits for elements of its keys.
    awaited: AtomicBool,
}

/// The last operation for which a replica was compacted by this run of its node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// The operation; 0 for none.
    pub operation: u64,
    /// Why it was left as it was instead; empty if it was not.
    pub left: String,
}

/// Raft's own numbers of a replica, for people who look at them on its node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RaftView {
    /// The replica that it voted for in its term, or 0.
    pub vote: u64,
    /// On the leader: the replica that is to lead instead, or 0.
    pub transferee: u64,
    /// It asks whether it would be voted for, and does not ask for votes yet.
    pub pre_candidate: bool,
    /// On the leader: how far everybody is, itself included, by replica.
    pub progress: Vec<ProgressView>,
}

/// How far a replica is, as its leader knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProgressView {
    /// The replica.
    pub replica: u64,
    /// The last index of its log that is known.
    pub matched: u64,
    /// The next index that it is sent.
    pub next: u64,
    /// How it is sent entries.
    pub state: ProgressState,
}

/// How a leader sends entries to a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProgressState {
    /// One message at a time, until it is known where the logs match.
    Probe,
    /// As fast as they come.
    Replicate,
    /// None: it receives a snapshot.
    Snapshot,
}

impl GroupShared {
    /// A group that nobody leads yet.
    pub fn new(group: GroupId) -> Self {
        let report =
            ReplicaReport { group: group.get(), state: ReplicaState::Starting as i32, ..Default::default() };
        Self {
            group,
            lease_until: AtomicU64::new(0),
            lease_epoch: AtomicU64::new(0),
            hlc: AtomicU64::new(0),
            clock: AtomicI64::new(i64::MAX),
            leader: AtomicU64::new(0),
            reader: RwLock::new(None),
            report: Mutex::new(report),
            digests: Mutex::default(),
            holds: Mutex::default(),
            statistics: Mutex::default(),
            writes: AtomicU64::new(0),
            reads: AtomicU64::new(0),
            load: Mutex::default(),
            received: AtomicU64::new(0),
            hashed: AtomicU64::new(0),
            write_statistics: WriteStatistics::default(),
            view: Mutex::default(),
            compacting: AtomicU64::new(0),
            compacted: Mutex::default(),
            awaited: AtomicBool::new(false),
        }
    }

    /// The group.
    pub fn group(&self) -> GroupId {
        self.group
    }

    /// Reads under the leader's lease. `None` when there is no lease, or it ended meanwhile: then a
    /// quorum must be asked.
    pub fn read_by_lease(&self, clock: &dyn Clock, request: &[u8]) -> Option<Result<Bytes, EngineError>> {
        self.by_lease(clock, || self.read_state(clock, request))
    }

    /// The reply to a write that would change nothing, under the leader's lease: it happens at the moment at which a
    /// read would. `None` when there is no lease, or the write must go through the log. The caller has no other write
    /// under way of whoever asks: this one would overtake it.
    pub fn unchanged_by_lease(
        &self,
        clock: &dyn Clock,
        request: &[u8],
    ) -> Option<Result<Bytes, EngineError>> {
        self.by_lease(clock, || {
            let (reader, now) = self.reader(clock)?;
            reader.unchanged(request, now).transpose()
        })
    }

    fn by_lease<T>(&self, clock: &dyn Clock, read: impl FnOnce() -> Option<T>) -> Option<T> {
        let epoch = self.lease_epoch.load(Ordering::Acquire);
        let until = Moment(self.lease_until.load(Ordering::Acquire));
        let unchecked = crate::mutant!(LeaseNotChecked);
        if clock.now() >= until && !(unchecked && until > Moment(0)) {
            return None;
        }
        let value = read()?;
        let still = until.min(Moment(self.lease_until.load(Ordering::Acquire)));
        let held = clock.now() < still && self.lease_epoch.load(Ordering::Acquire) == epoch;
        (held || unchecked).then_some(value)
    }

    /// Reads whatever the state is. Only after a quorum confirmed, or when stale is fine.
    pub fn read_state(&self, clock: &dyn Clock, request: &[u8]) -> Option<Result<Bytes, EngineError>> {
        let (reader, now) = self.reader(clock)?;
        Some(reader.read(request, now))
    }

    /// Who reads the state, and the moment that he reads at.
    fn reader(&self, clock: &dyn Clock) -> Option<(Arc<dyn Reader>, Hlc)> {
        let reader = self.reader.read().unwrap_or_else(PoisonError::into_inner).clone()?;
        self.reads.fetch_add(1, Ordering::Relaxed);
        let now = Hlc::from_millis(self.wall_millis(clock)).max(Hlc(self.hlc.load(Ordering::Acquire)));
        Some((reader, now))
    }

    /// What the wall clock shows, as far as the last tick believed it: a read must not see an expiry that
    /// no write would.
    fn wall_millis(&self, clock: &dyn Clock) -> u64 {
        match self.clock.load(Ordering::Relaxed) {
            i64::MAX => clock.wall_millis(),
            offset => {
                // Both clocks are cut to whole milliseconds.
                let latest = clocks::millis(clock.now()).saturating_add_signed(offset) + 1;
                clock.wall_millis().min(latest)
            }
        }
    }

    /// The node that leads, as far as this replica knows.
    pub fn leader(&self) -> Option<NodeId> {
        match self.leader.load(Ordering::Relaxed) {
            0 => None,
            node => Some(NodeId(node)),
        }
    }

    /// The latest report.
    pub fn report(&self) -> ReplicaReport {
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let digests = self.digests.lock().unwrap_or_else(PoisonError::into_inner);
        report.digests = digests
            .iter()
            .map(|(index, digest)| DigestAt {
                index: index.get(),
                hash: Bytes::copy_from_slice(&digest.hash.to_be_bytes()),
                records: digest.records,
            })
            .collect();
        let sizes = *self.statistics.lock().unwrap_or_else(PoisonError::into_inner);
        (report.records, report.bytes) = (sizes.records, sizes.bytes);
        match self.received.load(Ordering::Relaxed) {
            0 => {}
            received => report.bytes = received,
        }
        report.hashed = self.hashed.load(Ordering::Relaxed);
        report.writes = self.writes.load(Ordering::Relaxed);
        report.compacting = self.compacting.load(Ordering::Relaxed);
        let compacted = self.compacted();
        (report.compacted, report.compaction_left) = (compacted.operation, compacted.left);
        report.stamp_ms = self.hlc().millis();
        if report.state() == ReplicaState::Leader {
            report.load = self.load.lock().unwrap_or_else(PoisonError::into_inner).per_second();
        }
        report
    }

    /// Bytes of a new state that have arrived while it is on its way; 0 when none is. They are what is reported
    /// as the size meanwhile.
    pub fn set_received(&self, bytes: u64) {
        self.received.store(bytes, Ordering::Relaxed);
    }

    /// So many more bytes were hashed for a digest: others see that it goes on.
    pub fn add_hashed(&self, bytes: u64) {
        self.hashed.fetch_add(bytes, Ordering::Relaxed);
    }

    /// How many requests of clients were applied.
    pub fn set_writes(&self, writes: u64) {
        self.writes.store(writes, Ordering::Relaxed);
    }

    /// Writes of clients that were applied since the process began.
    pub fn write_statistics(&self) -> &WriteStatistics {
        &self.write_statistics
    }

    /// The last operation for which it was compacted.
    pub fn compacted(&self) -> Compacted {
        self.compacted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// It was compacted for an operation, or left as it is.
    pub fn set_compacted(&self, compacted: Compacted) {
        *self.compacted.lock().unwrap_or_else(PoisonError::into_inner) = compacted;
    }

    pub(crate) fn set_compacting(&self, operation: u64) {
        self.compacting.store(operation, Ordering::Relaxed);
    }

    /// Raft's own numbers, of about the time of the latest report.
    pub fn view(&self) -> RaftView {
        self.view.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_view(&self, view: RaftView) {
        *self.view.lock().unwrap_or_else(PoisonError::into_inner) = view;
    }

    /// Somebody waits for elements of the group's keys, or nobody does any more. Whoever begins to wait calls
    /// this first and looks at the state then; whoever applies commits first and asks then: one of the two sees
    /// the other.
    pub fn set_awaited(&self, awaited: bool) {
        self.awaited.store(awaited, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Whether somebody waits for elements of the group's keys.
    pub fn is_awaited(&self) -> bool {
        fence(Ordering::SeqCst);
        self.awaited.load(Ordering::Relaxed)
    }

    /// How large the state is.
    pub fn set_statistics(&self, statistics: Statistics) {
        *self.statistics.lock().unwrap_or_else(PoisonError::into_inner) = statistics;
    }

    /// The digest taken at a log index, once it is there.
    pub fn digest(&self, index: LogIndex) -> Option<Digest> {
        let digests = self.digests.lock().unwrap_or_else(PoisonError::into_inner);
        digests.iter().find(|(at, _)| *at == index).map(|(_, digest)| *digest)
    }

    /// The states at barriers that are kept for whoever will read them.
    pub fn holds(&self) -> MutexGuard<'_, Holds> {
        self.holds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state that readers look at from now on.
    pub fn set_reader(&self, reader: Option<Arc<dyn Reader>>) {
        *self.reader.write().unwrap_or_else(PoisonError::into_inner) = reader;
    }

    /// The last stamp that was applied.
    pub fn observe(&self, hlc: Hlc) {
        self.hlc.fetch_max(hlc.0, Ordering::AcqRel);
    }

    /// The last stamp that was observed.
    pub fn hlc(&self) -> Hlc {
        Hlc(self.hlc.load(Ordering::Acquire))
    }

    /// What the clocks show at a tick.
    pub(crate) fn observe_clock(&self, now: Now) {
        self.clock.store(clocks::offset(now.wall_millis, now.moment), Ordering::Relaxed);
    }

    /// A digest is there.
    pub fn add_digest(&self, index: LogIndex, digest: Digest) {
        let mut digests = self.digests.lock().unwrap_or_else(PoisonError::into_inner);
        if digests.len() == DIGESTS_KEPT {
            digests.remove(0);
        }
        digests.push((index, digest));
    }

    /// Extends the lease. Only the worker calls this, while it leads and has applied an entry of its
    /// own term.
    pub(crate) fn extend_lease(&self, until: Moment) {
        self.lease_until.store(until.0, Ordering::Release);
    }

    /// Ends the lease, before anything leaves that could let another leader in.
    pub(crate) fn end_lease(&self) {
        // In this order: whoever sees the new epoch at its first look sees the ended lease there too, and
        // whoever saw the old epoch fails at its second.
        self.lease_until.store(0, Ordering::Release);
        self.lease_epoch.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether there is a lease at a moment.
    pub fn has_lease(&self, now: Moment) -> bool {
        now < Moment(self.lease_until.load(Ordering::Acquire))
    }

    pub(crate) fn set_leader(&self, leader: Option<NodeId>) {
        self.leader.store(leader.map_or(0, NodeId::get), Ordering::Relaxed);
    }

    /// Time has passed: notes how much the replica was asked meanwhile, if it leads.
    pub(crate) fn note_load(&self, now: Moment) {
        let state = self.report.lock().unwrap_or_else(PoisonError::into_inner).state();
        let requests = self.reads.load(Ordering::Relaxed) + self.writes.load(Ordering::Relaxed);
        let mut load = self.load.lock().unwrap_or_else(PoisonError::into_inner);
        load.note(now, state == ReplicaState::Leader, requests);
    }

    pub(crate) fn set_report(&self, report: ReplicaReport) {
        *self.report.lock().unwrap_or_else(PoisonError::into_inner) = report;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;
    use std::time::Duration;

    /// A clock that jumps ahead whenever the state is read, as if the process were paused there.
    struct Paused {
        now: AtomicU64,
        pause: AtomicBool,
    }

    struct Value(Arc<Paused>);

    impl Clock for Paused {
        fn now(&self) -> Moment {
            Moment(self.now.load(Ordering::Relaxed))
        }

        fn wall_millis(&self) -> u64 {
            0
        }
    }

    impl Reader for Value {
        fn read(&self, _request: &[u8], _now: Hlc) -> Result<Bytes, EngineError> {
            if self.0.pause.load(Ordering::Relaxed) {
                self.0.now.fetch_add(Duration::from_secs(60).as_nanos() as u64, Ordering::Relaxed);
            }
            Ok(Bytes::from_static(b"value"))
        }
    }

    /// Says what it takes for now.
    struct Time;

    impl Reader for Time {
        fn read(&self, _request: &[u8], now: Hlc) -> Result<Bytes, EngineError> {
            Ok(now.millis().to_string().into())
        }
    }

    /// A wall clock that was set ahead; the other one runs.
    struct SetAhead;

    impl Clock for SetAhead {
        fn now(&self) -> Moment {
            Moment(3_000_000_000)
        }

        fn wall_millis(&self) -> u64 {
            1_000_000
        }
    }

    #[test]
    fn a_read_believes_the_wall_clock_as_far_as_a_write_does() {
        let shared = GroupShared::new(GroupId(1));
        shared.set_reader(Some(Arc::new(Time)));
        let read = || shared.read_state(&SetAhead, b"").unwrap().unwrap();
        assert_eq!(read(), "1000000", "nothing else is known");
        shared.observe_clock(Now { moment: Moment(1_000_000_000), wall_millis: 5_000 });
        assert_eq!(read(), "7001");
    }

    #[test]
    fn a_leader_says_how_much_it_is_asked() {
        let shared = GroupShared::new(GroupId(1));
        shared.set_reader(Some(Arc::new(Time)));
        let is = |state: ReplicaState| {
            shared.set_report(ReplicaReport { state: state.into(), ..Default::default() });
        };
        is(ReplicaState::Leader);
        for second in 0..20 {
            shared.set_writes(second * 30);
            (0..20).for_each(|_| assert!(shared.read_state(&SetAhead, b"").is_some()));
            shared.note_load(Moment(second * 1_000_000_000));
        }
        assert_eq!(shared.report().load, Some(50), "30 writes and 20 reads each second");
        is(ReplicaState::Follower);
        assert_eq!(shared.report().load, None);
        shared.note_load(Moment(21_000_000_000));
        is(ReplicaState::Leader);
        assert_eq!(shared.report().load, None, "it begins anew");
    }

    #[test]
    fn a_pause_in_the_middle_of_a_read_is_noticed() {
        let clock = Arc::new(Paused { now: AtomicU64::new(0), pause: AtomicBool::new(false) });
        let shared = GroupShared::new(GroupId(1));
        shared.set_reader(Some(Arc::new(Value(clock.clone()))));
        assert!(shared.read_by_lease(&*clock, b"").is_none(), "no lease yet");
        shared.extend_lease(Moment(1000));
        assert!(shared.read_by_lease(&*clock, b"").is_some());
        clock.pause.store(true, Ordering::Relaxed);
        assert!(shared.read_by_lease(&*clock, b"").is_none());
        shared.extend_lease(Moment(u64::MAX));
        shared.end_lease();
        assert!(shared.read_by_lease(&*clock, b"").is_none());
    }
}
