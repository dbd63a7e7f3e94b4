//! What tools ask about a value: `OBJECT` and `MEMORY USAGE`.
//!
//! Values are records here, in one layout for each kind whatever the size. Yet tools, and clients that tune
//! themselves, look at what `OBJECT ENCODING` says, so it says what Redis 7.0 would with its default thresholds
//! for a value that was made as it is now. (Redis keeps the larger layout when a value has shrunk.)

use api::kv::{Element, Usage};
use engine::EngineError;

use crate::collection::Found;
use crate::elements::elements;
use crate::layout::PART_PREFIX_BYTES;
use crate::look::Look;
use crate::number::parse_integer;
use crate::reply;
use crate::state::{Outcome, Stop};
use crate::strings::string_of;
use crate::value::{Kind, Stored};

/// Longest string that Redis keeps together with its head.
const EMBEDDED_BYTES_MAX: usize = 44;
/// `hash-max-listpack-entries`.
const HASH_LISTPACK_ENTRIES_MAX: u64 = 512;
/// `set-max-intset-entries`.
const INTSET_ENTRIES_MAX: u64 = 512;
/// `zset-max-listpack-entries`.
const SORTED_LISTPACK_ENTRIES_MAX: u64 = 128;
/// `hash-max-listpack-value` and `zset-max-listpack-value`.
const LISTPACK_VALUE_BYTES_MAX: usize = 64;

/// `OBJECT ENCODING`.
pub(crate) fn encoding(look: &dyn Look, key: &[u8]) -> Outcome {
    match look.live(key)? {
        Some(stored) => Ok(reply::value(encoding_of(look, &stored)?.as_bytes())),
        None => Ok(reply::nil()),
    }
}

/// `OBJECT IDLETIME`: since the last change, as reads leave no trace.
pub(crate) fn idle(look: &dyn Look, key: &[u8]) -> Outcome {
    match look.live(key)? {
        Some(stored) => {
            let millis = look.now().millis().saturating_sub(stored.header.version.millis());
            Ok(reply::integer((millis / 1000) as i64))
        }
        None => Ok(reply::nil()),
    }
}

/// `MEMORY USAGE`: the bytes of the records of a key, those of a large collection concluded from some.
pub(crate) fn usage(look: &dyn Look, request: &Usage) -> Outcome {
    let Some(stored) = look.live(&request.key)? else { return Ok(reply::nil()) };
    let own = PART_PREFIX_BYTES + request.key.len() + stored.body.len();
    let parts = match stored.header.kind {
        Kind::String => 0,
        Kind::Bitmap => string_of(look, &stored)?.len() as u64,
        kind => parts_bytes(look, kind, &Found::of(look.epoch(), &stored)?, request.samples)?,
    };
    Ok(reply::integer((own as u64).saturating_add(parts) as i64))
}

fn parts_bytes(look: &dyn Look, kind: Kind, found: &Found, samples: u64) -> Result<u64, EngineError> {
    let samples = if samples == 0 { found.count } else { samples.min(found.count) };
    let mut bytes = 0;
    for element in elements(look, kind, found).take(samples as usize) {
        bytes += (PART_PREFIX_BYTES + element?.0) as u64;
    }
    // A member of a sorted set is there twice: once to find its score, once in the order of scores.
    let copies = if kind == Kind::SortedSet { 2 } else { 1 };
    let all = u128::from(bytes) * u128::from(found.count) * copies / u128::from(samples.max(1));
    Ok(all.min(i64::MAX as u128) as u64)
}

fn encoding_of(look: &dyn Look, stored: &Stored) -> Result<&'static str, Stop> {
    let kind = stored.header.kind;
    let found = || Found::of(look.epoch(), stored);
    Ok(match kind {
        Kind::String => string_encoding(&stored.body),
        Kind::Bitmap => "raw",
        Kind::List => "quicklist",
        Kind::Hash if are_small(look, kind, &found()?, HASH_LISTPACK_ENTRIES_MAX, is_short)? => "listpack",
        Kind::SortedSet if are_small(look, kind, &found()?, SORTED_LISTPACK_ENTRIES_MAX, is_short)? => {
            "listpack"
        }
        Kind::Set if are_small(look, kind, &found()?, INTSET_ENTRIES_MAX, is_whole)? => "intset",
        Kind::Hash | Kind::Set => "hashtable",
        Kind::SortedSet => "skiplist",
    })
}

fn string_encoding(body: &[u8]) -> &'static str {
    if parse_integer(body).is_some() {
        "int"
    } else if body.len() <= EMBEDDED_BYTES_MAX {
        "embstr"
    } else {
        "raw"
    }
}

/// Whether a collection has few elements, and each passes.
fn are_small(
    look: &dyn Look,
    kind: Kind,
    found: &Found,
    entries_max: u64,
    passes: fn(&Element) -> bool,
) -> Result<bool, EngineError> {
    if found.count > entries_max {
        return Ok(false);
    }
    for element in elements(look, kind, found) {
        if !passes(&element?.1) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn is_short(element: &Element) -> bool {
    element.name.len() <= LISTPACK_VALUE_BYTES_MAX && element.value.len() <= LISTPACK_VALUE_BYTES_MAX
}

fn is_whole(element: &Element) -> bool {
    parse_integer(&element.name).is_some()
}
