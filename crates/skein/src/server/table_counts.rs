//! How many keys each table of a namespace has. A table is a prefix there, and keys lie in the order of their hashes,
//! so this walks through all keys of a partition. It is done only for those who ask, on a thread for slow work.

use std::collections::BTreeMap;

use api::kv::{KvAnswer, KvOp, KvReply, KvRequest, Scan};
use api::zankv::TableStats;
use bytes::Bytes;
use env::Clock;
use prost::Message;
use replication::GroupShared;
use types::{ErrorCode, Fault};

/// Keys of a page: some milliseconds' work.
const PAGE_KEYS: u64 = 4096;

/// The tables of a partition whose keys are `table:rest`, by name; `bytes` is the size of all.
pub(super) fn of_namespace(
    shared: &GroupShared,
    clock: &dyn Clock,
    only: Option<&str>,
    bytes: u64,
) -> Result<Vec<TableStats>, Fault> {
    let mut keys: BTreeMap<Bytes, u64> = BTreeMap::new();
    let (mut all, mut position) = (0u64, Some(0));
    while let Some(from) = position {
        let page = page(shared, clock, from)?;
        for key in &page.keys {
            all += 1;
            let end = key.iter().position(|byte| *byte == b':').unwrap_or(key.len());
            let is_wanted = only.is_none_or(|only| only.as_bytes() == &key[..end]);
            match keys.get_mut(&key[..end]) {
                Some(count) => *count += 1,
                None if is_wanted => drop(keys.insert(Bytes::copy_from_slice(&key[..end]), 1)),
                None => {}
            }
        }
        position = page.next;
    }
    let table = |(name, count): (Bytes, u64)| {
        let share = u128::from(bytes) * u128::from(count) / u128::from(all.max(1));
        table_stats(String::from_utf8_lossy(&name).into_owned(), count, share as u64)
    };
    Ok(keys.into_iter().map(table).collect())
}

/// A table with so many keys and bytes.
pub(super) fn table_stats(name: String, keys: u64, bytes: u64) -> TableStats {
    TableStats { name, key_num: keys, disk_bytes_usage: bytes, approximate_key_num: keys }
}

fn page(shared: &GroupShared, clock: &dyn Clock, position: u64) -> Result<api::kv::Page, Fault> {
    let scan = Scan { position, count: PAGE_KEYS, ..Default::default() };
    let request = KvRequest::new(KvOp::Scan(scan)).encode_to_vec();
    let read = shared.read_state(clock, &request).ok_or(ErrorCode::NotReady)?;
    let bytes = read.map_err(|error| replication::start::engine_fault(&error))?;
    match KvReply::decode(bytes) {
        Ok(KvReply { answer: Some(KvAnswer::Page(page)) }) => Ok(page),
        _ => Err(ErrorCode::VersionUnsupported.into()),
    }
}
