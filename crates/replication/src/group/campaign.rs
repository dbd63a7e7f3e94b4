//! When a replica begins an election: never at random, and not always of its own accord.
//!
//! Whoever operates the cluster may decide that no *other* replica takes over by itself. Then only the leader
//! of record campaigns, and the timeout of the others is out of reach:
//!
//! ```text
//!                     hears nothing of a leader for …          and is asked by the leader (a transfer)
//!   AsUsual           an election timeout: campaigns           campaigns at once
//!   Late              some more, after the others: campaigns   campaigns at once
//!   OnlyIfAsked       any time: waits                          campaigns at once
//!   InPlaceOf(L)      any time: waits, unless L asks for       campaigns at once
//!                     its vote in vain: campaigns
//! ```
//!
//! 1. **Ticks go on.** A replica that waits counts how long it has heard nothing, votes, and knows when its
//!    promise to a leader is over. When it is allowed to campaign later, it does so at its next tick if the
//!    time is up, and a leader that lives makes that no election.
//! 2. **It decides nothing about safety.** Two replicas that believe to be the one that may, because one of
//!    them looks at an old catalog, are two candidates as in any election: terms and logs decide.
//! 3. **Alone is always allowed.** Of a group with one voter nobody else could lead.
//!
//! 4. **Whoever may lead is not always able to.** A write is acknowledged when two of three have it, and those may be
//!    the two followers. When all are killed then, the leader of record comes back without it: nobody may vote for
//!    it, and nobody else would ever stand. So a follower that refuses it its vote for that reason stands in its place.
//!    It takes over from nobody: the leader of record is there, and votes for it.
//!
//! A group that was just born is another matter: nobody ever led it, and its first founder begins (see
//! `fresh` in `group.rs`), once it is told that it may. Until a majority of its founders is known to exist others may
//! be chosen in their place: so an unborn group that is told `OnlyIfAsked` begins nothing, and not even alone.

use raft::eraftpb::{Message, MessageType};
use types::{ReplicaId, limits};

use super::{Group, mix};
use crate::effects::Campaign;
use crate::membership;

/// An election timeout that no replica lives to see.
pub(super) const OUT_OF_REACH: usize = usize::MAX - 1;
/// How much later than others a replica campaigns that should not lead: they have time for two tries.
const LATE_TICKS: usize = 2 * limits::ELECTION_TICKS;

impl Group {
    /// Whether it begins elections of its own accord, from now on.
    pub fn set_campaign(&mut self, when: Campaign) {
        let might_begin = std::mem::replace(&mut self.campaign, when).is_free();
        if !might_begin && self.begins() && self.raft.raft.leader_id == 0 && self.raft.raft.promotable() {
            let _ = self.raft.campaign();
        }
        self.set_election_timeout();
    }

    /// Whether it may elect itself at all. Nobody has ever stood for election in a group that is in its first term.
    pub(super) fn may_begin(&self) -> bool {
        let is_unborn = self.raft.raft.term <= limits::FIRST_LOG_INDEX;
        !is_unborn || self.campaign.is_free()
    }

    /// Whether it is for this replica to begin a group that was just born.
    pub(super) fn begins(&self) -> bool {
        let first = membership::rank(self.raft.store().membership(), self.record.replica()) == 0;
        self.fresh && first && self.campaign.is_free()
    }

    /// A candidate asks for a vote: whether it is the one that is to lead, and lacks what is here.
    pub(super) fn refuses_leader_of_record(&self, message: &Message) -> bool {
        use MessageType::{MsgRequestPreVote, MsgRequestVote};
        let asks = matches!(message.get_msg_type(), MsgRequestPreVote | MsgRequestVote);
        asks && self.campaign == Campaign::InPlaceOf(ReplicaId(message.from))
            && !self.raft.raft.raft_log.is_up_to_date(message.index, message.log_term)
    }

    /// `raft` draws its election timeout at random; ours is a function of seed, group, replica and term,
    /// and replicas of a group lie apart by rank. Must follow every call that may change role or term.
    pub(super) fn set_election_timeout(&mut self) {
        // Whoever leads has all that counts.
        self.stands_in &= self.raft.raft.leader_id == raft::INVALID_ID;
        let membership = self.raft.store().membership();
        let alone = membership::voters(membership).count() == 1;
        let rank = membership::rank(membership, self.record.replica());
        let stagger = limits::ELECTION_STAGGER_TICKS;
        let draw = mix(self.seed, [self.id.get(), self.record.replica, self.raft.raft.term]);
        let ticks = limits::ELECTION_TICKS + rank * stagger + (draw % stagger as u64) as usize;
        let ticks = match self.campaign {
            _ if alone && self.may_begin() => ticks,
            Campaign::AsUsual => ticks,
            Campaign::InPlaceOf(_) if self.stands_in => ticks,
            Campaign::Late => ticks + LATE_TICKS,
            Campaign::OnlyIfAsked | Campaign::InPlaceOf(_) => OUT_OF_REACH,
        };
        self.raft.raft.set_randomized_election_timeout(ticks);
    }
}
