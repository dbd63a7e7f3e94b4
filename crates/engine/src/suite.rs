//! The shared suite of engines: what every [`Engine`] must do, as one function.
//!
//! An engine's test implements [`Subject`], which supplies the engine and example requests in the
//! engine's own language, and calls [`run`]. The suite knows a table only as "some numbers are stored
//! under some numbers"; it assumes neither that a crash loses something nor that it does not, only that
//! what is left is a position that the state has passed.
//!
//! Each check keeps a history of entries and compares a state with a *reference*: a new state that the
//! same entries were applied to, up to the same position. Equal digests then mean equal contents.

use std::sync::Arc;

use bytes::Bytes;
use types::limits::STAGED_BYTES_MAX;
use types::{Hlc, LogIndex, StateId, Term};

use crate::records::suite::Chance;
use crate::{
    Applied, ApplyContext, Change, Digest, Engine, EngineError, StateMachine, SystemChange, SystemRecord,
};

/// A kind of engine under test, with its language.
pub trait Subject {
    /// Opens the engine: the first time empty, later as the end of its process left it while the machine
    /// went on. Every state, reader and snapshot of before was dropped.
    fn open(&mut self) -> Arc<dyn Engine>;

    /// Ends a running engine as a crash of the machine would, and opens what is left.
    fn crash(&mut self, running: Arc<dyn Engine>, seed: u64) -> Arc<dyn Engine>;

    /// A write that stores a number under a number, for ever or up to a millisecond since 1970.
    fn put(&self, key: u32, value: u32, expiry_millis: Option<u64>) -> Bytes;

    /// A write that removes what is stored under a number.
    fn remove(&self, key: u32) -> Bytes;

    /// A read of what is stored under a number.
    fn get(&self, key: u32) -> Bytes;

    /// The reply to [`Self::get`] that says this.
    fn got(&self, value: Option<u32>) -> Bytes;

    /// Writes something under a number that has about this many bytes, at most a MiB.
    fn put_large(&self, key: u32, bytes: usize) -> Bytes;

    /// The key of a change to what is stored under a number.
    fn change_key(&self, key: u32) -> Bytes;
}

/// Runs every check, each on an engine of its own made by `subject`.
pub fn run<S: Subject>(subject: impl Fn() -> S) {
    a_new_state_is_empty(&mut subject());
    commits_show_and_staged_writes_do_not(&mut subject());
    staged_writes_see_each_other(&mut subject());
    what_is_staged_is_bounded(&mut subject());
    system_records_change_with_the_data(&mut subject());
    states_are_apart(&mut subject());
    foreign_bytes_get_a_reply(&mut subject());
    a_clean_stop_keeps_the_last_commit(&mut subject());
    staged_writes_are_gone_after_a_stop(&mut subject());
    flush_makes_durable_what_was_committed(&mut subject());
    for seed in 0..4 {
        what_an_opened_state_calls_durable_is(&mut subject(), seed);
        a_crash_leaves_a_position_that_was_passed(&mut subject(), seed);
    }
    a_snapshot_makes_an_equal_state(&mut subject());
    a_snapshot_stands_while_commits_go_on(&mut subject());
    an_unfinished_snapshot_is_no_state(&mut subject());
    damaged_snapshots_are_refused(&mut subject());
    digests_tell_states_apart(&mut subject());
    digests_leave_out_what_has_expired(&mut subject());
    statistics_count_exactly(&mut subject());
    changes_are_told_when_wanted(&mut subject());
    readers_see_whole_commits(&mut subject());
}

const STATE: StateId = StateId(5);
const COPY: StateId = StateId(6);
/// The suite's "now" at index 0, in milliseconds since 1970; an index later is a millisecond later.
const START_MILLIS: u64 = 1_000_000;

fn good<T>(result: Result<T, EngineError>) -> T {
    result.unwrap_or_else(|error| panic!("the engine failed: {error}"))
}

fn stamp(index: u64) -> Hlc {
    Hlc::from_millis(START_MILLIS + index)
}

fn context(index: u64) -> ApplyContext {
    ApplyContext {
        hlc: stamp(index),
        seed: index,
        apply_version: 1,
        index: LogIndex(index),
        wants_changes: false,
    }
}

fn at(index: u64) -> Applied {
    Applied { index: LogIndex(index), term: Term(1 + index / 10) }
}

/// One entry: its writes and the system record that replication would keep with them.
fn apply(state: &mut dyn StateMachine, index: u64, writes: &[Bytes]) -> Vec<Change> {
    for write in writes {
        good(state.stage(&context(index), write));
    }
    let clock = SystemChange { name: "clock".into(), value: Some(index.to_be_bytes().to_vec().into()) };
    good(state.commit(at(index), &[clock]))
}

fn digest(state: &dyn StateMachine) -> Digest {
    let index = state.applied().index.get();
    good(good(state.digest(stamp(index)))())
}

fn read(subject: &dyn Subject, state: &dyn StateMachine, key: u32) -> Bytes {
    let index = state.applied().index.get();
    good(state.reader().read(&subject.get(key), stamp(index)))
}

/// A history in which keys are stored, overwritten and removed.
fn history(subject: &dyn Subject, entries: u64) -> Vec<Vec<Bytes>> {
    let mut chance = Chance(entries);
    let mut write = || {
        let key = chance.below(50) as u32;
        match chance.below(4) {
            0 => subject.remove(key),
            1 => subject.put(key, chance.below(1000) as u32, Some(START_MILLIS + chance.below(2 * entries))),
            _ => subject.put(key, chance.below(1000) as u32, None),
        }
    };
    (0..entries).map(|_| vec![write(), write(), write()]).collect()
}

/// Applies entries of a history from one index to another, the first entry having index 1.
fn apply_history(state: &mut dyn StateMachine, history: &[Vec<Bytes>], from: u64, to: u64) {
    for index in from..=to {
        apply(state, index, &history[index as usize - 1]);
    }
}

/// Checks a state against a new one that the same entries are applied to.
fn check_against_reference(engine: &dyn Engine, state: &dyn StateMachine, history: &[Vec<Bytes>]) {
    let reference_id = StateId(999_999);
    let index = state.applied().index.get();
    let mut reference = good(engine.create(reference_id));
    apply_history(&mut *reference, history, 1, index);
    assert_eq!(state.applied(), reference.applied());
    assert_eq!(good(state.system()), good(reference.system()), "system records at {index}");
    assert_eq!(digest(state), digest(&*reference), "contents at {index}");
    assert_eq!(state.statistics().records, reference.statistics().records, "counters at {index}");
    drop(reference);
    good(engine.remove(reference_id));
}

fn copy(engine: &dyn Engine, state: &dyn StateMachine, to: StateId) -> Box<dyn StateMachine> {
    let mut source = good(state.snapshot());
    let mut sink = good(engine.ingest(to));
    while let Some(chunk) = good(source.next_chunk(100)) {
        good(sink.write(&chunk));
    }
    good(sink.finish())
}

fn is_missing<T>(result: Result<T, EngineError>) -> bool {
    matches!(result, Err(EngineError::Missing(_)))
}

fn a_new_state_is_empty(subject: &mut dyn Subject) {
    let engine = subject.open();
    assert!(is_missing(engine.open(STATE)));
    assert_eq!(good(engine.list()), []);
    let state = good(engine.create(STATE));
    assert_eq!(state.applied(), Applied::default());
    assert_eq!(state.durable(), LogIndex(0));
    assert_eq!(good(state.system()), []);
    assert_eq!(state.statistics().records, 0);
    assert_eq!(digest(&*state).records, 0);
    assert_eq!(read(subject, &*state, 1), subject.got(None));
    assert_eq!(good(engine.list()), [STATE]);
    drop(state);
    let engine = subject.crash(engine, 0);
    assert_eq!(good(engine.open(STATE)).applied(), Applied::default(), "a created state is durable");
}

fn commits_show_and_staged_writes_do_not(subject: &mut dyn Subject) {
    let engine = subject.open();
    let mut state = good(engine.create(STATE));
    let reader = state.reader();
    let get = |key| good(reader.read(&subject.get(key), stamp(9)));
    good(state.stage(&context(5), &subject.put(1, 10, None)));
    good(state.stage(&context(5), &subject.put(2, 20, None)));
    assert_eq!((get(1), get(2)), (subject.got(None), subject.got(None)), "staged writes were visible");
    assert_eq!(state.applied(), Applied::default());
    good(state.commit(at(5), &[]));
    assert_eq!(state.applied(), at(5));
    assert_eq!((get(1), get(2)), (subject.got(Some(10)), subject.got(Some(20))));
    good(state.commit(at(6), &[]));
    assert_eq!(state.applied(), at(6), "an entry without writes moves the position");
}

fn staged_writes_see_each_other(subject: &mut dyn Subject) {
    let engine = subject.open();
    let mut state = good(engine.create(STATE));
    let writes =
        [subject.put(1, 10, None), subject.remove(1), subject.put(2, 1, None), subject.put(2, 2, None)];
    apply(&mut *state, 5, &writes);
    assert_eq!(read(subject, &*state, 1), subject.got(None));
    assert_eq!(read(subject, &*state, 2), subject.got(Some(2)));
    assert_eq!(state.statistics().records, 1);
}

/// Whoever stages too much says so in time, and not all the time.
fn what_is_staged_is_bounded(subject: &mut dyn Subject) {
    const LARGE: usize = 1024 * 1024;
    let engine = subject.open();
    let mut state = good(engine.create(STATE));
    assert!(!state.is_full());
    for index in 5..7 {
        let mut staged = 0;
        while !state.is_full() {
            assert!(staged <= STAGED_BYTES_MAX + LARGE, "{staged} bytes are staged");
            good(state.stage(&context(index), &subject.put_large(1, LARGE)));
            staged += LARGE;
        }
        assert!(staged > STAGED_BYTES_MAX / 2, "full of {staged} bytes");
        good(state.commit(at(index), &[]));
        assert!(!state.is_full(), "it stays full");
    }
}

fn system_records_change_with_the_data(subject: &mut dyn Subject) {
    let engine = subject.open();
    let mut state = good(engine.create(STATE));
    let set = |name: &'static str, value: &'static str| SystemChange {
        name: name.into(),
        value: Some(value.into()),
    };
    let record =
        |name: &'static str, value: &'static str| SystemRecord { name: name.into(), value: value.into() };
    good(state.commit(at(5), &[set("b", "1"), set("a", "1"), set("c", "")]));
    assert_eq!(good(state.system()), [record("a", "1"), record("b", "1"), record("c", "")]);
    let remove = SystemChange { name: "b".into(), value: None };
    good(state.commit(at(6), &[remove, set("a", "2")]));
    assert_eq!(good(state.system()), [record("a", "2"), record("c", "")]);
    assert_eq!(state.statistics().records, 0, "system records are not the user's");
    assert_eq!(digest(&*state).records, 0);
}

fn states_are_apart(subject: &mut dyn Subject) {
    let engine = subject.open();
    let mut one = good(engine.create(STATE));
    let two = good(engine.create(COPY));
    apply(&mut *one, 5, &[subject.put(1, 10, None)]);
    assert_eq!(read(subject, &*two, 1), subject.got(None));
    assert_eq!(good(engine.list()), [STATE, COPY]);
    let reader = one.reader();
    drop(one);
    good(engine.remove(STATE));
    good(engine.remove(STATE));
    assert_eq!(
        good(reader.read(&subject.get(1), stamp(9))),
        subject.got(Some(10)),
        "a reader outlives its state"
    );
    assert!(is_missing(engine.open(STATE)));
    assert_eq!(good(engine.list()), [COPY]);
    let again = good(engine.create(STATE));
    assert_eq!(read(subject, &*again, 1), subject.got(None), "a new state has nothing of the old one");
    drop((again, two, reader));
    let engine = subject.crash(engine, 1);
    assert_eq!(good(engine.list()), [STATE, COPY]);
}

fn foreign_bytes_get_a_reply(subject: &mut dyn Subject) {
    let engine = subject.open();
    let mut state = good(engine.create(STATE));
    let reader = state.reader();
    let mut chance = Chance(1);
    for length in 0..200 {
        let bytes: Vec<u8> = (0..length).map(|_| chance.below(256) as u8).collect();
        let (one, two) = (good(state.stage(&context(5), &bytes)), good(state.stage(&context(5), &bytes)));
        assert_eq!(one.is_empty(), two.is_empty());
        good(reader.read(&bytes, stamp(5)));
    }
    // A read that comes as a write, and the other way round.
    good(state.stage(&context(5), &subject.get(1)));
    good(reader.read(&subject.put(1, 10, None), stamp(5)));
    assert_eq!(read(subject, &*state, 1), subject.got(None), "a read wrote");
}

fn a_clean_stop_keeps_the_last_commit(subject: &mut dyn Subject) {
    let engine = subject.open();
    let history = history(subject, 60);
    let mut state = good(engine.create(STATE));
    apply_history(&mut *state, &history, 1, 30);
    good(engine.flush());
    drop((state, engine));
    let engine = subject.open();
    let mut state = good(engine.open(STATE));
    assert_eq!(state.applied(), at(30));
    assert_eq!(state.durable(), LogIndex(30));
    check_against_reference(&*engine, &*state, &history);
    apply_history(&mut *state, &history, 31, 60);
    check_against_reference(&*engine, &*state, &history);
}

fn staged_writes_are_gone_after_a_stop(subject: &mut dyn Subject) {
    let engine = subject.open();
    let mut state = good(engine.create(STATE));
    apply(&mut *state, 5, &[subject.put(1, 10, None)]);
    good(state.stage(&context(6), &subject.put(1, 11, None)));
    good(engine.flush());
    drop((state, engine));
    let engine = subject.open();
    let mut state = good(engine.open(STATE));
    assert_eq!(state.applied(), at(5));
    good(state.commit(at(6), &[]));
    assert_eq!(read(subject, &*state, 1), subject.got(Some(10)));
}

fn flush_makes_durable_what_was_committed(subject: &mut dyn Subject) {
    let engine = subject.open();
    let mut one = good(engine.create(STATE));
    let mut two = good(engine.create(COPY));
    apply(&mut *one, 5, &[subject.put(1, 10, None)]);
    apply(&mut *two, 7, &[subject.put(1, 20, None)]);
    assert!(one.durable() <= one.applied().index);
    good(engine.flush());
    assert_eq!((one.durable(), two.durable()), (LogIndex(5), LogIndex(7)));
    apply(&mut *one, 6, &[subject.put(1, 11, None)]);
    assert!((LogIndex(5)..=LogIndex(6)).contains(&one.durable()));
    drop((one, two));
    let engine = subject.crash(engine, 2);
    let (one, two) = (good(engine.open(STATE)), good(engine.open(COPY)));
    assert!((LogIndex(5)..=LogIndex(6)).contains(&one.applied().index));
    assert_eq!(two.applied(), at(7));
    assert_eq!(read(subject, &*two, 1), subject.got(Some(20)));
    assert_eq!(one.durable(), one.applied().index, "what a crash has left is durable");
}

fn what_an_opened_state_calls_durable_is(subject: &mut dyn Subject, seed: u64) {
    let engine = subject.open();
    let history = history(subject, 40);
    let mut state = good(engine.create(STATE));
    apply_history(&mut *state, &history, 1, 20);
    good(engine.flush());
    apply_history(&mut *state, &history, 21, 40);
    // The process ends without a flush: what it wrote last may be known to the machine only.
    drop((state, engine));
    let engine = subject.open();
    let state = good(engine.open(STATE));
    let durable = state.durable();
    assert!(durable >= LogIndex(20) && durable <= state.applied().index);
    drop(state);
    let engine = subject.crash(engine, seed);
    let state = good(engine.open(STATE));
    assert!(state.applied().index >= durable, "{durable} was called durable and was lost");
    check_against_reference(&*engine, &*state, &history);
}

fn a_crash_leaves_a_position_that_was_passed(subject: &mut dyn Subject, seed: u64) {
    let mut engine = subject.open();
    let history = history(subject, 200);
    let mut state = good(engine.create(STATE));
    let mut chance = Chance(seed);
    let mut reached = 0;
    while reached < 200 {
        let target = (reached + 1 + chance.below(60)).min(200);
        apply_history(&mut *state, &history, reached + 1, target);
        if chance.below(2) == 0 {
            good(engine.flush());
            apply_history(&mut *state, &history, target + 1, (target + 5).min(200));
        }
        let (durable, applied) = (state.durable(), state.applied().index);
        drop(state);
        engine = subject.crash(engine, seed);
        state = good(engine.open(STATE));
        reached = state.applied().index.get();
        assert!(durable.get() <= reached && reached <= applied.get(), "{durable} ≤ {reached} ≤ {applied}");
        check_against_reference(&*engine, &*state, &history);
        if reached < target {
            // Go on from what is left, as replay of the log would.
            apply_history(&mut *state, &history, reached + 1, target);
            good(engine.flush());
            reached = target;
        }
    }
}

fn a_snapshot_makes_an_equal_state(subject: &mut dyn Subject) {
    let engine = subject.open();
    let history = history(subject, 80);
    let mut state = good(engine.create(STATE));
    for index in [0, 40] {
        let first = state.applied().index.get() + 1;
        apply_history(&mut *state, &history, first, index);
        let to = StateId(100 + index);
        let mut copied = copy(&*engine, &*state, to);
        assert_eq!(copied.durable(), LogIndex(index), "an installed snapshot is durable");
        check_against_reference(&*engine, &*copied, &history);
        apply_history(&mut *copied, &history, index + 1, 80);
        check_against_reference(&*engine, &*copied, &history);
    }
    drop(state);
    let engine = subject.crash(engine, 3);
    let copied = good(engine.open(StateId(140)));
    assert!(copied.applied().index >= LogIndex(40), "an installed snapshot was lost");
    check_against_reference(&*engine, &*copied, &history);
}

fn a_snapshot_stands_while_commits_go_on(subject: &mut dyn Subject) {
    let engine = subject.open();
    let history = history(subject, 60);
    let mut state = good(engine.create(STATE));
    apply_history(&mut *state, &history, 1, 30);
    let mut source = good(state.snapshot());
    let work = good(state.digest(stamp(30)));
    let before = digest(&*state);
    let mut sink = good(engine.ingest(COPY));
    let mut index = 30;
    while let Some(chunk) = good(source.next_chunk(64)) {
        good(sink.write(&chunk));
        if index < 60 {
            index += 1;
            apply(&mut *state, index, &history[index as usize - 1]);
        }
    }
    assert!(index > 31, "the snapshot had a single chunk of 64 bytes");
    let copied = good(sink.finish());
    assert_eq!(copied.applied(), at(30));
    check_against_reference(&*engine, &*copied, &history);
    assert_eq!(good(work()), before, "a digest is of the moment it was asked for");
}

fn an_unfinished_snapshot_is_no_state(subject: &mut dyn Subject) {
    let engine = subject.open();
    let mut state = good(engine.create(STATE));
    let writes: Vec<Bytes> = (0..40).map(|key| subject.put(key, 1, None)).collect();
    apply(&mut *state, 5, &writes);
    let mut source = good(state.snapshot());
    let mut sink = good(engine.ingest(COPY));
    while let Some(chunk) = good(source.next_chunk(64)) {
        good(sink.write(&chunk));
    }
    drop(sink);
    assert!(is_missing(engine.open(COPY)));
    good(engine.flush());
    drop((state, source));
    let engine = subject.crash(engine, 4);
    assert!(is_missing(engine.open(COPY)));
    good(engine.remove(COPY));
    assert_eq!(good(engine.list()), [STATE]);
    let state = good(engine.open(STATE));
    assert_eq!(copy(&*engine, &*state, COPY).applied(), at(5), "the id can be filled again");
}

fn damaged_snapshots_are_refused(subject: &mut dyn Subject) {
    let engine = subject.open();
    let mut state = good(engine.create(STATE));
    let writes: Vec<Bytes> = (0..20).map(|key| subject.put(key, 1, None)).collect();
    apply(&mut *state, 5, &writes);
    let mut source = good(state.snapshot());
    let mut chunks = Vec::new();
    while let Some(chunk) = good(source.next_chunk(64)) {
        chunks.push(chunk.to_vec());
    }
    let install = |chunks: &[Vec<u8>]| {
        let _ = engine.remove(COPY);
        let mut sink = good(engine.ingest(COPY));
        chunks.iter().try_for_each(|chunk| sink.write(chunk))?;
        sink.finish()
    };
    assert!(install(&chunks).is_ok());
    let is_bad = |chunks: &[Vec<u8>]| matches!(install(chunks), Err(EngineError::BadSnapshot(_)));
    assert!(is_bad(&[]), "no chunk at all");
    assert!(is_bad(&chunks[..chunks.len() - 1]), "the last chunk is missing");
    assert!(is_bad(&chunks[1..]), "the first chunk is missing");
    let mut cut = chunks.clone();
    if let Some(last) = cut.last_mut() {
        last.truncate(last.len() - 1);
    }
    assert!(is_bad(&cut), "the last chunk is cut off");
    let mut twice = chunks.clone();
    twice.insert(1, chunks[0].clone());
    assert!(is_bad(&twice), "a chunk came twice");
    let mut newer = chunks.clone();
    newer[0][0] = 0xee;
    assert!(is_bad(&newer), "a chunk of another format version");
}

fn digests_tell_states_apart(subject: &mut dyn Subject) {
    let engine = subject.open();
    let made = |id: u64, entries: &[&[Bytes]]| {
        let mut state = good(engine.create(StateId(id)));
        for (index, writes) in entries.iter().enumerate() {
            apply(&mut *state, index as u64 + 5, writes);
        }
        digest(&*state)
    };
    let put = |key, value| subject.put(key, value, None);
    let base = made(1, &[&[put(1, 10), put(2, 20)]]);
    assert_eq!(base, made(2, &[&[put(1, 10), put(2, 20)]]));
    assert_eq!(base, made(3, &[&[put(3, 30), put(1, 10), put(2, 20), subject.remove(3)]]));
    assert_ne!(base.hash, made(4, &[&[put(1, 10), put(2, 21)]]).hash, "another value");
    assert_ne!(base.hash, made(5, &[&[put(1, 10), put(3, 20)]]).hash, "another key");
    assert_ne!(base.hash, made(6, &[&[put(1, 10)]]).hash, "a key less");
    assert_eq!(base.records, 2);
}

fn digests_leave_out_what_has_expired(subject: &mut dyn Subject) {
    let engine = subject.open();
    let mut state = good(engine.create(STATE));
    let deadline = START_MILLIS + 50;
    apply(&mut *state, 5, &[subject.put(1, 10, Some(deadline)), subject.put(2, 20, None)]);
    let digest_at = |millis| good(good(state.digest(Hlc::from_millis(millis)))());
    assert_eq!(digest_at(deadline).records, 2);
    assert_eq!(digest_at(deadline + 1).records, 1);
    assert_ne!(digest_at(deadline).hash, digest_at(deadline + 1).hash);
    let reader = state.reader();
    let get_at = |millis| good(reader.read(&subject.get(1), Hlc::from_millis(millis)));
    assert_eq!(get_at(deadline), subject.got(Some(10)));
    assert_eq!(get_at(deadline + 1), subject.got(None), "an expired record was visible");
}

fn statistics_count_exactly(subject: &mut dyn Subject) {
    let engine = subject.open();
    let mut state = good(engine.create(STATE));
    let count = |state: &dyn StateMachine| state.statistics().records;
    apply(&mut *state, 5, &[subject.put(1, 10, None), subject.put(2, 20, None), subject.put(1, 11, None)]);
    assert_eq!(count(&*state), 2);
    good(state.stage(&context(6), &subject.put(3, 30, None)));
    assert_eq!(count(&*state), 2, "staged writes were counted");
    apply(&mut *state, 6, &[subject.remove(1), subject.remove(1), subject.remove(9)]);
    assert_eq!(count(&*state), 2);
    apply(&mut *state, 7, &[subject.remove(2), subject.remove(3)]);
    assert_eq!(count(&*state), 0);
}

fn changes_are_told_when_wanted(subject: &mut dyn Subject) {
    let engine = subject.open();
    let mut state = good(engine.create(STATE));
    let wanted = ApplyContext { wants_changes: true, ..context(5) };
    good(state.stage(&context(5), &subject.put(1, 10, None)));
    good(state.stage(&wanted, &subject.put(2, 20, None)));
    good(state.stage(&wanted, &subject.remove(2)));
    good(state.stage(&wanted, &subject.remove(77)));
    let changes = good(state.commit(at(5), &[]));
    let told: Vec<(Bytes, bool)> =
        changes.iter().map(|change| (change.key.clone(), change.value.is_some())).collect();
    let key = subject.change_key(2);
    assert_eq!(told, [(key.clone(), true), (key, false)]);
    assert!(changes.iter().all(|change| change.hlc == stamp(5)));
    assert_eq!(good(state.commit(at(6), &[])), [], "changes were told twice");
}

fn readers_see_whole_commits(subject: &mut dyn Subject) {
    const COMMITS: u32 = 500;
    let engine = subject.open();
    let mut state = good(engine.create(STATE));
    let reader = state.reader();
    let (get_one, get_two) = (subject.get(1), subject.get(2));
    let writes: Vec<[Bytes; 2]> =
        (1..=COMMITS).map(|value| [subject.put(1, value, None), subject.put(2, value, None)]).collect();
    let replies: Vec<Bytes> =
        std::iter::once(None).chain((1..=COMMITS).map(Some)).map(|value| subject.got(value)).collect();
    let value_of = |reply: Bytes| replies.iter().position(|known| *known == reply);
    std::thread::scope(|scope| {
        let writer = scope.spawn(move || {
            for (index, pair) in writes.iter().enumerate() {
                apply(&mut *state, index as u64 + 5, pair);
            }
        });
        while !writer.is_finished() {
            let one = value_of(good(reader.read(&get_one, stamp(9))));
            let two = value_of(good(reader.read(&get_two, stamp(9))));
            assert!(one.is_some() && one <= two, "a read saw half a commit: {one:?}, then {two:?}");
        }
    });
}
