//! What a sorted set of a million members costs in the engine alone: `cargo run --release -p engine-kv --example sorted`.
//!
//! One thread does everything; what is shown is its processor time. A first argument sets another number of members.

use std::sync::Arc;
use std::time::Duration;

use api::kv::{
    Bounds, Key, KeyAndMembers, Keys, KvOp, KvRequest, RankBounds, ScoredMember, SortedAdd, SortedBetween,
    SortedBounds, SortedOp, SortedRange, SortedRank, SortedRequest,
};
use bytes::Bytes;
use engine::{Applied, ApplyContext, Engine, StateMachine, SystemChange};
use engine_kv::KvEngine;
use prost::Message;
use records_fjall::{FjallStore, StoreOptions};
use types::{Hlc, LogIndex, StateId, Term};

const KEY: Bytes = Bytes::from_static(b"scores");
/// Requests of one entry, about what a busy partition gathers.
const REQUESTS_PER_ENTRY: u64 = 50;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let members = std::env::args().nth(1).map_or(Ok(1_000_000), |count| count.parse())?;
    let directory = tempfile::tempdir()?;
    let store = FjallStore::open(directory.path(), StoreOptions::default())?;
    let mut world = World { state: KvEngine::new(Arc::new(store)).create(StateId(1))?, index: 5, random: 1 };
    let started = processor_time();
    for first in (0..members).step_by(1000) {
        let all: Vec<_> = (first..first + 1000).map(scored).collect();
        world.entry([add(all)])?;
    }
    report("ZADD, 1000 at once", members, started);

    let started = processor_time();
    for _ in 0..400 {
        let more: Vec<_> = (0..REQUESTS_PER_ENTRY).map(|_| add(vec![scored(world.number())])).collect();
        world.entry(more)?;
    }
    report("ZADD, new members", 400 * REQUESTS_PER_ENTRY, started);
    let started = processor_time();
    for _ in 0..200 {
        let some: Vec<_> = (0..REQUESTS_PER_ENTRY)
            .map(|_| {
                add(vec![ScoredMember { score: world.number() as f64, ..scored(world.number() % members) }])
            })
            .collect();
        world.entry(some)?;
    }
    report("ZADD, new scores", 200 * REQUESTS_PER_ENTRY, started);
    world.reads(members)?;
    world.removals(members)
}

/// Time that this thread has spent on a processor, as Linux counts it: a busy machine makes no difference.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(text.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0))
}

fn report(what: &str, count: u64, since: Duration) {
    let seconds = (processor_time() - since).as_secs_f64();
    println!("{what:<28} {:>9.0}/s  {:>8.1} us each", count as f64 / seconds, seconds * 1e6 / count as f64);
}

/// A member with a score that is not in order of its number.
fn scored(number: u64) -> ScoredMember {
    let score = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    ScoredMember { member: format!("member:{number:012}").into(), score: score as f64 }
}

fn add(members: Vec<ScoredMember>) -> KvOp {
    sorted(SortedOp::Add(SortedAdd { key: KEY, members, ..SortedAdd::default() }))
}

fn sorted(op: SortedOp) -> KvOp {
    KvOp::Sorted(SortedRequest::new(op))
}

fn ranks(start: u64, count: u64) -> Option<SortedBounds> {
    let bounds = RankBounds { start: start as i64, stop: (start + count) as i64 - 1 };
    Some(SortedBounds { bounds: Some(Bounds::Rank(bounds)) })
}

struct World {
    state: Box<dyn StateMachine>,
    index: u64,
    random: u64,
}

impl World {
    fn number(&mut self) -> u64 {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.random >> 24
    }

    fn entry(&mut self, ops: impl IntoIterator<Item = KvOp>) -> Result<(), Failure> {
        let context = ApplyContext {
            hlc: Hlc::from_millis(1_000_000 + self.index),
            seed: 0,
            apply_version: 1,
            index: LogIndex(self.index),
            wants_changes: false,
        };
        for op in ops {
            self.state.stage(&context, &KvRequest::new(op).encode_to_vec())?;
        }
        let clock =
            SystemChange { name: "clock".into(), value: Some(self.index.to_be_bytes().to_vec().into()) };
        self.state.commit(Applied { index: LogIndex(self.index), term: Term(1) }, &[clock])?;
        self.index += 1;
        Ok(())
    }

    fn read(&mut self, what: &str, count: u64, op: impl Fn(u64) -> SortedOp) -> Result<(), Failure> {
        let reader = self.state.reader();
        let requests: Vec<_> =
            (0..count).map(|_| KvRequest::new(sorted(op(self.number()))).encode_to_vec()).collect();
        let started = processor_time();
        for request in &requests {
            reader.read(request, Hlc::from_millis(1_000_000))?;
        }
        report(what, count, started);
        Ok(())
    }

    fn reads(&mut self, members: u64) -> Result<(), Failure> {
        let member = |number: u64| scored(number % members).member;
        self.read("ZSCORE", 20_000, |number| {
            SortedOp::Scores(KeyAndMembers { key: KEY, members: vec![member(number)] })
        })?;
        self.read("ZRANK", 5000, |number| {
            SortedOp::Rank(SortedRank { key: KEY, member: member(number), ..SortedRank::default() })
        })?;
        self.read("ZRANGE, 1 at a random rank", 5000, |number| {
            let between = ranks(number % members, 1);
            SortedOp::Range(SortedRange { key: KEY, between, ..SortedRange::default() })
        })?;
        self.read("ZRANGE, 100 at random ranks", 5000, |number| {
            let between = ranks(number % (members - 100), 100);
            SortedOp::Range(SortedRange { key: KEY, between, ..SortedRange::default() })
        })?;
        self.read("ZREVRANGE, the same", 5000, |number| {
            let between = ranks(number % (members - 100), 100);
            SortedOp::Range(SortedRange { key: KEY, between, reverse: true, ..SortedRange::default() })
        })?;
        self.read("ZRANGE, the first 100", 5000, |_| {
            SortedOp::Range(SortedRange { key: KEY, between: ranks(0, 100), ..SortedRange::default() })
        })?;
        self.read("ZCARD", 20_000, |_| SortedOp::Card(Key { key: KEY }))
    }

    fn removals(&mut self, members: u64) -> Result<(), Failure> {
        for (what, count) in [("ZREMRANGEBYRANK of 1000", 1000), ("ZREMRANGEBYRANK of a third", members / 3)]
        {
            let started = processor_time();
            let between = ranks(members / 3, count);
            self.entry([sorted(SortedOp::RemoveBetween(SortedBetween { key: KEY, between }))])?;
            report(what, count, started);
        }
        let started = processor_time();
        self.entry([KvOp::Del(Keys { keys: vec![KEY] })])?;
        report("DEL", 1, started);
        Ok(())
    }
}
