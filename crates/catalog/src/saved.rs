//! A catalog in one file, for the day on which nothing of it is left.
//!
//! ```text
//!   "SKEINCAT" │ version u16 = 1 │ CatalogRecords │ XXH3-128 of everything before
//! ```
//!
//! Numbers are big-endian. All records are those of one catalog version, operations included. A file is believed only
//! as a whole, and only if its records together are a catalog.

use api::DecodeError;
use api::catalog::{CatalogRecords, StoredRecord};
use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use xxhash_rust::xxh3::xxh3_128;

use crate::record::Record;
use crate::{Catalog, CatalogError};

const MAGIC: &[u8; 8] = b"SKEINCAT";
const VERSION: u16 = 1;
const HEAD_BYTES: usize = 8 + 2;
const CHECKSUM_BYTES: usize = 16;

impl Catalog {
    /// All records with the version that they are of.
    pub fn stored(&self) -> CatalogRecords {
        let record =
            |record: Record| StoredRecord { name: record.name().to_bytes(), value: record.to_bytes() };
        CatalogRecords { version: self.version().get(), records: self.records().map(record).collect() }
    }

    /// Puts a catalog together from stored records.
    ///
    /// # Errors
    /// `Format` for records of a newer release, or that are none; `Inconsistent` if they are not a catalog.
    pub fn of_stored(stored: &CatalogRecords) -> Result<Catalog, CatalogError> {
        let records: Result<Vec<Record>, DecodeError> =
            stored.records.iter().map(|record| Record::from_bytes(&record.name, &record.value)).collect();
        let catalog = Catalog::from_records(records?)?;
        match catalog.version().get() == stored.version && catalog.cluster().is_some() {
            true => Ok(catalog),
            false => {
                Err(CatalogError::Inconsistent("the records are not of the version that is named".into()))
            }
        }
    }
}

/// The bytes of a file with these records.
pub fn to_file(stored: &CatalogRecords) -> Vec<u8> {
    let body = stored.encode_to_vec();
    let mut bytes = BytesMut::with_capacity(HEAD_BYTES + body.len() + CHECKSUM_BYTES);
    bytes.put_slice(MAGIC);
    bytes.put_u16(VERSION);
    bytes.put_slice(&body);
    bytes.put_u128(xxh3_128(&bytes));
    bytes.to_vec()
}

/// The catalog in the bytes of a file.
///
/// # Errors
/// `Format` if they are anything else, or of a newer release; as [`Catalog::of_stored`].
pub fn from_file(bytes: &[u8]) -> Result<Catalog, CatalogError> {
    let malformed = |what| CatalogError::Format(DecodeError::Malformed(what));
    if bytes.len() < HEAD_BYTES + CHECKSUM_BYTES {
        return Err(malformed("file: it is cut off"));
    }
    let (body, checksum) = bytes.split_at(bytes.len() - CHECKSUM_BYTES);
    if &body[..8] != MAGIC {
        return Err(malformed("file: this is no saved catalog"));
    }
    if body[8..HEAD_BYTES] != VERSION.to_be_bytes() {
        return Err(CatalogError::Format(DecodeError::Version(body[9])));
    }
    if checksum != xxh3_128(body).to_be_bytes() {
        return Err(malformed("file: the checksum at its end does not fit"));
    }
    let stored = CatalogRecords::decode(Bytes::copy_from_slice(&body[HEAD_BYTES..]));
    Catalog::of_stored(&stored.map_err(|_| malformed("file: the records cannot be read"))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::catalog::{Bootstrap, CatalogCommand, CatalogOp, NewTable, NodeRecord};
    use api::peer::{Member, Membership};
    use engine::ApplyContext;
    use proptest::prelude::*;
    use types::{Hlc, LogIndex};

    fn catalog() -> Catalog {
        let roles = vec!["meta".into(), "data".into()];
        let node = NodeRecord { id: 1, endpoint: "n1:7000".into(), roles, ..NodeRecord::default() };
        let members = vec![Member { replica: 1, node: 1, learner: false }];
        let table = |name: &str| NewTable {
            namespace: "default".into(),
            name: name.into(),
            engine: 1,
            hash: 2,
            partitions: 3,
            ..NewTable::default()
        };
        let bootstrap = Bootstrap {
            cluster: 7,
            nodes: vec![node],
            membership: Some(Membership { epoch: 1, members }),
            tables: vec![table("one"), table("two")],
        };
        let context =
            ApplyContext { hlc: Hlc(1), seed: 0, apply_version: 1, index: LogIndex(9), wants_changes: false };
        let mut catalog = Catalog::default();
        catalog.apply(&CatalogCommand { op: Some(CatalogOp::Bootstrap(bootstrap)) }, &context);
        assert_eq!(catalog.tables().count(), 3);
        catalog
    }

    #[test]
    fn a_catalog_comes_back_as_it_was() {
        assert_eq!(from_file(&to_file(&catalog().stored())), Ok(catalog()));
        let without_one = |skip: usize| {
            let mut stored = catalog().stored();
            stored.records.remove(skip);
            from_file(&to_file(&stored))
        };
        assert!(without_one(0).is_err(), "no cluster");
        assert!(without_one(1).is_err(), "a node that has replicas");
        let newer = CatalogRecords { version: 10, ..catalog().stored() };
        assert!(from_file(&to_file(&newer)).is_err());
        assert!(from_file(b"SKEINBKP and something else that is long enough").is_err());
        let mut later = to_file(&catalog().stored());
        later[9] = 2;
        assert_eq!(from_file(&later), Err(CatalogError::Format(DecodeError::Version(2))));
    }

    proptest! {
        #[test]
        fn damage_is_found(place in any::<prop::sample::Index>(), bit in 0_u8..8, cut in any::<bool>()) {
            let mut bytes = to_file(&catalog().stored());
            let place = place.index(bytes.len());
            match cut {
                true => bytes.truncate(place),
                false => bytes[place] ^= 1 << bit,
            }
            prop_assert!(from_file(&bytes).is_err());
        }
    }
}
