//! The line: clients that wait at this node's leaders until a key has elements.
//!
//! ```text
//!   Wait ──► in line of its keys ──────────────┐          a commit gives a key elements
//!              ▲          │ nothing for long   ▼                  │
//!              │          └─► "ask again"    first in line ◄──────┘
//!              │                               │ as many as there are elements
//!              └── found nothing ── pops ◄─ "come"
//!                                     └── found something, or waits no more ──► Wait { over }
//! ```
//!
//! A client does not get its element here. It is told to come, and then pops by a write of its own, numbered in
//! its gateway's session like any other: so an element is delivered once whatever happens to leaders meanwhile.
//! Between the word and the pop somebody else may take the element; then the client is back in its old place.
//!
//! **Who is called.** For each key: as long as it has more elements than clients that were called and have not
//! tried yet, the one that has waited longest is called. That is looked at when a commit has changed the key,
//! when a client comes into the line, and when one that was called is done. So neither does an element lie there
//! while somebody waits for it, nor do all run for one element.
//!
//! **Nothing is missed.** A client is in the line before the number of elements is read, and a commit is visible
//! before the line is told of it.
//!
//! **Who goes away.** A wait that was answered and does not come back within [`limits::WAIT_RETURN`] is
//! forgotten; so a gateway that died holds nobody up for longer. A leader that leads no more sends everybody to the
//! next one. Nothing here is stored: the gateways know who waits.
//!
//! Pure: time and the state are arguments, words to gateways are results.

use std::collections::{BTreeMap, BTreeSet};

use api::kv::{Key, KvAnswer, KvOp, KvReply, KvRequest, ListOp, ListRequest, SortedOp, SortedRequest};
use api::peer::{Awaited, Outcome, Reply, Request, Turn, Wait};
use bytes::Bytes;
use env::Moment;
use prost::Message;
use types::{ErrorCode, Fault, GroupId, NodeId, limits};

use crate::desk::refusal;

/// What a line needs to know of this node's replicas.
pub trait Elements {
    /// How many elements a key has now, if it is what is waited for; else 0.
    fn count(&self, group: GroupId, awaited: Awaited, key: &Bytes) -> u64;

    /// Whether this node leads a group.
    ///
    /// # Errors
    /// The node that does, if it is known.
    fn leads(&self, group: GroupId) -> Result<(), Option<NodeId>>;
}

/// Everybody who waits at this node. `O` is where answers go.
pub struct Line<O> {
    waits: BTreeMap<Name<O>, Waiting>,
    keys: BTreeMap<KeyName, KeyLine<O>>,
    /// How many wait in a group. A group stays here with nobody until it was asked for.
    groups: BTreeMap<GroupId, usize>,
    /// When to look at a wait again.
    due: BTreeSet<(Moment, Name<O>)>,
    /// Those who came since the start; who came first is first among those who began in the same millisecond.
    arrivals: u64,
    bytes: usize,
}

/// A wait, by its gateway's run and its own number.
type Name<O> = (O, u64);
type KeyName = (GroupId, Awaited, Bytes);
/// Since when it waits, and the number of its arrival.
type Place = (u64, u64);

/// Those who wait for one key.
struct KeyLine<O> {
    /// Not called.
    waiting: BTreeMap<Place, Name<O>>,
    /// Called and not back.
    called: u64,
}

struct Waiting {
    group: GroupId,
    awaited: Awaited,
    keys: Vec<Bytes>,
    place: Place,
    turn: Called,
    /// The request that is to be answered; none while its gateway is about to send the next one.
    request: Option<u64>,
    /// When to look at it, as in `due`.
    look: Moment,
}

/// Whether it was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Called {
    No,
    /// It was its turn while no request was here to be answered.
    Silently,
    /// It knows.
    Aloud,
}

impl<O> Default for KeyLine<O> {
    fn default() -> Self {
        Self { waiting: BTreeMap::new(), called: 0 }
    }
}

impl<O: Copy + Ord> Default for Line<O> {
    fn default() -> Self {
        Self::new()
    }
}

impl<O: Copy + Ord> Line<O> {
    /// Nobody waits.
    pub fn new() -> Self {
        Self {
            waits: BTreeMap::new(),
            keys: BTreeMap::new(),
            groups: BTreeMap::new(),
            due: BTreeSet::new(),
            arrivals: 0,
            bytes: 0,
        }
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waits.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waits.is_empty()
    }

    /// Groups of which nobody waits for anything any more, each once.
    pub fn take_left(&mut self) -> Vec<GroupId> {
        let left = self.groups.extract_if(.., |_, waiting| *waiting == 0);
        left.map(|(group, _)| group).collect()
    }

    /// When [`Self::tick`] has something to do.
    pub fn next_due(&self) -> Option<Moment> {
        self.due.first().map(|(moment, _)| *moment)
    }

    /// Takes a request about a wait. `wall_millis` is the time of day, and `elements` sees the state as it is after
    /// the group was marked as awaited.
    pub fn request(
        &mut self,
        origin: O,
        request: &Request,
        (now, wall_millis): (Moment, u64),
        elements: &dyn Elements,
        out: &mut Vec<(O, Reply)>,
    ) {
        let group = GroupId(request.group);
        let Ok(wait) = Wait::decode(request.body.clone()) else {
            let fault = Fault::new(ErrorCode::VersionUnsupported, "a wait that cannot be read");
            return out.push((origin, refusal(request.id, &fault, None)));
        };
        let name = (origin, wait.wait);
        if wait.over {
            out.push((origin, told(request.id, false)));
            return self.leave(name, now, elements, out);
        }
        if let Err(leader) = elements.leads(group) {
            out.push((origin, refusal(request.id, &ErrorCode::NotLeader.into(), leader)));
            return self.leave(name, now, elements, out);
        }
        if !self.waits.contains_key(&name)
            && let Err(fault) = self.arrive(name, group, wait, wall_millis)
        {
            return out.push((origin, refusal(request.id, &fault, None)));
        }
        self.take_place(name, request.id, now, elements, out);
    }

    /// A commit has changed keys: those given, or any.
    pub fn filled(
        &mut self,
        group: GroupId,
        keys: Option<Vec<Bytes>>,
        now: Moment,
        elements: &dyn Elements,
        out: &mut Vec<(O, Reply)>,
    ) {
        let names: Vec<KeyName> = match keys {
            Some(keys) => {
                let kinds = [Awaited::Lists, Awaited::SortedSets];
                let names = keys.iter().flat_map(|key| kinds.map(|awaited| (group, awaited, key.clone())));
                names.filter(|name| self.keys.contains_key(name)).collect()
            }
            None => {
                let first = (group, Awaited::Lists, Bytes::new());
                let of_group = self.keys.range(first..).take_while(|((of, ..), _)| *of == group);
                of_group.map(|(name, _)| name.clone()).collect()
            }
        };
        for name in names {
            self.call(&name, now, elements, out);
        }
    }

    /// Time passes: those who have been here for long are told that there is nothing, those who do not come back are
    /// forgotten, and those whose group is led elsewhere are sent there.
    pub fn tick(&mut self, now: Moment, elements: &dyn Elements, out: &mut Vec<(O, Reply)>) {
        let lost = self.groups.keys().filter_map(|group| Some((*group, elements.leads(*group).err()?)));
        for (group, leader) in lost.collect::<Vec<_>>() {
            self.dismiss(group, leader, out);
        }
        while let Some(&(moment, name)) = self.due.first() {
            if moment > now {
                return;
            }
            match self.waits.get_mut(&name).and_then(|waiting| waiting.request.take()) {
                Some(request) => {
                    out.push((name.0, told(request, false)));
                    self.look_at(name, now.plus(limits::WAIT_RETURN));
                }
                None => self.leave(name, now, elements, out),
            }
        }
    }

    /// Adds a wait at the place that it had before, wherever that was: who waits longest is first.
    fn arrive(&mut self, name: Name<O>, group: GroupId, wait: Wait, wall_millis: u64) -> Result<(), Fault> {
        let Ok(awaited) = Awaited::try_from(wait.awaited) else {
            return Err(Fault::new(ErrorCode::VersionUnsupported, "a wait for something unknown"));
        };
        let keys: Vec<Bytes> = wait.keys.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
        let bytes: usize = keys.iter().map(Bytes::len).sum();
        let of_group = self.groups.get(&group).copied().unwrap_or(0);
        let full = of_group >= limits::WAITS_PER_PARTITION_MAX
            || self.waits.len() >= limits::WAITS_PER_NODE_MAX
            || self.bytes + bytes > limits::WAITS_BYTES_MAX;
        if full {
            let detail = format!(
                "{of_group} clients wait for elements of the partition and {} at its leader's node, as many as may",
                self.waits.len()
            );
            return Err(Fault::new(ErrorCode::Overloaded, detail));
        }
        if keys.len() > limits::WAIT_KEYS_MAX {
            let detail = format!("a client waits for {} keys at most", limits::WAIT_KEYS_MAX);
            return Err(Fault::new(ErrorCode::RequestTooLarge, detail));
        }
        self.arrivals += 1;
        // A gateway whose clock is ahead gains nothing by it.
        let place = (wait.since_millis.min(wall_millis), self.arrivals);
        for key in &keys {
            let line = self.keys.entry((group, awaited, key.clone())).or_default();
            line.waiting.insert(place, name);
        }
        self.bytes += bytes;
        *self.groups.entry(group).or_default() += 1;
        let waiting =
            Waiting { group, awaited, keys, place, turn: Called::No, request: None, look: Moment::default() };
        self.waits.insert(name, waiting);
        Ok(())
    }

    /// A wait is here to be answered: one that has just come, one that goes on, or one that has tried in vain.
    fn take_place(
        &mut self,
        name: Name<O>,
        request: u64,
        now: Moment,
        elements: &dyn Elements,
        out: &mut Vec<(O, Reply)>,
    ) {
        let Some(waiting) = self.waits.get_mut(&name) else { return };
        if waiting.turn == Called::Silently {
            waiting.turn = Called::Aloud;
            waiting.request = None;
            out.push((name.0, told(request, true)));
            return self.look_at(name, now.plus(limits::WAIT_RETURN));
        }
        waiting.request = Some(request);
        if waiting.turn == Called::Aloud {
            waiting.turn = Called::No;
            for key in &waiting.keys {
                let key_name = (waiting.group, waiting.awaited, key.clone());
                if let Some(line) = self.keys.get_mut(&key_name) {
                    line.called = line.called.saturating_sub(1);
                    line.waiting.insert(waiting.place, name);
                }
            }
        }
        self.look_at(name, now.plus(limits::WAIT_PARK));
        self.call_all(name, now, elements, out);
    }

    /// Calls those whose turn it is, for every key of a wait.
    fn call_all(&mut self, name: Name<O>, now: Moment, elements: &dyn Elements, out: &mut Vec<(O, Reply)>) {
        let Some(waiting) = self.waits.get(&name) else { return };
        let (group, awaited) = (waiting.group, waiting.awaited);
        let names: Vec<KeyName> = waiting.keys.iter().map(|key| (group, awaited, key.clone())).collect();
        for key_name in names {
            self.call(&key_name, now, elements, out);
        }
    }

    /// Calls as many as a key has elements for.
    fn call(&mut self, key_name: &KeyName, now: Moment, elements: &dyn Elements, out: &mut Vec<(O, Reply)>) {
        let Some(line) = self.keys.get(key_name).filter(|line| !line.waiting.is_empty()) else { return };
        let (group, awaited, key) = key_name;
        let free = elements.count(*group, *awaited, key).saturating_sub(line.called);
        let room = usize::try_from(free).unwrap_or(usize::MAX);
        let called: Vec<Name<O>> = line.waiting.values().take(room).copied().collect();
        for name in called {
            self.call_one(name, now, out);
        }
    }

    fn call_one(&mut self, name: Name<O>, now: Moment, out: &mut Vec<(O, Reply)>) {
        let Some(waiting) = self.waits.get_mut(&name) else { return };
        for key in &waiting.keys {
            if let Some(line) = self.keys.get_mut(&(waiting.group, waiting.awaited, key.clone())) {
                line.waiting.remove(&waiting.place);
                line.called += 1;
            }
        }
        match waiting.request.take() {
            Some(request) => {
                waiting.turn = Called::Aloud;
                out.push((name.0, told(request, true)));
                self.look_at(name, now.plus(limits::WAIT_RETURN));
            }
            // Its gateway has been told that there is nothing, and is on its way back.
            None => waiting.turn = Called::Silently,
        }
    }

    /// A wait is over. If it was called, whatever it has left is for the next ones.
    fn leave(&mut self, name: Name<O>, now: Moment, elements: &dyn Elements, out: &mut Vec<(O, Reply)>) {
        let Some(waiting) = self.remove(name) else { return };
        if let Some(request) = waiting.request {
            out.push((name.0, told(request, false)));
        }
        if waiting.turn != Called::No {
            for key in waiting.keys {
                self.call(&(waiting.group, waiting.awaited, key), now, elements, out);
            }
        }
    }

    /// Sends everybody of a group to its leader.
    fn dismiss(&mut self, group: GroupId, leader: Option<NodeId>, out: &mut Vec<(O, Reply)>) {
        let of_group = self.waits.iter().filter(|(_, waiting)| waiting.group == group);
        for name in of_group.map(|(name, _)| *name).collect::<Vec<_>>() {
            if let Some(request) = self.remove(name).and_then(|waiting| waiting.request) {
                out.push((name.0, refusal(request, &ErrorCode::NotLeader.into(), leader)));
            }
        }
    }

    fn remove(&mut self, name: Name<O>) -> Option<Waiting> {
        let waiting = self.waits.remove(&name)?;
        self.due.remove(&(waiting.look, name));
        for key in &waiting.keys {
            self.bytes = self.bytes.saturating_sub(key.len());
            let key_name = (waiting.group, waiting.awaited, key.clone());
            let Some(line) = self.keys.get_mut(&key_name) else { continue };
            match waiting.turn {
                Called::No => drop(line.waiting.remove(&waiting.place)),
                Called::Silently | Called::Aloud => line.called = line.called.saturating_sub(1),
            }
            if line.waiting.is_empty() && line.called == 0 {
                self.keys.remove(&key_name);
            }
        }
        if let Some(count) = self.groups.get_mut(&waiting.group) {
            *count -= 1;
        }
        Some(waiting)
    }

    fn look_at(&mut self, name: Name<O>, moment: Moment) {
        let Some(waiting) = self.waits.get_mut(&name) else { return };
        self.due.remove(&(waiting.look, name));
        waiting.look = moment;
        self.due.insert((moment, name));
    }
}

/// The read that tells how many elements a key has.
pub fn question(awaited: Awaited, key: &Bytes) -> Vec<u8> {
    let key = Key { key: key.clone() };
    let op = match awaited {
        Awaited::Lists => KvOp::List(ListRequest { op: Some(ListOp::Len(key)) }),
        Awaited::SortedSets => KvOp::Sorted(SortedRequest { op: Some(SortedOp::Card(key)) }),
    };
    KvRequest::new(op).encode_to_vec()
}

/// What its reply says. A key that holds anything else has no elements that somebody could wait for.
pub fn count(reply: Bytes) -> u64 {
    match KvReply::decode(reply) {
        Ok(KvReply { answer: Some(KvAnswer::Integer(count)) }) => count.max(0) as u64,
        _ => 0,
    }
}

fn told(request: u64, come: bool) -> Reply {
    let turn = Turn { come }.encode_to_vec();
    Reply { id: request, outcome: Some(Outcome::Done(turn.into())) }
}
