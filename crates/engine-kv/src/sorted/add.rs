//! Adding members, changing their scores, removing members by name.

use api::kv::{KeyAndMembers, KvError, SortedAdd};
use engine::ApplyContext;

use super::change::SortedEdit;
use crate::members::check_names;
use crate::reply;
use crate::staging::Staging;
use crate::state::{Outcome, Stop};

/// The sum of a score and an increment is not a number, which only infinities bring about.
const NOT_A_NUMBER: &str = "ERR resulting score is not a number (NaN)";

/// Adds members or changes their scores.
pub(super) fn add(staging: &mut Staging, context: &ApplyContext, add: &SortedAdd) -> Outcome {
    let is_odd = add.increment && add.members.len() != 1;
    if is_odd || add.members.iter().any(|member| member.score.is_nan()) {
        return Err(Stop::Refused(KvError::Unsupported));
    }
    check_names(add.members.iter().map(|scored| &scored.member))?;
    let mut set = SortedEdit::open(staging, context, &add.key)?;
    let (mut added, mut changed) = (0, 0);
    let mut last = None;
    for scored in &add.members {
        let before = set.score(staging, context, &scored.member)?;
        let Some(score) = new_score(add, before, scored.score) else { continue };
        if score.is_nan() {
            return Ok(reply::refusal(NOT_A_NUMBER));
        }
        last = Some(score);
        if before == Some(score) {
            continue;
        }
        set.set(staging, context, &scored.member, before, score);
        match before {
            None => added += 1,
            Some(_) => changed += 1,
        }
    }
    if added + changed > 0 {
        set.finish(staging, context)?;
    }
    if add.increment {
        return Ok(last.map_or_else(reply::nil, reply::double));
    }
    Ok(reply::integer(added + if add.count_changed { changed } else { 0 }))
}

/// The score that a member is to have, or `None` if a condition refuses. NaN, which is neither greater nor less than
/// anything, passes the conditions.
fn new_score(add: &SortedAdd, before: Option<f64>, given: f64) -> Option<f64> {
    let Some(before) = before else { return (!add.only_known).then_some(given) };
    if add.only_new {
        return None;
    }
    let score = if add.increment { before + given } else { given };
    let refused = (add.only_greater && score <= before) || (add.only_lower && score >= before);
    (!refused).then_some(score)
}

/// Removes members.
pub(super) fn remove(staging: &mut Staging, context: &ApplyContext, remove: &KeyAndMembers) -> Outcome {
    let mut set = SortedEdit::open(staging, context, &remove.key)?;
    let before = set.count();
    if before == 0 {
        return Ok(reply::integer(0));
    }
    for member in &remove.members {
        if let Some(score) = set.score(staging, context, member)? {
            set.remove(staging, context, member, score);
        }
    }
    let removed = before - set.count();
    if removed > 0 {
        set.finish(staging, context)?;
    }
    Ok(reply::integer(removed as i64))
}
