//! Answers for the operator, never on a public listener: `/metrics`, `/livez`, `/readyz` on the admin address, and what
//! the command line asks on the admin socket.

mod store;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{StatusCode, header};
use serde::{Deserialize, Serialize};

use super::Degraded;
use crate::auth::key::list::{KeyList, ListedKey};
use crate::auth::key::request::KeyWords;
use crate::auth::key::{KeyReport, issue};
use crate::problem::Problem;
use crate::registry::report::RoutesReport;
use crate::route::explain::Explanation;
use crate::store::{Store, StoreError};
use crate::telemetry::describe;
use crate::telemetry::metrics::Metrics;

/// How far the process is: what `/readyz` answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// Not listening yet.
    Starting,
    /// Serving.
    Ready,
    /// Finishing what is in flight.
    Draining,
}

/// What the admin answers are made from.
#[derive(Clone)]
pub struct AdminState {
    /// The daemon's metrics.
    pub metrics: Arc<Metrics>,
    /// How far the process is.
    pub life: Arc<dyn Fn() -> Life + Send + Sync>,
    /// What is not as it should be.
    pub degraded: Degraded,
    /// The table in force, with everything that sources said.
    pub routes: Arc<dyn Fn() -> RoutesReport + Send + Sync>,
    /// Explains one URL with the table in force.
    pub explain: Explain,
    /// Durable data.
    pub store: Arc<dyn Store>,
}

/// Explains one URL.
pub type Explain = Arc<dyn Fn(&str) -> Result<Explanation, String> + Send + Sync>;

#[derive(Serialize)]
struct Readiness {
    /// `starting`, `ready`, `draining`, or `no_store`: serving, but what is stored cannot be used or changed.
    status: &'static str,
    degraded: Vec<String>,
}

/// `/metrics`, `/livez` and `/readyz`.
pub fn metrics_router(state: AdminState) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .with_state(state)
}

/// What the command line asks: `/routes`, `/explain?url=`, `/keys`, `POST /keys`, `POST /keys/{id}/revoke`, what
/// [`store`] has, and the three of [`metrics_router`].
pub fn socket_router(state: AdminState) -> Router {
    Router::new()
        .route("/routes", get(routes))
        .route("/explain", get(explain_url))
        .route("/keys", get(list_keys).post(make_key))
        .route("/keys/{id}/revoke", post(revoke_key))
        .merge(store::router())
        .with_state(state.clone())
        .merge(metrics_router(state))
}

async fn metrics(State(state): State<AdminState>) -> Response {
    match state.metrics.exposition() {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics cannot be encoded");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// 200 while serving, degraded or not; 503 while starting and draining, and while the store cannot be used.
async fn ready(State(state): State<AdminState>) -> Response {
    let (code, status) = match (state.life)() {
        Life::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting"),
        Life::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
        Life::Ready if state.store.trouble().is_some() => (StatusCode::SERVICE_UNAVAILABLE, "no_store"),
        Life::Ready => (StatusCode::OK, "ready"),
    };
    (code, axum::Json(Readiness { status, degraded: (state.degraded)() })).into_response()
}

async fn routes(State(state): State<AdminState>) -> Response {
    axum::Json((state.routes)()).into_response()
}

#[derive(Deserialize)]
struct Asked {
    url: String,
}

async fn explain_url(State(state): State<AdminState>, Query(asked): Query<Asked>) -> Response {
    match (state.explain)(&asked.url) {
        Ok(explanation) => axum::Json(explanation).into_response(),
        Err(message) => Problem::bad_request(message).response("", &http::HeaderMap::new()),
    }
}

/// Makes a key. The one answer that ever holds it whole, so it is for the socket alone.
async fn make_key(State(state): State<AdminState>, body: Bytes) -> Response {
    let refused = |message: String| Problem::bad_request(message).response("", &http::HeaderMap::new());
    let Ok(words) = serde_json::from_slice::<KeyWords>(&body) else {
        return refused("the body is not the JSON object that `keys create` of this version sends".to_owned());
    };
    let request = match words.read() {
        Ok(request) => request,
        Err(mistakes) => {
            let mistakes: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
            return refused(mistakes.join("\n"));
        }
    };
    match issue(&*state.store, request).await {
        Ok(issued) => {
            tracing::info!(key = %issued.key.id, chitty_id = %issued.key.chitty_id, "an API key was made");
            let no_store = [(header::CACHE_CONTROL, "no-store")];
            (no_store, axum::Json(KeyReport::from(issued))).into_response()
        }
        Err(error) => {
            // The cause is told here, unlike to clients: who asks on the socket is the operator.
            let message = describe(&error);
            Problem { message, ..Problem::from(error) }.response("", &http::HeaderMap::new())
        }
    }
}

async fn list_keys(State(state): State<AdminState>) -> Response {
    match state.store.keys().await {
        Ok(keys) => axum::Json(KeyList::of(&keys)).into_response(),
        Err(error) => store_problem(error),
    }
}

async fn revoke_key(State(state): State<AdminState>, Path(id): Path<String>) -> Response {
    let revoked = match id.parse() {
        Ok(id) => state.store.revoke_key(&id).await,
        Err(_) => Err(StoreError::NoSuchKey),
    };
    match revoked {
        Ok(key) => {
            tracing::info!(key = %key.id, chitty_id = %key.chitty_id, "an API key was revoked");
            axum::Json(ListedKey::from(&*key)).into_response()
        }
        Err(error) => store_problem(error),
    }
}

/// With its cause, unlike to clients: who asks on the socket is the operator.
fn store_problem(error: StoreError) -> Response {
    let message = describe(&error);
    Problem { message, ..Problem::from(error) }.response("", &http::HeaderMap::new())
}
