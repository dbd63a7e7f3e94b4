//! Requests to keys of any type that are more than a lookup.

use bytes::Bytes;
use prost::{Message, Oneof};

use super::{Key, Sort, SortAndStore};

/// A request to keys of any type.
#[derive(Clone, PartialEq, Message)]
pub struct GenericRequest {
    /// What to do; `None` is a request of a newer release.
    #[prost(oneof = "GenericOp", tags = "1, 2, 3, 4, 5, 40")]
    pub op: Option<GenericOp>,
}

/// What to do. Reads have tags 1 to 39, writes 40 and up.
#[derive(Clone, PartialEq, Oneof)]
pub enum GenericOp {
    /// The stamp of the entry that changed a key last: what `WATCH` remembers. Reply: `Integer`, 0 if there
    /// is no such key.
    #[prost(message, tag = "1")]
    Version(Key),
    /// What Redis would call the way in which a value of this kind and size is kept. Reply: `Value` or `Nil`.
    #[prost(message, tag = "2")]
    Encoding(Key),
    /// How long a key has not been changed. Reply: `Integer`, whole seconds, or `Nil`.
    #[prost(message, tag = "3")]
    Idle(Key),
    /// About how many bytes of records a key has. Reply: `Integer` or `Nil`.
    #[prost(message, tag = "4")]
    Usage(Usage),
    /// The elements of a collection in another order. Reply: `Values`.
    #[prost(message, tag = "5")]
    Sort(Sort),

    /// The same, stored as a list. Reply: `Integer`, how many elements it has.
    #[prost(message, tag = "40")]
    SortAndStore(SortAndStore),
}

/// How many bytes a key has.
#[derive(Clone, PartialEq, Message)]
pub struct Usage {
    /// The key.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// Conclude from so many elements of a collection to the others; 0: look at all.
    #[prost(uint64, tag = "2")]
    pub samples: u64,
}

impl GenericRequest {
    /// A request for this operation.
    pub fn new(op: GenericOp) -> Self {
        Self { op: Some(op) }
    }

    /// Whether it changes anything.
    pub fn is_write(&self) -> bool {
        match &self.op {
            None
            | Some(
                GenericOp::Version(_)
                | GenericOp::Encoding(_)
                | GenericOp::Idle(_)
                | GenericOp::Usage(_)
                | GenericOp::Sort(_),
            ) => false,
            Some(GenericOp::SortAndStore(_)) => true,
        }
    }

    /// Calls `visit` with every key, in the order in which a client named them.
    ///
    /// # Errors
    /// The first that `visit` returns.
    pub fn visit_keys<E>(&mut self, visit: &mut dyn FnMut(&mut Bytes) -> Result<(), E>) -> Result<(), E> {
        match &mut self.op {
            None => Ok(()),
            Some(GenericOp::Version(op) | GenericOp::Encoding(op) | GenericOp::Idle(op)) => {
                visit(&mut op.key)
            }
            Some(GenericOp::Usage(op)) => visit(&mut op.key),
            Some(GenericOp::Sort(op)) => visit(&mut op.key),
            Some(GenericOp::SortAndStore(op)) => {
                op.sort.as_mut().map_or(Ok(()), |sort| visit(&mut sort.key))?;
                visit(&mut op.to)
            }
        }
    }

    /// Calls `visit` with every pattern of keys that are looked up besides; see [`Sort::visit_patterns`].
    ///
    /// # Errors
    /// The first that `visit` returns.
    pub fn visit_patterns<E>(
        &mut self,
        visit: &mut dyn FnMut(&'static str, &mut Bytes) -> Result<(), E>,
    ) -> Result<(), E> {
        match &mut self.op {
            Some(GenericOp::Sort(sort)) => sort.visit_patterns(visit),
            Some(GenericOp::SortAndStore(store)) => {
                store.sort.as_mut().map_or(Ok(()), |sort| sort.visit_patterns(visit))
            }
            _ => Ok(()),
        }
    }
}
