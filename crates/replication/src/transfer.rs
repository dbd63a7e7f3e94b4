//! Snapshots on their way: a state as numbered chunks, acknowledged, repeated, resumed.
//!
//! ```text
//!   sender    chunk 0 … chunk w−1 ──►   receiver writes chunks in order into a new state
//!             ◄── ack "next is n" ──    a gap or a repeat is answered by the same words
//!             chunk n … n+w−1      ──►
//!             last chunk + Raft's message ──►  state complete and durable ⇒ handed to the group
//! ```
//!
//! The sender is at most [`limits::SNAPSHOT_WINDOW_CHUNKS`] ahead, and goes back to the last ack when it
//! hears nothing for a while; a broken connection therefore only costs the window. Both ends do few
//! transfers at once. Nothing here knows what is in a chunk.
//!
//! A node may be told to send no more than so many bytes per second ([`Transfers::set_rate`]). Then chunks leave
//! at ticks only, one of each transfer in turn, as far as the budget allows.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::time::Duration;

use api::peer::{RaftMessage, SnapshotAck, SnapshotChunk, SnapshotMeta};
use bytes::Bytes;
use engine::{SnapshotSink, SnapshotSource, StateMachine, pace};
use env::Moment;
use types::{GroupId, NodeId, ReplicaId, StateId, limits};

use crate::budget::Budget;
use crate::effects::Input;

/// Without an ack for this long, the sender goes back to the last one.
const REPEAT_AFTER: Duration = Duration::from_millis(500);
/// Without progress for this long, either side gives up.
const GIVE_UP_AFTER: Duration = Duration::from_secs(20);
/// A sender that waits for its turn this long says that it is still there.
const WORD_AFTER: Duration = Duration::from_secs(4);
/// The number of a chunk that is such a word: it has nothing in it, and is no part of the state.
const WORD: u64 = u64::MAX;
/// How long to wait for the next tick: without transfers, with some, and with some that wait for the budget.
const TICKS: [Duration; 3] = [Duration::from_secs(1), Duration::from_millis(100), Duration::from_millis(20)];

type Key = (GroupId, ReplicaId);

/// Something to be done for transfers.
pub enum TransferEffect {
    /// Send a chunk.
    Chunk(NodeId, SnapshotChunk),
    /// Send an ack.
    Ack(NodeId, SnapshotAck),
    /// Tell the group's worker.
    Input(Input),
    /// A state was received; keep it for the group to adopt or discard, before the worker is told.
    Keep(GroupId, StateId, Box<dyn StateMachine>),
    /// A state was begun and will not be finished: remove it.
    Abandon(GroupId, StateId),
}

/// All transfers of a node.
#[derive(Default)]
pub struct Transfers {
    /// States that were taken hold of and wait for `raft` to send them.
    taken: BTreeMap<Key, (SnapshotMeta, Box<dyn SnapshotSource>, Moment)>,
    outgoing: BTreeMap<Key, Outgoing>,
    incoming: BTreeMap<Key, Incoming>,
    next_transfer: u64,
    budget: Budget,
    /// The transfer that sent a chunk last while there was a limit.
    turn: Option<Key>,
}

struct Outgoing {
    node: NodeId,
    from: u64,
    transfer: u64,
    source: Box<dyn SnapshotSource>,
    /// Sent and not acknowledged, in order.
    window: VecDeque<SnapshotChunk>,
    /// The next chunk of the window to send.
    cursor: usize,
    next_number: u64,
    /// Whether the receiver has said that it takes the state.
    is_known: bool,
    /// When something was last sent because of a turn.
    spoke: Moment,
    /// Handed over with the last chunk; gone once that is in the window.
    finish: Option<RaftMessage>,
    /// One chunk read ahead, to know which is the last.
    ahead: Option<Bytes>,
    heard: Moment,
    repeated: Moment,
}

struct Incoming {
    from: NodeId,
    sender: u64,
    transfer: u64,
    next: u64,
    state: StateId,
    /// Gone once complete; later chunks are only acknowledged again.
    sink: Option<Box<dyn SnapshotSink>>,
    /// Bytes that have arrived.
    bytes: u64,
    /// The state was handed over; whoever has it decides about it.
    complete: bool,
    heard: Moment,
}

impl Transfers {
    /// No transfers; `seed` makes transfer numbers differ from those of the run before.
    pub fn new(seed: u64) -> Self {
        Self { next_transfer: seed | 1, ..Self::default() }
    }

    /// How many are on their way, either direction.
    pub fn active(&self) -> usize {
        self.outgoing.len() + self.incoming.values().filter(|incoming| incoming.sink.is_some()).count()
    }

    /// How long at most until the next [`Self::tick`].
    pub fn tick_every(&self) -> Duration {
        let limited = self.budget.is_limited() && !self.outgoing.is_empty();
        TICKS[usize::from(self.active() > 0) + usize::from(limited)]
    }

    /// Sends at most this many bytes per second from now on, all transfers together; 0 is no limit.
    pub fn set_rate(&mut self, bytes_per_second: u64, now: Moment, out: &mut Vec<TransferEffect>) {
        if self.budget.set_rate(bytes_per_second, now) {
            let keys: Vec<Key> = self.outgoing.keys().copied().collect();
            keys.into_iter().for_each(|key| self.pump(key, out));
        }
    }

    /// Bytes of a state that have arrived for a replica here, while it is on its way.
    pub fn received(&self, group: GroupId, to: ReplicaId) -> Option<u64> {
        let incoming = self.incoming.get(&(group, to))?;
        incoming.sink.is_some().then_some(incoming.bytes)
    }

    /// A state was taken hold of for a follower.
    pub fn taken(
        &mut self,
        group: GroupId,
        to: ReplicaId,
        mut meta: SnapshotMeta,
        source: Box<dyn SnapshotSource>,
        now: Moment,
    ) -> TransferEffect {
        self.next_transfer = self.next_transfer.wrapping_add(1);
        meta.transfer = self.next_transfer;
        self.taken.insert((group, to), (meta.clone(), source, now));
        TransferEffect::Input(Input::SnapshotTaken { group, to, meta: Some(meta) })
    }

    /// `raft` wants the state to leave. `message` names the transfer.
    pub fn send(&mut self, node: NodeId, message: RaftMessage, now: Moment, out: &mut Vec<TransferEffect>) {
        let key = (GroupId(message.group), ReplicaId(message.to));
        let wanted = message.snapshot.as_ref().map(|meta| meta.transfer);
        let taken = self.taken.remove(&key).filter(|(meta, _, _)| Some(meta.transfer) == wanted);
        let Some((meta, source, _)) = taken.filter(|_| self.outgoing.len() < limits::SNAPSHOTS_AT_ONCE_MAX)
        else {
            out.push(ended(key, false));
            return;
        };
        let outgoing = Outgoing {
            node,
            from: message.from,
            transfer: meta.transfer,
            source,
            window: VecDeque::new(),
            cursor: 0,
            next_number: 0,
            is_known: false,
            spoke: now,
            finish: Some(message),
            ahead: None,
            heard: now,
            repeated: now,
        };
        self.outgoing.insert(key, outgoing);
        self.pump(key, out);
    }

    /// A receiver says how far it is.
    pub fn ack(&mut self, from: NodeId, ack: SnapshotAck, now: Moment, out: &mut Vec<TransferEffect>) {
        let key = (GroupId(ack.group), ReplicaId(ack.from));
        let Some(outgoing) = self.outgoing.get_mut(&key) else { return };
        if outgoing.transfer != ack.transfer || outgoing.node != from {
            return;
        }
        if ack.refused {
            self.end(key, false, out);
            return;
        }
        outgoing.is_known = true;
        while outgoing.window.front().is_some_and(|chunk| chunk.number < ack.next) {
            outgoing.window.pop_front();
            outgoing.cursor = outgoing.cursor.saturating_sub(1);
            (outgoing.heard, outgoing.repeated) = (now, now);
        }
        if outgoing.window.is_empty() && outgoing.finish.is_none() {
            self.end(key, true, out);
        } else {
            self.pump(key, out);
        }
    }

    /// A chunk arrived. `begin` makes the sink of a new state for a replica that is here, or refuses.
    pub fn chunk(
        &mut self,
        from: NodeId,
        chunk: SnapshotChunk,
        now: Moment,
        begin: impl FnOnce() -> Option<(StateId, Box<dyn SnapshotSink>)>,
        out: &mut Vec<TransferEffect>,
    ) {
        let key = (GroupId(chunk.group), ReplicaId(chunk.to));
        let known = self.incoming.get(&key).is_some_and(|incoming| {
            incoming.transfer == chunk.transfer && incoming.from == from && incoming.sender == chunk.from
        });
        if !known && !self.begin(key, from, &chunk, now, begin, out) {
            return;
        }
        let Some(incoming) = self.incoming.get_mut(&key) else { return };
        incoming.heard = now;
        let mut refused = false;
        if chunk.number == incoming.next
            && crc32c::crc32c(&chunk.data) == chunk.checksum
            && let Some(sink) = &mut incoming.sink
        {
            match sink.write(&chunk.data) {
                Ok(()) => {
                    incoming.next += 1;
                    incoming.bytes += chunk.data.len() as u64;
                    pace::worked(chunk.data.len());
                }
                Err(error) => {
                    tracing::warn!(group = chunk.group, %error, "snapshot chunk refused");
                    refused = true;
                }
            }
            if let (Some(message), false) = (chunk.finish, refused) {
                refused = !incoming.finish(key.0, message, out);
            }
        }
        let ack = SnapshotAck {
            group: chunk.group,
            from: chunk.to,
            transfer: chunk.transfer,
            next: incoming.next,
            refused,
        };
        if refused {
            self.abandon(key, out);
        }
        out.push(TransferEffect::Ack(from, ack));
    }

    /// Time passes: repeat what was not acknowledged, give up what goes nowhere.
    pub fn tick(&mut self, now: Moment, out: &mut Vec<TransferEffect>) {
        let keys: Vec<Key> = self.outgoing.keys().copied().collect();
        for key in keys {
            let Some(outgoing) = self.outgoing.get_mut(&key) else { continue };
            if outgoing.cursor == 0 && self.budget.is_limited() {
                // It waits for nobody but its turn.
                outgoing.heard = now;
            }
            if now.since(outgoing.heard) >= GIVE_UP_AFTER {
                self.end(key, false, out);
            } else if now.since(outgoing.repeated) >= REPEAT_AFTER {
                outgoing.repeated = now;
                outgoing.cursor = 0;
                self.pump(key, out);
            }
        }
        if self.budget.is_limited() {
            self.share(now, out);
            self.speak(now, out);
        }
        let silent: Vec<Key> = self
            .incoming
            .iter()
            .filter(|(_, incoming)| now.since(incoming.heard) >= GIVE_UP_AFTER)
            .map(|(key, _)| *key)
            .collect();
        silent.into_iter().for_each(|key| self.abandon(key, out));
        let old = |taken: &Moment| now.since(*taken) >= GIVE_UP_AFTER;
        let stale: Vec<Key> =
            self.taken.iter().filter(|(_, (_, _, at))| old(at)).map(|(key, _)| *key).collect();
        for key in stale {
            self.taken.remove(&key);
            out.push(ended(key, false));
        }
    }

    /// The replica is no longer here: its transfers end.
    pub fn forget(&mut self, group: GroupId, out: &mut Vec<TransferEffect>) {
        self.taken.retain(|(of, _), _| *of != group);
        self.outgoing.retain(|(of, _), _| *of != group);
        let incoming: Vec<Key> = self.incoming.keys().filter(|(of, _)| *of == group).copied().collect();
        incoming.into_iter().for_each(|key| self.abandon(key, out));
    }

    fn begin(
        &mut self,
        key: Key,
        from: NodeId,
        chunk: &SnapshotChunk,
        now: Moment,
        begin: impl FnOnce() -> Option<(StateId, Box<dyn SnapshotSink>)>,
        out: &mut Vec<TransferEffect>,
    ) -> bool {
        // A transfer is joined at its first chunk only; an older one of the same pair is over then.
        let open = self.incoming.values().filter(|incoming| incoming.sink.is_some()).count();
        let busy = open >= limits::SNAPSHOTS_AT_ONCE_MAX && !self.incoming.contains_key(&key);
        if busy {
            return false;
        }
        self.abandon(key, out);
        let begun = if chunk.number == 0 { begin() } else { None };
        let Some((state, sink)) = begun else {
            let (group, transfer) = (chunk.group, chunk.transfer);
            let ack = SnapshotAck { group, from: chunk.to, transfer, next: 0, refused: true };
            out.push(TransferEffect::Ack(from, ack));
            return false;
        };
        let incoming = Incoming {
            from,
            sender: chunk.from,
            transfer: chunk.transfer,
            next: 0,
            state,
            sink: Some(sink),
            bytes: 0,
            complete: false,
            heard: now,
        };
        self.incoming.insert(key, incoming);
        true
    }

    /// Reads and sends chunks as far as the window allows, unless there is a limit.
    fn pump(&mut self, key: Key, out: &mut Vec<TransferEffect>) {
        while !self.budget.is_limited() && self.send_next(key, out).is_some() {}
    }

    /// Sends chunks of all transfers in turn, as far as the budget allows.
    fn share(&mut self, now: Moment, out: &mut Vec<TransferEffect>) {
        let mut idle = 0;
        while idle < self.outgoing.len() && self.budget.allows(now) {
            let after = |turn: Key| self.outgoing.range((Bound::Excluded(turn), Bound::Unbounded)).next();
            let next = self.turn.and_then(after).or_else(|| self.outgoing.iter().next());
            let Some((&key, outgoing)) = next else { return };
            let was_silent = outgoing.cursor == 0;
            self.turn = Some(key);
            let Some(bytes) = self.send_next(key, out) else {
                idle += 1;
                continue;
            };
            idle = 0;
            self.budget.spend(bytes);
            if let Some(outgoing) = self.outgoing.get_mut(&key) {
                outgoing.spoke = now;
                outgoing.repeated = if was_silent { now } else { outgoing.repeated };
            }
        }
    }

    /// Says to receivers that a transfer only waits for its turn: a single record may be as large as what the limit
    /// allows in a minute, and whoever hears nothing gives up.
    fn speak(&mut self, now: Moment, out: &mut Vec<TransferEffect>) {
        for ((group, to), outgoing) in &mut self.outgoing {
            if outgoing.is_known && now.since(outgoing.spoke) >= WORD_AFTER {
                outgoing.spoke = now;
                out.push(TransferEffect::Chunk(
                    outgoing.node,
                    outgoing.chunk(*group, *to, WORD, Bytes::new(), None),
                ));
            }
        }
    }

    /// Sends one chunk, if the window allows. Returns its bytes.
    fn send_next(&mut self, key: Key, out: &mut Vec<TransferEffect>) -> Option<usize> {
        let outgoing = self.outgoing.get_mut(&key)?;
        if outgoing.cursor == outgoing.window.len() {
            let full = outgoing.window.len() as u64 >= limits::SNAPSHOT_WINDOW_CHUNKS;
            if full || outgoing.finish.is_none() {
                return None;
            }
            if let Err(error) = outgoing.read(key) {
                tracing::warn!(group = key.0.get(), %error, "snapshot cannot be read");
                self.end(key, false, out);
                return None;
            }
        }
        let chunk = outgoing.window.get(outgoing.cursor)?.clone();
        outgoing.cursor += 1;
        let bytes = chunk.data.len();
        out.push(TransferEffect::Chunk(outgoing.node, chunk));
        Some(bytes)
    }

    /// Forgets an incoming transfer; its state goes unless it was complete.
    fn abandon(&mut self, key: Key, out: &mut Vec<TransferEffect>) {
        if let Some(incoming) = self.incoming.remove(&key)
            && !incoming.complete
        {
            drop(incoming.sink);
            out.push(TransferEffect::Abandon(key.0, incoming.state));
        }
    }

    fn end(&mut self, key: Key, arrived: bool, out: &mut Vec<TransferEffect>) {
        if self.outgoing.remove(&key).is_some() {
            out.push(ended(key, arrived));
        }
    }
}

impl Outgoing {
    /// Adds the next chunk to the window; the last one carries Raft's message.
    fn read(&mut self, (group, to): Key) -> Result<(), engine::EngineError> {
        let data = match self.ahead.take() {
            Some(data) => data,
            None => self.source.next_chunk(limits::SNAPSHOT_CHUNK_BYTES)?.unwrap_or_default(),
        };
        self.ahead = self.source.next_chunk(limits::SNAPSHOT_CHUNK_BYTES)?;
        let finish = if self.ahead.is_none() { self.finish.take() } else { None };
        pace::worked(data.len());
        self.window.push_back(self.chunk(group, to, self.next_number, data, finish));
        self.next_number += 1;
        Ok(())
    }

    fn chunk(
        &self,
        group: GroupId,
        to: ReplicaId,
        number: u64,
        data: Bytes,
        finish: Option<RaftMessage>,
    ) -> SnapshotChunk {
        let (group, to) = (group.get(), to.get());
        let checksum = crc32c::crc32c(&data);
        SnapshotChunk { group, from: self.from, to, transfer: self.transfer, number, checksum, data, finish }
    }
}

impl Incoming {
    /// The last chunk is in: the state becomes durable and is handed over. `false` when it cannot be.
    fn finish(&mut self, group: GroupId, message: RaftMessage, out: &mut Vec<TransferEffect>) -> bool {
        let Some(sink) = self.sink.take() else { return true };
        let fits = |state: &dyn StateMachine| {
            let applied = state.applied();
            message
                .snapshot
                .as_ref()
                .is_some_and(|meta| meta.index == applied.index.get() && meta.term == applied.term.get())
                || crate::mutant!(SnapshotTooFar)
        };
        match sink.finish() {
            Ok(state) if fits(&*state) => {
                self.complete = true;
                out.push(TransferEffect::Keep(group, self.state, state));
                let (from, state) = (self.from, self.state);
                out.push(TransferEffect::Input(Input::SnapshotReceived { from, state, message }));
                true
            }
            Ok(_) => {
                tracing::warn!(group = group.get(), "snapshot is not at the position it claims");
                false
            }
            Err(error) => {
                tracing::warn!(group = group.get(), %error, "snapshot cannot be finished");
                false
            }
        }
    }
}

fn ended((group, to): Key, arrived: bool) -> TransferEffect {
    TransferEffect::Input(Input::SnapshotSent { group, to, arrived })
}
