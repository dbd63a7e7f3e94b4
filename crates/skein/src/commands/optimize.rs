//! `skein optimize --every`: when the cluster compacts by itself. Compacting now is an operation like any other.

use api::admin::{SetSetting, SettingValue};
use client::Client;
use types::Fault;
use types::settings::{OPTIMIZE_EVERY_H, OPTIMIZE_FROM_MINUTE, OPTIMIZE_UNTIL_MINUTE, Setting};

use crate::cli::Optimize;
use crate::exit::{self, Exit};
use crate::say::{self, Form};

/// Changes the schedule.
pub fn schedule(arguments: &Optimize) -> Result<Exit, Fault> {
    let client = arguments.change.find.lookup().client()?;
    let mut changed = Vec::new();
    // The window first: otherwise the old one would hold for a moment.
    if let Some(window) = arguments.window {
        changed.push(set(&client, &OPTIMIZE_FROM_MINUTE, window.from)?);
        changed.push(set(&client, &OPTIMIZE_UNTIL_MINUTE, window.until)?);
    }
    if let Some(every) = arguments.every {
        changed.push(set(&client, &OPTIMIZE_EVERY_H, every.hours)?);
    }
    match arguments.change.output.form() {
        Form::Json => say::json(&changed),
        Form::Text => say::note(words(&client.settings()?)),
    }
    Ok(exit::OK)
}

fn set(client: &Client, setting: &Setting, value: u64) -> Result<SettingValue, Fault> {
    client.set_setting(setting.name, &SetSetting { value: setting.text(value), by: None })
}

/// The schedule as it is now.
fn words(settings: &[SettingValue]) -> String {
    let value = |setting: &Setting| {
        let found = settings.iter().find(|known| known.name == setting.name);
        found.and_then(|known| known.value.parse().ok()).unwrap_or_else(|| setting.default_number())
    };
    let clock = |minute: u64| format!("{:02}:{:02}", minute / 60, minute % 60);
    let window = format!(
        "between {} and {} UTC",
        clock(value(&OPTIMIZE_FROM_MINUTE)),
        clock(value(&OPTIMIZE_UNTIL_MINUTE))
    );
    match value(&OPTIMIZE_EVERY_H) {
        0 => "the cluster does not compact by itself".into(),
        hours if hours % 24 == 0 => {
            format!("the cluster compacts by itself every {}, {window}", say::count(hours / 24, "day"))
        }
        hours => format!("the cluster compacts by itself every {}, {window}", say::count(hours, "hour")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schedule_reads_as_it_is_meant() {
        let setting = |setting: &Setting, value: &str| SettingValue {
            name: setting.name.into(),
            value: value.into(),
            default: String::new(),
            takes: String::new(),
            about: String::new(),
            changed_by: None,
            changed_ms: 0,
            before: None,
        };
        assert_eq!(words(&[]), "the cluster does not compact by itself");
        let every = setting(&OPTIMIZE_EVERY_H, "2160");
        let expected = "the cluster compacts by itself every 90 days, between 02:00 and 05:00 UTC";
        assert_eq!(words(&[every]), expected);
        let often = [setting(&OPTIMIZE_EVERY_H, "36"), setting(&OPTIMIZE_FROM_MINUTE, "1410")];
        let expected = "the cluster compacts by itself every 36 hours, between 23:30 and 05:00 UTC";
        assert_eq!(words(&often), expected);
    }
}
