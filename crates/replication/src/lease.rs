//! Rounds: how a leader knows, without asking for each read, that it still is the leader.
//!
//! ```text
//!   leader     ──round 7, sent at t──►  followers            a follower that hears round 7 in the leader's
//!              ◄──heard round 7───────                       term votes for nobody else for at least
//!                                                            ELECTION_TICKS − 1 ticks from then on
//!   quorum heard round 7  ⇒  no other leader before t + promise  ⇒  lease until t + LEASE
//! ```
//!
//! Every broadcast of heartbeats is a round. Two things follow once a quorum (the leader included) has
//! heard a round that was sent at `t`:
//!
//! - **Lease.** Until `t + LEASE` nobody else can have become leader, so reads need no network.
//! - **Quorum read.** A read that arrived before the round was sent may be answered from the commit
//!   index of its arrival (Raft's ReadIndex), whatever the clocks say.
//!
//! Caveats. The lease trusts that clocks run at about the same *rate* (15 % apart at most), not that
//! they agree. A leader that has sent TimeoutNow has released its followers from their promise, so it
//! never has a lease again in that term; it begins a new one if the transfer fails (see `group/renew.rs`). A follower that restarts forgets its promise; therefore it
//! votes for nobody for one election timeout after its process started (see `Group`).

use std::collections::BTreeMap;
use std::time::Duration;

use api::peer::Membership;
use env::Moment;
use types::{ReplicaId, limits};

use crate::membership;

/// A follower that has heard nothing for this long is not counted as live: several heartbeats were lost,
/// or it is gone. Only reports, log cuts and changes of the membership look at it, no quorum.
const LIVE: Duration = Duration::from_millis(1500);

/// Most rounds remembered: two election timeouts' worth. Older ones are of no use to anybody.
const ROUNDS_MAX: usize = 64;

/// The rounds of one leader in one term.
#[derive(Clone, Debug, Default)]
pub struct Rounds {
    last: u64,
    sent: BTreeMap<u64, Moment>,
    heard: BTreeMap<u64, u64>,
    /// When the last round that a follower has heard was sent.
    heard_at: BTreeMap<u64, Moment>,
    /// Followers whose connection broke, and the last round that had begun by then.
    cut_off: BTreeMap<u64, u64>,
    confirmed: Option<(u64, Moment)>,
    released: bool,
}

impl Rounds {
    /// Heartbeats leave now: a new round begins. Returns its number.
    pub fn begin(&mut self, now: Moment) -> u64 {
        self.last += 1;
        self.sent.insert(self.last, now);
        while self.sent.len() > ROUNDS_MAX {
            self.sent.pop_first();
        }
        self.last
    }

    /// The number of the last round that began; 0 before the first.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// A follower heard this round, and all before it.
    pub fn hear(&mut self, from: ReplicaId, round: u64) {
        // A round that never began is a lie or a mix-up: count what can be true.
        let round = round.min(self.last);
        let heard = self.heard.entry(from.get()).or_default();
        *heard = (*heard).max(round);
        if let Some(&sent) = self.sent.get(&round) {
            let at = self.heard_at.entry(from.get()).or_default();
            *at = (*at).max(sent);
        }
        if self.cut_off.get(&from.get()).is_some_and(|before| round > *before) {
            self.cut_off.remove(&from.get());
        }
    }

    /// The connection to a follower broke. What it heard before does not say that it is still there.
    pub fn cut_off(&mut self, replica: ReplicaId) {
        self.cut_off.insert(replica.get(), self.last);
    }

    /// Whether a follower has heard a round of the last [`LIVE`].
    pub fn is_live(&self, replica: ReplicaId, now: Moment) -> bool {
        self.heard_at.get(&replica.get()).is_some_and(|at| now.since(*at) < LIVE)
    }

    /// Whether a follower [is live](Self::is_live) and has answered since its connection broke last. Votes are given
    /// to, and left with, those that answer: a node that died a moment ago may have lost its disk.
    pub fn answers(&self, replica: ReplicaId, now: Moment) -> bool {
        self.is_live(replica, now) && !self.cut_off.contains_key(&replica.get())
    }

    /// Followers may vote for others from now on.
    pub fn release(&mut self) {
        self.released = true;
    }

    /// Whether followers were released, so that there is no lease in this term any more.
    pub fn is_released(&self) -> bool {
        self.released
    }

    /// Recounts: the latest round that a quorum of the membership has heard.
    pub fn count(&mut self, me: ReplicaId, membership: &Membership) {
        let mut rounds: Vec<u64> = membership::voters(membership)
            .map(|member| match member.replica {
                replica if replica == me.get() => self.last,
                replica => self.heard.get(&replica).copied().unwrap_or(0),
            })
            .collect();
        rounds.sort_unstable_by(|a, b| b.cmp(a));
        let Some(&round) = rounds.get(membership::quorum(membership) - 1) else { return };
        if self.confirmed.is_none_or(|(confirmed, _)| round > confirmed)
            && let Some(&sent) = self.sent.get(&round)
        {
            self.confirmed = Some((round, sent));
            self.sent = self.sent.split_off(&round);
        }
    }

    /// The latest round that a quorum has heard; 0 before the first.
    pub fn confirmed(&self) -> u64 {
        self.confirmed.map_or(0, |(round, _)| round)
    }

    /// Until when reads need no quorum.
    pub fn lease_until(&self) -> Option<Moment> {
        match self.confirmed {
            Some((_, sent)) if !self.released => Some(sent.plus(limits::LEASE)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::peer::Member;

    fn three() -> Membership {
        let members = (1..=3).map(|id| Member { replica: id, node: id, learner: false }).collect();
        Membership { epoch: 1, members }
    }

    fn at(millis: u64) -> Moment {
        Moment::default().plus(Duration::from_millis(millis))
    }

    #[test]
    fn a_lease_starts_when_the_confirmed_round_was_sent() {
        let mut rounds = Rounds::default();
        let first = rounds.begin(at(100));
        rounds.count(ReplicaId(1), &three());
        assert_eq!((rounds.confirmed(), rounds.lease_until()), (0, None), "one of three is no quorum");
        rounds.begin(at(200));
        rounds.hear(ReplicaId(2), first);
        rounds.count(ReplicaId(1), &three());
        assert_eq!(rounds.confirmed(), first);
        assert_eq!(rounds.lease_until(), Some(at(100).plus(limits::LEASE)));
    }

    #[test]
    fn learners_and_strangers_do_not_count() {
        let mut rounds = Rounds::default();
        let round = rounds.begin(at(1));
        let mut group = three();
        group.members[2].learner = true;
        rounds.hear(ReplicaId(3), round);
        rounds.hear(ReplicaId(9), round);
        rounds.count(ReplicaId(1), &group);
        assert_eq!(rounds.confirmed(), 0);
        rounds.hear(ReplicaId(2), round + 5);
        rounds.count(ReplicaId(1), &group);
        assert_eq!(rounds.confirmed(), round);
    }

    #[test]
    fn a_released_leader_has_no_lease_but_still_counts_quorums() {
        let mut rounds = Rounds::default();
        rounds.release();
        let round = rounds.begin(at(1));
        rounds.hear(ReplicaId(2), round);
        rounds.count(ReplicaId(1), &three());
        assert_eq!((rounds.confirmed(), rounds.lease_until()), (round, None));
    }

    #[test]
    fn a_follower_is_live_for_a_while_after_a_round_that_it_heard_was_sent() {
        let mut rounds = Rounds::default();
        let round = rounds.begin(at(100));
        assert!(!rounds.is_live(ReplicaId(2), at(100)));
        rounds.hear(ReplicaId(2), round);
        assert!(rounds.is_live(ReplicaId(2), at(1500)));
        assert!(!rounds.is_live(ReplicaId(2), at(1700)));
    }

    #[test]
    fn a_follower_that_was_cut_off_answers_when_it_has_heard_a_round_that_began_later() {
        let mut rounds = Rounds::default();
        let before = rounds.begin(at(100));
        rounds.hear(ReplicaId(2), before);
        assert!(rounds.answers(ReplicaId(2), at(200)));
        rounds.cut_off(ReplicaId(2));
        rounds.hear(ReplicaId(2), before);
        assert!(rounds.is_live(ReplicaId(2), at(200)) && !rounds.answers(ReplicaId(2), at(200)));
        let later = rounds.begin(at(300));
        assert!(!rounds.answers(ReplicaId(2), at(300)));
        rounds.hear(ReplicaId(2), later);
        assert!(rounds.answers(ReplicaId(2), at(300)));
    }

    #[test]
    fn a_lone_replica_confirms_itself() {
        let mut group = three();
        group.members.truncate(1);
        let mut rounds = Rounds::default();
        let round = rounds.begin(at(7));
        rounds.count(ReplicaId(1), &group);
        assert_eq!(rounds.confirmed(), round);
    }
}
