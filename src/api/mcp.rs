//! `GET /.well-known/mcp.json` and `GET /mcp/manifest`: what MCP clients look for before they connect (CONTRACT.md §1,
//! §7). The gateway has no MCP endpoint of its own in this build, so its URL is `null`; the services' are in discovery.

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use serde::Serialize;
use utoipa::ToSchema;

use super::ApiState;
use super::health::{SERVICE, VERSION};

/// `GET /.well-known/mcp.json`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct McpJson {
    mcp_version: &'static str,
    capabilities: Capabilities,
    server_info: ServerInfo,
    /// The MCP endpoint; `null` = none.
    url: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = McpCapabilities)]
struct Capabilities {
    tools: Tools,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Tools {
    list_changed: bool,
}

#[derive(Serialize, ToSchema)]
struct ServerInfo {
    name: &'static str,
    version: &'static str,
}

/// `GET /mcp/manifest`.
#[derive(Serialize, ToSchema)]
pub(super) struct Manifest {
    name: &'static str,
    version: &'static str,
    description: &'static str,
    protocol: &'static str,
    /// How many tools the gateway itself offers.
    tools: u32,
    capabilities: Vec<&'static str>,
    endpoints: ManifestEndpoints,
}

/// Paths on this host; `null` = not served.
#[derive(Serialize, ToSchema)]
struct ManifestEndpoints {
    tools: Option<&'static str>,
    call: Option<&'static str>,
    resources: Option<&'static str>,
    session: Option<&'static str>,
    sampling: Option<&'static str>,
}

impl McpJson {
    pub(super) fn make() -> Self {
        Self {
            mcp_version: "2025-03-26",
            capabilities: Capabilities { tools: Tools { list_changed: false } },
            server_info: ServerInfo { name: SERVICE, version: VERSION },
            url: None,
        }
    }
}

impl Manifest {
    pub(super) fn make() -> Self {
        Self {
            name: SERVICE,
            version: VERSION,
            description: "One front door before a family of services",
            protocol: "mcp",
            tools: 0,
            capabilities: Vec::new(),
            endpoints: ManifestEndpoints { tools: None, call: None, resources: None, session: None, sampling: None },
        }
    }
}

/// Where the gateway's MCP endpoint is.
#[utoipa::path(get, path = "/.well-known/mcp.json", tag = "discovery", responses(
    (status = 200, body = McpJson), (status = 304, description = "not modified")
))]
pub(super) async fn mcp_json(State(state): State<ApiState>, headers: HeaderMap) -> Response {
    state.documents.mcp.answer(&headers)
}

/// What the gateway offers over MCP.
#[utoipa::path(get, path = "/mcp/manifest", tag = "discovery", responses(
    (status = 200, body = Manifest), (status = 304, description = "not modified")
))]
pub(super) async fn manifest(State(state): State<ApiState>, headers: HeaderMap) -> Response {
    state.documents.manifest.answer(&headers)
}
