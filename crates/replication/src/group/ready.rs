//! From `raft`'s `Ready` to effects: what may leave at once, what must be durable first.
//!
//! ```text
//!   Ready ─┬─ messages of a leader ────────────────────────────► Send
//!          ├─ entries, vote, term, snapshot ───► Write ── synced ──► then: messages of a follower
//!          └─ committed entries ────────────────────────────────► Apply
//! ```
//!
//! A `Ready` without anything to write still queues behind the writes before it, because its messages
//! may promise what those write; and so do the messages of a leader until its term is on its disk. One without
//! messages as well, as a leader has for each advance of its commit, is over when what is before it is: the log hears
//! nothing of it.

use std::collections::BTreeSet;

use raft::eraftpb::{Entry, Message, MessageType, Snapshot};
use raft::{SnapshotStatus, StateRole};
use types::{ErrorCode, LogIndex, StateId};
use wal::{GroupWrite, LogEntry, LogPosition};

use super::{CUT_TICKS, Group, Unwritten};
use crate::effects::{Answer, Effect, LogWrite, Now};
use crate::retention::Extent;
use crate::worker::Counters;
use crate::{message, mutant};

impl Group {
    /// The end of a turn: everything that `raft` has become since the last one, as effects. Writes that
    /// wait become entries if `may_propose`.
    pub fn turn(&mut self, now: Now, may_propose: bool, out: &mut Vec<Effect>, counters: &mut Counters) {
        self.note_role(now, out, counters);
        if self.leads() {
            if may_propose {
                self.propose_queued(now, out);
            }
            self.ask_quorum();
        }
        while self.raft.has_ready() {
            self.handle_ready(now, out, counters);
        }
        self.hand_waiting(out, counters);
        self.note_role(now, out, counters);
        if self.leads() {
            self.settle_reads(now, out, counters);
        }
        for to in self.raft.mut_store().take_wanted_snapshots() {
            out.push(Effect::TakeSnapshot { group: self.id, to: to.into() });
        }
        if self.ticks.is_multiple_of(CUT_TICKS) {
            self.cut_log(self.keep_entries, out, counters);
        }
        if self.cut_at.is_some_and(|index| index <= self.durable) {
            self.cut_at = None;
            self.cut_log(0, out, counters);
        }
        self.trim_recent();
        self.shared.set_leader(self.leader_node());
    }

    /// One `Ready`: what it says leaves or waits, what it has is written and applied.
    fn handle_ready(&mut self, now: Now, out: &mut Vec<Effect>, counters: &mut Counters) {
        let mut ready = self.raft.ready();
        let number = ready.number();
        let mut write = GroupWrite { group: self.id, ..Default::default() };
        let mut must_write = ready.must_sync();

        let immediate = ready.take_messages();
        let committed = ready.take_committed_entries();
        let entries = ready.take_entries();
        let mut then = ready.take_persisted_messages();

        if let Some(hard_state) = ready.hs() {
            if mutant!(VoteNotPersisted) && entries.is_empty() && ready.snapshot().is_empty() {
                must_write = false;
            }
            self.record.set_hard_state(hard_state);
        }
        if !ready.snapshot().is_empty() {
            write.reset = Some(self.reset_log(number, ready.snapshot(), out, counters));
        }
        write.entries = self.append_to_log(&entries, counters);

        if self.term_written == self.record.term || mutant!(TermSpokenBeforeFsync) {
            self.send(now, immediate, out);
        } else {
            // Whoever is the only voter leads in the turn in which it begins the term. Before that is written, nobody else
            // may have an entry of it: after a power cut the same term would begin anew, with others.
            then.splice(0..0, self.hold_back(now, immediate));
        }
        if must_write {
            write.record = Some(self.record.to_bytes());
        }
        let last = entries.last().map(|entry| entry.index).or(write.reset.map(|p| p.index.get()));
        self.raft.advance_append_async(ready);
        if must_write || !self.writes.is_empty() {
            if mutant!(AckBeforeFsync) {
                self.send(now, std::mem::take(&mut then), out);
                self.raft.on_persist_ready(number);
            }
            self.write(number, last, must_write.then_some(write), then, out);
        } else {
            self.send(now, then, out);
            self.raft.on_persist_ready(number);
        }
        self.hand_to_apply(committed, out);
    }

    /// A received state takes the place of the log. Returns the position that the log begins after from now on.
    fn reset_log(
        &mut self,
        number: u64,
        snapshot: &Snapshot,
        out: &mut Vec<Effect>,
        counters: &mut Counters,
    ) -> LogPosition {
        let position = message::snapshot_position(snapshot);
        let index = position.index.get();
        let membership = crate::membership::snapshot_meta(index, position.term.get(), snapshot)
            .and_then(|meta| meta.membership)
            .unwrap_or_default();
        self.raft.mut_store().reset(position, membership);
        self.unwrite_after(index);
        self.adopt_later(number, index);
        if let (true, Some((_, state, _))) = (mutant!(AdoptBeforeLog), self.adopting) {
            out.push(Effect::Adopt { group: self.id, state });
        }
        counters.snapshots_installed += 1;
        position
    }

    /// Entries go to the end of the log in memory, or take the place of what is there. Returns them as they are written.
    fn append_to_log(&mut self, entries: &[Entry], counters: &mut Counters) -> Vec<LogEntry> {
        let Some(first) = entries.first() else { return Vec::new() };
        if first.index <= self.raft.store().last().index.get() {
            counters.truncations += 1;
            self.unwrite_after(first.index - 1);
        }
        self.raft.mut_store().append(entries);
        entries.iter().map(message::to_log).collect()
    }

    /// Queues a write, or what must wait for the writes before it, and the messages that leave after it. `last` is the
    /// index that the log ends with then, if that changes.
    fn write(
        &mut self,
        number: u64,
        last: Option<u64>,
        write: Option<GroupWrite>,
        then: Vec<Message>,
        out: &mut Vec<Effect>,
    ) {
        let then: Vec<_> = then.into_iter().filter_map(|message| self.address(message)).collect();
        let is_logged = write.is_some() || !then.is_empty();
        self.writes.push_back(Unwritten { number, last, term: self.record.term, is_logged });
        if is_logged {
            out.push(Effect::Write(LogWrite { number, write, group: self.id, then }));
        }
    }

    /// Entries after this index are replaced: what was written there counts no longer as written, so that
    /// the new ones stay in memory until they are.
    fn unwrite_after(&mut self, index: u64) {
        self.written = self.written.min(index);
        for write in &mut self.writes {
            write.last = write.last.map(|last| last.min(index));
        }
    }

    /// What messages of one `Ready` have in common: its heartbeats are one round, and none is said over again.
    fn begin_sending(&mut self, now: Now, messages: &mut Vec<Message>) {
        drop_overtaken(messages);
        if messages.iter().any(|message| message.get_msg_type() == MessageType::MsgHeartbeat) {
            self.begin_round(now);
        }
    }

    /// Messages that may leave now.
    fn send(&mut self, now: Now, mut messages: Vec<Message>, out: &mut Vec<Effect>) {
        self.begin_sending(now, &mut messages);
        for message in messages {
            let to = message.to;
            match message.get_msg_type() {
                MessageType::MsgSnapshot => {
                    if let Some(node) = self.node_of(to) {
                        let message = message::to_wire(self.id, message, 0);
                        out.push(Effect::SendSnapshot { node, message });
                    } else {
                        self.raft.report_snapshot(to, SnapshotStatus::Failure);
                    }
                }
                _ => out.extend(self.address(message).map(|(node, wire)| Effect::Send(node, wire))),
            }
        }
    }

    /// Messages of a leader that leave after a write. A snapshot does not wait with them: it is asked for again when
    /// its follower has answered in this term.
    fn hold_back(&mut self, now: Now, mut messages: Vec<Message>) -> Vec<Message> {
        self.begin_sending(now, &mut messages);
        let is_snapshot = |message: &Message| message.get_msg_type() == MessageType::MsgSnapshot;
        let (snapshots, messages): (Vec<_>, Vec<_>) = messages.into_iter().partition(is_snapshot);
        for message in snapshots {
            self.raft.report_snapshot(message.to, SnapshotStatus::Failure);
        }
        messages
    }

    fn address(&mut self, message: Message) -> Option<(types::NodeId, api::peer::RaftMessage)> {
        let round = match message.get_msg_type() {
            MessageType::MsgHeartbeat => self.leader.rounds.last(),
            MessageType::MsgHeartbeatResponse if self.round_heard.0 == self.raft.raft.term => {
                self.round_heard.1
            }
            MessageType::MsgTimeoutNow => {
                // From here on followers may vote for another: no lease in this term any more.
                if !mutant!(LeaseKeptAfterTransfer) {
                    self.leader.rounds.release();
                    self.shared.end_lease();
                }
                0
            }
            _ => 0,
        };
        let node = self.node_of(message.to)?;
        Some((node, message::to_wire(self.id, message, round)))
    }

    /// Notices that the role or the term changed since the last turn.
    fn note_role(&mut self, now: Now, out: &mut Vec<Effect>, counters: &mut Counters) {
        let is = (self.raft.raft.state, self.raft.raft.term);
        if is == self.was {
            return;
        }
        let led = self.was.0 == StateRole::Leader;
        self.was = is;
        if led {
            self.stop_leading(out);
        }
        if is.0 == StateRole::Leader {
            counters.elections += 1;
            self.start_leading(now);
        } else {
            out.extend(self.refuse_queued());
        }
        tracing::debug!(group = self.id.get(), role = ?is.0, term = is.1, "role");
    }

    /// The transfer of a snapshot ended.
    pub fn snapshot_sent(&mut self, to: u64, arrived: bool) {
        self.raft.mut_store().forget_snapshot(to);
        let status = if arrived { SnapshotStatus::Finish } else { SnapshotStatus::Failure };
        self.raft.report_snapshot(to, status);
    }

    /// The state was taken hold of for a follower.
    pub fn snapshot_taken(&mut self, to: u64, meta: Option<api::peer::SnapshotMeta>) {
        match meta {
            Some(meta) => self.raft.mut_store().offer_snapshot(to, meta),
            None => self.raft.mut_store().forget_snapshot(to),
        }
        if self.leads() && self.raft.raft.prs().get(to).is_some() {
            self.raft.raft.send_append(to);
        }
    }

    fn adopt_later(&mut self, number: u64, index: u64) {
        if let Some((state, position)) = self.received.take()
            && position == index
        {
            self.record.state = state.get();
            self.adopting = Some((number, state, index));
        }
    }

    /// The log names the new state: it is in force.
    pub(super) fn adopt(&mut self, state: StateId, index: u64, out: &mut Vec<Effect>) {
        self.applied.index = LogIndex(index);
        self.applied.term = self.raft.store().start().term;
        self.handover.jump(index);
        self.durable = self.durable.max(LogIndex(index));
        if index > self.raft.raft.raft_log.applied() {
            self.raft.advance_apply_to(index);
        }
        out.push(Effect::Adopt { group: self.id, state });
    }

    /// Cuts the log at what is durable in the state, keeping a tail for followers that are a little
    /// late; a leader also keeps what a slower follower still needs, up to a limit.
    fn cut_log(&mut self, keep_entries: u64, out: &mut Vec<Effect>, counters: &mut Counters) {
        let ahead = if mutant!(CutTooFar) { self.applied.index.get() } else { 0 };
        let store = self.raft.store();
        let extent = Extent {
            start: store.start().index.get(),
            last: store.last().index.get(),
            bytes: store.log_bytes(),
            durable: self.durable.get().min(self.applied.index.get()).max(ahead),
            slowest_follower: self.slowest_follower(),
            keep_entries: if mutant!(CutTooFar) { 0 } else { keep_entries },
        };
        let Some(index) = self.holds.cut(&extent).map(LogIndex::get) else { return };
        let Ok(term) = raft::Storage::term(self.raft.store(), index) else { return };
        let position = LogPosition { index: LogIndex(index), term: term.into() };
        self.raft.mut_store().cut(position);
        counters.log_cuts += 1;
        out.push(Effect::Cut { group: self.id, index: LogIndex(index) });
    }

    /// Recent entries stay in memory until they are applied here and acknowledged everywhere.
    fn trim_recent(&mut self) {
        let needed = self.applied.index.get().min(self.slowest_follower().unwrap_or(u64::MAX));
        let written = self.written;
        self.raft.mut_store().trim(needed, written);
    }

    /// The least index that a live follower has acknowledged, on a leader that has one.
    fn slowest_follower(&self) -> Option<u64> {
        let me = self.record.replica;
        let others = self.raft.raft.prs().iter().filter(|(id, _)| self.leads() && **id != me);
        others.filter(|(id, _)| self.is_live(**id)).map(|(_, progress)| progress.matched).min()
    }

    /// Why a request that waited cannot go on here.
    pub(super) fn refusal(&self, code: ErrorCode) -> Answer {
        Answer::Refused { fault: code.into(), leader: self.leader_node() }
    }
}

/// Removes appends without entries that are followed by another append to the same replica: all they say is
/// how far the log is committed, and the later one says that too.
fn drop_overtaken(messages: &mut Vec<Message>) {
    let mut later = BTreeSet::new();
    let mut keep: Vec<bool> = messages
        .iter()
        .rev()
        .map(|message| {
            message.get_msg_type() != MessageType::MsgAppend
                || later.insert(message.to)
                || !message.entries.is_empty()
        })
        .collect();
    messages.retain(|_| keep.pop().unwrap_or(true));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(to: u64, entries: usize) -> Message {
        let mut message = Message { to, ..Default::default() };
        message.set_msg_type(MessageType::MsgAppend);
        message.entries = vec![raft::eraftpb::Entry::default(); entries].into();
        message
    }

    #[test]
    fn an_append_that_only_tells_the_commit_is_dropped_when_another_follows() {
        let mut messages = vec![append(2, 0), append(3, 0), append(2, 1), append(2, 2), append(2, 0)];
        drop_overtaken(&mut messages);
        let left: Vec<_> = messages.iter().map(|message| (message.to, message.entries.len())).collect();
        assert_eq!(left, [(3, 0), (2, 1), (2, 2), (2, 0)]);
    }
}
