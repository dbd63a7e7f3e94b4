//! Sessions: how a request that was sent twice is carried out once.
//!
//! A gateway registers with a group by an entry; the entry's index is the session's id. Its requests are
//! numbered from 1. The group keeps the replies of numbers at or above the gateway's *floor*, the lowest
//! number that the gateway has had no answer to, in the same batch as the data they belong to.
//!
//! ```text
//!   numbers   1 2 3 4 5 6 7 8 …           below the floor: answered, forgotten
//!                   ▲     ▲               kept: replies of 4, 6
//!                 floor  kept             5 may still come, on any path, and is new
//! ```
//!
//! A session that is unknown, because it is too old or was crowded out, is refused: whether its request
//! was carried out before cannot be told any more. Source: Ongaro, "Consensus: Bridging Theory and
//! Practice" (2014), section 6.3.

use std::collections::BTreeMap;

use bytes::Bytes;
use engine::{SystemChange, SystemRecord};
use prost::Message as _;
use types::{Hlc, SessionId, limits};

/// Names of session records begin with this.
pub const PREFIX: &[u8] = b"s";

/// The sessions of one group, and which of them changed since they were last stored.
#[derive(Clone, Debug, Default)]
pub struct Sessions {
    sessions: BTreeMap<SessionId, Session>,
    changed: BTreeMap<SessionId, ()>,
}

/// A session, as stored.
#[derive(Clone, PartialEq, prost::Message)]
struct Session {
    /// The gateway's incarnation.
    #[prost(fixed64, tag = "1")]
    gateway: u64,
    /// The stamp of its last request.
    #[prost(fixed64, tag = "2")]
    used: u64,
    /// Numbers below have been answered.
    #[prost(uint64, tag = "3")]
    floor: u64,
    /// Kept replies by number.
    #[prost(btree_map = "uint64, message", tag = "4")]
    replies: BTreeMap<u64, KeptReply>,
}

/// What is kept of a reply.
#[derive(Clone, PartialEq, prost::Message)]
struct KeptReply {
    #[prost(bytes = "bytes", tag = "1")]
    reply: Bytes,
    /// It was too long; only the fact is kept that the request was carried out.
    #[prost(bool, tag = "2")]
    too_long: bool,
}

/// What the sessions say about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Carry it out.
    New,
    /// It was carried out; this was the reply.
    Repeated(Bytes),
    /// It was carried out, but its reply is gone.
    Forgotten,
    /// The session is unknown.
    Expired,
}

impl Sessions {
    /// The sessions among a state's system records. `None` when one cannot be read.
    pub fn load(records: &[SystemRecord]) -> Option<Self> {
        let mut sessions = BTreeMap::new();
        for record in records {
            if let Some(id) = record.name.strip_prefix(PREFIX) {
                let id = SessionId(u64::from_be_bytes(id.try_into().ok()?));
                sessions.insert(id, Session::decode(record.value.clone()).ok()?);
            }
        }
        Some(Self { sessions, changed: BTreeMap::new() })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Opens the session of a gateway and makes room for it.
    pub fn register(&mut self, id: SessionId, gateway: u64, now: Hlc) {
        self.drop_idle(now);
        while self.sessions.len() >= limits::SESSIONS_MAX {
            let Some(oldest) = self.sessions.iter().min_by_key(|(id, s)| (s.used, **id)).map(|(id, _)| *id)
            else {
                break;
            };
            self.remove(oldest);
        }
        let session = Session { gateway, used: now.0, floor: 1, replies: BTreeMap::new() };
        self.sessions.insert(id, session);
        self.changed.insert(id, ());
    }

    /// What to do with a request.
    pub fn judge(&self, id: SessionId, sequence: u64) -> Verdict {
        let Some(session) = self.sessions.get(&id) else { return Verdict::Expired };
        if sequence < session.floor {
            return Verdict::Forgotten;
        }
        match session.replies.get(&sequence) {
            None => Verdict::New,
            Some(kept) if kept.too_long => Verdict::Forgotten,
            Some(kept) => Verdict::Repeated(kept.reply.clone()),
        }
    }

    /// Keeps a reply, and forgets those below the floor.
    pub fn keep(&mut self, id: SessionId, sequence: u64, floor: u64, reply: &Bytes, now: Hlc) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.used = session.used.max(now.0);
        // The floor never passes the request that carries it, nor leaves more than a window open.
        let floor = floor.min(sequence).max(sequence.saturating_sub(limits::SESSION_WINDOW));
        if floor > session.floor {
            session.floor = floor;
            while session.replies.first_entry().is_some_and(|kept| *kept.key() < floor) {
                session.replies.pop_first();
            }
        }
        let too_long = reply.len() > limits::SESSION_REPLY_BYTES_MAX;
        let reply = if too_long { Bytes::new() } else { reply.clone() };
        session.replies.insert(sequence, KeptReply { reply, too_long });
        self.changed.insert(id, ());
    }

    /// The records to store with the batch; afterwards nothing counts as changed.
    pub fn take_changes(&mut self) -> Vec<SystemChange> {
        std::mem::take(&mut self.changed)
            .into_keys()
            .map(|id| SystemChange {
                name: [PREFIX, &id.get().to_be_bytes()].concat().into(),
                value: self.sessions.get(&id).map(|session| session.encode_to_vec().into()),
            })
            .collect()
    }

    fn drop_idle(&mut self, now: Hlc) {
        let idle = limits::SESSION_IDLE.as_millis() as u64;
        let old: Vec<SessionId> = self
            .sessions
            .iter()
            .filter(|(_, session)| Hlc(session.used).millis() + idle < now.millis())
            .map(|(id, _)| *id)
            .collect();
        for id in old {
            self.remove(id);
        }
    }

    fn remove(&mut self, id: SessionId) {
        self.sessions.remove(&id);
        self.changed.insert(id, ());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: SessionId = SessionId(7);

    fn at(seconds: u64) -> Hlc {
        Hlc::from_millis(seconds * 1000)
    }

    fn reload(sessions: &mut Sessions) -> Sessions {
        let records: Vec<SystemRecord> = sessions
            .take_changes()
            .into_iter()
            .filter_map(|change| change.value.map(|value| SystemRecord { name: change.name, value }))
            .collect();
        Sessions::load(&records).unwrap()
    }

    #[test]
    fn a_repeated_request_gets_the_first_reply_even_after_a_restart() {
        let mut sessions = Sessions::default();
        sessions.register(ID, 1, at(1));
        assert_eq!(sessions.judge(ID, 1), Verdict::New);
        sessions.keep(ID, 2, 1, &Bytes::from_static(b"two"), at(2));
        let sessions = reload(&mut sessions);
        assert_eq!(sessions.judge(ID, 2), Verdict::Repeated(Bytes::from_static(b"two")));
        assert_eq!(sessions.judge(ID, 1), Verdict::New, "numbers may arrive out of order");
    }

    #[test]
    fn below_the_floor_nothing_is_carried_out_again() {
        let mut sessions = Sessions::default();
        sessions.register(ID, 1, at(1));
        sessions.keep(ID, 1, 1, &Bytes::new(), at(1));
        sessions.keep(ID, 5, 4, &Bytes::new(), at(1));
        assert_eq!(sessions.judge(ID, 1), Verdict::Forgotten);
        assert_eq!(sessions.judge(ID, 3), Verdict::Forgotten);
        assert_eq!(sessions.judge(ID, 4), Verdict::New);
    }

    #[test]
    fn a_long_reply_is_not_kept_but_its_request_is_not_repeated() {
        let mut sessions = Sessions::default();
        sessions.register(ID, 1, at(1));
        let long = Bytes::from(vec![0; limits::SESSION_REPLY_BYTES_MAX + 1]);
        sessions.keep(ID, 1, 1, &long, at(1));
        assert_eq!(sessions.judge(ID, 1), Verdict::Forgotten);
    }

    #[test]
    fn every_gateway_of_the_largest_cluster_keeps_its_session_beside_that_of_its_run_before() {
        let mut sessions = Sessions::default();
        let nodes = limits::NODES_MAX as u64;
        for number in 1..=2 * nodes {
            sessions.register(SessionId(number), number, at(number));
        }
        assert!((1..=2 * nodes).all(|number| sessions.judge(SessionId(number), 1) == Verdict::New));
    }

    #[test]
    fn the_idlest_session_makes_room_and_is_then_unknown() {
        let mut sessions = Sessions::default();
        for number in 0..=limits::SESSIONS_MAX as u64 {
            sessions.register(SessionId(number + 1), number, at(number));
        }
        assert_eq!(sessions.len(), limits::SESSIONS_MAX);
        assert_eq!(sessions.judge(SessionId(1), 1), Verdict::Expired);
        sessions.register(SessionId(9999), 1, at(100_000));
        assert_eq!(sessions.len(), 1, "the others were idle for more than an hour");
    }
}
