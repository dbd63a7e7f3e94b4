//! After a transfer that failed: a leader renews its term, to have a lease again.
//!
//! The word that hands leadership over (TimeoutNow) releases every follower from its promise, so the leader
//! that said it has no lease in that term any more. When the transfer is given up, the word may still be on
//! its way, for any time: no pause makes a lease of that term safe. A new term does. The leader steps down
//! and hands leadership to *itself*, by the same word:
//!
//! ```text
//!   term 6   leader 1 ── TimeoutNow(6) ──► 2   …lost, or late…            lease over
//!            given up after an election timeout; a quorum is live
//!            leader 1 ── TimeoutNow(6) ──► 1   a campaign without pre-vote that promises do not stop
//!   term 7   1 is elected by a quorum                                     leases again
//!            TimeoutNow(6) arrives at 2: an older term, ignored; or 2 is still in term 6, campaigns for 7,
//!            and finds that a quorum has voted in 7
//! ```
//!
//! Why a lease in term 7 is safe:
//!
//! 1. A promise is passed over only by a campaign that follows a TimeoutNow. One of term 6 leads to a
//!    campaign for term 7 and for no other: a second campaign of the same candidate begins with a pre-vote,
//!    which promises stop.
//! 2. In term 7 nobody else can win, because a quorum has voted for 1.
//! 3. So whoever takes over from 1 does it in a term after 7, by votes that promises given in 7 stop, or by a
//!    TimeoutNow of term 7, before which 1 ends its lease.
//!
//! If 2 wins term 7 instead, the transfer has succeeded late. If nobody does, an election follows as usual.
//! Writes that are under way are answered as in any change of leaders, and gateways send them again under
//! their numbers. That costs one round and one sync of a vote, once; without it every read of a term that may
//! last for months would cost a round.

use raft::eraftpb::{Message, MessageType};

use super::Group;
use crate::effects::Campaign;
use crate::membership;

impl Group {
    /// Begins a new term if this one cannot have a lease any more and a quorum will take part. Returns whether
    /// it did.
    pub(super) fn renew_term(&mut self) -> bool {
        let transfer_failed = self.leader.rounds.is_released() && self.raft.raft.lead_transferee.is_none();
        if !transfer_failed || !self.is_followed() {
            return false;
        }
        // One that should not lead, or may not try again if this election fails, goes on as it is. And `raft`
        // lets nobody campaign who has changes of membership to apply.
        if self.campaign != Campaign::AsUsual || self.raft.raft.has_pending_conf() {
            return false;
        }
        tracing::info!(group = self.id.get(), term = self.term(), "a transfer failed: the term is renewed");
        let raft = &mut self.raft.raft;
        raft.become_follower(raft.term, raft::INVALID_ID);
        let mut word = Message::default();
        word.set_msg_type(MessageType::MsgTimeoutNow);
        (word.from, word.to, word.term) = (raft.id, raft.id, raft.term);
        // Errors are words about strangers, and this is none.
        let _ = raft.step(word);
        self.set_election_timeout();
        true
    }

    /// Whether a quorum, this leader included, has answered heartbeats lately.
    fn is_followed(&self) -> bool {
        let members = self.raft.store().membership();
        let me = self.record.replica;
        let follows = |replica: u64| replica == me || self.is_live(replica);
        let following = membership::voters(members).filter(|voter| follows(voter.replica)).count();
        following >= membership::quorum(members)
    }
}
