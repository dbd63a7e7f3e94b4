//! The digest: a hash of the live records in key order.

use std::ops::Bound;

use engine::records::View;
use engine::{Digest, EngineError};
use types::Hlc;
use xxhash_rust::xxh3::Xxh3;

use crate::layout::{DATA, data_start, epoch_start};
use crate::value::Header;

/// Hashes the records of an epoch that have not expired. The epoch itself is left out: what the user
/// sees does not depend on it.
pub(crate) fn of(view: &dyn View, epoch: u32, at: Hlc) -> Result<Digest, EngineError> {
    let (from, to) = (epoch_start(DATA, epoch), epoch_start(DATA, epoch + 1));
    let key_at = data_start(epoch, 0).len();
    let mut hasher = Xxh3::new();
    let mut records = 0;
    for record in view.range(Bound::Included(&from), Bound::Excluded(&to), false) {
        let (record_key, value) = record?;
        let key = record_key
            .get(key_at..)
            .ok_or_else(|| EngineError::Damaged("a data record's key is too short".into()))?;
        if Header::decode(&value)?.0.is_expired(at) {
            continue;
        }
        for part in [key, &value[..]] {
            hasher.update(&(part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        records += 1;
    }
    Ok(Digest { hash: hasher.digest128(), records })
}
