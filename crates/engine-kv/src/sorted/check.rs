//! What must hold of every sorted set after every commit, and random commands that put it to the test.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use api::kv::{
    Bounds, KeyAndMembers, KvAnswer, KvOp, KvReply, KvRequest, RankBounds, ScoreBounds, ScoredMember,
    SortedAdd, SortedBetween, SortedBounds, SortedOp, SortedPop, SortedRange, SortedRank, SortedRequest,
};
use bytes::Bytes;
use engine::records::{MemoryRecordStore, RecordStore};
use engine::{Applied, ApplyContext, Engine, StateMachine};
use prost::Message;
use types::{Hlc, LogIndex, StateId, Term};

use super::index::{Cover, NODE_ENTRIES_MAX, RUN_MEMBERS_MAX};
use super::node::Node;
use super::place::{INDEX, MEMBER, PLACE, place, score_in, sortable};
use super::read::Sorted;
use crate::KvEngine;
use crate::collection::{Found, POSITION_BYTES, find};
use crate::look::{Committed, Look};
use crate::value::Kind;

const STATE: StateId = StateId(1);
const KEY: &[u8] = b"z";

/// Panics unless scores, places and index of a sorted set agree.
fn check(look: &dyn Look, found: &Found) {
    let set = Sorted::of(look, found).unwrap();
    let all = found.parts.with_prefix(look, &[PLACE]);
    let places: Vec<Bytes> = all.map(|record| record.unwrap().0.slice(1..)).collect();
    let walked: Vec<Bytes> =
        set.places(Bound::Unbounded, Bound::Unbounded, false).collect::<Result<_, _>>().unwrap();
    assert_eq!(places, walked, "the ends of the set are wrong");
    let members = found.parts.with_prefix(look, &[MEMBER]).map(|record| {
        let (sub_key, value) = record.unwrap();
        place(score_in(&value).unwrap(), &sub_key[1 + POSITION_BYTES..])
    });
    assert!(members.collect::<BTreeSet<_>>().iter().eq(&places), "places and members differ");
    assert_eq!(places.len() as u64, found.count);
    // The ends are those of the set, no farther away; the members here are short.
    assert_eq!(set.root.start(), &places[0]);
    assert_eq!(set.root.end(), places.last().map(|last| [&last[..], &[0]].concat()));
    assert_eq!(set.root.is_gone(), (false, false));

    let nodes = found.parts.with_prefix(look, &[INDEX]).count();
    match set.root.levels {
        0 => assert!(found.count <= RUN_MEMBERS_MAX as u64 && nodes == 0, "so many members need an index"),
        levels => {
            assert!(found.count > RUN_MEMBERS_MAX as u64 / 2, "so few members need no index");
            let top = Node::get(&set, levels, &[]).unwrap();
            assert!(levels == 1 || top.entries.len() > 1, "the uppermost level is good for nothing");
            assert_eq!(check_node(&set, levels, &[], &Cover::default(), &places), nodes, "nodes of nobody");
        }
    }
}

/// Checks a node that covers these places, and all below it; how many nodes they are.
fn check_node(set: &Sorted<'_>, level: u8, separator: &[u8], cover: &Cover, places: &[Bytes]) -> usize {
    let node = Node::get(set, level, separator).unwrap();
    assert!((1..=NODE_ENTRIES_MAX).contains(&node.entries.len()), "{} entries", node.entries.len());
    assert!(node.entries.is_sorted_by(|a, b| a.separator < b.separator));
    let mut nodes = 1;
    for (at, entry) in node.entries.iter().enumerate() {
        let mut cover = cover.clone();
        cover.narrow(&node, at);
        let is_covered =
            |place: &Bytes| *place >= cover.from && cover.to.as_ref().is_none_or(|to| place < to);
        let places: Vec<_> = places.iter().filter(|place| is_covered(place)).cloned().collect();
        assert_eq!(entry.members, places.len() as u64, "an entry of level {level}");
        assert!(entry.members > 0, "an empty entry");
        if level > 1 {
            nodes += check_node(set, level - 1, &entry.separator, &cover, &places);
        } else {
            assert!(places.len() <= RUN_MEMBERS_MAX, "a run of {}", places.len());
        }
    }
    nodes
}

/// One state, and what its one sorted set should hold.
struct World {
    store: MemoryRecordStore,
    state: Box<dyn StateMachine>,
    index: u64,
    model: BTreeMap<Bytes, f64>,
    random: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let store = MemoryRecordStore::new();
        let state = KvEngine::new(Arc::new(store.clone())).create(STATE).unwrap();
        Self { store, state, index: 1, model: BTreeMap::new(), random: seed }
    }

    /// A number below `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % end
    }

    fn stage(&mut self, op: SortedOp) -> KvAnswer {
        let hlc = Hlc::from_millis(1_000_000 + self.index);
        let index = LogIndex(self.index);
        let context = ApplyContext { hlc, seed: self.index, apply_version: 1, index, wants_changes: false };
        let request = KvRequest::new(KvOp::Sorted(SortedRequest::new(op)));
        let reply = self.state.stage(&context, &request.encode_to_vec()).unwrap();
        KvReply::decode(reply).unwrap().answer.unwrap()
    }

    fn commit(&mut self) {
        self.state.commit(Applied { index: LogIndex(self.index), term: Term(1) }, &[]).unwrap();
        self.index += 1;
    }

    fn ask(&self, op: SortedOp) -> KvAnswer {
        let request = KvRequest::new(KvOp::Sorted(SortedRequest::new(op))).encode_to_vec();
        let reply = self.state.reader().read(&request, Hlc::from_millis(1_000_000)).unwrap();
        KvReply::decode(reply).unwrap().answer.unwrap()
    }

    /// Checks what is committed.
    fn check(&self) {
        let view = self.store.open(STATE).unwrap().view();
        let look = Committed { view, epoch: 0, now: Hlc::from_millis(1_000_000) };
        match find(&look, KEY, Kind::SortedSet).ok().unwrap() {
            Some(found) => {
                assert_eq!(found.count, self.model.len() as u64);
                check(&look, &found);
            }
            None => assert!(self.model.is_empty()),
        }
    }

    fn member(&mut self, kinds: u64) -> Bytes {
        // Members of different lengths, some the beginning of others.
        let number = self.below(kinds);
        Bytes::from(number.to_string().repeat(1 + number as usize % 3))
    }

    fn score(&mut self) -> f64 {
        self.below(40) as f64 / 4.0 - 5.0
    }

    /// What the model has, in order.
    fn sorted(&self) -> Vec<(f64, Bytes)> {
        let mut all: Vec<_> = self.model.iter().map(|(member, score)| (*score, member.clone())).collect();
        all.sort_by(|a, b| (sortable(a.0), &a.1).cmp(&(sortable(b.0), &b.1)));
        all
    }

    fn add(&mut self, count: u64, kinds: u64) {
        let mut members = Vec::new();
        for _ in 0..count {
            let (member, score) = (self.member(kinds), self.score());
            self.model.insert(member.clone(), score);
            members.push(ScoredMember { member, score });
        }
        self.stage(SortedOp::Add(SortedAdd { key: KEY.into(), members, ..SortedAdd::default() }));
    }

    fn remove(&mut self, count: u64, kinds: u64) {
        let members: Vec<_> = (0..count).map(|_| self.member(kinds)).collect();
        let removed = members.iter().filter(|member| self.model.remove(*member).is_some()).count();
        let reply = self.stage(SortedOp::Remove(KeyAndMembers { key: KEY.into(), members }));
        assert_eq!(reply, KvAnswer::Integer(removed as i64));
    }

    fn remove_ranks(&mut self) {
        let count = self.model.len() as u64;
        let (start, length) = (self.below(count + 1), 1 + self.below(count / 2 + 2));
        let gone: Vec<_> = self.sorted().into_iter().skip(start as usize).take(length as usize).collect();
        for (_, member) in &gone {
            self.model.remove(member);
        }
        let bounds = RankBounds { start: start as i64, stop: (start + length) as i64 - 1 };
        self.remove_between(Bounds::Rank(bounds), gone.len());
    }

    fn remove_scores(&mut self) {
        let (min, max) = (self.score(), self.score());
        let (excludes_min, excludes_max) = (self.below(2) == 0, self.below(2) == 0);
        let before = self.model.len();
        self.model.retain(|_, score| {
            let is_above = if excludes_min { *score > min } else { *score >= min };
            let is_below = if excludes_max { *score < max } else { *score <= max };
            !(is_above && is_below)
        });
        let bounds = ScoreBounds { min, max, excludes_min, excludes_max };
        self.remove_between(Bounds::Score(bounds), before - self.model.len());
    }

    fn remove_between(&mut self, bounds: Bounds, removed: usize) {
        let between = Some(SortedBounds { bounds: Some(bounds) });
        let reply = self.stage(SortedOp::RemoveBetween(SortedBetween { key: KEY.into(), between }));
        assert_eq!(reply, KvAnswer::Integer(removed as i64));
    }

    fn pop(&mut self) {
        let (count, min) = (self.below(9), self.below(2) == 0);
        let mut all = self.sorted();
        if !min {
            all.reverse();
        }
        for (_, member) in all.iter().take(count as usize) {
            self.model.remove(member);
        }
        self.stage(SortedOp::PopFirst(SortedPop { keys: vec![KEY.into()], min, count }));
    }

    /// Compares some ranks and ranges, in both directions, with the model.
    fn compare(&mut self) {
        let all = self.sorted();
        for _ in 0..4 {
            let at = self.below(all.len() as u64 + 1) as usize;
            if let Some((_, member)) = all.get(at) {
                for (reverse, wanted) in [(false, at), (true, all.len() - 1 - at)] {
                    let ask =
                        SortedRank { key: KEY.into(), member: member.clone(), reverse, with_score: false };
                    assert_eq!(self.ask(SortedOp::Rank(ask)), KvAnswer::Integer(wanted as i64));
                }
            }
            for reverse in [false, true] {
                let mut wanted = all.clone();
                if reverse {
                    wanted.reverse();
                }
                let bounds = Bounds::Rank(RankBounds { start: at as i64, stop: at as i64 + 7 });
                let between = Some(SortedBounds { bounds: Some(bounds) });
                let ask = SortedRange { key: KEY.into(), between, reverse, offset: 0, limit: None };
                let KvAnswer::Scored(found) = self.ask(SortedOp::Range(ask)) else { panic!("no members") };
                let found = found.members.into_iter().map(|member| (member.score, member.member));
                assert!(found.eq(wanted.into_iter().skip(at).take(8)));
            }
        }
    }
}

#[test]
fn the_index_holds_after_random_commands() {
    for seed in 0..40 {
        let mut world = World::new(seed);
        // Sets that stay small, and some that grow to several levels.
        let kinds = [12, 40, 300, 2000][seed as usize % 4];
        for step in 0..120 {
            // Commands of one entry see each other before they are committed.
            for _ in 0..=world.below(3) {
                let count = 1 + world.below(if step % 10 == 0 { kinds / 2 } else { 8 });
                match world.below(12) {
                    0..=5 => world.add(count, kinds),
                    6..=8 => world.remove(count, kinds),
                    9 => world.pop(),
                    10 => world.remove_scores(),
                    _ => world.remove_ranks(),
                }
            }
            world.commit();
            world.check();
            world.compare();
        }
    }
}

#[test]
fn a_window_that_moves_leaves_no_empty_nodes_behind() {
    let mut world = World::new(1);
    for number in 0..3000_u64 {
        let score = number as f64;
        let member = Bytes::from(number.to_string());
        world.model.insert(member.clone(), score);
        let members = vec![ScoredMember { member, score }];
        world.stage(SortedOp::Add(SortedAdd { key: KEY.into(), members, ..SortedAdd::default() }));
        if let Some(old) = number.checked_sub(100) {
            let member = Bytes::from(old.to_string());
            world.model.remove(&member);
            world.stage(SortedOp::Remove(KeyAndMembers { key: KEY.into(), members: vec![member] }));
        }
        world.commit();
    }
    world.check();
    let view = world.store.open(STATE).unwrap().view();
    let records = view.range(Bound::Unbounded, Bound::Unbounded, false).count();
    assert!(records < 2 * 100 + 100, "{records} records for 100 members");
}
