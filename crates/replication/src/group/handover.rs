//! Committed entries on their way to apply, bounded in bytes.
//!
//! `raft` hands out a committed entry once. While an engine stalls, or has a long log to catch up with after a
//! restart, they would pile up in memory; so beyond a limit only their index is kept, and they are read
//! from the log again when there is room.

use std::collections::VecDeque;

use raft::eraftpb::Entry;
use raft::{GetEntriesContext, Storage};
use types::limits::COMMITTED_BYTES_PER_READY_MAX;

use super::Group;
use crate::effects::{ApplyTask, Effect};
use crate::storage::entry_bytes;
use crate::worker::Counters;

/// What was handed to apply, and what waits for its turn.
pub(super) struct Handover {
    /// The last index handed to apply.
    handed: u64,
    /// The last index that `raft` has given out.
    committed: u64,
    /// Tasks that are not applied: the last index of each, and its bytes.
    open: VecDeque<(u64, usize)>,
    bytes: usize,
    bytes_max: usize,
}

impl Handover {
    /// Everything up to this index is applied; so many bytes may be on their way, one task always.
    pub(super) fn new(applied: u64, bytes_max: usize) -> Self {
        Self { handed: applied, committed: applied, open: VecDeque::new(), bytes: 0, bytes_max }
    }

    /// A state that has everything up to this index is in force.
    pub(super) fn jump(&mut self, index: u64) {
        self.handed = self.handed.max(index);
        self.committed = self.committed.max(index);
        self.applied(index);
    }

    /// Everything up to this index is applied.
    pub(super) fn applied(&mut self, index: u64) {
        while let Some((last, bytes)) = self.open.front()
            && *last <= index
        {
            self.bytes -= bytes;
            self.open.pop_front();
        }
    }

    /// Whether everything that was given out is applied, up to this index.
    pub(super) fn is_done(&self, applied: u64) -> bool {
        self.open.is_empty() && self.committed <= applied
    }

    fn is_full(&self) -> bool {
        self.bytes >= self.bytes_max
    }
}

impl Group {
    /// Entries that `raft` says are committed.
    pub(super) fn hand_to_apply(&mut self, committed: Vec<Entry>, out: &mut Vec<Effect>) {
        let Some(last) = committed.last() else { return };
        let waits = self.handover.handed < self.handover.committed || self.handover.is_full();
        self.handover.committed = last.index;
        if !waits {
            self.hand(committed, out);
        }
    }

    /// Hands over what waited, as far as there is room.
    ///
    /// What a received state has is not in the log any more, from the moment when that begins after the state. Until the
    /// state is in force, and this goes on behind it, nothing is handed over.
    pub(super) fn hand_waiting(&mut self, out: &mut Vec<Effect>, counters: &mut Counters) {
        while self.handover.handed < self.handover.committed && !self.handover.is_full() {
            let (from, to) = (self.handover.handed + 1, self.handover.committed + 1);
            if self.adopting.is_some() && self.raft.store().start().index.get() >= from {
                return;
            }
            let context = GetEntriesContext::empty(false);
            match self.raft.store().entries(from, to, COMMITTED_BYTES_PER_READY_MAX, context) {
                Ok(entries) if !entries.is_empty() => {
                    counters.entries_waited += entries.len() as u64;
                    self.hand(entries, out);
                }
                // As when `raft` cannot read them: this group stops, the others go on.
                other => panic!("committed entries {from} to {to} cannot be read: {:?}", other.err()),
            }
        }
    }

    fn hand(&mut self, entries: Vec<Entry>, out: &mut Vec<Effect>) {
        let Some(last) = entries.last() else { return };
        self.handover.handed = last.index;
        let bytes = entries.iter().map(entry_bytes).sum();
        self.handover.open.push_back((last.index, bytes));
        self.handover.bytes += bytes;
        let mut with_tokens = Vec::with_capacity(entries.len());
        for entry in entries {
            let tokens = self.take_tokens(&entry, out);
            with_tokens.push((entry, tokens));
        }
        out.push(Effect::Apply(ApplyTask { group: self.id, entries: with_tokens }));
    }
}
