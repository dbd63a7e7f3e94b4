//! No operation takes more votes than its kind and its plan announce: whoever leaves a group does so by an edit
//! of an operation or because it was lost, and enough voters that hold the data stay.
//!
//! A voter *holds the data* once it has applied everything up to the entry that made it a member. What faults take
//! is told apart by that: a machine that is down still holds what it held.

use std::collections::{BTreeMap, BTreeSet};

use api::catalog::CatalogOp;
use api::operation::{Edit, OperationKind, OperationRecord, OperationState};
use api::peer::Membership;
use types::{GroupId, LogIndex, OperationId, ReplicaId};

use super::laws::{Transition, wished};
use super::memberships::shown;

/// What is known of votes.
#[derive(Default)]
pub struct Votes {
    groups: BTreeMap<GroupId, Group>,
    /// Voters that hold the data when an operation begins, which its plan was made for, and whether a replica was
    /// replaced since.
    begun: BTreeMap<OperationId, usize>,
    /// The lowest fault tolerance that a plan has announced.
    announced: BTreeMap<OperationId, u32>,
    /// Memberships that were looked at.
    pub checked: u64,
}

#[derive(Default)]
struct Group {
    membership: Membership,
    /// When each replica became a member, until it has applied that much.
    catching_up: BTreeMap<ReplicaId, LogIndex>,
    /// Replicas that may go, and how many voters that hold the data must stay.
    may_go: BTreeMap<ReplicaId, usize>,
}

impl Group {
    fn voters(&self) -> BTreeSet<ReplicaId> {
        let voters = self.membership.members.iter().filter(|member| !member.learner);
        voters.map(|member| ReplicaId(member.replica)).collect()
    }

    /// Voters that hold the data.
    fn holders(&self) -> BTreeSet<ReplicaId> {
        self.voters().into_iter().filter(|voter| !self.catching_up.contains_key(voter)).collect()
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

    /// A replica has applied its group's log up to here.
    pub fn applied(&mut self, group: GroupId, replica: ReplicaId, index: LogIndex) {
        if let Some(known) = self.groups.get_mut(&group)
            && known.catching_up.get(&replica).is_some_and(|since| *since <= index)
        {
            known.catching_up.remove(&replica);
        }
    }

    /// A membership is in force, as of this entry.
    ///
    /// # Errors
    /// A vote that should not have gone.
    pub fn is_in(&mut self, group: GroupId, membership: &Membership, at: LogIndex) -> Result<(), String> {
        let known = self.groups.entry(group).or_default();
        if membership.epoch <= known.membership.epoch {
            return Ok(());
        }
        let old = std::mem::replace(&mut known.membership, membership.clone());
        if old.members.is_empty() {
            return Ok(());
        }
        for member in &membership.members {
            if !old.members.iter().any(|before| before.replica == member.replica) {
                known.catching_up.insert(ReplicaId(member.replica), at);
            }
        }
        let (voters, holders) = (known.voters(), known.holders());
        let lost =
            old.members.iter().filter(|member| !member.learner).map(|member| ReplicaId(member.replica));
        for replica in lost.filter(|replica| !voters.contains(replica)) {
            self.checked += 1;
            let change = || format!("group {group} was {} and is {}", shown(&old), shown(membership));
            let Some(least) = known.may_go.get(&replica) else {
                return Err(format!("{}: nobody said that replica {replica} should go", change()));
            };
            if holders.len() < *least {
                let detail = format!("only {holders:?} of its voters hold the data, {least} were announced");
                return Err(format!("{}: {detail}", change()));
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
                // What is lost cannot be asked to stay, and whatever was announced was for more replicas.
                if let Some(group) = self.groups.get_mut(&GroupId(replaced.group)) {
                    group.may_go.insert(ReplicaId(replaced.replica), 0);
                    group.may_go.values_mut().for_each(|least| *least = 0);
                }
                let of_group = |operation: &&OperationRecord| operation.group == Some(replaced.group);
                for operation in transition.after.operations().filter(of_group) {
                    self.begun.insert(OperationId(operation.id), 0);
                }
                Ok(())
            }
            CatalogOp::Operate(change) => {
                for edit in change.edits.iter().filter_map(|edit| edit.edit.as_ref()) {
                    let (group, replica) = match edit {
                        Edit::RemoveReplica(leaving) => (leaving.group, leaving.replica),
                        Edit::SetOffline(set) if set.offline => (set.group, set.replica),
                        Edit::SetOffline(set) => {
                            if let Some(group) = self.groups.get_mut(&GroupId(set.group)) {
                                group.may_go.remove(&ReplicaId(set.replica));
                            }
                            continue;
                        }
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

    fn note_begun(&mut self, transition: &Transition<'_>) {
        for operation in transition.after.operations() {
            let Some(group) = operation.group.filter(|_| operation.state() == OperationState::Running) else {
                continue;
            };
            let holders = || self.groups.get(&GroupId(group)).map_or(0, |group| group.holders().len());
            self.begun.entry(OperationId(operation.id)).or_insert_with(holders);
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
        let takes_one = by.is_some_and(|by| {
            matches!(
                by.kind,
                Some(
                    OperationKind::RemoveReplica(_)
                        | OperationKind::OfflineReplica(_)
                        | OperationKind::ChangeLeader(_)
                )
            )
        });
        // A plan that tolerates the loss of t more nodes keeps t + 1 voters at the least.
        let least = begun.saturating_sub(usize::from(takes_one));
        let least = announced.map_or(least, |announced| least.max(announced as usize + 1).min(begun));
        known.may_go.insert(replica, least);
        let stay = wished(transition.after, group);
        let stays = |voter: &ReplicaId| *voter != replica && stay.contains_key(voter);
        let holders: BTreeSet<ReplicaId> = known.holders().into_iter().filter(stays).collect();
        if holders.len() < least && known.voters().contains(&replica) {
            let detail = format!("of {} only {holders:?} would stay", shown(&known.membership));
            return Err(format!("replica {replica} of group {group} is let go: {detail}, {least} announced"));
        }
        Ok(())
    }
}
