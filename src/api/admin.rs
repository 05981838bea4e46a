//! Answers for the operator, never on a public listener: `/metrics`, `/livez`, `/readyz` on the admin address, and what
//! the command line asks on the admin socket.

mod key;
pub(super) mod remote;
mod service;
mod store;

use std::error::Error;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{StatusCode, header};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use self::service::SwitchWords;
use super::Degraded;
use crate::blob::Files;
use crate::problem::Problem;
use crate::registry::Registry;
use crate::registry::report::RoutesReport;
use crate::registry::switch::Switches;
use crate::route::Routes;
use crate::route::explain::Explanation;
use crate::store::Store;
use crate::telemetry::describe;
use crate::telemetry::metrics::Metrics;

/// Largest body: a batch of an import has far less.
const MAX_BODY: usize = 4 << 20;

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
    pub routes: ReportRoutes,
    /// The table in force.
    pub table: Routes,
    /// The sources of services.
    pub registry: Arc<Registry>,
    /// Services that are switched by command.
    pub switches: Arc<Switches>,
    /// Explains one URL with the table in force.
    pub explain: Explain,
    /// Durable data.
    pub store: Arc<dyn Store>,
    /// Files with their contents.
    pub files: Arc<Files>,
    /// What the secrets of S3 clients are made of.
    pub s3_signer: [u8; 32],
    /// Where the S3 endpoint is.
    pub s3_endpoint: Option<String>,
}

/// Tells the table in force, with everything that sources said. Takes a while where there is much to tell.
pub type ReportRoutes = Arc<dyn Fn() -> RoutesReport + Send + Sync>;

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

/// What the command line asks: `/routes`, `/explain?url=`, `/keys`, `POST /keys`, `POST /keys/import`,
/// `POST /keys/{id}/revoke`, `POST /keys/{id}/rotate`, `GET /keys/{id}/s3`, `POST /services/{name}/enable|disable`, what `store` has, and the three of [`metrics_router`].
pub fn socket_router(state: AdminState) -> Router {
    Router::new()
        .route("/routes", get(routes))
        .route("/explain", get(explain_url))
        .route("/keys", get(key::list).post(key::make))
        .route("/keys/import", post(key::import))
        .route("/keys/{id}/revoke", post(key::revoke))
        .route("/keys/{id}/rotate", post(key::rotate))
        .route("/keys/{id}/s3", get(key::s3))
        .route("/services/{name}/enable", post(service::enable))
        .route("/services/{name}/disable", post(service::disable))
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

/// The JSON that `command` sends.
async fn read<T: DeserializeOwned>(body: Body, command: &str) -> Result<T, Problem> {
    let not_ours = || Problem::bad_request(format!("the body is not the JSON that `{command}` of this version sends"));
    let body = to_bytes(body, MAX_BODY).await.map_err(|_| not_ours())?;
    serde_json::from_slice(&body).map_err(|_| not_ours())
}

/// With its cause, unlike to clients: who asks on the socket is the operator.
fn failed<E: Error + Into<Problem>>(error: E) -> Response {
    let message = describe(&error);
    answer(&Problem { message, ..error.into() })
}

fn answer(problem: &Problem) -> Response {
    problem.response("", &http::HeaderMap::new())
}
