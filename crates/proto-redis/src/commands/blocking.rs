//! Commands that wait, and the one that ends a wait.

use std::time::Duration;

use super::is_word;
use super::lists::{is_left, pop_first as pop_first_list};
use super::sorted::pop_first as pop_first_sorted;
use crate::blocking::{Block, awaited};
use crate::float;
use crate::form::{Form, Shape};
use crate::parse::too_large;
use crate::plan::{Keyed, Plan, Question};
use crate::table::Call;
use crate::text::{ErrorText, NOT_INTEGER, SYNTAX, parse_integer};
use api::kv::{KvOp, ListMove, ListOp, ListPopFirst, ListRequest, SortedOp, SortedPop, SortedRequest};
use bytes::Bytes;
use types::limits::WAIT_KEYS_MAX;

type Parsed = Result<Plan, ErrorText>;

const NOT_A_TIMEOUT: ErrorText = ErrorText::fixed("ERR timeout is not a float or out of range");
const NEGATIVE_TIMEOUT: ErrorText = ErrorText::fixed("ERR timeout is negative");
const BAD_REASON: ErrorText = ErrorText::fixed("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");

/// `BLPOP key [key ...] timeout`
pub(crate) fn blpop(call: &mut Call<'_>) -> Parsed {
    pop_list(call, true)
}

/// `BRPOP key [key ...] timeout`
pub(crate) fn brpop(call: &mut Call<'_>) -> Parsed {
    pop_list(call, false)
}

/// `BLMPOP timeout numkeys key [key ...] LEFT|RIGHT [COUNT count]`
pub(crate) fn blmpop(call: &mut Call<'_>) -> Parsed {
    let pop = pop_first_list(&call.args[2..])?;
    let timeout = timeout(&call.args[1])?;
    let shape = Shape::TakenFrom(pop.keys.clone());
    block(call, list(ListOp::PopFirst(pop)), shape, timeout)
}

/// `BLMOVE source destination LEFT|RIGHT LEFT|RIGHT timeout`
pub(crate) fn blmove(call: &mut Call<'_>) -> Parsed {
    let (from_left, to_left) = (is_left(&call.args[3])?, is_left(&call.args[4])?);
    move_list(call, from_left, to_left, 5)
}

/// `BRPOPLPUSH source destination timeout`
pub(crate) fn brpoplpush(call: &mut Call<'_>) -> Parsed {
    move_list(call, false, true, 3)
}

/// `BZPOPMIN key [key ...] timeout`
pub(crate) fn bzpopmin(call: &mut Call<'_>) -> Parsed {
    pop_sorted(call, true)
}

/// `BZPOPMAX key [key ...] timeout`
pub(crate) fn bzpopmax(call: &mut Call<'_>) -> Parsed {
    pop_sorted(call, false)
}

/// `BZMPOP timeout numkeys key [key ...] MIN|MAX [COUNT count]`
pub(crate) fn bzmpop(call: &mut Call<'_>) -> Parsed {
    let pop = pop_first_sorted(&call.args[2..])?;
    let timeout = timeout(&call.args[1])?;
    let shape = Shape::PoppedFrom(pop.keys.clone());
    block(call, sorted(SortedOp::PopFirst(pop)), shape, timeout)
}

/// `CLIENT UNBLOCK client-id [TIMEOUT|ERROR]`
pub(crate) fn unblock(call: &mut Call<'_>) -> Parsed {
    let with_error = match &call.args[3..] {
        [] => false,
        [how] if is_word(how, "TIMEOUT") => false,
        [how] if is_word(how, "ERROR") => true,
        [_] => return Err(BAD_REASON),
        _ => {
            return Err(ErrorText::new(
                [
                    b"ERR unknown subcommand or wrong number of arguments for '",
                    &call.args[1][..],
                    b"'. Try CLIENT HELP.",
                ]
                .concat(),
            ));
        }
    };
    let id = parse_integer(&call.args[2]).ok_or(NOT_INTEGER)?;
    // An id that nobody can have belongs to nobody.
    Ok(Plan::Ask(Question::ClientUnblock { id: u64::try_from(id).unwrap_or(0), with_error }))
}

fn pop_list(call: &Call<'_>, left: bool) -> Parsed {
    let (keys, timeout) = keys_and_timeout(call)?;
    let shape = Shape::OneTakenFrom(keys.clone());
    block(call, list(ListOp::PopFirst(ListPopFirst { keys, left, count: 1 })), shape, timeout)
}

fn pop_sorted(call: &Call<'_>, min: bool) -> Parsed {
    let (keys, timeout) = keys_and_timeout(call)?;
    let shape = Shape::OnePoppedFrom(keys.clone());
    block(call, sorted(SortedOp::PopFirst(SortedPop { keys, min, count: 1 })), shape, timeout)
}

fn move_list(call: &Call<'_>, from_left: bool, to_left: bool, timeout_at: usize) -> Parsed {
    let timeout = timeout(&call.args[timeout_at])?;
    let op = ListMove { from: call.arg(1), to: call.arg(2), from_left, to_left };
    block(call, list(ListOp::Move(op)), Shape::Plain, timeout)
}

fn list(op: ListOp) -> KvOp {
    KvOp::List(ListRequest::new(op))
}

fn sorted(op: SortedOp) -> KvOp {
    KvOp::Sorted(SortedRequest::new(op))
}

fn block(call: &Call<'_>, op: KvOp, shape: Shape, timeout: Option<Duration>) -> Parsed {
    if awaited(&op).is_some_and(|(_, keys)| keys.len() > WAIT_KEYS_MAX) {
        return Err(too_large(format!("a client waits for {WAIT_KEYS_MAX} keys at most")));
    }
    let keyed = Keyed { op, form: Form { shape, command: call.command.full_name } };
    Ok(Plan::Block(Block { keyed, timeout }))
}

/// What stands between the name and the last argument, and that one.
fn keys_and_timeout(call: &Call<'_>) -> Result<(Vec<Bytes>, Option<Duration>), ErrorText> {
    match &call.args[1..] {
        [keys @ .., last] => Ok((keys.to_vec(), timeout(last)?)),
        [] => Err(SYNTAX),
    }
}

/// Seconds, of which parts of a millisecond count as one; 0 is for ever. Redis counts in 63 bits, and what does not
/// fit comes out negative.
fn timeout(text: &[u8]) -> Result<Option<Duration>, ErrorText> {
    let seconds = float::double(text).ok_or(NOT_A_TIMEOUT)?;
    let millis = (seconds * 1000.0).ceil();
    if millis < 0.0 || millis >= i64::MAX as f64 {
        return Err(NEGATIVE_TIMEOUT);
    }
    Ok((millis > 0.0).then(|| Duration::from_millis(millis as u64)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_redis_reads_them() {
        let millis = |millis| Ok(Some(Duration::from_millis(millis)));
        for (text, wanted) in [
            ("0", Ok(None)),
            ("-0", Ok(None)),
            ("-1e-10", Ok(None)),
            ("0.0", Ok(None)),
            ("1", millis(1000)),
            ("0.001", millis(1)),
            ("1e-10", millis(1)),
            ("1.0001", millis(1001)),
            ("0x1p-9", millis(2)),
            ("1e9", millis(1_000_000_000_000)),
            ("-1", Err(NEGATIVE_TIMEOUT)),
            ("inf", Err(NEGATIVE_TIMEOUT)),
            ("1e16", Err(NEGATIVE_TIMEOUT)),
            ("nan", Err(NOT_A_TIMEOUT)),
            ("x", Err(NOT_A_TIMEOUT)),
            (" 1", Err(NOT_A_TIMEOUT)),
            ("", Err(NOT_A_TIMEOUT)),
        ] {
            assert_eq!(timeout(text.as_bytes()), wanted, "{text}");
        }
    }
}
