//! `GET /openapi.json`: `OpenAPI` 3.1.0, made from the handlers' own definitions.

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, OpenApi, ServerBuilder};

use super::ApiState;
use super::document::Document;
use super::health::VERSION;
use super::mcp::{Manifest, McpJson};
use crate::route;

/// The documents that do not change while the daemon runs.
#[derive(Debug)]
pub(super) struct Fixed {
    openapi: Document,
    /// `/.well-known/mcp.json`.
    pub(super) mcp: Document,
    /// `/mcp/manifest`.
    pub(super) manifest: Document,
}

impl Fixed {
    /// Makes them. The server of the description is the first connect host.
    pub(super) fn make(gateway: &route::Config, described: OpenApi) -> Self {
        let mut openapi = described;
        openapi.info = InfoBuilder::new()
            .title("chittyconnect")
            .version(VERSION)
            .description(Some("One front door before a family of services: what the gateway itself answers."))
            .build();
        let server = gateway.connect.first().map(|host| gateway.public_origin(host.as_str()));
        openapi.servers = server.map(|origin| vec![ServerBuilder::new().url(origin).build()]);
        let components = openapi.components.take().unwrap_or_default();
        let key = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-ChittyOS-API-Key")));
        openapi.components = Some(ComponentsBuilder::from(components).security_scheme("apiKey", key).build());
        Self {
            openapi: Document::of(&openapi),
            mcp: Document::of(&McpJson::make()),
            manifest: Document::of(&Manifest::make()),
        }
    }
}

/// This description.
#[utoipa::path(get, path = "/openapi.json", tag = "discovery", responses(
    (status = 200, description = "an OpenAPI 3.1 document", body = serde_json::Value),
    (status = 304, description = "not modified")
))]
pub(super) async fn openapi_json(State(state): State<ApiState>, headers: HeaderMap) -> Response {
    state.documents.openapi.answer(&headers)
}
