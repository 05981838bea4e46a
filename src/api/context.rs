//! `/api/context/*` and `/api/v1/context/*`: what sessions work with, and what was synchronised into them (CONTRACT.md §3).
//!
//! | request | answer |
//! |---|---|
//! | `POST files/set-active` | 200 `{ok, count}` |
//! | `POST files/sync-report` | 200 `{ok, count, eventId}` |
//! | `POST sync` | 200 `{ok, accepted, eventId, sessionId, eventCount}` |
//! | `GET files` | 200 `{ok, files, count, next_cursor}` |
//! | `GET sync-events` | 200 `{ok, events, count, next_cursor}` |
//!
//! All of them are under both prefixes. One bad item of a list is 400 naming its index, and nothing of the list is kept.

mod answer;
mod body;
mod query;

use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::response::{IntoResponse, Response};
use http::request::Parts;

use super::extract::{Caller, whole};
use super::{ApiState, pages};
use crate::auth::Principal;
use crate::auth::cf_access::Trusted;
use crate::problem::Problem;
use answer::{FileList, FilesReported, FilesSet, SessionTakenIn, SyncEventList};
use body::{ReportSync, SetActiveFiles, SyncSession};

/// Where the active set of files is replaced.
pub(super) const SET_ACTIVE: &str = "/api/context/files/set-active";
/// Where files are reported.
pub(super) const SYNC_REPORT: &str = "/api/context/files/sync-report";
/// Largest body of a request, in bytes: what it becomes has to fit into one value of the store, which is 1 MiB.
const MAX_BODY: usize = 768 * 1024;

type Answer = Result<Response, Problem>;

/// Has the active files of a session be exactly these; `[]`, or no files at all, clears them.
#[utoipa::path(post, path = "/api/context/files/set-active", operation_id = "set_active_files", tag = "context",
    security(("apiKey" = ["context:write"])),
    request_body = SetActiveFiles,
    responses(
        (status = 200, body = FilesSet),
        (status = 400, description = "`invalid_request`, naming the index of a bad item; `bad_json`"),
        (status = 408, description = "`request_timeout`: the body took more than a minute"),
        (status = 409, description = "`too_many_files`: a session knows 20,000 at the most"),
        (status = 413, description = "`body_too_large`: the body has more than 768 KiB, or metadata more than 64 KiB"),
        (status = 415, description = "`unsupported_media_type`: the body has a Content-Encoding"),
    )
)]
pub(super) async fn set_active(State(state): State<ApiState>, Caller(caller): Caller, request: Request) -> Answer {
    let (_, body) = read(request).await?;
    let (session, files) = SetActiveFiles::read(&body, &caller)?;
    let count = state.store.set_active_files(place(&caller, session), files).await?;
    Ok(Json(FilesSet { ok: true, count }).into_response())
}

/// The same as `/api/context/files/set-active`.
#[utoipa::path(post, path = "/api/v1/context/files/set-active", operation_id = "set_active_files_v1", tag = "context",
    security(("apiKey" = ["context:write"])),
    request_body = SetActiveFiles,
    responses(
        (status = 200, body = FilesSet),
        (status = 400, description = "`invalid_request`, naming the index of a bad item; `bad_json`"),
        (status = 408, description = "`request_timeout`"),
        (status = 409, description = "`too_many_files`"),
        (status = 413, description = "`body_too_large`"),
        (status = 415, description = "`unsupported_media_type`"),
    )
)]
pub(super) async fn set_active_v1(state: State<ApiState>, caller: Caller, request: Request) -> Answer {
    set_active(state, caller, request).await
}

/// Keeps a report of synchronised files, which are in the context of the key's session from then on.
#[utoipa::path(post, path = "/api/context/files/sync-report", operation_id = "report_sync", tag = "context",
    security(("apiKey" = ["context:write"])),
    request_body = ReportSync,
    responses(
        (status = 200, body = FilesReported),
        (status = 400, description = "`invalid_request`, naming the index of a bad item; `bad_json`"),
        (status = 408, description = "`request_timeout`: the body took more than a minute"),
        (status = 409, description = "`too_many_files`: a session knows 20,000 at the most"),
        (status = 413, description = "`body_too_large`: the body has more than 768 KiB"),
        (status = 415, description = "`unsupported_media_type`: the body has a Content-Encoding"),
    )
)]
pub(super) async fn report(State(state): State<ApiState>, Caller(caller): Caller, request: Request) -> Answer {
    let (_, body) = read(request).await?;
    let report = ReportSync::read(&body, &caller)?;
    let (count, source) = (report.files.len(), report.source.clone());
    let session = caller.session_id.clone();
    let id = state.store.report_sync(place(&caller, session), report).await?;
    state.metrics.synced(&source);
    Ok(Json(FilesReported { ok: true, count, event_id: id.to_string() }).into_response())
}

/// The same as `/api/context/files/sync-report`.
#[utoipa::path(post, path = "/api/v1/context/files/sync-report", operation_id = "report_sync_v1", tag = "context",
    security(("apiKey" = ["context:write"])),
    request_body = ReportSync,
    responses(
        (status = 200, body = FilesReported),
        (status = 400, description = "`invalid_request`, naming the index of a bad item; `bad_json`"),
        (status = 408, description = "`request_timeout`"),
        (status = 409, description = "`too_many_files`"),
        (status = 413, description = "`body_too_large`"),
        (status = 415, description = "`unsupported_media_type`"),
    )
)]
pub(super) async fn report_v1(state: State<ApiState>, caller: Caller, request: Request) -> Answer {
    report(state, caller, request).await
}

/// Takes in a session's events from elsewhere, and keeps them.
#[utoipa::path(post, path = "/api/context/sync", operation_id = "sync_session", tag = "context",
    security(("apiKey" = ["context:write"])),
    request_body = SyncSession,
    responses(
        (status = 200, body = SessionTakenIn),
        (status = 400, description = "`invalid_request` with `INVALID_SESSION_INGEST_PAYLOAD`; `bad_json`"),
        (status = 408, description = "`request_timeout`: the body took more than a minute"),
        (status = 413, description = "`body_too_large`: the body has more than 768 KiB"),
        (status = 415, description = "`unsupported_media_type`: the body has a Content-Encoding"),
    )
)]
pub(super) async fn sync(State(state): State<ApiState>, Caller(caller): Caller, request: Request) -> Answer {
    let (_, body) = read(request).await.map_err(body::as_sync)?;
    take_in(&state, &body, Some(&caller)).await
}

/// The same as `/api/context/sync`; without a key also for a service with the pair of `auth.cf_access`, which then says in
/// `chitty_id` whose session it is.
#[utoipa::path(post, path = "/api/v1/context/sync", operation_id = "sync_session_v1", tag = "context",
    security(("apiKey" = ["context:write"]), ("cfAccess" = [])),
    request_body = SyncSession,
    responses(
        (status = 200, body = SessionTakenIn),
        (status = 400, description = "`invalid_request` with `INVALID_SESSION_INGEST_PAYLOAD`; `bad_json`"),
        (status = 408, description = "`request_timeout`"),
        (status = 413, description = "`body_too_large`"),
        (status = 415, description = "`unsupported_media_type`"),
    )
)]
pub(super) async fn sync_v1(
    State(state): State<ApiState>,
    caller: Option<Extension<Principal>>,
    trusted: Option<Extension<Trusted>>,
    request: Request,
) -> Answer {
    let (_, body) = read(request).await.map_err(body::as_sync)?;
    match (caller, trusted) {
        (Some(Extension(caller)), _) => take_in(&state, &body, Some(&caller)).await,
        (None, Some(_)) => take_in(&state, &body, None).await,
        (None, None) => Err(Problem::internal()),
    }
}

/// `caller` is `None` for a trusted service, which names its tenant in the body.
async fn take_in(state: &ApiState, body: &[u8], caller: Option<&Principal>) -> Answer {
    let (place, ingest) = SyncSession::read(body, caller)?;
    let (session_id, event_count) = (place.session_id.to_string(), ingest.count);
    let event_id = state.store.ingest(place, ingest).await?.to_string();
    state.metrics.synced("session");
    Ok(Json(SessionTakenIn { ok: true, accepted: true, event_id, session_id, event_count }).into_response())
}

/// Lists the files that a session knows: those of the active set first, the last heard of first.
#[utoipa::path(get, path = "/api/context/files", operation_id = "list_files", tag = "context",
    security(("apiKey" = ["context:read"])),
    params(
        ("session_id" = Option<String>, Query, pattern = "^([A-Za-z0-9][A-Za-z0-9._-]{0,127})?$", description = "default: the key's session"),
        ("active" = Option<String>, Query, pattern = "^(true|false)?$", description = "true: the active set; false: the others; default: both"),
        ("limit" = Option<u64>, Query, minimum = 0, description = "files at the most; default 50, at the most 1000"),
        ("cursor" = Option<String>, Query, pattern = "^(AQ[A-Za-z0-9_-]{54})?$", description = "next_cursor of the page before"),
    ),
    responses((status = 200, body = FileList), (status = 400, description = "`invalid_request`"))
)]
pub(super) async fn files(State(state): State<ApiState>, Caller(caller): Caller, request: Request) -> Answer {
    let query = query::files(request.uri().query().unwrap_or_default(), &caller)?;
    let turn = state.pages.turn(&caller.key_id).await?;
    let page = state.store.list_files(query).await?;
    let size = page.bytes;
    let answer = FileList {
        ok: true,
        count: page.files.len(),
        files: page.files.into_iter().map(Into::into).collect(),
        next_cursor: page.next.map(query::file_cursor),
    };
    pages::json(turn, size, answer).await
}

/// Lists what was synchronised into a session, with what was given, the last first.
#[utoipa::path(get, path = "/api/context/sync-events", operation_id = "list_sync_events", tag = "context",
    security(("apiKey" = ["context:read"])),
    params(
        ("session_id" = Option<String>, Query, pattern = "^([A-Za-z0-9][A-Za-z0-9._-]{0,127})?$", description = "default: the key's session"),
        ("type" = Option<String>, Query, pattern = "^(sync-report|SESSION_INGEST)?$", description = "of this kind; default: of every kind"),
        ("limit" = Option<u64>, Query, minimum = 0, description = "events at the most; default 50, at the most 1000"),
        ("cursor" = Option<String>, Query, pattern = "^(AQ[A-Za-z0-9_-]{10})?$", description = "next_cursor of the page before"),
    ),
    responses((status = 200, body = SyncEventList), (status = 400, description = "`invalid_request`"))
)]
pub(super) async fn sync_events(State(state): State<ApiState>, Caller(caller): Caller, request: Request) -> Answer {
    let query = query::sync_events(request.uri().query().unwrap_or_default(), &caller)?;
    let turn = state.pages.turn(&caller.key_id).await?;
    let page = state.store.list_sync_events(query).await?;
    let size = page.bytes;
    let answer = SyncEventList {
        ok: true,
        count: page.events.len(),
        events: page.events.into_iter().map(Into::into).collect(),
        next_cursor: page.next.map(query::sync_cursor),
    };
    pages::json(turn, size, answer).await
}

/// The same as `/api/context/files`.
#[utoipa::path(get, path = "/api/v1/context/files", operation_id = "list_files_v1", tag = "context",
    security(("apiKey" = ["context:read"])),
    params(
        ("session_id" = Option<String>, Query, pattern = "^([A-Za-z0-9][A-Za-z0-9._-]{0,127})?$", description = "default: the key's session"),
        ("active" = Option<String>, Query, pattern = "^(true|false)?$", description = "true: the active set; false: the others; default: both"),
        ("limit" = Option<u64>, Query, minimum = 0, description = "files at the most; default 50, at the most 1000"),
        ("cursor" = Option<String>, Query, pattern = "^(AQ[A-Za-z0-9_-]{54})?$", description = "next_cursor of the page before"),
    ),
    responses((status = 200, body = FileList), (status = 400, description = "`invalid_request`"))
)]
pub(super) async fn files_v1(state: State<ApiState>, caller: Caller, request: Request) -> Answer {
    files(state, caller, request).await
}

/// The same as `/api/context/sync-events`.
#[utoipa::path(get, path = "/api/v1/context/sync-events", operation_id = "list_sync_events_v1", tag = "context",
    security(("apiKey" = ["context:read"])),
    params(
        ("session_id" = Option<String>, Query, pattern = "^([A-Za-z0-9][A-Za-z0-9._-]{0,127})?$", description = "default: the key's session"),
        ("type" = Option<String>, Query, pattern = "^(sync-report|SESSION_INGEST)?$", description = "of this kind; default: of every kind"),
        ("limit" = Option<u64>, Query, minimum = 0, description = "events at the most; default 50, at the most 1000"),
        ("cursor" = Option<String>, Query, pattern = "^(AQ[A-Za-z0-9_-]{10})?$", description = "next_cursor of the page before"),
    ),
    responses((status = 200, body = SyncEventList), (status = 400, description = "`invalid_request`"))
)]
pub(super) async fn sync_events_v1(state: State<ApiState>, caller: Caller, request: Request) -> Answer {
    sync_events(state, caller, request).await
}

async fn read(request: Request) -> Result<(Parts, axum::body::Bytes), Problem> {
    let (parts, body): (Parts, Body) = request.into_parts();
    let body = whole(&parts.headers, body, MAX_BODY).await?;
    Ok((parts, body))
}

fn place(caller: &Principal, session_id: crate::model::id::SessionId) -> crate::store::context::Place {
    crate::store::context::Place { chitty_id: caller.chitty_id.clone(), session_id }
}
