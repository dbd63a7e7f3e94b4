//! The log thread: everything that waits becomes one write and one fsync.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use api::peer::RaftMessage;
use types::{Fault, GroupId, NodeId, ReplicaId};
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
    let mut waiting: Vec<LogCommand> = Vec::new();
    let mut reclaimed = Instant::now();
    while core.writes.take(&mut waiting, RECLAIM_EVERY) {
        while !waiting.is_empty() {
            if !write(core, &mut waiting) {
                return;
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

/// Writes a batch of what waits, then lets the promises leave. `false` when the process must end.
fn write(core: &Core, waiting: &mut Vec<LogCommand>) -> bool {
    let mut batch: Vec<GroupWrite> = Vec::new();
    let (mut count, mut bytes) = (0, 0);
    for command in waiting.iter_mut() {
        if bytes > BATCH_BYTES {
            break;
        }
        count += 1;
        if let Some(write) = command.take_write(core) {
            bytes += write.entries.iter().map(|entry| entry.payload.len()).sum::<usize>();
            batch.push(write);
        }
    }
    if !batch.is_empty()
        && let Err(fault) = write_until_room(core, &batch)
    {
        core.outbox.fatal(fault);
        return false;
    }
    let mut reports = Vec::with_capacity(count);
    let mut sends: BTreeMap<NodeId, Vec<RaftMessage>> = BTreeMap::new();
    for written in waiting.drain(..count) {
        match written {
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
    true
}

impl LogCommand {
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

/// A full disk is waited out: nothing was acknowledged, and nothing is lost.
fn write_until_room(core: &Core, batch: &[GroupWrite]) -> Result<(), Fault> {
    let mut told = false;
    loop {
        match core.log.write(batch, true) {
            Ok(()) => return Ok(()),
            Err(LogError::DiskFull) => {
                if !told {
                    tracing::error!("the disk is full: writes wait until there is room");
                    told = true;
                }
                // What the log itself no longer needs may be all the room that there is.
                cut(core);
                match core.log.reclaim() {
                    Ok(()) | Err(LogError::DiskFull) => std::thread::sleep(DISK_FULL_PAUSE),
                    Err(error) => return Err(log_fault(&error)),
                }
            }
            Err(error) => return Err(log_fault(&error)),
        }
    }
}
