//! The catalog copy as a table by group, made once for each version.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::catalog::Bootstrap;
use catalog::{Catalog, TableRoute};
use types::settings::AUTO_FAILOVER;
use types::{CatalogVersion, Generation, GroupId, NodeId, RouteEpoch};

use crate::gateway::GroupRoute;

/// What a gateway needs of the catalog.
#[derive(Clone, Debug, Default)]
pub struct RouteTable {
    version: CatalogVersion,
    groups: BTreeMap<GroupId, GroupRoute>,
    tables: BTreeMap<(String, String), Arc<TableRoute>>,
}

impl RouteTable {
    /// The routes of a catalog. While there is none, the way to its group is the one that the founders
    /// agreed on.
    pub fn new(catalog: &Catalog, bootstrap: Option<&Bootstrap>) -> Self {
        let manual = catalog.setting(&AUTO_FAILOVER) == 0;
        let mut groups: BTreeMap<GroupId, GroupRoute> = catalog
            .partitions()
            .map(|partition| {
                let route = GroupRoute {
                    generation: Generation(partition.generation),
                    route_epoch: RouteEpoch(partition.route_epoch),
                    nodes: catalog.group_nodes(GroupId(partition.group)),
                    manual: manual && partition.group != GroupId::CATALOG.get(),
                };
                (GroupId(partition.group), route)
            })
            .collect();
        if groups.is_empty()
            && let Some(membership) = bootstrap.and_then(|bootstrap| bootstrap.membership.as_ref())
        {
            let nodes = membership.members.iter().map(|member| NodeId(member.node)).collect();
            let route =
                GroupRoute { generation: Generation(1), route_epoch: RouteEpoch(1), nodes, manual: false };
            groups.insert(GroupId::CATALOG, route);
        }
        let tables = catalog
            .tables()
            .filter_map(|table| {
                let route = catalog.route(&table.namespace, &table.name)?;
                Some(((table.namespace.clone(), table.name.clone()), Arc::new(route)))
            })
            .collect();
        Self { version: catalog.version(), groups, tables }
    }

    /// The catalog version that it was made from.
    pub fn version(&self) -> CatalogVersion {
        self.version
    }

    /// The way to a group.
    pub fn group(&self, group: GroupId) -> Option<&GroupRoute> {
        self.groups.get(&group)
    }

    /// The way to a table.
    pub fn table(&self, namespace: &str, name: &str) -> Option<&Arc<TableRoute>> {
        // Two short copies per lookup; faces look a table up once per catalog version, not per request.
        self.tables.get(&(namespace.to_owned(), name.to_owned()))
    }
}
