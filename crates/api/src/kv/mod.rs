//! Requests to the `kv` engine and its replies.
//!
//! A request addresses keys of one partition. Who made it (Redis, HTTP, a tool) is not visible here.
//! Times are absolute or relative milliseconds; relative ones count from the entry's stamp.

mod bits;
mod change;
mod content;
mod dump;
mod generic;
mod geo;
mod hash;
mod hyperloglog;
mod list;
mod members;
mod score;
mod set;
mod sort;
mod sorted;
mod text;
mod transaction;
mod typed;
mod unchanged;

use bytes::Bytes;
use prost::{Message, Oneof};

pub use bits::*;
pub use change::*;
pub use content::*;
pub use dump::*;
pub use generic::*;
pub use geo::*;
pub use hash::*;
pub use hyperloglog::*;
pub use list::*;
pub use members::*;
pub use score::*;
pub use set::*;
pub use sort::*;
pub use sorted::*;
pub use text::*;
pub use transaction::*;
pub use typed::*;

/// A request to one partition of a `kv` table.
#[derive(Clone, PartialEq, Message)]
pub struct KvRequest {
    /// What to do; `None` is a request of a newer release.
    #[prost(
        oneof = "KvOp",
        tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, \
                50, 51, 52, 53, 60, 61, 62, 63, 64, 80, 81, 82, 83, 84, 85, 86, 87, 88"
    )]
    pub op: Option<KvOp>,
}

/// What to do. Reads have tags 1 to 39, writes 40 to 79; from 80 on are families, which say it themselves.
#[derive(Clone, PartialEq, Oneof)]
pub enum KvOp {
    /// The value of a string. Reply: `Value` or `Nil`.
    #[prost(message, tag = "1")]
    Get(Key),
    /// The values of several strings; other types count as absent. Reply: `Values`.
    #[prost(message, tag = "2")]
    MGet(Keys),
    /// How many of the keys exist, repeats counted. Reply: `Integer`.
    #[prost(message, tag = "3")]
    Exists(Keys),
    /// Length of a string. Reply: `Integer`.
    #[prost(message, tag = "4")]
    StrLen(Key),
    /// Part of a string. Reply: `Value`.
    #[prost(message, tag = "5")]
    GetRange(GetRange),
    /// When a key expires. Reply: `Integer`: milliseconds, −1 without expiry, −2 without key.
    #[prost(message, tag = "6")]
    Ttl(Ttl),
    /// The type's name. Reply: `Value` (`string`, …) or `Nil`.
    #[prost(message, tag = "7")]
    Type(Key),
    /// Keys in position order. Reply: `Page`.
    #[prost(message, tag = "8")]
    Scan(Scan),
    /// Number of keys. Reply: `Integer`.
    #[prost(message, tag = "9")]
    DbSize(Nothing),
    /// Some key, or `Nil`. Reply: `Value` or `Nil`.
    #[prost(message, tag = "10")]
    RandomKey(RandomKey),
    /// What two strings have in common. Reply: see [`LcsAnswer`].
    #[prost(message, tag = "11")]
    Lcs(Lcs),
    /// A value in Redis' own form, for [`KvOp::Restore`] there or here. Reply: `Value` or `Nil`.
    #[prost(message, tag = "12")]
    Dump(Key),
    /// Changes that are kept. Reply: `Changes`.
    #[prost(message, tag = "13")]
    Changes(ReadChanges),

    /// Store a string. Reply: see [`Set::return_old`].
    #[prost(message, tag = "40")]
    Set(Set),
    /// Store several strings at once. Reply: `Integer` 1, or 0 when refused by `only_if_none`.
    #[prost(message, tag = "41")]
    MSet(MSet),
    /// Remove a string and return it. Reply: `Value` or `Nil`.
    #[prost(message, tag = "42")]
    GetDel(Key),
    /// Return a string and change its expiry. Reply: `Value` or `Nil`.
    #[prost(message, tag = "43")]
    GetEx(GetEx),
    /// Append to a string. Reply: `Integer`, the new length.
    #[prost(message, tag = "44")]
    Append(Pair),
    /// Overwrite part of a string. Reply: `Integer`, the new length.
    #[prost(message, tag = "45")]
    SetRange(SetRange),
    /// Add to a whole number. Reply: `Integer`.
    #[prost(message, tag = "46")]
    IncrBy(IncrBy),
    /// Add to a decimal number. Reply: `Value`, the new text.
    #[prost(message, tag = "47")]
    IncrByFloat(Pair),
    /// Remove keys. Reply: `Integer`, how many there were.
    #[prost(message, tag = "48")]
    Del(Keys),
    /// Change when a key expires. Reply: `Integer` 0 or 1.
    #[prost(message, tag = "49")]
    Expire(Expire),
    /// Rename a key inside the partition. Reply: `Ok`, or `Integer` 0 or 1 with `only_if_absent`.
    #[prost(message, tag = "50")]
    Rename(Rename),
    /// Copy a key inside the partition. Reply: `Integer` 0 or 1.
    #[prost(message, tag = "51")]
    Copy(Copy),
    /// Remove every key of the partition. Reply: `Ok`.
    #[prost(message, tag = "52")]
    Flush(Nothing),
    /// Remove those of the keys that have expired by the entry's stamp. Reply: `Integer`.
    #[prost(message, tag = "53")]
    RemoveExpired(Keys),
    /// Write contents. Reply: `Imported`.
    #[prost(message, tag = "60")]
    Import(Import),
    /// Store or remove a string if it has a certain value. Reply: `Integer` 0 or 1.
    #[prost(message, tag = "61")]
    IfEqual(IfEqual),
    /// Store a value that was given out in Redis' own form. Reply: `Ok` or `Refusal`.
    #[prost(message, tag = "62")]
    Restore(Restore),
    /// Keep changes. Reply: `Recording`.
    #[prost(message, tag = "63")]
    Record(Record),
    /// Carry out the changes of an entry of another state again. Reply: `Ok`.
    #[prost(message, tag = "64")]
    Redo(EntryChanges),

    /// Something with a hash.
    #[prost(message, tag = "80")]
    Hash(HashRequest),
    /// Something with lists.
    #[prost(message, tag = "81")]
    List(ListRequest),
    /// Something with sets.
    #[prost(message, tag = "82")]
    Sets(SetRequest),
    /// Something with sorted sets.
    #[prost(message, tag = "83")]
    Sorted(SortedRequest),
    /// Something with the bits of strings.
    #[prost(message, tag = "84")]
    Bits(BitsRequest),
    /// Something with HyperLogLogs, which are strings.
    #[prost(message, tag = "85")]
    HyperLogLog(HyperLogLogRequest),
    /// Something with keys of any type.
    #[prost(message, tag = "86")]
    Generic(GenericRequest),
    /// Several operations at once, if watched keys are as they were.
    #[prost(message, tag = "87")]
    Transaction(Transaction),
    /// Something with a key that must hold a certain kind of value.
    #[prost(message, tag = "88")]
    Typed(TypedRequest),
}

/// No arguments.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Nothing {}

/// One key.
#[derive(Clone, PartialEq, Message)]
pub struct Key {
    /// The key.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
}

/// Several keys.
#[derive(Clone, PartialEq, Message)]
pub struct Keys {
    /// The keys.
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub keys: Vec<Bytes>,
}

/// A key and a value.
#[derive(Clone, PartialEq, Message)]
pub struct Pair {
    /// The key.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// The value.
    #[prost(bytes = "bytes", tag = "2")]
    pub value: Bytes,
}

/// Part of a string; negative places count from the end, as in Redis.
#[derive(Clone, PartialEq, Message)]
pub struct GetRange {
    /// The key.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// First byte.
    #[prost(sint64, tag = "2")]
    pub start: i64,
    /// Last byte, included.
    #[prost(sint64, tag = "3")]
    pub end: i64,
}

/// When a key expires.
#[derive(Clone, PartialEq, Message)]
pub struct Ttl {
    /// The key.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// Milliseconds since 1970 instead of milliseconds left.
    #[prost(bool, tag = "2")]
    pub absolute: bool,
}

/// A page of keys.
#[derive(Clone, PartialEq, Message)]
pub struct Scan {
    /// The first position to return.
    #[prost(uint64, tag = "1")]
    pub position: u64,
    /// About how many keys to look at; at least one position is always finished.
    #[prost(uint64, tag = "2")]
    pub count: u64,
    /// Glob pattern as in Redis; empty means all.
    #[prost(bytes = "bytes", tag = "3")]
    pub pattern: Bytes,
    /// Only this type; empty means all.
    #[prost(string, tag = "4")]
    pub only_type: String,
    /// Instead of live keys, those that have expired and wait for removal, soonest first.
    #[prost(bool, tag = "5")]
    pub expired: bool,
    /// What clients see before every key of this partition: the pattern is compared with this and the key.
    #[prost(bytes = "bytes", tag = "6")]
    pub shown_before: Bytes,
}

/// Some key.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct RandomKey {
    /// Where to start looking.
    #[prost(uint64, tag = "1")]
    pub position: u64,
}

/// A condition on what is there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum Condition {
    /// None.
    Always = 0,
    /// `NX`: the key (for `Expire`: the expiry) is absent.
    IfAbsent = 1,
    /// `XX`: the key (for `Expire`: the expiry) is present.
    IfPresent = 2,
    /// `GT`, `Expire` only: the new expiry is later; no expiry counts as infinite.
    IfLater = 3,
    /// `LT`, `Expire` only: the new expiry is sooner.
    IfSooner = 4,
    /// `XX LT`, `Expire` only: there is an expiry, and the new one is sooner.
    IfPresentAndSooner = 5,
}

/// What becomes of a key's expiry.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Expiry {
    /// How to read `millis`.
    #[prost(enumeration = "ExpiryKind", tag = "1")]
    pub kind: i32,
    /// As `kind` says.
    #[prost(sint64, tag = "2")]
    pub millis: i64,
}

/// How to read an [`Expiry`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum ExpiryKind {
    /// The key has no expiry afterwards.
    Clear = 0,
    /// The key keeps what it has.
    Keep = 1,
    /// Milliseconds since 1970.
    At = 2,
    /// Milliseconds from the entry's stamp.
    In = 3,
}

/// Store a string.
#[derive(Clone, PartialEq, Message)]
pub struct Set {
    /// The key.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// The value.
    #[prost(bytes = "bytes", tag = "2")]
    pub value: Bytes,
    /// When to store at all: `Always`, `IfAbsent` or `IfPresent`.
    #[prost(enumeration = "Condition", tag = "3")]
    pub condition: i32,
    /// The expiry afterwards.
    #[prost(message, optional, tag = "4")]
    pub expiry: Option<Expiry>,
    /// Reply with what was there (`Value` or `Nil`; wrong type is an error) instead of `Ok` when stored
    /// and `Nil` when not.
    #[prost(bool, tag = "5")]
    pub return_old: bool,
}

/// Store several strings at once.
#[derive(Clone, PartialEq, Message)]
pub struct MSet {
    /// The pairs; a later one wins over an earlier one with the same key.
    #[prost(message, repeated, tag = "1")]
    pub pairs: Vec<Pair>,
    /// Store nothing if any of the keys exists.
    #[prost(bool, tag = "2")]
    pub only_if_none: bool,
}

/// Return a string and change its expiry.
#[derive(Clone, PartialEq, Message)]
pub struct GetEx {
    /// The key.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// The expiry afterwards.
    #[prost(message, optional, tag = "2")]
    pub expiry: Option<Expiry>,
}

/// Overwrite part of a string.
#[derive(Clone, PartialEq, Message)]
pub struct SetRange {
    /// The key.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// First byte to overwrite; a gap is filled with zeros.
    #[prost(uint64, tag = "2")]
    pub offset: u64,
    /// The bytes.
    #[prost(bytes = "bytes", tag = "3")]
    pub value: Bytes,
}

/// Add to a whole number.
#[derive(Clone, PartialEq, Message)]
pub struct IncrBy {
    /// The key; absent counts as 0.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// What to add.
    #[prost(sint64, tag = "2")]
    pub delta: i64,
}

/// Change when a key expires. A time that has passed removes the key.
#[derive(Clone, PartialEq, Message)]
pub struct Expire {
    /// The key.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// The expiry afterwards; `Clear` replies 1 only if there was one.
    #[prost(message, optional, tag = "2")]
    pub expiry: Option<Expiry>,
    /// When to change it at all.
    #[prost(enumeration = "Condition", tag = "3")]
    pub condition: i32,
}

/// Rename a key inside the partition.
#[derive(Clone, PartialEq, Message)]
pub struct Rename {
    /// The key.
    #[prost(bytes = "bytes", tag = "1")]
    pub from: Bytes,
    /// Its new name.
    #[prost(bytes = "bytes", tag = "2")]
    pub to: Bytes,
    /// Leave everything as it is if `to` exists.
    #[prost(bool, tag = "3")]
    pub only_if_absent: bool,
}

/// Copy a key inside the partition.
#[derive(Clone, PartialEq, Message)]
pub struct Copy {
    /// The key.
    #[prost(bytes = "bytes", tag = "1")]
    pub from: Bytes,
    /// The copy's name.
    #[prost(bytes = "bytes", tag = "2")]
    pub to: Bytes,
    /// Overwrite `to` if it exists.
    #[prost(bool, tag = "3")]
    pub replace: bool,
}

/// A reply of the `kv` engine.
#[derive(Clone, PartialEq, Message)]
pub struct KvReply {
    /// The answer; `None` is one of a newer release.
    #[prost(oneof = "KvAnswer", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 20, 21, 22")]
    pub answer: Option<KvAnswer>,
}

/// What a reply says.
#[derive(Clone, PartialEq, Oneof)]
pub enum KvAnswer {
    /// Done.
    #[prost(message, tag = "1")]
    Ok(Nothing),
    /// Nothing there, or not done.
    #[prost(message, tag = "2")]
    Nil(Nothing),
    /// A number.
    #[prost(sint64, tag = "3")]
    Integer(i64),
    /// Bytes.
    #[prost(bytes = "bytes", tag = "4")]
    Value(Bytes),
    /// Several answers of `Value` or `Nil`.
    #[prost(message, tag = "5")]
    Values(Values),
    /// A page of keys, fields or members; or simply several of them.
    #[prost(message, tag = "6")]
    Page(Page),
    /// Refused; nothing changed.
    #[prost(enumeration = "KvError", tag = "7")]
    Error(i32),
    /// A decimal number.
    #[prost(double, tag = "8")]
    Double(f64),
    /// Members with scores.
    #[prost(message, tag = "9")]
    Scored(ScoredMembers),
    /// Answers to several questions.
    #[prost(message, tag = "10")]
    Many(Many),
    /// Refused with the reply's own words, which begin with the code that Redis uses.
    #[prost(string, tag = "11")]
    Refusal(String),
    /// What an import did.
    #[prost(message, tag = "20")]
    Imported(Imported),
    /// How changes are kept.
    #[prost(message, tag = "21")]
    Recording(Recording),
    /// Changes.
    #[prost(message, tag = "22")]
    Changes(ChangesPage),
    /// Places that were found.
    #[prost(message, tag = "12")]
    Places(GeoPlaces),
}

/// Members with scores.
#[derive(Clone, PartialEq, Message)]
pub struct ScoredMembers {
    /// In the order of the answer.
    #[prost(message, repeated, tag = "1")]
    pub members: Vec<ScoredMember>,
    /// Where a walk goes on; absent at its end, and in answers that are no walks.
    #[prost(uint64, optional, tag = "2")]
    pub next: Option<u64>,
}

/// A member with its score.
#[derive(Clone, PartialEq, Message)]
pub struct ScoredMember {
    /// The member.
    #[prost(bytes = "bytes", tag = "1")]
    pub member: Bytes,
    /// Its score; never NaN.
    #[prost(double, tag = "2")]
    pub score: f64,
}

/// Answers to several questions.
#[derive(Clone, PartialEq, Message)]
pub struct Many {
    /// In the order of the questions.
    #[prost(message, repeated, tag = "1")]
    pub replies: Vec<KvReply>,
}

/// Values that may be absent.
#[derive(Clone, PartialEq, Message)]
pub struct Values {
    /// In the order of the request.
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<Maybe>,
}

/// A value that may be absent.
#[derive(Clone, PartialEq, Message)]
pub struct Maybe {
    /// The value.
    #[prost(bytes = "bytes", optional, tag = "1")]
    pub value: Option<Bytes>,
}

/// A page of keys, fields or members; or simply several of them.
#[derive(Clone, PartialEq, Message)]
pub struct Page {
    /// The keys, or whatever the request asks for.
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub keys: Vec<Bytes>,
    /// Where to go on; absent at the end.
    #[prost(uint64, optional, tag = "2")]
    pub next: Option<u64>,
}

/// Why the engine refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum KvError {
    /// A request of a newer release.
    Unsupported = 0,
    /// The key holds another type.
    WrongType = 1,
    /// The value is not a whole number, or out of range.
    NotInteger = 2,
    /// The value is not a decimal number.
    NotFloat = 3,
    /// The sum does not fit 64 bits.
    Overflow = 4,
    /// The sum is not a number or infinite.
    NotFinite = 5,
    /// The string would be longer than allowed.
    TooLong = 6,
    /// No such key.
    NoSuchKey = 7,
    /// The expiry does not fit.
    InvalidExpiry = 8,
    /// The reply would be larger than a reply may be; nothing was changed.
    ReplyTooLarge = 9,
    /// The operation would rewrite more of a collection than one may; nothing was changed.
    EditTooLarge = 10,
    /// The collection that the command would make is larger than it may be made at once.
    ResultTooLarge = 11,
}

impl KvRequest {
    /// A request for this operation.
    pub fn new(op: KvOp) -> Self {
        Self { op: Some(op) }
    }
}

impl KvOp {
    /// Whether it changes anything.
    pub fn is_write(&self) -> bool {
        match self {
            KvOp::Get(_)
            | KvOp::MGet(_)
            | KvOp::Exists(_)
            | KvOp::StrLen(_)
            | KvOp::GetRange(_)
            | KvOp::Ttl(_)
            | KvOp::Type(_)
            | KvOp::Scan(_)
            | KvOp::DbSize(_)
            | KvOp::RandomKey(_)
            | KvOp::Lcs(_)
            | KvOp::Dump(_)
            | KvOp::Changes(_) => false,
            KvOp::Set(_)
            | KvOp::MSet(_)
            | KvOp::GetDel(_)
            | KvOp::GetEx(_)
            | KvOp::Append(_)
            | KvOp::SetRange(_)
            | KvOp::IncrBy(_)
            | KvOp::IncrByFloat(_)
            | KvOp::Del(_)
            | KvOp::Expire(_)
            | KvOp::Rename(_)
            | KvOp::Copy(_)
            | KvOp::Flush(_)
            | KvOp::RemoveExpired(_)
            | KvOp::Import(_)
            | KvOp::IfEqual(_)
            | KvOp::Restore(_)
            | KvOp::Record(_)
            | KvOp::Redo(_) => true,
            KvOp::Hash(request) => request.is_write(),
            KvOp::List(request) => request.is_write(),
            KvOp::Sets(request) => request.is_write(),
            KvOp::Sorted(request) => request.is_write(),
            KvOp::Bits(request) => request.is_write(),
            KvOp::HyperLogLog(request) => request.is_write(),
            KvOp::Generic(request) => request.is_write(),
            KvOp::Transaction(_) => true,
            KvOp::Typed(request) => request.is_write(),
        }
    }

    /// Calls `visit` with every key, in the order in which a client named them.
    ///
    /// # Errors
    /// The first that `visit` returns.
    pub fn visit_keys<E>(&mut self, visit: &mut dyn FnMut(&mut Bytes) -> Result<(), E>) -> Result<(), E> {
        match self {
            KvOp::Get(op) | KvOp::StrLen(op) | KvOp::Type(op) | KvOp::GetDel(op) => visit(&mut op.key),
            KvOp::MGet(op) | KvOp::Exists(op) | KvOp::Del(op) | KvOp::RemoveExpired(op) => {
                op.keys.iter_mut().try_for_each(visit)
            }
            KvOp::GetRange(op) => visit(&mut op.key),
            KvOp::Ttl(op) => visit(&mut op.key),
            KvOp::Set(op) => visit(&mut op.key),
            KvOp::MSet(op) => op.pairs.iter_mut().map(|pair| &mut pair.key).try_for_each(visit),
            KvOp::GetEx(op) => visit(&mut op.key),
            KvOp::Append(op) | KvOp::IncrByFloat(op) => visit(&mut op.key),
            KvOp::SetRange(op) => visit(&mut op.key),
            KvOp::IncrBy(op) => visit(&mut op.key),
            KvOp::Expire(op) => visit(&mut op.key),
            KvOp::Rename(op) => visit(&mut op.from).and_then(|()| visit(&mut op.to)),
            KvOp::Copy(op) => visit(&mut op.from).and_then(|()| visit(&mut op.to)),
            KvOp::Scan(_) | KvOp::DbSize(_) | KvOp::RandomKey(_) | KvOp::Flush(_) => Ok(()),
            KvOp::Changes(_) | KvOp::Record(_) => Ok(()),
            KvOp::Redo(op) => op.visit_keys(visit),
            KvOp::Import(op) => op.pieces.iter_mut().map(|piece| &mut piece.key).try_for_each(visit),
            KvOp::Hash(request) => visit(&mut request.key),
            KvOp::List(request) => request.visit_keys(visit),
            KvOp::Sets(request) => request.visit_keys(visit),
            KvOp::Sorted(request) => request.visit_keys(visit),
            KvOp::Bits(request) => request.visit_keys(visit),
            KvOp::HyperLogLog(request) => request.visit_keys(visit),
            KvOp::Generic(request) => request.visit_keys(visit),
            KvOp::Transaction(transaction) => transaction.visit_keys(visit),
            KvOp::Typed(request) => visit(&mut request.key),
            KvOp::Lcs(op) => visit(&mut op.first).and_then(|()| visit(&mut op.second)),
            KvOp::Dump(op) => visit(&mut op.key),
            KvOp::IfEqual(op) => visit(&mut op.key),
            KvOp::Restore(op) => visit(&mut op.key),
        }
    }

    /// Calls `visit` with every pattern of keys that are looked up besides, and the option of the command that
    /// it belongs to: the first `*` stands for some text that is not known beforehand.
    ///
    /// # Errors
    /// The first that `visit` returns.
    pub fn visit_patterns<E>(
        &mut self,
        visit: &mut dyn FnMut(&'static str, &mut Bytes) -> Result<(), E>,
    ) -> Result<(), E> {
        match self {
            KvOp::Generic(request) => request.visit_patterns(visit),
            KvOp::Transaction(transaction) => {
                let ops = transaction.requests.iter_mut().filter_map(|request| request.op.as_mut());
                ops.into_iter().try_for_each(|op| op.visit_patterns(visit))
            }
            _ => Ok(()),
        }
    }
}

impl KvReply {
    /// A reply with this answer.
    pub fn new(answer: KvAnswer) -> Self {
        Self { answer: Some(answer) }
    }

    /// "Done".
    pub fn ok() -> Self {
        Self::new(KvAnswer::Ok(Nothing {}))
    }

    /// "Nothing there".
    pub fn nil() -> Self {
        Self::new(KvAnswer::Nil(Nothing {}))
    }

    /// A number.
    pub fn integer(number: i64) -> Self {
        Self::new(KvAnswer::Integer(number))
    }

    /// Bytes.
    pub fn value(bytes: impl Into<Bytes>) -> Self {
        Self::new(KvAnswer::Value(bytes.into()))
    }

    /// A refusal.
    pub fn error(error: KvError) -> Self {
        Self::new(KvAnswer::Error(error as i32))
    }
}
