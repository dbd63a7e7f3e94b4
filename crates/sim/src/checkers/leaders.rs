//! At most one leader per group and term.

use std::collections::BTreeMap;

use types::{GroupId, ReplicaId};

use crate::event::Place;

/// Who led what.
#[derive(Default)]
pub struct Leaders(BTreeMap<(GroupId, u64), (ReplicaId, Place)>);

impl Leaders {
    /// A replica leads.
    pub fn leads(
        &mut self,
        place: Place,
        group: GroupId,
        term: u64,
        replica: ReplicaId,
    ) -> Result<(), String> {
        let (known, there) = *self.0.entry((group, term)).or_insert((replica, place));
        if known == replica {
            return Ok(());
        }
        Err(format!(
            "group {group} has two leaders in term {term}: replica {known} on node {} and replica {replica} \
             on node {}",
            there + 1,
            place + 1
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_leader_of_a_term_is_seen_and_a_later_term_is_not_one() {
        let mut leaders = Leaders::default();
        assert!(leaders.leads(0, GroupId(1), 5, ReplicaId(1)).is_ok());
        assert!(leaders.leads(0, GroupId(1), 5, ReplicaId(1)).is_ok());
        assert!(leaders.leads(1, GroupId(1), 6, ReplicaId(2)).is_ok());
        assert!(leaders.leads(1, GroupId(2), 5, ReplicaId(2)).is_ok());
        assert!(leaders.leads(1, GroupId(1), 5, ReplicaId(2)).is_err());
    }
}
