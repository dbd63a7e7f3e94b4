//! Commands on strings.

use super::{expiry, integer, is_word, keyed};
use crate::form::Shape;
use crate::parse::too_large;
use crate::plan::Plan;
use crate::scatter::{Scatter, Verb};
use crate::table::Call;
use crate::text::{ErrorText, SYNTAX, invalid_expire, wrong_arity};
use api::kv::{
    Condition, ExpiryKind, GetEx, GetRange, IncrBy, Key, KvOp, Lcs, LcsAnswer, MSet, Pair, Set, SetRange,
};
use bytes::Bytes;
use types::limits::COMMAND_PART_BYTES_MAX;

type Parsed = Result<Plan, ErrorText>;

const LENGTH_AND_MATCHES: ErrorText =
    ErrorText::fixed("ERR If you want both the length and indexes, please just use IDX.");

pub(crate) fn get(call: &mut Call<'_>) -> Parsed {
    keyed(call, KvOp::Get(Key { key: call.arg(1) }), Shape::Plain)
}

/// `SET key value [NX|XX] [GET] [EX s|PX ms|EXAT s|PXAT ms|KEEPTTL]`
pub(crate) fn set(call: &mut Call<'_>) -> Parsed {
    let options = Options::parse(&call.args[3..], true)?;
    let (kind, millis) = match options.time {
        Time::None => (ExpiryKind::Clear, 0),
        Time::Keep => (ExpiryKind::Keep, 0),
        Time::Persist => return Err(SYNTAX),
        Time::At(unit, text) => unit.read(text, call.command.full_name)?,
    };
    let set = Set {
        key: call.arg(1),
        value: call.value(2)?,
        condition: options.condition as i32,
        expiry: expiry(kind, millis),
        return_old: options.get,
    };
    keyed(call, KvOp::Set(set), Shape::Plain)
}

pub(crate) fn getset(call: &mut Call<'_>) -> Parsed {
    let set = Set { return_old: true, ..plain_set(call, 2)? };
    keyed(call, KvOp::Set(set), Shape::Plain)
}

pub(crate) fn setnx(call: &mut Call<'_>) -> Parsed {
    let set = Set { condition: Condition::IfAbsent as i32, ..plain_set(call, 2)? };
    keyed(call, KvOp::Set(set), Shape::Stored)
}

pub(crate) fn setex(call: &mut Call<'_>) -> Parsed {
    set_with_expiry(call, Unit::SecondsIn)
}

pub(crate) fn psetex(call: &mut Call<'_>) -> Parsed {
    set_with_expiry(call, Unit::MillisIn)
}

pub(crate) fn getdel(call: &mut Call<'_>) -> Parsed {
    keyed(call, KvOp::GetDel(Key { key: call.arg(1) }), Shape::Plain)
}

/// `GETEX key [EX s|PX ms|EXAT s|PXAT ms|PERSIST]`
pub(crate) fn getex(call: &mut Call<'_>) -> Parsed {
    let options = Options::parse(&call.args[2..], false)?;
    let key = call.arg(1);
    let (kind, millis) = match options.time {
        // Without an option nothing changes, so it is a read.
        Time::None | Time::Keep => return keyed(call, KvOp::Get(Key { key }), Shape::Plain),
        Time::Persist => (ExpiryKind::Clear, 0),
        Time::At(unit, text) => match unit.read(text, call.command.full_name) {
            Ok(time) => time,
            // Redis looks at the key before it looks at the number.
            Err(error) => return keyed(call, KvOp::Get(Key { key }), Shape::RefuseIfPresent(error)),
        },
    };
    let op = GetEx { key, expiry: expiry(kind, millis) };
    keyed(call, KvOp::GetEx(op), Shape::Plain)
}

pub(crate) fn mget(call: &mut Call<'_>) -> Parsed {
    let keys = call.args[1..].to_vec();
    Ok(Plan::Scatter(Scatter { verb: Verb::Get, keys, command: call.command.full_name }))
}

pub(crate) fn mset(call: &mut Call<'_>) -> Parsed {
    let op = KvOp::MSet(MSet { pairs: pairs(call)?, only_if_none: false });
    keyed(call, op, Shape::Done)
}

pub(crate) fn msetnx(call: &mut Call<'_>) -> Parsed {
    let op = KvOp::MSet(MSet { pairs: pairs(call)?, only_if_none: true });
    keyed(call, op, Shape::Plain)
}

pub(crate) fn append(call: &mut Call<'_>) -> Parsed {
    let pair = Pair { key: call.arg(1), value: call.value(2)? };
    keyed(call, KvOp::Append(pair), Shape::Plain)
}

pub(crate) fn strlen(call: &mut Call<'_>) -> Parsed {
    keyed(call, KvOp::StrLen(Key { key: call.arg(1) }), Shape::Plain)
}

pub(crate) fn getrange(call: &mut Call<'_>) -> Parsed {
    let (start, end) = (integer(&call.args[2])?, integer(&call.args[3])?);
    keyed(call, KvOp::GetRange(GetRange { key: call.arg(1), start, end }), Shape::BytesOrEmpty)
}

pub(crate) fn setrange(call: &mut Call<'_>) -> Parsed {
    let offset =
        u64::try_from(integer(&call.args[2])?).map_err(|_| ErrorText::fixed("ERR offset is out of range"))?;
    let op = SetRange { key: call.arg(1), offset, value: call.value(3)? };
    keyed(call, KvOp::SetRange(op), Shape::Plain)
}

pub(crate) fn incr(call: &mut Call<'_>) -> Parsed {
    add(call, 1)
}

pub(crate) fn decr(call: &mut Call<'_>) -> Parsed {
    add(call, -1)
}

pub(crate) fn incrby(call: &mut Call<'_>) -> Parsed {
    add(call, integer(&call.args[2])?)
}

pub(crate) fn decrby(call: &mut Call<'_>) -> Parsed {
    let delta =
        integer(&call.args[2])?.checked_neg().ok_or(ErrorText::fixed("ERR decrement would overflow"))?;
    add(call, delta)
}

/// The number is read where it is added, by the engine, which looks at the key first as Redis does.
pub(crate) fn incrbyfloat(call: &mut Call<'_>) -> Parsed {
    let pair = Pair { key: call.arg(1), value: call.value(2)? };
    keyed(call, KvOp::IncrByFloat(pair), Shape::Plain)
}

/// `LCS key1 key2 [LEN] [IDX] [MINMATCHLEN len] [WITHMATCHLEN]`
pub(crate) fn lcs(call: &mut Call<'_>) -> Parsed {
    let lcs = |answer: LcsAnswer, least| {
        KvOp::Lcs(Lcs { first: call.arg(1), second: call.arg(2), answer: answer as i32, least })
    };
    match lcs_options(&call.args[3..]) {
        Ok((answer, least, with_lengths)) => {
            let shape = match answer {
                LcsAnswer::Matches => Shape::LcsMatches { with_lengths },
                _ => Shape::Plain,
            };
            keyed(call, lcs(answer, least), shape)
        }
        // Redis looks at the keys before it reads the options.
        Err(error) => keyed(call, lcs(LcsAnswer::Nothing, 0), Shape::Refuse(error)),
    }
}

/// What to answer, the least length of a match, and whether to tell lengths.
fn lcs_options(words: &[Bytes]) -> Result<(LcsAnswer, u64, bool), ErrorText> {
    let (mut length, mut matches, mut with_lengths, mut least) = (false, false, false, 0);
    let mut rest = words;
    while let [word, tail @ ..] = rest {
        rest = tail;
        if is_word(word, "IDX") {
            matches = true;
        } else if is_word(word, "LEN") {
            length = true;
        } else if is_word(word, "WITHMATCHLEN") {
            with_lengths = true;
        } else if let (true, [number, tail @ ..]) = (is_word(word, "MINMATCHLEN"), tail) {
            least = u64::try_from(integer(number)?).unwrap_or(0);
            rest = tail;
        } else {
            return Err(SYNTAX);
        }
    }
    match (length, matches) {
        (true, true) => Err(LENGTH_AND_MATCHES),
        (true, false) => Ok((LcsAnswer::Length, least, with_lengths)),
        (false, true) => Ok((LcsAnswer::Matches, least, with_lengths)),
        (false, false) => Ok((LcsAnswer::Text, least, with_lengths)),
    }
}

fn add(call: &Call<'_>, delta: i64) -> Parsed {
    keyed(call, KvOp::IncrBy(IncrBy { key: call.arg(1), delta }), Shape::Plain)
}

fn plain_set(call: &Call<'_>, value: usize) -> Result<Set, ErrorText> {
    Ok(Set {
        key: call.arg(1),
        value: call.value(value)?,
        condition: Condition::Always as i32,
        expiry: expiry(ExpiryKind::Clear, 0),
        return_old: false,
    })
}

fn set_with_expiry(call: &Call<'_>, unit: Unit) -> Parsed {
    let (kind, millis) = unit.read(&call.args[2], call.command.full_name)?;
    let set = Set { expiry: expiry(kind, millis), ..plain_set(call, 3)? };
    keyed(call, KvOp::Set(set), Shape::Plain)
}

/// Keys and values in turn, behind the name.
fn pairs(call: &Call<'_>) -> Result<Vec<Pair>, ErrorText> {
    if call.args.len().is_multiple_of(2) {
        return Err(wrong_arity(call.command.full_name));
    }
    let bytes: usize = call.args.iter().map(Bytes::len).sum();
    if bytes > COMMAND_PART_BYTES_MAX {
        let detail =
            format!("{bytes} bytes of keys and values, at most {COMMAND_PART_BYTES_MAX} are allowed");
        return Err(too_large(detail));
    }
    let pair = |key| Ok(Pair { key: call.arg(key), value: call.value(key + 1)? });
    (1..call.args.len()).step_by(2).map(pair).collect()
}

/// How `EX`, `PX`, `EXAT`, `PXAT` count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    SecondsIn,
    MillisIn,
    SecondsAt,
    MillisAt,
}

impl Unit {
    fn named(word: &[u8]) -> Option<Self> {
        let units = [
            ("EX", Unit::SecondsIn),
            ("PX", Unit::MillisIn),
            ("EXAT", Unit::SecondsAt),
            ("PXAT", Unit::MillisAt),
        ];
        units.into_iter().find(|(name, _)| is_word(word, name)).map(|(_, unit)| unit)
    }

    /// The time in milliseconds; it must be positive.
    fn read(self, text: &[u8], command: &str) -> Result<(ExpiryKind, i64), ErrorText> {
        let number = integer(text)?;
        let millis = match self {
            Unit::SecondsIn | Unit::SecondsAt => number.checked_mul(1000),
            Unit::MillisIn | Unit::MillisAt => Some(number),
        };
        let millis = millis.filter(|&millis| millis > 0).ok_or_else(|| invalid_expire(command))?;
        let kind = match self {
            Unit::SecondsIn | Unit::MillisIn => ExpiryKind::In,
            Unit::SecondsAt | Unit::MillisAt => ExpiryKind::At,
        };
        Ok((kind, millis))
    }
}

/// The options of `SET` and `GETEX`. All words are checked before any number is read.
struct Options<'a> {
    condition: Condition,
    get: bool,
    time: Time<'a>,
}

#[derive(Clone, Copy, PartialEq)]
enum Time<'a> {
    None,
    Keep,
    Persist,
    At(Unit, &'a [u8]),
}

impl<'a> Options<'a> {
    /// Like Redis, an option may be repeated, but not combined with one that contradicts it.
    fn parse(args: &'a [Bytes], is_set: bool) -> Result<Self, ErrorText> {
        let mut options = Options { condition: Condition::Always, get: false, time: Time::None };
        let mut rest = args;
        while let [word, tail @ ..] = rest {
            rest = tail;
            if is_set && is_word(word, "NX") && options.condition != Condition::IfPresent {
                options.condition = Condition::IfAbsent;
            } else if is_set && is_word(word, "XX") && options.condition != Condition::IfAbsent {
                options.condition = Condition::IfPresent;
            } else if is_set && is_word(word, "GET") {
                options.get = true;
            } else if is_set && is_word(word, "KEEPTTL") && matches!(options.time, Time::None | Time::Keep) {
                options.time = Time::Keep;
            } else if !is_set
                && is_word(word, "PERSIST")
                && matches!(options.time, Time::None | Time::Persist)
            {
                options.time = Time::Persist;
            } else {
                let unit = Unit::named(word).filter(|&unit| options.allows(unit)).ok_or(SYNTAX)?;
                let [text, tail @ ..] = rest else { return Err(SYNTAX) };
                options.time = Time::At(unit, text);
                rest = tail;
            }
        }
        Ok(options)
    }

    fn allows(&self, unit: Unit) -> bool {
        match self.time {
            Time::None => true,
            Time::At(other, _) => other == unit,
            Time::Keep | Time::Persist => false,
        }
    }
}
