//! HTTP: health, metrics and the admin API, as `api::admin` describes them.
//!
//! Handlers translate; what they mean is [`Admin`]'s. Whatever the console or the command line can do is
//! one of these routes.

mod jobs;
mod listener;
mod metrics;
mod namespaces;
mod operations;
mod schedules;
mod zankv;

use std::future::Future;
use std::net::TcpListener;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use api::admin::{
    CreateTable, DigestReport, ErrorBody, Identity, JoinNode, Joined, MoveLeader, NodeStatus, Status, Table,
    TablePartition,
};
use api::auth::Secret;
use axum::body::HttpBody;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use tokio::task::AbortHandle;
use types::metrics::Metric;
use types::{ErrorCode, Fault, limits};

pub use jobs::Jobs;
pub use listener::HttpLimits;
pub use metrics::{Histogram, LabelledValue};
pub use namespaces::{Namespaces, check_options, namespace_options};
pub use operations::Operations;
pub use schedules::Schedules;
pub use zankv::{ONLY_HERE, OptimizeWish, StatsWish, Whom, Zankv};

/// An answer that takes a while.
pub type Answer<T> = Pin<Box<dyn Future<Output = Result<T, Fault>> + Send>>;

/// What a node must answer.
pub trait Admin: Operations + Namespaces + Zankv {
    /// Who answers here.
    fn identity(&self) -> Identity;
    /// Whether the node serves; else why not.
    fn ready(&self) -> Result<(), String>;
    /// The value of each metric that is known.
    fn metrics(&self) -> Vec<(&'static Metric, f64)>;
    /// How the cluster is.
    fn status(&self) -> Result<Status, Fault>;
    /// Makes a node known to the cluster.
    fn join(&self, wish: JoinNode) -> Answer<Joined>;
    /// All tables but the catalog's own.
    fn tables(&self) -> Vec<Table>;
    /// One table.
    fn table(&self, namespace: &str, name: &str) -> Result<Table, Fault>;
    /// Makes a table.
    fn create_table(&self, wish: CreateTable) -> Answer<Table>;
    /// Drops a table.
    fn drop_table(&self, namespace: String, name: String) -> Answer<()>;
    /// Moves a partition's leader; ends when it leads.
    fn move_leader(&self, wish: MoveLeader) -> Answer<()>;
    /// Hashes all replicas of a partition at one log position.
    fn digest(&self, which: TablePartition) -> Answer<DigestReport>;
    /// Values of metrics that are told of several things.
    fn labelled_metrics(&self) -> Vec<LabelledValue> {
        Vec::new()
    }
    /// Histograms, those of one metric one after another.
    fn histograms(&self) -> Vec<Histogram> {
        Vec::new()
    }
    /// When backups are taken by themselves; nothing by default.
    fn schedules(&self) -> Option<Arc<dyn Schedules>> {
        None
    }
    /// What it does for backups and restores; none by default.
    fn jobs(&self) -> Option<Arc<dyn Jobs>> {
        None
    }
}

/// The HTTP listener. Dropping it stops it.
pub struct HttpServer {
    accepting: AbortHandle,
}

#[derive(Clone)]
struct Shared {
    admin: Arc<dyn Admin>,
    secret: Secret,
}

impl HttpServer {
    /// Answers at a listener from now on, on the current runtime.
    ///
    /// # Errors
    /// `internal` when the runtime cannot take the listener.
    pub fn start(
        listener: TcpListener,
        secret: Secret,
        admin: Arc<dyn Admin>,
        limits: HttpLimits,
    ) -> Result<Self, Fault> {
        let listener = tokio::net::TcpListener::from_std(listener)
            .map_err(|error| Fault::new(ErrorCode::Internal, error.to_string()))?;
        let router = router(admin, secret).layer(Extension(BodyTimeout(limits.body)));
        let serving = tokio::spawn(listener::accept(listener, router, limits));
        Ok(Self { accepting: serving.abort_handle() })
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// All routes of a node.
pub fn router(admin: Arc<dyn Admin>, secret: Secret) -> Router {
    let shared = Shared { admin, secret };
    let guarded = Router::new()
        .route("/status", get(status))
        .route("/nodes", get(nodes).post(join))
        .route("/tables", get(tables).post(create_table))
        .route("/tables/{namespace}/{name}", get(table).delete(drop_table))
        .route("/leader", post(move_leader))
        .route("/digest", post(digest))
        .merge(operations::routes())
        .merge(jobs::routes())
        .merge(schedules::routes())
        .merge(namespaces::routes())
        .layer(middleware::from_fn_with_state(shared.clone(), require_token));
    Router::new()
        .route("/health", get(health))
        .route("/metrics", get(metrics_text))
        // As ZanKV's guide calls it.
        .route("/metric", get(metrics_text))
        .route("/v1/identity", get(identity))
        .nest("/v1", guarded)
        .merge(zankv::routes())
        .fallback(not_found)
        .method_not_allowed_fallback(not_allowed)
        .layer(DefaultBodyLimit::max(limits::HTTP_BODY_BYTES_MAX))
        .with_state(shared)
}

/// A fault as a response.
struct Refusal(Fault);

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self(fault)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (status_of(self.0.code), Json(ErrorBody::from(&self.0))).into_response()
    }
}

fn status_of(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::Unauthorized => StatusCode::UNAUTHORIZED,
        ErrorCode::UnknownTable
        | ErrorCode::UnknownNamespace
        | ErrorCode::UnknownPartition
        | ErrorCode::UnknownOperation
        | ErrorCode::UnknownNode => StatusCode::NOT_FOUND,
        ErrorCode::RequestTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::TableExists
        | ErrorCode::PlanOutdated
        | ErrorCode::PartitionBusy
        | ErrorCode::OperationActive
        | ErrorCode::Unsafe
        | ErrorCode::NoPermit => StatusCode::CONFLICT,
        ErrorCode::Internal | ErrorCode::DataDamaged | ErrorCode::DataUnreadable => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
        ErrorCode::OutcomeUnknown => StatusCode::GATEWAY_TIMEOUT,
        code if code.is_retryable() => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    }
}

async fn require_token(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    match shared.admits(request.headers()) {
        true => next.run(request).await,
        false => Refusal(ErrorCode::Unauthorized.into()).into_response(),
    }
}

/// How long a body may take.
#[derive(Clone, Copy)]
struct BodyTimeout(Duration);

/// A body that is not what the route takes gets the same form of error as everything else.
struct Body<T>(T);

impl<S: Send + Sync, T: serde::de::DeserializeOwned> axum::extract::FromRequest<S> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let limit = request.extensions().get().map_or(limits::HTTP_BODY_TIMEOUT, |BodyTimeout(limit)| *limit);
        let Ok(read) = tokio::time::timeout(limit, Json::<T>::from_request(request, state)).await else {
            let detail = format!("the body did not come within {:.0} s", limit.as_secs_f64());
            return Err(Refusal(Fault::new(ErrorCode::BadArgument, detail)));
        };
        match read {
            Ok(Json(body)) => Ok(Self(body)),
            Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                let detail = format!("a body of over {} bytes", limits::HTTP_BODY_BYTES_MAX);
                Err(Refusal(Fault::new(ErrorCode::RequestTooLarge, detail)))
            }
            Err(rejection) => Err(Refusal(Fault::new(ErrorCode::BadArgument, rejection.body_text()))),
        }
    }
}

/// `None` for a request without a body, whatever it says that the body's type is.
impl<S: Send + Sync, T: serde::de::DeserializeOwned> axum::extract::OptionalFromRequest<S> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Option<Self>, Refusal> {
        if request.body().is_end_stream() {
            return Ok(None);
        }
        <Self as axum::extract::FromRequest<S>>::from_request(request, state).await.map(Some)
    }
}

/// The table that a path names.
struct TablePath {
    namespace: String,
    name: String,
}

impl<S: Send + Sync> axum::extract::FromRequestParts<S> for TablePath {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        match Path::<(String, String)>::from_request_parts(parts, state).await {
            Ok(Path((namespace, name))) => Ok(Self { namespace, name }),
            Err(rejection) => Err(Refusal(Fault::new(ErrorCode::BadArgument, rejection.body_text()))),
        }
    }
}

async fn health(State(shared): State<Shared>) -> Response {
    match shared.admin.ready() {
        Ok(()) => "ready\n".into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

async fn metrics_text(State(shared): State<Shared>) -> Response {
    let mut text = metrics::render(&shared.admin.metrics());
    text.push_str(&metrics::render_labelled(&shared.admin.labelled_metrics()));
    text.push_str(&metrics::render_histograms(&shared.admin.histograms()));
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response()
}

async fn identity(State(shared): State<Shared>) -> Json<Identity> {
    Json(shared.admin.identity())
}

async fn status(State(shared): State<Shared>) -> Result<Json<Status>, Refusal> {
    Ok(Json(shared.admin.status()?))
}

async fn nodes(State(shared): State<Shared>) -> Result<Json<Vec<NodeStatus>>, Refusal> {
    Ok(Json(shared.admin.status()?.nodes))
}

async fn join(State(shared): State<Shared>, Body(wish): Body<JoinNode>) -> Result<Json<Joined>, Refusal> {
    Ok(Json(shared.admin.join(wish).await?))
}

async fn tables(State(shared): State<Shared>) -> Json<Vec<Table>> {
    Json(shared.admin.tables())
}

async fn table(
    State(shared): State<Shared>,
    TablePath { namespace, name }: TablePath,
) -> Result<Json<Table>, Refusal> {
    Ok(Json(shared.admin.table(&namespace, &name)?))
}

async fn create_table(
    State(shared): State<Shared>,
    Body(wish): Body<CreateTable>,
) -> Result<Json<Table>, Refusal> {
    Ok(Json(shared.admin.create_table(wish).await?))
}

async fn drop_table(
    State(shared): State<Shared>,
    TablePath { namespace, name }: TablePath,
) -> Result<Json<serde_json::Value>, Refusal> {
    shared.admin.drop_table(namespace, name).await?;
    Ok(Json(serde_json::json!({})))
}

async fn move_leader(
    State(shared): State<Shared>,
    Body(wish): Body<MoveLeader>,
) -> Result<Json<serde_json::Value>, Refusal> {
    shared.admin.move_leader(wish).await?;
    Ok(Json(serde_json::json!({})))
}

async fn digest(
    State(shared): State<Shared>,
    Body(which): Body<TablePartition>,
) -> Result<Json<DigestReport>, Refusal> {
    Ok(Json(shared.admin.digest(which).await?))
}

async fn not_found(request: Request) -> Response {
    let fault = Fault::new(ErrorCode::BadArgument, format!("there is no {}", request.uri().path()));
    (StatusCode::NOT_FOUND, Json(ErrorBody::from(&fault))).into_response()
}

async fn not_allowed(request: Request) -> Response {
    let detail = format!("{} is not for {}", request.method(), request.uri().path());
    let fault = Fault::new(ErrorCode::BadArgument, detail);
    (StatusCode::METHOD_NOT_ALLOWED, Json(ErrorBody::from(&fault))).into_response()
}
