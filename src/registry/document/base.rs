//! The base URL of an entry: the first of its spellings that is an http or https URL, only the origin kept.

use serde_json::Value;

use super::Context;
use super::field::{Entry, host_origin, origin, shown, target};
use crate::model::service::EndpointUrl;

/// Spellings that hold a whole URL.
const URLS: [&str; 3] = ["url", "baseUrl", "endpoint"];
/// Members of an object `endpoints` that hold the base URL itself.
const ENDPOINT_BASES: [&str; 2] = ["primary", "main"];
/// Spellings that hold a host without a scheme.
const HOSTS: [&str; 3] = ["domain", "host", "hostname"];
/// Spellings that hold a label or a host.
const LABELS: [&str; 2] = ["subdomain", "sub"];
/// Members of an object `endpoints` that are looked at before the rest.
const FIRST_ENDPOINTS: [&str; 3] = ["health", "api", "mcp"];

/// The base URL, or why there is none.
pub(super) fn of(entry: Entry<'_>, context: &Context) -> Result<EndpointUrl, String> {
    let listed = endpoints(entry);
    let on_gateway = |found: &EndpointUrl| found.host().is_some_and(|host| context.is_gateway(host));
    said(entry)
        .or_else(|| listed.iter().filter_map(|text| origin(text)).find(|found| !on_gateway(found)))
        .or_else(|| remote(entry).and_then(origin))
        .ok_or_else(|| why_none(entry, &listed))
}

/// The first remote of an MCP registry's entry that is an http or https URL.
pub(super) fn remote(entry: Entry<'_>) -> Option<&str> {
    entry
        .array("remotes")
        .iter()
        .filter_map(|remote| Entry::of(remote)?.text(&["url"]))
        .find(|text| origin(text).is_some())
}

/// What a field says outright.
fn said(entry: Entry<'_>) -> Option<EndpointUrl> {
    let within = entry.object("endpoints").map(|endpoints| endpoints.texts(&ENDPOINT_BASES));
    let mut urls = entry.texts(&URLS).chain(within.into_iter().flatten());
    urls.find_map(origin)
        .or_else(|| entry.texts(&HOSTS).find_map(host_origin))
        .or_else(|| entry.texts(&LABELS).find_map(host_origin))
}

/// The URLs and paths of `endpoints`, in the order in which they are looked at.
fn endpoints(entry: Entry<'_>) -> Vec<&str> {
    match entry.value("endpoints") {
        Some(Value::Array(list)) => list.iter().filter_map(target).collect(),
        Some(text @ Value::String(_)) => target(text).into_iter().collect(),
        Some(object) => Entry::of(object).map(in_order).unwrap_or_default(),
        None => Vec::new(),
    }
}

fn in_order(endpoints: Entry<'_>) -> Vec<&str> {
    let first = FIRST_ENDPOINTS.iter().filter_map(|key| endpoints.value(key));
    let rest = endpoints.iter().filter(|(key, _)| !FIRST_ENDPOINTS.contains(key)).map(|(_, value)| value);
    first.chain(rest).filter_map(target).collect()
}

/// Why there is no base URL: what was tried to say, else what is missing.
fn why_none(entry: Entry<'_>, listed: &[&str]) -> String {
    let attempt = entry.texts(&URLS).chain(entry.texts(&HOSTS)).next();
    if let Some(text) = attempt {
        shown(text)
    } else if listed.iter().any(|text| origin(text).is_some()) {
        "its endpoints are this gateway's own, no base URL".to_owned()
    } else if listed.iter().any(|text| text.starts_with('/')) {
        "relative endpoints, no base URL".to_owned()
    } else {
        "no base URL".to_owned()
    }
}
