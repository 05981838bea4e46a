//! Switching services, on the admin socket alone: `POST /services/{name}/enable` and `/disable`, with the JSON that the
//! commands of these names send and print.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::{AdminState, answer, read};
use crate::model::name::ServiceKey;
use crate::problem::Problem;
use crate::registry::switch::SwitchError;
use crate::telemetry::describe;

/// What a command says beside the service's name.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct SwitchWords {
    /// Why, for clients of the service.
    pub reason: Option<String>,
}

pub(super) async fn enable(state: State<AdminState>, name: Path<String>, body: Body) -> Response {
    switch(state, name, body, true).await
}

pub(super) async fn disable(state: State<AdminState>, name: Path<String>, body: Body) -> Response {
    switch(state, name, body, false).await
}

async fn switch(State(state): State<AdminState>, Path(name): Path<String>, body: Body, enabled: bool) -> Response {
    let words: SwitchWords = match read(body, "service enable|disable").await {
        Ok(words) => words,
        Err(problem) => return answer(&problem),
    };
    let Some(id) = state.service_named(&name) else {
        return answer(&Problem::not_found(format!("no service has the name `{name}`; accepted: an id of `routes`")));
    };
    let merged = state.registry.merged();
    let declared = merged.services.iter().find(|service| service.id == id).map(|service| service.enabled);
    let (switches, what) = (Arc::clone(&state.switches), id.clone());
    let set = move || switches.set(what, enabled, words.reason, declared);
    let report = match tokio::task::spawn_blocking(set).await {
        Ok(Ok(report)) => report,
        Ok(Err(error @ SwitchError::Reason)) => return answer(&Problem::bad_request(error.to_string())),
        Ok(Err(error)) => return answer(&Problem { message: describe(&error), ..Problem::internal() }),
        Err(_) => return answer(&Problem::internal()),
    };
    state.registry.republish().await;
    tracing::info!(service = %id, enabled, reason = report.reason, "a service was switched by a command");
    Json(report).into_response()
}

impl AdminState {
    /// The id of the service that has `name` as its id, its subdomain or an alias.
    fn service_named(&self, name: &str) -> Option<ServiceKey> {
        let key = ServiceKey::parse(name).ok()?;
        let table = self.table.load();
        let by_id = || table.upstreams().iter().find(|upstream| upstream.service().id == key);
        let found = table.service_at_prefix(&key).or_else(by_id)?;
        Some(found.service().id.clone())
    }
}
