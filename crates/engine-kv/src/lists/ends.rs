//! What happens at the ends of lists.

use std::ops::Range;

use api::kv::{ListMove, ListPop, ListPopFirst, ListPush, ListRange};
use api::mutant;
use bytes::Bytes;
use engine::{ApplyContext, EngineError};

use super::List;
use super::middle::{check_removals, gather};
use crate::reply::{self, Gathered};
use crate::staging::Staging;
use crate::state::{Outcome, Stop};

/// A trim that removes no more elements than this removes them one by one, however few stay: it is cheap, and
/// leaves no dead collection for later.
const TRIM_ONE_BY_ONE: u64 = 128;

/// `LPUSH`, `RPUSH`, `LPUSHX`, `RPUSHX`.
pub(super) fn push(staging: &mut Staging, context: &ApplyContext, push: &ListPush) -> Outcome {
    let mut list = List::open(staging, context, &push.key)?;
    if push.only_if_present && !list.edit.existed() {
        return Ok(reply::integer(0));
    }
    for element in &push.elements {
        list.push(staging, context, element.clone(), push.left)?;
    }
    let length = list.row.count as i64;
    list.finish(staging, context);
    Ok(reply::integer(length))
}

/// `LPOP`, `RPOP`.
pub(super) fn pop(staging: &mut Staging, context: &ApplyContext, pop: &ListPop) -> Outcome {
    let Some(mut list) = List::open_existing(staging, context, &pop.key)? else { return Ok(reply::nil()) };
    let reply = match pop.count {
        None => reply::value(&take_one(&mut list, staging, context, pop.left)?),
        Some(count) => {
            let (elements, stays) = outermost(&list, staging, context, count, pop.left)?;
            keep(&mut list, staging, context, stays)?;
            elements
        }
    };
    if pop.count != Some(0) {
        list.finish(staging, context);
    }
    Ok(reply)
}

/// `LMPOP`.
pub(super) fn pop_first(staging: &mut Staging, context: &ApplyContext, pop: &ListPopFirst) -> Outcome {
    for (number, key) in pop.keys.iter().enumerate() {
        let Some(mut list) = List::open_existing(staging, context, key)? else { continue };
        let mut answer = Gathered::many();
        answer.add_reply(&reply::integer(number as i64))?;
        // An answer that does not fit is refused here, before anything is removed.
        let (elements, stays) = outermost(&list, staging, context, pop.count, pop.left)?;
        answer.add_reply(&elements)?;
        keep(&mut list, staging, context, stays)?;
        list.finish(staging, context);
        return Ok(answer.finish());
    }
    Ok(reply::nil())
}

/// `LMOVE`, `RPOPLPUSH`. Without a list to take from, Redis does not look at where the element would go.
pub(super) fn move_element(staging: &mut Staging, context: &ApplyContext, request: &ListMove) -> Outcome {
    let Some(mut from) = List::open_existing(staging, context, &request.from)? else {
        return Ok(reply::nil());
    };
    if request.from == request.to {
        let element = take_one(&mut from, staging, context, request.from_left)?;
        from.push(staging, context, element.clone(), request.to_left)?;
        from.finish(staging, context);
        return Ok(reply::value(&element));
    }
    let mut to = List::open(staging, context, &request.to)?;
    let element = take_one(&mut from, staging, context, request.from_left)?;
    if mutant!(MovedAndKept) {
        from.push(staging, context, element.clone(), request.from_left)?;
    }
    from.finish(staging, context);
    to.push(staging, context, element.clone(), request.to_left)?;
    to.finish(staging, context);
    Ok(reply::value(&element))
}

/// `LTRIM`.
pub(super) fn trim(staging: &mut Staging, context: &ApplyContext, range: &ListRange) -> Outcome {
    let Some(mut list) = List::open_existing(staging, context, &range.key)? else { return Ok(reply::ok()) };
    let stays = list.row.between(range.start, range.stop);
    keep(&mut list, staging, context, stays)?;
    list.finish(staging, context);
    Ok(reply::ok())
}

/// Removes all elements but some. If most go, those that stay are copied, and the rest is garbage at once.
///
/// # Errors
/// `EditTooLarge` if so many stay that they cannot be copied, and too many go to be removed one by one; nothing is
/// changed then.
fn keep(
    list: &mut List,
    staging: &mut Staging,
    context: &ApplyContext,
    stays: Range<u64>,
) -> Result<(), Stop> {
    let count = list.row.count;
    let kept = stays.end - stays.start;
    let removed = count - kept;
    if kept == 0 {
        // The key goes, and its parts with it.
        list.row.count = 0;
        return Ok(());
    }
    if removed > TRIM_ONE_BY_ONE.max(kept) {
        let copied = gather(&list.row, &staging.look(context), [stays.clone()])?;
        if let Some(elements) = copied {
            return Ok(list.start_over(staging, context, elements)?);
        }
    }
    check_removals(removed)?;
    list.clear(staging, context, 0..stays.start);
    list.clear(staging, context, stays.end..count);
    list.row.first += stays.start;
    list.row.count = kept;
    Ok(())
}

/// Removes the element at an end of a list that is not empty.
fn take_one(
    list: &mut List,
    staging: &mut Staging,
    context: &ApplyContext,
    left: bool,
) -> Result<Bytes, EngineError> {
    let index = if left { 0 } else { list.row.count - 1 };
    let element = list.row.get(&staging.look(context), index)?;
    list.clear(staging, context, index..index + 1);
    list.row.first += u64::from(left);
    list.row.count -= 1;
    Ok(element)
}

/// Up to so many elements at an end as a reply, the outermost first, and what stays without them.
fn outermost(
    list: &List,
    staging: &Staging,
    context: &ApplyContext,
    count: u64,
    left: bool,
) -> Result<(Bytes, Range<u64>), Stop> {
    let all = list.row.count;
    let count = count.min(all);
    let (taken, stays) = if left { (0..count, count..all) } else { (all - count..all, 0..all - count) };
    let mut elements = Gathered::values();
    let look = staging.look(context);
    for element in list.row.elements(&look, taken, !left) {
        elements.add(&element?.1)?;
    }
    Ok((elements.finish(), stays))
}
