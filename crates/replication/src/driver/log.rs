//! The log thread: everything that waits becomes one write and one fsync.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use api::peer::RaftMessage;
use types::limits::SMALL_BATCH_BYTES;
use types::{GroupId, NodeId, ReplicaId};
use wal::{GroupWrite, LogError};

use super::apply::ApplyCommand;
use super::store::Core;
use crate::effects::{Input, LogWrite};
use crate::record::GroupRecord;
use crate::start::log_fault;

/// How often space is given back; often, so that the next file is prepared before it is needed.
const RECLAIM_EVERY: Duration = Duration::from_millis(100);
/// A batch that has more bytes of entries than this is written before more is added to it.
const BATCH_BYTES: usize = 64 << 20;
/// How long to wait for room on a full disk before trying again.
const DISK_FULL_PAUSE: Duration = Duration::from_millis(200);

pub(super) enum LogCommand {
    /// Write for a group, then let its promises leave.
    Write(LogWrite),
    /// Forget a group if it is still this replica's, then remove the state that its record named.
    Delete { group: GroupId, replica: ReplicaId, record: Option<GroupRecord> },
}

pub(super) fn run_log(core: &Core) {
    let (mut waiting, mut arrived): (Vec<LogCommand>, Vec<LogCommand>) = (Vec::new(), Vec::new());
    let mut reclaimed = Instant::now();
    while core.writes.take(&mut arrived, RECLAIM_EVERY) {
        waiting.append(&mut arrived);
        while !waiting.is_empty() {
            match write(core, &mut waiting) {
                Ok(()) => {}
                Err(LogError::DiskFull) => {
                    wait_for_room(core);
                    if !core.writes.take(&mut arrived, Duration::ZERO) {
                        return;
                    }
                    waiting.append(&mut arrived);
                }
                Err(error) => return core.outbox.fatal(log_fault(&error)),
            }
        }
        cut(core);
        if reclaimed.elapsed() >= RECLAIM_EVERY {
            reclaimed = Instant::now();
            match core.log.reclaim() {
                Ok(()) | Err(LogError::DiskFull) => {}
                Err(error) => return core.outbox.fatal(log_fault(&error)),
            }
        }
    }
}

/// Writes what waits, as much as one batch takes. On a full disk whatever is small goes first: a vote, or a word of
/// the catalog, does not wait behind the data of another group.
///
/// # Errors
/// `DiskFull`: there is no room even for what is small, or nothing small is left; all of it waits on, in its order.
fn write(core: &Core, waiting: &mut Vec<LogCommand>) -> Result<(), LogError> {
    let mut is_full = false;
    let until_full = |_, bytes| !std::mem::replace(&mut is_full, bytes > BATCH_BYTES);
    match write_some(core, waiting, until_full) {
        Err(LogError::DiskFull) => {}
        outcome => return outcome,
    }
    // The writes of a group keep their order: those behind a large one wait with it.
    let mut held: BTreeSet<GroupId> = BTreeSet::new();
    let small = |group: GroupId, bytes: usize| {
        let is_small = !held.contains(&group) && bytes <= SMALL_BATCH_BYTES;
        if !is_small {
            held.insert(group);
        }
        is_small
    };
    write_some(core, waiting, small)
}

/// Writes some of what waits in one batch, then lets its promises leave. `fits` is asked for each in turn, with the bytes
/// of the entries that would be in the batch before it and with it.
///
/// # Errors
/// `DiskFull` also if nothing fits. Whatever was not written waits on.
fn write_some(
    core: &Core,
    waiting: &mut Vec<LogCommand>,
    mut fits: impl FnMut(GroupId, usize) -> bool,
) -> Result<(), LogError> {
    let mut chosen = vec![false; waiting.len()];
    // Where each write of the batch comes from.
    let (mut batch, mut places): (Vec<GroupWrite>, Vec<usize>) = (Vec::new(), Vec::new());
    let mut bytes = 0;
    for (place, command) in waiting.iter_mut().enumerate() {
        let more = command.bytes();
        if !fits(command.group(), bytes + more) {
            continue;
        }
        chosen[place] = true;
        bytes += more;
        if let Some(write) = command.take_write(core) {
            batch.push(write);
            places.push(place);
        }
    }
    let written = match (batch.is_empty(), chosen.contains(&true)) {
        (false, _) => core.log.write(&batch, true),
        (true, true) => Ok(()),
        (true, false) => Err(LogError::DiskFull),
    };
    if let Err(error) = written {
        for (place, write) in places.into_iter().zip(batch) {
            if let LogCommand::Write(command) = &mut waiting[place] {
                command.write = Some(write);
            }
        }
        return Err(error);
    }
    let mut chosen = chosen.into_iter();
    let written = waiting.extract_if(.., |_| chosen.next().unwrap_or(false));
    settle(core, written.collect());
    Ok(())
}

/// What was written is reported, and what was promised for then leaves.
fn settle(core: &Core, written: Vec<LogCommand>) {
    let mut reports = Vec::with_capacity(written.len());
    let mut sends: BTreeMap<NodeId, Vec<RaftMessage>> = BTreeMap::new();
    for command in written {
        match command {
            LogCommand::Write(LogWrite { group, number, then, .. }) => {
                for (node, message) in then {
                    sends.entry(node).or_default().push(message);
                }
                reports.push(Input::Persisted { group, number });
            }
            LogCommand::Delete { group, replica, record } => {
                core.applier(group).push(ApplyCommand::Remove { group, replica, record });
            }
        }
    }
    core.send_all(sends);
    core.report_all(reports);
}

impl LogCommand {
    fn group(&self) -> GroupId {
        match self {
            LogCommand::Write(write) => write.group,
            LogCommand::Delete { group, .. } => *group,
        }
    }

    /// Bytes of entries that it writes.
    fn bytes(&self) -> usize {
        match self {
            LogCommand::Write(LogWrite { write: Some(write), .. }) => {
                write.entries.iter().map(|entry| entry.payload.len()).sum()
            }
            _ => 0,
        }
    }

    fn take_write(&mut self, core: &Core) -> Option<GroupWrite> {
        match self {
            LogCommand::Write(write) => write.write.take(),
            LogCommand::Delete { group, replica, record } => {
                let summary = core.log.group(*group)?;
                *record = GroupRecord::from_bytes(&summary.record);
                let named = record.as_ref().map_or(ReplicaId::NONE, GroupRecord::replica);
                (named == *replica).then(|| GroupWrite { group: *group, delete: true, ..Default::default() })
            }
        }
    }
}

/// Lets go of entries that are no longer needed.
fn cut(core: &Core) {
    let mut cuts = Vec::new();
    core.cuts.take(&mut cuts, Duration::ZERO);
    for (group, index) in cuts {
        if let Err(error) = core.log.cut(group, index) {
            tracing::warn!(group = group.get(), %error, "log cannot be cut");
        }
    }
}

/// A full disk is waited out: nothing was acknowledged, and nothing is lost. What the log itself no longer needs may be all
/// the room that there is.
fn wait_for_room(core: &Core) {
    cut(core);
    if let Err(error) = core.log.reclaim() {
        tracing::debug!(%error, "no room was made");
    }
    std::thread::sleep(DISK_FULL_PAUSE);
}
