//! Commands on keys of any type.

use super::{expiry, integer, is_word, keyed, zankv};
use crate::form::Shape;
use crate::plan::Plan;
use crate::scan::{INVALID_CURSOR, KeysWalk, RandomKey, ScanPage, Walk};
use crate::scatter::{Everywhere, Scatter, Verb};
use crate::table::Call;
use crate::text::{ErrorText, SYNTAX, invalid_expire};
use api::kv::{Condition, ContentKind, Copy, Expire, ExpiryKind, Key, KvOp, Rename, Ttl};
use bytes::Bytes;

type Parsed = Result<Plan, ErrorText>;

/// Keys that `SCAN` looks at when `COUNT` is not given, as in Redis.
pub(super) const SCAN_COUNT: u64 = 10;

const OUT_OF_RANGE_DATABASE: ErrorText = ErrorText::fixed("ERR DB index is out of range");
const SAME_OBJECT: ErrorText = ErrorText::fixed("ERR source and destination objects are the same");
const NX_WITH_OTHERS: ErrorText =
    ErrorText::fixed("ERR NX and XX, GT or LT options at the same time are not compatible");
const GT_WITH_LT: ErrorText = ErrorText::fixed("ERR GT and LT options at the same time are not compatible");

pub(crate) fn del(call: &mut Call<'_>) -> Parsed {
    scatter(call, Verb::Delete)
}

pub(crate) fn exists(call: &mut Call<'_>) -> Parsed {
    scatter(call, Verb::Exists)
}

pub(crate) fn expire(call: &mut Call<'_>) -> Parsed {
    expire_with(call, ExpiryKind::In, 1000)
}

pub(crate) fn pexpire(call: &mut Call<'_>) -> Parsed {
    expire_with(call, ExpiryKind::In, 1)
}

pub(crate) fn expireat(call: &mut Call<'_>) -> Parsed {
    expire_with(call, ExpiryKind::At, 1000)
}

pub(crate) fn pexpireat(call: &mut Call<'_>) -> Parsed {
    expire_with(call, ExpiryKind::At, 1)
}

pub(crate) fn persist(call: &mut Call<'_>) -> Parsed {
    let op = Expire {
        key: call.arg(1),
        expiry: expiry(ExpiryKind::Clear, 0),
        condition: Condition::Always as i32,
    };
    keyed(call, KvOp::Expire(op), Shape::Plain)
}

pub(crate) fn ttl(call: &mut Call<'_>) -> Parsed {
    keyed(call, KvOp::Ttl(Ttl { key: call.arg(1), absolute: false }), Shape::Seconds)
}

pub(crate) fn pttl(call: &mut Call<'_>) -> Parsed {
    keyed(call, KvOp::Ttl(Ttl { key: call.arg(1), absolute: false }), Shape::Plain)
}

pub(crate) fn expiretime(call: &mut Call<'_>) -> Parsed {
    keyed(call, KvOp::Ttl(Ttl { key: call.arg(1), absolute: true }), Shape::Seconds)
}

pub(crate) fn pexpiretime(call: &mut Call<'_>) -> Parsed {
    keyed(call, KvOp::Ttl(Ttl { key: call.arg(1), absolute: true }), Shape::Plain)
}

pub(crate) fn key_type(call: &mut Call<'_>) -> Parsed {
    keyed(call, KvOp::Type(Key { key: call.arg(1) }), Shape::TypeName)
}

pub(crate) fn rename(call: &mut Call<'_>) -> Parsed {
    let op = Rename { from: call.arg(1), to: call.arg(2), only_if_absent: false };
    keyed(call, KvOp::Rename(op), Shape::Plain)
}

pub(crate) fn renamenx(call: &mut Call<'_>) -> Parsed {
    let op = Rename { from: call.arg(1), to: call.arg(2), only_if_absent: true };
    keyed(call, KvOp::Rename(op), Shape::Plain)
}

/// `COPY source destination [DB destination-db] [REPLACE]`
pub(crate) fn copy(call: &mut Call<'_>) -> Parsed {
    let mut replace = false;
    let mut rest = &call.args[3..];
    while let [word, tail @ ..] = rest {
        rest = tail;
        if is_word(word, "REPLACE") {
            replace = true;
        } else if let (true, [index, tail @ ..]) = (is_word(word, "DB"), tail) {
            check_database(index)?;
            rest = tail;
        } else {
            return Err(SYNTAX);
        }
    }
    let (from, to) = (call.arg(1), call.arg(2));
    if from == to {
        return Err(SAME_OBJECT);
    }
    keyed(call, KvOp::Copy(Copy { from, to, replace }), Shape::Plain)
}

/// There is one database, number 0.
pub(super) fn check_database(index: &[u8]) -> Result<(), ErrorText> {
    match integer(index)? {
        0 => Ok(()),
        number if i32::try_from(number).is_ok() => Err(OUT_OF_RANGE_DATABASE),
        _ => {
            Err(format!("ERR value is out of range, value must between {} and {}", i32::MIN, i32::MAX).into())
        }
    }
}

pub(crate) fn keys(call: &mut Call<'_>) -> Parsed {
    Ok(Plan::Walk(Walk::Keys(KeysWalk::new(call.arg(1)))))
}

/// `SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]`
pub(crate) fn scan(call: &mut Call<'_>) -> Parsed {
    if call.session.is_zankv() && call.args[1].contains(&b':') {
        return zankv::walk(call, ContentKind::String, false, 2);
    }
    let mut page = ScanPage {
        cursor: parse_cursor(&call.args[1]).ok_or(INVALID_CURSOR)?,
        count: SCAN_COUNT,
        pattern: None,
        only_type: String::new(),
    };
    let mut rest = &call.args[2..];
    while let [word, tail @ ..] = rest {
        let [argument, tail @ ..] = tail else { return Err(SYNTAX) };
        rest = tail;
        if is_word(word, "COUNT") {
            let count = u64::try_from(integer(argument)?).map_err(|_| SYNTAX)?;
            page.count = if count == 0 { return Err(SYNTAX) } else { count };
        } else if is_word(word, "MATCH") {
            page.pattern = Some(argument.clone());
        } else if is_word(word, "TYPE") {
            page.only_type = String::from_utf8_lossy(argument).to_ascii_lowercase();
        } else {
            return Err(SYNTAX);
        }
    }
    Ok(Plan::Walk(Walk::Scan(page)))
}

/// Like `strtoul`, which Redis uses: empty is 0, and a minus counts down from the end.
pub(super) fn parse_cursor(text: &[u8]) -> Option<u64> {
    let (negative, digits) = match text {
        [] => return Some(0),
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    let number: u64 =
        std::str::from_utf8(digits).ok().filter(|_| digits.first() != Some(&b'+'))?.parse().ok()?;
    Some(if negative { number.wrapping_neg() } else { number })
}

pub(crate) fn randomkey(_: &mut Call<'_>) -> Parsed {
    Ok(Plan::Walk(Walk::RandomKey(RandomKey::default())))
}

pub(crate) fn dbsize(_: &mut Call<'_>) -> Parsed {
    Ok(Plan::Everywhere(Everywhere::Count))
}

/// `FLUSHALL` and `FLUSHDB` are the same, as there is one database. A flush switches each partition to
/// an empty state at once, so `ASYNC` and `SYNC` are the same, too.
pub(crate) fn flush(call: &mut Call<'_>) -> Parsed {
    match &call.args[1..] {
        [] => {}
        [word] if is_word(word, "ASYNC") || is_word(word, "SYNC") => {}
        _ => return Err(SYNTAX),
    }
    Ok(Plan::Everywhere(Everywhere::Flush))
}

fn scatter(call: &Call<'_>, verb: Verb) -> Parsed {
    let keys = call.args[1..].to_vec();
    Ok(Plan::Scatter(Scatter { verb, keys, command: call.command.full_name }))
}

/// `EXPIRE key time [NX|XX|GT|LT]` and its kin; `unit` is milliseconds per unit of time. Redis reads the
/// options before the time.
fn expire_with(call: &Call<'_>, kind: ExpiryKind, unit: i64) -> Parsed {
    let condition = expire_condition(&call.args[3..])?;
    let millis =
        integer(&call.args[2])?.checked_mul(unit).ok_or_else(|| invalid_expire(call.command.full_name))?;
    let op = Expire { key: call.arg(1), expiry: expiry(kind, millis), condition: condition as i32 };
    keyed(call, KvOp::Expire(op), Shape::Plain)
}

fn expire_condition(words: &[Bytes]) -> Result<Condition, ErrorText> {
    let (mut nx, mut xx, mut gt, mut lt) = (false, false, false, false);
    for word in words {
        let flags = [("NX", &mut nx), ("XX", &mut xx), ("GT", &mut gt), ("LT", &mut lt)];
        match flags.into_iter().find(|(name, _)| is_word(word, name)) {
            Some((_, flag)) => *flag = true,
            None => {
                let mut text = b"ERR Unsupported option ".to_vec();
                text.extend_from_slice(word);
                return Err(ErrorText::new(text));
            }
        }
    }
    match (nx, xx, gt, lt) {
        (true, false, false, false) => Ok(Condition::IfAbsent),
        (true, ..) => Err(NX_WITH_OTHERS),
        (_, _, true, true) => Err(GT_WITH_LT),
        // Without an expiry nothing is later, so GT implies XX.
        (_, _, true, _) => Ok(Condition::IfLater),
        (_, true, _, true) => Ok(Condition::IfPresentAndSooner),
        (_, _, _, true) => Ok(Condition::IfSooner),
        (_, true, ..) => Ok(Condition::IfPresent),
        _ => Ok(Condition::Always),
    }
}
