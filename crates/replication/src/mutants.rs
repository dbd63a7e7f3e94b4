//! Planted bugs, so that the simulator can prove that its checkers see.
//!
//! Without the `mutants` feature `mutant!(…)` is `false` and the compiler removes it. With it, one mutant
//! at a time can be switched on for the current thread.

types::mutants! {
    /// A write counts as persisted before it was synced.
    AckBeforeFsync,
    /// A read under a lease does not look at the clock.
    LeaseNotChecked,
    /// A lease begins when the answer arrives instead of when the round was sent.
    LeaseFromAnswer,
    /// A lease outlives the handing over of leadership.
    LeaseKeptAfterTransfer,
    /// A new leader reads before it has applied an entry of its own term.
    ReadBeforeOwnTerm,
    /// The vote and the term are not written.
    VoteNotPersisted,
    /// A restarted replica votes at once.
    VoteRightAfterRestart,
    /// A quorum read is answered without a round.
    ReadWithoutRound,
    /// A quorum read does not wait for anything to be applied: neither the commit index of its arrival
    /// nor the term's first entry.
    ReadBeforeApplied,
    /// A quorum is one vote smaller when rounds are counted.
    RoundQuorumTooSmall,
    /// Sessions are left out of the state's records.
    SessionsNotStored,
    /// A repeated request is carried out again.
    SessionIgnored,
    /// The floor of a session removes replies that may still be asked for.
    FloorTooHigh,
    /// The applied index is stored before the data of its last entry.
    AppliedTooFar,
    /// A snapshot is described one entry further than it is.
    SnapshotTooFar,
    /// The new state is used before the log names it.
    AdoptBeforeLog,
    /// The log is cut beyond what is durable in the state.
    CutTooFar,
    /// Membership is left out of the state's records.
    MembershipNotStored,
    /// A membership change does not raise the epoch.
    EpochNotRaised,
    /// The stamp of an entry may go back.
    ClockGoesBack,
    /// A leader believes its wall clock whatever its peers' show.
    WallClockBelieved,
    /// What an entry does depends on who waits for it here.
    ApplyNotDetermined,
    /// A write is answered when it is proposed.
    AckBeforeQuorum,
    /// The only voter of a group speaks to its learners before its term is written.
    TermSpokenBeforeFsync,
}

/// Whether a planted bug is on: always `false` without the `mutants` feature.
#[macro_export]
macro_rules! mutant {
    ($name:ident) => {
        $crate::mutants::is_planted($crate::mutants::Mutant::$name)
    };
}
