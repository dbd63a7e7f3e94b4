//! States at barriers, kept for those who will read them.
//!
//! A view of the store costs nothing until what it shows is overwritten; then it keeps what was there. So a state
//! that nobody asks for is let go after a while, and of several only the latest are kept. Whoever reads one already
//! has it as long as he reads.

use std::sync::Arc;

use engine::Held;
use env::Moment;
use types::{LogIndex, limits};

use crate::apply::BarrierHold;

/// The states of one replica.
#[derive(Default)]
pub struct Holds(Vec<Kept>);

struct Kept {
    hold: BarrierHold,
    /// When it came, or somebody asked for it last.
    asked: Moment,
}

impl Holds {
    /// Keeps a state from now on; the oldest goes if there are too many.
    pub fn add(&mut self, hold: BarrierHold, now: Moment) {
        // The same barrier at a later stamp: the earlier one was too late somewhere else.
        self.release(hold.id);
        self.0.push(Kept { hold, asked: now });
        if self.0.len() > limits::HOLDS_MAX {
            self.0.remove(0);
        }
    }

    /// The state at somebody's barrier, and the barrier's place; it is kept for another while.
    pub fn get(&mut self, id: u64, now: Moment) -> Option<(LogIndex, Arc<dyn Held>)> {
        let kept = self.0.iter_mut().find(|kept| kept.hold.id == id)?;
        kept.asked = now;
        Some((kept.hold.index, kept.hold.state.clone()))
    }

    /// Somebody needs his state no longer.
    pub fn release(&mut self, id: u64) {
        self.0.retain(|kept| kept.hold.id != id);
    }

    /// Lets go what nobody has asked for lately.
    pub fn tidy(&mut self, now: Moment) {
        self.0.retain(|kept| now.since(kept.asked) < limits::HOLD_IDLE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::{ContentSource, EngineError};
    use std::time::Duration;

    struct Nothing;

    impl Held for Nothing {
        fn export(&self, _selection: &[u8]) -> Result<Box<dyn ContentSource>, EngineError> {
            Err(EngineError::Damaged("nothing".into()))
        }
    }

    fn hold(id: u64) -> BarrierHold {
        BarrierHold { id, index: LogIndex(id), state: Arc::new(Nothing) }
    }

    #[test]
    fn a_state_is_kept_while_somebody_asks_for_it() {
        let mut holds = Holds::default();
        let half = Duration::from_secs(limits::HOLD_IDLE.as_secs() / 2);
        let mut now = Moment::default();
        holds.add(hold(1), now);
        for _ in 0..3 {
            now = now.plus(half);
            holds.tidy(now);
            assert_eq!(holds.get(1, now).map(|(index, _)| index), Some(LogIndex(1)));
        }
        holds.tidy(now.plus(limits::HOLD_IDLE));
        assert!(holds.get(1, now).is_none());
    }

    #[test]
    fn the_latest_are_kept_until_they_are_released() {
        let mut holds = Holds::default();
        let now = Moment::default();
        (1..=3).for_each(|id| holds.add(hold(id), now));
        assert!(holds.get(1, now).is_none());
        assert!(holds.get(2, now).is_some() && holds.get(3, now).is_some());
        holds.release(2);
        assert!(holds.get(2, now).is_none() && holds.get(3, now).is_some());
    }
}
