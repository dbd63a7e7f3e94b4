//! The commands: each takes its arguments and returns how the program ends.

mod agent;
mod alone;
mod backup;
mod bench;
mod config;
mod digest;
mod down;
mod errors;
mod explain;
mod follow;
mod growing;
mod import;
mod join;
mod leader;
mod meta;
mod namespaces;
mod nodes;
mod op;
mod operate;
mod optimize;
mod recover_catalog;
mod refusals;
mod server;
mod shell;
mod status;
mod tables;
mod token;
mod up;
mod waiting;
mod zankv_tools;

use ::shell::Program;
use clap::CommandFactory;
use serde::Serialize;
use types::Fault;

use crate::cli::{BenchCommand, Cli, Command, LeaderCommand, NodeCommand, TableCommand};
use crate::exit::{self, Exit};
use crate::say::{self, Form};

/// Carries out a command.
///
/// # Errors
/// What the user is to be told; `main` prints it and ends with its exit code.
pub fn run(command: Command) -> Result<Exit, Fault> {
    if let Some((request, change)) = command.operation() {
        return operate::run(&request, change);
    }
    match command {
        Command::Up(arguments) => up::run(arguments),
        Command::Down(arguments) => down::run(&arguments),
        Command::Status(arguments) => status::run(&arguments),
        Command::Table(TableCommand::Create(arguments)) => tables::create(&arguments),
        Command::Table(TableCommand::List(arguments)) => tables::list(&arguments),
        Command::Table(TableCommand::Show(arguments)) => tables::show(&arguments),
        Command::Table(TableCommand::Drop(arguments)) => tables::drop(&arguments),
        Command::Node(NodeCommand::List(arguments)) => nodes::list(&arguments),
        Command::Node(NodeCommand::Add(arguments)) => growing::add(&arguments),
        Command::Node(NodeCommand::MayStop(arguments)) => nodes::may_stop(&arguments),
        Command::Node(NodeCommand::Rebuild(arguments)) => nodes::rebuild(&arguments),
        Command::Namespace(command) => namespaces::run(&command),
        Command::Optimize(arguments) => optimize::schedule(&arguments),
        Command::Token(arguments) => token::run(&arguments),
        Command::Op(command) => op::run(&command),
        Command::RecoverQuorum(arguments) => operate::recover_quorum(&arguments),
        Command::Explain(command) => explain::run(&command),
        Command::Config(command) => config::run(&command),
        Command::Import(command) => import::run(&command),
        Command::Leader(LeaderCommand::Move(arguments)) => leader::r#move(&arguments),
        Command::Backup(command) => backup::run(&command),
        Command::Meta(command) => meta::run(&command),
        Command::Restore(arguments) => backup::restore(&arguments),
        Command::ZankvBackup(arguments) => zankv_tools::backup(&arguments.flags),
        Command::ZankvRestore(arguments) => zankv_tools::restore(&arguments.flags),
        Command::Digest(arguments) => digest::run(&arguments),
        Command::Ns(arguments) => shell::ns(&arguments),
        Command::Fedb(arguments) => Ok(shell::original(Program::Fedb, &arguments)),
        Command::Rtidb(arguments) => Ok(shell::original(Program::Rtidb, &arguments)),
        Command::Openmldb(arguments) => Ok(shell::original(Program::Openmldb, &arguments)),
        Command::Bench(BenchCommand::Kv(arguments)) => bench::kv(&arguments),
        Command::Server(arguments) => server::run(&arguments),
        Command::Agent(arguments) => agent::run(&arguments),
        Command::Errors(arguments) => errors::run(&arguments),
        Command::Completions(arguments) => {
            clap_complete::generate(arguments.shell, &mut Cli::command(), "skein", &mut say::Out);
            Ok(exit::OK)
        }
        Command::Version(arguments) => {
            version(arguments.output.form());
            Ok(exit::OK)
        }
        Command::Partition(_) | Command::Cluster(_) | Command::Node(_) | Command::Table(_) => {
            unreachable!("what asks for an operation was carried out above")
        }
    }
}

/// The release, as `--version` and `version` print it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

fn version(form: Form) {
    #[derive(Serialize)]
    struct Version {
        version: &'static str,
    }
    match form {
        Form::Text => say::data(format_args!("skein {VERSION}")),
        Form::Json => say::json(&Version { version: VERSION }),
    }
}
