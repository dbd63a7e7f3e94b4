//! Expired keys: readers do not see them any more, but they take space until a leader removes them.
//!
//! A leader asks its own state for some, and proposes their removal. Whether a key is gone is decided when
//! the entry is applied, by its stamp: between question and removal somebody may have set the key again.

use std::time::Duration;

use api::entry::RequestKind;
use api::kv::{Keys, KvAnswer, KvOp, KvReply, KvRequest, Scan};
use api::peer::{Access, ReplicaReport, ReplicaState};
use bytes::Bytes;
use prost::Message;
use types::GroupId;

use crate::gateway::Call;

/// How often leaders look for expired keys.
pub const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// Most keys removed in one sweep of one group.
const SWEEP_KEYS_MAX: u64 = 512;

/// Whether a replica sweeps: it leads a table's group.
pub fn sweeps(report: &ReplicaReport) -> bool {
    report.state == ReplicaState::Leader as i32 && report.group != GroupId::CATALOG.get()
}

/// The read that finds some of what has expired.
pub fn question() -> Vec<u8> {
    let scan = Scan { expired: true, count: SWEEP_KEYS_MAX, ..Default::default() };
    KvRequest::new(KvOp::Scan(scan)).encode_to_vec()
}

/// The write that removes what was found, if anything was.
pub fn removal(group: GroupId, found: Bytes) -> Option<Call> {
    let Ok(KvReply { answer: Some(KvAnswer::Page(page)) }) = KvReply::decode(found) else { return None };
    // Nothing to name may still be something to remove: what a FLUSH has left.
    if page.keys.is_empty() && page.next.is_none() {
        return None;
    }
    let body = KvRequest::new(KvOp::RemoveExpired(Keys { keys: page.keys })).encode_to_vec();
    Some(Call { group, access: Access::Write, kind: RequestKind::Upkeep, body: body.into() })
}

/// How many keys a removal removed.
pub fn removed(reply: Bytes) -> u64 {
    match KvReply::decode(reply) {
        Ok(KvReply { answer: Some(KvAnswer::Integer(removed)) }) => removed.max(0) as u64,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::kv::Page;

    fn reply(answer: KvAnswer) -> Bytes {
        KvReply { answer: Some(answer) }.encode_to_vec().into()
    }

    #[test]
    fn what_was_found_is_removed_and_nothing_else_is_proposed() {
        let keys = vec![Bytes::from_static(b"a"), Bytes::from_static(b"b")];
        let page = KvAnswer::Page(Page { keys: keys.clone(), ..Default::default() });
        let call = removal(GroupId(3), reply(page)).unwrap();
        assert_eq!((call.group, call.access), (GroupId(3), Access::Write));
        assert_eq!(call.kind, RequestKind::Upkeep, "no client asked for it");
        let request = KvRequest::decode(call.body).unwrap();
        assert_eq!(request, KvRequest::new(KvOp::RemoveExpired(Keys { keys })));
        assert_eq!(removal(GroupId(3), reply(KvAnswer::Page(Page::default()))), None);
        let left_by_a_flush = KvAnswer::Page(Page { next: Some(0), ..Default::default() });
        assert!(removal(GroupId(3), reply(left_by_a_flush)).is_some());
        assert_eq!(removal(GroupId(3), Bytes::from_static(b"\xff")), None);
        assert_eq!(removed(reply(KvAnswer::Integer(2))), 2);
    }

    #[test]
    fn only_leaders_of_tables_sweep() {
        let report =
            |group, state: ReplicaState| ReplicaReport { group, state: state as i32, ..Default::default() };
        assert!(sweeps(&report(1, ReplicaState::Leader)));
        assert!(!sweeps(&report(1, ReplicaState::Follower)));
        assert!(!sweeps(&report(0, ReplicaState::Leader)));
    }
}
