//! No operation takes more votes than its kind and its plan announce: whoever loses its vote does so by an edit
//! of an operation or because it was lost, and enough others that shall stay have theirs by then.
//!
//! A replica gets its vote only once it has caught up, which others watch. So votes are what is counted here, and
//! what faults take is told apart by itself: a machine that is down keeps its vote.

use std::collections::{BTreeMap, BTreeSet};

use api::catalog::CatalogOp;
use api::operation::{Edit, OperationKind, OperationRecord, OperationState};
use api::peer::Membership;
use catalog::Catalog;
use types::{GroupId, OperationId, ReplicaId};

use super::laws::{Transition, wished};
use super::memberships::shown;

/// What is known of votes.
#[derive(Default)]
pub struct Votes {
    groups: BTreeMap<GroupId, Group>,
    /// Voters that were to stay when an operation began.
    begun: BTreeMap<OperationId, usize>,
    /// The lowest fault tolerance that a plan has announced.
    announced: BTreeMap<OperationId, u32>,
    /// Memberships that were looked at.
    pub checked: u64,
}

#[derive(Default)]
struct Group {
    membership: Membership,
    /// Replicas that may lose their vote, and how many others must have one.
    may_go: BTreeMap<ReplicaId, usize>,
}

impl Group {
    fn voters(&self) -> BTreeSet<ReplicaId> {
        let voters = self.membership.members.iter().filter(|member| !member.learner);
        voters.map(|member| ReplicaId(member.replica)).collect()
    }

    /// Voters that are wished for.
    fn staying(&self, catalog: &Catalog, group: GroupId) -> BTreeSet<ReplicaId> {
        let stay = wished(catalog, group);
        self.voters().into_iter().filter(|voter| stay.contains_key(voter)).collect()
    }
}

impl Votes {
    /// The newest membership of a group.
    pub fn membership(&self, group: GroupId) -> Option<&Membership> {
        self.groups.get(&group).map(|group| &group.membership)
    }

    /// The newest membership of each group.
    pub fn memberships(&self) -> impl Iterator<Item = (GroupId, &Membership)> {
        self.groups.iter().map(|(group, known)| (*group, &known.membership))
    }

    /// What a plan has announced for the operations that it became.
    pub fn announce(&mut self, operations: &[u64], tolerance: u32) {
        self.announced.extend(operations.iter().map(|id| (OperationId(*id), tolerance)));
    }

    /// A membership is in force.
    ///
    /// # Errors
    /// A vote that should not have gone.
    pub fn is_in(&mut self, group: GroupId, membership: &Membership) -> Result<(), String> {
        let known = self.groups.entry(group).or_default();
        if membership.epoch <= known.membership.epoch {
            return Ok(());
        }
        let old = std::mem::replace(&mut known.membership, membership.clone());
        let voters = known.voters();
        let lost =
            old.members.iter().filter(|member| !member.learner).map(|member| ReplicaId(member.replica));
        for replica in lost.filter(|replica| !voters.contains(replica)) {
            self.checked += 1;
            let change = || format!("group {group} was {} and is {}", shown(&old), shown(membership));
            let Some(least) = known.may_go.get(&replica) else {
                return Err(format!("{}: nobody said that replica {replica} should go", change()));
            };
            if voters.len() < *least {
                return Err(format!("{}: {least} votes were to stay", change()));
            }
        }
        Ok(())
    }

    /// A command has changed what is wished.
    ///
    /// # Errors
    /// A wish that takes a vote too early.
    pub fn wished(&mut self, transition: &Transition<'_>) -> Result<(), String> {
        self.note_begun(transition);
        match transition.op {
            CatalogOp::ReplaceReplica(replaced) => {
                self.give_up(transition, GroupId(replaced.group), ReplicaId(replaced.replica));
                Ok(())
            }
            // Its founders have begun nothing, or the catalog had refused.
            CatalogOp::ChooseFounders(chosen) => {
                self.give_up_founders(transition, GroupId(chosen.group));
                Ok(())
            }
            CatalogOp::Operate(change) => {
                for edit in change.edits.iter().filter_map(|edit| edit.edit.as_ref()) {
                    if let Edit::TakeOver(wish) = edit {
                        // Whoever had a vote is given up, by command.
                        self.give_up_all(transition, GroupId(wish.group));
                        continue;
                    }
                    let (group, replica) = match edit {
                        Edit::RemoveReplica(leaving) => (leaving.group, leaving.replica),
                        Edit::SetOffline(set) if set.offline => (set.group, set.replica),
                        _ => continue,
                    };
                    let by = change.update.iter().find(|record| record.group == Some(group));
                    let by = by.and_then(|record| transition.after.operation(record.id.into()));
                    self.take_vote(transition, by, GroupId(group), ReplicaId(replica))?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// What is lost cannot be asked to stay, and whatever was announced was for one replica more.
    fn give_up(&mut self, transition: &Transition<'_>, group: GroupId, replica: ReplicaId) {
        if let Some(known) = self.groups.get_mut(&group) {
            known.may_go.insert(replica, 0);
            known.may_go.values_mut().for_each(|least| *least = 0);
        }
        let of_group = |operation: &&OperationRecord| operation.group == Some(group.get());
        for operation in transition.after.operations().filter(of_group) {
            self.begun.insert(OperationId(operation.id), 0);
        }
    }

    fn give_up_all(&mut self, transition: &Transition<'_>, group: GroupId) {
        let voters = self.groups.get(&group).map(Group::voters).unwrap_or_default();
        voters.into_iter().for_each(|voter| self.give_up(transition, group, voter));
    }

    /// Founders that are wished no more. One may still be made, by a node with an old copy of the catalog.
    fn give_up_founders(&mut self, transition: &Transition<'_>, group: GroupId) {
        let after = wished(transition.after, group);
        let before = wished(transition.before, group).into_keys();
        let known = self.groups.entry(group).or_default();
        known
            .may_go
            .extend(before.filter(|founder| !after.contains_key(founder)).map(|founder| (founder, 0)));
    }

    fn note_begun(&mut self, transition: &Transition<'_>) {
        for operation in transition.after.operations() {
            let Some(group) = operation.group.filter(|_| operation.state() == OperationState::Running) else {
                continue;
            };
            let known = self.groups.get(&GroupId(group));
            let staying = || known.map_or(0, |known| known.staying(transition.before, GroupId(group)).len());
            self.begun.entry(OperationId(operation.id)).or_insert_with(staying);
        }
    }

    /// An edit lets a vote go: whoever stays must be enough already.
    fn take_vote(
        &mut self,
        transition: &Transition<'_>,
        by: Option<&OperationRecord>,
        group: GroupId,
        replica: ReplicaId,
    ) -> Result<(), String> {
        let Some(known) = self.groups.get_mut(&group) else { return Ok(()) };
        let begun = by.and_then(|by| self.begun.get(&OperationId(by.id)).copied()).unwrap_or(0);
        let announced = by.and_then(|by| self.announced.get(&OperationId(by.id)).copied());
        let least = begun.saturating_sub(usize::from(by.is_some_and(takes_a_vote)));
        // A plan that tolerates the loss of t more nodes keeps t + 1 voters at the least.
        let least = announced.map_or(least, |announced| least.max(announced as usize + 1).min(begun));
        // A group follows its wishes when it can: whoever was let go earlier may go only now.
        known.may_go.values_mut().for_each(|earlier| *earlier = least.min(*earlier));
        known.may_go.insert(replica, least);
        if !known.voters().contains(&replica) {
            return Ok(());
        }
        let mut stay = known.staying(transition.after, group);
        stay.remove(&replica);
        if stay.len() < least {
            let (all, stay) = (shown(&known.membership), stay.iter().map(|id| id.get()).collect::<Vec<_>>());
            return Err(format!(
                "replica {replica} of group {group} is let go, which is {all}: of its voters only {stay:?} stay, \
                 {least} were announced"
            ));
        }
        Ok(())
    }
}

/// Whether an operation is about one vote less.
fn takes_a_vote(operation: &OperationRecord) -> bool {
    use OperationKind::{ChangeLeader, OfflineReplica, RemoveReplica};
    matches!(operation.kind, Some(RemoveReplica(_) | OfflineReplica(_) | ChangeLeader(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vote_that_goes_without_a_word_is_seen() {
        let member = |replica| api::peer::Member { replica, node: replica, learner: false };
        let of = |epoch, replicas: &[u64]| Membership {
            epoch,
            members: replicas.iter().map(|replica| member(*replica)).collect(),
        };
        let mut votes = Votes::default();
        assert!(votes.is_in(GroupId(1), &of(1, &[1, 2, 3])).is_ok());
        assert!(votes.is_in(GroupId(1), &of(2, &[1, 2, 3, 4])).is_ok());
        assert!(votes.is_in(GroupId(1), &of(1, &[1, 2])).is_ok(), "an old one");
        assert!(votes.is_in(GroupId(1), &of(3, &[1, 2, 3])).is_err());
    }
}
