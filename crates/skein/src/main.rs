//! The `skein` binary: the command line, the server and the agent.

mod agent;
mod backups;
mod bench;
mod cli;
mod commands;
mod exit;
mod files;
mod import;
mod layout;
mod memory;
mod node_file;
mod ports;
mod process;
mod say;
mod server;
mod server_exit;
mod signals;

#[cfg(test)]
mod reference;

use std::process::ExitCode;

use types::{ErrorCode, Fault};

fn main() -> ExitCode {
    memory::give_back_at_once();
    let cli = match cli::Cli::of_process() {
        Ok(cli) => cli,
        Err(error) => return without_command(&error),
    };
    let form = cli.command.form();
    let exit = commands::run(cli.command).unwrap_or_else(|fault| {
        say::fault(&fault, form);
        exit::of(fault.code)
    });
    ExitCode::from(say::ended(exit).code)
}

/// Help and the version, or a command line that is not one of ours: in the parser's own words, unless JSON is
/// wanted.
fn without_command(error: &clap::Error) -> ExitCode {
    let wants_json = std::env::args_os().any(|argument| argument == "--json");
    if !error.use_stderr() {
        say::written(error.print());
        return ExitCode::from(say::ended(exit::OK).code);
    }
    if !wants_json {
        error.exit();
    }
    let words = error.to_string();
    let said = words.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
    let said: Vec<&str> = said.split_whitespace().collect();
    say::fault(&Fault::new(ErrorCode::BadArgument, said.join(" ")), say::Form::Json);
    ExitCode::from(exit::USAGE.code)
}
