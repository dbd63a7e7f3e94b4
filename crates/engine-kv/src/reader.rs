//! Reads, from any thread and beside commits.
//!
//! A single key is read straight from the records. More than one key is read from a view, so that a
//! commit is seen whole or not at all.

use std::sync::{Arc, PoisonError, RwLockReadGuard};

use api::kv::{GetRange, Keys, KvAnswer, KvError, KvOp, KvReply, KvRequest, Maybe, RandomKey, Ttl, Values};
use bytes::Bytes;
use engine::records::{Records, View};
use engine::{EngineError, Reader};
use prost::Message;
use types::Hlc;
use types::limits::{KEY_BYTES_MAX, POSITION_BITS};

use crate::layout::{self, Facts};
use crate::state::{Outcome, Shared, Stop, settle};
use crate::strings::string_of;
use crate::value::{Kind, Stored};
use crate::{reply, scan};

/// Reads one state.
pub(crate) struct KvReader {
    records: Arc<dyn Records>,
    shared: Arc<Shared>,
}

impl Reader for KvReader {
    fn read(&self, request: &[u8], now: Hlc) -> Result<Bytes, EngineError> {
        let op = KvRequest::decode(request).ok().and_then(|request| request.op);
        settle(match op {
            Some(op) => self.answer(&op, now),
            None => Err(Stop::Refused(KvError::Unsupported)),
        })
    }
}

impl KvReader {
    pub(crate) fn new(records: Arc<dyn Records>, shared: Arc<Shared>) -> Self {
        Self { records, shared }
    }

    fn answer(&self, op: &KvOp, now: Hlc) -> Outcome {
        match op {
            KvOp::Get(key) => match self.live(&key.key, now)? {
                Some(stored) => Ok(reply::value(string_of(&stored)?)),
                None => Ok(reply::nil()),
            },
            KvOp::MGet(keys) => self.get_many(keys, now),
            KvOp::Exists(keys) => self.exists(keys, now),
            KvOp::StrLen(key) => match self.live(&key.key, now)? {
                Some(stored) => Ok(reply::integer(string_of(&stored)?.len() as i64)),
                None => Ok(reply::integer(0)),
            },
            KvOp::GetRange(range) => self.get_range(range, now),
            KvOp::Ttl(ttl) => self.ttl(ttl, now),
            KvOp::Type(key) => match self.live(&key.key, now)? {
                Some(stored) => Ok(reply::value(stored.header.kind.name().as_bytes())),
                None => Ok(reply::nil()),
            },
            KvOp::Scan(scan) => {
                let (view, epoch) = self.view();
                Ok(encode(KvAnswer::Page(scan::page(&*view, epoch, scan, now)?)))
            }
            KvOp::DbSize(_) => self.size(),
            KvOp::RandomKey(random) => self.random_key(random, now),
            _ => Err(Stop::Refused(KvError::Unsupported)),
        }
    }

    fn get_many(&self, keys: &Keys, now: Hlc) -> Outcome {
        let mut values = Vec::with_capacity(keys.keys.len());
        let (view, epoch) = self.view();
        for key in &keys.keys {
            let found = live_in(&*view, epoch, key, now)?;
            let string = found.filter(|stored| stored.header.kind == Kind::String);
            values.push(Maybe { value: string.map(|stored| stored.body) });
        }
        Ok(encode(KvAnswer::Values(Values { values })))
    }

    fn exists(&self, keys: &Keys, now: Hlc) -> Outcome {
        if let [key] = &keys.keys[..] {
            return Ok(reply::flag(self.live(key, now)?.is_some()));
        }
        let (view, epoch) = self.view();
        let mut count = 0;
        for key in &keys.keys {
            count += i64::from(live_in(&*view, epoch, key, now)?.is_some());
        }
        Ok(reply::integer(count))
    }

    /// Part of a string, by the rules of `getrangeCommand` in Redis.
    fn get_range(&self, range: &GetRange, now: Hlc) -> Outcome {
        let Some(stored) = self.live(&range.key, now)? else { return Ok(reply::value(&[])) };
        let body = string_of(&stored)?;
        let length = body.len() as i64;
        let (start, end) = (range.start, range.end);
        if start < 0 && end < 0 && start > end {
            return Ok(reply::value(&[]));
        }
        let from_end = |place: i64| if place < 0 { place.saturating_add(length).max(0) } else { place };
        let (start, end) = (from_end(start), from_end(end).min(length - 1));
        if start > end || length == 0 {
            return Ok(reply::value(&[]));
        }
        Ok(reply::value(&body[start as usize..=end as usize]))
    }

    fn ttl(&self, ttl: &Ttl, now: Hlc) -> Outcome {
        let millis = match self.live(&ttl.key, now)?.map(|stored| stored.header.expiry_millis) {
            None => -2,
            Some(None) => -1,
            Some(Some(deadline)) if ttl.absolute => deadline as i64,
            // What is live has not passed its deadline.
            Some(Some(deadline)) => deadline.saturating_sub(now.millis()) as i64,
        };
        Ok(reply::integer(millis))
    }

    fn size(&self) -> Outcome {
        let facts = self.records.get(layout::FACTS)?;
        let facts = facts.ok_or_else(|| EngineError::Damaged("the facts record is gone".into()))?;
        Ok(reply::integer(Facts::decode(&facts)?.records as i64))
    }

    fn random_key(&self, random: &RandomKey, now: Hlc) -> Outcome {
        let (view, epoch) = self.view();
        let start = random.position & ((1 << POSITION_BITS) - 1);
        Ok(reply::maybe(scan::first_live_from(&*view, epoch, start, now)?.as_ref()))
    }

    /// The value of one key, if it lives.
    fn live(&self, key: &[u8], now: Hlc) -> Result<Option<Stored>, EngineError> {
        if key.len() > KEY_BYTES_MAX {
            return Ok(None);
        }
        let epoch = self.epoch();
        let bytes = self.records.get(&layout::data_key(*epoch, key))?;
        drop(epoch);
        decode_live(bytes, now)
    }

    /// A view of the records, with the epoch that belongs to it.
    fn view(&self) -> (Arc<dyn View>, u32) {
        let epoch = self.epoch();
        (self.records.view(), *epoch)
    }

    fn epoch(&self) -> RwLockReadGuard<'_, u32> {
        self.shared.epoch.read().unwrap_or_else(PoisonError::into_inner)
    }
}

fn live_in(view: &dyn View, epoch: u32, key: &[u8], now: Hlc) -> Result<Option<Stored>, EngineError> {
    if key.len() > KEY_BYTES_MAX {
        return Ok(None);
    }
    decode_live(view.get(&layout::data_key(epoch, key))?, now)
}

fn decode_live(bytes: Option<Bytes>, now: Hlc) -> Result<Option<Stored>, EngineError> {
    let stored = bytes.map(Stored::decode).transpose()?;
    Ok(stored.filter(|stored| !stored.header.is_expired(now)))
}

fn encode(answer: KvAnswer) -> Bytes {
    KvReply::new(answer).encode_to_vec().into()
}
