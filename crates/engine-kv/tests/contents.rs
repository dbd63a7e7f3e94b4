//! Contents leave a state, and come into others with another number of partitions, whole and unchanged.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;

use api::kv::{
    ContentKind, ContentSelection, ContentSum, Contents, Element, HashOp, HashRequest, Import, Imported, Key,
    Keys, KvAnswer, KvOp, KvReply, KvRequest, ListIndex, ListOp, ListRequest, Nothing, OnConflict, Piece,
    Scan, Set, Ttl,
};
use bytes::Bytes;
use common::{Disk, Memory, context, engine};
use engine::{Applied, StateMachine};
use proptest::prelude::*;
use prost::Message;
use types::{Hlc, LogIndex, StateId, Term};

const NOW: u64 = 1_000_000;

/// A state, and the index of its last entry.
struct State(Box<dyn StateMachine>, u64);

impl State {
    fn new() -> Self {
        Self(engine(Memory::default().open()).create(StateId(1)).unwrap(), 5)
    }

    fn write(&mut self, at: u64, op: KvOp) -> KvReply {
        self.1 += 1;
        let request = KvRequest::new(op).encode_to_vec();
        let reply = self.0.stage(&context(at, self.1), &request).unwrap();
        self.0.commit(Applied { index: LogIndex(self.1), term: Term(1) }, &[]).unwrap();
        KvReply::decode(reply).unwrap()
    }

    fn read(&self, op: KvOp) -> KvAnswer {
        let reply = self.0.reader().read(&KvRequest::new(op).encode_to_vec(), Hlc::from_millis(NOW)).unwrap();
        KvReply::decode(reply).unwrap().answer.unwrap()
    }

    fn import(&mut self, import: Import) -> Imported {
        match self.write(NOW, KvOp::Import(import)).answer {
            Some(KvAnswer::Imported(done)) => done,
            other => panic!("not imported: {other:?}"),
        }
    }

    fn fill(&mut self, pieces: &[Piece]) -> Imported {
        self.import(Import { pieces: pieces.to_vec(), ..Default::default() })
    }

    fn export(&self, selection: &ContentSelection, at: u64, page_bytes: usize) -> (Vec<Piece>, ContentSum) {
        let held = self.0.hold(Hlc::from_millis(at)).unwrap().unwrap();
        let mut source = held.export(&selection.encode_to_vec()).unwrap();
        let (mut pieces, mut sum) = (Vec::new(), ContentSum::default());
        while let Some(page) = source.next_page(page_bytes).unwrap() {
            pieces.extend(Contents::decode(page.body).unwrap().pieces);
            sum.merge(&page.sum);
        }
        (pieces, sum)
    }

    fn sum(&self) -> ContentSum {
        self.export(&ContentSelection::default(), NOW, 1 << 20).1
    }
}

fn element(kind: ContentKind, number: usize) -> Element {
    let text = Bytes::from(format!("element {number}"));
    match kind {
        ContentKind::Hash => Element { name: text.clone(), value: text, score: 0.0 },
        ContentKind::List => Element { value: text, ..Default::default() },
        ContentKind::Set => Element { name: text, ..Default::default() },
        _ => Element { name: text, score: number as f64 / 2.0, ..Default::default() },
    }
}

fn piece(key: &str, kind: ContentKind, elements: usize) -> Piece {
    let key = Bytes::copy_from_slice(key.as_bytes());
    match kind {
        ContentKind::String => {
            Piece { key, kind: kind as i32, value: vec![7; elements].into(), ..Default::default() }
        }
        _ => {
            let elements = (0..elements.max(1)).map(|number| element(kind, number)).collect();
            Piece { key, kind: kind as i32, elements, ..Default::default() }
        }
    }
}

fn samples() -> Vec<Piece> {
    let mut pieces = Vec::new();
    for kind in ContentKind::ALL {
        for (number, elements) in [0, 1, 3, 300].into_iter().enumerate() {
            pieces.push(piece(&format!("{}:{number}", kind.name()), kind, elements));
        }
        let expiry_millis = Some(NOW + 5000);
        pieces.push(Piece { expiry_millis, ..piece(&format!("{}:e", kind.name()), kind, 9) });
    }
    pieces
}

fn sum_of(pieces: &[Piece]) -> ContentSum {
    let mut sum = ContentSum::default();
    pieces.iter().for_each(|piece| sum.add(piece));
    sum
}

/// The pieces of each of several partitions, in order.
fn dealt(pieces: &[Piece], partitions: u64) -> BTreeMap<u64, Vec<Piece>> {
    let mut dealt: BTreeMap<u64, Vec<Piece>> = BTreeMap::new();
    for piece in pieces {
        dealt.entry(types::hash::position(&piece.key) % partitions).or_default().push(piece.clone());
    }
    dealt
}

#[test]
fn contents_move_into_another_number_of_partitions() {
    let mut whole = State::new();
    let pieces = samples();
    assert_eq!(whole.fill(&pieces).keys, pieces.len() as u64);
    assert_eq!(whole.sum(), sum_of(&pieces));
    for (page_bytes, partitions) in [(1, 3), (100, 2), (1 << 20, 7)] {
        let (exported, sum) = whole.export(&ContentSelection::default(), NOW, page_bytes);
        assert_eq!(sum, sum_of(&pieces), "in pages of {page_bytes}");
        let mut moved = ContentSum::default();
        for pieces in dealt(&exported, partitions).values() {
            let mut part = State::new();
            assert_eq!(part.fill(pieces).refused, None);
            moved.merge(&part.sum());
        }
        assert_eq!(moved, sum, "in {partitions} partitions");
    }
}

#[test]
fn what_was_imported_is_what_clients_read() {
    let mut whole = State::new();
    whole.fill(&samples());
    let (exported, _) = whole.export(&ContentSelection::default(), NOW, 100);
    let mut copy = State::new();
    copy.fill(&exported);
    let questions = |copy: &State| {
        let of = |key: &'static str| Bytes::from_static(key.as_bytes());
        let field = |field: &'static str| HashRequest { key: of("hash:3"), op: Some(HashOp::Get(of(field))) };
        let length = HashRequest { key: of("hash:3"), op: Some(HashOp::Len(Nothing {})) };
        let place = |index| ListRequest { op: Some(ListOp::Index(ListIndex { key: of("list:3"), index })) };
        vec![
            copy.read(KvOp::Get(Key { key: of("kv:3") })),
            copy.read(KvOp::Hash(field("element 299"))),
            copy.read(KvOp::Hash(length)),
            copy.read(KvOp::List(place(0))),
            copy.read(KvOp::List(place(-1))),
            copy.read(KvOp::Ttl(Ttl { key: of("set:e"), absolute: true })),
            copy.read(KvOp::DbSize(Nothing {})),
        ]
    };
    assert_eq!(questions(&copy), questions(&whole));
    assert_eq!(questions(&copy)[2], KvAnswer::Integer(300));
    assert_eq!(questions(&copy)[4], KvAnswer::Value("element 299".into()));
    assert_eq!(questions(&copy)[5], KvAnswer::Integer(NOW as i64 + 5000));
}

#[test]
fn what_was_taken_hold_of_does_not_change() {
    let mut state = State::new();
    state.fill(&samples());
    let held = state.0.hold(Hlc::from_millis(NOW)).unwrap().unwrap();
    state.write(NOW, KvOp::Flush(Nothing {}));
    state.fill(&[piece("later", ContentKind::String, 1)]);
    let mut source = held.export(&[]).unwrap();
    let mut sum = ContentSum::default();
    while let Some(page) = source.next_page(1000).unwrap() {
        sum.merge(&page.sum);
    }
    assert_eq!(sum, sum_of(&samples()));
    assert_eq!(state.sum().keys, 1);
}

#[test]
fn only_what_is_selected_and_lives_is_told() {
    let mut state = State::new();
    state.fill(&samples());
    let only_hashes = ContentSelection { kinds: vec![ContentKind::Hash as i32], ..Default::default() };
    let (hashes, sum) = state.export(&only_hashes, NOW, 1 << 20);
    assert!(hashes.iter().all(|piece| piece.kind() == ContentKind::Hash));
    assert_eq!((sum.keys, sum.expiring), (5, 1));
    let (_, later) = state.export(&ContentSelection::default(), NOW + 5001, 1 << 20);
    assert_eq!((later.keys, later.expiring), (samples().len() as u64 - 5, 0));
}

#[test]
fn a_key_that_exists_is_treated_as_asked() {
    let old = piece("k", ContentKind::Hash, 3);
    let new = piece("k", ContentKind::Set, 1);
    let import = |on_conflict: OnConflict, ours_since: u64| {
        let mut state = State::new();
        state.fill(std::slice::from_ref(&old));
        let pieces = vec![piece("other", ContentKind::String, 1), Piece { more: true, ..new.clone() }];
        let on_conflict = on_conflict as i32;
        let done = state.import(Import { pieces, on_conflict, ours_since, ..Default::default() });
        if done.keys == 2 {
            let end = Piece { first: 1, elements: Vec::new(), ..new.clone() };
            assert_eq!(state.fill(&[end]).refused, None);
        }
        (done, state.sum())
    };
    let with = |piece: &Piece| sum_of(&[piece.clone(), self::piece("other", ContentKind::String, 1)]);
    let (done, sum) = import(OnConflict::Fail, 0);
    assert_eq!((done.keys, done.refused, sum), (0, Some("k".into()), sum_of(std::slice::from_ref(&old))));
    let (done, sum) = import(OnConflict::Skip, 0);
    assert_eq!((done.keys, done.existed, done.leave_out, sum), (1, 1, vec!["k".into()], with(&old)));
    let (done, sum) = import(OnConflict::Overwrite, 0);
    assert_eq!((done.keys, done.existed, sum), (2, 0, with(&new)));
    // Written by an earlier attempt.
    let (done, sum) = import(OnConflict::Fail, Hlc::from_millis(NOW).0);
    assert_eq!((done.keys, done.refused, sum), (2, None, with(&new)));
}

#[test]
fn a_later_piece_needs_those_before_it() {
    let list = piece("l", ContentKind::List, 4);
    let part = |first: usize, to: usize| Piece {
        first: first as u64,
        more: to < 4,
        elements: list.elements[first..to].to_vec(),
        ..list.clone()
    };
    let mut state = State::new();
    assert_eq!(state.fill(&[part(2, 4)]).refused, Some("l".into()));
    state.fill(&[part(0, 1)]);
    assert_eq!(state.fill(&[part(2, 4)]).refused, Some("l".into()));
    assert_eq!(state.sum(), ContentSum::default(), "a part is not told as if it was the whole");
    for again in [part(1, 3), part(1, 3), part(2, 4), part(2, 4), part(3, 4)] {
        assert_eq!(state.fill(&[again]).refused, None);
    }
    assert_eq!(state.sum(), sum_of(std::slice::from_ref(&list)));
    let other_kind = Piece { kind: ContentKind::Set as i32, ..part(1, 3) };
    assert_eq!(state.fill(&[other_kind]).refused, Some("l".into()));
}

/// The first elements of a collection, and the rest of it.
fn halves(kind: ContentKind) -> (Piece, Piece) {
    let whole = Piece { expiry_millis: Some(NOW + 9000), ..piece("k", kind, 5) };
    let (first, rest) = whole.elements.split_at(3);
    let begin = Piece { more: true, elements: first.to_vec(), ..whole.clone() };
    let end = Piece { first: 3, elements: rest.to_vec(), ..whole.clone() };
    (begin, end)
}

const COLLECTIONS: [ContentKind; 4] =
    [ContentKind::Hash, ContentKind::List, ContentKind::Set, ContentKind::SortedSet];

/// What the digest counts.
fn digested(state: &State) -> u64 {
    let work = state.0.digest(Hlc::from_millis(NOW)).unwrap();
    work().unwrap().records
}

/// What a client may ask about the key, and about all keys.
fn seen(state: &State) -> (KvAnswer, KvAnswer, KvAnswer) {
    let keys = KvOp::Exists(Keys { keys: vec!["k".into()] });
    let all = KvOp::Scan(Scan { count: 100, ..Default::default() });
    let ttl = KvOp::Ttl(Ttl { key: "k".into(), absolute: true });
    (state.read(keys), state.read(all), state.read(ttl))
}

#[test]
fn a_key_is_seen_when_its_last_piece_has_come() {
    for kind in COLLECTIONS {
        let (begin, end) = halves(kind);
        let mut state = State::new();
        let nothing = (seen(&state), digested(&state));
        assert_eq!(state.fill(std::slice::from_ref(&begin)).keys, 1);
        assert_eq!((seen(&state), digested(&state)), nothing, "{kind:?}");
        assert_eq!(state.sum(), ContentSum::default());
        assert_eq!(state.write(NOW, KvOp::Del(Keys { keys: vec!["k".into()] })), KvReply::integer(0));
        assert_eq!(state.fill(&[end]).refused, None);
        assert_eq!(state.sum(), sum_of(&[Piece { expiry_millis: Some(NOW + 9000), ..piece("k", kind, 5) }]));
        assert_eq!(seen(&state).2, KvAnswer::Integer(NOW as i64 + 9000), "the expiry is its own again");
    }
}

#[test]
fn what_an_import_has_not_finished_is_begun_anew() {
    for (kind, other) in COLLECTIONS.into_iter().zip(COLLECTIONS.into_iter().cycle().skip(1)) {
        for on_conflict in [OnConflict::Fail, OnConflict::Skip, OnConflict::Overwrite] {
            let mut state = State::new();
            state.fill(&[halves(kind).0]);
            let (begin, end) = halves(other);
            let import = Import {
                pieces: vec![begin, end],
                on_conflict: on_conflict as i32,
                keep_other_kinds: true,
                ..Default::default()
            };
            let done = state.import(import);
            assert_eq!((done.keys, done.existed, done.other_kinds.len()), (1, 0, 0), "{kind:?}, {other:?}");
            assert_eq!(state.sum().elements, 5);
            // What is late of the first one does not come into the second one.
            let late = Piece { first: 3, more: true, ..halves(kind).0 };
            assert_eq!(state.fill(&[late]).refused, Some("k".into()));
            assert_eq!(state.sum().elements, 5);
        }
    }
}

#[test]
fn a_client_may_write_a_key_that_is_not_finished() {
    for kind in COLLECTIONS {
        let (begin, end) = halves(kind);
        let mut state = State::new();
        state.fill(&[begin]);
        let set = Set { key: "k".into(), value: "mine".into(), ..Default::default() };
        state.write(NOW, KvOp::Set(set));
        assert_eq!(state.read(KvOp::DbSize(Nothing {})), KvAnswer::Integer(1));
        assert_eq!(state.fill(&[end]).refused, Some("k".into()));
        assert_eq!(state.read(KvOp::Get(Key { key: "k".into() })), KvAnswer::Value("mine".into()));
        assert_eq!(seen(&state).2, KvAnswer::Integer(-1), "nothing of the other one's expiry is left");
    }
}

#[test]
fn what_nobody_finishes_goes_like_what_has_expired() {
    let mut state = State::new();
    state.fill(&[halves(ContentKind::Hash).0]);
    let gone_at = NOW + types::limits::UNFINISHED_IMPORT_MS;
    let remove = || KvOp::RemoveExpired(Keys { keys: vec!["k".into()] });
    assert_eq!(state.write(gone_at, remove()), KvReply::integer(0), "another piece may come");
    assert_eq!(state.write(gone_at + 1, remove()), KvReply::integer(1));
    assert_eq!(state.read(KvOp::DbSize(Nothing {})), KvAnswer::Integer(0));
}

#[test]
fn names_that_hold_another_kind_may_be_told() {
    let mut state = State::new();
    state.fill(&[piece("k", ContentKind::String, 3), piece("same", ContentKind::Set, 1)]);
    let before = state.sum();
    let pieces =
        vec![halves(ContentKind::Set).0, halves(ContentKind::Set).1, piece("same", ContentKind::Set, 2)];
    for on_conflict in [OnConflict::Skip, OnConflict::Overwrite] {
        let import = Import {
            pieces: pieces.clone(),
            on_conflict: on_conflict as i32,
            keep_other_kinds: true,
            ..Default::default()
        };
        let done = state.import(import);
        let existed = u64::from(on_conflict == OnConflict::Skip);
        assert_eq!((done.other_kinds, done.existed, done.refused), (vec!["k".into()], existed, None));
        assert_eq!(done.leave_out, Vec::<Bytes>::new());
        assert_eq!(state.sum().elements, before.elements + 1 - existed);
    }
}

#[test]
fn what_has_expired_is_left_out_unless_its_deadline_is_moved() {
    let old = Piece { expiry_millis: Some(NOW - 1), more: true, ..piece("k", ContentKind::Set, 3) };
    let mut state = State::new();
    let done = state.fill(std::slice::from_ref(&old));
    assert_eq!((done.keys, done.expired, done.leave_out), (0, 1, vec!["k".into()]));
    let shift = 1 << 40;
    let last = Piece { first: 3, more: false, elements: Vec::new(), ..old.clone() };
    for piece in [old.clone(), last] {
        state.import(Import { pieces: vec![piece], expiry_shift_millis: shift, ..Default::default() });
    }
    let selection = ContentSelection { expiry_shift_millis: shift, ..Default::default() };
    let (_, sum) = state.export(&selection, NOW, 1 << 20);
    assert_eq!(sum, sum_of(&[old]));
}

#[test]
fn what_no_state_can_hold_is_refused_whole() {
    let mut state = State::new();
    let good = piece("good", ContentKind::String, 1);
    let long = piece("long", ContentKind::String, types::limits::VALUE_BYTES_MAX + 1);
    let unknown = Piece { kind: 99, ..piece("unknown", ContentKind::Set, 1) };
    let mut nan = piece("nan", ContentKind::SortedSet, 2);
    nan.elements[1].score = f64::NAN;
    for bad in [long, unknown, nan] {
        let import = Import { pieces: vec![good.clone(), bad], ..Default::default() };
        let answer = state.write(NOW, KvOp::Import(import)).answer;
        assert!(matches!(answer, Some(KvAnswer::Error(_))), "{answer:?}");
    }
    assert_eq!(state.sum().keys, 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..Default::default() })]

    /// An import that breaks off anywhere, and is begun again from some key before, leaves what it should.
    #[test]
    fn an_import_may_be_repeated_from_any_key(
        sizes in prop::collection::vec((0_usize..5, 0_usize..40), 1..20),
        page_bytes in 1_usize..600,
        (broke_at, again_from) in (0_usize..100, 0_usize..100),
        conflict in 0_i32..3,
    ) {
        let samples: Vec<Piece> = sizes
            .iter()
            .enumerate()
            .map(|(number, (kind, elements))| piece(&format!("k{number}"), ContentKind::ALL[*kind], *elements))
            .collect();
        let mut whole = State::new();
        whole.fill(&samples);
        let (pieces, sum) = whole.export(&ContentSelection::default(), NOW, page_bytes);
        let mut copy = State::new();
        let import = |copy: &mut State, pieces: &[Piece], ours_since: u64| {
            for piece in pieces {
                let pieces = vec![piece.clone()];
                let done =
                    copy.import(Import { pieces, on_conflict: conflict, ours_since, ..Default::default() });
                assert_eq!((done.refused, done.existed), (None, 0));
            }
        };
        let broke_at = broke_at % (pieces.len() + 1);
        import(&mut copy, &pieces[..broke_at], 0);
        let again_from = (0..=again_from.min(broke_at)).rev().find(|place| {
            pieces.get(*place).is_none_or(|piece| piece.first == 0)
        }).unwrap();
        import(&mut copy, &pieces[again_from..], 1);
        prop_assert_eq!(copy.sum(), sum);
    }
}
