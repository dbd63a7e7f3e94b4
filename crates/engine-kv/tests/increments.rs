//! A full backup and increments on it, put together, are the state at the moment of the last one.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;

use api::kv::{
    ContentKind, ContentSelection, ContentSum, Contents, HashOp, HashRequest, HashSet, Import, KvAnswer,
    KvOp, KvReply, KvRequest, Pair, Piece,
};
use backup::write::Progress;
use backup::{
    Begun, Chain, FORMAT, Layers, Manifest, PartitionRecord, SumRecord, TableRecord, Target, verify, write,
};
use bytes::Bytes;
use common::chance::Chance;
use common::{Disk, Memory, context, engine};
use engine::{Applied, ContentPage, ContentSource, Engine, EngineError, IsKnown, StateMachine};
use proptest::prelude::*;
use prost::Message;
use types::{Hlc, LogIndex, StateId, Term};

const NOW: u64 = 1_000_000;
const TABLE: (&str, &str) = ("default", "kv");

/// A state, its engine, and the index of its last entry.
struct State {
    engine: std::sync::Arc<dyn Engine>,
    state: Box<dyn StateMachine>,
    index: u64,
    copies: u64,
}

impl State {
    fn new() -> Self {
        let engine = engine(Memory::default().open());
        let state = engine.create(StateId(1)).unwrap();
        Self { engine, state, index: 5, copies: 0 }
    }

    /// The moment of the last entry: each is a millisecond later than the one before.
    fn now(&self) -> u64 {
        NOW + self.index
    }

    fn stage(&mut self, op: KvOp) -> KvReply {
        let request = KvRequest::new(op).encode_to_vec();
        let reply = self.state.stage(&context(self.now(), self.index), &request).unwrap();
        KvReply::decode(reply).unwrap()
    }

    fn commit(&mut self) {
        self.state.commit(Applied { index: LogIndex(self.index), term: Term(1) }, &[]).unwrap();
    }

    /// An entry of some requests.
    fn entry(&mut self, chance: &mut Chance) {
        self.index += 1;
        for _ in 0..=chance.below(3) {
            let op = chance.op();
            self.stage(op);
        }
        self.commit();
    }

    /// Goes on with a copy of the state, as a replica does that was given a snapshot.
    fn copy(&mut self) {
        let mut source = self.state.snapshot().unwrap();
        self.copies += 1;
        let mut sink = self.engine.ingest(StateId(self.copies + 1)).unwrap();
        while let Some(chunk) = source.next_chunk(300).unwrap() {
            sink.write(&chunk).unwrap();
        }
        self.state = sink.finish().unwrap();
    }

    fn source(&self, page_bytes: usize) -> Paged {
        self.source_of(&ContentSelection::default(), page_bytes)
    }

    fn source_of(&self, selection: &ContentSelection, page_bytes: usize) -> Paged {
        let held = self.state.hold(Hlc::from_millis(self.now())).unwrap().unwrap();
        Paged(held.export(&selection.encode_to_vec()).unwrap(), page_bytes)
    }

    fn contents(&self) -> (Vec<Piece>, ContentSum) {
        let mut source = self.source(1 << 20);
        let (mut pieces, mut sum) = (Vec::new(), ContentSum::default());
        while let Some(page) = source.next_page(0).unwrap() {
            pieces.extend(Contents::decode(page.body).unwrap().pieces);
            sum.merge(&page.sum);
        }
        (pieces, sum)
    }
}

/// A source that gives small pages, whatever is asked for: collections are cut then.
struct Paged(Box<dyn ContentSource>, usize);

impl ContentSource for Paged {
    fn next_page_without(
        &mut self,
        _bytes_max: usize,
        is_known: IsKnown<'_>,
    ) -> Result<Option<ContentPage>, EngineError> {
        self.0.next_page_without(self.1, is_known)
    }
}

fn id(number: u64) -> String {
    backup::id(NOW * 1000, number as u32)
}

/// Saves the state as it is, on another backup or in full.
fn save(target: &dyn Target, state: &State, number: u64, on: Option<u64>, page_bytes: usize) -> Manifest {
    save_from(target, state, number, on, state.source(page_bytes))
}

fn save_from(
    target: &dyn Target,
    state: &State,
    number: u64,
    on: Option<u64>,
    mut source: Paged,
) -> Manifest {
    let partition =
        PartitionRecord { partition: 0, group: 10, index: state.index, term: 1, ..Default::default() };
    let mut begun = Begun {
        format: FORMAT,
        id: id(number),
        cluster: "c".into(),
        cluster_name: "skein".into(),
        release: "0.1.0".into(),
        begun_ms: state.now(),
        at_ms: state.now() + 1,
        kinds: Vec::new(),
        schedule: String::new(),
        parent: None,
        tables: vec![TableRecord {
            namespace: TABLE.0.into(),
            name: TABLE.1.into(),
            engine: "kv".into(),
            hash: "tag".into(),
            replicas: 1,
            partitions: vec![partition],
        }],
    };
    if let Some(on) = on {
        begun.parent = Some(Chain::load(target, &id(on)).unwrap().link(&begun).unwrap());
    }
    backup::begin(target, &begun).unwrap();
    let table = &begun.tables[0];
    let place = &table.partitions[0];
    let record = write::partition(target, &begun, table, place, &mut source, &Progress::default());
    begun.tables[0].partitions[0] = record.unwrap();
    let manifest = Manifest::new(begun, state.now());
    backup::finish(target, &manifest).unwrap();
    manifest
}

/// What a chain holds.
fn together(target: &dyn Target, number: u64) -> Vec<Piece> {
    let chain = Chain::load(target, &id(number)).unwrap();
    let mut layers = Layers::open(target, &chain, TABLE, 0).unwrap();
    let mut pieces = Vec::new();
    while let Some(contents) = layers.next_block().unwrap() {
        pieces.extend(contents.pieces);
    }
    pieces
}

/// The sum of a state into which these were written.
fn restored(pieces: Vec<Piece>, index: u64) -> ContentSum {
    let mut copy = State::new();
    copy.index = index;
    for piece in pieces {
        let import = KvOp::Import(Import { pieces: vec![piece], ..Default::default() });
        match copy.stage(import).answer {
            Some(KvAnswer::Imported(done)) if done.refused.is_none() && done.expired == 0 => {}
            other => panic!("not imported: {other:?}"),
        }
    }
    copy.commit();
    copy.contents().1
}

fn place() -> (tempfile::TempDir, std::sync::Arc<dyn Target>) {
    let place = tempfile::TempDir::new().unwrap();
    let target = backup::open(&format!("file://{}", place.path().display())).unwrap();
    (place, target)
}

/// What each key holds without its stamp, and the stamp.
fn by_key(pieces: Vec<Piece>) -> BTreeMap<Bytes, (u64, Vec<Piece>)> {
    let mut keys: BTreeMap<Bytes, (u64, Vec<Piece>)> = BTreeMap::new();
    for mut piece in pieces {
        let key = keys.entry(piece.key.clone()).or_default();
        key.0 = std::mem::take(&mut piece.version);
        key.1.push(piece);
    }
    keys
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..Default::default() })]

    /// What all increments rest on: no write of any type changes a key and leaves its stamp.
    #[test]
    fn a_key_that_has_changed_has_the_stamp_of_its_entry(seed in any::<u64>()) {
        let mut chance = Chance(seed);
        let mut state = State::new();
        let mut before = BTreeMap::new();
        for _ in 0..60 {
            state.entry(&mut chance);
            let after = by_key(state.contents().0);
            for (key, (stamp, held)) in &after {
                let known: Option<&(u64, Vec<Piece>)> = before.get(key);
                let is_same = known.is_some_and(|(_, before)| before == held);
                let has_stamp = Hlc(*stamp).millis() == state.now();
                let stamp_stays = known.is_some_and(|(before, _)| before == stamp);
                prop_assert!(if is_same { has_stamp || stamp_stays } else { has_stamp }, "{:?}", key);
            }
            before = after;
        }
    }

    #[test]
    fn a_chain_holds_what_the_state_held(
        seed in any::<u64>(),
        steps in prop::collection::vec((0_u64..25, any::<bool>(), any::<prop::sample::Index>()), 1..5),
        page_bytes in prop::sample::select(vec![1_usize, 60, 700, 1 << 20]),
    ) {
        let mut chance = Chance(seed);
        let (_place, target) = place();
        let mut state = State::new();
        let mut sums: Vec<(ContentSum, u64)> = Vec::new();
        for (entries, copies, on) in steps {
            (0..entries).for_each(|_| state.entry(&mut chance));
            if copies {
                state.copy();
            }
            let number = sums.len() as u64;
            // Two may stand on the same one.
            let on = (number > 0).then(|| on.index(number as usize) as u64);
            let manifest = save(&*target, &state, number, on, page_bytes);
            let sum = state.contents().1;
            prop_assert_eq!(&manifest.sum, &SumRecord::from(&sum));
            sums.push((sum, state.index));
        }
        for (number, (sum, index)) in (0..).zip(sums) {
            prop_assert_eq!(restored(together(&*target, number), index), sum, "backup {}", number);
            let chain = Chain::load(&*target, &id(number)).unwrap();
            let found = verify::all(&*target, &chain, &Progress::default()).unwrap();
            prop_assert_eq!(found.damaged, Vec::<String>::new());
            prop_assert_eq!(found.sum, SumRecord::from(&sum));
        }
    }
}

/// A state that has lost what it had: a quorum was recovered from an older copy.
#[test]
fn a_key_that_went_back_is_saved_as_it_is_now() {
    let (_place, target) = place();
    let set = |state: &mut State, key: &'static str, value: &'static str| {
        state.index += 1;
        state.stage(KvOp::Set(api::kv::Set { key: key.into(), value: value.into(), ..Default::default() }));
        state.commit();
    };
    let mut state = State::new();
    set(&mut state, "a", "old");
    set(&mut state, "b", "old");
    let mut old = state.source(1 << 20);
    set(&mut state, "a", "new");
    set(&mut state, "c", "new");
    save(&*target, &state, 0, None, 1 << 20);
    // As it was before, stamps and all; its log goes on beyond where the lost one ended.
    let contents = Contents::decode(old.next_page(0).unwrap().unwrap().body).unwrap();
    let mut older = State::new();
    set(&mut older, "a", "old");
    set(&mut older, "b", "old");
    assert_eq!(older.contents().0, contents.pieces);
    older.index = state.index;
    set(&mut older, "d", "later");
    let manifest = save(&*target, &older, 1, Some(0), 1 << 20);
    assert_eq!((manifest.saved_keys(), manifest.gone()), (2, 1), "a and d, and c is gone");
    assert_eq!(restored(together(&*target, 1), older.index), older.contents().1);
}

/// Of the kinds that are saved, a key that has become of another kind is gone.
#[test]
fn a_key_of_another_kind_is_gone_from_what_is_saved() {
    let (_place, target) = place();
    let mut state = State::new();
    let write = |state: &mut State, op: KvOp| {
        state.index += 1;
        state.stage(op);
        state.commit();
    };
    let hash = |key: &'static str| {
        let fields = vec![Pair { key: "f".into(), value: "v".into() }];
        KvOp::Hash(HashRequest { key: key.into(), op: Some(HashOp::Set(HashSet { fields })) })
    };
    let set = |key: &'static str| {
        KvOp::Set(api::kv::Set { key: key.into(), value: "v".into(), ..Default::default() })
    };
    let hashes = ContentSelection { kinds: vec![ContentKind::Hash as i32], ..Default::default() };
    ["a", "b"].into_iter().for_each(|key| write(&mut state, hash(key)));
    write(&mut state, set("c"));
    let full = save_from(&*target, &state, 0, None, state.source_of(&hashes, 100));
    assert_eq!(full.sum.keys, 2);
    write(&mut state, set("a"));
    write(&mut state, KvOp::Del(api::kv::Keys { keys: vec!["c".into()] }));
    write(&mut state, hash("c"));
    let changes = save_from(&*target, &state, 1, Some(0), state.source_of(&hashes, 100));
    assert_eq!((changes.sum.keys, changes.saved_keys(), changes.gone()), (2, 1, 1));
    let keys: Vec<Bytes> = by_key(together(&*target, 1)).into_keys().collect();
    assert_eq!(keys, ["b", "c"]);
}
