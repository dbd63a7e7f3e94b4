//! Removing all members between two bounds, and the first or last ones.

use api::kv::{KvError, SortedBetween, SortedPop};
use bytes::Bytes;
use engine::{ApplyContext, EngineError};
use types::limits::{EDIT_BYTES_MAX, EDIT_ELEMENT_BYTES};

use super::bounds::between;
use super::change::SortedEdit;
use super::range::Scored;
use super::read::Sorted;
use crate::reader::encode;
use crate::reply::{self, Gathered};
use crate::staging::Staging;
use crate::state::{Outcome, Stop};

/// Members with their scores.
type Members = Vec<(Bytes, f64)>;

/// What is to be done to a set to remove a range.
enum Removal {
    /// Nothing lies there.
    Nothing,
    /// Everything does.
    Everything,
    /// Remove these.
    Few(Members),
    /// Keep these, which are fewer than the others.
    AllBut(Members),
}

/// Removes all members between two bounds. Never touches more than half of the members one by one.
pub(super) fn remove_between(staging: &mut Staging, context: &ApplyContext, ask: &SortedBetween) -> Outcome {
    let mut set = SortedEdit::open(staging, context, &ask.key)?;
    let before = set.count();
    if before == 0 {
        return Ok(reply::integer(0));
    }
    match set.look(staging, context, |set| removal(set, ask))? {
        Removal::Nothing => return Ok(reply::integer(0)),
        Removal::Everything => set.clear(),
        Removal::Few(members) => {
            for (member, score) in members {
                set.remove(staging, context, &member, score);
            }
        }
        Removal::AllBut(members) => {
            set.start_over(staging);
            for (member, score) in members {
                set.set(staging, context, &member, None, score);
            }
        }
    }
    let removed = before - set.count();
    set.finish(staging, context)?;
    Ok(reply::integer(removed as i64))
}

fn removal(set: &Sorted<'_>, ask: &SortedBetween) -> Result<Removal, Stop> {
    let bounds = ask.between.as_ref().ok_or(Stop::Refused(KvError::Unsupported))?;
    let between = between(set, bounds)?.ok_or(Stop::Refused(KvError::Unsupported))?;
    if between.is_empty() {
        return Ok(Removal::Nothing);
    }
    let (from, to) = (set.rank_before(&between.from)?, set.rank_before(&between.to)?);
    let removed = to.saturating_sub(from);
    Ok(if removed == 0 {
        Removal::Nothing
    } else if removed == set.count {
        Removal::Everything
    } else if removed <= set.count / 2 {
        Removal::Few(held(set.between(&between.from, &between.to, false))?)
    } else {
        let before = set.in_order().take(from as usize);
        let behind = set.at_rank(to, false)?;
        Removal::AllBut(held(before.chain(behind))?)
    })
}

/// Removes the first or last members of the first key that has any.
pub(super) fn pop_first(staging: &mut Staging, context: &ApplyContext, ask: &SortedPop) -> Outcome {
    for (number, key) in ask.keys.iter().enumerate() {
        let mut popped = Scored::default();
        {
            let look = staging.look(context);
            let Some(set) = Sorted::find(&look, key)? else { continue };
            for member in set.at_rank(0, !ask.min)?.take(usize::try_from(ask.count).unwrap_or(usize::MAX)) {
                let (member, score) = member?;
                popped.add(member, score)?;
            }
        }
        let mut set = SortedEdit::open(staging, context, key)?;
        for popped in popped.members() {
            set.remove(staging, context, &popped.member, popped.score);
        }
        if !popped.members().is_empty() {
            set.finish(staging, context)?;
        }
        let mut replies = Gathered::many();
        replies.add_reply(&reply::integer(number as i64))?;
        replies.add_reply(&encode(popped.answer()))?;
        return Ok(replies.finish());
    }
    Ok(reply::nil())
}

/// Members that a command holds in memory at once.
///
/// # Errors
/// `EditTooLarge` if they are more than it may.
pub(super) fn held(
    members: impl Iterator<Item = Result<(Bytes, f64), EngineError>>,
) -> Result<Members, Stop> {
    let mut bytes = 0;
    let mut held = Vec::new();
    for member in members {
        let (member, score) = member?;
        bytes += member.len() + EDIT_ELEMENT_BYTES;
        if bytes > EDIT_BYTES_MAX {
            return Err(Stop::Refused(KvError::EditTooLarge));
        }
        held.push((member, score));
    }
    Ok(held)
}
