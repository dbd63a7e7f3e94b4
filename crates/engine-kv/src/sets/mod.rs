//! Sets: members.
//!
//! A member is a part: position and member, then the version (see `collection` and `members`).

mod algebra;

use api::kv::{
    Choice, CommonCount, KeyAndMembers, Keys, KvError, Pair, SetCombination, SetMove, SetOp, SetPop,
    SetRequest, StoreCombination,
};
use bytes::Bytes;
use engine::ApplyContext;
use engine::records::Record;
use types::limits::{RESULT_BYTES_MAX, RESULT_MEMBER_BYTES};

use crate::chance::Chance;
use crate::collection::{Edit, Found, find};
use crate::look::Look;
use crate::members;
use crate::reply::{self, Gathered};
use crate::staging::Staging;
use crate::state::{Outcome, Stop};
use crate::value::Kind;

/// Answers a read.
pub(crate) fn read(look: &dyn Look, request: &SetRequest) -> Outcome {
    let find = |key| find(look, key, Kind::Set);
    match &request.op {
        Some(SetOp::Card(key)) => Ok(reply::integer(find(&key.key)?.map_or(0, |set| set.count as i64))),
        Some(SetOp::Has(pair)) => Ok(reply::flag(has(look, find(&pair.key)?.as_ref(), &pair.value)?)),
        Some(SetOp::Contains(op)) => contains(look, find(&op.key)?.as_ref(), &op.members),
        Some(SetOp::Members(key)) => {
            let mut gathered = Gathered::page();
            if let Some(set) = find(&key.key)? {
                members::all(look, set.parts).try_for_each(|part| gather(&mut gathered, &part?))?;
            }
            Ok(gathered.finish())
        }
        Some(SetOp::Scan(op)) => {
            let mut gathered = Gathered::page();
            let next = match find(&op.key)? {
                Some(set) => {
                    members::page(look, set.parts, &op.scan, &mut |part| gather(&mut gathered, part))?
                }
                None => None,
            };
            Ok(gathered.finish_page(next))
        }
        Some(SetOp::Choose(op)) => choose(look, find(&op.key)?.as_ref(), &op.choice),
        Some(SetOp::Combine(combination)) => combine(look, combination),
        Some(SetOp::CountCommon(op)) => count_common(look, op),
        _ => Err(Stop::Refused(KvError::Unsupported)),
    }
}

/// Executes a write, or a read in the middle of writes.
pub(crate) fn write(staging: &mut Staging, context: &ApplyContext, request: &SetRequest) -> Outcome {
    match &request.op {
        Some(SetOp::Add(op)) => add(staging, context, op),
        Some(SetOp::Remove(op)) => remove(staging, context, op),
        Some(SetOp::Move(op)) => move_member(staging, context, op),
        Some(SetOp::Pop(op)) => pop(staging, context, op),
        Some(SetOp::Store(op)) => store(staging, context, op),
        _ => read(&staging.look(context), request),
    }
}

fn has(look: &dyn Look, set: Option<&Found>, member: &[u8]) -> Result<bool, Stop> {
    let Some(set) = set else { return Ok(false) };
    Ok(members::get(look, set.parts, member)?.is_some())
}

/// `SMISMEMBER`.
fn contains(look: &dyn Look, set: Option<&Found>, members: &[Bytes]) -> Outcome {
    let mut gathered = Gathered::many();
    for member in members {
        gathered.add_reply(&reply::flag(has(look, set, member)?))?;
    }
    Ok(gathered.finish())
}

/// `SRANDMEMBER`.
fn choose(look: &dyn Look, set: Option<&Found>, choice: &Choice) -> Outcome {
    if choice.count.is_some() {
        let mut gathered = Gathered::page();
        if let Some(set) = set {
            members::choose(look, set, choice, &mut |part| gather(&mut gathered, part))?;
        }
        return Ok(gathered.finish());
    }
    let mut chosen = None;
    if let Some(set) = set {
        members::choose(look, set, choice, &mut |(sub_key, _)| {
            chosen = Some(reply::value(members::name_of(sub_key)?));
            Ok(())
        })?;
    }
    Ok(chosen.unwrap_or_else(reply::nil))
}

/// `SINTER`, `SUNION`, `SDIFF`.
fn combine(look: &dyn Look, combination: &SetCombination) -> Outcome {
    let sets = find_all(look, &combination.sets)?;
    let mut gathered = Gathered::page();
    algebra::combine(look, combination.how(), &sets, &mut |sub_key| {
        gathered.add(members::name_of(sub_key)?)?;
        Ok(true)
    })?;
    Ok(gathered.finish())
}

/// `SINTERCARD`.
fn count_common(look: &dyn Look, op: &CommonCount) -> Outcome {
    let mut count = 0;
    algebra::intersection(look, &find_all(look, &op.sets)?, &mut |_| {
        count += 1;
        Ok(op.limit == 0 || count < op.limit)
    })?;
    Ok(reply::integer(count as i64))
}

/// The sets under these keys, `None` for those that do not exist.
fn find_all(look: &dyn Look, keys: &Keys) -> Result<Vec<Option<Found>>, Stop> {
    keys.keys.iter().map(|key| find(look, key, Kind::Set)).collect()
}

fn gather(gathered: &mut Gathered, (sub_key, _): &Record) -> Result<(), Stop> {
    gathered.add(members::name_of(sub_key)?)
}

/// `SADD`.
fn add(staging: &mut Staging, context: &ApplyContext, op: &KeyAndMembers) -> Outcome {
    members::check_names(op.members.iter())?;
    let mut set = Edit::open(staging, context, &op.key, Kind::Set)?;
    let mut added = 0;
    for member in &op.members {
        added += u64::from(put_if_new(staging, context, &mut set, member)?);
    }
    if added > 0 {
        set.finish(staging, context);
    }
    Ok(reply::integer(added as i64))
}

/// `SREM`.
fn remove(staging: &mut Staging, context: &ApplyContext, op: &KeyAndMembers) -> Outcome {
    let mut set = Edit::open(staging, context, &op.key, Kind::Set)?;
    let removed = set.remove_named(staging, context, &op.members)?;
    if removed > 0 {
        set.finish(staging, context);
    }
    Ok(reply::integer(removed as i64))
}

/// `SMOVE`. Without a source Redis does not look at the type of the destination.
fn move_member(staging: &mut Staging, context: &ApplyContext, op: &SetMove) -> Outcome {
    let slot = staging.slot(context, &op.from)?;
    if slot.found.is_none() {
        return Ok(reply::flag(false));
    }
    let mut from = Edit::of_slot(staging, slot, Kind::Set)?;
    if op.from == op.to {
        let pair = Pair { key: op.from.clone(), value: op.member.clone() };
        return read(&staging.look(context), &SetRequest { op: Some(SetOp::Has(pair)) });
    }
    let mut to = Edit::open(staging, context, &op.to, Kind::Set)?;
    if from.remove_named(staging, context, std::slice::from_ref(&op.member))? == 0 {
        return Ok(reply::flag(false));
    }
    from.finish(staging, context);
    if put_if_new(staging, context, &mut to, &op.member)? {
        to.finish(staging, context);
    }
    Ok(reply::flag(true))
}

/// `SPOP`. The reply is complete before anything is removed, so that one that is refused removes nothing.
fn pop(staging: &mut Staging, context: &ApplyContext, op: &SetPop) -> Outcome {
    let found = find(&staging.look(context), &op.key, Kind::Set)?;
    let Some(found) = found.filter(|_| op.count != Some(0)) else {
        return Ok(if op.count.is_some() { Gathered::page().finish() } else { reply::nil() });
    };
    let wanted = op.count.unwrap_or(1).min(found.count);
    let takes_all = wanted == found.count;
    let (mut gathered, mut sub_keys) = (Gathered::page(), Vec::new());
    let mut chance = Chance::new(context.seed);
    members::different(&staging.look(context), &found, wanted, &mut chance, &mut |part| {
        if !takes_all {
            sub_keys.push(part.0.clone());
        }
        gather(&mut gathered, part)
    })?;
    let mut set = Edit::open(staging, context, &op.key, Kind::Set)?;
    for sub_key in &sub_keys {
        set.remove(staging, context, sub_key);
    }
    // Without members the key goes, and all its parts with it.
    set.count = if takes_all { 0 } else { set.count.saturating_sub(sub_keys.len() as u64) };
    set.finish(staging, context);
    Ok(match op.count {
        Some(_) => gathered.finish(),
        None => gathered.finish_single(),
    })
}

/// `SINTERSTORE`, `SUNIONSTORE`, `SDIFFSTORE`. The destination may be one of the sources, so the result is
/// complete before it is stored.
fn store(staging: &mut Staging, context: &ApplyContext, op: &StoreCombination) -> Outcome {
    let (mut sub_keys, mut bytes) = (Vec::new(), 0);
    {
        let look = staging.look(context);
        let sets = find_all(&look, &op.combination.sets)?;
        algebra::combine(&look, op.combination.how(), &sets, &mut |sub_key| {
            bytes += sub_key.len() + RESULT_MEMBER_BYTES;
            if bytes > RESULT_BYTES_MAX {
                return Err(Stop::Refused(KvError::ResultTooLarge));
            }
            sub_keys.push(sub_key.clone());
            Ok(true)
        })?;
    }
    staging.make(context, bytes)?;
    let mut set = Edit::replacing(staging, context, &op.to, Kind::Set)?;
    for sub_key in &sub_keys {
        set.put(staging, context, sub_key, part(context));
    }
    set.count = sub_keys.len() as u64;
    set.finish(staging, context);
    Ok(reply::integer(sub_keys.len() as i64))
}

/// Stages a member; whether it is new.
fn put_if_new(
    staging: &mut Staging,
    context: &ApplyContext,
    set: &mut Edit,
    member: &[u8],
) -> Result<bool, Stop> {
    let record_key = set.parts.key_of_member(&[], member);
    if set.get_record(staging, context, &record_key)?.is_some() {
        return Ok(false);
    }
    set.put_record(staging, context, record_key, Some(part(context)));
    set.count += 1;
    Ok(true)
}

/// A part's value.
fn part(context: &ApplyContext) -> Bytes {
    Bytes::copy_from_slice(&context.hlc.0.to_be_bytes())
}
