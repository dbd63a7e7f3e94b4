//! Random commands, side by side: every reply of Redis and of the engine behind the protocol must be equal.
//!
//! Each family of commands has a generator: a file here with `pub fn command(chance: &mut Chance) -> String`,
//! entered in [`FAMILIES`]. A generator writes one command as one would type it in redis-cli. It takes its keys from
//! [`Chance::key`], so that commands meet what others of their family made, and now and then what another
//! family made, which gives WRONGTYPE. Deadlines are absolute and far away: the clock of [`Direct`] stands still.
//!
//! Where Redis has no order, or chance decides, [`comparable`] takes out of both replies what may differ.
//! Commands that leave different states behind by chance, such as `SPOP` of one, must not be generated.
//!
//! A failure is shrunk to few commands and printed as a corpus file would have it. `SKEIN_SEEDS=n` tries n
//! seeds instead of [`SEEDS`].

mod bits;
mod geo;
mod hashes;
mod keys;
mod large;
mod lists;
mod sets;
mod sorted;
mod strings;
mod transactions;

use std::fmt::Write as _;

use proto_redis::{Reply, corpus};

use crate::direct::Direct;
use crate::redis::{Connection, Server};
use crate::skip;

/// Writes one random command.
type Generator = fn(&mut Chance) -> String;

/// Every family with the letter that its keys begin with.
const FAMILIES: &[(char, Generator)] = &[
    ('b', bits::command),
    ('g', keys::command),
    ('h', hashes::command),
    ('l', lists::command),
    ('o', geo::command),
    ('s', sets::command),
    ('t', strings::command),
    ('z', sorted::command),
];

/// Keys of each family.
const KEYS_PER_FAMILY: u64 = 3;
/// Seeds of a normal test.
const SEEDS: u64 = 24;
/// Commands of each seed.
const COMMANDS: usize = 400;

#[test]
fn random_commands_are_answered_like_redis() {
    let Some(server) = Server::start(None) else { return skip() };
    let seeds = std::env::var("SKEIN_SEEDS").map_or(SEEDS, |seeds| seeds.parse().unwrap());
    let mut redis = server.connect();
    for seed in 0..seeds {
        let mut chance = Chance::new(seed);
        let lines: Vec<_> = (0..COMMANDS).map(|_| any_command(&mut chance)).collect();
        if difference(&mut redis, &lines, seed).is_some() {
            let few = fewest(lines, |lines| difference(&mut redis, lines, seed).is_some());
            let what = difference(&mut redis, &few, seed).unwrap();
            panic!("seed {seed}\n{what}");
        }
    }
}

/// A command of some family.
pub fn any_command(chance: &mut Chance) -> String {
    let (_, generator) = *chance.pick(FAMILIES);
    generator(chance)
}

pub use large::command as large;
pub use transactions::command as transaction;

/// Runs commands on both sides up to the first difference, and tells how it came to it.
fn difference(redis: &mut Connection, lines: &[String], seed: u64) -> Option<String> {
    redis.command(&words("FLUSHALL"));
    // One partition and several, both versions of the protocol.
    let mut direct = Direct::new(if seed.is_multiple_of(2) { 1 } else { 8 }, None);
    let hello = words(if seed % 4 < 2 { "HELLO 2" } else { "HELLO 3" });
    redis.command(&hello);
    direct.command(&hello);
    let mut told = String::new();
    for line in lines {
        let words = words(line);
        let (wanted, found) = (redis.command(&words), direct.command(&words));
        if comparable(&words, wanted.clone()) != comparable(&words, found.clone()) {
            let (wanted, found) = (corpus::render(&wanted), corpus::render(&found));
            write!(told, "> {line}\n  redis: {wanted}\n  found: {found}").unwrap();
            return Some(told);
        }
        writeln!(told, "> {line}\n{}", corpus::render(&wanted)).unwrap();
    }
    None
}

/// Leaves lines out, more at once in the beginning, as long as it still fails.
pub fn fewest(mut lines: Vec<String>, mut fails: impl FnMut(&[String]) -> bool) -> Vec<String> {
    let mut piece = lines.len() / 2;
    while piece > 0 {
        let mut start = 0;
        while start < lines.len() {
            let end = (start + piece).min(lines.len());
            let fewer = [&lines[..start], &lines[end..]].concat();
            if fails(&fewer) {
                lines = fewer;
            } else {
                start = end;
            }
        }
        piece /= 2;
    }
    lines
}

/// The words of a command as one types it.
pub fn words(line: &str) -> Vec<Vec<u8>> {
    corpus::read(&format!("> {line}\n")).unwrap().remove(0).args
}

/// What of a reply must be equal on both sides.
pub fn comparable(words: &[Vec<u8>], reply: Reply) -> Reply {
    if reply.is_error() {
        return reply;
    }
    let name = String::from_utf8_lossy(&words[0]).to_ascii_lowercase();
    match &name[..] {
        "smembers" | "sinter" | "sunion" | "sdiff" | "spop" | "hkeys" | "hvals" | "keys" => sorted(reply, 1),
        "hgetall" => sorted(reply, 2),
        "scan" | "sscan" => page(reply, 1),
        "hscan" | "zscan" => page(reply, 2),
        _ if name.starts_with('z') && name != "zrandmember" => without_signed_zero(reply),
        // What was chosen by chance is compared by how much it is.
        "srandmember" | "hrandfield" | "zrandmember" | "randomkey" => without_content(reply),
        // What is not stored is not sorted, and sets have no order of their own.
        "sort" => without_content(reply),
        // Relative times pass on one side only.
        "ttl" | "pttl" => match reply {
            Reply::Integer(left) => Reply::Integer(left.min(0)),
            other => other,
        },
        _ => reply,
    }
}

/// Redis shows the sign of a zero when a sorted set is large, and not when it is small.
fn without_signed_zero(reply: Reply) -> Reply {
    match reply {
        Reply::Bulk(text) if text == "-0" => Reply::text("0"),
        // Matches a negative zero as well.
        Reply::Double(0.0) => Reply::Double(0.0),
        Reply::Array(items) => Reply::Array(items.into_iter().map(without_signed_zero).collect()),
        other => other,
    }
}

/// Elements that follow each other in groups, such as fields and values, in an order of their own.
pub fn sorted(reply: Reply, group: usize) -> Reply {
    let by_text = |items: Vec<Reply>| {
        let mut groups: Vec<_> = items.chunks(group).map(<[Reply]>::to_vec).collect();
        groups.sort_by_cached_key(|group| group.iter().map(corpus::render).collect::<Vec<_>>());
        groups.concat()
    };
    match reply {
        Reply::Array(items) => Reply::Array(by_text(items)),
        Reply::Set(items) => Reply::Set(by_text(items)),
        Reply::Map(mut pairs) => {
            pairs.sort_by_cached_key(|(key, _)| corpus::render(key));
            Reply::Map(pairs)
        }
        other => other,
    }
}

/// A cursor and elements.
fn page(reply: Reply, group: usize) -> Reply {
    match reply {
        Reply::Array(mut parts) if parts.len() == 2 => {
            let items = parts.pop().unwrap();
            Reply::Array(vec![parts.pop().unwrap(), sorted(items, group)])
        }
        other => other,
    }
}

/// The shape of a reply, with nothing in its strings and numbers.
fn without_content(reply: Reply) -> Reply {
    match reply {
        Reply::Bulk(_) => Reply::text(""),
        Reply::Double(_) => Reply::Double(0.0),
        Reply::Array(items) => Reply::Array(items.into_iter().map(without_content).collect()),
        other => other,
    }
}

/// A source of random numbers (splitmix64): equal seeds give equal commands everywhere.
pub struct Chance(u64);

impl Chance {
    /// The source of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.number() % end
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len() as u64) as usize]
    }

    /// Between `least` and `most` random things with spaces between.
    pub fn several(&mut self, least: u64, most: u64, mut one: impl FnMut(&mut Self) -> String) -> String {
        let count = least + self.below(most - least + 1);
        (0..count).map(|_| one(self)).collect::<Vec<_>>().join(" ")
    }

    /// A key of this family, now and then one of another. All lie in one partition.
    pub fn key(&mut self, family: char) -> String {
        let letter = if self.once_in(12) { self.pick(FAMILIES).0 } else { family };
        format!("{{t}}{letter}{}", self.below(KEYS_PER_FAMILY))
    }

    /// A key of any family.
    pub fn any_key(&mut self) -> String {
        let letter = self.pick(FAMILIES).0;
        self.key(letter)
    }

    /// A field, member or element: one of a few.
    pub fn member(&mut self) -> String {
        match self.below(24) {
            0 => r#""""#.into(),
            1 => r#""\x00\xff""#.into(),
            2 => "1".into(),
            number => format!("m{number}"),
        }
    }

    /// A value to store: text, a number, or neither.
    pub fn value(&mut self) -> String {
        match self.below(8) {
            0 => r#""""#.into(),
            1 => self.small_number().to_string(),
            2 => self.decimal(),
            3 => (*self.pick(&["9223372036854775807", "-9223372036854775808", "01", "1e400", "nan"])).into(),
            number => format!("v{number}"),
        }
    }

    /// A number near 0.
    pub fn small_number(&mut self) -> i64 {
        self.below(13) as i64 - 6
    }

    /// A decimal number.
    pub fn decimal(&mut self) -> String {
        (*self.pick(&["0.5", "-1.25", "3", "1e3", "-0", "0.1", "2.5e-3", "1000000.1"])).into()
    }
}
