//! Which writes may well change nothing, and are cheap to find out about.

use types::limits::UNCHANGED_MEMBERS_MAX;

use super::{Condition, HashOp, KvOp, ListOp, SetOp, SortedOp};

impl KvOp {
    /// Whether this is a write that often changes nothing, and that costs no more than some reads to carry out whatever
    /// there is: it is worth a look before it is written to a log.
    pub fn may_change_nothing(&self) -> bool {
        match self {
            KvOp::Set(set) => set.condition != Condition::Always as i32 && !set.return_old,
            KvOp::Del(keys) => is_few(keys.keys.len()),
            KvOp::Expire(_) => true,
            KvOp::Hash(request) => match &request.op {
                Some(HashOp::SetNew(_)) => true,
                Some(HashOp::Remove(fields)) => is_few(fields.members.len()),
                _ => false,
            },
            KvOp::List(request) => request.op.as_ref().is_some_and(of_list),
            KvOp::Sets(request) => request.op.as_ref().is_some_and(of_set),
            KvOp::Sorted(request) => match &request.op {
                Some(SortedOp::Add(add)) => is_few(add.members.len()),
                Some(SortedOp::Remove(remove)) => is_few(remove.members.len()),
                Some(SortedOp::PopFirst(pop)) => is_few(pop.keys.len()) && is_few_to_take(pop.count),
                _ => false,
            },
            _ => false,
        }
    }
}

fn of_list(op: &ListOp) -> bool {
    match op {
        ListOp::Push(push) => push.only_if_present && is_few(push.elements.len()),
        ListOp::Pop(pop) => is_few_to_take(pop.count.unwrap_or(1)),
        ListOp::PopFirst(pop) => is_few(pop.keys.len()) && is_few_to_take(pop.count),
        ListOp::Move(_) => true,
        _ => false,
    }
}

fn of_set(op: &SetOp) -> bool {
    match op {
        SetOp::Add(op) | SetOp::Remove(op) => is_few(op.members.len()),
        SetOp::Move(_) => true,
        SetOp::Pop(pop) => is_few_to_take(pop.count.unwrap_or(1)),
        _ => false,
    }
}

fn is_few(members: usize) -> bool {
    members <= UNCHANGED_MEMBERS_MAX
}

fn is_few_to_take(count: u64) -> bool {
    count <= UNCHANGED_MEMBERS_MAX as u64
}
