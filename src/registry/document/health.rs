//! Where an entry's health is asked, how its registry last saw it, and where it answers MCP.

use serde_json::Value;
use url::Url;

use super::base;
use super::field::{Entry, absolute, path, resolve, target};
use crate::model::service::{Declaration, EndpointUrl};

/// Spellings before the field `health`.
const BEFORE: [&str; 4] = ["health_url", "healthUrl", "healthCheckUrl", "health_endpoint"];
/// The path asked where a source names none.
const DEFAULT_PATH: &str = "/health";
/// Lifecycle words that are a state of health.
const STATES: [&str; 3] = ["healthy", "unhealthy", "degraded"];
/// Capabilities that say that a service answers MCP.
const MCP_CAPABILITIES: [&str; 2] = ["mcp", "mcp-server"];
/// Where a service answers MCP if it does not say.
const MCP_PATH: &str = "/mcp";

/// Where a service's health is asked: what its source says, else `/health` on its first endpoint (REGISTRY.md §2).
/// `None` only for a service without an endpoint that names no absolute URL either.
#[must_use]
pub fn health_url(declaration: &Declaration) -> Option<Url> {
    declaration.health_url.clone().or_else(|| {
        let base = &declaration.endpoints.as_ref()?.first()?.url;
        // A socket has no URL that anybody else could ask.
        base.host()?;
        resolve(base, health_path(declaration))
    })
}

/// The path on a service's endpoints where its health is asked.
#[must_use]
pub fn health_path(declaration: &Declaration) -> &str {
    declaration.health_path.as_deref().unwrap_or(DEFAULT_PATH)
}

/// A place: absolute, or a path on the base URL.
#[derive(Debug, PartialEq)]
pub(super) enum Place {
    Absolute(Url),
    Path(String),
}

impl Place {
    fn parse(text: &str) -> Option<Self> {
        path(text).map(Self::Path).or_else(|| absolute(text).map(Self::Absolute))
    }
}

/// Where health is asked, as the entry says it; absolute URLs that `allowed` refuses are passed over.
pub(super) fn place(entry: Entry<'_>, allowed: impl Fn(&Url) -> bool) -> Option<Place> {
    let acceptable = |text: &str| {
        Place::parse(text).filter(|place| match place {
            Place::Absolute(url) => allowed(url),
            Place::Path(_) => true,
        })
    };
    candidates(entry).into_iter().find_map(acceptable)
}

fn candidates(entry: Entry<'_>) -> Vec<&str> {
    let mut found: Vec<&str> = entry.texts(&BEFORE).collect();
    found.extend(entry.value("health").and_then(target).filter(|text| is_place(text)));
    let endpoints = entry.value("endpoints");
    found.extend(endpoints.and_then(Entry::of).and_then(|object| object.value("health")).and_then(target));
    found.extend(entry.value("healthCheck").and_then(target));
    let listed = endpoints.and_then(Value::as_array).into_iter().flatten().filter_map(target);
    found.extend(listed.filter(|text| text.trim_end_matches('/').ends_with("/health")));
    found.extend(entry.text(&["healthEndpoint"]));
    found
}

/// `health` holds a URL or a path if it has a `/` or a `:`, else it is a state.
fn is_place(text: &str) -> bool {
    text.contains(['/', ':'])
}

/// Health as the registry last saw it, lower-case.
pub(super) fn state(entry: Entry<'_>) -> Option<String> {
    let of = |value: &Value| {
        let text = match value {
            Value::String(text) => text.trim(),
            _ => Entry::of(value)?.text(&["status", "state"])?,
        };
        Some(text.to_lowercase()).filter(|text| !text.is_empty() && !is_place(text))
    };
    ["health", "healthStatus", "currentHealth"]
        .iter()
        .find_map(|key| entry.value(key).and_then(of))
        .or_else(|| entry.text(&["status"]).map(str::to_lowercase).filter(|state| STATES.contains(&state.as_str())))
}

/// Where the entry says that it answers MCP; `None` if it does not say.
pub(super) fn mcp_url(entry: Entry<'_>, base: Option<&EndpointUrl>, allowed: impl Fn(&Url) -> bool) -> Option<Url> {
    let within = entry.object("endpoints").and_then(|endpoints| endpoints.value("mcp"));
    let own = entry.value("mcp");
    let on_base = |path: &str| resolve(base?, path);
    let named = [within, own].into_iter().flatten().filter_map(target).chain(base::remote(entry));
    let placed = named.filter_map(|text| match Place::parse(text)? {
        Place::Absolute(url) => Some(url).filter(&allowed),
        Place::Path(path) => on_base(&path),
    });
    let capable = || {
        own == Some(&Value::Bool(true))
            || entry
                .array("capabilities")
                .iter()
                .filter_map(Value::as_str)
                .any(|capability| MCP_CAPABILITIES.iter().any(|word| capability.eq_ignore_ascii_case(word)))
    };
    placed.into_iter().next().or_else(|| if capable() { on_base(MCP_PATH) } else { None })
}
