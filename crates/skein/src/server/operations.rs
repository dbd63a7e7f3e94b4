//! The member behind the second half of the admin API: operations, permits, explanations and settings.

use std::path::Path;
use std::sync::Arc;

use api::admin::{
    Explanation, Operation, OperationRequest, Permit, PermitRelease, PermitReleased, PermitRequest, Plan,
    SetSetting, SettingValue, StartOperation,
};
use api::catalog::{CatalogAnswer, CatalogOp, OperationIds};
use api::operation::{OperationChange, PermitChange};
use api::recovery::{CatalogSurvivor, GiveUpCatalogMajority};
use node::Node;
use serve::http::{Answer, Operations};
use tokio::sync::oneshot;
use tokio::time::Instant;
use types::settings::Setting;
use types::{ErrorCode, Fault, NodeId, OperationId};

use super::admin::{KNOWN_PATIENCE, LOOK, NodeAdmin, wait_for_all};
use super::restores;

/// The cluster may change between the plan of a wish and its start; so often a wish whose plan nobody has looked at is
/// planned anew.
const PLANS_MAX: u32 = 5;

/// Changes operations. Returns the ids of those that were started, or of the one that does the same already.
async fn operate(node: &Node, change: OperationChange) -> Result<OperationIds, Fault> {
    let (sender, answer) = oneshot::channel();
    node.change_catalog(CatalogOp::Operate(change), move |answer| drop(sender.send(answer)));
    match answer.await.map_err(|_| Fault::from(ErrorCode::OutcomeUnknown))?? {
        CatalogAnswer::Operations(started) => Ok(started),
        _ => Err(ErrorCode::VersionUnsupported.into()),
    }
}

/// Starts what is wished, or joins what goes on already.
async fn start(node: &Arc<Node>, cluster: &str, wish: StartOperation) -> Result<Operation, Fault> {
    let request = restores::looked_up(node, cluster, wish.request).await?;
    let wish = StartOperation { request, ..wish };
    let mut plans = 0;
    let started = loop {
        plans += 1;
        let may_be_planned_anew = wish.planned.is_none() && plans < PLANS_MAX;
        match operate(node, node.start_command(&wish)?).await {
            Err(fault) if fault.code == ErrorCode::PlanOutdated && may_be_planned_anew => {
                // What has changed is in the answer's catalog; this node's copy has it in a moment.
                tokio::time::sleep(LOOK).await;
            }
            other => break other?,
        }
    };
    let first = started.ids.first().copied().ok_or(ErrorCode::VersionUnsupported)?;
    let operation = NodeAdmin::shown(node, first, |_| true).await?;
    Ok(Operation { joined: started.joined, ..operation })
}

impl NodeAdmin {
    fn operate(&self, change: Result<OperationChange, Fault>) -> Answer<()> {
        let node = self.node.clone();
        Box::pin(async move { operate(&node, change?).await.map(|_| ()) })
    }

    /// An operation as it is once this node's catalog has it as it became.
    async fn shown(
        node: &node::Node,
        id: u64,
        is_new: impl Fn(&Operation) -> bool,
    ) -> Result<Operation, Fault> {
        let begun = Instant::now();
        loop {
            let shown = node.operation(OperationId(id));
            let is_there = shown.as_ref().is_ok_and(&is_new);
            if is_there || begun.elapsed() > KNOWN_PATIENCE {
                return shown;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn permit_change(&self, change: PermitChange) -> Answer<()> {
        let answer = self.change(CatalogOp::Permit(change));
        Box::pin(async move {
            answer.await.map_err(|_| Fault::from(ErrorCode::OutcomeUnknown))??;
            Ok(())
        })
    }
}

/// How much room a directory for backups has, as this node sees it. Buckets do not say.
fn room_note(node: u64, url: &str) -> Option<String> {
    let path = Path::new(url.strip_prefix("file://")?);
    let room = path.ancestors().find_map(|existing| rustix::fs::statvfs(existing).ok())?;
    let free = crate::say::bytes(room.f_bavail * room.f_frsize);
    Some(format!("{url} has {free} left, as node {node} sees it"))
}

impl Operations for NodeAdmin {
    fn plan(&self, request: OperationRequest) -> Answer<Plan> {
        let (node, cluster) = (self.node.clone(), self.cluster.clone());
        Box::pin(async move {
            let request = restores::looked_up(&node, &cluster, request).await?;
            let mut plan = node.plan(&request)?;
            if let Some(wish) = request.backup.as_ref().filter(|_| request.kind == "backup") {
                plan.notes.extend(room_note(node.id().get(), &wish.url));
            }
            Ok(plan)
        })
    }

    fn start(&self, wish: StartOperation) -> Answer<Operation> {
        let (node, cluster) = (self.node.clone(), self.cluster.clone());
        Box::pin(async move { start(&node, &cluster, wish).await })
    }

    fn operations(&self) -> Result<Vec<Operation>, Fault> {
        self.node.operations()
    }

    fn operation(&self, id: u64) -> Result<Operation, Fault> {
        self.node.operation(OperationId(id))
    }

    fn cancel(&self, id: u64) -> Answer<Operation> {
        let cancelled = self.operate(self.node.cancel_command(OperationId(id)));
        let node = self.node.clone();
        Box::pin(async move {
            cancelled.await?;
            let is_cancelled =
                |operation: &Operation| !matches!(operation.state.as_str(), "queued" | "running");
            Self::shown(&node, id, is_cancelled).await
        })
    }

    fn forget(&self, id: u64) -> Answer<()> {
        self.operate(self.node.forget_command(OperationId(id)))
    }

    fn explain_operation(&self, id: u64) -> Result<Explanation, Fault> {
        self.node.explain_operation(OperationId(id))
    }

    fn explain_node(&self, node: u64) -> Result<Explanation, Fault> {
        self.node.explain_node(NodeId(node))
    }

    fn explain_partition(&self, namespace: &str, name: &str, partition: u64) -> Result<Explanation, Fault> {
        self.node.explain_partition(&format!("{namespace}:{name}"), partition)
    }

    fn permit(&self, node: u64, wish: PermitRequest) -> Answer<Permit> {
        let decided = self.node.permit_command(NodeId(node), &wish);
        let granted =
            decided.map(|(change, permit)| (change.map(|change| self.permit_change(change)), permit));
        Box::pin(async move {
            let (change, permit) = granted?;
            if let Some(change) = change {
                change.await?;
            }
            Ok(permit)
        })
    }

    fn release_permit(&self, node: u64, wish: PermitRelease) -> Answer<PermitReleased> {
        let decided = self.node.release_command(NodeId(node), &wish);
        let released = decided.map(|change| change.map(|change| self.permit_change(change)));
        Box::pin(async move {
            let released = released?;
            let was_held = released.is_some();
            if let Some(change) = released {
                change.await?;
            }
            Ok(PermitReleased { was_held })
        })
    }

    fn catalog_survivor(&self) -> Result<CatalogSurvivor, Fault> {
        self.node.catalog_survivor()
    }

    fn give_up_catalog_majority(&self, wish: GiveUpCatalogMajority) -> Result<(), Fault> {
        let name = serve::http::Admin::identity(self).name;
        if wish.name != name {
            let detail = format!("the cluster is called '{name}', not '{}'; nothing was changed", wish.name);
            return Err(Fault::new(ErrorCode::NeedsConsent, detail));
        }
        self.node.give_up_catalog_majority()
    }

    fn settings(&self) -> Result<Vec<SettingValue>, Fault> {
        match self.node.catalog().cluster() {
            Some(_) => Ok(self.node.settings()),
            None => Err(Fault::new(ErrorCode::NotReady, "this node has no catalog yet")),
        }
    }

    fn set(&self, name: String, wish: SetSetting) -> Answer<SettingValue> {
        let command = node::set_command(&name, &wish, self.node.wall_millis());
        let answer = command.map(|command| self.change(command));
        let node = self.node.clone();
        Box::pin(async move {
            answer?.await.map_err(|_| Fault::from(ErrorCode::OutcomeUnknown))??;
            let value = Setting::named(&name).and_then(|setting| setting.check(&wish.value).ok());
            let shows = |catalog: &catalog::Catalog| {
                let setting = Setting::named(&name);
                setting.is_some_and(|setting| Some(catalog.setting(setting)) == value)
            };
            wait_for_all(&node, shows).await;
            node.setting(&name)
        })
    }
}
