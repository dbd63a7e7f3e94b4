//! Ids: small numbers with a meaning each, never mixed up because each is a type.
//!
//! ```text
//! cluster ── table ── generation ── partition = group ── replica ── state incarnation
//! ```
//!
//! A *group* is the Raft group of one partition of one generation. A *replica id* is unique in its
//! group for ever: a replica that lost its disk comes back under a new one. A *state id* names one
//! incarnation of a replica's data on disk; installing a snapshot makes a new one.

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl $name {
            /// The bare number, for encodings and displays.
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The number after this one.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl From<u64> for $name {
            fn from(value: u64) -> Self {
                Self(value)
            }
        }
    };
}

id!(
    /// One cluster: nodes sharing one catalog. Random, made at bootstrap.
    ClusterId
);
id!(
    /// One `skein server`. Assigned by the catalog, starts at 1, never reused.
    NodeId
);
id!(
    /// One run of a node's process: random at each start. Two live boots of one node are a copy.
    BootId
);
id!(
    /// An operation; one number space for all of a cluster.
    OperationId
);
id!(
    /// One table (the `tid` of the guides). Assigned by the catalog, starts at 1.
    TableId
);
id!(
    /// One complete set of partitions of a table. A rebuild makes the next one beside it.
    Generation
);
id!(
    /// The place of a partition in its generation, `0..partitions`.
    PartitionIndex
);
id!(
    /// The Raft group of one partition of one generation. [`GroupId::CATALOG`] holds the catalog.
    GroupId
);
id!(
    /// One member of a group; this is the id that Raft sees. Never reused within a group, never 0.
    ReplicaId
);
id!(
    /// One incarnation of a replica's state on disk. Unique on its node.
    StateId
);
id!(
    /// A place in a group's log.
    LogIndex
);
id!(
    /// A Raft term.
    Term
);
id!(
    /// Counts membership changes of a group; a directive names the one it expects.
    ConfigEpoch
);
id!(
    /// Counts routing changes of a partition; requests carry the one they were routed by.
    RouteEpoch
);
id!(
    /// Counts catalog changes: the log index of group 0 that made the copy.
    CatalogVersion
);
id!(
    /// A gateway's session with one group: the log index of the entry that registered it.
    SessionId
);

impl GroupId {
    /// Group 0: cluster metadata, replicated on the `meta` nodes.
    pub const CATALOG: GroupId = GroupId(0);
}

impl ReplicaId {
    /// "No replica": Raft's own word for an unknown leader.
    pub const NONE: ReplicaId = ReplicaId(0);
}

/// A member of the cluster as the user names it: `host:port`.
pub type Endpoint = String;
