//! Contents on their way out: with a token, by their SHA-256, by a URI.

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::response::IntoResponse;
use http::{HeaderMap, Method, StatusCode, header};

use super::answer::{PresignedDownload, ResolvedUri};
use super::body::PresignDownload;
use super::token::{self, DownloadLink};
use super::{Answer, MAX_BODY, place, query, read, serve};
use crate::api::ApiState;
use crate::api::extract::Caller;
use crate::auth::Principal;
use crate::blob::token::{DownloadToken, Tokens};
use crate::blob::uri::ResourceUri;
use crate::model::file::ContextFile;
use crate::model::id::SessionId;
use crate::model::stored_file::StoredFile;
use crate::problem::Problem;
use crate::store::context::Place;
use crate::store::file::ContentsOf;

/// Makes a token with which one file may be taken out, as often as one likes, without a key.
#[utoipa::path(post, path = "/api/files/presign-download", operation_id = "presign_download", tag = "files",
    security(("apiKey" = ["files:read"])),
    request_body = PresignDownload,
    responses(
        (status = 200, body = PresignedDownload),
        (status = 400, description = "`invalid_request`; `presign_failed`: the body is no JSON"),
        (status = 404, description = "`not_found`: the caller has no such file"),
        (status = 408, description = "`request_timeout`"),
        (status = 413, description = "`body_too_large`"),
        (status = 415, description = "`unsupported_media_type`"),
    )
)]
pub(in crate::api) async fn presign_download(
    State(state): State<ApiState>,
    Caller(caller): Caller,
    request: Request,
) -> Answer {
    let uri = PresignDownload::read(&read(request, MAX_BODY).await?, &caller)?;
    let Found::Here(file) = find(&state, &caller, &uri, caller.session_id.clone()).await? else {
        return Err(Problem::context_refused(
            "uri: found one of something that is not kept here; accepted: resource:// and r2:// URIs".to_owned(),
        ));
    };
    let lifetime = state.files.limits().token_ttl;
    let expires_at = Tokens::end(lifetime);
    let token = DownloadToken {
        issuer: token::issuer(&caller),
        session_id: file.session_id,
        key: file.key,
        hash: file.contents.hash,
        expires_at,
    };
    let download_url = format!("{}/api/files/download/{}", state.file_links.origin, state.tokens.sign_download(&token));
    Ok(Json(PresignedDownload { ok: true, download_url, expires_in: lifetime.as_secs(), expires_at }).into_response())
}

/// The contents of the file that a token is for. No key is needed.
#[utoipa::path(get, path = "/api/files/download/{token}", operation_id = "download_presigned", tag = "files",
    params(("token" = String, Path, pattern = "^[A-Za-z0-9_-]{1,4096}$", description = "the end of download_url")),
    responses(
        (status = 200, description = "the contents", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 206, description = "the range that was asked for", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 304, description = "the client has them"),
        (status = 401, description = "`invalid_or_expired_token`"),
        (status = 404, description = "`not_found`: the file is gone or another by now"),
        (status = 412, description = "`precondition_failed`"),
        (status = 416, description = "`range_not_satisfiable`"),
        (status = 503, description = "`store_unavailable`, `files_unavailable`"),
    )
)]
pub(in crate::api) async fn download(
    State(state): State<ApiState>,
    DownloadLink(token): DownloadLink,
    method: Method,
    headers: HeaderMap,
) -> Answer {
    let place = Place { chitty_id: token.issuer.chitty_id, session_id: token.session_id };
    let file = state.store.file(place, token.key).await?.filter(|file| file.contents.hash == token.hash);
    serve::contents(&state, &file.ok_or_else(Problem::file_not_found)?, &method, &headers).await
}

/// Contents by their SHA-256.
#[utoipa::path(get, path = "/api/files/{sha256}", operation_id = "get_file", tag = "files",
    security(("apiKey" = ["files:read"])),
    params(
        ("sha256" = String, Path, pattern = "^[0-9A-Fa-f]{64}$"),
        ("session_id" = Option<String>, Query, pattern = "^([A-Za-z0-9][A-Za-z0-9._-]{0,127})?$", description = "only of this session; default: of any of the caller's"),
    ),
    responses(
        (status = 200, description = "the contents", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 206, description = "the range that was asked for", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 304, description = "the client has them"),
        (status = 400, description = "`invalid_request`"),
        (status = 404, description = "`not_found`: no file of the caller has these contents"),
        (status = 412, description = "`precondition_failed`"),
        (status = 416, description = "`range_not_satisfiable`"),
    )
)]
pub(in crate::api) async fn get(
    State(state): State<ApiState>,
    Caller(caller): Caller,
    Path(hash): Path<String>,
    request: Request,
) -> Answer {
    let hash = query::hash(&hash)?;
    let session = query::session(request.uri().query().unwrap_or_default())?;
    let file = state.store.file_with(ContentsOf { chitty_id: caller.chitty_id, hash }, session).await?;
    serve::contents(&state, &file.ok_or_else(Problem::file_not_found)?, request.method(), request.headers()).await
}

/// What a URI names, and where its contents are to be had.
#[utoipa::path(get, path = "/api/files/resolve", operation_id = "resolve_file", tag = "files",
    security(("apiKey" = ["files:read"])),
    params(
        ("uri" = String, Query, max_length = 4096, description = "`resource://connect/{session}/{sha256}-{name}`, `r2://files/{session}/{key}`, or an `https://` URI that the session's context knows"),
        ("session_id" = Option<String>, Query, pattern = "^([A-Za-z0-9][A-Za-z0-9._-]{0,127})?$", description = "whose context, for `https://`; default: the key's session"),
    ),
    responses(
        (status = 200, body = ResolvedUri),
        (status = 400, description = "`invalid_request`: it is no such URI"),
        (status = 404, description = "`not_found`: the caller has nothing that it names"),
        (status = 414, description = "`uri_too_long`"),
    )
)]
pub(in crate::api) async fn resolve(State(state): State<ApiState>, Caller(caller): Caller, request: Request) -> Answer {
    let (uri, session) = query::uri(request.uri().query().unwrap_or_default(), &caller)?;
    let answer = match find(&state, &caller, &uri, session).await? {
        Found::Here(file) => ResolvedUri::of_file(&uri, &file, &state.file_links.origin),
        Found::Elsewhere(row) => ResolvedUri::of_row(&uri, *row),
    };
    Ok(Json(answer).into_response())
}

/// The contents that a URI names; 302 to an `https://` URI that the session's context knows.
#[utoipa::path(get, path = "/resource", operation_id = "get_resource", tag = "files",
    security(("apiKey" = ["files:read"])),
    params(
        ("uri" = String, Query, max_length = 4096, description = "as of `/api/files/resolve`"),
        ("session_id" = Option<String>, Query, pattern = "^([A-Za-z0-9][A-Za-z0-9._-]{0,127})?$", description = "as of `/api/files/resolve`"),
    ),
    responses(
        (status = 200, description = "the contents", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 206, description = "the range that was asked for", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 302, description = "what is named is elsewhere"),
        (status = 304, description = "the client has them"),
        (status = 400, description = "`invalid_request`: it is no such URI"),
        (status = 404, description = "`not_found`: the caller has nothing that it names"),
        (status = 414, description = "`uri_too_long`"),
        (status = 412, description = "`precondition_failed`"),
        (status = 416, description = "`range_not_satisfiable`"),
    )
)]
pub(in crate::api) async fn resource(
    State(state): State<ApiState>,
    Caller(caller): Caller,
    request: Request,
) -> Answer {
    let (uri, session) = query::uri(request.uri().query().unwrap_or_default(), &caller)?;
    match find(&state, &caller, &uri, session).await? {
        Found::Here(file) => serve::contents(&state, &file, request.method(), request.headers()).await,
        Found::Elsewhere(row) => Ok((StatusCode::FOUND, [(header::LOCATION, row.facts.uri)]).into_response()),
    }
}

/// What a URI names.
enum Found {
    Here(Box<StoredFile>),
    Elsewhere(Box<ContextFile>),
}

async fn find(state: &ApiState, caller: &Principal, uri: &ResourceUri, session: SessionId) -> Result<Found, Problem> {
    let file = match uri {
        ResourceUri::Contents { session_id, hash, .. } => {
            let contents = ContentsOf { chitty_id: caller.chitty_id.clone(), hash: *hash };
            state.store.file_with(contents, Some(session_id.clone())).await?
        }
        ResourceUri::File { session_id, key } => {
            state.store.file(place(caller, session_id.clone()), key.clone()).await?
        }
        ResourceUri::Elsewhere { text, .. } => {
            let row = state.store.context_file(place(caller, session), text.clone()).await?;
            return row.map(|row| Found::Elsewhere(Box::new(row))).ok_or_else(Problem::file_not_found);
        }
    };
    file.map(|file| Found::Here(Box::new(file))).ok_or_else(Problem::file_not_found)
}
