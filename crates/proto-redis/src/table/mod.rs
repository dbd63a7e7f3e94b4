//! The command table: what each command is called, takes, does and documents, in one place.
//!
//! Each chapter of commands is a file here, its rows in order of name. Arity errors, `COMMAND` and its subcommands, `HELP` texts and the reference in `docs/redis.md` are made
//! from it. A command that is not here is answered by [`crate::unsupported`] or is unknown.

use std::sync::LazyLock;

use crate::plan::Plan;
use crate::session::Session;
use crate::text::ErrorText;
use bytes::Bytes;

/// One command, or a subcommand such as `client|list`.
#[derive(Debug)]
pub struct Command {
    /// In lower case; a subcommand's without its container.
    pub name: &'static str,
    /// The first bytes of the name, as a number.
    prefix: u64,
    /// With the container: `client|list`.
    pub full_name: &'static str,
    /// Number of arguments with the name (for a subcommand: both names); negative: at least so many.
    pub arity: i32,
    /// As `COMMAND` shows them, with spaces between.
    pub flags: &'static str,
    /// Where keys stand.
    pub keys: KeyPositions,
    /// ACL categories without `@`, with spaces between.
    pub categories: &'static str,
    /// The chapter of the Redis manual.
    pub group: &'static str,
    /// The release of Redis that first had it.
    pub since: &'static str,
    /// How it finds partitions.
    pub addressing: Addressing,
    /// Makes a plan of it.
    pub(crate) parse: ParseFunction,
    /// For a container such as `CLIENT`.
    pub subcommands: &'static [Command],
    /// The arguments behind the name.
    pub syntax: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// How the time grows.
    pub complexity: &'static str,
}

/// How a command finds the partitions that it asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressing {
    /// By its one key.
    OneKey,
    /// By its keys, which must lie in one partition; else `CROSSSLOT`.
    Together,
    /// By each key; atomic per partition.
    Scattered,
    /// Every partition of what the listener serves.
    WholeTable,
    /// None: it is about the connection.
    Connection,
    /// None: it is about the node.
    Node,
}

/// Turns checked arguments into a plan.
pub(crate) type ParseFunction = fn(&mut Call<'_>) -> Result<Plan, ErrorText>;

/// One call of a command, after the checks that the table makes possible.
pub(crate) struct Call<'a> {
    /// With the name; at least as many as the arity says.
    pub args: &'a [Bytes],
    pub command: &'static Command,
    pub session: &'a mut Session,
}

pub use keys::{KeyPositions, NamedKeys};

/// Every command, in order of name.
pub static COMMANDS: LazyLock<Vec<&'static Command>> = LazyLock::new(|| {
    let mut commands: Vec<_> = CHAPTERS.iter().copied().flatten().collect();
    commands.sort_by_key(|command| command.name);
    commands
});

/// Which command it is, among all commands and subcommands: a place in [`NUMBERED`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CommandNumber(pub u16);

/// Every command, and behind them every subcommand, by its number. Whoever counts has an array.
pub static NUMBERED: LazyLock<Vec<&'static Command>> = LazyLock::new(|| {
    let subcommands = COMMANDS.iter().flat_map(|command| command.subcommands);
    COMMANDS.iter().copied().chain(subcommands).collect()
});

/// The command of this name, in any case of letters.
pub fn lookup(name: &[u8]) -> Option<&'static Command> {
    find(&COMMANDS, name, |command| command).map(|(_, command)| command)
}

/// A command with its number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbered {
    pub(crate) number: CommandNumber,
    pub(crate) command: &'static Command,
}

/// The command of this name with its number.
pub(crate) fn lookup_numbered(name: &[u8]) -> Option<Numbered> {
    let (place, command) = find(&COMMANDS, name, |command| command)?;
    Some(Numbered { number: CommandNumber(place as u16), command })
}

impl Numbered {
    /// The subcommand of this name.
    pub(crate) fn subcommand(self, name: &[u8]) -> Option<Self> {
        let (place, command) = find(self.command.subcommands, name, |command| command)?;
        let containers = &COMMANDS[..usize::from(self.number.0)];
        let before: usize = containers.iter().map(|command| command.subcommands.len()).sum();
        Some(Self { number: CommandNumber((COMMANDS.len() + before + place) as u16), command })
    }
}

impl Command {
    /// The subcommand of this name, in any case of letters.
    pub fn subcommand(&self, name: &[u8]) -> Option<&'static Command> {
        find(self.subcommands, name, |command| command).map(|(_, command)| command)
    }

    /// Whether so many arguments, the name included, are allowed.
    pub fn accepts(&self, arguments: usize) -> bool {
        let wanted = self.arity.unsigned_abs() as usize;
        if self.arity < 0 { arguments >= wanted } else { arguments == wanted }
    }

    /// Whether a flag is set.
    pub fn has_flag(&self, flag: &str) -> bool {
        self.flags.split(' ').any(|other| other == flag)
    }

    /// Whether it may change data.
    pub fn is_write(&self) -> bool {
        self.has_flag("write")
    }
}

/// Longest name; longer ones cannot be in the table.
const NAME_BYTES_MAX: usize = 24;

/// The first bytes of a name as a number that sorts as they do: comparing those decides nearly always.
const fn prefix(name: &[u8]) -> u64 {
    let (mut number, mut at) = (0, 0);
    while at < 8 {
        number = number << 8 | if at < name.len() { name[at] as u64 } else { 0 };
        at += 1;
    }
    number
}

/// Binary search on the name in lower case, without touching the heap. The place in the table comes along.
fn find<T>(
    table: &'static [T],
    name: &[u8],
    command: impl Fn(&'static T) -> &'static Command,
) -> Option<(usize, &'static Command)> {
    let mut lower = [0u8; NAME_BYTES_MAX];
    let lower = lower.get_mut(..name.len())?;
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    let (lower, start) = (&*lower, prefix(lower));
    let order = |entry: &'static T| {
        let command = command(entry);
        command.prefix.cmp(&start).then_with(|| command.name.as_bytes().cmp(lower))
    };
    let found = table.binary_search_by(order).ok()?;
    Some((found, command(&table[found])))
}

/// The name behind the `|`, if there is one.
const fn short_name(full: &'static str) -> &'static str {
    let (bytes, mut at) = (full.as_bytes(), 0);
    while at < bytes.len() {
        if bytes[at] == b'|' {
            return full.split_at(at + 1).1;
        }
        at += 1;
    }
    full
}

const NONE: &[Command] = &[];

/// What happens to the keys of a row: they are only read if it says nothing.
macro_rules! uses {
    () => {
        &[$crate::table::keys::READ]
    };
    ($($uses:literal),+) => {
        &[$($uses),+]
    };
}

/// Keys behind words in a row: none if it says nothing.
macro_rules! named {
    () => {
        $crate::table::NamedKeys::None
    };
    ($named:ident) => {
        $crate::table::NamedKeys::$named
    };
}

macro_rules! commands {
    ($(#[$doc:meta])* $table:ident:
     $($name:literal $arity:literal $flags:literal ($first:literal, $last:literal, $step:literal $(, $count_at:literal)? $(; $($uses:literal),+ $(; $named:ident)?)?)
       $categories:literal $group:literal $since:literal
       $addressing:ident $module:ident::$parse:ident $subcommands:ident
       $syntax:literal $summary:literal $complexity:literal;)*) => {
        $(#[$doc])*
        pub static $table: &[Command] = &[$(Command {
            name: short_name($name),
            prefix: prefix(short_name($name).as_bytes()),
            full_name: $name,
            arity: $arity,
            flags: $flags,
            keys: KeyPositions {
                first: $first,
                last: $last,
                step: $step,
                count_at: 0 $(+ $count_at)?,
                uses: uses!($($($uses),+)?),
                named: named!($($($named)?)?),
            },
            categories: $categories,
            group: $group,
            since: $since,
            addressing: Addressing::$addressing,
            parse: $module::$parse,
            subcommands: $subcommands,
            syntax: $syntax,
            summary: $summary,
            complexity: $complexity,
        }),*];
    };
}

// Rows: name, arity, flags, (first key, last key, step[, where the number of keys stands][; what happens to the keys, if
//       it is more than reading[; keys behind words]]), categories, group, since,
//       addressing, parse function, subcommands,
//       syntax, summary, complexity.
mod bitmap;
mod blocking;
mod connection;
mod dump;
mod generic;
mod geo;
mod hashes;
mod hyperloglog;
pub mod keys;
mod lists;
mod sets;
mod slow_log;
mod sorted;
mod strings;
mod transactions;
mod zankv;

/// Every chapter.
const CHAPTERS: &[&[Command]] = &[
    bitmap::BITMAP,
    blocking::BLOCKING,
    connection::CONNECTION,
    dump::DUMP,
    generic::GENERIC,
    geo::GEO,
    hashes::HASHES,
    hyperloglog::HYPERLOGLOG,
    lists::LISTS,
    sets::SETS,
    slow_log::SLOW_LOG,
    sorted::SORTED,
    strings::STRINGS,
    transactions::TRANSACTIONS,
    zankv::ZANKV,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> impl Iterator<Item = &'static Command> {
        COMMANDS.iter().flat_map(|&command| std::iter::once(command).chain(command.subcommands))
    }

    #[test]
    fn tables_are_sorted_and_found() {
        for table in CHAPTERS.iter().chain(&[
            connection::CLIENT,
            connection::CONFIG,
            connection::COMMAND,
            connection::FUNCTION,
            generic::MEMORY,
            generic::OBJECT,
        ]) {
            assert!(table.is_sorted_by(|a, b| a.name < b.name));
            assert!(table.iter().all(|command| command.name.len() <= NAME_BYTES_MAX));
        }
        assert_eq!(lookup(b"SeT").unwrap().full_name, "set");
        assert_eq!(lookup(b"client").unwrap().subcommand(b"NO-EVICT").unwrap().full_name, "client|no-evict");
        assert!(lookup(b"").is_none() && lookup(&[b'a'; 4096]).is_none());
    }

    #[test]
    fn every_command_has_a_number_of_its_own() {
        for (place, &command) in NUMBERED.iter().enumerate() {
            let mut words = command.full_name.split('|').map(str::as_bytes);
            let container = lookup_numbered(words.next().unwrap()).unwrap();
            let found = words.next().map_or(container, |name| container.subcommand(name).unwrap());
            assert_eq!(
                (found.number, found.command.full_name),
                (CommandNumber(place as u16), command.full_name)
            );
        }
        assert_eq!(NUMBERED.len(), all().count());
        assert!(lookup_numbered(b"nosuch").is_none());
        assert!(lookup_numbered(b"client").unwrap().subcommand(b"x").is_none());
    }

    #[test]
    fn keys_follow_from_addressing() {
        for command in all() {
            let has_keys = command.keys.is_any();
            let by_keys = matches!(
                command.addressing,
                Addressing::OneKey | Addressing::Together | Addressing::Scattered
            );
            assert_eq!(has_keys, by_keys, "{}", command.full_name);
            assert!(!command.summary.is_empty() && !command.summary.ends_with('.'));
        }
    }

    #[test]
    fn whoever_writes_says_to_which_key() {
        for command in all().filter(|command| command.keys.is_any()) {
            let uses = command.keys.uses;
            let kind =
                |uses: &&str| ["RO", "RW", "OW", "RM"].contains(&uses.split(' ').next().unwrap_or_default());
            assert!(uses.iter().all(kind), "{}", command.full_name);
            let writes = uses.iter().any(|uses| !uses.starts_with("RO"));
            // `PFCOUNT` keeps what it has counted, in Redis.
            assert!(writes == command.is_write() || command.name == "pfcount", "{}", command.full_name);
        }
    }
}
