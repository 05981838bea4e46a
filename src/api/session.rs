//! `/api/v1/sessions`: sessions that agents open, fill and end (CONTRACT.md §6).
//!
//! | request | answer |
//! |---|---|
//! | `POST /api/v1/sessions` | 200 `{success, data: session, metadata}` |
//! | `GET /api/v1/sessions` | 200 `{success, data: {count, sessions, next_cursor}, metadata}` |
//! | `GET /api/v1/sessions/{id}` | 200 `{success, data: session, metadata}` |
//! | `PATCH /api/v1/sessions/{id}` | 200 `{success, data: session, metadata}` |
//! | `GET /api/v1/sessions/{id}/context` | 200 `{success, data, metadata}` |
//! | `PUT /api/v1/sessions/{id}/context` | 200 `{success, data: {success}, metadata}` |
//! | `POST /api/v1/sessions/sync` | 200 `{success, data: {event, actions, …}, metadata}` |
//!
//! Everybody sees and changes the sessions of the own chitty id; others do not exist. Errors have the family's shape.

mod answer;
mod body;
mod query;
mod sync;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::Extensions;
use serde::Serialize;

use super::extract::{Caller, Parameters, whole};
use super::{ApiState, now, pages};
use crate::model::id::SessionId;
use crate::model::request::RequestFacts;
use crate::problem::Problem;
use crate::store::SessionPage;
use answer::{About, Answered, ContextBody, ContextPut, SessionBody, SessionError, SessionList, SessionSynced};
use body::{CreateSession, PatchSession, PutContext, SyncSession};

/// Largest body of a request, in bytes: a thousand decisions of 4 KiB are hardly more.
const MAX_BODY: usize = 4 << 20;

type Answer = Result<Response, Problem>;
type InPath = Result<Path<String>, PathRejection>;

/// Makes a session, which lives for a day from its last change. The same request again gets the session as it is.
#[utoipa::path(post, path = "/api/v1/sessions", operation_id = "create_session", tag = "sessions",
    security(("apiKey" = ["context:write"])),
    request_body = CreateSession,
    responses(
        (status = 200, body = Answered<SessionBody>),
        (status = 400, body = SessionError,
            description = "`INVALID_JSON`, `MISSING_REQUIRED_FIELDS`, `INVALID_REQUEST`, naming the field"),
        (status = 408, body = SessionError, description = "`request_timeout`: the body took more than a minute"),
        (status = 409, body = SessionError,
            description = "`SESSION_EXISTS`: there is an active one with this id and other metadata"),
        (status = 413, body = SessionError,
            description = "`body_too_large`: the body has more than 4 MiB, or metadata more than 64 KiB"),
        (status = 415, body = SessionError, description = "`unsupported_media_type`: the body has a Content-Encoding"),
    )
)]
pub(super) async fn create(State(state): State<ApiState>, Caller(caller): Caller, request: Request) -> Answer {
    told(async {
        let (about, body) = read(request).await?;
        let new = CreateSession::read(&body, caller)?;
        let session = state.store.create_session(new).await?;
        Ok(done(SessionBody::from(session), about))
    })
    .await
}

/// Lists the sessions of the key's chitty id, the newest first; a page ends early where it takes more than a MiB, or many
/// others are over.
#[utoipa::path(get, path = "/api/v1/sessions", operation_id = "list_sessions", tag = "sessions",
    security(("apiKey" = ["context:read"])),
    params(
        ("X-ChittyID" = Option<String>, Header, description = "default: whoever the key says; another is 403"),
        ("limit" = Option<u64>, Query, minimum = 0, description = "sessions at the most; default and maximum 1000"),
        ("cursor" = Option<String>, Query, pattern = "^([0-9]{1,15}[.][A-Za-z0-9][A-Za-z0-9._-]{0,127})?$", description = "next_cursor of the page before"),
    ),
    responses(
        (status = 200, body = Answered<SessionList>),
        (status = 400, body = SessionError, description = "`INVALID_REQUEST`"),
    )
)]
pub(super) async fn list(State(state): State<ApiState>, Caller(caller): Caller, request: Request) -> Answer {
    let (about, uri) = (about(request.extensions()), request.uri().clone());
    told(async {
        let query = query::read(uri.query().unwrap_or_default(), &caller)?;
        let turn = state.pages.turn(&caller.key_id).await?;
        let page = match query.limit {
            0 => SessionPage::default(),
            _ => state.store.list_sessions(query).await?,
        };
        let next_cursor = page.next.as_ref().map(query::to_cursor);
        let sessions: Vec<SessionBody> = page.sessions.into_iter().map(Into::into).collect();
        let data = SessionList { count: sessions.len(), sessions, next_cursor };
        pages::json(turn, page.bytes, success(data, about)).await
    })
    .await
}

/// Shows a session.
#[utoipa::path(get, path = "/api/v1/sessions/{id}", operation_id = "get_session", tag = "sessions",
    security(("apiKey" = ["context:read"])),
    params(("id" = String, Path, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")),
    responses(
        (status = 200, body = Answered<SessionBody>),
        (status = 404, body = SessionError, description = "`SESSION_NOT_FOUND`"),
    )
)]
pub(super) async fn get(State(state): State<ApiState>, Caller(caller): Caller, id: InPath, request: Request) -> Answer {
    let about = about(request.extensions());
    told(async {
        let turn = state.pages.turn(&caller.key_id).await?;
        let session = state.store.session(&caller.chitty_id, &session_id(id)?).await?;
        let session = session.ok_or_else(Problem::session_not_found)?;
        let size = session.decisions.iter().map(|decision| decision.text().len()).sum();
        pages::json(turn, size, success(SessionBody::from(session), about)).await
    })
    .await
}

/// Changes a session, lets it live for another day, and counts an interaction.
#[utoipa::path(patch, path = "/api/v1/sessions/{id}", operation_id = "update_session", tag = "sessions",
    security(("apiKey" = ["context:write"])),
    params(("id" = String, Path, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")),
    request_body = PatchSession,
    responses(
        (status = 200, body = Answered<SessionBody>),
        (status = 400, body = SessionError,
            description = "`INVALID_JSON`, `NO_VALID_FIELDS`, `INVALID_REQUEST`, naming the field"),
        (status = 404, body = SessionError, description = "`SESSION_NOT_FOUND`"),
        (status = 408, body = SessionError, description = "`request_timeout`: the body took more than a minute"),
        (status = 409, body = SessionError,
            description = "`SESSION_FULL`: more than 1,000 decisions, or than 256 KiB of them together"),
        (status = 413, body = SessionError,
            description = "`body_too_large`: the body has more than 4 MiB, metadata more than 64 KiB, or a decision more than 4 KiB"),
        (status = 415, body = SessionError, description = "`unsupported_media_type`: the body has a Content-Encoding"),
    )
)]
pub(super) async fn update(
    State(state): State<ApiState>,
    Caller(caller): Caller,
    id: InPath,
    request: Request,
) -> Answer {
    told(async {
        let id = session_id(id)?;
        let (about, body) = read(request).await?;
        let patch = PatchSession::read(&body, &caller)?;
        let session = state.store.patch_session(&caller.chitty_id, &id, patch).await?;
        Ok(done(SessionBody::from(session), about))
    })
    .await
}

/// Shows a session's context: one key with its value, or all of them and when the session was last changed.
#[utoipa::path(get, path = "/api/v1/sessions/{id}/context", operation_id = "get_session_context", tag = "sessions",
    security(("apiKey" = ["context:read"])),
    params(
        ("id" = String, Path, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"),
        ("key" = Option<String>, Query, description = "the one key to show; empty is none"),
    ),
    responses(
        (status = 200, body = Answered<ContextBody>),
        (status = 404, body = SessionError, description = "`SESSION_NOT_FOUND`"),
    )
)]
pub(super) async fn context(
    State(state): State<ApiState>,
    Caller(caller): Caller,
    id: InPath,
    request: Request,
) -> Answer {
    let about = about(request.extensions());
    let key = Parameters::parse(request.uri().query().unwrap_or_default()).get("key").map(str::to_owned);
    told(async {
        let turn = state.pages.turn(&caller.key_id).await?;
        let session = state.store.session(&caller.chitty_id, &session_id(id)?).await?;
        let session = session.ok_or_else(Problem::session_not_found)?;
        let data = match key {
            Some(key) => {
                let found = session.context.into_iter().find(|(own, _)| *own == key);
                ContextBody::One { key, value: found.map(|(_, value)| value) }
            }
            None => ContextBody::All { context: session.context, updated: session.updated },
        };
        let size = match &data {
            ContextBody::One { value, .. } => value.as_ref().map_or(0, |value| value.text().len()),
            ContextBody::All { context, .. } => context.iter().map(|(key, value)| key.len() + value.text().len()).sum(),
        };
        pages::json(turn, size, success(data, about)).await
    })
    .await
}

/// Puts a value into a session's context, in place of the one with this key, and lets the session live for another day.
#[utoipa::path(put, path = "/api/v1/sessions/{id}/context", operation_id = "put_session_context", tag = "sessions",
    security(("apiKey" = ["context:write"])),
    params(("id" = String, Path, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")),
    request_body = PutContext,
    responses(
        (status = 200, body = Answered<ContextPut>),
        (status = 400, body = SessionError,
            description = "`INVALID_JSON`, `MISSING_KEY`, `INVALID_REQUEST`, naming the field"),
        (status = 404, body = SessionError, description = "`SESSION_NOT_FOUND`"),
        (status = 408, body = SessionError, description = "`request_timeout`: the body took more than a minute"),
        (status = 409, body = SessionError,
            description = "`SESSION_FULL`: more than 256 keys, or than 512 KiB of context together"),
        (status = 413, body = SessionError,
            description = "`body_too_large`: the body has more than 4 MiB, or value more than 64 KiB"),
        (status = 415, body = SessionError, description = "`unsupported_media_type`: the body has a Content-Encoding"),
    )
)]
pub(super) async fn put_context(
    State(state): State<ApiState>,
    Caller(caller): Caller,
    id: InPath,
    request: Request,
) -> Answer {
    told(async {
        let id = session_id(id)?;
        let (about, body) = read(request).await?;
        let (key, value) = PutContext::read(&body, &caller)?;
        state.store.put_context(&caller.chitty_id, &id, key, value).await?;
        Ok(done(ContextPut { success: true }, about))
    })
    .await
}

/// Begins a session, or goes on with an active one, with what the project's last session left; or ends one and keeps what
/// it leaves. A session that is not there can be ended too.
#[utoipa::path(post, path = "/api/v1/sessions/sync", operation_id = "sync_session", tag = "sessions",
    security(("apiKey" = ["context:write"])),
    request_body = SyncSession,
    responses(
        (status = 200, body = Answered<SessionSynced>),
        (status = 400, body = SessionError, description = "`INVALID_JSON`, `MISSING_REQUIRED_FIELDS`, `INVALID_EVENT`, \
            `INVALID_REQUEST`, naming the field"),
        (status = 408, body = SessionError, description = "`request_timeout`: the body took more than a minute"),
        (status = 413, body = SessionError, description = "`body_too_large`: the body has more than 4 MiB, context more \
            than 64 KiB, or channel, project, coordinates and signals together"),
        (status = 415, body = SessionError, description = "`unsupported_media_type`: the body has a Content-Encoding"),
    )
)]
pub(super) async fn sync(State(state): State<ApiState>, Caller(caller): Caller, request: Request) -> Answer {
    told(async {
        let (about, body) = read(request).await?;
        let asked = SyncSession::read(&body, &caller)?;
        Ok(done(sync::synchronise(&state, caller, asked).await?, about))
    })
    .await
}

/// Tells every error in the family's shape.
async fn told(answer: impl Future<Output = Answer>) -> Answer {
    answer.await.map_err(Problem::in_session_shape)
}

/// The request's id and its body.
async fn read(request: Request) -> Result<(About, axum::body::Bytes), Problem> {
    let (parts, body) = request.into_parts();
    let body = whole(&parts.headers, body, MAX_BODY).await?;
    Ok((about(&parts.extensions), body))
}

fn about(extensions: &Extensions) -> About {
    let id = extensions.get::<RequestFacts>().map_or("", |facts| &*facts.id);
    About { timestamp: now(), request_id: id.to_owned() }
}

fn success<T>(data: T, metadata: About) -> Answered<T> {
    Answered { success: true, data, metadata }
}

fn done<T: Serialize>(data: T, metadata: About) -> Response {
    Json(success(data, metadata)).into_response()
}

/// What is no session's id is not found, like one that nobody has.
fn session_id(id: InPath) -> Result<SessionId, Problem> {
    let id = id.ok().and_then(|Path(id)| id.parse().ok());
    id.ok_or_else(Problem::session_not_found)
}
