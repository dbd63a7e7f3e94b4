//! `skein config`: settings of the cluster.

use api::admin::{SetSetting, SettingValue};
use types::settings::Setting;
use types::{ErrorCode, Fault};

use crate::cli::{Ask, ConfigCommand, ConfigGet, ConfigSet};
use crate::exit::{self, Exit};
use crate::say::{self, Form};

/// Carries out a command about settings.
pub fn run(command: &ConfigCommand) -> Result<Exit, Fault> {
    match command {
        ConfigCommand::List(arguments) => list(arguments),
        ConfigCommand::Get(arguments) => get(arguments),
        ConfigCommand::Set(arguments) => set(arguments),
    }
}

fn list(arguments: &Ask) -> Result<Exit, Fault> {
    let settings = arguments.find.lookup().client()?.settings()?;
    match arguments.output.form() {
        Form::Json => say::json(&settings),
        Form::Text => say::data(as_table(&settings)),
    }
    Ok(exit::OK)
}

fn get(arguments: &ConfigGet) -> Result<Exit, Fault> {
    let settings = arguments.find.lookup().client()?.settings()?;
    let found = settings.into_iter().find(|setting| setting.name == arguments.name);
    let unknown = || Fault::new(ErrorCode::BadArgument, Setting::unknown(&arguments.name));
    let setting = found.ok_or_else(unknown)?;
    match arguments.output.form() {
        Form::Json => say::json(&setting),
        Form::Text => say::data(&setting.value),
    }
    Ok(exit::OK)
}

fn set(arguments: &ConfigSet) -> Result<Exit, Fault> {
    let wish = SetSetting { value: arguments.value.clone(), by: None };
    let setting = arguments.find.lookup().client()?.set_setting(&arguments.name, &wish)?;
    match arguments.output.form() {
        Form::Json => say::json(&setting),
        Form::Text => {
            let before = setting.before.as_ref().unwrap_or(&setting.default);
            say::note(format_args!("{} is {}, was {before}", setting.name, setting.value));
        }
    }
    Ok(exit::OK)
}

fn as_table(settings: &[SettingValue]) -> String {
    let rows = settings.iter().map(|setting| {
        let changed = setting.changed_by.as_ref().map_or("-".to_owned(), |by| {
            let before = setting.before.as_ref().map(|before| format!(", was {before}")).unwrap_or_default();
            format!("{by}{before}")
        });
        vec![
            setting.name.clone(),
            setting.value.clone(),
            setting.default.clone(),
            setting.takes.clone(),
            changed,
            setting.about.clone(),
        ]
    });
    say::table(&["SETTING", "VALUE", "DEFAULT", "TAKES", "CHANGED BY", "WHAT IT DOES"], rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_listed_with_who_changed_them() {
        let setting = |name: &str, changed_by: Option<&str>| SettingValue {
            name: name.into(),
            value: "false".into(),
            default: "true".into(),
            takes: "true or false".into(),
            about: "others take over".into(),
            changed_by: changed_by.map(String::from),
            changed_ms: 0,
            before: changed_by.map(|_| "true".into()),
        };
        let expected = "\
SETTING  VALUE  DEFAULT  TAKES          CHANGED BY       WHAT IT DOES
a        false  true     true or false  -                others take over
b        false  true     true or false  admin, was true  others take over";
        assert_eq!(as_table(&[setting("a", None), setting("b", Some("admin"))]), expected);
    }
}
