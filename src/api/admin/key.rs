//! Keys, on the admin socket alone: `GET` and `POST /keys`, `POST /keys/import`, `POST /keys/{id}/revoke` and
//! `POST /keys/{id}/rotate`, each with the JSON that the command of its name sends and prints.
//!
//! Causes of errors are told here, unlike to clients: who asks on the socket is the operator.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header;

use super::{AdminState, answer, failed, read};
use crate::auth::key::import::{ImportWords, import as import_keys};
use crate::auth::key::list::{KeyList, ListedKey};
use crate::auth::key::request::KeyWords;
use crate::auth::key::rotate::{RotateWords, rotate as rotate_key};
use crate::auth::key::{KeyReport, issue};
use crate::auth::s3::S3Facts;
use crate::model::id::KeyId;
use crate::problem::Problem;
use crate::store::StoreError;

/// An answer that ever holds a whole key is kept by nobody on its way.
const NO_STORE: [(header::HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-store")];

/// Makes a key.
pub(super) async fn make(State(state): State<AdminState>, body: Body) -> Response {
    let words: KeyWords = match read(body, "keys create").await {
        Ok(words) => words,
        Err(problem) => return answer(&problem),
    };
    let request = match words.read() {
        Ok(request) => request,
        Err(mistakes) => {
            let mistakes: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
            return answer(&Problem::bad_request(mistakes.join("\n")));
        }
    };
    match issue(&*state.store, request).await {
        Ok(issued) => {
            tracing::info!(key = %issued.key.id, chitty_id = %issued.key.chitty_id, "an API key was made");
            (NO_STORE, Json(KeyReport::from(issued))).into_response()
        }
        Err(error) => failed(error),
    }
}

/// Every key.
pub(super) async fn list(State(state): State<AdminState>) -> Response {
    match state.store.keys().await {
        Ok(keys) => Json(KeyList::of(&keys)).into_response(),
        Err(error) => failed(error),
    }
}

/// Lets a key in no more.
pub(super) async fn revoke(State(state): State<AdminState>, Path(id): Path<String>) -> Response {
    let Ok(id) = id.parse::<KeyId>() else { return failed(StoreError::NoSuchKey) };
    match state.store.revoke_key(&id).await {
        Ok(key) => {
            tracing::info!(key = %key.id, chitty_id = %key.chitty_id, "an API key was revoked");
            Json(ListedKey::from(&*key)).into_response()
        }
        Err(error) => failed(error),
    }
}

/// Gives a key a successor.
pub(super) async fn rotate(State(state): State<AdminState>, Path(id): Path<String>, body: Body) -> Response {
    let words: RotateWords = match read(body, "keys rotate").await {
        Ok(words) => words,
        Err(problem) => return answer(&problem),
    };
    let grace = match words.read() {
        Ok(grace) => grace,
        Err(mistake) => return answer(&Problem::bad_request(mistake.to_string())),
    };
    let Ok(id) = id.parse::<KeyId>() else { return failed(StoreError::NoSuchKey) };
    match rotate_key(&*state.store, &id, grace).await {
        Ok(report) => {
            let (new, chitty_id, ends) = (&report.facts.id, &report.facts.chitty_id, &report.replaces.facts.expires_at);
            tracing::info!(key = %id, %new, %chitty_id, ends, status = %report.replaces.status, "an API key was rotated");
            (NO_STORE, Json(report)).into_response()
        }
        Err(error) => failed(error),
    }
}

/// What an S3 client is configured with for a key.
pub(super) async fn s3(State(state): State<AdminState>, Path(id): Path<String>) -> Response {
    let Ok(id) = id.parse::<KeyId>() else { return failed(StoreError::NoSuchKey) };
    match S3Facts::of(&*state.store, &state.s3_signer, &id, state.s3_endpoint.clone()).await {
        Ok(facts) => (NO_STORE, Json(facts)).into_response(),
        Err(error) => failed(error),
    }
}

/// Keeps keys of the original.
pub(super) async fn import(State(state): State<AdminState>, body: Body) -> Response {
    let words: ImportWords = match read(body, "keys import").await {
        Ok(words) => words,
        Err(problem) => return answer(&problem),
    };
    let dry_run = words.dry_run;
    match import_keys(&*state.store, words).await {
        Ok(imported) => {
            if !dry_run {
                tracing::info!(added = imported.added, there = imported.there, "API keys were imported");
            }
            Json(imported).into_response()
        }
        Err(error) => failed(error),
    }
}
