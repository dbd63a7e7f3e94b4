//! A server made of this crate and a model of the engine: maps in memory and a clock that stands still.
//!
//! It shows how a listener uses the crate, and that plans and forms together give Redis' replies.

use api::kv::*;
use bytes::{Bytes, BytesMut};
use proto_redis::client::{self, ClientFacts};
use proto_redis::config::LiveConfig;
use proto_redis::info::InfoFacts;
use proto_redis::{
    Decoder, ErrorText, Place, Plan, Protocol, Question, Reply, ReplyDecoder, Session, Step, Target, config,
    info, parse,
};
use std::collections::BTreeMap;
use types::Fault;
use types::hash::{HashRule, position};

/// Milliseconds since 1970.
const NOW: i64 = 1_700_000_000_000;
/// Longest string.
const STRING_BYTES_MAX: usize = types::limits::VALUE_BYTES_MAX;

/// One connection to an empty server.
pub struct Model {
    session: Session,
    decoder: Decoder,
    partitions: Vec<Partition>,
}

#[derive(Default)]
struct Partition {
    /// By position and key.
    entries: BTreeMap<(u64, Bytes), Entry>,
}

#[derive(Clone)]
struct Entry {
    value: Bytes,
    expires_at: Option<i64>,
}

type Answer = Result<KvAnswer, KvError>;

impl Model {
    pub fn new(partitions: u32, password: Option<&str>) -> Self {
        Self {
            session: Session::new(1, password.map(|password| password.as_bytes().into())),
            decoder: Decoder::new(),
            partitions: (0..partitions).map(|_| Partition::default()).collect(),
        }
    }

    /// One command.
    pub fn command(&mut self, args: &[Vec<u8>]) -> Reply {
        let mut request = BytesMut::new();
        let words = args.iter().map(|arg| Reply::bulk(arg.clone())).collect();
        Reply::Array(words).encode(Protocol::Resp2, &mut request);
        self.bytes(&request).pop().unwrap()
    }

    /// From bytes to bytes, as over a socket.
    pub fn bytes(&mut self, request: &[u8]) -> Vec<Reply> {
        let (mut buffer, mut args, mut out) = (BytesMut::from(request), Vec::new(), BytesMut::new());
        loop {
            self.decoder.restrict(!self.session.is_authenticated());
            let reply = match self.decoder.decode(&mut buffer, &mut args) {
                Ok(true) => self.reply(&args),
                Ok(false) => break,
                Err(error) => {
                    Reply::Error(error.text()).encode(Protocol::Resp2, &mut out);
                    break;
                }
            };
            let mode = self.session.reply_mode();
            if !mode.silent {
                reply.encode(mode.protocol, &mut out);
            }
            if mode.close {
                break;
            }
        }
        let mut decoder = ReplyDecoder::new();
        std::iter::from_fn(|| decoder.decode(&mut out).unwrap()).collect()
    }

    fn reply(&mut self, args: &[Bytes]) -> Reply {
        let plan = parse(args, &mut self.session);
        plan.and_then(|plan| self.carry_out(plan)).unwrap_or_else(Reply::Error)
    }

    fn carry_out(&mut self, plan: Plan) -> Result<Reply, ErrorText> {
        let targets = self.partitions.len() as u32;
        let place = |key: &Bytes| {
            let partition = HashRule::Tag.partition(key, targets).get() as u32;
            Ok(Place { target: Target { table: 1, partition }, key: key.clone() })
        };
        let (parts, gather) = match plan {
            Plan::Answer(reply) => return Ok(reply),
            Plan::Ask(question) => return Ok(self.facts(question)),
            Plan::Keyed(keyed) => {
                let (target, op, form) = keyed.address(place)?;
                return Ok(form.reply(self.ask(target.partition, op)));
            }
            Plan::Walk(mut walk) => {
                let mut step = walk.begin(targets, 12_345 << 50);
                loop {
                    match step {
                        Step::Done(reply) => return Ok(reply),
                        Step::Ask { index, op } => {
                            let outcome = self.ask(index, op);
                            step = walk.absorb(targets, outcome, &Some);
                        }
                    }
                }
            }
            Plan::Scatter(scatter) => scatter.split(place)?,
            Plan::Everywhere(everywhere) => {
                everywhere.parts((0..targets).map(|partition| Target { table: 1, partition }))
            }
        };
        let outcomes = parts.into_iter().map(|part| self.ask(part.target.partition, part.op)).collect();
        Ok(gather.finish(outcomes))
    }

    fn facts(&self, question: Question) -> Reply {
        let clients = [ClientFacts::of_session(&self.session)];
        match question {
            Question::Info(sections) => info::render(&InfoFacts::default(), &sections),
            Question::ConfigGet(patterns) => config::get(&patterns, &LiveConfig::default()),
            Question::ConfigSet(_) | Question::ResetStatistics => Reply::OK,
            Question::Time => client::time_reply(NOW as u64 * 1000),
            Question::Wait { .. } => Reply::Integer(0),
            Question::ClientInfo => client::info_reply(&clients[0]),
            Question::ClientList(filter) => client::list_reply(&clients, &filter, 1),
            Question::ClientKill(filter) => {
                let killed = clients.iter().filter(|client| filter.matches(client, 1)).count();
                client::kill_reply(&filter, killed)
            }
        }
    }

    /// The engine's reply, through its encoding.
    fn ask(&mut self, partition: u32, op: KvOp) -> Result<KvReply, Fault> {
        let answer = self.partitions[partition as usize].answer(op);
        Ok(answer.map_or_else(KvReply::error, KvReply::new))
    }
}

impl Partition {
    fn answer(&mut self, op: KvOp) -> Answer {
        match op {
            KvOp::Get(key) => Ok(maybe(self.value(&key.key))),
            KvOp::MGet(keys) => {
                let values = keys.keys.iter().map(|key| Maybe { value: self.value(key) }).collect();
                Ok(KvAnswer::Values(Values { values }))
            }
            KvOp::Exists(keys) => Ok(count(keys.keys.iter().filter(|key| self.entry(key).is_some()).count())),
            KvOp::StrLen(key) => Ok(count(self.value(&key.key).unwrap_or_default().len())),
            KvOp::GetRange(range) => Ok(KvAnswer::Value(self.range(&range))),
            KvOp::Ttl(ttl) => Ok(KvAnswer::Integer(match self.entry(&ttl.key) {
                None => -2,
                Some(entry) => entry.expires_at.map_or(-1, |at| if ttl.absolute { at } else { at - NOW }),
            })),
            KvOp::Type(key) => Ok(maybe(self.entry(&key.key).map(|_| Bytes::from_static(b"string")))),
            KvOp::Scan(scan) => Ok(self.page(&scan)),
            KvOp::DbSize(_) => Ok(count(self.entries.len())),
            KvOp::RandomKey(_) => Ok(maybe(self.entries.keys().next().map(|(_, key)| key.clone()))),
            KvOp::Set(set) => self.set(set),
            KvOp::MSet(mset) => Ok(self.mset(mset)),
            KvOp::GetDel(key) => {
                let value = self.value(&key.key);
                self.remove(&key.key);
                Ok(maybe(value))
            }
            KvOp::GetEx(op) => {
                let Some(entry) = self.entry(&op.key).cloned() else { return Ok(maybe(None)) };
                let expires_at = deadline(op.expiry.unwrap(), Some(&entry))?;
                self.put(&op.key, Entry { expires_at, ..entry.clone() });
                Ok(maybe(Some(entry.value)))
            }
            KvOp::Append(pair) => self.change(&pair.key, |value| Ok([value, &pair.value].concat())),
            KvOp::SetRange(op) => self.set_range(&op),
            KvOp::IncrBy(op) => self.increment(&op),
            KvOp::IncrByFloat(pair) => self.increment_float(&pair),
            KvOp::Del(keys) => Ok(count(keys.keys.iter().filter(|key| self.remove(key).is_some()).count())),
            KvOp::Expire(op) => self.expire(&op),
            KvOp::Rename(op) => self.rename(&op),
            KvOp::Copy(op) => Ok(self.copy(&op)),
            KvOp::Flush(_) => {
                self.entries.clear();
                Ok(KvAnswer::Ok(Nothing {}))
            }
            KvOp::RemoveExpired(_) => Err(KvError::Unsupported),
        }
    }

    fn entry(&self, key: &Bytes) -> Option<&Entry> {
        self.entries.get(&(position(key), key.clone()))
    }

    fn value(&self, key: &Bytes) -> Option<Bytes> {
        self.entry(key).map(|entry| entry.value.clone())
    }

    fn remove(&mut self, key: &Bytes) -> Option<Entry> {
        self.entries.remove(&(position(key), key.clone()))
    }

    /// An entry whose time has passed is not stored at all.
    fn put(&mut self, key: &Bytes, entry: Entry) {
        self.remove(key);
        if entry.expires_at.is_none_or(|at| at > NOW) {
            self.entries.insert((position(key), key.clone()), entry);
        }
    }

    fn range(&self, range: &GetRange) -> Bytes {
        let value = self.value(&range.key).unwrap_or_default();
        let length = value.len() as i64;
        let from_end = |at: i64| if at < 0 { (at + length).max(0) } else { at };
        if range.start < 0 && range.end < 0 && range.start > range.end {
            return Bytes::new();
        }
        let (start, end) = (from_end(range.start), from_end(range.end).min(length - 1));
        if start > end { Bytes::new() } else { value.slice(start as usize..=end as usize) }
    }

    fn page(&self, scan: &Scan) -> KvAnswer {
        let rest: Vec<_> = self.entries.range((scan.position, Bytes::new())..).map(|(key, _)| key).collect();
        let page = &rest[..rest.len().min(scan.count as usize)];
        let next = page.last().filter(|_| page.len() < rest.len()).map(|(at, _)| at + 1);
        let wanted = |key: &Bytes| {
            let all = scan.pattern.is_empty() || &scan.pattern[..] == b"*";
            (all || matches(&scan.pattern, key)) && ["", "string"].contains(&&scan.only_type[..])
        };
        let keys = page.iter().map(|(_, key)| key.clone()).filter(wanted).collect();
        KvAnswer::Page(Page { keys, next })
    }

    fn set(&mut self, set: Set) -> Answer {
        let before = self.entry(&set.key).cloned();
        let expires_at = deadline(set.expiry.unwrap(), before.as_ref())?;
        let wanted = match set.condition() {
            Condition::IfAbsent => before.is_none(),
            Condition::IfPresent => before.is_some(),
            _ => true,
        };
        if wanted {
            self.put(&set.key, Entry { value: set.value.clone(), expires_at });
        }
        Ok(match (set.return_old, wanted) {
            (true, _) => maybe(before.map(|entry| entry.value)),
            (false, true) => KvAnswer::Ok(Nothing {}),
            (false, false) => KvAnswer::Nil(Nothing {}),
        })
    }

    fn mset(&mut self, mset: MSet) -> KvAnswer {
        if mset.only_if_none && mset.pairs.iter().any(|pair| self.entry(&pair.key).is_some()) {
            return count(0);
        }
        for pair in mset.pairs {
            self.put(&pair.key, Entry { value: pair.value, expires_at: None });
        }
        count(1)
    }

    /// Changes a value and keeps its expiry; answers the new length.
    fn change(&mut self, key: &Bytes, change: impl FnOnce(&[u8]) -> Result<Vec<u8>, KvError>) -> Answer {
        let before = self.entry(key).cloned();
        let value = change(before.as_ref().map_or(&[], |entry| &entry.value))?;
        if value.len() > STRING_BYTES_MAX {
            return Err(KvError::TooLong);
        }
        let length = value.len();
        self.put(key, Entry { value: value.into(), expires_at: before.and_then(|entry| entry.expires_at) });
        Ok(count(length))
    }

    fn set_range(&mut self, op: &SetRange) -> Answer {
        if op.value.is_empty() {
            return Ok(count(self.value(&op.key).unwrap_or_default().len()));
        }
        if op.offset.saturating_add(op.value.len() as u64) > STRING_BYTES_MAX as u64 {
            return Err(KvError::TooLong);
        }
        let (start, end) = (op.offset as usize, op.offset as usize + op.value.len());
        self.change(&op.key, |before| {
            let mut value = before.to_vec();
            value.resize(value.len().max(end), 0);
            value[start..end].copy_from_slice(&op.value);
            Ok(value)
        })
    }

    fn increment(&mut self, op: &IncrBy) -> Answer {
        let before = self.value(&op.key).unwrap_or(Bytes::from_static(b"0"));
        let number = proto_redis::text::parse_integer(&before).ok_or(KvError::NotInteger)?;
        let sum = number.checked_add(op.delta).ok_or(KvError::Overflow)?;
        self.change(&op.key, |_| Ok(sum.to_string().into_bytes()))?;
        Ok(KvAnswer::Integer(sum))
    }

    fn increment_float(&mut self, pair: &Pair) -> Answer {
        let parse = |text: &[u8]| -> Result<f64, KvError> {
            let number: Option<f64> = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
            number.filter(|number| !number.is_nan()).ok_or(KvError::NotFloat)
        };
        let before = self.value(&pair.key).unwrap_or(Bytes::from_static(b"0"));
        let sum = parse(&before)? + parse(&pair.value)?;
        if !sum.is_finite() {
            return Err(KvError::NotFinite);
        }
        let text = sum.to_string();
        self.change(&pair.key, |_| Ok(text.clone().into_bytes()))?;
        Ok(KvAnswer::Value(text.into()))
    }

    fn expire(&mut self, op: &Expire) -> Answer {
        let before = self.entry(&op.key).cloned();
        let after = deadline(op.expiry.unwrap(), before.as_ref())?;
        let Some(entry) = before else { return Ok(count(0)) };
        let old = entry.expires_at;
        let wanted = match op.condition() {
            Condition::Always => after.is_some() || old.is_some(),
            Condition::IfAbsent => old.is_none(),
            Condition::IfPresent => old.is_some(),
            Condition::IfLater => old.is_some_and(|old| after.unwrap() > old),
            Condition::IfSooner => old.is_none_or(|old| after.unwrap() < old),
            Condition::IfPresentAndSooner => old.is_some_and(|old| after.unwrap() < old),
        };
        if wanted {
            self.put(&op.key, Entry { expires_at: after, ..entry });
        }
        Ok(count(usize::from(wanted)))
    }

    fn rename(&mut self, op: &Rename) -> Answer {
        let Some(entry) = self.entry(&op.from).cloned() else { return Err(KvError::NoSuchKey) };
        if op.only_if_absent && self.entry(&op.to).is_some() {
            return Ok(count(0));
        }
        self.remove(&op.from);
        self.put(&op.to, entry);
        Ok(if op.only_if_absent { count(1) } else { KvAnswer::Ok(Nothing {}) })
    }

    fn copy(&mut self, op: &Copy) -> KvAnswer {
        let Some(entry) = self.entry(&op.from).cloned() else { return count(0) };
        if self.entry(&op.to).is_some() && !op.replace {
            return count(0);
        }
        self.put(&op.to, entry);
        count(1)
    }
}

fn deadline(expiry: Expiry, before: Option<&Entry>) -> Result<Option<i64>, KvError> {
    match expiry.kind() {
        ExpiryKind::Clear => Ok(None),
        ExpiryKind::Keep => Ok(before.and_then(|entry| entry.expires_at)),
        ExpiryKind::At => Ok(Some(expiry.millis)),
        ExpiryKind::In => NOW.checked_add(expiry.millis).map(Some).ok_or(KvError::InvalidExpiry),
    }
}

fn maybe(value: Option<Bytes>) -> KvAnswer {
    value.map_or(KvAnswer::Nil(Nothing {}), KvAnswer::Value)
}

fn count(number: usize) -> KvAnswer {
    KvAnswer::Integer(number as i64)
}

/// The few patterns of the corpus: one `?`, one class, or literal text.
fn matches(pattern: &[u8], key: &[u8]) -> bool {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (pattern, key) = (text(pattern), text(key));
    if let Some((before, after)) = pattern.split_once('?') {
        return key.len() == pattern.len() && key.starts_with(before) && key.ends_with(after);
    }
    if let Some(after) = pattern.strip_prefix("[a-o]") {
        return key.len() == after.len() + 1
            && key.ends_with(after)
            && ('a'..='o').contains(&key.chars().next().unwrap());
    }
    match pattern.strip_suffix('*') {
        Some(before) => key.starts_with(before),
        None => pattern == key,
    }
}
