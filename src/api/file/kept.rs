//! The files of a session: which there are, and that some should not be.

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::response::IntoResponse;

use super::answer::{Deleted, FileEntry, FilePage};
use super::{Answer, place, query};
use crate::api::extract::Caller;
use crate::api::{ApiState, pages};
use crate::model::stored_file::r2_key;
use crate::problem::Problem;
use crate::store::file::{ContentsOf, Listed};

/// Names of the same contents in one session that one request removes.
const MAX_DELETED: usize = 1000;

/// Lists the files of a session, in the order of their keys.
#[utoipa::path(get, path = "/api/files", operation_id = "list_stored_files", tag = "files",
    security(("apiKey" = ["files:read"])),
    params(
        ("session_id" = Option<String>, Query, pattern = "^([A-Za-z0-9][A-Za-z0-9._-]{0,127})?$", description = "default: the key's session"),
        ("prefix" = Option<String>, Query, max_length = 1024, description = "only those whose key, which is r2_key behind `files/{session}/`, begins with this"),
        ("limit" = Option<u64>, Query, minimum = 0, description = "files at the most; default 50, at the most 1000"),
        ("cursor" = Option<String>, Query, max_length = 2048, pattern = "^[A-Za-z0-9_-]*$", description = "next_cursor of the page before"),
    ),
    responses(
        (status = 200, body = FilePage),
        (status = 400, description = "`invalid_request`"),
        (status = 414, description = "`uri_too_long`"),
    )
)]
pub(in crate::api) async fn list(State(state): State<ApiState>, Caller(caller): Caller, request: Request) -> Answer {
    let query = query::list(request.uri().query().unwrap_or_default(), &caller)?;
    let turn = state.pages.turn(&caller.key_id).await?;
    let page = state.store.list_stored(query).await?;
    let size = page.bytes;
    let files = page.entries.iter().filter_map(|entry| match entry {
        Listed::File(file) => Some(FileEntry::from(&**file)),
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
        (status = 414, description = "`uri_too_long`"),
    )
)]
pub(in crate::api) async fn delete(
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
