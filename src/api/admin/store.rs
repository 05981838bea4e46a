//! The store as the command line looks after it while the daemon runs: `POST /store/verify`, `POST /store/compact`,
//! `GET /store/export`, `POST /store/rows`. On the admin socket alone.

use std::io;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use http::header;

use super::{AdminState, failed};
use crate::blob::FileError;
use crate::problem::Problem;
use crate::store::StoreError;
use crate::store::transfer::export::Export;
use crate::store::transfer::merge::{MAX_LINE, Merged, Rows};
use crate::store::upkeep::Verified;

pub(super) fn router() -> Router<AdminState> {
    Router::new()
        .route("/store/verify", post(verify))
        .route("/store/compact", post(compact))
        .route("/store/export", get(export))
        .route("/store/rows", post(merge))
}

/// 200 with what was found, whether or not anything is wrong.
async fn verify(State(state): State<AdminState>) -> Response {
    match verify_all(&state).await {
        Ok(verified) => {
            if !verified.whole {
                let findings = verified.findings.len() as u64 + verified.more_findings;
                tracing::error!(findings, "the store is damaged: {}", verified.findings.join("; "));
            }
            axum::Json(verified).into_response()
        }
        Err(error) => failed(error),
    }
}

/// The records, and the contents of files.
async fn verify_all(state: &AdminState) -> Result<Verified, FileError> {
    let verified = state.store.verify_store().await?;
    Ok(state.files.verify().await?.add_to(verified))
}

async fn compact(State(state): State<AdminState>) -> Response {
    match state.store.compact_store().await {
        Ok(compacted) => axum::Json(compacted).into_response(),
        Err(error) => failed(error),
    }
}

/// The lines of an export as they are made. One that fails ends without its closing line, and its connection with it.
async fn export(State(state): State<AdminState>) -> Response {
    // The first step is waited for, so that a store that cannot be read has a status.
    let (export, lines) = match state.store.export(Export::new()).await {
        Ok(begun) => begun,
        Err(error) => return failed(error),
    };
    let first = stream::once(async move { Ok(Bytes::from(lines)) });
    let rest = stream::try_unfold((state.store, export), async |(store, export)| {
        if export.is_done() {
            return Ok(None);
        }
        let (export, lines) = store.export(export).await.map_err(|error| {
            tracing::error!(%error, "an export of the store broke off");
            io::Error::other(error)
        })?;
        Ok::<_, io::Error>(Some((Bytes::from(lines), (store, export))))
    });
    ([(header::CONTENT_TYPE, "application/jsonl")], Body::from_stream(first.chain(rest))).into_response()
}

/// Adds rows, a line each, as they arrive. Those before a line that is refused are in the store; sent again, they are
/// skipped.
async fn merge(State(state): State<AdminState>, body: Body) -> Response {
    match merge_lines(&state, body).await {
        Ok(merged) => axum::Json(merged).into_response(),
        Err(Refused::Store(error)) => failed(error),
        Err(Refused::Line(message)) => Problem::bad_request(message).response("", &http::HeaderMap::new()),
    }
}

enum Refused {
    Store(StoreError),
    Line(String),
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

async fn merge_lines(state: &AdminState, body: Body) -> Result<Merged, Refused> {
    let mut merging = state.store.begin_merge().await?;
    let (mut rows, mut merged, mut number) = (Rows::default(), Merged::default(), 0_u64);
    let mut pending: Vec<u8> = Vec::new();
    let mut chunks = body.into_data_stream();
    let broken = |error: axum::Error| Refused::Line(format!("the rows broke off: {error}"));
    while let Some(chunk) = chunks.try_next().await.map_err(broken)? {
        let mut rest = &chunk[..];
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            pending.extend_from_slice(&rest[..end]);
            rest = &rest[end + 1..];
            number += 1;
            rows.add(&pending).map_err(|what| Refused::Line(format!("row {number}: {what}")))?;
            pending.clear();
            if rows.is_full() {
                merged = merged.and(state.store.merge(&mut merging, std::mem::take(&mut rows)).await?);
            }
        }
        pending.extend_from_slice(rest);
        if pending.len() > MAX_LINE {
            return Err(Refused::Line(format!("row {}: found more than {MAX_LINE} bytes", number + 1)));
        }
    }
    if !pending.is_empty() {
        return Err(Refused::Line(format!("row {}: it is not whole", number + 1)));
    }
    if !rows.is_empty() {
        merged = merged.and(state.store.merge(&mut merging, rows).await?);
    }
    tracing::info!(
        tasks = merged.tasks.imported,
        context_files = merged.context_files.imported,
        sync_events = merged.sync_events.imported,
        "rows were imported"
    );
    Ok(merged)
}
