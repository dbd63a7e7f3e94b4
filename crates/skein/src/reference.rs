//! The parts of `docs/` that are made from the program: the test fails when they differ.
//!
//! `SKEIN_REWRITE=1 cargo test -p skein reference` writes them. Everything outside of the marked sections
//! is written by hand.

use std::fmt::Write;
use std::path::Path;

use clap::{Arg, Command, CommandFactory};
use types::ErrorCode;
use types::metrics::{self, Metric};
use types::settings::{self, Kind, Setting};

use crate::cli::Cli;
use crate::exit;

#[test]
fn documents_are_what_the_program_is() {
    section("cli.md", "exit codes", &exit_codes());
    section("cli.md", "commands", &commands());
    section("errors.md", "errors", &errors());
    section("metrics.md", "metrics", &metrics());
    section("settings.md", "settings", &table_of(settings::ALL));
    section("settings.md", "settings at start", &table_of(settings::AT_START));
}

fn section(file: &str, name: &str, wanted: &str) {
    golden::part(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(file), name, wanted);
}

fn exit_codes() -> String {
    let mut text = "| code | meaning |\n|---|---|\n".to_owned();
    for exit in exit::ALL {
        let _ = writeln!(text, "| {} | {} |", exit.code, exit.about);
    }
    text
}

fn errors() -> String {
    let mut text =
        "| code | what happened | what to do | exit | repeat |\n|---|---|---|---|---|\n".to_owned();
    for &code in ErrorCode::ALL {
        let repeat = if code.is_retryable() { "yes, it had no effect" } else { "not simply" };
        let (cause, hint, exit) = (code.cause(), code.hint(), exit::of(code).code);
        let _ = writeln!(text, "| `{}` | {cause} | {hint} | {exit} | {repeat} |", code.as_str());
    }
    text
}

fn metrics() -> String {
    let mut text = "| metric | kind | of each | what it tells |\n|---|---|---|---|\n".to_owned();
    for metric in metrics::ALL {
        let Metric { name, kind, label, about } = metric;
        let label = label.map_or(String::new(), |label| format!("`{label}`"));
        let _ = writeln!(text, "| `{name}` | {} | {label} | {about} |", kind.word());
    }
    text
}

fn table_of(settings: &[Setting]) -> String {
    let mut text =
        "| setting | default | from | to | unit | what it does |\n|---|---|---|---|---|---|\n".to_owned();
    for setting in settings {
        let (default, min, max, unit) = match setting.kind {
            Kind::Integer { default, min, max, unit } => {
                (default.to_string(), min.to_string(), max.to_string(), unit)
            }
            Kind::Switch { default } => (default.to_string(), "false".into(), "true".into(), ""),
        };
        let _ =
            writeln!(text, "| `{}` | {default} | {min} | {max} | {unit} | {} |", setting.name, setting.about);
    }
    text
}

/// All commands, depth first.
fn commands() -> String {
    let mut command = Cli::command();
    command.build();
    let mut text = String::new();
    for subcommand in command.get_subcommands() {
        describe(subcommand, "skein", &mut text);
    }
    text
}

fn describe(command: &Command, parent: &str, text: &mut String) {
    let name = format!("{parent} {}", command.get_name());
    if command.has_subcommands() {
        for subcommand in command.get_subcommands() {
            describe(subcommand, &name, text);
        }
        return;
    }
    let _ = write!(text, "### `{name}{}`\n\n", positionals(command));
    let about = command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default();
    let _ = write!(text, "{}.\n\n", about.trim().trim_end_matches('.'));
    let described = command.get_arguments().filter(|argument| argument.get_id() != "help");
    let rows: Vec<String> = described.filter(|argument| argument.get_id() != "version").map(row).collect();
    if !rows.is_empty() {
        let _ = write!(text, "| argument | meaning |\n|---|---|\n{}\n", rows.concat());
    }
}

fn positionals(command: &Command) -> String {
    command.get_positionals().fold(String::new(), |mut text, argument| {
        let name = argument.get_id().as_str().to_uppercase();
        let _ = if argument.is_required_set() { write!(text, " {name}") } else { write!(text, " [{name}]") };
        text
    })
}

fn row(argument: &Arg) -> String {
    let name = match argument.get_long() {
        Some(long) if argument.get_action().takes_values() => {
            let value = argument.get_value_names().and_then(|names| names.first());
            let list = if argument.get_value_delimiter().is_some() { ",..." } else { "" };
            format!("--{long} {}{list}", value.map_or("VALUE", |value| value.as_str()))
        }
        Some(long) => format!("--{long}"),
        None => argument.get_id().as_str().to_uppercase(),
    };
    let help = argument.get_long_help().or(argument.get_help()).map(ToString::to_string).unwrap_or_default();
    let paragraphs = help.split("\n\n").map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
    let mut meaning = paragraphs.collect::<Vec<_>>().join(". ");
    let values: Vec<String> = argument
        .get_possible_values()
        .iter()
        .filter(|value| !value.is_hide_set())
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    if argument.get_action().takes_values() && !values.is_empty() {
        let _ = write!(meaning, "; one of {}", values.join(", "));
    }
    if let Some(default) = argument.get_default_values().first()
        && argument.get_action().takes_values()
    {
        let _ = write!(meaning, " [default: {}]", default.to_string_lossy());
    }
    if let Some(variable) = argument.get_env() {
        let _ = write!(meaning, " [env: {}]", variable.to_string_lossy());
    }
    if argument.is_required_set() && argument.get_long().is_some() {
        meaning.push_str(" (required)");
    }
    // A bar ends a cell.
    format!("| `{name}` | {} |\n", meaning.replace('|', "\\|"))
}
