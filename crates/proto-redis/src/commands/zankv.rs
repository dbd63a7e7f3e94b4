//! Commands that ZanKV has and Redis has not.
//!
//! They exist on both ports. Those whose names have another meaning in a newer Redis mean ZanKV's on the ZanKV
//! port only.

use super::{expiry, integer, is_word, keyed};
use crate::form::Shape;
use crate::plan::Plan;
use crate::scan::Walk;
use crate::table::Call;
use crate::table_scan::TableScan;
use crate::text::{ErrorText, SYNTAX, invalid_expire, wrong_arity};
use crate::unsupported::refuse;
use api::kv::{ContentKind, ExpiryKind, IfEqual, KvOp, Nothing, TypedOp, TypedRequest};

type Parsed = Result<Plan, ErrorText>;

const BAD_SCAN_TYPE: ErrorText = ErrorText::fixed("ERR invalid scan type");

/// `SETIFEQ key oldvalue newvalue [EX seconds]`
pub(crate) fn setifeq(call: &mut Call<'_>) -> Parsed {
    let (kind, millis) = match &call.args[4..] {
        [] => (ExpiryKind::Clear, 0),
        [word, seconds] if is_word(word, "EX") => {
            let millis = integer(seconds)?.checked_mul(1000).filter(|millis| *millis > 0);
            (ExpiryKind::In, millis.ok_or_else(|| invalid_expire(call.command.full_name))?)
        }
        _ => return Err(SYNTAX),
    };
    let op = IfEqual {
        key: call.arg(1),
        expected: call.arg(2),
        value: Some(call.value(3)?),
        expiry: expiry(kind, millis),
    };
    keyed(call, KvOp::IfEqual(op), Shape::Plain)
}

/// `DELIFEQ key oldvalue`
pub(crate) fn delifeq(call: &mut Call<'_>) -> Parsed {
    let op = IfEqual { key: call.arg(1), expected: call.arg(2), value: None, expiry: None };
    keyed(call, KvOp::IfEqual(op), Shape::Plain)
}

pub(crate) fn clear(call: &mut Call<'_>) -> Parsed {
    typed(call, TypedOp::Clear(Nothing {}), Shape::Plain)
}

pub(crate) fn expire(call: &mut Call<'_>) -> Parsed {
    let millis = integer(&call.args[2])?.checked_mul(1000);
    let millis = millis.ok_or_else(|| invalid_expire(call.command.full_name))?;
    typed(call, TypedOp::Expire(millis), Shape::Plain)
}

pub(crate) fn ttl(call: &mut Call<'_>) -> Parsed {
    typed(call, TypedOp::Ttl(Nothing {}), Shape::Seconds)
}

pub(crate) fn persist(call: &mut Call<'_>) -> Parsed {
    typed(call, TypedOp::Persist(Nothing {}), Shape::Plain)
}

pub(crate) fn keyexist(call: &mut Call<'_>) -> Parsed {
    typed(call, TypedOp::Exists(Nothing {}), Shape::Plain)
}

/// `HEXPIRE key seconds`, `HTTL key`, `HPERSIST key`: on the plain port, what they mean in Redis 7.4 is refused.
pub(crate) fn hash_expiry(call: &mut Call<'_>) -> Parsed {
    const FIELDS: &str = "in Redis it is about the expiry of single fields, which is not part of this release; \
                          EXPIRE, TTL and PERSIST are about whole keys, and on the ZanKV port so is this";
    if !call.session.is_zankv() {
        return Err(refuse(call.command.full_name, FIELDS));
    }
    match (call.command.name, call.args.len()) {
        ("hexpire", 3) => expire(call),
        ("httl", 2) => ttl(call),
        ("hpersist", 2) => persist(call),
        _ => Err(wrong_arity(call.command.full_name)),
    }
}

/// `ADVSCAN namespace:table:cursor KV|HASH|LIST|SET|ZSET [MATCH pattern] [COUNT count]`, `ADVREVSCAN` and
/// `FULLSCAN`
pub(crate) fn table_scan(call: &mut Call<'_>) -> Parsed {
    check_port(call)?;
    let kind = String::from_utf8_lossy(&call.args[2]).to_ascii_lowercase();
    let kind = ContentKind::named(&kind).ok_or(BAD_SCAN_TYPE)?;
    walk(call, kind, call.command.name == "fullscan", 3)
}

/// `REVSCAN namespace:table:cursor [MATCH pattern] [COUNT count]`; on this port `SCAN` knows such cursors, too.
pub(crate) fn revscan(call: &mut Call<'_>) -> Parsed {
    check_port(call)?;
    walk(call, ContentKind::String, false, 2)
}

/// Tables, and with them these walks, are named on ZanKV's port only.
fn check_port(call: &Call<'_>) -> Result<(), ErrorText> {
    const OTHER_PORT: &str =
        "it walks through a table of ZanKV's, and those are on the ZanKV port; SCAN walks here";
    if call.session.is_zankv() { Ok(()) } else { Err(refuse(call.command.full_name, OTHER_PORT)) }
}

/// A walk whose options begin at this argument.
pub(super) fn walk(call: &Call<'_>, kind: ContentKind, with_values: bool, options: usize) -> Parsed {
    let mut scan = TableScan::new(&call.arg(1), kind, with_values)?;
    let mut rest = &call.args[options..];
    while let [word, tail @ ..] = rest {
        let [argument, tail @ ..] = tail else { return Err(SYNTAX) };
        rest = tail;
        if is_word(word, "COUNT") {
            scan.set_count(u64::try_from(integer(argument)?).ok().filter(|count| *count > 0).ok_or(SYNTAX)?);
        } else if is_word(word, "MATCH") {
            scan.set_pattern(argument.clone());
        } else {
            return Err(SYNTAX);
        }
    }
    Ok(Plan::Walk(Walk::Table(scan)))
}

/// The first letter of the command's name says which kind it is about.
fn typed(call: &Call<'_>, op: TypedOp, shape: Shape) -> Parsed {
    let kind = match call.command.name.as_bytes().first() {
        Some(b'h') => ContentKind::Hash,
        Some(b'l') => ContentKind::List,
        Some(b's') => ContentKind::Set,
        Some(b'z') => ContentKind::SortedSet,
        // Bitmaps are strings.
        _ => ContentKind::String,
    };
    keyed(call, KvOp::Typed(TypedRequest::new(call.arg(1), kind, op)), shape)
}
