//! The gateway alone: what it sends, in which order, and what it says when nobody can tell.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::cell::Cell;
use std::time::Duration;

use api::entry::RequestKind;
use api::peer::{Access, Outcome, Refused, Reply, Request};
use bytes::Bytes;
use env::Moment;
use node::{Call, Gateway, GatewayEffect, GroupRoute, Routes};
use types::{ErrorCode, Fault, Generation, GroupId, NodeId, RouteEpoch, limits};

const GROUP: GroupId = GroupId(1);

/// Three replicas; the local one believes that this node leads.
struct World {
    leader: Cell<Option<NodeId>>,
    /// The leader changes after each look.
    restless: Cell<bool>,
    gone: Cell<bool>,
    /// Nobody takes over by himself.
    manual: Cell<bool>,
}

impl Routes for World {
    fn route(&self, _: GroupId) -> Option<GroupRoute> {
        (!self.gone.get()).then(|| GroupRoute {
            manual: self.manual.get(),
            generation: Generation(1),
            route_epoch: RouteEpoch(1),
            nodes: [1, 2, 3].map(NodeId).to_vec(),
        })
    }

    fn leader(&self, _: GroupId) -> Option<NodeId> {
        let leader = self.leader.get();
        if self.restless.get() {
            self.leader.set(leader.map(|node| NodeId(node.get() % 3 + 1)));
        }
        leader
    }
}

struct Test {
    gateway: Gateway,
    world: World,
    now: Moment,
    ended: Vec<(u64, Result<Bytes, Fault>)>,
}

impl Test {
    /// A gateway that has its session with the group, at node 1.
    fn new() -> Self {
        let world = World {
            leader: Cell::new(Some(NodeId(1))),
            restless: Cell::new(false),
            gone: Cell::new(false),
            manual: Cell::new(false),
        };
        let mut test = Self { gateway: Gateway::new(NodeId(9), 7), world, now: Moment(1), ended: Vec::new() };
        let sent = test.write("first");
        let [(to, register)] = &sent[..] else { panic!("{sent:?}") };
        assert_eq!(register.kind, RequestKind::Register as i32);
        let sent = test.done(*to, register.id, &100u64.to_be_bytes());
        let [(to, first)] = &sent[..] else { panic!("{sent:?}") };
        assert_eq!((first.session, first.sequence, first.floor), (100, 1, 1));
        test.done(*to, first.id, b"");
        test.ended.clear();
        test
    }

    fn write(&mut self, body: &'static str) -> Vec<(NodeId, Request)> {
        self.call(Access::Write, body)
    }

    fn call(&mut self, access: Access, body: &'static str) -> Vec<(NodeId, Request)> {
        let body = Bytes::from_static(body.as_bytes());
        let call = Call { group: GROUP, access, kind: RequestKind::Data, body };
        let mut out = Vec::new();
        self.gateway.submit(call, &self.world, self.now, &mut out);
        self.sort(out)
    }

    fn done(&mut self, from: NodeId, id: u64, reply: &[u8]) -> Vec<(NodeId, Request)> {
        let outcome = Some(Outcome::Done(Bytes::copy_from_slice(reply)));
        self.reply(from, Reply { id, outcome })
    }

    fn refuse(&mut self, from: NodeId, id: u64, code: ErrorCode, leader: u64) -> Vec<(NodeId, Request)> {
        let refused = Refused { code: code.as_str().into(), detail: String::new(), leader };
        self.reply(from, Reply { id, outcome: Some(Outcome::Refused(refused)) })
    }

    fn reply(&mut self, from: NodeId, reply: Reply) -> Vec<(NodeId, Request)> {
        let mut out = Vec::new();
        self.gateway.reply(from, reply, &self.world, self.now, &mut out);
        self.sort(out)
    }

    fn disconnect(&mut self, node: NodeId) {
        self.gateway.disconnected(node, self.now);
    }

    fn pass(&mut self, time: Duration) -> Vec<(NodeId, Request)> {
        self.now = self.now.plus(time);
        let mut out = Vec::new();
        self.gateway.tick(&self.world, self.now, &mut out);
        self.sort(out)
    }

    fn sort(&mut self, effects: Vec<GatewayEffect>) -> Vec<(NodeId, Request)> {
        let mut sent = Vec::new();
        for effect in effects {
            match effect {
                GatewayEffect::Send(to, request) => sent.push((to, request)),
                GatewayEffect::Complete(id, result) => self.ended.push((id, result)),
            }
        }
        sent
    }

    fn end(&mut self) -> Result<Bytes, ErrorCode> {
        let (_, result) = self.ended.pop().expect("a call has ended");
        result.map_err(|fault| fault.code)
    }
}

fn bodies(sent: &[(NodeId, Request)]) -> Vec<(u64, &str)> {
    sent.iter().map(|(to, request)| (to.get(), std::str::from_utf8(&request.body).unwrap())).collect()
}

#[test]
fn a_lost_write_is_sent_again_under_its_number() {
    let mut test = Test::new();
    let sent = test.write("x");
    assert_eq!(sent[0].1.sequence, 2);
    test.disconnect(NodeId(1));
    test.world.leader.set(Some(NodeId(2)));
    let again = test.pass(Duration::from_millis(60));
    assert_eq!(bodies(&again), [(2, "x")]);
    assert_eq!((again[0].1.session, again[0].1.sequence), (100, 2));
    test.done(NodeId(2), again[0].1.id, b"ok");
    assert_eq!(test.end(), Ok(Bytes::from_static(b"ok")));
}

#[test]
fn writes_keep_their_order_when_the_leader_changes() {
    let mut test = Test::new();
    assert_eq!(bodies(&test.write("a")), [(1, "a")]);
    assert_eq!(bodies(&test.write("b")), [(1, "b")]);
    test.disconnect(NodeId(1));
    test.world.leader.set(Some(NodeId(2)));
    assert!(test.write("c").is_empty(), "not past a and b, which pause");
    let again = test.pass(Duration::from_millis(60));
    assert_eq!(bodies(&again), [(2, "a"), (2, "b"), (2, "c")]);
}

#[test]
fn a_fresh_hint_is_believed_before_the_local_replica_and_that_before_the_last_answer() {
    let mut test = Test::new();
    test.world.leader.set(Some(NodeId(2)));
    let sent = test.call(Access::Read, "the local replica has heard of an election");
    assert_eq!(sent[0].0, NodeId(2), "node 1 answered last, and may be silent for a second");
    let moved = test.refuse(NodeId(2), sent[0].1.id, ErrorCode::NotLeader, 3);
    assert_eq!(moved[0].0, NodeId(3));
    assert_eq!(test.call(Access::Read, "hinted")[0].0, NodeId(3), "the local replica may be late");
    test.now = test.now.plus(Duration::from_millis(250));
    assert_eq!(test.call(Access::Read, "later")[0].0, NodeId(2), "by now it would have heard of node 3");
    test.world.leader.set(None);
    assert_eq!(test.call(Access::Read, "nobody")[0].0, NodeId(1));
}

#[test]
fn what_is_out_at_a_paused_leader_goes_to_the_one_that_was_elected_meanwhile() {
    let mut test = Test::new();
    let first = test.write("a");
    test.write("b");
    test.call(Access::Read, "r");
    test.world.leader.set(Some(NodeId(2)));
    assert!(test.pass(Duration::from_millis(150)).is_empty(), "the local replica may be late");
    assert!(test.write("c").is_empty());
    let moved = test.pass(Duration::from_millis(100));
    assert_eq!(bodies(&moved), [(2, "a"), (2, "b"), (2, "r"), (2, "c")]);
    assert_eq!(moved[0].1.sequence, first[0].1.sequence, "under its number");
    assert!(test.pass(Duration::from_millis(900)).is_empty(), "it is where it should be");
    test.refuse(NodeId(2), first[0].1.id, ErrorCode::SessionExpired, 0);
    assert_eq!(test.end(), Err(ErrorCode::OutcomeUnknown), "node 1 may have carried it out");
}

#[test]
fn who_was_silent_is_not_asked_again_without_a_reason() {
    let mut test = Test::new();
    test.world.leader.set(None);
    assert_eq!(test.call(Access::Read, "a")[0].0, NodeId(1));
    let again = test.pass(Duration::from_secs(1));
    assert_ne!(again[0].0, NodeId(1));
    test.done(again[0].0, again[0].1.id, b"");
    assert_eq!(test.call(Access::Read, "b")[0].0, again[0].0);
    test.world.leader.set(Some(NodeId(1)));
    assert_eq!(test.call(Access::Read, "c")[0].0, NodeId(1), "the local replica hears it again");
}

#[test]
fn the_only_one_that_is_left_is_found_whichever_it_is() {
    for left in [1, 2, 3].map(NodeId) {
        let mut test = Test::new();
        test.world.leader.set(None);
        (1..=3).map(NodeId).for_each(|node| test.disconnect(node));
        let mut sent = test.call(Access::Read, "a");
        for attempt in 1.. {
            let [(to, request)] = &sent[..] else { panic!("{sent:?}") };
            if *to == left {
                break;
            }
            assert!(attempt < 4, "{left} is never asked");
            test.refuse(*to, request.id, ErrorCode::NoLeader, 0);
            sent = test.pass(Duration::from_millis(100));
        }
    }
}

#[test]
fn writes_that_go_on_together_go_to_one_node() {
    let mut test = Test::new();
    test.write("a");
    test.write("b");
    test.disconnect(NodeId(1));
    test.world.leader.set(Some(NodeId(2)));
    test.world.restless.set(true);
    let again = test.pass(Duration::from_millis(60));
    assert_eq!(bodies(&again), [(2, "a"), (2, "b")]);
    test.world.restless.set(false);
    test.world.leader.set(Some(NodeId(3)));
    test.write("c");
    test.write("d");
    test.done(NodeId(2), again[0].1.id, b"");
    test.world.restless.set(true);
    let next = test.done(NodeId(2), again[1].1.id, b"");
    assert_eq!(bodies(&next), [(3, "c"), (3, "d")]);
}

#[test]
fn a_new_write_does_not_overtake_one_that_is_out_elsewhere() {
    let mut test = Test::new();
    let first = test.write("a");
    let second = test.write("b");
    let moved = test.refuse(NodeId(1), first[0].1.id, ErrorCode::NotLeader, 3);
    assert_eq!(bodies(&moved), [(3, "a")]);
    assert!(test.write("c").is_empty(), "b is still out at node 1");
    let moved = test.refuse(NodeId(1), second[0].1.id, ErrorCode::NotLeader, 3);
    assert_eq!(bodies(&moved), [(3, "b")]);
    let next = test.done(NodeId(3), first[0].1.id, b"");
    assert_eq!(bodies(&next), [(3, "c")]);
}

#[test]
fn a_write_whose_time_is_over_holds_up_none_behind_it() {
    let mut test = Test::new();
    let first = test.write("first");
    test.now = test.now.plus(Duration::from_secs(5));
    let register = test.refuse(NodeId(1), first[0].1.id, ErrorCode::SessionExpired, 0);
    assert!(test.write("second").is_empty(), "there is no session");
    let mut asked = register[0].0;
    while test.ended.is_empty() {
        asked = test.pass(Duration::from_secs(1)).last().map_or(asked, |(to, _)| *to);
    }
    assert_eq!(test.end(), Err(ErrorCode::NoLeader), "the first was never carried out");
    let sent = test.done(asked, register[0].1.id, &200u64.to_be_bytes());
    assert_eq!(bodies(&sent), [(1, "second")]);
}

#[test]
fn a_session_that_is_unknown_costs_a_doubt_only_after_a_second_attempt() {
    let mut test = Test::new();
    let sent = test.write("a");
    let register = test.refuse(NodeId(1), sent[0].1.id, ErrorCode::SessionExpired, 0);
    assert_eq!(register[0].1.kind, RequestKind::Register as i32);
    let again = test.done(NodeId(1), register[0].1.id, &200u64.to_be_bytes());
    assert_eq!((again[0].1.session, again[0].1.sequence), (200, 1), "sent once: certainly not done");
    test.disconnect(NodeId(1));
    let again = test.pass(Duration::from_millis(60));
    test.refuse(again[0].0, again[0].1.id, ErrorCode::SessionExpired, 0);
    assert_eq!(test.end(), Err(ErrorCode::OutcomeUnknown));
}

#[test]
fn time_ends_a_call_with_the_truth() {
    let mut test = Test::new();
    test.write("a");
    while test.ended.is_empty() {
        test.pass(Duration::from_secs(1));
    }
    assert_eq!(test.end(), Err(ErrorCode::OutcomeUnknown), "it was out, and nobody answered");
    let sent = test.call(Access::Read, "r");
    assert_eq!(sent.len(), 1);
    while test.ended.is_empty() {
        test.pass(Duration::from_secs(1));
    }
    assert_eq!(test.end(), Err(ErrorCode::NoLeader), "a read is never in doubt");
}

#[test]
fn refusals_are_the_truth_only_while_nothing_is_in_doubt() {
    let mut test = Test::new();
    let sent = test.write("a");
    test.refuse(NodeId(1), sent[0].1.id, ErrorCode::Overloaded, 0);
    assert_eq!(test.end(), Err(ErrorCode::Overloaded));
    let sent = test.write("b");
    test.disconnect(NodeId(1));
    let again = test.pass(Duration::from_millis(60));
    test.refuse(again[0].0, sent[0].1.id, ErrorCode::Overloaded, 0);
    assert_eq!(test.end(), Err(ErrorCode::OutcomeUnknown));
}

#[test]
fn a_dropped_table_and_a_full_gateway_are_told_at_once() {
    let mut test = Test::new();
    test.world.gone.set(true);
    test.call(Access::Read, "r");
    assert_eq!(test.end(), Err(ErrorCode::UnknownTable));
    test.world.gone.set(false);
    for _ in 0..limits::GATEWAY_IN_FLIGHT_MAX {
        test.call(Access::Read, "r");
    }
    test.call(Access::Read, "one too many");
    assert_eq!(test.end(), Err(ErrorCode::Overloaded));
}

/// Replicas refuse a call for as long as a person does nothing; how long it takes until it ends.
fn refused_by_all(test: &mut Test, mut sent: Vec<(NodeId, Request)>) -> Duration {
    let began = test.now;
    while test.ended.is_empty() {
        for (to, request) in std::mem::take(&mut sent) {
            sent.extend(test.refuse(to, request.id, ErrorCode::NotLeader, 0));
        }
        sent.extend(test.pass(Duration::from_millis(10)));
        assert!(test.now.since(began) <= limits::REQUEST_DEADLINE);
    }
    test.now.since(began)
}

#[test]
fn where_only_a_person_makes_a_leader_nobody_is_kept_waiting() {
    let mut test = Test::new();
    test.world.leader.set(None);
    let sent = test.write("a");
    assert!(refused_by_all(&mut test, sent) >= limits::REQUEST_DEADLINE - Duration::from_millis(100));
    assert_eq!(test.end(), Err(ErrorCode::NoLeader));
    test.world.manual.set(true);
    let sent = test.write("b");
    assert!(refused_by_all(&mut test, sent) <= limits::MANUAL_DEADLINE + Duration::from_millis(100));
    let (_, result) = test.ended.pop().expect("it ended");
    let fault = result.expect_err("nobody leads");
    assert!(fault.code == ErrorCode::NoLeader && fault.detail.contains("changeleader"), "{fault}");

    // A leader that has a call is waited for: it may only be slow.
    let sent = test.write("c");
    test.pass(limits::MANUAL_DEADLINE + Duration::from_millis(100));
    assert!(test.ended.is_empty());
    let [(to, request)] = &sent[..] else { panic!("{sent:?}") };
    test.done(*to, request.id, b"");
    assert!(test.end().is_ok());
}

#[test]
fn who_waits_in_line_is_patient_and_follows_the_leader() {
    let mut test = Test::new();
    let sent = test.call(Access::Wait, "wait");
    assert_eq!(bodies(&sent), [(1, "wait")]);
    assert_eq!(test.pass(limits::WAIT_PARK), [], "silence means that there is nothing");
    test.world.leader.set(Some(NodeId(2)));
    assert_eq!(bodies(&test.pass(Duration::from_millis(100))), [(2, "wait")], "the line is at the leader");
    let silent = test.pass(limits::WAIT_PARK + Duration::from_secs(1));
    assert_eq!(silent.len(), 1, "longer silence means that nobody is there");
    assert_ne!(silent[0].0, NodeId(2));
    test.done(silent[0].0, silent[0].1.id, b"turn");
    assert_eq!(test.end().unwrap(), "turn");
    // Nothing that happens to a wait leaves anybody in doubt.
    let sent = test.call(Access::Wait, "wait");
    test.disconnect(sent[0].0);
    let again = test.pass(Duration::from_millis(50));
    assert_eq!(again.len(), 1);
    test.refuse(again[0].0, again[0].1.id, ErrorCode::Overloaded, 0);
    assert_eq!(test.end().unwrap_err(), ErrorCode::Overloaded);
}
