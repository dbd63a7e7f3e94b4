//! What only a leader does: proposals, reads, membership steps, leases.
//!
//! **Proposals** that arrive in one turn become one entry. **Reads** wait for two things: that a quorum
//! heard a round which began after the read arrived, and that the commit index of its arrival is
//! applied. Neither begins before an entry of the leader's own term is applied, because only then does
//! the leader know the commit index of the terms before.
//!
//! **Barriers** wait, beside everything else, until the leader's clock has reached their stamp. Then each becomes an
//! entry of its own, before whatever waits at that moment: what was proposed before has a stamp below it.

use std::collections::{BTreeMap, VecDeque};

use api::entry::{APPLY_VERSION, Barrier, Envelope, Request, RequestKind};
use prost::Message as _;
use raft::eraftpb::Entry;
use types::{ConfigEpoch, ErrorCode, Hlc, HybridClock, ReplicaId, limits};

use super::{Group, MEMBERSHIP_TICKS, Queued, mix};
use crate::effects::{Answer, Effect, Now, Token};
use crate::lease::Rounds;
use crate::membership::{self, Step, Wished};
use crate::mutant;
use crate::worker::Counters;

/// Rounds under way at once at the wish of reads; later reads wait for the next one.
const OPEN_ROUNDS_MAX: u64 = 8;

/// A learner this many entries behind may get its vote: it catches up within one append.
const LEARNER_LAG_MAX: u64 = 256;

/// A leader's own state. It exists on every replica, so that the clock survives a change of roles.
pub struct Leading {
    pub(super) rounds: Rounds,
    clock: HybridClock,
    queue: VecDeque<Queued>,
    queue_bytes: usize,
    /// Barriers whose stamp has not been reached.
    barriers: Vec<(Hlc, Queued)>,
    /// Entries proposed in this term, by index, with those who wait for them.
    proposed: BTreeMap<u64, Vec<Token>>,
    /// Entries proposed in this term that are not applied, with how many writes each carries.
    under_way: VecDeque<(u64, usize)>,
    reads: VecDeque<PendingRead>,
    /// The index of the term's first entry.
    first_of_term: u64,
    /// A read waits for a round that has not begun.
    wants_round: bool,
    had_lease: bool,
    wish: Vec<Wished>,
}

/// Whether a request may share its entry with others.
fn is_batched(request: &Request) -> bool {
    RequestKind::try_from(request.kind)
        .is_ok_and(|kind| kind == RequestKind::Register || kind.is_for_engine())
}

fn is_for_engine(request: &Request) -> bool {
    RequestKind::try_from(request.kind).is_ok_and(RequestKind::is_for_engine)
}

/// The stamp that a barrier waits for.
fn barrier_at(request: &Request) -> Option<Hlc> {
    let is_barrier = request.kind == RequestKind::Barrier as i32;
    is_barrier.then(|| Barrier::decode(request.body.clone()).ok()).flatten().map(|barrier| Hlc(barrier.at))
}

/// A read on its way.
struct PendingRead {
    token: Token,
    /// A quorum must hear this round, or a later one.
    round: u64,
    /// This index must be applied.
    index: u64,
}

impl Leading {
    pub(super) fn new(clock: HybridClock) -> Self {
        Self {
            rounds: Rounds::default(),
            clock,
            queue: VecDeque::new(),
            queue_bytes: 0,
            barriers: Vec::new(),
            proposed: BTreeMap::new(),
            under_way: VecDeque::new(),
            reads: VecDeque::new(),
            first_of_term: 0,
            wants_round: false,
            had_lease: false,
            wish: Vec::new(),
        }
    }
}

impl Group {
    /// A write, to be answered when it is applied.
    pub fn propose(&mut self, token: Token, request: Request, out: &mut Vec<Effect>) {
        let refusal = if !self.leads() {
            ErrorCode::NotLeader
        } else if request.generation != self.record.generation && is_for_engine(&request) {
            ErrorCode::StaleRoute
        } else if request.body.len() > limits::ENTRY_BYTES_MAX {
            ErrorCode::RequestTooLarge
        } else if self.leader.queue.len() >= limits::PROPOSALS_WAITING_MAX
            || self.leader.queue_bytes as u64 >= limits::UNCOMMITTED_BYTES_MAX
            || self.commit().saturating_sub(self.applied.index.get()) > limits::APPLY_LAG_MAX
        {
            ErrorCode::Overloaded
        } else {
            if mutant!(AckBeforeQuorum) {
                let reply = api::kv::KvReply::ok();
                let reply = prost::Message::encode_to_vec(&reply).into();
                out.push(Effect::Answer(vec![(token, Answer::Done(reply))]));
            }
            self.enqueue(Queued { token, request }, out);
            return;
        };
        out.push(Effect::Answer(vec![(token, self.refusal(refusal))]));
    }

    fn enqueue(&mut self, queued: Queued, out: &mut Vec<Effect>) {
        match barrier_at(&queued.request) {
            Some(at) => {
                self.leader.barriers.push((at, queued));
                if self.leader.barriers.len() > limits::BARRIERS_WAITING_MAX {
                    let (_, oldest) = self.leader.barriers.remove(0);
                    out.push(Effect::Answer(vec![(oldest.token, self.refusal(ErrorCode::Overloaded))]));
                }
            }
            None => {
                self.leader.queue_bytes += queued.request.body.len();
                self.leader.queue.push_back(queued);
            }
        }
    }

    /// Barriers whose stamp has been reached go before everything that waits; whether there were any.
    fn release_barriers(&mut self, now: Now) -> bool {
        if self.leader.barriers.is_empty() {
            return false;
        }
        let clock = self.leader.clock.peek(now.wall_millis);
        let barriers = std::mem::take(&mut self.leader.barriers);
        let (due, waiting): (Vec<_>, Vec<_>) = barriers.into_iter().partition(|(at, _)| *at <= clock);
        self.leader.barriers = waiting;
        let released = !due.is_empty();
        for (_, queued) in due.into_iter().rev() {
            self.leader.queue_bytes += queued.request.body.len();
            self.leader.queue.push_front(queued);
        }
        released
    }

    /// A read, to be answered when the state is recent enough.
    pub fn read(&mut self, token: Token, out: &mut Vec<Effect>) {
        if !self.leads() {
            out.push(Effect::Answer(vec![(token, self.refusal(ErrorCode::NotLeader))]));
        } else if self.leader.reads.len() >= limits::PROPOSALS_WAITING_MAX {
            out.push(Effect::Answer(vec![(token, self.refusal(ErrorCode::Overloaded))]));
        } else {
            let round = if mutant!(ReadWithoutRound) { 0 } else { self.leader.rounds.last() + 1 };
            let index = self.commit().max(self.leader.first_of_term);
            self.leader.wants_round |= round > self.leader.rounds.last();
            self.leader.reads.push_back(PendingRead { token, round, index });
        }
    }

    /// The replicas that the catalog wishes for, as of a membership.
    pub fn set_wish(&mut self, replicas: Vec<Wished>, epoch: ConfigEpoch) {
        if self.leads() && self.raft.store().membership().epoch <= epoch.get() {
            self.leader.wish = replicas;
        }
    }

    /// Hands leadership over, if this replica has it.
    pub fn transfer(&mut self, to: ReplicaId) {
        if self.leads() && to != self.replica() {
            self.raft.transfer_leader(to.get());
        }
    }

    /// Voters and learners that answer and are within reach of the log's end.
    pub(super) fn in_sync(&self) -> Vec<u64> {
        if !self.leads() {
            return Vec::new();
        }
        let me = self.record.replica;
        let committed = self.commit();
        let close = |matched: u64| matched + LEARNER_LAG_MAX >= committed;
        let mut ids: Vec<u64> = self
            .raft
            .raft
            .prs()
            .iter()
            .filter(|(id, progress)| **id == me || (self.is_live(**id) && close(progress.matched)))
            .map(|(id, _)| *id)
            .collect();
        ids.sort_unstable();
        ids
    }

    pub(super) fn tick_leader(&mut self, now: Now, counters: &mut Counters) -> bool {
        if self.leader.had_lease && !self.shared.has_lease(now.moment) {
            self.leader.had_lease = false;
            counters.lease_expiries += 1;
        }
        let released = self.release_barriers(now);
        (self.ticks.is_multiple_of(MEMBERSHIP_TICKS) && self.step_membership()) || released
    }

    /// Whether a follower has answered a heartbeat lately. `raft` has a flag of that name too, but clears
    /// it at each of its own quorum checks.
    pub(super) fn is_live(&self, replica: u64) -> bool {
        self.leader.rounds.is_live(replica.into(), self.now)
    }

    /// Writes that wait and could become entries. During a planned move of leadership none can; if
    /// leadership really goes, they are told where.
    pub(crate) fn waiting(&self) -> usize {
        if self.raft.raft.lead_transferee.is_some() { 0 } else { self.leader.queue.len() }
    }

    /// Writes that were proposed here and are not applied yet.
    pub(crate) fn under_way(&self) -> usize {
        self.leader.under_way.iter().map(|(_, writes)| writes).sum()
    }

    /// Everything that waits becomes entries.
    pub(super) fn propose_queued(&mut self, now: Now, out: &mut Vec<Effect>) {
        self.release_barriers(now);
        while self.waiting() > 0 {
            let (requests, tokens) = self.take_batch();
            let index = self.raft.raft.raft_log.last_index() + 1;
            let hlc = if mutant!(ClockGoesBack) {
                Hlc::from_millis(now.wall_millis)
            } else {
                self.leader.clock.next(now.wall_millis)
            };
            let envelope = Envelope {
                apply_version: APPLY_VERSION,
                hlc: hlc.0,
                seed: mix(self.seed, [self.id.get(), self.raft.raft.term, index]),
                origin: 0,
                requests,
            };
            match self.raft.propose(Vec::new(), envelope.to_bytes().into()) {
                Ok(()) => {
                    self.leader.under_way.push_back((index, tokens.len()));
                    self.leader.proposed.insert(index, tokens);
                }
                // Refused before any effect: too much is uncommitted.
                Err(_) => out.extend(self.answer_all(tokens.into_iter(), ErrorCode::Overloaded)),
            }
        }
    }

    fn take_batch(&mut self) -> (Vec<Request>, Vec<Token>) {
        let (mut requests, mut tokens, mut bytes) = (Vec::new(), Vec::new(), 0);
        while let Some(queued) = self.leader.queue.front() {
            let size = queued.request.body.len();
            // A digest or a seal stands between entries, not inside one.
            let alone = !is_batched(&queued.request);
            let full = requests.len() == limits::ENTRY_BATCH_REQUESTS
                || (!requests.is_empty() && (alone || bytes + size > limits::ENTRY_BATCH_BYTES))
                || requests.last().is_some_and(|last| !is_batched(last));
            if full {
                break;
            }
            bytes += size;
            self.leader.queue_bytes -= size;
            if let Some(queued) = self.leader.queue.pop_front() {
                requests.push(queued.request);
                tokens.push(queued.token);
            }
        }
        (requests, tokens)
    }

    /// Entries up to this one are applied.
    pub(super) fn note_applied(&mut self, index: u64) {
        while self.leader.under_way.front().is_some_and(|(first, _)| *first <= index) {
            self.leader.under_way.pop_front();
        }
    }

    /// Those who wait for a committed entry: the tokens if it is the entry that was proposed here, and
    /// otherwise nobody, because another leader's entry took its place.
    pub(super) fn take_tokens(&mut self, entry: &Entry, out: &mut Vec<Effect>) -> Vec<Token> {
        let Some(tokens) = self.leader.proposed.remove(&entry.index) else { return Vec::new() };
        if entry.term == self.raft.raft.term && self.leads() {
            return tokens;
        }
        out.extend(self.answer_all(tokens.into_iter(), ErrorCode::NotLeader));
        Vec::new()
    }

    /// A round must begin for the reads that wait for one.
    pub(super) fn ask_quorum(&mut self) {
        // Rounds that are sent faster than they are heard would be forgotten before they count.
        let open = self.leader.rounds.last() - self.leader.rounds.confirmed();
        if self.leader.wants_round && open < OPEN_ROUNDS_MAX {
            self.leader.wants_round = false;
            self.raft.ping();
        }
    }

    pub(super) fn begin_round(&mut self, now: Now) {
        self.leader.rounds.begin(now.moment);
    }

    /// Answers the reads whose two conditions hold, and extends the lease.
    pub(super) fn settle_reads(&mut self, now: Now, out: &mut Vec<Effect>, counters: &mut Counters) {
        if self.is_lone() {
            // Nobody to send heartbeats to: every turn is a round.
            self.begin_round(now);
        }
        let me = self.replica();
        if mutant!(RoundQuorumTooSmall) {
            let mut membership = self.raft.store().membership().clone();
            membership.members.retain(|member| member.replica == me.get());
            self.leader.rounds.count(me, &membership);
        }
        self.leader.rounds.count(me, self.raft.store().membership());
        if !self.has_applied_own_term() && !mutant!(ReadBeforeApplied) {
            return;
        }
        if let Some(until) = self.leader.rounds.lease_until()
            && self.has_applied_own_term()
        {
            let until = if mutant!(LeaseFromAnswer) { now.moment.plus(limits::LEASE) } else { until };
            self.shared.extend_lease(until);
            self.leader.had_lease |= self.shared.has_lease(now.moment);
        }
        let confirmed = self.leader.rounds.confirmed();
        let applied = if mutant!(ReadBeforeApplied) { u64::MAX } else { self.applied.index.get() };
        let mut answers = Vec::new();
        while let Some(read) = self.leader.reads.front() {
            if read.round > confirmed || read.index > applied {
                break;
            }
            answers.push((read.token, Answer::ReadNow));
            self.leader.reads.pop_front();
        }
        counters.reads_by_quorum += answers.len() as u64;
        if !answers.is_empty() {
            out.push(Effect::Answer(answers));
        }
    }

    pub(super) fn start_leading(&mut self, _now: Now) {
        self.leader.rounds = Rounds::default();
        self.leader.first_of_term = self.raft.raft.raft_log.last_index();
        self.leader.wants_round = !self.is_lone();
        self.leader.had_lease = false;
        self.shared.end_lease();
    }

    pub(super) fn stop_leading(&mut self, out: &mut Vec<Effect>) {
        self.shared.end_lease();
        self.leader.rounds = Rounds::default();
        self.leader.wants_round = false;
        // Whoever leads meanwhile follows younger wishes.
        self.leader.wish.clear();
        // What was proposed may still be committed by the next leader: that is another answer than
        // "not here", which promises that nothing happened.
        self.leader.under_way.clear();
        let proposed = std::mem::take(&mut self.leader.proposed).into_values().flatten();
        out.extend(self.answer_all(proposed, ErrorCode::NoLeader));
        let reads = std::mem::take(&mut self.leader.reads).into_iter().map(|read| read.token);
        out.extend(self.answer_all(reads, ErrorCode::NotLeader));
        out.extend(self.refuse_queued());
    }

    /// Writes that were never proposed go elsewhere.
    pub(super) fn refuse_queued(&mut self) -> Option<Effect> {
        self.leader.queue_bytes = 0;
        let barriers = std::mem::take(&mut self.leader.barriers).into_iter().map(|(_, queued)| queued.token);
        let queued = std::mem::take(&mut self.leader.queue).into_iter().map(|queued| queued.token);
        self.answer_all(queued.chain(barriers).collect::<Vec<Token>>().into_iter(), ErrorCode::NotLeader)
    }

    /// The stamp after which this group's next entry lies.
    pub(super) fn observe_clock(&mut self, hlc: Hlc) {
        self.leader.clock.observe(hlc);
    }

    fn is_lone(&self) -> bool {
        self.raft.raft.prs().iter().count() == 1
    }

    fn has_applied_own_term(&self) -> bool {
        mutant!(ReadBeforeOwnTerm)
            || (self.applied.term.get() == self.raft.raft.term
                && self.applied.index.get() >= self.leader.first_of_term)
    }

    /// One step towards the wished membership, if none is on its way.
    fn step_membership(&mut self) -> bool {
        if self.raft.raft.has_pending_conf() || !self.has_applied_own_term() {
            return false;
        }
        let last = self.raft.raft.raft_log.last_index();
        let caught_up = |replica: ReplicaId| {
            self.raft.raft.prs().get(replica.get()).is_some_and(|progress| {
                self.leader.rounds.answers(replica, self.now)
                    && progress.matched > 0
                    && progress.matched + LEARNER_LAG_MAX >= last
            })
        };
        let current = self.raft.store().membership();
        match membership::next_step(current, &self.leader.wish, self.replica(), caught_up) {
            Some(Step::Change(change)) => {
                let proposed = self.raft.propose_conf_change(change.to_bytes().into(), change.to_raft());
                proposed.is_ok()
            }
            Some(Step::MoveLeader) => match self.best_successor() {
                Some(successor) => {
                    self.raft.transfer_leader(successor);
                    true
                }
                None => false,
            },
            None => false,
        }
    }

    /// The replica with the most of the log of those that vote and are to go on voting.
    fn best_successor(&self) -> Option<u64> {
        let current = self.raft.store().membership();
        membership::voters(current)
            .filter(|member| member.replica != self.record.replica && self.is_live(member.replica))
            .filter(|member| {
                self.leader.wish.iter().any(|wish| wish.voter && wish.replica.get() == member.replica)
            })
            .filter_map(|member| Some((self.raft.raft.prs().get(member.replica)?.matched, member.replica)))
            .max()
            .map(|(_, replica)| replica)
    }
}
