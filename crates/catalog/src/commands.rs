//! Commands: what each of them checks, and what it would change.
//!
//! A decision is made from the catalog as it is and only *says* what to change; [`Catalog::apply`] then
//! takes it over. So a refusal cannot leave half a change behind.

mod archive;
mod edits;
mod founders;
mod nodes;
mod operations;
mod permits;
mod replicas;
mod schedules;
mod survivor;
mod tables;

use std::sync::Arc;

use api::catalog::{
    Bootstrap, CatalogAnswer, CatalogCommand, CatalogOp, ClusterRecord, NewTable, NodeRecord,
    PartitionRecord, SetSetting, SettingRecord,
};
use api::kv::Nothing;
use api::peer::Membership;
use types::limits::{META_NODES_MAX, NODES_MAX};
use types::settings::Setting;
use types::{ErrorCode, Fault, GroupId};

use crate::Catalog;
use crate::record::{Record, RecordChange};
use crate::role::Role;

/// What a command answers and changes.
pub(crate) struct Decision {
    pub(crate) answer: CatalogAnswer,
    /// Everything but the cluster's own record. Empty: there was nothing to do.
    pub(crate) changes: Vec<RecordChange>,
    /// The cluster's record with its counters afterwards; its version is set when it is taken over.
    pub(crate) cluster: ClusterRecord,
}

/// Decides on a command.
///
/// # Errors
/// The rule that it breaks, for its sender.
pub(crate) fn decide(catalog: &Catalog, command: &CatalogCommand) -> Result<Decision, Fault> {
    let Some(op) = &command.op else {
        return Err(Fault::new(ErrorCode::VersionUnsupported, "a catalog command of a newer release"));
    };
    let cluster = match (op, catalog.cluster) {
        (CatalogOp::Bootstrap(bootstrap), None) => return found_cluster(bootstrap),
        (_, None) => return Err(Fault::new(ErrorCode::NotReady, "the cluster was not bootstrapped yet")),
        (_, Some(cluster)) => cluster,
    };
    match op {
        CatalogOp::Bootstrap(bootstrap) => refound_cluster(cluster, bootstrap),
        CatalogOp::RegisterNode(node) => nodes::register(catalog, cluster, node),
        CatalogOp::CreateTable(wish) => tables::create(catalog, cluster, wish),
        CatalogOp::DropTable(name) => tables::drop_table(catalog, cluster, name),
        CatalogOp::Restored(name) => tables::restored(catalog, cluster, name),
        CatalogOp::Established(established) => Ok(replicas::establish(catalog, cluster, established)),
        CatalogOp::Observed(observed) => replicas::observe(catalog, cluster, observed),
        CatalogOp::ReplaceReplica(replace) => replicas::replace(catalog, cluster, replace),
        CatalogOp::Set(set) => set_setting(catalog, cluster, set),
        CatalogOp::Operate(change) => operations::operate(catalog, cluster, change),
        CatalogOp::Permit(change) => permits::permit(catalog, cluster, change),
        CatalogOp::Archive(change) => archive::change(catalog, cluster, change),
        CatalogOp::Schedule(change) => schedules::change(catalog, cluster, change),
        CatalogOp::RecoverCatalog(recover) => survivor::recover_catalog(catalog, cluster, recover),
        CatalogOp::ChooseFounders(chosen) => founders::choose(catalog, cluster, chosen),
    }
}

impl Catalog {
    /// Whether a table could be made now.
    ///
    /// # Errors
    /// Why not, as the command would be refused.
    pub fn may_create(&self, wish: &NewTable) -> Result<(), Fault> {
        let cluster = self.cluster.ok_or(ErrorCode::NotReady)?;
        tables::create(self, cluster, wish).map(|_| ())
    }
}

impl Decision {
    /// Changes without an answer of their own.
    fn ok(cluster: ClusterRecord, changes: Vec<RecordChange>) -> Self {
        Self { answer: CatalogAnswer::Ok(Nothing {}), changes, cluster }
    }
}

/// A repeated first command has no effect; another cluster's is refused.
fn refound_cluster(cluster: ClusterRecord, bootstrap: &Bootstrap) -> Result<Decision, Fault> {
    if bootstrap.cluster == cluster.cluster {
        return Ok(Decision::ok(cluster, Vec::new()));
    }
    let detail = format!("this is cluster {:016x}, not {:016x}", cluster.cluster, bootstrap.cluster);
    Err(Fault::new(ErrorCode::WrongCluster, detail))
}

/// The first command of a cluster: nodes, the catalog's own group, and the tables wished for.
fn found_cluster(bootstrap: &Bootstrap) -> Result<Decision, Fault> {
    if bootstrap.cluster == 0 {
        return Err(bad_argument("the cluster's id is 0"));
    }
    let nodes = nodes::check_founders(&bootstrap.nodes)?;
    let membership = check_catalog_group(bootstrap.membership.as_ref(), &nodes)?;
    let last_node = nodes.iter().map(|node| node.id).max().unwrap_or(0);
    let cluster = ClusterRecord {
        cluster: bootstrap.cluster,
        version: 0,
        next_node: last_node + 1,
        next_table: 1,
        next_group: GroupId::CATALOG.get() + 1,
        next_operation: 1,
    };
    let mut changes: Vec<RecordChange> =
        nodes.into_iter().map(|node| RecordChange::Put(Record::Node(Arc::new(node)))).collect();
    let (table, partition) = tables::catalog_table(membership);
    changes.push(RecordChange::Put(Record::Table(Arc::new(table))));
    changes.push(put_partition(partition));

    // Each table is placed with regard to those before it, so the decisions build on each other.
    let mut draft = Catalog::default();
    draft.absorb(&changes);
    let mut founded = Decision::ok(cluster, changes);
    for wish in &bootstrap.tables {
        let decision = tables::create(&draft, founded.cluster, wish)?;
        draft.absorb(&decision.changes);
        founded.changes.extend(decision.changes);
        founded.cluster = decision.cluster;
    }
    Ok(founded)
}

/// The catalog's group must be founded by voters on different `meta` nodes.
fn check_catalog_group(membership: Option<&Membership>, nodes: &[NodeRecord]) -> Result<Membership, Fault> {
    let mut membership = membership.cloned().unwrap_or_default();
    if !(1..=META_NODES_MAX).contains(&membership.members.len()) {
        return Err(bad_argument(format!("the catalog has 1 to {META_NODES_MAX} replicas")));
    }
    for (i, member) in membership.members.iter().enumerate() {
        let twice = membership.members[..i]
            .iter()
            .any(|other| other.replica == member.replica || other.node == member.node);
        let meta = nodes.iter().any(|node| node.id == member.node && Role::Meta.of(node));
        let id_fits = (1..=NODES_MAX as u64).contains(&member.replica);
        if twice || !meta || !id_fits || member.learner {
            let detail =
                format!("replica {} on node {} cannot found the catalog", member.replica, member.node);
            return Err(bad_argument(detail));
        }
    }
    membership.members.sort_by_key(|member| member.replica);
    Ok(membership)
}

fn set_setting(catalog: &Catalog, cluster: ClusterRecord, set: &SetSetting) -> Result<Decision, Fault> {
    let Some(setting) = Setting::named(&set.name) else {
        return Err(bad_argument(Setting::unknown(shown(&set.name))));
    };
    setting.check(shown(&set.value)).map_err(bad_argument)?;
    let mut changes = Vec::new();
    let before = catalog.settings.get(setting.name).map(|set| set.value.clone()).unwrap_or_default();
    if before != set.value {
        let record = SettingRecord {
            name: setting.name.into(),
            value: set.value.clone(),
            by: shown(&set.by).into(),
            at_ms: set.at_ms,
            before,
        };
        changes.push(RecordChange::Put(Record::Setting(record)));
    }
    Ok(Decision::ok(cluster, changes))
}

fn put_partition(partition: PartitionRecord) -> RecordChange {
    RecordChange::Put(Record::Partition(Arc::new(partition)))
}

fn bad_argument(detail: impl Into<String>) -> Fault {
    Fault::new(ErrorCode::BadArgument, detail)
}

/// As much of a text from outside as a message may repeat.
fn shown(text: &str) -> &str {
    const SHOWN_BYTES_MAX: usize = 64;
    let mut end = text.len().min(SHOWN_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
