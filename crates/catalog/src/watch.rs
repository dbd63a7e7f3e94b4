//! The newest catalog that a node has, for everybody on it who wants to look.

use std::sync::{Arc, Mutex, PoisonError};

use crate::Catalog;

/// A shared place for the newest catalog. Clones show the same one.
///
/// It never goes back: an older catalog than the one that is there is not taken. So it does not matter
/// whether this node's replica of the catalog or a copy from a meta node is ahead. Of two that are equally new
/// the replica's is shown, because copies come without operations.
#[derive(Clone, Debug, Default)]
pub struct CatalogWatch {
    latest: Arc<Mutex<Arc<Catalog>>>,
}

impl CatalogWatch {
    /// The newest catalog; empty, at version 0, before there is any. Costs a lock and a counter.
    pub fn latest(&self) -> Arc<Catalog> {
        Arc::clone(&self.latest.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Shows a catalog from now on, if it is newer. Returns whether it is.
    pub fn offer(&self, catalog: Arc<Catalog>) -> bool {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let newer = catalog.version() > latest.version();
        if newer {
            *latest = catalog;
        }
        newer
    }

    /// Shows what this node's own replica of the catalog has, if there is nothing newer.
    pub fn offer_own(&self, catalog: Arc<Catalog>) {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if catalog.version() >= latest.version() {
            *latest = catalog;
        }
    }
}
