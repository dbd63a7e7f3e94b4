//! The generated parts of `docs/redis.md` are what the tables say. `SKEIN_REWRITE=1` writes them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use bytes::Bytes;
use proto_redis::config::{self, LiveConfig};
use proto_redis::faults::prefix;
use proto_redis::table::{Addressing, COMMANDS, Command};
use proto_redis::unsupported::UNSUPPORTED;
use proto_redis::{Reply, corpus};
use std::fmt::Write;
use std::path::Path;
use types::ErrorCode;

#[test]
fn the_reference_is_what_the_tables_say() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/redis.md");
    let sections = [
        ("commands", commands()),
        ("unsupported", unsupported()),
        ("errors", errors()),
        ("parameters", parameters()),
    ];
    sections.iter().for_each(|(name, body)| golden::part(&file, name, body));
}

fn commands() -> String {
    let mut out = "| command | arguments | keys | what it does |\n|---|---|---|---|\n".to_owned();
    for &command in COMMANDS.iter() {
        // A container does nothing by itself, except `COMMAND`.
        if command.subcommands.is_empty() || command.arity == -1 {
            command_row(command, &mut out);
        }
        command.subcommands.iter().for_each(|command| command_row(command, &mut out));
    }
    out
}

fn command_row(command: &Command, out: &mut String) {
    let name = command.full_name.to_ascii_uppercase().replace('|', " ");
    let syntax = match command.syntax {
        "" => String::new(),
        syntax => format!("`{}`", syntax.replace('|', "\\|")),
    };
    let keys = match command.addressing {
        Addressing::OneKey => "one",
        Addressing::Together => "together",
        Addressing::Scattered => "scattered",
        Addressing::WholeTable => "all",
        Addressing::Connection => "connection",
        Addressing::Node => "node",
    };
    writeln!(out, "| `{name}` | {syntax} | {keys} | {} |", command.summary).unwrap();
}

fn unsupported() -> String {
    let mut out = "| reason | commands |\n|---|---|\n".to_owned();
    for (why, commands) in UNSUPPORTED {
        writeln!(out, "| {why} | `{}` |", commands.join(" ").to_ascii_uppercase()).unwrap();
    }
    out
}

fn errors() -> String {
    let mut out = "| first word | code | cause | what to do |\n|---|---|---|---|\n".to_owned();
    for &code in ErrorCode::ALL {
        let word = prefix(code);
        writeln!(out, "| `{word}` | `{}` | {} | {} |", code.as_str(), code.cause(), code.hint()).unwrap();
    }
    out
}

fn parameters() -> String {
    let mut out = "| parameter | value |\n|---|---|\n".to_owned();
    let Reply::Map(pairs) = config::get(&[Bytes::from_static(b"*")], &LiveConfig::default()) else {
        panic!("a map is due");
    };
    for (name, value) in pairs {
        let name = corpus::render(&name);
        let value = match (name.trim_matches('"'), corpus::render(&value)) {
            ("bind" | "dir" | "port", _) => "the node's own".to_owned(),
            ("timeout", _) => "seconds until an idle client is disconnected, 0 for never".to_owned(),
            (_, value) if value == "\"\"" => "empty".to_owned(),
            (_, value) => format!("`{}`", value.trim_matches('"')),
        };
        writeln!(out, "| `{}` | {value} |", name.trim_matches('"')).unwrap();
    }
    out
}
