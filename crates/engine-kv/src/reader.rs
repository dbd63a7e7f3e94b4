//! Reads, from any thread and beside commits.
//!
//! One string is read straight from the records. Everything else is read from a view, so that a commit is
//! seen whole or not at all.

use std::sync::{Arc, PoisonError, RwLockReadGuard};

use api::kv::{GetRange, Keys, KvAnswer, KvError, KvOp, KvReply, KvRequest, RandomKey, Ttl};
use bytes::Bytes;
use engine::records::Records;
use engine::{EngineError, Reader};
use prost::Message;
use types::Hlc;
use types::limits::{KEY_BYTES_MAX, POSITION_BITS};

use crate::bits::Text;
use crate::look::{Committed, Look};
use crate::state::{Outcome, Shared, Stop, settle};
use crate::strings::string_of;
use crate::value::{Kind, Stored};
use crate::{
    bits, changes, dump, generic, hashes, hyperloglog, layout, lcs, lists, reply, scan, sets, sorted, typed,
    unchanged,
};

/// Reads one state.
pub(crate) struct KvReader {
    records: Arc<dyn Records>,
    shared: Arc<Shared>,
}

impl Reader for KvReader {
    fn read(&self, request: &[u8], now: Hlc) -> Result<Bytes, EngineError> {
        let op = KvRequest::decode(request).ok().and_then(|request| request.op);
        settle(match op {
            Some(KvOp::Get(key)) => self.get(&key.key, now),
            Some(op) if !op.is_write() => answer(&self.committed(now), &op),
            _ => Err(Stop::Refused(KvError::Unsupported)),
        })
    }

    fn unchanged(&self, request: &[u8], now: Hlc) -> Result<Option<Bytes>, EngineError> {
        let Some(mut op) = KvRequest::decode(request).ok().and_then(|request| request.op) else {
            return Ok(None);
        };
        let Committed { view, epoch, now } = self.committed(now);
        unchanged::answer(view, epoch, &mut op, now)
    }
}

impl KvReader {
    pub(crate) fn new(records: Arc<dyn Records>, shared: Arc<Shared>) -> Self {
        Self { records, shared }
    }

    /// `GET`, without a view. A value of parts needs one.
    fn get(&self, key: &Bytes, now: Hlc) -> Outcome {
        if key.len() > KEY_BYTES_MAX {
            return Ok(reply::nil());
        }
        let epoch = self.epoch();
        let bytes = self.records.get(&layout::data_key(*epoch, key))?;
        drop(epoch);
        let stored = bytes.map(Stored::decode).transpose()?.filter(|stored| !stored.header.is_hidden(now));
        match stored {
            None => Ok(reply::nil()),
            Some(stored) if stored.header.kind == Kind::String => Ok(reply::value(&stored.body)),
            Some(_) => get(&self.committed(now), key),
        }
    }

    /// A view of the records, with the epoch that belongs to it.
    fn committed(&self, now: Hlc) -> Committed {
        let epoch = self.epoch();
        Committed { view: self.records.view(), epoch: *epoch, now }
    }

    fn epoch(&self) -> RwLockReadGuard<'_, u32> {
        self.shared.epoch.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers a read.
pub(crate) fn answer(look: &dyn Look, op: &KvOp) -> Outcome {
    match op {
        KvOp::Get(key) => get(look, &key.key),
        KvOp::MGet(keys) => get_many(look, keys),
        KvOp::Exists(keys) => exists(look, keys),
        KvOp::StrLen(key) => match look.live(&key.key)? {
            Some(stored) => Ok(reply::integer(Text::of(look, &stored)?.len() as i64)),
            None => Ok(reply::integer(0)),
        },
        KvOp::GetRange(range) => get_range(look, range),
        KvOp::Ttl(ttl) => time_to_live(look, ttl),
        KvOp::Type(key) => match look.live(&key.key)? {
            Some(stored) => Ok(reply::value(stored.header.kind.name().as_bytes())),
            None => Ok(reply::nil()),
        },
        KvOp::Scan(scan) => Ok(encode(KvAnswer::Page(scan::page(look, scan)?))),
        KvOp::DbSize(_) => Ok(reply::integer(look.facts()?.records as i64)),
        KvOp::RandomKey(random) => random_key(look, random),
        KvOp::Lcs(lcs) => lcs::compare(look, lcs),
        KvOp::Dump(key) => dump::dump(look, &key.key),
        KvOp::Changes(ask) => Ok(encode(KvAnswer::Changes(changes::page(look, ask)?))),
        KvOp::Typed(request) => typed::read(look, request),
        KvOp::Hash(request) => hashes::read(look, request),
        KvOp::List(request) => lists::read(look, request),
        KvOp::Sets(request) => sets::read(look, request),
        KvOp::Sorted(request) => sorted::read(look, request),
        KvOp::Bits(request) => bits::read(look, request),
        KvOp::HyperLogLog(request) => hyperloglog::read(look, request),
        KvOp::Generic(request) => generic::read(look, request),
        _ => Err(Stop::Refused(KvError::Unsupported)),
    }
}

fn get(look: &dyn Look, key: &Bytes) -> Outcome {
    match look.live(key)? {
        Some(stored) => Ok(reply::value(&string_of(look, &stored)?)),
        None => Ok(reply::nil()),
    }
}

fn get_many(look: &dyn Look, keys: &Keys) -> Outcome {
    let mut values = reply::Gathered::values();
    for key in &keys.keys {
        let value = match look.live(key)? {
            Some(stored) if stored.header.kind.is_string() => Some(string_of(look, &stored)?),
            _ => None,
        };
        values.add_maybe(value.as_deref())?;
    }
    Ok(values.finish())
}

fn exists(look: &dyn Look, keys: &Keys) -> Outcome {
    let mut count = 0;
    for key in &keys.keys {
        count += i64::from(look.live(key)?.is_some());
    }
    Ok(reply::integer(count))
}

/// Part of a string, by the rules of `getrangeCommand` in Redis.
fn get_range(look: &dyn Look, range: &GetRange) -> Outcome {
    let Some(stored) = look.live(&range.key)? else { return Ok(reply::value(&[])) };
    let text = Text::of(look, &stored)?;
    let length = text.len() as i64;
    let (start, end) = (range.start, range.end);
    if start < 0 && end < 0 && start > end {
        return Ok(reply::value(&[]));
    }
    let from_end = |place: i64| if place < 0 { place.saturating_add(length).max(0) } else { place };
    let (start, end) = (from_end(start), from_end(end).min(length - 1));
    if start > end || length == 0 {
        return Ok(reply::value(&[]));
    }
    Ok(reply::value(&text.slice(look, start as u64, end as u64 + 1)?))
}

fn time_to_live(look: &dyn Look, ttl: &Ttl) -> Outcome {
    let millis = match look.live(&ttl.key)?.map(|stored| stored.header.expiry_millis) {
        None => -2,
        Some(None) => -1,
        Some(Some(deadline)) if ttl.absolute => deadline as i64,
        // What is live has not passed its deadline.
        Some(Some(deadline)) => deadline.saturating_sub(look.now().millis()) as i64,
    };
    Ok(reply::integer(millis))
}

fn random_key(look: &dyn Look, random: &RandomKey) -> Outcome {
    let start = random.position & ((1 << POSITION_BITS) - 1);
    Ok(reply::maybe(scan::first_live_from(look, start)?.as_ref()))
}

/// A reply's bytes.
pub(crate) fn encode(answer: KvAnswer) -> Bytes {
    KvReply::new(answer).encode_to_vec().into()
}
