//! Hashes and sets that are large: pages, choices by chance and set algebra.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use api::kv::{
    Choice, Combining, CommonCount, HashOp, HashRequest, HashSet, Key, KeyAndMembers, Keys, KvAnswer,
    KvError, KvOp, KvReply, KvRequest, MemberScan, Nothing, Page, Pair, SetChoice, SetCombination, SetOp,
    SetPop, SetRequest, SetScan, StoreCombination,
};
use bytes::Bytes;
use common::{Disk, Memory, context, engine};
use engine::{Applied, StateMachine};
use prost::Message;
use types::hash::position;
use types::limits::{CHOICES_MAX, POSITION_BITS};
use types::{Hlc, LogIndex, StateId, Term};

/// More than are ever counted through to choose one of them.
const MANY: usize = 40_000;

struct World {
    state: Box<dyn StateMachine>,
    index: u64,
}

impl World {
    fn new() -> Self {
        Self { state: engine(Memory::default().open()).create(StateId(1)).unwrap(), index: 5 }
    }

    fn read(&self, op: KvOp) -> KvAnswer {
        let request = KvRequest::new(op).encode_to_vec();
        let reply = self.state.reader().read(&request, Hlc::from_millis(1)).unwrap();
        KvReply::decode(reply).unwrap().answer.unwrap()
    }

    /// An entry of its own.
    fn write(&mut self, op: KvOp) -> KvAnswer {
        let request = KvRequest::new(op).encode_to_vec();
        let reply = self.state.stage(&context(1, self.index), &request).unwrap();
        self.state.commit(Applied { index: LogIndex(self.index), term: Term(1) }, &[]).unwrap();
        self.index += 1;
        KvReply::decode(reply).unwrap().answer.unwrap()
    }

    fn add(&mut self, key: &str, members: impl Iterator<Item = usize>) -> BTreeSet<usize> {
        let members: BTreeSet<_> = members.collect();
        let op = KeyAndMembers { key: name(key), members: members.iter().map(bytes).collect() };
        assert_eq!(self.write(sets(SetOp::Add(op))), KvAnswer::Integer(members.len() as i64));
        members
    }

    fn card(&self, key: &str) -> usize {
        integer(&self.read(sets(SetOp::Card(Key { key: name(key) }))))
    }

    fn choose(&self, key: &str, count: i64, seed: u64) -> Vec<usize> {
        let choice = Choice { count: Some(count), with_values: false, seed };
        numbers(page(self.read(sets(SetOp::Choose(SetChoice { key: name(key), choice })))))
    }
}

fn sets(op: SetOp) -> KvOp {
    KvOp::Sets(SetRequest { op: Some(op) })
}

fn hash(op: HashOp) -> KvOp {
    KvOp::Hash(HashRequest { key: name("hash"), op: Some(op) })
}

fn name(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn bytes(number: &usize) -> Bytes {
    number.to_string().into()
}

fn numbers(page: Page) -> Vec<usize> {
    page.keys.iter().map(|key| std::str::from_utf8(key).unwrap().parse().unwrap()).collect()
}

fn page(answer: KvAnswer) -> Page {
    let KvAnswer::Page(page) = answer else { panic!("{answer:?}") };
    page
}

fn integer(answer: &KvAnswer) -> usize {
    let KvAnswer::Integer(number) = answer else { panic!("{answer:?}") };
    *number as usize
}

#[test]
fn pages_have_every_member_once_and_what_was_there_throughout() {
    let mut world = World::new();
    world.add("set", 0..MANY);
    let (mut position, mut found, mut pages) = (0, Vec::new(), 0);
    loop {
        let scan = MemberScan { position, count: 700, pattern: None };
        let page = page(world.read(sets(SetOp::Scan(SetScan { key: name("set"), scan }))));
        let next = page.next;
        found.extend(numbers(page));
        pages += 1;
        // Others come and go in the meantime.
        world.add("set", [MANY + pages].into_iter());
        match next {
            Some(next) => {
                assert!(next > position && next < 1 << POSITION_BITS);
                position = next;
            }
            None => break,
        }
    }
    assert!((40..80).contains(&pages), "{pages}");
    let unique: BTreeSet<_> = found.iter().copied().collect();
    assert_eq!(unique.len(), found.len());
    assert!((0..MANY).all(|number| unique.contains(&number)));

    let scan = MemberScan { position: 1 << POSITION_BITS, count: 1, pattern: None };
    let past = page(world.read(sets(SetOp::Scan(SetScan { key: name("set"), scan }))));
    assert_eq!(past, Page::default());
}

#[test]
fn a_page_of_a_hash_has_fields_with_values_that_match() {
    let mut world = World::new();
    let fields = (0..1000_usize).map(|number| Pair { key: bytes(&number), value: bytes(&(number * 2)) });
    world.write(hash(HashOp::Set(HashSet { fields: fields.collect() })));
    let pattern = Some(Bytes::from_static(b"77*"));
    let scan = MemberScan { position: 0, count: 5000, pattern };
    let found = page(world.read(hash(HashOp::Scan(scan))));
    assert_eq!(found.next, None);
    let found = numbers(found);
    assert_eq!(found.len(), 2 * 11);
    assert!(found.chunks(2).all(|pair| pair[1] == 2 * pair[0]));
}

#[test]
fn each_of_many_is_equally_likely() {
    let mut world = World::new();
    let members = world.add("set", 0..MANY);
    let mut drawn: BTreeMap<usize, u32> = BTreeMap::new();
    for seed in 0..90 {
        for member in world.choose("set", -1000, seed) {
            *drawn.entry(member).or_default() += 1;
        }
    }
    assert_eq!(drawn.values().sum::<u32>(), 90_000);

    // Whoever takes the first member behind a random place takes those behind wide gaps: of the quarter with the
    // narrowest gaps only 4 %.
    let mut positions: Vec<_> = members.iter().map(|member| (position(&bytes(member)), *member)).collect();
    positions.sort_unstable();
    let mut gaps: Vec<_> = positions.windows(2).map(|pair| (pair[1].0 - pair[0].0, pair[1].1)).collect();
    gaps.sort_unstable();
    for quarter in gaps.chunks(MANY / 4) {
        let share: u32 = quarter.iter().filter_map(|(_, member)| drawn.get(member)).sum();
        assert!((21_900..23_100).contains(&share), "a quarter was drawn {share} times of 90000");
    }
    // One in a hundred members is drawn about as often as it should be, wherever it lies.
    for part in positions.chunks(MANY / 100) {
        let share: u32 = part.iter().filter_map(|(_, member)| drawn.get(member)).sum();
        assert!((750..1050).contains(&share), "a part was drawn {share} times of 90000");
    }
}

#[test]
fn each_of_few_is_equally_likely() {
    let mut world = World::new();
    world.add("set", 0..10);
    let mut counts = [[0; 10]; 3];
    for seed in 0..3000 {
        for member in world.choose("set", 3, seed) {
            counts[0][member] += 1;
        }
        for member in world.choose("set", -3, seed) {
            counts[1][member] += 1;
        }
        let choice = Choice { count: None, with_values: false, seed };
        match world.read(sets(SetOp::Choose(SetChoice { key: name("set"), choice }))) {
            KvAnswer::Value(member) => {
                counts[2][std::str::from_utf8(&member).unwrap().parse::<usize>().unwrap()] += 3;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(counts.iter().flatten().all(|count| (700..1100).contains(count)), "{counts:?}");
}

#[test]
fn different_ones_are_different_and_repeats_are_exact() {
    let mut world = World::new();
    let members = world.add("set", 0..MANY);
    for count in [1, 100, 1200, 10_000, MANY / 2, MANY - 1, MANY, 2 * MANY] {
        let chosen = world.choose("set", count as i64, 7);
        let unique: BTreeSet<_> = chosen.iter().copied().collect();
        assert_eq!((unique.len(), chosen.len()), (count.min(MANY), count.min(MANY)));
        assert!(unique.is_subset(&members));
    }
    for count in [1, 100, 10_000, MANY, 2 * MANY] {
        assert_eq!(world.choose("set", -(count as i64), 7).len(), count);
    }
    assert_eq!(world.choose("set", 100, 7), world.choose("set", 100, 7), "chance follows from the seed");
    assert_ne!(world.choose("set", 100, 7), world.choose("set", 100, 8));
    let choice = Choice { count: Some(-(CHOICES_MAX as i64) - 1), with_values: false, seed: 0 };
    let refused = world.read(sets(SetOp::Choose(SetChoice { key: name("set"), choice })));
    assert_eq!(refused, KvAnswer::Error(KvError::ReplyTooLarge as i32));
}

#[test]
fn what_is_popped_is_gone() {
    let mut world = World::new();
    let mut left = world.add("set", 0..MANY);
    for count in [1, 5, 1000, 30_000] {
        let pop = SetPop { key: name("set"), count: Some(count as u64) };
        let popped = numbers(page(world.write(sets(SetOp::Pop(pop)))));
        assert_eq!(popped.len(), count);
        assert!(popped.iter().all(|member| left.remove(member)), "popped what was not there");
        assert_eq!(world.card("set"), left.len());
    }
    let all = numbers(page(world.read(sets(SetOp::Members(Key { key: name("set") })))));
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>(), left);
    let pop = SetPop { key: name("set"), count: Some(u64::MAX) };
    assert_eq!(page(world.write(sets(SetOp::Pop(pop)))).keys.len(), left.len());
    assert_eq!(world.card("set"), 0);
    assert_eq!(world.read(KvOp::DbSize(Nothing {})), KvAnswer::Integer(0));
}

#[test]
fn sets_of_all_sizes_are_combined() {
    let mut world = World::new();
    let mut model = Vec::new();
    // The small ones are searched for, the large ones walked through.
    const ALL: usize = 3000;
    model.push(("all", world.add("all", 0..ALL)));
    model.push(("odd", world.add("odd", (1..ALL).step_by(2))));
    model.push(("third", world.add("third", (0..ALL).step_by(3))));
    model.push(("few", world.add("few", [3, 5, 9, 10, ALL + 1].into_iter())));
    model.push(("none", BTreeSet::new()));
    for how in [Combining::Intersection, Combining::Union, Combining::Difference] {
        for (first_key, first) in &model {
            for (second_key, second) in &model {
                for (third_key, third) in &model[1..] {
                    let wanted: BTreeSet<_> = match how {
                        Combining::Intersection => &(first & second) & third,
                        Combining::Union => &(first | second) | third,
                        Combining::Difference => &(first - second) - third,
                    };
                    let keys = [first_key, second_key, third_key].map(|key| name(key)).to_vec();
                    let combination = SetCombination { how: how as i32, sets: Keys { keys } };
                    let found = page(world.read(sets(SetOp::Combine(combination))));
                    let found = numbers(found);
                    assert_eq!(found.len(), wanted.len(), "{how:?} {first_key} {second_key} {third_key}");
                    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), wanted);
                }
            }
        }
    }
    let common = |limit| CommonCount { sets: Keys { keys: vec![name("odd"), name("third")] }, limit };
    assert_eq!(integer(&world.read(sets(SetOp::CountCommon(common(0))))), 500);
    assert_eq!(integer(&world.read(sets(SetOp::CountCommon(common(99))))), 99);
}

#[test]
fn very_many_sets_are_combined() {
    let mut world = World::new();
    let keys: Vec<String> = (0..200).map(|number| format!("s{number}")).collect();
    for (number, key) in keys.iter().enumerate() {
        world.add(key, [0, number, number + 1, 1000 + number / 2].into_iter());
    }
    let combination = |how: Combining, from: usize| SetCombination {
        how: how as i32,
        sets: Keys { keys: keys[from..].iter().map(|key| name(key)).collect() },
    };
    let combined = |world: &mut World, how, from| {
        let op = StoreCombination { to: name("s0"), combination: combination(how, from) };
        let read = numbers(page(world.read(sets(SetOp::Combine(combination(how, from))))));
        let count = integer(&world.write(sets(SetOp::Store(op))));
        let stored = numbers(page(world.read(sets(SetOp::Members(Key { key: name("s0") })))));
        assert_eq!((count, &read), (stored.len(), &stored));
        read.into_iter().collect::<BTreeSet<_>>()
    };
    assert_eq!(combined(&mut world, Combining::Union, 0), (0..=200).chain(1000..1100).collect());
    // Now the first set has everything.
    assert_eq!(combined(&mut world, Combining::Difference, 0), BTreeSet::new());
    assert_eq!(combined(&mut world, Combining::Intersection, 0), BTreeSet::new());
    assert_eq!(combined(&mut world, Combining::Intersection, 1), BTreeSet::from([0]));
    assert_eq!(combined(&mut world, Combining::Union, 1).len(), 301);
    world.add("s1", 5000..6000);
    assert_eq!(combined(&mut world, Combining::Difference, 1), (5000..6000).chain([1, 1000]).collect());
    assert_eq!(world.read(KvOp::DbSize(Nothing {})), KvAnswer::Integer(200));
}

#[test]
fn a_result_may_replace_one_of_its_sources() {
    let mut world = World::new();
    let mut first = world.add("a", 0..20_000);
    let second = world.add("b", 5_000..30_000);
    let op = StoreCombination {
        to: name("a"),
        combination: SetCombination {
            how: Combining::Difference as i32,
            sets: Keys { keys: vec![name("a"), name("b")] },
        },
    };
    first = &first - &second;
    assert_eq!(integer(&world.write(sets(SetOp::Store(op)))), first.len());
    let members = numbers(page(world.read(sets(SetOp::Members(Key { key: name("a") })))));
    assert_eq!(members.into_iter().collect::<BTreeSet<_>>(), first);
}

#[test]
fn a_reply_that_would_be_too_large_is_refused_and_removes_nothing() {
    let mut world = World::new();
    for piece in 0..30 {
        let members = (0..1000).map(|number| Bytes::from(format!("{piece}:{number:01000}"))).collect();
        world.write(sets(SetOp::Add(KeyAndMembers { key: name("set"), members })));
    }
    let refused = KvAnswer::Error(KvError::ReplyTooLarge as i32);
    assert_eq!(world.read(sets(SetOp::Members(Key { key: name("set") }))), refused);
    let pop = |count| sets(SetOp::Pop(SetPop { key: name("set"), count: Some(count) }));
    assert_eq!(world.write(pop(29_000)), refused);
    assert_eq!(world.card("set"), 30_000);
    assert_eq!(page(world.write(pop(10_000))).keys.len(), 10_000);
    assert_eq!(world.card("set"), 20_000);
}
