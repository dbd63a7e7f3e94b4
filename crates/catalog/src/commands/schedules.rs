//! Schedules of backups: set, removed, and what came of them.

use std::sync::Arc;

use api::catalog::ClusterRecord;
use api::kv::ContentKind;
use api::saving::{ScheduleChange, ScheduleNews, ScheduleRecord};
use types::Fault;
use types::limits::{
    BACKUP_CHAIN_MAX, BACKUP_URL_BYTES_MAX, NAME_BYTES_MAX, SCHEDULE_TABLES_MAX, SCHEDULES_MAX,
};

use super::operations::Draft;
use super::{Decision, bad_argument, shown};
use crate::Catalog;
use crate::cron::Cron;
use crate::record::{Record, RecordChange, RecordName};

/// Sets or removes a schedule.
pub(super) fn change(
    catalog: &Catalog,
    cluster: ClusterRecord,
    change: &ScheduleChange,
) -> Result<Decision, Fault> {
    let mut changes = Vec::new();
    if let Some(wish) = &change.set {
        check(catalog, wish)?;
        let known = catalog.schedule(&wish.name);
        let record = ScheduleRecord {
            // Who changes a schedule does not make up for times that the old one would have had.
            set_ms: known.map_or(wish.set_ms, |known| known.set_ms),
            progress: match known.filter(|known| known.url == wish.url) {
                Some(known) => Some(known.so_far().with(&wish.so_far())),
                None => wish.progress.clone(),
            },
            ..wish.clone()
        };
        if known != Some(&record) {
            changes.push(RecordChange::Put(Record::Schedule(Arc::new(record))));
        }
    }
    if !change.remove.is_empty() {
        if catalog.schedule(&change.remove).is_none() {
            return Err(bad_argument(format!("there is no schedule '{}'", shown(&change.remove))));
        }
        changes.push(RecordChange::Remove(RecordName::Schedule(change.remove.clone())));
    }
    Ok(Decision::ok(cluster, changes))
}

fn check(catalog: &Catalog, wish: &ScheduleRecord) -> Result<(), Fault> {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if !(1..=NAME_BYTES_MAX).contains(&wish.name.len()) || !wish.name.bytes().all(is_word) {
        let detail = format!("a schedule's name is 1 to {NAME_BYTES_MAX} of a-z, 0-9 and _");
        return Err(bad_argument(detail));
    }
    Cron::parse(&wish.cron).map_err(bad_argument)?;
    if !(1..=BACKUP_URL_BYTES_MAX).contains(&wish.url.len()) || !wish.url.contains("://") {
        return Err(bad_argument(format!("'{}' is no URL", shown(&wish.url))));
    }
    if wish.full_every as usize > BACKUP_CHAIN_MAX {
        return Err(bad_argument(format!(
            "one of {BACKUP_CHAIN_MAX} backups of a schedule at least is full"
        )));
    }
    if wish.tables.len() > SCHEDULE_TABLES_MAX
        || wish.tables.iter().any(|title| title.len() > 2 * NAME_BYTES_MAX + 1)
    {
        return Err(bad_argument(format!("a schedule names at most {SCHEDULE_TABLES_MAX} tables")));
    }
    if wish.namespaces.len() > SCHEDULE_TABLES_MAX
        || wish.namespaces.iter().any(|namespace| namespace.len() > NAME_BYTES_MAX)
    {
        return Err(bad_argument(format!("a schedule names at most {SCHEDULE_TABLES_MAX} namespaces")));
    }
    if let Some(kind) = wish.kinds.iter().find(|kind| ContentKind::named(kind).is_none()) {
        return Err(bad_argument(format!("there is no kind '{}'", shown(kind))));
    }
    if catalog.schedule(&wish.name).is_none() && catalog.schedules().count() >= SCHEDULES_MAX {
        return Err(bad_argument(format!("there are {SCHEDULES_MAX} schedules, which is the most")));
    }
    Ok(())
}

impl Draft<'_> {
    /// Notes what came of a schedule.
    pub(super) fn note_schedule(&mut self, news: &ScheduleNews) {
        let (Some(known), Some(progress)) = (self.catalog.schedule(&news.name), &news.progress) else {
            return;
        };
        let record = ScheduleRecord { progress: Some(known.so_far().with(progress)), ..known.clone() };
        if record != *known {
            self.changes.push(RecordChange::Put(Record::Schedule(Arc::new(record))));
        }
    }
}
