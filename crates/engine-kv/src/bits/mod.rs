//! Bits of strings: `SETBIT` and its kin, each as Redis 7 defines it.
//!
//! A string whose bits are set one by one may be long, and writing it whole for each bit would be slow. So a
//! long one is cut into pages when its bits are changed (see `text`); to every other command it still is a
//! string.

mod combine;
mod fields;
mod search;
mod text;

use api::kv::{BitPlace, BitSet, BitsOp, BitsRequest, KvError};
use engine::ApplyContext;

use crate::look::Look;
use crate::reply;
use crate::staging::Staging;
use crate::state::{Outcome, Stop};

pub(crate) use text::Editing;
pub(crate) use text::{Text, assembled};

/// Answers a read.
pub(crate) fn read(look: &dyn Look, request: &BitsRequest) -> Outcome {
    match &request.op {
        Some(BitsOp::Get(place)) => get(look, place),
        Some(BitsOp::Count(count)) => search::count(look, count),
        Some(BitsOp::Find(find)) => search::find(look, find),
        Some(BitsOp::Read(fields)) => fields::read(look, fields),
        _ => Err(Stop::Refused(KvError::Unsupported)),
    }
}

/// Executes a write, or a read in the middle of writes.
pub(crate) fn write(staging: &mut Staging, context: &ApplyContext, request: &BitsRequest) -> Outcome {
    match &request.op {
        Some(BitsOp::Set(set)) => set_bit(staging, context, set),
        Some(BitsOp::Combine(combine)) => combine::store(staging, context, combine),
        Some(BitsOp::Change(fields)) => fields::change(staging, context, fields),
        _ => read(&staging.look(context), request),
    }
}

fn get(look: &dyn Look, place: &BitPlace) -> Outcome {
    let Some(stored) = look.live(&place.key)? else { return Ok(reply::integer(0)) };
    let mut byte = [0];
    Text::of(look, &stored)?.read(look, place.offset / 8, &mut byte)?;
    Ok(reply::flag(byte[0] & mask(place.offset) != 0))
}

fn set_bit(staging: &mut Staging, context: &ApplyContext, set: &BitSet) -> Outcome {
    let at = set.offset / 8;
    let mut string = Editing::open(staging, context, &set.key, at + 1)?;
    let mut byte = [0];
    string.read(&staging.look(context), at, &mut byte)?;
    let before = byte[0] & mask(set.offset) != 0;
    if before != set.on {
        string.write(staging, context, at, &[byte[0] ^ mask(set.offset)])?;
    }
    string.finish(staging, context);
    Ok(reply::flag(before))
}

/// A bit's place in its byte.
fn mask(offset: u64) -> u8 {
    0x80 >> (offset % 8)
}
