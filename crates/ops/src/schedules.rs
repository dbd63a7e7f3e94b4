//! What the cluster does about backups by itself: it takes those that are due, proves them, and drops the scratch
//! tables of drills that do not go on.
//!
//! What a schedule has come to stands in its record, and changes in the command that starts an operation. So a time
//! is taken care of once, whoever leads; of times that were missed the last one is made up for.

use api::catalog::{CatalogOp, TableName};
use api::operation::{CatalogEdit, Edit, OperationKind, OperationState};
use api::saving::{ScheduleNews, ScheduleProgress, ScheduleRecord};
use catalog::cron::Cron;
use types::OperationId;

use crate::executor::Work;
use crate::operations::backup;
use crate::plan::Draft;
use crate::sight::Sight;

/// Who asked for what is scheduled.
const SCHEDULES: &str = "automation: schedule";

/// Starts what is due.
pub(crate) fn step(sight: &Sight<'_>, work: &mut Work) {
    let goes_on = |owner: u64| {
        let owner = sight.catalog.operation(OperationId(owner));
        owner.is_some_and(|owner| owner.state() == OperationState::Running && !owner.cancelling)
    };
    work.commands.extend(drop_scratch_tables(sight, |owner| !goes_on(owner)));
    for schedule in sight.catalog.schedules().filter(|schedule| !is_at_work(sight, schedule)) {
        let so_far = schedule.so_far();
        if schedule.drill && !so_far.complete.is_empty() && so_far.drilled != so_far.complete {
            let news = ScheduleProgress { drilled: so_far.complete, ..Default::default() };
            start(sight, schedule, backup::scheduled_drill(schedule), news, work);
        } else if let Some(due_ms) = due(schedule, sight.observed.wall_ms) {
            let news = ScheduleProgress { due_ms, ..Default::default() };
            start(sight, schedule, backup::scheduled(sight, schedule), news, work);
        }
    }
}

/// The last time that has come since the last one that was taken care of.
fn due(schedule: &ScheduleRecord, now: u64) -> Option<u64> {
    let cron = Cron::parse(&schedule.cron).ok()?;
    cron.last_until(now, schedule.so_far().due_ms.max(schedule.set_ms))
}

/// Whether an operation of the schedule has not ended.
fn is_at_work(sight: &Sight<'_>, schedule: &ScheduleRecord) -> bool {
    let of_schedule = |kind: &OperationKind| match kind {
        OperationKind::Backup(wish) => wish.schedule == schedule.name,
        OperationKind::Drill(wish) => wish.schedule == schedule.name,
        _ => false,
    };
    let mut active = sight.catalog.operations().filter(|known| !known.state().has_ended());
    active.any(|known| known.kind.as_ref().is_some_and(of_schedule))
}

fn start(
    sight: &Sight<'_>,
    schedule: &ScheduleRecord,
    draft: Draft,
    news: ScheduleProgress,
    work: &mut Work,
) {
    let by = format!("{SCHEDULES} {}", schedule.name);
    let mut change = draft.finish(sight, &by).start;
    let news = ScheduleNews { name: schedule.name.clone(), progress: Some(news) };
    change.edits.push(CatalogEdit { edit: Some(Edit::Schedule(news)) });
    work.commands.push(CatalogOp::Operate(change));
}

/// The commands that drop the scratch tables of some operations.
pub(crate) fn drop_scratch_tables(sight: &Sight<'_>, of: impl Fn(u64) -> bool) -> Vec<CatalogOp> {
    let scratch = sight.catalog.tables().filter(|table| table.scratch_of != 0 && of(table.scratch_of));
    let drop = |table: &api::catalog::TableRecord| {
        CatalogOp::DropTable(TableName { namespace: table.namespace.clone(), name: table.name.clone() })
    };
    scratch.map(drop).collect()
}
