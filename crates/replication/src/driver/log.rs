//! The log thread: everything that waits becomes one write and one fsync.

use std::time::{Duration, Instant};

use types::{Fault, GroupId, LogIndex, ReplicaId};
use wal::{GroupWrite, LogError};

use super::apply::ApplyCommand;
use super::store::Core;
use super::work::report;
use crate::effects::{Input, LogWrite};
use crate::record::GroupRecord;
use crate::start::log_fault;

/// How often space is given back; often, so that the next file is prepared before it is needed.
const RECLAIM_EVERY: Duration = Duration::from_millis(100);
/// How long to wait for room on a full disk before trying again.
const DISK_FULL_PAUSE: Duration = Duration::from_millis(200);

pub(super) enum LogCommand {
    /// Write for a group, then let its promises leave.
    Write(LogWrite),
    /// A group's entries up to here are no longer needed.
    Cut(GroupId, LogIndex),
    /// Forget a group if it is still this replica's, then remove the state that its record named.
    Delete { group: GroupId, replica: ReplicaId, record: Option<GroupRecord> },
}

pub(super) fn run_log(core: &Core) {
    let mut waiting: Vec<LogCommand> = Vec::new();
    let mut reclaimed = Instant::now();
    while core.writes.take(&mut waiting, RECLAIM_EVERY) {
        if !waiting.is_empty() && !write(core, &mut waiting) {
            return;
        }
        if reclaimed.elapsed() >= RECLAIM_EVERY {
            reclaimed = Instant::now();
            match core.log.reclaim() {
                Ok(()) | Err(LogError::DiskFull) => {}
                Err(error) => return core.outbox.fatal(log_fault(&error)),
            }
        }
    }
}

/// Writes a batch, then lets the promises leave. `false` when the process must end.
fn write(core: &Core, waiting: &mut Vec<LogCommand>) -> bool {
    let batch: Vec<GroupWrite> = waiting.iter_mut().filter_map(|command| command.take_write(core)).collect();
    if !batch.is_empty()
        && let Err(fault) = write_until_room(core, &batch)
    {
        core.outbox.fatal(fault);
        return false;
    }
    for written in waiting.drain(..) {
        match written {
            LogCommand::Write(LogWrite { group, number, then, .. }) => {
                for (node, message) in then {
                    core.outbox.send(node, message);
                }
                report(core, group, Input::Persisted { group, number });
            }
            LogCommand::Cut(group, index) => {
                if let Err(error) = core.log.cut(group, index) {
                    tracing::warn!(group = group.get(), %error, "log cannot be cut");
                }
            }
            LogCommand::Delete { group, replica, record } => {
                core.applier(group).push(ApplyCommand::Remove { group, replica, record });
            }
        }
    }
    true
}

impl LogCommand {
    fn take_write(&mut self, core: &Core) -> Option<GroupWrite> {
        match self {
            LogCommand::Write(write) => write.write.take(),
            LogCommand::Cut(..) => None,
            LogCommand::Delete { group, replica, record } => {
                let summary = core.log.group(*group)?;
                *record = GroupRecord::from_bytes(&summary.record);
                let named = record.as_ref().map_or(ReplicaId::NONE, GroupRecord::replica);
                (named == *replica).then(|| GroupWrite { group: *group, delete: true, ..Default::default() })
            }
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
                std::thread::sleep(DISK_FULL_PAUSE);
            }
            Err(error) => return Err(log_fault(&error)),
        }
    }
}
