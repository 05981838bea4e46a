//! What an admin asks on the gateway hosts: the table with its conflicts, and to have all sources refreshed (CONTRACT.md
//! §10).

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::api::extract::Caller;
use crate::api::{ApiState, pages};
use crate::problem::Problem;

/// How long a refresh is waited for.
const REFRESHED_WITHIN: Duration = Duration::from_secs(30);
/// Roughly what one service takes in the report, in bytes.
const SERVICE_SIZE: usize = 512;

/// Every name with where it came from, what is contested, what cannot be used, and how the sources fare.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes what is rendered from the registry's own report")]
pub(in crate::api) struct AdminRoutes {
    /// Whether some source has neither answered nor failed yet.
    loading: bool,
    /// Services with an endpoint: `id`, `prefixes`, `hosts`, `endpoints`, `source`, `provenance`, …
    services: Vec<Value>,
    /// Services of which nobody says where they are: `id`, `source`, `reason`.
    unroutable: Vec<Value>,
    /// Names that were claimed and not given.
    conflicts: Vec<AdminConflict>,
    /// Entries of sources that cannot be used: `source`, `index`, `id`, `reason`.
    rejected: Vec<Value>,
    /// How each source fares: `name`, `last_success`, `last_error`, `failing`, …
    sources: Vec<Value>,
}

/// A name that was claimed and not given.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes what is rendered from the registry's own report")]
struct AdminConflict {
    /// The name: a key, or a whole host.
    name: String,
    /// The service that wanted it.
    service: String,
    /// What it wanted it as: `id`, `subdomain`, `aliases` or `hosts`.
    field: String,
    /// The source that says so.
    source: String,
    /// The service that has it; `null` when the gateway keeps it for itself.
    #[schema(required)]
    winner: Option<String>,
    /// The winner's source.
    #[schema(required)]
    winner_source: Option<String>,
}

/// How a refresh went.
#[derive(Serialize, ToSchema)]
struct Refreshed {
    /// Whether every source gave a list, or said that its list has not changed, within 30 s.
    success: bool,
    /// Services in the table now.
    services: usize,
    /// Contested names in it.
    conflicts: usize,
    /// Sources whose last attempt failed; their last good lists stay.
    failing: Vec<String>,
    /// Whether some source was still not heard of after 30 s.
    timed_out: bool,
}

/// The table in force.
#[utoipa::path(get, path = "/api/admin/routes", operation_id = "admin_routes", tag = "admin",
    security(("apiKey" = ["admin"])),
    responses((status = 200, body = AdminRoutes))
)]
pub(in crate::api) async fn routes(State(state): State<ApiState>, Caller(caller): Caller) -> Result<Response, Problem> {
    let turn = state.pages.turn(&caller.key_id).await?;
    let report = state.routes.clone();
    let report = tokio::task::spawn_blocking(move || report()).await.map_err(|_| Problem::internal())?;
    let size = SERVICE_SIZE * (1 + report.services.len());
    pages::json(turn, size, report).await
}

/// Has every source refreshed, and answers when that is published.
#[utoipa::path(post, path = "/api/admin/refresh-discovery", operation_id = "refresh_discovery", tag = "admin",
    security(("apiKey" = ["admin"])),
    responses((status = 200, body = Refreshed))
)]
pub(in crate::api) async fn refresh_discovery(State(state): State<ApiState>) -> Result<Response, Problem> {
    let timed_out = tokio::time::timeout(REFRESHED_WITHIN, state.registry.refresh_now()).await.is_err();
    let report = state.routes.clone();
    let report = tokio::task::spawn_blocking(move || report()).await.map_err(|_| Problem::internal())?;
    let failing: Vec<_> =
        report.sources.iter().filter(|source| source.failing).map(|source| source.name.to_string()).collect();
    let answer = Refreshed {
        success: failing.is_empty() && !timed_out,
        services: report.services.len() + report.unroutable.len(),
        conflicts: report.conflicts.len(),
        failing,
        timed_out,
    };
    Ok(Json(answer).into_response())
}
