//! The local endpoints: an axum router and the OpenAPI document made from the same definitions.
//!
//! This file is the table of contents: one line for each resource.

mod access;
pub mod admin;
mod context;
pub mod discovery;
mod document;
mod error;
mod event;
mod extract;
mod file;
mod health;
mod landing;
mod mcp;
mod object;
mod openapi;
mod pages;
mod rate;
mod registration;
pub mod registry;
mod service;
mod session;
mod task;
mod whoami;

use std::sync::Arc;

use axum::Router;
use axum::middleware;
use jiff::Timestamp;
use tower::Layer;
use url::Url;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::authenticator::Authenticator;
use crate::auth::rate::RateLimits;
use crate::blob::Files;
use crate::blob::token::Tokens;
use crate::event::{self as hub, Hub};
use crate::registry::Registry;
use crate::registry::embedded::Registrar;
use crate::registry::health::HealthWatch;
use crate::route;
use crate::store::Store;
use crate::telemetry::metrics::Metrics;
use access::Access;
use admin::ReportRoutes;
use discovery::Documents;
use event::Events;
use pages::Pages;

/// The `discovery` section and `gateway.landing_page`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Name of the family of services.
    pub ecosystem: String,
    /// Where callers get their identity.
    pub auth: Option<Url>,
    /// The registry's public address.
    pub registry: Option<Url>,
    /// Where services register.
    pub register: Option<Url>,
    /// Where a newcomer begins.
    pub onboarding: Onboarding,
    /// Where a browser that asks for `/` is sent; `None` = the built-in page.
    pub landing_page: Option<Url>,
    /// Whether callers are told that they may ask only so often.
    pub rate_limiting: bool,
}

/// `discovery.onboarding`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "each field is the link of the same name in the discovery document")]
pub struct Onboarding {
    pub register_url: Option<Url>,
    pub get_started: Option<Url>,
    pub device_code_flow: Option<Url>,
    pub docs: Option<Url>,
}

/// What the daemon says of its own condition: a short text for each thing that is not as it should be.
pub type Degraded = Arc<dyn Fn() -> Vec<String> + Send + Sync>;

/// What the endpoints are made of.
pub struct Parts {
    /// The discovery documents of the table in force.
    pub discovery: Arc<Documents>,
    /// Where a browser that asks for `/` is sent.
    pub landing_page: Option<Url>,
    /// The gateway's hosts.
    pub gateway: Arc<route::Config>,
    /// What is not as it should be.
    pub degraded: Degraded,
    /// Where they count.
    pub metrics: Arc<Metrics>,
    /// Durable data.
    pub store: Arc<dyn Store>,
    /// Who is calling.
    pub auth: Arc<Authenticator>,
    /// How often callers may ask.
    pub rate_limits: RateLimits,
    /// `events`.
    pub events: hub::Config,
    /// Whom events are handed to.
    pub hub: Arc<Hub>,
    /// The services of the table in force, as documents.
    pub listing: Arc<registry::Listing>,
    /// The sources of services.
    pub registry: Arc<Registry>,
    /// The table in force, with everything that sources said.
    pub routes: ReportRoutes,
    /// How services fare.
    pub health: HealthWatch,
    /// Files with their contents.
    pub files: Arc<Files>,
    /// What signs the links to them.
    pub tokens: Tokens,
}

/// What the handlers share.
#[derive(Clone)]
pub struct ApiState {
    discovery: Arc<Documents>,
    landing_page: Option<Url>,
    degraded: Degraded,
    metrics: Arc<Metrics>,
    store: Arc<dyn Store>,
    auth: Arc<Authenticator>,
    rate_limits: Arc<RateLimits>,
    events: Events,
    listing: Arc<registry::Listing>,
    registry: Arc<Registry>,
    registrar: Registrar,
    routes: ReportRoutes,
    health: HealthWatch,
    files: Arc<Files>,
    tokens: Tokens,
    file_links: Arc<file::FileLinks>,
    /// What each operation needs.
    access: Arc<Access>,
    /// How many large answers there are at once.
    pages: Arc<Pages>,
    /// The OpenAPI document and the manifests, made once.
    documents: Arc<openapi::Fixed>,
}

impl ApiState {
    /// Puts the parts together and makes the documents that do not change.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let described = described();
        let host = parts.gateway.api.first().or(parts.gateway.connect.first());
        let links = host.map(|host| parts.gateway.public_origin(host.as_str())).unwrap_or_default();
        Self {
            access: Arc::new(Access::of(&described)),
            documents: Arc::new(openapi::Fixed::make(&parts.gateway, described, parts.auth.header())),
            pages: Arc::new(Pages::new()),
            events: Events::new(parts.hub, parts.events, &parts.metrics),
            discovery: parts.discovery,
            landing_page: parts.landing_page,
            degraded: parts.degraded,
            metrics: parts.metrics,
            registrar: Registrar::new(Arc::clone(&parts.registry), Arc::clone(&parts.store) as _),
            listing: parts.listing,
            registry: parts.registry,
            routes: parts.routes,
            health: parts.health,
            files: parts.files,
            tokens: parts.tokens,
            file_links: Arc::new(file::FileLinks::new(links)),
            store: parts.store,
            auth: parts.auth,
            rate_limits: Arc::new(parts.rate_limits),
        }
    }
}

/// Every endpoint with its description, which says who may ask it: without `security` everybody.
fn endpoints() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(landing::root))
        .routes(routes!(health::health))
        .routes(routes!(health::api_health))
        .routes(routes!(health::status))
        .routes(routes!(discovery::chitty_json))
        .routes(routes!(mcp::mcp_json))
        .routes(routes!(mcp::manifest))
        .routes(routes!(openapi::openapi_json))
        .routes(routes!(context::set_active))
        .routes(routes!(context::set_active_v1))
        .routes(routes!(context::report))
        .routes(routes!(context::report_v1))
        .routes(routes!(context::sync))
        .routes(routes!(context::sync_v1))
        .routes(routes!(context::files))
        .routes(routes!(context::files_v1))
        .routes(routes!(context::sync_events))
        .routes(routes!(context::sync_events_v1))
        .routes(routes!(file::presign))
        .routes(routes!(file::upload_direct))
        .routes(routes!(file::upload))
        .routes(routes!(file::commit))
        .routes(routes!(file::presign_download))
        .routes(routes!(file::download))
        .routes(routes!(file::resolve))
        .routes(routes!(file::list))
        .routes(routes!(file::get, file::delete))
        .routes(routes!(file::resource))
        .routes(routes!(whoami::whoami))
        .routes(routes!(task::list, task::create))
        .routes(routes!(task::get, task::update, task::delete))
        .routes(routes!(event::sse))
        .routes(routes!(event::health))
        .routes(routes!(registry::list))
        .routes(routes!(registry::get))
        .routes(routes!(service::list))
        .routes(routes!(service::list_v1))
        .routes(routes!(service::get, registration::change_status))
        .routes(routes!(service::get_v1))
        .routes(routes!(registration::register))
        .routes(routes!(registration::register_v1))
        .routes(routes!(registration::register_tool))
        .routes(routes!(registration::register_service))
        .routes(routes!(registration::heartbeat))
        .routes(routes!(registration::unregister))
        .routes(routes!(admin::remote::routes))
        .routes(routes!(admin::remote::refresh_discovery))
        .routes(routes!(session::list, session::create))
        .routes(routes!(session::sync))
        .routes(routes!(session::get, session::update))
        .routes(routes!(session::context, session::put_context))
}

fn described() -> utoipa::openapi::OpenApi {
    endpoints().into_openapi()
}

/// The router of the gateway hosts.
pub fn router(state: ApiState) -> Router {
    let router: Router<ApiState> = endpoints().into();
    let checked = middleware::from_fn_with_state(state.clone(), access::check);
    let router = router.fallback(error::no_such_path).layer(checked).with_state(state);
    // Around the whole router, not around each route: axum adds `Allow` to its 405 on the way out of the latter.
    Router::new().fallback_service(middleware::from_fn(error::render).layer(router))
}

/// Now, as the contract writes times: `2026-01-02T03:04:05.678Z`.
fn now() -> String {
    format!("{:.3}", Timestamp::now())
}
