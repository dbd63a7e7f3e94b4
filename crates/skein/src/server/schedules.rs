//! The member behind the schedules of the admin API, and what they have come to as metrics.

use std::sync::Arc;

use api::catalog::CatalogOp;
use api::operation::{OperationKind, OperationState};
use api::saving::{Schedule, ScheduleChange, ScheduleProgress, ScheduleRecord, SetSchedule};
use catalog::Catalog;
use catalog::cron::Cron;
use node::Node;
use serve::http::{Answer, LabelledValue, Schedules};
use tokio::sync::oneshot;
use tokio::time::Instant;
use types::metrics::{BACKUP_CHAIN, BACKUP_COMPLETE, BACKUP_PROVEN, BACKUP_SCHEDULE_SET};
use types::{ErrorCode, Fault};

use super::admin::{KNOWN_PATIENCE, LOOK};

/// What stands for a schedule's name where somebody asked for a backup. No schedule is called so.
const BY_HAND: &str = "by-hand";

/// In a second.
const MILLIS: f64 = 1000.0;

/// Schedules, as a node knows them.
pub struct NodeSchedules {
    node: Arc<Node>,
}

impl NodeSchedules {
    /// Of this node.
    pub fn new(node: Arc<Node>) -> Arc<Self> {
        Arc::new(Self { node })
    }
}

async fn change(node: &Node, change: ScheduleChange) -> Result<(), Fault> {
    let (sender, answer) = oneshot::channel();
    node.change_catalog(CatalogOp::Schedule(change), move |answered| drop(sender.send(answered)));
    answer.await.map_err(|_| Fault::from(ErrorCode::OutcomeUnknown))??;
    Ok(())
}

/// Waits a little until this node's catalog is as it became.
async fn wait_until(node: &Node, shows: impl Fn(&Catalog) -> bool) {
    let begun = Instant::now();
    while !shows(&node.catalog()) && begun.elapsed() < KNOWN_PATIENCE {
        tokio::time::sleep(LOOK).await;
    }
}

impl Schedules for NodeSchedules {
    fn schedules(&self) -> Result<Vec<Schedule>, Fault> {
        self.node.require_reports()?;
        let now = self.node.wall_millis();
        Ok(self.node.catalog().schedules().map(|record| shown(record, now)).collect())
    }

    fn set_schedule(&self, name: String, wish: SetSchedule) -> Answer<Schedule> {
        let node = self.node.clone();
        Box::pin(async move {
            node.require_reports()?;
            let now = node.wall_millis();
            let url = backup::open(&wish.url).map_err(|error| error.to_fault())?.url().to_owned();
            let record = ScheduleRecord {
                name: name.clone(),
                cron: wish.cron,
                url,
                tables: wish.tables,
                namespaces: wish.namespaces,
                kinds: wish.kinds,
                keep: wish.keep,
                drill: wish.drill,
                full_every: wish.full_every,
                bytes_per_second: wish.bytes_per_second,
                keys_per_second: wish.keys_per_second,
                by: wish.by.unwrap_or_else(|| "admin".into()),
                set_ms: now,
                // What the schedule would have wanted before is nothing that was missed.
                progress: Some(ScheduleProgress { due_ms: now, ..Default::default() }),
            };
            change(&node, ScheduleChange { set: Some(record.clone()), remove: String::new() }).await?;
            let is_set = |catalog: &Catalog| {
                catalog
                    .schedule(&name)
                    .is_some_and(|known| known.cron == record.cron && known.url == record.url)
            };
            wait_until(&node, is_set).await;
            Ok(shown(node.catalog().schedule(&name).unwrap_or(&record), now))
        })
    }

    fn remove_schedule(&self, name: String) -> Answer<()> {
        let node = self.node.clone();
        Box::pin(async move {
            node.require_reports()?;
            change(&node, ScheduleChange { set: None, remove: name.clone() }).await?;
            wait_until(&node, |catalog| catalog.schedule(&name).is_none()).await;
            Ok(())
        })
    }
}

fn shown(record: &ScheduleRecord, now: u64) -> Schedule {
    let so_far = record.so_far();
    let next = Cron::parse(&record.cron).ok().and_then(|cron| cron.next_after(now));
    Schedule {
        name: record.name.clone(),
        cron: record.cron.clone(),
        url: record.url.clone(),
        tables: record.tables.clone(),
        namespaces: record.namespaces.clone(),
        kinds: record.kinds.clone(),
        keep: record.keep,
        drill: record.drill,
        full_every: record.full_every,
        bytes_per_second: record.bytes_per_second,
        keys_per_second: record.keys_per_second,
        by: record.by.clone(),
        set_ms: record.set_ms,
        next_ms: next.unwrap_or(0),
        complete: so_far.complete,
        complete_ms: so_far.complete_ms,
        proven: so_far.proven,
        proven_ms: so_far.proven_ms,
    }
}

/// When the last backups were complete and proven, by schedule, and how many stand on each other. What never was is not
/// told.
pub(super) fn backup_values(catalog: &Catalog) -> Vec<LabelledValue> {
    let last_by_hand = |which: fn(&OperationKind) -> bool| {
        let done = catalog.operations().filter(|known| known.state() == OperationState::Done);
        done.filter(|known| known.kind.as_ref().is_some_and(which))
            .map(|known| known.ended_ms)
            .max()
            .unwrap_or(0)
    };
    let taken =
        |kind: &OperationKind| matches!(kind, OperationKind::Backup(wish) if wish.schedule.is_empty());
    let tried = |kind: &OperationKind| matches!(kind, OperationKind::Drill(wish) if wish.schedule.is_empty());
    let mut complete = vec![(BY_HAND.to_owned(), last_by_hand(taken))];
    let mut proven = vec![(BY_HAND.to_owned(), last_by_hand(tried))];
    let (mut set, mut chain) = (Vec::new(), Vec::new());
    for schedule in catalog.schedules() {
        let so_far = schedule.so_far();
        complete.push((schedule.name.clone(), so_far.complete_ms));
        proven.push((schedule.name.clone(), so_far.proven_ms));
        set.push((schedule.name.clone(), schedule.set_ms));
        chain.push((schedule.name.clone(), u64::from(so_far.chain)));
    }
    let values = [
        (&BACKUP_COMPLETE, complete, MILLIS),
        (&BACKUP_PROVEN, proven, MILLIS),
        (&BACKUP_SCHEDULE_SET, set, MILLIS),
        (&BACKUP_CHAIN, chain, 1.0),
    ];
    let told = values.into_iter().flat_map(|(metric, values, in_one)| {
        let known = values.into_iter().filter(|(_, value)| *value > 0);
        known.map(move |(of, value)| LabelledValue { metric, of, value: value as f64 / in_one })
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_says_when_it_is_due_next() {
        let record = ScheduleRecord {
            name: "nightly".into(),
            cron: "0 3 * * *".into(),
            progress: Some(ScheduleProgress { complete: "b".into(), complete_ms: 7, ..Default::default() }),
            ..Default::default()
        };
        let schedule = shown(&record, 1_795_744_860_000);
        assert_eq!(types::utc::text(schedule.next_ms), "2026-11-27 03:00:00.000 UTC");
        assert_eq!((schedule.complete.as_str(), schedule.complete_ms, schedule.proven_ms), ("b", 7, 0));
    }
}
