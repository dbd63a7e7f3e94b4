//! The line of clients that wait: who is called and when, and that nobody waits beside an element.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use api::peer::{Access, Awaited, Outcome, Reply, Request, Turn, Wait};
use bytes::Bytes;
use env::Moment;
use node::line::{Elements, Line};
use prost::Message;
use types::{GroupId, NodeId, limits};

const GROUP: GroupId = GroupId(1);

/// Numbers of elements by key, and whether this node leads.
#[derive(Default)]
struct State {
    counts: RefCell<BTreeMap<Bytes, u64>>,
    led_by: RefCell<Option<u64>>,
}

impl State {
    fn set(&self, key: &str, count: u64) {
        self.counts.borrow_mut().insert(Bytes::copy_from_slice(key.as_bytes()), count);
    }
}

impl Elements for State {
    fn count(&self, _: GroupId, awaited: Awaited, key: &Bytes) -> u64 {
        if awaited == Awaited::Lists { self.counts.borrow().get(key).copied().unwrap_or(0) } else { 0 }
    }

    fn leads(&self, _: GroupId) -> Result<(), Option<NodeId>> {
        match *self.led_by.borrow() {
            None => Ok(()),
            Some(node) => Err(Some(NodeId(node)).filter(|node| node.get() > 0)),
        }
    }
}

/// A line at a moment, and what it said last.
struct Bench {
    line: Line<u64>,
    state: State,
    now: Moment,
    said: Vec<(u64, Reply)>,
}

impl Bench {
    fn new() -> Self {
        Self { line: Line::new(), state: State::default(), now: Moment(0), said: Vec::new() }
    }

    fn wall(&self) -> u64 {
        1_000_000 + self.now.0 / 1_000_000
    }

    fn request(&mut self, gateway: u64, id: u64, wait: &Wait) {
        let request = Request {
            id,
            group: GROUP.get(),
            access: Access::Wait as i32,
            body: wait.encode_to_vec().into(),
            ..Default::default()
        };
        let time = (self.now, self.wall());
        self.line.request(gateway, &request, time, &self.state, &mut self.said);
    }

    /// A client of a gateway begins to wait, or goes on. Requests have the number of their wait.
    fn wait(&mut self, gateway: u64, wait: u64, keys: &[&str]) {
        let since = self.wall();
        self.wait_since(gateway, wait, keys, since);
    }

    fn wait_since(&mut self, gateway: u64, wait: u64, keys: &[&str], since_millis: u64) {
        let keys = keys.iter().map(|key| Bytes::copy_from_slice(key.as_bytes())).collect();
        let wait = Wait { wait, awaited: Awaited::Lists as i32, keys, since_millis, over: false };
        self.request(gateway, wait.wait, &wait);
    }

    fn over(&mut self, gateway: u64, wait: u64) {
        self.request(gateway, 1000 + wait, &Wait { wait, over: true, ..Default::default() });
        // Every request is answered, this one as well.
        self.said.retain(|(_, reply)| reply.id != 1000 + wait);
    }

    fn fill(&mut self, key: &str, count: u64) {
        self.state.set(key, count);
        let keys = vec![Bytes::copy_from_slice(key.as_bytes())];
        self.line.filled(GROUP, Some(keys), self.now, &self.state, &mut self.said);
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now.plus(time);
        self.line.tick(self.now, &self.state, &mut self.said);
    }

    /// What was said since the last call: `1/7 come` to gateway 1 about request 7.
    fn said(&mut self) -> Vec<String> {
        let said = std::mem::take(&mut self.said);
        said.into_iter().map(|(gateway, reply)| format!("{gateway}/{} {}", reply.id, word(&reply))).collect()
    }
}

fn word(reply: &Reply) -> String {
    match reply.outcome.as_ref().unwrap() {
        Outcome::Done(turn) => {
            if Turn::decode(turn.clone()).unwrap().come { "come" } else { "nothing" }.into()
        }
        Outcome::Refused(refused) => format!("{} {}", refused.code, refused.leader),
    }
}

#[test]
fn as_many_are_called_as_there_are_elements_the_longest_waiting_first() {
    let mut bench = Bench::new();
    for wait in 1..=4 {
        bench.wait(wait % 2, wait, &["k"]);
        bench.pass(Duration::from_millis(1));
    }
    assert_eq!(bench.said(), [""; 0]);
    bench.fill("k", 2);
    assert_eq!(bench.said(), ["1/1 come", "0/2 come"]);
    bench.fill("k", 2);
    assert_eq!(bench.said(), [""; 0], "they have not come yet");
    bench.state.set("k", 1);
    bench.over(1, 1);
    assert_eq!(bench.said(), [""; 0], "what is left is for the other one");
    bench.fill("k", 3);
    assert_eq!(bench.said(), ["1/3 come", "0/4 come"]);
}

#[test]
fn who_finds_nothing_is_back_in_the_old_place() {
    let mut bench = Bench::new();
    bench.wait(1, 1, &["k"]);
    bench.pass(Duration::from_millis(1));
    bench.wait(1, 2, &["k"]);
    bench.fill("k", 1);
    assert_eq!(bench.said(), ["1/1 come"]);
    // Somebody else was faster.
    bench.state.set("k", 0);
    bench.wait(1, 1, &["k"]);
    bench.fill("k", 1);
    assert_eq!(bench.said(), ["1/1 come"]);
}

#[test]
fn who_comes_when_there_is_something_is_called_at_once() {
    let mut bench = Bench::new();
    bench.state.set("k", 1);
    bench.wait(1, 1, &["none", "k"]);
    assert_eq!(bench.said(), ["1/1 come"]);
    bench.wait(1, 2, &["k"]);
    assert_eq!(bench.said(), [""; 0], "the one element is for the first");
}

#[test]
fn what_one_leaves_is_for_the_next() {
    // Called for one key it takes from another, goes, or is never heard of again.
    type End = fn(&mut Bench);
    let ends: [End; 2] = [|bench| bench.over(1, 1), |bench| bench.pass(limits::WAIT_RETURN)];
    for end in ends {
        let mut bench = Bench::new();
        bench.wait(1, 1, &["a", "b"]);
        bench.wait(2, 2, &["b"]);
        bench.fill("b", 1);
        assert_eq!(bench.said(), ["1/1 come"]);
        bench.fill("a", 1);
        bench.state.set("a", 0);
        end(&mut bench);
        assert_eq!(bench.said(), ["2/2 come"]);
        assert_eq!(bench.line.len(), 1);
    }
}

#[test]
fn a_place_is_kept_while_its_gateway_asks_again() {
    let mut bench = Bench::new();
    bench.wait(1, 1, &["k"]);
    bench.pass(Duration::from_millis(1));
    bench.wait(1, 2, &["k"]);
    bench.pass(limits::WAIT_PARK - Duration::from_millis(1));
    assert_eq!(bench.said(), ["1/1 nothing"]);
    // Its turn comes while it is on its way back: nobody overtakes it.
    bench.fill("k", 1);
    assert_eq!(bench.said(), [""; 0]);
    bench.wait(1, 1, &["k"]);
    assert_eq!(bench.said(), ["1/1 come"]);
    // The next one is never heard of again.
    bench.pass(Duration::from_millis(1));
    assert_eq!(bench.said(), ["1/2 nothing"]);
    bench.pass(limits::WAIT_RETURN);
    assert!(bench.line.is_empty() && bench.line.next_due().is_none());
    assert_eq!(bench.line.take_left(), [GROUP]);
    assert_eq!(bench.line.take_left(), []);
}

#[test]
fn a_leader_that_leads_no_more_sends_everybody_on() {
    let mut bench = Bench::new();
    bench.wait(1, 1, &["k"]);
    *bench.state.led_by.borrow_mut() = Some(3);
    bench.pass(Duration::ZERO);
    assert_eq!(bench.said(), ["1/1 not-leader 3"]);
    bench.wait(1, 2, &["k"]);
    assert_eq!(bench.said(), ["1/2 not-leader 3"]);
    assert!(bench.line.is_empty());
    // At the next leader the order is that of their beginnings, whoever comes first.
    let mut next = Bench::new();
    let began = next.wall();
    next.wait_since(1, 2, &["k"], began - 10);
    next.wait_since(2, 9, &["k"], began + 5_000);
    next.wait_since(1, 1, &["k"], began - 20);
    next.fill("k", 2);
    assert_eq!(next.said(), ["1/1 come", "1/2 come"], "a clock that is ahead gains nothing");
}

#[test]
fn what_was_missed_is_looked_for_everywhere() {
    let mut bench = Bench::new();
    bench.wait(1, 1, &["a"]);
    bench.wait(1, 2, &["b"]);
    bench.state.set("b", 1);
    bench.line.filled(GROUP, None, bench.now, &bench.state, &mut bench.said);
    assert_eq!(bench.said(), ["1/2 come"]);
    bench.line.filled(GroupId(7), None, bench.now, &bench.state, &mut bench.said);
    assert_eq!(bench.said(), [""; 0]);
}

#[test]
fn a_line_has_limits() {
    let mut bench = Bench::new();
    for wait in 0..limits::WAITS_PER_PARTITION_MAX as u64 {
        bench.wait(1, wait, &["k"]);
    }
    assert_eq!(bench.said(), [""; 0]);
    bench.wait(2, 1, &["k"]);
    assert_eq!(bench.said(), ["2/1 overloaded 0"]);
    bench.over(1, 0);
    assert_eq!(bench.said(), ["1/0 nothing"]);
    bench.wait(2, 1, &["k"]);
    assert_eq!(bench.said(), [""; 0]);
    let mut bench = Bench::new();
    let long = "k".repeat(limits::WAITS_BYTES_MAX);
    bench.wait(1, 1, &[&long, "l"]);
    assert_eq!(bench.said(), ["1/1 overloaded 0"]);
    bench.wait(1, 1, &[&long, &long]);
    assert_eq!(bench.said(), [""; 0], "one key is counted once");
    bench.wait(1, 2, &["k"]);
    assert_eq!(bench.said(), ["1/2 overloaded 0"]);
}

#[test]
fn bytes_that_are_no_wait_are_refused() {
    let mut bench = Bench::new();
    let request = Request { id: 5, group: 1, body: Bytes::from_static(b"\xff"), ..Default::default() };
    let time = (bench.now, bench.wall());
    bench.line.request(1, &request, time, &bench.state, &mut bench.said);
    bench.request(1, 6, &Wait { wait: 6, awaited: 99, ..Default::default() });
    assert_eq!(bench.said(), ["1/5 version-unsupported 0", "1/6 version-unsupported 0"]);
    assert!(bench.line.is_empty());
}

/// A number that follows from those before it (SplitMix64).
fn next(random: &mut u64, below: u64) -> u64 {
    *random = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*random ^ (*random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ (mixed >> 27)) % below
}

/// What a client of the random test does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Client {
    /// Waits for an answer.
    Waits,
    /// Has one, and will act on it.
    Told { come: bool },
    /// Will never be heard of again; the line does not know.
    Gone,
}

/// Clients come, are called, pop, lose the race, go with and without a word; elements come and are stolen.
#[test]
fn nobody_waits_beside_an_element() {
    const KEYS: [&str; 3] = ["a", "b", "c"];
    for seed in 0..300 {
        let mut random = seed;
        let mut bench = Bench::new();
        let mut clients: BTreeMap<u64, (BTreeSet<&str>, Client)> = BTreeMap::new();
        let mut born = 0;
        for step in 0..400 {
            // In the end nobody comes any more, and everything is given time.
            let is_over = step >= 300;
            match if is_over { 5 + next(&mut random, 5) } else { next(&mut random, 10) } {
                0 => {
                    born += 1;
                    let keys: BTreeSet<&str> =
                        KEYS.into_iter().filter(|_| next(&mut random, 2) == 0).chain(["a"]).collect();
                    clients.insert(born, (keys.clone(), Client::Waits));
                    bench.wait(1, born, &keys.into_iter().collect::<Vec<_>>());
                }
                1 | 2 => {
                    let key = KEYS[next(&mut random, 3) as usize];
                    let count = bench.state.counts.borrow().get(key.as_bytes()).copied().unwrap_or(0);
                    bench.fill(key, count + 1 + next(&mut random, 2));
                }
                3 => bench.fill(KEYS[next(&mut random, 3) as usize], 0),
                4 => {
                    let silently = next(&mut random, 2) == 0;
                    let place = next(&mut random, born.max(1));
                    if let Some((&wait, client)) = clients.range_mut(place..).next() {
                        client.1 = Client::Gone;
                        if !silently {
                            clients.remove(&wait);
                            bench.over(1, wait);
                        }
                    }
                }
                5 => bench.pass(Duration::from_millis(next(&mut random, 3000))),
                _ => act(&mut bench, &mut clients, &mut random),
            }
            listen(&mut bench, &mut clients);
        }
        for _ in 0..200 {
            act(&mut bench, &mut clients, &mut random);
            bench.pass(Duration::from_millis(100));
            listen(&mut bench, &mut clients);
        }
        clients.retain(|_, (_, client)| *client != Client::Gone);
        let left = bench.state.counts.borrow().clone();
        for (wait, (keys, _)) in &clients {
            let beside = keys.iter().find(|key| left.get(key.as_bytes()).is_some_and(|count| *count > 0));
            assert_eq!(beside, None, "seed {seed}: client {wait} waits");
        }
        assert_eq!(bench.line.len(), clients.len(), "seed {seed}: others are in line");
    }
}

/// One client that was told something does what it was told.
fn act(bench: &mut Bench, clients: &mut BTreeMap<u64, (BTreeSet<&str>, Client)>, random: &mut u64) {
    let told: Vec<u64> = clients
        .iter()
        .filter(|(_, (_, client))| matches!(client, Client::Told { .. }))
        .map(|(wait, _)| *wait)
        .collect();
    if told.is_empty() {
        return;
    }
    let wait = told[next(random, told.len() as u64) as usize];
    let (keys, client) = clients.get_mut(&wait).unwrap();
    let keys: Vec<&str> = keys.iter().copied().collect();
    let counts = bench.state.counts.borrow().clone();
    let count = |key: &str| counts.get(key.as_bytes()).copied().unwrap_or(0);
    let full = keys.iter().copied().find(|key| count(key) > 0);
    match (*client, full) {
        (Client::Told { come: true }, Some(key)) => {
            let left = count(key) - 1;
            clients.remove(&wait);
            bench.fill(key, left);
            bench.over(1, wait);
        }
        _ => {
            *client = Client::Waits;
            bench.wait(1, wait, &keys);
        }
    }
}

/// Clients hear what the line says.
fn listen(bench: &mut Bench, clients: &mut BTreeMap<u64, (BTreeSet<&str>, Client)>) {
    for (_, reply) in std::mem::take(&mut bench.said) {
        let come = word(&reply) == "come";
        match clients.get_mut(&reply.id).map(|(_, client)| client) {
            Some(client) if *client == Client::Waits => *client = Client::Told { come },
            // An answer to somebody who has gone, or the last word to one who said so.
            _ => {}
        }
    }
}
