//! Namespaces: the admin API's routes, and ZanKV's with its words for what is missing or wrong.

use api::admin::{CreateNamespace, Namespace};
use axum::extract::State;
use axum::routing::{delete, get};
use axum::{Json, Router};
use types::limits::PARTITIONS_MAX;
use types::{ErrorCode, Fault};

use super::operations::Named;
use super::zankv::{Admitted, Arguments, Refused, Reply, is_name};
use super::{Answer, Body, Refusal, Shared};

/// The most replicas that ZanKV gives a partition.
const REPLICATOR_MAX: u32 = 5;

/// What a node must answer about namespaces as ZanKV means them.
pub trait Namespaces: Send + Sync + 'static {
    /// All of them, by name.
    fn namespaces(&self) -> Vec<Namespace>;
    /// Makes one; ends when the nodes that are there know it.
    fn create_namespace(&self, wish: CreateNamespace) -> Answer<Namespace>;
    /// Drops one, with everything in it.
    fn drop_namespace(&self, name: String) -> Answer<()>;
    /// Gives its partitions another number of replicas; ends when that is begun.
    fn set_namespace_replicas(&self, name: String, replicas: u32) -> Answer<()>;
}

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/namespaces", get(list).post(create))
        .route("/namespaces/{name}", delete(drop_namespace))
}

async fn list(State(shared): State<Shared>) -> Json<Vec<Namespace>> {
    Json(shared.admin.namespaces())
}

async fn create(
    State(shared): State<Shared>,
    Body(wish): Body<CreateNamespace>,
) -> Result<Json<Namespace>, Refusal> {
    Ok(Json(shared.admin.create_namespace(wish).await?))
}

async fn drop_namespace(
    State(shared): State<Shared>,
    Named(name): Named<String>,
) -> Result<Json<serde_json::Value>, Refusal> {
    shared.admin.drop_namespace(name).await?;
    Ok(Json(serde_json::json!({})))
}

/// `POST /cluster/namespace/create`.
pub(super) async fn create_as_zankv(
    State(shared): State<Shared>,
    _: Admitted,
    arguments: Arguments,
) -> Reply<()> {
    let wish = create_wish(&arguments)?;
    shared.admin.create_namespace(wish).await?;
    Ok(())
}

/// What is asked for, checked in ZanKV's order. What only ZanKV has a use for (engine, tags, fsync) is taken and
/// has no effect: there is one engine, labels of nodes decide where replicas go, and every write is synced.
fn create_wish(arguments: &Arguments) -> Reply<CreateNamespace> {
    let name = namespace(arguments)?;
    let partitions = number(arguments, "partition_num", "PARTITION_NUM", PARTITIONS_MAX)?;
    let replicas = number(arguments, "replicator", "REPLICATOR", REPLICATOR_MAX)?;
    if arguments.text("engtype").is_some_and(|engine| !ENGINES.contains(&engine)) {
        return Err(Refused::bad("INVALID_ARG_ENGTYPE"));
    }
    let policy = arguments.text("expiration_policy").map(str::to_owned);
    let version = arguments.text("data_version").map(str::to_owned);
    let wish = CreateNamespace {
        name: name.to_owned(),
        partitions: Some(partitions),
        replicas: Some(replicas),
        data_version: version,
        expiration_policy: policy,
    };
    check_options(&wish).map_err(Refused::bad)?;
    Ok(wish)
}

/// What ZanKV calls its engines.
const ENGINES: [&str; 3] = ["rockredis", "mem", "pebble"];
const DATA_VERSION_V1: &str = "value_header_v1";
const WAIT_COMPACT: &str = "wait_compact";
const LOCAL_DELETION: &str = "local_deletion";

/// The data version and the expiration policy that a wish means.
pub fn namespace_options(wish: &CreateNamespace) -> (String, String) {
    let version = wish.data_version.clone().unwrap_or_else(|| DATA_VERSION_V1.into());
    let default = if version == DATA_VERSION_V1 { WAIT_COMPACT } else { LOCAL_DELETION };
    let policy = wish.expiration_policy.clone().unwrap_or_else(|| default.into());
    (version, policy)
}

/// Checks what only ZanKV knows; the error is its word for it.
///
/// # Errors
/// A version or a policy that there is not, or two that do not go together.
pub fn check_options(wish: &CreateNamespace) -> Result<(), &'static str> {
    let (version, policy) = namespace_options(wish);
    if ![DATA_VERSION_V1, "default"].contains(&version.as_str()) {
        return Err("INVALID_ARG_DATA_VERSION");
    }
    if ![WAIT_COMPACT, LOCAL_DELETION].contains(&policy.as_str()) {
        return Err("INVALID_ARG_EXPIRATION_POLICY");
    }
    if policy == WAIT_COMPACT && version != DATA_VERSION_V1 {
        return Err("INVALID_ARG_EXPIRATION_POLICY data version must be v1 in compact ttl");
    }
    Ok(())
}

/// `DELETE /cluster/namespace/delete`; ZanKV's own page says `POST`.
pub(super) async fn drop_as_zankv(
    State(shared): State<Shared>,
    _: Admitted,
    arguments: Arguments,
) -> Reply<()> {
    let name = arguments.required("namespace", "NAMESPACE")?.to_owned();
    if arguments.required("partition", "PARTITION")? != "**" {
        return Err(Refused::bad("REMOVE_SINGLE_PARTITION_NOT_ALLOWED"));
    }
    shared.admin.drop_namespace(name).await.map_err(not_found)
}

/// `POST /cluster/namespace/meta/update`.
pub(super) async fn update_as_zankv(
    State(shared): State<Shared>,
    _: Admitted,
    arguments: Arguments,
) -> Reply<()> {
    let name = namespace(&arguments)?.to_owned();
    if arguments.text("snapcount").is_some_and(|count| count.parse::<i64>().is_err()) {
        return Err(Refused::bad("INVALID_ARG_SNAP"));
    }
    if arguments.text("replicator").is_none() {
        // How often a log is cut and when it is synced are not settings of a namespace here.
        let known = shared.admin.namespaces().iter().any(|known| known.name == name);
        return if known { Ok(()) } else { Err(not_found(ErrorCode::UnknownNamespace.into())) };
    }
    let replicas = number(&arguments, "replicator", "REPLICATOR", REPLICATOR_MAX)?;
    shared.admin.set_namespace_replicas(name, replicas).await.map_err(not_found)
}

fn namespace(arguments: &Arguments) -> Reply<&str> {
    let name = arguments.required("namespace", "NAMESPACE")?;
    if is_name(name) { Ok(name) } else { Err(Refused::bad("INVALID_ARG_NAMESPACE")) }
}

/// A number from 1 to `most` that must be there.
fn number(arguments: &Arguments, name: &str, label: &str, most: u32) -> Reply<u32> {
    let number = arguments.required(name, label)?.parse().ok().filter(|number| (1..=most).contains(number));
    number.ok_or_else(|| Refused::bad(format!("INVALID_ARG_{label}")))
}

fn not_found(fault: Fault) -> Refused {
    match fault.code {
        ErrorCode::UnknownNamespace => Refused::not_found("NAMESPACE not found"),
        _ => fault.into(),
    }
}
