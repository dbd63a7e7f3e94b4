//! The flush thread: applied state becomes durable from time to time, so that logs can be cut and a
//! restart replays little.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::apply::ApplyCommand;
use super::store::Core;
use crate::start::engine_fault;

pub(super) fn run_flush(core: &Core, interval: Duration) {
    let mut wakes = Vec::new();
    let mut flushed = 0;
    while core.flush.take(&mut wakes, interval) {
        wakes.clear();
        core.tidy_holds();
        let applied = core.entries_applied.load(Ordering::Relaxed);
        if applied == flushed {
            continue;
        }
        flushed = applied;
        for engine in core.engines.values() {
            if let Err(error) = engine.flush() {
                return core.outbox.fatal(engine_fault(&error));
            }
        }
        for applier in &core.applies {
            applier.push(ApplyCommand::Flushed);
        }
    }
}
