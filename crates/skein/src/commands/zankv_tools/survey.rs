//! What must be known of a file before its collections are written: which of their records are the last, and which key
//! is cut off.
//!
//! The format has several records for a large key, wherever they lie, and no sign that one is the last. A key may be
//! seen by clients only when all of it is there; so the file is read once before.

use std::collections::BTreeMap;
use std::io::Read;

use backup::BackupError;
use backup::zankv::ZankvReader;
use bytes::Bytes;
use types::{Fault, hash};

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// Keys of more than one record, by their fingerprint, with the number of records that were not written yet.
    several: BTreeMap<u128, u64>,
    /// The key in whose record the file is damaged or ends. None of its records is of use.
    cut_off: Option<Bytes>,
}

impl Survey {
    /// Reads a file to its end, or to where it is damaged.
    ///
    /// # Errors
    /// What the disk says.
    pub(super) fn of<R: Read>(mut reader: ZankvReader<R>) -> Result<Self, Fault> {
        let mut records = Vec::new();
        let cut_off = loop {
            match reader.next_piece() {
                Ok(Some(piece)) if piece.first == 0 => records.push(hash::fingerprint(&piece.key)),
                Ok(Some(_)) => {}
                Ok(None) => break None,
                // Where it is damaged is told when the restore has come to it.
                Err(BackupError::Damaged { .. }) => break reader.key().cloned(),
                Err(error) => return Err(error.to_fault()),
            }
        };
        records.sort_unstable();
        let of_one_key = records.chunk_by(|one, next| one == next);
        let several = of_one_key.filter(|records| records.len() > 1);
        let several = several.map(|records| (records[0], records.len() as u64)).collect();
        Ok(Self { several, cut_off })
    }

    /// The key that is cut off.
    pub(super) fn cut_off(&self) -> Option<&Bytes> {
        self.cut_off.as_ref()
    }

    /// A record of a key ends; whether more of it follows.
    pub(super) fn ends_record(&mut self, key: &[u8]) -> bool {
        match self.several.get_mut(&hash::fingerprint(key)) {
            Some(left) => {
                *left = left.saturating_sub(1);
                *left > 0
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use api::kv::{ContentKind, Element, Piece};
    use backup::zankv::ZankvWriter;

    use super::*;

    /// A file of sets with these keys, and what is found in its first bytes.
    fn survey(keys: &[&'static str], left_off: usize) -> Survey {
        let mut writer = ZankvWriter::new(Vec::new(), "ns", "t", ContentKind::Set).unwrap();
        let elements = vec![Element { name: "member".into(), ..Default::default() }];
        let piece = Piece { kind: ContentKind::Set as i32, elements, ..Default::default() };
        keys.iter().for_each(|key| writer.write(key.as_bytes(), &piece).unwrap());
        let file = writer.finish();
        let file = &file[..file.len() - left_off];
        Survey::of(ZankvReader::new(file, "set:2026-01-02:ns:t.db", None).unwrap()).unwrap()
    }

    #[test]
    fn the_last_record_of_a_key_is_known() {
        let mut found = survey(&["a", "b", "a", "c", "a"], 0);
        assert_eq!(found.cut_off(), None);
        let more: Vec<bool> =
            ["a", "b", "a", "c", "a"].iter().map(|key| found.ends_record(key.as_bytes())).collect();
        assert_eq!(more, [true, false, true, false, false]);
    }

    #[test]
    fn the_key_that_is_cut_off_is_known() {
        assert_eq!(survey(&["a", "b"], 3).cut_off(), Some(&"b".into()));
        assert_eq!(survey(&["a", "b"], 0).cut_off(), None);
        // In front of the key nothing is known but that the file ends.
        assert_eq!(survey(&["a", "b"], 18).cut_off(), None);
    }
}
