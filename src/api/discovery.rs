//! `GET /.well-known/chitty.json`: what agents configure themselves from (CONTRACT.md §1).
//!
//! Made from the live table whenever that changes, never on a request. The contract's keys stay; what this build or
//! configuration does not serve is `null`, and every service link is one that this gateway answers.

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use serde::Serialize;
use url::Url;
use utoipa::ToSchema;

use super::context::{SET_ACTIVE, SYNC_REPORT};
use super::document::Document;
use super::event::SSE;
use super::file::{PRESIGN, RESOURCE_URI_SCHEME, UPLOAD};
use super::service::STATUS;
use super::task::TASKS;
use super::{ApiState, Config, now};
use crate::model::name::{Hostname, ServiceKey};
use crate::model::request::RequestFacts;
use crate::route;
use crate::route::table::Table;
use crate::upstream::Upstream;

/// The document.
#[derive(Clone, Serialize, ToSchema)]
pub(super) struct Discovery {
    version: &'static str,
    ecosystem: String,
    /// When the content last changed: RFC 3339, milliseconds, UTC.
    updated_at: String,
    endpoints: Endpoints,
    capabilities: Capabilities,
    services: Vec<Entry>,
    onboarding: Onboarding,
    resource_uri_scheme: Option<&'static str>,
    context_sync: ContextSync,
}

#[derive(Clone, Serialize, ToSchema)]
struct Endpoints {
    connect_base: Option<String>,
    api_base: Option<String>,
    mcp_base: Option<String>,
    sse: Option<String>,
    auth: Option<Url>,
    registry: Option<Url>,
    register: Option<Url>,
}

#[derive(Clone, Serialize, ToSchema)]
struct Capabilities {
    mcp: McpCapability,
    api: ApiCapability,
    services: ServicesCapability,
}

#[derive(Clone, Serialize, ToSchema)]
struct McpCapability {
    protocol_version: Option<&'static str>,
    tools_count: u32,
    supports_streaming: Option<bool>,
    session_management: Option<bool>,
    oauth_discovery: Option<String>,
}

#[derive(Clone, Serialize, ToSchema)]
struct ApiCapability {
    openapi_spec: Option<String>,
    version: &'static str,
    authentication: Option<Vec<&'static str>>,
    rate_limiting: bool,
}

#[derive(Clone, Serialize, ToSchema)]
struct ServicesCapability {
    discovery: Option<String>,
    health_check: Option<String>,
}

/// One service. `mcp` and `api` go through the gateway's prefixes, `direct_*` and `health` through the service's host.
#[derive(Clone, Serialize, ToSchema)]
struct Entry {
    name: String,
    url: Option<String>,
    mcp: Option<String>,
    direct_mcp: Option<String>,
    api: Option<String>,
    direct_api: Option<String>,
    health: Option<String>,
    /// As its source states it, lower-case; `unknown` where it does not; `disabled` where the operator switched it off.
    status: String,
}

#[derive(Clone, Serialize, ToSchema)]
struct Onboarding {
    register_url: Option<Url>,
    get_started: Option<Url>,
    device_code_flow: Option<Url>,
    docs: Option<Url>,
}

#[derive(Clone, Serialize, ToSchema)]
struct ContextSync {
    files: FileSync,
    tasks: TaskSync,
}

#[derive(Clone, Serialize, ToSchema)]
struct FileSync {
    set_active: Option<String>,
    sync_report: Option<String>,
    upload: Option<String>,
    presign: Option<String>,
}

#[derive(Clone, Serialize, ToSchema)]
struct TaskSync {
    list: Option<String>,
    create: Option<String>,
    update: Option<String>,
}

/// The documents of the table in force: one for each host in `gateway.mcp`, whose links they carry.
#[derive(Debug)]
pub struct Documents {
    config: Config,
    gateway: Arc<route::Config>,
    rendered: ArcSwap<Vec<Rendered>>,
}

#[derive(Clone, Debug)]
struct Rendered {
    mcp: Option<Hostname>,
    unstamped: Document,
    document: Document,
}

impl Documents {
    /// Nothing rendered yet.
    #[must_use]
    pub fn new(config: Config, gateway: Arc<route::Config>) -> Self {
        Self { config, gateway, rendered: ArcSwap::default() }
    }

    /// Renders the documents of `table`. One whose content did not change keeps its time and so its `ETag`.
    pub fn render(&self, table: &Table) {
        let before = self.rendered.load();
        let services: Vec<Names> = table.upstreams().iter().filter_map(|up| Names::of(up, table)).collect();
        let mcp_hosts: Vec<Option<Hostname>> = match self.gateway.mcp.as_slice() {
            [] => vec![None],
            hosts => hosts.iter().cloned().map(Some).collect(),
        };
        let rendered = mcp_hosts.into_iter().map(|mcp| {
            let mut document = self.document(mcp.as_ref(), &services);
            let unstamped = Document::of(&document);
            match before.iter().find(|old| old.mcp == mcp && old.unstamped == unstamped) {
                Some(same) => same.clone(),
                None => {
                    document.updated_at = now();
                    Rendered { mcp, unstamped, document: Document::of(&document) }
                }
            }
        });
        self.rendered.store(Arc::new(rendered.collect()));
    }

    /// The document for a request to `host`: the first MCP host under it or under its parent, else the first.
    fn pick(&self, host: &str) -> Option<Document> {
        let rendered = self.rendered.load();
        let parent = host.split_once('.').map_or("", |(_, parent)| parent);
        let under = |zone: &str, mcp: &str| !zone.is_empty() && (mcp == zone || mcp.ends_with(&format!(".{zone}")));
        let near = rendered.iter().find(|document| {
            document.mcp.as_ref().is_some_and(|mcp| under(host, mcp.as_str()) || under(parent, mcp.as_str()))
        });
        near.or_else(|| rendered.first()).map(|rendered| rendered.document.clone())
    }

    fn document(&self, mcp: Option<&Hostname>, services: &[Names]) -> Discovery {
        let origin = |host: Option<&Hostname>| host.map(|host| self.gateway.public_origin(host.as_str()));
        let connect = origin(self.gateway.connect.first());
        let api = origin(self.gateway.api.first());
        let mcp = origin(mcp);
        let on_connect = |path: &str| connect.as_ref().map(|base| format!("{base}{path}"));
        let links = &self.config.onboarding;
        Discovery {
            version: "1.0.0",
            ecosystem: self.config.ecosystem.clone(),
            updated_at: String::new(),
            capabilities: Capabilities {
                mcp: McpCapability {
                    protocol_version: None,
                    tools_count: 0,
                    supports_streaming: None,
                    session_management: None,
                    oauth_discovery: None,
                },
                api: ApiCapability {
                    openapi_spec: on_connect("/openapi.json"),
                    version: "v1",
                    authentication: Some(vec!["api_key", "bearer_token"]),
                    rate_limiting: self.config.rate_limiting,
                },
                services: ServicesCapability {
                    discovery: on_connect("/.well-known/chitty.json"),
                    health_check: on_connect(STATUS),
                },
            },
            services: services.iter().map(|names| names.entry(&self.gateway, api.as_deref(), mcp.as_deref())).collect(),
            endpoints: Endpoints {
                connect_base: connect.clone(),
                api_base: api.clone(),
                mcp_base: mcp.clone(),
                sse: on_connect(SSE),
                auth: self.config.auth.clone(),
                registry: self.config.registry.clone(),
                register: self.config.register.clone(),
            },
            onboarding: Onboarding {
                register_url: links.register_url.clone(),
                get_started: links.get_started.clone(),
                device_code_flow: links.device_code_flow.clone(),
                docs: links.docs.clone(),
            },
            resource_uri_scheme: Some(RESOURCE_URI_SCHEME),
            context_sync: ContextSync {
                files: FileSync {
                    set_active: on_connect(SET_ACTIVE),
                    sync_report: on_connect(SYNC_REPORT),
                    upload: on_connect(UPLOAD),
                    presign: on_connect(PRESIGN),
                },
                tasks: TaskSync {
                    list: on_connect(TASKS),
                    create: on_connect(TASKS),
                    update: on_connect(&format!("{TASKS}/{{task_id}}")),
                },
            },
        }
    }
}

/// The names of one service that really route to it.
struct Names<'t> {
    upstream: &'t Upstream,
    prefix: Option<&'t ServiceKey>,
    host: Option<Hostname>,
}

impl<'t> Names<'t> {
    /// `None` for a service that nothing can be asked of: without an endpoint, or without any name left to it.
    fn of(upstream: &'t Arc<Upstream>, table: &Table) -> Option<Self> {
        let service = upstream.service();
        if service.endpoints.is_empty() {
            return None;
        }
        let keys = || [&service.subdomain, &service.id].into_iter().chain(&service.aliases);
        let is_own = |found: Option<&Arc<Upstream>>| found.is_some_and(|found| Arc::ptr_eq(found, upstream));
        let prefix = keys().find(|key| is_own(table.service_at_prefix(key)));
        let domain = &table.config().domain;
        let host = keys()
            .map(|key| domain.child(key))
            .chain(service.hosts.iter().cloned())
            .find(|host| is_own(table.service_at_host(host)));
        (prefix.is_some() || host.is_some()).then_some(Self { upstream, prefix, host })
    }

    fn entry(&self, gateway: &route::Config, api: Option<&str>, mcp: Option<&str>) -> Entry {
        let service = self.upstream.service();
        let declared = &service.declared;
        let url = match (&declared.url, &self.host) {
            (Some(url), _) => Some(url.as_str().trim_end_matches('/').to_owned()),
            (None, Some(host)) => Some(gateway.public_origin(host.as_str())),
            (None, None) => None,
        };
        let by_prefix = |base: Option<&str>, kind: &str| Some(format!("{}/{}/{kind}", base?, self.prefix?));
        let direct = |path: &str| url.as_ref().map(|url| format!("{url}{path}"));
        let health = match (&declared.health_path, &declared.health_url) {
            (Some(path), _) => path.as_str(),
            (None, Some(url)) => url.path(),
            (None, None) => "/health",
        };
        let status = if service.enabled { declared.status.as_deref().unwrap_or("unknown") } else { "disabled" };
        Entry {
            name: service.id.to_string(),
            mcp: by_prefix(mcp, "mcp"),
            direct_mcp: direct("/mcp"),
            api: by_prefix(api, "api"),
            direct_api: direct("/api"),
            health: direct(health),
            status: status.to_owned(),
            url,
        }
    }
}

/// Every service and where it is.
#[utoipa::path(get, path = "/.well-known/chitty.json", tag = "discovery", responses(
    (status = 200, body = Discovery), (status = 304, description = "not modified")
))]
pub(super) async fn chitty_json(
    State(state): State<ApiState>,
    facts: Option<axum::Extension<RequestFacts>>,
    headers: HeaderMap,
) -> Response {
    let host = facts.as_ref().map_or("", |facts| &facts.host);
    let document = state.discovery.pick(host).unwrap_or_else(|| Document::of(&serde_json::json!({})));
    let response = document.answer(&headers);
    state.metrics.discovery_answered(response.status().as_u16());
    response
}
