//! Removes what FLUSH left behind, a few records with each commit.
//!
//! Old epochs are invisible, so when their records go is nobody's business: replicas may differ in it,
//! and digests and snapshots leave them out. Folding the work into commits keeps one writer per state
//! and needs no thread; a state that gets no commits keeps its garbage until it does.

use std::ops::Bound;

use bytes::Bytes;
use engine::EngineError;
use engine::records::{Batch, Records};

use crate::layout::{DATA, EXPIRY, Facts, epoch_start};

/// Most records that one commit removes besides its own work: some 100 µs.
pub(crate) const RECORDS_PER_COMMIT: usize = 256;

/// Where the removal is.
#[derive(Default)]
pub(crate) struct Collector {
    round: Option<Round>,
}

/// One walk over all epochs below a fixed one. A FLUSH in the meantime is for the next round.
struct Round {
    /// The first epoch that stays.
    end: u32,
    /// The last record that was removed. Going on after it avoids walking over the graves of all that
    /// went before, which a log-structured store keeps for a while.
    after: Option<Bytes>,
}

impl Collector {
    /// Adds removals of old records to a batch, and notes in the facts when a round is complete.
    pub(crate) fn collect(
        &mut self,
        records: &dyn Records,
        facts: &mut Facts,
        batch: &mut Batch,
    ) -> Result<(), EngineError> {
        if facts.oldest_epoch == facts.epoch {
            return Ok(());
        }
        let round = self.round.get_or_insert(Round { end: facts.epoch, after: None });
        if round.advance(records, facts.oldest_epoch, batch)? {
            facts.oldest_epoch = round.end;
            self.round = None;
        }
        Ok(())
    }
}

impl Round {
    /// Removes some more; whether nothing is left.
    fn advance(
        &mut self,
        records: &dyn Records,
        oldest_epoch: u32,
        batch: &mut Batch,
    ) -> Result<bool, EngineError> {
        let view = records.view();
        let mut left = RECORDS_PER_COMMIT;
        for kind in [DATA, EXPIRY] {
            let (begin, end) = (epoch_start(kind, oldest_epoch), epoch_start(kind, self.end));
            let from = match &self.after {
                Some(after) if after[..] >= begin[..] => Bound::Excluded(&after[..]),
                _ => Bound::Included(&begin[..]),
            };
            for record in view.range(from, Bound::Excluded(&end), false) {
                if left == 0 {
                    return Ok(false);
                }
                left -= 1;
                let (key, _) = record?;
                batch.remove(key.clone());
                self.after = Some(key);
            }
        }
        Ok(true)
    }
}
