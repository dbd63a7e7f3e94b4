//! Permits never allow two nodes to be stopped that break a majority together.
//!
//! What other faults take meanwhile is not looked at here, only what permits alone would take.

use std::collections::BTreeSet;

use api::catalog::CatalogOp;

use super::laws::Transition;
use super::memberships::shown;
use super::votes::Votes;

/// Looks at a permit that was granted.
///
/// # Errors
/// The group that would have no majority while the nodes with permits are stopped.
pub fn check(transition: &Transition<'_>, votes: &Votes) -> Result<(), String> {
    let CatalogOp::Permit(change) = transition.op else { return Ok(()) };
    let Some(grant) = &change.grant else { return Ok(()) };
    let in_force = transition.after.permits().filter(|permit| permit.until_ms > grant.granted_ms);
    let stopped: BTreeSet<u64> = in_force.map(|permit| permit.node).collect();
    for (group, membership) in votes.memberships() {
        let voters = || membership.members.iter().filter(|member| !member.learner);
        let left = voters().filter(|voter| !stopped.contains(&voter.node)).count();
        if left < voters().count() / 2 + 1 && voters().any(|voter| voter.node == grant.node) {
            let all = shown(membership);
            return Err(format!("group {group} is {all}, and nodes {stopped:?} may be stopped"));
        }
    }
    Ok(())
}
