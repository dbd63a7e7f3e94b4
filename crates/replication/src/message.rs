//! Raft messages between the wire's mirror (`api::peer`) and the library's own type.
//!
//! What comes from the wire is checked here and in `Group::step`: the numbers must be ones that `raft`
//! cannot trip over, because it treats a contradiction as a bug and panics.

use api::peer::{LogEntry as WireEntry, RaftMessage};
use bytes::Bytes;
use raft::eraftpb::{Entry, EntryType, Message, MessageType, Snapshot};
use types::GroupId;
use wal::{LogEntry, LogPosition};

use crate::membership;

/// Terms and indexes stay far below this for as long as anybody runs a cluster.
const NUMBER_MAX: u64 = 1 << 62;

/// First byte of the payload of a membership change; envelopes begin with their format version, and
/// the entry of a new leader is empty.
const MEMBERSHIP_CHANGE: u8 = 0xff;

/// Why a message from the wire was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadMessage {
    /// Its kind is unknown, or never travels between nodes.
    #[error("kind {0} does not travel between nodes")]
    Kind(i32),
    /// Its entries do not follow each other, or carry an impossible term.
    #[error("entries do not follow {0}")]
    Entries(u64),
    /// A snapshot without what it needs.
    #[error("snapshot without membership or position")]
    Snapshot,
    /// Sent by a node that does not host the replica it claims to be.
    #[error("replica {0} does not live on the sending node")]
    Sender(u64),
    /// It contradicts what this replica knows for certain.
    #[error("{0}")]
    Contradiction(&'static str),
    /// It proves that this replica has lost entries that it had acknowledged.
    #[error("the leader knows that entry {acknowledged} was acknowledged here, but the log ends at {last}")]
    Lost {
        /// What a leader of this term, or of a later one, was told that is durable here.
        acknowledged: u64,
        /// The last entry of this replica's log.
        last: u64,
    },
}

/// The wire's form of a message that `raft` made.
pub fn to_wire(group: GroupId, message: Message, lease_round: u64) -> RaftMessage {
    let snapshot = (message.get_msg_type() == MessageType::MsgSnapshot).then(|| {
        let metadata = message.get_snapshot().get_metadata();
        membership::snapshot_meta(metadata.index, metadata.term, message.get_snapshot())
    });
    RaftMessage {
        group: group.get(),
        from: message.from,
        to: message.to,
        kind: message.msg_type as i32,
        term: message.term,
        log_term: message.log_term,
        index: message.index,
        entries: message.entries.iter().map(entry_to_wire).collect(),
        commit: message.commit,
        commit_term: message.commit_term,
        snapshot: snapshot.flatten(),
        request_snapshot: message.request_snapshot,
        reject: message.reject,
        reject_hint: message.reject_hint,
        context: message.context,
        priority: message.priority,
        lease_round,
        // Written by `clocks::sign`, on everything at once.
        wall_millis: 0,
    }
}

/// The library's form of a message from the wire, with everything checked that needs no state.
pub fn from_wire(wire: RaftMessage) -> Result<Message, BadMessage> {
    let kind = message_kind(wire.kind).ok_or(BadMessage::Kind(wire.kind))?;
    check_numbers(&wire, kind)?;
    let mut message = Message::default();
    if kind == MessageType::MsgSnapshot {
        let meta = wire.snapshot.as_ref().ok_or(BadMessage::Snapshot)?;
        message.set_snapshot(membership::snapshot_from_meta(meta).ok_or(BadMessage::Snapshot)?);
    }
    let mut entries = Vec::with_capacity(wire.entries.len());
    let (mut last_index, mut last_term) = (wire.index, wire.log_term);
    for entry in wire.entries {
        if entry.index != last_index.wrapping_add(1) || entry.term < last_term || entry.term > wire.term {
            return Err(BadMessage::Entries(last_index));
        }
        (last_index, last_term) = (entry.index, entry.term);
        entries.push(entry_from_wire(entry).ok_or(BadMessage::Entries(last_index))?);
    }
    if !entries.is_empty() && kind != MessageType::MsgAppend {
        return Err(BadMessage::Kind(wire.kind));
    }
    message.set_msg_type(kind);
    message.from = wire.from;
    message.to = wire.to;
    message.term = wire.term;
    message.log_term = wire.log_term;
    message.index = wire.index;
    message.set_entries(entries.into());
    message.commit = wire.commit;
    message.commit_term = wire.commit_term;
    message.request_snapshot = wire.request_snapshot;
    message.reject = wire.reject;
    message.reject_hint = wire.reject_hint;
    message.context = wire.context;
    message.priority = wire.priority;
    Ok(message)
}

/// Terms and indexes that no group can have reached. `raft` would skip its term checks for term 0, and
/// count beyond the end of 64 bits.
fn check_numbers(wire: &RaftMessage, kind: MessageType) -> Result<(), BadMessage> {
    let snapshot = wire.snapshot.as_ref().map_or((0, 0), |meta| (meta.index, meta.term));
    let numbers = [
        wire.term,
        wire.log_term,
        wire.index,
        wire.commit,
        wire.commit_term,
        wire.reject_hint,
        snapshot.0,
        snapshot.1,
    ];
    if numbers.iter().any(|number| *number > NUMBER_MAX) || wire.term == 0 {
        return Err(BadMessage::Contradiction("a term or an index that no group can have reached"));
    }
    if kind == MessageType::MsgAppend && wire.log_term == 0 {
        return Err(BadMessage::Contradiction("an append after an entry without a term"));
    }
    // Replicas of this release never ask for one this way; they are found to be too far behind.
    if wire.request_snapshot != 0 {
        return Err(BadMessage::Contradiction("a snapshot that is asked for"));
    }
    Ok(())
}

/// The kinds that travel between nodes. Proposals are never forwarded, reads never ask a leader this
/// way, and the rest are a replica's words to itself.
fn message_kind(number: i32) -> Option<MessageType> {
    use MessageType::*;
    [
        MsgAppend,
        MsgAppendResponse,
        MsgRequestVote,
        MsgRequestVoteResponse,
        MsgSnapshot,
        MsgHeartbeat,
        MsgHeartbeatResponse,
        MsgTimeoutNow,
        MsgRequestPreVote,
        MsgRequestPreVoteResponse,
    ]
    .into_iter()
    .find(|&kind| kind as i32 == number)
}

fn entry_kind(number: i32) -> Option<EntryType> {
    [EntryType::EntryNormal, EntryType::EntryConfChange].into_iter().find(|&kind| kind as i32 == number)
}

fn entry_to_wire(entry: &Entry) -> WireEntry {
    WireEntry {
        index: entry.index,
        term: entry.term,
        kind: entry.entry_type as i32,
        data: entry.data.clone(),
        context: entry.context.clone(),
    }
}

fn entry_from_wire(wire: WireEntry) -> Option<Entry> {
    Some(Entry {
        entry_type: entry_kind(wire.kind)?,
        index: wire.index,
        term: wire.term,
        data: wire.data,
        context: wire.context,
        ..Default::default()
    })
}

/// What the log keeps of an entry.
pub fn to_log(entry: &Entry) -> LogEntry {
    let payload = match entry.get_entry_type() {
        EntryType::EntryNormal => entry.data.clone(),
        EntryType::EntryConfChange | EntryType::EntryConfChangeV2 => {
            let mut payload = Vec::with_capacity(1 + entry.context.len());
            payload.push(MEMBERSHIP_CHANGE);
            payload.extend_from_slice(&entry.context);
            payload.into()
        }
    };
    LogEntry { index: entry.index.into(), term: entry.term.into(), payload }
}

/// The entry that the log kept. `None` when its bytes are of no kind that was ever written.
pub fn from_log(stored: LogEntry) -> Option<Entry> {
    let mut entry = Entry { index: stored.index.get(), term: stored.term.get(), ..Default::default() };
    match stored.payload.first() {
        Some(&MEMBERSHIP_CHANGE) => {
            let context = stored.payload.slice(1..);
            let change = membership::Change::from_bytes(&context)?;
            entry.set_entry_type(EntryType::EntryConfChange);
            entry.data = change.to_raft_bytes();
            entry.context = context;
        }
        _ => entry.data = stored.payload,
    }
    Some(entry)
}

/// What an entry asks of the state.
#[derive(Clone, Debug, PartialEq)]
pub enum Work {
    /// Nothing: a new leader's first entry.
    Nothing,
    /// Requests.
    Envelope(Bytes),
    /// A membership change.
    Membership(membership::Change),
}

/// What a committed entry asks of the state; a change that cannot be read asks for nothing.
pub fn work(entry: &Entry) -> Work {
    match entry.get_entry_type() {
        EntryType::EntryNormal if entry.data.is_empty() => Work::Nothing,
        EntryType::EntryNormal => Work::Envelope(entry.data.clone()),
        EntryType::EntryConfChange | EntryType::EntryConfChangeV2 => {
            membership::Change::from_bytes(&entry.context).map_or(Work::Nothing, Work::Membership)
        }
    }
}

/// The position that a snapshot message installs.
pub fn snapshot_position(snapshot: &Snapshot) -> LogPosition {
    let metadata = snapshot.get_metadata();
    LogPosition { index: metadata.index.into(), term: metadata.term.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{NodeId, ReplicaId};

    fn entry(index: u64, term: u64) -> WireEntry {
        WireEntry { index, term, kind: 0, data: Bytes::from_static(b"\x01x"), context: Bytes::new() }
    }

    #[test]
    fn entries_that_do_not_follow_are_refused() {
        let append = |entries| RaftMessage {
            kind: MessageType::MsgAppend as i32,
            term: 3,
            index: 7,
            log_term: 2,
            entries,
            ..Default::default()
        };
        assert!(from_wire(append(vec![entry(8, 2), entry(9, 3)])).is_ok());
        for bad in [vec![entry(9, 2)], vec![entry(8, 2), entry(10, 2)], vec![entry(8, 4)], vec![entry(8, 1)]]
        {
            assert!(matches!(from_wire(append(bad)), Err(BadMessage::Entries(_))));
        }
    }

    #[test]
    fn kinds_that_a_replica_only_says_to_itself_are_refused() {
        for kind in [MessageType::MsgHup, MessageType::MsgPropose, MessageType::MsgTransferLeader] {
            let wire = RaftMessage { kind: kind as i32, term: 1, ..Default::default() };
            assert_eq!(from_wire(wire), Err(BadMessage::Kind(kind as i32)));
        }
    }

    #[test]
    fn numbers_that_no_group_can_have_reached_are_refused() {
        let heartbeat = RaftMessage { kind: MessageType::MsgHeartbeat as i32, term: 1, ..Default::default() };
        assert!(from_wire(heartbeat.clone()).is_ok());
        for bad in [
            RaftMessage { term: 0, ..heartbeat.clone() },
            RaftMessage { term: u64::MAX, ..heartbeat.clone() },
            RaftMessage { commit: u64::MAX, ..heartbeat.clone() },
            RaftMessage { reject_hint: u64::MAX, ..heartbeat.clone() },
            RaftMessage { request_snapshot: 7, ..heartbeat.clone() },
            RaftMessage { kind: MessageType::MsgAppend as i32, index: 7, ..heartbeat },
        ] {
            assert!(matches!(from_wire(bad), Err(BadMessage::Contradiction(_))));
        }
    }

    #[test]
    fn entries_survive_the_log() {
        let change = membership::Change {
            kind: membership::ChangeKind::AddLearner,
            replica: ReplicaId(4),
            node: NodeId(2),
            epoch: 3.into(),
        };
        let mut membership = Entry::default();
        membership.set_entry_type(EntryType::EntryConfChange);
        membership.index = 9;
        membership.term = 2;
        membership.data = change.to_raft_bytes();
        membership.context = change.to_bytes();
        let normal = entry_from_wire(entry(8, 2)).unwrap();
        let first = Entry { index: 7, term: 2, ..Default::default() };
        for entry in [membership, normal, first] {
            assert_eq!(from_log(to_log(&entry)), Some(entry));
        }
    }
}
