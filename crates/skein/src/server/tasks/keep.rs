//! Older backups of a schedule go, once there is a newer one that is good.
//!
//! Only backups of this cluster and schedule are looked at. The newest complete ones stay, as many as are kept, and so
//! does the last one that was proven, however old it is. Of what was interrupted goes what is older than the newest
//! complete one: nobody can go on with it any more.

use backup::{Listed, State};
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
    let mut notes = Vec::new();
    for id in surplus(&ours, keep as usize) {
        at_work.check(&format!("backup {id} is removed"))?;
        backup::delete(&*target, id).map_err(|error| error.to_fault())?;
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

#[cfg(test)]
mod tests {
    use super::*;

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
