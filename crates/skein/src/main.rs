//! The `skein` binary: the command line, the server and the agent.

mod agent;
mod bench;
mod cli;
mod commands;
mod exit;
mod files;
mod layout;
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

use clap::Parser;

fn main() -> ExitCode {
    // Wrong usage ends here, with the parser's own words and exit code 2.
    let cli = cli::Cli::parse();
    let form = cli.command.form();
    let exit = commands::run(cli.command).unwrap_or_else(|fault| {
        say::fault(&fault, form);
        exit::of(fault.code)
    });
    ExitCode::from(exit.code)
}
