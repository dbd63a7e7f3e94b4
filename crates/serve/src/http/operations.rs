//! Operations, permits, explanations and settings: the second half of the admin API.

use api::admin::{
    Explanation, Operation, OperationRequest, Permit, PermitRelease, PermitReleased, PermitRequest, Plan,
    SetSetting, SettingValue, StartOperation,
};
use api::recovery::{CatalogSurvivor, GiveUpCatalogMajority};
use axum::extract::{Path, State};
use axum::http::request::Parts;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::de::DeserializeOwned;
use types::{ErrorCode, Fault};

use super::{Answer, Body, Refusal, Shared};

/// What a node must answer about operations. A node that does not lead the catalog refuses with `not-meta`, and
/// names the one that does (see `api::admin::elsewhere`).
pub trait Operations: Send + Sync + 'static {
    /// What an operation would do.
    fn plan(&self, request: OperationRequest) -> Answer<Plan>;
    /// Starts an operation; ends when it is persisted.
    fn start(&self, wish: StartOperation) -> Answer<Operation>;
    /// All operations, oldest first.
    fn operations(&self) -> Result<Vec<Operation>, Fault>;
    /// One operation.
    fn operation(&self, id: u64) -> Result<Operation, Fault>;
    /// Asks an operation to end early; ends when that is persisted.
    fn cancel(&self, id: u64) -> Answer<Operation>;
    /// Forgets an operation that has ended.
    fn forget(&self, id: u64) -> Answer<()>;
    /// Why an operation is where it is.
    fn explain_operation(&self, id: u64) -> Result<Explanation, Fault>;
    /// Why a node is as it is.
    fn explain_node(&self, node: u64) -> Result<Explanation, Fault>;
    /// Why a partition is as it is.
    fn explain_partition(&self, namespace: &str, name: &str, partition: u64) -> Result<Explanation, Fault>;
    /// Grants the right to stop a node.
    fn permit(&self, node: u64, wish: PermitRequest) -> Answer<Permit>;
    /// Takes it back.
    fn release_permit(&self, node: u64, wish: PermitRelease) -> Answer<PermitReleased>;
    /// What this node has of the catalog's own group.
    fn catalog_survivor(&self) -> Result<CatalogSurvivor, Fault>;
    /// Lets this node's replica of the catalog go on without the others.
    fn give_up_catalog_majority(&self, wish: GiveUpCatalogMajority) -> Result<(), Fault>;
    /// All settings.
    fn settings(&self) -> Result<Vec<SettingValue>, Fault>;
    /// Changes a setting; ends when the nodes that are there know it.
    fn set(&self, name: String, wish: SetSetting) -> Answer<SettingValue>;
}

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/plan", post(plan))
        .route("/operations", get(operations).post(start))
        .route("/operations/{id}", get(operation).delete(forget))
        .route("/operations/{id}/cancel", post(cancel))
        .route("/operations/{id}/explain", get(explain_operation))
        .route("/explain/nodes/{id}", get(explain_node))
        .route("/explain/partitions/{namespace}/{name}/{partition}", get(explain_partition))
        .route("/nodes/{id}/permit", post(permit).delete(release_permit))
        .route("/catalog", get(catalog_survivor))
        .route("/catalog/recover", post(recover_catalog))
        .route("/settings", get(settings))
        .route("/settings/{name}", put(set))
}

/// What a path names: a bad number gets the same form of error as everything else.
pub(super) struct Named<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> axum::extract::FromRequestParts<S> for Named<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(named)) => Ok(Self(named)),
            Err(rejection) => Err(Refusal(Fault::new(ErrorCode::BadArgument, rejection.body_text()))),
        }
    }
}

type Reply<T> = Result<Json<T>, Refusal>;

fn nothing() -> Json<serde_json::Value> {
    Json(serde_json::json!({}))
}

async fn plan(State(shared): State<Shared>, Body(request): Body<OperationRequest>) -> Reply<Plan> {
    Ok(Json(shared.admin.plan(request).await?))
}

async fn start(State(shared): State<Shared>, Body(wish): Body<StartOperation>) -> Reply<Operation> {
    Ok(Json(shared.admin.start(wish).await?))
}

async fn operations(State(shared): State<Shared>) -> Reply<Vec<Operation>> {
    Ok(Json(shared.admin.operations()?))
}

async fn operation(State(shared): State<Shared>, Named(id): Named<u64>) -> Reply<Operation> {
    Ok(Json(shared.admin.operation(id)?))
}

async fn cancel(State(shared): State<Shared>, Named(id): Named<u64>) -> Reply<Operation> {
    Ok(Json(shared.admin.cancel(id).await?))
}

async fn forget(State(shared): State<Shared>, Named(id): Named<u64>) -> Reply<serde_json::Value> {
    shared.admin.forget(id).await?;
    Ok(nothing())
}

async fn catalog_survivor(State(shared): State<Shared>) -> Reply<CatalogSurvivor> {
    Ok(Json(shared.admin.catalog_survivor()?))
}

async fn recover_catalog(
    State(shared): State<Shared>,
    Body(wish): Body<GiveUpCatalogMajority>,
) -> Reply<serde_json::Value> {
    shared.admin.give_up_catalog_majority(wish)?;
    Ok(nothing())
}

async fn explain_operation(State(shared): State<Shared>, Named(id): Named<u64>) -> Reply<Explanation> {
    Ok(Json(shared.admin.explain_operation(id)?))
}

async fn explain_node(State(shared): State<Shared>, Named(id): Named<u64>) -> Reply<Explanation> {
    Ok(Json(shared.admin.explain_node(id)?))
}

async fn explain_partition(
    State(shared): State<Shared>,
    Named((namespace, name, partition)): Named<(String, String, u64)>,
) -> Reply<Explanation> {
    Ok(Json(shared.admin.explain_partition(&namespace, &name, partition)?))
}

async fn permit(
    State(shared): State<Shared>,
    Named(node): Named<u64>,
    wish: Option<Body<PermitRequest>>,
) -> Reply<Permit> {
    let wish = wish.map(|Body(wish)| wish).unwrap_or_default();
    Ok(Json(shared.admin.permit(node, wish).await?))
}

async fn release_permit(
    State(shared): State<Shared>,
    Named(node): Named<u64>,
    wish: Option<Body<PermitRelease>>,
) -> Reply<PermitReleased> {
    let wish = wish.map(|Body(wish)| wish).unwrap_or_default();
    Ok(Json(shared.admin.release_permit(node, wish).await?))
}

async fn settings(State(shared): State<Shared>) -> Reply<Vec<SettingValue>> {
    Ok(Json(shared.admin.settings()?))
}

async fn set(
    State(shared): State<Shared>,
    Named(name): Named<String>,
    Body(wish): Body<SetSetting>,
) -> Reply<SettingValue> {
    Ok(Json(shared.admin.set(name, wish).await?))
}
