//! No operation takes a vote while it can be known that the others are no majority.
//!
//! The group itself would keep the vote until the others are back, so nothing is lost by such a step; but the
//! partition waits for them, and an operator was told that it would not. A node that has not run for long enough
//! is known to be down by everybody who has been awake meanwhile.

use std::collections::BTreeSet;

use api::operation::{Edit, OperationChange};
use types::GroupId;

use super::memberships::shown;
use super::votes::Votes;

/// The leader of the catalog wishes for a change while these nodes have been down for long.
///
/// # Errors
/// The vote that it takes, and who stays.
pub fn check(change: &OperationChange, down: &BTreeSet<u64>, votes: &Votes) -> Result<(), String> {
    for edit in change.edits.iter().filter_map(|edit| edit.edit.as_ref()) {
        let (group, replica) = match edit {
            Edit::RemoveReplica(leaving) => (leaving.group, leaving.replica),
            Edit::SetOffline(set) if set.offline => (set.group, set.replica),
            _ => continue,
        };
        let Some(membership) = votes.membership(GroupId(group)) else { continue };
        let voters = || membership.members.iter().filter(|member| !member.learner);
        if !voters().any(|voter| voter.replica == replica) {
            continue;
        }
        let others = || voters().filter(|voter| voter.replica != replica);
        let awake = others().filter(|voter| !down.contains(&voter.node)).count();
        if awake < others().count() / 2 + 1 {
            let all = shown(membership);
            return Err(format!(
                "replica {replica} of group {group} is to lose its vote, which is {all}, while nodes {down:?} are down"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use api::operation::{CatalogEdit, SetOffline};
    use api::peer::{Member, Membership};

    use super::*;

    #[test]
    fn a_vote_needs_others_that_are_awake() {
        let member = |replica| Member { replica, node: replica, learner: false };
        let mut votes = Votes::default();
        let membership = Membership { epoch: 1, members: [1, 2, 3].map(member).into() };
        assert!(votes.is_in(GroupId(1), &membership).is_ok());
        let edit = Edit::SetOffline(SetOffline { group: 1, replica: 1, offline: true, ..Default::default() });
        let change = OperationChange { edits: vec![CatalogEdit { edit: Some(edit) }], ..Default::default() };
        assert!(check(&change, &BTreeSet::new(), &votes).is_ok());
        assert!(check(&change, &BTreeSet::from([1]), &votes).is_ok(), "it goes anyway");
        assert!(check(&change, &BTreeSet::from([2]), &votes).is_err(), "one of two");
    }
}
