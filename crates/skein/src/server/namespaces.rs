//! The member behind namespaces as ZanKV means them: each is one table, see `catalog::NAMESPACE_TABLE`.

use api::admin::{CreateNamespace, Namespace, OperationRequest, StartOperation};
use api::catalog::{CatalogAnswer, CatalogOp, EngineKind, HashBy, Label, NewTable, TableRecord};
use catalog::NAMESPACE_TABLE;
use serve::http::{Admin, Answer, Namespaces, check_options, namespace_options};
use types::{ErrorCode, Fault, TableId, limits};

use super::admin::{NodeAdmin, PARTITIONS_DEFAULT, wait_for_all};

/// Under which names the catalog remembers what was asked for.
const DATA_VERSION: &str = "data_version";
const EXPIRATION_POLICY: &str = "expiration_policy";

impl Namespaces for NodeAdmin {
    fn namespaces(&self) -> Vec<Namespace> {
        let catalog = self.node.catalog();
        let mut found: Vec<Namespace> = catalog.namespaces().map(namespace).collect();
        found.sort_by(|left, right| left.name.cmp(&right.name));
        found
    }

    fn create_namespace(&self, wish: CreateNamespace) -> Answer<Namespace> {
        let answer = new_namespace(&wish).map(|table| self.change(CatalogOp::CreateTable(table)));
        let node = self.node.clone();
        Box::pin(async move {
            match answer?.await.map_err(|_| Fault::from(ErrorCode::OutcomeUnknown))?? {
                CatalogAnswer::Table(record) => {
                    wait_for_all(&node, |catalog| catalog.table(TableId(record.id)).is_some()).await;
                    Ok(namespace(&record))
                }
                _ => Err(ErrorCode::VersionUnsupported.into()),
            }
        })
    }

    fn drop_namespace(&self, name: String) -> Answer<()> {
        match self.node.catalog().table_named(&name, NAMESPACE_TABLE) {
            Some(_) => self.drop_table(name, NAMESPACE_TABLE.into()),
            None => Box::pin(async move { Err(unknown(&name)) }),
        }
    }

    fn set_namespace_replicas(&self, name: String, replicas: u32) -> Answer<()> {
        if self.node.catalog().table_named(&name, NAMESPACE_TABLE).is_none() {
            return Box::pin(async move { Err(unknown(&name)) });
        }
        let request = OperationRequest {
            kind: "set-replicas".into(),
            table: Some(format!("{name}:{NAMESPACE_TABLE}")),
            count: Some(replicas),
            ..Default::default()
        };
        let started = self.start_anywhere(StartOperation { request, planned: None, by: None });
        Box::pin(async move { started.await.map(|_| ()) })
    }
}

fn unknown(name: &str) -> Fault {
    Fault::new(ErrorCode::UnknownNamespace, name.to_owned())
}

fn new_namespace(wish: &CreateNamespace) -> Result<NewTable, Fault> {
    check_options(wish).map_err(|why| Fault::new(ErrorCode::BadArgument, why))?;
    let partitions = wish.partitions.unwrap_or(PARTITIONS_DEFAULT);
    if partitions == 0 || partitions > limits::PARTITIONS_MAX {
        let detail = format!("partitions: 1 to {}, not {partitions}", limits::PARTITIONS_MAX);
        return Err(Fault::new(ErrorCode::BadArgument, detail));
    }
    let (version, policy) = namespace_options(wish);
    let option = |name: &str, value| Label { name: name.into(), value };
    Ok(NewTable {
        namespace: wish.name.clone(),
        name: NAMESPACE_TABLE.into(),
        engine: EngineKind::Kv as i32,
        hash: HashBy::ByNamespace as i32,
        partitions,
        replicas: wish.replicas.unwrap_or(0),
        options: vec![option(DATA_VERSION, version), option(EXPIRATION_POLICY, policy)],
        scratch_of: 0,
        restoring: String::new(),
        restored_by: 0,
    })
}

/// A namespace as people see it. One that was made as a table has ZanKV's defaults.
pub(super) fn namespace(table: &TableRecord) -> Namespace {
    let (version, policy) = namespace_options(&CreateNamespace::default());
    let option = |name: &str, default: String| {
        let found = table.options.iter().find(|option| option.name == name);
        found.map_or(default, |option| option.value.clone())
    };
    Namespace {
        name: table.namespace.clone(),
        partitions: table.groups.len() as u32,
        replicas: table.replicas,
        data_version: option(DATA_VERSION, version),
        expiration_policy: option(EXPIRATION_POLICY, policy),
    }
}
