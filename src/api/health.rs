//! `GET /health`, `GET /api/health`, `GET /api/v1/status`: 200 as long as the daemon answers at all (CONTRACT.md §1).
//! What is not as it should be stands in `degraded`.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::document::fresh;
use super::event::SSE;
use super::registry::SERVICES;
use super::service::STATUS;
use super::task::TASKS;
use super::{ApiState, now};

/// Paths under which the parts of this gateway are found; `null` = not served.
#[derive(Serialize, ToSchema)]
#[schema(as = GatewayPaths)]
struct Endpoints {
    api: &'static str,
    tasks: &'static str,
    discovery: &'static str,
    health: &'static str,
    services: &'static str,
    service_status: &'static str,
    openapi: &'static str,
    mcp: Option<&'static str>,
    mcp_manifest: &'static str,
    sse: Option<&'static str>,
}

const ENDPOINTS: Endpoints = Endpoints {
    api: "/api/*",
    tasks: TASKS,
    discovery: "/.well-known/chitty.json",
    health: "/health",
    services: SERVICES,
    service_status: STATUS,
    openapi: "/openapi.json",
    mcp: None,
    mcp_manifest: "/mcp/manifest",
    sse: Some(SSE),
};

#[derive(Serialize, ToSchema)]
struct Health {
    /// `ok` (`/health`) or `healthy` (`/api/health`).
    status: &'static str,
    service: &'static str,
    version: &'static str,
    /// RFC 3339, milliseconds, UTC.
    timestamp: String,
    /// What is not as it should be, a line each; empty when all is well.
    degraded: Vec<String>,
    endpoints: Endpoints,
}

#[derive(Serialize, ToSchema)]
struct Identity {
    status: &'static str,
    service: &'static str,
    version: &'static str,
    /// RFC 3339, milliseconds, UTC.
    timestamp: String,
}

/// The service's name in every answer.
pub(super) const SERVICE: &str = "chittyconnect";
/// The version in every answer.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

fn condition(state: &ApiState, status: &'static str) -> Response {
    fresh(&Health {
        status,
        service: SERVICE,
        version: VERSION,
        timestamp: now(),
        degraded: (state.degraded)(),
        endpoints: ENDPOINTS,
    })
}

/// Whether the gateway answers, and what is degraded.
#[utoipa::path(get, path = "/health", tag = "health", responses((status = 200, body = Health)))]
pub(super) async fn health(State(state): State<ApiState>) -> Response {
    condition(&state, "ok")
}

/// The same for GPT actions.
#[utoipa::path(get, path = "/api/health", tag = "health", responses((status = 200, body = Health)))]
pub(super) async fn api_health(State(state): State<ApiState>) -> Response {
    condition(&state, "healthy")
}

/// Name, version and time.
#[utoipa::path(get, path = "/api/v1/status", tag = "health", responses((status = 200, body = Identity)))]
pub(super) async fn status() -> Response {
    fresh(&Identity { status: "ok", service: SERVICE, version: VERSION, timestamp: now() })
}
