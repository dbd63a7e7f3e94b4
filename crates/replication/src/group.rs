//! One replica of one group: `raft`'s state machine and everything around it that is a rule.
//!
//! A group takes inputs (messages, ticks, proposals, reports of finished work) and, once per turn,
//! turns what `raft` has become into effects. It owns no thread, file, socket or clock.
//!
//! - `group.rs`: birth, inputs that every role takes, ticks
//! - `campaign.rs`: when it begins an election
//! - `ready.rs`: from `raft`'s `Ready` to effects
//! - `renew.rs`: a leader whose term cannot have a lease any more
//! - `lead.rs`: what only a leader does: proposals, reads, membership, leases

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use api::entry::Request;
use api::peer::{RaftMessage, ReplicaReport, ReplicaState};
use engine::Applied;
use raft::eraftpb::{Message, MessageType};
use raft::{RawNode, StateRole};
use types::{ErrorCode, Fault, GroupId, Hlc, HybridClock, LogIndex, NodeId, ReplicaId, StateId, limits};
use wal::LogStore;

use crate::effects::{Answer, ApplyOutcome, Campaign, Effect, GroupStart, Now, Token};
use crate::message::{self, BadMessage};
use crate::record::GroupRecord;
use crate::retention::{Hold, Holds};
use crate::shared::{GroupShared, ProgressState, ProgressView, RaftView};
use crate::storage::GroupStorage;
use crate::worker::{Counters, WorkerOptions};
use crate::{membership, mutant};
use handover::Handover;

mod campaign;
mod handover;
mod lead;
mod ready;
mod renew;

/// A fresh group's first replica campaigns this often until somebody leads, because the others may not
/// have been made yet.
const FRESH_CAMPAIGN_TICKS: u64 = 2;
/// Replicas outside the membership whose nodes are remembered.
const STRANGERS_MAX: usize = 16;
/// How often the log is cut, in ticks.
const CUT_TICKS: u64 = 20;
/// Who is in sync is news no more often than this, in ticks.
const IN_SYNC_PAUSE_TICKS: u64 = 4;
/// How often a leader looks at its membership, in ticks.
const MEMBERSHIP_TICKS: u64 = 2;

/// A `Ready` that is not over yet.
struct Unwritten {
    number: u64,
    /// The last index that it writes, if it writes any.
    last: Option<u64>,
    /// The term of the record as of it.
    term: u64,
    /// The log says when it is over; otherwise it is when those before it are.
    is_logged: bool,
}

/// One replica of one group.
pub struct Group {
    id: GroupId,
    seed: u64,
    raft: RawNode<GroupStorage>,
    record: GroupRecord,
    shared: Arc<GroupShared>,
    /// Ticks since this replica began to run.
    ticks: u64,
    /// The moment of the last tick.
    now: env::Moment,
    /// It campaigns without waiting: nobody ever led this group.
    fresh: bool,
    /// No vote before this tick: promises of the run before may still hold.
    quiet_until: u64,
    /// When it begins an election.
    campaign: Campaign,
    /// It stands in for the leader of record, which cannot win.
    stands_in: bool,
    /// Which node a replica was last heard from; fills in for members that the membership does not
    /// know yet.
    heard_from: BTreeMap<u64, NodeId>,
    /// The last round heard from the leader, with its term.
    round_heard: (u64, u64),
    applied: Applied,
    /// Committed entries on their way to apply.
    handover: Handover,
    durable: LogIndex,
    /// Where the membership in force was applied.
    membership_at: LogIndex,
    /// `Ready`s that wait for the log, or for those before them.
    writes: VecDeque<Unwritten>,
    written: u64,
    /// The term in which this replica would start after a power cut.
    term_written: u64,
    /// A received state whose snapshot `raft` has not taken up yet, and where it stands.
    received: Option<(StateId, u64)>,
    /// A state that the log is about to name, with the number of the write that does.
    adopting: Option<(u64, StateId, u64)>,
    /// The role and term when the last turn ended.
    was: (StateRole, u64),
    /// What was reported last that others wait for: role, term, leader and membership.
    reported: (StateRole, u64, u64, u64),
    /// Members that were in sync when that was last news, on the leader, and the tick before which it is none
    /// again: under load a follower may fall behind and catch up all the time.
    in_sync: Vec<u64>,
    in_sync_pause: u64,
    /// They are others than before.
    in_sync_changed: bool,
    leader: lead::Leading,
    /// Entries kept behind the durable state for late followers.
    keep_entries: u64,
    /// The log is to be cut as far as possible once the state is durable up to here.
    cut_at: Option<LogIndex>,
    /// Needs of others for entries.
    holds: Holds,
}

impl Group {
    /// Begins to run a replica.
    pub fn start(
        start: GroupStart,
        options: &WorkerOptions,
        log: Arc<dyn LogStore>,
        shared: Arc<GroupShared>,
    ) -> Result<Self, Fault> {
        let id = start.group;
        let replica = start.record.replica();
        let (log_start, log_last) = start.log;
        let mut hard_state = start.record.hard_state();
        hard_state.commit = hard_state.commit.max(start.applied.index.get()).min(log_last.index.get());
        let storage = GroupStorage::new(id, log, log_start, log_last, hard_state, start.membership.clone());
        let config = raft_config(replica, start.applied.index.get());
        let raft = RawNode::new(&config, storage, &options.logger)
            .map_err(|error| Fault::new(ErrorCode::DataDamaged, format!("group {id}: {error}")))?;
        // The log may hold membership changes that the state has not applied: then nobody is alone.
        let lone =
            membership::voters(&start.membership).count() == 1 && start.applied.index == log_last.index;
        let quiet = !start.is_new && !lone && !mutant!(VoteRightAfterRestart);
        let term_written = start.record.term;
        let mut group = Self {
            id,
            seed: options.seed,
            raft,
            record: start.record,
            shared,
            ticks: 0,
            now: env::Moment::default(),
            fresh: start.is_new && !start.membership.members.is_empty(),
            quiet_until: if quiet { limits::ELECTION_TICKS as u64 } else { 0 },
            stands_in: false,
            campaign: if id == GroupId::CATALOG { Campaign::AsUsual } else { options.campaign },
            heard_from: BTreeMap::new(),
            round_heard: (0, 0),
            applied: start.applied,
            handover: Handover::new(start.applied.index.get(), options.apply_bytes_max),
            durable: start.applied.index,
            membership_at: start.applied.index,
            writes: VecDeque::new(),
            written: log_last.index.get(),
            term_written,
            received: None,
            adopting: None,
            was: (StateRole::Follower, 0),
            reported: (StateRole::Follower, 0, 0, 0),
            in_sync: Vec::new(),
            in_sync_pause: 0,
            in_sync_changed: false,
            leader: lead::Leading::new(HybridClock::after(start.hlc)),
            keep_entries: options.log_keep_entries,
            cut_at: None,
            holds: Holds::default(),
        };
        group.set_election_timeout();
        // A sole voter with learners has the time of others to hear: it waits as long as everybody does.
        let alone = lone && start.membership.members.len() == 1;
        if group.may_begin() && (alone || group.begins()) && group.raft.raft.promotable() {
            let _ = group.raft.campaign();
            group.set_election_timeout();
        }
        Ok(group)
    }

    /// The group.
    pub fn id(&self) -> GroupId {
        self.id
    }

    /// This replica.
    pub fn replica(&self) -> ReplicaId {
        self.record.replica()
    }

    /// The record in force.
    pub fn record(&self) -> &GroupRecord {
        &self.record
    }

    /// Whether this replica leads.
    pub fn leads(&self) -> bool {
        self.raft.raft.state == StateRole::Leader
    }

    /// The current term.
    pub fn term(&self) -> u64 {
        self.raft.raft.term
    }

    /// The last index known to be committed.
    pub fn commit(&self) -> u64 {
        self.raft.raft.raft_log.committed
    }

    /// The last entry applied.
    pub fn applied(&self) -> Applied {
        self.applied
    }

    /// The last stamp that this replica applied or gave out.
    pub(crate) fn hlc(&self) -> Hlc {
        self.shared.hlc()
    }

    /// The epoch of the membership in force.
    pub(crate) fn epoch(&self) -> u64 {
        self.raft.store().membership().epoch
    }

    /// Where its log starts and ends.
    pub(crate) fn extent(&self) -> (wal::LogPosition, wal::LogPosition) {
        (self.raft.store().start(), self.raft.store().last())
    }

    /// Whether nothing is under way: no leader here or heard of lately, no write, no entry to apply, no snapshot.
    pub(crate) fn is_at_rest(&self) -> bool {
        let raft = &self.raft.raft;
        let hears_leader = raft.leader_id != 0 && raft.election_elapsed < limits::ELECTION_TICKS;
        let snapshot = self.received.is_some() || self.adopting.is_some() || self.raft.snap().is_some();
        !self.leads()
            && !hears_leader
            && !snapshot
            && self.writes.is_empty()
            && !self.raft.has_ready()
            && self.handover.is_done(self.applied.index.get())
    }

    /// Time passes. Returns whether a turn may have something to do.
    pub fn tick(&mut self, now: Now, counters: &mut Counters) -> bool {
        self.ticks += 1;
        self.now = now.moment;
        self.shared.observe_clock(now);
        // While the log takes up a snapshot, `raft` cannot look at the entries before it, as an election
        // would make it do.
        let mut busy = self.adopting.is_none() && self.raft.tick();
        if self.fresh && self.ticks.is_multiple_of(FRESH_CAMPAIGN_TICKS) {
            if self.raft.raft.leader_id != 0 || self.leads() {
                self.fresh = false;
            } else if self.begins() {
                let _ = self.raft.campaign();
                busy = true;
            }
        }
        self.set_election_timeout();
        if self.leads() {
            busy |= self.tick_leader(now, counters);
            busy |= self.renew_term();
            busy |= self.tick_in_sync();
        }
        busy || self.cut_at.is_some() || self.ticks.is_multiple_of(CUT_TICKS)
    }

    /// A message from the replica on another node. Snapshots come by [`Self::snapshot_received`] only.
    pub fn step(&mut self, from: NodeId, wire: RaftMessage) -> Result<(), BadMessage> {
        if wire.kind == MessageType::MsgSnapshot as i32 {
            return Err(BadMessage::Snapshot);
        }
        self.step_any(from, wire)
    }

    fn step_any(&mut self, from: NodeId, wire: RaftMessage) -> Result<(), BadMessage> {
        let (sender, round) = (wire.from, wire.lease_round);
        let known = membership::node_of(self.raft.store().membership(), sender);
        if wire.to != self.record.replica || known.is_some_and(|node| node != from) {
            return Err(BadMessage::Sender(sender));
        }
        let message = message::from_wire(wire)?;
        self.check(&message)?;
        if known.is_none() {
            self.note_stranger(sender, from);
        }
        if self.is_too_early(&message) {
            return Ok(());
        }
        self.stands_in |= self.refuses_leader_of_record(&message);
        let kind = message.get_msg_type();
        let term = message.term;
        // Errors are words like "peer not found": a late answer from a member that has left.
        let _ = self.raft.step(message);
        self.set_election_timeout();
        match kind {
            MessageType::MsgHeartbeat if term == self.raft.raft.term => {
                let (heard_term, heard_round) = self.round_heard;
                let round = if heard_term == term { heard_round.max(round) } else { round };
                self.round_heard = (term, round);
            }
            MessageType::MsgHeartbeatResponse if term == self.raft.raft.term && self.leads() => {
                self.leader.rounds.hear(ReplicaId(sender), round);
            }
            _ => {}
        }
        Ok(())
    }

    /// The connection to a node broke: until they answer again, its replicas get no optimistic appends, and no vote
    /// is given or taken that would need them.
    pub fn unreachable(&mut self, node: NodeId) {
        if self.leads() {
            let members = self.raft.store().membership().members.clone();
            for member in members.iter().filter(|member| member.node == node.get()) {
                self.raft.report_unreachable(member.replica);
                self.leader.rounds.cut_off(member.replica.into());
            }
        }
    }

    /// A write to the log is durable.
    pub fn persisted(&mut self, number: u64, out: &mut Vec<Effect>) {
        let mut done = number;
        while let Some(write) = self.writes.pop_front_if(|write| write.number <= number || !write.is_logged) {
            done = done.max(write.number);
            self.written = write.last.unwrap_or(self.written);
            self.term_written = write.term;
        }
        self.raft.on_persist_ready(done);
        if let Some((write, state, index)) = self.adopting
            && write <= number
        {
            self.adopting = None;
            self.adopt(state, index, out);
        }
    }

    /// Entries are applied.
    pub fn on_applied(&mut self, outcome: ApplyOutcome, counters: &mut Counters) {
        for (change, after) in outcome.memberships {
            let Some(membership) = after else { continue };
            // A snapshot may have overtaken entries that were still being applied.
            if membership.epoch <= self.raft.store().membership().epoch {
                continue;
            }
            counters.membership_changes += 1;
            // If it failed, `raft` would count other quorums than the membership's: the group must stop, and
            // does, for its worker catches this.
            self.raft
                .apply_conf_change(&change.to_raft())
                .expect("the change was applied to the same membership, which allowed it");
            self.raft.mut_store().set_membership(membership);
            self.membership_at = outcome.applied.index;
            self.set_election_timeout();
        }
        self.observe_clock(outcome.hlc);
        counters.sessions_repeated += outcome.repeated;
        // A snapshot may have overtaken entries that were still being applied.
        if outcome.applied.index > self.applied.index {
            self.applied = outcome.applied;
        }
        if self.applied.index.get() > self.raft.raft.raft_log.applied() {
            self.raft.advance_apply_to(self.applied.index.get());
        }
        self.handover.applied(self.applied.index.get());
        self.note_applied(self.applied.index.get());
        if self.leads() && !self.raft.raft.promotable() {
            // `raft` would go on as a leader without a vote, or without a place of its own, and trip over it.
            let term = self.raft.raft.term;
            self.raft.raft.become_follower(term, 0);
        }
    }

    /// Answers everything that waits here, before the replica goes.
    pub fn drain(&mut self, out: &mut Vec<Effect>) {
        // Whoever asks here for the leader would be told of an old one for good.
        self.shared.set_leader(None);
        self.stop_leading(out);
    }

    /// A crash would lose nothing of the state up to here.
    pub fn state_durable(&mut self, index: LogIndex) {
        self.durable = self.durable.max(index);
    }

    /// Cuts the log as far as its holds allow, once the state is durable up to what is applied now.
    pub fn cut_now(&mut self) {
        self.cut_at = Some(self.applied.index);
    }

    /// Sets, moves or ends a named hold on the log.
    pub fn hold(&mut self, name: &str, hold: Option<Hold>) {
        match hold {
            Some(hold) => self.holds.set(name, hold),
            None => self.holds.release(name),
        }
    }

    /// A complete and durable state came from the leader.
    pub fn snapshot_received(
        &mut self,
        from: NodeId,
        state: StateId,
        message: RaftMessage,
        out: &mut Vec<Effect>,
    ) {
        let position = message.snapshot.as_ref().map_or(0, |meta| meta.index);
        // One at a time: the log's reset and the state that it names must be of the same snapshot.
        let busy = self.received.is_some() || self.adopting.is_some() || self.raft.snap().is_some();
        let taken_up = !busy
            && self.step_any(from, message).is_ok()
            && self.raft.snap().is_some_and(|snapshot| snapshot.get_metadata().index == position);
        if taken_up {
            self.received = Some((state, position));
        } else {
            out.push(Effect::Discard { group: self.id, state });
        }
    }

    /// What the group looks like from outside.
    pub fn report(&self) -> ReplicaReport {
        let raft = &self.raft.raft;
        let learner = !raft.promotable();
        let state = match raft.state {
            StateRole::Leader => ReplicaState::Leader,
            StateRole::Candidate | StateRole::PreCandidate => ReplicaState::Candidate,
            StateRole::Follower if self.applied.index.get() == 0 => ReplicaState::Starting,
            StateRole::Follower if learner => ReplicaState::Learner,
            StateRole::Follower => ReplicaState::Follower,
        };
        let membership = self.raft.store().membership();
        let is_member = membership::node_of(membership, self.record.replica).is_some();
        ReplicaReport {
            group: self.id.get(),
            replica: self.record.replica,
            state: state as i32,
            term: raft.term,
            applied: self.applied.index.get(),
            commit: raft.raft_log.committed,
            leader: raft.leader_id,
            membership: (self.leads() && !self.would_forget_that_it_is_alone()).then(|| membership.clone()),
            member_epoch: if is_member { membership.epoch } else { 0 },
            in_sync: self.in_sync(),
            last_index: self.raft.store().last().index.get(),
            last_term: self.raft.store().last().term.get(),
            ..Default::default()
        }
    }

    /// Raft's own numbers, for people who look at them.
    pub fn view(&self) -> RaftView {
        let raft = &self.raft.raft;
        let state = |state| match state {
            raft::ProgressState::Probe => ProgressState::Probe,
            raft::ProgressState::Replicate => ProgressState::Replicate,
            raft::ProgressState::Snapshot => ProgressState::Snapshot,
        };
        let known = |(id, progress): (&u64, &raft::Progress)| ProgressView {
            replica: *id,
            matched: progress.matched,
            next: progress.next_idx,
            state: state(progress.state),
        };
        let mut progress: Vec<ProgressView> = match raft.state {
            StateRole::Leader => raft.prs().iter().map(known).collect(),
            _ => Vec::new(),
        };
        progress.sort_unstable_by_key(|known| known.replica);
        RaftView {
            vote: raft.vote,
            transferee: raft.lead_transferee.unwrap_or(0),
            pre_candidate: raft.state == StateRole::PreCandidate,
            progress,
        }
    }

    /// Of two voters one has left, and a crash would make this one wait for its vote again: until what is applied
    /// is durable nobody is told, so that the other stays for as long.
    fn would_forget_that_it_is_alone(&self) -> bool {
        let voters = membership::voters(self.raft.store().membership()).count();
        voters == 1 && self.durable < self.membership_at
    }

    /// Notes who is in sync. Returns whether that is news.
    fn tick_in_sync(&mut self) -> bool {
        if self.ticks < self.in_sync_pause {
            return false;
        }
        let in_sync = self.in_sync();
        if in_sync != self.in_sync {
            self.in_sync = in_sync;
            self.in_sync_pause = self.ticks + IN_SYNC_PAUSE_TICKS;
            self.in_sync_changed = true;
        }
        self.in_sync_changed
    }

    /// Whether something has changed that should be reported at once.
    pub fn has_news(&mut self) -> bool {
        let raft = &self.raft.raft;
        let epoch = self.raft.store().membership().epoch;
        let now = (raft.state, raft.term, raft.leader_id, epoch);
        let changed = std::mem::replace(&mut self.reported, now) != now;
        std::mem::take(&mut self.in_sync_changed) || changed
    }

    /// The node of the leader, if this replica knows one.
    pub fn leader_node(&self) -> Option<NodeId> {
        match self.raft.raft.leader_id {
            0 => None,
            leader => self.node_of(leader),
        }
    }

    fn node_of(&self, replica: u64) -> Option<NodeId> {
        membership::node_of(self.raft.store().membership(), replica)
            .or_else(|| self.heard_from.get(&replica).copied())
    }

    /// Remembers where a replica that the membership does not know answers: the leader of a joiner, or a
    /// member that is newer than what is applied here. A few at most.
    fn note_stranger(&mut self, replica: u64, node: NodeId) {
        if self.heard_from.len() >= STRANGERS_MAX && !self.heard_from.contains_key(&replica) {
            self.heard_from.pop_first();
        }
        self.heard_from.insert(replica, node);
    }

    /// What `raft` takes for a bug must not come from the network.
    fn check(&self, message: &Message) -> Result<(), BadMessage> {
        let raft = &self.raft.raft;
        let last = raft.raft_log.last_index();
        let current = message.term == raft.term;
        match message.get_msg_type() {
            MessageType::MsgTimeoutNow if self.adopting.is_some() => {
                Err(BadMessage::Contradiction("a snapshot is being taken up"))
            }
            MessageType::MsgHeartbeat if message.commit > last => Err(self.lost_or_never_had(message, last)),
            MessageType::MsgAppend | MessageType::MsgHeartbeat | MessageType::MsgSnapshot
                if current && self.leads() =>
            {
                Err(BadMessage::Contradiction("another leader in the same term"))
            }
            MessageType::MsgAppendResponse if current && !message.reject && message.index > last => {
                Err(BadMessage::Contradiction("an answer acknowledges what this leader never had"))
            }
            // `raft` 0.7 would lower its idea of the follower below what the follower acknowledged.
            MessageType::MsgAppendResponse if current && message.reject => {
                match raft.prs().get(message.from) {
                    Some(progress) if message.index <= progress.matched => {
                        Err(BadMessage::Contradiction("a refusal that was overtaken"))
                    }
                    _ => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// What a heartbeat proves that commits more than this replica has.
    ///
    /// A leader commits no more to a replica than the replica has acknowledged in the leader's term, and a log
    /// loses entries to a leader of a later term only. So a member whose term is not later than this replica's own
    /// and which commits more tells a lie, or of a time that has passed; otherwise what was acknowledged is gone:
    /// the disk said that entries were durable which were not.
    fn lost_or_never_had(&self, message: &Message, last: u64) -> BadMessage {
        let is_member = membership::node_of(self.raft.store().membership(), message.from).is_some();
        match is_member && message.term >= self.raft.raft.term {
            true => BadMessage::Lost { acknowledged: message.commit, last },
            false => BadMessage::Contradiction("a heartbeat commits what this replica never acknowledged"),
        }
    }

    /// Whether a promise of this replica's run before may still hold against a vote.
    fn is_too_early(&self, message: &Message) -> bool {
        let asks_vote =
            matches!(message.get_msg_type(), MessageType::MsgRequestVote | MessageType::MsgRequestPreVote);
        asks_vote && self.ticks < self.quiet_until
    }

    fn answer_all(&self, tokens: impl Iterator<Item = Token>, code: ErrorCode) -> Option<Effect> {
        let leader = self.leader_node();
        let answers: Vec<(Token, Answer)> =
            tokens.map(|token| (token, Answer::Refused { fault: code.into(), leader })).collect();
        (!answers.is_empty()).then_some(Effect::Answer(answers))
    }
}

fn raft_config(replica: ReplicaId, applied: u64) -> raft::Config {
    raft::Config {
        id: replica.get(),
        election_tick: limits::ELECTION_TICKS,
        heartbeat_tick: limits::HEARTBEAT_TICKS,
        min_election_tick: limits::ELECTION_TICKS,
        max_election_tick: campaign::OUT_OF_REACH + 1,
        applied,
        max_size_per_msg: limits::APPEND_BYTES_MAX,
        max_inflight_msgs: limits::APPENDS_IN_FLIGHT_MAX,
        check_quorum: true,
        pre_vote: true,
        read_only_option: raft::ReadOnlyOption::Safe,
        skip_bcast_commit: false,
        // Off: `raft` puts no limit on what it batches into one message.
        batch_append: false,
        priority: 0,
        max_uncommitted_size: limits::UNCOMMITTED_BYTES_MAX,
        max_committed_size_per_ready: limits::COMMITTED_BYTES_PER_READY_MAX,
    }
}

/// A number that looks random, from a seed and what it is for (SplitMix64's finaliser over a sum).
pub(crate) fn mix(seed: u64, parts: [u64; 3]) -> u64 {
    parts.iter().fold(seed, |state, part| {
        let mut mixed = state.wrapping_add(*part).wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    })
}

/// A write that waits for its turn in the log.
struct Queued {
    token: Token,
    request: Request,
}
