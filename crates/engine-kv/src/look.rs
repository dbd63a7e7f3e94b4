//! What reads look at: what is committed, or what is staged over it.
//!
//! A read of a client sees the last commit. A read inside of a transaction, and every command that reads
//! before it writes, sees what was staged before it as well. Both are a [`Look`], so that each read is
//! written once.

use std::cell::OnceCell;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use engine::EngineError;
use engine::records::{Record, View};
use types::Hlc;
use types::limits::KEY_BYTES_MAX;

use crate::layout::{self, FACTS, Facts};
use crate::value::Stored;

/// Records in key order.
pub(crate) type RecordsInOrder<'a> = Box<dyn Iterator<Item = Result<Record, EngineError>> + 'a>;

/// One consistent state of all records, at a moment.
pub(crate) trait Look {
    /// The value of a record.
    fn get(&self, record_key: &[u8]) -> Result<Option<Bytes>, EngineError>;

    /// Records between two keys, ascending, or descending if `reverse`.
    fn range(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, reverse: bool) -> RecordsInOrder<'_>;

    /// What the engine knows besides the data.
    fn facts(&self) -> Result<Facts, EngineError>;

    /// The epoch of the live records.
    fn epoch(&self) -> u32;

    /// The moment: what has expired before it is not there.
    fn now(&self) -> Hlc;

    /// The value of a user's key, if it lives.
    fn live(&self, key: &[u8]) -> Result<Option<Stored>, EngineError> {
        if key.len() > KEY_BYTES_MAX {
            return Ok(None);
        }
        let stored = self.get(&layout::data_key(self.epoch(), key))?.map(Stored::decode).transpose()?;
        Ok(stored.filter(|stored| !stored.header.is_hidden(self.now())))
    }
}

/// What was committed last.
pub(crate) struct Committed {
    pub(crate) view: Arc<dyn View>,
    pub(crate) epoch: u32,
    pub(crate) now: Hlc,
}

impl Look for Committed {
    fn get(&self, record_key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        self.view.get(record_key)
    }

    fn range(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, reverse: bool) -> RecordsInOrder<'_> {
        self.view.range(from, to, reverse)
    }

    fn facts(&self) -> Result<Facts, EngineError> {
        let facts = self.view.get(FACTS)?;
        Facts::decode(&facts.ok_or_else(|| EngineError::Damaged("the facts record is gone".into()))?)
    }

    fn epoch(&self) -> u32 {
        self.epoch
    }

    fn now(&self) -> Hlc {
        self.now
    }
}

/// A view that is taken when it is first needed: most writes need none.
#[derive(Default)]
pub(crate) struct LazyView(OnceCell<Arc<dyn View>>);

impl LazyView {
    /// The view, taken now if it has not been.
    pub(crate) fn get(&self, take: impl FnOnce() -> Arc<dyn View>) -> &dyn View {
        &**self.0.get_or_init(take)
    }

    /// Forgets it: the next one shows what has been written since.
    pub(crate) fn forget(&mut self) {
        self.0.take();
    }
}

/// Merges what is staged over what is stored, both in the same direction.
pub(crate) fn merged<'a>(
    stored: impl Iterator<Item = Result<Record, EngineError>> + 'a,
    staged: impl Iterator<Item = (&'a Bytes, &'a Option<Bytes>)> + 'a,
    reverse: bool,
) -> RecordsInOrder<'a> {
    let mut stored = stored.peekable();
    let mut staged = staged.peekable();
    Box::new(std::iter::from_fn(move || {
        loop {
            let takes_staged = match (stored.peek(), staged.peek()) {
                (None, None) => return None,
                (Some(_), None) | (Some(Err(_)), _) => false,
                (None, Some(_)) => true,
                (Some(Ok((key, _))), Some((staged, _))) if key == *staged => {
                    // What is staged hides what is stored.
                    stored.next();
                    true
                }
                (Some(Ok((key, _))), Some((staged, _))) => (*staged < key) != reverse,
            };
            if !takes_staged {
                return stored.next();
            }
            if let Some((key, Some(value))) = staged.next() {
                return Some(Ok((key.clone(), value.clone())));
            }
        }
    }))
}
