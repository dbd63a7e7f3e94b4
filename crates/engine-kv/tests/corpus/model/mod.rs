//! What Redis would do, as plainly as it can be said: all keys in one ordered map, every value as the simplest
//! collection of the standard library, every command a few lines.
//!
//! A command is carried out on copies of values, in the order in which Redis looks for mistakes. Nothing is
//! quick here and nothing is shared with the engine, except the geometry of `types::geo`.
//!
//! Where chance decides (`SPOP`, `SRANDMEMBER` …) the model is told what was answered: it looks whether that could be,
//! and goes on from there. It also takes a sum of decimal numbers as told when it is near: how Redis rounds is the
//! matter of the comparison with a real one.

mod arguments;
mod bits;
mod geo;
mod hashes;
mod hyperloglog;
mod keys;
mod lists;
mod sets;
mod sort;
mod sorted;
mod strings;
mod transactions;

use std::collections::{BTreeMap, BTreeSet};

use bytes::BytesMut;
use proto_redis::{ErrorText, Protocol, Reply, ReplyDecoder};

use transactions::Transaction;

pub type Text = Vec<u8>;
pub type List = Vec<Text>;
pub type Hash = BTreeMap<Text, Text>;
pub type Set = BTreeSet<Text>;
/// Members with their scores. Their order by score is made where it is needed.
pub type Sorted = BTreeMap<Text, f64>;

/// A reply, or the text of an error.
pub type Answer = Result<Reply, String>;

/// All keys, and the connection's transaction.
pub struct Model {
    /// Milliseconds since 1970.
    pub now: i64,
    keys: BTreeMap<Text, Entry>,
    transaction: Transaction,
}

/// What a key holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub value: Value,
    /// The last millisecond of its life.
    pub deadline: Option<i64>,
}

/// A value of some type.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    String(Text),
    /// A string whose bytes only HyperLogLog commands look at: its registers.
    HyperLogLog(Vec<u8>),
    List(List),
    Hash(Hash),
    Set(Set),
    Sorted(Sorted),
}

impl Value {
    fn is_empty(&self) -> bool {
        match self {
            Value::String(_) | Value::HyperLogLog(_) => false,
            Value::List(list) => list.is_empty(),
            Value::Hash(hash) => hash.is_empty(),
            Value::Set(set) => set.is_empty(),
            Value::Sorted(sorted) => sorted.is_empty(),
        }
    }

    /// The word of `TYPE`.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::String(_) | Value::HyperLogLog(_) => "string",
            Value::List(_) => "list",
            Value::Hash(_) => "hash",
            Value::Set(_) => "set",
            Value::Sorted(_) => "zset",
        }
    }
}

const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";
const SYNTAX: &str = "ERR syntax error";
const NOT_INTEGER: &str = "ERR value is not an integer or out of range";
const NOT_FLOAT: &str = "ERR value is not a valid float";
const NOT_POSITIVE: &str = "ERR value is out of range, must be positive";
const OVERFLOW: &str = "ERR increment or decrement would overflow";
const NO_SUCH_KEY: &str = "ERR no such key";

impl Model {
    /// No keys, at this moment.
    pub fn new(now: i64) -> Self {
        Self { now, keys: BTreeMap::new(), transaction: Transaction::default() }
    }

    /// Carries a command out. `found` is what the other side answered.
    pub fn command(&mut self, words: &[Text], found: &Reply) -> Reply {
        flat(match self.connection(words, found) {
            Some(answer) => answer,
            None => self.one(words, found),
        })
    }

    /// One command, outside of a transaction or when its turn has come.
    fn one(&mut self, words: &[Text], found: &Reply) -> Answer {
        if is_too_short(words) {
            return Err(wrong_arity(words));
        }
        let name = String::from_utf8_lossy(&words[0]).to_uppercase();
        let words = &words[1..];
        None.or_else(|| self.string_command(&name, words, found))
            .or_else(|| self.bit_command(&name, words))
            .or_else(|| self.hyperloglog_command(&name, words))
            .or_else(|| self.hash_command(&name, words, found))
            .or_else(|| self.list_command(&name, words))
            .or_else(|| self.set_command(&name, words, found))
            .or_else(|| self.sorted_command(&name, words, found))
            .or_else(|| self.geo_command(&name, words, found))
            .or_else(|| self.sort_command(&name, words, found))
            .or_else(|| self.key_command(&name, words))
            .unwrap_or_else(|| panic!("the model has no {name}"))
    }

    /// Every key that lives, and what it holds.
    pub fn contents(&self) -> impl Iterator<Item = (&Text, &Entry)> {
        self.keys.iter().filter(|(_, entry)| self.lives(entry))
    }

    fn lives(&self, entry: &Entry) -> bool {
        entry.deadline.is_none_or(|deadline| self.now <= deadline)
    }

    fn entry(&self, key: &[u8]) -> Option<&Entry> {
        self.keys.get(key).filter(|entry| self.lives(entry))
    }

    /// Changes a value and keeps the deadline; what is empty is gone.
    fn put(&mut self, key: &[u8], value: Value) {
        let deadline = self.entry(key).and_then(|entry| entry.deadline);
        self.insert(key, value, deadline);
    }

    /// Makes a value in place of whatever was there.
    fn replace(&mut self, key: &[u8], value: Value) {
        self.insert(key, value, None);
    }

    /// The same with a deadline; one that is now is in the past.
    fn set_entry(&mut self, key: &[u8], value: Value, deadline: Option<i64>) {
        self.insert(key, value, deadline);
        if deadline.is_some_and(|deadline| deadline <= self.now) {
            self.keys.remove(key);
        }
    }

    fn insert(&mut self, key: &[u8], value: Value, deadline: Option<i64>) {
        if value.is_empty() {
            self.keys.remove(key);
        } else {
            self.keys.insert(key.to_vec(), Entry { value, deadline });
        }
    }

    fn remove(&mut self, key: &[u8]) -> bool {
        let lived = self.entry(key).is_some();
        self.keys.remove(key);
        lived
    }

    fn string(&self, key: &[u8]) -> Result<Option<Text>, String> {
        match self.entry(key).map(|entry| &entry.value) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(Value::HyperLogLog(_)) => panic!("the bytes of a HyperLogLog are not modelled"),
            Some(_) => Err(WRONG_TYPE.into()),
        }
    }

    fn list(&self, key: &[u8]) -> Result<List, String> {
        match self.entry(key).map(|entry| &entry.value) {
            None => Ok(List::new()),
            Some(Value::List(list)) => Ok(list.clone()),
            Some(_) => Err(WRONG_TYPE.into()),
        }
    }

    fn hash(&self, key: &[u8]) -> Result<Hash, String> {
        match self.entry(key).map(|entry| &entry.value) {
            None => Ok(Hash::new()),
            Some(Value::Hash(hash)) => Ok(hash.clone()),
            Some(_) => Err(WRONG_TYPE.into()),
        }
    }

    fn set(&self, key: &[u8]) -> Result<Set, String> {
        match self.entry(key).map(|entry| &entry.value) {
            None => Ok(Set::new()),
            Some(Value::Set(set)) => Ok(set.clone()),
            Some(_) => Err(WRONG_TYPE.into()),
        }
    }

    fn sorted(&self, key: &[u8]) -> Result<Sorted, String> {
        match self.entry(key).map(|entry| &entry.value) {
            None => Ok(Sorted::new()),
            Some(Value::Sorted(sorted)) => Ok(sorted.clone()),
            Some(_) => Err(WRONG_TYPE.into()),
        }
    }
}

/// The fewest words of commands that somebody writes with too few.
fn is_too_short(words: &[Text]) -> bool {
    let least = match &words[0].to_ascii_uppercase()[..] {
        b"HSET" | b"HMSET" => 4,
        _ => 1,
    };
    words.len() < least
}

fn wrong_arity(words: &[Text]) -> String {
    let name = String::from_utf8_lossy(&words[0]).to_lowercase();
    format!("ERR wrong number of arguments for '{name}' command")
}

/// A reply as it arrives over RESP2, which has no maps and no sets.
fn flat(answer: Answer) -> Reply {
    let reply = answer.unwrap_or_else(|text| Reply::Error(ErrorText::new(text)));
    let mut bytes = BytesMut::new();
    reply.encode(Protocol::Resp2, &mut bytes);
    ReplyDecoder::new().decode(&mut bytes).unwrap().unwrap()
}

fn integer(number: usize) -> Answer {
    Ok(Reply::Integer(number as i64))
}

fn bulk(bytes: &[u8]) -> Reply {
    Reply::bulk(bytes.to_vec())
}

fn maybe(bytes: Option<&Text>) -> Reply {
    bytes.map_or(Reply::Null, |bytes| bulk(bytes))
}

fn array<'a>(items: impl IntoIterator<Item = &'a Text>) -> Reply {
    Reply::Array(items.into_iter().map(|item| bulk(item)).collect())
}

/// Whether a pattern, in which a star stands for anything, fits.
fn fits(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len()).any(|start| fits(rest, &text[start..])),
        Some((byte, rest)) => text.first() == Some(byte) && fits(rest, &text[1..]),
    }
}

/// The strings in a reply, which chance may have chosen.
fn told(found: &Reply) -> Vec<Text> {
    match found {
        Reply::Bulk(bytes) => vec![bytes.to_vec()],
        Reply::Array(items) => items.iter().flat_map(told).collect(),
        _ => Vec::new(),
    }
}
