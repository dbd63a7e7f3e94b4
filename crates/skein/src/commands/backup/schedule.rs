//! `backup schedule`: backups that the cluster takes by itself.

use api::saving::{Schedule, SetSchedule};
use types::Fault;

use crate::backups::time;
use crate::cli::{Ask, ScheduleCommand, ScheduleNamed, ScheduleSet};
use crate::exit::{self, Exit};
use crate::say::{self, Form};

/// Carries out a command about schedules.
pub fn run(command: &ScheduleCommand) -> Result<Exit, Fault> {
    match command {
        ScheduleCommand::Set(arguments) => set(arguments),
        ScheduleCommand::List(arguments) => list(arguments),
        ScheduleCommand::Remove(arguments) => remove(arguments),
    }
}

fn set(arguments: &ScheduleSet) -> Result<Exit, Fault> {
    let wish = SetSchedule {
        cron: arguments.cron.clone(),
        url: arguments.to.clone(),
        tables: arguments.which.table.clone(),
        namespaces: arguments.which.namespace.clone(),
        kinds: arguments.which.kinds()?,
        keep: arguments.keep.unwrap_or(0),
        drill: arguments.drill,
        full_every: arguments.full_every.unwrap_or(0),
        bytes_per_second: arguments.speed.rate.unwrap_or(0),
        keys_per_second: arguments.speed.qps.unwrap_or(0),
        by: None,
    };
    let schedule = arguments.find.lookup().client()?.set_schedule(&arguments.name, &wish)?;
    match arguments.output.form() {
        Form::Json => say::json(&schedule),
        Form::Text => say::data(as_table(&[schedule])),
    }
    Ok(exit::OK)
}

fn list(arguments: &Ask) -> Result<Exit, Fault> {
    let schedules = arguments.find.lookup().client()?.schedules()?;
    match arguments.output.form() {
        Form::Json => say::json(&schedules),
        Form::Text if schedules.is_empty() => say::note("the cluster takes no backups by itself"),
        Form::Text => say::data(as_table(&schedules)),
    }
    Ok(exit::OK)
}

fn remove(arguments: &ScheduleNamed) -> Result<Exit, Fault> {
    arguments.find.lookup().client()?.remove_schedule(&arguments.name)?;
    match arguments.output.form() {
        Form::Json => say::json(&serde_json::Map::new()),
        Form::Text => say::note(format_args!("removed {}; its backups stay", arguments.name)),
    }
    Ok(exit::OK)
}

fn as_table(schedules: &[Schedule]) -> String {
    let or_dash = |known: bool, text: String| if known { text } else { "-".to_owned() };
    let last = |backup: &str, millis: u64| or_dash(millis > 0, format!("{backup}, {}", time(millis)));
    let rows = schedules.iter().map(|schedule| {
        vec![
            schedule.name.clone(),
            schedule.cron.clone(),
            schedule.url.clone(),
            saved(schedule),
            or_dash(schedule.keep > 0, schedule.keep.to_string()),
            if schedule.drill { "yes".into() } else { "no".into() },
            match schedule.full_every {
                0 | 1 => "each".into(),
                every => format!("1 of {every}"),
            },
            or_dash(schedule.next_ms > 0, time(schedule.next_ms)),
            last(&schedule.complete, schedule.complete_ms),
            last(&schedule.proven, schedule.proven_ms),
        ]
    });
    let heads = [
        "SCHEDULE",
        "WHEN (UTC)",
        "TO",
        "TABLES",
        "KEEP",
        "DRILL",
        "FULL",
        "NEXT",
        "LAST COMPLETE",
        "LAST PROVEN",
    ];
    say::table(&heads, rows)
}

/// Which tables, and what of them: `orders, shop:*: hash, list`.
fn saved(schedule: &Schedule) -> String {
    let namespaces = schedule.namespaces.iter().map(|namespace| format!("{namespace}:*"));
    let mut tables: Vec<String> = schedule.tables.iter().cloned().chain(namespaces).collect();
    if tables.is_empty() {
        tables.push("all".into());
    }
    match schedule.kinds.is_empty() {
        true => tables.join(", "),
        false => format!("{}: {}", tables.join(", "), schedule.kinds.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_listed_with_what_came_of_it() {
        let schedule = Schedule {
            name: "nightly".into(),
            cron: "0 3 * * *".into(),
            url: "file:///b".into(),
            keep: 7,
            drill: true,
            full_every: 7,
            next_ms: 1_795_748_400_000,
            complete: "20261126T030000Z-5c1d9a".into(),
            complete_ms: 1_795_662_060_000,
            ..Default::default()
        };
        let expected = "\
SCHEDULE  WHEN (UTC)  TO         TABLES  KEEP  DRILL  FULL    NEXT                     LAST COMPLETE                                     LAST PROVEN
nightly   0 3 * * *   file:///b  all     7     yes    1 of 7  2026-11-27 03:00:00 UTC  20261126T030000Z-5c1d9a, 2026-11-26 03:01:00 UTC  -";
        assert_eq!(as_table(std::slice::from_ref(&schedule)), expected);
        let some = Schedule {
            tables: vec!["orders".into()],
            namespaces: vec!["shop".into()],
            kinds: vec!["hash".into(), "list".into()],
            ..schedule
        };
        assert_eq!(saved(&some), "orders, shop:*: hash, list");
    }
}
