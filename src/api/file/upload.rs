//! Files on their way in: with a token, at once, and said to be what was meant.

use axum::Json;
use axum::extract::{Request, State};
use axum::response::IntoResponse;
use futures::StreamExt;
use http::{HeaderMap, StatusCode, header};

use super::answer::{Committed, Kept, PresignedUpload};
use super::body::{self, CommitFile, DirectUpload, PresignUpload};
use super::token::{self, UploadLink};
use super::{Answer, MAX_BODY, UPLOAD, place, read};
use crate::api::ApiState;
use crate::api::extract::Caller;
use crate::auth::Principal;
use crate::blob::token::{Tokens, UploadToken};
use crate::blob::{Body, BodyError, Expected, Facts, FileError, Writer};
use crate::model::id::SessionId;
use crate::model::stored_file::{FileKey, parse_r2_key, r2_key};
use crate::problem::Problem;
use crate::store::StoreError;
use crate::store::context::Place;
use crate::store::file::{Arrival, Condition, ContentsOf};

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
pub(in crate::api) async fn presign(State(state): State<ApiState>, Caller(caller): Caller, request: Request) -> Answer {
    let asked = PresignUpload::read(&read(request, MAX_BODY).await?, &caller)?;
    let limits = state.files.limits();
    if asked.size > limits.max_bytes {
        return Err(FileError::TooLarge(limits.max_bytes).into());
    }
    let left = state.files.left(caller.chitty_id.clone(), caller.quota).await?;
    let known = match asked.hash {
        // What is there already takes no room.
        Some(hash) if asked.size > left => {
            state.store.is_referenced(ContentsOf { chitty_id: caller.chitty_id.clone(), hash }).await?
        }
        _ => false,
    };
    if asked.size > left && !known {
        return Err(StoreError::QuotaExceeded { asked: asked.size, left }.into());
    }
    let key = new_key(&state, asked.hash.map(|hash| hash.to_string()), &asked.name)?;
    let expires_at = Tokens::end(limits.token_ttl);
    let token = UploadToken {
        id: *uuid::Uuid::new_v4().as_bytes(),
        issuer: token::issuer(&caller),
        session_id: asked.session_id,
        key,
        name: asked.name,
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
pub(in crate::api) async fn upload(
    State(state): State<ApiState>,
    UploadLink(token, quota): UploadLink,
    request: Request,
) -> Answer {
    let (parts, body) = request.into_parts();
    check_announced(&parts.headers, token.size)?;
    let writer = Writer {
        place: Place { chitty_id: token.issuer.chitty_id, session_id: token.session_id },
        key_id: token.issuer.key_id,
        quota,
    };
    let how = Arrival::Token { id: token.id, expires_at: token.expires_at };
    let facts = facts(token.key, token.name, token.mime, how);
    let expected = Expected { size: Some(token.size), hash: token.hash, ..Expected::default() };
    let body: Body = body.into_data_stream().map(|chunk| chunk.map_err(BodyError::from)).boxed();
    let kept = state.files.put(writer, facts, body, expected).await?;
    Ok(Json(Kept::from(&kept)).into_response())
}

/// Refuses a body that says of itself that it is not the one that was announced, before it is read.
fn check_announced(headers: &HeaderMap, size: u64) -> Result<(), Problem> {
    let coding = headers.get(header::CONTENT_ENCODING);
    if coding.is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(Problem::unsupported_coding());
    }
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    match length {
        Some(found) if found != size => Err(FileError::Size { expected: size, found }.into()),
        _ => Ok(()),
    }
}

fn facts(key: FileKey, name: String, mime: Option<String>, how: Arrival) -> Facts {
    let (headers, metadata, source_modified_at) = (Vec::new(), Vec::new(), None);
    Facts { key, given_name: Some(name), mime, headers, metadata, source_modified_at, how, only_if: Condition::Always }
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
pub(in crate::api) async fn upload_direct(
    State(state): State<ApiState>,
    Caller(caller): Caller,
    request: Request,
) -> Answer {
    let turn = state.file_links.turn().await?;
    let body = read(request, body::MAX_DIRECT).await.map_err(|problem| match problem.status {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::direct_upload_too_large(body::MAX_DIRECT),
        _ => problem,
    })?;
    let upload = DirectUpload::read(&body, &caller)?;
    drop(body);
    let found = upload.contents.len() as u64;
    if let Some(expected) = upload.size.filter(|size| *size != found) {
        return Err(Problem::size_mismatch(expected, found));
    }
    let key = new_key(&state, upload.hash.map(|hash| hash.to_string()), &upload.name)?;
    let expected = Expected { size: upload.size, hash: upload.hash, ..Expected::default() };
    let contents: Body = futures::stream::iter([Ok(upload.contents)]).boxed();
    let facts = facts(key, upload.name, upload.mime, Arrival::Api);
    let kept = state.files.put(writer(&caller, upload.session_id), facts, contents, expected).await?;
    drop(turn);
    Ok(Json(Kept::from(&kept)).into_response())
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
pub(in crate::api) async fn commit(State(state): State<ApiState>, Caller(caller): Caller, request: Request) -> Answer {
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
        return Err(FileError::Hash { expected, found: found.contents.hash }.into());
    }
    state.store.commit_file(place, key, asked.task_id).await?;
    Ok(Json(Committed { ok: true }).into_response())
}

fn writer(caller: &Principal, session_id: SessionId) -> Writer {
    Writer { place: place(caller, session_id), key_id: caller.key_id.clone(), quota: caller.quota }
}
