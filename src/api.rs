//! The local endpoints: an axum router and the OpenAPI document made from the same definitions.

use url::Url;

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
