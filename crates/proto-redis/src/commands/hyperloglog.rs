//! Commands on HyperLogLogs.

use super::keyed;
use crate::form::Shape;
use crate::plan::Plan;
use crate::table::Call;
use crate::text::ErrorText;
use api::kv::{HyperLogLogOp, HyperLogLogRequest, KeyAndMembers, Keys, KvOp};

type Parsed = Result<Plan, ErrorText>;

pub(crate) fn pfadd(call: &mut Call<'_>) -> Parsed {
    let add = KeyAndMembers { key: call.arg(1), members: call.args[2..].to_vec() };
    request(call, HyperLogLogOp::Add(add))
}

pub(crate) fn pfcount(call: &mut Call<'_>) -> Parsed {
    request(call, HyperLogLogOp::Count(Keys { keys: call.args[1..].to_vec() }))
}

pub(crate) fn pfmerge(call: &mut Call<'_>) -> Parsed {
    request(call, HyperLogLogOp::Merge(Keys { keys: call.args[1..].to_vec() }))
}

fn request(call: &Call<'_>, op: HyperLogLogOp) -> Parsed {
    keyed(call, KvOp::HyperLogLog(HyperLogLogRequest { op: Some(op) }), Shape::Plain)
}
