//! Where the keys of a command stand, and what the command does to each.
//!
//! | command | fixed | counted | named |
//! |---|---|---|---|
//! | `SET k v` | `k` | | |
//! | `ZUNIONSTORE d 2 a b` | `d` | `a`, `b` | |
//! | `SORT k BY w_* STORE d` | `k` | | `d` |
//!
//! Keys are listed in this order. Uses are in the words of Redis: `RO` only reads, `RW` reads and writes, `OW` writes over,
//! `RM` removes; behind them what happens to the contents.

use crate::text::parse_integer;
use bytes::Bytes;

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
    /// What happens to the first key, to the second and so on; the last of these holds for all that follow.
    pub uses: &'static [&'static str],
    /// Keys that are named by words among the options. These come last.
    pub named: NamedKeys,
}

/// Keys that stand behind words, wherever those are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamedKeys {
    /// There are none.
    None,
    /// Keys that follow from patterns and the contents of other keys. Nobody can tell them from the arguments.
    Patterns,
    /// The same, and one behind the last `STORE` of `SORT`.
    SortStore,
    /// Those behind `STORE` and `STOREDIST` of `GEORADIUS`.
    RadiusStore,
    /// The same of `GEORADIUSBYMEMBER`.
    MemberStore,
}

/// Some keys of a command in the words of Redis 7: where to begin, and how to find the others from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySpecification {
    /// What happens to them.
    pub uses: &'static str,
    /// Where they begin.
    pub begin: Begin,
    /// How far they go.
    pub find: Find,
}

/// Where some keys begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// At an argument.
    Index(i32),
    /// Behind a word, which is looked for from an argument on.
    Word(&'static str, i32),
    /// It follows from something else.
    Unknown,
}

/// How to find keys from where they begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Find {
    /// Up to so many arguments behind the first, or counted from the end if negative; in such steps.
    Range(i32, i32),
    /// There stands how many follow.
    Count,
    /// It follows from something else.
    Unknown,
}

/// The words of `SORT` that have arguments behind them, and how many: what stands there is no word.
const SORT_ARGUMENTS: [(&str, usize); 3] = [("limit", 2), ("get", 1), ("by", 1)];

impl KeyPositions {
    /// Whether there can be keys.
    pub fn is_any(self) -> bool {
        self.first > 0 || self.count_at > 0
    }

    /// The indexes of the keys among these arguments, the name included.
    pub fn indexes(self, args: &[Bytes]) -> impl Iterator<Item = usize> {
        let arguments = args.len();
        let last = if self.last < 0 { arguments as i32 + self.last } else { self.last };
        let end = if self.first == 0 { 0 } else { last + 1 };
        let fixed = (self.first..end).step_by(self.step.max(1) as usize).map(|index| index as usize);
        let counted = self.counted(args).min(arguments);
        fixed.chain((self.count_at as usize + 1..arguments).take(counted)).chain(self.named(args))
    }

    /// The keys with what happens to each.
    pub fn keys(self, args: &[Bytes]) -> impl Iterator<Item = (&Bytes, &'static str)> {
        let used = move |(number, index): (usize, usize)| Some((args.get(index)?, self.use_of(number)));
        self.indexes(args).enumerate().filter_map(used)
    }

    /// Whether the number that says how many keys there are can be true.
    pub fn is_counted_right(self, args: &[Bytes]) -> bool {
        self.count_at == 0
            || (1..args.len().saturating_sub(self.count_at as usize)).contains(&self.counted(args))
    }

    /// How many keys the arguments say that there are; 0 if there is no such number.
    fn counted(self, args: &[Bytes]) -> usize {
        let count = args.get(self.count_at as usize).filter(|_| self.count_at > 0);
        count
            .and_then(|count| parse_integer(count))
            .and_then(|count| usize::try_from(count).ok())
            .unwrap_or(0)
    }

    fn use_of(self, number: usize) -> &'static str {
        self.uses.get(number).or(self.uses.last()).copied().unwrap_or_default()
    }

    fn named(self, args: &[Bytes]) -> Vec<usize> {
        match self.named {
            NamedKeys::None | NamedKeys::Patterns => Vec::new(),
            NamedKeys::SortStore => sort_target(args).into_iter().collect(),
            NamedKeys::RadiusStore => radius_targets(args, 6),
            NamedKeys::MemberStore => radius_targets(args, 5),
        }
    }

    /// The same positions as Redis 7 tells them.
    pub fn specifications(self) -> Vec<KeySpecification> {
        let mut found = Vec::new();
        let others = self.use_of(usize::MAX);
        if self.first > 0 {
            // The last use is that of the keys that are counted or named, if there are such.
            let is_all = self.count_at == 0 && matches!(self.named, NamedKeys::None | NamedKeys::Patterns);
            let fixed = self.uses.len().saturating_sub(usize::from(!is_all));
            for (index, (number, &uses)) in (self.first..).zip(self.uses[..fixed].iter().enumerate()) {
                let last = match number + 1 == fixed {
                    false => 0,
                    true if self.last < 0 => self.last,
                    true => self.last - index,
                };
                found.push(KeySpecification {
                    uses,
                    begin: Begin::Index(index),
                    find: Find::Range(last, self.step),
                });
            }
        }
        if self.count_at > 0 {
            found.push(KeySpecification {
                uses: others,
                begin: Begin::Index(self.count_at),
                find: Find::Count,
            });
        }
        let unknown = |uses| KeySpecification { uses, begin: Begin::Unknown, find: Find::Unknown };
        let behind = |word, from| KeySpecification {
            uses: others,
            begin: Begin::Word(word, from),
            find: Find::Range(0, 1),
        };
        match self.named {
            NamedKeys::None => {}
            NamedKeys::Patterns => found.push(unknown(READ)),
            NamedKeys::SortStore => found.extend([unknown(READ), unknown(others)]),
            NamedKeys::RadiusStore => found.extend([behind("STORE", 6), behind("STOREDIST", 6)]),
            NamedKeys::MemberStore => found.extend([behind("STORE", 5), behind("STOREDIST", 5)]),
        }
        found
    }
}

/// What happens to keys that are only read: the use of keys in rows that name none.
pub(super) const READ: &str = "RO access";

/// Where `SORT` is to store: behind its last `STORE`.
fn sort_target(args: &[Bytes]) -> Option<usize> {
    let (mut target, mut at) = (None, 2);
    while let Some(word) = args.get(at) {
        let is = |other: &str| word.eq_ignore_ascii_case(other.as_bytes());
        let arguments = SORT_ARGUMENTS.iter().find(|(name, _)| is(name)).map_or(0, |(_, count)| *count);
        if is("store") && at + 1 < args.len() {
            target = Some(at + 1);
            at += 1;
        }
        at += 1 + arguments;
    }
    target
}

/// Where `GEORADIUS` is to store: behind each `STORE` and `STOREDIST`, although only the last one counts.
fn radius_targets(args: &[Bytes], from: usize) -> Vec<usize> {
    let (mut targets, mut at) = (Vec::new(), from);
    while let Some(word) = args.get(at) {
        let is_store = word.eq_ignore_ascii_case(b"store") || word.eq_ignore_ascii_case(b"storedist");
        if is_store && at + 1 < args.len() {
            targets.push(at + 1);
            at += 1;
        }
        at += 1;
    }
    targets
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_KEYS: KeyPositions =
        KeyPositions { first: 0, last: 0, step: 0, count_at: 0, uses: &[READ], named: NamedKeys::None };

    fn words(line: &'static str) -> Vec<Bytes> {
        line.split(' ').map(Bytes::from).collect()
    }

    fn positions(keys: KeyPositions, line: &'static str) -> Vec<usize> {
        keys.indexes(&words(line)).collect()
    }

    #[test]
    fn fixed_keys_count_from_both_ends() {
        let fixed = |first, last, step| KeyPositions { first, last, step, ..NO_KEYS };
        assert_eq!(positions(fixed(1, -1, 2), "mset a 1 b 2"), [1, 3]);
        assert_eq!(positions(fixed(1, 2, 1), "copy a b db 0 replace x"), [1, 2]);
        assert_eq!(positions(NO_KEYS, "ping a b"), [0usize; 0]);
        assert_eq!(positions(fixed(1, -1, 1), "del"), [0usize; 0]);
    }

    #[test]
    fn counted_keys_follow_their_number() {
        let keys = KeyPositions { first: 1, last: 1, step: 1, count_at: 2, ..NO_KEYS };
        assert_eq!(positions(keys, "zunionstore to 2 a b weights"), [1, 3, 4]);
        let keys = KeyPositions { count_at: 1, ..NO_KEYS };
        assert_eq!(positions(keys, "lmpop 99 a"), [2]);
        let right = |line| keys.is_counted_right(&words(line));
        assert!(right("zinter 2 a b") && right("lmpop 1 a left"));
        assert!(
            !right("zinter 3 a b") && !right("zinter 0 a") && !right("zinter -1 a") && !right("lmpop x a")
        );
    }

    #[test]
    fn targets_of_sort_stand_behind_the_last_store() {
        let keys = KeyPositions { first: 1, last: 1, step: 1, named: NamedKeys::SortStore, ..NO_KEYS };
        assert_eq!(positions(keys, "sort k store d"), [1, 3]);
        assert_eq!(positions(keys, "sort k STORE a desc Store b"), [1, 6]);
        assert_eq!(positions(keys, "sort k by store get store limit store 0 alpha"), [1]);
        assert_eq!(positions(keys, "sort k store"), [1]);
        assert_eq!(positions(keys, "sort k store store"), [1, 3], "a key may be called like that");
    }

    #[test]
    fn targets_of_a_radius_stand_behind_either_word() {
        let keys = KeyPositions { first: 1, last: 1, step: 1, named: NamedKeys::RadiusStore, ..NO_KEYS };
        assert_eq!(positions(keys, "georadius k 1 2 3 m store a asc STOREDIST b"), [1, 7, 10]);
        assert_eq!(positions(keys, "georadius store 1 2 3 m store"), [1]);
        let keys = KeyPositions { named: NamedKeys::MemberStore, ..keys };
        assert_eq!(positions(keys, "georadiusbymember k m 3 m store a"), [1, 6]);
    }

    #[test]
    fn each_key_has_its_use() {
        let uses: &[&str] = &["OW update", "RO access"];
        let keys = KeyPositions { first: 1, last: 1, step: 1, count_at: 2, uses, ..NO_KEYS };
        let args = words("zunionstore to 2 a b");
        let found: Vec<_> = keys.keys(&args).map(|(key, uses)| (&key[..], uses)).collect();
        assert_eq!(found, [(&b"to"[..], "OW update"), (b"a", "RO access"), (b"b", "RO access")]);
        let [target, sources] = keys.specifications()[..] else { panic!("two specifications") };
        assert_eq!((target.begin, target.find), (Begin::Index(1), Find::Range(0, 1)));
        assert_eq!((sources.begin, sources.find), (Begin::Index(2), Find::Count));
    }
}
