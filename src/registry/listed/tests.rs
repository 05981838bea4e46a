use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::registry::SourceConfig;
use crate::registry::document::tests::context;
use crate::registry::document::{self, Document};
use crate::registry::merge::merge;
use crate::registry::source::Listing;
use crate::route;
use crate::telemetry::metrics::Metrics;
use crate::upstream::endpoint::Endpoints;

/// Documents with every spelling of REGISTRY.md §2.
const DOCUMENTS: [&str; 5] = [
    include_str!("../../../tests/golden/registry/e1.json"),
    include_str!("../../../tests/golden/registry/e2.json"),
    include_str!("../../../tests/golden/registry/e3.json"),
    include_str!("../../../tests/golden/registry/e4.json"),
    include_str!("../../../tests/golden/registry/e10.json"),
];

fn read(text: &str) -> Document {
    document::read(text.as_bytes(), &context(), None).unwrap()
}

fn table(document: Document) -> Table {
    let config = SourceConfig::File("x.json".into());
    let listing = Listing { declarations: document.declarations.into(), ..Listing::empty(&config) };
    let merged = merge(&[], &[listing], Vec::new());
    let context = context();
    let gateway = route::Config {
        domain: context.domain,
        connect: context.gateway_hosts[..1].to_vec(),
        api: Vec::new(),
        mcp: Vec::new(),
        files: Vec::new(),
        register: Vec::new(),
        public_scheme: "https",
        public_port: None,
    };
    let metrics = Metrics::new().unwrap();
    Table::build(Arc::new(gateway), merged.services, &|_| 0, false, &Endpoints::default(), &metrics, None)
}

fn written(table: &Table) -> String {
    let services: Vec<_> = table.upstreams().iter().map(|upstream| ListedService::of(upstream, table)).collect();
    json!({ "services": services }).to_string()
}

/// What makes it this service.
fn facts(document: &Document) -> Vec<String> {
    let fact = |one: &Declaration| {
        let text = |found: Option<String>| found.unwrap_or_else(|| "-".to_owned());
        let subdomain = one.subdomain.as_ref().or(one.id.as_ref());
        let facts = [
            text(one.id.as_ref().map(ToString::to_string)),
            text(one.endpoints.as_ref().map(|list| format!("{list:?}"))),
            text(subdomain.map(ToString::to_string)),
            text(health_url(one).map(Into::into)),
            text(one.mcp_url.as_ref().map(ToString::to_string)),
            one.status.clone().unwrap_or_else(|| UNKNOWN.to_owned()),
            text(one.health_state.clone()),
            text(one.display_name.clone()),
            text(one.version.clone()),
            text(one.description.clone()),
        ];
        facts.join(" | ")
    };
    document.declarations.iter().map(fact).collect()
}

#[test]
fn another_gateway_reads_the_same_services_out_of_it() {
    let mut services = 0;
    for text in DOCUMENTS {
        let first = read(text);
        let again = read(&written(&table(first.clone())));
        assert_eq!(facts(&again), facts(&first), "{text}");
        assert!(again.rejected.is_empty(), "{:?}", again.rejected);
        services += first.declarations.len();
    }
    assert!(services >= 10, "{services} are too few to show anything");
}

#[test]
fn what_is_not_known_is_null_and_what_is_switched_off_says_so() {
    let mut document = read(r#"[{"name":"bare"},{"name":"off","url":"https://off.example"}]"#);
    document.declarations[1].enabled = Some(false);
    let written: serde_json::Value = serde_json::from_str(&written(&table(document))).unwrap();
    let [bare, off] = &written["services"].as_array().unwrap()[..] else { panic!("{written}") };
    assert_eq!((&bare["url"], &bare["health_url"], &bare["status"]), (&json!(null), &json!(null), &json!("unknown")));
    assert_eq!(bare["public_url"], "https://bare.chitty.cc");
    assert_eq!((&off["url"], &off["status"]), (&json!("https://off.example"), &json!("disabled")));
}
