//! What the environment says in place of options. A variable that is empty says nothing: only an option that is typed
//! can be empty on purpose, as `--requirepass ''` is.

use std::ffi::OsStr;

use clap::Command;
use clap::builder::Resettable;

/// Whether a variable is set and empty.
pub fn is_empty(name: &OsStr) -> bool {
    std::env::var_os(name).is_some_and(|value| value.is_empty())
}

/// The addresses of nodes that the environment names.
pub fn addresses() -> Option<String> {
    std::env::var("SKEIN_ADDR").ok().filter(|addresses| !addresses.is_empty())
}

/// The same command line, which does not look at variables that are empty.
pub fn without_empty(command: Command, is_empty: impl Fn(&OsStr) -> bool + Copy) -> Command {
    let command = command.mut_args(|argument| match argument.get_env() {
        Some(name) if is_empty(name) => argument.env(Resettable::Reset),
        _ => argument,
    });
    command.mut_subcommands(|subcommand| without_empty(subcommand, is_empty))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::CommandFactory;

    /// The variables that options of all commands look at.
    fn variables(command: &Command) -> Vec<String> {
        let own = command.get_arguments().filter_map(|argument| argument.get_env());
        let own = own.map(|name| name.to_string_lossy().into_owned());
        own.chain(command.get_subcommands().flat_map(variables)).collect()
    }

    #[test]
    fn variables_that_are_empty_are_not_looked_at() {
        let all = variables(&Cli::command());
        let passwords = all.iter().filter(|name| *name == "SKEIN_REQUIREPASS").count();
        assert!(passwords > 1 && passwords < all.len(), "{all:?}");
        let left = variables(&without_empty(Cli::command(), |name| name == "SKEIN_REQUIREPASS"));
        assert_eq!(left.len(), all.len() - passwords, "{left:?}");
        assert_eq!(variables(&without_empty(Cli::command(), |_| false)), all);
    }
}
