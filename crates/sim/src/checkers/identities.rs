//! A replica id is used once: whoever made a promise under it is the only one who ever had it.

use std::collections::BTreeMap;

use types::{GroupId, ReplicaId};

use crate::event::Place;

/// Where each replica was made.
#[derive(Default)]
pub struct Identities(BTreeMap<(GroupId, ReplicaId), Place>);

impl Identities {
    /// A replica was made.
    pub fn created(&mut self, place: Place, group: GroupId, replica: ReplicaId) -> Result<(), String> {
        match self.0.insert((group, replica), place) {
            None => Ok(()),
            Some(there) => {
                let (first, second) = (there + 1, place + 1);
                Err(format!(
                    "replica {replica} of group {group} was made on node {first}, then on node {second}"
                ))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_that_is_made_twice_is_seen() {
        let mut identities = Identities::default();
        assert!(identities.created(0, GroupId(1), ReplicaId(1)).is_ok());
        assert!(identities.created(0, GroupId(2), ReplicaId(1)).is_ok());
        assert!(identities.created(1, GroupId(1), ReplicaId(2)).is_ok());
        assert!(identities.created(1, GroupId(1), ReplicaId(1)).is_err());
    }
}
