//! Older backups of a schedule go, once there is a newer one that is good.
//!
//! Only backups of this cluster and schedule go. The newest complete ones stay, as many as are kept, and so does the last
//! one that was proven, however old it is; and whatever any backup that stays, anybody's, stands on. Of what was
//! interrupted goes what is older than the newest complete one: nobody can go on with it any more.

use std::collections::BTreeSet;

use backup::{BackupError, Listed, State};
use node::TaskResult;
use types::Fault;

use super::AtWork;
use super::save::open;

/// Removes what a schedule does not keep.
pub(super) fn remove_older(
    at_work: &AtWork<'_>,
    url: &str,
    schedule: &str,
    keep: u32,
) -> Result<TaskResult, Fault> {
    if keep == 0 {
        return Ok(TaskResult::default());
    }
    at_work.check("older backups are looked at")?;
    let target = open(url)?;
    let listed = backup::list(&*target).map_err(|error| error.to_fault())?;
    let is_ours = |listed: &&Listed| {
        let begun = listed.begun.as_ref();
        begun.is_some_and(|begun| begun.schedule == schedule && begun.cluster == at_work.names.id)
    };
    let ours: Vec<(&str, State)> =
        listed.iter().filter(is_ours).map(|listed| (listed.id.as_str(), listed.state)).collect();
    let parents: Vec<(&str, Option<&str>)> =
        listed.iter().map(|listed| (&*listed.id, parent(listed))).collect();
    let mut notes = Vec::new();
    for id in without_needed(surplus(&ours, keep as usize), &parents) {
        at_work.check(&format!("backup {id} is removed"))?;
        match backup::delete(&*target, id) {
            // Somebody has begun one on it since it was looked at.
            Err(BackupError::Needed { .. }) => continue,
            removed => removed.map_err(|error| error.to_fault())?,
        };
        notes.push(format!("backup {id} was removed: {keep} are kept"));
    }
    Ok(TaskResult { saved: None, notes })
}

/// What goes, of the backups of one schedule, oldest first.
fn surplus<'a>(backups: &[(&'a str, State)], keep: usize) -> Vec<&'a str> {
    let is_good = |state: State| matches!(state, State::Complete | State::Proven);
    let proven = backups.iter().rposition(|(_, state)| *state == State::Proven);
    let newest = backups.iter().rposition(|(_, state)| is_good(*state));
    let good: Vec<usize> = (0..backups.len()).filter(|place| is_good(backups[*place].1)).collect();
    let older = &good[..good.len().saturating_sub(keep)];
    let goes = |place: &usize| match backups[*place].1 {
        State::Complete | State::Proven => older.contains(place) && Some(*place) != proven,
        State::Begun => newest.is_some_and(|newest| *place < newest),
        // Somebody shall look at it.
        State::Damaged => false,
    };
    (0..backups.len()).filter(goes).map(|place| backups[place].0).collect()
}

/// The backup that one stands on.
fn parent(listed: &Listed) -> Option<&str> {
    Some(listed.begun.as_ref()?.parent.as_ref()?.id.as_str())
}

/// Of those that shall go the ones on which nothing stands that stays, in the order in which they go: none before those
/// that stand on it. `parents` are all backups and what each stands on.
fn without_needed<'a>(going: Vec<&'a str>, parents: &[(&'a str, Option<&'a str>)]) -> Vec<&'a str> {
    let mut left: BTreeSet<&str> = parents.iter().map(|(id, _)| *id).collect();
    let mut gone = Vec::new();
    loop {
        let is_needed =
            |id: &str| parents.iter().any(|(other, parent)| left.contains(other) && *parent == Some(id));
        // The newest first: mostly nothing stands on it.
        let next = going.iter().rev().find(|id| left.contains(**id) && !is_needed(id)).copied();
        let Some(next) = next else { return gone };
        left.remove(next);
        gone.push(next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_stand_on_stays_with_them() {
        let chain = [("1", None), ("2", Some("1")), ("3", Some("2")), ("4", None), ("5", Some("4"))];
        let goes = |going: &[&'static str], parents: &[(&'static str, Option<&'static str>)]| {
            without_needed(going.to_vec(), parents).join(" ")
        };
        assert_eq!(goes(&["1", "2", "3"], &chain), "3 2 1");
        assert_eq!(goes(&["1", "2"], &chain), "", "3 stays, and stands on both");
        assert_eq!(goes(&["1", "2", "3", "4"], &chain), "3 2 1");
        assert_eq!(goes(&["1", "3"], &chain), "3");
        // One that somebody else takes at this moment.
        assert_eq!(goes(&["1"], &[("1", None), ("6", Some("1"))]), "");
        assert_eq!(goes(&["1"], &[("1", None), ("6", Some("7"))]), "1");
        assert_eq!(goes(&[], &chain), "");
    }

    #[test]
    fn what_is_proven_last_never_goes() {
        use State::{Begun, Complete, Damaged, Proven};
        let goes = |states: &[State], keep| {
            let names = ["1", "2", "3", "4", "5"];
            let backups: Vec<_> = names.into_iter().zip(states.iter().copied()).collect();
            surplus(&backups, keep).join(" ")
        };
        assert_eq!(goes(&[Proven, Proven, Proven], 2), "1");
        assert_eq!(goes(&[Proven, Complete, Complete, Complete], 2), "2");
        assert_eq!(goes(&[Proven, Proven, Complete, Complete], 1), "1 3");
        assert_eq!(goes(&[Complete, Complete, Complete], 5), "");
        assert_eq!(goes(&[Begun, Complete, Begun], 1), "1");
        assert_eq!(goes(&[Begun, Begun], 1), "");
        assert_eq!(goes(&[Damaged, Complete, Proven], 1), "2");
        assert_eq!(goes(&[], 1), "");
    }
}
