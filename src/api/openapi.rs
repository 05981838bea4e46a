//! `GET /openapi.json`: `OpenAPI` 3.1.0, made from the handlers' own definitions.

use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, HeaderName};
use utoipa::PartialSchema as _;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{ComponentsBuilder, ContentBuilder, InfoBuilder, OpenApi, Ref, ResponseBuilder, ServerBuilder};

use super::ApiState;
use super::access::{PAIR_SCHEME, SCHEME, scopes_of};
use super::document::Document;
use super::error::ErrorBody;
use super::health::VERSION;
use super::mcp::{Manifest, McpJson};
use crate::auth::key::header_as_written;
use crate::route;

/// The other way to present a key.
const BEARER: &str = "bearerAuth";
/// What may stand behind `Bearer`.
const BEARER_DESCRIPTION: &str = "An API key, or, where `auth.jwt` names an issuer, one of its tokens (at most 16 KiB): \
     `sub` is the chitty id, `sid` the session, `scope` (a text) or `scopes` or `scp` (a list) what it may do.";
/// The two headers of the pair are one scheme, which `OpenAPI` has no word for.
const PAIR_DESCRIPTION: &str = "The pair of a Cloudflare Access service token: this header and `CF-Access-Client-Secret`, \
     both as `auth.cf_access` says, and no API key. The request is believed to speak for the chitty id in its body.";
/// The name of the schema that every error has.
const ERROR: &str = "Error";

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
    /// Makes them. The server of the description is the first connect host; keys are expected in `auth_header`.
    pub(super) fn make(gateway: &route::Config, described: OpenApi, auth_header: &HeaderName) -> Self {
        let mut openapi = described;
        openapi.info = InfoBuilder::new()
            .title("chittyconnect")
            .version(VERSION)
            .description(Some("One front door before a family of services: what the gateway itself answers."))
            .build();
        let server = gateway.connect.first().map(|host| gateway.public_origin(host.as_str()));
        openapi.servers = server.map(|origin| vec![ServerBuilder::new().url(origin).build()]);
        for item in openapi.paths.paths.values_mut() {
            let all = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
            all.into_iter().flatten().for_each(complete);
        }
        let key = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new(header_as_written(auth_header))));
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(BEARER_DESCRIPTION)).build();
        let bearer = SecurityScheme::Http(bearer);
        let pair = ApiKeyValue::with_description("CF-Access-Client-Id", PAIR_DESCRIPTION);
        let pair = SecurityScheme::ApiKey(ApiKey::Header(pair));
        let components = ComponentsBuilder::from(openapi.components.take().unwrap_or_default())
            .security_scheme(SCHEME, key)
            .security_scheme(BEARER, bearer)
            .security_scheme(PAIR_SCHEME, pair)
            .schema(ERROR, ErrorBody::schema());
        openapi.components = Some(components.build());
        Self {
            openapi: Document::of(&openapi),
            mcp: Document::of(&McpJson::make()),
            manifest: Document::of(&Manifest::make()),
        }
    }
}

/// Adds what every operation that needs a key has in common: the other way to present one, and the refusals.
fn complete(operation: &mut Operation) {
    let content = || ContentBuilder::new().schema(Some(Ref::from_schema_name(ERROR))).build();
    for (status, response) in &mut operation.responses.responses {
        if let utoipa::openapi::RefOr::T(response) = response
            && status.starts_with(['4', '5'])
            && response.content.is_empty()
        {
            response.content.insert("application/json".to_owned(), content());
        }
    }
    let Some(security) = &mut operation.security else { return };
    let keys = security.iter().filter_map(scopes_of);
    let bearer: Vec<_> = keys.map(|scopes| SecurityRequirement::new(BEARER, scopes)).collect();
    security.extend(bearer);
    for (status, description) in [
        (
            "401",
            "`Missing API key`, `Invalid API key`, `API key is inactive`: a key or a token that is not let in, or none",
        ),
        ("403", "`forbidden`: the key lacks the scope, or the request names another chitty id"),
        ("503", "`store_unavailable`, `Auth backend unavailable`"),
    ] {
        let response = ResponseBuilder::new().description(description).content("application/json", content()).build();
        operation.responses.responses.entry(status.to_owned()).or_insert_with(|| response.into());
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
