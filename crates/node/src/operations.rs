//! What the admin API asks of a node about operations, permits and settings.
//!
//! Only the node that leads the catalog knows what is under way, so it is the one that answers; every other one
//! says where it is.

use api::admin::{
    Explanation, Operation, OperationRequest, Permit, PermitRelease, PermitRequest, Plan, SettingValue,
    StartOperation, Status,
};
use api::catalog::CatalogOp;
use api::frame::Frame;
use api::operation::{OperationChange, OperationState, PermitChange};
use api::peer::ReplicaState;
use catalog::Catalog;
use catalog::status::Observations;
use ops::{Ended, Observed, Planned};
use types::settings::{self, Setting};
use types::{ErrorCode, Fault, GroupId, NodeId, OperationId};

use crate::node::{Node, lock};
use crate::operate::Word;

impl Node {
    /// What an operation would do. Nothing changes, but the plan is remembered for whoever agrees to it.
    ///
    /// # Errors
    /// Why it cannot be done; that this node does not lead the catalog.
    pub fn plan(&self, request: &OperationRequest) -> Result<Plan, Fault> {
        let planned = self.make_plan(request)?;
        let plan = planned.plan.clone();
        lock(&self.operator).remember(request.clone(), planned);
        Ok(plan)
    }

    /// The command that starts an operation, as planned now or as it was agreed to.
    ///
    /// # Errors
    /// As [`Self::plan`]; `PlanOutdated` when the plan that was agreed to is not remembered any more.
    pub fn start_command(&self, wish: &StartOperation) -> Result<OperationChange, Fault> {
        self.require_leadership()?;
        let agreed = |version| lock(&self.operator).recall(&wish.request, version).cloned();
        let planned = match wish.planned {
            None => self.make_plan(&wish.request)?,
            Some(version) => match agreed(version) {
                Some(planned) => planned,
                None => {
                    let planned = self.make_plan(&wish.request)?;
                    if planned.plan.catalog_version != version {
                        let now = planned.plan.catalog_version;
                        let detail = format!("the plan is of catalog version {version}, this is {now}");
                        return Err(Fault::new(ErrorCode::PlanOutdated, detail));
                    }
                    planned
                }
            },
        };
        let mut start = planned.start;
        if let Some(by) = &wish.by {
            start.start.iter_mut().for_each(|record| record.by.clone_from(by));
        }
        Ok(start)
    }

    fn make_plan(&self, request: &OperationRequest) -> Result<Planned, Fault> {
        self.require_leadership()?;
        let catalog = self.watch.latest();
        ops::plan(&catalog, &self.observed(&catalog), request)
    }

    /// All operations that are remembered, oldest first.
    ///
    /// # Errors
    /// This node does not keep the catalog, or another one leads it.
    pub fn operations(&self) -> Result<Vec<Operation>, Fault> {
        self.require_knowledge()?;
        let catalog = self.watch.latest();
        let observed = self.observed(&catalog);
        Ok(lock(&self.operator).with(|executor| executor.show_all(&catalog, &observed)))
    }

    /// One operation.
    ///
    /// # Errors
    /// `UnknownOperation`, and as [`Self::operations`].
    pub fn operation(&self, id: OperationId) -> Result<Operation, Fault> {
        self.require_knowledge()?;
        let catalog = self.watch.latest();
        let observed = self.observed(&catalog);
        let shown = lock(&self.operator).with(|executor| executor.show(&catalog, &observed, id));
        shown.ok_or_else(|| Fault::new(ErrorCode::UnknownOperation, format!("operation {id}")))
    }

    /// The command that cancels an operation.
    ///
    /// # Errors
    /// `UnknownOperation`; it has ended, or cannot be undone any more; as [`Self::plan`].
    pub fn cancel_command(&self, id: OperationId) -> Result<OperationChange, Fault> {
        self.require_leadership()?;
        ops::cancel(&self.watch.latest(), id, self.clock.wall_millis())
    }

    /// The command that forgets an operation that has ended.
    ///
    /// # Errors
    /// `UnknownOperation`, `OperationActive`; as [`Self::plan`].
    pub fn forget_command(&self, id: OperationId) -> Result<OperationChange, Fault> {
        self.require_leadership()?;
        ops::forget(&self.watch.latest(), id)
    }

    /// Why an operation is where it is.
    ///
    /// # Errors
    /// `UnknownOperation`, and as [`Self::operations`].
    pub fn explain_operation(&self, id: OperationId) -> Result<Explanation, Fault> {
        self.require_knowledge()?;
        let catalog = self.watch.latest();
        let observed = self.observed(&catalog);
        lock(&self.operator).with(|executor| executor.explain_operation(&catalog, &observed, id))
    }

    /// Why a node is as it is.
    ///
    /// # Errors
    /// `UnknownNode`, and as [`Self::operations`].
    pub fn explain_node(&self, node: NodeId) -> Result<Explanation, Fault> {
        self.require_knowledge()?;
        let catalog = self.watch.latest();
        require_node(&catalog, node)?;
        Ok(ops::explain_node(&catalog, &self.observed(&catalog), node))
    }

    /// Why a partition is as it is.
    ///
    /// # Errors
    /// `UnknownTable`, `UnknownPartition`, and as [`Self::operations`].
    pub fn explain_partition(&self, table: &str, partition: u64) -> Result<Explanation, Fault> {
        self.require_knowledge()?;
        let group = self.find_group(table, partition)?;
        let catalog = self.watch.latest();
        Ok(ops::explain_partition(&catalog, &self.observed(&catalog), group))
    }

    /// Whether a node may be stopped, and the command that grants it the right to; without a command if it was
    /// only asked.
    ///
    /// # Errors
    /// `NoPermit`, naming what would break; `UnknownNode`; as [`Self::plan`].
    pub fn permit_command(
        &self,
        node: NodeId,
        wish: &PermitRequest,
    ) -> Result<(Option<PermitChange>, Permit), Fault> {
        self.require_leadership()?;
        let catalog = self.watch.latest();
        require_node(&catalog, node)?;
        let (change, permit) = ops::may_stop(&catalog, &self.observed(&catalog), node, wish)?;
        Ok(((!wish.only_ask).then_some(change), permit))
    }

    /// The command that gives back the right to stop a node; nothing if nobody has it.
    ///
    /// # Errors
    /// `NoPermit` if another has it, `UnknownNode`, `NotLeader`.
    pub fn release_command(&self, node: NodeId, wish: &PermitRelease) -> Result<Option<PermitChange>, Fault> {
        self.require_leadership()?;
        ops::give_back(&self.watch.latest(), node, wish)
    }

    /// Every setting, and its value.
    pub fn settings(&self) -> Vec<SettingValue> {
        let catalog = self.watch.latest();
        settings::ALL.iter().map(|setting| setting_value(&catalog, setting)).collect()
    }

    /// One setting, and its value.
    ///
    /// # Errors
    /// `BadArgument`: there is no such setting.
    pub fn setting(&self, name: &str) -> Result<SettingValue, Fault> {
        let setting =
            Setting::named(name).ok_or_else(|| Fault::new(ErrorCode::BadArgument, Setting::unknown(name)))?;
        Ok(setting_value(&self.watch.latest(), setting))
    }

    /// The wall clock, milliseconds since 1970.
    pub fn wall_millis(&self) -> u64 {
        self.clock.wall_millis()
    }

    /// Runs operations, while this node leads the catalog.
    pub(crate) fn operate(&self) {
        let catalog = self.watch.latest();
        let leads = self.leads_catalog();
        let work = lock(&self.operator).step(leads, &catalog, || self.observed(&catalog));
        work.ended.iter().for_each(tell);
        for word in work.words {
            self.say(word);
        }
        for op in work.commands {
            let (operator, upkeep) = (self.operator.clone(), self.upkeep.clone());
            self.change_catalog(op, move |answer| {
                lock(&operator).answered();
                match answer {
                    Ok(_) => upkeep.hurry(),
                    // Decided again at the next look, from what is known then.
                    Err(fault) => tracing::info!(%fault, "a step of an operation was refused"),
                }
            });
        }
    }

    fn say(&self, word: Word) {
        let Some(store) = self.store() else { return };
        match word {
            Word::Transfer(node, transfer) if node == self.id => {
                let group = GroupId(transfer.group);
                // What finds no room is said again.
                let _ = store.input(group, replication::Input::Transfer { group, to: transfer.to.into() });
            }
            Word::Transfer(node, transfer) => {
                let _ = self.transport.send_transfer(node, transfer);
            }
            Word::Cut(node, cut) if node == self.id => store.cut_now(GroupId(cut.group)),
            Word::Cut(node, cut) => {
                let _ = self.transport.send_cut(node, cut);
            }
            Word::Compact(node, compact) if node == self.id => {
                store.compact(GroupId(compact.group), compact.operation);
            }
            Word::Compact(node, compact) => self.transport.send_bulk(node, Frame::Compact(compact)),
            Word::Task(operation, step) => self.begin_task(operation, step),
            Word::Digest(group, operation) => {
                let (operator, upkeep) = (self.operator.clone(), self.upkeep.clone());
                self.begin_digest(group, move |index| {
                    lock(&operator).digest_ended(operation, index.ok());
                    upkeep.hurry();
                });
            }
        }
    }

    /// Whether everything is as it is wished and will be in a moment; `status` is this node's, of now. Of a node that
    /// replicates the catalog: others know of no operations.
    pub fn is_stable(&self, status: &Status) -> bool {
        ops::is_stable(&self.watch.latest(), status, self.clock.wall_millis())
    }

    fn observed(&self, catalog: &Catalog) -> Observed {
        let observations: Observations = self.observations();
        Observed::new(catalog, &observations, self.clock.wall_millis())
    }

    /// Whether this node leads the catalog, as far as it knows.
    pub(crate) fn leads_catalog(&self) -> bool {
        let shared = self.store().and_then(|store| store.shared(GroupId::CATALOG));
        shared.is_some_and(|shared| shared.report().state == ReplicaState::Leader as i32)
    }

    fn require_leadership(&self) -> Result<(), Fault> {
        if self.leads_catalog() {
            return Ok(());
        }
        let leader = self.leader_of(GroupId::CATALOG).filter(|leader| *leader != self.id);
        let catalog = self.watch.latest();
        match leader.and_then(|leader| Some((leader, catalog.node(leader)?))) {
            Some((leader, record)) => Err(api::admin::elsewhere(leader, &record.http)),
            None => {
                self.require_reports()?;
                Err(Fault::new(ErrorCode::NoLeader, "the catalog has no leader at the moment"))
            }
        }
    }

    /// Nodes report to those that replicate the catalog; every other one does not know how the cluster is.
    ///
    /// # Errors
    /// `NotMeta`, naming one that does; another one from time to time, because it may be down.
    pub fn require_reports(&self) -> Result<(), Fault> {
        let catalog = self.watch.latest();
        let nodes = catalog.catalog_nodes();
        if nodes.is_empty() || nodes.contains(&self.id) {
            return Ok(());
        }
        let turn = self.clock.wall_millis() / 1000 % nodes.len() as u64;
        let record = nodes.get(turn as usize).and_then(|node| catalog.node(*node));
        record.map_or(Ok(()), |record| Err(api::admin::elsewhere(NodeId(record.id), &record.http)))
    }

    /// Questions are answered without a leader as well, by a node that replicates the catalog: better what was
    /// known last than nothing.
    fn require_knowledge(&self) -> Result<(), Fault> {
        match self.require_leadership() {
            Err(fault) if fault.code == ErrorCode::NoLeader && self.replicates_catalog() => Ok(()),
            other => other,
        }
    }

    fn replicates_catalog(&self) -> bool {
        let replica = self.store().and_then(|store| store.replica(GroupId::CATALOG));
        replica.is_some() && self.watch.latest().cluster().is_some()
    }
}

/// Tells the log that an operation has ended, with the cause that `op explain` gives. A part that ends as it should is
/// no news to whoever follows the whole: there may be thousands.
fn tell(ended: &Ended) {
    let (operation, parent) = (ended.id.get(), ended.parent.map(OperationId::get));
    let (table, partition, by) = (ended.table.as_deref(), ended.partition, ended.by.as_str());
    let code = ended.fault.as_ref().map(|fault| fault.code.as_str());
    let how = match ended.how {
        OperationState::Failed => "failed",
        OperationState::Cancelled => "was cancelled",
        _ => "is done",
    };
    let cause = ended.fault.as_ref().map(|fault| format!(": {fault}")).unwrap_or_default();
    let text = format!("operation {operation} ({}) {how}{cause}", ended.what);
    match ended.how {
        OperationState::Failed => {
            let hint = ended.fault.as_ref().map(|fault| fault.code.hint());
            tracing::warn!(operation, parent, table, partition, by, code, hint, "{text}");
        }
        OperationState::Done if parent.is_some() => {
            tracing::debug!(operation, parent, table, partition, by, "{text}");
        }
        _ => tracing::info!(operation, parent, table, partition, by, code, "{text}"),
    }
}

/// The command that changes a setting.
///
/// # Errors
/// `BadArgument`: there is no such setting, or it does not take the value.
pub fn set_command(name: &str, wish: &api::admin::SetSetting, wall_ms: u64) -> Result<CatalogOp, Fault> {
    let bad = |detail: String| Fault::new(ErrorCode::BadArgument, detail);
    let setting = Setting::named(name).ok_or_else(|| bad(Setting::unknown(name)))?;
    setting.check(&wish.value).map_err(bad)?;
    Ok(CatalogOp::Set(api::catalog::SetSetting {
        name: name.to_owned(),
        value: wish.value.clone(),
        by: wish.by.clone().unwrap_or_else(|| "admin".into()),
        at_ms: wall_ms,
    }))
}

fn require_node(catalog: &Catalog, node: NodeId) -> Result<(), Fault> {
    match catalog.node(node) {
        Some(_) => Ok(()),
        None => Err(Fault::new(ErrorCode::UnknownNode, format!("node {node}"))),
    }
}

fn setting_value(catalog: &Catalog, setting: &Setting) -> SettingValue {
    let stored = catalog.stored_setting(setting.name);
    SettingValue {
        name: setting.name.to_owned(),
        value: setting.text(catalog.setting(setting)),
        default: setting.default_text(),
        takes: setting.takes(),
        about: setting.about.to_owned(),
        changed_by: stored.map(|stored| stored.by.clone()),
        changed_ms: stored.map_or(0, |stored| stored.at_ms),
        before: stored.map(|stored| match stored.before.is_empty() {
            true => setting.default_text(),
            false => stored.before.clone(),
        }),
    }
}
