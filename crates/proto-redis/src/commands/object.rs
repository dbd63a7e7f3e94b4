//! What tools ask about a value: `OBJECT` and `MEMORY`.

use super::{integer, introspection, is_word, keyed};
use crate::form::Shape;
use crate::plan::Plan;
use crate::table::Call;
use crate::text::{ErrorText, SYNTAX, wrong_arity};
use api::kv::{GenericOp, GenericRequest, Key, KvOp, Usage};

type Parsed = Result<Plan, ErrorText>;

/// Elements that `MEMORY USAGE` looks at, as in Redis.
const SAMPLES: u64 = 5;
const NO_FREQUENCY: ErrorText = ErrorText::fixed(
    "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.",
);

/// `OBJECT` or `MEMORY` alone; its arity asks for a subcommand, so this is not reached.
pub(crate) fn container(call: &mut Call<'_>) -> Parsed {
    Err(wrong_arity(call.command.full_name))
}

pub(crate) fn help(call: &mut Call<'_>) -> Parsed {
    introspection::help(call)
}

pub(crate) fn encoding(call: &mut Call<'_>) -> Parsed {
    generic(call, GenericOp::Encoding(Key { key: call.arg(2) }), Shape::Plain)
}

pub(crate) fn idletime(call: &mut Call<'_>) -> Parsed {
    generic(call, GenericOp::Idle(Key { key: call.arg(2) }), Shape::Plain)
}

/// Values are not shared: each has one key.
pub(crate) fn refcount(call: &mut Call<'_>) -> Parsed {
    keyed(call, KvOp::Type(Key { key: call.arg(2) }), Shape::OneIfPresent)
}

pub(crate) fn freq(call: &mut Call<'_>) -> Parsed {
    keyed(call, KvOp::Type(Key { key: call.arg(2) }), Shape::RefuseIfPresent(NO_FREQUENCY))
}

/// `MEMORY USAGE key [SAMPLES count]`
pub(crate) fn usage(call: &mut Call<'_>) -> Parsed {
    let mut samples = SAMPLES;
    let mut rest = &call.args[3..];
    while let [word, tail @ ..] = rest {
        let (true, [count, tail @ ..]) = (is_word(word, "SAMPLES"), tail) else { return Err(SYNTAX) };
        samples = u64::try_from(integer(count)?).map_err(|_| SYNTAX)?;
        rest = tail;
    }
    generic(call, GenericOp::Usage(Usage { key: call.arg(2), samples }), Shape::Plain)
}

fn generic(call: &Call<'_>, op: GenericOp, shape: Shape) -> Parsed {
    keyed(call, KvOp::Generic(GenericRequest::new(op)), shape)
}
