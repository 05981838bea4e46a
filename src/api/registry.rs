//! `/api/registry/services`: the table in force, as registries write one (CONTRACT.md §5, REGISTRY.md §1, E2).
//!
//! | request | answer |
//! |---|---|
//! | `GET /api/registry/services` | 200 `{services}`, `ETag`; 304 |
//! | `GET /api/registry/services/{id}` | 200 the entry, `ETag`; 304; 404 `Service not found` |
//!
//! Rendered when the table changes, never on a request.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use http::HeaderMap;
use serde::Serialize;
use utoipa::ToSchema;

use super::ApiState;
use super::document::Document;
use crate::model::name::ServiceKey;
use crate::problem::Problem;
use crate::registry::listed::ListedService;
use crate::route::table::Table;

/// Where the services of the table are.
pub(super) const SERVICES: &str = "/api/registry/services";

/// Every service, in the order of the table.
#[derive(Serialize, ToSchema)]
#[schema(as = RegistryServices)]
struct Services<'a> {
    services: &'a [ListedService],
}

/// The services of the table in force, as documents.
#[derive(Debug, Default)]
pub struct Listing(ArcSwap<Rendered>);

#[derive(Debug)]
struct Rendered {
    all: Document,
    services: Vec<Document>,
    by_key: HashMap<ServiceKey, usize>,
}

impl Default for Rendered {
    fn default() -> Self {
        Self { all: Document::of(&Services { services: &[] }), services: Vec::new(), by_key: HashMap::new() }
    }
}

impl Listing {
    /// Renders the services of `table`.
    pub fn render(&self, table: &Table) {
        let mut by_key = HashMap::new();
        for (index, upstream) in table.upstreams().iter().enumerate() {
            for name in table.names_of(upstream).0 {
                if let Ok(key) = ServiceKey::parse(&name) {
                    by_key.insert(key, index);
                }
            }
        }
        let services: Vec<_> = table.upstreams().iter().map(|upstream| ListedService::of(upstream, table)).collect();
        let rendered = Rendered {
            all: Document::of(&Services { services: &services }),
            services: services.iter().map(Document::of).collect(),
            by_key,
        };
        self.0.store(Arc::new(rendered));
    }

    fn all(&self) -> Document {
        self.0.load().all.clone()
    }

    fn one(&self, key: &ServiceKey) -> Option<Document> {
        let rendered = self.0.load();
        rendered.by_key.get(key).map(|&index| rendered.services[index].clone())
    }
}

/// The key of a service in a path.
///
/// # Errors
/// 404 for what is no key, like for one that no service has.
pub(super) fn key_of(path: Result<Path<String>, PathRejection>) -> Result<ServiceKey, Problem> {
    let key = path.ok().and_then(|Path(id)| ServiceKey::parse(&id).ok());
    key.ok_or_else(|| Problem::service_not_found("no service can have this name; accepted: 1 to 63 of a-z, 0-9 and -"))
}

/// No service has this key.
pub(super) fn no_such_service(key: &ServiceKey) -> Problem {
    Problem::service_not_found(format!("no service is named `{key}`"))
}

/// Every service that this gateway routes to, in the spellings of registries.
#[utoipa::path(get, path = "/api/registry/services", operation_id = "list_registry_services", tag = "services",
    security(("apiKey" = [])),
    params(("If-None-Match" = Option<String>, Header, description = "the list that the client has")),
    responses(
        (status = 200, body = Services, headers(("ETag" = String, description = "of this list"))),
        (status = 304, description = "not modified"),
    )
)]
pub(super) async fn list(State(state): State<ApiState>, headers: HeaderMap) -> Response {
    state.listing.all().answer_to_key(&headers)
}

/// One service, by its id, its subdomain or an alias.
#[utoipa::path(get, path = "/api/registry/services/{id}", operation_id = "get_registry_service", tag = "services",
    security(("apiKey" = [])),
    params(
        ("id" = String, Path, min_length = 1, max_length = 63, pattern = "^[A-Za-z0-9-]+$",
            description = "id, subdomain or alias"),
        ("If-None-Match" = Option<String>, Header, description = "the entry that the client has"),
    ),
    responses(
        (status = 200, body = ListedService, headers(("ETag" = String, description = "of this entry"))),
        (status = 304, description = "not modified"),
        (status = 400, description = "`bad_path`: dots and slashes that are encoded inside a segment"),
        (status = 404, description = "`Service not found`"),
    )
)]
pub(super) async fn get(
    State(state): State<ApiState>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let key = key_of(id)?;
    let document = state.listing.one(&key).ok_or_else(|| no_such_service(&key))?;
    Ok(document.answer_to_key(&headers))
}
