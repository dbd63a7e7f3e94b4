//! A config epoch means the same membership everywhere.

use std::collections::BTreeMap;

use api::peer::Membership;
use types::GroupId;

use crate::event::Place;

/// Memberships by group and epoch.
#[derive(Default)]
pub struct Memberships(BTreeMap<(GroupId, u64), (Membership, Place)>);

impl Memberships {
    /// A membership is in force on a replica.
    pub fn seen(&mut self, place: Place, group: GroupId, membership: &Membership) -> Result<(), String> {
        // A replica that waits for its first snapshot knows nobody.
        if membership.members.is_empty() {
            return Ok(());
        }
        let (known, there) = match self.0.get(&(group, membership.epoch)) {
            Some(known) => known,
            None => {
                self.0.insert((group, membership.epoch), (membership.clone(), place));
                return Ok(());
            }
        };
        match known == membership {
            true => Ok(()),
            false => Err(format!(
                "group {group} at epoch {}: node {} knows {}, node {} knows {}",
                membership.epoch,
                there + 1,
                shown(known),
                place + 1,
                shown(membership)
            )),
        }
    }
}

/// A membership for people: `1@1 2@2 3@3(learner)`.
pub fn shown(membership: &Membership) -> String {
    let member = |member: &api::peer::Member| {
        let learner = if member.learner { "(learner)" } else { "" };
        format!("{}@{}{learner}", member.replica, member.node)
    };
    membership.members.iter().map(member).collect::<Vec<String>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_memberships_of_one_epoch_are_seen() {
        let member = |replica| api::peer::Member { replica, node: replica, learner: false };
        let of = |replicas: &[u64]| Membership {
            epoch: 2,
            members: replicas.iter().map(|replica| member(*replica)).collect(),
        };
        let mut memberships = Memberships::default();
        assert!(memberships.seen(0, GroupId(1), &of(&[1, 2])).is_ok());
        assert!(memberships.seen(1, GroupId(1), &of(&[1, 2])).is_ok());
        assert!(memberships.seen(1, GroupId(1), &of(&[])).is_ok());
        assert!(memberships.seen(1, GroupId(1), &of(&[1, 3])).is_err());
    }
}
