//! `/api/services/status`: how services fare, as they were last found in the background (CONTRACT.md §5).
//!
//! | request | answer |
//! |---|---|
//! | `GET /api/services/status` | 200 `{services: {<id>: …}}` |
//! | `GET /api/services/{id}/status` | 200; 404 `Service not found` |
//!
//! Both also under `/api/v1`. Nobody is asked on a request.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use utoipa::ToSchema;

use super::ApiState;
use super::registry::{key_of, no_such_service};
use crate::problem::Problem;
use crate::registry::health::ServiceStatus;

/// Where the status of all services is.
pub(super) const STATUS: &str = "/api/services/status";

/// Every service by its id.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes what is rendered in the background")]
pub(super) struct ServiceStatuses {
    services: BTreeMap<String, ServiceStatus>,
}

/// How every service fares. Rendered in the background; at the most a few seconds behind what is known.
#[utoipa::path(get, path = "/api/services/status", operation_id = "list_service_status", tag = "services",
    security(("apiKey" = [])),
    responses((status = 200, body = ServiceStatuses))
)]
pub(super) async fn list(State(state): State<ApiState>) -> Response {
    all(&state)
}

/// The same as `/api/services/status`.
#[utoipa::path(get, path = "/api/v1/services/status", operation_id = "list_service_status_v1", tag = "services",
    security(("apiKey" = [])),
    responses((status = 200, body = ServiceStatuses))
)]
pub(super) async fn list_v1(State(state): State<ApiState>) -> Response {
    all(&state)
}

fn all(state: &ApiState) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], state.health.list()).into_response()
}

/// How one service fares, by its id, its subdomain or an alias.
#[utoipa::path(get, path = "/api/services/{id}/status", operation_id = "get_service_status", tag = "services",
    security(("apiKey" = [])),
    params(("id" = String, Path, min_length = 1, max_length = 63, pattern = "^[A-Za-z0-9-]+$",
            description = "id, subdomain or alias")),
    responses((status = 200, body = ServiceStatus), (status = 400, description = "`bad_path`: dots and slashes that are encoded inside a segment"),
        (status = 404, description = "`Service not found`"))
)]
pub(super) async fn get(
    State(state): State<ApiState>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    one(&state, id)
}

/// The same as `/api/services/{id}/status`.
#[utoipa::path(get, path = "/api/v1/services/{id}/status", operation_id = "get_service_status_v1", tag = "services",
    security(("apiKey" = [])),
    params(("id" = String, Path, min_length = 1, max_length = 63, pattern = "^[A-Za-z0-9-]+$",
            description = "id, subdomain or alias")),
    responses((status = 200, body = ServiceStatus), (status = 400, description = "`bad_path`: dots and slashes that are encoded inside a segment"),
        (status = 404, description = "`Service not found`"))
)]
pub(super) async fn get_v1(
    State(state): State<ApiState>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    one(&state, id)
}

fn one(state: &ApiState, id: Result<Path<String>, PathRejection>) -> Result<Response, Problem> {
    let key = key_of(id)?;
    let status = state.health.status(&key).ok_or_else(|| no_such_service(&key))?;
    Ok(Json(status).into_response())
}
