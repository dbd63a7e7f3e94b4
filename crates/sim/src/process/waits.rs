//! Clients that wait for elements: those of this node, and those of all nodes at its leaders. The originals are the
//! connections of `serve`, and `node::Node`.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::entry::RequestKind;
use api::peer::{Awaited, Reply, Request};
use bytes::Bytes;
use env::Clock;
use node::Call;
use node::line::{self, Elements};
use proto_redis::blocked::{Ask, Blocked, Ending, Next};
use replication::GroupShared;
use types::{Fault, GroupId, NodeId};

use super::{Caller, Ended, Process, Purpose};
use crate::clock::NodeClock;
use crate::event::Work;
use crate::outside::Outside;

/// A client's operation, by client and number.
pub type Who = (usize, u64);

/// A command that waits until its key has elements.
pub struct Block {
    /// The group of the key.
    pub group: GroupId,
    /// The request that pops.
    pub pop: Bytes,
    /// What it waits for.
    pub key: Bytes,
    /// How long it waits, in nanoseconds.
    pub lasts: u64,
}

/// What the line asks about this node's replicas.
struct ProcessElements<'a> {
    shared: &'a BTreeMap<GroupId, Arc<GroupShared>>,
    clock: &'a NodeClock,
    id: NodeId,
}

impl Elements for ProcessElements<'_> {
    fn count(&self, group: GroupId, awaited: Awaited, key: &Bytes) -> u64 {
        let shared = self.shared.get(&group);
        let read = shared.and_then(|shared| shared.read_state(self.clock, &line::question(awaited, key)));
        read.and_then(Result::ok).map_or(0, line::count)
    }

    fn leads(&self, group: GroupId) -> Result<(), Option<NodeId>> {
        match self.shared.get(&group).and_then(|shared| shared.leader()) {
            Some(leader) if leader == self.id => Ok(()),
            other => Err(other),
        }
    }
}

/// Calls a method of the line with what it needs to know, and sends what comes out.
macro_rules! line {
    ($process:ident, $out:ident, $method:ident($($argument:expr),*)) => {{
        let mut replies: Vec<(Caller, Reply)> = Vec::new();
        let elements =
            ProcessElements { shared: &$process.shared, clock: &$process.clock, id: $process.id };
        $process.member.line.$method($($argument,)* &elements, &mut replies);
        $process.tell_line(replies, $out);
    }};
}

impl Process {
    /// A client sends a command that waits.
    pub fn block(&mut self, who: Who, block: Block, out: &mut Outside) {
        self.member.waits_begun += 1;
        let number = (self.member.waits_begun, self.clock.wall_millis());
        let mut blocked = Blocked::new(block.pop, (Awaited::Lists, vec![block.key]), number);
        let call = call(block.group, blocked.begin());
        self.member.blocked.insert(who, (block.group, blocked));
        self.plan(block.lasts, Work::TimeUp(who), out);
        self.submit(call, Purpose::Waiting(who), out);
    }

    /// A request for a command that waits is over; of one that has ended nobody wants to hear.
    pub(super) fn blocked_call_ended(&mut self, who: Who, result: Result<Bytes, Fault>, out: &mut Outside) {
        let Some((group, blocked)) = self.member.blocked.get_mut(&who) else { return };
        let result = match blocked.on_outcome(result) {
            Next::Ask(ask) => {
                let call = call(*group, ask);
                return self.submit(call, Purpose::Waiting(who), out);
            }
            Next::Over(result) => result,
            Next::Ended(_) => Ok(nothing()),
        };
        self.end_block(who, result, out);
    }

    /// The time of a command that waits is up.
    pub(super) fn time_up(&mut self, who: Who, out: &mut Outside) {
        if self.member.blocked.get_mut(&who).is_some_and(|(_, blocked)| blocked.end(Ending::TimeUp)) {
            self.end_block(who, Ok(nothing()), out);
        }
    }

    fn end_block(&mut self, who: Who, result: Result<Bytes, Fault>, out: &mut Outside) {
        out.ended.push(Ended { purpose: Purpose::Client(who.0, who.1), result });
        self.say_farewell(who, out);
    }

    /// A client is gone: nobody need wait behind it.
    pub(super) fn hang_up(&mut self, who: Who, out: &mut Outside) {
        self.say_farewell(who, out);
    }

    fn say_farewell(&mut self, who: Who, out: &mut Outside) {
        let Some((group, blocked)) = self.member.blocked.remove(&who) else { return };
        if let Some(ask) = blocked.farewell() {
            self.submit(call(group, ask), Purpose::Own, out);
        }
    }

    /// A request about a wait, as the leader's node takes it.
    pub(super) fn take_wait(&mut self, caller: Caller, request: &Request, out: &mut Outside) {
        // First in line, then the look at the state.
        if let Some(shared) = self.shared.get(&GroupId(request.group)) {
            shared.set_awaited(true);
        }
        let time = (self.now(), self.clock.wall_millis());
        line!(self, out, request(caller, request, time));
    }

    /// A commit has changed keys that somebody waits for.
    pub(super) fn filled(&mut self, group: GroupId, keys: Option<Vec<Bytes>>, out: &mut Outside) {
        let now = self.now();
        line!(self, out, filled(group, keys, now));
    }

    /// Time for those who wait.
    pub(super) fn tick_line(&mut self, out: &mut Outside) {
        self.member.line_planned = u64::MAX;
        let now = self.now();
        line!(self, out, tick(now));
        for group in self.member.line.take_left() {
            if let Some(shared) = self.shared.get(&group) {
                shared.set_awaited(false);
            }
        }
    }

    fn tell_line(&mut self, replies: Vec<(Caller, Reply)>, out: &mut Outside) {
        out.coverage.waits_answered += replies.len() as u64;
        if let Some(due) = self.member.line.next_due() {
            let at = self.clock.world_time_of(due).max(out.now);
            if at < self.member.line_planned {
                self.member.line_planned = at;
                self.plan(at - out.now, Work::Line, out);
            }
        }
        for (caller, reply) in replies {
            self.reply(caller, reply, out);
        }
    }
}

fn call(group: GroupId, Ask { access, body }: Ask) -> Call {
    Call { group, access, kind: RequestKind::Data, body }
}

/// What a client hears when its time is up.
fn nothing() -> Bytes {
    use prost::Message;
    api::kv::KvReply::nil().encode_to_vec().into()
}
