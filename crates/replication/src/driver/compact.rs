//! The compaction thread: gives back the space of what was removed, one state after another.
//!
//! It is told by operations, which see to it that one replica of the cluster is compacted at a time. A word that
//! is repeated while the work goes on, or when it is done, changes nothing. Between two states the thread rests
//! as long as the last one took, so that it never takes more than half of a disk. A large state is compacted in pieces, no
//! faster than moves may be; when the store closes, the piece under way is given up.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use engine::{Compaction, EngineError};
use types::{ErrorCode, GroupId};

use super::rest::Rest;
use super::store::Core;
use crate::record::GroupRecord;
use crate::shared::{Compacted, GroupShared};
use crate::start::engine_fault;

/// Waiting for work; nothing depends on how long.
const WAIT: Duration = Duration::from_secs(1);
/// The longest rest.
const REST_MAX: Duration = Duration::from_secs(30);

/// A replica to compact, for an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CompactCommand {
    pub(super) group: GroupId,
    pub(super) operation: u64,
}

pub(super) fn run_compactions(core: &Arc<Core>) {
    let mut rest = Rest::new(core.clone(), |core| core.compactions.is_closed());
    engine::pace::set(move |bytes| rest.take(bytes));
    let shared = core.clone();
    engine::pace::set_end(move || shared.compactions.is_closed());
    let (mut commands, mut waiting) = (Vec::new(), VecDeque::new());
    let mut rest = Duration::ZERO;
    loop {
        let wait = if waiting.is_empty() { WAIT } else { rest };
        if !core.compactions.take(&mut commands, wait) {
            return;
        }
        for command in commands.drain(..) {
            if !waiting.contains(&command) {
                waiting.push_back(command);
            }
        }
        let Some(CompactCommand { group, operation }) = waiting.pop_front() else { continue };
        let Some(shared) = core.group(group).filter(|shared| shared.compacted().operation < operation) else {
            continue;
        };
        let begun = core.now().moment;
        if let Err(error) = compact(core, &shared, operation) {
            // Damage is found again by whoever reads it; a disk that refuses ends the process.
            let fault = engine_fault(&error);
            tracing::error!(group = group.get(), %fault, "a state cannot be compacted");
            shared.set_compacted(Compacted { operation, left: fault.to_string() });
            if matches!(fault.code, ErrorCode::DataUnreadable | ErrorCode::DiskFull) {
                return core.outbox.fatal(fault);
            }
        }
        core.outbox.news();
        rest = core.now().moment.since(begun).min(REST_MAX);
    }
}

fn compact(core: &Core, shared: &Arc<GroupShared>, operation: u64) -> Result<(), EngineError> {
    let record = core.log.group(shared.group()).and_then(|summary| GroupRecord::from_bytes(&summary.record));
    let engine = record.as_ref().and_then(|record| Some((core.engines.get(&record.engine)?, record.state())));
    let outcome = match engine {
        Some((engine, state)) => {
            shared.set_compacting(operation);
            let outcome = engine.compact(state);
            shared.set_compacting(0);
            outcome?
        }
        None => Compaction::Left("its record cannot be read".into()),
    };
    let left = match outcome {
        Compaction::Done => String::new(),
        Compaction::Left(why) => why,
    };
    shared.set_compacted(Compacted { operation, left });
    Ok(())
}
