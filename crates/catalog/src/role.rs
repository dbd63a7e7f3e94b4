//! Roles: what a node does in its cluster.

use api::catalog::NodeRecord;

/// What a node does. A node has all roles unless told otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// May replicate the catalog.
    Meta,
    /// Hosts replicas of tables.
    Data,
    /// Serves clients.
    Gateway,
    /// Builds, loads and backs up.
    Worker,
    /// Ships to another cluster.
    Syncer,
}

impl Role {
    /// Every role, in the order in which they are shown.
    pub const ALL: [Role; 5] = [Role::Meta, Role::Data, Role::Gateway, Role::Worker, Role::Syncer];

    /// The role as people write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Meta => "meta",
            Role::Data => "data",
            Role::Gateway => "gateway",
            Role::Worker => "worker",
            Role::Syncer => "syncer",
        }
    }

    /// Whether a node has this role.
    pub fn of(self, node: &NodeRecord) -> bool {
        node.roles.iter().any(|role| role == self.as_str())
    }
}
