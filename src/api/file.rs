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
mod contents;
mod kept;
mod links;
mod query;
mod serve;
mod token;
mod upload;

use axum::extract::Request;
use axum::response::Response;

use super::extract::whole;
use crate::auth::Principal;
use crate::model::id::SessionId;
use crate::problem::Problem;
use crate::store::context::Place;
pub(super) use links::FileLinks;
pub(super) use token::holder;

/// Each handler beside what describes it.
pub(super) use contents::*;
pub(super) use kept::*;
pub(super) use upload::*;

/// Where files are brought in at once.
pub(super) const UPLOAD: &str = "/api/files/upload";
/// Where tokens are made.
pub(super) const PRESIGN: &str = "/api/files/presign";
/// The form of the URIs of contents.
pub(super) const RESOURCE_URI_SCHEME: &str = "resource://connect/{session_id}/{sha256}-{basename}";
/// Largest body of a request that has no contents.
const MAX_BODY: usize = 16 * 1024;

type Answer = Result<Response, Problem>;

fn place(caller: &Principal, session_id: SessionId) -> Place {
    Place { chitty_id: caller.chitty_id.clone(), session_id }
}

async fn read(request: Request, limit: usize) -> Result<axum::body::Bytes, Problem> {
    let (parts, body) = request.into_parts();
    whole(&parts.headers, body, limit).await
}
