//! Ids are given out once, for ever: of operations, of nodes, of the replicas of a group.

use std::collections::{BTreeMap, BTreeSet};

use super::laws::Transition;

/// The highest id of each kind so far.
#[derive(Default)]
pub struct Numbers {
    operation: u64,
    node: u64,
    replicas: BTreeMap<u64, u64>,
}

impl Numbers {
    /// Looks at what a command has added.
    ///
    /// # Errors
    /// An id that was given out before.
    pub fn check(&mut self, transition: &Transition<'_>) -> Result<(), String> {
        let (before, after) = (transition.before, transition.after);
        let old: BTreeSet<u64> = before.operations().map(|operation| operation.id).collect();
        let new = after.operations().map(|operation| operation.id).filter(|id| !old.contains(id));
        raise(&mut self.operation, new, "operation")?;
        let new = after.nodes().map(|node| node.id).filter(|id| before.node((*id).into()).is_none());
        raise(&mut self.node, new, "node")?;
        for partition in after.partitions() {
            let old = before.partition(partition.group.into()).map_or(&[][..], |old| &old.replicas);
            let is_old = |id: &u64| old.iter().any(|replica| replica.id == *id);
            let new: BTreeSet<u64> =
                partition.replicas.iter().map(|replica| replica.id).filter(|id| !is_old(id)).collect();
            let highest = self.replicas.entry(partition.group).or_default();
            raise(highest, new.into_iter(), &format!("group {}: replica", partition.group))?;
        }
        Ok(())
    }
}

fn raise(highest: &mut u64, new: impl Iterator<Item = u64>, what: &str) -> Result<(), String> {
    for id in new {
        if id <= *highest {
            return Err(format!("{what} {id} is given out when {highest} was already"));
        }
        *highest = id;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_comes_back_is_seen() {
        let mut highest = 0;
        assert!(raise(&mut highest, [1, 2, 5].into_iter(), "node").is_ok());
        assert!(raise(&mut highest, [6].into_iter(), "node").is_ok());
        assert!(raise(&mut highest, [6].into_iter(), "node").is_err());
        assert!(raise(&mut highest, [3].into_iter(), "node").is_err());
    }
}
