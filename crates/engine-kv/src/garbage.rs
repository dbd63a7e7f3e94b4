//! Removes what FLUSH left behind, the parts of dead collections and changes that nobody needs, a few records with each commit.
//!
//! Old epochs and dead collections are invisible, so when their records go is nobody's business: replicas may differ in it,
//! and digests and snapshots leave them out. Folding the work into commits keeps one writer per state
//! and needs no thread. A state that gets no commits of its own gets some for the purpose: leaders look for
//! expired keys every second, are told of garbage by the same look (`scan::expired_page`), and send a request
//! that removes what has expired, which may be nothing. Its commit takes a larger piece.

use std::ops::Bound;

use bytes::Bytes;
use engine::EngineError;
use engine::records::{Batch, Records};

use crate::layout::{self, CHANGES, DATA, DEAD, EXPIRY, Facts, PART, epoch_start};

/// Most records that one commit removes besides its own work: some 100 µs.
pub(crate) const RECORDS_PER_COMMIT: usize = 256;

/// Most records that the commit of a request removes that is there for nothing but that: some
/// milliseconds. A million records of eight partitions are gone within half a minute.
pub(crate) const RECORDS_PER_SWEEP: usize = 4096;

/// Most records of changes that one commit removes: many more than one adds, so that they do not pile up.
const CHANGES_PER_COMMIT: usize = 1024;

/// Where the removal is.
pub(crate) struct Collector {
    round: Option<Round>,
    /// There may be dead collections. An opened state looks once.
    has_dead: bool,
    /// The last part of a dead collection that was removed, for the reason given at [`Round::after`].
    after_part: Option<Bytes>,
    /// The next commit is a sweep's.
    sweeping: bool,
    /// Changes of entries up to this one are gone.
    forgot: u64,
    /// The last record of changes that was removed, for the same reason.
    after_changes: Option<Bytes>,
}

/// One walk over all epochs below a fixed one. A FLUSH in the meantime is for the next round.
struct Round {
    /// The first epoch that stays.
    end: u32,
    /// The last record that was removed. Going on after it avoids walking over the graves of all that
    /// went before, which a log-structured store keeps for a while.
    after: Option<Bytes>,
}

impl Default for Collector {
    fn default() -> Self {
        Self {
            round: None,
            has_dead: true,
            after_part: None,
            sweeping: false,
            forgot: 0,
            after_changes: None,
        }
    }
}

impl Collector {
    /// A collection has died.
    pub(crate) fn has_new_dead(&mut self) {
        self.has_dead = true;
    }

    /// The next commit may take longer.
    pub(crate) fn sweep(&mut self) {
        self.sweeping = true;
    }

    /// Adds removals of old records to a batch, and notes in the facts when a round is complete.
    pub(crate) fn collect(
        &mut self,
        records: &dyn Records,
        facts: &mut Facts,
        batch: &mut Batch,
    ) -> Result<(), EngineError> {
        let mut pieces =
            if std::mem::take(&mut self.sweeping) { RECORDS_PER_SWEEP } else { RECORDS_PER_COMMIT };
        if facts.oldest_epoch != facts.epoch {
            let round = self.round.get_or_insert(Round { end: facts.epoch, after: None });
            if round.advance(records, facts.oldest_epoch, &mut pieces, batch)? {
                facts.oldest_epoch = round.end;
                self.round = None;
            }
        }
        if self.has_dead && pieces > 0 {
            self.has_dead = !self.remove_parts(records, facts.epoch, pieces, batch)?;
        }
        Ok(())
    }

    /// Adds removals of changes that nobody needs, of entries up to one.
    pub(crate) fn forget_changes(
        &mut self,
        records: &dyn Records,
        safe: u64,
        batch: &mut Batch,
    ) -> Result<(), EngineError> {
        if safe < self.forgot {
            // Somebody has begun anew.
            (self.forgot, self.after_changes) = (0, None);
        }
        if safe == self.forgot {
            return Ok(());
        }
        let end = layout::changes_key(safe.saturating_add(1), 0);
        let begin = layout::changes_key(0, 0);
        let from = self.after_changes.clone();
        let from = from.as_deref().map_or(Bound::Included(&begin[..]), Bound::Excluded);
        let view = records.view();
        for (removed, record) in view.range(from, Bound::Excluded(&end), false).enumerate() {
            if removed == CHANGES_PER_COMMIT {
                return Ok(());
            }
            let (key, _) = record?;
            batch.remove(key.clone());
            self.after_changes = Some(key);
        }
        // What comes with this commit was not in the view.
        if !batch.writes.iter().any(|(key, value)| key[0] == CHANGES && value.is_some()) {
            self.forgot = safe;
        }
        Ok(())
    }

    /// Removes some parts of the dead collections of an epoch that were committed as such before; whether
    /// nothing is left. One that dies in this commit is for the next.
    fn remove_parts(
        &mut self,
        records: &dyn Records,
        epoch: u32,
        mut left: usize,
        batch: &mut Batch,
    ) -> Result<bool, EngineError> {
        let view = records.view();
        let (begin, end) = (epoch_start(DEAD, epoch), epoch_start(DEAD, epoch + 1));
        for dead in view.range(Bound::Included(&begin), Bound::Excluded(&end), false) {
            let (dead_key, _) = dead?;
            let number = layout::collection_of(&dead_key)?;
            let (begin, end) = (layout::part_key(epoch, number, &[]), layout::parts_end(epoch, number));
            let from = match &self.after_part {
                Some(after) if after[..] >= begin[..] && after[..] < end[..] => Bound::Excluded(&after[..]),
                _ => Bound::Included(&begin[..]),
            };
            for part in view.range(from, Bound::Excluded(&end), false) {
                if left == 0 {
                    return Ok(false);
                }
                left -= 1;
                let (key, _) = part?;
                batch.remove(key.clone());
                self.after_part = Some(key);
            }
            batch.remove(dead_key);
        }
        self.after_part = None;
        // What died in this commit is not in the view.
        Ok(!batch.writes.iter().any(|(key, value)| key[0] == DEAD && value.is_some()))
    }
}

impl Round {
    /// Removes some more; whether nothing is left.
    fn advance(
        &mut self,
        records: &dyn Records,
        oldest_epoch: u32,
        left: &mut usize,
        batch: &mut Batch,
    ) -> Result<bool, EngineError> {
        let view = records.view();
        for kind in [PART, DEAD, DATA, EXPIRY] {
            let (begin, end) = (epoch_start(kind, oldest_epoch), epoch_start(kind, self.end));
            let from = match &self.after {
                Some(after) if after[..] >= begin[..] => Bound::Excluded(&after[..]),
                _ => Bound::Included(&begin[..]),
            };
            for record in view.range(from, Bound::Excluded(&end), false) {
                if *left == 0 {
                    return Ok(false);
                }
                *left -= 1;
                let (key, _) = record?;
                batch.remove(key.clone());
                self.after = Some(key);
            }
        }
        Ok(true)
    }
}
