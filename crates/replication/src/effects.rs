//! What goes into a worker and what comes out of it, as data.
//!
//! An effect says what it needs: messages that may leave at once are [`Effect::Send`]; those that promise
//! something durable ride in [`Effect::Write`] and leave after the write is synced. The driver executes
//! effects in order and reports back by inputs; it decides nothing.

use std::fmt;
use std::sync::Arc;

use api::entry::Request;
use api::peer::{Membership, RaftMessage, SnapshotMeta};
use bytes::Bytes;
use engine::{Applied, Change};
use env::Moment;
use raft::eraftpb::Entry;
pub use raft::eraftpb::Entry as RaftEntry;
use types::buckets::BucketCounts;
use types::{ConfigEpoch, Fault, GroupId, Hlc, LogIndex, NodeId, ReplicaId, StateId};
use wal::GroupWrite;

use crate::membership::{Change as MembershipChange, Wished};
use crate::record::GroupRecord;
use crate::retention::Hold;
use crate::shared::GroupShared;
use crate::takeover::Takeover;

/// The time, as a worker is told it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For intervals.
    pub moment: Moment,
    /// For stamps: milliseconds since 1970.
    pub wall_millis: u64,
}

/// Names a request at whoever made it; unique on its node while it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A write was carried out and is durable on a quorum; this is its reply.
    Done(Bytes),
    /// A read may now look at the state.
    ReadNow,
    /// It was not carried out, or it is not known whether: then the code says so, or the session
    /// protects a retry.
    Refused {
        /// Why.
        fault: Fault,
        /// Who leads, if that is known.
        leader: Option<NodeId>,
    },
}

/// Everything a replica needs to begin; see `start` for where it comes from.
#[derive(Clone, Debug)]
pub struct GroupStart {
    /// The group.
    pub group: GroupId,
    /// The record in force.
    pub record: GroupRecord,
    /// Where its log starts and ends.
    pub log: (wal::LogPosition, wal::LogPosition),
    /// What its state has applied.
    pub applied: Applied,
    /// The membership in its state; empty for a replica that waits for its first snapshot.
    pub membership: Membership,
    /// The last stamp in its state.
    pub hlc: Hlc,
    /// It did not exist before this process started, so it has promised nothing to anybody.
    pub is_new: bool,
}

/// When a replica that hears of no leader begins an election. Whoever is asked to by the leader (a transfer)
/// does so at once, whatever this says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Campaign {
    /// Never of its own accord; it votes, and its time goes on.
    OnlyIfAsked,
    /// Only if this replica, which is to lead, asks for votes that it cannot get: it lacks entries that are here.
    InPlaceOf(ReplicaId),
    /// After the others had their chance: its node shall lead nothing if that can be helped.
    Late,
    /// After an election timeout.
    #[default]
    AsUsual,
}

impl Campaign {
    /// Whether it begins elections without a reason that others give.
    pub fn is_free(self) -> bool {
        matches!(self, Campaign::Late | Campaign::AsUsual)
    }
}

/// Something that happened outside.
pub enum Input {
    /// Begin to run a replica; other threads see it through the handle, if there is one.
    Start(Box<GroupStart>, Option<Arc<GroupShared>>),
    /// The replica cannot go on, for a reason found outside: its state or its log.
    Stop(GroupId, Fault),
    /// Stop running a replica; its log and state are removed. Passed over when the group has another
    /// replica here by now.
    Remove(GroupId, ReplicaId),
    /// A message from the replica on another node.
    Message(NodeId, RaftMessage),
    /// The connection to a node broke.
    Unreachable(NodeId),
    /// A write, to be answered when it is applied.
    Propose {
        /// The group.
        group: GroupId,
        /// For the answer.
        token: Token,
        /// What to write.
        request: Request,
    },
    /// A read, to be answered when the state is recent enough.
    Read {
        /// The group.
        group: GroupId,
        /// For the answer.
        token: Token,
    },
    /// A write to the log is durable.
    Persisted {
        /// The group.
        group: GroupId,
        /// The number in the effect.
        number: u64,
    },
    /// Entries are applied.
    Applied(ApplyOutcome),
    /// A crash would lose nothing of the state up to here.
    StateDurable {
        /// The group.
        group: GroupId,
        /// The index.
        index: LogIndex,
    },
    /// The state was taken hold of for a follower.
    SnapshotTaken {
        /// The group.
        group: GroupId,
        /// The follower.
        to: ReplicaId,
        /// Its description, or `None` when it could not be taken.
        meta: Option<SnapshotMeta>,
    },
    /// The transfer to a follower ended.
    SnapshotSent {
        /// The group.
        group: GroupId,
        /// The follower.
        to: ReplicaId,
        /// Whether the follower has it.
        arrived: bool,
    },
    /// A complete and durable state came from the leader.
    SnapshotReceived {
        /// Who sent it.
        from: NodeId,
        /// The state incarnation that holds it.
        state: StateId,
        /// The leader's message.
        message: RaftMessage,
    },
    /// The replicas that the catalog wishes for. Counts for whoever leads, until it does not lead any more.
    Wish {
        /// The group.
        group: GroupId,
        /// The replicas.
        replicas: Vec<Wished>,
        /// The last membership that the catalog knew when it wished so. To a group that has gone on since, the
        /// wish says nothing: it may be older than what made the group what it is.
        epoch: ConfigEpoch,
    },
    /// Whether a replica may begin an election of its own accord. Until it is told, one of the catalog's group
    /// may, and others only while they are alone or newly born.
    Campaign {
        /// The group.
        group: GroupId,
        /// When.
        when: Campaign,
    },
    /// Make the state durable and cut the log now, as far as its holds allow.
    CutNow(GroupId),
    /// Set, move or end a named hold on this replica's log.
    Hold {
        /// The group.
        group: GroupId,
        /// Who needs it.
        name: String,
        /// What is needed; `None` ends it.
        hold: Option<Hold>,
    },
    /// A survivor of a lost majority goes on as the only member. Passed over while the replica is not at rest.
    TakeOver(Takeover),
    /// Hand leadership over.
    Transfer {
        /// The group.
        group: GroupId,
        /// To this replica.
        to: ReplicaId,
    },
}

/// Something to be done outside.
#[derive(Debug)]
pub enum Effect {
    /// Send to the replica on another node; may be lost.
    Send(NodeId, RaftMessage),
    /// Write to the log and sync; then send `then`, and report `Persisted`.
    Write(LogWrite),
    /// Apply entries to the state, in order; report `Applied`.
    Apply(ApplyTask),
    /// The new state incarnation is in force: apply to it from now on, and remove all others.
    Adopt {
        /// The group.
        group: GroupId,
        /// The state.
        state: StateId,
    },
    /// A received state is of no use: remove it.
    Discard {
        /// The group.
        group: GroupId,
        /// The state.
        state: StateId,
    },
    /// Take hold of the state for a follower; report `SnapshotTaken`.
    TakeSnapshot {
        /// The group.
        group: GroupId,
        /// The follower.
        to: ReplicaId,
    },
    /// Stream the state that was taken hold of; report `SnapshotSent`.
    SendSnapshot {
        /// The follower's node.
        node: NodeId,
        /// The message to hand over with the last chunk.
        message: RaftMessage,
    },
    /// The log up to here is no longer needed.
    Cut {
        /// The group.
        group: GroupId,
        /// The index.
        index: LogIndex,
    },
    /// Answer requests.
    Answer(Vec<(Token, Answer)>),
    /// The replica is gone: remove its log, then its state. May be said more than once, and after another
    /// replica of the group was made here, which it does not concern.
    Removed(GroupId, ReplicaId),
    /// The group's record has a new replica id and membership, durably: so has its state from now on.
    TakeOver(Takeover),
    /// The replica cannot go on; the node lives.
    Stopped {
        /// The group.
        group: GroupId,
        /// Why.
        fault: Fault,
    },
}

/// A write to the log, and what may be said afterwards.
#[derive(Debug)]
pub struct LogWrite {
    /// The group's `Ready`, for `Persisted`.
    pub number: u64,
    /// What to write; `None` when only the order matters.
    pub write: Option<GroupWrite>,
    /// The group.
    pub group: GroupId,
    /// Messages that promise what was written.
    pub then: Vec<(NodeId, RaftMessage)>,
}

/// Entries to apply.
#[derive(Debug)]
pub struct ApplyTask {
    /// The group.
    pub group: GroupId,
    /// The entries, each with the tokens of those who wait for its requests, in order; no tokens when
    /// nobody here waits.
    pub entries: Vec<(Entry, Vec<Token>)>,
}

/// What applying came to.
#[derive(Debug, Default)]
pub struct ApplyOutcome {
    /// The group.
    pub group: GroupId,
    /// The last entry applied.
    pub applied: Applied,
    /// The group's last stamp as of that entry.
    pub hlc: Hlc,
    /// Answers for those who waited.
    pub answers: Vec<(Token, Answer)>,
    /// Membership changes in order; `None` for one that did not count.
    pub memberships: Vec<(MembershipChange, Option<Membership>)>,
    /// Requests that were answered from a session's memory.
    pub repeated: u64,
    /// What the entries changed, if the applier was told to say.
    pub changes: Vec<Change>,
    /// Writes of clients among the entries, by their size in the log; see [`types::buckets`].
    pub sizes: BucketCounts,
}

impl Input {
    /// The group that it is for; [`GroupId::CATALOG`] for one that is for all.
    pub fn group(&self) -> GroupId {
        match self {
            Input::Start(start, _) => start.group,
            Input::Message(_, message) | Input::SnapshotReceived { message, .. } => GroupId(message.group),
            Input::Applied(outcome) => outcome.group,
            Input::Unreachable(_) => GroupId::CATALOG,
            Input::TakeOver(takeover) => takeover.group,
            Input::Remove(group, _)
            | Input::Stop(group, _)
            | Input::Propose { group, .. }
            | Input::Read { group, .. }
            | Input::Persisted { group, .. }
            | Input::StateDurable { group, .. }
            | Input::SnapshotTaken { group, .. }
            | Input::SnapshotSent { group, .. }
            | Input::Wish { group, .. }
            | Input::Hold { group, .. }
            | Input::Campaign { group, .. }
            | Input::CutNow(group)
            | Input::Transfer { group, .. } => *group,
        }
    }
}

impl fmt::Display for Effect {
    /// One line, for scripts and traces.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Effect::Send(node, message) => write!(f, "send node {node} {}", Line(message)),
            Effect::Write(write) => {
                write!(f, "write group {} number {}", write.group, write.number)?;
                if let Some(content) = &write.write {
                    if let Some(reset) = content.reset {
                        write!(f, " reset {}/{}", reset.index, reset.term)?;
                    }
                    if let (Some(first), Some(last)) = (content.entries.first(), content.entries.last()) {
                        write!(f, " entries {}..={} term {}", first.index, last.index, last.term)?;
                    }
                    if let Some(record) = content.record.as_deref().and_then(GroupRecord::from_bytes) {
                        write!(f, " term {} vote {} commit {}", record.term, record.vote, record.commit)?;
                    }
                }
                for (node, message) in &write.then {
                    write!(f, "\n  then send node {node} {}", Line(message))?;
                }
                Ok(())
            }
            Effect::Apply(task) => {
                let (first, last) = (task.entries.first(), task.entries.last());
                let index = |entry: Option<&(Entry, Vec<Token>)>| entry.map_or(0, |(entry, _)| entry.index);
                write!(f, "apply group {} entries {}..={}", task.group, index(first), index(last))
            }
            Effect::Adopt { group, state } => write!(f, "adopt group {group} state {state}"),
            Effect::Discard { group, state } => write!(f, "discard group {group} state {state}"),
            Effect::TakeSnapshot { group, to } => write!(f, "take snapshot group {group} for {to}"),
            Effect::SendSnapshot { node, message } => {
                write!(f, "send snapshot node {node} {}", Line(message))
            }
            Effect::Cut { group, index } => write!(f, "cut group {group} to {index}"),
            Effect::Answer(answers) => {
                write!(f, "answer")?;
                answers.iter().try_for_each(|(token, answer)| match answer {
                    Answer::Done(_) => write!(f, " {}:done", token.0),
                    Answer::ReadNow => write!(f, " {}:read", token.0),
                    Answer::Refused { fault, leader } => {
                        write!(f, " {}:{}", token.0, fault.code.as_str())?;
                        leader.map_or(Ok(()), |leader| write!(f, "(node {leader})"))
                    }
                })
            }
            Effect::Removed(group, replica) => write!(f, "removed group {group} replica {replica}"),
            Effect::TakeOver(takeover) => write!(
                f,
                "take over group {} replica {} as {}",
                takeover.group, takeover.survivor, takeover.replica
            ),
            Effect::Stopped { group, fault } => write!(f, "stopped group {group}: {fault}"),
        }
    }
}

/// A message on one line, for traces.
pub fn describe(message: &RaftMessage) -> impl fmt::Display + '_ {
    Line(message)
}

/// A message on one line.
struct Line<'a>(&'a RaftMessage);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use raft::eraftpb::MessageType::*;
        let message = self.0;
        let kinds = [
            (MsgAppend, "append"),
            (MsgAppendResponse, "append-response"),
            (MsgRequestVote, "vote?"),
            (MsgRequestVoteResponse, "vote"),
            (MsgSnapshot, "snapshot"),
            (MsgHeartbeat, "heartbeat"),
            (MsgHeartbeatResponse, "heartbeat-response"),
            (MsgTimeoutNow, "timeout-now"),
            (MsgRequestPreVote, "pre-vote?"),
            (MsgRequestPreVoteResponse, "pre-vote"),
        ];
        let kind = kinds.iter().find(|(kind, _)| *kind as i32 == message.kind).map_or("?", |(_, name)| *name);
        write!(f, "group {} {}→{} {kind}", message.group, message.from, message.to)?;
        write!(f, " term {}", message.term)?;
        if message.index > 0 || !message.entries.is_empty() {
            write!(f, " index {}/{}", message.index, message.log_term)?;
        }
        if !message.entries.is_empty() {
            write!(f, " +{}", message.entries.len())?;
        }
        if message.commit > 0 {
            write!(f, " commit {}", message.commit)?;
        }
        if message.lease_round > 0 {
            write!(f, " round {}", message.lease_round)?;
        }
        if message.reject {
            write!(f, " reject hint {}", message.reject_hint)?;
        }
        Ok(())
    }
}
