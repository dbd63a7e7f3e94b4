//! Random requests against the engine and against a model that is an ordered map: replies, counts, pages
//! and digests must agree, whatever stops, crashes of a clean kind and snapshots happen in between, on
//! the simulator's store and on the real one.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use api::kv::{
    Condition, Copy, Expire, Expiry, ExpiryKind, GetEx, GetRange, IncrBy, Key, Keys, KvAnswer, KvError, KvOp,
    KvReply, KvRequest, MSet, Maybe, Nothing, Pair, Rename, Scan, Set, SetRange, Ttl, Values,
};
use bytes::Bytes;
use common::{Disk, Memory, OnDisk, context, engine};
use engine::{Applied, Engine, StateMachine};
use proptest::prelude::*;
use prost::Message;
use types::{Hlc, LogIndex, StateId, Term};

/// What happens between two looks at everything.
#[derive(Clone, Debug)]
enum Step {
    /// One entry with these requests.
    Entry(Vec<KvOp>),
    /// One read.
    Read(KvOp),
    /// Milliseconds pass.
    Wait(u64),
    /// The engine stops and is opened again.
    Restart,
    /// The state is replaced by a copy made from its snapshot, in chunks of about this size.
    Copy(usize),
}

fn key() -> impl Strategy<Value = Bytes> {
    (0..8_u8).prop_map(|number| Bytes::from(format!("k{number}")))
}

/// Keys that only INCRBYFLOAT makes: their numbers are quarters, which the model adds exactly.
fn decimal_key() -> impl Strategy<Value = Bytes> {
    (0..2_u8).prop_map(|number| Bytes::from(format!("f{number}")))
}

fn any_key() -> impl Strategy<Value = Bytes> {
    prop_oneof![4 => key(), 1 => decimal_key()]
}

fn keys() -> impl Strategy<Value = Keys> {
    proptest::collection::vec(any_key(), 0..4).prop_map(|keys| Keys { keys })
}

fn value() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        (-20..20_i64).prop_map(|number| number.to_string().into()),
        proptest::collection::vec(any::<u8>(), 0..6).prop_map(Bytes::from),
        Just(Bytes::from(i64::MAX.to_string())),
        Just(Bytes::from_static(b"2.25")),
    ]
}

fn expiry() -> impl Strategy<Value = Option<Expiry>> {
    let kind = prop_oneof![
        Just(ExpiryKind::Clear),
        Just(ExpiryKind::Keep),
        Just(ExpiryKind::At),
        Just(ExpiryKind::In),
        Just(ExpiryKind::In)
    ];
    let expiry = (kind, -3..12_i64, prop::bool::weighted(0.02)).prop_map(|(kind, small, huge)| {
        let millis = match kind {
            _ if huge => i64::MAX,
            ExpiryKind::At => START as i64 + 10 * small,
            _ => 3 * small,
        };
        Expiry { kind: kind as i32, millis }
    });
    proptest::option::weighted(0.6, expiry)
}

fn condition(highest: i32) -> impl Strategy<Value = i32> {
    prop_oneof![2 => Just(0), 3 => 0..=highest]
}

fn write() -> impl Strategy<Value = KvOp> {
    let pair = || (key(), value()).prop_map(|(key, value)| Pair { key, value });
    prop_oneof![
        4 => (key(), value(), condition(2), expiry(), any::<bool>()).prop_map(
            |(key, value, condition, expiry, return_old)| {
                KvOp::Set(Set { key, value, condition, expiry, return_old })
            }
        ),
        1 => (proptest::collection::vec(pair(), 0..4), any::<bool>())
            .prop_map(|(pairs, only_if_none)| KvOp::MSet(MSet { pairs, only_if_none })),
        1 => key().prop_map(|key| KvOp::GetDel(Key { key })),
        1 => (key(), expiry()).prop_map(|(key, expiry)| KvOp::GetEx(GetEx { key, expiry })),
        1 => pair().prop_map(KvOp::Append),
        1 => (key(), 0..12_u64, value())
            .prop_map(|(key, offset, value)| KvOp::SetRange(SetRange { key, offset, value })),
        2 => (key(), -9..9_i64).prop_map(|(key, delta)| KvOp::IncrBy(IncrBy { key, delta })),
        1 => (decimal_key(), -9..9_i32).prop_map(|(key, quarters)| {
            KvOp::IncrByFloat(Pair { key, value: (f64::from(quarters) / 4.0).to_string().into() })
        }),
        1 => keys().prop_map(KvOp::Del),
        3 => (any_key(), expiry(), condition(5))
            .prop_map(|(key, expiry, condition)| KvOp::Expire(Expire { key, expiry, condition })),
        1 => (key(), key(), any::<bool>())
            .prop_map(|(from, to, only_if_absent)| KvOp::Rename(Rename { from, to, only_if_absent })),
        1 => (key(), key(), any::<bool>())
            .prop_map(|(from, to, replace)| KvOp::Copy(Copy { from, to, replace })),
        1 => keys().prop_map(KvOp::RemoveExpired),
        1 => prop::bool::weighted(0.3).prop_map(|flush| match flush {
            true => KvOp::Flush(Nothing {}),
            false => KvOp::Del(Keys { keys: Vec::new() }),
        }),
    ]
}

fn read() -> impl Strategy<Value = KvOp> {
    prop_oneof![
        key().prop_map(|key| KvOp::Get(Key { key })),
        keys().prop_map(KvOp::MGet),
        keys().prop_map(KvOp::Exists),
        key().prop_map(|key| KvOp::StrLen(Key { key })),
        key().prop_map(|key| KvOp::Type(Key { key })),
        (key(), any::<bool>()).prop_map(|(key, absolute)| KvOp::Ttl(Ttl { key, absolute })),
        (key(), -8..8_i64, -8..8_i64).prop_map(|(key, start, end)| KvOp::GetRange(GetRange {
            key,
            start,
            end
        })),
        Just(KvOp::DbSize(Nothing {})),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => proptest::collection::vec(write(), 1..4).prop_map(Step::Entry),
        6 => read().prop_map(Step::Read),
        4 => (0..9_u64).prop_map(Step::Wait),
        1 => Just(Step::Restart),
        1 => (1..400_usize).prop_map(Step::Copy),
    ]
}

const START: u64 = 1_000_000;

/// The engine and the model side by side.
struct World<D> {
    disk: D,
    engine: Option<Arc<dyn Engine>>,
    state: Option<Box<dyn StateMachine>>,
    id: StateId,
    index: u64,
    model: Model,
}

impl<D: Disk> World<D> {
    fn new(mut disk: D) -> Self {
        let engine = engine(disk.open());
        let id = StateId(1);
        let state = Some(engine.create(id).unwrap());
        Self {
            disk,
            engine: Some(engine),
            state,
            id,
            index: 5,
            model: Model { now: START, map: BTreeMap::new() },
        }
    }

    fn state(&mut self) -> &mut dyn StateMachine {
        &mut **self.state.as_mut().unwrap()
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Entry(ops) => self.entry(&ops),
            Step::Read(op) => {
                let expected = self.model.read(&op);
                assert_eq!(self.read(&op), expected, "{op:?}");
            }
            Step::Wait(millis) => self.model.now += millis,
            Step::Restart => {
                self.engine.as_ref().unwrap().flush().unwrap();
                self.state = None;
                self.engine = None;
                let engine = engine(self.disk.open());
                self.state = Some(engine.open(self.id).unwrap());
                self.engine = Some(engine);
            }
            Step::Copy(bytes) => self.copy(bytes),
        }
    }

    fn entry(&mut self, ops: &[KvOp]) {
        let unchanged = self.unchanged(ops);
        for op in ops {
            let bytes = KvRequest::new(op.clone()).encode_to_vec();
            let context = context(self.model.now, self.index);
            let reply = self.state().stage(&context, &bytes).unwrap();
            assert_eq!(KvReply::decode(&reply[..]).unwrap(), self.model.write(op), "{op:?}");
        }
        let applied = Applied { index: LogIndex(self.index), term: Term(1) };
        self.state().commit(applied, &[]).unwrap();
        self.index += 1;
        if let Some(before) = unchanged {
            assert_eq!(self.digest(), before, "{ops:?} was to change nothing");
        }
    }

    /// The digest, if an entry is one write that changes nothing; its reply is then what the model says.
    fn unchanged(&mut self, ops: &[KvOp]) -> Option<engine::Digest> {
        let [op] = ops else { return None };
        let bytes = KvRequest::new(op.clone()).encode_to_vec();
        let hlc = context(self.model.now, self.index).hlc;
        let reply = self.state().reader().unchanged(&bytes, hlc).unwrap()?;
        let mut model = self.model.clone();
        assert_eq!(KvReply::decode(&reply[..]).unwrap(), model.write(op), "{op:?}");
        Some(self.digest())
    }

    fn read(&mut self, op: &KvOp) -> KvReply {
        let bytes = KvRequest::new(op.clone()).encode_to_vec();
        let now = Hlc::from_millis(self.model.now);
        KvReply::decode(&self.state().reader().read(&bytes, now).unwrap()[..]).unwrap()
    }

    fn copy(&mut self, bytes: usize) {
        let before = self.digest();
        let engine = self.engine.clone().unwrap();
        let mut source = self.state().snapshot().unwrap();
        let mut sink = engine.ingest(self.id.next()).unwrap();
        while let Some(chunk) = source.next_chunk(bytes).unwrap() {
            sink.write(&chunk).unwrap();
        }
        self.state = Some(sink.finish().unwrap());
        engine.remove(self.id).unwrap();
        self.id = self.id.next();
        assert_eq!(self.digest(), before, "a copy differs");
    }

    fn digest(&mut self) -> engine::Digest {
        let now = Hlc::from_millis(self.model.now);
        (self.state().digest(now).unwrap())().unwrap()
    }

    /// Everything that can be seen from outside agrees.
    fn check(&mut self) {
        let live = self.model.live();
        let records = self.state().statistics().records;
        assert_eq!(records, self.model.map.len() as u64);
        assert_eq!(self.digest().records, live.len() as u64);
        let mut found = Vec::new();
        let mut next = Some(0);
        while let Some(position) = next {
            let scan = Scan { position, count: 2, ..Scan::default() };
            let page = self.page(scan);
            found.extend(page.0);
            next = page.1;
        }
        found.sort();
        assert_eq!(found, live);
        let now = self.model.now;
        let mut expired: Vec<(u64, Bytes)> = self
            .model
            .map
            .iter()
            .filter_map(|(key, entry)| Some((entry.expiry.filter(|at| *at < now)?, key.clone())))
            .collect();
        expired.sort();
        let expected: Vec<Bytes> = expired.into_iter().map(|(_, key)| key).collect();
        let page = self.page(Scan { expired: true, count: 100, ..Scan::default() });
        assert_eq!(page, (expected, None), "the expiry index differs");
    }

    fn page(&mut self, scan: Scan) -> (Vec<Bytes>, Option<u64>) {
        match self.read(&KvOp::Scan(scan)).answer {
            Some(KvAnswer::Page(page)) => (page.keys, page.next),
            other => panic!("not a page: {other:?}"),
        }
    }
}

/// What Redis would do, as plainly as it can be said.
#[derive(Clone)]
struct Model {
    now: u64,
    map: BTreeMap<Bytes, Entry>,
}

#[derive(Clone)]
struct Entry {
    value: Bytes,
    expiry: Option<u64>,
}

impl Model {
    fn live(&self) -> Vec<Bytes> {
        self.map.iter().filter(|(_, entry)| self.lives(entry)).map(|(key, _)| key.clone()).collect()
    }

    fn lives(&self, entry: &Entry) -> bool {
        entry.expiry.is_none_or(|at| self.now <= at)
    }

    fn get(&self, key: &Bytes) -> Option<Entry> {
        self.map.get(key).filter(|entry| self.lives(entry)).cloned()
    }

    /// As `get`, but what has expired goes.
    fn touch(&mut self, key: &Bytes) -> Option<Entry> {
        let found = self.get(key);
        if found.is_none() {
            self.map.remove(key);
        }
        found
    }

    fn put(&mut self, key: &Bytes, value: impl Into<Bytes>, expiry: Option<u64>) {
        self.map.insert(key.clone(), Entry { value: value.into(), expiry });
    }

    /// The new expiry (`Err`: invalid), with `Some(0)` for "the time has passed".
    fn resolve(&self, expiry: Expiry, old: Option<u64>) -> Result<Option<u64>, KvReply> {
        let at = match expiry.kind() {
            ExpiryKind::Clear => return Ok(None),
            ExpiryKind::Keep => return Ok(old),
            ExpiryKind::At => Some(expiry.millis),
            ExpiryKind::In => (self.now as i64).checked_add(expiry.millis),
        };
        let at = at.ok_or(KvReply::error(KvError::InvalidExpiry))?;
        Ok(Some(if at <= self.now as i64 { 0 } else { at as u64 }))
    }

    fn bad_for_set(expiry: Option<Expiry>) -> bool {
        expiry.is_some_and(|expiry| {
            matches!(expiry.kind(), ExpiryKind::At | ExpiryKind::In) && expiry.millis <= 0
        })
    }

    fn store(&mut self, key: &Bytes, value: Bytes, expiry: Option<u64>) {
        if expiry == Some(0) {
            self.map.remove(key);
        } else {
            self.put(key, value, expiry);
        }
    }

    fn write(&mut self, op: &KvOp) -> KvReply {
        self.try_write(op).unwrap_or_else(|refusal| refusal)
    }

    fn try_write(&mut self, op: &KvOp) -> Result<KvReply, KvReply> {
        match op {
            KvOp::Set(set) => self.set(set),
            KvOp::IncrBy(_) | KvOp::IncrByFloat(_) => self.add(op),
            KvOp::Del(_) | KvOp::Rename(_) | KvOp::Copy(_) | KvOp::Flush(_) | KvOp::RemoveExpired(_) => {
                self.write_keys(op)
            }
            KvOp::Expire(expire) => self.expire(expire),
            _ => self.write_strings(op),
        }
    }

    fn set(&mut self, set: &Set) -> Result<KvReply, KvReply> {
        if Self::bad_for_set(set.expiry) {
            return Err(KvReply::error(KvError::InvalidExpiry));
        }
        // Overflow is a mistake before the key is looked at.
        if let Some(expiry) = set.expiry {
            self.resolve(expiry, None)?;
        }
        let old = self.touch(&set.key);
        let stored = match set.condition() {
            Condition::IfAbsent => old.is_none(),
            Condition::IfPresent => old.is_some(),
            _ => true,
        };
        if stored {
            let kept = old.as_ref().and_then(|old| old.expiry);
            let expiry = set.expiry.map_or(Ok(None), |expiry| self.resolve(expiry, kept))?;
            self.store(&set.key, set.value.clone(), expiry);
        }
        Ok(match (set.return_old, stored) {
            (true, _) => old.map_or(KvReply::nil(), |old| KvReply::value(old.value)),
            (false, true) => KvReply::ok(),
            (false, false) => KvReply::nil(),
        })
    }

    fn add(&mut self, op: &KvOp) -> Result<KvReply, KvReply> {
        Ok(match op {
            KvOp::IncrBy(IncrBy { key, delta }) => {
                let old = self.touch(key);
                let text =
                    old.as_ref().map_or("0".into(), |old| String::from_utf8_lossy(&old.value).into_owned());
                let number = text.parse::<i64>().ok().filter(|number| number.to_string() == text);
                let number = number.ok_or(KvReply::error(KvError::NotInteger))?;
                let sum = number.checked_add(*delta).ok_or(KvReply::error(KvError::Overflow))?;
                self.put(key, sum.to_string(), old.and_then(|old| old.expiry));
                KvReply::integer(sum)
            }
            KvOp::IncrByFloat(Pair { key, value }) => {
                let number = |bytes: &[u8]| std::str::from_utf8(bytes).unwrap().parse::<f64>().unwrap();
                let old = self.touch(key);
                let start = old.as_ref().map_or(0.0, |old| number(&old.value));
                // Adding zero makes a positive zero of a negative one.
                let sum = (start + number(value) + 0.0).to_string();
                self.put(key, sum.clone(), old.and_then(|old| old.expiry));
                KvReply::value(sum)
            }
            other => panic!("not an addition: {other:?}"),
        })
    }

    fn write_strings(&mut self, op: &KvOp) -> Result<KvReply, KvReply> {
        Ok(match op {
            KvOp::MSet(set) => {
                if set.only_if_none {
                    for pair in &set.pairs {
                        if self.touch(&pair.key).is_some() {
                            return Ok(KvReply::integer(0));
                        }
                    }
                }
                for pair in &set.pairs {
                    self.put(&pair.key, pair.value.clone(), None);
                }
                KvReply::integer(1)
            }
            KvOp::GetDel(Key { key }) => match self.touch(key) {
                Some(old) => {
                    self.map.remove(key);
                    KvReply::value(old.value)
                }
                None => KvReply::nil(),
            },
            KvOp::GetEx(GetEx { key, expiry }) => match self.touch(key) {
                Some(old) => {
                    if Self::bad_for_set(*expiry) {
                        return Err(KvReply::error(KvError::InvalidExpiry));
                    }
                    let expiry = expiry.map_or(Ok(old.expiry), |expiry| self.resolve(expiry, old.expiry))?;
                    self.store(key, old.value.clone(), expiry);
                    KvReply::value(old.value)
                }
                None => KvReply::nil(),
            },
            KvOp::Append(Pair { key, value }) => self.edit(key, |old| [old, &value[..]].concat()),
            KvOp::SetRange(SetRange { key, offset, value }) => {
                if value.is_empty() {
                    return Ok(KvReply::integer(self.touch(key).map_or(0, |old| old.value.len() as i64)));
                }
                let end = *offset as usize + value.len();
                self.edit(key, |old| {
                    let mut new = old.to_vec();
                    new.resize(new.len().max(end), 0);
                    new.splice(*offset as usize..end, value.iter().copied());
                    new
                })
            }
            other => panic!("not a write of strings: {other:?}"),
        })
    }

    fn write_keys(&mut self, op: &KvOp) -> Result<KvReply, KvReply> {
        Ok(match op {
            KvOp::Del(Keys { keys }) => {
                let mut removed = 0;
                for key in keys {
                    removed += i64::from(self.touch(key).is_some());
                    self.map.remove(key);
                }
                KvReply::integer(removed)
            }
            KvOp::Rename(Rename { from, to, only_if_absent }) => {
                let old = self.touch(from).ok_or(KvReply::error(KvError::NoSuchKey))?;
                match (only_if_absent, from == to) {
                    (true, true) => return Ok(KvReply::integer(0)),
                    (false, true) => return Ok(KvReply::ok()),
                    _ => {}
                }
                if self.touch(to).is_some() && *only_if_absent {
                    return Ok(KvReply::integer(0));
                }
                self.map.remove(from);
                self.map.insert(to.clone(), old);
                if *only_if_absent { KvReply::integer(1) } else { KvReply::ok() }
            }
            KvOp::Copy(Copy { from, to, replace }) => {
                if from == to {
                    return Ok(KvReply::integer(0));
                }
                let Some(old) = self.touch(from) else { return Ok(KvReply::integer(0)) };
                if self.touch(to).is_some() && !replace {
                    return Ok(KvReply::integer(0));
                }
                self.map.insert(to.clone(), old);
                KvReply::integer(1)
            }
            KvOp::Flush(_) => {
                self.map.clear();
                KvReply::ok()
            }
            KvOp::RemoveExpired(Keys { keys }) => {
                let before = self.map.len();
                for key in keys {
                    self.touch(key);
                }
                KvReply::integer((before - self.map.len()) as i64)
            }
            other => panic!("not a write: {other:?}"),
        })
    }

    fn edit(&mut self, key: &Bytes, change: impl FnOnce(&[u8]) -> Vec<u8>) -> KvReply {
        let old = self.touch(key).unwrap_or(Entry { value: Bytes::new(), expiry: None });
        let new = change(&old.value);
        let length = new.len() as i64;
        self.put(key, new, old.expiry);
        KvReply::integer(length)
    }

    fn expire(&mut self, expire: &Expire) -> Result<KvReply, KvReply> {
        let expiry = expire.expiry.ok_or(KvReply::error(KvError::Unsupported))?;
        self.resolve(expiry, None)?;
        let Some(old) = self.touch(&expire.key) else { return Ok(KvReply::integer(0)) };
        let new = self.resolve(expiry, old.expiry)?;
        let (was, will) = (
            old.expiry.map(|at| at as i64),
            match expiry.kind() {
                ExpiryKind::At => Some(expiry.millis),
                ExpiryKind::In => Some(self.now as i64 + expiry.millis),
                ExpiryKind::Keep => old.expiry.map(|at| at as i64),
                ExpiryKind::Clear => None,
            },
        );
        const FOR_EVER: i64 = i64::MAX;
        let (was_at, will_at) = (was.unwrap_or(FOR_EVER), will.unwrap_or(FOR_EVER));
        let allowed = match expire.condition() {
            Condition::Always => true,
            Condition::IfAbsent => was.is_none(),
            Condition::IfPresent => was.is_some(),
            Condition::IfLater => was.is_some() && (will.is_none() || will_at > was_at),
            Condition::IfSooner => will.is_some() && (was.is_none() || will_at < was_at),
            Condition::IfPresentAndSooner => was.is_some() && will.is_some() && will_at < was_at,
        };
        if !allowed || (expiry.kind() == ExpiryKind::Clear && was.is_none()) {
            return Ok(KvReply::integer(0));
        }
        self.store(&expire.key, old.value, new);
        Ok(KvReply::integer(1))
    }

    fn read(&self, op: &KvOp) -> KvReply {
        match op {
            KvOp::Get(Key { key }) => {
                self.get(key).map_or(KvReply::nil(), |entry| KvReply::value(entry.value))
            }
            KvOp::MGet(Keys { keys }) => {
                let values = keys.iter().map(|key| Maybe { value: self.get(key).map(|entry| entry.value) });
                KvReply::new(KvAnswer::Values(Values { values: values.collect() }))
            }
            KvOp::Exists(Keys { keys }) => {
                KvReply::integer(keys.iter().filter(|key| self.get(key).is_some()).count() as i64)
            }
            KvOp::StrLen(Key { key }) => {
                KvReply::integer(self.get(key).map_or(0, |entry| entry.value.len() as i64))
            }
            KvOp::Type(Key { key }) => self.get(key).map_or(KvReply::nil(), |_| KvReply::value("string")),
            KvOp::Ttl(Ttl { key, absolute }) => {
                KvReply::integer(match self.get(key).map(|entry| entry.expiry) {
                    None => -2,
                    Some(None) => -1,
                    Some(Some(at)) if *absolute => at as i64,
                    Some(Some(at)) => (at - self.now) as i64,
                })
            }
            KvOp::GetRange(GetRange { key, start, end }) => {
                let value = self.get(key).map_or(Bytes::new(), |entry| entry.value);
                let length = value.len() as i64;
                if *start < 0 && *end < 0 && start > end {
                    return KvReply::value("");
                }
                let place = |place: i64| if place < 0 { (length + place).max(0) } else { place };
                let part = (place(*start)..=place(*end)).filter_map(|place| value.get(place as usize));
                KvReply::value(part.copied().collect::<Vec<u8>>())
            }
            KvOp::DbSize(_) => KvReply::integer(self.map.len() as i64),
            other => panic!("not a read: {other:?}"),
        }
    }
}

fn run<D: Disk>(disk: D, steps: Vec<Step>) {
    let mut world = World::new(disk);
    for step in steps {
        world.take(step);
        world.check();
    }
}

/// Failures are replayed by the seed that proptest prints; each becomes a script.
fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(400))]
    #[test]
    fn the_engine_agrees_with_the_model_in_memory(steps in proptest::collection::vec(step(), 1..80)) {
        run(Memory::default(), steps);
    }
}

proptest! {
    #![proptest_config(config(24))]
    #[test]
    fn the_engine_agrees_with_the_model_on_disk(steps in proptest::collection::vec(step(), 1..150)) {
        run(OnDisk::new(), steps);
    }
}
