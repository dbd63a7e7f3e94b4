//! The command table: what each command is called, takes, does and documents, in one place.
//!
//! Each chapter of commands is a file here, its rows in order of name. Arity errors, `COMMAND` and its subcommands, `HELP` texts and the reference in `docs/redis.md` are made
//! from it. A command that is not here is answered by [`crate::unsupported`] or is unknown.

use std::sync::LazyLock;

use crate::plan::Plan;
use crate::session::Session;
use crate::text::{ErrorText, parse_integer};
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

/// Where the keys stand among the arguments; the command is argument 0. All 0: there are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyPositions {
    /// The first key.
    pub first: i32,
    /// The last key; −1 is the last argument.
    pub last: i32,
    /// From one key to the next.
    pub step: i32,
    /// Where a number says how many keys follow it; 0: nowhere. These come besides the others.
    pub count_at: i32,
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

/// Every command, in order of name.
pub static COMMANDS: LazyLock<Vec<&'static Command>> = LazyLock::new(|| {
    let mut commands: Vec<_> = CHAPTERS.iter().copied().flatten().collect();
    commands.sort_by_key(|command| command.name);
    commands
});

/// The command of this name, in any case of letters.
pub fn lookup(name: &[u8]) -> Option<&'static Command> {
    find(&COMMANDS, name, |command| command)
}

impl Command {
    /// The subcommand of this name, in any case of letters.
    pub fn subcommand(&self, name: &[u8]) -> Option<&'static Command> {
        find(self.subcommands, name, |command| command)
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

impl KeyPositions {
    /// The indexes of the keys among these arguments, the name included.
    pub fn indexes(self, args: &[Bytes]) -> impl Iterator<Item = usize> {
        let arguments = args.len();
        let last = if self.last < 0 { arguments as i32 + self.last } else { self.last };
        let end = if self.first == 0 { 0 } else { last + 1 };
        let fixed = (self.first..end).step_by(self.step.max(1) as usize).map(|index| index as usize);
        let count_at = self.count_at as usize;
        let count = args.get(count_at).filter(|_| count_at > 0).and_then(|count| parse_integer(count));
        let counted = usize::try_from(count.unwrap_or(0)).unwrap_or(0).min(arguments);
        fixed.chain((count_at + 1..arguments).take(counted))
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

/// Binary search on the name in lower case, without touching the heap.
fn find<T>(
    table: &'static [T],
    name: &[u8],
    command: impl Fn(&'static T) -> &'static Command,
) -> Option<&'static Command> {
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
    Some(command(&table[found]))
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

macro_rules! commands {
    ($(#[$doc:meta])* $table:ident:
     $($name:literal $arity:literal $flags:literal ($first:literal, $last:literal, $step:literal $(, $count_at:literal)?)
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
            keys: KeyPositions { first: $first, last: $last, step: $step, count_at: 0 $(+ $count_at)? },
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

// Rows: name, arity, flags, (first key, last key, step[, where the number of keys stands]), categories,
//       group, since,
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
    fn keys_follow_from_addressing() {
        for command in all() {
            let has_keys = command.keys.first > 0 || command.keys.count_at > 0;
            let by_keys = matches!(
                command.addressing,
                Addressing::OneKey | Addressing::Together | Addressing::Scattered
            );
            assert_eq!(has_keys, by_keys, "{}", command.full_name);
            assert!(!command.summary.is_empty() && !command.summary.ends_with('.'));
        }
    }

    #[test]
    fn key_positions_count_from_both_ends() {
        let positions = |first, last, step, arguments| {
            let args = vec![Bytes::from_static(b"2"); arguments];
            KeyPositions { first, last, step, count_at: 0 }.indexes(&args).collect::<Vec<_>>()
        };
        assert_eq!(positions(1, -1, 2, 5), [1, 3]);
        assert_eq!(positions(1, 2, 1, 7), [1, 2]);
        assert_eq!(positions(0, 0, 0, 3), [0usize; 0]);
        assert_eq!(positions(1, -1, 1, 1), [0usize; 0]);
        let args = ["zunionstore", "to", "2", "a", "b", "weights"].map(Bytes::from);
        let positions = KeyPositions { first: 1, last: 1, step: 1, count_at: 2 };
        assert_eq!(positions.indexes(&args).collect::<Vec<_>>(), [1, 3, 4]);
        let args = ["lmpop", "99", "a"].map(Bytes::from);
        let positions = KeyPositions { first: 0, last: 0, step: 0, count_at: 1 };
        assert_eq!(positions.indexes(&args).collect::<Vec<_>>(), [2]);
    }
}
