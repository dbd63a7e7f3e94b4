//! Schedules of backups, as `api::saving` describes them.

use std::sync::Arc;

use api::saving::{Schedule, SetSchedule};
use axum::extract::State;
use axum::routing::{get, put};
use axum::{Json, Router};
use types::{ErrorCode, Fault};

use super::operations::Named;
use super::{Answer, Body, Refusal, Shared};

/// What a node must answer about schedules. One that does not replicate the catalog refuses with `not-meta`, and names
/// one that does.
pub trait Schedules: Send + Sync + 'static {
    /// All schedules, by name.
    fn schedules(&self) -> Result<Vec<Schedule>, Fault>;
    /// Makes or changes a schedule.
    fn set_schedule(&self, name: String, wish: SetSchedule) -> Answer<Schedule>;
    /// Removes a schedule; its backups stay.
    fn remove_schedule(&self, name: String) -> Answer<()>;
}

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/schedules", get(list)).route("/schedules/{name}", put(set).delete(remove))
}

fn schedules(shared: &Shared) -> Result<Arc<dyn Schedules>, Refusal> {
    let none = || Refusal(Fault::new(ErrorCode::VersionUnsupported, "this node knows no schedules"));
    shared.admin.schedules().ok_or_else(none)
}

async fn list(State(shared): State<Shared>) -> Result<Json<Vec<Schedule>>, Refusal> {
    Ok(Json(schedules(&shared)?.schedules()?))
}

async fn set(
    State(shared): State<Shared>,
    Named(name): Named<String>,
    Body(wish): Body<SetSchedule>,
) -> Result<Json<Schedule>, Refusal> {
    Ok(Json(schedules(&shared)?.set_schedule(name, wish).await?))
}

async fn remove(
    State(shared): State<Shared>,
    Named(name): Named<String>,
) -> Result<Json<serde_json::Value>, Refusal> {
    schedules(&shared)?.remove_schedule(name).await?;
    Ok(Json(serde_json::json!({})))
}
