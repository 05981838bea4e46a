//! `/api/files`: files with their contents (CONTRACT.md §4).
//!
//! | request | answer |
//! |---|---|
//! | `POST presign` | 200 `{ok, upload_url, r2_key, expires_in, expires_at}` |
//! | `PUT upload/{token}` | 200 `{ok, r2_key, size, sha256}`; the token is all that is asked for |
//! | `POST upload` | 200 the same, of contents in base64 |
//! | `POST commit` | 200 `{ok}` |
//! | `POST presign-download` | 200 `{ok, download_url, expires_in, expires_at}` |
//! | `GET download/{token}`, `GET {sha256}`, `GET /resource` | the contents |
//! | `GET` | 200 `{ok, files, count, next_cursor}` |
//! | `GET resolve` | 200 `{ok, uri, kind, …}` |
//! | `DELETE {sha256}` | 200 `{ok, deleted}` |

mod answer;
mod body;
mod query;
mod serve;
mod token;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use http::{HeaderMap, Method, StatusCode, header};

use super::extract::{Caller, whole};
use super::{ApiState, pages};
use crate::auth::Principal;
use crate::blob::token::{DownloadToken, Tokens, UploadToken};
use crate::blob::uri::ResourceUri;
use crate::blob::{Body, BodyError, Expected, Facts, Writer};
use crate::model::file::ContextFile;
use crate::model::id::SessionId;
use crate::model::stored_file::{FileKey, StoredFile, parse_r2_key, r2_key};
use crate::model::time::Time;
use crate::problem::Problem;
use crate::store::context::Place;
use crate::store::file::{Arrival, Condition, ContentsOf, Listed};
use answer::{Committed, Deleted, FilePage, Kept, PresignedDownload, PresignedUpload, ResolvedUri};
use body::{CommitFile, DirectUpload, PresignDownload, PresignUpload};
pub(super) use token::{DownloadLink, UploadLink, holder};

/// Where files are brought in at once.
pub(super) const UPLOAD: &str = "/api/files/upload";
/// Where tokens are made.
pub(super) const PRESIGN: &str = "/api/files/presign";
/// The form of the URIs of contents.
pub(super) const RESOURCE_URI_SCHEME: &str = "resource://connect/{session_id}/{sha256}-{basename}";
/// Largest body of a request that has no contents.
const MAX_BODY: usize = 16 * 1024;
/// Names of the same contents in one session that one request removes.
const MAX_DELETED: usize = 1000;

type Answer = Result<Response, Problem>;

/// Makes a token with which one file may be brought in, once, without a key.
#[utoipa::path(post, path = "/api/files/presign", operation_id = "presign_upload", tag = "files",
    security(("apiKey" = ["files:write"])),
    request_body = PresignUpload,
    responses(
        (status = 200, body = PresignedUpload),
        (status = 400, description = "`invalid_request`; `presign_failed`: the body is no JSON"),
        (status = 408, description = "`request_timeout`"),
        (status = 413, description = "`body_too_large`: the file is larger than any may be, or the body of the request"),
        (status = 415, description = "`unsupported_media_type`"),
        (status = 507, description = "`quota_exceeded`: the message says what is left"),
    )
)]
pub(super) async fn presign(State(state): State<ApiState>, Caller(caller): Caller, request: Request) -> Answer {
    let asked = PresignUpload::read(&read(request, MAX_BODY).await?, &caller)?;
    let limits = state.files.limits();
    if asked.size > limits.max_bytes {
        return Err(crate::blob::FileError::TooLarge(limits.max_bytes).into());
    }
    let left = state.files.left(caller.chitty_id.clone(), caller.quota).await?;
    if asked.size > left {
        return Err(crate::store::StoreError::QuotaExceeded { asked: asked.size, left }.into());
    }
    let key = new_key(&state, asked.hash.map(|hash| hash.to_string()), &asked.name)?;
    let expires_at = Tokens::end(limits.token_ttl);
    let token = UploadToken {
        id: *uuid::Uuid::new_v4().as_bytes(),
        issuer: token::issuer(&caller),
        session_id: asked.session_id,
        key,
        size: asked.size,
        hash: asked.hash,
        mime: asked.mime,
        expires_at,
    };
    let upload_url = format!("{}{UPLOAD}/{}", state.file_links.origin, state.tokens.sign_upload(&token));
    Ok(Json(PresignedUpload {
        ok: true,
        upload_url,
        r2_key: r2_key(&token.session_id, &token.key),
        expires_in: limits.token_ttl.as_secs(),
        expires_at,
    })
    .into_response())
}

/// `{yyyy}/{mm}/{dd}/{sha256 or milliseconds}-{name}`: what a file is called that its writer gave a name alone.
fn new_key(state: &ApiState, hash: Option<String>, name: &str) -> Result<FileKey, Problem> {
    let now = state.file_links.distinct_now();
    let day = now.date().replace('-', "/");
    let distinct = hash.unwrap_or_else(|| now.as_millis().to_string());
    format!("{day}/{distinct}-{}", body::safe(name)).parse().map_err(|_| Problem::internal())
}

/// Brings in the file that a token is for. No key is needed.
#[utoipa::path(put, path = "/api/files/upload/{token}", operation_id = "upload_presigned", tag = "files",
    params(("token" = String, Path, pattern = "^[A-Za-z0-9_-]{1,4096}$", description = "the end of upload_url")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "the contents: as many bytes as were announced"),
    responses(
        (status = 200, body = Kept),
        (status = 400, description = "`size_mismatch`: fewer bytes than were announced; `bad_request`: the body broke off"),
        (status = 401, description = "`invalid_or_expired_token`"),
        (status = 409, description = "`too_many_files`"),
        (status = 413, description = "`body_too_large`: more bytes than were announced"),
        (status = 415, description = "`unsupported_media_type`: the body has a Content-Encoding"),
        (status = 422, description = "`sha256_mismatch`"),
        (status = 503, description = "`store_unavailable`, `files_unavailable`"),
        (status = 507, description = "`quota_exceeded`, `no_room`"),
    )
)]
pub(super) async fn upload(
    State(state): State<ApiState>,
    UploadLink(token, quota): UploadLink,
    request: Request,
) -> Answer {
    let (parts, body) = request.into_parts();
    if parts
        .headers
        .get(header::CONTENT_ENCODING)
        .is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
    {
        return Err(Problem::unsupported_coding());
    }
    let writer = Writer {
        place: Place { chitty_id: token.issuer.chitty_id, session_id: token.session_id },
        key_id: token.issuer.key_id,
        quota,
    };
    let how = Arrival::Token { id: token.id, expires_at: token.expires_at };
    let facts = facts(token.key, token.mime, how);
    let expected = Expected { size: Some(token.size), hash: token.hash, ..Expected::default() };
    let body: Body = body.into_data_stream().map(|chunk| chunk.map_err(BodyError::from)).boxed();
    let kept = state.files.put(writer, facts, body, expected).await?;
    Ok(Json(Kept::from(&kept)).into_response())
}

fn facts(key: FileKey, mime: Option<String>, how: Arrival) -> Facts {
    let (headers, metadata, source_modified_at) = (Vec::new(), Vec::new(), None);
    Facts { key, mime, headers, metadata, source_modified_at, how, only_if: Condition::Always }
}

/// Brings in a small file at once, its contents in base64.
#[utoipa::path(post, path = "/api/files/upload", operation_id = "upload_file", tag = "files",
    security(("apiKey" = ["files:write"])),
    request_body = DirectUpload,
    responses(
        (status = 200, body = Kept),
        (status = 400, description = "`invalid_request`; `upload_failed`: the body is no JSON, or the contents are no base64; `size_mismatch`"),
        (status = 408, description = "`request_timeout`"),
        (status = 409, description = "`too_many_files`"),
        (status = 413, description = "`body_too_large`: the body has more than 32 MiB"),
        (status = 415, description = "`unsupported_media_type`"),
        (status = 422, description = "`sha256_mismatch`"),
        (status = 507, description = "`quota_exceeded`, `no_room`"),
    )
)]
pub(super) async fn upload_direct(State(state): State<ApiState>, Caller(caller): Caller, request: Request) -> Answer {
    let turn = state.file_links.turn().await?;
    let body = read(request, body::MAX_DIRECT).await.map_err(|problem| match problem.status {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::direct_upload_too_large(body::MAX_DIRECT),
        _ => problem,
    })?;
    let upload = DirectUpload::read(&body, &caller)?;
    drop(body);
    let key = new_key(&state, upload.hash.map(|hash| hash.to_string()), &upload.name)?;
    let expected = Expected { size: upload.size, hash: upload.hash, ..Expected::default() };
    let contents: Body = futures::stream::iter([Ok(upload.contents)]).boxed();
    let facts = facts(key, upload.mime, Arrival::Api);
    let kept = state.files.put(writer(&caller, upload.session_id), facts, contents, expected).await?;
    drop(turn);
    Ok(Json(Kept::from(&kept)).into_response())
}

fn writer(caller: &Principal, session_id: SessionId) -> Writer {
    Writer { place: place(caller, session_id), key_id: caller.key_id.clone(), quota: caller.quota }
}

fn place(caller: &Principal, session_id: SessionId) -> Place {
    Place { chitty_id: caller.chitty_id.clone(), session_id }
}

/// Says that a file that was brought in is what was meant, and which task it is for.
#[utoipa::path(post, path = "/api/files/commit", operation_id = "commit_file", tag = "files",
    security(("apiKey" = ["files:write"])),
    request_body = CommitFile,
    responses(
        (status = 200, body = Committed),
        (status = 400, description = "`invalid_request`; `bad_json`; `size_mismatch`"),
        (status = 404, description = "`not_found`: there is no such file; `task_not_found`"),
        (status = 408, description = "`request_timeout`"),
        (status = 413, description = "`body_too_large`"),
        (status = 415, description = "`unsupported_media_type`"),
        (status = 422, description = "`sha256_mismatch`"),
    )
)]
pub(super) async fn commit(State(state): State<ApiState>, Caller(caller): Caller, request: Request) -> Answer {
    let asked = CommitFile::read(&read(request, MAX_BODY).await?, &caller)?;
    let (session_id, key) = parse_r2_key(&asked.r2_key).ok_or_else(Problem::file_not_found)?;
    if session_id != asked.session_id {
        return Err(Problem::file_not_found());
    }
    let place = place(&caller, session_id);
    let found = state.store.file(place.clone(), key.clone()).await?.ok_or_else(Problem::file_not_found)?;
    if let Some(expected) = asked.size.filter(|size| *size != found.contents.size) {
        let found = found.contents.size;
        return Err(Problem::size_mismatch(expected, found));
    }
    if let Some(expected) = asked.hash.filter(|hash| *hash != found.contents.hash) {
        return Err(crate::blob::FileError::Hash { expected, found: found.contents.hash }.into());
    }
    state.store.commit_file(place, key, asked.task_id).await?;
    Ok(Json(Committed { ok: true }).into_response())
}

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
pub(super) async fn presign_download(
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
pub(super) async fn download(
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
pub(super) async fn get(
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

/// Lists the files of a session, in the order of their keys.
#[utoipa::path(get, path = "/api/files", operation_id = "list_stored_files", tag = "files",
    security(("apiKey" = ["files:read"])),
    params(
        ("session_id" = Option<String>, Query, pattern = "^([A-Za-z0-9][A-Za-z0-9._-]{0,127})?$", description = "default: the key's session"),
        ("prefix" = Option<String>, Query, max_length = 1024, description = "only those whose key, which is r2_key behind `files/{session}/`, begins with this"),
        ("limit" = Option<u64>, Query, minimum = 0, description = "files at the most; default 50, at the most 1000"),
        ("cursor" = Option<String>, Query, max_length = 2048, pattern = "^[A-Za-z0-9_-]*$", description = "next_cursor of the page before"),
    ),
    responses((status = 200, body = FilePage), (status = 400, description = "`invalid_request`"))
)]
pub(super) async fn list(State(state): State<ApiState>, Caller(caller): Caller, request: Request) -> Answer {
    let query = query::list(request.uri().query().unwrap_or_default(), &caller)?;
    let turn = state.pages.turn(&caller.key_id).await?;
    let page = state.store.list_stored(query).await?;
    let size = page.bytes;
    let files = page.entries.iter().filter_map(|entry| match entry {
        Listed::File(file) => Some(answer::FileEntry::from(&**file)),
        Listed::Common(_) => None,
    });
    let files: Vec<_> = files.collect();
    let answer = FilePage { ok: true, count: files.len(), files, next_cursor: page.next.as_deref().map(query::cursor) };
    pages::json(turn, size, answer).await
}

/// Removes the files of a session that have these contents: all of them, or the one that `r2_key` names.
#[utoipa::path(delete, path = "/api/files/{sha256}", operation_id = "delete_file", tag = "files",
    security(("apiKey" = ["files:write"])),
    params(
        ("sha256" = String, Path, pattern = "^[0-9A-Fa-f]{64}$"),
        ("session_id" = Option<String>, Query, pattern = "^([A-Za-z0-9][A-Za-z0-9._-]{0,127})?$", description = "default: the key's session"),
        ("r2_key" = Option<String>, Query, max_length = 2048, description = "only this one"),
    ),
    responses(
        (status = 200, body = Deleted),
        (status = 400, description = "`invalid_request`"),
        (status = 404, description = "`not_found`: no file of the session has these contents"),
    )
)]
pub(super) async fn delete(
    State(state): State<ApiState>,
    Caller(caller): Caller,
    Path(hash): Path<String>,
    request: Request,
) -> Answer {
    let hash = query::hash(&hash)?;
    let asked = request.uri().query().unwrap_or_default();
    let session = query::session(asked)?.unwrap_or_else(|| caller.session_id.clone());
    let contents = ContentsOf { chitty_id: caller.chitty_id.clone(), hash };
    let mut keys = state.store.keys_with(contents, session.clone(), MAX_DELETED).await?;
    if let Some(only) = query::r2_key(asked) {
        keys.retain(|key| r2_key(&session, key) == only);
    }
    let deleted = state.files.delete(place(&caller, session), keys, false).await?.len();
    if deleted == 0 { Err(Problem::file_not_found()) } else { Ok(Json(Deleted { ok: true, deleted }).into_response()) }
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
    )
)]
pub(super) async fn resolve(State(state): State<ApiState>, Caller(caller): Caller, request: Request) -> Answer {
    let (uri, session) = query::uri(request.uri().query().unwrap_or_default(), &caller)?;
    let answer = match find(&state, &caller, &uri, session).await? {
        Found::Here(file) => ResolvedUri::of_file(&uri, &file, &state.file_links.origin),
        Found::Elsewhere(row) => ResolvedUri::of_row(&uri, row),
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
        (status = 412, description = "`precondition_failed`"),
        (status = 416, description = "`range_not_satisfiable`"),
    )
)]
pub(super) async fn resource(State(state): State<ApiState>, Caller(caller): Caller, request: Request) -> Answer {
    let (uri, session) = query::uri(request.uri().query().unwrap_or_default(), &caller)?;
    match find(&state, &caller, &uri, session).await? {
        Found::Here(file) => serve::contents(&state, &file, request.method(), request.headers()).await,
        Found::Elsewhere(row) => Ok((StatusCode::FOUND, [(header::LOCATION, row.facts.uri)]).into_response()),
    }
}

/// What a URI names.
enum Found {
    Here(Box<StoredFile>),
    Elsewhere(ContextFile),
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
            return row.map(Found::Elsewhere).ok_or_else(Problem::file_not_found);
        }
    };
    file.map(|file| Found::Here(Box::new(file))).ok_or_else(Problem::file_not_found)
}

async fn read(request: Request, limit: usize) -> Result<axum::body::Bytes, Problem> {
    let (parts, body) = request.into_parts();
    whole(&parts.headers, body, limit).await
}

/// What handlers of files share beside the files themselves.
#[derive(Debug)]
pub(super) struct FileLinks {
    /// Scheme and host of the links that tokens are in.
    origin: String,
    /// The last moment that a name was made of, in milliseconds.
    last: std::sync::atomic::AtomicU64,
    /// Direct uploads that are held in memory at once.
    direct: tokio::sync::Semaphore,
}

impl FileLinks {
    pub(super) fn new(origin: String) -> Self {
        Self { origin, last: 0.into(), direct: tokio::sync::Semaphore::new(body::DIRECT_AT_ONCE) }
    }

    /// Now, and never the same twice: two files of one name that came in the same millisecond are two.
    fn distinct_now(&self) -> Time {
        use std::sync::atomic::Ordering;
        let now = Time::now().as_millis();
        let next = |last: u64| Some(now.max(last + 1));
        let last = self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).unwrap_or(now);
        Time::from_millis(now.max(last + 1))
    }

    async fn turn(&self) -> Result<tokio::sync::SemaphorePermit<'_>, Problem> {
        let waiting = tokio::time::timeout(std::time::Duration::from_secs(5), self.direct.acquire()).await;
        match waiting {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(Problem::overloaded("too many direct uploads at once; accepted: POST /api/files/presign")),
        }
    }
}
