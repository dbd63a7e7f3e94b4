//! The gateway: from a request for a partition to its one answer, whatever leaders do meanwhile.
//!
//! ```text
//!   submit ──► which replica? ──► Send ──► reply ──► Complete
//!                  ▲                         │
//!                  └── not the leader, connection lost, silence: try again, same number ──┘
//! ```
//!
//! Reads may be repeated freely. Writes are numbered in a *session* with their group, so that the group
//! carries each out at most once however often it is sent. What cannot be told any more (the session is
//! gone, or time ran out after a write was sent) ends as `outcome-unknown`, never as a second attempt
//! under a new number.
//!
//! A session's numbers are given in the order of submission; the group is told the lowest number that
//! has no answer yet, and forgets the replies below.
//!
//! **Which replica?** The leader that another replica named a moment ago; else the one that this node's own
//! replica follows, which hears of an election at once; else the one that answered last; else each in turn.
//! A call that is out at a node which may only be paused does not wait for it when the local replica follows
//! another.
//!
//! **Order.** Writes of one gateway to one group arrive in the order of submission also when the leader
//! changes: a new one does not leave while an earlier one pauses, or is still out at another node.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use api::entry::RequestKind;
use api::peer::{Access, Outcome, Refused, Reply, Request};
use bytes::Bytes;
use env::Moment;
use types::{ErrorCode, Fault, Generation, GroupId, NodeId, RouteEpoch, SessionId, limits};

/// An attempt without any answer for this long is made again elsewhere.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(1);
/// The pause before a replica is asked again, at first and at most.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_millis(50);
/// A hint is followed at once this often in a row; then hints are taken for a circle.
const HINTS_AT_ONCE_MAX: u32 = 3;
/// A hint is younger than what the local replica knows for this long: a replica that follows a leader hears
/// from it twice in that time.
const HINT_FRESH: Duration = limits::TICK.saturating_mul(2 * limits::HEARTBEAT_TICKS as u32);
/// How often calls that are out are compared with whom the local replica follows.
const REVIEW_EVERY: Duration = Duration::from_millis(100);
/// What clients are told while nobody leads and nobody will by itself.
const MANUAL_WORDS: &str = "auto_failover is false, so nobody takes over by himself: 'changeleader TABLE PID' or \
                            'offlineendpoint ENDPOINT' in 'skein ns' lets another replica lead";
/// Writes of one session that may be open at once. Below the group's window, which counts from the floor.
const OPEN_WRITES_MAX: usize = limits::SESSION_WINDOW as usize / 2;

/// What a gateway knows of a group at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRoute {
    /// The generation that requests must name.
    pub generation: Generation,
    /// The epoch of this knowledge.
    pub route_epoch: RouteEpoch,
    /// The nodes of its replicas, the likeliest leader first.
    pub nodes: Vec<NodeId>,
    /// No replica takes over from a leader that is gone until a person says so.
    pub manual: bool,
}

/// Where a gateway looks up groups.
pub trait Routes {
    /// What the catalog copy says of a group; `None` when the group is gone.
    fn route(&self, group: GroupId) -> Option<GroupRoute>;

    /// The node that a replica on this node takes for the leader.
    fn leader(&self, group: GroupId) -> Option<NodeId>;
}

/// A request for a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The group.
    pub group: GroupId,
    /// What it needs.
    pub access: Access,
    /// What its body is, for writes.
    pub kind: RequestKind,
    /// For the engine.
    pub body: Bytes,
}

impl Call {
    /// How long an attempt may go without any answer. A client that waits in line gets its answer late.
    fn patience(&self) -> Duration {
        match self.access {
            Access::Wait => limits::WAIT_PARK + ATTEMPT_TIMEOUT,
            Access::Read | Access::Write | Access::StaleRead => ATTEMPT_TIMEOUT,
        }
    }
}

/// Something to be done outside, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum GatewayEffect {
    /// Send to a node, which may be this one.
    Send(NodeId, Request),
    /// The call is over.
    Complete(u64, Result<Bytes, Fault>),
}

/// Counters for metrics and coverage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GatewayCounters {
    /// Attempts that were sent to another node.
    pub forwarded: u64,
    /// Attempts after the first.
    pub retried: u64,
    /// Calls whose outcome could not be told.
    pub unknown: u64,
}

/// A node's gateway.
pub struct Gateway {
    me: NodeId,
    /// This run of the gateway, for its sessions.
    incarnation: u64,
    next_id: u64,
    calls: BTreeMap<u64, Open>,
    sessions: BTreeMap<GroupId, Session>,
    leaders: Leaders,
    /// Calls to look at, by time.
    due: BTreeSet<(Moment, u64)>,
    /// When to compare calls that are out with whom the local replicas follow.
    review: Moment,
    counters: GatewayCounters,
}

/// What other nodes' words say about who leads.
#[derive(Default)]
struct Leaders {
    /// Whom a replica named as its leader, and when.
    hinted: BTreeMap<GroupId, (NodeId, Moment)>,
    /// Who answered last.
    answered: BTreeMap<GroupId, NodeId>,
}

/// A call that is not over.
struct Open {
    call: Call,
    /// Its number in the session, for writes that have one.
    sequence: Option<(SessionId, u64)>,
    /// It registers the session itself.
    registers: bool,
    began: Moment,
    deadline: Moment,
    /// When to look at it next, as in `due`.
    look: Moment,
    /// The node it was last sent to and has not answered.
    sent_to: Option<NodeId>,
    /// When it was last sent.
    sent_at: Moment,
    attempts: u32,
    hints: u32,
    /// An attempt may have been carried out without our knowing.
    in_doubt: bool,
    /// The node that was no good last time.
    avoid: Option<NodeId>,
    last_fault: ErrorCode,
}

/// This gateway's session with one group.
#[derive(Default)]
struct Session {
    id: Option<SessionId>,
    registering: bool,
    next: u64,
    open: BTreeSet<u64>,
    /// Writes that wait for the session, for room in it, or for earlier ones to be on their way again.
    waiting: VecDeque<u64>,
    /// Numbered writes that pause before their next attempt.
    paused: BTreeSet<u64>,
    /// Numbered writes without an answer, by the node that they were sent to.
    sent: BTreeMap<NodeId, u32>,
}

impl Gateway {
    /// A gateway of a node. `incarnation` must differ from every earlier run's.
    pub fn new(me: NodeId, incarnation: u64) -> Self {
        Self {
            me,
            incarnation,
            next_id: 1,
            calls: BTreeMap::new(),
            sessions: BTreeMap::new(),
            leaders: Leaders::default(),
            due: BTreeSet::new(),
            review: Moment::default(),
            counters: GatewayCounters::default(),
        }
    }

    /// What happened so far.
    pub fn counters(&self) -> GatewayCounters {
        self.counters
    }

    /// Calls that are not over.
    pub fn open_calls(&self) -> usize {
        self.calls.len()
    }

    /// When [`Self::tick`] has something to do.
    pub fn next_due(&self) -> Option<Moment> {
        self.due.first().map(|(moment, _)| self.review.min(*moment))
    }

    /// Takes on a call. Its end is a `Complete` with the returned number, perhaps at once.
    pub fn submit(
        &mut self,
        call: Call,
        routes: &dyn Routes,
        now: Moment,
        out: &mut Vec<GatewayEffect>,
    ) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        if self.calls.len() >= limits::GATEWAY_IN_FLIGHT_MAX {
            out.push(GatewayEffect::Complete(id, Err(ErrorCode::Overloaded.into())));
            return id;
        }
        // A barrier waits for its stamp: the writes behind it would run out of their session's window.
        let numbered = call.access == Access::Write
            && !matches!(call.kind, RequestKind::Register | RequestKind::Barrier);
        let group = call.group;
        self.open(id, call, now);
        if numbered {
            self.sessions.entry(group).or_default().waiting.push_back(id);
            self.send_waiting(group, routes, now, out);
        } else {
            self.attempt(id, routes, now, out);
        }
        id
    }

    /// A node answered.
    pub fn reply(
        &mut self,
        from: NodeId,
        reply: Reply,
        routes: &dyn Routes,
        now: Moment,
        out: &mut Vec<GatewayEffect>,
    ) {
        let Some(open) = self.calls.get_mut(&reply.id) else { return };
        match reply.outcome {
            Some(Outcome::Done(bytes)) => {
                self.leaders.answered.insert(open.call.group, from);
                self.finish(reply.id, Ok(bytes), routes, now, out);
            }
            Some(Outcome::Refused(refused)) => {
                // An answer to an attempt that was given up says nothing about the present one.
                let present = open.sent_to == Some(from);
                self.refused(reply.id, from, present, &refused, routes, now, out);
            }
            None => {
                let fault = Fault::new(ErrorCode::VersionUnsupported, "the reply of a newer release");
                self.finish(reply.id, Err(fault), routes, now, out);
            }
        }
    }

    /// A request could not leave for a node, or the connection on which it left broke.
    pub fn lost(&mut self, to: NodeId, id: u64, left: bool, now: Moment) {
        let Some(open) = self.calls.get_mut(&id) else { return };
        if open.sent_to != Some(to) {
            return;
        }
        open.in_doubt |= left && open.call.access == Access::Write;
        open.last_fault = ErrorCode::Unreachable;
        self.leaders.forget(open.call.group, to);
        self.pause(id, Some(to), now);
    }

    /// The connection to a node broke: everything that was sent there and not answered is lost.
    pub fn disconnected(&mut self, from: NodeId, now: Moment) {
        let ids: Vec<u64> =
            self.calls.iter().filter(|(_, open)| open.sent_to == Some(from)).map(|(id, _)| *id).collect();
        for id in ids {
            self.lost(from, id, true, now);
        }
    }

    /// Time passes: pauses and patience end.
    pub fn tick(&mut self, routes: &dyn Routes, now: Moment, out: &mut Vec<GatewayEffect>) {
        if now >= self.review {
            self.review = now.plus(REVIEW_EVERY);
            self.follow_elections(routes, now, out);
        }
        while let Some(&(moment, id)) = self.due.first() {
            if moment > now {
                return;
            }
            self.due.pop_first();
            let Some(open) = self.calls.get(&id) else { continue };
            if now >= open.deadline {
                let fault = open.timeout_fault();
                self.finish(id, Err(fault), routes, now, out);
                continue;
            }
            let group = open.call.group;
            if open.waits_for_a_person(routes, now) {
                let fault = open.manual_fault();
                self.finish(id, Err(fault), routes, now, out);
                continue;
            }
            self.give_up_attempt(id);
            let paused = self.sessions.get(&group).is_some_and(|session| session.paused.contains(&id));
            if paused {
                self.resume(group, routes, now, out);
            } else {
                self.attempt(id, routes, now, out);
            }
        }
    }

    /// Calls that are out at one node while the local replica follows another go there, in their order. Not
    /// at once: whoever sent them may have known better than the local replica.
    fn follow_elections(&mut self, routes: &dyn Routes, now: Moment, out: &mut Vec<GatewayEffect>) {
        let mut followed: BTreeMap<GroupId, Option<NodeId>> = BTreeMap::new();
        let mut moved = Vec::new();
        for (&id, open) in &self.calls {
            let group = open.call.group;
            let Some(at) = open.sent_to.filter(|_| now.since(open.sent_at) >= HINT_FRESH) else { continue };
            let leader = *followed.entry(group).or_insert_with(|| {
                let route = routes.route(group)?;
                routes.leader(group).filter(|leader| route.nodes.contains(leader))
            });
            moved.extend(leader.filter(|leader| *leader != at).map(|leader| (id, group, leader)));
        }
        for &(id, _, leader) in &moved {
            self.give_up_attempt(id);
            self.attempt_at(id, Some(leader), routes, now, out);
        }
        let groups: BTreeSet<GroupId> = moved.into_iter().map(|(_, group, _)| group).collect();
        groups.into_iter().for_each(|group| self.send_waiting(group, routes, now, out));
    }

    /// Whoever has a call does not answer: it may have carried it out, and is not asked again at once.
    fn give_up_attempt(&mut self, id: u64) {
        let Some(open) = self.calls.get_mut(&id) else { return };
        let Some(silent) = open.sent_to else { return };
        open.in_doubt |= open.call.access == Access::Write;
        open.avoid = Some(silent);
        open.last_fault = ErrorCode::NoLeader;
        self.leaders.forget(open.call.group, silent);
    }

    /// All paused writes of a group try again, in their order, and then those that waited for them.
    fn resume(&mut self, group: GroupId, routes: &dyn Routes, now: Moment, out: &mut Vec<GatewayEffect>) {
        let Some(session) = self.sessions.get_mut(&group) else { return };
        let paused = std::mem::take(&mut session.paused);
        // One choice for all: apart from each other they might change places.
        let to = paused.first().and_then(|id| self.choose(*id, routes, now));
        for id in paused {
            self.attempt_at(id, to, routes, now, out);
        }
        self.send_waiting(group, routes, now, out);
    }

    /// A call is out at a node, or at none. Numbered writes are counted, for the order.
    fn set_sent(&mut self, id: u64, to: Option<NodeId>) {
        let Some(open) = self.calls.get_mut(&id) else { return };
        let before = std::mem::replace(&mut open.sent_to, to);
        let numbered = open.sequence.is_some();
        if let Some(session) = self.sessions.get_mut(&open.call.group)
            && numbered
        {
            session.count_sent(before, to);
            session.paused.remove(&id);
        }
    }

    fn open(&mut self, id: u64, call: Call, now: Moment) {
        if self.calls.is_empty() {
            self.review = now.plus(REVIEW_EVERY);
        }
        let deadline = now.plus(limits::REQUEST_DEADLINE + call.patience() - ATTEMPT_TIMEOUT);
        let registers = call.kind == RequestKind::Register && call.access == Access::Write;
        let open = Open {
            call,
            sequence: None,
            registers,
            began: now,
            deadline,
            look: deadline,
            sent_to: None,
            sent_at: Moment::default(),
            attempts: 0,
            hints: 0,
            in_doubt: false,
            avoid: None,
            last_fault: ErrorCode::NoLeader,
        };
        self.calls.insert(id, open);
        self.due.insert((deadline, id));
    }

    fn look_at(&mut self, id: u64, moment: Moment) {
        let Some(open) = self.calls.get_mut(&id) else { return };
        self.due.remove(&(open.look, id));
        open.look = moment.min(open.deadline);
        self.due.insert((open.look, id));
    }

    /// Sends a call to the likeliest leader.
    fn attempt(&mut self, id: u64, routes: &dyn Routes, now: Moment, out: &mut Vec<GatewayEffect>) {
        let to = self.choose(id, routes, now);
        self.attempt_at(id, to, routes, now, out);
    }

    /// The node to which a call goes next, if the group is anywhere.
    fn choose(&self, id: u64, routes: &dyn Routes, now: Moment) -> Option<NodeId> {
        let open = self.calls.get(&id)?;
        let route = routes.route(open.call.group)?;
        self.leaders.choose(open, &route, routes, now)
    }

    fn attempt_at(
        &mut self,
        id: u64,
        to: Option<NodeId>,
        routes: &dyn Routes,
        now: Moment,
        out: &mut Vec<GatewayEffect>,
    ) {
        let Some(open) = self.calls.get(&id) else { return };
        let group = open.call.group;
        let Some(route) = routes.route(group) else {
            let fault = if open.in_doubt { ErrorCode::OutcomeUnknown } else { ErrorCode::UnknownTable };
            return self.finish(id, Err(fault.into()), routes, now, out);
        };
        let Some(to) = to else {
            return self.pause(id, None, now);
        };
        let floor = self.sessions.get(&group).and_then(|session| session.open.first().copied()).unwrap_or(0);
        let Some(open) = self.calls.get_mut(&id) else { return };
        self.counters.retried += u64::from(open.attempts > 0);
        self.counters.forwarded += u64::from(to != self.me);
        open.attempts += 1;
        open.sent_at = now;
        let (session, sequence) = open.sequence.unwrap_or((SessionId(0), 0));
        let request = Request {
            id,
            group: group.get(),
            generation: route.generation.get(),
            route_epoch: route.route_epoch.get(),
            access: open.call.access as i32,
            kind: open.call.kind as i32,
            session: session.get(),
            sequence,
            floor: floor.min(sequence),
            body: open.call.body.clone(),
        };
        let patience = open.call.patience();
        self.set_sent(id, Some(to));
        self.look_at(id, now.plus(patience));
        out.push(GatewayEffect::Send(to, request));
    }

    fn pause(&mut self, id: u64, avoid: Option<NodeId>, now: Moment) {
        self.set_sent(id, None);
        let Some(open) = self.calls.get_mut(&id) else { return };
        open.avoid = avoid;
        if let Some(session) = self.sessions.get_mut(&open.call.group)
            && open.sequence.is_some()
        {
            session.paused.insert(id);
        }
        let pause = PAUSE_MIN.saturating_mul(open.attempts.clamp(1, 10)).min(PAUSE_MAX);
        self.look_at(id, now.plus(pause));
    }

    #[allow(clippy::too_many_arguments, reason = "one refusal with everything that decides about it")]
    fn refused(
        &mut self,
        id: u64,
        from: NodeId,
        present: bool,
        refused: &Refused,
        routes: &dyn Routes,
        now: Moment,
        out: &mut Vec<GatewayEffect>,
    ) {
        let Some(open) = self.calls.get_mut(&id) else { return };
        let code = refused.code.parse::<ErrorCode>().unwrap_or(ErrorCode::Internal);
        match code {
            ErrorCode::NotLeader | ErrorCode::NoLeader | ErrorCode::NotReady => {
                open.in_doubt |= code == ErrorCode::NoLeader && open.call.access == Access::Write;
                if !present {
                    return;
                }
                open.last_fault = ErrorCode::NoLeader;
                self.follow_hint(id, from, refused.leader, routes, now, out);
            }
            ErrorCode::StaleRoute | ErrorCode::Sealed | ErrorCode::Unreachable => {
                open.last_fault = code;
                if present {
                    self.pause(id, None, now);
                }
            }
            ErrorCode::SessionExpired => self.session_expired(id, routes, now, out),
            // The words of the one attempt that there was are the truth about the call.
            _ if !open.in_doubt || open.call.access != Access::Write => {
                let fault = Fault::new(code, refused.detail.clone());
                self.finish(id, Err(fault), routes, now, out);
            }
            _ => self.finish(id, Err(ErrorCode::OutcomeUnknown.into()), routes, now, out),
        }
    }

    fn follow_hint(
        &mut self,
        id: u64,
        from: NodeId,
        leader: u64,
        routes: &dyn Routes,
        now: Moment,
        out: &mut Vec<GatewayEffect>,
    ) {
        let Some(open) = self.calls.get_mut(&id) else { return };
        let group = open.call.group;
        // An earlier write that pauses or is still out elsewhere goes first.
        let behind = open.sequence.is_some()
            && self.sessions.get(&group).is_some_and(|session| session.paused.first() < Some(&id))
            && self.sessions.get(&group).is_some_and(|session| !session.paused.is_empty());
        let hint = Some(NodeId(leader)).filter(|node| leader != 0 && *node != from);
        match hint {
            Some(node) => {
                self.leaders.hinted.insert(group, (node, now));
            }
            None => self.leaders.forget(group, from),
        }
        if behind {
            self.pause(id, None, now);
        } else if hint.is_some() && open.hints < HINTS_AT_ONCE_MAX {
            open.hints += 1;
            open.avoid = Some(from);
            self.attempt(id, routes, now, out);
        } else {
            open.hints = 0;
            self.pause(id, Some(from), now);
        }
    }

    /// The group does not know the session any more. A write of which only this one attempt was made was
    /// not carried out, and goes on under a new session; of any other nobody can tell.
    fn session_expired(&mut self, id: u64, routes: &dyn Routes, now: Moment, out: &mut Vec<GatewayEffect>) {
        let Some(open) = self.calls.get_mut(&id) else { return };
        let group = open.call.group;
        let Some((old, _)) = open.sequence else {
            return self.finish(id, Err(ErrorCode::SessionExpired.into()), routes, now, out);
        };
        let only_attempt = open.attempts == 1 && !open.in_doubt;
        let session = self.sessions.entry(group).or_default();
        if session.id == Some(old) {
            *session = Session { waiting: std::mem::take(&mut session.waiting), ..Session::default() };
        }
        if !only_attempt {
            return self.finish(id, Err(ErrorCode::OutcomeUnknown.into()), routes, now, out);
        }
        open.sequence = None;
        open.sent_to = None;
        open.attempts = 0;
        session.paused.remove(&id);
        let deadline = open.deadline;
        session.waiting.push_front(id);
        self.look_at(id, deadline);
        self.send_waiting(group, routes, now, out);
    }

    /// Gives numbers to the writes that wait, as far as the session has room, and sends them.
    fn send_waiting(
        &mut self,
        group: GroupId,
        routes: &dyn Routes,
        now: Moment,
        out: &mut Vec<GatewayEffect>,
    ) {
        let Some(session) = self.sessions.get_mut(&group) else { return };
        let Some(session_id) = session.id else {
            if !session.registering && !session.waiting.is_empty() {
                session.registering = true;
                self.register(group, routes, now, out);
            }
            return;
        };
        // Those whose time is over do not decide where the others go.
        while session.waiting.front().is_some_and(|id| !self.calls.contains_key(id)) {
            session.waiting.pop_front();
        }
        let mut numbered = Vec::new();
        let room = OPEN_WRITES_MAX.saturating_sub(session.open.len());
        let next_to = session.waiting.front().and_then(|id| self.calls.get(id)).and_then(|open| {
            let route = routes.route(group)?;
            self.leaders.choose(open, &route, routes, now)
        });
        // Not past an earlier one that pauses or is out elsewhere; without a route the attempt finds out.
        if !session.paused.is_empty() || session.sent.keys().any(|node| Some(*node) != next_to) {
            return;
        }
        while numbered.len() < room {
            let Some(id) = session.waiting.pop_front() else { break };
            let Some(open) = self.calls.get_mut(&id) else { continue };
            session.next += 1;
            session.open.insert(session.next);
            open.sequence = Some((session_id, session.next));
            numbered.push(id);
        }
        for id in numbered {
            self.attempt_at(id, next_to, routes, now, out);
        }
    }

    fn register(&mut self, group: GroupId, routes: &dyn Routes, now: Moment, out: &mut Vec<GatewayEffect>) {
        let call = Call {
            group,
            access: Access::Write,
            kind: RequestKind::Register,
            body: Bytes::copy_from_slice(&self.incarnation.to_be_bytes()),
        };
        let id = self.next_id;
        self.next_id += 1;
        self.open(id, call, now);
        self.attempt(id, routes, now, out);
    }

    /// Ends a call, and lets those behind it go on.
    fn finish(
        &mut self,
        id: u64,
        result: Result<Bytes, Fault>,
        routes: &dyn Routes,
        now: Moment,
        out: &mut Vec<GatewayEffect>,
    ) {
        self.set_sent(id, None);
        let Some(open) = self.calls.remove(&id) else { return };
        self.due.remove(&(open.look, id));
        let group = open.call.group;
        if open.registers {
            return self.registered(group, result, routes, now, out);
        }
        let unknown = matches!(&result, Err(fault) if fault.code == ErrorCode::OutcomeUnknown);
        self.counters.unknown += u64::from(unknown);
        out.push(GatewayEffect::Complete(id, result));
        if let Some((session_id, sequence)) = open.sequence
            && let Some(session) = self.sessions.get_mut(&group)
            && session.id == Some(session_id)
        {
            session.open.remove(&sequence);
        }
        if self.sessions.get(&group).is_some_and(|session| !session.waiting.is_empty()) {
            self.send_waiting(group, routes, now, out);
        }
    }

    fn registered(
        &mut self,
        group: GroupId,
        result: Result<Bytes, Fault>,
        routes: &dyn Routes,
        now: Moment,
        out: &mut Vec<GatewayEffect>,
    ) {
        let Some(session) = self.sessions.get_mut(&group) else { return };
        session.registering = false;
        let id = result.as_ref().ok().and_then(|bytes| bytes.first_chunk::<8>().copied());
        match (id, result) {
            (Some(id), _) => {
                session.id = Some(SessionId(u64::from_be_bytes(id)));
                session.next = 0;
                self.send_waiting(group, routes, now, out);
            }
            // Nothing that waits was ever sent: it may be told the plain truth.
            (None, result) => {
                let fault = match result.err() {
                    Some(fault) if fault.code != ErrorCode::OutcomeUnknown => fault,
                    _ => ErrorCode::NoLeader.into(),
                };
                for waiting in std::mem::take(&mut session.waiting) {
                    self.finish(waiting, Err(fault.clone()), routes, now, out);
                }
            }
        }
    }
}

impl Leaders {
    /// The likeliest leader, or a replica in turn; not the one that was no good a moment ago, if there is
    /// another.
    fn choose(&self, open: &Open, route: &GroupRoute, routes: &dyn Routes, now: Moment) -> Option<NodeId> {
        let group = open.call.group;
        let good = |node: &NodeId| Some(*node) != open.avoid && route.nodes.contains(node);
        let hinted = self.hinted.get(&group).filter(|(_, at)| now.since(*at) < HINT_FRESH);
        let hinted = hinted.map(|(node, _)| *node).filter(good);
        let followed = || routes.leader(group).filter(good);
        let answered = || self.answered.get(&group).copied().filter(good);
        if let Some(leader) = hinted.or_else(followed).or_else(answered) {
            return Some(leader);
        }
        // Around the ring of all of them: in one without the node that was no good, two dead ones may take turns
        // for ever.
        let turn = open.attempts as usize % route.nodes.len().max(1);
        let (before, from) = route.nodes.split_at(turn.min(route.nodes.len()));
        let next = from.iter().chain(before).copied().find(good);
        next.or_else(|| route.nodes.first().copied())
    }

    /// A node that was taken for the leader is none, or is not reached.
    fn forget(&mut self, group: GroupId, node: NodeId) {
        if self.hinted.get(&group).is_some_and(|(hinted, _)| *hinted == node) {
            self.hinted.remove(&group);
        }
        if self.answered.get(&group) == Some(&node) {
            self.answered.remove(&group);
        }
    }
}

impl Session {
    fn count_sent(&mut self, before: Option<NodeId>, now: Option<NodeId>) {
        if let Some(count) = before.and_then(|node| self.sent.get_mut(&node)) {
            *count -= 1;
        }
        if let Some(node) = now {
            *self.sent.entry(node).or_default() += 1;
        }
        self.sent.retain(|_, count| *count > 0);
    }
}

impl Open {
    /// Nobody leads, and nobody will by itself. A call that is out may still be answered.
    fn waits_for_a_person(&self, routes: &dyn Routes, now: Moment) -> bool {
        let leaderless = matches!(self.last_fault, ErrorCode::NoLeader | ErrorCode::Unreachable);
        self.sent_to.is_none()
            && self.attempts > 0
            && leaderless
            && now.since(self.began) >= limits::MANUAL_DEADLINE
            && routes.route(self.call.group).is_some_and(|route| route.manual)
    }

    /// What it is told then: no replica has taken over, and how one does.
    fn manual_fault(&self) -> Fault {
        match self.in_doubt {
            true => ErrorCode::OutcomeUnknown.into(),
            false => Fault::new(ErrorCode::NoLeader, MANUAL_WORDS),
        }
    }

    fn timeout_fault(&self) -> Fault {
        let unsure = self.in_doubt || (self.sent_to.is_some() && self.call.access == Access::Write);
        match unsure {
            true => ErrorCode::OutcomeUnknown.into(),
            false => Fault::new(self.last_fault, format!("after {} attempts", self.attempts)),
        }
    }
}
