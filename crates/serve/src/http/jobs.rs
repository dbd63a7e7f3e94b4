//! Barriers, holds, jobs and the archive: what backups and restores ask of nodes, as `api::job` and `api::archive`
//! describe it.

use std::sync::Arc;

use api::archive::{ArchiveReport, ArchiveWish};
use api::job::{BarrierReport, BarrierWish, JobStatus, JobWish, KeyCount};
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use bytes::Bytes;
use types::{ErrorCode, Fault, limits};

use super::{Answer, Body, Refusal, Shared, TablePath};

/// What a node must answer about backups and restores.
pub trait Jobs: Send + Sync + 'static {
    /// One point in time of some tables.
    fn barrier(&self, wish: BarrierWish) -> Answer<BarrierReport>;
    /// The states at somebody's barrier are needed for another while.
    fn keep(&self, id: &str) -> Result<(), Fault>;
    /// They are not.
    fn release(&self, id: &str) -> Result<(), Fault>;
    /// Starts a job here, or tells how far the one of this name is.
    fn start(&self, wish: JobWish) -> Result<JobStatus, Fault>;
    /// How far a job is.
    fn status(&self, name: &str) -> JobStatus;
    /// Ends a job if it runs, and forgets it.
    fn end(&self, name: &str);
    /// A page of what a job hands out; nothing after the last.
    fn page(&self, name: &str, number: u64) -> Answer<Option<Bytes>>;
    /// Writes contents into a table: an `api::kv::Import`, answered by an `api::kv::Imported`.
    fn import(&self, namespace: &str, name: &str, body: Bytes) -> Answer<Bytes>;
    /// How many keys a table has.
    fn count(&self, namespace: &str, name: &str) -> Answer<KeyCount>;
    /// Begins the archive of changes.
    fn begin_archive(&self, wish: ArchiveWish) -> Answer<ArchiveReport>;
    /// Ends it.
    fn end_archive(&self) -> Answer<()>;
    /// How far it is, as far as this node writes it.
    fn archive(&self) -> ArchiveReport;
    /// The catalog as a file: see `catalog::saved`.
    fn catalog(&self) -> Answer<Bytes>;
}

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/barrier", post(barrier))
        .route("/holds/{id}/keep", post(keep))
        .route("/holds/{id}", delete(release))
        .route("/jobs", post(start))
        .route("/jobs/{name}", get(status).delete(end))
        .route("/jobs/{name}/pages/{number}", get(page))
        .route("/tables/{namespace}/{name}/keys", get(count))
        .route("/catalog/records", get(catalog))
        .route("/archive", get(archive).post(begin_archive).delete(end_archive))
        .route(
            "/tables/{namespace}/{name}/contents",
            post(import).layer(DefaultBodyLimit::max(CONTENTS_BYTES_MAX)),
        )
}

/// Most bytes of contents at once: what one partition takes in a command.
const CONTENTS_BYTES_MAX: usize = limits::COMMAND_PART_BYTES_MAX;

type Reply<T> = Result<Json<T>, Refusal>;

fn jobs(shared: &Shared) -> Result<Arc<dyn Jobs>, Refusal> {
    let none = || Refusal(Fault::new(ErrorCode::VersionUnsupported, "this node does no jobs"));
    shared.admin.jobs().ok_or_else(none)
}

fn nothing() -> Json<serde_json::Value> {
    Json(serde_json::json!({}))
}

async fn barrier(State(shared): State<Shared>, Body(wish): Body<BarrierWish>) -> Reply<BarrierReport> {
    Ok(Json(jobs(&shared)?.barrier(wish).await?))
}

async fn keep(State(shared): State<Shared>, Path(id): Path<String>) -> Reply<serde_json::Value> {
    jobs(&shared)?.keep(&id)?;
    Ok(nothing())
}

async fn release(State(shared): State<Shared>, Path(id): Path<String>) -> Reply<serde_json::Value> {
    jobs(&shared)?.release(&id)?;
    Ok(nothing())
}

async fn start(State(shared): State<Shared>, Body(wish): Body<JobWish>) -> Reply<JobStatus> {
    Ok(Json(jobs(&shared)?.start(wish)?))
}

async fn status(State(shared): State<Shared>, Path(name): Path<String>) -> Reply<JobStatus> {
    Ok(Json(jobs(&shared)?.status(&name)))
}

async fn end(State(shared): State<Shared>, Path(name): Path<String>) -> Reply<serde_json::Value> {
    jobs(&shared)?.end(&name);
    Ok(nothing())
}

async fn count(State(shared): State<Shared>, TablePath { namespace, name }: TablePath) -> Reply<KeyCount> {
    Ok(Json(jobs(&shared)?.count(&namespace, &name).await?))
}

async fn begin_archive(State(shared): State<Shared>, Body(wish): Body<ArchiveWish>) -> Reply<ArchiveReport> {
    Ok(Json(jobs(&shared)?.begin_archive(wish).await?))
}

async fn end_archive(State(shared): State<Shared>) -> Reply<serde_json::Value> {
    jobs(&shared)?.end_archive().await?;
    Ok(nothing())
}

async fn archive(State(shared): State<Shared>) -> Reply<ArchiveReport> {
    Ok(Json(jobs(&shared)?.archive()))
}

async fn catalog(State(shared): State<Shared>) -> Result<Response, Refusal> {
    Ok(jobs(&shared)?.catalog().await?.into_response())
}

async fn page(
    State(shared): State<Shared>,
    Path((name, number)): Path<(String, u64)>,
) -> Result<Response, Refusal> {
    Ok(match jobs(&shared)?.page(&name, number).await? {
        Some(page) => page.into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    })
}

async fn import(
    State(shared): State<Shared>,
    TablePath { namespace, name }: TablePath,
    body: Bytes,
) -> Result<Response, Refusal> {
    Ok(jobs(&shared)?.import(&namespace, &name, body).await?.into_response())
}
