//! The admin API as calls, second half: operations, permits, explanations and settings.

use std::time::Duration;

use api::admin::{
    Explanation, JoinNode, Joined, Operation, OperationRequest, Permit, PermitRelease, PermitReleased,
    PermitRequest, Plan, SetSetting, SettingValue, StartOperation,
};
use api::recovery::{CatalogSurvivor, GiveUpCatalogMajority};
use types::Fault;
use ureq::http::Method;

use crate::Client;
use crate::http::{CHANGE_TIMEOUT, PLACE_TIMEOUT, done, escaped, parsed};

/// How long a plan may take.
fn patience(request: &OperationRequest) -> Duration {
    if request.restore.is_some() { PLACE_TIMEOUT } else { CHANGE_TIMEOUT }
}

impl Client {
    /// What an operation would do. Nothing changes.
    ///
    /// # Errors
    /// Why it would be refused; `Unreachable`, `Unauthorized`, or what the node says.
    pub fn plan(&self, request: &OperationRequest) -> Result<Plan, Fault> {
        parsed(self.change(&Method::POST, "/v1/plan", patience(request), Some(request))?)
    }

    /// Starts an operation. It is persisted when this returns, and runs without the caller.
    ///
    /// # Errors
    /// Why it is refused; `PlanOutdated` if the plan that it names is no longer what would be done;
    /// `OutcomeUnknown` if the connection broke after the request was sent; `Unreachable`, `Unauthorized`.
    pub fn start_operation(&self, wish: &StartOperation) -> Result<Operation, Fault> {
        parsed(self.change(&Method::POST, "/v1/operations", patience(&wish.request), Some(wish))?)
    }

    /// What the first node that answers has of the catalog's own group.
    ///
    /// # Errors
    /// `NotMeta` if it keeps no catalog; `Unreachable`, `Unauthorized`, or what the node says.
    pub fn catalog_survivor(&self) -> Result<CatalogSurvivor, Fault> {
        parsed(self.ask("/v1/catalog")?)
    }

    /// Lets the first node that answers go on with the catalog alone, once its replica is at rest.
    ///
    /// # Errors
    /// `NeedsConsent` if the name is not the cluster's; `Unsafe` if nothing is lost or another survivor has more;
    /// `Unreachable`, `Unauthorized`, or what the node says.
    pub fn give_up_catalog_majority(&self, wish: &GiveUpCatalogMajority) -> Result<(), Fault> {
        done(self.change(&Method::POST, "/v1/catalog/recover", CHANGE_TIMEOUT, Some(wish))?)
    }

    /// All operations that are remembered, oldest first.
    ///
    /// # Errors
    /// `Unreachable`, `Unauthorized`, or what the node says.
    pub fn operations(&self) -> Result<Vec<Operation>, Fault> {
        parsed(self.ask("/v1/operations")?)
    }

    /// One operation.
    ///
    /// # Errors
    /// `UnknownOperation`, `Unreachable`, `Unauthorized`, or what the node says.
    pub fn operation(&self, id: u64) -> Result<Operation, Fault> {
        parsed(self.ask(&format!("/v1/operations/{id}"))?)
    }

    /// Asks an operation to end early and to undo what it did.
    ///
    /// # Errors
    /// `UnknownOperation`, a refusal if it has ended or cannot be undone any more, and as
    /// [`Self::start_operation`].
    pub fn cancel_operation(&self, id: u64) -> Result<Operation, Fault> {
        let path = format!("/v1/operations/{id}/cancel");
        parsed(self.change(&Method::POST, &path, CHANGE_TIMEOUT, None::<&()>)?)
    }

    /// Forgets an operation that has ended.
    ///
    /// # Errors
    /// `UnknownOperation`, `OperationActive`, and as [`Self::start_operation`].
    pub fn forget_operation(&self, id: u64) -> Result<(), Fault> {
        let path = format!("/v1/operations/{id}");
        done(self.change(&Method::DELETE, &path, CHANGE_TIMEOUT, None::<&()>)?)
    }

    /// What an operation waits for, and what would unblock it.
    ///
    /// # Errors
    /// `UnknownOperation`, `Unreachable`, `Unauthorized`, or what the node says.
    pub fn explain_operation(&self, id: u64) -> Result<Explanation, Fault> {
        parsed(self.ask(&format!("/v1/operations/{id}/explain"))?)
    }

    /// Why a node is as it is.
    ///
    /// # Errors
    /// `UnknownNode`, `Unreachable`, `Unauthorized`, or what the node says.
    pub fn explain_node(&self, node: u64) -> Result<Explanation, Fault> {
        parsed(self.ask(&format!("/v1/explain/nodes/{node}"))?)
    }

    /// Why a partition is as it is.
    ///
    /// # Errors
    /// `UnknownTable`, `Unreachable`, `Unauthorized`, or what the node says.
    pub fn explain_partition(
        &self,
        namespace: &str,
        table: &str,
        partition: u64,
    ) -> Result<Explanation, Fault> {
        let (namespace, table) = (escaped(namespace), escaped(table));
        parsed(self.ask(&format!("/v1/explain/partitions/{namespace}/{table}/{partition}"))?)
    }

    /// Asks for the right to stop a node.
    ///
    /// # Errors
    /// `NoPermit` naming what would break, `UnknownNode`, and as [`Self::start_operation`].
    pub fn permit(&self, node: u64, wish: &PermitRequest) -> Result<Permit, Fault> {
        let path = format!("/v1/nodes/{node}/permit");
        parsed(self.change(&Method::POST, &path, CHANGE_TIMEOUT, Some(wish))?)
    }

    /// Gives the right to stop a node back.
    ///
    /// # Errors
    /// `NoPermit` if another holds it, `UnknownNode`, and as [`Self::start_operation`].
    pub fn release_permit(&self, node: u64, wish: &PermitRelease) -> Result<PermitReleased, Fault> {
        let path = format!("/v1/nodes/{node}/permit");
        parsed(self.change(&Method::DELETE, &path, CHANGE_TIMEOUT, Some(wish))?)
    }

    /// All settings.
    ///
    /// # Errors
    /// `Unreachable`, `Unauthorized`, or what the node says.
    pub fn settings(&self) -> Result<Vec<SettingValue>, Fault> {
        parsed(self.ask("/v1/settings")?)
    }

    /// Changes a setting; it is in force when this returns.
    ///
    /// # Errors
    /// `BadArgument` for an unknown name or a value that it does not take, and as [`Self::start_operation`].
    pub fn set_setting(&self, name: &str, wish: &SetSetting) -> Result<SettingValue, Fault> {
        let path = format!("/v1/settings/{}", escaped(name));
        parsed(self.change(&Method::PUT, &path, CHANGE_TIMEOUT, Some(wish))?)
    }

    /// Makes a node known to the cluster. The same question under the same boot has the same answer, so one
    /// whose outcome is unknown may be asked again.
    ///
    /// # Errors
    /// `NodeRemoved` if it was known and has left, `BadArgument`, and as [`Self::start_operation`].
    pub fn join(&self, node: &JoinNode) -> Result<Joined, Fault> {
        parsed(self.change(&Method::POST, "/v1/nodes", CHANGE_TIMEOUT, Some(node))?)
    }
}
