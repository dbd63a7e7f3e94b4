//! Tasks: steps that the node that leads the catalog carries out itself, because they touch what no law may touch.
//!
//! ```text
//!   look: what was told of the task? ── nothing, or that it runs ──► directive: begin it, if it does not run
//!                                    ── done ──► the step is done, with what was measured
//!                                    ── failed ──► the operation fails
//! ```
//!
//! A task is begun anew by every node that comes to lead, and finds what was done before: in the catalog, at the place
//! of the backup, and in the jobs of nodes that go on. So it may be told to begin any number of times.

use api::operation::{Edit, OperationKind};
use api::saving::{ScheduleNews, ScheduleProgress};
use types::{ErrorCode, Fault};

use super::{Doing, Look, Outcome, Wait};
use crate::executor::Directive;
use crate::executor::memory::TaskReport;
use crate::kind::Step;

/// The task that takes back what an operation has done so far.
pub const UNDO: &str = "undo";

pub(super) fn look(doing: &Doing<'_>, step: Step) -> Look {
    let report = doing.memory.task(doing.operation.id, step.as_str());
    let directives = vec![Directive::Task { operation: doing.operation.id.into(), step: step.as_str() }];
    let running = |report: &TaskReport| {
        let why = match report.doing.is_empty() {
            true => "its work is begun".to_owned(),
            false => report.doing.clone(),
        };
        let wait = Wait::working(why, None, report.progress());
        Look { directives: directives.clone(), ..Look::waits(wait) }
    };
    let Some(report) = report else { return running(&TaskReport::default()) };
    match &report.outcome {
        None => running(report),
        Some(Ok(result)) => Look { saved: result.saved.clone(), notes: result.notes.clone(), ..Look::done() },
        Some(Err(fault)) => match untidy(doing.kind, step, fault) {
            Some(note) => Look { notes: vec![note], ..Look::done() },
            None => {
                let notes = left(doing.kind, step, fault).into_iter().collect();
                Look { outcome: Outcome::Failed(fault.clone()), notes, ..Look::default() }
            }
        },
    }
}

/// What cannot be tidied up is no reason to call a backup bad, or a restore.
fn untidy(kind: &OperationKind, step: Step, fault: &Fault) -> Option<String> {
    match (kind, step) {
        (_, Step::Keep) => Some(format!("older backups could not be removed: {fault}")),
        (OperationKind::Restore(_), Step::Finish) => {
            Some(format!("its notes beside the backup could not be removed: {fault}"))
        }
        _ => None,
    }
}

/// What is left by an operation that fails, and what goes on with it.
fn left(kind: &OperationKind, step: Step, fault: &Fault) -> Option<String> {
    match (kind, step) {
        (OperationKind::Backup(wish), Step::Save | Step::Finish) => Some(format!(
            "{} is left as an incomplete backup; 'skein backup create --to {} --resume {}' goes on with it \
             for some minutes",
            wish.backup, wish.url, wish.backup
        )),
        // Nothing will complete it.
        (OperationKind::Restore(_), _) if fault.code == ErrorCode::BackupDamaged => None,
        (OperationKind::Restore(wish), _) => {
            let closed = match wish.made().count() {
                0 => "",
                _ => ", and tables that were made for it serve nobody",
            };
            Some(format!("what is restored stays{closed}; the same command goes on from there"))
        }
        _ => None,
    }
}

/// The schedule hears of a complete or proven backup in the command that enters the step after it.
pub(super) fn enter_keep(doing: &Doing<'_>) -> Vec<Edit> {
    let now = doing.sight.observed.wall_ms;
    let (name, progress) = match doing.kind {
        OperationKind::Backup(wish) => {
            let complete = wish.backup.clone();
            // One that was to stand on another and became a full one counts as the other would: the next full one comes
            // no later for it.
            let chain = match wish.parent.is_empty() {
                true => 1,
                false => chain_of(doing, &wish.schedule) + 1,
            };
            (&wish.schedule, ScheduleProgress { complete, complete_ms: now, chain, ..Default::default() })
        }
        OperationKind::Drill(wish) => {
            let proven = wish.backup.clone();
            (&wish.schedule, ScheduleProgress { proven, proven_ms: now, ..Default::default() })
        }
        _ => return Vec::new(),
    };
    vec![Edit::Schedule(ScheduleNews { name: name.clone(), progress: Some(progress) })]
}

/// How many backups the last complete one of a schedule stands on.
fn chain_of(doing: &Doing<'_>, schedule: &str) -> u32 {
    doing.sight.catalog.schedule(schedule).map_or(0, |schedule| schedule.so_far().chain)
}

/// The scratch tables of a drill are dropped by the catalog: whoever leads it sees which there are.
pub(super) fn look_at_drop(doing: &Doing<'_>) -> Look {
    let commands = crate::schedules::drop_scratch_tables(doing.sight, |owner| owner == doing.operation.id);
    if commands.is_empty() {
        return Look::done();
    }
    let why = "scratch tables are dropped".to_owned();
    Look { commands, ..Look::waits(Wait::working(why, None, 0)) }
}
