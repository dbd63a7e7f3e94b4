//! What can be wrong with bytes that claim to be a catalog.
//!
//! A command that breaks a rule is not an error here: it gets a reply that refuses it.

use api::DecodeError;

/// Stored or received bytes are no catalog.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// A record does not follow its format.
    #[error("catalog record: {0}")]
    Format(#[from] DecodeError),
    /// Each record is readable, but together they break a rule of the catalog.
    #[error("inconsistent catalog: {0}")]
    Inconsistent(String),
}

impl From<CatalogError> for engine::EngineError {
    fn from(error: CatalogError) -> Self {
        engine::EngineError::Damaged(error.to_string())
    }
}
