//! What the admin API says about the catalog's own group when its majority is lost.

use serde::{Deserialize, Serialize};

/// A node's replica of the catalog, for whoever looks for the best survivor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogSurvivor {
    /// The node that answers.
    pub node: u64,
    /// Its replica.
    pub replica: u64,
    /// Term of the last entry in its log. Of two survivors the one with the higher (term, index) has more.
    pub last_term: u64,
    /// Index of the last entry in its log.
    pub last_index: u64,
    /// Index of the last entry that it has applied.
    pub applied: u64,
    /// When what it applied last was written, milliseconds since 1970; nothing older can be lost.
    pub stamp_ms: u64,
    /// The nodes whose replicas have a vote.
    pub voters: Vec<u64>,
    /// Those of them that it has heard lately, itself included.
    pub heard: Vec<u64>,
    /// The replica knows a leader: nothing is lost.
    pub has_leader: bool,
}

/// The wish that a survivor of the catalog's own group goes on alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GiveUpCatalogMajority {
    /// The cluster's name, typed by somebody who means it.
    pub name: String,
}
