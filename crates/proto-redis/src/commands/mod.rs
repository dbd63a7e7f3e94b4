//! The parse functions of the command table, by chapter.

pub(crate) mod bits;
pub(crate) mod blocking;
pub(crate) mod client;
pub(crate) mod connection;
pub(crate) mod dump;
pub(crate) mod geo;
pub(crate) mod hashes;
pub(crate) mod hyperloglog;
pub(crate) mod introspection;
pub(crate) mod keys;
pub(crate) mod lists;
mod members;
pub(crate) mod object;
pub(crate) mod server;
pub(crate) mod sets;
pub(crate) mod slow_log;
pub(crate) mod sort;
pub(crate) mod sorted;
pub(crate) mod strings;
pub(crate) mod zankv;

use crate::form::{Form, Shape};
use crate::plan::{Keyed, Plan};
use crate::table::Call;
use crate::text::{ErrorText, NOT_INTEGER, parse_integer};
use api::kv::{Expiry, ExpiryKind, KvOp};

/// One operation of one partition, with its answer in this shape.
fn keyed(call: &Call<'_>, op: KvOp, shape: Shape) -> Result<Plan, ErrorText> {
    Ok(Plan::Keyed(Keyed { op, form: Form { shape, command: call.command.full_name } }))
}

/// A whole number, or `ERR value is not an integer or out of range`.
fn integer(text: &[u8]) -> Result<i64, ErrorText> {
    parse_integer(text).ok_or(NOT_INTEGER)
}

/// Whether an argument is this word, in any case of letters.
fn is_word(arg: &[u8], word: &str) -> bool {
    arg.eq_ignore_ascii_case(word.as_bytes())
}

fn expiry(kind: ExpiryKind, millis: i64) -> Option<Expiry> {
    Some(Expiry { kind: kind as i32, millis })
}
