//! ZanKV's routes, as `api::zankv` describes them: its placement driver's and its data nodes', on every node.
//!
//! Whoever watches ZanKV sends no token, so questions need none: like `/metrics` they tell addresses and numbers,
//! and never a key or a value. What changes something needs one, as everywhere.

use std::collections::BTreeMap;

use api::zankv::{
    ClusterStats, DataNodes, Info, Message, Namespaces as NamespaceNames, PlacementDrivers, Query, RaftStats,
    SlowLog, Stats, TableStatsOfAll, TableStatsReply,
};
use axum::extract::{FromRequestParts, Path, Query as UrlArguments, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use types::limits::{NAME_BYTES_MAX, SLOW_LOG_ENTRIES_DEFAULT};
use types::{ErrorCode, Fault};

use super::{Answer, Shared, namespaces, status_of};

/// What a node must answer to those who know ZanKV. Questions about the cluster are answered by every node; one
/// that does not know asks another, unless it is told to answer for itself.
pub trait Zankv: Send + Sync + 'static {
    /// Who answers.
    fn info(&self) -> Info;
    /// Where the partitions of a namespace are.
    fn query(&self, namespace: &str) -> Result<Query, Fault>;
    /// The data nodes that live.
    fn data_nodes(&self, whom: Whom) -> Answer<DataNodes>;
    /// The nodes that replicate the catalog.
    fn placement_drivers(&self) -> PlacementDrivers;
    /// How the cluster is.
    fn cluster_stats(&self, whom: Whom) -> Answer<ClusterStats>;
    /// What this node has counted.
    fn stats(&self, wish: StatsWish) -> Answer<Stats>;
    /// How the groups of this node's replicas are; of partitions whose name begins like this.
    fn raft_stats(&self, prefix: &str, leader_only: bool) -> Vec<RaftStats>;
    /// A table, or all of them, as this node has it.
    fn table_stats(&self, table: Option<String>, leader_only: bool) -> Answer<TableStatsReply>;
    /// A table as all nodes have it.
    fn table_stats_of_all(&self, table: String, leader_only: bool) -> Answer<TableStatsOfAll>;
    /// Starts a compaction of everything, of a namespace or of a table, or joins the one that goes on; ends when
    /// it is started, or when it has ended.
    fn optimize(&self, wish: OptimizeWish) -> Answer<()>;
    /// The newest commands that took long at this node, at most so many.
    fn slow_log(&self, count: usize) -> SlowLog;
    /// From now on commands that take so many microseconds are noted; none with a negative number.
    fn set_slow_log(&self, slower_than_micros: i64);
}

/// Who is to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    /// Whoever knows.
    Anybody,
    /// This node, or nobody: another one asks.
    OnlyHere,
}

/// What is asked of [`Zankv::stats`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatsWish {
    /// Only partitions that this node leads.
    pub leader_only: bool,
    /// With the tables of each.
    pub table_detail: bool,
}

/// What [`Zankv::optimize`] is to compact.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OptimizeWish {
    /// Only this namespace.
    pub namespace: Option<String>,
    /// Only this table of it.
    pub table: Option<String>,
    /// Wait for the end.
    pub wait: bool,
}

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/ping", get(ping))
        .route("/info", get(info))
        .route("/namespaces", get(namespace_names))
        .route("/datanodes", get(data_nodes))
        .route("/listpd", get(placement_drivers))
        .route("/query/{namespace}", get(query))
        .route("/cluster/stats", get(cluster_stats))
        .route("/stats", get(stats))
        .route("/raft/stats", get(raft_stats))
        .route("/tablestats", get(table_stats))
        .route("/querytable/stats/{table}", get(table_stats_of_all))
        .route("/slowlog", get(slow_log))
        .route("/slowlog/set", post(set_slow_log))
        .route("/kv/optimize", post(optimize_all))
        .route("/kv/optimize/{namespace}", post(optimize_namespace))
        .route("/kv/optimize/{namespace}/{table}", post(optimize_table))
        .route("/cluster/namespace/create", post(namespaces::create_as_zankv))
        .route("/cluster/namespace/delete", post(namespaces::drop_as_zankv).delete(namespaces::drop_as_zankv))
        .route("/cluster/namespace/meta/update", post(namespaces::update_as_zankv))
        .method_not_allowed_fallback(not_allowed)
}

/// A refusal in ZanKV's form.
#[derive(Debug)]
pub(super) struct Refused(StatusCode, String);

impl Refused {
    /// A request that is wrong in itself.
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, message.into())
    }

    /// Something that is not there.
    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self(StatusCode::NOT_FOUND, message.into())
    }
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Self(status_of(fault.code), fault.to_string())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(Message { message: self.1 })).into_response()
    }
}

/// A reply, or a refusal in ZanKV's form.
pub(super) type Reply<T> = Result<T, Refused>;

/// The arguments of a request: those of its address.
pub(super) struct Arguments(BTreeMap<String, String>);

impl<S: Send + Sync> FromRequestParts<S> for Arguments {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        let read = UrlArguments::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let UrlArguments(pairs) = read.map_err(|_| Refused::bad("INVALID_REQUEST"))?;
        // Of an argument that is there twice the first one counts.
        let mut arguments = BTreeMap::new();
        for (name, value) in pairs {
            arguments.entry(name).or_insert(value);
        }
        Ok(Self(arguments))
    }
}

impl Arguments {
    /// An argument that is there and not empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// An argument that must be there; `label` is its name in the error.
    pub(super) fn required(&self, name: &str, label: &str) -> Reply<&str> {
        self.text(name).ok_or_else(|| Refused::bad(format!("MISSING_ARG_{label}")))
    }

    /// A switch. What is no switch is off, as in ZanKV.
    fn switch(&self, name: &str, default: bool) -> bool {
        self.text(name).map_or(default, |value| matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True"))
    }

    fn whom(&self) -> Whom {
        if self.switch(ONLY_HERE, false) { Whom::OnlyHere } else { Whom::Anybody }
    }
}

/// The argument with which one node asks another: it is not to ask a third.
pub const ONLY_HERE: &str = "only_here";

/// Proof that a request carries the admin token.
pub(super) struct Admitted;

impl FromRequestParts<Shared> for Admitted {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Refused> {
        match shared.admits(&parts.headers) {
            true => Ok(Self),
            false => Err(Fault::from(ErrorCode::Unauthorized).into()),
        }
    }
}

impl Shared {
    /// Whether a request carries the admin token.
    pub(super) fn admits(&self, headers: &HeaderMap) -> bool {
        let token = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "));
        token.is_some_and(|token| self.secret.admits(token))
    }
}

/// Whether a namespace or table may be called like this.
pub(super) fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(allowed)
}

async fn ping() -> &'static str {
    "OK"
}

async fn info(State(shared): State<Shared>) -> Json<Info> {
    Json(shared.admin.info())
}

async fn namespace_names(State(shared): State<Shared>) -> Json<NamespaceNames> {
    let namespaces = shared.admin.namespaces().into_iter().map(|namespace| namespace.name).collect();
    Json(NamespaceNames { namespaces })
}

async fn data_nodes(State(shared): State<Shared>, arguments: Arguments) -> Reply<Json<DataNodes>> {
    Ok(Json(shared.admin.data_nodes(arguments.whom()).await?))
}

async fn placement_drivers(State(shared): State<Shared>) -> Json<PlacementDrivers> {
    Json(shared.admin.placement_drivers())
}

async fn query(
    State(shared): State<Shared>,
    Path(namespace): Path<String>,
    arguments: Arguments,
) -> Reply<Response> {
    let Ok(found) = shared.admin.query(&namespace) else {
        return Err(Refused::not_found("NAMESPACE not found"));
    };
    match arguments.text("epoch") {
        Some(known) if known.parse() == Ok(found.epoch) => Ok(StatusCode::NOT_MODIFIED.into_response()),
        _ => Ok(Json(found).into_response()),
    }
}

async fn cluster_stats(State(shared): State<Shared>, arguments: Arguments) -> Reply<Json<ClusterStats>> {
    Ok(Json(shared.admin.cluster_stats(arguments.whom()).await?))
}

async fn stats(State(shared): State<Shared>, arguments: Arguments) -> Reply<Json<Stats>> {
    // The program and its guide call the second one differently.
    let table_detail = arguments.switch("table_detail", arguments.switch("table_details", false));
    let wish = StatsWish { leader_only: arguments.switch("leader_only", true), table_detail };
    Ok(Json(shared.admin.stats(wish).await?))
}

async fn raft_stats(State(shared): State<Shared>, arguments: Arguments) -> Json<Vec<RaftStats>> {
    let prefix = arguments.text("namespace").unwrap_or_default();
    Json(shared.admin.raft_stats(prefix, arguments.switch("leader_only", false)))
}

async fn table_stats(State(shared): State<Shared>, arguments: Arguments) -> Reply<Json<TableStatsReply>> {
    let table = arguments.text("table").map(str::to_owned);
    Ok(Json(shared.admin.table_stats(table, arguments.switch("leader_only", true)).await?))
}

async fn table_stats_of_all(
    State(shared): State<Shared>,
    Path(table): Path<String>,
    arguments: Arguments,
) -> Reply<Json<TableStatsOfAll>> {
    if !is_name(&table) {
        return Err(Refused::bad("INVALID_ARG_TABLE"));
    }
    Ok(Json(shared.admin.table_stats_of_all(table, arguments.switch("leader_only", true)).await?))
}

/// With the token, unlike other questions: commands hold keys and values.
async fn slow_log(State(shared): State<Shared>, _: Admitted, arguments: Arguments) -> Reply<Json<SlowLog>> {
    let count = match arguments.text("count").map(str::parse) {
        None => SLOW_LOG_ENTRIES_DEFAULT as usize,
        Some(Ok(count)) => count,
        Some(Err(_)) => return Err(Refused::bad("INVALID_ARG_COUNT")),
    };
    Ok(Json(shared.admin.slow_log(count)))
}

async fn set_slow_log(State(shared): State<Shared>, _: Admitted, arguments: Arguments) -> Reply<()> {
    let level = arguments.required("loglevel", "LOGLEVEL")?.parse();
    let level: i64 = level.map_err(|_| Refused::bad("INVALID_ARG_LOGLEVEL"))?;
    shared.admin.set_slow_log(slower_than(level));
    Ok(())
}

/// What ZanKV notes at a level of its slow log, in microseconds: nothing below 0, then what takes 100 ms, from its
/// level of information (2) on half of that, and beyond its most talkative level (4) everything.
fn slower_than(level: i64) -> i64 {
    match level {
        ..0 => -1,
        0..2 => 100_000,
        2..5 => 50_000,
        5.. => 0,
    }
}

async fn optimize_all(State(shared): State<Shared>, _: Admitted, arguments: Arguments) -> Reply<()> {
    optimize(&shared, OptimizeWish::default(), &arguments).await
}

async fn optimize_namespace(
    State(shared): State<Shared>,
    _: Admitted,
    Path(namespace): Path<String>,
    arguments: Arguments,
) -> Reply<()> {
    optimize(&shared, OptimizeWish { namespace: Some(namespace), ..Default::default() }, &arguments).await
}

async fn optimize_table(
    State(shared): State<Shared>,
    _: Admitted,
    Path((namespace, table)): Path<(String, String)>,
    arguments: Arguments,
) -> Reply<()> {
    let wish = OptimizeWish { namespace: Some(namespace), table: Some(table), wait: false };
    optimize(&shared, wish, &arguments).await
}

async fn optimize(shared: &Shared, wish: OptimizeWish, arguments: &Arguments) -> Reply<()> {
    if wish.namespace.iter().chain(&wish.table).any(|name| !is_name(name)) {
        return Err(Refused::bad("INVALID_ARG_NAMESPACE"));
    }
    let wish = OptimizeWish { wait: arguments.switch("wait", false), ..wish };
    Ok(shared.admin.optimize(wish).await?)
}

async fn not_allowed() -> Refused {
    Refused(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED".into())
}
