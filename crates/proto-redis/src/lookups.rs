//! Hits and misses, as `INFO` tells them: which reads found something, seen from their replies.
//!
//! Redis counts where it looks a key up. Here that happens at another node perhaps, and what comes back says the same: a
//! read that answers with nothing has found nothing. The two differ where a key is there and the part of it that was
//! asked for is not (`HGET k nosuch`): that is a miss here. Reads of several keys count each key where the reply tells
//! them apart (`MGET`, `EXISTS`), and otherwise not at all; nor do writes, as in Redis.

use std::sync::LazyLock;

use crate::reply::Reply;
use crate::table::{Addressing, Command, CommandNumber, NUMBERED};

/// What the reply to a command tells of keys that were there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lookup {
    /// Nothing.
    #[default]
    None,
    /// Whether the one key was.
    One,
    /// Whether the one key was; its reply is a number that is 0 if it was not.
    OneIfNotZero,
    /// Whether each key was: one element for each.
    Each,
    /// How many of so many keys were.
    Number(u32),
}

/// Keys that were looked up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lookups {
    /// Those that were there.
    pub hits: u64,
    /// Those that were not.
    pub misses: u64,
}

/// By the number of the command.
static LOOKUPS: LazyLock<Vec<Lookup>> = LazyLock::new(|| NUMBERED.iter().map(|one| of(one)).collect());

impl Lookup {
    /// What the reply to a command with so many arguments, the name included, will tell.
    pub fn of(command: CommandNumber, arguments: usize) -> Self {
        match LOOKUPS.get(usize::from(command.0)).copied().unwrap_or_default() {
            Lookup::Number(_) => Lookup::Number(arguments.saturating_sub(1) as u32),
            lookup => lookup,
        }
    }
}

impl Lookups {
    /// Counts what a reply tells.
    pub fn add(&mut self, lookup: Lookup, reply: &Reply) {
        let found = match (lookup, reply) {
            (Lookup::None, _) | (_, Reply::Error(_)) => return,
            (Lookup::Number(keys), Reply::Integer(found)) => {
                let found = u64::try_from(*found).unwrap_or(0).min(keys.into());
                self.hits += found;
                self.misses += u64::from(keys) - found;
                return;
            }
            (Lookup::Each, Reply::Array(items)) => {
                let missing = items.iter().filter(|item| is_nothing(item)).count();
                self.hits += (items.len() - missing) as u64;
                self.misses += missing as u64;
                return;
            }
            (Lookup::OneIfNotZero, Reply::Integer(0)) => false,
            (_, Reply::Simple(word)) => word != "none",
            // `TTL` of a key that is not there.
            (_, Reply::Integer(number)) => *number != -2,
            (_, Reply::Array(items)) => items.iter().any(|item| !is_nothing(item)),
            (_, reply) => !is_nothing(reply),
        };
        *if found { &mut self.hits } else { &mut self.misses } += 1;
    }
}

fn is_nothing(reply: &Reply) -> bool {
    match reply {
        Reply::Null | Reply::NullArray => true,
        Reply::Array(items) | Reply::Set(items) => items.is_empty(),
        Reply::Map(pairs) | Reply::Pairs(pairs) => pairs.is_empty(),
        Reply::Packed(list) => list.is_empty(),
        _ => false,
    }
}

fn of(command: &Command) -> Lookup {
    let uses = command.keys.uses;
    match (command.addressing, command.name) {
        _ if !command.has_flag("readonly") => Lookup::None,
        (Addressing::Scattered, "mget") => Lookup::Each,
        (Addressing::Scattered, "exists" | "touch") => Lookup::Number(0),
        // Its contents are not looked at: the number says how many there are.
        (Addressing::OneKey, _) if uses == ["RO"] => Lookup::OneIfNotZero,
        (Addressing::OneKey, _) => Lookup::One,
        _ => Lookup::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::lookup_numbered;
    use crate::text::WRONG_TYPE;

    fn counted(line: &str, reply: Reply) -> (u64, u64) {
        let words: Vec<&str> = line.split(' ').collect();
        let number = lookup_numbered(words[0].as_bytes()).unwrap().number;
        let mut lookups = Lookups::default();
        lookups.add(Lookup::of(number, words.len()), &reply);
        (lookups.hits, lookups.misses)
    }

    #[test]
    fn a_read_that_answers_with_nothing_has_missed() {
        let (hit, miss) = ((1, 0), (0, 1));
        assert_eq!(counted("get a", Reply::text("")), hit);
        assert_eq!(counted("get a", Reply::Null), miss);
        assert_eq!(counted("lrange a 0 1", Reply::Array(Vec::new())), miss);
        assert_eq!(counted("hmget a f g", Reply::Array(vec![Reply::Null, Reply::Null])), miss);
        assert_eq!(counted("hmget a f g", Reply::Array(vec![Reply::Null, Reply::text("x")])), hit);
        assert_eq!(counted("ttl a", Reply::Integer(-1)), hit);
        assert_eq!(counted("ttl a", Reply::Integer(-2)), miss);
        assert_eq!(counted("type a", Reply::simple("none")), miss);
        assert_eq!(counted("type a", Reply::simple("string")), hit);
        assert_eq!(counted("llen a", Reply::Integer(0)), miss);
        assert_eq!(counted("zrank a m", Reply::Integer(0)), hit, "the first one");
    }

    #[test]
    fn several_keys_count_one_by_one() {
        assert_eq!(
            counted("mget a b c", Reply::Array(vec![Reply::Null, Reply::text("x"), Reply::Null])),
            (1, 2)
        );
        assert_eq!(counted("exists a b c", Reply::Integer(2)), (2, 1));
        assert_eq!(counted("exists a", Reply::Integer(9)), (1, 0), "no more than were asked for");
    }

    #[test]
    fn writes_and_errors_do_not_count() {
        assert_eq!(counted("set a 1", Reply::OK), (0, 0));
        assert_eq!(counted("getdel a", Reply::Null), (0, 0));
        assert_eq!(counted("get a", WRONG_TYPE.into()), (0, 0));
        assert_eq!(counted("ping", Reply::simple("PONG")), (0, 0));
        assert_eq!(counted("sinter a b", Reply::Set(Vec::new())), (0, 0));
    }
}
