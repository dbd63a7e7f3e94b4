//! Values that are too large for one command, into a cluster whose nodes are known: as contents, of which nothing is
//! seen before all of it is there.

use api::kv::{ContentKind, Element, Import, OnConflict, Piece};
use bytes::Bytes;
use rdb::Value;
use types::Fault;

use super::Contents;
use crate::cli::ImportConflict;

/// Bytes of elements in one piece, about.
const PIECE_BYTES: usize = 512 * 1024;
/// What an element costs besides its bytes, about.
const ELEMENT_BYTES: usize = 8;

/// Where keys of a port are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The namespace.
    pub namespace: String,
    /// The table.
    pub table: String,
    /// The key there.
    pub key: Bytes,
}

/// What became of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is there.
    Done,
    /// The key existed, and stays.
    Existed,
    /// It is not there, for this reason.
    Refused(String),
}

/// Says where a key of the port is stored.
pub type Locate = Box<dyn FnMut(&Bytes) -> Result<Stored, Fault>>;

/// Writes large values.
pub struct Large {
    contents: Contents,
    locate: Locate,
}

impl Large {
    /// Writes into a cluster.
    pub fn new(contents: Contents, locate: Locate) -> Self {
        Self { contents, locate }
    }

    /// Writes a value; a string is none that has pieces.
    ///
    /// # Errors
    /// There is no such table, or none of the nodes takes it.
    pub fn write(
        &mut self,
        key: &Bytes,
        value: &Value,
        expiry_millis: Option<u64>,
        on_conflict: ImportConflict,
    ) -> Result<Written, Fault> {
        let stored = (self.locate)(key)?;
        let on_conflict = match on_conflict {
            ImportConflict::Overwrite => OnConflict::Overwrite,
            ImportConflict::Skip | ImportConflict::Fail => OnConflict::Skip,
        };
        for piece in pieces(&stored.key, value, expiry_millis) {
            let import =
                Import { pieces: vec![piece], on_conflict: on_conflict as i32, ..Default::default() };
            let (done, _) = self.contents.write(&stored.namespace, &stored.table, &import)?;
            match () {
                () if done.refused.is_some() => {
                    return Ok(Written::Refused("somebody else wrote the key meanwhile".into()));
                }
                () if done.existed > 0 => return Ok(Written::Existed),
                // It has expired on its way.
                () if done.expired > 0 => return Ok(Written::Done),
                () => {}
            }
        }
        Ok(Written::Done)
    }
}

/// A value in pieces.
fn pieces(key: &Bytes, value: &Value, expiry_millis: Option<u64>) -> Vec<Piece> {
    let named = |name: &Bytes| Element { name: name.clone(), ..Default::default() };
    let (kind, elements): (_, Vec<Element>) = match value {
        Value::String(_) => return Vec::new(),
        Value::List(elements) => {
            let element = |value: &Bytes| Element { value: value.clone(), ..Default::default() };
            (ContentKind::List, elements.iter().map(element).collect())
        }
        Value::Set(members) => (ContentKind::Set, members.iter().map(named).collect()),
        Value::Hash(fields) => {
            let element = |(name, value): &(Bytes, Bytes)| Element { value: value.clone(), ..named(name) };
            (ContentKind::Hash, fields.iter().map(element).collect())
        }
        Value::SortedSet(members) => {
            let element = |(name, score): &(Bytes, f64)| Element { score: *score, ..named(name) };
            (ContentKind::SortedSet, members.iter().map(element).collect())
        }
    };
    let face = Piece { key: key.clone(), kind: kind as i32, expiry_millis, more: true, ..Default::default() };
    let (mut pieces, mut piece, mut bytes, mut count) = (Vec::new(), face.clone(), 0, 0);
    for element in elements {
        bytes += element.name.len() + element.value.len() + ELEMENT_BYTES;
        piece.elements.push(element);
        count += 1;
        if bytes >= PIECE_BYTES {
            // Only a list has places; a member that comes twice is one.
            let first = if kind == ContentKind::List { count } else { 1 };
            pieces.push(std::mem::replace(&mut piece, Piece { first, ..face.clone() }));
            bytes = 0;
        }
    }
    pieces.push(Piece { more: false, ..piece });
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_cut_into_pieces() {
        let elements: Vec<Bytes> = (0..20_000).map(|number: u32| format!("{number:0>100}").into()).collect();
        for value in [Value::List(elements.clone()), Value::Set(elements.clone())] {
            let pieces = pieces(&"k".into(), &value, Some(7));
            assert_eq!(pieces.len(), 5);
            let (last, others) = pieces.split_last().unwrap();
            assert!(!last.more && others.iter().all(|piece| piece.more));
            assert!(pieces.iter().all(|piece| piece.expiry_millis == Some(7)), "the last one's is the key's");
            let mut before = 0;
            for piece in &pieces {
                let is_list = matches!(value, Value::List(_));
                assert_eq!(piece.first, if is_list || before == 0 { before } else { 1 });
                before += piece.elements.len() as u64;
            }
            let cut = pieces.iter().flat_map(|piece| &piece.elements);
            let cut: Vec<Bytes> =
                cut.map(|element| [&element.name[..], &element.value].concat().into()).collect();
            assert_eq!(cut, elements);
        }
    }
}
