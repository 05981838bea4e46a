//! `GET /.well-known/chitty.json`: its shape, and that every link in it is answered.

use serde_json::{Value, json};
use url::Url;

use crate::support::{API, Ask, CONNECT, DOMAIN, Daemon, MCP, Rows, Upstream, eventually};

const TARGET: &str = "/.well-known/chitty.json";

const DISCOVERY: &str = "{ecosystem: TestOS, auth: \"https://auth.example\", registry: \"https://registry.example\", \
     register: \"https://register.example\", onboarding: {register_url: \"https://register.example\", \
     get_started: \"https://get.example\", device_code_flow: \"https://auth.example/device\", docs: \"https://docs.example\"}}";

fn daemon(upstream: &Upstream) -> Daemon {
    Daemon::builder()
        .set("discovery", DISCOVERY)
        .service(upstream.service_with("chittyid", "subdomain: id, aliases: [identity]"))
        .service(upstream.service("plain"))
        .service(upstream.service_with("public", "url: \"https://public.example/base\""))
        .service("{id: nowhere}")
        .service(upstream.service_with("off", "enabled: false, reason: closed"))
        .start()
}

fn service<'a>(document: &'a Value, name: &str) -> &'a Value {
    let services = document["services"].as_array().unwrap();
    services.iter().find(|s| s["name"] == name).unwrap_or_else(|| panic!("no {name} in {services:#?}"))
}

#[test]
fn the_document_has_every_key_of_the_contract() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let document = daemon.get(CONNECT, TARGET).json();
    let mut rows = Rows::new();
    for pointer in [
        "/version",
        "/ecosystem",
        "/updated_at",
        "/endpoints/connect_base",
        "/endpoints/api_base",
        "/endpoints/mcp_base",
        "/endpoints/sse",
        "/endpoints/auth",
        "/endpoints/registry",
        "/endpoints/register",
        "/capabilities/mcp/protocol_version",
        "/capabilities/mcp/tools_count",
        "/capabilities/mcp/supports_streaming",
        "/capabilities/mcp/session_management",
        "/capabilities/mcp/oauth_discovery",
        "/capabilities/api/openapi_spec",
        "/capabilities/api/version",
        "/capabilities/api/authentication",
        "/capabilities/api/rate_limiting",
        "/capabilities/services/discovery",
        "/capabilities/services/health_check",
        "/services",
        "/onboarding/register_url",
        "/onboarding/get_started",
        "/onboarding/device_code_flow",
        "/onboarding/docs",
        "/resource_uri_scheme",
        "/context_sync/files/set_active",
        "/context_sync/files/sync_report",
        "/context_sync/files/upload",
        "/context_sync/files/presign",
        "/context_sync/tasks/list",
        "/context_sync/tasks/create",
        "/context_sync/tasks/update",
    ] {
        rows.holds(pointer, document.pointer(pointer).is_some(), &document);
    }
    let context = format!("http://{CONNECT}:{}/api/context", daemon.port);
    let tasks = format!("{context}/tasks");
    for (pointer, value) in [
        ("/version", json!("1.0.0")),
        ("/ecosystem", json!("TestOS")),
        ("/endpoints/auth", json!("https://auth.example")),
        ("/endpoints/registry", json!("https://registry.example")),
        ("/endpoints/register", json!("https://register.example")),
        ("/onboarding/device_code_flow", json!("https://auth.example/device")),
        ("/onboarding/docs", json!("https://docs.example")),
        ("/capabilities/api/authentication", json!(["api_key", "bearer_token"])),
        ("/context_sync/tasks/list", json!(tasks)),
        ("/context_sync/tasks/create", json!(tasks)),
        ("/endpoints/sse", json!(format!("http://{CONNECT}:{}/sse", daemon.port))),
        ("/context_sync/tasks/update", json!(format!("{tasks}/{{task_id}}"))),
        ("/capabilities/services/health_check", json!(format!("http://{CONNECT}:{}/api/services/status", daemon.port))),
        ("/context_sync/files/set_active", json!(format!("{context}/files/set-active"))),
        ("/context_sync/files/sync_report", json!(format!("{context}/files/sync-report"))),
        ("/context_sync/files/upload", json!(format!("http://{CONNECT}:{}/api/files/upload", daemon.port))),
        ("/context_sync/files/presign", json!(format!("http://{CONNECT}:{}/api/files/presign", daemon.port))),
        // not built yet: null, and counts are 0
        ("/capabilities/mcp/tools_count", json!(0)),
    ] {
        // A configured URL may gain the slash that its parser adds.
        let seen = document.pointer(pointer).map(|v| v.as_str().map_or(v.clone(), |t| json!(t.trim_end_matches('/'))));
        rows.eq(pointer, &Some(value), &seen);
    }
    rows.finish();
}

#[test]
fn a_service_has_its_eight_fields_on_this_gateways_hosts() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let document = daemon.get(CONNECT, TARGET).json();
    let port = daemon.port;
    let at = |host: &str, path: &str| json!(format!("http://{host}:{port}{path}"));
    assert_eq!(
        *service(&document, "chittyid"),
        json!({
            "name": "chittyid",
            "url": at("id.chitty.test", ""),
            "mcp": at(MCP, "/id/mcp"),
            "direct_mcp": at("id.chitty.test", "/mcp"),
            "api": at(API, "/id/api"),
            "direct_api": at("id.chitty.test", "/api"),
            "health": at("id.chitty.test", "/health"),
            "status": "unknown",
        })
    );
    assert_eq!(document["endpoints"]["connect_base"], at(CONNECT, ""));
    assert_eq!(document["endpoints"]["api_base"], at(API, ""));
    assert_eq!(document["endpoints"]["mcp_base"], at(MCP, ""));
}

#[test]
fn each_subdomain_is_listed_once() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let document = daemon.get(CONNECT, TARGET).json();
    let names: Vec<&str> = document["services"].as_array().unwrap().iter().filter_map(|s| s["name"].as_str()).collect();
    for name in ["chittyid", "plain", "public"] {
        assert_eq!(names.iter().filter(|n| **n == name).count(), 1, "{names:?}");
    }
    assert!(!names.contains(&"identity"), "an alias is no service: {names:?}");
    assert_eq!(names[..2], ["chittyid", "plain"], "the order of the sources");
}

#[test]
fn a_public_url_is_shown_as_configured() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let document = daemon.get(CONNECT, TARGET).json();
    let url = service(&document, "public")["url"].as_str().unwrap();
    assert!(url.starts_with("https://public.example"), "{url}");
}

/// Every text in the document that is a URL, with where it stands.
fn links(value: &Value, at: &str, found: &mut Vec<(String, Url)>) {
    match value {
        Value::String(text) if text.starts_with("http") && text.contains("://") && !text.contains('{') => {
            found.push((at.to_owned(), Url::parse(text).unwrap_or_else(|e| panic!("{at}: {text}: {e}"))));
        }
        Value::Array(list) => list.iter().enumerate().for_each(|(n, v)| links(v, &format!("{at}/{n}"), found)),
        Value::Object(map) => map.iter().for_each(|(k, v)| links(v, &format!("{at}/{k}"), found)),
        _ => {}
    }
}

#[test]
fn every_link_of_every_document_is_answered() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let mut rows = Rows::new();
    for document in [TARGET, "/.well-known/mcp.json", "/mcp/manifest", "/openapi.json", "/health", "/api/health"] {
        let mut found = Vec::new();
        links(&daemon.get(CONNECT, document).json(), "", &mut found);
        let own = |url: &Url| url.host_str().is_some_and(|host| host.ends_with(DOMAIN));
        let found: Vec<_> = found.into_iter().filter(|(_, url)| own(url)).collect();
        rows.holds(format!("{document} has links"), document != TARGET || found.len() > 20, found.len());
        for (at, url) in found {
            rows.eq(format!("port of {document}{at}: {url}"), &Some(daemon.port), &url.port());
            let host = format!("{}:{}", url.host_str().unwrap(), daemon.port);
            let answer = daemon.get(&host, &url[url::Position::BeforePath..url::Position::AfterQuery]);
            rows.holds(format!("{document}{at}: {url}"), answer.status() != 404, answer.fate());
        }
    }
    rows.finish();
}

#[test]
fn every_health_endpoint_that_is_named_is_answered() {
    let upstream = Upstream::start();
    let daemon = daemon(&upstream);
    let mut rows = Rows::new();
    for document in ["/health", "/api/health", "/mcp/manifest"] {
        let body = daemon.get(CONNECT, document).json();
        let Some(endpoints) = body["endpoints"].as_object() else { continue };
        for (name, path) in endpoints {
            let Some(path) = path.as_str().filter(|p| p.starts_with('/') && !p.contains(['*', '{', ':'])) else {
                continue;
            };
            let answer = daemon.get(CONNECT, path);
            rows.holds(format!("{document} names {name}: {path}"), answer.status() != 404, answer.fate());
        }
    }
    rows.holds("something was looked at", true, ());
    rows.finish();
}

#[test]
fn links_follow_public_scheme_and_port() {
    let upstream = Upstream::start();
    for (gateway, base) in [
        ("{public_scheme: https}", "https://connect.chitty.test"),
        ("{public_scheme: https, public_port: 8443}", "https://connect.chitty.test:8443"),
        ("{public_scheme: http}", "http://connect.chitty.test"),
        ("{public_port: 81}", "http://connect.chitty.test:81"),
    ] {
        let daemon = Daemon::builder().set("gateway", gateway).service(upstream.service("svc")).start();
        let document = daemon.get(CONNECT, TARGET).json();
        assert_eq!(document["endpoints"]["connect_base"], base, "{gateway}");
        let url = base.replace("connect", "svc");
        assert_eq!(service(&document, "svc")["url"], url, "{gateway}");
    }
}

#[test]
fn mcp_links_stay_in_the_zone_that_was_asked() {
    let upstream = Upstream::start();
    let daemon = Daemon::builder()
        .set("gateway", "{connect: [connect.chitty.test, other.example], mcp: [mcp.chitty.test, mcp.other.example]}")
        .service(upstream.service("svc"))
        .start();
    let port = daemon.port;
    for (host, mcp) in [
        (CONNECT, MCP),
        ("other.example", "mcp.other.example"),
        ("mcp.other.example", "mcp.other.example"),
        ("127.0.0.1", MCP),
    ] {
        let document = daemon.get(host, TARGET).json();
        assert_eq!(document["endpoints"]["mcp_base"], format!("http://{mcp}:{port}"), "asked at {host}");
        assert_eq!(service(&document, "svc")["mcp"], format!("http://{mcp}:{port}/svc/mcp"), "asked at {host}");
        assert_eq!(service(&document, "svc")["api"], format!("http://{API}:{port}/svc/api"), "asked at {host}");
    }
}

#[test]
fn the_document_follows_the_table() {
    let upstream = Upstream::start();
    let daemon = Daemon::builder()
        .set("registry", "{sources: [{file: services.json}]}")
        .file("services.json", format!("[{{\"name\":\"first\",\"url\":\"{}\",\"status\":\"Active\"}}]", upstream.url()))
        .start();
    let before = daemon.get(CONNECT, TARGET);
    assert_eq!(service(&before.json(), "first")["status"], "active");
    let two =
        format!("[{{\"name\":\"first\",\"url\":\"{0}\"}},{{\"name\":\"second\",\"url\":\"{0}\"}}]", upstream.url());
    daemon.write("services.json", &two);
    let after = eventually("the second service in discovery", || {
        let answer = daemon.get(CONNECT, TARGET);
        let there = answer.json()["services"].as_array().is_some_and(|s| s.len() == 2);
        if there { Ok(answer) } else { Err(answer.text()) }
    });
    assert_ne!(before.header("etag"), after.header("etag"));
    let old = before.header("etag").unwrap();
    assert_eq!(daemon.ask(&Ask::get(CONNECT, TARGET).header("If-None-Match", old)).status(), 200);
}
