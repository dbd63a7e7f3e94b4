//! Planted bugs of operations, so that the simulator can prove that its checkers see.
//!
//! They lie in this crate, in `ops` and in `node`, and are kept here, below all of them. Without the `mutants`
//! feature `mutant!(…)` is `false` and the compiler removes it. With it, one mutant at a time can be switched on
//! for the current thread.

types::mutants! {
    /// Several operations run on one partition.
    LockNotChecked,
    /// A change of an operation counts whatever revision it was made from.
    RevisionNotChecked,
    /// A copy is done before the new replica has caught up and has its vote.
    RemovedBeforeCaughtUp,
    /// Nobody compares the hashes of replicas.
    EvidenceIgnored,
    /// The hash of the operation's own replica is not waited for.
    EvidenceWithoutOwn,
    /// What an operation made stays when it is undone.
    UndoForgetsReplica,
    /// A step's edits leave without its record.
    EditWithoutStep,
    /// An edit that is repeated makes another replica.
    EditRepeated,
    /// The permits of other nodes are not counted.
    PermitIgnoresHolders,
    /// A node leaves while replicas are on it.
    NodeLeavesWithReplicas,
    /// The last voter of a partition can be taken offline.
    LastVoterOffline,
    /// A node drops a replica at once when it is no longer wished for, whether it has a vote or not.
    VoterDroppedAtOnce,
    /// The id of an operation that was forgotten is given out again.
    OperationIdReused,
    /// The id of a replica that is gone is given out again.
    ReplicaIdReused,
    /// A node whose replica of the catalog was let go hears nothing of the catalog any more.
    LetGoHearsNothing,
    /// A cancelled operation is never wound up.
    CancelForgotten,
    /// An operation is started although one that does the same goes on.
    TwiceAtOnce,
    /// A group begins before a majority of its founders is known to exist.
    BegunTooEarly,
    /// A partition with fewer replicas than its table wishes stays so.
    ShortForgotten,
}

/// Whether a planted bug is on: always `false` without the `mutants` feature.
#[macro_export]
macro_rules! mutant {
    ($name:ident) => {
        $crate::mutants::is_planted($crate::mutants::Mutant::$name)
    };
}
