//! Services that register themselves (REGISTRY.md §3), on the gateway hosts and those of `gateway.register`.
//!
//! | request | answer |
//! |---|---|
//! | `POST /api/register`, `/api/services/register` | 201 `{success, registered, service, expires_at}` |
//! | `POST /api/v1/register` | 201 `{success, message, serviceName, …}` |
//! | `POST /api/v1/tools` | 201 `{success, tool, …}` |
//! | `PATCH /api/services/{id}/status` | 200 `{success, service, status, expires_at}` |
//! | `POST /api/services/{id}/heartbeat` | 200 `{success, service, expires_at}` |
//! | `DELETE /api/services/{id}` | 200 `{success, service}` |
//!
//! A name is its first registrant's: for others it is taken, and what they would change of it does not exist.

mod body;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use self::body::{ServiceEntry, StatusChange};
use super::ApiState;
use super::extract::{Caller, whole};
use super::registry::key_of;
use crate::auth::Principal;
use crate::model::key::Scope;
use crate::model::time::Time;
use crate::problem::Problem;
use crate::registry::listed::ListedService;

/// Largest body, in bytes: all entries are kept in memory.
const MAX_BODY: usize = 16 * 1024;

type Answer = Result<Response, Problem>;
type InPath = Result<Path<String>, PathRejection>;

/// A service is registered.
#[derive(Serialize, ToSchema)]
struct ServiceRegistered {
    success: bool,
    /// The name that it is registered and routed under.
    registered: String,
    service: ListedService,
    /// Until when it is listed, unless it is heard of: RFC 3339, milliseconds, UTC.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Time,
}

/// A service is registered.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct NamedServiceRegistered {
    success: bool,
    message: String,
    /// The name that it is registered and routed under.
    service_name: String,
    service: ListedService,
    /// Until when it is listed, unless it is heard of: RFC 3339, milliseconds, UTC.
    #[serde(rename = "expires_at")]
    #[schema(value_type = String, format = DateTime)]
    expires_at: Time,
}

/// A service is registered.
#[derive(Serialize, ToSchema)]
struct ToolRegistered {
    success: bool,
    tool: ListedService,
    /// Until when it is listed, unless it is heard of: RFC 3339, milliseconds, UTC.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Time,
}

/// A service was heard of.
#[derive(Serialize, ToSchema)]
struct ServiceHeard {
    success: bool,
    service: String,
    /// Until when it is listed, unless it is heard of again: RFC 3339, milliseconds, UTC.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Time,
}

/// A service's status is changed.
#[derive(Serialize, ToSchema)]
struct StatusChanged {
    success: bool,
    service: String,
    status: String,
    /// Until when it is listed, unless it is heard of: RFC 3339, milliseconds, UTC.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Time,
}

/// A service is registered no more.
#[derive(Serialize, ToSchema)]
struct ServiceGone {
    success: bool,
    service: String,
}

struct Made {
    service: ListedService,
    expires_at: Time,
}

async fn make(state: &ApiState, caller: Principal, request: Request) -> Result<Made, Problem> {
    let attempt = async {
        let (parts, body) = request.into_parts();
        let body = whole(&parts.headers, body, MAX_BODY).await?;
        let entry = body::entry(&body)?;
        let made = state.registrar.register(caller.chitty_id, entry).await?;
        let service = ListedService::declared(&made.declaration);
        Ok(Made { service, expires_at: made.registration.expires_at })
    };
    attempt.await.map_err(Problem::of_registration)
}

/// Registers a service, or anew if it is the caller's already. It is routed to as soon as this is answered.
#[utoipa::path(post, path = "/api/register", operation_id = "register", tag = "registration",
    security(("apiKey" = ["registry:write"])),
    request_body = ServiceEntry,
    responses(
        (status = 201, body = ServiceRegistered),
        (status = 400, description = "`bad_request`: no service can be made of the body; `details` says why"),
        (status = 404, description = "`not_found`: no embedded registry is configured"),
        (status = 408, description = "`request_timeout`: the body took more than a minute"),
        (status = 409, description = "`name_taken`: the name is another owner's, or of a service that another source names; `too_many_registrations`"),
        (status = 413, description = "`body_too_large`: the body has more than 16 KiB"),
        (status = 415, description = "`unsupported_media_type`: the body has a Content-Encoding"),
    )
)]
pub(super) async fn register(State(state): State<ApiState>, Caller(caller): Caller, request: Request) -> Answer {
    make(&state, caller, request).await.map(registered)
}

/// The same as `/api/register`.
#[utoipa::path(post, path = "/api/services/register", operation_id = "register_service", tag = "registration",
    security(("apiKey" = ["registry:write"])),
    request_body = ServiceEntry,
    responses(
        (status = 201, body = ServiceRegistered),
        (status = 400, description = "`bad_request`: no service can be made of the body; `details` says why"),
        (status = 404, description = "`not_found`: no embedded registry is configured"),
        (status = 408, description = "`request_timeout`: the body took more than a minute"),
        (status = 409, description = "`name_taken`: the name is another owner's, or of a service that another source names; `too_many_registrations`"),
        (status = 413, description = "`body_too_large`: the body has more than 16 KiB"),
        (status = 415, description = "`unsupported_media_type`: the body has a Content-Encoding"),
    )
)]
pub(super) async fn register_service(
    State(state): State<ApiState>,
    Caller(caller): Caller,
    request: Request,
) -> Answer {
    make(&state, caller, request).await.map(registered)
}

fn registered(made: Made) -> Response {
    let Made { service, expires_at } = made;
    let registered = service.id().to_owned();
    (StatusCode::CREATED, Json(ServiceRegistered { success: true, registered, service, expires_at })).into_response()
}

/// The same as `/api/register`, answered as clients of this path expect.
#[utoipa::path(post, path = "/api/v1/register", operation_id = "register_v1", tag = "registration",
    security(("apiKey" = ["registry:write"])),
    request_body = ServiceEntry,
    responses(
        (status = 201, body = NamedServiceRegistered),
        (status = 400, description = "`bad_request`: no service can be made of the body; `details` says why"),
        (status = 404, description = "`not_found`: no embedded registry is configured"),
        (status = 408, description = "`request_timeout`: the body took more than a minute"),
        (status = 409, description = "`name_taken`: the name is another owner's, or of a service that another source names; `too_many_registrations`"),
        (status = 413, description = "`body_too_large`: the body has more than 16 KiB"),
        (status = 415, description = "`unsupported_media_type`: the body has a Content-Encoding"),
    )
)]
pub(super) async fn register_v1(State(state): State<ApiState>, Caller(caller): Caller, request: Request) -> Answer {
    let Made { service, expires_at } = make(&state, caller, request).await?;
    let service_name = service.id().to_owned();
    let message = format!("{service_name} is registered");
    let answer = NamedServiceRegistered { success: true, message, service_name, service, expires_at };
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

/// The same as `/api/register`, answered as clients of this path expect.
#[utoipa::path(post, path = "/api/v1/tools", operation_id = "register_tool", tag = "registration",
    security(("apiKey" = ["registry:write"])),
    request_body = ServiceEntry,
    responses(
        (status = 201, body = ToolRegistered),
        (status = 400, description = "`bad_request`: no service can be made of the body; `details` says why"),
        (status = 404, description = "`not_found`: no embedded registry is configured"),
        (status = 408, description = "`request_timeout`: the body took more than a minute"),
        (status = 409, description = "`name_taken`: the name is another owner's, or of a service that another source names; `too_many_registrations`"),
        (status = 413, description = "`body_too_large`: the body has more than 16 KiB"),
        (status = 415, description = "`unsupported_media_type`: the body has a Content-Encoding"),
    )
)]
pub(super) async fn register_tool(State(state): State<ApiState>, Caller(caller): Caller, request: Request) -> Answer {
    let Made { service, expires_at } = make(&state, caller, request).await?;
    Ok((StatusCode::CREATED, Json(ToolRegistered { success: true, tool: service, expires_at })).into_response())
}

/// States the lifecycle status of a service that the caller registered. How long it is listed stays.
#[utoipa::path(patch, path = "/api/services/{id}/status", operation_id = "change_service_status", tag = "registration",
    security(("apiKey" = ["registry:write"])),
    params(("id" = String, Path, min_length = 1, max_length = 63, pattern = "^[A-Za-z0-9-]+$",
        description = "the name that the service is registered under")),
    request_body = StatusChange,
    responses(
        (status = 200, body = StatusChanged),
        (status = 400, description = "`bad_request`; `bad_path`: dots and slashes that are encoded inside a segment"),
        (status = 404, description = "`Service not found`: the caller registered no service of this name; `not_found`: no embedded registry is configured"),
        (status = 408, description = "`request_timeout`: the body took more than a minute"),
        (status = 413, description = "`body_too_large`: the body has more than 16 KiB"),
        (status = 415, description = "`unsupported_media_type`: the body has a Content-Encoding"),
    )
)]
pub(super) async fn change_status(
    State(state): State<ApiState>,
    Caller(caller): Caller,
    id: InPath,
    request: Request,
) -> Answer {
    let name = key_of(id)?;
    let (parts, body) = request.into_parts();
    let change = StatusChange::read(&whole(&parts.headers, body, MAX_BODY).await?)?;
    let status = change.status.clone();
    let changed = state.registrar.amend(&caller.chitty_id, &name, change.into_members()).await?;
    let (service, expires_at) = (name.to_string(), changed.expires_at);
    Ok(Json(StatusChanged { success: true, service, status, expires_at }).into_response())
}

/// Says that a service that the caller registered is there. One that was listed no more is listed again. A body is
/// ignored.
#[utoipa::path(post, path = "/api/services/{id}/heartbeat", operation_id = "heartbeat", tag = "registration",
    security(("apiKey" = ["registry:write"])),
    params(("id" = String, Path, min_length = 1, max_length = 63, pattern = "^[A-Za-z0-9-]+$",
        description = "the name that the service is registered under")),
    responses(
        (status = 200, body = ServiceHeard),
        (status = 400, description = "`bad_path`: dots and slashes that are encoded inside a segment"),
        (status = 404, description = "`Service not found`: the caller registered no service of this name; `not_found`: no embedded registry is configured"),
    )
)]
pub(super) async fn heartbeat(State(state): State<ApiState>, Caller(caller): Caller, id: InPath) -> Answer {
    let name = key_of(id)?;
    let heard = state.registrar.heartbeat(&caller.chitty_id, &name).await?;
    Ok(Json(ServiceHeard { success: true, service: name.to_string(), expires_at: heard.expires_at }).into_response())
}

/// Takes a service off the list and gives up its name. An admin may do so with anybody's.
#[utoipa::path(delete, path = "/api/services/{id}", operation_id = "unregister", tag = "registration",
    security(("apiKey" = ["registry:write"])),
    params(("id" = String, Path, min_length = 1, max_length = 63, pattern = "^[A-Za-z0-9-]+$",
        description = "the name that the service is registered under")),
    responses(
        (status = 200, body = ServiceGone),
        (status = 400, description = "`bad_path`: dots and slashes that are encoded inside a segment"),
        (status = 404, description = "`Service not found`: the caller registered no service of this name; `not_found`: no embedded registry is configured"),
    )
)]
pub(super) async fn unregister(State(state): State<ApiState>, Caller(caller): Caller, id: InPath) -> Answer {
    let name = key_of(id)?;
    let owner = (!caller.has(Scope::Admin)).then_some(&caller.chitty_id);
    state.registrar.unregister(owner, &name).await?;
    Ok(Json(ServiceGone { success: true, service: name.to_string() }).into_response())
}

#[cfg(test)]
mod tests {
    use crate::api::access::operations;
    use crate::api::described;
    use crate::route::registration::is_registration;

    #[test]
    fn a_host_for_registration_answers_every_path_of_it_and_nothing_else() {
        for (path, item) in &described().paths.paths {
            let is_tagged = |tags: &[String]| tags.iter().any(|tag| tag == "registration");
            let tagged =
                operations(item).any(|(_, operation)| is_tagged(operation.tags.as_deref().unwrap_or_default()));
            assert_eq!(is_registration(path.replace("{id}", "x").as_bytes()), tagged, "{path}");
        }
    }
}
