//! Lists: what work costs on a large one, that edits leave no parts behind, and what is refused.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::VecDeque;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use api::kv::{
    GenericOp, GenericRequest, Key, KvAnswer, KvError, KvOp, KvReply, KvRequest, ListIndex, ListInsert,
    ListMove, ListOp, ListPop, ListPopFirst, ListPosition, ListPush, ListRange, ListRemove, ListRequest,
    ListSet, Maybe, Sort, SortAndStore, SortPattern, Values,
};
use bytes::Bytes;
use common::{context, engine};
use engine::records::{Batch, MemoryRecordStore, Record, RecordIter, RecordStore, Records, View};
use engine::{Applied, EngineError, StateMachine};
use prost::Message;
use types::limits::{EDIT_BYTES_MAX, VALUE_BYTES_MAX};
use types::{Hlc, LogIndex, StateId, Term};

const STATE: StateId = StateId(1);
const NOW: u64 = 1_000_000;

/// A store that counts the records that are read.
struct Counting {
    store: MemoryRecordStore,
    reads: Arc<AtomicUsize>,
}

struct CountingRecords(Arc<dyn Records>, Arc<AtomicUsize>);
struct CountingView(Arc<dyn View>, Arc<AtomicUsize>);

impl RecordStore for Counting {
    fn create(&self, state: StateId) -> Result<Arc<dyn Records>, EngineError> {
        Ok(Arc::new(CountingRecords(self.store.create(state)?, self.reads.clone())))
    }
    fn open(&self, state: StateId) -> Result<Arc<dyn Records>, EngineError> {
        Ok(Arc::new(CountingRecords(self.store.open(state)?, self.reads.clone())))
    }
    fn list(&self) -> Result<Vec<StateId>, EngineError> {
        self.store.list()
    }
    fn remove(&self, state: StateId) -> Result<(), EngineError> {
        self.store.remove(state)
    }
    fn persist(&self) -> Result<(), EngineError> {
        self.store.persist()
    }
}

impl Records for CountingRecords {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.get(key)
    }
    fn view(&self) -> Arc<dyn View> {
        Arc::new(CountingView(self.0.view(), self.1.clone()))
    }
    fn write(&self, batch: Batch) -> Result<(), EngineError> {
        self.0.write(batch)
    }
    fn ingest(
        &self,
        records: &mut dyn Iterator<Item = Result<Record, EngineError>>,
    ) -> Result<(), EngineError> {
        self.0.ingest(records)
    }
    fn bytes(&self) -> u64 {
        self.0.bytes()
    }
}

impl View for CountingView {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.get(key)
    }
    fn range(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, reverse: bool) -> RecordIter<'_> {
        let reads = self.1.clone();
        Box::new(self.0.range(from, to, reverse).inspect(move |_| {
            reads.fetch_add(1, Ordering::Relaxed);
        }))
    }
}

/// One state, and how much the last request read and wrote.
struct World {
    store: MemoryRecordStore,
    state: Box<dyn StateMachine>,
    reads: Arc<AtomicUsize>,
    index: u64,
}

impl World {
    fn new() -> Self {
        let (store, reads) = (MemoryRecordStore::new(), Arc::new(AtomicUsize::new(0)));
        let counting = Counting { store: store.clone(), reads: reads.clone() };
        let state = engine(Arc::new(counting)).create(STATE).unwrap();
        Self { store, state, reads, index: 5 }
    }

    fn ask(&mut self, op: ListOp) -> KvAnswer {
        self.run(KvOp::List(ListRequest::new(op)))
    }

    fn run(&mut self, op: KvOp) -> KvAnswer {
        let is_write = op.is_write();
        let request = KvRequest::new(op).encode_to_vec();
        self.reads.store(0, Ordering::Relaxed);
        let reply = if is_write {
            let reply = self.state.stage(&context(NOW, self.index), &request).unwrap();
            // Before the commit, which collects garbage.
            self.index += 1;
            reply
        } else {
            self.state.reader().read(&request, Hlc::from_millis(NOW)).unwrap()
        };
        let reads = self.reads.load(Ordering::Relaxed);
        if is_write {
            self.state.commit(Applied { index: LogIndex(self.index), term: Term(1) }, &[]).unwrap();
        }
        self.reads.store(reads, Ordering::Relaxed);
        KvReply::decode(reply).unwrap().answer.unwrap()
    }

    /// Records that the last request read.
    fn reads(&self) -> usize {
        self.reads.load(Ordering::Relaxed)
    }

    /// A list of numbers, pushed a thousand at once.
    fn fill(&mut self, key: &'static str, count: usize) {
        for start in (0..count).step_by(1000) {
            let elements = (start..(start + 1000).min(count)).map(|n| n.to_string().into());
            self.ask(push(key, elements.collect(), false));
        }
    }

    fn elements(&mut self, key: &'static str) -> Vec<Bytes> {
        list_of(self.ask(ListOp::Range(range(key, 0, -1))))
    }

    /// All records, when the garbage is gone.
    fn records(&mut self) -> usize {
        loop {
            let before = self.count();
            self.index += 1;
            self.state.commit(Applied { index: LogIndex(self.index), term: Term(1) }, &[]).unwrap();
            if self.count() == before {
                return before;
            }
        }
    }

    fn count(&self) -> usize {
        let view = self.store.open(STATE).unwrap().view();
        view.range(Bound::Unbounded, Bound::Unbounded, false).count()
    }
}

fn list_of(answer: KvAnswer) -> Vec<Bytes> {
    match answer {
        KvAnswer::Values(values) => values.values.into_iter().map(|maybe| maybe.value.unwrap()).collect(),
        other => panic!("{other:?}"),
    }
}

fn values(elements: &[&str]) -> KvAnswer {
    let values = elements.iter().map(|element| Maybe { value: Some(Bytes::from(element.to_string())) });
    KvAnswer::Values(Values { values: values.collect() })
}

fn value(text: &str) -> KvAnswer {
    KvAnswer::Value(text.to_owned().into())
}

fn push(key: &'static str, elements: Vec<Bytes>, left: bool) -> ListOp {
    ListOp::Push(ListPush { key: key.into(), elements, left, only_if_present: false })
}

fn pop(key: &'static str, left: bool, count: Option<u64>) -> ListOp {
    ListOp::Pop(ListPop { key: key.into(), left, count })
}

fn range(key: &'static str, start: i64, stop: i64) -> ListRange {
    ListRange { key: key.into(), start, stop }
}

fn index(key: &'static str, index: i64) -> ListOp {
    ListOp::Index(ListIndex { key: key.into(), index })
}

fn insert(key: &'static str, pivot: &str, element: &str, before: bool) -> ListOp {
    let (pivot, element) = (pivot.to_owned().into(), element.to_owned().into());
    ListOp::Insert(ListInsert { key: key.into(), pivot, element, before })
}

fn remove(key: &'static str, count: i64, element: &str) -> ListOp {
    ListOp::Remove(ListRemove { key: key.into(), count, element: element.to_owned().into() })
}

#[test]
fn work_on_a_large_list_reads_what_it_is_about() {
    let mut world = World::new();
    world.fill("l", 100_000);
    let get = |text: &str| value(text);
    let few: [(ListOp, KvAnswer); 9] = [
        (index("l", 77_777), get("77777")),
        (index("l", -1), get("99999")),
        (ListOp::Range(range("l", 50_000, 50_002)), values(&["50000", "50001", "50002"])),
        (ListOp::Range(range("l", -2, -1)), values(&["99998", "99999"])),
        (pop("l", true, None), get("0")),
        (pop("l", false, Some(2)), values(&["99999", "99998"])),
        (push("l", vec!["new".into()], false), KvAnswer::Integer(99_998)),
        (push("l", vec!["new".into()], true), KvAnswer::Integer(99_999)),
        (
            ListOp::Set(ListSet { key: "l".into(), index: 40_000, element: "x".into() }),
            KvAnswer::Ok(api::kv::Nothing {}),
        ),
    ];
    for (op, wanted) in few {
        let shown = format!("{op:?}");
        assert_eq!(world.ask(op), wanted, "{shown}");
        assert!(world.reads() <= 5, "{shown} read {} records", world.reads());
    }
    let rotated =
        ListOp::Move(ListMove { from: "l".into(), to: "l".into(), from_left: false, to_left: true });
    assert_eq!(world.ask(rotated), value("new"));
    assert!(world.reads() <= 5);
    let first =
        ListOp::PopFirst(ListPopFirst { keys: vec!["none".into(), "l".into()], left: true, count: 1 });
    assert!(matches!(world.ask(first), KvAnswer::Many(_)));
    assert!(world.reads() <= 5);
    // A search reads up to what it finds.
    let position = ListPosition { key: "l".into(), element: "99".into(), rank: 1, ..Default::default() };
    assert_eq!(world.ask(ListOp::Position(position)), KvAnswer::Integer(99));
    assert!(world.reads() <= 105, "{}", world.reads());
    // Edits read up to their place, and move the shorter side.
    world.ask(insert("l", "100", "x", true));
    assert!(world.reads() <= 220, "{}", world.reads());
    world.ask(remove("l", -1, "99900"));
    assert!(world.reads() <= 220, "{}", world.reads());
}

#[test]
fn a_trim_does_the_lesser_work() {
    let mut world = World::new();
    world.fill("l", 20_000);
    let before = world.count();
    world.ask(ListOp::Trim(range("l", 100, -101)));
    assert!(world.reads() <= 3, "what goes is not read");
    assert_eq!(before - world.count(), 200);
    world.ask(ListOp::Trim(range("l", 1000, 1009)));
    assert!(world.reads() <= 15, "{} reads: what stays is copied", world.reads());
    let wanted: Vec<Bytes> = (1100..1110).map(|n| n.to_string().into()).collect();
    assert_eq!(world.elements("l"), wanted);
    assert!(world.count() > 15_000, "the foreground removed the rest");
    assert_eq!(world.records(), 1 + 1 + 10, "the facts, the key, its elements");
    world.ask(ListOp::Trim(range("l", 1, 0)));
    assert_eq!(world.records(), 1);
}

/// A small deterministic source of numbers (splitmix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// What an edit makes of a list, as simply as can be said.
fn edit_model(model: &mut VecDeque<String>, chance: &mut Chance) -> ListOp {
    let element = format!("e{}", chance.below(6));
    let (start, stop) = (chance.below(8) as i64, -1 - chance.below(8) as i64);
    match chance.below(9) {
        0 | 1 => {
            let elements: Vec<_> = (0..=chance.below(400)).map(|_| format!("e{}", chance.below(6))).collect();
            model.extend(elements.iter().cloned());
            push("l", elements.into_iter().map(Bytes::from).collect(), false)
        }
        2 => {
            model.push_front(element.clone());
            push("l", vec![element.into()], true)
        }
        3 => {
            let count = chance.below(300);
            let rest = model.split_off((count as usize).min(model.len()));
            *model = rest;
            pop("l", true, Some(count))
        }
        4 => {
            let kept: Vec<_> = model.iter().skip(start as usize).cloned().collect();
            let end = kept.len().saturating_sub((-1 - stop) as usize);
            *model = kept.into_iter().take(end).collect();
            ListOp::Trim(range("l", start, stop))
        }
        5 => {
            // Nearly everything goes: what stays is copied.
            *model = model.iter().skip(start as usize).take(3).cloned().collect();
            ListOp::Trim(range("l", start, start + 2))
        }
        6 | 7 => {
            let count = chance.below(7) as i64 - 3;
            let most = if count == 0 { usize::MAX } else { count.unsigned_abs() as usize };
            let mut places: Vec<_> = (0..model.len()).filter(|&place| model[place] == element).collect();
            if count < 0 {
                places.reverse();
            }
            places.truncate(most);
            let mut place = 0;
            model.retain(|_| {
                place += 1;
                !places.contains(&(place - 1))
            });
            remove("l", count, &element)
        }
        _ => {
            let before = chance.below(2) == 0;
            if let Some(place) = model.iter().position(|other| *other == element) {
                model.insert(place + usize::from(!before), "new".into());
            }
            insert("l", &element, "new", before)
        }
    }
}

#[test]
fn edits_leave_the_elements_in_a_row_and_nothing_besides() {
    for seed in 0..40 {
        let (mut world, mut chance, mut model) = (World::new(), Chance(seed), VecDeque::new());
        for _ in 0..60 {
            let op = edit_model(&mut model, &mut chance);
            let shown = format!("seed {seed}: {op:?}");
            world.ask(op);
            let wanted: Vec<Bytes> = model.iter().cloned().map(Bytes::from).collect();
            assert_eq!(world.elements("l"), wanted, "{shown}");
            let key = usize::from(!model.is_empty());
            assert_eq!(world.records(), 1 + key + model.len(), "{shown}");
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let mut world = World::new();
    let large = Bytes::from(vec![b'x'; VALUE_BYTES_MAX]);
    world.ask(push("l", vec!["first".into()], false));
    for _ in 0..EDIT_BYTES_MAX / VALUE_BYTES_MAX {
        world.ask(push("l", vec![large.clone()], false));
    }
    world.ask(push("l", vec!["middle".into()], false));
    for _ in 0..EDIT_BYTES_MAX / VALUE_BYTES_MAX {
        world.ask(push("l", vec![large.clone()], false));
    }
    let digest = |world: &World| (world.state.digest(Hlc::from_millis(NOW)).unwrap())().unwrap();
    let before = digest(&world);
    let reply_too_large = KvAnswer::Error(KvError::ReplyTooLarge as i32);
    let edit_too_large = KvAnswer::Error(KvError::EditTooLarge as i32);
    assert_eq!(world.ask(ListOp::Range(range("l", 0, -1))), reply_too_large);
    assert_eq!(world.ask(pop("l", true, Some(9))), reply_too_large);
    assert_eq!(world.ask(insert("l", "middle", "x", true)), edit_too_large);
    assert_eq!(world.ask(remove("l", 1, "middle")), edit_too_large);
    let sort = Sort { key: "l".into(), alphabetical: true, ..Sort::default() };
    assert_eq!(world.run(KvOp::Generic(GenericRequest::new(GenericOp::Sort(sort)))), edit_too_large);
    assert_eq!(digest(&world), before);
    assert_eq!(world.ask(ListOp::Len(Key { key: "l".into() })), KvAnswer::Integer(18));
}

#[test]
fn sorting_stores_what_patterns_name() {
    let mut world = World::new();
    world.ask(push("l", vec!["b".into(), "a".into()], false));
    let pattern = |key: &'static str| SortPattern { key: key.into(), ..SortPattern::default() };
    let sort = Sort {
        key: "l".into(),
        alphabetical: true,
        get: vec![SortPattern { element: true, ..SortPattern::default() }, pattern("name:*")],
        ..Sort::default()
    };
    let set = api::kv::Set { key: "name:a".into(), value: "Ann".into(), ..Default::default() };
    world.run(KvOp::Set(set));
    let store = SortAndStore { sort: Some(sort), to: "out".into() };
    let answer = world.run(KvOp::Generic(GenericRequest::new(GenericOp::SortAndStore(store))));
    assert_eq!(answer, KvAnswer::Integer(4));
    assert_eq!(world.elements("out"), ["a", "Ann", "b", ""]);
}
